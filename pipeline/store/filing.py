"""Until when a claim may be filed: the payer's days, counted from the day of service that the payer counts from.

A stay is counted from its last day, the statement's through date, and not from its admission; the payer's profile may say otherwise
(`filing_from`). The register has a claim's first day; its last one stands in the lake, beside what was scrubbed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from typing import Any

from pipeline.payers import PayerProfile
from pipeline.store.store import Store
from pipeline.transactions.claim_837_forms import INSTITUTIONAL


def last_days(store: Store, claims: Iterable[Any], profiles: Mapping[str, PayerProfile]) -> dict[str, date]:
    """Claim → the last day on which it may be filed; claims whose payer has no profile are left out.

    `claims` are rows of `claims` (id, payer, guide, first day of service, place in the lake). A claim that the lake has lost counts
    from its first day, which is never too late.
    """
    known = {claim.claim_id: claim for claim in claims if claim.payer_key in profiles}
    starts = {claim_id: claim.service_from for claim_id, claim in known.items()}
    parts: dict[tuple[date, str], list[str]] = defaultdict(list)
    for claim_id, claim in known.items():
        if profiles[claim.payer_key].counts_from_last_day(claim.guide == INSTITUTIONAL.guide):
            parts[claim.scrubbed_date, claim.scrubbed_part].append(claim_id)
    for (day, part), ids in sorted(parts.items()):
        table = store.lake.read("scrubbed_claims", day, part, ("claim_id", sorted(ids)), ("claim_id", "service_to"))
        for claim_id, last in zip(
            table.column("claim_id").to_pylist(), table.column("service_to").to_pylist(), strict=True
        ):
            if last:
                starts[claim_id] = max(starts[claim_id], last)
    return {
        claim_id: starts[claim_id] + timedelta(days=profiles[claim.payer_key].claims.filing_days)
        for claim_id, claim in known.items()
    }

"""Provider-level adjustments (PLB) that are still open: forward balances, take-backs and advances by their reference.

A payer that takes back more than it pays carries the rest forward: FB, negative in the remittance that makes it and positive in the
one that consumes it. Take-backs (WO, with 72 for a refund that the payer got) and advances go the same way. Under one reference they
come to 0 in the end, and what has not is either still to be taken from a payment or was taken and never explained. Which reasons net
is data: `schemas/remittances/plb.csv`. Other reasons (interest, penalties, withholding) are final when they are posted.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

import sqlalchemy as sa

from pipeline.ledger import accounts, policy
from pipeline.store import register as r
from pipeline.store.store import chunks

#: longer references hold more than a claim's number: after two characters of a reason and seventeen of a number Medicare appends the
#: patient's member number, and others do alike
_SHOWN = 19
_TO_TAKE = "The payer will take it from a later payment: book nothing, and look that the reference comes back."
_TAKEN = (
    "The payer took it and no remittance says for what: ask for the claim and the reason, or match it with the refund."
)
_DONE = "Nothing: it came to 0."


@dataclass(frozen=True, slots=True)
class Open:
    """What stands open under one reference. `cents` > 0: the payer took more than it gave; `claims`: ours that the reference names."""

    payer: str
    what: str
    reasons: str
    reference: str
    cents: int
    since: date
    last: date
    remittances: int
    claims: tuple[str, ...]

    @property
    def shown_reference(self) -> str:
        return self.reference if len(self.reference) <= _SHOWN else f"{self.reference[:_SHOWN]}…"

    @property
    def action(self) -> str:
        return _TAKEN if self.cents > 0 else _TO_TAKE if self.cents else _DONE

    def as_dict(self) -> dict[str, Any]:
        return asdict(self) | {"reference": self.shown_reference, "action": self.action}


def still_open(connection: sa.Connection, *, settled: bool = False) -> list[Open]:
    """What does not come to 0 by payer, kind and reference, the most dollars first; with `settled` also what does."""
    family = {accounts.provider_adjustment(reason): (reason, what) for reason, what in policy.nets().items()}
    e, t, m = r.ledger_entries.c, r.ledger_transactions.c, r.remittances.c
    query = (
        sa.select(m.payer_key, m.payment_date, m.remittance_id, e.account, e.detail, e.cents)
        .select_from(
            r.ledger_entries.join(r.ledger_transactions, t.transaction_id == e.transaction_id).join(
                r.remittances, m.remittance_id == t.remittance_id
            )
        )
        .where(e.account.in_(sorted(family)))
    )
    groups: dict[tuple[str, str, str], list[Any]] = defaultdict(list)
    for row in connection.execute(query):
        groups[row.payer_key, family[row.account][1], row.detail].append(row)
    wanted = {key: rows for key, rows in groups.items() if settled or sum(row.cents for row in rows)}
    claims = _claims(connection, {reference for _, _, reference in wanted})
    found = [
        Open(
            payer, what, ", ".join(sorted({family[row.account][0] for row in rows})), reference,
            sum(row.cents for row in rows), min(row.payment_date for row in rows), max(row.payment_date for row in rows),
            len({row.remittance_id for row in rows}), claims.get((payer, reference), ()),
        )
        for (payer, what, reference), rows in wanted.items()
    ]  # fmt: skip
    return sorted(found, key=lambda x: (-abs(x.cents), x.payer, x.what, x.reference))


def _claims(connection: sa.Connection, references: Iterable[str]) -> dict[tuple[str, str], tuple[str, ...]]:
    """(payer, reference) → our claims that the payer paid or took back under it: CLP01, or its own number (CLP07)."""
    p, m = r.remittance_claims.c, r.remittances.c
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    listed = sorted(reference for reference in references if reference)
    for some in chunks(listed):
        query = (
            sa.select(m.payer_key, p.claim_id, p.claim_id_stated, p.payer_claim_number)
            .join_from(r.remittance_claims, r.remittances, p.remittance_id == m.remittance_id)
            .where(p.claim_id.is_not(None), p.payer_claim_number.in_(some) | p.claim_id_stated.in_(some))
        )
        for row in connection.execute(query):
            for number in (row.payer_claim_number, row.claim_id_stated):
                found[row.payer_key, number].add(row.claim_id)
    return {key: tuple(sorted(ids)) for key, ids in found.items()}

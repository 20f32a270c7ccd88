"""Did the payer allow what its contract says? Payments against the expected payment, line by line.

Theory. A contract fixes what the payer *allows*; of that it pays a part and leaves a part to the patient. So what a remittance line
allowed is what it paid, and what it left to the patient, and what it kept back from the payment for reasons that leave the
allowance alone (sequestration, withholds, taxes). Only a first payer's decision is compared: what a second one pays depends
on the first. A line with a denial is worked as a denial and is not short.

Where the payer sent no lines, the claim as a whole is compared, if every line of ours has an expectation.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline import payers
from pipeline.codes import contracts
from pipeline.ledger import policy
from pipeline.money import cents, shown
from pipeline.remittances import lines as matching
from pipeline.remittances.reading import Claim
from pipeline.store import Store

#: CLP02 of a first payer's decision
PRIMARY = frozenset({"1", "19"})
#: categories of reasons that lower the payment and not what is allowed
_KEPT_BACK = frozenset(
    {"sequestration", "withhold", "tax_withheld", "submission_fee", "esrd_network", "penalty", "prompt_pay", "incentive", "interest"}
)  # fmt: skip
_MODIFIERS = ("modifier1", "modifier2", "modifier3", "modifier4")


@dataclass(frozen=True, slots=True)
class Short:
    """A payment that is short by `cents`; `reason` names lines, codes, amounts and terms, never a person."""

    claim: Claim
    cents: int
    reason: str


@dataclass(frozen=True, slots=True)
class _Ours:
    """One of our lines as it was sent."""

    line: matching.OurLine
    number: int
    place: str
    units: Decimal
    charge: int


def find(store: Store, asked: Sequence[tuple[Claim, Any]], profiles: Mapping[str, payers.PayerProfile]) -> list[Short]:
    """Payments (each with our claim's row of the register) that allowed less than expected, in their order."""
    if not asked:
        return []
    book = contracts.Contracts(store.settings.home)
    asked = [(claim, ours) for claim, ours in asked if ours.payer_key in profiles]
    if not book or not asked:
        return []
    sent = _sent(store, [ours for _, ours in asked])
    rows = [(n, line) for n, (_, ours) in enumerate(asked) for line in sent.get(ours.claim_id, ())]
    if not rows:
        return []
    expected = book.expected(
        payer=[asked[n][1].payer_key for n, _ in rows], procedure=[line.line.procedure for _, line in rows],
        modifiers=[
            pa.array([line.line.modifiers[m] if m < len(line.line.modifiers) else None for _, line in rows], pa.string())
            for m in range(len(_MODIFIERS))
        ],
        place=[line.place for _, line in rows], units_=[line.units for _, line in rows],
        charge_cents=np.array([line.charge for _, line in rows]), day=[line.line.on for _, line in rows],
        group=np.array([n for n, _ in rows]),
    )  # fmt: skip
    of: dict[int, list[int]] = defaultdict(list)
    for at, (n, _) in enumerate(rows):
        of[n].append(at)
    found = []
    for n, (claim, ours) in enumerate(asked):
        mine = of[n]
        amounts = [int(expected.cents[at]) for at in mine]
        names = [expected.terms[expected.term[at]].name if expected.term[at] >= 0 else "" for at in mine]
        short = _compare(claim, [rows[at][1] for at in mine], amounts, names,
                         profiles[ours.payer_key].claims.underpayment_tolerance_cents)  # fmt: skip
        if short:
            found.append(short)
    return found


def _compare(
    claim: Claim, ours: Sequence[_Ours], expected: Sequence[int], names: Sequence[str], tolerance: int
) -> Short | None:
    """One payment against the expectations of its lines."""
    if not ours:
        return None
    if not claim.lines:
        if min(expected) < 0 or _denied(claim.adjustments):
            return None
        allowed = _allowed(claim.paid, claim.adjustments)
        if not contracts.variances(np.array([sum(expected)]), np.array([allowed]), tolerance_cents=tolerance):
            return None
        return Short(
            claim, sum(expected) - allowed,
            f"The payer allowed {shown(allowed)} for the claim; by contract it is {shown(sum(expected))}. It sent no lines.",
        )  # fmt: skip
    matched, _ = matching.match(claim.lines, [line.line for line in ours])
    allowed_of: dict[int, int] = defaultdict(int)
    denied: set[int] = set()
    for line in claim.lines:
        at = matched.get(line.number)
        if at is None:
            continue
        allowed_of[at] += _allowed(line.paid, line.adjustments)
        if _denied(line.adjustments):
            denied.add(at)
    places = sorted(allowed_of)
    found = contracts.variances(
        np.array([expected[at] for at in places], dtype=np.int64), np.array([allowed_of[at] for at in places], dtype=np.int64),
        denied=np.array([at in denied for at in places], dtype=bool), tolerance_cents=tolerance,
    )  # fmt: skip
    if not found:
        return None
    told = []
    for variance in found:
        at = places[variance.line]
        code = " ".join([ours[at].line.procedure, *ours[at].line.modifiers])
        told.append(
            f"Line {ours[at].number} ({code}): allowed {shown(variance.allowed)}, expected {shown(variance.expected)} ({names[at]})."
        )
    return Short(claim, sum(v.short for v in found), " ".join(told))


def _allowed(paid: int, adjustments: Iterable[tuple[str, str, int]]) -> int:
    return paid + sum(
        value for group, number, value in adjustments if group == "PR" or policy.reason(number).category in _KEPT_BACK
    )


def _denied(adjustments: Iterable[tuple[str, str, int]]) -> bool:
    """Is any of it refused, or paid by capitation? Then the contract's fee says nothing."""
    return any(
        value > 0 and (policy.is_denial(group, number) or policy.kind(group, number) == "capitation")
        for group, number, value in adjustments
    )


def _sent(store: Store, claims: Sequence[Any]) -> dict[str, list[_Ours]]:
    """Claim → its lines as they were sent, from the lake."""
    parts: dict[tuple[date, str], list[str]] = defaultdict(list)
    for claim in claims:
        parts[claim.scrubbed_date, claim.scrubbed_part].append(claim.claim_id)
    found: dict[str, list[_Ours]] = defaultdict(list)
    for (day, part), ids in sorted(parts.items()):
        where = ("claim_id", sorted(set(ids)))
        heads = store.lake.read("scrubbed_claims", day, part, where)
        places = dict(
            zip(heads.column("claim_id").to_pylist(), heads.column("place_of_service").to_pylist(), strict=True)
        )
        table = store.lake.read("scrubbed_lines", day, part, where)
        names = ("claim_id", "line", "line_control_number", "procedure", "revenue_code", "service_date", "place_of_service",
                 "units", "charge", *_MODIFIERS)  # fmt: skip
        for claim_id, number, control, procedure, revenue, served, place, quantity, charge, *modifiers in zip(
            *(table.column(name).to_pylist() for name in names), strict=True
        ):
            line = matching.OurLine(control, procedure or revenue, tuple(m for m in modifiers if m), served)
            found[claim_id].append(_Ours(line, number, place or places.get(claim_id) or "", quantity, cents(charge)))
    for listed in found.values():
        listed.sort(key=lambda line: line.number)
    return found

"""A claim payment (CLP) on its way into the ledger, and what can be told of some of them without the register."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from pipeline.ledger import accounts, policy
from pipeline.ledger.posting import Entry
from pipeline.remittances.reading import Claim

#: why a payment could not be placed
NOT_FOUND, NO_ORIGINAL, UNKNOWN_STATUS, WRONG_SIGN, CHARGE_TOO_HIGH = (
    "claim-not-found", "reversal-without-original", "status-unknown", "sign-wrong", "charge-too-high",
)  # fmt: skip
#: exceptions that a later file can settle
RETRIED = (NOT_FOUND, NO_ORIGINAL, CHARGE_TOO_HIGH)


@dataclass(slots=True)
class Payment:
    """A CLP on its way into the ledger, or there already (`claim` is None then)."""

    remittance_id: str
    number: int
    set_number: int
    paid_on: date
    clearing_key: str
    file_id: str
    status: str
    charge: int
    paid: int
    stated_id: str
    payer_claim_number: str
    claim: Claim | None = None
    claim_id: str | None = None
    outcome: str = "other"
    adjusted: int = 0
    patient: int = 0
    state: str = "exception"
    reason: str = ""
    reverses: str = ""
    was_exception: bool = False
    by_person: bool = False  # a person has named its claim
    #: of its write-offs, by group and reason: what earlier payers had settled already
    restated: dict[tuple[str, str], int] = field(default_factory=dict)
    entries: tuple[Entry, ...] = ()

    @property
    def key(self) -> str:
        return f"{self.remittance_id}/{self.number}"

    @property
    def order(self) -> tuple[date, str, int]:
        return self.paid_on, self.remittance_id, self.number


@dataclass(frozen=True, slots=True)
class Earlier:
    """The earlier payers' part of a claim, as the payer that we billed sees it in one remittance.

    `stated`: what the claim says of it; `told`: OA-23; `restated`: write-offs that repeat it. A payer may split a claim over several
    CLP; `whole` says whether together they decide all of its charge.
    """

    stated: int
    told: int
    restated: int
    whole: bool

    @property
    def difference(self) -> int:
        """Above 0: the payer takes off more than was stated, and that much stays open. Below 0: it takes off less, and what it
        decided is that much more than was open."""
        more = self.told + self.restated - self.stated
        return more if self.whole else max(more, 0)


def restate(pieces: Sequence[Payment], charge: int, stated: int) -> Earlier:
    """Say of each of one remittance's payments of a claim how much of its write-offs earlier payers had settled already.

    A payer that leaves OA-23 out, or puts into it only what was paid, writes off under CO what an earlier payer has paid or written
    off before. Nothing is settled twice: of those write-offs, as much is restated as OA-23 leaves of what the claim states. Where
    the pieces decide only a part of the charge, nobody can tell which part of that it is, so only what would overdraw the claim is.
    `charge`, `stated`: of the claim, in cents.
    """
    pieces = sorted(pieces, key=lambda p: p.number)
    told = sum(c for p in pieces for group, reason, c in _adjustments(p) if (group, reason) == policy.EARLIER_PAYER)
    written = [
        (n, (group, reason), c)
        for n, p in enumerate(pieces)
        for group, reason, c in _adjustments(p)
        if policy.kind(group, reason) in policy.WRITTEN_OFF and c > 0
    ]
    whole = sum(p.charge for p in pieces) >= charge
    left = max(0, min(stated, stated - told))
    if not whole:
        patient = sum(c for p in pieces for group, _, c in _adjustments(p) if group == "PR")
        moved = sum(p.paid for p in pieces) + patient + sum(c for _, _, c in written)
        left = min(left, max(0, moved - (charge - stated)))
    restated = 0
    for payment in pieces:
        payment.restated = {}
    for n, code, c in sorted(
        written, key=lambda w: (-w[2], w[0], w[1])
    ):  # the largest is the likeliest to hold the earlier part
        if part := min(c, left - restated):
            pieces[n].restated[code] = part
            restated += part
    return Earlier(stated, told, restated, whole)


def by_billed_payer(payments: Iterable[Payment], known: Mapping[str, Any]) -> list[list[Payment]]:
    """The processed payments of the payer that we billed, as they belong `together`."""
    by_claim: dict[str, list[Payment]] = defaultdict(list)
    for p in payments:
        ours = known[p.claim_id or ""]
        if policy.STATUSES.get(p.status) == "processed" and p.clearing_key == ours.payer_key:
            by_claim[ours.claim_id].append(p)
    return [pieces for claim_id, of_claim in by_claim.items() for pieces in together(of_claim, known[claim_id])]


def together(payments: Iterable[Payment], ours: Any) -> list[list[Payment]]:
    """The payments of a claim, each alone; but those that decide a part of its charge together with the other parts in their
    remittance."""
    found: dict[tuple[str, int], list[Payment]] = defaultdict(list)
    for p in payments:
        found[p.remittance_id, 0 if p.charge < ours.charge_cents else p.number].append(p)
    return list(found.values())


def _adjustments(payment: Payment) -> Sequence[tuple[str, str, int]]:
    return payment.claim.adjustments if payment.claim is not None else ()


def standing(payments: Sequence[Payment]) -> str | None:
    """The claim's state by all its posted payments, whatever their order of arrival; None where they decide nothing.

    The payments that are not taken back decide: paid if any of the latest date paid, else denied. If all of them were
    taken back, the claim is reversed.
    """
    undone = {p.reverses for p in payments if p.reverses}
    decided = [p for p in payments if p.outcome in ("paid", "denied")]
    left = [p for p in decided if p.key not in undone]
    if left:
        latest = max(p.paid_on for p in left)
        return "paid" if any(p.outcome == "paid" for p in left if p.paid_on == latest) else "denied"
    return "reversed" if decided else None


def stored_payment(row: Any) -> Payment:
    return Payment(
        row.remittance_id, row.claim_number, row.set_number, row.payment_date, row.payer_key, row.file_id, row.status, row.charge_cents,
        row.paid_cents, row.claim_id_stated, row.payer_claim_number, None, row.claim_id, row.outcome, row.adjusted_cents,
        row.patient_cents, row.state, row.reason, row.reverses, row.state == "exception",
    )  # fmt: skip


def unapplied(payment: Payment) -> tuple[Entry, ...]:
    return (
        Entry(accounts.clearing(payment.clearing_key), payment.paid),
        Entry(accounts.UNAPPLIED, -payment.paid),
    )


def earlier_versions(known: Mapping[str, Any]) -> dict[str, list[str]]:
    """Claim → the versions of its visit's claim that came before it."""
    visits: dict[str, list[str]] = defaultdict(list)
    for claim_id, row in sorted(known.items(), key=lambda item: item[1].version):
        visits[row.encounter_key].append(claim_id)
    return {claim_id: ids[:n] for ids in visits.values() for n, claim_id in enumerate(ids) if n}


def negated(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    return tuple(Entry(e.account, -e.cents, e.claim_id, e.detail) for e in entries)


def mirrors(reversal: Payment, original: Payment) -> bool:
    same_payer = original.clearing_key == reversal.clearing_key
    return same_payer and original.charge == -reversal.charge and original.paid == -reversal.paid


def negates(reversal: Payment, original: Payment) -> bool:
    """Does the reversal state, under the same groups and reasons, the negative of what the original posted?"""
    assert reversal.claim is not None
    stated = {f"{group}-{reason}": cents for group, reason, cents in reversal.claim.adjustments}
    return all(stated.get(e.detail) == -e.cents for e in original.entries if e.detail)


def references(payment: Payment) -> set[str]:
    numbers = {payment.payer_claim_number}
    if payment.claim is not None:
        numbers.add(payment.claim.original_reference)
    return numbers - {""}

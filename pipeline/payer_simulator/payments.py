"""From decisions to money: which claim is paid when, in which 835, with which provider-level adjustments.

Claims of one file are paid on up to two dates, and corrections may come on a third. Every payee (billing NPI) has a
remittance of its own on each date; a date's remittances stand in one 835 file. A remittance cannot be negative: what is
missing leaves as a forward balance (PLB FB, negative) and is taken from the payee's next remittance (FB, positive). A reversal of
the payer's own making whose money does not come back within the file's own dates is not made. What a replacement or void
takes back is always taken back, on the file's first date; a balance that stays open goes over to the payee's next file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date

from pipeline.bank_days import add_bank_days
from pipeline.payer_simulator.adjudication import Decision, Table, draw, draw_range, reversal
from pipeline.payer_simulator.bank import routing_number
from pipeline.payer_simulator.books import Owed
from pipeline.payer_simulator.submissions import Provider, Submission
from pipeline.payers import PayerProfile
from pipeline.transactions.remittance_835_writer import (
    BankAccount,
    ClaimPayment,
    Organisation,
    ProviderAdjustment,
    Remittance,
)


@dataclass(frozen=True, slots=True)
class PayDay:
    """One payment date: its place (0, 1, 2), the date, the remittances."""

    place: int
    on: date
    remittances: tuple[Remittance, ...]


@dataclass(frozen=True, slots=True)
class _Reversed:
    """A claim that is taken back: when the reversal and the correction come, and whether the payer lends the money."""

    decision: Decision
    reversal_place: int
    correction_place: int
    recouped: bool


def pay(
    submission: Submission, decisions: Sequence[Decision], *, table: Table, profile: PayerProfile, seed: int,
    owed: dict[str, Owed] | None = None,
) -> list[PayDay]:  # fmt: skip
    """The payment dates of one file, in order. Rejected claims take no part; a date without claims is left out.

    `owed`: forward balances of earlier files by billing NPI; changed to those that are open after this one.
    """
    owed = {} if owed is None else owed
    on = submission.on
    if on is None:
        return []
    days = payment_dates(table, seed, profile.key, submission.interchange_control, on)
    payees: dict[str, list[Decision]] = {}
    for decision in decisions:
        if decision.payment or decision.taken_back:
            payees.setdefault(decision.claim.billing.npi, []).append(decision)
    remittances: list[list[Remittance]] = [[] for _ in days]
    for number, own in enumerate(payees.values(), start=1):
        for place, remittance in enumerate(_of_payee(submission, number, own, days, table, profile, seed, owed)):
            if remittance:
                remittances[place].append(remittance)
    out = []
    for place, of_day in enumerate(remittances):
        if of_day:
            numbered = tuple(_numbered(r, n) for n, r in enumerate(of_day, start=1))
            out.append(PayDay(place, days[place], numbered))
    return out


def payment_dates(table: Table, seed: int, payer: str, interchange_control: str, on: date) -> list[date]:
    """The three dates on which a file submitted on `on` may be paid: bank days, rising."""
    ranges = (table.dates.first_payment, table.dates.second_payment, table.dates.third_payment)
    return [
        add_bank_days(on, draw_range(bounds, seed, payer, interchange_control, "date", place))
        for place, bounds in enumerate(ranges)
    ]


def accounts(table: Table, payer: str, payee_tax_id: str) -> tuple[BankAccount, BankAccount]:
    """The payer's account and the payee's: the same for the same TIN, whoever pays."""
    return (
        BankAccount(
            routing=routing_number(table.bank.payer_routing), number=f"{draw(0, 'payer', payer) % 10**10:010d}"
        ),
        BankAccount(
            routing=routing_number(table.bank.payee_routing), number=f"{draw(0, 'payee', payee_tax_id) % 10**10:010d}"
        ),
    )


def _of_payee(
    submission: Submission, number: int, decisions: list[Decision], days: list[date], table: Table, profile: PayerProfile,
    seed: int, owed: dict[str, Owed],
) -> list[Remittance | None]:  # fmt: skip
    """The payee's remittance on each date, None where there is none."""
    reversed_claims = [_planned(d, table, seed) for d in decisions if d.correction]
    while True:
        claims: list[list[ClaimPayment]] = [[] for _ in days]
        adjustments: list[list[ProviderAdjustment]] = [[] for _ in days]
        taken_back = {r.decision.claim.ordinal for r in reversed_claims}
        for d in decisions:
            if d.taken_back:
                claims[0].append(reversal(d.taken_back))
            if d.payment:
                later = draw(seed, d.claim.claim_id, "second date") % 1000 < table.dates.second_permille
                place = 0 if d.claim.ordinal in taken_back else int(later)
                claims[place].append(d.payment)
        npi = decisions[0].claim.billing.npi
        for r in reversed_claims:
            _take_back(r, npi, days, claims, adjustments)
        for place, paid in enumerate(claims):
            if paid:
                adjustments[place] += _provider_steps(paid, npi, days[place], place, submission, table, profile, seed)
        amounts, left = _carry(claims, adjustments, npi, days, submission.interchange_control, owed.get(npi))
        if left is None or not reversed_claims:
            break
        reversed_claims.pop()  # the money would not come back within this file's dates
    owed.pop(npi, None)
    if left is not None:
        owed[npi] = left
    billing = decisions[0].claim.billing
    return [
        _remittance(submission, number, place, amounts[place], days[place], billing, claims[place], adjustments[place],
                    table, profile)
        if claims[place] or adjustments[place] else None
        for place in range(len(days))
    ]  # fmt: skip


def _planned(decision: Decision, table: Table, seed: int) -> _Reversed:
    claim_id = decision.claim.claim_id
    together = draw(seed, claim_id, "same remittance") % 1000 < table.reversals.same_remittance_permille
    recouped = not together and draw(seed, claim_id, "recoup") % 1000 < table.reversals.recoup_permille
    return _Reversed(decision, 1, 1 if together else 2, recouped)


def _take_back(
    r: _Reversed, npi: str, days: list[date], claims: list[list[ClaimPayment]],
    adjustments: list[list[ProviderAdjustment]],
) -> None:  # fmt: skip
    payment, correction = r.decision.payment, r.decision.correction
    if payment is None or correction is None:
        return
    claims[r.reversal_place].append(reversal(payment))
    claims[r.correction_place].append(correction)
    if r.recouped and payment.paid_cents:
        # the payer does not keep the money at once: lent by WO −x with the reversal, recovered by WO +x with the correction
        for place, cents in ((r.reversal_place, -payment.paid_cents), (r.correction_place, payment.paid_cents)):
            adjustments[place].append(_adjustment(npi, days[place], "WO", r.decision.payer_claim_number, cents))


def _provider_steps(
    claims: list[ClaimPayment], npi: str, on: date, place: int, submission: Submission, table: Table,
    profile: PayerProfile, seed: int,
) -> list[ProviderAdjustment]:  # fmt: skip
    out = []
    paid = [c for c in claims if c.paid_cents > 0 and c.status != "22"]
    key = (profile.key, submission.interchange_control, npi, place)
    for step in table.provider_adjustments:
        if paid and draw(seed, *key, step.name) % 1000 < step.permille:
            cents = draw_range(step.cents, seed, *key, step.name, "cents")
            reference = paid[draw(seed, *key, step.name, "claim") % len(paid)].payer_claim_number
            out.append(_adjustment(npi, on, step.reason, reference, cents))
            if step.with_reason:
                out.append(_adjustment(npi, on, step.with_reason, reference, -cents))
    return out


def _carry(
    claims: list[list[ClaimPayment]], adjustments: list[list[ProviderAdjustment]], npi: str, days: list[date], control: str,
    owed: Owed | None,
) -> tuple[list[int], Owed | None]:  # fmt: skip
    """The amount of each remittance, forward balances added to `adjustments`; and what stays open at the end.

    A forward balance, also one that is `owed` from an earlier file, is consumed in the payee's next remittance.
    """
    amounts = []
    carried, reference = (owed.cents, owed.reference) if owed else (0, "")
    for place, paid in enumerate(claims):
        if not paid and not adjustments[place]:
            amounts.append(0)
            continue
        if carried:
            adjustments[place].append(_adjustment(npi, days[place], "FB", reference, carried))
        net = sum(c.paid_cents for c in paid) - sum(a.cents for a in adjustments[place])
        carried = max(-net, 0)
        if carried:
            reference = f"FB{control}{place}"
            adjustments[place].append(_adjustment(npi, days[place], "FB", reference, -carried))
        amounts.append(max(net, 0))
    return amounts, Owed(reference, carried) if carried else None


def _adjustment(npi: str, on: date, reason: str, reference: str, cents: int) -> ProviderAdjustment:
    return ProviderAdjustment(
        provider_id=npi, fiscal_date=date(on.year, 12, 31), reason=reason, reference=reference, cents=cents
    )


def _remittance(
    submission: Submission, number: int, place: int, cents: int, on: date, billing: Provider, claims: list[ClaimPayment],
    adjustments: list[ProviderAdjustment], table: Table, profile: PayerProfile,
) -> Remittance:  # fmt: skip
    payers_account, payees_account = accounts(table, profile.key, billing.tax_id or billing.npi)
    sender = draw(0, submission.sender_qualifier, submission.sender_id) % 1000
    return Remittance(
        set_control="",
        amount_cents=cents,
        payment_date=on,
        production_date=add_bank_days(on, -1),
        trace=f"{submission.on:%y%m%d}{submission.interchange_control}{sender:03d}{place + 1}{number:03d}",
        origin=origin(profile),
        payer=Organisation(
            name=profile.name,
            address1=profile.address1 or "1 PAYER PLAZA",
            city=profile.city or "BOSTON",
            state=profile.state or "MA",
            zip=profile.zip or "02110",
            payer_id=profile.payer_id,
        ),
        payee=Organisation(
            name=billing.name,
            id_qualifier="XX",
            id=billing.npi,
            address1=billing.address1,
            city=billing.city,
            state=billing.state,
            zip=billing.zip,
            tax_id=billing.tax_id,
        ),
        from_account=payers_account,
        to_account=payees_account,
        receiver_id=submission.submitter_id,
        claims=tuple(claims),
        provider_adjustments=tuple(adjustments),
    )


def origin(profile: PayerProfile) -> str:
    """TRN03: '1' and the payer's TIN; made from the payer's key where the profile names none."""
    if profile.remittance_origins:
        return profile.remittance_origins[0]
    return f"1{draw(0, 'origin', profile.key) % 10**9:09d}"


def _numbered(remittance: Remittance, number: int) -> Remittance:
    return replace(remittance, set_control=f"{number:04d}")

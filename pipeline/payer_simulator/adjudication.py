"""What the payer decides of a claim: a seeded table, no state, no clock, no chance.

Theory. Each choice is a hash of the seed, the claim's id and the name of the choice, so the same claim meets the same fate
in every run and in any order. The table (`schemas/payer_box/adjudication.toml`) lists outcomes with weights; an outcome takes
adjustments from each line step by step, and what is left is paid. An outcome may instead reject the claim at the 277CA (it
is then never adjudicated), or pay it once, take the payment back and pay it anew.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline import shapes
from pipeline.errors import Terminal
from pipeline.payer_simulator.books import Books, Held, content, repeats_on_purpose
from pipeline.payer_simulator.submissions import SubmittedClaim
from pipeline.payers import PayerProfile
from pipeline.transactions.remittance_835_writer import Adjustment, ClaimPayment, Person, ServicePayment

#: SBR09 of the claim → CLP06 of the remittance, where the 835 has no such code
FILING_INDICATORS = {
    "12": "12", "13": "13", "14": "14", "15": "15", "16": "16", "17": "17", "AM": "AM", "CH": "CH", "CI": "15", "BL": "12",
    "DS": "DS", "HM": "HM", "LM": "LM", "MA": "MA", "MB": "MB", "MC": "MC", "OF": "OF", "TV": "TV", "VA": "VA", "WC": "WC",
}  # fmt: skip
#: SBR01 → CLP02 of a claim that was processed
PROCESSED = {"P": "1", "S": "2", "T": "3"}
#: the same, and sent on to the patient's next payer
SENT_ON = {"P": "19", "S": "20", "T": "21"}
Range = tuple[int, int]
Group = Literal["CO", "OA", "PI", "PR"]


#: what earlier payers have paid and reduced: it comes off before this payer's own steps
EARLIER_PAYER: tuple[Group, str] = ("OA", "23")


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Rejection(_Section):
    """An STC of the 277CA: category, claim status, entity."""

    category: str
    status: str
    entity: str = ""


class Step(_Section):
    """One adjustment of each line: a percentage of what is left, or an amount once a claim."""

    group: Group
    reason: str
    percent: Range | None = None
    cents: Range | None = None
    lines: Literal["all", "first", "last"] = "all"
    remarks: tuple[str, ...] = ()


class Outcome(_Section):
    name: str
    weight: int = Field(ge=0)
    adjust: tuple[Step, ...] = ()
    correct: tuple[Step, ...] = ()  # the second adjudication, after a reversal
    reject: Rejection | None = None
    level: Literal["line", "claim"] = "line"  # claim: one CAS on the claim, no service lines
    status: str = ""  # CLP02 where it is not 'processed'
    claim_remarks: tuple[str, ...] = ()
    coverage_expired: bool = False
    least_lines: int = 1
    filing_indicators: tuple[str, ...] = ()  # empty: any


class Dates(_Section):
    first_payment: Range
    second_payment: Range
    third_payment: Range
    second_permille: int


class Sets(_Section):
    rejected_permille: int = 0
    single_sets: bool = False


class Rules(_Section):
    duplicate: Rejection
    other_payer: Rejection
    member_id: Rejection
    charges: Rejection
    content: Rejection
    original_unknown: Rejection
    filed_late: str
    repeated: str = ""


class Bank(_Section):
    payer_routing: str = Field(pattern=r"\d{8}")
    payee_routing: str = Field(pattern=r"\d{8}")
    payee_bank: str


class Reversals(_Section):
    same_remittance_permille: int
    recoup_permille: int


class Crossover(_Section):
    """Which claims the payer sends on to the next payer that they name: a share of those with these SBR09."""

    permille: int = 0
    filing_indicators: tuple[str, ...] = ()


class ProviderStep(_Section):
    name: str
    permille: int
    reason: str
    cents: Range
    with_reason: str = ""  # a second adjustment of the opposite amount


class Table(_Section):
    """The adjudication table, as checked."""

    dates: Dates
    sets: Sets
    rules: Rules
    bank: Bank
    reversals: Reversals
    crossover: Crossover = Crossover()
    provider_adjustments: tuple[ProviderStep, ...] = ()
    outcomes: tuple[Outcome, ...]

    def outcome(self, name: str) -> Outcome:
        return next(o for o in self.outcomes if o.name == name)


@dataclass(frozen=True, slots=True)
class Decision:
    """What became of one claim. Rejected: `rejection` alone. Else `payment`, and `correction` where it is paid anew.

    `taken_back`: the payment of the claim that this one replaces or voids. A void has no payment of its own.
    """

    claim: SubmittedClaim
    outcome: str
    payer_claim_number: str
    rejection: Rejection | None = None
    payment: ClaimPayment | None = None
    correction: ClaimPayment | None = None
    taken_back: ClaimPayment | None = None
    repeated: bool = False


def load_table(path: Path | None = None) -> Table:
    """The table of `schemas/payer_box/adjudication.toml` or of `path`. Terminal where it cannot be used."""
    return _load(path or shapes.schemas_dir() / "payer_box" / "adjudication.toml")


@cache
def _load(path: Path) -> Table:
    try:
        table = Table(**tomllib.loads(path.read_text(encoding="utf-8")))
        if not sum(o.weight for o in table.outcomes if not o.filing_indicators and o.least_lines <= 1):
            raise Terminal(f"The adjudication table {path} has no outcome that fits every claim.")
        for name in (table.rules.filed_late, table.rules.repeated):
            if name:
                table.outcome(name)
    except FileNotFoundError:
        raise Terminal(f"The adjudication table {path} is missing.") from None
    except tomllib.TOMLDecodeError as error:
        raise Terminal(f"The adjudication table {path} is not TOML: {error}.") from None
    except StopIteration:
        raise Terminal(f"The adjudication table {path}: rules.filed_late or repeated names no outcome.") from None
    except ValidationError as error:
        places = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise Terminal(f"The adjudication table {path} cannot be used: {places}.") from None
    return table


def draw(seed: int, *parts: object) -> int:
    """A number from 0 to 2**64 − 1 that depends on nothing but the seed and the parts."""
    text = "\x1f".join(str(p) for p in (seed, *parts))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def draw_range(bounds: Range, seed: int, *parts: object) -> int:
    """A number from the first to the second of `bounds`, both included."""
    low, high = bounds
    return low + draw(seed, *parts) % (high - low + 1)


def decide(
    claim: SubmittedClaim, *, table: Table, profile: PayerProfile, seed: int, on: date, interchange_control: str, known: bool,
    fault: Rejection | None = None, books: Books | None = None,
) -> Decision:  # fmt: skip
    """Adjudicate one claim of an accepted set, submitted on `on`. `known`: the payer accepted this claim number before.

    `fault`: what the check of the file found wrong with this claim, if anything. `books`: what the payer holds already.
    """
    number = f"{on:%y%j}{interchange_control}{claim.ordinal:06d}"
    later = claim.frequency in ("7", "8")
    held = books.held(claim.original_reference) if books and later else None
    rejection = fault or _refusal(claim, table, profile, known, held)
    if rejection:
        return Decision(claim, "rejected by rule", number, rejection)
    if books and not later and table.rules.repeated and not repeats_on_purpose(claim) and content(claim) in books.paid:
        return repeated(claim, table=table, seed=seed, on=on, number=number)
    if claim.frequency == "8":
        return Decision(claim, "void", number, taken_back=held.payment if held else None)
    decision = adjudicated(claim, table=table, profile=profile, seed=seed, on=on, number=number)
    return replace(decision, taken_back=held.payment) if held and not decision.rejection else decision


def repeated(claim: SubmittedClaim, *, table: Table, seed: int, on: date, number: str) -> Decision:
    """Denied, for another claim is paid for the same services."""
    outcome = table.outcome(table.rules.repeated)
    return Decision(
        claim,
        outcome.name,
        number,
        payment=_pay(claim, outcome, outcome.adjust, seed, number, on, "adjust"),
        repeated=True,
    )


def adjudicated(
    claim: SubmittedClaim, *, table: Table, profile: PayerProfile, seed: int, on: date, number: str
) -> Decision:
    """What the table decides of a claim, whatever else the payer holds."""
    first = claim.first_service
    if table.rules.filed_late and first and on - first > timedelta(days=profile.claims.filing_days):
        outcome = table.outcome(table.rules.filed_late)
    else:
        outcome = _drawn(claim, table, seed)
    if outcome.reject:
        return Decision(claim, outcome.name, number, outcome.reject)
    payment = _sent_on(_pay(claim, outcome, outcome.adjust, seed, number, on, "adjust"), claim, table.crossover, seed)
    correction = None
    if outcome.correct:
        again = _pay(claim, outcome, outcome.correct, seed, f"{number}C", on, "correct")
        again = _sent_on(again, claim, table.crossover, seed)
        correction = replace(again, original_reference=number)
    return Decision(claim, outcome.name, number, None, payment, correction)


def _sent_on(payment: ClaimPayment, claim: SubmittedClaim, crossover: Crossover, seed: int) -> ClaimPayment:
    """The payment of a claim that goes on to the patient's next payer: where something is left to the patient, who has one."""
    to = claim.next_payer
    if (
        to is None
        or not payment.patient_cents
        or claim.filing_indicator not in crossover.filing_indicators
        or payment.status != PROCESSED.get(claim.responsibility)
        or draw(seed, claim.claim_id, "crossover") % 1000 >= crossover.permille
    ):
        return payment
    next_payer = Person(entity_type="2", last=to.name, id_qualifier="PI", id=to.id)
    return replace(payment, status=SENT_ON[claim.responsibility], next_payer=next_payer)


def reversal(payment: ClaimPayment) -> ClaimPayment:
    """The claim taken back (CLP02 22): every amount and adjustment negated under its original group."""
    return replace(
        payment,
        status="22",
        next_payer=None,
        charge_cents=-payment.charge_cents,
        paid_cents=-payment.paid_cents,
        patient_cents=0,
        adjustments=_negated(payment.adjustments),
        remarks=(),
        lines=tuple(
            replace(
                line,
                charge_cents=-line.charge_cents,
                paid_cents=-line.paid_cents,
                adjustments=_negated(line.adjustments),
                allowed_cents=None,
                remarks=(),
            )
            for line in payment.lines
        ),
    )


def _negated(adjustments: Sequence[Adjustment]) -> tuple[Adjustment, ...]:
    return tuple(replace(a, cents=-a.cents) for a in adjustments)


def _refusal(
    claim: SubmittedClaim, table: Table, profile: PayerProfile, known: bool, held: Held | None
) -> Rejection | None:
    """The rejection that the content itself calls for, if any. `held`: the claim that a replacement or void names."""
    rules = table.rules
    if claim.payer_id != profile.payer_id:
        return rules.other_payer
    if not re.fullmatch(profile.claims.member_id_pattern, claim.subscriber.id):
        return rules.member_id
    charges = [line.charge_cents for line in claim.lines]
    if claim.charge_cents is None or None in charges or sum(c or 0 for c in charges) != claim.charge_cents:
        return rules.charges
    if claim.frequency in ("7", "8"):
        return None if held else rules.original_unknown
    return rules.duplicate if known else None


def _drawn(claim: SubmittedClaim, table: Table, seed: int) -> Outcome:
    fitting = [
        o
        for o in table.outcomes
        if len(claim.lines) >= o.least_lines
        and (not o.filing_indicators or claim.filing_indicator in o.filing_indicators)
    ]
    place = draw(seed, claim.claim_id, "outcome") % sum(o.weight for o in fitting)
    for outcome in fitting:
        place -= outcome.weight
        if place < 0:
            return outcome
    raise AssertionError("weights are positive")


def _pay(
    claim: SubmittedClaim, outcome: Outcome, steps: Sequence[Step], seed: int, number: str, on: date, pass_name: str
) -> ClaimPayment:  # fmt: skip
    left = [line.charge_cents or 0 for line in claim.lines]
    taken: list[dict[tuple[Group, str], int]] = [{} for _ in left]
    remarks: list[list[str]] = [[] for _ in left]
    for i, cents in enumerate(claim.settled):
        if cents:
            taken[i][EARLIER_PAYER] = cents
            left[i] -= cents
    for order, step in enumerate(steps):
        places = {"all": range(len(left)), "first": range(1), "last": range(len(left) - 1, len(left))}[step.lines]
        budget = None
        if step.cents:
            budget = draw_range(step.cents, seed, claim.claim_id, pass_name, order)
        for i in places:
            if budget is not None:
                cents = min(budget, left[i])
                budget -= cents
            else:
                percent = draw_range(step.percent or (100, 100), seed, claim.claim_id, pass_name, order, i)
                cents = left[i] * percent // 100
            if cents <= 0:
                continue
            key = (step.group, step.reason)
            taken[i][key] = taken[i].get(key, 0) + cents
            left[i] -= cents
            remarks[i] += [r for r in step.remarks if r not in remarks[i]]
    adjustments = [tuple(Adjustment(group=g, reason=r, cents=c) for (g, r), c in of_line.items()) for of_line in taken]
    at_claim = outcome.level == "claim"
    claim_adjustments: dict[tuple[Group, str], int] = {}
    if at_claim:
        for of_line in taken:
            for key, cents in of_line.items():
                claim_adjustments[key] = claim_adjustments.get(key, 0) + cents
    lines = tuple(
        ServicePayment(
            procedure=line.procedure or ("NU", line.revenue_code),
            revenue_code=line.revenue_code if line.procedure else "",
            charge_cents=line.charge_cents or 0,
            paid_cents=left[i],
            adjustments=adjustments[i],
            units=line.units if line.units not in ("", "1") else "",
            service_from=line.service_from or claim.statement_from,
            service_to=line.service_to or claim.statement_to,
            line_control_number=line.control_number,
            allowed_cents=_allowed(line.charge_cents or 0, adjustments[i], left[i]),
            remarks=tuple(remarks[i]),
        )
        for i, line in enumerate(claim.lines)
    )
    patient_cents = sum(c for of_line in taken for (group, _), c in of_line.items() if group == "PR")
    first = claim.first_service
    return ClaimPayment(
        claim_id=claim.claim_id,
        status=outcome.status or PROCESSED.get(claim.responsibility, "1"),
        charge_cents=claim.charge_cents or 0,
        paid_cents=sum(left),
        patient_cents=patient_cents,
        filing_indicator=FILING_INDICATORS.get(claim.filing_indicator, "ZZ"),
        payer_claim_number=number,
        patient=claim.patient if claim.patient_is_subscriber else replace(claim.patient, id_qualifier="", id=""),
        subscriber=None if claim.patient_is_subscriber else claim.subscriber,
        rendering=claim.rendering if claim.rendering and claim.rendering.id else None,
        facility_code=claim.facility_code,
        frequency=claim.frequency,
        adjustments=tuple(Adjustment(group=g, reason=r, cents=c) for (g, r), c in claim_adjustments.items()),
        remarks=outcome.claim_remarks,
        statement_from=first if at_claim else None,
        statement_to=max((x.service_to for x in claim.lines if x.service_to), default=first) if at_claim else None,
        coverage_expiration=first - timedelta(days=1) if outcome.coverage_expired and first else None,
        received_date=on,
        lines=() if at_claim else lines,
    )


def _allowed(charge: int, adjustments: Sequence[Adjustment], paid: int) -> int | None:
    """What the plan allows for the line: what it pays, the patient's share and sequestration; None where denied, and where
    another payer has allowed something before."""
    if any((a.group, a.reason) == EARLIER_PAYER for a in adjustments):
        return None
    if not paid and not any(a.reason in ("1", "2", "3") for a in adjustments):
        return None
    return charge - sum(a.cents for a in adjustments if a.reason == "45")

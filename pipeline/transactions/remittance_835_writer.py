"""Writing the 835 (005010X221A1): dataclasses in, bytes out. The payer's side; we only read remittances.

Money is integer cents. What is written balances at the three levels of the guide, or is refused: line (SVC02 − Σ CAS = SVC03),
claim (CLP03 − Σ CAS of claim and lines = CLP04), transaction (Σ CLP04 − Σ PLB = BPR02 ≥ 0). Positive CAS and PLB reduce the
payment. `imbalances` says where an unbalanced one fails; `write(..., balanced=False)` lets it through on purpose, for a
payer in a box that is told to misbehave.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from itertools import groupby

from pipeline.x12.writer import Element, Envelope, interchange

VERSION = "005010X221A1"
TRIOS_A_SEGMENT = 6  # CAS02-19, and pairs in a PLB
#: group codes in the order in which a reader expects them
GROUPS = ("CO", "OA", "PI", "PR")

Segment = list[Element]


@dataclass(frozen=True, slots=True, kw_only=True)
class Adjustment:
    """One trio of a CAS. `cents` > 0 reduces the payment."""

    group: str
    reason: str
    cents: int
    quantity: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A name: `last` is the organisation's name where `entity_type` is 2."""

    last: str = ""
    first: str = ""
    middle: str = ""
    suffix: str = ""
    id_qualifier: str = ""
    id: str = ""
    entity_type: str = "1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Organisation:
    """1000A or 1000B. `id_qualifier`/`id` stand in N103/N104; `tax_id` is the payee's REF*TJ."""

    name: str
    id_qualifier: str = ""
    id: str = ""
    address1: str = ""
    address2: str = ""
    city: str = ""
    state: str = ""
    zip: str = ""
    tax_id: str = ""
    payer_id: str = ""  # REF*2U of 1000A
    contact_phone: str = ""  # PER*BL of 1000A


@dataclass(frozen=True, slots=True, kw_only=True)
class ServicePayment:
    """Loop 2110. `procedure` is (qualifier, code, modifier …)."""

    procedure: tuple[str, ...]
    charge_cents: int
    paid_cents: int
    adjustments: tuple[Adjustment, ...] = ()
    revenue_code: str = ""
    units: str = ""
    submitted_procedure: tuple[str, ...] = ()
    original_units: str = ""
    service_from: date | None = None
    service_to: date | None = None
    line_control_number: str = ""
    allowed_cents: int | None = None
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimPayment:
    """Loop 2100. `adjustments` are those at claim level; `remarks` go to MOA03-07."""

    claim_id: str
    status: str  # CLP02
    charge_cents: int
    paid_cents: int
    filing_indicator: str  # CLP06
    payer_claim_number: str
    patient: Person
    patient_cents: int = 0  # CLP05; left out where 0 and on reversals
    subscriber: Person | None = None  # only where it is not the patient
    rendering: Person | None = None
    next_payer: Person | None = None  # to whom the claim was sent on (NM1*TT)
    facility_code: str = ""
    frequency: str = ""
    adjustments: tuple[Adjustment, ...] = ()
    remarks: tuple[str, ...] = ()
    original_reference: str = ""  # REF*F8
    statement_from: date | None = None
    statement_to: date | None = None
    received_date: date | None = None
    coverage_expiration: date | None = None
    lines: tuple[ServicePayment, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderAdjustment:
    """One pair of a PLB. `cents` > 0 reduces the payment."""

    provider_id: str
    fiscal_date: date
    reason: str  # PLB03-1
    reference: str  # PLB03-2
    cents: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BankAccount:
    routing: str  # nine digits with the check digit
    number: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Remittance:
    """One transaction set. Where `amount_cents` is 0 no money moves: BPR01 H, BPR04 NON."""

    set_control: str
    amount_cents: int
    payment_date: date
    production_date: date
    trace: str
    origin: str  # TRN03 and BPR10: '1' and the payer's TIN
    payer: Organisation
    payee: Organisation
    from_account: BankAccount
    to_account: BankAccount
    receiver_id: str = ""  # REF*EV
    claims: tuple[ClaimPayment, ...] = ()
    provider_adjustments: tuple[ProviderAdjustment, ...] = ()


def amount(cents: int) -> str:
    """Cents → X12 amount in its shortest form: 12345 → 123.45, 12340 → 123.4, 12300 → 123, -5 → -0.05."""
    sign, whole, rest = "-" if cents < 0 else "", abs(cents) // 100, abs(cents) % 100
    if not rest:
        return f"{sign}{whole}"
    return f"{sign}{whole}.{rest:02d}".rstrip("0")


def imbalances(remittance: Remittance) -> list[str]:
    """Where the remittance does not balance: one sentence each, by position, without patient data. Empty: it balances."""
    found = []
    if remittance.amount_cents < 0:
        found.append("BPR02 is negative; carry it as a forward balance (PLB FB)")
    for number, claim in enumerate(remittance.claims, start=1):
        adjusted = _sum(claim.adjustments)
        for position, line in enumerate(claim.lines, start=1):
            of_line = _sum(line.adjustments)
            adjusted += of_line
            if line.charge_cents - of_line != line.paid_cents:
                found.append(f"CLP {number}, SVC {position}: SVC02 less its CAS is not SVC03")
        if claim.charge_cents - adjusted != claim.paid_cents:
            found.append(f"CLP {number}: CLP03 less all CAS is not CLP04")
        if claim.lines and claim.charge_cents != sum(line.charge_cents for line in claim.lines):
            found.append(f"CLP {number}: CLP03 is not the sum of SVC02")
    paid = sum(claim.paid_cents for claim in remittance.claims)
    if paid - sum(p.cents for p in remittance.provider_adjustments) != remittance.amount_cents:
        found.append("the sum of CLP04 less PLB is not BPR02")
    return found


def write(envelope: Envelope, remittances: Sequence[Remittance], *, balanced: bool = True) -> bytes:
    """One interchange with one group (HP, 005010X221A1), one transaction set a remittance.

    ValueError where a remittance does not balance, unless `balanced` is False; Terminal where a value cannot be written.
    """
    if balanced:
        wrong = [f"ST {r.set_control}: {text}" for r in remittances for text in imbalances(r)]
        if wrong:
            raise ValueError("; ".join(wrong))
    return interchange(envelope, [segments(r) for r in remittances])


def segments(r: Remittance) -> list[Segment]:
    """The segments of one transaction set, from ST up to, not including, SE."""
    out: list[Segment] = [["ST", "835", r.set_control], _bpr(r), ["TRN", "1", r.trace, r.origin]]
    if r.receiver_id:
        out.append(["REF", "EV", r.receiver_id])
    out.append(["DTM", "405", _day(r.production_date)])
    out += _organisation("PR", r.payer)
    if r.payer.payer_id:
        out.append(["REF", "2U", r.payer.payer_id])
    out.append(["PER", "BL", "EDI SUPPORT", "TE", r.payer.contact_phone or "8005550100"])
    out += _organisation("PE", r.payee)
    if r.payee.tax_id:
        out.append(["REF", "TJ", r.payee.tax_id])
    if r.claims:
        out.append(["LX", "1"])
    for claim in r.claims:
        _claim(out, claim)
    _provider_adjustments(out, r.provider_adjustments)
    return out


def _bpr(r: Remittance) -> Segment:
    day = _day(r.payment_date)
    if not r.amount_cents:
        return ["BPR", "H", "0", "C", "NON", "", "", "", "", "", "", "", "", "", "", "", day]
    return [
        "BPR",
        "I",
        amount(r.amount_cents),
        "C",
        "ACH",
        "CCP",
        "01",
        r.from_account.routing,
        "DA",
        r.from_account.number,
        r.origin,
        "",
        "01",
        r.to_account.routing,
        "DA",
        r.to_account.number,
        day,
    ]


def _organisation(entity: str, o: Organisation) -> list[Segment]:
    out: list[Segment] = [["N1", entity, o.name, o.id_qualifier if o.id else "", o.id]]
    if o.address1:
        out += [["N3", o.address1, o.address2], ["N4", o.city, o.state, o.zip]]
    return out


def _claim(out: list[Segment], c: ClaimPayment) -> None:
    out.append(
        [
            "CLP",
            c.claim_id,
            c.status,
            amount(c.charge_cents),
            amount(c.paid_cents),
            amount(c.patient_cents) if c.patient_cents and c.status != "22" else "",
            c.filing_indicator,
            c.payer_claim_number,
            c.facility_code,
            c.frequency,
        ]
    )
    _adjustments(out, c.adjustments)
    out.append(_name("QC", c.patient))
    if c.subscriber:
        out.append(_name("IL", c.subscriber))
    if c.rendering:
        out.append(_name("82", c.rendering))
    if c.next_payer:
        out.append(_name("TT", c.next_payer))
    if c.remarks:
        out.append(["MOA", "", "", *c.remarks[:5]])
    if c.original_reference:
        out.append(["REF", "F8", c.original_reference])
    for qualifier, day in (
        ("232", c.statement_from),
        ("233", c.statement_to),
        ("036", c.coverage_expiration),
        ("050", c.received_date),
    ):
        if day:
            out.append(["DTM", qualifier, _day(day)])
    for line in c.lines:
        _line(out, line)


def _line(out: list[Segment], line: ServicePayment) -> None:
    changed = line.submitted_procedure if line.submitted_procedure != line.procedure else ()
    out.append(
        [
            "SVC",
            list(line.procedure),
            amount(line.charge_cents),
            amount(line.paid_cents),
            line.revenue_code,
            line.units,
            list(changed) or "",
            line.original_units,
        ]
    )
    if line.service_from and line.service_to and line.service_to != line.service_from:
        out += [["DTM", "150", _day(line.service_from)], ["DTM", "151", _day(line.service_to)]]
    elif line.service_from:
        out.append(["DTM", "472", _day(line.service_from)])
    _adjustments(out, line.adjustments)
    if line.line_control_number:
        out.append(["REF", "6R", line.line_control_number])
    if line.allowed_cents is not None:
        out.append(["AMT", "B6", amount(line.allowed_cents)])
    out += [["LQ", "HE", code] for code in line.remarks]


def _adjustments(out: list[Segment], adjustments: Sequence[Adjustment]) -> None:
    """CAS segments: one group code a segment, up to six trios each."""
    for group, members in groupby(sorted(adjustments, key=_group), key=_group):
        trios = list(members)
        for start in range(0, len(trios), TRIOS_A_SEGMENT):
            segment: Segment = ["CAS", GROUPS[group]]
            for a in trios[start : start + TRIOS_A_SEGMENT]:
                segment += [a.reason, amount(a.cents), a.quantity]
            out.append(segment)


def _provider_adjustments(out: list[Segment], adjustments: Sequence[ProviderAdjustment]) -> None:
    for (provider, day), members in groupby(adjustments, key=lambda p: (p.provider_id, p.fiscal_date)):
        pairs = list(members)
        for start in range(0, len(pairs), TRIOS_A_SEGMENT):
            segment: Segment = ["PLB", provider, _day(day)]
            for p in pairs[start : start + TRIOS_A_SEGMENT]:
                segment += [[p.reason, p.reference], amount(p.cents)]
            out.append(segment)


def _name(entity: str, p: Person) -> Segment:
    return ["NM1", entity, p.entity_type, p.last, p.first, p.middle, "", p.suffix, p.id_qualifier if p.id else "", p.id]


def _group(adjustment: Adjustment) -> int:
    return GROUPS.index(adjustment.group)


def _sum(adjustments: Sequence[Adjustment]) -> int:
    return sum(a.cents for a in adjustments)


def _day(on: date) -> str:
    return on.strftime("%Y%m%d")

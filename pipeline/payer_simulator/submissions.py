"""What the payer takes from an 837: one object a claim, with just what it needs to answer.

Read by the plain segment view, one pass, any 837 guide (P, I, D). It checks nothing: the validator does, and only sets that
it accepts are adjudicated. An amount that is not legible is None.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache

from pipeline.money import parse_cents
from pipeline.transactions.remittance_835_writer import Person
from pipeline.x12.segments import DEFAULT_DELIMITERS, Delimiters, Segment, iter_segments

#: SBR01, the payers' order
ORDER = "PSTABCDEFGH"
#: what an earlier payer has left to the patient is what the next one looks at
PATIENTS_SHARE = "PR"


@dataclass(slots=True)
class Provider:
    """Loop 2010AA."""

    name: str = ""
    npi: str = ""
    tax_id: str = ""
    address1: str = ""
    city: str = ""
    state: str = ""
    zip: str = ""


@dataclass(slots=True)
class OtherPayer:
    """Loops 2320 and 2330B. `settled_cents`: what it has paid, and reduced otherwise than to the patient's share, on the
    claim as a whole."""

    responsibility: str
    name: str = ""
    id: str = ""
    settled_cents: int = 0


@dataclass(slots=True)
class Line:
    """Loop 2400. `procedure` is (qualifier, code, modifier …); empty where only a revenue code stands. `settled_cents`: what
    other payers have paid and reduced on it (2430)."""

    procedure: tuple[str, ...] = ()
    revenue_code: str = ""
    charge_cents: int | None = None
    units: str = ""
    service_from: date | None = None
    service_to: date | None = None
    control_number: str = ""
    settled_cents: int = 0


@dataclass(slots=True)
class SubmittedClaim:
    """Loop 2300 with what stands above it. `ordinal` counts claims in the file from 1."""

    ordinal: int
    segment: int
    set_index: int
    set_control: str
    claim_id: str
    charge_cents: int | None
    facility_code: str
    frequency: str
    billing: Provider
    subscriber: Person
    patient: Person
    patient_is_subscriber: bool
    responsibility: str  # SBR01
    filing_indicator: str  # SBR09
    payer_id: str
    rendering: Person | None = None
    original_reference: str = ""  # REF*F8
    statement_from: date | None = None
    statement_to: date | None = None
    lines: list[Line] = field(default_factory=list)
    other_payers: list[OtherPayer] = field(default_factory=list)

    @property
    def next_payer(self) -> OtherPayer | None:
        """The payer to whom the claim goes after this one, where the claim names it."""
        after = ORDER.find(self.responsibility) + 1
        later = [p for p in self.other_payers if p.id and ORDER.find(p.responsibility) >= after > 0]
        return min(later, key=lambda p: ORDER.find(p.responsibility), default=None)

    @property
    def settled(self) -> list[int]:
        """Of each line the cents that earlier payers have paid or reduced; what they settled by claim is taken from the first
        lines on."""
        found = [min(line.settled_cents, line.charge_cents or 0) for line in self.lines]
        rest = 0 if any(found) else sum(p.settled_cents for p in self.other_payers)
        for place, line in enumerate(self.lines):
            more = min(rest, (line.charge_cents or 0) - found[place])
            found[place] += more
            rest -= more
        return found

    @property
    def first_service(self) -> date | None:
        return min((line.service_from for line in self.lines if line.service_from), default=self.statement_from)


@dataclass(slots=True)
class SubmittedSet:
    index: int  # 0-based in the file
    control: str
    version: str
    batch_reference: str = ""  # BHT03
    segment: int = 0  # number of the ST
    bht_segment: int = 0


@dataclass(slots=True)
class Submission:
    """One file: the first interchange's header and every set and claim."""

    sender_qualifier: str = ""
    sender_id: str = ""
    receiver_qualifier: str = ""
    receiver_id: str = ""
    on: date | None = None  # ISA09
    time: str = "0000"  # ISA10
    interchange_control: str = ""
    acknowledgment_requested: bool = False
    usage: str = "T"
    group_sender: str = ""
    group_receiver: str = ""
    group_control: str = ""
    version: str = ""
    submitter_name: str = ""
    submitter_id: str = ""  # 1000A NM109
    interchanges: int = 0
    delimiters: Delimiters = DEFAULT_DELIMITERS
    sets: list[SubmittedSet] = field(default_factory=list)
    claims: list[SubmittedClaim] = field(default_factory=list)


def read_submission(data: bytes) -> Submission:
    """The submission in `data`; an empty one where there is no interchange."""
    out = Submission()
    reader = _Reader(out)
    for segment in iter_segments(data):
        action = _ACTIONS.get(segment.id)
        if action:
            action(reader, segment)
    return out


class _Reader:
    """Where in the loops the reading stands."""

    def __init__(self, out: Submission) -> None:
        self.out = out
        self.in_other_payer = False
        self.set: SubmittedSet | None = None
        self.billing = Provider()
        self.subscriber = Person()
        self.patient: Person | None = None
        self.sbr: tuple[str, str] = ("", "")
        self.payer_id = ""
        self.claim: SubmittedClaim | None = None
        self.line: Line | None = None
        self.party = ""

    def isa(self, s: Segment) -> None:
        self.out.interchanges += 1
        if self.out.interchanges > 1:
            return
        o = self.out
        o.sender_qualifier, o.sender_id = s.element(5), s.element(6).rstrip()
        o.receiver_qualifier, o.receiver_id = s.element(7), s.element(8).rstrip()
        o.on, o.time = _date("20" + s.element(9)), s.element(10)
        o.interchange_control = s.element(13)
        o.acknowledgment_requested, o.usage = s.element(14) == "1", s.element(15)
        o.delimiters = s.delimiters

    def gs(self, s: Segment) -> None:
        if not self.out.group_control:
            self.out.group_sender, self.out.group_receiver = s.element(2), s.element(3)
            self.out.group_control, self.out.version = s.element(6), s.element(8)

    def st(self, s: Segment) -> None:
        self.set = SubmittedSet(len(self.out.sets), s.element(2), s.element(3), segment=s.number)
        self.out.sets.append(self.set)
        self.claim = self.line = self.patient = None
        self.party = ""

    def bht(self, s: Segment) -> None:
        if self.set:
            self.set.batch_reference, self.set.bht_segment = s.element(3), s.number

    def hl(self, s: Segment) -> None:
        self.claim = self.line = None
        self.party = ""
        level = s.element(3)
        if level == "20":
            self.billing = Provider()
        elif level == "22":
            self.subscriber, self.patient, self.sbr, self.payer_id = Person(), None, ("", ""), ""
        elif level == "23":
            self.patient = Person()

    def sbr_segment(self, s: Segment) -> None:
        if self.claim:
            self.in_other_payer = True
            self.claim.other_payers.append(OtherPayer(s.element(1)))
        else:
            self.sbr = (s.element(1), s.element(9))

    def nm1(self, s: Segment) -> None:
        self.party = entity = s.element(1)
        if self.claim and self.line is None and self.in_other_payer and entity == "PR":
            self.claim.other_payers[-1].name, self.claim.other_payers[-1].id = s.element(3), s.element(9)
        if self.line is not None or (self.claim and self.in_other_payer):
            self.party = ""
        elif self.claim:
            if entity == "82":
                self.claim.rendering = _person(s)
        elif entity == "41":
            self.out.submitter_name = " ".join(p for p in (s.element(4), s.element(3)) if p)
            self.out.submitter_id = s.element(9)
        elif entity == "85":
            self.billing.name = " ".join(p for p in (s.element(4), s.element(3)) if p)
            self.billing.npi = s.element(9)
        elif entity == "IL":
            self.subscriber = _person(s)
        elif entity == "QC":
            self.patient = _person(s)
        elif entity == "PR":
            self.payer_id = s.element(9)

    def n3(self, s: Segment) -> None:
        if self.party == "85":
            self.billing.address1 = s.element(1)

    def n4(self, s: Segment) -> None:
        if self.party == "85":
            self.billing.city, self.billing.state, self.billing.zip = s.element(1), s.element(2), s.element(3)

    def ref(self, s: Segment) -> None:
        qualifier = s.element(1)
        if self.line is not None:
            if qualifier == "6R":
                self.line.control_number = s.element(2)
        elif self.claim:
            if qualifier == "F8" and not self.in_other_payer:
                self.claim.original_reference = s.element(2)
        elif self.party == "85" and qualifier in ("EI", "SY"):
            self.billing.tax_id = s.element(2)

    def clm(self, s: Segment) -> None:
        self.in_other_payer = False
        self.line = None
        self.claim = SubmittedClaim(
            ordinal=len(self.out.claims) + 1,
            segment=s.number,
            set_index=self.set.index if self.set else 0,
            set_control=self.set.control if self.set else "",
            claim_id=s.element(1),
            charge_cents=_cents(s.element(2)),
            facility_code=s.component(5, 1),
            frequency=s.component(5, 3),
            billing=self.billing,
            subscriber=self.subscriber,
            patient=self.patient or self.subscriber,
            patient_is_subscriber=self.patient is None,
            responsibility=self.sbr[0],
            filing_indicator=self.sbr[1],
            payer_id=self.payer_id,
        )
        self.out.claims.append(self.claim)

    def lx(self, s: Segment) -> None:
        if self.claim:
            self.line = Line()
            self.claim.lines.append(self.line)

    def service(self, s: Segment) -> None:
        """SV1, SV2 or SV3: the composite, the charge and the units stand at other elements in each."""
        if self.line is None:
            return
        composite, charge, units = {"SV1": (1, 2, 4), "SV2": (2, 3, 5), "SV3": (1, 2, 6)}[s.id]
        parts = s.element(composite).split(s.delimiters.component)[:6]
        while parts and not parts[-1]:
            parts.pop()
        self.line.procedure = tuple(parts)
        self.line.charge_cents = _cents(s.element(charge))
        self.line.units = s.element(units)
        if s.id == "SV2":
            self.line.revenue_code = s.element(1)

    def amt(self, s: Segment) -> None:
        if self.claim and self.line is None and self.in_other_payer and s.element(1) == "D":
            self._settle(_cents(s.element(2)) or 0)

    def svd(self, s: Segment) -> None:
        self._settle(_cents(s.element(2)) or 0)

    def cas(self, s: Segment) -> None:
        """Groups of a reason, an amount and a quantity from CAS02 on."""
        if s.element(1) != PATIENTS_SHARE:
            self._settle(sum(_cents(s.element(place)) or 0 for place in range(3, 19, 3) if s.element(place)))

    def _settle(self, cents: int) -> None:
        if self.line is not None:
            self.line.settled_cents += cents
        elif self.claim and self.claim.other_payers:
            self.claim.other_payers[-1].settled_cents += cents

    def dtp(self, s: Segment) -> None:
        qualifier, first, _, last = s.element(1), *s.element(3).partition("-")
        start, end = _date(first), _date(last or first)
        if self.line is not None:
            if qualifier == "472":
                self.line.service_from, self.line.service_to = start, end
        elif self.claim and qualifier in ("434", "472") and not self.in_other_payer:
            self.claim.statement_from, self.claim.statement_to = start, end


_ACTIONS = {
    "ISA": _Reader.isa, "GS": _Reader.gs, "ST": _Reader.st, "BHT": _Reader.bht, "HL": _Reader.hl, "SBR": _Reader.sbr_segment,
    "NM1": _Reader.nm1, "N3": _Reader.n3, "N4": _Reader.n4, "REF": _Reader.ref, "CLM": _Reader.clm, "LX": _Reader.lx,
    "SV1": _Reader.service, "SV2": _Reader.service, "SV3": _Reader.service, "DTP": _Reader.dtp,
    "AMT": _Reader.amt, "SVD": _Reader.svd, "CAS": _Reader.cas,
}  # fmt: skip


def _person(s: Segment) -> Person:
    return Person(
        entity_type=s.element(2),
        last=s.element(3),
        first=s.element(4),
        middle=s.element(5),
        suffix=s.element(7),
        id_qualifier=s.element(8),
        id=s.element(9),
    )


def _cents(text: str) -> int | None:
    try:
        return parse_cents(text)
    except ValueError:
        return None


@lru_cache(maxsize=4096)
def _date(text: str) -> date | None:
    if len(text) != 8 or not text.isdigit():
        return None
    try:
        return date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError:
        return None

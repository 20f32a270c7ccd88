"""What an 837 must mean: a claim and its lines add up, other payers' decisions balance, codes and dates agree."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from typing import Any

from pipeline.wording import counted
from pipeline.x12.validator_elements import is_date
from pipeline.x12.validator_meaning import Meaning, Numbers, State, cents, nth, safe_id, shown, trios
from pipeline.x12.validator_standing import Frame, Standing

#: a Medicare beneficiary's number: no S, L, O, I, B, Z
_LETTER = "[AC-HJKMNP-RT-Y]"
_MBI = re.compile(
    rf"[1-9]{_LETTER}[0-9AC-HJKMNP-RT-Y]\d{_LETTER}[0-9AC-HJKMNP-RT-Y]\d{_LETTER}{{2}}\d{{2}}\Z", re.ASCII
)
#: qualifier of an HI → (revision of the code list, form of its codes): no decimal point is sent
_ICD = {
    **dict.fromkeys(("ABK", "ABF", "ABJ", "APR", "ABN"), ("ICD-10-CM", re.compile(r"[A-Z][0-9][0-9A-Z][0-9A-Z]{0,4}\Z"))),
    **dict.fromkeys(("BK", "BF", "BJ", "PR", "BN"), ("ICD-9-CM", re.compile(r"(?:[0-9V][0-9]{2}|E[0-9]{3})[0-9]{0,2}\Z"))),
    **dict.fromkeys(("BBR", "BBQ"), ("ICD-10-PCS", re.compile(r"[0-9A-HJ-NP-Z]{7}\Z"))),
    **dict.fromkeys(("BR", "BQ"), ("ICD-9-CM procedure", re.compile(r"[0-9]{2,4}\Z"))),
}  # fmt: skip
CLAIMS_IN_SET = 5000
REMEMBERED = 50_000
#: what every receiver sends back whole
SAFE_CLAIM_ID, SAFE_LINE_ID = 20, 30


class _Payer:
    """One 2320: what another payer has decided."""

    __slots__ = (
        "adjusted",
        "dated",
        "id",
        "line_adjusted",
        "line_dated",
        "line_paid",
        "lines",
        "non_covered",
        "number",
        "paid",
        "sure",
    )

    def __init__(self, number: int) -> None:
        self.number = number
        self.id = ""
        self.paid: int | None = None  # AMT*D
        self.non_covered: int | None = None  # AMT*A8
        self.adjusted: int | None = None  # Σ CAS of 2320; None: no CAS
        self.line_paid = 0
        self.line_adjusted = 0
        self.lines = 0
        self.dated = False
        self.line_dated = False
        self.sure = True  # every amount could be read


class _Line:
    """A line that another payer has decided."""

    __slots__ = ("bundled", "charge", "number", "paid", "sure")

    def __init__(self, number: int, charge: int | None) -> None:
        self.number = number
        self.charge = charge
        self.paid: dict[str, int] = {}  # payer id → Σ SVD02 + Σ CAS
        self.bundled: set[str] = set()
        self.sure = True


class _State837(State):
    def __init__(self, profile: Mapping[str, Any]) -> None:
        super().__init__(profile)
        self.created = ""
        self.most = int(profile.get("max_claims_per_set", CLAIMS_IN_SET))
        self.claims = 0
        self.claim_ids: set[str] = set()
        self.needs_diagnosis = False  # the guide requires an HI with the principal diagnosis
        self.order = ""  # SBR01 of 2000B
        self.birth = ""
        self.filing = ""  # SBR09 of 2000B
        self.icd: set[tuple[str, ...]] = set()  # HI segments found good
        self.revision = ""  # of the claim's principal diagnosis
        #: (pointers, number of diagnoses) found good
        self.pointed: set[tuple[str, int]] = set()
        self.clear(0, None)

    def clear(self, number: int, charge: int | None) -> None:
        self.claim_number = number
        self.charge = charge
        self.line_number = 0
        self.line_charge: int | None = None
        self.total: int | None = 0
        self.lines = 0
        self.stated = ("", "")  # statement dates (DTP*434), first and last
        self.served = False  # the line at hand has its service segment
        self.line_numbers = Numbers()
        self.orders: set[str] = set()
        self.diagnoses = 0
        self.revision = ""
        self.controls: set[str] = set()
        self.payers: list[_Payer] = []
        self.line: _Line | None = None
        self.lines_with_payers: list[_Line] = []
        self.svd = ""


class Meaning837(Meaning):
    closing = frozenset(("2300", "2000B"))
    SUBJECTS = frozenset(("2300",))
    #: (segment, element of the charge, element of the pointers)
    SERVICE: tuple[str, int, int] = ("SV1", 2, 7)

    def state(self, profile: Mapping[str, Any]) -> _State837:
        state = _State837(profile)
        state.needs_diagnosis = self.needs_diagnosis
        return state

    def prepare(self) -> None:
        segment, charge, pointers = self.SERVICE
        subscriber = next(loop for loop in self.guide.loops() if loop.id == "2000B")
        self.below = sum(child.bit for child in subscriber.children if child.id in ("2300", "2000C"))
        self.on("ST", "BHT", _created)
        self.on("2000B", "SBR", _subscriber)
        self.on("2010BA 2010CA", "DMG", _birth)
        self.on("2000C", "HL", _patient)
        self.on("2300", "CLM", _claim)
        self.needs_diagnosis = any(place.required for place in self.guide.by_id("HI"))
        for place in self.guide.by_id("HI"):
            if place.keys & {"ABK", "BK", "ABF", "BF"}:
                self.hang(place, _diagnoses)
            if place.keys & _ICD.keys():
                self.hang(place, _icd)
        self.on("2010BA", "NM1", _member)
        self.on("2320", "SBR", _other)
        self.on("2320", "AMT", _payer_amount)
        self.on("2320", "CAS", _payer_adjustment)
        self.on("2330B", "NM1", _payer_name)
        self.on("2330B", "DTP", _payer_date, "573")
        self.on("2400", "LX", _line)
        self.on("2400", segment, partial(_service, charge, pointers))
        self.on("2400", "DTP", _service_date, "472")
        self.on("2300", "DTP", _service_date, "472")
        self.on("2300", "DTP", _service_date, "434")
        self.on("2300", "DTP", _statement, "434")
        self.on("2400", "REF", _line_control, "6R")
        self.on("2430", "SVD", _decided)
        self.on("2430", "CAS", _line_adjustment)
        self.on("2430", "DTP", _line_paid_date, "573")

    def closed(self, state: _State837, walk: Standing, frame: Frame) -> None:
        if frame.loop.id == "2300":
            _balance(state, walk)
            return
        if frame.mask & self.below:
            return
        level = state.open_level.get("2000B")
        if level is not None and level.flag == "0":
            walk.report(
                "837.no-claim", "A subscriber who is the patient has no claim.", "Give the claim, or leave the level out.",
                number=frame.number, loop="2300", segment_id="CLM",
            )  # fmt: skip


class Meaning837I(Meaning837):
    SERVICE = ("SV2", 3, 0)


class Meaning837D(Meaning837):
    SERVICE = ("SV3", 2, 11)


def _created(state: _State837, walk: Standing, number: int, parts: list[str]) -> None:
    days = (nth(parts, 4), walk.group.created if walk.group else "")
    # programs fill BHT04 with the day of an older file, or leave it as it was at the first sending
    state.created = max((day for day in days if len(day) == 8 and day.isascii() and day.isdigit()), default="")


def _subscriber(state: _State837, walk: Standing, number: int, parts: list[str]) -> None:
    state.order, state.filing = nth(parts, 1), nth(parts, 9)
    state.birth = ""


def _member(state: _State837, walk: Standing, number: int, parts: list[str]) -> None:
    if state.filing in ("MA", "MB") and nth(parts, 8) == "MI" and not _MBI.match(nth(parts, 9)):
        walk.report(
            "837.medicare-id", "NM109 does not have the form of a Medicare beneficiary's number.",
            "Ask the patient for the Medicare card.", loop="2010BA", segment_id="NM1", element=9,
        )  # fmt: skip


def _patient(state: _State837, walk: Standing, number: int, parts: list[str]) -> None:
    state.birth = ""


def _birth(state: _State837, walk: Standing, number: int, parts: list[str]) -> None:
    birth = parts[2] if len(parts) > 2 and parts[1] == "D8" else ""
    state.birth = birth if len(birth) == 8 and birth.isdigit() else ""


def _claim(state: _State837, walk: Standing, number: int, parts: list[str]) -> None:
    state.clear(number, cents(parts[2]) if len(parts) > 2 else None)
    if state.charge is not None and state.charge < 0:
        _negative(walk, "2300", "CLM", 2)
    identifier = parts[1] if len(parts) > 1 else ""
    walk.subject = safe_id(identifier)
    state.claims += 1
    most = state.most
    if state.claims == most + 1:
        walk.report(
            "837.claims-in-set", f"The set holds more than {counted(most, 'claim')}.", "Begin a further set.", loop="2300",
            segment_id="CLM", severity="error" if "max_claims_per_set" in state.profile else "",
        )  # fmt: skip
    if len(identifier) > SAFE_CLAIM_ID:
        walk.report(
            "837.claim-id", f"CLM01 is longer than {SAFE_CLAIM_ID} characters: payers need not send more of it back.",
            "Give claims shorter ids.", loop="2300", segment_id="CLM", element=1,
        )  # fmt: skip
    if identifier and identifier in state.claim_ids:
        walk.report(
            "837.duplicate-claim", "CLM01 stands a second time in this set: answers cannot be told apart.",
            "Give each claim an id of its own.", loop="2300", segment_id="CLM", element=1,
        )  # fmt: skip
    state.claim_ids.add(identifier)
    if state.order not in ("", "U"):
        state.orders.add(state.order)


def _diagnoses(state: _State837, walk: Standing, number: int, parts: list[str]) -> None:
    state.diagnoses += sum(1 for part in parts[1:] if part)


def _icd(state: _State837, walk: Standing, number: int, parts: list[str]) -> None:
    """Codes without a decimal point, in the form of the list that their qualifier names, one revision in a claim."""
    known = (state.revision, *parts)
    if known in state.icd:
        return
    found, component = walk.count, walk.delimiters.component
    for element, part in enumerate(parts[1:], start=1):
        qualifier, _, rest = part.partition(component)
        code = rest.partition(component)[0]
        if qualifier not in _ICD or not code:
            continue
        revision, form = _ICD[qualifier]
        if not form.match(code):
            words = "has a decimal point" if "." in code else f"does not have the form of {revision}"
            walk.report(
                "837.icd", f"HI{element:02d}-2 {words}.", "Send the code of that list, without its point.", loop="2300",
                segment_id="HI", element=element, component=2,
            )  # fmt: skip
        ninth = revision[:5] == "ICD-9"
        if not state.revision:
            state.revision = "9" if ninth else "10"
        elif ninth is not (state.revision == "9"):
            walk.report(
                "837.icd", f"HI{element:02d} is of another revision than the claim's first diagnosis.",
                "Code the whole claim by the list that is in force on its dates.", loop="2300", segment_id="HI",
                element=element, component=1,
            )  # fmt: skip
    if walk.count == found and len(state.icd) < REMEMBERED:
        state.icd.add(known)


def _other(state: _State837, walk: Standing, number: int, parts: list[str]) -> None:
    order = nth(parts, 1)
    if order in state.orders:
        walk.report(
            "837.payer-order", "SBR01 stands a second time among the payers of this claim.",
            "Give each payer its own place: P, S, T, A …", loop="2320", segment_id="SBR", element=1,
        )  # fmt: skip
    elif order and order != "U":
        state.orders.add(order)
    state.payers.append(_Payer(number))


def _payer_amount(state: _State837, walk: Standing, number: int, parts: list[str]) -> None:
    if not state.payers:
        return
    payer, amount = state.payers[-1], cents(nth(parts, 2))
    if amount is None:
        payer.sure = False
    elif parts[1] == "D":
        payer.paid = amount
    elif parts[1] == "A8":
        payer.non_covered = amount


def _payer_adjustment(state: _State837, walk: Standing, number: int, parts: list[str]) -> None:
    if not state.payers:
        return
    payer, total = state.payers[-1], trios(parts)
    if total is None:
        payer.sure = False
    else:
        payer.adjusted = (payer.adjusted or 0) + total


def _payer_name(state: _State837, walk: Standing, number: int, parts: list[str]) -> None:
    if not state.payers:
        return
    identifier = nth(parts, 9).rstrip()
    if identifier and any(payer.id == identifier for payer in state.payers[:-1]):
        walk.report(
            "837.payer-repeated", "NM109 names the same payer as another 2330B of this claim.",
            "Give each payer its own id: lines refer to it.", loop="2330B", segment_id="NM1", element=9,
        )  # fmt: skip
    state.payers[-1].id = identifier


def _payer_date(state: _State837, walk: Standing, number: int, parts: list[str]) -> None:
    if state.payers:
        state.payers[-1].dated = True


def _line(state: _State837, walk: Standing, number: int, parts: list[str]) -> None:
    if state.lines and not state.served:
        state.total = None  # a line without its service segment, which is told, has no known charge
    state.served = False
    state.lines += 1
    state.line = None
    state.line_number, state.line_charge = number, None
    if walk.muted:
        state.line_numbers.assumed += 1  # its LX is missing, which was told
        return
    wanted = state.line_numbers.take(parts[1] if len(parts) > 1 else "")
    if wanted is not None:
        walk.report(
            "837.line-number", f"LX01 is not {wanted}: lines are numbered from 1, one after another.",
            "Number the lines again.", loop="2400", segment_id="LX", element=1,
        )  # fmt: skip


def _service(charge: int, pointers: int, state: _State837, walk: Standing, number: int, parts: list[str]) -> None:
    amount = state.line_charge = cents(parts[charge]) if charge < len(parts) else None
    state.served = True
    if amount is not None and amount < 0:
        _negative(walk, "2400", parts[0], charge)
    if amount is None or state.total is None:
        state.total = None
    else:
        state.total += amount
    if not pointers or pointers >= len(parts):
        return
    pointed = (parts[pointers], state.diagnoses)
    if pointed in state.pointed or (state.needs_diagnosis and not state.diagnoses):
        return  # known to be good, or the diagnoses are missing altogether, which is told
    seen = set()
    found = walk.count
    for component, pointer in enumerate(parts[pointers].split(walk.delimiters.component), start=1):
        if not (pointer.isascii() and pointer.isdigit()):
            continue
        if not 1 <= int(pointer[:4]) <= state.diagnoses:
            words = f"points to diagnosis {pointer[:4]} and the claim has {state.diagnoses}"
        elif pointer in seen:
            words = f"names diagnosis {pointer[:4]} a second time"
        else:
            seen.add(pointer)
            continue
        walk.report(
            "837.pointer", f"{parts[0]}{pointers:02d}-{component} {words}.", "Point to diagnoses of the claim's HI.",
            loop="2400", segment_id=parts[0], element=pointers, component=component,
        )  # fmt: skip
    if walk.count == found:
        state.pointed.add(pointed)


def _negative(walk: Standing, loop: str, segment_id: str, element: int) -> None:
    walk.report(
        "837.negative", f"{segment_id}{element:02d} is less than nothing: a charge is zero or more.",
        "To take a claim back, send it with frequency 8 and its own charges.", loop=loop, segment_id=segment_id, element=element,
    )  # fmt: skip


def _service_date(state: _State837, walk: Standing, number: int, parts: list[str]) -> None:
    if len(parts) < 4:
        return
    value = parts[3]
    first, last = value[:8], value[-8:]
    if state.lines and state.stated[0] and (first < state.stated[0] or last > state.stated[1]):
        walk.report(
            "837.statement-dates", "DTP03 lies outside the statement dates of the claim (DTP*434).",
            "Correct the date, or the statement dates.", loop="2400", segment_id="DTP", element=3,
        )  # fmt: skip
    if state.birth <= first and last <= state.created:
        return
    if not (first.isdigit() and last.isdigit()):
        return
    loop = "2400" if state.lines else "2300"
    if last > state.created and state.created:
        walk.report(
            "837.service-date", "DTP03 lies after the dates of the file (BHT04, GS04): the service is in the future.",
            "Correct the date, or send the claim after the service.", loop=loop, segment_id="DTP", element=3,
        )  # fmt: skip
    if first < state.birth:
        walk.report(
            "837.service-date", "DTP03 lies before the patient's birth.", "Correct the service date or the birth date.",
            loop=loop, segment_id="DTP", element=3,
        )  # fmt: skip


def _statement(state: _State837, walk: Standing, number: int, parts: list[str]) -> None:
    first, _, last = nth(parts, 3).partition("-")
    good = is_date(first) and is_date(last) and first <= last
    state.stated = (first, last) if good else ("", "")


def _line_control(state: _State837, walk: Standing, number: int, parts: list[str]) -> None:
    control = nth(parts, 2)
    if len(control) > SAFE_LINE_ID:
        walk.report(
            "837.claim-id", f"REF*6R is longer than {SAFE_LINE_ID} characters: payers need not send more of it back.",
            "Give lines shorter control numbers.", loop="2400", segment_id="REF", element=2,
        )  # fmt: skip
    if control in state.controls:
        walk.report(
            "837.line-control", "REF*6R stands a second time in this claim: payments cannot find their line.",
            "Give each line a control number of its own.", loop="2400", segment_id="REF", element=2,
        )  # fmt: skip
    state.controls.add(control)


def _decided(state: _State837, walk: Standing, number: int, parts: list[str]) -> None:
    line = state.line
    if line is None and state.lines:
        line = state.line = _Line(state.line_number, state.line_charge)
    identifier = state.svd = nth(parts, 1).rstrip()
    payer = next((payer for payer in state.payers if payer.id == identifier), None)
    nameless = [payer for payer in state.payers if not payer.id]
    if payer is None and identifier and nameless:
        payer = nameless[0]  # its 2330B is missing, which was told
        payer.id = identifier
    if payer is None:
        for one in state.payers:
            one.sure = False  # which of them paid is not known
    if payer is None and identifier:
        walk.report(
            "837.paid-by", "SVD01 names a payer that is in no 2330B of this claim.", "Send the NM109 of that payer's 2330B.",
            loop="2430", segment_id="SVD", element=1,
        )  # fmt: skip
    if line is None:
        return
    amount = cents(nth(parts, 2))
    if not line.paid:
        state.lines_with_payers.append(line)
    if amount is None:
        line.sure = False
        if payer:
            payer.sure = False
        return
    line.paid[identifier] = line.paid.get(identifier, 0) + amount
    if nth(parts, 6):
        line.bundled.add(identifier)
    if payer:
        payer.line_paid += amount
        payer.lines += 1


def _line_adjustment(state: _State837, walk: Standing, number: int, parts: list[str]) -> None:
    line, total = state.line, trios(parts)
    payer = next((payer for payer in state.payers if payer.id == state.svd), None)
    if line is None:
        return
    if total is None:
        line.sure = False
        if payer:
            payer.sure = False
        return
    line.paid[state.svd] = line.paid.get(state.svd, 0) + total
    if payer:
        payer.line_adjusted += total


def _line_paid_date(state: _State837, walk: Standing, number: int, parts: list[str]) -> None:
    payer = next((payer for payer in state.payers if payer.id == state.svd), None)
    if payer:
        payer.line_dated = True


def _balance(state: _State837, walk: Standing) -> None:
    """The sums of one claim, when it ends."""

    def say(
        rule: str, message: str, fix: str, number: int, loop: str, segment_id: str, element: int | None = None
    ) -> None:
        walk.report(rule, message, fix, number=number, loop=loop, segment_id=segment_id, element=element)

    charge = state.charge
    if state.lines and not state.served:
        state.total = None
    if charge is not None and state.total is not None and state.lines and charge != state.total:
        say(
            "837.charges", f"CLM02 is {shown(charge)} and its lines add up to {shown(state.total)}.",
            "Make the claim's charge the sum of its lines.", state.claim_number, "2300", "CLM", 2,
        )  # fmt: skip
    for line in state.lines_with_payers:
        for payer_id, decided in line.paid.items():
            if line.sure and line.charge is not None and payer_id not in line.bundled and decided != line.charge:
                say(
                    "837.line-paid",
                    f"The line's charge is {shown(line.charge)}; what another payer paid and adjusted on it is {shown(decided)}.",
                    "Send that payer's payment and all of its adjustments (SVD02 and CAS in 2430).", line.number, "2430", "SVD", 2,
                )  # fmt: skip
    for payer in state.payers:
        if payer.dated and payer.line_dated:
            say(
                "837.paid-date", "The date of the other payer's decision stands at the claim and at its lines.",
                "Send DTP*573 in 2330B or in 2430, not in both.", payer.number, "2330B", "DTP",
            )  # fmt: skip
        if not payer.sure:
            continue
        if payer.non_covered is not None:
            if charge is not None and payer.non_covered != charge:
                say(
                    "837.non-covered", f"AMT*A8 is {shown(payer.non_covered)} and the claim's charge is {shown(charge)}.",
                    "A claim that the other payer does not cover at all carries its whole charge.", payer.number, "2320", "AMT", 2,
                )  # fmt: skip
            if payer.paid is not None or payer.adjusted is not None:
                say(
                    "837.non-covered", "AMT*A8 says that nothing is covered, and AMT*D or CAS stands beside it.",
                    "Send AMT*A8 alone.", payer.number, "2320", "AMT", 1,
                )  # fmt: skip
            continue
        if payer.paid is None:
            if payer.lines and (payer.number, "AMT") not in walk.doubted:
                say(
                    "837.payer-amount", "The lines tell what the other payer decided, and its payment (AMT*D) is missing.",
                    "Send what it paid on the whole claim, 0 too.", payer.number, "2320", "AMT",
                )  # fmt: skip
            continue
        adjusted = payer.adjusted or 0
        if payer.lines and payer.paid != payer.line_paid - adjusted:
            say(
                "837.payer-paid",
                f"AMT*D is {shown(payer.paid)}; the lines' payments less the claim's adjustments are {shown(payer.line_paid - adjusted)}.",
                "Make AMT*D the payments of the lines less CAS of 2320.", payer.number, "2320", "AMT", 2,
            )  # fmt: skip
        decided = payer.paid + adjusted + payer.line_adjusted
        if charge is not None and decided != charge and (payer.adjusted is not None or payer.lines):
            say(
                "837.claim-paid",
                f"The claim's charge is {shown(charge)}; what the other payer paid and adjusted is {shown(decided)}.",
                "Send each adjustment once, at the claim or at the line.", payer.number, "2320", "AMT", 2,
            )  # fmt: skip

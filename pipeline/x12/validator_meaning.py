"""What a transaction set must mean, beyond its form: balances, sequences, identifiers. SNIP 3 and those of 4 and 5.

A `Meaning` hangs hooks on places of a guide; the walk calls a hook with the segment's elements as it passes, and
`closed` when a loop ends. Sums are integer cents. Nothing raises: what cannot be read as an amount was already reported as
an element, and the balance that would need it is left unjudged.

The balances stand here in code, since they add over loops; whatever one loop can say of itself stands as a rule in the
guide's data (`expressions.py`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from pipeline.x12.guides import Guide, Place
from pipeline.x12.validator_situations import Situations

if TYPE_CHECKING:
    from pipeline.x12.validator import _Engine, _Frame

Hook = Callable[[Any, "_Engine", int, list[str]], None]

_AMOUNT = re.compile(r"(-?)(\d{0,15})(?:\.(\d{0,2}))?\Z", re.ASCII)
_SAFE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,37}\Z")
_TAXONOMY = re.compile(r"[0-9A-Z]{9}X\Z")
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
#: the reason of an adjustment that says nothing without a remark code
NEEDS_REMARK = "16"
_REMARK = re.compile(r"[A-Z]{1,3}\d{1,4}[A-Z]?\Z", re.ASCII)
#: what every receiver sends back whole
SAFE_CLAIM_ID, SAFE_LINE_ID = 20, 30


@lru_cache(maxsize=65536)
def cents(text: str) -> int | None:
    """An amount in cents; None where it is none (or has fractions of a cent)."""
    match = _AMOUNT.match(text)
    if not match or not (match[2] or match[3]):
        return None
    value = int(match[2] or "0") * 100 + int((match[3] or "").ljust(2, "0"))
    return -value if match[1] else value


def shown(value: int) -> str:
    return f"{'-' if value < 0 else ''}{abs(value) // 100}.{abs(value) % 100:02d}"


@lru_cache(maxsize=65536)
def is_npi(text: str) -> bool:
    """Ten digits, first 1 or 2, Luhn over 80840 and the number."""
    if len(text) != 10 or not (text.isascii() and text.isdigit()) or text[0] not in "12":
        return False
    total = 24  # what the prefix 80840 adds
    for index, character in enumerate(reversed(text)):
        digit = int(character)
        if index % 2:
            digit = digit * 2 - 9 if digit > 4 else digit * 2
        total += digit
    return total % 10 == 0


def safe_id(text: str) -> str:
    """An account or control number fit for a finding's subject; '' where it does not look like one."""
    return text if _SAFE_ID.match(text) else ""


class Numbers:
    """Numbers that rise by one from 1 (HL01, LX01). One wrong number is one fault: the next ones may follow it, or the count."""

    __slots__ = ("assumed", "count", "last")

    def __init__(self) -> None:
        self.count = self.last = 0
        self.assumed = 0  # since the last number: places whose segment is missing, which may have had a number or not

    def take(self, text: str) -> int | None:
        """The next number as it stands: None where it is right, else the one that is wanted."""
        self.count += 1
        if text == str(self.count) and not self.assumed:
            self.last = self.count
            return None
        stated = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
        wanted, last = self.count, self.last + 1
        self.last, more = stated or wanted, range(self.assumed + 1)
        good = text == str(stated) and any(stated in (wanted + n, last + n) for n in more)
        if self.assumed and good:
            self.count = stated
        self.assumed = 0
        return None if good else wanted


@dataclass(slots=True)
class _Level:
    """An HL. `names`: what HL02 of a level below may call it; `flag`: HL04."""

    names: frozenset[str]
    flag: str
    number: int
    loop: str
    children: int = 0


class State:
    """What the walk of one set has gathered. Levels here; each transaction adds its own."""

    def __init__(self, profile: Mapping[str, Any]) -> None:
        self.profile = profile
        self.numbers = Numbers()
        self.headless: set[str] = set()  # loops whose open level has no HL
        self.levels: list[_Level] = []
        self.open_level: dict[str, _Level] = {}  # loop id → the one open
        self.npis: set[str] = set()  # NPIs found good


class Meaning:
    """The base: levels (HL), NPIs, and the rules that the guide's data states."""

    #: loops that a finding names by the claim's id
    SUBJECTS: frozenset[str] = frozenset()
    #: loops whose end has work here, besides the situations
    closing: frozenset[str] = frozenset()

    def __init__(self, guide: Guide) -> None:
        self.guide = guide
        self.hooks: dict[int, Hook] = {}
        self.situations = Situations(guide)
        for place in guide.places:
            if place.id == "HL":
                self.hang(place, partial(_level, place))
            elif place.id == "NM1" and _takes(place, 8, "XX"):
                self.hang(place, partial(_identifier, place, 8))
            elif place.id == "N1" and _takes(place, 3, "XX"):
                self.hang(place, partial(_identifier, place, 3))
            elif place.id == "PRV" and _takes(place, 2, "PXC"):
                self.hang(place, partial(_specialty, place))
        self.prepare()

    def prepare(self) -> None:
        """For the hooks of one transaction."""

    def hang(self, place: Place, hook: Hook) -> None:
        """Add a hook to a place; a second one runs after the first."""
        first = self.hooks.get(place.index)
        if first is None:
            self.hooks[place.index] = hook
            return

        def both(state: Any, engine: _Engine, number: int, parts: list[str]) -> None:
            first(state, engine, number, parts)
            hook(state, engine, number, parts)

        self.hooks[place.index] = both

    def hangs_under(self, place: Place, state: State, parts: list[str]) -> bool:
        """An HL of this place would hang under the level that its HL02 names."""
        above = place.loop.parent
        if place.id != "HL" or above is None:
            return False
        level = state.open_level.get(above.id)
        return level is not None and len(parts) > 2 and parts[2] in level.names

    def on(self, loops: str, segment_id: str, hook: Hook, key: str = "") -> None:
        """Hang a hook on all places of a segment in these loops (words), or only on the one that takes `key`."""
        for place in self.guide.by_id(segment_id):
            if place.loop.id in loops.split() and (not key or key in place.keys):
                self.hang(place, hook)

    def state(self, profile: Mapping[str, Any]) -> State:
        return State(profile)

    def closed(self, state: Any, engine: _Engine, frame: _Frame) -> None:
        """Called at the end of the loops in `closing`, before the situations are judged."""

    def finished(self, state: State, engine: _Engine) -> None:
        for level in state.levels:
            if level.flag not in ("0", "1") or (level.flag == "1") == bool(level.children):
                continue
            words = (
                "HL04 is 1 but no level stands below it."
                if level.flag == "1"
                else "HL04 is 0 but a level stands below it."
            )
            engine.report(
                "hl.children", words, "Send 1 where levels follow below, else 0.", number=level.number, loop=level.loop,
                segment_id="HL", element=4,
            )  # fmt: skip


def _takes(place: Place, element: int, code: str) -> bool:
    if element > len(place.elements):
        return False
    holder = place.elements[element - 1]
    return holder.usage != "N" and (not holder.codes or code in holder.codes)


def _identifier(place: Place, element: int, state: State, engine: _Engine, number: int, parts: list[str]) -> None:
    if len(parts) > element + 1 and parts[element] == "XX" and parts[element + 1] not in state.npis:
        if is_npi(parts[element + 1]):
            state.npis.add(parts[element + 1])
            return
        engine.report(
            "npi", f"{place.id}{element + 1:02d} is not a valid NPI: ten digits with a check digit.",
            "Correct the NPI in the provider's record.", loop=place.loop.id, segment_id=place.id, element=element + 1,
        )  # fmt: skip


def _specialty(place: Place, state: State, engine: _Engine, number: int, parts: list[str]) -> None:
    if len(parts) > 3 and parts[2] == "PXC" and not _TAXONOMY.match(parts[3]):
        engine.report(
            "taxonomy", f"{place.id}03 does not look like a taxonomy code: ten letters and digits, the last one an X.",
            "Correct the specialty in the provider's record.", loop=place.loop.id, segment_id=place.id, element=3,
        )  # fmt: skip


def _level(place: Place, state: State, engine: _Engine, number: int, parts: list[str]) -> None:
    """HL01 rises by one; HL02 names the open level around it."""
    loop = place.loop
    above = loop.parent if loop.parent is not None and loop.parent.trigger.id == "HL" else None
    around = state.open_level.get(above.id) if above is not None else None
    if engine.muted:
        # its HL is missing, which was told
        state.numbers.assumed += 1
        state.headless.add(loop.id)
        state.open_level.pop(loop.id, None)
        if around is not None:
            around.children += 1
        return
    identifier = parts[1] if len(parts) > 1 else ""
    parent = parts[2] if len(parts) > 2 else ""

    def say(rule: str, message: str, fix: str, element: int) -> None:
        engine.report(rule, message, fix, loop=loop.id, segment_id="HL", element=element)

    wanted = state.numbers.take(identifier)
    if wanted is not None:
        say(
            "hl.number",
            f"HL01 is not {wanted}: levels are numbered from 1, one after another.",
            "Number them again.",
            1,
        )
    level = _Level(
        frozenset((identifier, str(wanted or identifier))), parts[4] if len(parts) > 4 else "", number, loop.id
    )
    state.levels.append(level)
    state.open_level[loop.id] = level
    state.headless.discard(loop.id)
    if above is None:
        return
    if above.id in state.headless:
        around = next((one for one in reversed(state.levels[:-1]) if parent in one.names), None)
    elif around is None or parent not in around.names:
        name = min(around.names, key=len) if around is not None else "once it stands"
        say("hl.parent", f"HL02 does not name the loop {above.id} above it.", f"Send its HL01, {name}.", 2)
    if around is not None:
        around.children += 1


# ── 837 ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


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
        self.on("2400", "REF", _line_control, "6R")
        self.on("2430", "SVD", _decided)
        self.on("2430", "CAS", _line_adjustment)
        self.on("2430", "DTP", _line_paid_date, "573")

    def closed(self, state: _State837, engine: _Engine, frame: _Frame) -> None:
        if frame.loop.id == "2300":
            _balance(state, engine)
            return
        if frame.mask & self.below:
            return
        level = state.open_level.get("2000B")
        if level is not None and level.flag == "0":
            engine.report(
                "837.no-claim", "A subscriber who is the patient has no claim.", "Give the claim, or leave the level out.",
                number=frame.number, loop="2300", segment_id="CLM",
            )  # fmt: skip


class Meaning837I(Meaning837):
    SERVICE = ("SV2", 3, 0)


class Meaning837D(Meaning837):
    SERVICE = ("SV3", 2, 11)


def _at(parts: list[str], element: int) -> str:
    return parts[element] if element < len(parts) else ""


def _created(state: _State837, engine: _Engine, number: int, parts: list[str]) -> None:
    days = (_at(parts, 4), engine.group.created if engine.group else "")
    # programs fill BHT04 with the day of an older file, or leave it as it was at the first sending
    state.created = max((day for day in days if len(day) == 8 and day.isascii() and day.isdigit()), default="")


def _subscriber(state: _State837, engine: _Engine, number: int, parts: list[str]) -> None:
    state.order, state.filing = _at(parts, 1), _at(parts, 9)
    state.birth = ""


def _member(state: _State837, engine: _Engine, number: int, parts: list[str]) -> None:
    if state.filing in ("MA", "MB") and _at(parts, 8) == "MI" and not _MBI.match(_at(parts, 9)):
        engine.report(
            "837.medicare-id", "NM109 does not have the form of a Medicare beneficiary's number.",
            "Ask the patient for the Medicare card.", loop="2010BA", segment_id="NM1", element=9,
        )  # fmt: skip


def _patient(state: _State837, engine: _Engine, number: int, parts: list[str]) -> None:
    state.birth = ""


def _birth(state: _State837, engine: _Engine, number: int, parts: list[str]) -> None:
    birth = parts[2] if len(parts) > 2 and parts[1] == "D8" else ""
    state.birth = birth if len(birth) == 8 and birth.isdigit() else ""


def _claim(state: _State837, engine: _Engine, number: int, parts: list[str]) -> None:
    state.clear(number, cents(parts[2]) if len(parts) > 2 else None)
    if state.charge is not None and state.charge < 0:
        _negative(engine, "2300", "CLM", 2)
    identifier = parts[1] if len(parts) > 1 else ""
    engine.subject = safe_id(identifier)
    state.claims += 1
    most = state.most
    if state.claims == most + 1:
        engine.report(
            "837.claims-in-set", f"The set holds more than {most} claims.", "Begin a further set.", loop="2300",
            segment_id="CLM", severity="error" if "max_claims_per_set" in state.profile else "",
        )  # fmt: skip
    if len(identifier) > SAFE_CLAIM_ID:
        engine.report(
            "837.claim-id", f"CLM01 is longer than {SAFE_CLAIM_ID} characters: payers need not send more of it back.",
            "Give claims shorter ids.", loop="2300", segment_id="CLM", element=1,
        )  # fmt: skip
    if identifier and identifier in state.claim_ids:
        engine.report(
            "837.duplicate-claim", "CLM01 stands a second time in this set: answers cannot be told apart.",
            "Give each claim an id of its own.", loop="2300", segment_id="CLM", element=1,
        )  # fmt: skip
    state.claim_ids.add(identifier)
    if state.order not in ("", "U"):
        state.orders.add(state.order)


def _diagnoses(state: _State837, engine: _Engine, number: int, parts: list[str]) -> None:
    state.diagnoses += sum(1 for part in parts[1:] if part)


def _icd(state: _State837, engine: _Engine, number: int, parts: list[str]) -> None:
    """Codes without a decimal point, in the form of the list that their qualifier names, one revision in a claim."""
    known = (state.revision, *parts)
    if known in state.icd:
        return
    found, component = engine.count, engine.delimiters.component
    for element, part in enumerate(parts[1:], start=1):
        qualifier, _, rest = part.partition(component)
        code = rest.partition(component)[0]
        if qualifier not in _ICD or not code:
            continue
        revision, form = _ICD[qualifier]
        if not form.match(code):
            words = "has a decimal point" if "." in code else f"does not have the form of {revision}"
            engine.report(
                "837.icd", f"HI{element:02d}-2 {words}.", "Send the code of that list, without its point.", loop="2300",
                segment_id="HI", element=element, component=2,
            )  # fmt: skip
        ninth = revision[:5] == "ICD-9"
        if not state.revision:
            state.revision = "9" if ninth else "10"
        elif ninth is not (state.revision == "9"):
            engine.report(
                "837.icd", f"HI{element:02d} is of another revision than the claim's first diagnosis.",
                "Code the whole claim by the list that is in force on its dates.", loop="2300", segment_id="HI",
                element=element, component=1,
            )  # fmt: skip
    if engine.count == found and len(state.icd) < REMEMBERED:
        state.icd.add(known)


def _other(state: _State837, engine: _Engine, number: int, parts: list[str]) -> None:
    order = _at(parts, 1)
    if order in state.orders:
        engine.report(
            "837.payer-order", "SBR01 stands a second time among the payers of this claim.",
            "Give each payer its own place: P, S, T, A …", loop="2320", segment_id="SBR", element=1,
        )  # fmt: skip
    elif order and order != "U":
        state.orders.add(order)
    state.payers.append(_Payer(number))


def _payer_amount(state: _State837, engine: _Engine, number: int, parts: list[str]) -> None:
    if not state.payers:
        return
    payer, amount = state.payers[-1], cents(_at(parts, 2))
    if amount is None:
        payer.sure = False
    elif parts[1] == "D":
        payer.paid = amount
    elif parts[1] == "A8":
        payer.non_covered = amount


def _trios(parts: list[str]) -> int | None:
    """The sum of CAS03, CAS06 …; None where one of them is no amount."""
    if len(parts) == 4:
        return cents(parts[3])
    total = 0
    for index in range(3, max(len(parts) + 1, 4), 3):
        text = parts[index] if index < len(parts) else ""
        if not text and not any(parts[index - 1 : index]):
            continue
        amount = cents(text)
        if amount is None:
            return None
        total += amount
    return total


def _payer_adjustment(state: _State837, engine: _Engine, number: int, parts: list[str]) -> None:
    if not state.payers:
        return
    payer, total = state.payers[-1], _trios(parts)
    if total is None:
        payer.sure = False
    else:
        payer.adjusted = (payer.adjusted or 0) + total


def _payer_name(state: _State837, engine: _Engine, number: int, parts: list[str]) -> None:
    if not state.payers:
        return
    identifier = _at(parts, 9).rstrip()
    if identifier and any(payer.id == identifier for payer in state.payers[:-1]):
        engine.report(
            "837.payer-repeated", "NM109 names the same payer as another 2330B of this claim.",
            "Give each payer its own id: lines refer to it.", loop="2330B", segment_id="NM1", element=9,
        )  # fmt: skip
    state.payers[-1].id = identifier


def _payer_date(state: _State837, engine: _Engine, number: int, parts: list[str]) -> None:
    if state.payers:
        state.payers[-1].dated = True


def _line(state: _State837, engine: _Engine, number: int, parts: list[str]) -> None:
    if state.lines and not state.served:
        state.total = None  # a line without its service segment, which is told, has no known charge
    state.served = False
    state.lines += 1
    state.line = None
    state.line_number, state.line_charge = number, None
    if engine.muted:
        state.line_numbers.assumed += 1  # its LX is missing, which was told
        return
    wanted = state.line_numbers.take(parts[1] if len(parts) > 1 else "")
    if wanted is not None:
        engine.report(
            "837.line-number", f"LX01 is not {wanted}: lines are numbered from 1, one after another.",
            "Number the lines again.", loop="2400", segment_id="LX", element=1,
        )  # fmt: skip


def _service(charge: int, pointers: int, state: _State837, engine: _Engine, number: int, parts: list[str]) -> None:
    amount = state.line_charge = cents(parts[charge]) if charge < len(parts) else None
    state.served = True
    if amount is not None and amount < 0:
        _negative(engine, "2400", parts[0], charge)
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
    found = engine.count
    for component, pointer in enumerate(parts[pointers].split(engine.delimiters.component), start=1):
        if not (pointer.isascii() and pointer.isdigit()):
            continue
        if not 1 <= int(pointer[:4]) <= state.diagnoses:
            words = f"points to diagnosis {pointer[:4]} and the claim has {state.diagnoses}"
        elif pointer in seen:
            words = f"names diagnosis {pointer[:4]} a second time"
        else:
            seen.add(pointer)
            continue
        engine.report(
            "837.pointer", f"{parts[0]}{pointers:02d}-{component} {words}.", "Point to diagnoses of the claim's HI.",
            loop="2400", segment_id=parts[0], element=pointers, component=component,
        )  # fmt: skip
    if engine.count == found:
        state.pointed.add(pointed)


def _negative(engine: _Engine, loop: str, segment_id: str, element: int) -> None:
    engine.report(
        "837.negative", f"{segment_id}{element:02d} is less than nothing: a charge is zero or more.",
        "To take a claim back, send it with frequency 8 and its own charges.", loop=loop, segment_id=segment_id, element=element,
    )  # fmt: skip


def _service_date(state: _State837, engine: _Engine, number: int, parts: list[str]) -> None:
    if len(parts) < 4:
        return
    value = parts[3]
    first, last = value[:8], value[-8:]
    if state.birth <= first and last <= state.created:
        return
    if not (first.isdigit() and last.isdigit()):
        return
    loop = "2400" if state.lines else "2300"
    if last > state.created and state.created:
        engine.report(
            "837.service-date", "DTP03 lies after the dates of the file (BHT04, GS04): the service is in the future.",
            "Correct the date, or send the claim after the service.", loop=loop, segment_id="DTP", element=3,
        )  # fmt: skip
    if first < state.birth:
        engine.report(
            "837.service-date", "DTP03 lies before the patient's birth.", "Correct the service date or the birth date.",
            loop=loop, segment_id="DTP", element=3,
        )  # fmt: skip


def _line_control(state: _State837, engine: _Engine, number: int, parts: list[str]) -> None:
    control = _at(parts, 2)
    if len(control) > SAFE_LINE_ID:
        engine.report(
            "837.claim-id", f"REF*6R is longer than {SAFE_LINE_ID} characters: payers need not send more of it back.",
            "Give lines shorter control numbers.", loop="2400", segment_id="REF", element=2,
        )  # fmt: skip
    if control in state.controls:
        engine.report(
            "837.line-control", "REF*6R stands a second time in this claim: payments cannot find their line.",
            "Give each line a control number of its own.", loop="2400", segment_id="REF", element=2,
        )  # fmt: skip
    state.controls.add(control)


def _decided(state: _State837, engine: _Engine, number: int, parts: list[str]) -> None:
    line = state.line
    if line is None and state.lines:
        line = state.line = _Line(state.line_number, state.line_charge)
    identifier = state.svd = _at(parts, 1).rstrip()
    payer = next((payer for payer in state.payers if payer.id == identifier), None)
    nameless = [payer for payer in state.payers if not payer.id]
    if payer is None and identifier and nameless:
        payer = nameless[0]  # its 2330B is missing, which was told
        payer.id = identifier
    if payer is None:
        for one in state.payers:
            one.sure = False  # which of them paid is not known
    if payer is None and identifier:
        engine.report(
            "837.paid-by", "SVD01 names a payer that is in no 2330B of this claim.", "Send the NM109 of that payer's 2330B.",
            loop="2430", segment_id="SVD", element=1,
        )  # fmt: skip
    if line is None:
        return
    amount = cents(_at(parts, 2))
    if not line.paid:
        state.lines_with_payers.append(line)
    if amount is None:
        line.sure = False
        if payer:
            payer.sure = False
        return
    line.paid[identifier] = line.paid.get(identifier, 0) + amount
    if _at(parts, 6):
        line.bundled.add(identifier)
    if payer:
        payer.line_paid += amount
        payer.lines += 1


def _line_adjustment(state: _State837, engine: _Engine, number: int, parts: list[str]) -> None:
    line, total = state.line, _trios(parts)
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


def _line_paid_date(state: _State837, engine: _Engine, number: int, parts: list[str]) -> None:
    payer = next((payer for payer in state.payers if payer.id == state.svd), None)
    if payer:
        payer.line_dated = True


def _balance(state: _State837, engine: _Engine) -> None:
    """The sums of one claim, when it ends."""

    def say(
        rule: str, message: str, fix: str, number: int, loop: str, segment_id: str, element: int | None = None
    ) -> None:
        engine.report(rule, message, fix, number=number, loop=loop, segment_id=segment_id, element=element)

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


# ── 835 ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


class _State835(State):
    def __init__(self, profile: Mapping[str, Any]) -> None:
        super().__init__(profile)
        self.payment: int | None = None
        self.payment_number = 0
        self.total: int | None = 0
        self.charge: int | None = None
        self.paid: int | None = None
        self.adjusted: int | None = 0
        self.claim_number = 0
        self.line_number = 0
        self.line_charge: int | None = None
        self.line_paid: int | None = None
        self.line_adjusted: int | None = 0
        # segment number of an adjustment that needs a remark (0: none), and whether one stands beside it
        self.asks = self.line_asks = 0
        self.remarked = self.line_remarked = False


class Meaning835(Meaning):
    closing = frozenset(("2100", "2110"))
    SUBJECTS = frozenset(("2100",))

    def state(self, profile: Mapping[str, Any]) -> _State835:
        return _State835(profile)

    def prepare(self) -> None:
        self.on("ST", "BPR", _payment)
        self.on("2100", "CLP", _claim_payment)
        self.on("2100", "CAS", _claim_adjustment)
        self.on("2110", "SVC", _service_payment)
        self.on("2110", "CAS", _service_adjustment)
        self.on("ST", "PLB", _provider_adjustment)
        self.on("2100", "MIA", _claim_remark)
        self.on("2100", "MOA", _claim_remark)
        self.on("2110", "LQ", _line_remark)

    def closed(self, state: _State835, engine: _Engine, frame: _Frame) -> None:
        if frame.loop.id == "2110":
            if state.line_asks and not state.line_remarked:
                _no_remark(engine, state.line_asks, "2110")
            state.line_asks, state.line_remarked = 0, False
            charge, adjusted, paid = state.line_charge, state.line_adjusted, state.line_paid
            if charge is not None and adjusted is not None and paid is not None and charge - adjusted != paid:
                engine.report(
                    "835.line-balance",
                    f"The line's charge {shown(charge)} less adjustments {shown(adjusted)} is not what it paid, {shown(paid)}.",
                    "Ask the payer for a corrected remittance.", number=state.line_number, loop="2110", segment_id="SVC", element=3,
                )  # fmt: skip
        elif frame.loop.id == "2100":
            if state.asks and not state.remarked:
                _no_remark(engine, state.asks, "2100")
            charge, adjusted, paid = state.charge, state.adjusted, state.paid
            if charge is not None and adjusted is not None and paid is not None and charge - adjusted != paid:
                engine.report(
                    "835.claim-balance",
                    f"The claim's charge {shown(charge)} less adjustments {shown(adjusted)} is not what it paid, {shown(paid)}.",
                    "Ask the payer for a corrected remittance.", number=state.claim_number, loop="2100", segment_id="CLP", element=4,
                )  # fmt: skip

    def finished(self, state: _State835, engine: _Engine) -> None:  # type: ignore[override]
        super().finished(state, engine)
        if state.payment is not None and state.total is not None and state.payment != state.total:
            engine.report(
                "835.set-balance",
                f"BPR02 is {shown(state.payment)}; the claims less provider adjustments come to {shown(state.total)}.",
                "Ask the payer for a corrected remittance.", number=state.payment_number, loop="ST", segment_id="BPR", element=2,
            )  # fmt: skip


def _payment(state: _State835, engine: _Engine, number: int, parts: list[str]) -> None:
    state.payment, state.payment_number = cents(_at(parts, 2)), number
    if _at(parts, 3) == "D" and state.payment is not None:
        state.payment = -state.payment


def _claim_payment(state: _State835, engine: _Engine, number: int, parts: list[str]) -> None:
    state.claim_number, state.adjusted = number, 0
    state.asks, state.remarked = 0, False
    if len(parts) < 5:
        engine.subject = ""
        state.charge = state.paid = state.total = None
        return
    engine.subject = safe_id(parts[1])
    state.charge, state.paid = cents(parts[3]), cents(parts[4])
    if parts[2] == "22":
        for element, amount in ((3, state.charge), (4, state.paid)):
            if amount is not None and amount > 0:
                engine.report(
                    "835.reversal-sign", f"CLP{element:02d} of a reversal (CLP02 22) is more than nothing: its amounts are negated.",
                    "Ask the payer for a corrected remittance.", loop="2100", segment_id="CLP", element=element,
                )  # fmt: skip
                break
    state.total = None if state.total is None or state.paid is None else state.total + state.paid


def _claim_remark(state: _State835, engine: _Engine, number: int, parts: list[str]) -> None:
    state.remarked |= any(_REMARK.match(part) for part in parts[3:])


def _line_remark(state: _State835, engine: _Engine, number: int, parts: list[str]) -> None:
    state.line_remarked |= _at(parts, 1) == "HE"


def _no_remark(engine: _Engine, number: int, loop: str) -> None:
    where = "LQ*HE of the line" if loop == "2110" else "MIA or MOA of the claim"
    engine.report(
        "835.remark", f"Reason {NEEDS_REMARK} says that something is missing or wrong, and no remark code says what ({where}).",
        "Ask the payer what the claim lacks.", number=number, loop=loop, segment_id="CAS",
    )  # fmt: skip


def _claim_adjustment(state: _State835, engine: _Engine, number: int, parts: list[str]) -> None:
    if NEEDS_REMARK in parts[2::3]:
        state.asks = state.asks or number
    total = _trios(parts)
    state.adjusted = None if state.adjusted is None or total is None else state.adjusted + total


def _service_payment(state: _State835, engine: _Engine, number: int, parts: list[str]) -> None:
    state.line_number, state.line_adjusted = number, 0
    length = len(parts)
    state.line_charge = cents(parts[2]) if length > 2 else None
    state.line_paid = cents(parts[3]) if length > 3 and parts[3] else 0


def _service_adjustment(state: _State835, engine: _Engine, number: int, parts: list[str]) -> None:
    if NEEDS_REMARK in parts[2::3]:
        state.line_asks = state.line_asks or number
    total = _trios(parts)
    state.line_adjusted = None if state.line_adjusted is None or total is None else state.line_adjusted + total
    state.adjusted = None if state.adjusted is None or total is None else state.adjusted + total


def _provider_adjustment(state: _State835, engine: _Engine, number: int, parts: list[str]) -> None:
    for index in range(4, max(len(parts) + 1, 5), 2):
        text = parts[index] if index < len(parts) else ""
        if not text and not any(parts[index - 1 : index]):
            continue
        amount = cents(text)
        state.total = None if state.total is None or amount is None else state.total - amount


# ── 999 and 277CA ────────────────────────────────────────────────────────────────────────────────────────────────────


class _State999(State):
    def __init__(self, profile: Mapping[str, Any]) -> None:
        super().__init__(profile)
        self.answers: list[str] = []
        self.unread = False  # one of them is no code
        self.errors = 0


class Meaning999(Meaning):
    """AK9 agrees with the answers above it."""

    def state(self, profile: Mapping[str, Any]) -> _State999:
        return _State999(profile)

    def prepare(self) -> None:
        self.on("2000", "IK5", _set_answer)
        self.on("ST", "AK9", _group_answer)


def _set_answer(state: _State999, engine: _Engine, number: int, parts: list[str]) -> None:
    code = _at(parts, 1)
    state.answers.append(code)
    state.unread |= code not in ("A", "E", "M", "P", "R", "W", "X")


def _group_answer(state: _State999, engine: _Engine, number: int, parts: list[str]) -> None:
    def say(rule: str, message: str, element: int) -> None:
        engine.report(rule, message, "Count the answers again.", loop="ST", segment_id="AK9", element=element)

    if state.unread:
        return
    code = _at(parts, 1)
    counts = [
        int(text) if (text := _at(parts, n)).isascii() and text.isdigit() and len(text) < 7 else None for n in (2, 3, 4)
    ]
    accepted = sum(1 for answer in state.answers if answer in ("A", "E"))
    if counts[2] is not None and counts[1] is not None and counts[2] > counts[1]:
        say("999.counts", "AK904 accepts more sets than AK903 received.", 4)
    elif state.answers and counts[1] is not None and counts[1] < len(state.answers):
        say("999.counts", f"AK903 is {counts[1]} and {len(state.answers)} sets are answered.", 3)
    elif (
        state.answers
        and counts[1] == len(state.answers)
        and counts[2] is not None
        and code != "R"
        and counts[2] != accepted
    ):
        say("999.counts", f"AK904 is {counts[2]} and {accepted} of the answered sets are accepted.", 4)
    refused = len(state.answers) - accepted
    if code == "A" and refused:
        say("999.codes", "AK901 accepts the group and a set of it is rejected.", 1)
    elif code == "R" and state.answers and not refused and not _at(parts, 5):
        say("999.codes", "AK901 rejects the group, no set of it is rejected, and no reason is given.", 1)


class _State277(State):
    def __init__(self, profile: Mapping[str, Any]) -> None:
        super().__init__(profile)
        self.seen = {"2200B": [0, 0, 0, 0], "2200C": [0, 0, 0, 0]}  # accepted, rejected, and their cents
        self.stated: dict[str, list[int | None]] = {}
        self.at: dict[str, int] = {}
        self.answered = False
        self.sure = True


class Meaning277CA(Meaning):
    """The totals of a level agree with the claims beneath it, where claims stand beneath it."""

    closing = frozenset(("2000B", "2000C", "2200D"))

    def state(self, profile: Mapping[str, Any]) -> _State277:
        return _State277(profile)

    def prepare(self) -> None:
        for loop in ("2200B", "2200C"):
            self.on(loop, "TRN", partial(_total_begin, loop))
            self.on(loop, "QTY", partial(_total_stated, loop))
            self.on(loop, "AMT", partial(_total_stated, loop))
        self.on("2200D", "TRN", _claim_begin)
        self.on("2200D", "STC", _claim_answer)

    def closed(self, state: _State277, engine: _Engine, frame: _Frame) -> None:
        if frame.loop.id == "2000B":
            _total_check(state, engine, "2200B")
        elif frame.loop.id == "2000C":
            _total_check(state, engine, "2200C")
        elif frame.loop.id == "2200D":
            engine.subject = ""
            state.sure &= state.answered  # a claim without an answer, which is told, is in no total


_TOTALS = {"90": 0, "QA": 0, "AA": 1, "QC": 1, "YU": 2, "YY": 3}


def _total_begin(loop: str, state: _State277, engine: _Engine, number: int, parts: list[str]) -> None:
    state.seen[loop] = [0, 0, 0, 0]
    state.stated[loop] = [None, None, None, None]
    state.at[loop] = number


def _total_stated(loop: str, state: _State277, engine: _Engine, number: int, parts: list[str]) -> None:
    index = _TOTALS.get(_at(parts, 1))
    value = cents(_at(parts, 2))
    if index is not None and loop in state.stated and value is not None:
        state.stated[loop][index] = value if index > 1 else value // 100


def _claim_begin(state: _State277, engine: _Engine, number: int, parts: list[str]) -> None:
    engine.subject = safe_id(_at(parts, 2))
    state.answered = False


def _claim_answer(state: _State277, engine: _Engine, number: int, parts: list[str]) -> None:
    """The first STC of a claim counts it; further ones explain it."""
    if state.answered:
        return
    state.answered = True
    index = 1 if _at(parts, 3) == "U" else 0
    amount = cents(_at(parts, 4))
    if amount is None or _at(parts, 3) not in ("U", "WQ"):
        state.sure = False  # told as an element: in which total it belongs is not known
        return
    for seen in state.seen.values():
        seen[index] += 1
        seen[index + 2] += amount


def _total_check(state: _State277, engine: _Engine, loop: str) -> None:
    stated, seen = state.stated.pop(loop, None), state.seen[loop]
    if stated is None or not state.sure or not (seen[0] or seen[1]):
        return
    for index, value in enumerate(stated):
        if value is None or value == seen[index]:
            continue
        what = ("accepted claims", "rejected claims", "accepted charges", "rejected charges")[index]
        found, said = (shown(seen[index]), shown(value)) if index > 1 else (str(seen[index]), str(value))
        engine.report(
            "277CA.totals", f"The {what} are stated as {said}; those beneath come to {found}.",
            "Ask for a corrected acknowledgment.", number=state.at[loop], loop=loop,
            segment_id="AMT" if index > 1 else "QTY", element=2,
        )  # fmt: skip


_KINDS: dict[str, type[Meaning]] = {
    "837P": Meaning837,
    "837I": Meaning837I,
    "837D": Meaning837D,
    "835": Meaning835,
    "999": Meaning999,
    "277CA": Meaning277CA,
}


def for_guide(guide: Guide) -> Meaning:
    """The meaning of a guide's transaction; ValueError where one of its rules cannot be read."""
    return _KINDS.get(guide.kind, Meaning)(guide)

"""HL7 v2 charges: DFT^P03 (and P11) messages, one a file or many, with or without batch segments or MLLP framing.

The messages of one visit number are one visit, those of earlier extracts included (`Context.earlier`): their FT1 segments are its
services, in the order in which they came. Which charges stand, `hl7v2_charges` says. What messages say of patient, cover and diagnoses is
taken from the visit's last message that speaks of it. A message that was delivered twice counts once. PR1 and
DG1 segments behind an FT1 belong to it; UB2, DRG and procedures in ICD-10-PCS are facts of a stay. A charge message says nothing of the
billing provider: `practices.csv` beside the messages does, by the sending facility (MSH-4). Other messages (ADT, BAR …) bill
nothing and are passed over, counted and told. A batch trailer (BTS-1) that counts other messages than came refuses the file:
a lost message leaves nothing that could be set aside.

Fields are named by segment and place, as an interface engineer knows them: FT1-25, IN1-36.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from itertools import takewhile
from typing import Any

import hl7

from pipeline.encounters import intake, records
from pipeline.encounters.hl7v2_charges import Charge, Charges, Kind, stand
from pipeline.encounters.intake import Context, Earlier, Intake, Stated
from pipeline.encounters.records import Gathered, Key, Place
from pipeline.wording import counted

PATTERNS = ("*.hl7", "*.dft")
CHARGES = frozenset({"DFT"})
_MESSAGE = re.compile(r"(?=^MSH)", re.MULTILINE)
_ENVELOPE = frozenset({"FHS", "BHS", "BTS", "FTS"})
#: what ends the segments that belong to an FT1
_FINANCIAL = frozenset({"FT1", "DRG", "GT1", "IN1", "ACC", "UB1", "UB2"})
#: code systems in which a claim's lines are written, before all others
_PREFERRED = ("HCPCS", "CDT", "HIPPS", "REVENUE")
#: a kind of message; what has no such form is not repeated
_KIND = re.compile(r"[A-Z][A-Z0-9]{2}", re.ASCII)
_BLANKS = re.compile(r"[\x0b\x1c]")
_MOMENT = re.compile(r"(\d{8})(\d{4})(?:\d{2}(?:\.\d+)?)?([+-]\d{4})?$", re.ASCII)
_DAY = re.compile(r"(\d{4})(\d{2})(\d{2})")


@dataclass(slots=True)
class _Message:
    place: Place
    segments: list[hl7.Segment]
    message: hl7.Message
    #: 1 for messages of the first extract that spoke of the visit, 2 for those of the next …
    extract: int = 0
    #: segment (as the object read) → where it stands
    places: dict[int, int] = field(init=False)
    #: whether services have DG1 of their own; DG1 behind the last FT1 alone are the message's
    diagnosed_by_service: bool = field(init=False)

    def __post_init__(self) -> None:
        self.places = {id(segment): number for number, segment in enumerate(self.segments)}
        services = self.all("FT1")[:-1]
        self.diagnosed_by_service = any(self.behind(service.segment, "DG1", _FINANCIAL) for service in services)

    def all(self, name: str) -> list[_Fields]:
        return [_Fields(self.message, s) for s in self.segments if str(s[0]) == name]

    def one(self, name: str) -> _Fields:
        found = self.all(name)
        return found[0] if found else _Fields(self.message, None)

    def behind(self, segment: hl7.Segment | None, name: str, borders: frozenset[str]) -> list[_Fields]:
        """The segments of a name that stand behind a segment, before the next one of `borders`."""
        start = self.places.get(id(segment), len(self.segments)) + 1
        rest = (self.segments[number] for number in range(start, len(self.segments)))
        following = takewhile(lambda s: str(s[0]) not in borders, rest)
        return [_Fields(self.message, s) for s in following if str(s[0]) == name]


@dataclass(slots=True)
class _Fields:
    """Reads a segment by place: field, repetition, component, subcomponent, each from 1; '' where there is none."""

    message: hl7.Message
    segment: hl7.Segment | None

    def __call__(self, place: int, component: int = 1, repetition: int = 1, sub: int = 1) -> str:
        if self.segment is None or place >= len(self.segment):
            return ""
        part: Any = self.segment[place]
        for number in (repetition, component, sub):
            if isinstance(part, str):
                return self._text(part) if number == 1 else ""
            if number > len(part):
                return ""
            part = part[number - 1]
        return self._text(part if isinstance(part, str) else str(part))

    def list(self, place: int) -> list[Callable[[int], str]]:
        """The repetitions of a field that say something, each read by component."""
        return [
            partial(self._component, place, number)
            for number in range(1, self.repetitions(place) + 1)
            if self(place, 1, number)
        ]

    def _component(self, place: int, repetition: int, component: int) -> str:
        return self(place, component, repetition)

    def repetitions(self, place: int) -> int:
        if self.segment is None or place >= len(self.segment) or not str(self.segment[place]):
            return 0
        return len(self.segment[place])

    def _text(self, text: str) -> str:
        return "" if text == '""' else self.message.unescape(text).strip()


def read(sources: Mapping[str, bytes], context: Context) -> Intake:
    """Read an extract (`sources`: file name → bytes). Terminal where it holds no charge message at all."""
    words = records.words("hl7")
    gathered = Gathered("hl7", words["called"])
    came: dict[Key, list[_Message]] = {}
    alone: list[tuple[Key, _Message]] = []
    for name in sorted(sources):
        if name == records.PRACTICES:
            continue
        for message in _messages(name, sources[name], gathered, words["charsets"]):
            key = _key(message)
            if key[1]:
                came.setdefault(key, []).append(message)
            else:
                alone.append((key, message))
    earlier = context.earlier([intake.visit_key(*key) for key in came])
    for key, messages in came.items():
        _visit(gathered, words, key, messages, earlier.get(intake.visit_key(*key)))
    for key, messages in _once(alone, gathered):  # without a visit number: the layout tells it
        _Writer(gathered, words, key, messages).write()
    return gathered.result(sources, context, synthetic=False)


def _visit(
    gathered: Gathered, words: Mapping[str, Any], key: Key, came: list[_Message], earlier: Earlier | None
) -> None:  # fmt: skip
    """One visit: what earlier extracts stated of it, and behind that what came tonight and was not delivered before."""
    messages = [_restored(each) for each in earlier.records] if earlier else []
    told_before = max((message.extract for message in messages), default=0)
    before = {_delivery(message) for message in messages}
    new = [(key, message) for message in came if _delivery(message) not in before]
    if earlier and not earlier.whole:
        if not new:
            gathered.passed_over("intake.earlier.other", came[-1].place, "PV1-19", subject=":".join(key))
            return
        gathered.refuse(key, "intake.earlier.missing", came[-1].place, "FT1")
    for _, [message] in _once(new, gathered):
        message.extract = told_before + 1
        messages.append(message)
    gathered.stated[key] = [
        Stated(message.extract, "\r".join(str(s) for s in message.segments), *message.place) for message in messages
    ]
    _Writer(gathered, words, key, messages, told_before).write()


def _restored(stated: Stated) -> _Message:
    message = hl7.parse(stated.text + "\r")
    return _Message((stated.file, stated.row), list(message), message, stated.extract)


def _once(found: list[tuple[Key, _Message]], gathered: Gathered) -> Iterator[tuple[Key, list[_Message]]]:
    """Each message once; that an extract holds one twice is told."""
    seen: set[tuple[str, ...]] = set()
    for key, message in found:
        if (delivered := _delivery(message)) in seen:
            gathered.tell("intake.row.repeated", message.place, subject=":".join(key), warning=True)
            continue
        seen.add(delivered)
        yield key, [message]


def _key(message: _Message) -> Key:
    visit, patient = message.one("PV1"), message.one("PID")
    return message.one("MSH")(4), visit(19) or patient(18)


def _delivery(message: _Message) -> tuple[str, ...]:
    """What tells a message that an interface delivers once more: its control id and all that it says; the header's time may differ."""
    header = message.one("MSH")
    said = [str(segment) for segment in message.segments]
    return (header(4), header(10), *said[1:]) if header(10) else tuple(said)


def _text(data: bytes, charsets: Mapping[str, str]) -> str | None:
    """UTF-8, or what the first message says of itself (MSH-18); None where it is neither."""
    text = records.decoded(data)
    if text is not None:
        return text
    header = re.split(rb"[\r\n]", data[data.find(b"MSH") :], maxsplit=1)[0]
    fields = header.split(header[3:4] or b"|")
    stated = fields[17].split(b"~")[0].decode("ascii", "replace").strip().upper() if len(fields) > 17 else ""
    return data.decode(charsets[stated]) if stated in charsets else None


def _messages(file: str, data: bytes, gathered: Gathered, charsets: Mapping[str, str]) -> Iterator[_Message]:
    text = _text(data, charsets)
    if text is None:
        gathered.unreadable("intake.file.illegible", (file, 0), data)
        return
    text = _BLANKS.sub("\r", text).replace("\r\n", "\r").replace("\n", "\r")
    parts = [part for part in _MESSAGE.split(text.replace("\r", "\n")) if part.strip()]
    number, stated = 0, None
    others: Counter[str] = Counter()
    found: list[_Message] = []
    for part in parts:
        lines = [line for line in part.split("\n") if line.strip()]
        for line in lines:
            if line.startswith("BTS"):
                count = line[4:].split(line[3:4] or "|")[0]
                stated = (stated or 0) + int(count) if count.isdecimal() else stated
        lines = [line for line in lines if line[:3] not in _ENVELOPE]
        if not lines:
            continue
        number += 1
        place = (file, number)
        message = _parsed("\r".join(lines))
        kind = _Fields(message, message[0])(9) if message is not None else ""
        if message is None or not kind:
            gathered.unreadable("intake.record.illegible", place, part.encode())
        elif kind not in CHARGES:
            others[kind if _KIND.fullmatch(kind) else "unknown"] += 1
        else:
            found.append(_Message(place, list(message), message))
    if stated is not None and stated != number:
        gathered.unreadable("intake.file.count", (file, 0), data)
        return
    for kind, count in sorted(others.items()):
        gathered.kinds[kind] += count
        gathered.tell("intake.record.other", (file, 0), what=counted(count, f"{kind} message"), warning=True)
    yield from found


def _parsed(text: str) -> hl7.Message | None:
    if not text.startswith("MSH") or len(text) < 9:
        return None
    marks = "\r" + text[3] + (text[4:].split(text[3], 1)[0] or text[3])
    if len(set(marks)) < len(marks):
        return None  # what stands where cannot be known
    try:
        return hl7.parse(text + "\r")
    except (hl7.HL7Exception, ValueError, IndexError, KeyError, AttributeError, AssertionError):
        return None


class _Writer:
    """One visit as rows of the layout."""

    def __init__(
        self, gathered: Gathered, words: Mapping[str, Any], key: Key, messages: list[_Message], told_before: int = 0
    ) -> None:
        self.gathered, self.words, self.key, self.messages = gathered, words, key, messages
        self.last = messages[-1]
        self.ranks: dict[str, int] = {}
        self.billed_by: set[str] = set()
        charges = self._charges()
        self.standing = charges.standing
        #: days of charges that a credit took away
        self.credited = charges.credited
        for rule, charge in charges.told:
            if charge.extract > told_before:  # what was told when it came is not told again
                gathered.tell(rule, charge.of[0].place, "FT1-2", warning=True, subject=":".join(key))

    def _latest(self, name: str) -> _Message:
        """The last message that has such a segment: a late charge may come without the cover, and does not end it."""
        return next((message for message in reversed(self.messages) if message.all(name)), self.last)

    def _charges(self) -> Charges[tuple[_Message, _Fields]]:
        stated = []
        for number, message in enumerate(self.messages, 1):
            for service in message.all("FT1"):
                stated_as = service(6).upper()
                if stated_as in self.words["other_transactions"]:
                    continue
                credit = stated_as in self.words["credits"]
                kind: Kind = "credit" if credit else "charge" if stated_as in ("CG", "") else "other"
                stated.append(self._charge(number, message, service, kind))
        return stand(stated)

    @staticmethod
    def _charge(number: int, message: _Message, service: _Fields, kind: Kind) -> Charge[tuple[_Message, _Fields]]:
        """What tells a charge from others, and from the credit that takes it back; signs aside."""
        units, amount = (text.removeprefix("-") for text in (service(10) or "1", _amount(service)))
        done = (procedure(3) for procedure in message.behind(service.segment, "PR1", _FINANCIAL))
        return Charge(
            of=(message, service), extract=message.extract, message=number, number=service(2), place=service(1), kind=kind,
            code=service(25) or service(7) or next(done, ""), day=_day(service(4)),
            modifiers=tuple(each(1) for each in service.list(26)), units=units, amount=amount,
        )  # fmt: skip

    def _add(self, table: str, cells: Mapping[str, str | None], place: Place | None = None) -> None:
        self.gathered.add(table, self.key, place or self.last.place, cells)

    def write(self) -> None:
        self._diagnoses()
        charges, days = self._services()
        gone = bool(self.credited) and not self.standing  # every charge was taken back
        row = self._row(charges, days) | {"claim_type": self._claim_type(), "cancelled": "Y" if gone else ""}
        self._add("encounters", row)
        self._facts()
        attending = _person(self._latest("PV1").one("PV1"), 7)
        if attending["last"]:
            row = {"role": "attending", **attending}
            self.gathered.add_where(True, "parties", self.key, self.last.place, row)

    def _claim_type(self) -> str:
        """Where the charges themselves say it: revenue codes and UB segments are a facility's, CDT a dentist's."""
        if "REVENUE" in self.billed_by or self._latest("UB2").all("UB2"):
            return "institutional"
        return "dental" if self.billed_by == {"CDT"} else ""

    def _facts(self) -> None:
        """Codes of a stay: UB2's conditions, values and occurrences, the DRG, and procedures in ICD-10-PCS."""
        bill, found = self._latest("UB2").one("UB2"), list[tuple[str, Place, dict[str, str]]]()
        for each in bill.list(3):
            found.append(("condition", self.last.place, {"code": each(1)}))
        for each in bill.list(6):
            found.append(("value", self.last.place, {"code": each(1), "amount": each(2)}))
        for each in bill.list(7):
            found.append(("occurrence", self.last.place, {"code": each(1), "from_date": _day(each(2))}))
        for each in bill.list(8):
            span = {"code": each(1), "from_date": _day(each(2)), "to_date": _day(each(3))}
            found.append(("occurrence_span", self.last.place, span))
        if drg := self._latest("DRG").one("DRG")(1):
            found.append(("drg", self.last.place, {"code": drg}))
        operations = [
            (_number(f(14)), message.place, {"code": f(3).replace(".", ""), "from_date": _day(f(5))})
            for message in self.messages
            for f in message.all("PR1")
            if f(3) and self._system(f(3, 3) or f(2)) == "ICD10PCS"
        ]
        told: list[dict[str, str]] = []
        for _, place, cells in sorted(operations, key=lambda each: each[0]):
            if cells not in told:  # a later message says the same again
                told.append(cells)
                found.append(("procedure", place, cells))
        ranks: Counter[str] = Counter()
        for kind, place, cells in found:
            ranks[kind] += 1
            row = {"kind": kind, "rank": str(ranks[kind]), **cells}
            self.gathered.add_where(True, "codes", self.key, place, row)

    # --- the visit ------------------------------------------------------------------------------------------------------

    def _row(self, charges: list[str], days: list[str]) -> dict[str, str]:
        patient, visit = self._latest("PID").one("PID"), self._latest("PV1").one("PV1")
        admitted, discharged = visit(44), visit(45)
        visit_class = visit(2).upper()
        inpatient = visit_class == "I"
        first, second = records.street([_street(patient, 11), patient(11, 2)])
        self.gathered.stays[self.key] = {
            "patient_status": visit(36).zfill(2) if visit(36).isdigit() else "",
        } | ({
            "admission_hour": admitted[8:12],
            "discharge_hour": discharged[8:12],
            "admission_type": self.words["admission_types"].get(visit(4), ""),
            "admission_source": visit(14) if len(visit(14)) == 1 else "",
        } if inpatient else {})  # fmt: skip
        return {
            "service_from": min(days) if days else _day(admitted),
            "service_to": max(days) if days else _day(discharged),
            "minutes": _length(admitted, discharged),
            "visit_class": self.words["classes"].get(visit_class, visit_class.lower()),
            "charge": records.total(charges),
            "admission_date": _day(admitted) if inpatient else "",
            "patient_id": self._record_number(patient),
            "patient_last": patient(5),
            "patient_first": patient(5, 2),
            "patient_middle": patient(5, 3),
            "patient_suffix": patient(5, 4),
            "patient_birth_date": _day(patient(7)),
            "patient_sex": self.words["sexes"].get(patient(8).upper(), patient(8)),
            "patient_address1": first,
            "patient_address2": second,
            "patient_city": patient(11, 3),
            "patient_state": patient(11, 4),
            "patient_zip": patient(11, 5).replace("-", ""),
            **self._rendering(),
            **_prefixed("referring", visit, 8),
            **self._cover(),
            **self._accident(),
        }

    @staticmethod
    def _record_number(patient: _Fields) -> str:
        """PID-3 of type MR, else the first."""
        for number in range(1, patient.repetitions(3) + 1):
            if patient(3, 5, number) in ("MR", "PI"):
                return patient(3, 1, number)
        return patient(3)

    def _rendering(self) -> dict[str, str]:
        """Who performed most services; the attending of the visit where no service says."""
        performed = [f for message in self.messages for f in message.all("FT1") if f(20)]
        if performed:
            most = Counter(f(20) for f in performed).most_common(1)[0][0]
            return _prefixed("rendering", next(f for f in performed if f(20) == most), 20)
        return _prefixed("rendering", self._latest("PV1").one("PV1"), 7)

    def _accident(self) -> dict[str, str]:
        accident = self._latest("ACC").one("ACC")
        if accident.segment is None:
            return {}
        kind = self.words["accidents"].get(accident(2).upper(), "OA")
        return {
            "accident_kind": "EM" if accident(5).upper() == "Y" else kind,
            "accident_date": _day(accident(1)),
            "accident_state": accident(4),
        }

    def _cover(self) -> dict[str, str]:
        """The first insurance in the visit's columns, the others as other payers."""
        message = self._latest("IN1")
        covers = sorted(message.all("IN1"), key=lambda f: _number(f(22) or f(1)))
        row: dict[str, str] = {}
        if not covers:
            self.gathered.tell("intake.cover.missing", self.last.place, "IN1", warning=True, subject=":".join(self.key))
        for rank, cover in zip("PSTABCDEFGH", covers, strict=False):
            relationship = self.words["relationships"].get(cover(17).upper(), "G8" if cover(17) else "18")
            own = relationship == "18"
            further = next(iter(message.behind(cover.segment, "IN2", frozenset({"IN1"}))), _Fields(cover.message, None))
            street, _ = records.street([_street(cover, 19), cover(19, 2)])
            person = {} if own else {
                "subscriber_last": cover(16), "subscriber_first": cover(16, 2), "subscriber_middle": cover(16, 3),
                "subscriber_address1": street, "subscriber_city": cover(19, 3), "subscriber_state": cover(19, 4),
                "subscriber_zip": cover(19, 5).replace("-", ""),
            }  # fmt: skip
            member = cover(36) or cover(49)
            if rank == "P":
                row = {
                    "payer": cover(4) or cover(2, 2),
                    "member_id": member,
                    "patient_member_id": "" if own else further(61),
                    "group_number": cover(8),
                    "group_name": "" if cover(8) else cover(9),
                    "authorization_number": cover(14),
                    "relationship": relationship,
                    **person,
                }
                if not own:
                    sex = self.words["sexes"].get(cover(43).upper(), cover(43))
                    row |= {"subscriber_birth_date": _day(cover(18)), "subscriber_sex": sex}
            else:
                self._add("other_payers", {
                    "responsibility": rank, "payer_name": cover(4) or cover(2, 2), "payer_id": cover(3),
                    "payer_address1": cover(5, 1), "payer_city": cover(5, 3), "payer_state": cover(5, 4),
                    "payer_zip": cover(5, 5).replace("-", ""), "relationship": relationship, "member_id": member,
                    "group_number": cover(8), "group_name": cover(9), **person,
                })  # fmt: skip
        return row

    # --- diagnoses and services -----------------------------------------------------------------------------------------

    def _system(self, name: str) -> str:
        return str(self.words["systems"].get(name.upper(), name or "UNKNOWN"))

    def _diagnosis(self, system: str, code: str, text: str, place: Place, kind: str = "", poa: str = "") -> str:
        """The rank of a diagnosis, written when it is new."""
        found = f"{kind}|{self._system(system)}|{code}"
        if found not in self.ranks:
            self.ranks[found] = sum(1 for known in self.ranks if known.split("|")[0] == kind) + 1
            self._add("diagnoses", {"rank": str(self.ranks[found]), "system": self._system(system), "code": code,
                                    "text": text, "kind": kind, "poa": poa.upper()}, place)  # fmt: skip
        return str(self.ranks[found])

    def _diagnoses(self) -> None:
        message = self._latest("DG1")
        for diagnosis in sorted(message.all("DG1"), key=lambda f: (_number(f(15)), _number(f(1)))):
            kind = self.words["diagnosis_kinds"].get(diagnosis(6).upper(), "")
            if diagnosis(3):
                self._diagnosis(diagnosis(3, 3), diagnosis(3), diagnosis(3, 2), message.place, kind, diagnosis(26))
        for stated in self.standing:
            self._pointers(stated.of[1], stated.of[0])

    def _pointers(self, service: _Fields, message: _Message) -> list[str]:
        """Ranks of what a service was for: FT1-19; else the DG1 behind it, where those of the message stand by service."""
        stated = service.list(19)
        if stated:
            return [self._diagnosis(each(3), each(1), each(2), message.place) for each in stated]
        if not message.diagnosed_by_service:
            return []
        return [
            self._diagnosis(f(3, 3), f(3), f(3, 2), message.place)
            for f in message.behind(service.segment, "DG1", _FINANCIAL)
            if f(3) and not self.words["diagnosis_kinds"].get(f(6).upper())
        ]

    def _services(self) -> tuple[list[str], list[str]]:
        charges: list[str] = []
        days: list[str] = []
        for line, stated in enumerate(self.standing, 1):
            message, service = stated.of
            charge = _amount(service)
            if stated.doubtful:
                self.gathered.refuse(self.key, "intake.charge.doubtful", message.place, "FT1-2")
            if stated.kind != "charge":
                self.gathered.refuse(self.key, "intake.charge.credited", message.place, "FT1-6")
                charge = "-" + charge  # no charge that could be billed
            first, last = _day(service(4)), _day(service(4, 2))
            charges.append(charge)
            days += [day for day in (first, last) if day]
            self._add("services", self._service(service, line, charge, first, last, message), message.place)
            self._party(service, line, message.place)
        return charges, days or [day for day in self.credited if day]

    def _service(
        self, f: _Fields, line: int, charge: str, first: str, last: str, message: _Message
    ) -> dict[str, str]:  # fmt: skip
        done = message.behind(f.segment, "PR1", _FINANCIAL)
        system, code, text = self._code(f, done)
        revenue = f(7) if self._system(f(7, 3)) == "REVENUE" else ""
        self.billed_by |= {system, *(["REVENUE"] if revenue else [])}
        pointers = dict.fromkeys(self._pointers(f, message))
        modifiers = [each(1) for each in f.list(26)] or [each(1) for p in done[:1] for each in p.list(16)]
        anaesthesia = next((p(10) for p in done if p(10)), "")
        return {
            "line": str(line),
            "kind": records.kind_of(system, code),
            "system": system,
            "code": code,
            "text": text,
            "units": f(10) or "1",
            "minutes": anaesthesia,
            "charge": charge,
            "service_date": first,
            "service_to": last if last != first else "",
            "pointers": ",".join(pointers),
            "revenue_code": records.revenue_code(revenue),
            "ndc": records.ndc(f(29)),
            "ndc_units": f(43, 1),
            "ndc_unit_basis": records.drug_unit(f(43, 2)) if f(29) else "",
            **{f"modifier{n}": text for n, text in enumerate(modifiers[:4], 1)},
        }

    def _code(self, f: _Fields, done: list[_Fields]) -> tuple[str, str, str]:
        """(system, code, text) of a service: FT1-25, else FT1-7, else the procedure behind it; a claim's code before a local one."""
        found = [
            (self._system(each(place, 3) or (each(2) if place == 3 else "") or "C4"), each(place), each(place, 2))
            for each, place in ((f, 25), (f, 7), *((p, 3) for p in done))
            if each(place)
        ]
        # a revenue code says where, and counts where nothing says what
        found.sort(key=lambda each: _PREFERRED.index(each[0]) if each[0] in _PREFERRED else len(_PREFERRED))
        return found[0] if found else ("HCPCS", "", "")

    def _party(self, f: _Fields, line: int, place: Place) -> None:
        if f(21, 2):
            self._add("parties", {"line": str(line), "role": "ordering", **_person(f, 21)}, place)


def _person(f: _Fields, place: int) -> dict[str, str]:
    """XCN: the number counts as NPI where its type or its authority says so, or where it has an NPI's form."""
    number = f(place)
    npi = (
        number
        if f(place, 13) == "NPI" or "2.16.840.1.113883.4.6" in f(place, 9, 1, 2) or _NPI.fullmatch(number)
        else ""
    )
    return {"last": f(place, 2), "first": f(place, 3), "middle": f(place, 4), "suffix": f(place, 5), "npi": npi}


_NPI = re.compile(r"[12]\d{9}", re.ASCII)


def _prefixed(prefix: str, f: _Fields, place: int) -> dict[str, str]:
    person = _person(f, place)
    return {f"{prefix}_{name}": person[name] for name in ("npi", "last", "first")} if person["last"] else {}


def _number(text: str) -> int:
    """For ordering: what is no number comes last."""
    return int(text) if text.isdecimal() and len(text) < 10 else 10**9


def _street(f: _Fields, place: int) -> str:
    """XAD-1: the line as written; some systems give its number and the street's name apart."""
    line, name = f(place), f(place, 1, 1, 2)
    return line if name in line else f"{line} {name}".strip()


def _day(text: str) -> str:
    """YYYYMMDD… → YYYY-MM-DD; anything else as it was written, to be told."""
    found = _DAY.match(text)
    return "-".join(found.groups()) if found else text


def _length(first: str, last: str) -> str:
    """Minutes between two moments (YYYYMMDDHHMM…); '' where one of them is a day alone or none."""
    try:
        start, end = (datetime.fromisoformat(_MOMENT.sub(r"\1T\2\3", text)) for text in (first, last))
        return str(records.length(start, end) or "") if _MOMENT.match(first) and _MOMENT.match(last) else ""
    except (ValueError, TypeError):  # no moments, or only one of them tells its zone
        return ""


def _amount(service: _Fields) -> str:
    return service(11) or _extended(service(12), service(10))


def _extended(price: str, units: str) -> str:
    """Units times the price of one, where FT1-11 does not say."""
    return records.product(price, units or "1") if price else ""

"""HL7 v2 charges: DFT^P03 (and P11) messages, one a file or many, with or without batch segments or MLLP framing.

The messages of one visit number are one visit: their FT1 segments are its services, in the order in which they came. What a message
says of patient, cover and diagnoses is taken from the visit's last message. A charge message says nothing of the
billing provider: `practices.csv` beside the messages does, by the sending facility (MSH-4). Other messages (ADT, BAR …) bill
nothing and are passed over, counted and told. A batch trailer (BTS-1) that counts other messages than came refuses the file:
a lost message leaves nothing that could be set aside.

Fields are named by segment and place, as an interface engineer knows them: FT1-25, IN1-36.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import hl7

from pipeline.encounters import records
from pipeline.encounters.intake import Context, Intake
from pipeline.encounters.records import Gathered, Key, Place

PATTERNS = ("*.hl7", "*.dft")
CHARGES = frozenset({"DFT"})
_MESSAGE = re.compile(r"(?=^MSH)", re.MULTILINE)
_ENVELOPE = frozenset({"FHS", "BHS", "BTS", "FTS"})
_BLANKS = re.compile(r"[\x0b\x1c]")
_DAY = re.compile(r"(\d{4})(\d{2})(\d{2})")


@dataclass(slots=True)
class _Message:
    place: Place
    segments: list[hl7.Segment]
    message: hl7.Message

    def all(self, name: str) -> list[_Fields]:
        return [_Fields(self.message, s) for s in self.segments if str(s[0]) == name]

    def one(self, name: str) -> _Fields:
        found = self.all(name)
        return found[0] if found else _Fields(self.message, None)


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

    def repetitions(self, place: int) -> int:
        if self.segment is None or place >= len(self.segment) or not str(self.segment[place]):
            return 0
        return len(self.segment[place])

    def _text(self, text: str) -> str:
        return "" if text == '""' else self.message.unescape(text).strip()


@dataclass(slots=True)
class _Visit:
    """All messages of one visit number."""

    messages: list[_Message] = field(default_factory=list)


def read(sources: Mapping[str, bytes], context: Context) -> Intake:
    """Read an extract (`sources`: file name → bytes). Terminal where it holds no charge message at all."""
    words = records.words("hl7")
    gathered = Gathered("hl7", words["called"])
    visits: dict[Key, _Visit] = {}
    alone: list[tuple[Key, _Message]] = []
    for name in sorted(sources):
        if name == records.PRACTICES:
            continue
        for message in _messages(name, sources[name], gathered):
            key = _key(message)
            if key[1]:
                visits.setdefault(key, _Visit()).messages.append(message)
            else:
                alone.append((key, message))
    for key, visit in visits.items():
        _Writer(gathered, words, key, visit.messages).write()
    for key, message in alone:  # without a visit number: the layout tells it
        _Writer(gathered, words, key, [message]).write()
    return gathered.result(sources, context, synthetic=False)


def _key(message: _Message) -> Key:
    visit, patient = message.one("PV1"), message.one("PID")
    return message.one("MSH")(4), visit(19) or patient(18)


def _messages(file: str, data: bytes, gathered: Gathered) -> Iterator[_Message]:
    text = records.decoded(data)
    if text is None:
        gathered.unreadable("intake.file.illegible", (file, 0), data)
        return
    text = _BLANKS.sub("\r", text).replace("\r\n", "\r").replace("\n", "\r")
    parts = [part for part in _MESSAGE.split(text.replace("\r", "\n")) if part.strip()]
    counted, stated = 0, None
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
        counted += 1
        place = (file, counted)
        message = _parsed("\r".join(lines))
        kind = _Fields(message, message[0])(9) if message is not None else ""
        if message is None or not kind:
            gathered.unreadable("intake.record.illegible", place, part.encode())
        elif kind not in CHARGES:
            others[kind] += 1
        else:
            found.append(_Message(place, list(message), message))
    if stated is not None and stated != counted:
        gathered.unreadable("intake.file.count", (file, 0), data)
        return
    for kind, count in sorted(others.items()):
        gathered.tell("intake.record.other", (file, 0), f"({count} {kind})", warning=True)
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

    def __init__(self, gathered: Gathered, words: Mapping[str, Any], key: Key, messages: list[_Message]) -> None:
        self.gathered, self.words, self.key, self.messages = gathered, words, key, messages
        self.last = messages[-1]
        self.ranks: dict[str, int] = {}

    def _add(self, table: str, cells: Mapping[str, str | None], place: Place | None = None) -> None:
        self.gathered.add(table, self.key, place or self.last.place, cells)

    def write(self) -> None:
        self._diagnoses()
        charges, days = self._services()
        self._add("encounters", self._row(charges, days))

    # --- the visit ------------------------------------------------------------------------------------------------------

    def _row(self, charges: list[str], days: list[str]) -> dict[str, str]:
        patient, visit = self.last.one("PID"), self.last.one("PV1")
        admitted, discharged = visit(44), visit(45)
        visit_class = visit(2).upper()
        inpatient = visit_class == "I"
        first, second = records.street([_street(patient, 11), patient(11, 2)])
        return {
            "service_from": min(days) if days else _day(admitted),
            "service_to": max(days) if days else _day(discharged),
            "visit_class": self.words["classes"].get(visit_class, visit_class.lower()),
            "charge": records.total(charges),
            "admission_date": _day(admitted) if inpatient else "",
            "admission_hour": admitted[8:12] if inpatient else "",
            "discharge_hour": discharged[8:12] if inpatient else "",
            "admission_type": self.words["admission_types"].get(visit(4), "") if inpatient else "",
            "admission_source": visit(14) if inpatient and len(visit(14)) == 1 else "",
            "patient_status": visit(36).zfill(2) if visit(36).isdigit() else "",
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
        return _prefixed("rendering", self.last.one("PV1"), 7)

    def _accident(self) -> dict[str, str]:
        accident = self.last.one("ACC")
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
        covers = sorted(self.last.all("IN1"), key=lambda f: _number(f(22) or f(1)))
        row: dict[str, str] = {}
        for rank, cover in zip("PSTABCDEFGH", covers, strict=False):
            relationship = self.words["relationships"].get(cover(17).upper(), "G8" if cover(17) else "18")
            own = relationship == "18"
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
        for message in [self.last]:
            listed = sorted(message.all("DG1"), key=lambda f: (_number(f(15)), _number(f(1))))
            for diagnosis in listed:
                kind = self.words["diagnosis_kinds"].get(diagnosis(6).upper(), "")
                if diagnosis(3):
                    self._diagnosis(diagnosis(3, 3), diagnosis(3), diagnosis(3, 2), message.place, kind, diagnosis(26))
        for message in self.messages:
            for service in message.all("FT1"):
                for number in range(1, service.repetitions(19) + 1):
                    if service(19, 1, number):
                        self._diagnosis(
                            service(19, 3, number), service(19, 1, number), service(19, 2, number), message.place
                        )

    def _services(self) -> tuple[list[str], list[str]]:
        charges: list[str] = []
        days: list[str] = []
        line = 0
        for message in self.messages:
            for service in message.all("FT1"):
                kind = service(6).upper()
                if kind not in ("CG", ""):
                    if kind in self.words["other_transactions"]:
                        continue
                    self.gathered.tell("intake.charge.credited", message.place, "FT1-6")
                line += 1
                charge = service(11) or _extended(service(12), service(10))
                if kind not in ("CG", ""):
                    charge = "-" + charge  # no charge that could be billed: the layout refuses the visit
                first, last = _day(service(4)), _day(service(4, 2))
                charges.append(charge)
                days += [day for day in (first, last) if day]
                self._add("services", self._service(service, line, charge, first, last, message.place), message.place)
                self._party(service, line, message.place)
        return charges, days

    def _service(
        self, f: _Fields, line: int, charge: str, first: str, last: str, place: Place
    ) -> dict[str, str]:  # fmt: skip
        coded = 25 if f(25) else 7
        system, code = self._system(f(coded, 3) or "C4"), f(coded)
        revenue = f(7) if self._system(f(7, 3)) == "REVENUE" else ""
        if revenue and coded == 7:
            system, code = "REVENUE", revenue
        pointers = [
            self._diagnosis(f(19, 3, n), f(19, 1, n), f(19, 2, n), place)
            for n in range(1, f.repetitions(19) + 1)
            if f(19, 1, n)
        ]
        return {
            "line": str(line),
            "kind": records.kind_of(system, code),
            "system": system,
            "code": code,
            "text": f(coded, 2),
            "units": f(10) or "1",
            "charge": charge,
            "service_date": first,
            "service_to": last if last != first else "",
            "pointers": ",".join(pointers),
            "revenue_code": revenue.zfill(4) if revenue else "",
            "ndc": re.sub(r"\D", "", f(29)),
            "ndc_units": f(43, 1),
            "ndc_unit_basis": f(43, 2).upper() if f(29) else "",
            **{f"modifier{n}": f(26, 1, n) for n in range(1, 5)},
        }

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


def _extended(price: str, units: str) -> str:
    """Units times the price of one, where FT1-11 does not say."""
    return records.product(price, units or "1") if price else ""

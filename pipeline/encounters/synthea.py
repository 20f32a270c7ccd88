"""Synthea's CSV folder: one encounter a row of encounters.csv, with what the other files say of it.

Two generations of the exporter are read: columns that only one of them has are looked up by either name. What is worth
knowing (docs/extracts.md tells it at length):

- Charge. TOTAL_CLAIM_COST is the visit's charge. BASE_ENCOUNTER_COST, then the immunizations, then the procedures of the
  encounter each carry their price as long as the total still covers it; a price that does not fit carries 0.00. This is how
  Synthea itself books them (claims_transactions.csv, where an export has it, agrees line by line). What is left of the
  total has no row in the export (laboratory panels; whole years that the exporter left out): a line UNITEMISED of kind
  'other' holds it, so that every cent stays in sight and none is billed without a service.
- Medications are the pharmacy's claims: their price is no part of TOTAL_CLAIM_COST, so their lines carry 0.00.
- Time stamps are UTC, dates are local: a service date is the day in the practice's time zone.
- Synthea has neither NPI nor EIN. Both are made from the record's id: NPIs begin with 2 (Luhn-valid, a range not issued),
  EINs with 00 (never issued), and every visit is marked synthetic.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from pipeline import shapes
from pipeline.encounters import intake, records, tables
from pipeline.encounters.identifiers import synthetic_ein, synthetic_npi
from pipeline.encounters.intake import NO_INSURANCE, UNITEMISED, Context, Intake, SetAside, finding
from pipeline.encounters.layout import row_key
from pipeline.errors import Terminal
from pipeline.findings import Finding
from pipeline.money import cents

#: file → columns that it must have; alternatives are the names of other generations
COLUMNS: dict[str, tuple[tuple[str, ...], ...]] = {
    "encounters.csv": tuple((c,) for c in (
        "Id", "START", "STOP", "PATIENT", "ORGANIZATION", "PROVIDER", "PAYER", "ENCOUNTERCLASS", "CODE", "DESCRIPTION",
        "BASE_ENCOUNTER_COST", "TOTAL_CLAIM_COST", "REASONCODE", "REASONDESCRIPTION")),
    "patients.csv": tuple((c,) for c in (
        "Id", "BIRTHDATE", "FIRST", "LAST", "SUFFIX", "GENDER", "ADDRESS", "CITY", "STATE", "ZIP")),
    "organizations.csv": tuple((c,) for c in ("Id", "NAME", "ADDRESS", "CITY", "STATE", "ZIP", "PHONE")),
    "providers.csv": tuple((c,) for c in ("Id", "NAME", "SPECIALITY")),
    "payers.csv": (("Id",), ("NAME",)),
    "payer_transitions.csv": (
        ("PATIENT",), ("START_DATE", "START_YEAR"), ("END_DATE", "END_YEAR"), ("PAYER",)),
    "conditions.csv": (("ENCOUNTER",), ("CODE",), ("DESCRIPTION",)),
    "procedures.csv": (("START", "DATE"), ("ENCOUNTER",), ("CODE",), ("DESCRIPTION",), ("BASE_COST",), ("REASONCODE",),
                       ("REASONDESCRIPTION",)),
    "immunizations.csv": (("DATE",), ("ENCOUNTER",), ("CODE",), ("DESCRIPTION",), ("BASE_COST",)),
    "medications.csv": (("START",), ("ENCOUNTER",), ("CODE",), ("DESCRIPTION",)),
}  # fmt: skip
FILES = tuple(COLUMNS)
#: columns that are read where they are there
OPTIONAL = {
    "patients.csv": ("MIDDLE",), "payer_transitions.csv": ("MEMBERID",), "conditions.csv": ("SYSTEM",), "procedures.csv": ("SYSTEM",),
}  # fmt: skip
#: classes whose bill is an institution's; all others are a practitioner's
INSTITUTIONAL = frozenset({"inpatient", "snf", "hospice"})
#: Synthea's words for a code system → ours
SYSTEMS = {"": "SNOMED", "SNOMED-CT": "SNOMED", "http://snomed.info/sct": "SNOMED"}
#: Synthea's specialities → provider taxonomy
TAXONOMY = {
    "AUDIOLOGIST": "231H00000X", "CHIROPRACTIC": "111N00000X", "CLINICAL PSYCHOLOGIST": "103TC0700X",
    "CLINICAL SOCIAL WORKER": "1041C0700X", "EMERGENCY MEDICINE": "207P00000X", "FAMILY PRACTICE": "207Q00000X",
    "GENERAL PRACTICE": "208D00000X", "INTERNAL MEDICINE": "207R00000X", "NURSE PRACTITIONER": "363L00000X",
    "OPTOMETRY": "152W00000X", "PHYSICAL THERAPY": "225100000X", "PHYSICIAN ASSISTANT": "363A00000X",
    "PSYCHIATRY": "2084P0800X",
}  # fmt: skip
STATES = {
    "Alabama": "AL", "Alaska": "AK", "Arizona": "AZ", "Arkansas": "AR", "California": "CA", "Colorado": "CO",
    "Connecticut": "CT", "Delaware": "DE", "District of Columbia": "DC", "Florida": "FL", "Georgia": "GA",
    "Hawaii": "HI", "Idaho": "ID", "Illinois": "IL", "Indiana": "IN", "Iowa": "IA", "Kansas": "KS", "Kentucky": "KY",
    "Louisiana": "LA", "Maine": "ME", "Maryland": "MD", "Massachusetts": "MA", "Michigan": "MI", "Minnesota": "MN",
    "Mississippi": "MS", "Missouri": "MO", "Montana": "MT", "Nebraska": "NE", "Nevada": "NV", "New Hampshire": "NH",
    "New Jersey": "NJ", "New Mexico": "NM", "New York": "NY", "North Carolina": "NC", "North Dakota": "ND",
    "Ohio": "OH", "Oklahoma": "OK", "Oregon": "OR", "Pennsylvania": "PA", "Puerto Rico": "PR", "Rhode Island": "RI",
    "South Carolina": "SC", "South Dakota": "SD", "Tennessee": "TN", "Texas": "TX", "Utah": "UT", "Vermont": "VT",
    "Virginia": "VA", "Washington": "WA", "West Virginia": "WV", "Wisconsin": "WI", "Wyoming": "WY",
}  # fmt: skip
_YEAR = re.compile(r"\d{4}", re.ASCII)

Row = dict[str, str]
#: notes a fault of the visit: rule, column
_Fault = Callable[[str, str], None]


@dataclass(slots=True)
class _Table:
    """A file's rows as dicts, with their 1-based numbers. `names`: our name of a column → the file's."""

    file: str
    rows: list[Row]
    numbers: list[int]
    ragged: list[tuple[int, str]]
    garbled: dict[int, str]
    names: dict[str, str]

    def by_id(self) -> dict[str, Row]:
        return {row["Id"]: row for row in self.rows}


@dataclass(slots=True)
class _Visit:
    """What the other files say of one encounter: (row index, row) in file order; and its faults."""

    conditions: list[int] = field(default_factory=list)
    procedures: list[int] = field(default_factory=list)
    immunizations: list[int] = field(default_factory=list)
    medications: list[int] = field(default_factory=list)
    faults: list[tuple[str, str, int, str]] = field(default_factory=list)


#: children of an encounter: file → field of _Visit, in the order in which they take part in the charge
_CHILDREN = {
    "conditions.csv": "conditions", "immunizations.csv": "immunizations", "procedures.csv": "procedures",
    "medications.csv": "medications",
}  # fmt: skip


def read(sources: Mapping[str, bytes], context: Context) -> Intake:
    """Read a Synthea CSV export. Terminal where a file or a column is missing or no encounter is there."""
    found = {file: _table(file, sources[file]) for file in FILES}
    if not found["encounters.csv"].rows and not found["encounters.csv"].ragged:
        raise Terminal(
            "encounters.csv holds no encounter.", fix="Check the export; an empty extract is not taken in silently."
        )
    return _Reader(found, context).result()


def _table(file: str, data: bytes) -> _Table:
    source = tables.read_csv(file, data)
    if not source.ended:  # Synthea ends every row with its line end
        raise Terminal(
            f"{file} ends in the middle of a row: it was cut on its way.",
            fix="Export or copy the whole folder again. Nothing of the extract was taken in.",
        )
    names: dict[str, str] = {}
    for alternatives in COLUMNS[file]:
        present = [name for name in alternatives if name in source.columns]
        if not present:
            source.require([" or ".join(alternatives)])
        names[alternatives[0]] = present[0]
    names |= {name: name for name in OPTIONAL.get(file, ())}
    columns = source.lists(list(names.values()))
    rows = [dict(zip(names, cells, strict=True)) for cells in zip(*columns, strict=True)]
    used = set(names.values())
    garbled = {index: name for index, name in source.garbled_cells() if name in used}
    return _Table(file, rows, source.numbers.tolist(), source.ragged, garbled, names)


class _Times:
    """Time stamps → local dates, each distinct text once."""

    def __init__(self, context: Context) -> None:
        self.zone = context.timezone
        self.known: dict[str, datetime | None] = {}

    def moment(self, text: str) -> datetime | None:
        """The moment in the practice's time zone; None where the text is no time stamp."""
        if text not in self.known:
            try:
                if len(text) == 10:
                    intake.read_date(text)
                value = datetime.fromisoformat(text)
                value = value.replace(tzinfo=self.zone) if value.tzinfo is None else value.astimezone(self.zone)
                self.known[text] = value if intake.EARLIEST <= value.date() <= intake.LATEST else None
            except (ValueError, OverflowError):
                self.known[text] = None
        return self.known[text]

    def day(self, text: str) -> date | None:
        moment = self.moment(text)
        return moment.date() if moment else None


class _Reader:
    def __init__(self, found: Mapping[str, _Table], context: Context) -> None:
        self.found, self.context, self.times = found, context, _Times(context)
        self.patients, self.organizations, self.providers = (
            found[file].by_id() for file in ("patients.csv", "organizations.csv", "providers.csv")
        )
        self.payers = {row["Id"]: row["NAME"] for row in found["payers.csv"].rows}
        #: ids of records in which bytes were not UTF-8
        self.garbled = {
            table.rows[index]["Id"]
            for file in ("patients.csv", "organizations.csv", "providers.csv", "payers.csv")
            for table in (found[file],)
            for index in table.garbled
        }
        self.covers: dict[str, list[Row]] = defaultdict(list)
        for row in found["payer_transitions.csv"].rows:
            self.covers[row["PATIENT"]].append(row)
        self.findings: list[Finding] = []
        self.set_aside: list[SetAside] = []
        self.encounters: list[dict[str, Any]] = []
        self.diagnoses: list[dict[str, Any]] = []
        self.lines: list[dict[str, Any]] = []
        self.charge_cents = 0

    def result(self) -> Intake:
        table = self.found["encounters.csv"]
        visits = self._visits(table)
        seen: Counter[str] = Counter()
        for index, row in enumerate(table.rows):
            self._visit(table, index, row, visits[index], seen)
        for number, text in table.ragged:
            seen[text] += 1
            key = row_key(table.file, text, seen[text])
            self.findings.append(finding("intake.row.width", table.file, number, "", subject=key))
            digest = hashlib.sha256(text.encode()).hexdigest()
            self.set_aside.append(
                SetAside(encounter_key=key, content_hash=digest, practice_id="", payer_key=None, service_from=None,
                         charge_cents=0, reason="intake.row.width", source_file=table.file, source_row=number)
            )  # fmt: skip
        return Intake(
            encounters=shapes.from_rows("encounters", self.encounters),
            diagnoses=shapes.from_rows("encounter_diagnoses", self.diagnoses),
            lines=shapes.from_rows("encounter_lines", self.lines),
            set_aside=self.set_aside,
            findings=self.findings,
            rows_read=len(table.rows) + len(table.ragged),
            charge_cents=self.charge_cents,
        )

    def _visits(self, table: _Table) -> list[_Visit]:
        """The rows of the other files, given to their encounter (the first of a repeated id)."""
        visits = [_Visit() for _ in table.rows]
        first: dict[str, int] = {}
        for index, row in enumerate(table.rows):
            first.setdefault(row["Id"], index)
        for file, name in _CHILDREN.items():
            child = self.found[file]
            for index, row in enumerate(child.rows):
                owner = first.get(row["ENCOUNTER"]) if row["ENCOUNTER"] else None
                if owner is None:
                    self.findings.append(finding("intake.orphan", file, child.numbers[index], "ENCOUNTER"))
                    continue
                getattr(visits[owner], name).append(index)
                if index in child.garbled:
                    visits[owner].faults.append(
                        ("intake.text.encoding", file, child.numbers[index], child.garbled[index])
                    )
            self.findings += [finding("intake.row.width", file, number, "") for number, _text in child.ragged]
        for file in ("patients.csv", "organizations.csv", "providers.csv", "payers.csv", "payer_transitions.csv"):
            self.findings += [
                finding("intake.row.width", file, number, "") for number, _text in self.found[file].ragged
            ]
        groups: dict[str, list[int]] = defaultdict(list)
        for index, row in enumerate(table.rows):
            groups[row["Id"]].append(index)
        for key, group in groups.items():
            same = all(table.rows[index] == table.rows[group[0]] for index in group)
            for place, index in enumerate(group):
                if not key:
                    visits[index].faults.append(("intake.key.missing", table.file, table.numbers[index], "Id"))
                elif not intake.plain(key):
                    visits[index].faults.append(("intake.key.illegible", table.file, table.numbers[index], "Id"))
                elif len(group) > 1 and (place or not same):
                    visits[index].faults.append(("intake.key.duplicate", table.file, table.numbers[index], "Id"))
        return visits

    def _visit(self, table: _Table, index: int, row: Row, visit: _Visit, seen: Counter[str]) -> None:
        number, faults = table.numbers[index], visit.faults

        def fault(rule: str, column: str, file: str = table.file, at: int = number) -> None:
            faults.append((rule, file, at, column))

        if index in table.garbled:
            fault("intake.text.encoding", table.garbled[index])
        start, stop = self.times.moment(row["START"]), self.times.moment(row["STOP"] or row["START"])
        if start is None:
            fault("intake.date.illegible", "START")
        if stop is None:
            fault("intake.date.illegible", "STOP")
        if start and stop:
            if stop < start:
                fault("intake.date.order", "STOP")
            if stop.date() > self.context.on:
                fault("intake.date.future", "START" if start.date() > self.context.on else "STOP")
        patient = self._refer(self.patients, row, "PATIENT", fault)
        organization = self._refer(self.organizations, row, "ORGANIZATION", fault)
        provider = self._refer(self.providers, row, "PROVIDER", fault)
        born = self.times.day(patient["BIRTHDATE"]) if patient.get("BIRTHDATE") else None
        if patient.get("BIRTHDATE") and born is None:
            fault("intake.date.illegible", "BIRTHDATE of its patient")
        if born and start and born > start.date():
            fault("intake.birth.after_service", "BIRTHDATE of its patient")
        payer = self.payers.get(row["PAYER"], "") if row["PAYER"] else NO_INSURANCE
        if not payer:
            fault("intake.reference.missing", "PAYER")
        total = self._amount(row["TOTAL_CLAIM_COST"], "TOTAL_CLAIM_COST", fault)
        base = self._amount(row["BASE_ENCOUNTER_COST"], "BASE_ENCOUNTER_COST", fault)
        self.charge_cents += cents(total) if total is not None else 0
        day = start.date() if start else None
        key = intake.visit_key(row["ORGANIZATION"], row["Id"])
        diagnoses = self._diagnoses(key, table.file, number, row, visit)
        lines = self._lines(key, number, row, visit, day, base, total, diagnoses)
        insured = payer != NO_INSURANCE
        encounter: dict[str, Any] = {
            "encounter_key": key,
            "source_format": "synthea",
            "practice_id": row["ORGANIZATION"],
            "claim_type": "institutional" if row["ENCOUNTERCLASS"] in INSTITUTIONAL else "professional",
            "synthetic": True,
            "service_from": day,
            "service_to": stop.date() if stop else None,
            "minutes": records.length(start, stop) if start and stop else None,
            "visit_class": row["ENCOUNTERCLASS"],
            "visit_system": "SNOMED",
            "visit_code": row["CODE"],
            "charge": total,
            "payer_source": payer,
            "payer_key": self.context.payers.get(payer.casefold()) if insured else None,
            "member_id": self._member(row, start) if insured else None,
            # MEMBERID stands in the patient's own row of cover, whoever owns the policy: with a number of their own the
            # patient is the subscriber
            "relationship": "18" if insured else None,
            "admission_date": day if row["ENCOUNTERCLASS"] in INSTITUTIONAL else None,
            **_patient(patient, row["PATIENT"], born),
            **_billing(organization),
            **_rendering(provider),
        }
        content = _hash(encounter, diagnoses, lines, faults, row)
        if faults:
            text = "\x1f".join(row.values())
            rules = {rule for rule, *_ in faults}
            if rules & intake.NO_KEY or ("intake.key.duplicate" in rules and seen[f"id:{row['Id']}"]):
                seen[text] += 1
                key = row_key(table.file, text, seen[text])
            seen[f"id:{row['Id']}"] += 1
            self.findings += [finding(rule, file, at, column, subject=key) for rule, file, at, column in faults]
            self.set_aside.append(
                SetAside(encounter_key=key, content_hash=content, practice_id=intake.plain(row["ORGANIZATION"]),
                         payer_key=encounter["payer_key"], service_from=day,
                         charge_cents=cents(total) if total is not None else 0, reason=faults[0][0],
                         source_file=table.file, source_row=number)
            )  # fmt: skip
            return
        seen[f"id:{row['Id']}"] += 1
        blank = {name: None for name, value in encounter.items() if value == ""}
        self.encounters.append(
            {**encounter, **blank, "content_hash": content, "source_file": table.file, "source_row": number}
        )
        self.diagnoses += diagnoses
        self.lines += lines

    def _refer(self, known: Mapping[str, Row], row: Row, column: str, fault: _Fault) -> Row:
        if row[column] in self.garbled:
            fault("intake.text.encoding", column)
        found = known.get(row[column])
        if found is None:
            fault("intake.reference.missing", column)
            return {}
        return found

    @staticmethod
    def _amount(text: str, column: str, fault: _Fault) -> Decimal | None:
        try:
            return intake.read_amount(text)
        except ValueError:
            fault("intake.amount.illegible" if text else "intake.value.missing", column)
            return None

    def _member(self, row: Row, start: datetime | None) -> str | None:
        """The member id of the cover that holds on the day with the encounter's payer; None where the export has none."""
        if start is None:
            return None
        theirs = [c for c in self.covers.get(row["PATIENT"], ()) if c["PAYER"] == row["PAYER"] and c["MEMBERID"]]
        # at the moment of a change the new cover holds; the old one's last moment counts only where no new one begins
        for last_moment_too in (False, True):
            for cover in theirs:
                if self._covers(cover, start, last_moment_too):
                    return cover["MEMBERID"]
        return None

    def _covers(self, cover: Row, start: datetime, last_moment_too: bool) -> bool:
        first, last = cover["START_DATE"], cover["END_DATE"]
        if _YEAR.fullmatch(first):  # early exports give whole years
            return int(first) <= start.year <= (int(last) if _YEAR.fullmatch(last) else 9999)
        begins, ends = self.times.moment(first), self.times.moment(last) if last else None
        if begins is None or start < begins:
            return False
        return ends is None or start < ends or (last_moment_too and start == ends)

    def _diagnoses(self, key: str, file: str, number: int, row: Row, visit: _Visit) -> list[dict[str, Any]]:
        """The reason for the visit first, then its conditions in file order, then reasons of its procedures."""
        stated: list[tuple[str, str, str, str, int, str]] = []
        if row["REASONCODE"]:
            stated.append(("SNOMED", row["REASONCODE"], row["REASONDESCRIPTION"], file, number, "REASONCODE"))
        for name, column, text in (
            ("conditions", "CODE", "DESCRIPTION"),
            ("procedures", "REASONCODE", "REASONDESCRIPTION"),
        ):
            table = self.found[f"{name}.csv"]
            for index in getattr(visit, name):
                child = table.rows[index]
                if child[column]:
                    system = child["SYSTEM"] if name == "conditions" else ""
                    stated.append(
                        (
                            SYSTEMS.get(system, system),
                            child[column],
                            child[text],
                            table.file,
                            table.numbers[index],
                            column,
                        )
                    )
        found: dict[tuple[str, str], dict[str, Any]] = {}
        for system, code, text, at_file, at, column in stated:
            if (system, code) not in found:
                found[system, code] = {
                    "encounter_key": key, "rank": len(found) + 1, "system": system, "code": code, "text": text or None,
                    "source_file": at_file, "source_row": at, "source_column": column,
                }  # fmt: skip
        return list(found.values())

    def _lines(
        self, key: str, number: int, row: Row, visit: _Visit, day: date | None, base: Decimal | None,
        total: Decimal | None, diagnoses: Iterable[Mapping[str, Any]],
    ) -> list[dict[str, Any]]:  # fmt: skip
        ranks = {d["code"]: str(d["rank"]) for d in diagnoses}
        left = total if total is not None else Decimal(0)
        lines: list[dict[str, Any]] = []

        def add(kind: str, system: str, code: str, text: str, price: Decimal, when: date | None, file: str, at: int,
                pointers: str | None = None) -> None:  # fmt: skip
            nonlocal left
            charge = price if price <= left else Decimal("0.00")
            left -= charge
            lines.append(
                {"encounter_key": key, "line": len(lines) + 1, "kind": kind, "system": system, "code": code,
                 "text": text or None, "units": Decimal("1.0000"), "charge": charge, "service_date": when or day,
                 "pointers": pointers, "source_file": file, "source_row": at}
            )  # fmt: skip

        if base is not None:
            add("visit", "SNOMED", row["CODE"], row["DESCRIPTION"], base, day, "encounters.csv", number,
                ranks.get(row["REASONCODE"]))  # fmt: skip
        for name, kind, system, when in (
            ("immunizations", "immunization", "CVX", "DATE"),
            ("procedures", "procedure", "SNOMED", "START"),
            ("medications", "drug", "RXNORM", "START"),
        ):
            table = self.found[f"{name}.csv"]
            for index in getattr(visit, name):
                child, at = table.rows[index], table.numbers[index]

                def fault(rule: str, column: str, table: _Table = table, at: int = at) -> None:
                    visit.faults.append((rule, table.file, at, table.names[column]))

                moment = self.times.day(child[when])
                if moment is None:
                    fault("intake.date.illegible", when)
                elif moment > self.context.on and kind != "drug":
                    fault("intake.date.future", when)
                if kind == "drug":
                    price: Decimal | None = Decimal("0.00")
                else:
                    price = self._amount(child["BASE_COST"], "BASE_COST", fault)
                if not child["CODE"]:
                    fault("intake.value.missing", "CODE")
                if price is not None:
                    add(kind, SYSTEMS.get(child.get("SYSTEM", "-"), system), child["CODE"], child["DESCRIPTION"], price,
                        moment, table.file, at, ranks.get(child.get("REASONCODE", "")))  # fmt: skip
        if left:
            add("other", "SYNTHEA", UNITEMISED, "Part of TOTAL_CLAIM_COST that no row of the export explains", left, day,
                "encounters.csv", number)  # fmt: skip
        return lines


def _patient(patient: Row, patient_id: str, born: date | None) -> dict[str, Any]:
    if not patient:
        return {}
    return {
        "patient_id": patient_id,
        "patient_last": patient["LAST"],
        "patient_first": patient["FIRST"],
        "patient_middle": patient["MIDDLE"],
        "patient_suffix": patient["SUFFIX"],
        "patient_birth_date": born,
        "patient_sex": patient["GENDER"] if patient["GENDER"] in ("F", "M") else "U",
        "patient_address1": patient["ADDRESS"],
        "patient_city": patient["CITY"],
        "patient_state": STATES.get(patient["STATE"], patient["STATE"]),
        "patient_zip": patient["ZIP"].replace("-", ""),
    }


def _billing(organization: Row) -> dict[str, Any]:
    if not organization:
        return {}
    digits = "".join(c for c in organization["PHONE"] if c.isdigit())
    return {
        "billing_name": organization["NAME"],
        "billing_npi": synthetic_npi(organization["Id"]),
        "billing_tin": synthetic_ein(organization["Id"]),
        "billing_tin_kind": "EI",
        "billing_address1": organization["ADDRESS"],
        "billing_city": organization["CITY"],
        "billing_state": STATES.get(organization["STATE"], organization["STATE"]),
        "billing_zip": organization["ZIP"].replace("-", ""),
        # two numbers in one cell are no number
        "billing_phone": digits if len(digits) == 10 else None,
    }


def _rendering(provider: Row) -> dict[str, Any]:
    if not provider:
        return {}
    first, _, last = provider["NAME"].partition(" ")
    return {
        "rendering_npi": synthetic_npi(provider["Id"]),
        "rendering_last": last or first,
        "rendering_first": first if last else "",
        "rendering_taxonomy": TAXONOMY.get(provider["SPECIALITY"]),
    }


def _hash(
    encounter: Mapping[str, Any], diagnoses: Iterable[Mapping[str, Any]], lines: Iterable[Mapping[str, Any]],
    faults: Iterable[tuple[str, str, int, str]], row: Row,
) -> str:  # fmt: skip
    """sha256 over what the extract says of the visit; where it stands in the files and our payer's key take no part."""
    left_out = {"source_file", "source_row", "payer_key", "encounter_key"}
    parts = ["\x1f".join(row.values())] if faults else []
    for item in (encounter, *diagnoses, *lines):
        parts.append("\x1f".join(f"{k}={v}" for k, v in item.items() if v not in (None, "") and k not in left_out))
    return hashlib.sha256("\x1e".join(parts).encode()).hexdigest()

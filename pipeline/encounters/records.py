"""From records of another format to the tables of the own layout: cells of text, each row with its own place.

FHIR and HL7 readers only say which cell of the layout a field of theirs fills. All judging (dates, amounts, keys, totals,
hashes) is the layout's, so a visit is the same visit whatever format it came in. A record that cannot be read at all is
set aside under a key made of its bytes; its neighbours go on.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline import shapes
from pipeline.encounters import extras, intake, layout, tables
from pipeline.encounters.intake import Context, Intake, SetAside, Stated, finding
from pipeline.errors import Terminal
from pipeline.findings import Finding
from pipeline.wording import counted

#: fills the cells of billing providers that the records themselves leave empty
PRACTICES = "practices.csv"
_DAY_OF_MINUTES = 1440
Key = tuple[str, str]
#: (file, 1-based record in it)
Place = tuple[str, int]


@cache
def words(name: str) -> Mapping[str, Any]:
    """The tables of `schemas/encounters/NAME.toml`: how another format's words are said in the layout's."""
    path = shapes.schemas_dir() / "encounters" / f"{name}.toml"
    return tomllib.loads(path.read_text(encoding="utf-8"))


def kind_of(system: str, code: str) -> str:
    """The layout's kind of a service by its code: evaluation and management is the visit itself."""
    known: str = words("common")["kind_of_system"].get(system, "")
    if known:
        return known
    if system == "HCPCS" and len(code) == 5 and code.isdigit():
        first, last = words("common")["visits"]
        return "visit" if first <= code <= last else "procedure"
    return "procedure"


@dataclass(slots=True)
class Gathered:
    """Rows of the layout's tables as they are found. `called`: table → column → what the format calls it."""

    format: str
    called: Mapping[str, Mapping[str, str]]
    rows: dict[str, list[tuple[Place, dict[str, str]]]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    set_aside: list[SetAside] = field(default_factory=list)
    #: (institutional, table, key, place, cells) of what counts only where the visit proves to be institutional, or proves not to be
    depending: list[tuple[bool, str, Key, Place, Mapping[str, str | None]]] = field(default_factory=list)

    #: what sets a visit aside though its cells are sound: rule, place, column
    faults: dict[Key, list[tuple[str, Place, str]]] = field(default_factory=dict)
    #: whether visits of the extract were passed over
    passed: bool = False
    #: what the extract holds: its kind, as the format calls it → how many
    kinds: Counter[str] = field(default_factory=Counter)
    #: the records of which visits are made, where a later extract goes on from there
    stated: dict[Key, list[Stated]] = field(default_factory=dict)

    #: cells of visits that only institutional claims have a place for; what the visit states itself goes before them
    stays: dict[Key, Mapping[str, str]] = field(default_factory=dict)

    def add(self, table: str, key: Key, place: Place, cells: Mapping[str, str | None]) -> None:
        row = {name: text for name, text in cells.items() if text}
        self.rows.setdefault(table, []).append((place, dict(zip(layout.KEY, key, strict=True)) | row))

    def add_where(
        self, institutional: bool, table: str, key: Key, place: Place, cells: Mapping[str, str | None]
    ) -> None:  # fmt: skip
        """A row that counts on one side only, of a visit whose kind `practices.csv` may yet tell: an attending provider (who
        yields to one that is stated), and a procedure in ICD-10-PCS, which is a fact of a stay or a service to be coded."""
        self.depending.append((institutional, table, key, place, cells))

    def tell(
        self, rule: str, place: Place, column: str = "", *, what: str = "", warning: bool = False, subject: str = ""
    ) -> None:  # fmt: skip
        file, row = place
        self.findings.append(
            finding(
                rule, file, row or None, column, what=what, subject=subject, severity="warning" if warning else "error"
            )
        )

    def passed_over(self, rule: str, place: Place, column: str, subject: str) -> None:
        """A visit of which the extract says nothing that counts; it is none that the extract lacks."""
        self.passed = True
        self.tell(rule, place, column, warning=True, subject=subject)

    def refuse(self, key: Key, rule: str, place: Place, column: str) -> None:
        """Set the visit aside for what no cell of it shows."""
        self.faults.setdefault(key, []).append((rule, place, column))

    def unreadable(self, rule: str, place: Place, data: bytes, column: str = "", practice: str = "") -> None:
        """A record that cannot be worked: a finding, and a visit set aside for whatever it held."""
        file, row = place
        digest = hashlib.sha256(data).hexdigest()
        key = f"row:{file}:{digest[:16]}"
        self.tell(rule, place, column, subject=key)
        self.set_aside.append(
            SetAside(encounter_key=key, content_hash=digest, practice_id=intake.plain(practice), payer_key=None,
                     service_from=None, charge_cents=0, reason=rule, source_file=file, source_row=row)
        )  # fmt: skip

    def result(self, sources: Mapping[str, bytes], context: Context, *, synthetic: bool) -> Intake:
        """The extract as read. Terminal where it holds nothing that could be a visit."""
        if not self.rows.get("encounters") and not self.set_aside and not self.passed:
            told = words(self.format)
            held = [counted(number, f"{kind} {told['record']}") for kind, number in sorted(self.kinds.items())]
            raise Terminal(
                f"The extract holds no visit. It holds {', '.join(held) or 'no record at all'}.",
                fix=f"{told['visits_are']} Check the export; an empty extract is not taken in silently.",
            )
        self._fill_from_practices(sources)
        self._settle_depending()
        found = {
            table: self._table(table) for table in (*layout.SHAPES, *extras.EXTRAS)
            if table in layout.SHAPES or table in self.rows
        }  # fmt: skip
        faults = {
            intake.visit_key(*key): [(rule, *place, column) for rule, place, column in told]
            for key, told in self.faults.items()
        }
        taken = layout.assemble(found, self.format, context, synthetic=synthetic, findings=self.findings, faults=faults)
        return replace(
            taken, set_aside=[*taken.set_aside, *self.set_aside], rows_read=taken.rows_read + len(self.set_aside),
            statements=self._statements(),
        )  # fmt: skip

    def _statements(self) -> pa.Table | None:
        if not self.stated:
            return None
        return shapes.from_rows("encounter_statements", [
            {"encounter_key": intake.visit_key(*key), "extract": each.extract, "number": number, "text": each.text,
             "source_file": each.file, "source_row": each.row}
            for key, records in self.stated.items() for number, each in enumerate(records, 1)
        ])  # fmt: skip

    def _fill_from_practices(self, sources: Mapping[str, bytes]) -> None:
        if PRACTICES not in sources:
            return
        listed = tables.read_csv(PRACTICES, sources[PRACTICES])
        listed.require(["practice_id"])
        known = set(layout.columns("encounters"))
        names = [name for name in listed.columns if name != "practice_id"]
        if unknown := [name for name in names if name not in known]:
            raise Terminal(
                f"{PRACTICES} has the column {', '.join(unknown)}, which visits do not have.",
                fix="Name its columns as docs/extracts.md names those of encounters.",
            )
        practices = {
            cells[0]: dict(zip(names, cells[1:], strict=True))
            for cells in zip(*listed.lists(["practice_id", *names]), strict=True)
        }
        for _place, row in self.rows.get("encounters", []):
            for name, text in practices.get(row.get("practice_id", ""), {}).items():
                if text:
                    row.setdefault(name, text)

    def _settle_depending(self) -> None:
        def key(row: Mapping[str, str]) -> Key:
            return row.get(layout.KEY[0], ""), row.get(layout.KEY[1], "")

        stays = {key(row) for _, row in self.rows.get("encounters", []) if row.get("claim_type") == "institutional"}
        attended = {key(row) for _, row in self.rows.get("parties", []) if row.get("role") == "attending"}
        for _, row in self.rows.get("encounters", []):
            if key(row) in stays:
                for name, text in self.stays.get(key(row), {}).items():
                    if text:
                        row.setdefault(name, text)
        for institutional, table, owner, place, cells in self.depending:
            if institutional == (owner in stays) and not (cells.get("role") == "attending" and owner in attended):
                self.add(table, owner, place, cells)

    def _table(self, table: str) -> tables.TextTable:
        rows = self.rows.get(table, [])
        columns = {
            name: pa.array([row.get(name, "").strip() for _, row in rows], pa.string())
            for name in layout.columns(table)
        }
        return tables.TextTable(
            file=f"{table} ({self.format})",
            columns=columns,
            rows=len(rows),
            numbers=np.array([place[1] for place, _ in rows], dtype=np.int64),
            files=pa.array([place[0] for place, _ in rows], pa.string()),
            called=self.called.get(table, {}),
        )


def length(start: datetime, end: datetime) -> int | None:
    """Whole minutes of a visit; None where they are no length of one: nothing, or a day and more, which is a stay."""
    whole = int((end - start).total_seconds() // 60)
    return whole if 0 < whole < _DAY_OF_MINUTES else None


def total(amounts: Iterable[str]) -> str:
    """The sum of amounts where each is legible; otherwise the first that is not, so that it is told."""
    added = Decimal(0)
    for text in amounts:
        try:
            added += intake.read_amount(text)
        except ValueError:
            return text
    return f"{added:.2f}"


def product(price: str, units: str) -> str:
    """Price times units, exactly; the price as it was written where either is illegible."""
    try:
        value = intake.read_amount(price) * intake.read_quantity(units)
    except ValueError:
        return price
    return f"{value:.2f}" if value == value.quantize(Decimal("0.01")) else f"{value:f}"


def revenue_code(text: str) -> str:
    """A revenue code in the four digits of claims; some systems leave its leading zero out."""
    return text.zfill(4) if text else ""


def ndc(text: str) -> str:
    """A drug's number in the eleven digits of claims (5-4-2). Ten digits with dashes tell which part lacks its zero; without
    them nothing does, and they stay ten, to be told."""
    parts = text.strip().split("-")
    if len(parts) == 3 and all(part.isdecimal() for part in parts):
        return "".join(part.zfill(width) for part, width in zip(parts, (5, 4, 2), strict=True))
    return re.sub(r"\D", "", text)


def drug_unit(text: str) -> str:
    """A unit of a drug as claims write it (F2, GR, ME, ML, UN); one that is not known as it was written, in capitals."""
    return str(words("common")["drug_units"].get(text.lower(), text.upper()))


def street(lines: Iterable[str]) -> tuple[str, str]:
    """Address lines → first line, and the others in the second."""
    texts = [line for line in lines if line]
    return (texts[0] if texts else "", ", ".join(texts[1:]))


def decoded(data: bytes) -> str | None:
    """UTF-8 text without a byte order mark; None where it is not UTF-8."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None

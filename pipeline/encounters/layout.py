"""The project's own layout: three tables (`encounters`, `diagnoses`, `services`) as CSV or Parquet, and `manifest.json`.

Further tables, for what few visits have (`extras.EXTRAS`), are read where they are there.

The columns are those of the shapes in `schemas/tables/`, less what intake itself works out, so a new column of a shape is
a new column of the layout. docs/extracts.md describes them. Everything is columnar: each distinct text of a column is
read once by the exact parsers of `intake`, and faults are masks over rows.

The manifest's control totals (rows of each table, charges of visits and services) say whether rows were lost on the way. A
total that does not agree refuses the whole extract: a lost row leaves no trace that could be set aside.
"""

from __future__ import annotations

import csv
import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline import shapes
from pipeline.encounters import extras, intake, tables
from pipeline.encounters.intake import Context, Intake, SetAside, finding
from pipeline.errors import Terminal
from pipeline.findings import Finding
from pipeline.money import cents, shown
from pipeline.wording import counted

MANIFEST = "manifest.json"
LAYOUT = "claimpipe-extract"
VERSION = 1
KEY = ("practice_id", "encounter_id")
#: table of the layout → shape of schemas/tables
SHAPES = {"encounters": "encounters", "diagnoses": "encounter_diagnoses", "services": "encounter_lines"}
#: what payers have authorized: a list beside the visits, which scrubbing judges; its columns are those of the home's own list
AUTHORIZATIONS = "authorizations"
AUTHORIZATION_COLUMNS = ("payer", "member_id", "number", "procedures", "from", "to", "units", "visits")
_WORKED_OUT = frozenset({
    "encounter_key", "content_hash", "source_format", "source_file", "source_row", "source_column", "synthetic",
    "payer_key", "payer_source",
})  # fmt: skip
#: columns that a file must have, whatever its rows hold
REQUIRED = {
    "encounters": (
        *KEY, "service_from", "charge", "billing_name", "billing_npi", "billing_tin", "patient_last", "patient_first",
        "patient_birth_date", "patient_sex", "payer", "member_id",
    ),
    "diagnoses": (*KEY, "rank", "system", "code"),
    "services": (*KEY, "line", "kind", "system", "code", "units", "charge"),
}  # fmt: skip
#: cells that may not be empty; the others are for scrubbing to judge
FILLED = {
    "encounters": ("service_from", "charge"),
    "diagnoses": ("rank", "system", "code"),
    "services": ("line", "kind", "system", "code", "units"),
}
_POINTERS = re.compile(r"\d{1,2}(,\d{1,2})*", re.ASCII)
_ORDINAL = {"diagnoses": "rank", "services": "line"}
_DIAGNOSIS_KINDS = ["admitting", "reason", "external"]


def columns(table: str) -> list[str]:
    """All columns of one table of the layout, in the order in which claimpipe itself writes them."""
    if table in extras.EXTRAS:
        return [*KEY, *extras.own_columns(table)]
    shape = [
        field.name
        for field in shapes.schema(SHAPES[table])
        if field.name not in _WORKED_OUT and field.name not in KEY and not pa.types.is_list(field.type)
    ]
    return [*KEY, *shape, *(["payer"] if table == "encounters" else [])]


def _word(words: frozenset[str]) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in words:
            raise ValueError("not a known word")
        return text

    return parse


def _pointers(text: str) -> str:
    if not _POINTERS.fullmatch(text):
        raise ValueError("not pointers")
    return text


#: type in the shape → (parser of one text, rule where it refuses)
_BY_TYPE: dict[pa.DataType, tuple[Callable[[str], Any], str]] = {
    shapes.TYPES["date"]: (intake.read_date, "intake.date.illegible"),
    shapes.TYPES["money"]: (intake.read_amount, "intake.amount.illegible"),
    shapes.TYPES["quantity"]: (intake.read_quantity, "intake.number.illegible"),
    shapes.TYPES["integer"]: (intake.read_integer, "intake.number.illegible"),
    shapes.TYPES["boolean"]: (intake.read_flag, "intake.value.unknown"),
}
#: columns whose parser the type does not tell
_BY_COLUMN: dict[str, tuple[Callable[[str], Any], str]] = {
    "pointers": (_pointers, "intake.pointer.illegible"),
}


_KEYS_OF_EXTRAS = {"line": shapes.TYPES["integer"]}


@dataclass(slots=True)
class _Read:
    """One table as read: typed columns, canonical row texts (what is hashed), and faults as (row index, column, rule)."""

    source: tables.TextTable
    values: dict[str, pa.Array] = field(default_factory=dict)
    rows: pa.Array | None = None
    faults: list[tuple[int, str, str]] = field(default_factory=list)


def read(sources: Mapping[str, bytes], context: Context) -> Intake:
    """Read an extract of the own layout (`sources`: file name → bytes). Terminal where the extract as a whole is no good."""
    found = {table: _source(sources, table) for table in SHAPES}
    manifest = _manifest(sources[MANIFEST])
    found |= _further(sources, manifest)
    findings: list[Finding] = []
    for table, source in found.items():
        source.require(REQUIRED[table] if table in REQUIRED else (*KEY, *extras.filled(table)))
        known = set(columns(table))
        findings += [
            finding("intake.column.unknown", source.file, None, name, severity="warning")
            for name in source.columns
            if name not in known
        ]
    findings += [
        finding("intake.file.end", source.file, None, "", severity="warning")
        for source in found.values()
        if not source.ended
    ]
    read = {table: _typed(table, source) for table, source in found.items()}
    _check_totals(manifest, read, findings)
    visits = read["encounters"]
    if not visits.source.rows and not visits.source.ragged:
        raise Terminal(
            f"{visits.source.file} holds no visit.", fix="Check the export; an empty extract is not taken in silently."
        )
    fmt = visits.source.file.rpartition(".")[2]
    authorized = _authorizations(sources, manifest, context, findings)
    taken = _Assembly(read, fmt, bool(manifest.get("synthetic", False)), context, findings, {}).result()
    return replace(taken, authorizations=authorized)


def assemble(
    found: Mapping[str, tables.TextTable],
    fmt: str,
    context: Context,
    *,
    synthetic: bool,
    findings: Sequence[Finding] = (),
    faults: Mapping[str, Sequence[tuple[str, str, int, str]]] | None = None,
) -> Intake:
    """Visits that another format's reader has put into tables of this layout: judged, hashed and handed on like its own.

    `found`: the layout's three tables and any further ones; `findings`: what the reader itself has to say; `faults`: key of a
    visit → (rule, file, row, column) of what sets it aside though its cells are sound.
    """
    read = {table: _typed(table, source) for table, source in found.items()}
    return _Assembly(read, fmt, synthetic, context, list(findings), faults or {}).result()


def _source(sources: Mapping[str, bytes], table: str) -> tables.TextTable:
    for name in (f"{table}.csv", f"{table}.parquet"):
        if name in sources:
            return tables.read(name, sources[name])
    raise Terminal(
        f"The extract has no {table}.csv or {table}.parquet.", fix="Export every table that the manifest names."
    )


def _further(sources: Mapping[str, bytes], manifest: Mapping[str, Any]) -> dict[str, tables.TextTable]:
    """The further tables that are there, or that the manifest says should be: one that went missing is not passed over."""
    totals = manifest.get("tables")
    stated = totals if isinstance(totals, dict) else {}
    there = {name.rpartition(".")[0] for name in sources}
    return {table: _source(sources, table) for table in extras.EXTRAS if table in there or table in stated}


def _authorizations(
    sources: Mapping[str, bytes], manifest: Mapping[str, Any], context: Context, findings: list[Finding]
) -> pa.Table | None:
    """The list of authorizations, its rows as they are written; None where the extract has none."""
    totals = manifest.get("tables")
    stated = isinstance(totals, dict) and AUTHORIZATIONS in totals
    if not stated and not {name.rpartition(".")[0] for name in sources} & {AUTHORIZATIONS}:
        return None
    source = _source(sources, AUTHORIZATIONS)
    source.require(AUTHORIZATION_COLUMNS)
    _check_rows(manifest, AUTHORIZATIONS, source)
    findings += [
        finding("intake.column.unknown", source.file, None, name, severity="warning")
        for name in source.columns
        if name not in AUTHORIZATION_COLUMNS
    ]
    findings += [finding("intake.row.width", source.file, row, "", severity="warning") for row, _ in source.ragged]
    values = {name: source.text(name) for name in AUTHORIZATION_COLUMNS}
    payers = values["payer"].dictionary_encode()
    keys = [context.payers.get(name.casefold()) for name in payers.dictionary.to_pylist()]
    columns = {
        **values, "payer_source": values["payer"], "payer": pa.array(keys, pa.string()).take(payers.indices),
        "source_file": _files(source), "source_row": pa.array(source.numbers, pa.int64()),
    }  # fmt: skip
    shape = shapes.schema(AUTHORIZATIONS)
    return pa.Table.from_arrays([columns[f.name] for f in shape], schema=shape)


def _typed(table: str, source: tables.TextTable) -> _Read:
    """Read each distinct text of each column once."""
    read = _Read(source)
    canonical: list[pa.Array] = []
    shape = SHAPES[table] if table in SHAPES else extras.EXTRAS[table].shape
    schema, words = shapes.schema(shape), shapes.words(shape)
    filled = FILLED[table] if table in FILLED else extras.filled(table)
    for name in columns(table):
        text = source.text(name)
        kind = schema.field(name).type if name in schema.names else _KEYS_OF_EXTRAS.get(name, pa.string())
        parse, rule = _BY_COLUMN.get(name) or _BY_TYPE.get(kind) or (None, "")
        if name in words:
            parse, rule = _word(words[name]), "intake.value.unknown"
        blank = pc.equal(text, "")
        if name in filled:
            rows = np.flatnonzero(blank.to_numpy(zero_copy_only=False))
            read.faults += [(int(index), name, "intake.value.missing") for index in rows]
        if parse is None:
            read.values[name] = pc.if_else(blank, pa.scalar(None, pa.string()), text)
            canonical.append(_told(name, text))
            continue
        coded = text.dictionary_encode()
        values: list[Any] = []
        texts: list[str] = []
        bad: list[bool] = []
        for word in coded.dictionary.to_pylist():
            try:
                value = parse(word) if word else None
                bad.append(False)
            except ValueError:
                value = None
                bad.append(True)
            values.append(value)
            texts.append("!" + word if bad[-1] else "" if value is None else str(value))
        indices = coded.indices
        read.values[name] = pa.array(values, type=kind).take(indices)
        canonical.append(_told(name, pa.array(texts, type=pa.string()).take(indices)))
        if any(bad):
            rows = np.flatnonzero(np.array(bad)[indices.to_numpy()])
            read.faults += [(int(index), name, rule) for index in rows]
    read.faults += [(index, name, "intake.text.encoding") for index, name in source.garbled_cells()]
    read.rows = pc.binary_join_element_wise(*canonical, "")
    return read


def _told(name: str, text: pa.Array) -> pa.Array:
    """`name=text` for filled cells and nothing for empty ones, so that a column added later changes no visit's hash."""
    return pc.if_else(pc.equal(text, ""), "", pc.binary_join_element_wise(f"\x1f{name}", text, "="))


def _manifest(data: bytes) -> dict[str, Any]:
    try:
        manifest = json.loads(data.decode("utf-8-sig"), parse_float=Decimal)
    except (ValueError, RecursionError):  # not JSON, not UTF-8, a number without end, brackets within brackets within …
        raise Terminal(f"{MANIFEST} is not JSON that can be read.", fix="See docs/extracts.md for its form.") from None
    if not isinstance(manifest, dict) or manifest.get("layout") != LAYOUT or manifest.get("version") != VERSION:
        raise Terminal(
            f'{MANIFEST} does not say "layout": "{LAYOUT}", "version": {VERSION}.',
            fix="See docs/extracts.md for its form.",
        )
    if not isinstance(manifest.get("synthetic", False), bool):
        raise Terminal(f"{MANIFEST}: synthetic is true or false.", fix="See docs/extracts.md for its form.")
    return manifest


def _total(manifest: Mapping[str, Any], table: str, name: str) -> Any:
    totals = manifest.get("tables")
    part = totals.get(table) if isinstance(totals, dict) else None
    if not isinstance(part, dict) or name not in part:
        raise Terminal(
            f"{MANIFEST} has no control total tables.{table}.{name}.",
            fix="Without control totals lost rows cannot be seen: see docs/extracts.md.",
        )
    return part[name]


def _check_totals(manifest: Mapping[str, Any], tables_read: Mapping[str, _Read], findings: list[Finding]) -> None:
    """Terminal, naming both totals, where they differ. Rows set aside count, for they came."""
    for table, read in tables_read.items():
        _check_rows(manifest, table, read.source)
    for table in ("encounters", "services"):
        read = tables_read[table]
        text = str(_total(manifest, table, "charge"))
        try:
            stated_cents = cents(Decimal(text)) if re.fullmatch(r"\d{1,16}(\.\d{1,2})?", text) else -1
        except ValueError:
            stated_cents = -1
        if stated_cents < 0:
            raise Terminal(f"{MANIFEST}: tables.{table}.charge is not a plain amount.", fix="See docs/extracts.md.")
        legible = _sum_cents(read.values["charge"])
        illegible = len(read.source.ragged) + sum(
            1 for _row, column, rule in read.faults
            if column == "charge" and rule in ("intake.amount.illegible", "intake.value.missing", "intake.text.encoding")
        )  # fmt: skip
        if illegible and legible <= stated_cents:
            unproved = finding("intake.total.unproved", read.source.file, None, "charge", severity="warning")
            said = (
                f" The manifest says {shown(stated_cents)}, the legible amounts make {shown(legible)}: "
                f"{shown(stated_cents - legible)} stand in {illegible:,} {'cell' if illegible == 1 else 'cells'} that cannot be read."
            )
            findings.append(replace(unproved, message=unproved.message + said))
        elif legible != stated_cents:
            raise Terminal(
                f"The charges in {read.source.file} add up to {shown(legible)}, but the manifest says "
                f"{shown(stated_cents)}.",
                fix="Rows were lost or altered on the way: export again. Nothing of the extract was taken in.",
            )


def _check_rows(manifest: Mapping[str, Any], table: str, source: tables.TextTable) -> None:
    stated, here = _total(manifest, table, "rows"), source.rows + len(source.ragged)
    if isinstance(stated, bool) or not isinstance(stated, int):
        raise Terminal(f"{MANIFEST}: tables.{table}.rows is not a whole number.", fix="See docs/extracts.md.")
    if stated != here:
        raise Terminal(
            f"{source.file} holds {counted(here, 'row')}, but the manifest says {stated}.",
            fix="Rows were lost or added on the way: export again. Nothing of the extract was taken in.",
        )


def _sum_cents(amounts: pa.Array) -> int:
    total = pc.sum(amounts).as_py()
    return 0 if total is None else cents(total)


class _Assembly:
    """Puts the tables together: which row belongs to which visit, which visits are set aside, what is handed on."""

    def __init__(
        self, read: Mapping[str, _Read], fmt: str, synthetic: bool, context: Context, findings: list[Finding],
        faults: Mapping[str, Sequence[tuple[str, str, int, str]]],
    ) -> None:  # fmt: skip
        self.format = fmt
        visits = read["encounters"]
        self.visits, self.children = visits, {name: read[name] for name in ("diagnoses", "services")}
        self.extras = {name: read[name] for name in extras.EXTRAS if name in read}
        self.synthetic, self.context, self.findings = synthetic, context, findings
        self.count = visits.source.rows
        practice, encounter = (visits.source.text(name) for name in KEY)
        self.practice = practice
        self.keys: pa.Array = intake.visit_keys(practice, encounter)
        #: index of the visit → (rule, file, row, column) of each of its faults, in the order found
        self.faults: dict[int, list[tuple[str, str, int, str]]] = {
            index: list(faults[key]) for index, key in enumerate(self.keys.to_pylist()) if key in faults
        } if faults else {}  # fmt: skip
        #: index of the visit → the key under which it is registered, where that is not its own
        self.renamed: dict[int, str] = {}
        self.set_aside: list[SetAside] = []
        #: key → its first row; filled when a row of the wrong width has to be traced
        self.first: dict[str, int] = {}

    def result(self) -> Intake:
        self._visit_faults()
        self._key_faults()
        placed = {name: self._place(name, read) for name, read in self.children.items()}
        further = {name: self._place(name, read) for name, read in self.extras.items()}
        self._charges(placed["services"])
        hashes = self._hashes(placed, further)
        nested = _Nested(self, placed["services"], further)
        good = np.ones(self.count, dtype=bool)
        good[sorted(self.faults)] = False
        self._register_faults(hashes)
        self._ragged_visits()
        charge_cents = _sum_cents(self.visits.values["charge"])
        return Intake(
            encounters=self._encounters(good, hashes, nested.of_visits),
            diagnoses=self._rows("diagnoses", placed["diagnoses"], good, {}),
            lines=self._rows("services", placed["services"], good, nested.of_lines),
            set_aside=self.set_aside,
            findings=self.findings,
            rows_read=self.count + len(self.visits.source.ragged),
            charge_cents=charge_cents,
        )

    def _fault(self, visit: int, rule: str, source: tables.TextTable, index: int, column: str) -> None:
        self.faults.setdefault(visit, []).append((rule, *source.place(index), source.name(column)))

    def _at(self, visit: int, rule: str, column: str) -> None:
        source = self.visits.source
        self._fault(visit, rule, source, visit, column)

    def _where(self, mask: Any, rule: str, column: str) -> None:
        for index in np.flatnonzero(pc.fill_null(mask, False).to_numpy(zero_copy_only=False)):
            self._at(int(index), rule, column)

    def _visit_faults(self) -> None:
        for index, column, rule in self.visits.faults:
            self._at(index, rule, column)
        values, on = self.visits.values, pa.scalar(self.context.on, pa.date32())
        values["service_to"] = pc.coalesce(values["service_to"], values["service_from"])
        first, last = values["service_from"], values["service_to"]
        self._where(pc.less(last, first), "intake.date.order", "service_to")
        self._where(pc.greater(first, on), "intake.date.future", "service_from")
        self._where(pc.and_kleene(pc.greater(last, on), pc.less_equal(first, on)), "intake.date.future", "service_to")
        self._where(pc.greater(values["patient_birth_date"], first), "intake.birth.after_service", "patient_birth_date")

    def _key_faults(self) -> None:
        """Visits without a key, and visits whose key another row has: the first of equal rows goes on, different ones do not."""
        source = self.visits.source
        for column in KEY:
            self._where(pc.equal(source.text(column), ""), "intake.key.missing", column)
            self._where(pc.match_substring_regex(source.text(column), intake.CONTROL), "intake.key.illegible", column)
        assert self.visits.rows is not None
        seen: Counter[str] = Counter()

        def rename(index: int, text: str) -> None:
            seen[text] += 1
            self.renamed[index] = row_key(source.file, text, seen[text])

        no_key = [i for i, found in self.faults.items() if any(f[0] in intake.NO_KEY for f in found)]
        for index in sorted(no_key):
            rename(index, self.visits.rows[index].as_py())
        coded = self.keys.dictionary_encode().indices.to_numpy()
        repeated = np.flatnonzero(np.bincount(coded, minlength=1)[coded] > 1) if self.count else np.array([], dtype=int)
        groups: dict[int, list[int]] = {}
        for index in repeated:
            if int(index) not in self.renamed:
                groups.setdefault(int(coded[index]), []).append(int(index))
        for group in groups.values():
            texts = [self.visits.rows[index].as_py() for index in group]
            same = len(set(texts)) == 1
            for place, (index, text) in enumerate(zip(group, texts, strict=True)):
                if place or not same:
                    self._at(index, "intake.key.duplicate", "encounter_id")
                if place:
                    rename(index, text)

    def _place(self, name: str, read: _Read) -> _Placed:
        """Which visit each row of a child table belongs to; its faults become the visit's."""
        source = read.source
        keys = intake.visit_keys(*(source.text(column) for column in KEY))
        index_in = pc.index_in(keys, value_set=self.keys)
        visit = pc.fill_null(index_in, -1).to_numpy(zero_copy_only=False).astype(np.int64)
        for orphan in np.flatnonzero(visit < 0):
            file, row = source.place(int(orphan))
            self.findings.append(finding("intake.orphan", file, row, source.name("encounter_id")))
        for index, column, rule in read.faults:
            if visit[index] >= 0:
                self._fault(int(visit[index]), rule, source, index, column)
        if name == "services":
            on = pa.scalar(self.context.on, pa.date32())
            late = pc.fill_null(pc.greater(read.values["service_date"], on), False).to_numpy(zero_copy_only=False)
            for late_row in np.flatnonzero(late & (visit >= 0)):
                self._fault(int(visit[late_row]), "intake.date.future", source, int(late_row), "service_date")
        for row, text in source.ragged:
            owner = self._owner(source, text)
            if owner < 0:
                self.findings.append(finding("intake.row.width", source.file, row, ""))
            else:
                self.faults.setdefault(owner, []).append(("intake.row.width", source.file, row, ""))
        if name not in _ORDINAL:
            order = np.argsort(visit, kind="stable")
            return _Placed(read, visit, order[visit[order] >= 0])
        order = np.lexsort((_ordinals(name, read), visit))
        order = order[visit[order] >= 0]
        return _Placed(read, visit, self._once(name, read, visit, order))

    def _once(self, name: str, read: _Read, visit: np.ndarray, order: np.ndarray) -> np.ndarray:
        """Leave out exact repeats of a row; a number used twice for different rows is a fault of the visit."""
        ordinal = _ordinals(name, read)
        again = np.zeros(len(order), dtype=bool)
        if len(order) > 1:
            same = (visit[order[1:]] == visit[order[:-1]]) & (ordinal[order[1:]] == ordinal[order[:-1]])
            again[1:] = same & (ordinal[order[1:]] >= 0)
        if not again.any():
            return order
        assert read.rows is not None
        source, keep = read.source, np.ones(len(order), dtype=bool)
        for place in np.flatnonzero(again):
            index, before = int(order[place]), int(order[place - 1])
            (file, row), owner = source.place(index), int(visit[index])
            if read.rows[index] == read.rows[before]:
                keep[place] = False
                subject = self.keys[owner].as_py()
                self.findings.append(finding("intake.row.repeated", file, row, "", subject=subject, severity="warning"))
            else:
                self._fault(owner, "intake.rank.duplicate", source, index, _ORDINAL[name])
        return order[keep]

    def _owner(self, source: tables.TextTable, text: str) -> int:
        """The visit of a row with too many or too few cells, where its key can still be made out; -1 otherwise."""
        cells = [cell.strip() for cell in next(csv.reader([text]), [])]
        names = list(source.columns)
        places = [names.index(column) for column in KEY]
        if max(places) >= len(cells):
            return -1
        if not self.first:
            for index, key in enumerate(self.keys.to_pylist()):
                self.first.setdefault(key, index)
        key = intake.visit_keys(*(pa.array([cells[place]], pa.string()) for place in places))[0].as_py()
        return self.first.get(key, -1)

    def _charges(self, placed: _Placed) -> None:
        """Where every service of a visit has a charge, they add up to the visit's; they never exceed it."""
        charge = placed.read.values["charge"]
        line_cents = _cents(charge)[placed.order]
        owner = placed.visit[placed.order]
        sums, rows = np.zeros(self.count, dtype=np.int64), np.zeros(self.count, dtype=np.int64)
        open_lines = np.zeros(self.count, dtype=np.int64)
        np.add.at(sums, owner, np.where(line_cents < 0, 0, line_cents))
        np.add.at(rows, owner, 1)
        np.add.at(open_lines, owner, line_cents < 0)
        visit_cents = _cents(self.visits.values["charge"])
        wrong = (visit_cents >= 0) & (rows > 0) & np.where(open_lines > 0, sums > visit_cents, sums != visit_cents)
        for index in np.flatnonzero(wrong):
            if int(index) not in self.faults:  # an illegible amount has been told already
                self._at(int(index), "intake.charge.disagrees", "charge")

    def _hashes(self, placed: Mapping[str, _Placed], further: Mapping[str, _Placed]) -> list[str]:
        """sha256 over the visit's row and the rows that belong to it, by value: CSV and Parquet give the same."""
        assert self.visits.rows is not None
        parts = [[text] for text in self.visits.rows.to_pylist()]
        for child in placed.values():
            assert child.read.rows is not None
            texts = child.read.rows.take(pa.array(child.order)).to_pylist()
            for owner, text in zip(child.visit[child.order].tolist(), texts, strict=True):
                parts[owner].append(text)
            for part in parts:
                part.append("\x1d")
        for name, extra in further.items():  # in any order, and not even a mark where a visit has none
            assert extra.read.rows is not None
            texts = extra.read.rows.take(pa.array(extra.order)).to_pylist()
            for owner, text in sorted(zip(extra.visit[extra.order].tolist(), texts, strict=True)):
                parts[owner].append(f"{name}\x1c{text}")
        return [hashlib.sha256("\x1e".join(part).encode()).hexdigest() for part in parts]

    def _payer_keys(self) -> pa.Array:
        coded = self.visits.source.text("payer").dictionary_encode()
        keys = [self.context.payers.get(name.casefold()) for name in coded.dictionary.to_pylist()]
        return pa.array(keys, type=pa.string()).take(coded.indices)

    def _register_faults(self, hashes: Sequence[str]) -> None:
        visit_cents = _cents(self.visits.values["charge"])
        payer_keys = self._payer_keys()
        for index in sorted(self.faults):
            found = self.faults[index]
            key = self.renamed.get(index) or self.keys[index].as_py()
            self.findings += [finding(rule, file, row, column, subject=key) for rule, file, row, column in found]
            self.set_aside.append(
                SetAside(
                    encounter_key=key,
                    content_hash=hashes[index],
                    practice_id=intake.plain(self.practice[index].as_py()),
                    payer_key=payer_keys[index].as_py(),
                    service_from=self.visits.values["service_from"][index].as_py(),
                    charge_cents=max(int(visit_cents[index]), 0),
                    reason=found[0][0],
                    source_file=self.visits.source.place(index)[0],
                    source_row=self.visits.source.place(index)[1],
                )
            )

    def _ragged_visits(self) -> None:
        seen: Counter[str] = Counter()
        for row, text in self.visits.source.ragged:
            seen[text] += 1
            key = row_key(self.visits.source.file, text, seen[text])
            self.findings.append(finding("intake.row.width", self.visits.source.file, row, "", subject=key))
            self.set_aside.append(
                SetAside(
                    encounter_key=key, content_hash=hashlib.sha256(text.encode()).hexdigest(), practice_id="",
                    payer_key=None, service_from=None, charge_cents=0, reason="intake.row.width",
                    source_file=self.visits.source.file, source_row=row,
                )
            )  # fmt: skip

    def _encounters(self, good: np.ndarray, hashes: Sequence[str], nested: Mapping[str, pa.Array]) -> pa.Table:
        source, values = self.visits.source, self.visits.values
        payer = source.text("payer")
        # an empty payer means that the patient pays
        payer_source = pc.if_else(pc.equal(payer, ""), intake.NO_INSURANCE, payer)
        count = self.count
        made: dict[str, pa.Array] = {
            "encounter_key": self.keys,
            "content_hash": pa.array(hashes, type=pa.string()),
            "source_format": pa.array([self.format] * count, type=pa.string()),
            "source_file": _files(source),
            "source_row": pa.array(source.numbers, type=pa.int64()),
            "synthetic": pa.array([self.synthetic] * count, type=pa.bool_()),
            "payer_source": payer_source,
            "payer_key": self._payer_keys(),
            "claim_type": pc.fill_null(values["claim_type"], "professional"),
            **nested,
        }
        return self._table("encounters", lambda name: made.get(name, values.get(name)), np.flatnonzero(good))

    def _rows(self, name: str, placed: _Placed, good: np.ndarray, nested: Mapping[str, pa.Array]) -> pa.Table:
        source, values = placed.read.source, placed.read.values
        order = placed.order[good[placed.visit[placed.order]]]
        owner = pa.array(placed.visit, type=pa.int64())
        owner = pc.if_else(pc.less(owner, 0), pa.scalar(None, pa.int64()), owner)
        made: dict[str, pa.Array] = {
            "encounter_key": self.keys.take(owner),
            "source_file": _files(source),
            "source_row": pa.array(source.numbers, type=pa.int64()),
            **nested,
        }
        if name == "services":
            made["service_date"] = pc.coalesce(values["service_date"], self.visits.values["service_from"].take(owner))
        else:
            made["source_column"] = pa.array([source.name("code")] * source.rows, type=pa.string())
        return self._table(SHAPES[name], lambda column: made.get(column, values.get(column)), order)

    @staticmethod
    def _table(shape: str, column: Callable[[str], pa.Array | None], order: np.ndarray) -> pa.Table:
        schema, take = shapes.schema(shape), pa.array(order)
        given = [(field, column(field.name)) for field in schema]
        return pa.Table.from_arrays(
            [pa.nulls(len(order), f.type) if values is None else values.take(take) for f, values in given],
            schema=schema,
        )


def _files(source: tables.TextTable) -> pa.Array:
    return pa.repeat(source.file, source.rows) if source.files is None else source.files


def _ordinals(name: str, read: _Read) -> np.ndarray:
    """The numbers by which a visit's rows are ordered and told apart; -1 where illegible. Diagnoses count within a kind."""
    numbers = pc.fill_null(read.values[_ORDINAL[name]], -1).to_numpy(zero_copy_only=False)
    if name != "diagnoses":
        return numbers
    kind = pc.fill_null(pc.index_in(read.values["kind"], value_set=pa.array(_DIAGNOSIS_KINDS)), -1)
    return np.where(numbers < 0, -1, numbers + (kind.to_numpy(zero_copy_only=False) + 1) * 10**9)


class _Nested:
    """The rows of the further tables as nested columns of the visits and of the services."""

    def __init__(self, assembly: _Assembly, services: _Placed, further: Mapping[str, _Placed]) -> None:
        self._assembly, self._services = assembly, services
        self.of_visits: dict[str, pa.Array] = {}
        self.of_lines: dict[str, pa.Array] = {}
        owners = {name: self._owners(name, placed) for name, placed in further.items()}
        taken = self._taken(further, owners)
        for name, placed in further.items():
            extra, (visit, line) = extras.EXTRAS[name], owners[name]
            if extra.within:
                continue
            rows = extras.struct(name, placed.read.values, taken.get(name))
            if extra.visit:
                self.of_visits[extra.visit] = extras.owned(rows, visit, assembly.count)
            if extra.line:
                self.of_lines[extra.line] = extras.owned(rows, line, services.read.source.rows)

    def _owners(self, name: str, placed: _Placed) -> tuple[np.ndarray, np.ndarray]:
        """(visit, service) that owns each row, -1 for none: a row is its line's or else its visit's."""
        nobody = np.full(len(placed.visit), -1, dtype=np.int64)
        if "line" not in placed.read.values:
            return placed.visit, nobody
        number = pc.fill_null(placed.read.values["line"], -1).to_numpy(zero_copy_only=False)
        known = {
            (int(self._services.visit[row]), int(line)): int(row)
            for row, line in zip(
                self._services.order, _ordinals("services", self._services.read)[self._services.order], strict=True
            )
        }  # fmt: skip
        line = nobody.copy()
        for row in np.flatnonzero((number >= 0) & (placed.visit >= 0)).tolist():
            line[row] = known.get((int(placed.visit[row]), int(number[row])), -1)
            if line[row] < 0:
                self._fault(name, placed, row, "intake.line.missing", "line")
        return np.where(number < 0, placed.visit, -1), line

    def _taken(
        self, further: Mapping[str, _Placed], owners: Mapping[str, tuple[np.ndarray, np.ndarray]]
    ) -> dict[str, dict[str, pa.Array]]:
        """What other payers decided, as nested columns of the other payers (by visit) and of their decisions (by line)."""
        found: dict[str, dict[str, pa.Array]] = {}
        for table, level in extras.TAKERS.items():
            upper = further.get(table)
            if upper is None:
                continue
            known: dict[tuple[int, str], int] = {}
            payers = upper.read.values[extras.BY].to_pylist()
            for row, owner in enumerate(owners[table][level].tolist()):
                known.setdefault((owner, payers[row]), row)
            shape = shapes.schema(extras.EXTRAS[table].shape)
            for name, extra in extras.EXTRAS.items():
                if table in extra.within:
                    column = self._below(name, further.get(name), level, owners, known, len(payers))
                    found.setdefault(table, {})[name] = (
                        pa.nulls(len(payers), shape.field(name).type) if column is None else column
                    )
        for name, placed in further.items():
            for table in extras.EXTRAS[name].within:
                level = extras.TAKERS[table]
                if table not in further:  # a decision of nobody
                    for row in np.flatnonzero(owners[name][level] >= 0).tolist():
                        self._fault(name, placed, row, "intake.reference.missing", extras.BY)
        return found

    def _below(
        self, name: str, placed: _Placed | None, level: int, owners: Mapping[str, tuple[np.ndarray, np.ndarray]],
        known: Mapping[tuple[int, str], int], uppers: int,
    ) -> pa.Array | None:  # fmt: skip
        """The table's rows as a list of each upper row; a row that names none of them is a fault."""
        if placed is None:
            return None
        above = owners[name][level]
        payer = placed.read.values[extras.BY].to_pylist()
        owner_row = np.array(
            [known.get((o, p), -1) if o >= 0 else -1 for o, p in zip(above.tolist(), payer, strict=True)],
            dtype=np.int64,
        )
        for row in np.flatnonzero((above >= 0) & (owner_row < 0)).tolist():
            self._fault(name, placed, row, "intake.reference.missing", extras.BY)
        return extras.owned(extras.struct(name, placed.read.values), owner_row, uppers)

    def _fault(self, name: str, placed: _Placed, row: int, rule: str, column: str) -> None:
        self._assembly._fault(int(placed.visit[row]), rule, placed.read.source, row, column)


@dataclass(slots=True)
class _Placed:
    """A child table with the visit of each row (-1: none), and the rows in the order of visit and number."""

    read: _Read
    visit: np.ndarray
    order: np.ndarray


def _cents(amounts: pa.Array) -> np.ndarray:
    """Amounts → int64 cents; -1 where null."""
    whole = pc.multiply(amounts.cast(pa.decimal128(18, 2)), pa.scalar(Decimal(100), pa.decimal128(3, 0)))
    return pc.fill_null(whole.cast(pa.decimal128(38, 0), safe=True).cast(pa.int64()), -1).to_numpy(zero_copy_only=False)


def row_key(file: str, text: str, ordinal: int) -> str:
    """The key of a row that has none of its own: made from its content, so that the same row in a later export is known."""
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    return f"row:{file}:{digest}" + (f":{ordinal}" if ordinal > 1 else "")

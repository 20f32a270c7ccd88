"""What may stand in an 837P: each column of the coded tables with its place, its alphabet and its length, as data.

X12 has no escape character, so a value that holds a delimiter, or a character outside the payer's set, cannot be sent at
all, and a value that is too long would be cut by the payer. Nothing is mended here: `normalised` only drops blanks at the
ends and, for the basic set, writes letters in capitals; everything else that does not fit is a finding, and its claim
stays out of the file. Sources: ASC X12N 005010X222A1 for places, lengths and repeats; the 005010 data element dictionary.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.findings import Finding
from pipeline.x12 import columns as x
from pipeline.x12.columns import Mask
from pipeline.x12.segments import DEFAULT_DELIMITERS
from pipeline.x12.writer import BASIC, EXTENDED

Charset = Literal["basic", "extended"]

DIGITS = frozenset("0123456789")
CAPITALS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
CODE = DIGITS | CAPITALS
_DELIMITERS = frozenset(
    (
        DEFAULT_DELIMITERS.element,
        DEFAULT_DELIMITERS.repetition,
        DEFAULT_DELIMITERS.component,
        DEFAULT_DELIMITERS.segment,
    )
)
#: what a free text may hold, by the payer's character set
TEXT: dict[Charset, frozenset[str]] = {"basic": BASIC - _DELIMITERS, "extended": EXTENDED - _DELIMITERS}


@dataclass(frozen=True, slots=True)
class Field:
    """One column and the place where it stands. `need` names the claims (see `needs`) that must have it and on which it
    is written at all; `characters` None means free text; `lengths` are the least and the greatest number of characters
    (or exactly those listed in `exactly`)."""

    column: str
    loop: str
    segment: str
    element: int
    need: str
    most: int
    least: int = 1
    characters: frozenset[str] | None = None
    exactly: tuple[int, ...] = ()
    optional: bool = False
    component: int | None = None


def _name(
    prefix: str, loop: str, last: str, first: str | None, need: str, *, first_optional: bool = True
) -> list[Field]:
    names = [Field(f"{prefix}_{last}", loop, "NM1", 3, need, 60)]
    if first:
        names.append(Field(f"{prefix}_{first}", loop, "NM1", 4, need, 35, optional=first_optional))
    return names


def _address(prefix: str, loop: str, need: str, *, second: bool = True) -> list[Field]:
    rows = [
        Field(f"{prefix}_address1", loop, "N3", 1, need, 55),
        Field(f"{prefix}_city", loop, "N4", 1, need, 30, least=2),
        Field(f"{prefix}_state", loop, "N4", 2, need, 2, least=2, characters=CAPITALS),
        Field(f"{prefix}_zip", loop, "N4", 3, need, 9, characters=DIGITS, exactly=(5, 9)),
    ]
    return [*rows, Field(f"{prefix}_address2", loop, "N3", 2, need, 55, optional=True)] if second else rows


def _npi(column: str, loop: str, need: str, *, optional: bool = False) -> Field:
    return Field(column, loop, "NM1", 9, need, 10, characters=DIGITS, exactly=(10,), optional=optional)


def _taxonomy(column: str, loop: str, need: str) -> Field:
    return Field(column, loop, "PRV", 3, need, 10, characters=CODE, exactly=(10,), optional=True)


CLAIM_FIELDS: tuple[Field, ...] = (
    Field("claim_id", "2300", "CLM", 1, "all", 20),
    *_name("billing", "2010AA", "name", "first", "all"),
    _npi("billing_npi", "2010AA", "all"),
    Field("billing_tin", "2010AA", "REF", 2, "all", 9, characters=DIGITS, exactly=(9,)),
    Field("billing_tin_kind", "2010AA", "REF", 1, "all", 2, characters=frozenset("EISY"), exactly=(2,)),
    _taxonomy("billing_taxonomy", "2000A", "all"),
    *_address("billing", "2010AA", "all"),
    Field("billing_phone", "2010AA", "PER", 4, "all", 10, characters=DIGITS, exactly=(10,), optional=True),
    *_address("pay_to", "2010AB", "pay_to"),
    *_name("rendering", "2310B", "last", "first", "rendering"),
    _npi("rendering_npi", "2310B", "rendering"),
    _taxonomy("rendering_taxonomy", "2310B", "rendering"),
    *_name("referring", "2310A", "last", "first", "referring"),
    _npi("referring_npi", "2310A", "referring"),
    Field("facility_name", "2310C", "NM1", 3, "facility", 60),
    _npi("facility_npi", "2310C", "facility", optional=True),
    *_address("facility", "2310C", "facility", second=False),
    *_name("patient", "2010BA", "last", "first", "all"),
    Field("patient_middle", "2010BA", "NM1", 5, "all", 25, optional=True),
    Field("patient_suffix", "2010BA", "NM1", 7, "all", 10, optional=True),
    Field("patient_sex", "2010BA", "DMG", 3, "all", 1, characters=frozenset("FMU")),
    *_address("patient", "2010BA", "all"),
    *_name("subscriber", "2010BA", "last", "first", "dependent"),
    Field("subscriber_middle", "2010BA", "NM1", 5, "dependent", 25, optional=True),
    Field("relationship", "2000B", "SBR", 2, "all", 2, characters=CODE, exactly=(2,)),
    Field("member_id", "2010BA", "NM1", 9, "all", 80, least=2),
    Field("group_number", "2000B", "SBR", 3, "all", 50, optional=True),
    Field("place_of_service", "2300", "CLM", 5, "all", 2, characters=DIGITS, exactly=(2,), component=1),
    Field("frequency", "2300", "CLM", 5, "all", 1, characters=frozenset("178"), component=3),
    Field("assignment", "2300", "CLM", 7, "all", 1, characters=frozenset("ABC"), optional=True),
    Field("benefits_assignment", "2300", "CLM", 8, "all", 1, characters=frozenset("YNW"), optional=True),
    Field("release_of_information", "2300", "CLM", 9, "all", 1, characters=frozenset("YI"), optional=True),
    Field("accident_kind", "2300", "CLM", 11, "all", 2, characters=frozenset("AOEM"), exactly=(2,), optional=True, component=1),
    Field("accident_state", "2300", "CLM", 11, "auto_accident", 2, characters=CAPITALS, exactly=(2,), component=4),
    Field("authorization_number", "2300", "REF", 2, "all", 50, optional=True),
    Field("payer_claim_number", "2300", "REF", 2, "later_frequency", 50),
)  # fmt: skip

LINE_FIELDS: tuple[Field, ...] = (
    Field("qualifier", "2400", "SV1", 1, "all", 2, characters=frozenset("HC"), exactly=(2,), component=1),
    Field("procedure", "2400", "SV1", 1, "all", 5, characters=CODE, exactly=(5,), component=2),
    *(
        Field(f"modifier{n}", "2400", "SV1", 1, "all", 2, characters=CODE, exactly=(2,), optional=True, component=n + 2)
        for n in (1, 2, 3, 4)
    ),
    Field("unit_basis", "2400", "SV1", 3, "all", 2, characters=frozenset("UNMJ"), exactly=(2,)),
    Field("place_of_service", "2400", "SV1", 5, "all", 2, characters=DIGITS, exactly=(2,), optional=True),
    Field("line_control_number", "2400", "REF", 2, "all", 30),
    Field("ndc", "2410", "LIN", 3, "all", 11, characters=DIGITS, exactly=(11,), optional=True),
    Field("ndc_unit_basis", "2410", "CTP", 5, "drug", 2, characters=CAPITALS | DIGITS, exactly=(2,), component=1),
)

DIAGNOSIS_FIELDS: tuple[Field, ...] = (Field("code", "2300", "HI", 1, "all", 7, least=3, characters=CODE, component=2),)

#: identifiers that come back to us in answers: written as they are, never put in capitals
AS_IS = frozenset({"claim_id", "line_control_number", "encounter_key", "source_file", "source", "practice_id"})

_NEEDS: dict[str, Callable[[pa.Table], Mask]] = {
    "all": lambda t: np.ones(t.num_rows, dtype=np.bool_),
    "dependent": lambda t: ~is_self(t),
    "pay_to": lambda t: x.present(t.column("pay_to_address1")),
    "rendering": lambda t: has_rendering(t),
    "referring": lambda t: x.present(t.column("referring_npi")),
    "facility": lambda t: has_facility(t),
    "auto_accident": lambda t: _equals(t.column("accident_kind"), "AA"),
    "later_frequency": lambda t: ~_equals(t.column("frequency"), "1"),
    "drug": lambda t: x.present(t.column("ndc")),
}


def _equals(column: pa.ChunkedArray, value: str) -> Mask:
    return x.as_mask(pc.equal(column, value))


def is_self(claims: pa.Table) -> Mask:
    """Claims whose patient is the subscriber."""
    return _equals(claims.column("relationship"), "18")


def has_rendering(claims: pa.Table) -> Mask:
    """2310B is written only where the rendering provider is not the billing provider."""
    npi = claims.column("rendering_npi")
    return x.present(npi) & x.as_mask(pc.not_equal(npi, claims.column("billing_npi")))


def has_facility(claims: pa.Table) -> Mask:
    """2310C is written only where the service was given elsewhere than at the billing provider's address."""

    there = x.present(claims.column("facility_address1"))
    if not there.any():
        return there
    few = claims.filter(pa.array(there))

    def place(prefix: str) -> pa.Array:
        zip5 = pc.utf8_slice_codeunits(few.column(f"{prefix}_zip"), 0, 5)
        parts = [x.flat(few.column(f"{prefix}_{part}")) for part in ("address1", "city", "state")]
        return pc.binary_join_element_wise(*parts, x.flat(zip5), "\x1f")

    there[there] = x.as_mask(pc.not_equal(place("facility"), place("billing")))
    return there


def _columns(fields: tuple[Field, ...], *others: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*(f.column for f in fields), *others)))


#: the columns that are written, and no others
CLAIM_COLUMNS = _columns(CLAIM_FIELDS, "charge", "patient_birth_date", "onset_date", "accident_date", "admission_date")
LINE_COLUMNS = _columns(
    LINE_FIELDS, "claim_id", "line", "charge", "units", "pointer1", "pointer2", "pointer3", "pointer4", "service_date", "ndc_units"
)  # fmt: skip
DIAGNOSIS_COLUMNS = _columns(DIAGNOSIS_FIELDS, "claim_id", "rank")


def written(table: pa.Table, columns: tuple[str, ...], charset: Charset) -> pa.Table:
    """Those columns of the table that are written, as they are written."""
    return normalised(table.select(list(columns)), charset)


def normalised(table: pa.Table, charset: Charset) -> pa.Table:
    """The table with texts as they are written: null as '', no blanks at the ends, capitals for the basic set."""
    arrays = []
    for name, column in zip(table.column_names, table.columns, strict=True):
        array = x.flat(column)
        if pa.types.is_string(array.type):
            array = x.without_nulls(array)
            if name not in AS_IS:
                array = x.trimmed(array)
                array = x.upper(array) if charset == "basic" else array
        arrays.append(array)
    return pa.Table.from_arrays(arrays, names=table.column_names)


@dataclass(slots=True)
class _Report:
    """Collects findings; `rows` in its methods are masks over the claims, lines or diagnoses of `table`."""

    claims: pa.Table
    findings: list[Finding] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)

    def add(self, table: pa.Table, rows: Mask, rule: str, message: str, fix: str, *, snip: int, **place: Any) -> None:
        column = place.pop("column", "")
        for row in np.flatnonzero(rows).tolist():
            claim_id = table.column("claim_id")[row].as_py()
            self.refused.add(claim_id)
            self.findings.append(
                Finding(rule=rule, severity="error", message=message, fix=fix, snip=snip, subject=claim_id,
                        source=_source(table, row, column), **place)
            )  # fmt: skip


def _source(table: pa.Table, row: int, column: str) -> str:
    if "source_file" in table.column_names:
        where = f"{table.column('source_file')[row].as_py()} row {table.column('source_row')[row].as_py()}"
    elif "source" in table.column_names:
        where = table.column("source")[row].as_py()
    else:
        where = ""
    if "line" in table.column_names:
        where += f" line {table.column('line')[row].as_py()}"
    return f"{where} column {column}" if column and " column " not in where else where


def check(
    claims: pa.Table, diagnoses: pa.Table, lines: pa.Table, *, charset: Charset, accepts_dependents: bool
) -> tuple[list[Finding], set[str]]:
    """What keeps claims out of an 837P: (findings, ids of the claims that must stay out).

    The tables have the shapes `coded_claims`, `coded_diagnoses`, `coded_lines`; rows of other claims among the diagnoses and
    lines are left aside. Findings hold no values.
    """
    ids = x.flat(claims.column("claim_id"))
    diagnoses, lines = (t.filter(pc.is_in(t.column("claim_id"), ids)) for t in (diagnoses, lines))
    claims, diagnoses, lines = (normalised(t, charset) for t in (claims, diagnoses, lines))
    report = _Report(claims)
    for fields, table in ((CLAIM_FIELDS, claims), (LINE_FIELDS, lines), (DIAGNOSIS_FIELDS, diagnoses)):
        if table.num_rows:
            _check_fields(report, table, fields, charset)
    if claims.num_rows:
        _check_claims(report, claims, accepts_dependents)
        _check_children(report, claims, diagnoses, lines)
    return report.findings, report.refused


def _check_fields(report: _Report, table: pa.Table, fields: tuple[Field, ...], charset: Charset) -> None:
    needs: dict[str, Mask] = {}
    for f in fields:
        column = table.column(f.column)
        if f.need not in needs:
            needs[f.need] = _NEEDS[f.need](table)
        written = needs[f.need]
        size = x.lengths(column)
        place = {
            "loop": f.loop,
            "segment_id": f.segment,
            "element": f.element,
            "component": f.component,
            "column": f.column,
        }
        what = f"{f.column} ({f.loop} {f.segment}{f.element:02d})"
        if not f.optional:
            missing = written & (size == 0)
            if missing.any():
                report.add(table, missing, "837P.required", f"The claim has no {what}, which its 837 must have.",
                           "Complete it in the source and load the encounter again.", snip=2, **place)  # fmt: skip
        strange = x.outside(column, TEXT[charset] if f.characters is None else f.characters)
        if strange is not None and (strange & written).any():
            report.add(table, strange & written, "837P.character",
                       f"{what} holds a character that may not be sent in this element.",
                       "Write it in the source with the characters that the payer accepts; nothing is replaced silently.",
                       snip=1, **place)  # fmt: skip
        wrong = (size > 0) & (~np.isin(size, f.exactly) if f.exactly else (size < f.least) | (size > f.most)) & written
        if wrong.any():
            allowed = " or ".join(map(str, f.exactly)) if f.exactly else f"{f.least} to {f.most}"
            report.add(table, wrong, "837P.length", f"{what} has a length that the guide does not allow ({allowed} characters).",
                       "Correct it in the source and load the encounter again.", snip=1, **place)  # fmt: skip


def _check_claims(report: _Report, claims: pa.Table, accepts_dependents: bool) -> None:
    def add(
        rows: Mask, rule: str, message: str, fix: str, snip: int, column: str, segment: str, loop: str = "2300"
    ) -> None:
        if rows.any():
            report.add(claims, rows, rule, message, fix, snip=snip, column=column, segment_id=segment, loop=loop)

    dependent = ~is_self(claims)
    if not accepts_dependents:
        add(dependent, "837P.dependent", "This payer knows no dependents: the patient must be the subscriber.",
            "Register the patient with the patient's own member number and relationship 18.", 4, "relationship", "PAT", "2000C")  # fmt: skip
    add(x.as_mask(pc.is_null(claims.column("patient_birth_date"))), "837P.required",
        "The claim has no patient_birth_date (DMG02), which its 837 must have.",
        "Complete it in the source and load the encounter again.", 2, "patient_birth_date", "DMG", "2010BA")  # fmt: skip
    accident = np.isin(np.asarray(claims.column("accident_kind").to_pylist(), dtype=object), ("AA", "OA")) if (
        x.present(claims.column("accident_kind")).any()) else np.zeros(claims.num_rows, dtype=np.bool_)  # fmt: skip
    add(accident & x.as_mask(pc.is_null(claims.column("accident_date"))), "837P.required",
        "The claim names an accident and has no accident_date (DTP*439).",
        "Complete it in the source and load the encounter again.", 4, "accident_date", "DTP")  # fmt: skip
    inpatient = _equals(claims.column("place_of_service"), "21")
    add(
        inpatient & x.as_mask(pc.is_null(claims.column("admission_date"))),
        "837P.required",
        "The visit was in a hospital (place of service 21) and has no admission_date (DTP*435).",
        "Complete it in the source and load the encounter again.", 4, "admission_date", "DTP")  # fmt: skip
    first = _equals(claims.column("frequency"), "1")
    add(first & x.present(claims.column("payer_claim_number")), "837P.original_reference",
        "An original claim (frequency 1) may not carry the payer's claim number (REF*F8).",
        "Clear payer_claim_number, or send the claim as frequency 7 or 8.", 4, "payer_claim_number", "REF")  # fmt: skip
    for column in ("patient_birth_date", "accident_date", "onset_date", "admission_date"):
        add(~x.day_in_range(claims.column(column)), "837P.date", f"{column} is no date of our time.",
            "Correct it in the source and load the encounter again.", 1, column, "DTP")  # fmt: skip
    ids = claims.column("claim_id")
    repeated = pc.filter(
        pc.value_counts(x.flat(ids)).field("values"), pc.greater(pc.value_counts(x.flat(ids)).field("counts"), 1)
    )
    if len(repeated):
        add(x.as_mask(pc.is_in(ids, repeated)), "837P.claim_id", "Two claims have the same claim_id (CLM01).",
            "Report this: claim ids are made by the program.", 7, "claim_id", "CLM")  # fmt: skip


#: how many there may be in a claim
MOST_LINES, MOST_DIAGNOSES = 50, 12


def _check_children(report: _Report, claims: pa.Table, diagnoses: pa.Table, lines: pa.Table) -> None:
    n = claims.num_rows
    ids = x.flat(claims.column("claim_id"))

    def parents(table: pa.Table) -> np.ndarray:
        found = pc.fill_null(pc.index_in(table.column("claim_id"), value_set=ids), -1)
        return np.asarray(x.flat(found).to_numpy(zero_copy_only=False), dtype=np.int64)

    of_line, of_code = parents(lines), parents(diagnoses)
    add = report.add
    for table, parent, most, what, segment in (
        (lines, of_line, MOST_LINES, "service lines", "LX"),
        (diagnoses, of_code, MOST_DIAGNOSES, "diagnoses", "HI"),
    ):
        counts = np.bincount(parent[parent >= 0], minlength=n)
        wrong = (counts == 0) | (counts > most)
        if wrong.any():
            add(claims, wrong, "837P.count", f"A professional claim has 1 to {most} {what}; this one has none or too many.",
                "Code the visit, or split it into several claims.", snip=2, loop="2300", segment_id=segment)  # fmt: skip
        order = x.flat(table.column("line" if table is lines else "rank")).to_numpy()
        if len(order):
            key = np.lexsort((order, parent))
            starts = np.r_[True, parent[key][1:] != parent[key][:-1]]
            expected = np.arange(len(key)) - np.maximum.accumulate(np.where(starts, np.arange(len(key)), 0)) + 1
            gaps = np.zeros(len(key), dtype=np.bool_)
            gaps[key] = (order[key] != expected) & (parent[key] >= 0)
            if gaps.any():
                add(table, gaps, "837P.order", f"The {what} of the claim are not numbered 1, 2, 3 …",
                    "Report this: they are numbered by the program.", snip=1, loop="2300", segment_id=segment)  # fmt: skip
    if not lines.num_rows:
        return
    line_place = {"loop": "2400", "segment_id": "SV1"}
    charges, totals = x.unscaled(lines.column("charge")), x.unscaled(claims.column("charge"))
    known = of_line >= 0
    sums = np.zeros(n, dtype=np.int64)
    np.add.at(sums, of_line[known], charges[known])
    if (sums != totals).any():
        add(claims, sums != totals, "837P.balance", "The claim's charge (CLM02) is not the sum of its lines (SV102).",
            "Correct the charge of the visit or of its lines.", snip=3, loop="2300", segment_id="CLM", element=2, column="charge")  # fmt: skip
    if (charges < 0).any():
        add(lines, charges < 0, "837P.amount", "A line has a negative charge.", "Correct the charge in the source.",
            snip=1, element=2, column="charge", **line_place)  # fmt: skip
    units = x.as_mask(pc.less_equal(lines.column("units"), pa.scalar(0, pa.int64())))
    if units.any():
        add(lines, units, "837P.units", "A line has no units, or fewer than none.", "Correct the units in the source.",
            snip=1, element=4, column="units", **line_place)  # fmt: skip
    if (days := ~x.day_in_range(lines.column("service_date"))).any():
        add(lines, days, "837P.date", "The service date is no date of our time.", "Correct it in the source.",
            snip=1, loop="2400", segment_id="DTP", element=3, column="service_date")  # fmt: skip
    drug = x.present(lines.column("ndc")) & x.as_mask(pc.is_null(lines.column("ndc_units")))
    if drug.any():
        add(lines, drug, "837P.required", "A line with an NDC has no ndc_units (2410 CTP04).",
            "Complete the drug's quantity in the source.", snip=4, loop="2410", segment_id="CTP", element=4, column="ndc_units")  # fmt: skip
    codes = np.bincount(of_code[of_code >= 0], minlength=n)
    bad = np.zeros(lines.num_rows, dtype=np.bool_)
    gap_before = np.zeros(lines.num_rows, dtype=np.bool_)
    for number in (1, 2, 3, 4):
        column = x.flat(lines.column(f"pointer{number}"))
        given = ~x.as_mask(pc.is_null(column))
        value = pc.fill_null(column, 0).to_numpy()
        bad |= given & ((value < 1) | (value > np.where(known, codes[of_line], 0)) | gap_before)
        gap_before |= ~given
        if number == 1:
            bad |= ~given
    if bad.any():
        add(lines, bad, "837P.pointer", "A line points to no diagnosis of the claim, or to one that is not there.",
            "Point the line to at least one of the claim's diagnoses.", snip=4, element=7, column="pointers", **line_place)  # fmt: skip
    key = pc.binary_join_element_wise(lines.column("claim_id"), lines.column("line_control_number"), "\x1f")
    counted = pc.value_counts(x.flat(key))
    if len(counted) != lines.num_rows:
        twice = pc.filter(counted.field("values"), pc.greater(counted.field("counts"), 1))
        add(lines, x.as_mask(pc.is_in(key, twice)), "837P.line_control_number",
            "Two lines of the claim have the same line control number (REF*6R).",
            "Report this: line control numbers are made by the program.", snip=1, loop="2400", segment_id="REF",
            element=2, column="line_control_number")  # fmt: skip

"""What keeps a claim out of an 837: the checks, over whole columns. Findings name the cell of the source and hold no values.

Theory. Plain columns are checked by the tables of `claim_837_fields`. Nested rows are checked by the guide itself: each
becomes one segment, whose place gives the values, lengths and repeats that it allows; a row without a place is told, since
it could not be sent. What no single element shows (sums, counts, pairs) stands in functions of its own. The strict validator
reads the finished file afterwards; these checks come before it because they can name the column.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.findings import Finding
from pipeline.transactions.claim_837_fields import (
    DIAGNOSIS_FIELDS,
    NEEDS,
    TEXT,
    Field,
    claim_fields,
    line_fields,
    unsent,
)
from pipeline.transactions.claim_837_forms import BILLING_NUMBERS, DECISIONS, Form, Role
from pipeline.transactions.claim_837_parts import Parts
from pipeline.transactions.claim_837_tables import OWN_COLUMNS, Charset, Tables
from pipeline.x12 import columns as x
from pipeline.x12.columns import Integers, Mask
from pipeline.x12.guides import Place

_COMPLETE = "Complete it in the source and load the encounter again."
_CORRECT = "Correct it in the source and load the encounter again."
#: bill types (CLM05-1) of stays, which have an admission
STAYS = ("11", "12", "18", "21", "41")


@dataclass(slots=True)
class _Report:
    """Collects findings. `rows` are masks over the claims, lines, diagnoses or nested rows of the table given."""

    tables: Tables
    findings: list[Finding] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)

    def add(
        self, table: pa.Table, rows: Mask, rule: str, message: str, fix: str, *, snip: int, warning: bool = False, **place: Any
    ) -> None:  # fmt: skip
        column = place.pop("column", "")
        for row in np.flatnonzero(rows).tolist():
            claim_id = table.column("claim_id")[row].as_py()
            if not warning:
                self.refused.add(claim_id)
            self.findings.append(
                Finding(rule=f"{self.tables.form.kind}.{rule}", severity="warning" if warning else "error", message=message,
                        fix=fix, snip=snip, subject=claim_id, source=_source(table, row, column), **place)
            )  # fmt: skip

    def nested(self, of: _Nested, rows: Mask, rule: str, message: str, fix: str, **place: Any) -> None:
        """Findings of nested rows, told at their owner's cell."""
        if rows.any():
            hit = np.zeros(of.owners.num_rows, dtype=np.bool_)
            hit[of.root[rows]] = True
            place["column"] = f"{of.name}.{place['column']}" if place.get("column") else of.name
            self.add(of.owners, hit, rule, message, fix, **place)


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
    claims: pa.Table, diagnoses: pa.Table, lines: pa.Table, form: Form, *, charset: Charset, accepts_dependents: bool,
    filing_indicator: str = "",
) -> tuple[list[Finding], set[str]]:  # fmt: skip
    """What keeps claims out of an 837 of this form: (findings, ids of the claims that must stay out).

    The tables have the shapes `coded_claims`, `coded_diagnoses`, `coded_lines`; rows of other claims among the diagnoses and
    lines are left aside. Warnings tell of values that the form has no place for; their claims go.
    """
    tables = Tables(claims, diagnoses, lines, form, charset)
    report = _Report(tables)
    for fields, table in (
        (claim_fields(form), tables.claims), (line_fields(form), tables.lines.table), (DIAGNOSIS_FIELDS, tables.diagnoses.table),
    ):  # fmt: skip
        if table.num_rows:
            _check_fields(report, table, fields)
    if tables.claims.num_rows:
        _check_claims(report, accepts_dependents, filing_indicator)
        _check_children(report)
        _check_nested(report)
        _check_other_payers(report)
        _check_unsent(report)
    return report.findings, report.refused


def _check_fields(report: _Report, table: pa.Table, fields: tuple[Field, ...]) -> None:
    tables = report.tables
    needs: dict[str, Mask] = {}
    for f in fields:
        column = table.column(f.column)
        if f.need not in needs:
            needs[f.need] = NEEDS[f.need](tables, table)
        written = needs[f.need]
        size = x.lengths(column)
        if f.optional and not size.any():
            continue
        place: dict[str, Any] = {
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
                report.add(table, missing, "required", f"The claim has no {what}, which its 837 must have.", _COMPLETE,
                           snip=2, **place)  # fmt: skip
        strange = x.outside(column, TEXT[tables.charset] if f.characters is None else f.characters)
        odd = written & strange if strange is not None else np.zeros(len(size), dtype=np.bool_)
        if odd.any():
            report.add(table, odd, "character", f"{what} holds a character that may not be sent in this element.",
                       "Write it in the source with the characters that the payer accepts; nothing is replaced silently.",
                       snip=1, **place)  # fmt: skip
        wrong = (size > 0) & (~np.isin(size, f.exactly) if f.exactly else (size < f.least) | (size > f.most)) & written
        if wrong.any():
            allowed = " or ".join(map(str, f.exactly)) if f.exactly else f"{f.least} to {f.most}"
            report.add(table, wrong, "length", f"{what} has a length that the guide does not allow ({allowed} characters).",
                       _CORRECT, snip=1, **place)  # fmt: skip
        if f.values:
            unknown = written & (size > 0) & ~odd & ~wrong & ~x.as_mask(pc.is_in(column, pa.array(sorted(f.values))))
            if unknown.any():
                report.add(
                    table,
                    unknown,
                    "value",
                    f"{what} has a value that the guide does not know.",
                    _CORRECT,
                    snip=1,
                    **place,
                )


# --- claims -----------------------------------------------------------------------------------------------------------------


def _check_claims(report: _Report, accepts_dependents: bool, filing_indicator: str) -> None:
    tables, form = report.tables, report.tables.form
    claims = tables.claims

    def add(
        rows: Mask, rule: str, message: str, fix: str, snip: int, column: str, segment: str, loop: str = "2300"
    ) -> None:
        if rows.any():
            report.add(claims, rows, rule, message, fix, snip=snip, column=column, segment_id=segment, loop=loop)

    def none(column: str) -> Mask:
        return x.as_mask(pc.is_null(claims.column(column)))

    if not accepts_dependents:
        add(~tables.own, "dependent", "This payer knows no dependents: the patient must be the subscriber.",
            "Register the patient with the patient's own member number and relationship 18.", 4, "relationship", "PAT", "2000C")  # fmt: skip
    if form.kind == "837P" and filing_indicator == "MB":
        add(~x.equals(claims.column("frequency"), "1"), "medicare_frequency",
            "Medicare takes professional claims as originals only (frequency 1).",
            "Ask Medicare for a reopening, or send the claim anew as an original.", 4, "frequency", "CLM")  # fmt: skip
    add(none("patient_birth_date"), "required", "The claim has no patient_birth_date (DMG02), which its 837 must have.",
        _COMPLETE, 2, "patient_birth_date", "DMG", "2010BA")  # fmt: skip
    if form.related_causes:
        accident = np.zeros(claims.num_rows, dtype=np.bool_)
        for column in ("accident_kind", "accident_kind2"):
            if x.present(claims.column(column)).any():
                accident |= x.as_mask(pc.is_in(claims.column(column), pa.array(["AA", "OA"])))
        add(accident & none("accident_date"), "required", "The claim names an accident and has no accident_date (DTP*439).",
            _COMPLETE, 4, "accident_date", "DTP")  # fmt: skip
    if form.kind == "837P":
        inpatient = x.equals(claims.column("place_of_service"), "21")
        add(inpatient & none("admission_date"), "required",
            "The visit was in a hospital (place of service 21) and has no admission_date (DTP*435).",
            _COMPLETE, 4, "admission_date", "DTP")  # fmt: skip
    if form.kind == "837I":
        _check_stay(report, add, none)
    referred = x.present(claims.column("payer_claim_number")) & ~NEEDS["later_frequency"](tables, claims)
    add(referred, "original_reference",
        "An original claim (frequency 1) may not carry the payer's claim number (REF*F8).",
        "Clear payer_claim_number, or send the claim as frequency 7 or 8.", 4, "payer_claim_number", "REF")  # fmt: skip
    for column in ("patient_birth_date", "accident_date", "onset_date", "admission_date", "patient_death_date", "service_from", "service_to"):  # fmt: skip
        if claims.column(column).null_count < claims.num_rows:
            add(
                ~x.day_in_range(claims.column(column)),
                "date",
                f"{column} is no date of our time.",
                _CORRECT,
                1,
                column,
                "DTP",
            )
    for column in ("patient_paid", "patient_estimate"):
        less = x.as_mask(pc.less(claims.column(column), pa.scalar(0, pa.int64())))
        add(less, "amount", f"{column} is negative.", _CORRECT, 1, column, "AMT")
    counted = pc.value_counts(tables.ids)
    repeated = pc.filter(counted.field("values"), pc.greater(counted.field("counts"), 1))
    if len(repeated):
        add(x.as_mask(pc.is_in(tables.ids, repeated)), "claim_id", "Two claims have the same claim_id (CLM01).",
            "Report this: claim ids are made by the program.", 7, "claim_id", "CLM")  # fmt: skip


def _check_stay(report: _Report, add: Any, none: Any) -> None:
    tables = report.tables
    claims = tables.claims
    stay = x.as_mask(pc.is_in(claims.column("bill_type"), pa.array(STAYS)))
    add(stay & none("admission_date"), "required", "An inpatient claim has no admission_date (DTP*435).", _COMPLETE, 4,
        "admission_date", "DTP")  # fmt: skip
    add(x.present(claims.column("admission_hour")) & none("admission_date"), "required",
        "The claim has an admission_hour and no admission_date (DTP*435).", _COMPLETE, 4, "admission_date", "DTP")  # fmt: skip
    still = x.equals(claims.column("patient_status"), "30") & x.equals(claims.column("frequency"), "1")
    add(still, "still_patient", "The patient was still there (status 30) and the claim says that it bills the whole stay (frequency 1).",
        "Send frequency 2 or 3, or the status at discharge.", 4, "patient_status", "CL1")  # fmt: skip
    add(x.as_mask(pc.greater(claims.column("service_from"), claims.column("service_to"))), "date",
        "The statement ends before it begins (DTP*434).", _CORRECT, 1, "service_to", "DTP")  # fmt: skip
    for column in ("admission_hour", "discharge_hour"):
        hour = claims.column(column)
        if x.present(hour).any():
            good = x.as_mask(pc.match_substring_regex(hour, r"^([01]\d|2[0-3])[0-5]\d$")) | ~x.present(hour)
            add(~good, "value", f"{column} is no time of day (HHMM).", _CORRECT, 1, column, "DTP")
    attended = np.zeros(claims.num_rows, dtype=np.bool_)
    if (rows := tables.role("attending")) is not None:
        attended = rows.counts() > 0
    rides = np.ones(claims.num_rows, dtype=np.bool_)  # transport that was not planned has no attending provider
    revenue = tables.lines.table.column("revenue_code")
    rides[tables.lines.parents[~x.as_mask(pc.starts_with(revenue, "054"))]] = False
    add(~attended & ~rides, "required", "An institutional claim has no attending provider (2310A).",
        "Add the attending provider to the visit's parties.", 4, "parties", "NM1", "2310A")  # fmt: skip


# --- lines and diagnoses ------------------------------------------------------------------------------------------------------


def _ordered(parent: Integers, order: Integers, kind: Integers) -> Mask:
    """Rows that break the count 1, 2, 3 … of their claim and kind. The rows stand in this order already."""
    if not len(order):
        return np.zeros(0, dtype=np.bool_)
    starts = np.r_[True, (parent[1:] != parent[:-1]) | (kind[1:] != kind[:-1])]
    places = np.arange(len(order))
    return order != places - np.maximum.accumulate(np.where(starts, places, 0)) + 1


def _check_children(report: _Report) -> None:
    tables, form = report.tables, report.tables.form
    claims, lines, codes = tables.claims, tables.lines.table, tables.diagnoses.table
    add, n = report.add, claims.num_rows
    name = {"837I": "An institutional"}.get(form.kind, f"A {form.name}")
    wrong = (tables.lines.counts == 0) | (tables.lines.counts > form.most_lines)
    if wrong.any():
        add(claims, wrong, "count", f"{name} claim has at least one service line and at most {form.most_lines}; this one has none or too many.",
            "Code the visit, or split it into several claims.", snip=2, loop="2300", segment_id="LX")  # fmt: skip
    kinds = x.flat(codes.column("kind"))
    stray = np.ones(codes.num_rows, dtype=np.bool_)
    for coding in form.diagnoses:
        mine = x.equals(kinds, coding.kind)
        stray &= ~mine
        counts = np.bincount(tables.diagnoses.parents[mine], minlength=n)
        least, most = (form.least_diagnoses if not coding.kind else 0), form.most_diagnoses[coding.kind]
        wrong = (counts < least) | (counts > most)
        if wrong.any():
            what = f"{coding.kind} diagnoses".strip()
            add(claims, wrong, "count", f"{name} claim has {least} to {most} {what}; this one has too few or too many.",
                "Code the visit, or split it into several claims.", snip=2, loop="2300", segment_id="HI")  # fmt: skip
    if stray.any():
        add(codes, stray, "no_place", f"{name} claim has no place for a diagnosis of this kind.",
            "Correct the kind of the diagnosis, or leave it out.", snip=4, loop="2300", segment_id="HI", column="kind")  # fmt: skip
    kind_numbers = np.asarray(kinds.dictionary_encode().indices.to_numpy(), dtype=np.int64)
    for table, gaps, what, segment in (
        (lines, _ordered(tables.lines.parents, x.flat(lines.column("line")).to_numpy(), np.zeros(lines.num_rows, np.int64)),
         "service lines", "LX"),
        (codes, _ordered(tables.diagnoses.parents, x.flat(codes.column("rank")).to_numpy(), kind_numbers), "diagnoses", "HI"),
    ):  # fmt: skip
        if gaps.any():
            add(table, gaps, "order", f"The {what} of the claim are not numbered 1, 2, 3 …",
                "Report this: they are numbered by the program.", snip=1, loop="2300", segment_id=segment)  # fmt: skip
    if lines.num_rows:
        _check_lines(report)


def _check_lines(report: _Report) -> None:
    tables, form, add = report.tables, report.tables.form, report.add
    claims, lines, of_line = tables.claims, tables.lines.table, tables.lines.parents
    n = claims.num_rows
    place: dict[str, Any] = {"loop": "2400", "segment_id": form.service}
    charges, totals = x.unscaled(lines.column("charge")), x.unscaled(claims.column("charge"))
    sums = np.zeros(n, dtype=np.int64)
    np.add.at(sums, of_line, charges)
    if (sums != totals).any():
        element = {"SV1": "SV102", "SV2": "SV203", "SV3": "SV302"}[form.service]
        add(claims, sums != totals, "balance", f"The claim's charge (CLM02) is not the sum of its lines ({element}).",
            "Correct the charge of the visit or of its lines.", snip=3, loop="2300", segment_id="CLM", element=2, column="charge")  # fmt: skip
    if (charges < 0).any():
        add(lines, charges < 0, "amount", "A line has a negative charge.", "Correct the charge in the source.",
            snip=1, element={"SV2": 3}.get(form.service, 2), column="charge", **place)  # fmt: skip
    units = x.as_mask(pc.less_equal(lines.column("units"), pa.scalar(0, pa.int64())))
    if units.any():
        add(lines, units, "units", "A line has no units, or fewer than none.", "Correct the units in the source.",
            snip=1, element={"SV1": 4, "SV2": 5, "SV3": 6}[form.service], column="units", **place)  # fmt: skip
    for column in ("service_date", "service_to", "prior_placement_date"):
        if (days := ~x.day_in_range(lines.column(column))).any():
            add(lines, days, "date", f"The line's {column} is no date of our time.", "Correct it in the source.",
                snip=1, loop="2400", segment_id="DTP", element=3, column=column)  # fmt: skip
    backwards = x.as_mask(pc.less(lines.column("service_to"), lines.column("service_date")))
    if backwards.any():
        add(lines, backwards, "date", "A service ends before it begins (DTP*472).", "Correct the dates in the source.",
            snip=1, loop="2400", segment_id="DTP", element=3, column="service_to")  # fmt: skip
    if form.kind != "837D":
        drug = x.present(lines.column("ndc")) & x.as_mask(pc.is_null(lines.column("ndc_units")))
        if drug.any():
            add(lines, drug, "required", "A line with an NDC has no ndc_units (2410 CTP04).",
                "Complete the drug's quantity in the source.", snip=4, loop="2410", segment_id="CTP", element=4, column="ndc_units")  # fmt: skip
    coded = x.present(lines.column("procedure"))
    for column in ("modifier1", "modifier2", "modifier3", "modifier4", "description"):
        if (alone := x.present(lines.column(column)) & ~coded).any() and form.kind == "837I":
            add(lines, alone, "required", f"A line has a {column} and no procedure that it speaks of (SV202-2).",
                "Add the procedure, or take it away.", snip=4, element=2, column=column, **place)  # fmt: skip
    _check_equipment(report)
    if form.kind != "837I":
        _check_pointers(report, place)
    key = pc.binary_join_element_wise(lines.column("claim_id"), lines.column("line_control_number"), "\x1f")
    counted = pc.value_counts(x.flat(key))
    if len(counted) != lines.num_rows:
        twice = pc.filter(counted.field("values"), pc.greater(counted.field("counts"), 1))
        add(lines, x.as_mask(pc.is_in(key, twice)), "line_control_number",
            "Two lines of the claim have the same line control number (REF*6R).",
            "Report this: line control numbers are made by the program.", snip=1, loop="2400", segment_id="REF",
            element=2, column="line_control_number")  # fmt: skip


def _check_equipment(report: _Report) -> None:
    """What a rental or a certificate states, it states whole."""
    tables, lines = report.tables, report.tables.lines.table
    if not tables.form.place("2400", "SV5"):
        return
    for columns, segment in (
        (("rental_days", "rental_price", "purchase_price", "rental_unit"), "SV5"),
        (("certification_type", "certification_months"), "CR3"),
    ):
        given = [x.present(c) if pa.types.is_string(c.type) else x.as_mask(x.flat(c).is_valid())
                 for c in (lines.column(name) for name in columns)]  # fmt: skip
        some, whole = np.logical_or.reduce(given), np.logical_and.reduce(given)
        if (some & ~whole).any():
            report.add(lines, some & ~whole, "required", f"Equipment is stated in part: {segment} needs {', '.join(columns)}.",
                       _COMPLETE, snip=4, loop="2400", segment_id=segment, column=columns[0])  # fmt: skip


def _check_pointers(report: _Report, place: Mapping[str, Any]) -> None:
    tables, lines = report.tables, report.tables.lines.table
    kinds = x.flat(tables.diagnoses.table.column("kind"))
    plain = x.equals(kinds, "")
    codes = np.bincount(tables.diagnoses.parents[plain], minlength=tables.claims.num_rows)
    bad = np.zeros(lines.num_rows, dtype=np.bool_)
    gap_before = np.zeros(lines.num_rows, dtype=np.bool_)
    needed = tables.form.least_diagnoses > 0
    for number in (1, 2, 3, 4):
        column = x.flat(lines.column(f"pointer{number}"))
        given = ~x.as_mask(pc.is_null(column))
        value = pc.fill_null(column, 0).to_numpy()
        bad |= given & ((value < 1) | (value > codes[tables.lines.parents]) | gap_before)
        gap_before |= ~given
        if number == 1 and needed:
            bad |= ~given
    if bad.any():
        report.add(lines, bad, "pointer", "A line points to no diagnosis of the claim, or to one that is not there.",
                   "Point the line to at least one of the claim's diagnoses.", snip=4,
                   element={"SV3": 11}.get(tables.form.service, 7), column="pointers", **place)  # fmt: skip


# --- nested rows --------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Nested:
    """Nested rows with the table of the claims or lines that they hang on at last; `root` names the row of that table."""

    name: str
    rows: Parts
    owners: pa.Table
    root: Integers

    def where(self, rows: Mask) -> _Nested:
        return _Nested(self.name, self.rows.where(rows), self.owners, self.root[rows])


#: a nested column → the loops that its segment may stand in, the segment, the column that tells its place, and elements
_SEGMENTS: dict[str, dict[str, tuple[tuple[str, ...], str, str, dict[int, str]]]] = {
    "2300": {
        "dates": (("2300",), "DTP", "qualifier", {3: "from_date"}),
        "references": (("2300",), "REF", "qualifier", {2: "value"}),
        "attachments": (("2300",), "PWK", "report_type", {2: "transmission", 6: "control_number"}),
        "notes": (("2300",), "NTE", "kind", {2: "text"}),
        "conditions": (("2300",), "CRC", "category", {3: "code1", 4: "code2", 5: "code3", 6: "code4", 7: "code5"}),
        "transport": (("2300",), "CR1", "", {4: "reason", 9: "round_trip", 10: "stretcher"}),
        "spinal": (("2300",), "CR2", "", {8: "condition", 10: "description", 11: "description2"}),
        "contracts": (("2300",), "CN1", "kind", {4: "code", 6: "version"}),
        "file_information": (("2300",), "K3", "", {1: "text"}),
        "teeth": (("2300",), "DN2", "", {1: "tooth", 2: "status"}),
    },
    "2400": {
        "dates": (("2400",), "DTP", "qualifier", {3: "from_date"}),
        "references": (("2400", "2410"), "REF", "qualifier", {2: "value"}),
        "attachments": (("2400",), "PWK", "report_type", {2: "transmission", 6: "control_number"}),
        "notes": (("2400",), "NTE", "kind", {2: "text"}),
        "conditions": (("2400",), "CRC", "category", {3: "code1", 4: "code2", 5: "code3", 6: "code4", 7: "code5"}),
        "transport": (("2400",), "CR1", "", {4: "reason", 9: "round_trip", 10: "stretcher"}),
        "contracts": (("2400",), "CN1", "kind", {4: "code", 6: "version"}),
        "file_information": (("2400",), "K3", "", {1: "text"}),
        "teeth": (("2400",), "TOO", "", {2: "tooth"}),
        "forms": (("2440",), "LQ", "form_kind", {2: "form"}),
        "measurements": (("2400",), "MEA", "kind", {2: "qualifier"}),
        "adjudications": (("2430",), "SVD", "", {1: "payer_id"}),
    },
}  # fmt: skip
_PARTY = {3: "last", 4: "first", 5: "middle", 7: "suffix", 9: "npi"}
_STREET, _TOWN = {1: "address1", 2: "address2"}, {1: "city", 2: "state", 3: "zip"}


def _check_nested(report: _Report) -> None:
    tables = report.tables
    for level, parts, table in (("2300", tables.parts, tables.claims), ("2400", tables.line_parts, tables.lines.table)):
        for name, rows in parts.items():
            of = _Nested(name, rows, table, rows.owner)
            if name == "references" and level == "2300":
                of = _check_payers_references(report, of)
            if name in _SEGMENTS[level]:
                loops, segment_id, key, elements = _SEGMENTS[level][name]
                if name == "attachments":
                    of = _check_attachments(report, of)
                _by_place(report, of, loops, segment_id, key, elements)
            if name == "parties":
                _check_parties(report, of, level)
            elif name == "identifiers":
                _check_identifiers(report, of, level)
            elif name == "codes":
                _check_codes(report, of)
            elif name == "forms" and tables.form.place("2440", "FRM"):
                place = tables.form.place("2440", "FRM")
                _check_elements(report, of, place, {1: "question", 2: "answer", 3: "text"})
            elif name == "teeth" and level == "2400":
                _surfaces(report, of)
            elif name == "references" and level == "2400":
                _prescriptions(report, of)
            for column in rows.table.column_names:
                if pa.types.is_date(rows.column(column).type):
                    report.nested(of, ~x.day_in_range(rows.column(column)), "date", "A date is no date of our time.", _CORRECT,
                                  snip=1, column=column) if name != "attachments" else None  # fmt: skip


def _by_place(
    report: _Report, of: _Nested, loops: tuple[str, ...], segment_id: str, key: str, elements: Mapping[int, str],
    *, owner: Integers | None = None, more: Integers | None = None,
) -> None:  # fmt: skip
    """Rows without a place, rows beyond a place's repeats, and the elements of each place. `owner`: whose they are, where not
    those of the table that they hang on; `more`: by owner, how many of the place come from elsewhere."""
    form, rows = report.tables.form, of.rows
    keys = x.flat(rows.column(key)) if key else pa.repeat("", len(rows))
    places: dict[int, tuple[Place, list[str]]] = {}
    for value in pc.unique(keys).to_pylist():
        place = next((p for loop in loops if (p := form.place(loop, segment_id, value)) and (value or not key)), None)
        if place is not None:
            places.setdefault(place.index, (place, []))[1].append(value)
    known = [value for _, values in places.values() for value in values]
    stray = ~x.as_mask(pc.is_in(keys, pa.array(known, pa.string())))
    report.nested(of, stray, "no_place", f"The {form.name} claim has no place for this entry of {of.name} ({loops[0]} {segment_id}).",
                  "Correct its kind in the source, or leave it out.", snip=4, loop=loops[0], segment_id=segment_id, column=key)  # fmt: skip
    for place, values in places.values():
        here = x.as_mask(pc.is_in(keys, pa.array(values, pa.string())))
        mine = of.where(here)
        whose = mine.rows.owner if owner is None else owner[here]
        scalars = _scalar_count(report.tables, place) if more is None else more
        per_owner = np.bincount(whose[whose >= 0], minlength=len(scalars) if scalars is not None else 0)
        per_owner = per_owner + (scalars if scalars is not None else 0)
        # a line's form is one loop with many answers
        if place.limit and segment_id not in ("LQ",):
            over = np.append(per_owner > place.limit, False)[whose]
            report.nested(mine, over, "count", f"{place.loop.id} takes at most {place.limit} {place.label}; there are more.",
                          "Leave out what the payer does not need.", snip=2, loop=place.loop.id, segment_id=segment_id)  # fmt: skip
        _check_elements(report, mine, place, elements)


def _scalar_count(tables: Tables, place: Place) -> Integers | None:
    """Where a place is filled by a column of the claim too, 1 for each claim that has it."""
    if place.loop.id == "2330B" and place.id == "REF" and (payers := tables.parts.get("other_payers")) is not None:
        own = {"G1": "authorization_number", "F8": "payer_claim_number"}.get(next(iter(place.keys)))
        return x.present(payers.column(own)).astype(np.int64) if own else None
    if place.loop.id != "2300":
        return None
    column = {"G1": "authorization_number", "431": "onset_date", "439": "accident_date", "435": "admission_date"}.get(
        next(iter(place.keys), "")
    )
    if place.id not in ("REF", "DTP") or column is None:
        return None
    values = tables.claims.column(column)
    return (x.present(values) if pa.types.is_string(values.type) else x.as_mask(x.flat(values).is_valid())).astype(
        np.int64
    )


def _check_elements(
    report: _Report, of: _Nested, place: Place | None, elements: Mapping[int, str], *, whole: bool = True
) -> None:
    """Elements of one place against the guide. `whole` false: the segment may be absent, so nothing is required."""
    if place is None or not len(of.rows):
        return
    charset = report.tables.charset
    for number, name in elements.items():
        if number > len(place.elements) or place.elements[number - 1].usage == "N":
            continue
        element, column = place.elements[number - 1], of.rows.column(name)
        where = {"loop": place.loop.id, "segment_id": place.id, "element": number, "column": name}
        what = f"{of.name} {name} ({place.loop.id} {place.id}{number:02d})"
        if not pa.types.is_string(column.type):
            if element.usage == "R" and whole and column.null_count:
                report.nested(
                    of,
                    x.as_mask(pc.is_null(column)),
                    "required",
                    f"The claim has no {what}.",
                    _COMPLETE,
                    snip=2,
                    **where,
                )
            continue
        size = x.lengths(column)
        if element.usage == "R" and whole:
            report.nested(
                of,
                size == 0,
                "required",
                f"The claim has no {what}, which its 837 must have.",
                _COMPLETE,
                snip=2,
                **where,
            )
        strange = x.outside(column, TEXT[charset])
        if strange is not None:
            report.nested(of, strange, "character", f"{what} holds a character that may not be sent in this element.",
                          "Write it in the source with the characters that the payer accepts; nothing is replaced silently.",
                          snip=1, **where)  # fmt: skip
        wrong = (size > 0) & ((size < element.low) | ((size > element.high) if element.high else False))
        report.nested(of, wrong, "length", f"{what} has a length that the guide does not allow ({element.low} to {element.high}).",
                      _CORRECT, snip=1, **where)  # fmt: skip
        if element.codes and not element.form:
            unknown = (size > 0) & ~wrong & ~x.as_mask(pc.is_in(column, pa.array(sorted(element.codes))))
            report.nested(
                of, unknown, "value", f"{what} has a value that the guide does not know.", _CORRECT, snip=1, **where
            )


def _check_attachments(report: _Report, of: _Nested) -> _Nested:
    """Paperwork and its files: each names the other, or the one that stands alone is told."""
    rows = of.rows
    announced, filed = x.present(rows.column("report_type")), x.present(rows.column("file"))
    how = rows.column("transmission")
    electronic = x.as_mask(pc.is_in(how, pa.array(["EL", "EM", "FT"])))
    sent = electronic | x.as_mask(pc.is_in(how, pa.array(["BM", "FX"])))
    place: dict[str, Any] = {
        "loop": "2300" if "patient_id" in of.owners.column_names else "2400",
        "segment_id": "PWK",
        "snip": 4,
    }
    report.nested(of, filed & ~announced, "attachment", "There is a file for the claim and no entry that announces it (PWK).",
                  "State the kind of the paper and how it is sent, or leave the file out.", column="report_type", **place)  # fmt: skip
    report.nested(of, announced & electronic & ~filed, "attachment",
                  "The claim announces paperwork that is sent electronically, and its file is not there.",
                  "Put the file beside the extract and name it, or say that it is available on request (AA).", column="file", **place)  # fmt: skip
    report.nested(of, announced & sent & ~x.present(rows.column("control_number")), "required",
                  "Paperwork that is sent has no control number (PWK06), so the payer cannot match it.", _COMPLETE,
                  column="control_number", **place)  # fmt: skip
    return of.where(announced)


def _check_parties(report: _Report, of: _Nested, level: str) -> None:
    form = report.tables.form
    roles = form.claim_roles if level == "2300" else form.line_roles
    names = {role.role for role in roles}
    if level == "2300":  # a role that the form knows at lines only stands at each line
        names |= {role.role for role in form.line_roles}
        own = x.as_mask(pc.is_in(of.rows.column("role"), pa.array(sorted(OWN_COLUMNS))))
        report.nested(of, own, "no_place", "Rendering and referring providers and the facility of a claim have columns of their own.",
                      "Put them there.", snip=4, column="role", loop="2310", segment_id="NM1")  # fmt: skip
        names |= set(OWN_COLUMNS)
    stray = ~x.as_mask(pc.is_in(of.rows.column("role"), pa.array(sorted(names))))
    report.nested(of, stray, "no_place", f"The {form.name} claim has no loop for a provider in this role.",
                  "Correct the role in the source, or leave the provider out.", snip=4, column="role", loop=f"{level[:3]}0", segment_id="NM1")  # fmt: skip
    for role in roles:
        if level == "2300" and role.role in OWN_COLUMNS:
            continue
        mine = of.where(of.rows.equal("role", role.role))
        if not len(mine.rows):
            continue
        twice = mine.rows.counts() > 1
        report.nested(mine, twice[mine.rows.owner], "count", f"There are several providers in one role ({role.loop}).",
                      "Keep one.", snip=2, column="role", loop=role.loop, segment_id="NM1")  # fmt: skip
        _check_party(report, mine, role)


def _check_party(report: _Report, mine: _Nested, role: Role) -> None:
    form = report.tables.form
    _check_elements(report, mine, form.place(role.loop, "NM1", role.entity), _PARTY)
    npi = mine.rows.column("npi")
    if x.present(npi).any():
        good = x.as_mask(pc.match_substring_regex(npi, r"^\d{10}$")) | ~x.present(npi)
        report.nested(mine, ~good, "length", f"The NPI of a provider ({role.loop} NM109) has not ten digits.", _CORRECT, snip=1,
                      column="npi", loop=role.loop, segment_id="NM1", element=9)  # fmt: skip
    if role.specialty:
        _check_elements(report, mine, form.place(role.loop, "PRV", role.specialty), {3: "taxonomy"}, whole=False)
    if role.address:
        street = form.place(role.loop, "N3")
        whole = street is not None and street.required
        addressed = mine if whole else mine.where(x.present(mine.rows.column("address1")))
        _check_elements(report, addressed, street, _STREET)
        _check_elements(report, addressed, form.place(role.loop, "N4"), _TOWN)
    numbered = mine.where(x.present(mine.rows.column("id")))
    if len(numbered.rows):
        _by_place(report, numbered, (role.loop,), "REF", "id_qualifier", {2: "id"})
    if role.role == "purchased_service" and form.place("2400", "PS1"):
        nameless = ~x.present(npi) & ~x.present(mine.rows.column("id"))
        report.nested(mine, nameless, "required", "A purchased service has neither NPI nor other number of its provider (PS101).",
                      _COMPLETE, snip=4, column="npi", loop="2400", segment_id="PS1")  # fmt: skip


def _check_payers_references(report: _Report, of: _Nested) -> _Nested:
    """Numbers that other payers gave, by the loop of the payer (2330B); gives those of the claim itself."""
    tables = report.tables
    named = x.present(of.rows.column("payer_id"))
    if named.any():
        _check_payer_is_there(report, of.where(named), "2330B", "REF")
        _by_place(
            report,
            of.where(named),
            ("2330B",),
            "REF",
            "qualifier",
            {2: "value"},
            owner=tables.payer_of(of.rows.where(named)),
        )
    return of.where(~named)


def _check_payer_is_there(report: _Report, of: _Nested, loop: str, segment_id: str) -> None:
    report.nested(of, report.tables.payer_of(of.rows) < 0, "other_payer", f"A number of {of.name} is of a payer who is none of the claim's other payers.",
                  "Add that payer to the claim's other payers, or leave payer_id empty where it is the payer that the claim goes to.",
                  snip=4, column="payer_id", loop=loop, segment_id=segment_id)  # fmt: skip


def _check_identifiers(report: _Report, of: _Nested, level: str) -> None:
    """Each number has a provider in its role, whose loop takes such a number."""
    tables, form = report.tables, report.tables.form
    if level == "2400":
        lines = tables.line_parties
        _check_numbers(report, of, form.line_roles, lambda role: _owners_in_role(lines, role, of.rows.owners))
        return
    named = x.present(of.rows.column("payer_id"))
    if named.any():
        others = of.where(named)
        _check_payer_is_there(report, others, "2330", "NM1")
        everywhere = np.ones(len(tables.parts["other_payers"]) if "other_payers" in tables.parts else 0, dtype=np.bool_)
        known = tables.payer_of(others.rows) >= 0
        _check_numbers(
            report,
            others.where(known),
            form.payer_roles,
            lambda role: everywhere,
            owner=tables.payer_of(others.rows)[known],
        )
    mine = of.where(~named)
    billing = mine.rows.equal("role", "billing")
    stray = billing.copy()
    for loop, kinds in BILLING_NUMBERS:
        here = billing & x.as_mask(pc.is_in(mine.rows.column("id_qualifier"), pa.array(sorted(kinds))))
        if form.place(loop, "REF", sorted(kinds)[0]):
            stray &= ~here
            _by_place(report, mine.where(here), (loop,), "REF", "id_qualifier", {2: "id"})
    report.nested(mine, stray, "no_place", f"The {form.name} claim has no place for a number of this kind of the billing provider.",
                  "Correct its kind in the source, or leave it out.", snip=4, column="id_qualifier", loop="2010AA", segment_id="REF")  # fmt: skip

    def there(role: str) -> Mask:
        if role in OWN_COLUMNS:
            return tables.own_role(role)
        return _owners_in_role(tables.parts.get("parties"), role, tables.claims.num_rows)

    _check_numbers(report, mine.where(~billing), form.claim_roles, there)


def _owners_in_role(rows: Parts | None, role: str, owners: int) -> Mask:
    if rows is None:
        return np.zeros(owners, dtype=np.bool_)
    return rows.where(rows.equal("role", role)).counts() > 0


def _check_numbers(
    report: _Report, of: _Nested, roles: tuple[Role, ...], there: Callable[[str], Mask], *, owner: Integers | None = None
) -> None:  # fmt: skip
    """Numbers of providers by their roles. `there`: owners that have a provider in the role; `owner`: of each number, where it is
    not the claim or line that it stands at."""
    form = report.tables.form
    owner = of.rows.owner if owner is None else owner
    stray = np.ones(len(of.rows), dtype=np.bool_)
    for role in roles:
        mine = of.rows.equal("role", role.role)
        stray &= ~mine
        if not mine.any():
            continue
        nobody = mine.copy()
        nobody[mine] = ~there(role.role)[owner[mine]]
        report.nested(of, nobody, "identifier", f"A number is of a provider who has no loop of the own on the claim ({role.loop}): nobody is named in this role, or it would only repeat who stands above.",
                      "Name the provider in the role, or give the number to the billing provider.", snip=4, column="role",
                      loop=role.loop, segment_id="REF")  # fmt: skip
        _by_place(
            report,
            of.where(mine),
            (role.loop,),
            "REF",
            "id_qualifier",
            {2: "id"},
            owner=owner[mine],
            more=_own_number(report, role, of, owner),
        )
    report.nested(of, stray, "no_place", f"The {form.name} claim has no loop for the number of a provider in this role.",
                  "Correct the role in the source, or leave the number out.", snip=4, column="role", loop="2310", segment_id="REF")  # fmt: skip


def _own_number(report: _Report, role: Role, of: _Nested, owner: Integers) -> Integers | None:
    """By owner, 1 where the provider of the role has a number in its own row already."""
    tables = report.tables
    rows = tables.line_parties if "line" in of.owners.column_names else tables.parts.get("parties")
    if rows is None or role.loop.startswith("2330"):
        return None
    rows = rows.where(rows.equal("role", role.role))
    rows = rows.where(x.present(rows.column("id")))
    return rows.counts()


def _check_codes(report: _Report, of: _Nested) -> None:
    form, rows = report.tables.form, of.rows
    stray = np.ones(len(rows), dtype=np.bool_)
    for coding in form.codes:
        mine = of.where(rows.equal("kind", coding.kind))
        stray &= ~rows.equal("kind", coding.kind)
        if not len(mine.rows):
            continue
        place = form.place("2300", "HI", coding.rest)
        first = form.place("2300", "HI", coding.first)
        if place is None or first is None:
            continue
        width = sum(1 for element in place.elements if element.usage != "N")
        most = max(place.limit, 1) * width + (1 if first is not place and coding.first != coding.rest else 0)
        if coding.together and coding.first != coding.rest:
            most = sum(1 for element in first.elements if element.usage != "N")
        over = mine.rows.counts() > most
        report.nested(mine, over[mine.rows.owner], "count", f"The claim has more codes of one kind than the guide takes ({most}).",
                      "Leave out those that the payer does not need.", snip=2, column="code", loop="2300", segment_id="HI")  # fmt: skip
        size = x.lengths(mine.rows.column("code"))
        strange = x.outside(mine.rows.column("code"), TEXT[report.tables.charset])
        place_of: dict[str, Any] = {"loop": "2300", "segment_id": "HI", "column": "code"}
        report.nested(
            mine,
            (size == 0) | (size > 30),
            "length",
            "A code of the stay is missing or too long (HI).",
            _CORRECT,
            snip=1,
            **place_of,
        )
        if strange is not None:
            report.nested(mine, strange, "character", "A code of the stay holds a character that may not be sent (HI).", _CORRECT,
                          snip=1, **place_of)  # fmt: skip
        for column in {"day": ("from_date",), "span": ("from_date", "to_date"), "amount": ("amount",)}.get(
            coding.value, ()
        ):
            report.nested(mine, x.as_mask(pc.is_null(mine.rows.column(column))), "required",
                          f"A code of the stay lacks its {column} (HI).", _COMPLETE, snip=2, column=column, loop="2300", segment_id="HI")  # fmt: skip
    report.nested(of, stray, "no_place", f"The {form.name} claim has no place for a code of this kind (HI).",
                  "Correct its kind in the source, or leave it out.", snip=4, column="kind", loop="2300", segment_id="HI")  # fmt: skip


def _surfaces(report: _Report, of: _Nested) -> None:
    column = of.rows.column("surfaces")
    if report.tables.form.place("2400", "TOO") and x.present(column).any():
        good = x.as_mask(pc.match_substring_regex(column, "^[BDFILMO]{0,5}$"))
        report.nested(of, ~good, "value", "A tooth's surfaces are none of B D F I L M O, or more than five (TOO03).", _CORRECT,
                      snip=1, column="surfaces", loop="2400", segment_id="TOO", element=3)  # fmt: skip


def _prescriptions(report: _Report, of: _Nested) -> None:
    """A prescription's number belongs to a drug."""
    of_drug = x.as_mask(pc.is_in(of.rows.column("qualifier"), pa.array(["XZ", "VY"])))
    drug = x.present(report.tables.lines.table.column("ndc"))
    report.nested(of, of_drug & ~drug[of.rows.owner], "required", "A line has a prescription number and no NDC (2410 LIN03).",
                  "Add the drug's NDC, or leave the number out.", snip=4, column="qualifier", loop="2410", segment_id="REF")  # fmt: skip


# --- other payers ---------------------------------------------------------------------------------------------------------------


def _check_other_payers(report: _Report) -> None:
    tables, form = report.tables, report.tables.form
    payers = tables.parts.get("other_payers")
    decided = tables.adjudications
    if decided is not None:
        of = _Nested("adjudications", decided, tables.lines.table, decided.owner)
        payer = _payer_of(tables, payers, decided)
        report.nested(of, payer < 0, "other_payer", "A line was decided by a payer who is none of the claim's other payers (SVD01).",
                      "Add that payer to the claim's other payers.", snip=4, column="payer_id", loop="2430", segment_id="SVD", element=1)  # fmt: skip
        if (cas := tables.below(decided, "adjustments")) is not None:
            _check_adjustments(
                report, _Nested("adjudications.adjustments", cas, tables.lines.table, decided.owner[cas.owner]), "2430"
            )
    if payers is None:
        return
    of = _Nested("other_payers", payers, tables.claims, payers.owner)
    counts = payers.counts()
    report.nested(of, (counts > 10)[payers.owner], "count", "A claim has more than ten other payers (2320).",
                  "Leave out payers that have nothing to do with this claim.", snip=2, loop="2320", segment_id="SBR")  # fmt: skip
    _check_elements(report, of, form.place("2320", "SBR"), {1: "responsibility", 3: "group_number", 4: "group_name",
                                                              5: "insurance_type", 9: "filing_indicator"})  # fmt: skip
    related = of.where(x.present(payers.column("relationship")))
    _check_elements(report, related, form.place("2320", "SBR"), {2: "relationship"})
    own = ~x.present(payers.column("subscriber_last"))
    unrelated = ~own & ~x.present(payers.column("relationship"))
    report.nested(of, unrelated, "required", "Another payer's subscriber has no relationship to the patient (2320 SBR02).", _COMPLETE,
                  snip=2, column="relationship", loop="2320", segment_id="SBR", element=2)  # fmt: skip
    _check_elements(report, of, form.place("2330A", "NM1", "IL"), {9: "member_id"})
    named = of.where(~own)
    _check_elements(
        report,
        named,
        form.place("2330A", "NM1", "IL"),
        {3: "subscriber_last", 4: "subscriber_first", 5: "subscriber_middle"},
    )
    housed = of.where(x.present(payers.column("subscriber_address1")))
    _check_elements(report, housed, form.place("2330A", "N3"), {1: "subscriber_address1"})
    _check_elements(
        report, housed, form.place("2330A", "N4"), {1: "subscriber_city", 2: "subscriber_state", 3: "subscriber_zip"}
    )
    _check_elements(report, of, form.place("2330B", "NM1", "PR"), {3: "payer_name", 9: "payer_id"})
    placed = of.where(x.present(payers.column("payer_address1")))
    _check_elements(report, placed, form.place("2330B", "N3"), {1: "payer_address1"})
    _check_elements(report, placed, form.place("2330B", "N4"), {1: "payer_city", 2: "payer_state", 3: "payer_zip"})
    for name, (segment_id, columns) in DECISIONS.items():
        if (told := tables.below(payers, name)) is not None:
            below = _Nested(f"other_payers.{name}", told, tables.claims, payers.owner[told.owner])
            _by_place(report, below, ("2320",), segment_id, "", {n: c for n, c in enumerate(columns, 1) if c})
    for qualifier, column in (("G1", "authorization_number"), ("F8", "payer_claim_number")):
        _check_elements(
            report, of.where(x.present(payers.column(column))), form.place("2330B", "REF", qualifier), {2: column}
        )
    _check_elements(
        report, of, form.place("2320", "OI"), {3: "benefits_assignment", 6: "release_of_information"}, whole=False
    )
    own_place = pc.if_else(
        pc.equal(tables.claims.column("payer_responsibility"), ""), "P", tables.claims.column("payer_responsibility")
    )
    for column, others, message, fix in (
        ("responsibility", payers.of(own_place), "Two payers of a claim have the same place in the order of payers (SBR01).",
         "Give each payer its own place: P, S, T, then A to H."),
        ("payer_id", None, "Two other payers of a claim have the same id (2330B NM109).", "Give each payer its own id."),
    ):  # fmt: skip
        key = pc.binary_join_element_wise(payers.of(tables.ids), x.flat(payers.column(column)), "\x1f")
        counted = pc.value_counts(key)
        twice = x.as_mask(pc.is_in(key, pc.filter(counted.field("values"), pc.greater(counted.field("counts"), 1))))
        if others is not None:
            twice |= x.as_mask(pc.equal(x.flat(payers.column(column)), x.flat(others)))
        report.nested(of, twice, "other_payer", message, fix, snip=4, column=column, loop="2320", segment_id="SBR")
    if (cas := tables.below(payers, "adjustments")) is not None:
        _check_adjustments(
            report, _Nested("other_payers.adjustments", cas, tables.claims, payers.owner[cas.owner]), "2320"
        )
    _check_balances(report, of)


def _payer_of(tables: Tables, payers: Parts | None, decided: Parts) -> Integers:
    """The other payer of the claim that each decision on a line names; -1 where none."""
    if payers is None:
        return np.full(len(decided), -1, dtype=np.int64)
    known = pc.binary_join_element_wise(payers.of(tables.ids), x.flat(payers.column("payer_id")), "\x1f")
    claims = tables.ids.take(pa.array(tables.lines.parents[decided.owner]))
    mine = pc.binary_join_element_wise(claims, x.flat(decided.column("payer_id")), "\x1f")
    return np.asarray(
        pc.fill_null(pc.index_in(mine, value_set=known), -1).to_numpy(zero_copy_only=False), dtype=np.int64
    )


def _check_adjustments(report: _Report, of: _Nested, loop: str) -> None:
    _check_elements(report, of, report.tables.form.place(loop, "CAS"), {1: "group", 2: "reason"})
    group = of.rows.column("group")
    known = x.as_mask(pc.is_in(group, pa.array(["CO", "OA", "PI", "PR"])))
    report.nested(of, x.present(group) & ~known, "value", "An adjustment's group is none of CO, OA, PI, PR (CAS01).", _CORRECT,
                  snip=1, column="group", loop=loop, segment_id="CAS", element=1)  # fmt: skip
    zero = x.as_mask(pc.equal(of.rows.column("amount"), pa.scalar(0, pa.int64()))) | x.as_mask(
        pc.is_null(of.rows.column("amount"))
    )
    report.nested(of, zero, "amount", "An adjustment has no amount, or an amount of zero (CAS03).", "Leave the adjustment out.",
                  snip=1, column="amount", loop=loop, segment_id="CAS", element=3)  # fmt: skip
    segments: dict[int, int] = {}
    groups = np.asarray(x.flat(group).dictionary_encode().indices.to_numpy(), dtype=np.int64)
    if len(groups):
        keys, counts = np.unique(of.rows.owner * (groups.max() + 1) + groups, return_counts=True)
        for owner, needed in zip((keys // (groups.max() + 1)).tolist(), (-(-counts // 6)).tolist(), strict=True):
            segments[owner] = segments.get(owner, 0) + needed
    over = np.array([segments.get(owner, 0) > 5 for owner in of.rows.owner.tolist()], dtype=np.bool_)
    report.nested(of, over, "count", "There are more adjustments than five CAS segments hold.", "Group them by reason.", snip=2,
                  column="reason", loop=loop, segment_id="CAS")  # fmt: skip


def _money(column: pa.ChunkedArray) -> Integers:
    """Cents; 0 for null."""
    array = x.flat(column)
    if array.null_count:
        array = pc.fill_null(array, pa.scalar(Decimal(0), array.type))
    return np.asarray(x.unscaled(array), dtype=np.int64)


def _sum(values: Integers, by: Integers, size: int) -> Integers:
    out = np.zeros(size, dtype=np.int64)
    np.add.at(out, by, values)
    return out


def _check_balances(report: _Report, of: _Nested) -> None:
    """What prior payers decided adds up: by line, by claim, and both together (SNIP 3)."""
    tables, payers = report.tables, of.rows
    n = len(payers)
    place: dict[str, Any] = {"snip": 3, "loop": "2320"}
    charge = x.unscaled(tables.claims.column("charge"))[payers.owner]
    has_paid, not_covered = (x.as_mask(x.flat(payers.column(c)).is_valid()) for c in ("paid", "non_covered"))
    paid = _money(payers.column("paid"))
    at_claim = np.zeros(n, dtype=np.int64)
    some = np.zeros(n, dtype=np.bool_)
    if (cas := tables.below(payers, "adjustments")) is not None:
        at_claim = _sum(_money(cas.column("amount")), cas.owner, n)
        some[cas.owner] = True
    line_paid, line_cas = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64)
    by_line = np.zeros(n, dtype=np.bool_)
    decided = tables.adjudications
    if decided is not None:
        payer = _payer_of(tables, payers, decided)
        known = payer >= 0
        amounts, taken = _money(decided.column("paid")), np.zeros(len(decided), dtype=np.int64)
        if (cas := tables.below(decided, "adjustments")) is not None:
            taken = _sum(_money(cas.column("amount")), cas.owner, len(decided))
        line_paid, line_cas = _sum(amounts[known], payer[known], n), _sum(taken[known], payer[known], n)
        by_line[payer[known]] = True
        key = decided.owner * n + payer
        _, first, inverse = np.unique(key, return_index=True, return_inverse=True)
        total = _sum(amounts + taken, inverse, len(first))
        wrong = (total != x.unscaled(tables.lines.table.column("charge"))[decided.owner[first]])[inverse] & known
        report.nested(_Nested("adjudications", decided, tables.lines.table, decided.owner), wrong, "balance",
                      "A line's charge is not what the other payer paid and adjusted on it (SVD02, CAS).",
                      "Take the payer's remittance and complete its payment or adjustments of the line.", snip=3,
                      column="paid", loop="2430", segment_id="SVD", element=2)  # fmt: skip
    report.nested(of, not_covered & ((_money(payers.column("non_covered")) != charge) | has_paid | some | by_line), "balance",
                  "The whole charge is said not to be covered (AMT*A8), and it is not the claim's charge, or there are payments or adjustments beside it.",
                  "Leave out one or the other.", column="non_covered", segment_id="AMT", **place)  # fmt: skip
    worked = (has_paid | some | by_line) & ~not_covered
    report.nested(of, worked & ~has_paid, "required", "Another payer decided on the claim, and what it paid is missing (AMT*D).",
                  "Give the amount paid, 0 where it was nothing.", column="paid", segment_id="AMT", snip=2, loop="2320")  # fmt: skip
    worked &= has_paid
    report.nested(of, worked & by_line & (paid != line_paid - at_claim), "balance",
                  "What another payer paid on the claim (AMT*D) is not what it paid on the lines less its adjustments at the claim.",
                  "Take the amounts from the payer's remittance.", column="paid", segment_id="AMT", **place)  # fmt: skip
    report.nested(of, worked & (charge != paid + at_claim + line_cas), "balance",
                  "The claim's charge is not what another payer paid plus all its adjustments, of the claim and of its lines (CAS).",
                  "Take the amounts from the payer's remittance; each stands at the claim or at a line, never at both.",
                  column="paid", segment_id="AMT", **place)  # fmt: skip


# --- what has no place ------------------------------------------------------------------------------------------------------------


def _check_unsent(report: _Report) -> None:
    tables = report.tables
    for names, table in zip(unsent(tables.form), (tables.claims, tables.lines.table), strict=True):
        for name in names:
            column = table.column(name)
            if column.null_count == len(column):
                continue
            given = x.present(column) if pa.types.is_string(column.type) else x.as_mask(x.flat(column).is_valid())
            if pa.types.is_boolean(column.type):
                given = x.as_mask(column)
            if given.any():
                report.add(table, given, "unsent", f"The {tables.form.name} claim has no place for {name}: it is not sent.",
                           "Nothing has to be done where the payer does not need it.", snip=4, warning=True, column=name)  # fmt: skip

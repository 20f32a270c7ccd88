"""The proof that a file says what was meant, by three readers before it leaves.

`validated`: our validator, strict. `compared`: our reader gives the tables back, and they are compared with the tables that
went in, claim by claim and line by line; and every segment of the file is compared with what the tables say it should be
(`readback`). Nothing is taken from the writer's own texts. `structure`: badx12, written by others, counts envelopes, segments and
claims.
"""

from __future__ import annotations

import bisect
import itertools
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import badx12
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline import transactions
from pipeline.claims import readback
from pipeline.findings import Finding
from pipeline.transactions.claim_837_forms import Coding
from pipeline.transactions.claim_837_parts import Column, Parts
from pipeline.transactions.claim_837_route import Numbers
from pipeline.transactions.claim_837_tables import OWN_COLUMNS
from pipeline.transactions.claim_837_writer import Interchange837
from pipeline.wording import counted
from pipeline.x12 import columns as x
from pipeline.x12 import validator
from pipeline.x12.segments import iter_segments

_REPORT = "Nothing was sent. Report this with the batch's number: it is a defect of the program."
#: badx12 keeps about a hundred bytes for each of a file's: larger files are given to it set by set
_WHOLE = 2_000_000


def validated(data: bytes) -> list[Finding]:
    """What the strict validator finds: errors stop a claim or the file, warnings go on record."""
    return validator.validate(data, mode="strict")


# --- whose fault --------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Region:
    start: int
    claims: list[str]


def blame(data: bytes, findings: Sequence[Finding]) -> tuple[dict[str, list[Finding]], list[Finding]]:
    """Findings by the claims whose data they stand on, and those that no claim can answer for.

    A finding in a claim is that claim's; one in a patient, subscriber or billing provider loop belongs to all claims of
    the loop; one in the envelope or the header of a set to none.
    """
    if not findings:
        return {}, []
    blamed: dict[str, list[Finding]] = defaultdict(list)
    unblamed: list[Finding] = []
    for finding, claims in zip(findings, _claims_of(data, findings), strict=True):
        for claim_id in claims:
            blamed[claim_id].append(finding)
        if not claims:
            unblamed.append(finding)
    return dict(blamed), unblamed


def first_claims(data: bytes, findings: Sequence[Finding]) -> list[str]:
    """The claim that each finding stands in, or the first of those that the loop belongs to; empty where it belongs to none."""
    return [next(iter(claims), "") for claims in _claims_of(data, findings)]


def _claims_of(data: bytes, findings: Sequence[Finding]) -> list[list[str]]:
    if not findings:
        return []
    regions = _regions(data)
    starts = [region.start for region in regions]
    at = (bisect.bisect_right(starts, f.segment) - 1 if f.segment else -1 for f in findings)
    return [regions[index].claims if index >= 0 else [] for index in at]


def _regions(data: bytes) -> list[_Region]:
    regions: list[_Region] = [_Region(1, [])]
    open_loops: list[tuple[str, _Region]] = []
    for segment in iter_segments(data):
        if segment.id == "HL":
            level = segment.element(3)
            open_loops = [(known, region) for known, region in open_loops if known < level]
            regions.append(_Region(segment.number, []))
            open_loops.append((level, regions[-1]))
        elif segment.id == "CLM":
            regions.append(_Region(segment.number, []))
            for region in (*(region for _, region in open_loops), regions[-1]):
                region.claims.append(segment.element(1))
        elif segment.id in ("ST", "SE"):
            regions.append(_Region(segment.number, []))
            open_loops = []
    return regions


# --- read back by our reader ----------------------------------------------------------------------------------------------


def compared(data: bytes, meant: Interchange837, on: date, numbers: Numbers) -> list[Finding]:
    """Differences between what our reader finds in the bytes and what was meant; empty where they agree."""
    result = transactions.read(data, mode="strict")
    findings = [f for f in result.findings if f.severity == "error"]
    t = result.tables
    if "837.claims" not in t:
        return [*findings, _fault("837.readback", "Our reader finds no claims in the file.")]
    findings += _envelope(t["interchanges"], meant, on, numbers)
    findings += _claims(t["837.claims"], meant, numbers)
    findings += _lines(t["837.service_lines"], meant)
    findings += _codes(t["837.diagnoses"], meant)
    findings += _providers(t["837.parties"], meant)
    findings += _other_payers(t["837.other_payers"], meant)
    return findings or readback.differences(data, meant, on, numbers)  # a fault is told once


def _claims(found: pa.Table, meant: Interchange837, numbers: Numbers) -> list[Finding]:
    tables, claims, form, route, n = meant.tables, meant.claims, meant.form, meant.route, len(meant)
    own = pa.array(meant.in_file(tables.own))

    def whose(part: str) -> pa.Array:
        return pc.if_else(own, claims.column(f"patient_{part}"), claims.column(f"subscriber_{part}"))

    def agreed(column: str, default: str) -> pa.Array:
        array = x.flat(claims.column(column))
        return pc.if_else(pc.equal(array, ""), default, array)

    expected: dict[str, Column] = {
        "claim_id": claims.column("claim_id"), "charge": claims.column("charge"),
        "facility_code": claims.column(form.place_column), "facility_qualifier": _same(form.place_qualifier, n),
        "frequency": claims.column("frequency"), "assignment": agreed("assignment", route.assignment),
        "benefits_assignment": agreed("benefits_assignment", route.benefits_assignment),
        "release_of_information": agreed("release_of_information", route.release_of_information),
        "payer_responsibility": agreed("payer_responsibility", "P"),
        "related_causes": claims.column("accident_kind") if form.related_causes else _same("", n),
        "filing_indicator": _same(route.filing_indicator, n),
        "relationship": pc.if_else(own, "18", claims.column("relationship")),
        "authorization_number": _authorization(meant), "payer_claim_number": claims.column("payer_claim_number"),
        "billing_npi": claims.column("billing_npi"), "subscriber_id": meant.in_file(tables.member_id),
        "subscriber_last": whose("last"), "subscriber_first": whose("first"),
        "patient_last": claims.column("patient_last"), "patient_first": claims.column("patient_first"),
        "patient_birth_date": claims.column("patient_birth_date"), "patient_sex": claims.column("patient_sex"),
        "payer_id": _same(route.payer_id, n), "set_control": pa.array(meant.set_controls()),
        "interchange_control": _same(f"{numbers.interchange:09d}", n), "group_control": _same(str(numbers.group), n),
        "version": _same(form.guide, n),
    }  # fmt: skip
    if form.place("2300", "DTP", "434"):
        expected |= {"statement_from": claims.column("service_from"), "statement_to": claims.column("service_to")}
    return _differences("837.claims", found, claims.column("claim_id"), expected)


def _authorization(meant: Interchange837) -> pa.Array:
    """REF*G1: the claim's own column, else a number among its references."""
    own = x.flat(meant.claims.column("authorization_number"))
    rows = meant.tables.parts.get("references")
    if rows is None or not len(rows := rows.where(rows.equal("qualifier", "G1"))):
        return own
    rows = rows.where(rows.within() == 0)
    listed = meant.in_file(pc.fill_null(x.spread(x.flat(rows.column("value")), rows.counts() > 0), ""))
    return pc.if_else(pc.equal(own, ""), listed, own)


def _lines(found: pa.Table, meant: Interchange837) -> list[Finding]:
    tables, form, lines = meant.tables, meant.form, meant.lines
    coded = x.present(lines.column("procedure"))
    day, last = x.flat(lines.column("service_date")), x.flat(lines.column("service_to"))
    last = pc.if_else(pc.fill_null(pc.greater(last, day), False), last, day)
    expected: dict[str, Column] = {
        "claim_id": lines.column("claim_id"), "line_number": lines.column("line"),
        "qualifier": pc.if_else(pa.array(coded), lines.column("qualifier"), ""),
        **{name: lines.column(name) for name in (
            "procedure", "modifier1", "modifier2", "modifier3", "modifier4", "description", "charge", "units",
            "line_control_number")},
    }  # fmt: skip
    if form.kind != "837D":
        expected |= {name: lines.column(name) for name in ("unit_basis", "ndc")}
    if form.kind == "837I":
        expected["revenue_code"] = lines.column("revenue_code")
    else:
        order = pa.array(tables.lines.places(meant.in_file(np.arange(len(meant)))))
        place = x.flat(lines.column("place_of_service"))
        claims_own = tables.lines.of(tables.claims.column("place_of_service")).take(order)
        expected |= {f"pointer{n}": lines.column(f"pointer{n}") for n in (1, 2, 3, 4)}
        expected["place_of_service"] = pc.if_else(pc.equal(place, claims_own), "", place)
        if form.kind == "837D":
            planned = tables.lines.of(pc.fill_null(tables.claims.column("predetermination"), False)).take(order)
            day, last = (pc.if_else(planned, pa.scalar(None, pa.date32()), column) for column in (day, last))
    expected |= {"service_from": day, "service_to": last}
    return _differences("837.service_lines", found, lines.column("claim_id"), expected)


def _codes(found: pa.Table, meant: Interchange837) -> list[Finding]:
    """Every code of HI, qualifier by qualifier, in the order of the file."""
    tables, form, n = meant.tables, meant.form, len(meant)
    diagnoses = Parts(tables.diagnoses.table, tables.diagnoses.parents, n)
    stated: list[tuple[Coding, Parts]] = [(c, diagnoses.where(diagnoses.equal("kind", c.kind))) for c in form.diagnoses]
    if (codes := tables.parts.get("codes")) is not None:
        stated += [(c, codes.where(codes.equal("kind", c.kind))) for c in form.codes]
    findings: list[Finding] = []
    known: list[str] = []
    for coding, rows in stated:
        rank = np.asarray(x.flat(rows.column("rank")).to_numpy())
        rows = _filed(meant, rows, rank)
        first = rows.within() == 0
        for qualifier in dict.fromkeys((coding.first, coding.rest)):
            mine = rows if coding.first == coding.rest else rows.where(first if qualifier == coding.first else ~first)
            known.append(qualifier)
            expected: dict[str, Column] = {"code": mine.column("code")}
            if coding.value == "amount":
                expected["amount"] = mine.column("amount")
            elif coding.value:
                expected["date"] = mine.column("from_date")
            here = found.filter(pc.equal(found.column("qualifier"), qualifier))
            findings += _differences(
                f"837.diagnoses {qualifier}", here, mine.of(tables.ids), {"claim_id": mine.of(tables.ids)} | expected
            )
    others = int(pc.sum(pc.invert(pc.is_in(found.column("qualifier"), pa.array(known)))).as_py() or 0)
    return [*findings, *([_fault("837.readback", "The file holds codes that were not meant.")] if others else [])]


def _filed(meant: Interchange837, rows: Parts, *within: np.ndarray) -> Parts:
    """Rows of claims in the order of the file. Their owners stay numbered by the order of the ids."""
    place = np.empty(len(meant), dtype=np.int64)
    place[meant.in_file(np.arange(len(meant)))] = np.arange(len(meant))
    order = np.lexsort((*within, place[rows.owner]))
    return Parts(rows.table.take(pa.array(order)), rows.owner[order], rows.owners)


def _filed_lines(meant: Interchange837, rows: Parts) -> Parts:
    lines = meant.tables.lines
    place = np.empty(lines.table.num_rows, dtype=np.int64)
    place[lines.places(meant.in_file(np.arange(len(meant))))] = np.arange(lines.table.num_rows)
    order = np.argsort(place[rows.owner], kind="stable")
    return Parts(rows.table.take(pa.array(order)), rows.owner[order], rows.owners)


def _same(text: str, rows: int) -> pa.Array:
    return pa.repeat(text, rows)


def _fault(rule: str, message: str, subject: str = "") -> Finding:
    return Finding(rule=rule, severity="error", message=message, fix=_REPORT, subject=subject)


def _envelope(found: pa.Table, meant: Interchange837, on: date, numbers: Numbers) -> list[Finding]:
    rows = {
        level: [row for row in found.to_pylist() if row["level"] == level] for level in ("interchange", "group", "set")
    }
    route = meant.route
    expected: dict[str, list[dict[str, object]]] = {
        "interchange": [{"interchange_control": f"{numbers.interchange:09d}", "usage": route.usage, "interchange_date": on,
                         "sender_id": route.sender_id, "receiver_id": route.receiver_id}],
        "group": [{"group_control": str(numbers.group), "functional_id": "HC", "version": meant.form.guide,
                   "group_sender": route.group_sender, "group_receiver": route.group_receiver}],
        "set": [{"set_control": control, "set_id": "837"} for control in sorted(set(meant.set_controls()))],
    }  # fmt: skip
    return [
        _fault("837.readback", f"The file's {level} does not say what was meant.")
        for level, wanted in expected.items()
        if [{key: row[key] for key in wanted[0]} for row in rows[level]] != wanted
    ]


def _differences(table: str, found: pa.Table, subjects: Column, expected: dict[str, Column]) -> list[Finding]:
    """One finding a claim and column that differ, or one for the whole table where the number of rows does."""
    if found.num_rows != len(subjects):
        return [
            _fault("837.readback", f"{table}: {counted(found.num_rows, 'row')} in the file; meant: {len(subjects)}.")
        ]
    findings: list[Finding] = []
    for name, column in expected.items():
        wrong = _unequal(x.flat(column), x.flat(found.column(name)))
        claims = sorted({subjects[row].as_py() for row in np.flatnonzero(wrong).tolist()})
        findings += [
            _fault("837.readback", f"{table}, {name}: the file says something else than was meant.", claim_id)
            for claim_id in claims
        ]
    return findings


def _unequal(meant: pa.Array, found: pa.Array) -> x.Mask:
    if pa.types.is_string(meant.type):  # an empty element and an absent one are the same thing
        meant, found = pc.fill_null(meant, ""), pc.fill_null(found.cast(pa.string()), "")
    same = pc.fill_null(pc.equal(meant, found.cast(meant.type)), False)
    both_null = pc.and_(pc.is_null(meant), pc.is_null(found))
    return ~x.as_mask(pc.or_(same, both_null))


def _providers(parties: pa.Table, meant: Interchange837) -> list[Finding]:
    """Providers and places stand in their roles at exactly the claims and lines that were meant to have them."""
    tables, claims = meant.tables, meant.claims
    findings: list[Finding] = []
    for role in tables.form.claim_roles:
        here = _in_loop(parties, role.loop, role.entity)
        expected: dict[str, Column]
        if role.role in OWN_COLUMNS:
            wanted = claims.filter(pa.array(meant.in_file(tables.own_role(role.role))))
            expected = {"claim_id": wanted.column("claim_id")}
            if role.role != "facility":
                expected["id"] = wanted.column(f"{role.role}_npi")
        else:
            rows = tables.role(role.role)
            rows = _filed(meant, rows) if rows is not None else None
            expected = {"claim_id": rows.of(tables.ids), "id": rows.column("npi")} if rows is not None else {"claim_id": pa.array([], pa.string())}  # fmt: skip
        findings += _differences(f"837.parties {role.loop} {role.entity}", here, expected["claim_id"], expected)
    lines = tables.line_parties
    lines = _filed_lines(meant, lines) if lines is not None else None
    for role in tables.form.line_roles:
        here = _in_loop(parties, role.loop, role.entity)
        expected = {"claim_id": pa.array([], pa.string())}
        if lines is not None:
            rows = lines.where(lines.equal("role", role.role))
            expected = {"claim_id": rows.of(tables.lines.table.column("claim_id")),
                        "line_number": rows.of(tables.lines.table.column("line")), "id": rows.column("npi")}  # fmt: skip
        findings += _differences(f"837.parties {role.loop} {role.entity}", here, expected["claim_id"], expected)
    return findings


def _in_loop(parties: pa.Table, loop: str, entity: str) -> pa.Table:
    return parties.filter(pc.and_(pc.equal(parties.column("loop"), loop), pc.equal(parties.column("entity"), entity)))


def _other_payers(found: pa.Table, meant: Interchange837) -> list[Finding]:
    tables = meant.tables
    rows = tables.parts.get("other_payers")
    if rows is None:
        none = pa.array([], pa.string())
        return _differences("837.other_payers", found, none, {"claim_id": none})
    rows = _filed(meant, rows)
    decided = pc.if_else(
        pa.array(tables.decided_by_line(rows)), pa.scalar(None, pa.date32()), x.flat(rows.column("paid_date"))
    )
    ids = rows.of(tables.ids)
    return _differences("837.other_payers", found, ids, {
        "claim_id": ids, **{name: rows.column(name) for name in (
            "responsibility", "group_number", "filing_indicator", "paid", "remaining", "payer_name", "payer_id", "payer_claim_number")},
        "noncovered": rows.column("non_covered"), "adjudication_date": decided,
    })  # fmt: skip


# --- read by others -------------------------------------------------------------------------------------------------------


class Badx12(badx12.Parser):
    """badx12 as it is, but for one thing: to learn what the envelope's segments are called it builds six empty envelopes for each
    segment of a file, six sevenths of its time. Here their names stand in a table; what it makes of a segment is its own."""

    _ENVELOPE = (
        ("ISA", None), ("GS", "_parse_group_header"), ("GE", "_parse_group_trailer"), ("ST", "_parse_transaction_set_header"),
        ("SE", "_parse_transaction_set_trailer"), ("IEA", "_parse_interchange_trailer"),
    )  # fmt: skip

    def _route_segment_to_parser(self, segment: str) -> None:
        for start, reader in self._ENVELOPE:
            if segment.startswith(start):
                if reader:
                    getattr(self, reader)(segment)
                return
        self._parse_unknown_body(segment)


def structure(data: bytes, meant: Interchange837) -> list[Finding]:
    """What badx12 counts against what was meant: envelopes, control numbers, segments (SE01), claims and lines by set."""
    counts = meant.claims_and_lines_by_set()
    pieces = (
        [(data, counts)]
        if len(data) <= _WHOLE
        else list(zip(_set_by_set(data, b"\n" if meant.route.newline else b"~"), ([c] for c in counts), strict=True))
    )
    findings: list[Finding] = []
    for piece, expected in pieces:
        document = Badx12(piece.decode("ascii")).document
        found = []
        for group in document.interchange.groups:
            for transaction in group.transaction_sets:
                ids = [segment.fields[0].content for segment in transaction.transaction_body]
                found.append((ids.count("CLM"), ids.count("LX")))
        errors = [type(error).__name__ for error in document.validate().error_list]
        if errors:
            findings.append(_fault("837.structure", f"badx12 reports of the file: {', '.join(sorted(set(errors)))}."))
        if found != expected or len(document.interchange.groups) != 1:
            findings.append(
                _fault("837.structure", "badx12 counts other sets, claims or lines in the file than were meant.")
            )
    return findings


def _set_by_set(data: bytes, before: bytes) -> list[bytes]:
    """Each transaction set as an interchange of its own, its bytes untouched. `before` ends the byte before a segment."""
    starts = [*_places(data, before + b"ST*"), data.rindex(before + b"GE*") + 1]
    head, tail = data[: starts[0]], data[starts[-1] :]
    ge, rest = tail.split(b"*", 2)[0], tail.split(b"*", 2)[2]
    return [head + data[a:b] + ge + b"*1*" + rest for a, b in itertools.pairwise(starts)]


def _places(data: bytes, mark: bytes) -> list[int]:
    places, at = [], data.find(mark)
    while at >= 0:
        places.append(at + 1)
        at = data.find(mark, at + 1)
    return places

"""The proof that a file says what was meant, by three readers before it leaves.

`validated`: our validator, strict. `compared`: our reader gives the tables back, and they are compared with the tables that
went in, claim by claim and line by line: nothing is taken from the writer's own texts. `structure`: badx12, written by
others, counts envelopes, segments and claims.
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
from pipeline.findings import Finding
from pipeline.transactions import professional_837_fields as fields
from pipeline.transactions.professional_837_writer import GUIDE, Interchange837P, Numbers
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
    regions = _regions(data)
    starts = [region.start for region in regions]
    blamed: dict[str, list[Finding]] = defaultdict(list)
    unblamed: list[Finding] = []
    for finding in findings:
        index = bisect.bisect_right(starts, finding.segment) - 1 if finding.segment else -1
        claims = regions[index].claims if index >= 0 else []
        for claim_id in claims:
            blamed[claim_id].append(finding)
        if not claims:
            unblamed.append(finding)
    return dict(blamed), unblamed


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


def compared(data: bytes, meant: Interchange837P, on: date, numbers: Numbers) -> list[Finding]:
    """Differences between what our reader finds in the bytes and what was meant; empty where they agree."""
    result = transactions.read(data, mode="strict")
    findings = [f for f in result.findings if f.severity == "error"]
    t = result.tables
    if "837.claims" not in t:
        return [*findings, _fault("837P.readback", "Our reader finds no claims in the file.")]
    findings += _envelope(t["interchanges"], meant, on, numbers)
    own = x.flat(pc.equal(meant.claims.column("relationship"), "18"))
    claims = meant.claims

    def whose(part: str) -> pa.Array:
        return pc.if_else(own, claims.column(f"patient_{part}"), claims.column(f"subscriber_{part}"))

    def agreed(column: str, default: str) -> pa.Array:
        array = x.flat(claims.column(column))
        return pc.if_else(pc.equal(array, ""), default, array)

    route, n = meant.route, len(meant)
    findings += _differences("837.claims", t["837.claims"], claims.column("claim_id"), {
        "claim_id": claims.column("claim_id"), "charge": claims.column("charge"),
        "facility_code": claims.column("place_of_service"), "frequency": claims.column("frequency"),
        "assignment": agreed("assignment", route.assignment),
        "benefits_assignment": agreed("benefits_assignment", route.benefits_assignment),
        "release_of_information": agreed("release_of_information", route.release_of_information),
        "related_causes": claims.column("accident_kind"), "filing_indicator": _same(route.filing_indicator, n),
        "relationship": claims.column("relationship"), "authorization_number": claims.column("authorization_number"),
        "payer_claim_number": claims.column("payer_claim_number"), "billing_npi": claims.column("billing_npi"),
        "subscriber_id": claims.column("member_id"), "subscriber_last": whose("last"), "subscriber_first": whose("first"),
        "patient_last": claims.column("patient_last"), "patient_first": claims.column("patient_first"),
        "patient_birth_date": claims.column("patient_birth_date"), "patient_sex": claims.column("patient_sex"),
        "payer_id": _same(route.payer_id, n), "set_control": pa.array(meant.set_controls()),
        "interchange_control": _same(f"{numbers.interchange:09d}", n), "group_control": _same(str(numbers.group), n),
        "version": _same(GUIDE, n),
    })  # fmt: skip
    lines, place = meant.lines, x.flat(meant.lines.column("place_of_service"))
    claim_place = claims.column("place_of_service").take(
        pc.index_in(lines.column("claim_id"), x.flat(claims.column("claim_id")))
    )
    findings += _differences("837.service_lines", t["837.service_lines"], lines.column("claim_id"), {
        "claim_id": lines.column("claim_id"), "line_number": lines.column("line"),
        **{name: lines.column(name) for name in (
            "qualifier", "procedure", "modifier1", "modifier2", "modifier3", "modifier4", "charge", "unit_basis", "units",
            "pointer1", "pointer2", "pointer3", "pointer4", "line_control_number", "ndc")},
        "place_of_service": pc.if_else(pc.equal(place, x.flat(claim_place)), "", place),
        "service_from": lines.column("service_date"),
    })  # fmt: skip
    codes = meant.diagnoses
    findings += _differences("837.diagnoses", t["837.diagnoses"], codes.column("claim_id"), {
        "claim_id": codes.column("claim_id"), "position": codes.column("rank"), "code": codes.column("code"),
        "qualifier": pc.if_else(pc.equal(x.flat(codes.column("rank")), 1), "ABK", "ABF"),
    })  # fmt: skip
    return findings + _providers(t["837.parties"], claims)


def _same(text: str, rows: int) -> pa.Array:
    return pa.repeat(text, rows)


def _fault(rule: str, message: str, subject: str = "") -> Finding:
    return Finding(rule=rule, severity="error", message=message, fix=_REPORT, subject=subject)


def _envelope(found: pa.Table, meant: Interchange837P, on: date, numbers: Numbers) -> list[Finding]:
    rows = {
        level: [row for row in found.to_pylist() if row["level"] == level] for level in ("interchange", "group", "set")
    }
    route = meant.route
    expected: dict[str, list[dict[str, object]]] = {
        "interchange": [{"interchange_control": f"{numbers.interchange:09d}", "usage": route.usage, "interchange_date": on,
                         "sender_id": route.sender_id, "receiver_id": route.receiver_id}],
        "group": [{"group_control": str(numbers.group), "functional_id": "HC", "version": GUIDE,
                   "group_sender": route.group_sender, "group_receiver": route.group_receiver}],
        "set": [{"set_control": control, "set_id": "837"} for control in sorted(set(meant.set_controls()))],
    }  # fmt: skip
    return [
        _fault("837P.readback", f"The file's {level} does not say what was meant.")
        for level, wanted in expected.items()
        if [{key: row[key] for key in wanted[0]} for row in rows[level]] != wanted
    ]


def _differences(
    table: str, found: pa.Table, subjects: pa.ChunkedArray, expected: dict[str, pa.Array]
) -> list[Finding]:
    """One finding a claim and column that differ, or one for the whole table where the number of rows does."""
    if found.num_rows != len(subjects):
        return [_fault("837P.readback", f"{table}: {found.num_rows} rows are in the file, {len(subjects)} were meant.")]
    findings: list[Finding] = []
    for name, column in expected.items():
        wrong = _unequal(x.flat(column), x.flat(found.column(name)))
        claims = sorted({subjects[row].as_py() for row in np.flatnonzero(wrong).tolist()})
        findings += [
            _fault("837P.readback", f"{table}, {name}: the file says something else than was meant.", claim_id)
            for claim_id in claims
        ]
    return findings


def _unequal(meant: pa.Array, found: pa.Array) -> x.Mask:
    if pa.types.is_string(meant.type):  # an empty element and an absent one are the same thing
        meant, found = pc.fill_null(meant, ""), pc.fill_null(found.cast(pa.string()), "")
    same = pc.fill_null(pc.equal(meant, found.cast(meant.type)), False)
    both_null = pc.and_(pc.is_null(meant), pc.is_null(found))
    return ~x.as_mask(pc.or_(same, both_null))


def _providers(parties: pa.Table, claims: pa.Table) -> list[Finding]:
    """Rendering and referring providers and facilities stand at exactly the claims that were meant to have them."""
    findings: list[Finding] = []
    for entity, column, rows in (
        ("82", "rendering_npi", fields.has_rendering(claims)),
        ("DN", "referring_npi", x.present(claims.column("referring_npi"))),
        ("77", "", fields.has_facility(claims)),
    ):
        here = parties.filter(pc.equal(parties.column("entity"), entity))
        wanted = claims.filter(pa.array(rows))
        expected = {"claim_id": wanted.column("claim_id")} | ({"id": wanted.column(column)} if column else {})
        findings += _differences(f"837.parties {entity}", here, wanted.column("claim_id"), expected)
    return findings


# --- read by others -------------------------------------------------------------------------------------------------------


def structure(data: bytes, meant: Interchange837P) -> list[Finding]:
    """What badx12 counts against what was meant: envelopes, control numbers, segments (SE01), claims and lines by set."""
    counts = meant.claims_and_lines_by_set()
    pieces = (
        [(data, counts)]
        if len(data) <= _WHOLE
        else list(zip(_set_by_set(data, b"\n" if meant.route.newline else b"~"), ([c] for c in counts), strict=True))
    )
    findings: list[Finding] = []
    for piece, expected in pieces:
        document = badx12.Parser(piece.decode("ascii")).document
        found = []
        for group in document.interchange.groups:
            for transaction in group.transaction_sets:
                ids = [segment.fields[0].content for segment in transaction.transaction_body]
                found.append((ids.count("CLM"), ids.count("LX")))
        errors = [type(error).__name__ for error in document.validate().error_list]
        if errors:
            findings.append(_fault("837P.structure", f"badx12 reports of the file: {', '.join(sorted(set(errors)))}."))
        if found != expected or len(document.interchange.groups) != 1:
            findings.append(
                _fault("837P.structure", "badx12 counts other sets, claims or lines in the file than were meant.")
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

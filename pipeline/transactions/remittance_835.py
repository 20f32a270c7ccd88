"""835, claim payment and remittance: one table a level.

Theory. A remittance is a payment (BPR, TRN), claims (CLP), lines (SVC) and reasons (CAS) at either level, and provider
adjustments (PLB) at its end. Parents come from counting: the claim of any segment is the number of CLPs before it, the
line the number of SVCs, and a segment is line-level only if its last SVC came after its last CLP. 4010 (X091) has the same
places for all that is read here.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.transactions.chunk import Chunk, first_of, joined, repeats, rows_table, table
from pipeline.x12.envelope import SetContext, short_date
from pipeline.x12.scan import Bools, Ints, Picked, Words, code_of, exact_units, key_of

_IDS = "ST BPR NTE TRN CUR REF DTM N1 N2 N3 N4 PER RDM LX TS3 TS2 CLP CAS NM1 MIA MOA AMT QTY SVC LQ PLB SE"
IDS = frozenset(_IDS.split())
_HEADER_ENDS = ("LX", "CLP", "PLB", "SE", "SVC", "TS3", "TS2")
#: CAS holds up to six trios; a longer one is read on, so that no amount is lost
_MOST_TRIOS = 40
_CLP, _SVC = code_of("CLP"), code_of("SVC")


def tables(chunk: Chunk) -> dict[str, pa.Table]:
    scan = chunk.scan
    here = chunk.of_kind("835")
    claim_at = _within(scan.of("CLP"), here)
    claim_of, line_of, kept_lines = _owners(chunk, here)
    _orphans(chunk, here, claim_of, line_of)

    claim_number = _ordinals(chunk, claim_at)
    claim_ids = chunk.text(claim_at, 1)
    line_number = _line_numbers(claim_of[kept_lines])

    children = Children(chunk, here, claim_of, line_of)
    return {
        "835.payments": payments(chunk, here),
        "835.claims": claims(chunk, children, claim_at, claim_number, claim_ids),
        "835.service_lines": lines(chunk, children, kept_lines, claim_of, claim_number, line_number, claim_ids),
        "835.adjustments": adjustments(chunk, here, claim_of, line_of, claim_number, line_number, claim_ids),
        "835.provider_adjustments": provider_adjustments(chunk, here),
    }


def _owners(chunk: Chunk, here: Bools) -> tuple[Ints, Ints, Ints]:
    """For each segment its claim and its line, as places among claims and lines (-1: none), and the lines' segments.

    These change only at a CLP, an SVC and the borders of sets: they are found there and repeated up to the next.
    """
    n, codes = chunk.scan.n, chunk.scan.codes[: chunk.scan.n]
    changes = (codes == _CLP) | (codes == _SVC)
    changes[[border for border in (0, *chunk.begins, *chunk.stops) if border < n]] = True
    at = np.flatnonzero(changes)
    inside = here[at]
    is_claim, is_line = inside & (codes[at] == _CLP), inside & (codes[at] == _SVC)
    claim = np.cumsum(is_claim) - 1
    if len(chunk.sets) > 1 and is_claim.any():  # the last claim may stand in an earlier set
        claim[chunk.set_of[at[is_claim]][np.maximum(claim, 0)] != chunk.set_of[at]] = -1
    elif len(chunk.sets) == 1:
        claim[~inside] = -1
    is_line &= claim >= 0
    line = np.cumsum(is_line) - 1
    last_claim = np.maximum.accumulate(np.where(is_claim, at, -1))
    last_line = np.maximum.accumulate(np.where(is_line, at, -1))
    line[(claim < 0) | (last_line < last_claim)] = -1
    lengths = np.diff(at, append=n)
    return np.repeat(claim, lengths), np.repeat(line, lengths), at[is_line]


def _within(segments: Ints, here: Bools) -> Ints:
    return segments[here[segments]]


def _ordinals(chunk: Chunk, claim_at: Ints) -> Ints:
    """The 1-based number of each claim in its set, counting on from earlier chunks."""
    owner = chunk.set_of[claim_at]
    rank = np.arange(len(claim_at))
    firsts = np.searchsorted(owner, np.arange(len(chunk.sets)), side="left")
    before = np.array(chunk.claims_before, dtype=np.int64)
    return rank - firsts[owner] + before[owner] + 1 if len(claim_at) else rank


def _line_numbers(claims_of_lines: Ints) -> Ints:
    if not len(claims_of_lines):
        return np.zeros(0, dtype=np.int64)
    firsts = np.searchsorted(claims_of_lines, claims_of_lines, side="left")
    return np.arange(len(claims_of_lines)) - firsts + 1


def _orphans(chunk: Chunk, here: Bools, claim_of: Ints, line_of: Ints) -> None:
    """Money segments that belong to no claim: never dropped in silence."""
    segments = _within(chunk.scan.of("SVC", "CAS"), here)
    for segment in segments[claim_of[segments] < 0].tolist():
        chunk.error(
            "structure.outside_claim", "This segment belongs to no CLP and is left out of the tables.", segment,
            "Ask the sender for a corrected file.",
        )  # fmt: skip


class Children:
    """The first segment of an id and qualifier below each claim or line."""

    def __init__(self, chunk: Chunk, here: Bools, claim_of: Ints, line_of: Ints) -> None:
        self.chunk, self.here, self.claim_of, self.line_of = chunk, here, claim_of, line_of
        self._cache: dict[str, tuple[Ints, Words]] = {}

    def _keyed(self, segment_id: str) -> tuple[Ints, Words]:
        if segment_id not in self._cache:
            segments = _within(self.chunk.scan.of(segment_id), self.here)
            self._cache[segment_id] = segments, self.chunk.scan.keys(segments, 1)
        return self._cache[segment_id]

    def of_claim(self, segment_id: str, qualifier: str, count: int) -> Ints:
        segments, keys = self._keyed(segment_id)
        mine = segments[(keys == key_of(qualifier))]
        mine = mine[(self.claim_of[mine] >= 0) & (self.line_of[mine] < 0)]
        return first_of(self.claim_of[mine], mine, count)

    def of_line(self, segment_id: str, qualifier: str, count: int) -> Ints:
        segments, keys = self._keyed(segment_id)
        mine = segments[(keys == key_of(qualifier))]
        mine = mine[self.line_of[mine] >= 0]
        return first_of(self.line_of[mine], mine, count)


def claims(chunk: Chunk, children: Children, claim_at: Ints, claim_number: Ints, claim_ids: pa.Array) -> pa.Table:
    n = len(claim_at)
    text, date = chunk.text, chunk.date

    def named(entity: str) -> Picked:
        return chunk.scan.pick(children.of_claim("NM1", entity, n))

    head = chunk.scan.pick(claim_at)

    patient, subscriber, corrected = named("QC"), named("IL"), named("74")
    rendering, crossover = named("82"), named("TT")
    when = {q: children.of_claim("DTM", q, n) for q in ("232", "233", "050", "036")}
    columns = {
        **chunk.place(claim_at),
        "claim_number": pa.array(claim_number),
        "claim_id": claim_ids,
        "status": text(head, 2),
        "charge": chunk.money(head, 3),
        "paid": chunk.money(head, 4),
        "patient_responsibility": chunk.money(head, 5),
        "filing_indicator": text(head, 6),
        "payer_claim_number": text(head, 7),
        "facility_code": text(head, 8),
        "frequency": text(head, 9),
        "drg": text(head, 11),
        "patient_last": text(patient, 3),
        "patient_first": text(patient, 4),
        "patient_middle": text(patient, 5),
        "patient_id_qualifier": text(patient, 8),
        "patient_id": text(patient, 9),
        "subscriber_last": text(subscriber, 3),
        "subscriber_first": text(subscriber, 4),
        "subscriber_id": text(subscriber, 9),
        "corrected_id": text(corrected, 9),
        "rendering_id": text(rendering, 9),
        "crossover_payer": text(crossover, 3),
        "crossover_payer_id": text(crossover, 9),
        "statement_from": date(when["232"], 2),
        "statement_to": date(when["233"], 2),
        "received_date": date(when["050"], 2),
        "coverage_expiration": date(when["036"], 2),
        "original_reference": text(children.of_claim("REF", "F8", n), 2),
        "remarks": _claim_remarks(chunk, children, n),
        "coverage_amount": chunk.money(children.of_claim("AMT", "AU", n), 2),
    }
    return table("835.claims", columns)


def _claim_remarks(chunk: Chunk, children: Children, n: int) -> pa.Array:
    """MOA03–07 and MIA05, MIA20–23, in the order of the wire."""
    parents, values = [], []
    for segment_id, elements in (("MIA", (5, 20, 21, 22, 23)), ("MOA", (3, 4, 5, 6, 7))):
        segments = _within(chunk.scan.of(segment_id), children.here)
        segments = segments[(children.claim_of[segments] >= 0) & (children.line_of[segments] < 0)]
        for element in elements if len(segments) else ():
            parents.append(children.claim_of[segments])
            values.append(chunk.text(segments, element))
    if not parents:
        return pa.nulls(n, pa.string())
    parent = np.concatenate(parents)
    order = np.argsort(parent, kind="stable")
    return joined(parent[order], pa.concat_arrays(values).take(pa.array(order)), n)


def lines(
    chunk: Chunk,
    children: Children,
    at: Ints,
    claim_of: Ints,
    claim_number: Ints,
    line_number: Ints,
    claim_ids: pa.Array,
) -> pa.Table:
    n = len(at)
    scan, text = chunk.scan, chunk.text
    owner = claim_of[at]
    service = scan.pick(at)
    procedure, submitted = chunk.composite(service, 1), chunk.composite(service, 6)
    single, begin, end = (children.of_line("DTM", q, n) for q in ("472", "150", "151"))
    units = chunk.quantity(service, 5)
    if units.null_count or not n:
        starts, stops = service.spans(5)
        one = pa.scalar(Decimal("1.0000"), units.type)
        units = pc.if_else(pa.array(starts == stops), one, units)
    segments, keys = children._keyed("LQ")
    remark_at = segments[(keys == key_of("HE")) & (children.line_of[segments] >= 0)]
    columns = {
        **chunk.place(at),
        "claim_number": pa.array(claim_number[owner]),
        "line_number": pa.array(line_number),
        "claim_id": claim_ids.take(pa.array(owner)),
        "qualifier": scan.text(*procedure.spans(1)),
        "procedure": scan.text(*procedure.spans(2)),
        **{f"modifier{i}": scan.text(*procedure.spans(2 + i)) for i in (1, 2, 3, 4)},
        "charge": chunk.money(service, 2),
        "paid": chunk.money(service, 3),
        "revenue_code": text(service, 4),
        "units": units,
        "submitted_qualifier": scan.text(*submitted.spans(1)),
        "submitted_procedure": scan.text(*submitted.spans(2)),
        "original_units": chunk.quantity(service, 7),
        "service_from": chunk.date(np.where(single >= 0, single, begin), 2),
        "service_to": chunk.date(np.where(end >= 0, end, single), 2),
        "line_control_number": text(children.of_line("REF", "6R", n), 2),
        "rendering_id": text(children.of_line("REF", "HPI", n), 2),
        "allowed": chunk.money(children.of_line("AMT", "B6", n), 2),
        "remarks": joined(children.line_of[remark_at], text(remark_at, 2), n),
    }
    return table("835.service_lines", columns)


def adjustments(
    chunk: Chunk, here: Bools, claim_of: Ints, line_of: Ints, claim_number: Ints, line_number: Ints, claim_ids: pa.Array
) -> pa.Table:
    scan = chunk.scan
    segments = _within(scan.of("CAS"), here)
    segments = segments[claim_of[segments] >= 0]
    rows, trio = repeats(chunk, segments, 2, 3, _MOST_TRIOS)
    at = segments[rows]
    first = 2 + 3 * trio
    reasons = scan.pick(at)
    owner = claim_of[at]
    line = line_of[at]
    at_line = line >= 0
    columns = {
        **chunk.place(at),
        "claim_number": pa.array(claim_number[owner]),
        "line_number": pa.array(line_number[np.maximum(line, 0)] if len(line_number) else line, mask=~at_line),
        "claim_id": claim_ids.take(pa.array(owner)),
        "level": pa.array(["claim", "line"]).take(pa.array(at_line.astype(np.int64))),
        "group": chunk.text(reasons, 1),
        "reason": chunk.text(reasons, first),
        "amount": chunk.money(reasons, first + 1),
        "quantity": chunk.quantity(reasons, first + 2),
    }
    return table("835.adjustments", columns)


def provider_adjustments(chunk: Chunk, here: Bools) -> pa.Table:
    scan = chunk.scan
    segments = _within(scan.of("PLB"), here)
    rows, pair = repeats(chunk, segments, 3, 2, 60)
    at = segments[rows]
    first = 3 + 2 * pair
    reason = chunk.composite(at, first)
    columns = {
        **chunk.place(at),
        "provider_id": chunk.text(at, 1),
        "fiscal_date": chunk.date(at, 2),
        "reason": scan.text(*reason.spans(1)),
        "reference": scan.text(*reason.spans(2)),
        "amount": chunk.money(at, first + 1),
    }
    return table("835.provider_adjustments", columns)


def payments(chunk: Chunk, here: Bools) -> pa.Table:
    """One row a set, from its header: plain Python, a few dozen segments a remittance."""
    rows = []
    for index, context in enumerate(chunk.sets):
        begin = chunk.begins[index]
        if context.kind == "835" and chunk.numbers[begin] == context.segment and begin >= chunk.first:
            rows.append(_payment(chunk, context, begin, chunk.stops[index]))
    return rows_table("835.payments", rows)


def _payment(chunk: Chunk, context: SetContext, begin: int, stop: int) -> dict[str, Any]:
    row: dict[str, Any] = {
        "file": context.file, "set_number": context.number, "segment": context.segment,
        "interchange_control": context.interchange_control or None, "group_control": context.group_control or None,
        "set_control": context.control or None, "version": context.version or None,
    }  # fmt: skip
    party = ""
    for at in range(begin + 1, stop):
        e = chunk.scan.elements(at)
        if e[0] in _HEADER_ENDS:
            break
        e += [""] * 18
        match e[0], e[1]:
            case "BPR", _:
                row |= {"handling": e[1], "credit_debit": e[3], "method": e[4]}
                row["amount"] = _amount(chunk, at, e[2], 2)
                row["payment_date"] = _date(chunk, at, e[16], 16)
            case "TRN", _:
                row |= {"trace": e[2], "origin": e[3], "origin_supplement": e[4]}
            case "DTM", "405":
                row["production_date"] = _date(chunk, at, e[2], 2)
            case "REF", "EV" if not party:
                row["receiver_id"] = e[2]
            case "N1", ("PR" | "PE") as party:
                who = "payer" if party == "PR" else "payee"
                row |= {f"{who}_name": e[2], f"{who}_id": e[4]}
                if party == "PE":
                    row["payee_id_qualifier"] = e[3]
            case "N1", _:
                party = e[1]
            case "REF", "2U" if party == "PR":
                row["payer_id"] = row.get("payer_id") or e[2]
            case "REF", "TJ" if party == "PE":
                row["payee_tin"] = e[2]
            case _:
                pass
    return {k: (v if v != "" or k == "file" else None) for k, v in row.items()}


def _amount(chunk: Chunk, at: int, text: str, element: int) -> Decimal | None:
    if not text:
        return None
    units = exact_units(text.encode(), 2)
    if units is None:
        chunk.error(
            "amount.form", f"{chunk.name_of(at)}{element:02d} is not a plain amount that can be kept exactly: the value is left empty.",
            at, "Ask the sender for a corrected file.", element=element,
        )  # fmt: skip
        return None
    return Decimal(units).scaleb(-2)


def _date(chunk: Chunk, at: int, text: str, element: int) -> Any:
    if not text:
        return None
    when = short_date(text) if len(text) == 8 else None
    if when is None:
        chunk.error(
            "date.form",
            f"{chunk.name_of(at)}{element:02d} is not a date: the value is left empty.",
            at,
            element=element,
        )
    return when

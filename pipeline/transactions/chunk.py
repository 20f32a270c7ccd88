"""What a transaction set's reader gets: one scanned chunk, its sets, and columns made from it.

A chunk holds whole units (claims, sets) of one or many files under one set of delimiters. `scan` knows spans; this adds the
numbers, offsets and files that rows and findings carry, and turns spans into Arrow columns while noting what has no exact
value.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline import shapes
from pipeline.x12.envelope import FindingList, SetContext, shown_id
from pipeline.x12.isa import Wire
from pipeline.x12.scan import Bools, Composite, Ints, Picked, Scan, decimal_array, fixed_array

#: a finding without its list: index of its set (-1: none), rule, message, fix, place
Noted: TypeAlias = tuple[int, str, str, str, dict[str, Any]]

_AMOUNT_FIX = "Ask the sender for a corrected file; an amount is digits with at most one point and two decimals."


@dataclass(slots=True)
class Chunk:
    scan: Scan
    numbers: Ints  # number of each segment in its file
    offsets: Ints  # byte offset of each segment in its file
    set_of: Ints  # index in `sets`, or -1 outside any set (and at -1)
    sets: list[SetContext]
    begins: list[int]  # first segment of each set here
    stops: list[int]  # one past its last segment here
    first: int  # segments before this one were read in an earlier chunk and stand here only as parents
    files: list[str]  # the file of each piece of the chunk
    tops: Ints  # its first segment
    claims_before: list[int] = field(default_factory=list)  # claims of each set in earlier chunks
    noted: list[Noted] = field(default_factory=list)  # findings, not yet handed over

    def file_of(self, segment: int) -> str:
        return self.files[max(int(np.searchsorted(self.tops, segment, side="right")) - 1, 0)]

    def say_sets(self) -> None:
        for index, (begin, stop) in enumerate(zip(self.begins, self.stops, strict=True)):
            self.set_of[begin:stop] = index

    # ---- which segments ----------------------------------------------------------------------------------------------

    def of_kind(self, kind: str) -> Bools:
        """For each segment (and -1): does it stand in a set of this kind?"""
        flags = np.array([s.kind == kind for s in self.sets] + [False], dtype=np.bool_)
        return flags[self.set_of]

    # ---- columns -----------------------------------------------------------------------------------------------------

    def per_set(self, values: Sequence[Any], segments: Ints, kind: pa.DataType | None = None) -> pa.Array:
        """A value of each set → a column for rows that stand at `segments`."""
        kind = kind or pa.string()
        if len(self.sets) == 1 or len(set(values)) == 1:
            scalar = pa.scalar(values[0], type=kind)
            return pa.repeat(scalar, len(segments))
        return pa.array(values, type=kind).take(pa.array(self.set_of[segments]))

    def place(self, segments: Ints) -> dict[str, pa.Array]:
        """The columns that every row carries: file, set_number, segment."""
        return {
            "file": self.per_set([s.file for s in self.sets], segments),
            "set_number": self.per_set([s.number for s in self.sets], segments, pa.int64()),
            "segment": pa.array(self.numbers[segments]),
        }

    def text(self, segments: Ints | Picked, element: int | Ints) -> pa.Array:
        return self.scan.text(*self.scan.spans(segments, element))

    def composite(self, segments: Ints | Picked, element: int | Ints) -> Composite:
        return self.scan.components(*self.scan.spans(segments, element))

    def money(
        self, segments: Ints | Picked, element: int | Ints, spans: tuple[Ints, Ints] | None = None, component: int = 0
    ) -> pa.Array:
        return self._decimal(segments, element, spans, component, 2, shapes.MONEY)

    def quantity(
        self, segments: Ints | Picked, element: int | Ints, spans: tuple[Ints, Ints] | None = None, component: int = 0
    ) -> pa.Array:
        return self._decimal(segments, element, spans, component, 4, shapes.QUANTITY)

    def _decimal(
        self,
        segments: Ints | Picked,
        element: int | Ints,
        spans: tuple[Ints, Ints] | None,
        component: int,
        scale: int,
        kind: pa.DataType,
    ) -> pa.Array:
        starts, stops = spans or self.scan.spans(segments, element)
        if not (stops > starts).any():
            return pa.nulls(len(starts), kind)
        value, have, bad = self.scan.decimals(starts, stops, scale)
        if bad.any():
            rule, what = ("amount.form", "amount") if scale == 2 else ("quantity.form", "quantity")
            self._report(
                rule, f"is not a plain {what} that can be kept exactly: the value is left empty", segments, bad, element,
                component, starts,
            )  # fmt: skip
        return decimal_array(value, have, kind)

    def date(
        self, segments: Ints | Picked, element: int | Ints, spans: tuple[Ints, Ints] | None = None, component: int = 0
    ) -> pa.Array:
        starts, stops = spans or self.scan.spans(segments, element)
        if not (stops > starts).any():
            return pa.nulls(len(starts), pa.date32())
        days, have, bad = self.scan.dates(starts, stops)
        if bad.any():
            self._report(
                "date.form", "is not a date: the value is left empty", segments, bad, element, component, starts
            )
        return fixed_array(days, have, pa.date32())

    def integer(
        self, segments: Ints | Picked, element: int | Ints, spans: tuple[Ints, Ints] | None = None, component: int = 0
    ) -> pa.Array:
        starts, stops = spans or self.scan.spans(segments, element)
        if not (stops > starts).any():
            return pa.nulls(len(starts), pa.int64())
        value, have, bad = self.scan.integers(starts, stops)
        if bad.any():
            self._report(
                "number.form",
                "is not a whole number: the value is left empty",
                segments,
                bad,
                element,
                component,
                starts,
            )
        return fixed_array(value, have, pa.int64())

    # ---- findings ----------------------------------------------------------------------------------------------------

    def _report(
        self,
        rule: str,
        what: str,
        segments: Ints | Picked,
        bad: Bools,
        elements: int | Ints,
        component: int,
        starts: Ints,
    ) -> None:
        segments = segments.segments if isinstance(segments, Picked) else segments
        for row in np.flatnonzero(bad).tolist():
            segment = int(segments[row])
            element = elements if isinstance(elements, int) else int(elements[row])
            name = self.name_of(segment)
            label = f"{name}{element:02d}" + (f"-{component}" if component else "")
            self.error(
                rule, f"{label} {what}.", segment, _AMOUNT_FIX if "form" in rule and "amount" in rule else "", element=element,
                component=component or None, offset=int(self.offsets[segment] + starts[row] - self.scan.starts[segment]),
            )  # fmt: skip

    def name_of(self, segment: int) -> str:
        """The segment's id for a finding; '' where damage put something else, perhaps a patient's, in its place."""
        return shown_id(self.scan.id_at(segment))

    def error(self, rule: str, message: str, segment: int, fix: str = "", **place: Any) -> None:
        """An error finding at a segment of this chunk."""
        place.setdefault("offset", int(self.offsets[segment]))
        place.setdefault("file", self.file_of(segment))
        place |= {"segment": int(self.numbers[segment]), "segment_id": self.name_of(segment)}
        self.noted.append((int(self.set_of[segment]), rule, message, fix, place))


def hand_over(sets: Sequence[SetContext], noted: Iterable[Noted], findings: FindingList) -> None:
    """Findings noted in a chunk go to the reading's list, once each: a level above many claims is read for each of them."""
    for owner, rule, message, fix, place in noted:
        if owner >= 0:
            reported = sets[owner].reported
            key = (rule, place["segment"], place.get("element"), place.get("component"))
            if key in reported:
                continue
            if len(reported) <= findings.limit:
                reported.add(key)
        findings.error(rule, message, fix, **place)


@dataclass(slots=True)
class Description:
    """All that is known of a chunk beside its bytes, so that another process can make the same chunk of them."""

    wire: Wire
    kept: int  # segments before the cut
    runs: list[tuple[int, int, int, int]]  # from, to, number before the first, file offset less place in the buffer
    preamble_numbers: Ints
    preamble_offsets: Ints
    sets: list[SetContext]
    begins: list[int]
    stops: list[int]
    first: int
    files: list[str]
    tops: Ints
    claims_before: list[int]

    def chunk(self, buffer: npt.NDArray[np.uint8]) -> Chunk:
        scan = Scan(buffer, self.wire)
        if self.kept < scan.n:
            scan.limit(self.kept)
        n = scan.n
        numbers, offsets = np.zeros(n + 1, dtype=np.int64), np.zeros(n + 1, dtype=np.int64)
        numbers[: self.first] = self.preamble_numbers[: self.first]
        offsets[: self.first] = self.preamble_offsets[: self.first]
        for low, high, before, shift in self.runs:
            numbers[low:high] = np.arange(before + 1, before + 1 + high - low)
            offsets[low:high] = scan.starts[low:high] + shift
        chunk = Chunk(
            scan, numbers, offsets, np.full(n + 1, -1, dtype=np.int64), self.sets, self.begins, self.stops, self.first,
            self.files, self.tops, self.claims_before,
        )  # fmt: skip
        chunk.say_sets()
        return chunk


def table(name: str, columns: Mapping[str, Any]) -> pa.Table:
    """Columns by name → a table of the shape, in its order."""
    shape = shapes.schema(name)
    return pa.Table.from_arrays([columns[f.name] for f in shape], schema=shape)


def first_of(parents: Ints, children: Ints, count: int) -> Ints:
    """The first child of each parent (-1 where none): `parents[i]` is the parent of `children[i]`, in file order."""
    out = np.full(count, -1, dtype=np.int64)
    out[parents[::-1]] = children[::-1]
    return out


def joined(parents: Ints, values: pa.Array, count: int) -> pa.Array:
    """Texts gathered by parent (sorted) and joined by blanks; null where a parent has none."""
    kept = values.is_valid().to_numpy(zero_copy_only=False)
    parents = parents[kept]
    offsets = np.zeros(count + 1, dtype=np.int32)
    offsets[1:] = np.searchsorted(parents, np.arange(count), side="right")
    lists = pa.ListArray.from_arrays(pa.array(offsets), values.drop_null())
    text = pc.binary_join(lists, " ")
    return pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)


def rows_table(name: str, rows: Iterable[Mapping[str, Any]]) -> pa.Table:
    return shapes.from_rows(name, rows)


def repeats(chunk: Chunk, segments: Ints, first: int, step: int, most: int) -> tuple[Ints, Ints]:
    """(row in `segments`, number of the repeat from 0) of each repeat that holds anything, in the order of the wire."""
    if not len(segments):
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    counts = chunk.scan.counts[segments]
    repeats = int(min(max((int(counts.max()) - first + step - 1) // step, 0), most))
    rows, numbers = [], []
    for k in range(repeats):
        rest = np.flatnonzero(counts > first + step * k)
        held = np.zeros(len(rest), dtype=np.bool_)
        for element in range(first + step * k, first + step * (k + 1)):
            starts, stops = chunk.scan.spans(segments[rest], element)
            held |= stops > starts
        rows.append(rest[held])
        numbers.append(np.full(int(held.sum()), k, dtype=np.int64))
    if not rows:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    row, number = np.concatenate(rows), np.concatenate(numbers)
    order = np.argsort(row * repeats + number, kind="stable")
    return row[order], number[order]

"""What a transaction set's reader gets: one scanned chunk, its sets, and columns made from it.

A chunk holds whole units (claims, sets) of one or many files under one set of delimiters. `scan` knows spans; this adds the
numbers, offsets and files that rows and findings carry, and turns spans into Arrow columns while noting what has no exact
value.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline import shapes
from pipeline.x12.envelope import FindingList, SetContext, shown_id
from pipeline.x12.isa import Wire
from pipeline.x12.kernel import Ask
from pipeline.x12.scan import Bools, Composite, Cuts, Ints, Picked, Scan, decimal_array, fixed_array

#: a finding without its list: index of its set (-1: none), rule, message, fix, place
Noted: TypeAlias = tuple[int, str, str, str, dict[str, Any]]

CORRECTED = "Ask the sender for a corrected file."
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

    def per_set(self, values: Sequence[str | None], segments: Ints) -> pa.Array:
        """A text of each set → a column for rows that stand at `segments`."""
        if len(self.sets) == 1 or len(set(values)) == 1:
            return _alike(values[0], 1 << len(segments).bit_length()).slice(0, len(segments))
        return pa.array(values, type=pa.string()).take(pa.array(self.set_of.take(segments)))

    def place(self, segments: Ints) -> dict[str, pa.Array]:
        """The columns that every row carries: file, set_number, segment."""
        numbers = np.array([s.number for s in self.sets] or [0])
        return {
            "file": self.per_set([s.file for s in self.sets], segments),
            "set_number": pa.array(numbers.take(self.set_of.take(segments))),
            "segment": pa.array(self.numbers.take(segments)),
        }

    def envelope(self, segments: Ints) -> dict[str, pa.Array]:
        """The columns that name the envelope a row came in, and the guide that it names."""
        return {
            "interchange_control": self.per_set([s.interchange_control or None for s in self.sets], segments),
            "group_control": self.per_set([s.group_control or None for s in self.sets], segments),
            "set_control": self.per_set([s.control or None for s in self.sets], segments),
            "version": self.per_set([s.version or None for s in self.sets], segments),
        }

    def text(self, segments: Ints | Picked, element: int | Ints) -> pa.Array:
        made = self.scan.columns([Ask(pa.string(), _plain(segments), element)])
        if made is not None:
            return made[0][0]
        starts, stops = self.scan.spans(segments, element)
        return self.scan.text(starts, stops) if (stops > starts).any() else pa.nulls(len(starts), pa.string())

    def part(self, composite: Composite, component: int) -> pa.Array:
        """One component (1-based) as text."""
        made = self.scan.columns([Ask(pa.string(), _plain(composite.segments), composite.element, component)])
        return self.scan.text(*composite.spans(component)) if made is None else made[0][0]

    def composite(self, segments: Ints | Picked, element: int | Ints) -> Composite:
        return self.scan.composite(segments, element)

    def _compiled(
        self, kind: pa.DataType, segments: Ints | Picked, element: int | Ints, spans: tuple[Ints, Ints] | None
    ) -> pa.Array | None:
        """A column of numbers or dates by the kernel; None where it cannot be had, or has something to report."""
        made = self.scan.columns([Ask(kind, _plain(segments), element, 0, spans)])
        return None if made is None or made[0][1] else made[0][0]

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
        if (column := self._compiled(kind, segments, element, spans)) is not None:
            return column
        starts, stops = spans or self.scan.spans(segments, element)
        if not (stops > starts).any():
            return pa.nulls(len(starts), kind)
        value, have, bad = self.scan.decimals(starts, stops, scale)
        if bad.any():
            self.no_decimal(scale, segments, bad, element, component, starts)
        return decimal_array(value, have, kind)

    def no_decimal(
        self, scale: int, segments: Ints | Picked, bad: Bools, element: int | Ints, component: int, starts: Ints
    ) -> None:
        rule, what = ("amount.form", "amount") if scale == 2 else ("quantity.form", "quantity")
        self._report(
            rule, f"is not a plain {what} that can be kept exactly: the value is left empty", segments, bad, element,
            component, starts,
        )  # fmt: skip

    def date(
        self, segments: Ints | Picked, element: int | Ints, spans: tuple[Ints, Ints] | None = None, component: int = 0
    ) -> pa.Array:
        if (column := self._compiled(pa.date32(), segments, element, spans)) is not None:
            return column
        starts, stops = spans or self.scan.spans(segments, element)
        if not (stops > starts).any():
            return pa.nulls(len(starts), pa.date32())
        days, have, bad = self.scan.dates(starts, stops)
        if bad.any():
            self.no_date(segments, bad, element, component, starts)
        return fixed_array(days, have, pa.date32())

    def no_date(self, segments: Ints | Picked, bad: Bools, element: int | Ints, component: int, starts: Ints) -> None:
        self._report("date.form", "is not a date: the value is left empty", segments, bad, element, component, starts)

    def integer(
        self, segments: Ints | Picked, element: int | Ints, spans: tuple[Ints, Ints] | None = None, component: int = 0
    ) -> pa.Array:
        if (column := self._compiled(pa.int64(), segments, element, spans)) is not None:
            return column
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
                rule, f"{label} {what}.", segment, _AMOUNT_FIX if rule == "amount.form" else CORRECTED, element=element,
                component=component or None, offset=int(self.offsets[segment] + starts[row] - self.scan.starts[segment]),
            )  # fmt: skip

    def name_of(self, segment: int) -> str:
        """The segment's id for a finding; '' where damage put something else, perhaps a patient's, in its place."""
        return shown_id(self.scan.id_at(segment))

    def error(self, rule: str, message: str, segment: int, fix: str = CORRECTED, **place: Any) -> None:
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


#: segments of one piece: from, to, how many of its file stand before, and file offset less place in the buffer
Run: TypeAlias = tuple[int, int, int, int]


@dataclass(slots=True)
class Description:
    """All that is known of a chunk beside its bytes, so that another process can make the same chunk of them."""

    wire: Wire
    kept: int  # segments before the cut
    runs: list[Run]
    preamble_numbers: Ints
    preamble_offsets: Ints
    sets: list[SetContext]
    begins: list[int]
    stops: list[int]
    first: int
    files: list[str]
    tops: Ints
    claims_before: list[int]

    def chunk(self, buffer: npt.NDArray[np.uint8], cuts: Cuts | None = None) -> Chunk:
        scan = Scan(buffer, self.wire, cuts)
        if self.kept < scan.n:
            scan.limit(self.kept)
        n = scan.n
        numbers, offsets = np.zeros(n + 1, dtype=np.int64), np.zeros(n + 1, dtype=np.int64)
        numbers[: self.first] = self.preamble_numbers[: self.first]
        offsets[: self.first] = self.preamble_offsets[: self.first]
        lay_places(scan, self.runs, numbers, offsets)
        chunk = Chunk(
            scan, numbers, offsets, np.full(n + 1, -1, dtype=np.int64), self.sets, self.begins, self.stops, self.first,
            self.files, self.tops, self.claims_before,
        )  # fmt: skip
        chunk.say_sets()
        return chunk


def lay_places(scan: Scan, runs: Sequence[Run], numbers: Ints, offsets: Ints) -> None:
    """The number and the place in its file of each segment of these runs."""
    for low, high, before, shift in runs:
        np.add(_some_numbers((high - low).bit_length())[: high - low], before + 1, out=numbers[low:high])
        np.add(scan.starts[low:high], shift, out=offsets[low:high])


@lru_cache(maxsize=4)
def _some_numbers(bits: int) -> Ints:
    """0, 1, 2 …: chunk after chunk asks for about as many."""
    return np.arange(1 << bits)


def table(name: str, columns: Mapping[str, Any]) -> pa.Table:
    """Columns by name → a table of the shape, in its order."""
    shape = shapes.schema(name)
    return pa.Table.from_arrays([columns[f.name] for f in shape], schema=shape)


@lru_cache(maxsize=16)  # chunk after chunk says the same of its file
def _alike(value: str | None, rows: int) -> pa.Array:
    return pa.repeat(pa.scalar(value, type=pa.string()), rows)


def _plain(segments: Ints | Picked) -> Ints:
    return segments.segments if isinstance(segments, Picked) else segments


@dataclass(frozen=True, slots=True)
class _Asked:
    """A column that `Rows` will read: what it is to become, and where it stands."""

    kind: str  # text, money, quantity, date
    segments: Ints | Picked
    element: int | Ints
    composite: Composite | None = None
    component: int = 0

    def ask(self) -> Ask:
        return Ask(_KINDS[self.kind], _plain(self.segments), self.element, self.component)

    def spans(self, scan: Scan) -> tuple[Ints, Ints]:
        if self.composite is not None:
            return self.composite.spans(self.component)
        return scan.spans(self.segments, self.element)


_KINDS = {"text": pa.string(), "money": shapes.MONEY, "quantity": shapes.QUANTITY, "date": pa.date32()}
_Spans: TypeAlias = tuple[Ints, Ints]


class Rows:
    """One table of a chunk, its columns read together: as many rows as are in `at`, each from a segment.

    What is asked for is read when the table is made: by the kernel all columns at once; by numpy the numbers and dates of all
    columns at once, since for a few thousand rows a step costs as much as its work. Where a segment is absent from the whole
    chunk, None stands for it.
    """

    def __init__(self, chunk: Chunk, name: str, at: Ints) -> None:
        self.chunk, self.name, self.at = chunk, name, at
        self.n = len(at)
        self._shape = shapes.schema(name)
        self.columns: dict[str, Any] = {}

    # ---- what is known -----------------------------------------------------------------------------------------------

    def place(self) -> None:
        """The columns that every row carries: file, set_number, segment."""
        self.columns |= self.chunk.place(self.at)

    def known(self, **columns: pa.Array) -> None:
        """Columns that are there already."""
        self.columns |= columns

    def choice(self, column: str, which: Ints | Bools, values: Sequence[str]) -> None:
        """The value of that number for each row."""
        self.columns[column] = pa.array(values).take(pa.array(which.astype(np.int8)))

    # ---- what is asked for -------------------------------------------------------------------------------------------

    def read(self, kind: str, segments: Ints | Picked | None, **elements: int | Ints) -> None:
        """Columns of a kind (text, money, quantity, date) from these segments: column=element."""
        for column, element in elements.items():
            self.columns[column] = None if segments is None else _Asked(kind, segments, element)

    def parts(self, composite: Composite, **components: int) -> None:
        """Texts of components: column=component."""
        for column, component in components.items():
            self.columns[column] = _Asked("text", composite.segments, composite.element, composite, component)

    # ---- the table ---------------------------------------------------------------------------------------------------

    def table(self) -> pa.Table:
        asked: dict[str, list[str]] = {}
        for field_ in self._shape:
            column = self.columns[field_.name]
            if column is None:
                self.columns[field_.name] = pa.nulls(self.n, field_.type)
            elif isinstance(column, _Asked):
                asked.setdefault(column.kind, []).append(field_.name)
        names = [name for named in asked.values() for name in named]
        made = self._compiled([self.columns[name] for name in names])
        if made is None:
            made = [m for kind, named in asked.items() for m in self._made(kind, [self.columns[n] for n in named])]
        return table(self.name, {**self.columns, **dict(zip(names, made, strict=True))})

    def _compiled(self, asked: list[_Asked]) -> list[pa.Array] | None:
        made = self.chunk.scan.columns([a.ask() for a in asked]) if asked else []
        if made is None:
            return None
        for one, (column, wrong) in zip(asked, made, strict=True):
            if wrong:
                starts, stops = one.spans(self.chunk.scan)
                self._report(one, (stops > starts) & column.is_null().to_numpy(zero_copy_only=False), starts)
        return [column for column, _ in made]

    def _report(self, one: _Asked, bad: Bools, starts: Ints) -> None:
        if one.kind == "date":
            self.chunk.no_date(one.segments, bad, one.element, one.component, starts)
        else:
            self.chunk.no_decimal(_KINDS[one.kind].scale, one.segments, bad, one.element, one.component, starts)

    def _made(self, kind: str, asked: list[_Asked]) -> list[pa.Array]:
        spans = [a.spans(self.chunk.scan) for a in asked]
        given = [bool((stops > starts).any()) for starts, stops in spans]  # many columns of a shape are seldom used
        held = [(a, s) for a, s, has in zip(asked, spans, given, strict=True) if has]
        if kind == "text":
            made = [self.chunk.scan.text(*s) for _, s in held]
        elif kind == "quantity":  # few, and mostly the same in every row
            made = [self._quantity(a, s) for a, s in held]
        else:
            made = self._numbers(kind, held) if held else []
        left = iter(made)
        return [next(left) if has else pa.nulls(self.n, _KINDS[kind]) for has in given]

    def _numbers(self, kind: str, asked: list[tuple[_Asked, _Spans]]) -> list[pa.Array]:
        scan, n = self.chunk.scan, self.n
        starts, stops = (np.concatenate([spans[side] for _, spans in asked]) for side in (0, 1))
        if kind == "money":
            value, have, bad = scan.decimals(starts, stops, 2)
            whole = decimal_array(value, have, shapes.MONEY)
        else:
            days, have, bad = scan.dates(starts, stops)
            whole = fixed_array(days, have, pa.date32())
        if bad.any():
            for i, (one, spans) in enumerate(asked):
                wrong = bad[i * n : (i + 1) * n]
                if wrong.any():
                    self._report(one, wrong, spans[0])
        return [whole.slice(i * n, n) for i in range(len(asked))]

    def _quantity(self, asked: _Asked, spans: _Spans) -> pa.Array:
        starts, stops = spans
        if self.n:
            length, words = stops - starts, self.chunk.scan.words(starts, stops)
            if length[0] <= 8 and (length == length[0]).all() and (words == words[0]).all():
                value, have, bad = self.chunk.scan.decimals(starts[:1], stops[:1], 4)
                if not bad[0]:
                    one = decimal_array(value, have, shapes.QUANTITY)[0]
                    return pa.repeat(one, self.n) if have[0] else pa.nulls(self.n, shapes.QUANTITY)
        return self.chunk.quantity(asked.segments, asked.element, spans, asked.component)


def first_of(parents: Ints, children: Ints, count: int) -> Ints:
    """The first child of each parent (-1 where none): `parents[i]` is the parent of `children[i]`, in file order."""
    if len(parents) == count and (parents[1:] > parents[:-1]).all():
        return children  # each has one
    out = np.full(count, -1, dtype=np.int64)
    out[parents[::-1]] = children[::-1]
    return out


def joined(parents: Ints, values: pa.Array, count: int) -> pa.Array:
    """Texts gathered by parent (sorted) and joined by blanks; null where a parent has none."""
    if values.null_count:
        kept = values.is_valid().to_numpy(zero_copy_only=False)
        parents, values = parents[kept], values.drop_null()
    offsets = np.zeros(count + 1, dtype=np.int32)
    offsets[1:] = np.searchsorted(parents, np.arange(count), side="right")
    text = pc.binary_join(pa.ListArray.from_arrays(pa.array(offsets), values), " ")
    return pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)


def rows_table(name: str, rows: Iterable[Mapping[str, Any]]) -> pa.Table:
    return shapes.from_rows(name, rows)


def repeats(chunk: Chunk, segments: Ints, first: int, step: int, most: int) -> tuple[Ints, Ints]:
    """(row in `segments`, number of the repeat from 0) of each repeat that holds anything, in the order of the wire."""
    if not len(segments):
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    scan = chunk.scan
    if scan.kernel is not None:
        return scan.kernel.repeats(scan, segments, first, step, most)
    counts, bases = scan.counts.take(segments), scan.base.take(segments)
    repeats = int(min(max((int(counts.max()) - first + step - 1) // step, 0), most))
    rows, numbers = [], []
    for k in range(repeats):
        begin = first + step * k
        rest = np.flatnonzero(counts > begin)
        # it holds anything if between its ends there is more than separators
        last = np.minimum(counts[rest], begin + step) - 1
        between = scan.ends.take(bases[rest] + last) - scan.marks.take(bases[rest] + (begin - 1)) - 1
        held = rest[between > last - begin]
        rows.append(held)
        numbers.append(np.full(len(held), k, dtype=np.int64))
    if not rows:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    row, number = np.concatenate(rows), np.concatenate(numbers)
    if repeats == 1:
        return row, number
    order = np.argsort(row * repeats + number, kind="stable")
    return row[order], number[order]

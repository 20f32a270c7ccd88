"""Writing X12 a column at a time: a segment of every row at once.

Theory. A segment is its elements with a separator between them and trailing empties cut off; a loop is its segments, each with its
terminator, the absent ones left out. So a row is a line of pieces: constants, values, separators that stand where something follows.
`Rows` lays the pieces of all rows out at once, and no Python object stands for a row. This is
sound only where no value holds a delimiter: X12 has no escape. `outside` therefore looks through the bytes of whole columns before
anything is joined.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.x12.kernel import Kernel, Measured, Piece, kernel
from pipeline.x12.segments import DEFAULT_DELIMITERS, Delimiters

Mask = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]
#: a column of texts, or one text for every row
Text: TypeAlias = "pa.Array | pa.ChunkedArray | str"

_EPOCH = np.datetime64("1970-01-01", "D")
#: days that an X12 date of ours may name; the rest is refused by `day_in_range`
FIRST_DAY = int((np.datetime64("1850-01-01", "D") - _EPOCH).astype(int))
LAST_DAY = int((np.datetime64("2149-12-31", "D") - _EPOCH).astype(int))


def flat(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """One contiguous array."""
    if not isinstance(column, pa.ChunkedArray):
        return column
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


@dataclass(frozen=True, slots=True)
class Columns:
    """Joins columns into composites, segments and loops with the delimiters of one interchange."""

    delimiters: Delimiters = DEFAULT_DELIMITERS
    newline: bool = False

    @property
    def end(self) -> str:
        return self.delimiters.segment + ("\n" if self.newline else "")

    def composite(self, *components: Part) -> pa.Array:
        return _joined(components, self.delimiters.component)

    def pieces(self, *components: Text | Picked) -> Composite:
        """A composite for `every`, not yet joined."""
        return Composite(components, self.delimiters.component)

    def segment(self, segment_id: str, *elements: Text, where: Mask | None = None) -> pa.Array:
        """The segment without its terminator, joined; null where `where` is false. A null element is an empty one."""
        if where is None or where.all():
            return _joined((segment_id, *elements), self.delimiters.element)
        few = [e if isinstance(e, str) else flat(e).filter(pa.array(where)) for e in elements]
        return spread(_joined((segment_id, *few), self.delimiters.element), where)

    def every(self, segment_id: str, *elements: Part, where: Mask | None = None) -> Every:
        """The segment in every row, or in most rows where the mask holds; not yet joined: `loop` and `body` join all at once."""
        return Every((segment_id, *elements), None if where is None or where.all() else where)

    def loop(self, *segments: Text | Every) -> pa.Array:
        """Segments, each with its terminator; null ones are left out. No segment at all gives ''."""
        return self.rows(*segments).texts()

    def rows(self, *segments: Text | Every) -> Rows:
        """As `loop`, not yet laid."""
        return self._in_rows(segments, len(segments))

    def body(self, *segments: Text | Every) -> pa.Array:
        """As `loop`, without the last terminator: that is set when the body takes its place in a loop.

        Each row needs one segment at least, and one of the segments must stand in every row.
        """
        certain = next(n for n, segment in enumerate(segments) if _stands(segment) is None)
        return self._in_rows(segments, certain).texts()

    def _in_rows(self, segments: Sequence[Text | Every], certain: int) -> Rows:
        """Terminators stand behind the segments before the certain one, and before those behind it."""
        row = Rows(_rows(segments))
        for number, segment in enumerate(segments):
            if isinstance(segment, Every):
                segment = segment.gathered(self.delimiters.element)
            where = _stands(segment)
            if number > certain:
                row.add(self.end, where)
            if isinstance(segment, Every):
                row.join(segment.parts, self.delimiters.element, where)
            else:
                row.add(_settled_text(segment), None)
            if number < certain:
                row.add(self.end, where)
        return row


@dataclass(frozen=True, slots=True)
class Picked:
    """A column whose rows are taken from other texts: where each stands there is enough, nothing is copied before the join."""

    texts: pa.Array
    numbers: Integers

    def __len__(self) -> int:
        return len(self.numbers)

    def array(self) -> pa.Array:
        return self.texts.take(pa.array(self.numbers))

    def within(self, before: str, after: str = "") -> Picked:
        """The same with a text before and after each."""
        return Picked(pc.binary_join_element_wise(before, without_nulls(self.texts), after, ""), self.numbers)


@dataclass(frozen=True, slots=True)
class Composite:
    """Components, not yet joined. Empty ones at the end are left out."""

    parts: tuple[Part, ...]
    separator: str


@dataclass(frozen=True, slots=True)
class Every:
    """A segment that every row has, or each where the mask holds: its id and its elements, not yet joined."""

    parts: tuple[Part, ...]
    where: Mask | None = None

    def gathered(self, separator: str) -> Every:
        """Where few rows have the segment, it is joined for these alone and is one piece of the row."""
        few = 4 if kernel() is None else 64  # the kernel passes over absent pieces at no cost worth a column
        if self.where is None or len(self.parts) == 1 or np.count_nonzero(self.where) * few > len(self.where):
            return self
        here = np.flatnonzero(self.where)
        row = Rows(len(here))
        row.join([_of(part, here) for part in self.parts], separator, None)
        return Every.spread(row.texts(), self.where)

    @classmethod
    def spread(cls, texts: pa.Array, where: Mask) -> Every:
        """Segments of the rows where the mask is true, joined already."""
        return cls.picked(texts, np.cumsum(where) - 1, where)

    @classmethod
    def picked(cls, texts: pa.Array, numbers: Integers, where: Mask) -> Every:
        """Segments joined already, each row's by its number, where the mask is true."""
        return cls((Picked(texts, numbers),), None if where.all() else where)


#: what an element of `every` may be
Part: TypeAlias = "Text | Picked | Composite"
#: a part of which is known whether it says the same in every row
Operand: TypeAlias = "pa.Array | Picked | Composite | str"


class Rows:
    """The pieces of a row, in order: each a text for all rows or a column, in all rows or where a mask holds.

    All pieces of all rows are joined at once, by the compiled kernel or by one Arrow `take` (8 ns a piece, half of what joining
    element-wise costs), and a column that is itself picked from few texts is never made.
    """

    def __init__(self, rows: int) -> None:
        self._rows = rows
        #: the kernel writes a constant with the column behind it; for a `take` each is a piece of its own
        self._merges = kernel() is None
        #: (one text or the texts, which of them each row takes: None is its own; where)
        self._pieces: list[tuple[pa.Array | str, Integers | None, Mask | None]] = []

    def add(self, piece: pa.Array | Picked | str, where: Mask | None) -> None:
        """One piece more. A constant beside a column of few texts is written to these, and costs nothing by row."""
        before, numbers, stands = self._pieces[-1] if self._pieces else (None, None, None)
        if before is None or stands is not where:
            before = None
        if isinstance(piece, str):
            if isinstance(before, str):
                self._pieces[-1] = (before + piece, None, where)
            elif before is not None and numbers is not None and self._few(before):
                self._pieces[-1] = (Picked(before, numbers).within("", piece).texts, numbers, where)
            elif piece:
                self._pieces.append((piece, None, where))
            return
        if isinstance(piece, Picked) and isinstance(before, str) and self._few(piece.texts):
            self._pieces.pop()
            piece = piece.within(before)
        self._pieces.append((piece.texts, piece.numbers, where) if isinstance(piece, Picked) else (piece, None, where))

    def _few(self, texts: pa.Array) -> bool:
        return self._merges and len(texts) <= self._rows // 8

    def join(self, parts: Sequence[Part], separator: str, where: Mask | None) -> None:
        """Parts with separators between them, without those at the end that are followed by nothing."""
        self._join([_operand(part) for part in parts], separator, where)

    def _join(self, operands: Sequence[Operand], separator: str, where: Mask | None) -> None:
        # from the end: does anything stand at or behind each part? True: in every row
        stands: list[Mask | bool] = [False] * len(operands)
        behind: Mask | bool = False
        for number in range(len(operands) - 1, -1, -1):
            behind = True if behind is True else _either(behind, _filled(operands[number]))
            stands[number] = behind
        masks: dict[int, Mask] = {}
        for number, operand in enumerate(operands):
            here = stands[number]
            if here is False:
                return
            if number:
                mask = where
                if here is not True:
                    mask = masks.get(id(here))
                    if mask is None:
                        mask = masks[id(here)] = here if where is None else here & where
                self.add(separator, mask)
            if isinstance(operand, Composite):
                self._join(operand.parts, operand.separator, where)
            else:
                self.add(operand, where)

    def texts(self) -> pa.Array:
        if not self._pieces or (len(self._pieces) == 1 and self._pieces[0][2] is None):
            return self._one()
        measured = self.measured()
        return self._taken() if measured is None else measured.texts()

    def measured(self) -> Measured | None:
        """What the kernel can lay; None where there is none, or the rows are too long for one column."""
        compiled = kernel()
        return None if compiled is None else compiled.measured(self._rows, self._without_nulls())

    def _without_nulls(self) -> list[Piece]:
        plain = {id(s): without_nulls(s) for s, _, _ in self._pieces if not isinstance(s, str)}
        return [(plain.get(id(source), source), numbers, where) for source, numbers, where in self._pieces]

    def _taken(self) -> pa.Array:
        """By one `take`: the sources are laid one behind the other, the index names the pieces of the first row, then those of
        the second, and the bytes of what is taken are the rows."""
        constants: dict[str, int] = {"": 0}
        sources: dict[int, tuple[pa.Array, int]] = {}  # by identity: the texts and where they begin
        size = 0
        for source, _, _ in self._pieces:
            if isinstance(source, str):
                constants.setdefault(source, len(constants))
            elif id(source) not in sources:
                sources[id(source)] = source, size
                size += len(source)
        index = np.empty((self._rows, len(self._pieces)), dtype=np.int32)
        own = np.arange(len(constants), self._rows + len(constants), dtype=np.int32)
        for number, (source, numbers, where) in enumerate(self._pieces):
            column = index[:, number]
            if isinstance(source, str):
                column[:] = constants[source] if where is None else where * np.int32(constants[source])
                continue
            start = sources[id(source)][1]
            if numbers is None:
                np.add(own, start, out=column)
            else:
                used = numbers if where is None else numbers[where]
                if len(used) and not 0 <= used.min() <= used.max() < len(source):
                    raise IndexError("A row takes a text that is not there.")
                np.add(numbers, start + len(constants), out=column, casting="unsafe")
            if where is not None:
                column *= where
        pieces = [pa.array(list(constants), type=pa.string()), *(source for source, _ in sources.values())]
        taken = pa.concat_arrays(pieces).take(pa.array(index.reshape(-1)))
        _, offsets, data = taken.buffers()
        each = np.frombuffer(offsets, dtype=np.int32)[taken.offset : taken.offset + len(taken) + 1 : len(self._pieces)]
        return pa.Array.from_buffers(pa.string(), self._rows, [None, pa.py_buffer(each.copy()), data])

    def _one(self) -> pa.Array:
        """The rows where there is one piece, everywhere, or none."""
        source, numbers, _ = self._pieces[0] if self._pieces else ("", None, None)
        if isinstance(source, str):
            return pa.repeat(source, self._rows)
        texts = source if numbers is None else source.take(pa.array(numbers))
        return pc.fill_null(texts, "") if texts.null_count else texts


class Woven:
    """The rows of several tables in one order, cut into stretches, as they stand in a file.

    The kernel tells how long each row is, and how many segments it has, before one is laid. So the headers' counts are known, the file has
    its size, and each row is laid once, where it stays: no copy of the rows alone, and none of the file. Without the kernel the
    rows are made, taken in their order, counted and joined.
    """

    def __init__(self, sources: Sequence[tuple[Rows, Integers]], starts: Integers, end: str) -> None:
        """For each table its rows and which place each takes among all. A stretch begins at each of the places `starts`, the first
        at 0; `end` is what terminates a segment."""
        self._sources = sources
        count = sum(len(places) for _, places in sources)
        borders = np.r_[starts, count]
        self._in_stretch = np.diff(borders)
        measured = [rows.measured() for rows, _ in sources]
        self._measured = [one for one in measured if one is not None]
        self._kernel: Kernel | None = kernel() if len(self._measured) == len(sources) else None
        if self._kernel is not None:
            lengths, ends = np.empty(count, dtype=np.int64), np.empty(count, dtype=np.int64)
            for one, (_, places) in zip(self._measured, sources, strict=True):
                lengths[places], ends[places] = one.lengths, one.ends(ord(end))
            self._offsets = np.r_[0, np.cumsum(lengths)]
            segments = np.add.reduceat(ends, starts).tolist()
        else:
            offsets, self._data = buffers(self._taken(count))
            self._offsets = offsets.astype(np.int64)
            cuts = self._offsets[borders].tolist()
            segments = [_count(self._data[a:b], ord(end)) for a, b in itertools.pairwise(cuts)]
        self._cuts = self._offsets[borders]
        #: of each stretch
        self.segments: list[int] = segments

    def _taken(self, count: int) -> pa.Array:
        picked = []
        for rows, places in self._sources:
            numbers, where = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.bool_)
            numbers[places], where[places] = np.arange(len(places)), True
            picked.append((rows.texts(), numbers, where))
        return taken(count, *picked)

    def between(self, heads: Sequence[bytes], tails: Sequence[bytes]) -> bytes:
        """Each stretch with its head before it and its tail behind it. The last tail has 16 bytes at least."""
        cuts = self._cuts.tolist()
        if self._kernel is None:
            stretches = (self._data[a:b].data for a, b in itertools.pairwise(cuts))
            return b"".join(itertools.chain.from_iterable(zip(heads, stretches, tails, strict=True)))
        whole = self._kernel.new(cuts[-1] + sum(map(len, heads)) + sum(map(len, tails)))
        shifts, shift = [], 0
        for head, tail, a, b in zip(heads, tails, cuts, cuts[1:], strict=False):
            whole.put(a + shift, head)
            shift += len(head)
            shifts.append(shift)
            whole.put(b + shift, tail)
            shift += len(tail)
        begins = self._offsets[:-1] + np.repeat(shifts, self._in_stretch)
        for one, (_, places) in zip(self._measured, self._sources, strict=True):
            one.fill(whole, begins[places])
        return whole.seen()


def _count(data: npt.NDArray[np.uint8], byte: int) -> int:
    """How often the byte stands there; by and by, since a mask of a whole file is memory that must first be had."""
    return sum(int(np.count_nonzero(data[at : at + _AT_ONCE] == byte)) for at in range(0, len(data), _AT_ONCE))


_AT_ONCE = 1 << 16


def _of(part: Part, rows: Integers) -> Part:
    """A part's rows of these numbers."""
    if isinstance(part, str):
        return part
    if isinstance(part, Picked):
        return Picked(part.texts, part.numbers[rows])
    if isinstance(part, Composite):
        return Composite(tuple(_of(one, rows) for one in part.parts), part.separator)
    return flat(part).take(pa.array(rows))


def _rows(segments: Sequence[Part | Every]) -> int:
    """How many rows there are: one of the columns says it."""
    for segment in segments:
        if isinstance(segment, (Every, Composite)):
            if found := _rows(segment.parts):
                return found
        elif not isinstance(segment, str):
            return len(segment)
    return 0


def _stands(segment: Text | Every) -> Mask | None:
    """The rows that have the segment; None: all."""
    if isinstance(segment, str):
        return None
    if isinstance(segment, Every):
        return segment.where
    return as_mask(segment.is_valid()) if segment.null_count else None


def _filled(part: Operand) -> Mask | bool:
    """The rows in which something stands."""
    if isinstance(part, str):
        return bool(part)
    if isinstance(part, Composite):
        found: Mask | bool = False
        for one in part.parts:
            found = _either(found, _filled(one))
        return found
    if isinstance(part, Picked):
        texts = _filled(part.texts)
        return texts if isinstance(texts, bool) else _settled(texts[part.numbers])
    return _settled(lengths(part) > 0)


def _settled(mask: Mask) -> Mask | bool:
    return True if mask.all() else mask if mask.any() else False


def _either(one: Mask | bool, other: Mask | bool) -> Mask | bool:
    if one is False or other is False:
        return one if other is False else other
    return True if one is True or other is True else _settled(one | other)


def _operand(part: Part) -> Operand:
    if isinstance(part, Composite):
        return Composite(tuple(map(_operand, part.parts)), part.separator)
    return part if isinstance(part, Picked) else _settled_text(part)


def _settled_text(text: Text) -> pa.Array | str:
    """A column that says the same in every row costs as little to join as one text does."""
    if isinstance(text, str):
        return text
    array = flat(text)
    one = alike(array)
    return array if one is None else one


def alike(array: pa.Array) -> str | None:
    """The text that all rows hold (null is ''); None where they differ."""
    offsets, data = buffers(array)
    rows = len(offsets) - 1
    if not len(data):
        return ""
    size = int(offsets[1])
    if len(data) != size * rows:
        return None
    if (compiled := kernel()) is not None:
        return data[:size].tobytes().decode() if compiled.alike(array) else None
    first = data[:size]
    if not (data[-size:] == first).all() or (np.diff(offsets) != size).any():
        return None
    # row by row, so that most columns are settled by their first rows
    for start in range(0, rows, _ROWS_AT_ONCE):
        if (data[start * size : (start + _ROWS_AT_ONCE) * size].reshape(-1, size) != first).any():
            return None
    return first.tobytes().decode()


_ROWS_AT_ONCE = 4096


def _joined(parts: Sequence[Part], separator: str) -> pa.Array:
    row = Rows(_rows(parts))
    row.join(parts, separator, None)
    return row.texts()


def beside(*columns: Text, separator: str = "\x1f") -> pa.Array:
    """The columns' texts with a separator between them, whether there is anything or not: what tells rows apart. None is null."""
    row = Rows(_rows(columns))
    for number, column in enumerate(columns):
        if number:
            row.add(separator, None)
        row.add(_settled_text(column), None)
    return row.texts()


def distinct(*columns: pa.Array | pa.ChunkedArray, where: Mask | None = None) -> tuple[Integers, Integers]:
    """Which rows, of those where the mask holds, say the same in all columns (null is ''): each row's number, by first appearance
    (elsewhere 0), and each number's first row."""
    arrays = [without_nulls(column) for column in columns]
    if (compiled := kernel()) is not None:
        return compiled.group(arrays, where)
    if where is not None:
        numbers, firsts = np.zeros(len(where), dtype=np.int64), np.flatnonzero(where)
        numbers[where], few = distinct(*(array.filter(pa.array(where)) for array in arrays))
        return numbers, firsts[few]
    found = (arrays[0] if len(arrays) == 1 else beside(*arrays)).dictionary_encode()
    numbers = np.asarray(found.indices.to_numpy(zero_copy_only=False), dtype=np.int64)
    return numbers, np.unique(numbers, return_index=True)[1]


def taken(rows: int, *sources: tuple[pa.Array, Integers, Mask]) -> pa.Array:
    """Each row from one of the sources: the text of that number where the mask holds."""
    row = Rows(rows)
    for texts, numbers, where in sources:
        row.add(Picked(texts, numbers), where)
    return row.texts()


def runs(texts: pa.Array, starts: Integers) -> pa.Array:
    """Neighbouring rows put together: a row from each start to the next. The bytes stay where they are."""
    offsets, data = buffers(texts)
    ends = np.append(offsets[starts], offsets[-1]).astype(np.int32)
    return pa.Array.from_buffers(pa.string(), len(starts), [None, pa.py_buffer(ends), pa.py_buffer(data)])


def spread(texts: pa.Array, where: Mask) -> pa.Array:
    """Texts of the rows where the mask is true → a column of all rows, null elsewhere."""
    return texts.take(pa.array(np.cumsum(where) - 1, mask=~where))


def unscaled(column: pa.Array | pa.ChunkedArray) -> Integers:
    """The digits of decimals of up to 18 places as integers (cents of dollars), exactly; undefined for null."""
    return _words(flat(column))[::2]  # the lower half of each 128-bit number holds all of it


def _words(array: pa.Array) -> Integers:
    return np.frombuffer(array.buffers()[1], dtype=np.int64)[2 * array.offset : 2 * (array.offset + len(array))]


def amount(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Decimals as X12 writes them: no trailing zeros, no trailing point (100.00 → 100, 12.50 → 12.5)."""
    array = flat(column)
    if len(array) and not array.null_count:
        if (compiled := kernel()) is not None:
            return compiled.amounts(_words(array), array.type.scale)
        one = 10**array.type.scale
        digits = unscaled(array)
        if not (digits % one).any():  # units mostly are whole
            return whole(digits // one)
        if one == 100 and digits.min() >= 0 and digits.max() < 100 * _EIGHT_DIGITS:
            return _written(digits // 100, digits % 100)
    text = pc.cast(array, pa.string())
    return pc.ascii_rtrim(pc.ascii_rtrim(text, characters="0"), characters=".")


def whole(values: Integers | pa.Array | pa.ChunkedArray) -> pa.Array:
    """Whole numbers as text."""
    array = pa.array(values) if isinstance(values, np.ndarray) else flat(values)
    least, most = pc.min_max(array).as_py().values()
    if least is not None and least >= 0:
        if most < _FEW:
            return pc.take(_numbers(), array)
        if most < _EIGHT_DIGITS and not array.null_count:
            return _written(array.to_numpy(), None)
    return pc.cast(array, pa.string())


_FEW = 1000
_EIGHT_DIGITS = 10**8


@cache
def _numbers() -> pa.Array:
    """The texts of the numbers below `_FEW`."""
    return pa.array([str(number) for number in range(_FEW)], type=pa.string())


@cache
def _numbers_after_nothing() -> pa.Array:
    return pa.concat_arrays([pa.array([""]), _numbers()])


@cache
def _four_digits() -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
    """For each number below 10,000: its four digits as bytes of a word, and how many it is written with."""
    texts = [f"{number:04d}".encode() for number in range(10_000)]
    digits = np.frombuffer(b"".join(texts), dtype="<u4").astype(np.uint64)
    return digits, np.array([len(t.lstrip(b"0")) or 1 for t in texts], dtype=np.uint64)


@cache
def _cents() -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
    """For each number of cents: what stands behind the dollars ('', '.5', '.05') as bytes of a word, and its length."""
    texts = [f".{number:02d}".rstrip("0").rstrip(".").encode() for number in range(100)]
    words = np.array([int.from_bytes(t, "little") for t in texts], dtype=np.uint64)
    return words, np.array([len(t) for t in texts], dtype=np.uint64)


def _written(number: Integers, cents: Integers | None) -> pa.Array:
    """Numbers of at most eight digits, with cents or without, as text: digits by look-up, at most 11 characters as one view."""
    digits, count = _four_digits()
    high = number // 10_000
    low = number - 10_000 * high
    length = np.where(high > 0, count.take(high) + np.uint64(4), count.take(low))
    word = (digits.take(high) | (digits.take(low) << np.uint64(32))) >> (np.uint64(64) - (length << np.uint64(3)))
    views = np.empty((len(number), 2), dtype="<u8")
    views[:, 1] = 0
    if cents is not None:
        words, lengths_of_cents = _cents()
        behind = words.take(cents)
        bits = length << np.uint64(3)
        word |= behind << bits  # a shift by 64 leaves nothing
        np.left_shift(behind >> (np.uint64(64) - bits), np.uint64(32), out=views[:, 1])
        length += lengths_of_cents.take(cents)
    # a view is its length and up to twelve bytes
    np.bitwise_or(length, word << np.uint64(32), out=views[:, 0])
    views[:, 1] |= word >> np.uint64(32)
    return pa.Array.from_buffers(pa.string_view(), len(number), [None, pa.py_buffer(views)]).cast(pa.string())


def counted(column: pa.Array | pa.ChunkedArray) -> Picked | pa.Array:
    """Whole numbers from 0 that are small (ids, places), for `every`; null is ''."""
    array = flat(column)
    least, most = pc.min_max(array).as_py().values()
    if least is not None and (least < 0 or most >= _FEW):
        return whole(array)
    values = np.asarray((pc.fill_null(array, -1) if array.null_count else array).to_numpy(), dtype=np.int64)
    return Picked(_numbers_after_nothing(), values + 1)


def dated(column: pa.Array | pa.ChunkedArray) -> Picked | pa.Array:
    """As `day`, for `every`."""
    array = flat(column)
    if array.null_count or not len(array):
        return day(array)
    days = array.cast(pa.int32()).to_numpy()
    first, last = int(days.min()), int(days.max())
    return Picked(_days().slice(first - FIRST_DAY, last - first + 1), days - first)


def without_nulls(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Texts with '' for null. A null row of a column that was made has no bytes: then only the flags go."""
    array = flat(column)
    if not array.null_count:
        return array
    if array.null_count == len(array):
        return pa.repeat("", len(array))
    if _hides_bytes(array):
        return pc.fill_null(array, "")
    return _unflagged(array)


def _hides_bytes(array: pa.Array) -> bool:
    """Has a row that is null bytes all the same?"""
    if (compiled := kernel()) is not None:
        return compiled.look(array)[2]
    return bool((lengths(array)[as_mask(array.is_null())] > 0).any())


def cleaned(column: pa.Array | pa.ChunkedArray, *, capitals: bool) -> pa.Array:
    """As `without_nulls`, `trimmed` and, with `capitals`, `upper`: most columns need none of them, which one look tells."""
    array = flat(column)
    compiled = kernel()
    if compiled is not None and array.null_count < len(array):
        small, blanks, hidden = compiled.look(array)
        if not (blanks or hidden or (small and capitals)):
            return _unflagged(array) if array.null_count else array
    array = trimmed(without_nulls(array))
    return upper(array) if capitals else array


def _unflagged(array: pa.Array) -> pa.Array:
    """The same bytes, and no row null."""
    return pa.Array.from_buffers(array.type, len(array), [None, *array.buffers()[1:]], 0, array.offset)


@cache
def _days() -> pa.Array:
    days = np.arange(FIRST_DAY, LAST_DAY + 1).astype("datetime64[D]").astype(str)
    return pa.array(np.char.replace(days, "-", ""), type=pa.string())


def day_in_range(column: pa.Array | pa.ChunkedArray) -> Mask:
    """True where the date is null or can be written by `day`."""
    numbers = flat(column).cast(pa.int32())
    inside = pc.and_(pc.greater_equal(numbers, FIRST_DAY), pc.less_equal(numbers, LAST_DAY))
    return as_mask(pc.fill_null(inside, True))


def day(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Dates as CCYYMMDD."""
    return pc.take(_days(), pc.subtract(flat(column).cast(pa.int32()), FIRST_DAY))


def as_mask(array: pa.Array | pa.ChunkedArray) -> Mask:
    """A boolean column as numpy; null is false."""
    array = flat(array)
    if array.null_count == len(array):
        return np.zeros(len(array), dtype=np.bool_)
    if array.null_count:
        array = pc.fill_null(array, False)
    bits = np.frombuffer(array.buffers()[1], dtype=np.uint8)
    return np.unpackbits(bits, count=array.offset + len(array), bitorder="little")[array.offset :].view(np.bool_)


def kept(table: pa.Table, where: Mask) -> pa.Table:
    """The table's rows where the mask holds. Columns of texts that hold none at all are many, and are not gone through."""
    here, rows = pa.array(where), int(np.count_nonzero(where))
    nothing = pa.repeat("", rows)
    columns = [
        nothing if pa.types.is_string(column.type) and not len(buffers(column)[1]) else flat(column).filter(here)
        for column in table.columns
    ]
    return pa.Table.from_arrays(columns, names=table.column_names)


def present(column: pa.Array | pa.ChunkedArray) -> Mask:
    """True where a text stands and is not empty."""
    offsets, _ = buffers(column)
    return offsets[1:] > offsets[:-1]


def equals(column: pa.Array | pa.ChunkedArray, value: str) -> Mask:
    """True where the text is this one."""
    return as_mask(pc.equal(column, value))


def buffers(column: pa.Array | pa.ChunkedArray) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.uint8]]:
    """Offsets (rows + 1) and bytes of a string column. A null row has no bytes."""
    array = flat(column)
    if not len(array):
        return np.zeros(1, dtype=np.int32), np.zeros(0, dtype=np.uint8)
    _, offset_buffer, data_buffer = array.buffers()
    offsets = np.frombuffer(offset_buffer, dtype=np.int32)[array.offset : array.offset + len(array) + 1]
    data = np.frombuffer(data_buffer, dtype=np.uint8) if data_buffer is not None else np.zeros(0, dtype=np.uint8)
    first = offsets[0]
    return offsets - first if first else offsets, data[first : offsets[-1]]


def lengths(column: pa.Array | pa.ChunkedArray) -> npt.NDArray[np.int32]:
    """Bytes of each row; 0 for null."""
    offsets, _ = buffers(column)
    return offsets[1:] - offsets[:-1]


@cache
def table_of(characters: frozenset[str]) -> npt.NDArray[np.bool_]:
    """Lookup by byte: true where the byte is none of the characters."""
    refused = np.ones(256, dtype=np.bool_)
    refused[[ord(c) for c in characters if ord(c) < 128]] = False
    return refused


def outside(column: pa.Array | pa.ChunkedArray, characters: frozenset[str]) -> Mask | None:
    """Rows with a byte that is none of the characters; None where there is no such row. One pass over the bytes."""
    offsets, data = buffers(column)
    refused = table_of(characters)[data]
    if not refused.any():
        return None
    rows = np.zeros(len(offsets) - 1, dtype=np.bool_)
    rows[np.searchsorted(offsets, np.flatnonzero(refused), side="right") - 1] = True
    return rows


_LOWER = table_of(frozenset(map(chr, range(128))) - frozenset("abcdefghijklmnopqrstuvwxyz"))


def upper(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """ASCII letters in upper case; the same array where there is nothing to change."""
    array = flat(column)
    if (compiled := kernel()) is not None:
        return pc.ascii_upper(array) if compiled.look(array)[0] else array
    data = buffers(array)[1]
    # small letters stand at the end of ASCII: one look at the greatest byte settles most columns
    if not len(data) or data.max() < ord("a") or not _LOWER[data].any():
        return array
    return pc.ascii_upper(array)


def trimmed(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Without blanks at either end; the same array where there are none."""
    if (compiled := kernel()) is not None:
        array = flat(column)
        return pc.ascii_trim(array, characters=" ") if compiled.look(array)[1] else array
    offsets, data = buffers(column)
    if not (data == ord(" ")).any():
        return flat(column)
    filled = np.flatnonzero(offsets[1:] > offsets[:-1])
    if not len(filled) or not ((data[offsets[filled]] == 32) | (data[offsets[filled + 1] - 1] == 32)).any():
        return flat(column)
    return pc.ascii_trim(flat(column), characters=" ")

"""Writing X12 a column at a time: a segment of every row at once.

Theory. A segment is its elements joined by a separator with trailing empties cut off; a loop is its segments joined by
the terminator, the absent ones (null) left out. So segments and loops are Arrow string columns, made by
`binary_join_element_wise`, and no Python object stands for a row. This is sound only where no value holds a delimiter:
X12 has no escape. `outside` therefore looks through the bytes of whole columns before anything is joined.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

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

    def composite(self, *components: Text) -> pa.Array:
        return _joined(components, self.delimiters.component)

    def segment(self, segment_id: str, *elements: Text, where: Mask | None = None) -> pa.Array:
        """The segment without its terminator; null where `where` is false. A null element is an empty one."""
        if where is None or where.all():
            return _joined((segment_id, *elements), self.delimiters.element)
        here = pa.array(where)
        if np.count_nonzero(where) > len(where) // 2:
            text = _joined((segment_id, *elements), self.delimiters.element)
            return pc.if_else(here, text, pa.scalar(None, type=text.type))
        few = [e if isinstance(e, str) else flat(e).filter(here) for e in elements]
        return spread(_joined((segment_id, *few), self.delimiters.element), where)

    def every(self, segment_id: str, *elements: Text) -> Every:
        """The segment in every row, for `loop`, which joins neighbours of this kind at once."""
        return Every((segment_id, *elements))

    def loop(self, *segments: Text | Every) -> pa.Array:
        """Segments, each with its terminator; null ones are left out. No segment at all gives ''."""
        operands = self._operands(segments)
        if len(operands) == 1 and not isinstance(operands[0], str) and not operands[0].null_count:
            return pc.binary_join_element_wise(operands[0], self.end, "", null_handling="skip")
        return pc.binary_join_element_wise(*operands, "", self.end, null_handling="skip")

    def body(self, *segments: Text | Every) -> pa.Array:
        """As `loop`, without the last terminator: that is set when the body takes its place in a loop.

        Each row needs one segment at least: Arrow drops rows in which all is skipped.
        """
        operands = self._operands(segments)
        if len(operands) == 1 and not isinstance(operands[0], str) and not operands[0].null_count:
            return operands[0]
        return pc.binary_join_element_wise(*operands, self.end, null_handling="skip")

    def _operands(self, segments: Sequence[Text | Every]) -> list[Text]:
        operands: list[Text] = []
        run: list[Every] = []
        for segment in segments:
            if isinstance(segment, Every):
                run.append(segment)
                continue
            if run:
                operands.append(self._one_after_another(run))
                run = []
            operands.append(segment if isinstance(segment, str) else flat(segment))
        return [*operands, self._one_after_another(run)] if run else operands

    def _one_after_another(self, run: Sequence[Every]) -> pa.Array:
        """Segments that every row has, with the terminators between them."""
        separator = self.delimiters.element
        if len(run) == 1 or not all(_ends_with_text(segment.parts) for segment in run):
            joined = [_joined(segment.parts, separator) for segment in run]
            return joined[0] if len(joined) == 1 else pc.binary_join_element_wise(*joined, self.end)
        pieces: list[Text] = []
        for segment in run:
            pieces += [self.end] if pieces else []
            for part in segment.parts:
                pieces += [separator, part]
            del pieces[-2 * len(segment.parts)]  # none before the id
        rows = next(len(part) for part in pieces if not isinstance(part, str))
        operands = _merged(pieces, "")
        if len(operands) == 1:
            return pa.repeat(operands[0], rows)
        return pc.binary_join_element_wise(*operands, "", null_handling="replace", null_replacement="")


@dataclass(frozen=True, slots=True)
class Every:
    """A segment that every row has: its id and its elements, not yet joined."""

    parts: tuple[Text, ...]


def _ends_with_text(parts: tuple[Text, ...]) -> bool:
    last = parts[-1]
    return bool(last) if isinstance(last, str) else bool((lengths(last) > 0).all())


def _operand(text: Text) -> pa.Array | str:
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
    first = data[:size]
    if len(data) != size * rows or not (data[-size:] == first).all() or (np.diff(offsets) != size).any():
        return None
    # row by row, so that most columns are settled by their first rows
    for start in range(0, rows, _ROWS_AT_ONCE):
        if (data[start * size : (start + _ROWS_AT_ONCE) * size].reshape(-1, size) != first).any():
            return None
    return first.tobytes().decode()


_ROWS_AT_ONCE = 4096


def _joined(parts: Sequence[Text], separator: str) -> pa.Array:
    rows = next(len(part) for part in parts if not isinstance(part, str))
    operands = _merged(parts, separator)
    last = operands[-1]
    if isinstance(last, str):
        operands[-1] = last = last.rstrip(separator)
        if not last and len(operands) > 1:
            operands.pop()
    if len(operands) == 1:
        only_one = operands[0]
        return pa.repeat(only_one, rows) if isinstance(only_one, str) else pc.fill_null(only_one, "")
    text = pc.binary_join_element_wise(*operands, separator, null_handling="replace", null_replacement="")
    if (isinstance(last, str) and last) or (not isinstance(last, str) and (lengths(last) > 0).all()):
        return text
    # no value holds the separator, so what stands at the end of it are empty elements
    return pc.ascii_rtrim(text, characters=separator)


def _merged(parts: Sequence[Text], separator: str) -> list[pa.Array | str]:
    """The operands of a join: neighbouring constants are one."""
    operands: list[pa.Array | str] = []
    for part in map(_operand, parts):
        if isinstance(part, str) and operands and isinstance(operands[-1], str):
            operands[-1] = operands[-1] + separator + part
        else:
            operands.append(part)
    return operands


def spread(texts: pa.Array, where: Mask) -> pa.Array:
    """Texts of the rows where the mask is true → a column of all rows, null elsewhere."""
    return texts.take(pa.array(np.cumsum(where) - 1, mask=~where))


def unscaled(column: pa.Array | pa.ChunkedArray) -> Integers:
    """The digits of decimals of up to 18 places as integers (cents of dollars), exactly; undefined for null."""
    array = flat(column)
    words = np.frombuffer(array.buffers()[1], dtype=np.int64)[2 * array.offset : 2 * (array.offset + len(array))]
    return words[::2]  # the lower half of each 128-bit number holds all of it


def amount(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Decimals as X12 writes them: no trailing zeros, no trailing point (100.00 → 100, 12.50 → 12.5)."""
    array = flat(column)
    if len(array) and not array.null_count:
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


def without_nulls(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Texts with '' for null. A null row of a column that was made has no bytes: then only the flags go."""
    array = flat(column)
    if not array.null_count:
        return array
    if array.null_count == len(array):
        return pa.repeat("", len(array))
    if (lengths(array)[as_mask(array.is_null())] > 0).any():
        return pc.fill_null(array, "")
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
    if array.null_count:
        array = pc.fill_null(array, False)
    return np.asarray(array.to_numpy(zero_copy_only=False), dtype=np.bool_)


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
    return offsets - offsets[0], data[offsets[0] : offsets[-1]]


def lengths(column: pa.Array | pa.ChunkedArray) -> npt.NDArray[np.int32]:
    """Bytes of each row; 0 for null."""
    return np.diff(buffers(column)[0])


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
    data = buffers(array)[1]
    # small letters stand at the end of ASCII: one look at the greatest byte settles most columns
    if not len(data) or data.max() < ord("a") or not _LOWER[data].any():
        return array
    return pc.ascii_upper(array)


def trimmed(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Without blanks at either end; the same array where there are none."""
    offsets, data = buffers(column)
    if not (data == ord(" ")).any():
        return flat(column)
    filled = np.flatnonzero(offsets[1:] > offsets[:-1])
    if not len(filled) or not ((data[offsets[filled]] == 32) | (data[offsets[filled + 1] - 1] == 32)).any():
        return flat(column)
    return pc.ascii_trim(flat(column), characters=" ")

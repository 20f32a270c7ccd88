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

    def loop(self, *segments: Text) -> pa.Array:
        """Segments, each with its terminator; null ones are left out. No segment at all gives ''."""
        operands = [s if isinstance(s, str) else flat(s) for s in segments]
        return pc.binary_join_element_wise(*operands, "", self.end, null_handling="skip")


def _operand(text: Text) -> pa.Array | str:
    """A column without a single character is '' for every row: it then costs nothing to join."""
    if isinstance(text, str):
        return text
    array = flat(text)
    return array if len(buffers(array)[1]) else ""


def _joined(parts: Sequence[Text], separator: str) -> pa.Array:
    rows = next(len(part) for part in parts if not isinstance(part, str))
    operands: list[pa.Array | str] = []
    for part in map(_operand, parts):  # neighbouring constants are one
        if isinstance(part, str) and operands and isinstance(operands[-1], str):
            operands[-1] = operands[-1] + separator + part
        else:
            operands.append(part)
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
    text = pc.cast(array, pa.string())
    return pc.ascii_rtrim(pc.ascii_rtrim(text, characters="0"), characters=".")


def whole(values: Integers | pa.Array | pa.ChunkedArray) -> pa.Array:
    array = pa.array(values) if isinstance(values, np.ndarray) else flat(values)
    return pc.cast(array, pa.string())


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
    if not len(data):
        return flat(column)
    filled = np.flatnonzero(offsets[1:] > offsets[:-1])
    if not len(filled) or not ((data[offsets[filled]] == 32) | (data[offsets[filled + 1] - 1] == 32)).any():
        return flat(column)
    return pc.ascii_trim(flat(column), characters=" ")

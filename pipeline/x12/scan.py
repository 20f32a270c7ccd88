"""The columnar view of X12: delimiters found over a whole buffer at once, segments as numbers in arrays.

Theory. One pass finds every element separator and terminator (`flatnonzero`). Between two terminators lie the elements of
one segment, so the k-th element of the i-th segment is a span between two neighbours in that one sorted list: nothing is
cut out, nothing becomes a Python object. Segment ids become integers, so "all CAS segments" is one comparison. Spans
become columns by reading eight bytes at a time at any address (`w8`), with digit arithmetic in whole words for amounts
and dates; what does not fit the fast form takes an exact slow path, and what has no exact value is null and reported.

The buffer is padded on both sides so that no gather needs a bounds check. An index of -1 means "no such segment": its
elements are empty. This module is the border behind which the compiled kernel stands (`kernel.py`): buffer in, arrays out. What
is said here with numpy is the reference; where a kernel was built it does the same work in fewer passes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from decimal import Decimal
from functools import cache, cached_property
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.x12.isa import Wire
from pipeline.x12.kernel import MOST_BYTES, PAD, Ask, Ints, Places, Words, kernel

Bools = npt.NDArray[np.bool_]
#: where separators and terminators stand, which of those are terminators, where segments start, and their first eight bytes
Cuts: TypeAlias = tuple[Places, Places, Ints, Words]

_U = np.uint64
_ZEROS = _U(0x3030303030303030)
_LOW = np.array([(1 << (8 * i)) - 1 for i in range(9)], dtype="<u8")  # the first i bytes of a word
_HIGH = np.array([((1 << (8 * i)) - 1) << (8 * (8 - i)) for i in range(9)], dtype="<u8")  # the last i bytes
_NOUGHTS = _ZEROS & ~_HIGH  # noughts before the last i bytes
_TWO_AT, _TWO_POINT = _U(0xFF << 40), _U(46 << 40)
_ONE_AT, _ONE_POINT = _U(0xFF << 48), _U(46 << 48)
_STAY = np.array([(1 << 64) - 1, 0xFF << 56, 0xFFFF << 48], dtype="<u8")  # by kind: no decimals, one, two
_MOVE = np.array([0, (1 << 48) - 1, (1 << 40) - 1], dtype="<u8")
_FILL = np.array([0, 0x30, 0x30], dtype="<u8")
_ID = np.array([0, 0, 0xFFFF, 0xFFFFFF, 0], dtype="<u8")  # by length: what of a word is an id, if it can be one
_NOWHERE = np.zeros(0, dtype=np.int64)
_LONG = _U(0xFFFFFFFFFFFFFFFF)
_BLANKS = np.zeros(256, dtype=np.bool_)
_BLANKS[[9, 10, 13, 32, 0, 26]] = True
_PLAIN = re.compile(rb"-?(\d+\.?\d*|\.\d+)")
MAX_DIGITS = 18
_MOST_COMPONENTS = 64


def code_of(segment_id: str) -> int:
    """The integer that stands for a segment id of two or three characters."""
    return int.from_bytes(segment_id.encode(), "little")


def key_of(value: str) -> np.uint64:
    """The integer that stands for a short value (at most 7 bytes) in `Scan.keys`."""
    return _U(int.from_bytes(value.encode(), "little"))


def padded(pieces: Sequence[bytes | memoryview], room: npt.NDArray[np.uint8] | None = None) -> npt.NDArray[np.uint8]:
    """The pieces one after another with PAD zeros on both sides, in `room` (of just that size) if it is given."""
    size = sum(len(p) for p in pieces)
    buffer = np.empty(size + 2 * PAD, dtype=np.uint8) if room is None else room
    buffer[:PAD] = 0
    buffer[PAD + size :] = 0
    at = PAD
    for piece in pieces:
        buffer[at : at + len(piece)] = np.frombuffer(piece, dtype=np.uint8)
        at += len(piece)
    return buffer


class Scan:
    """Segments of one buffer under one set of delimiters.

    `starts` and `stops` bound each segment (stop: its terminator), `codes` hold ids, `counts` the elements with the id.
    `limit` keeps the first m segments. Positions count from the padded buffer's start: subtract PAD for the given bytes.
    """

    def __init__(self, buffer: npt.NDArray[np.uint8], wire: Wire, cuts: Cuts | None = None) -> None:
        """`buffer` is made by `padded`; `cuts` are those of another scan of the same bytes, so as not to look again."""
        self.buffer = buffer
        self.size = len(buffer) - 2 * PAD
        self.wire = wire
        self._heads: Words | None = None  # looked for when asked for, if not by the kernel
        self.kernel = kernel() if len(buffer) <= MOST_BYTES else None
        if cuts is not None:
            self._lay(cuts)
            return
        self._cut(buffer)
        if ((self.codes == _BIN) | (self.codes == _BDS)).any():
            self._mask_raw()

    # ---- cutting -----------------------------------------------------------------------------------------------------

    def _cut(self, buffer: npt.NDArray[np.uint8]) -> None:
        if self.kernel is not None:
            self._lay_compiled(*self.kernel.marks(buffer, self.wire.element, self.wire.segment))
            return
        view = buffer[PAD : PAD + self.size]
        delimiters = view == self.wire.element
        delimiters |= view == self.wire.segment
        marks = np.flatnonzero(delimiters)
        last = np.flatnonzero(view.take(marks) == self.wire.segment)
        marks += PAD
        n = len(last)
        starts = np.empty(n, dtype=np.int64)
        if n:
            starts[0] = PAD
            np.add(marks.take(last[:-1]), 1, out=starts[1:])
            ends = self._ragged_ends(marks, last) if self.wire.ragged else marks
            self._skip_blanks(starts, ends.take(np.append(0, last[:-1] + 1)), buffer)
        self._lay((marks, last, starts, self.w8[starts]))

    def _lay_compiled(self, marks: Places, last: Places) -> None:
        assert self.kernel is not None
        self.n = n = len(last)
        self.marks = marks
        self.ends = self._ragged_ends(marks, last) if self.wire.ragged and n else marks
        laid = self.kernel.lay(self.buffer, marks, self.ends, last)
        self.starts, self.stops, self.base, self.counts, self.codes, self._words = laid[:6]
        self._heads = laid[6]
        self.cuts = marks, last, self.starts, self._words
        self.__dict__.pop("_by_id", None)
        self._end_lines()

    def _lay(self, cuts: Cuts) -> None:
        if self.kernel is not None:
            self._lay_compiled(*cuts[:2])
            return
        self.cuts = marks, last, starts, words = cuts
        self._words = words
        self._heads = None
        self.n = n = len(last)
        base = np.zeros(n + 1, dtype=np.int64)
        np.add(last[:-1], 1, out=base[1:n])
        counts = np.zeros(n + 1, dtype=np.int64)
        np.subtract(last, base[:n], out=counts[:n])
        counts[:n] += 1
        self.marks, self.base, self.counts, self.starts = marks, base, counts, starts
        self.ends = self._ragged_ends(marks, last) if self.wire.ragged and n else marks
        self.stops = marks.take(last)
        codes = np.zeros(n + 1, dtype=np.int64)
        if n:
            length = self.ends.take(base[:n])
            length -= starts
            np.bitwise_and(words, _ID.take(length, mode="clip"), out=codes[:n].view("<u8"))
        self.codes = codes
        self._end_lines()

    def _end_lines(self) -> None:
        self.after = int(self.stops[-1]) + 1 if self.n else PAD
        if self.n and self.wire.segment in (10, 13):
            self._without_blank_lines()

    def _without_blank_lines(self) -> None:
        """Where a newline ends the segments, an empty line is no segment."""
        n = self.n
        empty = (self.counts[:n] == 1) & (self.ends.take(self.base[:n]) <= self.starts)
        if not empty.any():
            return
        keep = np.flatnonzero(~empty)
        self.n = len(keep)
        self.base, self.counts, self.codes = (np.append(a[keep], 0) for a in (self.base, self.counts, self.codes))
        self.starts, self.stops, self._words = self.starts[keep], self.stops[keep], self._words[keep]
        self._heads = None if self._heads is None else self._heads[keep]

    def _skip_blanks(self, starts: Ints, stops: Places, buffer: npt.NDArray[np.uint8]) -> None:
        low = np.flatnonzero(buffer.take(starts) <= 32)  # no blank is above, and mostly there is none
        at = low[_BLANKS[buffer[starts[low]]] & (starts[low] < stops[low])]
        for _ in range(4):
            if not len(at):
                return
            starts[at] += 1
            at = at[_BLANKS[buffer[starts[at]]] & (starts[at] < stops[at])]
        for i in at.tolist():
            text = buffer[starts[i] : stops[i]].tobytes()
            starts[i] += len(text) - len(text.lstrip(b"\r\n\t \x00\x1a"))

    def _ragged_ends(self, marks: Places, last: Places) -> Places:
        ends = marks.copy()
        for _ in range(2):
            at = last[np.isin(self.buffer[ends[last] - 1], (10, 13))]
            ends[at] -= 1
        return ends

    def _mask_raw(self) -> None:
        """BIN and BDS hold as many raw bytes as they say: these are hidden from the cut, then the cut is made again."""
        hidden = self.buffer.copy()
        i = 0
        while True:
            later = np.flatnonzero(np.isin(self.codes[i : self.n], _RAW))
            if not len(later):
                break
            i += int(later[0])
            length_at = 1 if self.codes[i] == _BIN else 2
            base = int(self.base[i])
            if self.counts[i] > length_at + 1:
                text = self.buffer[self.marks[base + length_at - 1] + 1 : self.marks[base + length_at]].tobytes()
                begin = int(self.marks[base + length_at]) + 1
                if text.isdigit() and len(text) < 12:
                    finish = min(begin + int(text), PAD + self.size)
                    hidden[begin:finish] = 32
                    self._cut(hidden)
            i += 1

    @cached_property
    def w8(self) -> Words:
        """The eight bytes at each address as one little-endian word."""
        return np.lib.stride_tricks.as_strided(self.buffer[:8].view("<u8"), shape=(len(self.buffer) - 7,), strides=(1,))

    def limit(self, m: int) -> None:
        """Keep the first m segments."""
        self.__dict__.pop("heads", None)
        self.n = m
        self.codes, self.base, self.counts = self.codes[: m + 1], self.base[: m + 1], self.counts[: m + 1]
        self.codes[m] = self.base[m] = self.counts[m] = 0
        self.starts, self.stops = self.starts[:m], self.stops[:m]
        self.after = int(self.stops[-1]) + 1 if m else PAD

    def of(self, *ids: str) -> Ints:
        """Numbers of the segments with one of these ids, in order."""
        if self._by_id is not None:
            found = [held for i in ids if len(held := self._one(code_of(i)))] or [_NOWHERE]
            return found[0] if len(found) == 1 else np.sort(np.concatenate(found))
        return np.flatnonzero(self._any_of(map(code_of, ids)))

    def with_code(self, code: int) -> Ints:
        """Numbers of the segments whose id is this (see `code_of`; 0: no id of two or three characters), in order."""
        return np.flatnonzero(self.codes[: self.n] == code) if self._by_id is None else self._one(code)

    def other_than(self, codes: frozenset[int]) -> Ints:
        """Numbers of the segments whose id is none of these. Mostly there is none."""
        if self._by_id is not None:
            found = [self._one(code) for code in self._by_id if code not in codes]
            return np.sort(np.concatenate(found)) if found else _NOWHERE
        return np.flatnonzero(~self._any_of(codes))

    def last_of(self, *ids: str) -> int:
        """The last segment with one of these ids; -1 where there is none."""
        if self._by_id is not None:
            ends = [found[-1] for i in ids if len(found := self._one(code_of(i)))]
            return int(max(ends, default=-1))
        found = self.of(*ids)
        return int(found[-1]) if len(found) else -1

    def _any_of(self, codes: Iterable[int]) -> Bools:
        own = self.codes[: self.n]
        hit = np.zeros(self.n, dtype=np.bool_)
        for code in codes:
            hit |= own == code
        return hit

    @cached_property
    def _by_id(self) -> dict[int, Ints] | None:
        return None if self.kernel is None else self.kernel.by_id(self.codes[: self.n])

    def _one(self, code: int) -> Ints:
        assert self._by_id is not None
        found = self._by_id.get(code, _NOWHERE)
        return found if not len(found) or found[-1] < self.n else found[: np.searchsorted(found, self.n)]

    @cached_property
    def heads(self) -> Words:
        """Id, separator and first element of each segment as one word; all ones where they take more than 8 bytes."""
        n = self.n
        if self._heads is not None:
            return self._heads[:n]
        at = np.minimum(self.counts[:n] - 1, 1)
        at += self.base[:n]
        length = self.ends.take(at)
        length -= self.starts[:n]
        return np.where(length <= 8, self._words[:n] & _LOW.take(length, mode="clip"), _LONG)

    def of_head(self, segment_id: str, first: str) -> Ints:
        """Numbers of the segments with this id and this first element (together at most 7 characters), in order."""
        head = self.head_of(segment_id, first)
        if self._by_id is not None:
            found = self.of(segment_id)
            return found[self.heads.take(found) == _U(head)]
        return np.flatnonzero(self.heads == _U(head))

    def head_of(self, segment_id: str, first: str) -> int:
        """What stands in `heads` for this id and this first element."""
        return int(key_of(segment_id + chr(self.wire.element) + first))

    # ---- spans -------------------------------------------------------------------------------------------------------

    def pick(self, segments: Ints) -> Picked:
        """These segments, ready for reading many elements of them."""
        return Picked(self, segments)

    def spans(self, segments: Ints | Picked, element: int | Ints) -> tuple[Ints, Ints]:
        """Where the element of each segment starts and stops; an absent one is an empty span."""
        return (segments if isinstance(segments, Picked) else Picked(self, segments)).spans(element)

    @cached_property
    def _components(self) -> Ints:
        # with more at the end than a composite has components, so that no look-up needs a bounds check
        return np.append(np.flatnonzero(self.buffer == self.wire.component), [len(self.buffer)] * _MOST_COMPONENTS)

    @cached_property
    def _repetitions(self) -> Ints:
        return np.flatnonzero(self.buffer == self.wire.repetition)

    def composite(self, segments: Ints | Picked, element: int | Ints) -> Composite:
        """An element of these segments, to be read by components."""
        return Composite(self, segments, element)

    def words(self, starts: Ints, stops: Ints) -> Words:
        """Short values as integers comparable with `key_of`; longer than 8 bytes: all ones; empty: 0."""
        length = stops - starts
        out = self.w8[starts]
        out &= _LOW.take(length, mode="clip")
        if length.max(initial=0) > 8:
            out[length > 8] = _LONG
        return out

    def keys(self, segments: Ints | Picked, element: int) -> Words:
        return self.words(*self.spans(segments, element))

    def text_at(self, segment: int, element: int) -> str:
        """One element as text: for envelopes and headers."""
        if element >= self.counts[segment]:
            return ""
        at = int(self.base[segment]) + element
        return _decode(self.buffer[self.marks[at - 1] + 1 : self.ends[at]].tobytes())

    def elements(self, segment: int) -> list[str]:
        """All elements of one segment as text, with the id at 0: for envelopes and headers."""
        return self.all_elements(np.array([segment]))[0]

    def all_elements(self, segments: Ints) -> list[list[str]]:
        """The elements of each of these segments."""
        counts = self.counts.take(segments)
        stops = self.ends.take(self.base.take(segments) + counts - 1).tolist()
        memory, separator, out = self.buffer.data, self.wire.element, []
        for i, start, stop, count in zip(
            segments.tolist(), self.starts.take(segments).tolist(), stops, counts.tolist(), strict=True
        ):
            raw = bytes(memory[start:stop])
            if count - 1 == raw.count(separator):
                out.append(_decode(raw).split(chr(separator)))
            else:  # raw bytes that hold separators
                out.append([self.id_at(i)] + [self.text_at(i, k) for k in range(1, count)])
        return out

    def id_at(self, segment: int) -> str:
        return _decode(self.buffer[self.starts[segment] : self.ends[self.base[segment]]].tobytes())

    # ---- columns -----------------------------------------------------------------------------------------------------

    @cached_property
    def ascii(self) -> bool:
        return bool(self.buffer.max() < 128)

    @cached_property
    def valid_utf8(self) -> bool:
        if self.ascii:
            return True
        try:
            self.buffer.tobytes().decode("utf-8")
        except UnicodeDecodeError:
            return False
        return True

    def text(self, starts: Ints, stops: Ints) -> pa.Array:
        """Spans → text; empty → null. Bytes that are not UTF-8 are read as Latin-1, value by value.

        One `take` does it: where texts start and stop, in turn, are offsets into the bytes as they lie, with what stands
        between two texts as every other value.
        """
        n = len(starts)
        if not n or not self.valid_utf8:
            return self._decoded(starts, stops)
        made = self.columns([Ask(pa.string(), starts, spans=(starts, stops))])
        if made is not None:
            return made[0][0]
        validity = _validity(stops > starts)
        offsets = np.empty(2 * n + 1, dtype=np.int32)
        offsets[0 : 2 * n : 2] = starts
        offsets[1 : 2 * n : 2] = stops
        offsets[2 * n] = len(self.buffer)
        buffers = [None, pa.py_buffer(offsets), pa.py_buffer(self.buffer)]
        between = pa.Array.from_buffers(pa.string(), 2 * n, buffers, null_count=0)
        texts = between.take(pa.array(np.arange(0, 2 * n, 2, dtype=np.int32)))
        return texts if validity is None else pa.Array.from_buffers(pa.string(), n, [validity, *texts.buffers()[1:]])

    def _decoded(self, starts: Ints, stops: Ints) -> pa.Array:
        raw = self.buffer.tobytes()
        values = [_decode(raw[a:b]) or None for a, b in zip(starts.tolist(), stops.tolist(), strict=True)]
        return pa.array(values, type=pa.string())

    def columns(self, asked: Sequence[Ask]) -> list[tuple[pa.Array, int]] | None:
        """Columns by the kernel, each with the number of its values that could not be read; None: take the way of numpy."""
        if self.kernel is None:
            return None
        if any(pa.types.is_string(a.kind) for a in asked) and not self.valid_utf8:
            return None
        return self.kernel.columns(self, asked)

    def decimals(self, starts: Ints, stops: Ints, scale: int) -> tuple[Ints, Bools, Bools]:
        """Spans → (value × 10^scale, has a value, is not a plain decimal that fits).

        A plain decimal has an optional minus, digits and at most one point: no exponent, plus sign, or thousands. It fits
        if its value is exact at this scale and has at most 18 digits.
        """
        length = stops - starts
        given = length > 0
        minus = self.buffer[starts] == 45
        minus &= given
        negative = bool(minus.any())
        if negative:
            length = length - minus
        value, good = self._number(stops, length, scale)
        if negative:
            good &= length > 0
            value = np.where(minus, -value, value)
        good &= given
        bad = given & ~good
        if bad.any():
            for i in np.flatnonzero(bad).tolist():
                exact = exact_units(self.buffer[starts[i] : stops[i]].tobytes(), scale)
                if exact is not None:
                    value[i], good[i], bad[i] = exact, True, False
        return value, good, bad

    def _number(self, stops: Ints, length: Ints, scale: int) -> tuple[Ints, Bools]:
        """The digits before `stops` → (value × 10^scale, could be read so)."""
        keep = _HIGH.take(length, mode="clip")
        word = self.w8[stops - 8]
        word &= keep
        word |= _NOUGHTS.take(length, mode="clip")
        # where the point stands: 2 for two decimals, 1 for one, 0 for none. Before a shorter number there are noughts
        two = (word & _TWO_AT) == _TWO_POINT
        one = (word & _ONE_AT) == _ONE_POINT
        one &= ~two
        kind = two.view(np.uint8) << 1
        kind |= one.view(np.uint8)
        pointed = bool(kind.any())
        if pointed:  # the digits before the point move up to those behind it
            moved = word & _MOVE.take(kind)
            moved <<= _U(8)
            word &= _STAY.take(kind)
            word |= moved
            word |= _FILL.take(kind)
        value, good = _eight(word)
        if scale < 2 and pointed:
            good &= kind == 0
        long = np.flatnonzero(length > 8)
        if len(long):
            far = length[long] - 8
            keep = _HIGH.take(far, mode="clip")
            head, head_good = _eight((self.w8[stops[long] - 16] & keep) | (_ZEROS & ~keep))
            digits = np.where(two[long] | one[long], 10**7, 10**8)
            # 8 + 7 digits and two more zeros stay below 2^63; what does not is left to the exact path
            small = (head < 10**7) & (far <= 8)
            value[long] = np.where(small, head * digits + value[long], 0)
            good[long] &= head_good & small
        if not scale:
            return value, good
        if scale < 2 or not pointed:
            if len(long):
                good &= value < 10 ** (18 - scale)
            value *= 10**scale
            return value, good
        factor = np.array([10**scale, 10 ** (scale - 1), 10 ** (scale - 2)]).take(kind)
        if len(long):
            good &= value < (10**18) // factor
        value *= factor
        return value, good

    def integers(self, starts: Ints, stops: Ints) -> tuple[Ints, Bools, Bools]:
        """Spans → (value, has a value, is not a whole number)."""
        return self.decimals(starts, stops, 0) if len(starts) else _nothing()

    def dates(self, starts: Ints, stops: Ints) -> tuple[npt.NDArray[np.int32], Bools, Bools]:
        """Spans of CCYYMMDD → (days since 1970, has a value, is not a date)."""
        length = stops - starts
        value, good = _eight(self.w8[starts])
        good &= length == 8
        table = _days()
        value -= _FIRST_DAY
        days = table.take(value, mode="clip")  # the first and the last place hold no day
        good &= days != _NO_DAY
        if good.all():
            return days, good, np.zeros(len(days), dtype=np.bool_)
        return np.where(good, days, np.int32(0)), good, (length > 0) & ~good


class Picked:
    """Segments picked for reading: what every element of them needs is gathered once, when the first is asked for."""

    __slots__ = ("_bases", "_counts", "_kept", "_last", "_least", "_most", "_scan", "segments")
    _bases: Ints
    _counts: Ints

    def __init__(self, scan: Scan, segments: Ints) -> None:
        self._scan = scan
        self.segments = segments
        self._last: Ints | None = None
        self._kept: tuple[int, Ints] = (-1, segments)
        self._most = -1  # not gathered yet

    def __len__(self) -> int:
        return len(self.segments)

    def _gather(self) -> None:
        self._bases = self._scan.base.take(self.segments)
        self._counts = self._scan.counts.take(self.segments)
        self._least = int(self._counts.min(initial=1 << 30))
        self._most = int(self._counts.max(initial=0))

    def spans(self, element: int | Ints) -> tuple[Ints, Ints]:
        scan = self._scan
        if self._most < 0:
            self._gather()
        if isinstance(element, int):
            if element >= self._most:
                nothing = np.full(len(self.segments), PAD, dtype=np.int64)
                return nothing, nothing
            if element < self._least:
                starts = self._mark(element - 1) + 1
                if not scan.wire.ragged:
                    return starts, self._mark(element)
                return starts, np.maximum(scan.ends.take(self._bases + element), starts)
        if not len(scan.marks):
            nothing = np.full(len(self.segments), PAD, dtype=np.int64)
            return nothing, nothing
        # an absent element is looked for at the terminator: it starts after it and so stops before it starts
        at = self._bases + np.minimum(self._counts, element)
        starts = scan.marks.take(at - 1)
        starts += 1
        if self._last is None:
            self._last = self._bases + self._counts - 1
        stops = scan.ends.take(np.minimum(at, self._last))
        return starts, np.maximum(stops, starts, out=stops)

    def _mark(self, element: int) -> Ints:
        """The mark after an element that all have. Neighbours share it, and elements are mostly asked for in order."""
        if self._kept[0] != element:
            self._kept = element, self._scan.marks.take(self._bases + element)
        return self._kept[1]


class Composite:
    """One element of segments, cut into components by a look-up in the sorted list of component separators."""

    __slots__ = ("_low", "_scan", "_spans", "element", "segments")
    _low: Ints

    def __init__(self, scan: Scan, segments: Ints | Picked, element: int | Ints) -> None:
        self.segments, self.element = segments, element
        self._scan = scan
        self._spans: tuple[Ints, Ints] | None = None  # not looked up yet

    def spans(self, component: int) -> tuple[Ints, Ints]:
        """Where the component (1-based) starts and stops; an absent one is an empty span."""
        marks = self._scan._components
        if self._spans is None:
            self._spans = starts, stops = self._scan.spans(self.segments, self.element)
            if (stops > starts).any():
                self._low = np.searchsorted(marks, starts)
            else:  # of an empty element nothing is asked but its end
                self._low = np.full(len(starts), len(marks) - _MOST_COMPONENTS)
        starts, stops = self._spans
        # a separator beyond the element's end stands for its end, and one more place for what follows that
        if component == 1:
            return starts, np.minimum(marks.take(self._low), stops)
        before = marks.take(self._low + (component - 2))
        if (before >= stops).all():  # mostly there are few
            return stops, stops
        before += 1
        ends = np.minimum(marks.take(self._low + (component - 1)), stops)
        return np.minimum(before, stops), ends


_BIN, _BDS = code_of("BIN"), code_of("BDS")
_RAW = (_BIN, _BDS)
_FIRST_DAY, _LAST_DAY = 1800_00_00, 2200_00_00
_NO_DAY = np.iinfo(np.int32).min


@cache
def _days() -> npt.NDArray[np.int32]:
    """Days since 1970 by the number CCYYMMDD, from 1800 to 2199."""
    days = np.arange(np.datetime64("1800-01-01"), np.datetime64("2200-01-01"))
    months = days.astype("datetime64[M]")
    year = days.astype("datetime64[Y]").astype(np.int64) + 1970
    month = months.astype(np.int64) % 12 + 1
    day = (days - months).astype(np.int64) + 1
    table = np.full(_LAST_DAY - _FIRST_DAY + 1, _NO_DAY, dtype=np.int32)
    table[year * 10000 + month * 100 + day - _FIRST_DAY] = days.astype(np.int64)
    return table


def _eight(word: Words) -> tuple[Ints, Bools]:
    """Eight ASCII digits in a word, first digit lowest → (number, all were digits)."""
    v = word ^ _ZEROS
    strange = v + _U(0x0606060606060606)
    strange |= v
    strange &= _U(0xF0F0F0F0F0F0F0F0)
    good = strange == 0
    if not good.all():
        v *= good
    np.right_shift(v, _U(8), out=strange)
    v *= _U(10)
    v += strange
    mask = _U(0x000000FF000000FF)
    np.right_shift(v, _U(16), out=strange)
    strange &= mask
    strange *= _U(0x0000271000000001)
    v &= mask
    v *= _U(0x000F424000000064)
    v += strange
    v >>= _U(32)
    return v.view(np.int64), good


def exact_units(raw: bytes, scale: int) -> int | None:
    """A plain decimal → its value × 10^scale, or None where it is none, has more places, or more than 18 digits."""
    if not _PLAIN.fullmatch(raw) or len(raw) > 64:
        return None
    scaled = Decimal(raw.decode("ascii")).scaleb(scale)
    whole = int(scaled)
    return whole if whole == scaled and abs(whole) < 10**MAX_DIGITS else None


def _decode(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _nothing() -> tuple[Ints, Bools, Bools]:
    return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.bool_), np.zeros(0, dtype=np.bool_)


def _validity(have: Bools) -> Any:
    return None if have.all() else pa.py_buffer(np.packbits(have, bitorder="little"))


def decimal_array(value: Ints, have: Bools, kind: pa.DataType) -> pa.Array:
    """Scaled integers → decimal128, without a Python object a value."""
    pair = np.empty((len(value), 2), dtype="<i8")
    pair[:, 0] = value
    pair[:, 1] = value >> 63
    return pa.Array.from_buffers(kind, len(value), [_validity(have), pa.py_buffer(pair.reshape(-1))])


def fixed_array(value: npt.NDArray[Any], have: Bools, kind: pa.DataType) -> pa.Array:
    """Integers or days → an Arrow array of `kind` (int64, date32)."""
    return pa.Array.from_buffers(kind, len(value), [_validity(have), pa.py_buffer(np.ascontiguousarray(value))])

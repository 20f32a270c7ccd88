"""The compiled kernel: what `scan.py` does with numpy, in C (`kernel.c`), if it was built when claimpipe was installed.

Theory. The border is narrow: arrays go in by address and size, and come out in memory that was measured and made here, so the
library needs no allocator, no Python and no numpy, holds no state, and runs beside Python's threads. It is loaded only if it says that it
was made of the very source that lies beside it; else, or with `CLAIMPIPE_KERNEL=off`, numpy works alone and gives the same.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Ints: TypeAlias = npt.NDArray[np.int64]
Places: TypeAlias = npt.NDArray[np.signedinteger[Any]]
Words: TypeAlias = npt.NDArray[np.uint64]
Bytes: TypeAlias = npt.NDArray[np.uint8]

SOURCE = Path(__file__).with_name("kernel.c")
LIBRARY = Path(__file__).with_name("_kernel.so")
PAD = 24
_TEXT, _DECIMAL, _DATE, _INTEGER = range(4)
_SPARE = 16  # bytes behind texts, so that a short one is copied at once
#: of a buffer, and of one column of texts: places in them are kept in 32 bits
MOST_BYTES = (1 << 31) - 1


@dataclass(frozen=True, slots=True)
class Ask:
    """A column: of what `kind`, and where its values stand. `segments` may hold -1: no such segment. With `component` a part of
    the element. `spans` say where they stand if that is known already."""

    kind: pa.DataType
    segments: Ints
    element: int | Ints = 0
    component: int = 0
    spans: tuple[Ints, Ints] | None = None


class Kernel:
    """The functions of the library, with their memory made and measured."""

    def __init__(self, path: Path) -> None:
        """Raises OSError where it cannot be loaded, ValueError where it was made of another source."""
        self.path = path
        self._library = library = ctypes.CDLL(str(path))
        made_of = (ctypes.c_char * 65).in_dll(library, "x12_source").value.decode("ascii", "replace")
        if made_of != hashlib.sha256(SOURCE.read_bytes()).hexdigest():
            raise ValueError("The kernel was made of another source.")
        number = ctypes.c_int64
        place = ctypes.c_void_p
        for name, result, arguments in (
            ("x12_count", None, (place, number, number, number, place)),
            ("x12_mark", None, (place, number, number, number, place, place)),
            ("x12_lay", None, (place, number, *[place] * 10)),
            ("x12_find_isa", number, (place, *[number] * 3, place, number)),
            ("x12_by_id", number, (place, number, *[place] * 4)),
            ("x12_owners", number, (place, number, place, place, *[number] * 3, *[place] * 4)),
            ("x12_firsts", None, (place, number, place, place, place, place, number, place, place, place)),
            ("x12_repeats", number, (*[place] * 4, number, place, *[number] * 4, place, place)),
            ("x12_columns", None, (place, place, number)),
            ("x12_gather", None, (place, place, number)),
        ):
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments

    # ---- cutting -----------------------------------------------------------------------------------------------------

    def marks(self, buffer: Bytes, element: int, segment: int) -> tuple[Places, Places]:
        """Where delimiters stand in the padded buffer, and which of them are terminators."""
        size = len(buffer) - 2 * PAD
        found = np.zeros(2, dtype=np.int64)
        text = buffer.ctypes.data + PAD
        self._library.x12_count(text, size, element, segment, found.ctypes.data)
        marks, last = np.empty(found[0], dtype=np.int32), np.empty(found[1], dtype=np.int32)
        self._library.x12_mark(text, size, element, segment, marks.ctypes.data, last.ctypes.data)
        return marks, last

    def lay(
        self, buffer: Bytes, marks: Places, ends: Places, last: Places
    ) -> tuple[Ints, Ints, Ints, Ints, Ints, Words, Words]:
        """starts, stops, base, counts, codes (these three with one more, of no segment), words and heads."""
        n = len(last)
        marks, ends, last = (np.ascontiguousarray(a, dtype=np.int32) for a in (marks, ends, last))
        starts, stops = np.empty(n, dtype=np.int64), np.empty(n, dtype=np.int64)
        base, counts, codes = (np.empty(n + 1, dtype=np.int64) for _ in range(3))
        words, heads = np.empty(n, dtype=np.uint64), np.empty(n, dtype=np.uint64)
        self._library.x12_lay(
            buffer.ctypes.data, n, *(a.ctypes.data for a in (marks, ends, last, starts, stops, base, counts, codes, words, heads))
        )  # fmt: skip
        return starts, stops, base, counts, codes, words, heads

    def find_isa(self, data: Bytes, begin: int, stop: int) -> Iterator[int]:
        """Where in data[begin:stop] the letters ISA begin. Mostly only the first is asked for."""
        out, room = np.empty(64, dtype=np.int64), 1
        while found := self._library.x12_find_isa(data.ctypes.data, len(data), begin, stop, out.ctypes.data, room):
            yield from out[:found].tolist()
            begin, room = int(out[found - 1]) + 1, len(out)

    # ---- which segments ----------------------------------------------------------------------------------------------

    def by_id(self, codes: Ints) -> dict[int, Ints] | None:
        """Segments by the number of their id, in order; None where there are too many ids."""
        n = len(codes)
        slots, order = np.empty(n, dtype=np.uint8), np.empty(n, dtype=np.int64)
        ids, begin = np.empty(_IDS, dtype=np.int64), np.empty(_IDS + 1, dtype=np.int64)
        held = np.ascontiguousarray(codes)
        many = self._library.x12_by_id(
            held.ctypes.data, n, slots.ctypes.data, order.ctypes.data, ids.ctypes.data, begin.ctypes.data
        )
        if many < 0:
            return None
        borders = begin[: many + 1].tolist()
        return {code: order[a:b] for code, a, b in zip(ids[:many].tolist(), borders, borders[1:], strict=False)}

    def owners(
        self, codes: Ints, set_of: Ints, here: Sequence[bool], claim: int, line: int
    ) -> tuple[Ints, Ints, Ints, Ints]:
        """For each segment its claim and line, as places among claims and lines (-1: none); the lines' segments and numbers."""
        n = len(codes)
        codes, set_of = np.ascontiguousarray(codes), np.ascontiguousarray(set_of[:n])
        flags = np.array(here, dtype=np.uint8)
        out = [np.empty(n, dtype=np.int64) for _ in range(4)]
        lines = self._library.x12_owners(
            codes.ctypes.data, n, set_of.ctypes.data, flags.ctypes.data, len(flags), claim, line, *(a.ctypes.data for a in out)
        )  # fmt: skip
        return out[0], out[1], out[2][:lines].copy(), out[3][:lines].copy()

    def firsts(
        self, heads: Words, claim_of: Ints, line_of: Ints, wanted: Sequence[tuple[int, bool, int]]
    ) -> list[Ints | None]:
        """For each wanted (head, of lines?, how many claims or lines there are) the first such segment of each (-1: none); None
        where there is no such segment at all."""
        n = len(heads)
        heads = np.ascontiguousarray(heads)
        words = np.array([word for word, _, _ in wanted], dtype=np.uint64)
        level, size = (np.array(column, dtype=np.int64) for column in ([w[1] for w in wanted], [w[2] for w in wanted]))
        out = [np.full(count, -1, dtype=np.int64) for _, _, count in wanted]
        places, found = np.array([a.ctypes.data for a in out], dtype=np.uint64), np.zeros(len(wanted), dtype=np.int64)
        self._library.x12_firsts(
            heads.ctypes.data, n, claim_of.ctypes.data, line_of.ctypes.data, words.ctypes.data, level.ctypes.data, len(wanted),
            places.ctypes.data, size.ctypes.data, found.ctypes.data,
        )  # fmt: skip
        return [segments if many else None for segments, many in zip(out, found.tolist(), strict=True)]

    def repeats(self, scan: Any, segments: Ints, first: int, step: int, most: int) -> tuple[Ints, Ints]:
        """Row and number of each repeat that holds anything."""
        segments = np.ascontiguousarray(segments, dtype=np.int64)
        held = _places(scan)
        asked = (*(a.ctypes.data for a in held), scan.n, segments.ctypes.data, len(segments), first, step, most)
        count = self._library.x12_repeats(*asked, None, None)
        row, number = np.empty(count, dtype=np.int64), np.empty(count, dtype=np.int64)
        self._library.x12_repeats(*asked, row.ctypes.data, number.ctypes.data)
        return row, number

    # ---- columns -----------------------------------------------------------------------------------------------------

    def columns(self, scan: Any, asked: Sequence[Ask]) -> list[tuple[pa.Array, int]] | None:
        """The columns, each with how many of its values could not be read and are null; None where texts are too long for
        one column. Texts are taken as they stand: they must be valid UTF-8."""
        held: list[Any] = [scan.buffer, *_places(scan)]
        source = np.array(
            [scan.buffer.ctypes.data, len(scan.buffer), *(a.ctypes.data for a in held[1:]), scan.n, scan.wire.component],
            dtype=np.int64,
        )  # fmt: skip
        rows, made = [], []
        for ask in asked:
            n = len(ask.segments) if ask.spans is None else len(ask.spans[0])
            form, scale, values, start = _room(ask.kind, n)
            valid = np.empty((n + 7) // 8, dtype=np.uint8)
            made.append((n, form, values, valid))
            spans = (None, None) if ask.spans is None else ask.spans
            several = ask.element if isinstance(ask.element, np.ndarray) else None
            arrays = [None if a is None else np.ascontiguousarray(a, dtype=np.int64) for a in
                      (ask.segments if ask.spans is None else None, several, *spans)]  # fmt: skip
            held += [*arrays, start]
            segments, elements, starts, stops = (0 if a is None else a.ctypes.data for a in arrays)
            rows.append([
                form, scale, n, segments, 0 if several is not None else ask.element, elements, ask.component, starts, stops,
                values.ctypes.data, valid.ctypes.data, 0 if start is None else start.ctypes.data, 0, 0, 0, 0, 0,
            ])  # fmt: skip
        table = np.array(rows, dtype=np.int64)
        self._library.x12_columns(source.ctypes.data, table.ctypes.data, len(rows))
        data: list[Bytes | None] = []
        for row, (given, _, _, size) in zip(rows, table[:, _RESULTS:].tolist(), strict=True):
            if row[0] == _TEXT and size > MOST_BYTES:
                return None
            data.append(np.empty(size + _SPARE, dtype=np.uint8) if row[0] == _TEXT and given else None)
        table[:, _DATA] = [0 if d is None else d.ctypes.data for d in data]
        self._library.x12_gather(source.ctypes.data, table.ctypes.data, len(rows))
        out = []
        results = table[:, _RESULTS:].tolist()
        for ask, (n, form, values, valid), (given, nulls, wrong, size), texts in zip(
            asked, made, results, data, strict=True
        ):
            if not given:
                out.append((pa.nulls(n, ask.kind), 0))
                continue
            flags = pa.py_buffer(valid) if nulls else None
            buffers = [flags, pa.py_buffer(values)]
            if form == _TEXT:
                buffers.append(pa.py_buffer(texts)[:size])
            out.append((pa.Array.from_buffers(ask.kind, n, buffers, nulls), wrong))
        return out


_DATA, _RESULTS = 12, 13
_IDS = 256


def _places(scan: Any) -> list[npt.NDArray[Any]]:
    """Marks, their ends, first marks and counts of a scan, as the library reads them."""
    narrow, wide = (scan.marks, scan.ends), (scan.base, scan.counts)
    return [
        *(np.ascontiguousarray(a, dtype=np.int32) for a in narrow),
        *(np.ascontiguousarray(a, dtype=np.int64) for a in wide),
    ]


def _room(kind: pa.DataType, n: int) -> tuple[int, int, npt.NDArray[Any], npt.NDArray[np.int32] | None]:
    """Form and scale of a kind of column, memory for its values, and for where texts start."""
    if pa.types.is_string(kind):
        return _TEXT, 0, np.empty(n + 1, dtype=np.int32), np.empty(n, dtype=np.int32)
    if pa.types.is_decimal(kind):
        return _DECIMAL, kind.scale, np.empty(2 * n, dtype=np.int64), None
    if pa.types.is_date(kind):
        return _DATE, 0, np.empty(n, dtype=np.int32), None
    return _INTEGER, 0, np.empty(n, dtype=np.int64), None


@cache
def _found() -> Kernel | None:
    try:
        return Kernel(LIBRARY)
    except (OSError, ValueError, AttributeError):
        return None


_chosen: list[Kernel | None] = []


def kernel() -> Kernel | None:
    """The compiled kernel; None where numpy works alone."""
    if _chosen:
        return _chosen[-1]
    return None if os.environ.get("CLAIMPIPE_KERNEL") == "off" else _found()


@contextmanager
def using(chosen: Kernel | None) -> Iterator[None]:
    """Work with this kernel, or with numpy alone, for a while: for tests and benchmarks."""
    _chosen.append(chosen)
    try:
        yield
    finally:
        _chosen.pop()

"""The compiled kernel: what `scan.py` and `columns.py` do with numpy and Arrow, in C (`kernel.c`), if it was built when claimpipe was
installed.

Theory. The border is narrow: arrays go in by address and size, and come out in memory that was measured and made here, so the
library needs no allocator, no Python and no numpy, holds no state, and runs beside Python's threads. It is loaded only if it says that it
was made of the very source that lies beside it; else, or with `CLAIMPIPE_KERNEL=off`, numpy works alone and gives the same.
"""

from __future__ import annotations

import ctypes
import hashlib
import mmap
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
#: bytes that are gone through before another thread could have begun: to let it, and to wait for it, would take ten times as long
_SHORT = 1 << 16
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
        #: the same, for what is done before another thread of Python could have taken over: these calls let none
        self._at_once = ctypes.PyDLL(str(path))
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
            ("x12_measure", number, (place, number, number, place)),
            ("x12_fill", None, (place, number, number, place)),
            ("x12_ends", None, (place, *[number] * 3, place)),
            ("x12_touch", None, (place, number)),
            ("x12_fill_at", number, (place, *[number] * 2, *[place] * 3, number)),
            ("x12_look", number, (place, number, place, place, number)),
            ("x12_alike", number, (place, number)),
            ("x12_follow", number, (place, number, place, number, place)),
            ("x12_group", number, (place, number, number, place, number, *[place] * 3)),
            ("x12_amounts", number, (place, number, number, place, place)),
        ):
            for loaded in (library, self._at_once):
                function = getattr(loaded, name)
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
        find = (self._at_once if stop - begin < _SHORT else self._library).x12_find_isa
        while found := find(data.ctypes.data, len(data), begin, stop, out.ctypes.data, room):
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
        held = _places(scan)  # until the last look at them
        source = np.array(
            [scan.buffer.ctypes.data, len(scan.buffer), *(a.ctypes.data for a in held), scan.n, scan.wire.component],
            dtype=np.int64,
        )  # fmt: skip
        forms = [_form(ask.kind) for ask in asked]
        sizes = [len(ask.segments if ask.spans is None else ask.spans[0]) for ask in asked]
        addresses = _Addresses()
        begins = np.empty(sum(sizes), dtype=np.int32)  # where texts start
        rows: list[list[int]] = []
        made: list[tuple[pa.Buffer, pa.Buffer]] = []
        begin = begins.ctypes.data
        for ask, (form, scale, width), n in zip(asked, forms, sizes, strict=True):
            values = pa.py_buffer(np.empty(width * (n + (form == _TEXT)), dtype=np.uint8))
            valid = pa.py_buffer(np.empty((n + 7) // 8, dtype=np.uint8))
            made.append((values, valid))
            element, elements = (
                (0, addresses.of(ask.element)) if isinstance(ask.element, np.ndarray) else (ask.element, 0)
            )
            starts, stops = (0, 0) if ask.spans is None else map(addresses.of, ask.spans)
            rows.append([
                form, scale, n, addresses.of(ask.segments) if ask.spans is None else 0, element, elements, ask.component,
                starts, stops, values.address, valid.address, begin,
                0, 0, 0, 0, 0,
            ])  # fmt: skip
            begin += 4 * n
        # columns of the same segments, and of the same element by components, one after another: they share what is looked up
        order = sorted(range(len(rows)), key=lambda i: (rows[i][3], rows[i][6] > 0, rows[i][5], rows[i][4], rows[i][6]))
        table = np.array([rows[i] for i in order], dtype=np.int64)
        place = table.ctypes.data
        self._library.x12_columns(source.ctypes.data, place, len(rows))
        results: list[Any] = [None] * len(rows)
        texts: list[pa.Buffer | None] = [None] * len(rows)
        for at, (i, (given, nulls, wrong, size)) in enumerate(zip(order, table[:, _RESULTS:].tolist(), strict=True)):
            results[i] = given, nulls, wrong, size
            if forms[i][0] == _TEXT and given:
                if size > MOST_BYTES:
                    return None
                texts[i] = data = pa.py_buffer(np.empty(size + _SPARE, dtype=np.uint8))
                table[at, _DATA] = data.address
        self._library.x12_gather(source.ctypes.data, place, len(rows))
        del held
        return [
            (_array(ask.kind, n, buffers, text, given, nulls, size), wrong)
            for ask, n, buffers, text, (given, nulls, wrong, size) in zip(
                asked, sizes, made, texts, results, strict=True
            )
        ]

    # ---- rows of pieces ----------------------------------------------------------------------------------------------

    def rows(self, rows: int, pieces: Sequence[Piece]) -> pa.Array | None:
        """The pieces of each row joined, as texts; None where they are too long for one column. IndexError where a number names no
        text."""
        measured = self.measured(rows, pieces)
        return None if measured is None else measured.texts()

    def measured(self, rows: int, pieces: Sequence[Piece]) -> Measured | None:
        """The rows, not yet laid. None and IndexError as above."""
        held = list(_with_texts_beside(pieces))
        addresses, constants = _Addresses(), _Constants([text for before, _, after in held for text in (before, after)])
        table, masks = [], []
        for before, (source, numbers, where), after in held:
            if where is not None:
                masks.append(np.ascontiguousarray(where, dtype=np.bool_))
            column = [0, 0, 0, 0] if source is None else _texts(source)
            number = 0 if numbers is None else addresses.of(numbers)
            here = 0 if where is None else masks[-1].ctypes.data
            table.append([*constants.of(before), *constants.of(after), *column, number, here])
        laid = np.array(table, dtype=np.int64)
        # Arrow's pool keeps memory: what is made here is large, and soon gone
        offsets = pa.allocate_buffer(4 * (rows + 1))
        size = self._library.x12_measure(laid.ctypes.data, len(table), rows, offsets.address)
        if size == -1:
            raise IndexError("A row takes a text that is not there.")
        if size < 0:
            return None
        return Measured(self._library, rows, laid, offsets, size, (masks, constants, addresses, pieces))

    def new(self, size: int) -> NewBytes:
        """Bytes to be filled."""
        return NewBytes(self._library, size)

    def look(self, texts: pa.Array) -> tuple[bool, bool, bool]:
        """Is there a small letter of ASCII in these texts; does one begin or end with a blank; has one that is null bytes?"""
        offsets, data, many, _ = _texts(texts)
        valid = texts.buffers()[0]
        found = self._library.x12_look(offsets, many, data, 0 if valid is None else valid.address, texts.offset)
        return bool(found & 1), bool(found & 2), bool(found & 4)

    # ---- columns of texts --------------------------------------------------------------------------------------------

    def alike(self, texts: pa.Array) -> bool:
        """Is each text the first one?"""
        return bool(self._library.x12_alike(_columns([texts]).ctypes.data, len(texts)))

    def follow(self, texts: pa.Array, ids: pa.Array) -> Ints | None:
        """The place of each text among the ids, which are all different; None where the texts do not stand in the ids' order."""
        places = np.empty(len(texts), dtype=np.int64)
        rows, known = _columns([texts]), _columns([ids])
        found = self._library.x12_follow(rows.ctypes.data, len(texts), known.ctypes.data, len(ids), places.ctypes.data)
        return places if found else None

    def group(self, columns: Sequence[pa.Array], where: npt.NDArray[np.bool_] | None) -> tuple[Ints, Ints]:
        """A number for each row where the mask holds, the same where all columns say the same, by first appearance (0 elsewhere); and
        the first row of each number."""
        rows = len(columns[0])
        bits = max(rows, 1).bit_length() + 1
        slots = np.full(1 << bits, -1, dtype=np.int64)
        numbers, firsts = np.zeros(rows, dtype=np.int64), np.empty(rows, dtype=np.int64)
        held, mask = _columns(columns), None if where is None else np.ascontiguousarray(where, dtype=np.bool_)
        many = self._library.x12_group(
            held.ctypes.data, len(held), rows, None if mask is None else mask.ctypes.data, bits, slots.ctypes.data,
            numbers.ctypes.data, firsts.ctypes.data,
        )  # fmt: skip
        return numbers, firsts[:many].copy()

    def amounts(self, words: Ints, scale: int) -> pa.Array:
        """Numbers of `scale` decimal places, 18 at most, as X12 writes them; `words` has two for each, of which the first is the number."""
        rows = len(words) // 2
        offsets, data = pa.allocate_buffer(4 * (rows + 1)), pa.allocate_buffer(_LONGEST_AMOUNT * rows + 24)
        size = self._library.x12_amounts(words.ctypes.data, rows, scale, offsets.address, data.address)
        return pa.Array.from_buffers(pa.string(), rows, [None, offsets, data.slice(0, size)])


class Measured:
    """Rows of pieces of which is known how long each will be, not yet laid. Keeps what its pieces are made of."""

    def __init__(self, library: Any, rows: int, table: Ints, offsets: pa.Buffer, size: int, held: object) -> None:
        self._library, self._held = library, held
        self._rows, self._table, self._offsets, self._size = rows, table, offsets, size

    def texts(self) -> pa.Array:
        """One row after another."""
        data = pa.allocate_buffer(self._size + _SPARE)
        self._library.x12_fill(self._table.ctypes.data, len(self._table), self._rows, data.address)
        return pa.Array.from_buffers(pa.string(), self._rows, [None, self._offsets, data.slice(0, self._size)])

    @property
    def lengths(self) -> npt.NDArray[np.int32]:
        """Bytes of each row."""
        offsets = np.frombuffer(self._offsets, dtype=np.int32)
        return offsets[1:] - offsets[:-1]

    def ends(self, end: int) -> npt.NDArray[np.int32]:
        """How often the byte stands in each row."""
        counts = np.zeros(self._rows, dtype=np.int32)
        self._library.x12_ends(self._table.ctypes.data, len(self._table), self._rows, end, counts.ctypes.data)
        return counts

    def fill(self, whole: NewBytes, places: Ints) -> None:
        """Lay each row at its place. IndexError where there are no 16 bytes behind it."""
        places = np.ascontiguousarray(places, dtype=np.int64)
        if len(places) != self._rows or not self._library.x12_fill_at(
            self._table.ctypes.data, len(self._table), self._rows, self._offsets.address, places.ctypes.data, whole.address, whole.size
        ):  # fmt: skip
            raise IndexError("A row has no place.")


class NewBytes:
    """Bytes that are written where they will stay: Python lets bytes be filled until somebody has seen them."""

    def __init__(self, library: Any, size: int) -> None:
        self.size = size
        self._bytes: bytes = _new_bytes(None, size)
        self.address: int = _address_of_bytes(self._bytes)
        _in_large_pages(self.address, size)
        library.x12_touch(self.address, size)

    def put(self, place: int, text: bytes) -> None:
        if not 0 <= place <= self.size - len(text):
            raise IndexError("A text has no place.")
        ctypes.memmove(self.address + place, text, len(text))

    def seen(self) -> bytes:
        return self._bytes


def _in_large_pages(address: int, size: int) -> None:
    """Ask the system to give this memory in pages of 2 MB, where it knows of such: a small one costs 2 µs to be had, more than to
    fill it. A wish, as numpy has it for its own large arrays."""
    wish, page = getattr(mmap, "MADV_HUGEPAGE", None), mmap.PAGESIZE
    first = -(-address // page) * page
    if wish is not None and size >= _LARGE:
        _madvise()(first, (address + size - first) // page * page, wish)


@cache
def _madvise() -> Any:
    function = ctypes.CDLL(None).madvise
    function.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    return function


_LARGE = 1 << 22
_new_bytes = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_char_p, ctypes.c_ssize_t)(
    ("PyBytes_FromStringAndSize", ctypes.pythonapi)
)
_address_of_bytes = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object)(("PyBytes_AsString", ctypes.pythonapi))
_LONGEST_AMOUNT = 21


#: a piece of each row: one text, or texts (none of them null) of which it takes its own or the one of its number; where it stands
Piece: TypeAlias = "tuple[pa.Array | str, Ints | None, npt.NDArray[np.bool_] | None]"
_DATA, _RESULTS = 12, 13
_IDS = 256


class _Addresses:
    """Where arrays lie, as whole numbers of 64 bits one after another. Keeps what it made until it is gone itself."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[int, Any, Any]] = {}

    def of(self, array: Any) -> int:
        known = self._known.get(id(array))
        if known is None:
            plain = np.ascontiguousarray(array, dtype=np.int64)
            known = self._known[id(array)] = plain.ctypes.data, plain, array
        return known[0]


def _with_texts_beside(
    pieces: Sequence[Piece],
) -> Iterator[tuple[str, tuple[pa.Array | None, Ints | None, npt.NDArray[np.bool_] | None], str]]:
    """Each column with the texts that stand before and behind it in the same rows, or such a text alone. A text between two columns
    goes with the later one."""
    number = 0

    def beside(where: npt.NDArray[np.bool_] | None) -> str:
        """The texts that come next in these rows; they are taken."""
        nonlocal number
        begin = number
        while number < len(pieces) and isinstance(pieces[number][0], str) and pieces[number][2] is where:
            number += 1
        return "".join(text for text, _, _ in pieces[begin:number])

    while number < len(pieces):
        where = pieces[number][2]
        before = beside(where)
        if number == len(pieces) or pieces[number][2] is not where:
            yield before, (None, None, where), ""
            continue
        source, numbers, _ = pieces[number]
        number += 1
        begin = number
        after = beside(where)
        if number < len(pieces) and pieces[number][2] is where:
            number, after = begin, ""
        yield before, (source, numbers, where), after


class _Constants:
    """Texts laid one behind the other, with spare bytes behind the last, so that a short one is copied at once."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._at: dict[str, tuple[int, int]] = {"": (0, 0)}
        held = bytearray()
        for text in dict.fromkeys(texts):
            raw = text.encode()
            self._at[text] = len(held), len(raw)
            held += raw
        self._data = np.frombuffer(bytes(held) + bytes(_SPARE), dtype=np.uint8)
        self._address = self._data.ctypes.data

    def of(self, text: str) -> tuple[int, int]:
        """Where it lies, and its bytes."""
        at, size = self._at[text]
        return self._address + at, size


def _texts(array: pa.Array) -> list[int]:
    """offsets, data, how many texts, and bytes of data, of a column of texts."""
    _, offsets, data = array.buffers()
    if offsets is None:
        return [_NOTHING, _NOTHING, 0, 0]
    start = offsets.address + 4 * array.offset
    return [start, _NOTHING, len(array), 0] if data is None else [start, data.address, len(array), data.size]


def _columns(arrays: Sequence[pa.Array]) -> Ints:
    """Columns of texts as `Texts` of the library; the arrays must outlive it."""
    return np.array([_texts(array)[:2] for array in arrays], dtype=np.int64)


_NO_TEXTS = np.zeros(2, dtype=np.int32)
_NOTHING = _NO_TEXTS.ctypes.data


def _places(scan: Any) -> list[npt.NDArray[Any]]:
    """Marks, their ends, first marks and counts of a scan, as the library reads them."""
    narrow, wide = (scan.marks, scan.ends), (scan.base, scan.counts)
    return [
        *(np.ascontiguousarray(a, dtype=np.int32) for a in narrow),
        *(np.ascontiguousarray(a, dtype=np.int64) for a in wide),
    ]


@cache
def _form(kind: pa.DataType) -> tuple[int, int, int]:
    """Form, scale and bytes of a value of a kind of column (of texts: of an offset)."""
    if pa.types.is_string(kind):
        return _TEXT, 0, 4
    if pa.types.is_decimal(kind):
        return _DECIMAL, kind.scale, 16
    return (_DATE, 0, 4) if pa.types.is_date(kind) else (_INTEGER, 0, 8)


def _array(
    kind: pa.DataType,
    n: int,
    made: tuple[pa.Buffer, pa.Buffer],
    text: pa.Buffer | None,
    given: int,
    nulls: int,
    size: int,
) -> pa.Array:
    if not given:
        return pa.nulls(n, kind)
    values, valid = made
    buffers = [valid if nulls else None, values]
    if text is not None:
        buffers.append(text.slice(0, size))
    return pa.Array.from_buffers(kind, n, buffers, nulls)


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

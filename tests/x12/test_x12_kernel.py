"""The compiled kernel against numpy: the same arrays of any bytes, the same columns of any spans."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from compiled_kernel import built
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import shapes
from pipeline.x12.isa import Wire, find_isas
from pipeline.x12.kernel import Ask, Kernel, using
from pipeline.x12.scan import PAD, Scan, code_of, decimal_array, fixed_array, padded

#: (ends of lines stand before terminators?, terminator)
WIRES = [
    Wire(ord("*"), ord("^"), ord(":"), ord("~")),
    Wire(ord("*"), ord("^"), ord(":"), ord("\n")),
    Wire(ord("|"), -1, ord(">"), ord("~"), ragged=True),
    Wire(0x1D, 0x1F, 0x00, 0x1E),
]
PIECES = st.sampled_from([
    b"CLP", b"SVC", b"NM1", b"BIN", b"BDS", b"ISA", b"I", b"A", b"QC", b"6R", b"1.5", b"20260105", b"~", b"~", b"*", b"*", b"|", b":",
    b">", b"^", b"\n", b"\r\n", b"\r", b" ", b"\t", b"\x00", b"\x1a", b"\x1d", b"\x1e", b"\xc3\x89", b"7", b"x" * 63, b"x" * 70,
])  # fmt: skip
BYTES = st.lists(PIECES, max_size=60).map(b"".join)
NUMBERS = st.one_of(
    st.text(alphabet="0123456789.-", max_size=22),
    st.from_regex(r"-?[0-9]{0,6}(\.[0-9]{0,5})?", fullmatch=True),
    st.sampled_from(
        [
            "1" * 64 + ".",
            "0" * 65,
            "9" * 18,
            "9" * 16,
            "9" * 16 + ".99",
            "1" + "0" * 17,
            "-0",
            "1e5",
            "+1",
            "1,000",
            "５",
        ]
    ),
)
DAYS = st.one_of(
    st.dates().map(lambda day: day.strftime("%Y%m%d")),
    st.from_regex(r"(1[789]|2[012])[0-9]{2}(0[0-9]|1[0-3])[0-3][0-9]", fullmatch=True),
    st.text(alphabet="0129 /", max_size=9),
)


@pytest.fixture(scope="module")
def kernel() -> Kernel:
    return built()


def both(kernel: Kernel, data: bytes, wire: Wire) -> tuple[Scan, Scan]:
    with using(None):
        plain = Scan(padded([data]), wire)
    with using(kernel):
        return plain, Scan(padded([data]), wire)


ARRAYS = ("starts", "stops", "base", "counts", "codes", "marks", "ends", "heads")


@settings(deadline=None)
@given(data=BYTES, wire=st.sampled_from(WIRES), kept=st.integers(0, 9))
def test_the_same_cuts_of_any_bytes(kernel: Kernel, data: bytes, wire: Wire, kept: int) -> None:
    plain, compiled = both(kernel, data, wire)
    for times in range(2):
        assert (compiled.n, compiled.after) == (plain.n, plain.after)
        for name in ARRAYS:
            assert getattr(compiled, name).tolist() == getattr(plain, name).tolist(), name
        for ids in (("CLP",), ("NM1", "SVC"), ("A",), ("SVC", "CLP", "BIN")):
            assert compiled.of(*ids).tolist() == plain.of(*ids).tolist()
            assert compiled.last_of(*ids) == plain.last_of(*ids) == max(plain.of(*ids).tolist(), default=-1)
        known = frozenset(map(code_of, ("CLP", "NM1", "ISA")))
        others = [i for i in range(plain.n) if plain.codes[i] not in known]
        assert compiled.other_than(known).tolist() == plain.other_than(known).tolist() == others
        assert compiled.with_code(0).tolist() == plain.with_code(0).tolist()
        assert compiled.of_head("NM1", "QC").tolist() == plain.of_head("NM1", "QC").tolist()
        if not times and kept < plain.n:
            plain.limit(kept)
            compiled.limit(kept)


@settings(deadline=None)
@given(
    data=BYTES, wire=st.sampled_from(WIRES), element=st.integers(1, 6), part=st.integers(0, 4), seed=st.integers(0, 99)
)
def test_the_same_texts_of_any_segments(
    kernel: Kernel, data: bytes, wire: Wire, element: int, part: int, seed: int
) -> None:
    plain, compiled = both(kernel, data, wire)
    random = np.random.default_rng(seed)
    segments = random.integers(-1, max(plain.n, 1), 70) if plain.n else np.full(3, -1)
    elements: list[int | np.ndarray[Any, Any]] = [element, random.integers(1, 7, len(segments))]
    made = compiled.columns([Ask(pa.string(), segments, e, part) for e in elements])
    assert made is not None
    for (column, wrong), e in zip(made, elements, strict=True):
        spans = plain.composite(segments, e).spans(part) if part else plain.spans(segments, e)
        column.validate(full=True)
        assert not wrong
        assert column.equals(plain.text(*spans))
        assert compiled.text(*spans).equals(column)


@settings(deadline=None)
@given(values=st.lists(NUMBERS, min_size=1, max_size=40), scale=st.sampled_from([0, 2, 4]))
def test_the_same_numbers_of_any_text(kernel: Kernel, values: list[str], scale: int) -> None:
    plain, compiled = both(kernel, "".join(f"AB*{v}*~" for v in values).encode(), WIRES[0])
    everyone = np.arange(plain.n)
    value, have, bad = plain.decimals(*plain.spans(everyone, 1), scale)
    kind = {0: pa.int64(), 2: shapes.MONEY, 4: shapes.QUANTITY}[scale]
    expected = fixed_array(value, have, kind) if not scale else decimal_array(value, have, kind)
    [(column, wrong)] = compiled.columns([Ask(kind, everyone, 1)]) or []
    column.validate(full=True)
    assert column.equals(expected)
    assert wrong == np.count_nonzero(bad)
    [(again, _)] = compiled.columns([Ask(kind, everyone, spans=plain.spans(everyone, 1))]) or []
    assert again.equals(expected)


@settings(deadline=None)
@given(values=st.lists(DAYS, min_size=1, max_size=40))
def test_the_same_days_of_any_text(kernel: Kernel, values: list[str]) -> None:
    plain, compiled = both(kernel, "".join(f"AB*{v}*~" for v in values).encode(), WIRES[0])
    everyone = np.arange(plain.n)
    days, have, bad = plain.dates(*plain.spans(everyone, 1))
    [(column, wrong)] = compiled.columns([Ask(pa.date32(), everyone, 1)]) or []
    assert column.equals(fixed_array(days, have, pa.date32()))
    assert wrong == np.count_nonzero(bad)


def test_every_day_that_there_is(kernel: Kernel) -> None:
    texts = [f"{y:04d}{m:02d}{d:02d}" for y in range(1799, 2202) for m in range(14) for d in range(33)]
    plain, compiled = both(kernel, "".join(f"AB*{t}~" for t in texts).encode(), WIRES[0])
    days, have, bad = plain.dates(*plain.spans(np.arange(plain.n), 1))
    [(column, wrong)] = compiled.columns([Ask(pa.date32(), np.arange(plain.n), 1)]) or []
    assert column.equals(fixed_array(days, have, pa.date32()))
    assert (column.null_count, wrong) == (len(texts) - 146097, np.count_nonzero(bad))


def test_what_lies_outside_is_an_absent_element(kernel: Kernel) -> None:
    """Numbers that no caller of ours gives must not reach other memory."""
    _, scan = both(kernel, b"AB*1~CD*2~", WIRES[0])
    odd = np.array([-1, 2, 99, -(1 << 40), 1 << 40, 1])
    [(text, _), (number, _)] = scan.columns([Ask(pa.string(), odd, 1), Ask(pa.int64(), odd, 1)]) or []
    assert text.to_pylist() == [None] * 5 + ["2"]
    assert number.to_pylist() == [None] * 5 + [2]
    for element in (0, -1, 2, 1 << 40):
        [(text, _)] = scan.columns([Ask(pa.string(), np.array([0, 1]), element)]) or []
        assert text.null_count == 2
    ends = np.array([0, PAD, 5, 1 << 40, -5]), np.array([PAD, PAD, 1 << 40, (1 << 40) + 1, -1])
    [(text, _)] = scan.columns([Ask(pa.string(), ends[0], spans=ends)]) or []
    assert text.null_count == 5


def test_more_ids_than_the_index_has_room_for(kernel: Kernel) -> None:
    segments = [f"{a}{b}*1~" for a in "ABCDEFGHIJKLMNOPQRSTUVWXYZ" for b in "ABCDEFGHIJKLM"]
    plain, compiled = both(kernel, "".join(segments).encode(), WIRES[0])
    assert compiled.of("ZA", "BB").tolist() == plain.of("ZA", "BB").tolist() == [14, 325]
    assert compiled.of_head("BB", "1").tolist() == [14]


@settings(deadline=None)
@given(
    data=st.lists(st.sampled_from([b"ISA", b"I", b"S", b"A", b"x" * 61, b"~"]), max_size=40).map(b"".join),
    at=st.integers(0, 9),
)
def test_interchanges_are_looked_for_alike(kernel: Kernel, data: bytes, at: int) -> None:
    with using(None):
        plain = list(find_isas(data, 0, at, len(data), 126))
    with using(kernel):
        assert list(find_isas(data, 0, at, len(data), 126)) == plain
    wanted = [i for i in range(at, len(data) - 2) if data[i : i + 3] == b"ISA"]
    assert list(kernel.find_isa(np.frombuffer(data, dtype=np.uint8), at, len(data) - 2)) == wanted

"""The column writer against the plain writer: row by row they must give the same segments."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from compiled_kernel import built
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.x12 import columns as x
from pipeline.x12.columns import Columns
from pipeline.x12.kernel import using
from pipeline.x12.writer import BASIC, EXTENDED, render

VALUE = st.text(alphabet=sorted(EXTENDED - set("*:^~")), max_size=12)
ROWS = st.lists(st.tuples(*[st.none() | VALUE] * 4), min_size=1, max_size=20)


@pytest.fixture(scope="module", params=["compiled", "numpy"], autouse=True)
def way(request: pytest.FixtureRequest) -> Iterator[None]:
    """Each test with the compiled kernel and without it."""
    with using(built() if request.param == "compiled" else None):
        yield


@settings(deadline=None)
@given(ROWS, st.booleans())
def test_segments_and_composites_agree_with_the_plain_writer(rows: list[tuple[str | None, ...]], newline: bool) -> None:
    a, b, c, d = (pa.array([row[i] for row in rows], pa.string()) for i in range(4))
    columns = Columns(newline=newline)
    text = columns.loop(columns.segment("SV1", a, columns.composite(b, c), "", d))
    plain = [render([["SV1", r[0] or "", [r[1] or "", r[2] or ""], "", r[3] or ""]], newline=newline) for r in rows]
    assert text.to_pylist() == [segment.decode() for segment in plain]


@settings(deadline=None)
@given(ROWS, st.booleans())
def test_segments_of_every_row_are_joined_as_one_by_one(rows: list[tuple[str | None, ...]], newline: bool) -> None:
    """Whether they are joined at once (no row ends empty) or each alone, beside constants and beside absent ones."""
    a, b, c, d = (pa.array([row[i] for row in rows], pa.string()) for i in range(4))
    columns = Columns(newline=newline)
    here = x.present(d)
    text = columns.loop(columns.every("LX", a), columns.every("SV1", b, c, "U"), columns.segment("NTE", d, where=here),
                        columns.every("DTP", "472", "D8", c))  # fmt: skip
    body = columns.body(columns.every("REF", "G1", a, "X"), columns.every("HI", b, "", "Y"))
    plain = [[["LX", r[0] or ""], ["SV1", r[1] or "", r[2] or "", "U"], *([["NTE", r[3]]] if r[3] else []),
              ["DTP", "472", "D8", r[2] or ""]] for r in rows]  # fmt: skip
    assert text.to_pylist() == [render(segments, newline=newline).decode() for segments in plain]
    ends = [render([["REF", "G1", r[0] or "", "X"], ["HI", r[1] or "", "", "Y"]], newline=newline) for r in rows]
    assert body.to_pylist() == [segments.decode().removesuffix(columns.end) for segments in ends]


@settings(deadline=None)
@given(st.lists(VALUE, max_size=9), st.lists(st.none() | VALUE, min_size=1, max_size=9))
def test_alike_names_the_text_that_all_rows_hold(same: list[str], values: list[str | None]) -> None:
    assert x.alike(pa.array(same[:1] * len(same), pa.string())) == (same[0] if same else "")
    one = values[0] or "" if len({v or "" for v in values}) == 1 else None
    assert x.alike(pa.array(values, pa.string())) == one


@settings(deadline=None)
@given(st.lists(st.none() | VALUE, max_size=12), st.integers(0, 3))
def test_without_nulls(values: list[str | None], skip: int) -> None:
    column = pa.array(values, pa.string()).slice(min(skip, len(values)))
    assert x.without_nulls(column).to_pylist() == [v or "" for v in column.to_pylist()]


def test_a_null_row_that_hides_bytes_is_empty_all_the_same() -> None:
    text = pa.array(["AB", "CD"])
    hidden = pa.Array.from_buffers(text.type, 2, [pa.py_buffer(bytes([0b10])), *text.buffers()[1:]])
    assert hidden.to_pylist() == [None, "CD"]
    assert x.without_nulls(hidden).to_pylist() == ["", "CD"]


@settings(deadline=None)
@given(st.lists(st.none() | st.integers(-5, 10**9), max_size=12))
def test_whole_numbers(numbers: list[int | None]) -> None:
    assert x.whole(pa.array(numbers, pa.int64())).to_pylist() == [None if n is None else str(n) for n in numbers]


def test_absent_segments_leave_no_terminator() -> None:
    columns = Columns()
    values = pa.array(["A", "B", "C"])
    here = np.array([True, False, True])
    nowhere = np.zeros(3, dtype=bool)
    text = columns.loop(columns.segment("N3", values, where=here), columns.segment("N4", values, where=~here),
                        columns.segment("REF", values, where=nowhere))  # fmt: skip
    assert text.to_pylist() == ["N3*A~", "N4*B~", "N3*C~"]
    assert columns.loop(columns.segment("REF", values, where=nowhere)).to_pylist() == ["", "", ""]


_TEXTS = st.sampled_from(["", "A", "BC", "7"])
_ROWS = st.tuples(*[_TEXTS] * 3, st.booleans(), st.booleans(), *[_TEXTS] * 3)


@settings(deadline=None)
@given(st.lists(_ROWS, min_size=1, max_size=40), st.sampled_from(["", "K"]), st.booleans())
def test_what_is_joined_at_once_is_what_is_joined_row_by_row(rows: list[tuple], constant: str, few: bool) -> None:
    """Absent segments, empty elements at the end, composites and picked columns, against plain Python."""
    c = Columns()
    one, two, three, here, there, left, mid, right = (list(column) for column in zip(*rows, strict=True))
    if few:
        there = [n == 0 for n in range(len(rows))]
    picked = x.Picked(pa.array(["x", "", "zz"]), np.array([len(text) for text in two]))
    segments = (
        c.every("AAA", pa.array(one), constant, c.pieces(pa.array(left), pa.array(mid), pa.array(right)), where=np.array(here)),
        c.every("BBB", picked, pa.array(three), "", pa.array(one)),
        c.every("CCC", pa.array(two), c.pieces("Q", pa.array(mid)), picked, where=np.array(there)),
        c.segment("DDD", pa.array([text or None for text in one], type=pa.string()), pa.array(two), where=np.array(here)),
        c.every("EEE", pa.array(three), where=np.array(here)),
    )  # fmt: skip

    def plain(separator: str, *parts: str) -> str:
        return separator.join(parts).rstrip(separator)

    wanted = []
    for a, b, d, h, t, left_part, mid_part, right_part in zip(
        one, two, three, here, there, left, mid, right, strict=True
    ):
        choice = ("x", "", "zz")[len(b)]
        parts = [plain("*", "AAA", a, constant, plain(":", left_part, mid_part, right_part))] if h else []
        parts.append(plain("*", "BBB", choice, d, "", a))
        parts += [plain("*", "CCC", b, plain(":", "Q", mid_part), choice)] if t else []
        parts += [plain("*", "DDD", a, b), plain("*", "EEE", d)] if h else []
        wanted.append(parts)
    assert c.loop(*segments).to_pylist() == ["".join(f"{part}~" for part in parts) for parts in wanted]
    assert c.body(*segments).to_pylist() == ["~".join(parts) for parts in wanted]


@settings(deadline=None)
@given(st.lists(st.integers(0, 10**13) | st.integers(0, 10**10 - 1), min_size=1))
@example([0, 5, 50, 99, 100, 12345, 99_999_99, 10**9, 10**10 - 1])
def test_amounts_are_exact_and_plain(cents: list[int]) -> None:
    amounts = [Decimal(c).scaleb(-2) for c in cents]
    texts = x.amount(pa.array(amounts, pa.decimal128(18, 2))).to_pylist()
    for amount, text in zip(amounts, texts, strict=True):
        assert Decimal(text) == amount
        assert text == "0" or not (text.endswith(".") or ("." in text and text.endswith("0")))
        assert "E" not in text


@pytest.mark.parametrize(
    ("units", "text"), [("1.0000", "1"), ("10.0000", "10"), ("0.5000", "0.5"), ("0.0001", "0.0001")]
)
def test_units_are_plain(units: str, text: str) -> None:
    assert x.amount(pa.array([Decimal(units)], pa.decimal128(18, 4))).to_pylist() == [text]


@settings(deadline=None)
@given(st.lists(st.none() | st.dates(date(1850, 1, 1), date(2149, 12, 31)), min_size=1))
def test_days(days: list[date | None]) -> None:
    column = pa.array(days, pa.date32())
    assert x.day_in_range(column).all()
    assert x.day(column).to_pylist() == [d and d.strftime("%Y%m%d") for d in days]


def test_days_of_no_time_of_ours_are_told() -> None:
    column = pa.array([date(1849, 12, 31), date(2150, 1, 1), date(2024, 2, 29), None])
    assert x.day_in_range(column).tolist() == [False, False, True, True]


@settings(deadline=None)
@given(st.lists(st.none() | st.text(max_size=8), max_size=20), st.integers(0, 5))
def test_outside_finds_exactly_the_rows_with_another_character(values: list[str | None], skip: int) -> None:
    column = pa.array(values, pa.string()).slice(min(skip, len(values)))
    allowed = BASIC - set("*:^~")
    wanted = [any(ch not in allowed for ch in v or "") for v in column.to_pylist()]
    found = x.outside(column, allowed)
    assert (found.tolist() if found is not None else [False] * len(wanted)) == wanted


@settings(deadline=None)
@given(st.lists(st.text(alphabet="aZ 9", max_size=6), max_size=20), st.integers(0, 5))
def test_upper_and_trimmed(values: list[str], skip: int) -> None:
    column = pa.array(values, pa.string()).slice(min(skip, len(values)))
    assert x.upper(column).to_pylist() == [v.upper() for v in column.to_pylist()]
    assert x.trimmed(column).to_pylist() == [v.strip(" ") for v in column.to_pylist()]


def test_a_constant_beside_a_picked_text_that_is_null_stands_all_the_same() -> None:
    few = x.Picked(pa.array(["A", None]), np.array([0, 1] * 16))
    columns = Columns()
    said = columns.loop(columns.every("REF", "X", few, "Y")).to_pylist()
    assert said == ["REF*X*A*Y~", "REF*X**Y~"] * 16


@settings(deadline=None)
@given(st.lists(st.none() | st.text(alphabet="aZ 9", max_size=6), max_size=20), st.integers(0, 5), st.booleans())
def test_cleaned(values: list[str | None], skip: int, capitals: bool) -> None:
    column = pa.array(values, pa.string()).slice(min(skip, len(values)))
    wanted = [(v or "").strip(" ") for v in column.to_pylist()]
    assert x.cleaned(column, capitals=capitals).to_pylist() == [v.upper() if capitals else v for v in wanted]


def test_cleaned_says_nothing_of_a_null_row_that_hides_bytes() -> None:
    hidden = pa.Array.from_buffers(
        pa.string(), 2, [pa.py_buffer(b"\x01"), *pa.array(["A", "B"]).buffers()[1:]], null_count=1
    )
    assert x.cleaned(hidden, capitals=True).to_pylist() == ["A", ""]


@settings(deadline=None)
@given(st.lists(st.tuples(VALUE, VALUE), min_size=1, max_size=20), st.integers(0, 3))
def test_columns_beside_each_other_keep_what_is_empty(rows: list[tuple[str, str]], skip: int) -> None:
    one, two = (pa.array([row[i] for row in rows]).slice(skip) for i in range(2))
    said = x.beside(one, "k", two, separator="|").to_pylist()
    assert said == [f"{a}|k|{b}" for a, b in rows[skip:]]


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 4)), min_size=1, max_size=40), st.integers(0, 2))
def test_rows_are_taken_from_two_columns(rows: list[tuple[bool, int]], skip: int) -> None:
    longer = "a text that takes more than two times sixteen bytes"
    first = pa.array(["?", "?", "", "one", longer, "ü", "~"]).slice(skip, 5)
    second = pa.array(["", "two", longer * 2, "é", "x" * 16])
    numbers = np.array([number for _, number in rows])
    mine = np.array([is_first for is_first, _ in rows])
    # where the mask does not hold a number may be anything
    got = x.taken(len(rows), (first, np.where(mine, numbers, -7), mine), (second, np.where(mine, 99, numbers), ~mine))
    assert got.to_pylist() == [(first if is_first else second)[number].as_py() for is_first, number in rows]


def test_a_number_that_names_no_text_is_an_error() -> None:
    every = np.ones(2, dtype=np.bool_)
    with pytest.raises(IndexError):
        x.taken(2, (pa.array(["a", "b"]), np.array([0, 2]), every), (pa.array(["c"]), np.array([0, 0]), ~every))


def test_rows_of_more_bytes_than_a_column_holds_are_not_begun() -> None:
    texts, numbers = pa.array(["x" * 1_000_000]), np.zeros(2_200, dtype=np.int64)
    assert built().rows(len(numbers), [(texts, numbers, None)]) is None
    assert (
        built().rows(1, [("x" * 1_000_000, None, None)] + [(texts, np.zeros(1, dtype=np.int64), None)] * 2_200) is None
    )
    made = built().rows(2_000, [(texts.slice(0, 1), numbers[:2_000] * 0, np.arange(2_000) == 7)])
    assert made is not None
    assert [len(made[at].as_py()) for at in (6, 7, 8)] == [0, 1_000_000, 0]


FEW = st.none() | st.sampled_from(
    ["", "A", "B", "AB", "ABCDEFGH", "ABCDEFGI", "ABCDEFGHIJKLMNOPQ", "ABCDEFGHIJKLMNOPR", "A" * 40]
)


@settings(deadline=None)
@given(st.lists(st.tuples(FEW, FEW, st.booleans()), max_size=40), st.integers(0, 3), st.booleans())
def test_rows_that_say_the_same_have_one_number(
    rows: list[tuple[str | None, str | None, bool]], skip: int, masked: bool
) -> None:
    one, two = (pa.array([row[i] for row in rows], pa.string()).slice(min(skip, len(rows))) for i in range(2))
    rows = rows[skip:]
    mask = np.array([row[2] for row in rows], dtype=np.bool_)
    numbers, firsts = x.distinct(one, two, where=mask if masked else None)
    known: dict[tuple[str, str], int] = {}
    wanted = [0] * len(rows)
    begins: list[int] = []
    for at, (a, b, here) in enumerate(rows):
        if here or not masked:
            wanted[at] = known.setdefault((a or "", b or ""), len(known))
            if len(known) > len(begins):
                begins.append(at)
    assert (numbers.tolist(), firsts.tolist()) == (wanted, begins)


def test_many_rows_have_as_many_numbers_as_texts() -> None:
    texts = pa.array([f"{n % 5_000}{'x' * (n % 5_000 % 23)}" for n in range(20_000)])
    numbers, firsts = x.distinct(texts)
    assert numbers.tolist() == [n % 5_000 for n in range(20_000)]
    assert firsts.tolist() == list(range(5_000))


@settings(deadline=None)
@given(st.lists(FEW, min_size=1, max_size=4), st.integers(1, 700), st.integers(0, 3))
@example(["A" * 40, "A" * 40], 700, 0)
@example(["AB", "B"], 1, 0)  # of one length in all, not in each
def test_alike_are_texts_that_are_the_same(values: list[str | None], times: int, skip: int) -> None:
    column = pa.array(values[:1] * times + values, pa.string())
    column = column.slice(min(skip, len(column)))
    said = {text or "" for text in column.to_pylist()} or {""}
    assert x.alike(column) == (said.pop() if len(said) == 1 else None)


@settings(deadline=None)
@given(st.lists(st.none() | st.decimals(-(10**13), 10**13, places=4), max_size=20), st.integers(0, 3))
@example([Decimal("0.0001"), Decimal("-0.0500"), Decimal("10000000000000"), Decimal("0"), Decimal("-3")], 0)
def test_amounts_of_any_size_are_plain(values: list[Decimal | None], skip: int) -> None:
    column = pa.array(values, pa.decimal128(18, 4)).slice(min(skip, len(values)))
    for one in (column, column.drop_null()):
        plain = [v if v is None else f"{v:f}".rstrip("0").rstrip(".") for v in one.to_pylist()]
        assert x.amount(one).to_pylist() == [v if v is None else {"-0": "0"}.get(v, v) for v in plain]


@settings(deadline=None)
@given(st.lists(st.none() | st.integers(0, 1200), max_size=20), st.integers(0, 3))
@example([None, 0, -1], 0)
def test_small_numbers_are_picked(values: list[int | None], skip: int) -> None:
    column = pa.array(values, pa.int64()).slice(min(skip, len(values)))
    said = Columns().loop(Columns().every("LX", x.counted(column), "X", pa.repeat("Y", len(column)))).to_pylist()
    assert said == [f"LX*{'' if v is None else v}*X*Y~" for v in column.to_pylist()]


@settings(deadline=None)
@given(st.lists(st.tuples(st.none() | st.booleans(), st.booleans(), st.none() | VALUE), max_size=40), st.integers(0, 9))
def test_masks_and_the_rows_that_they_keep(rows: list[tuple[bool | None, bool, str | None]], skip: int) -> None:
    flags = pa.array([row[0] for row in rows], pa.bool_()).slice(min(skip, len(rows)))
    assert x.as_mask(flags).tolist() == [bool(flag) for flag in flags.to_pylist()]
    texts, mask = [row[2] or "" for row in rows], np.array([row[1] for row in rows], dtype=np.bool_)
    table = pa.table(
        {"a": pa.array(texts, pa.string()), "b": pa.repeat("", len(rows)), "c": pa.array(range(len(rows)), pa.int64())}
    )
    assert x.kept(table, mask).equals(table.filter(pa.array(mask)))


PARTS = st.tuples(
    st.booleans(), VALUE, st.none() | VALUE, st.sampled_from(["", "HI*A~HI*B", "x" * 15, "N3*" + "y" * 70 + "~N4"])
)


@settings(deadline=None)
@given(st.lists(PARTS, min_size=1, max_size=40), st.data(), st.booleans())
def test_rows_of_two_tables_stand_in_one_file(
    rows: list[tuple[bool, str, str | None, str]], data: st.DataObject, newline: bool
) -> None:
    """Whatever order they are made in: each where it belongs, and the segments of each stretch are counted."""
    c = Columns(newline=newline)
    order = data.draw(st.permutations(range(len(rows))))
    place = np.argsort(order)
    starts = (
        [0, *sorted(data.draw(st.sets(st.integers(1, max(1, len(rows) - 1)), max_size=3)))] if len(rows) > 1 else [0]
    )
    said, sources = [""] * len(rows), []
    for first in (True, False):
        mine = [n for n, row in enumerate(rows) if row[0] is first]
        a, b, body = (pa.array([rows[n][i] for n in mine], pa.string()) for i in (1, 2, 3))
        few = x.Picked(pa.array(["X", "a text~of two"]), np.arange(len(mine)) % 2)
        made = c.rows(
            c.every("LX", a, few), c.every("REF", "G1", b, where=x.present(b)), x.Every((body,), x.present(body))
        )
        sources.append((made, place[mine].astype(np.int64)))
        for n, text in zip(mine, made.texts().to_pylist(), strict=True):
            said[place[n]] = text
    woven = x.Woven(sources, np.array(starts), "~")
    stretches = ["".join(said[a:b]) for a, b in zip(starts, [*starts[1:], len(said)], strict=True)]
    assert woven.segments == [text.count("~") for text in stretches]
    heads, tails = [f"ST*{n}~".encode() for n in starts], [f"SE*{n}~".encode() * 4 for n in starts]
    for _ in range(2):  # again with other heads
        file = woven.between(heads, tails)
        assert file == b"".join(h + t.encode() + e for h, t, e in zip(heads, stretches, tails, strict=True))
        heads = [b"ISA~" + head for head in heads]


def test_what_has_no_place_in_a_file_is_not_written() -> None:
    measured = built().measured(2, [(pa.array(["one", "two"]), None, None), ("~", None, None)])
    assert measured is not None
    whole = built().new(40)
    for places in ([0, 21], [0, -1], [0, 1 << 62], [0]):
        with pytest.raises(IndexError):
            measured.fill(whole, np.array(places, dtype=np.int64))
    measured.fill(whole, np.array([20, 4]))
    assert whole.seen()[4:8] + whole.seen()[20:24] == b"two~one~"
    for place in (-1, 38):
        with pytest.raises(IndexError):
            whole.put(place, b"abc")


def test_a_large_file_has_its_memory_in_large_pages_and_nothing_else_changes() -> None:
    size = (5 << 20) + 7
    whole = built().new(size)
    whole.put(0, b"ISA")
    whole.put(size - 3, b"~IE")
    data = whole.seen()
    assert (len(data), data[:3], data[-3:], data[4096]) == (size, b"ISA", b"~IE", 0)

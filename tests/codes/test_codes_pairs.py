"""NCCI procedure pairs: modifier indicators, days, groups, and the same answer as a plain loop over pairs."""

from __future__ import annotations

import itertools
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from codes.files import PTP, put
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.codes import catalogue, editions, loading, pairs
from pipeline.codes.editions import Editions

EPOCH = date(1970, 1, 1)
DAY = date(2024, 5, 1)
SET = "ncci_ptp_practitioner"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    done = loading.load([put(tmp_path, "ccipra.txt", PTP)], tmp_path, effective_from=date(2024, 4, 1))
    assert done.findings == []
    return tmp_path


def ask(home: Path, lines: list[tuple[int, str | None, str, date]]) -> list[tuple[int, int, int]]:
    """(group, procedure, modifiers with blanks, day) → (line of column 1, line of column 2, indicator)."""
    modifiers = [[(m.split() + [None] * 4)[n] for _, _, m, _ in lines] for n in range(4)]
    found = pairs.conflicts(
        SET, home=home, group=np.array([g for g, *_ in lines]), procedure=pa.array([p for _, p, *_ in lines], pa.string()),
        day=pa.array([d for *_, d in lines], pa.date32()), modifiers=[pa.array(m, pa.string()) for m in modifiers],
    )  # fmt: skip
    return list(zip(found.column1.tolist(), found.column2.tolist(), found.indicator.tolist(), strict=True))


def test_a_pair_is_found_in_either_order_and_names_the_line_that_is_denied(home: Path):
    assert ask(home, [(1, "10000", "", DAY), (1, "20000", "", DAY)]) == [(0, 1, 0)]
    assert ask(home, [(1, "20000", "", DAY), (1, "10000", "", DAY)]) == [(1, 0, 0)]


def test_a_pair_of_indicator_0_fails_with_modifier_59_too(home: Path):
    assert ask(home, [(1, "10000", "", DAY), (1, "20000", "59", DAY)]) == [(0, 1, 0)]


@pytest.mark.parametrize(
    "modifier",
    [
        "59",
        "XE",
        "XP",
        "XS",
        "XU",
        "E1",
        "E2",
        "E3",
        "E4",
        "FA",
        "F1",
        "F2",
        "F3",
        "F4",
        "F5",
        "F6",
        "F7",
        "F8",
        "F9",
        "TA",
        "T1",
        "T2",
        "T3",
        "T4",
        "T5",
        "T6",
        "T7",
        "T8",
        "T9",
        "LC",
        "LD",
        "LM",
        "RC",
        "RI",
        "LT",
        "RT",
        "24",
        "25",
        "57",
        "58",
        "78",
        "79",
        "91",
    ],
)
def test_a_pair_of_indicator_1_is_opened_by_each_associated_modifier_on_either_line(home: Path, modifier: str):
    assert ask(home, [(1, "10000", "", DAY), (1, "20001", "", DAY)]) == [(0, 1, 1)]
    assert ask(home, [(1, "10000", "", DAY), (1, "20001", modifier, DAY)]) == []
    assert ask(home, [(1, "10000", f"26 {modifier}", DAY), (1, "20001", "", DAY)]) == []
    assert ask(home, [(1, "10000", "", DAY), (1, "20000", modifier, DAY)]) == [(0, 1, 0)]


@pytest.mark.parametrize("modifier", ["26", "TC", "76", "50", "GA", "KX"])
def test_other_modifiers_open_nothing(home: Path, modifier: str):
    assert ask(home, [(1, "10000", "", DAY), (1, "20001", modifier, DAY)]) == [(0, 1, 1)]


def test_no_modifiers_but_the_associated_ones_are_in_the_table():
    assert len(pairs.associated_modifiers()) == 43


def test_x_modifiers_open_only_from_2015_on(home: Path):
    early = date(2014, 12, 31)
    assert ask(home, [(1, "10000", "", early), (1, "20001", "XE", early)]) == [(0, 1, 1)]
    assert ask(home, [(1, "10000", "", early), (1, "20001", "59", early)]) == []


def test_a_deleted_pair_holds_to_its_last_day_and_passes_after_it(home: Path):
    last = date(2023, 3, 31)
    for day, found in (
        (last, [(0, 1, 0)]),
        (date(2023, 4, 1), []),
        (date(2019, 12, 31), []),
        (date(2020, 1, 1), [(0, 1, 0)]),
    ):
        assert ask(home, [(1, "10000", "", day), (1, "20002", "", day)]) == found, day


def test_a_pair_of_indicator_9_stops_nothing(home: Path):
    day = date(2020, 1, 1)
    assert ask(home, [(1, "10000", "", day), (1, "20003", "", day)]) == []


def test_a_pair_that_was_deleted_and_came_back_has_the_indicator_of_the_day(home: Path):
    for year, found in ((2011, [(0, 1, 0)]), (2015, []), (2021, [(0, 1, 1)])):
        day = date(year, 6, 1)
        assert ask(home, [(1, "10000", "", day), (1, "20004", "", day)]) == found


def test_only_lines_of_one_group_and_day_are_compared(home: Path):
    other = date(2024, 5, 2)
    assert ask(home, [(1, "10000", "", DAY), (2, "20000", "", DAY)]) == []
    assert ask(home, [(1, "10000", "", DAY), (1, "20000", "", other)]) == []
    assert ask(home, [(1, None, "", DAY), (1, "20000", "", DAY), (1, "1000", "", DAY)]) == []


def test_each_line_is_judged_by_itself(home: Path):
    """Two lines of the second code: only the one without a modifier fails."""
    lines = [(1, "10000", "", DAY), (1, "20001", "59", DAY), (1, "20001", "", DAY)]
    assert ask(home, lines) == [(0, 2, 1)]


def test_without_a_table_nothing_is_found(tmp_path: Path):
    assert ask(tmp_path, [(1, "10000", "", DAY), (1, "20000", "", DAY)]) == []


def test_groups_put_together_what_is_equal_in_all_columns():
    number = pairs.groups(pa.array(["a", "a", "b", None, None]), np.array([1, 2, 1, 1, 1]))
    assert len(set(number.tolist())) == 4
    assert number[3] == number[4]


@given(st.from_regex(r"[0-9A-Z]{5}", fullmatch=True))
def test_packing_keeps_a_code(code: str):
    assert pairs.unpack(pairs.pack(code)) == code


@pytest.mark.parametrize("text", [None, "", "1234", "123456", "12 45", "1234a", "1234É"])
def test_what_is_no_code_of_five_is_nobodys(text: str | None):
    assert pairs.pack(text) == 0


CODES = ["10000", "20000", "30000", "40000", "50000"]
_spans = st.tuples(st.integers(18000, 18030), st.integers(0, 30), st.sampled_from([0, 1, 9]))
_tables = st.dictionaries(
    st.tuples(st.sampled_from(CODES), st.sampled_from(CODES)), st.lists(_spans, max_size=2), max_size=12
)
_lines = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from([*CODES, None, "X"]), st.integers(18000, 18060), st.sampled_from(["", "59", "26"])),
    max_size=12,
)  # fmt: skip


@given(_tables, _lines, st.sampled_from([1, 3, 1 << 21]))
@settings(max_examples=150, deadline=None)
def test_the_columns_find_what_a_plain_loop_finds(table, lines, block):
    rows = [(a, b, start, start + more, kind) for (a, b), spans in table.items() for start, more, kind in spans]
    held = pa.table(
        [
            pa.array([pairs.pack(a) * pairs._CODE + pairs.pack(b) for a, b, *_ in rows], pa.uint64()),
            pa.array([r[2] for r in rows], pa.int32()), pa.array([r[3] for r in rows], pa.int32()),
            pa.array([r[4] for r in rows], pa.int8()), pa.array([""] * len(rows), pa.string()).dictionary_encode().cast(pairs.SCHEMA.field("words").type),
        ],
        schema=pairs.SCHEMA,
    )  # fmt: skip
    about = editions.About(SET, "x", date(2010, 1, 1), date.max, "test", dated=True)
    found_in = Editions(catalogue.one(SET), [editions.Edition(about, pairs.sort(held))])
    expected = set()
    for (i, (g, a, d, m)), (j, (h, b, e, n)) in itertools.permutations(enumerate(lines), 2):
        if g == h and d == e and a in CODES and b in CODES and a != b:
            for first, second, start, end, kind in rows:
                if (
                    (first, second) == (a, b)
                    and start <= d <= end
                    and (kind == 0 or (kind == 1 and "59" not in (m, n)))
                ):
                    expected.add((i, j, kind))
    old, pairs._BLOCK = pairs._BLOCK, block
    try:
        found = pairs.conflicts(
            found_in, group=np.array([x[0] for x in lines], dtype=np.int64), procedure=pa.array([x[1] for x in lines], pa.string()),
            day=np.array([x[2] for x in lines], dtype=np.int32), modifiers=[pa.array([x[3] for x in lines], pa.string())],
        )  # fmt: skip
    finally:
        pairs._BLOCK = old
    assert set(zip(found.column1.tolist(), found.column2.tolist(), found.indicator.tolist(), strict=True)) == expected

"""Unit limits (MUE), add-on codes, age and sex."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from codes.files import MUE, put
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.codes import catalogue, editions, loading, patients, units
from pipeline.codes.editions import Editions

DAY = date(2024, 2, 1)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    done = loading.load([put(tmp_path, "mue.csv", MUE)], tmp_path, effective_from=date(2024, 1, 1))
    assert done.findings == []
    return tmp_path


def ask(home: Path, lines: list[tuple[int, str, int | str, str]], table: str = "mue_practitioner", **more) -> list[int]:
    """(group, procedure, units, modifier) → lines over their limit."""
    found = units.excess(
        table, home=home, group=np.array([x[0] for x in lines]), procedure=pa.array([x[1] for x in lines]),
        day=[DAY] * len(lines), units=pa.array([Decimal(x[2]) for x in lines], pa.decimal128(18, 4)),
        modifiers=[pa.array([x[3] or None for x in lines], pa.string())], **more,
    )  # fmt: skip
    return found.line.tolist()


# --- D4 -------------------------------------------------------------------------------------------------------------------


def test_units_split_over_two_lines_pass_indicator_1_and_fail_2_and_3(home: Path):
    assert ask(home, [(1, "10000", 2, ""), (1, "10000", 2, "76")]) == []
    assert ask(home, [(1, "20000", 2, ""), (1, "20000", 2, "76")]) == [0, 1]
    assert ask(home, [(1, "20001", 2, ""), (1, "20001", 2, "76")]) == [0, 1]


def test_a_line_at_its_limit_passes_and_above_it_fails(home: Path):
    assert ask(home, [(1, "10000", 2, ""), (2, "10000", 3, "")]) == [1]
    assert ask(home, [(1, "20000", 3, ""), (2, "20000", 4, "")]) == [1]
    assert ask(home, [(1, "10000", "2.0001", "")]) == [0]


def test_days_patients_and_procedures_are_apart(home: Path):
    assert ask(home, [(1, "20000", 2, ""), (2, "20000", 2, "")]) == []
    assert ask(home, [(1, "20000", 2, ""), (1, "20001", 2, "")]) == []
    found = units.excess(
        "mue_practitioner", home=home, group=np.array([1, 1]), procedure=["20000", "20000"],
        day=[DAY, date(2024, 2, 2)], units=np.array([2, 2]),
    )  # fmt: skip
    assert len(found) == 0


def test_the_three_tables_are_apart(home: Path):
    other = MUE.replace("Practitioner Services", "Outpatient Hospital Services").replace("20000,3", "20000,1")
    loading.load([put(home, "o.csv", other)], home, effective_from=date(2024, 1, 1))
    line = [(1, "20000", 2, "")]
    assert ask(home, line) == []
    assert ask(home, line, "mue_outpatient") == [0]
    assert ask(home, line, "mue_dme") == []  # no table, no limit


def test_the_answer_says_units_limit_and_indicator(home: Path):
    found = units.excess(
        "mue_practitioner", home=home, group=np.array([1, 1]), procedure=["20000", "20000"], day=[DAY] * 2, units=np.array([2, 3]),
    )  # fmt: skip
    assert (found.units // units.SCALE).tolist() == [5, 5]
    assert found.limit.tolist() == [3, 3]
    assert found.indicator.tolist() == [2, 2]
    assert found.covered.all()


def test_another_quarter_has_another_table(home: Path):
    loading.load([put(home, "mue.csv", MUE.replace("10000,2", "10000,9"))], home, effective_from=date(2024, 4, 1))
    found = units.excess(
        "mue_practitioner", home=home, group=np.array([1, 2]), procedure=["10000"] * 2,
        day=[date(2024, 3, 31), date(2024, 4, 1)], units=np.array([5, 5]),
    )  # fmt: skip
    assert found.line.tolist() == [0]


def test_a_line_over_several_days_is_judged_by_the_day(home: Path):
    assert ask(home, [(1, "20000", 9, "")], days=np.array([3])) == []
    assert ask(home, [(1, "20000", 10, "")], days=np.array([3])) == [0]


def test_care_after_surgery_does_not_count(home: Path):
    assert ask(home, [(1, "20000", 3, ""), (1, "20000", 3, "55")]) == []


def test_floats_are_refused():
    with pytest.raises(TypeError):
        units.scaled(np.array([1.5]))


_rows = st.lists(
    st.tuples(st.integers(0, 1), st.sampled_from(["10000", "20000", "20001", "99999"]), st.integers(0, 4)), max_size=10
)


@given(_rows)
@settings(max_examples=100, deadline=None)
def test_the_columns_find_what_a_plain_loop_finds(rows):
    limits = {"10000": (2, 1), "20000": (3, 2), "20001": (3, 3)}
    held = editions.build(
        catalogue.one("mue_practitioner"),
        {"code": list(limits), "units": [a for a, _ in limits.values()], "indicator": [b for _, b in limits.values()]},
    )
    about = editions.About("mue_practitioner", "x", date(2020, 1, 1), date.max, "test")
    table = Editions(catalogue.one("mue_practitioner"), [editions.Edition(about, held)])
    expected = []
    for at, (group, code, number) in enumerate(rows):
        limit, indicator = limits.get(code, (99, 1))
        total = number if indicator == 1 else sum(n for g, c, n in rows if (g, c) == (group, code))
        if total > limit:
            expected.append(at)
    found = units.excess(
        table, group=np.array([r[0] for r in rows], dtype=np.int64), procedure=pa.array([r[1] for r in rows], pa.string()),
        day=[DAY] * len(rows), units=np.array([r[2] for r in rows], dtype=np.int64),
    )  # fmt: skip
    assert found.line.tolist() == expected


# --- add-on codes ---------------------------------------------------------------------------------------------------------

ADD_ON = "primary_code,add_on_code,aoc_edit_type\n10000,20000,1\n10001,20000,1\nCCCCC,20001,2\nCCCCC,20002,3\n10000,20002,3\n"


@pytest.mark.parametrize(
    ("lines", "alone"),
    [
        ([(1, "20000")], [0]),
        ([(1, "20000"), (1, "10001")], []),
        ([(1, "20000"), (2, "10001")], [0]),
        ([(1, "20000"), (1, "20000"), (1, "30000")], [0, 1]),
        ([(1, "20001"), (2, "20002")], []),  # the contractor decides
        ([(1, "30000")], []),
    ],
)
def test_an_add_on_code_needs_its_primary(lines, alone, tmp_path: Path):
    loading.load([put(tmp_path, "aoc.csv", ADD_ON)], tmp_path, effective_from=date(2024, 1, 1))
    found = units.alone(
        "ncci_addon",
        home=tmp_path,
        group=np.array([g for g, _ in lines]),
        procedure=[c for _, c in lines],
        day=[DAY] * len(lines),
    )
    assert found.tolist() == alone


# --- age and sex ----------------------------------------------------------------------------------------------------------


def test_ages_are_whole_years_by_the_calendar():
    born = [date(2000, 2, 29), date(2000, 2, 29), date(2024, 1, 31), date(2024, 2, 2), date(1924, 2, 1)]
    on = [date(2023, 2, 28), date(2023, 3, 1), DAY, DAY, DAY]
    assert patients.ages(born, on).tolist() == [22, 23, 0, -1, 100]
    assert patients.ages(pa.array([None], pa.date32()), [DAY]).tolist() == [-1]


def test_age_and_sex_conflicts(tmp_path: Path):
    age = "A34\t2 maternity (age 12-55)\r\nC9150\t3 adult (age 14+)\r\nA33\t0 newborn (age 0)\r\n"
    done = loading.load([put(tmp_path, "age.txt", age)], tmp_path, effective_from=date(2023, 10, 1))
    assert [e.about.set for e, _ in done.editions] == ["mce_age"]
    loading.load(
        [put(tmp_path, "sex.txt", "A34\t2 female\r\nC60\t1 male\r\n")], tmp_path, effective_from=date(2023, 10, 1)
    )
    rows = [("A34", 11), ("A34", 12), ("A34", 55), ("A34", 56), ("C91.50", 13), ("C9150", 14), ("C9150", 99), ("A33", 0),
            ("A33", 1), ("J209", 3), ("A34", -1), (None, 5)]  # fmt: skip
    found = patients.age_conflicts(
        [c for c, _ in rows], [DAY] * len(rows), np.array([a for _, a in rows]), home=tmp_path
    )
    assert found.tolist() == [True, False, False, True, True, False, False, False, True, False, False, False]
    sexes = [("A34", "F"), ("A34", "M"), ("A34", "U"), ("A34", None), ("C60", "F"), ("C60", "M"), ("J209", "M")]
    found = patients.sex_conflicts(
        [c for c, _ in sexes], [DAY] * 7, pa.array([s for _, s in sexes], pa.string()), home=tmp_path
    )
    assert found.tolist() == [False, True, False, False, True, False, False]


def test_official_age_edits_have_their_ages(samples: Path, tmp_path: Path):
    loading.load([samples / "codes/mce/H0519F3_ICD10_MCE_AGE.TXT"], tmp_path, effective_from=date(2018, 10, 1))
    (held,) = editions.open_set("mce_age", tmp_path).all
    kinds = set(zip(*(held.table.column(c).to_pylist() for c in ("words", "lowest", "highest")), strict=True))
    assert kinds == {("newborn", 0, 0), ("pediatric", 0, 17), ("maternity", 12, 55), ("adult", 14, None)}

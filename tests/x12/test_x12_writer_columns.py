"""The column writer against the plain writer: row by row they must give the same segments."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.x12 import columns as x
from pipeline.x12.columns import Columns
from pipeline.x12.writer import BASIC, EXTENDED, render

VALUE = st.text(alphabet=sorted(EXTENDED - set("*:^~")), max_size=12)
ROWS = st.lists(st.tuples(*[st.none() | VALUE] * 4), min_size=1, max_size=20)


@settings(deadline=None)
@given(ROWS, st.booleans())
def test_segments_and_composites_agree_with_the_plain_writer(rows: list[tuple[str | None, ...]], newline: bool) -> None:
    a, b, c, d = (pa.array([row[i] for row in rows], pa.string()) for i in range(4))
    columns = Columns(newline=newline)
    text = columns.loop(columns.segment("SV1", a, columns.composite(b, c), "", d))
    plain = [render([["SV1", r[0] or "", [r[1] or "", r[2] or ""], "", r[3] or ""]], newline=newline) for r in rows]
    assert text.to_pylist() == [segment.decode() for segment in plain]


def test_absent_segments_leave_no_terminator() -> None:
    columns = Columns()
    values = pa.array(["A", "B", "C"])
    here = np.array([True, False, True])
    nowhere = np.zeros(3, dtype=bool)
    text = columns.loop(columns.segment("N3", values, where=here), columns.segment("N4", values, where=~here),
                        columns.segment("REF", values, where=nowhere))  # fmt: skip
    assert text.to_pylist() == ["N3*A~", "N4*B~", "N3*C~"]
    assert columns.loop(columns.segment("REF", values, where=nowhere)).to_pylist() == ["", "", ""]


@settings(deadline=None)
@given(st.lists(st.integers(0, 10**13), min_size=1))
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

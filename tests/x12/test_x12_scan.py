"""The columnar scan against plain ways of doing the same: splitting, Decimal, datetime."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal, InvalidOperation

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.x12.isa import Wire
from pipeline.x12.scan import PAD, Scan, code_of, decimal_array, exact_units, key_of, padded
from pipeline.x12.segments import iter_segments

WIRE = Wire(ord("*"), ord("^"), ord(":"), ord("~"))
DATA = st.text(alphabet="ABC019 .-", max_size=12)


def scan_of(text: str, wire: Wire = WIRE) -> Scan:
    return Scan(padded([text.encode()]), wire)


@settings(deadline=None)  # the first example pays for tables that are made once
@given(
    st.lists(st.lists(DATA, min_size=0, max_size=6), min_size=1, max_size=20), st.sampled_from(["", "\n", "\r\n", "\r"])
)
def test_elements_are_those_of_splitting(rows: list[list[str]], newline: str) -> None:
    segments = [["AB", *row] for row in rows]
    scan = scan_of("".join("*".join(s) + "~" + newline for s in segments))
    assert scan.n == len(segments)
    for i, elements in enumerate(segments):
        assert scan.elements(i) == elements
        assert [scan.text_at(i, k) for k in range(1, len(elements))] == elements[1:]
    everyone = np.arange(scan.n)
    for k in range(1, 8):
        column = scan.text(*scan.spans(everyone, k)).to_pylist()
        assert column == [(s[k] if k < len(s) else "") or None for s in segments]


def test_the_same_segments_numbers_and_offsets_as_the_plain_view() -> None:
    data = (
        b"ISA*00*          *00*          *ZZ*SENDER         *ZZ*RECEIVER       *260105*0830*^*00501*000000001*0*T*:~\r\n"
        b"GS*HP*S*R*20260105*0830*1*X*005010X221A1~\n\nST*835*0001~SE*2*0001~ GE*1*1~IEA*1*000000001~"
    )
    scan = Scan(padded([data]), WIRE)
    plain = list(iter_segments(data))
    assert [scan.elements(i) for i in range(scan.n)] == [list(s.elements) for s in plain]
    assert [int(s) - PAD for s in scan.starts] == [s.offset for s in plain]
    assert scan.of("GS", "GE").tolist() == [1, 4]


def test_bytes_after_the_last_terminator_are_no_segment() -> None:
    scan = scan_of("AB*1~CD*2")
    assert scan.n == 1
    assert scan.after - PAD == len("AB*1~")


def test_a_segment_before_the_first_has_no_elements() -> None:
    scan = scan_of("AB*1~CD*2~")
    absent = np.array([-1, 1], dtype=np.int64)
    assert scan.text(*scan.spans(absent, 1)).to_pylist() == [None, "2"]


def test_a_cut_scan_reads_nothing_past_its_end() -> None:
    scan = scan_of("AB*1~CD*2~EF*3~")
    scan.limit(1)
    assert scan.of("CD").tolist() == []
    assert scan.text(*scan.spans(np.array([-1]), 1)).to_pylist() == [None]


@settings(deadline=None)  # the first example pays for tables that are made once
@given(st.lists(st.lists(DATA, min_size=1, max_size=5), min_size=1, max_size=10))
def test_components_are_those_of_splitting(rows: list[list[str]]) -> None:
    scan = scan_of("".join("AB*X*" + ":".join(r) + "*Y~" for r in rows))
    parts = scan.composite(np.arange(scan.n), 2)
    for c in range(1, 7):
        assert scan.text(*parts.spans(c)).to_pylist() == [(r[c - 1] if c <= len(r) else "") or None for r in rows]


def test_an_element_that_no_row_has_is_empty_in_all_its_components() -> None:
    scan = scan_of("AB*1:2:3~SV*X~SV~")
    parts = scan.composite(scan.of("SV"), 4)
    for c in (1, 2, 3):
        starts, stops = parts.spans(c)
        assert (starts >= stops).all()
        assert scan.text(starts, stops).to_pylist() == [None, None]


@settings(deadline=None)
@given(
    st.lists(
        st.sampled_from(["", "A", "CO", "ABCDEFGH", "ABCDEFGHI", "É", "12345678901234567", "A\0", "A"]), min_size=1
    )
)
def test_texts_of_any_length(values: list[str]) -> None:
    scan = scan_of("".join(f"AB*{v}*X~" for v in values))
    spans = [scan.spans(np.arange(scan.n), k) for k in (1, 2, 3)]
    for column, wanted in zip(spans, (values, ["X"] * len(values), [""] * len(values)), strict=True):
        text = scan.text(*column)
        text.validate(full=True)
        assert text.to_pylist() == [v or None for v in wanted]


@settings(deadline=None)
@given(
    st.lists(st.sampled_from(["REF*6R*L~", "REF*6R~", "REF*6RR*X~", "REF~", "LQ*HE*A~", "REFER*6R~", "DTM*1234567~"]))
)
def test_segments_are_found_by_id_and_first_element(segments: list[str]) -> None:
    scan = scan_of("".join(segments))
    for head in (("REF", "6R"), ("LQ", "HE"), ("REF", "F8")):
        wanted = [i for i, s in enumerate(segments) if tuple(s.rstrip("~").split("*")[:2]) == head]
        assert scan.of_head(*head).tolist() == wanted


def test_a_scan_by_the_cuts_of_another_is_the_same() -> None:
    first = scan_of("AB*1*2~\r\n CD*3:4~EF~~GHI*~tail")
    again = Scan(first.buffer, WIRE, first.cuts)
    for name in ("n", "after"):
        assert getattr(first, name) == getattr(again, name)
    for name in ("starts", "stops", "codes", "counts", "base", "marks", "ends"):
        assert getattr(first, name).tolist() == getattr(again, name).tolist()


def naive_units(text: str, scale: int) -> int | None:
    """What an amount is worth, by Decimal alone."""
    if any(c not in "0123456789.-" for c in text) or not any(c.isdigit() for c in text):
        return None
    try:
        value = Decimal(text)
    except InvalidOperation:
        return None
    scaled = value * 10**scale
    return int(scaled) if scaled == int(scaled) and abs(scaled) < 10**18 else None


AMOUNTS = st.one_of(
    st.from_regex(r"-?[0-9]{1,19}(\.[0-9]{0,5})?", fullmatch=True),
    st.from_regex(r"-?\.[0-9]{1,4}", fullmatch=True),
    st.text(alphabet="0123456789.-+eE ,", min_size=1, max_size=22),
)


@settings(deadline=None)  # the first example pays for tables that are made once
@given(st.lists(AMOUNTS, min_size=1, max_size=30), st.sampled_from([0, 2, 4]))
def test_decimals_are_exact_or_refused(texts: list[str], scale: int) -> None:
    scan = scan_of("".join(f"AB*{t}~" for t in texts))
    value, have, bad = scan.decimals(*scan.spans(np.arange(scan.n), 1), scale)
    expected = [naive_units(t, scale) for t in texts]
    assert [int(v) if h else None for v, h in zip(value, have, strict=True)] == expected
    assert bad.tolist() == [e is None for e in expected]
    assert [exact_units(t.encode(), scale) for t in texts] == expected


def test_decimal_column_keeps_cents_and_signs() -> None:
    import pyarrow as pa

    values = np.array([1, -1, 10**17 + 1, 0], dtype=np.int64)
    have = np.array([True, True, True, False])
    column = decimal_array(values, have, pa.decimal128(18, 2)).to_pylist()
    assert column == [Decimal("0.01"), Decimal("-0.01"), Decimal("1000000000000000.01"), None]


@settings(deadline=None)  # the first example pays for tables that are made once
@given(st.dates(min_value=date(1800, 1, 1), max_value=date(2199, 12, 31)))
def test_every_day_is_itself(day: date) -> None:
    scan = scan_of(f"AB*{day:%Y%m%d}~")
    days, have, bad = scan.dates(*scan.spans(np.arange(1), 1))
    assert have.tolist() == [True]
    assert bad.tolist() == [False]
    assert date(1970, 1, 1) + timedelta(days=int(days[0])) == day


@pytest.mark.parametrize("text", ["20260230", "20261301", "2026010", "202601011", "2026O101", "00000000", "20260100"])
def test_what_is_no_day_is_refused(text: str) -> None:
    scan = scan_of(f"AB*{text}~")
    _, have, bad = scan.dates(*scan.spans(np.arange(1), 1))
    assert (have.tolist(), bad.tolist()) == ([False], [True])


def test_long_text_and_short_text_come_through() -> None:
    values = ["X" * n for n in range(40)]
    scan = scan_of("".join(f"AB*{v}~" for v in values))
    assert scan.text(*scan.spans(np.arange(scan.n), 1)).to_pylist() == [v or None for v in values]


def test_latin_1_and_utf_8_are_read_value_by_value() -> None:
    raw = b"AB*M\xfcller~AB*" + "Müller".encode() + b"~AB*PLAIN~"
    scan = Scan(padded([raw]), WIRE)
    assert scan.text(*scan.spans(np.arange(3), 1)).to_pylist() == ["Müller", "Müller", "PLAIN"]


def test_raw_bytes_of_bin_hide_no_delimiters() -> None:
    scan = scan_of("AB*1~BIN*9*a*b~c*d~e~CD*2~BDS*ASC*3*~~~~EF*3~")
    assert [scan.id_at(i) for i in range(scan.n)] == ["AB", "BIN", "CD", "BDS", "EF"]
    assert scan.text_at(1, 2) == "a*b~c*d~e"


def test_a_bin_that_lies_about_its_length_does_not_run_over_the_end() -> None:
    scan = scan_of("AB*1~BIN*999999*abc~CD*2~")
    assert [scan.id_at(i) for i in range(scan.n)] == ["AB"]


def test_keys_compare_short_values() -> None:
    scan = scan_of("AB*QC~AB*Q~AB*QCX~AB*ABCDEFGHIJ~AB~")
    assert (scan.keys(np.arange(5), 1) == key_of("QC")).tolist() == [True, False, False, False, False]
    assert code_of("CLP") != code_of("CL")

"""Is a code valid on its day: form, list, days, and what happens where no list is loaded."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from codes.files import put

from pipeline import codes
from pipeline.codes import editions, judging, loading
from pipeline.codes.judging import Status


def days(*texts: str) -> pa.Array:
    return pa.array([date.fromisoformat(t) for t in texts], pa.date32())


def names(found: judging.Judgement) -> list[str]:
    return [Status(s).name for s in found.status.tolist()]


def load(home: Path, name: str, text: str, day: str, set_name: str = "") -> None:
    done = loading.load([put(home, name, text)], home, effective_from=date.fromisoformat(day), set_name=set_name)
    assert not done.failed, done.findings


HCPCS = "hcpcs_code,cov,date_added,date_term\nA0021,I,1985-01-01,\nA0080,I,1982-01-01,2024-03-31\nA0090,I,2024-07-01,\n"


def test_30_september_and_1_october_are_judged_by_different_editions_in_columns(tmp_path: Path):
    load(tmp_path, "a.txt", "00001 A00     0 H   H\n00002 A000    1 C   C\n", "2024-10-01")
    load(tmp_path, "b.txt", "00001 A00     0 H   H\n00002 A000    0 C   C\n00003 A0001   1 C   C\n", "2025-10-01")
    column = pa.array(["A00.0", "a000", "A0001", "A0001", "A00", None, ""])
    on = days("2025-09-30", "2025-10-01", "2025-09-30", "2025-10-01", "2025-10-01", "2025-10-01", "2025-10-01")
    found = codes.open_icd10cm(tmp_path).judge(column, on)
    assert names(found) == ["VALID", "HEADING", "UNKNOWN", "VALID", "HEADING", "EMPTY", "EMPTY"]
    assert [found.name(row) for row in range(4)] == ["2024-10-01", "2025-10-01", "2024-10-01", "2025-10-01"]
    assert found.covers.all()
    assert found.wrong.tolist() == [False, True, True, False, True, False, False]


def test_columns_and_single_codes_get_the_same_verdict():
    book = codes.open_icd10cm()
    some = ["J209", "J20", "M545", "M5450", "X", "E8881", "ZZZZ", "A000"]
    on = [date(2015, 9, 30), date(2021, 9, 30), date(2021, 10, 1), date(2026, 5, 1), date(2030, 1, 1)]
    pairs = [(c, d) for c in some for d in on]
    found = book.judge([c for c, _ in pairs], [d for _, d in pairs])
    for row, (code, day) in enumerate(pairs):
        status, _, covers = book.valid(code, day)
        if Status(int(found.status[row])) is Status.MALFORMED:
            assert not codes.icd10cm.shaped(code)
            continue
        assert codes.icd10cm._TO[status] == found.status[row], (code, day)
        assert status is codes.Status.before_icd10 or covers == found.covers[row]


def test_rows_carry_days_of_their_own_and_one_edition_tells_the_past(tmp_path: Path):
    load(tmp_path, "hcpcs.csv", HCPCS, "2024-07-01")
    column = ["A0080", "A0080", "A0090", "A0090", "A9999", "A0021", "A0021"]
    on = days("2024-03-31", "2024-04-01", "2024-06-30", "2024-07-01", "2024-07-01", "1984-12-31", "2030-01-01")
    found = judging.judge("hcpcs", column, on, tmp_path)
    assert names(found) == ["VALID", "ENDED", "NOT_YET", "VALID", "UNKNOWN", "NOT_YET", "VALID"]
    assert found.covers.tolist() == [True, True, True, True, True, True, False]
    (finding,) = judging.not_covered(found, on)
    assert "1 code of services on 2030-01-01 was judged by" in finding.message
    assert "--set hcpcs" in finding.fix


def test_a_code_that_came_back_has_two_spans(tmp_path: Path):
    text = "code,description,effective_from,effective_to\n10000,W,2000-01-01,2010-12-31\n10000,W,2020-01-01,\n"
    load(tmp_path, "x.csv", text, "2024-01-01", "cpt")
    on = days("2024-12-31", "2024-01-01")
    assert names(judging.judge("cpt", ["10000", "10000"], on, tmp_path)) == ["VALID", "VALID"]
    load(tmp_path, "y.csv", text.replace("2020-01-01,", "2024-06-01,"), "2024-01-01", "cpt")
    assert names(judging.judge("cpt", ["10000", "10000"], on, tmp_path)) == ["VALID", "NOT_YET"]


def test_editions_are_never_mixed(tmp_path: Path):
    """A code of one edition is not found on the days of the other, whatever lies between them."""
    load(tmp_path, "a.csv", "code,description\n10000,W\n", "2023-01-01", "cpt")
    load(tmp_path, "b.csv", "code,description\n20000,W\n", "2025-01-01", "cpt")
    column = ["10000", "20000"] * 4
    on = [date(2023, 6, 1)] * 2 + [date(2024, 2, 1)] * 2 + [date(2024, 11, 1)] * 2 + [date(2025, 6, 1)] * 2
    found = judging.judge("cpt", column, on, tmp_path)
    assert names(found) == ["VALID", "UNKNOWN", "VALID", "UNKNOWN", "UNKNOWN", "VALID", "UNKNOWN", "VALID"]
    assert found.covers.tolist() == [True, True, False, False, False, False, True, True]


def test_without_a_list_the_form_is_checked_and_one_warning_says_what_to_load(tmp_path: Path):
    column = pa.chunked_array([["99213", "9921", "D0120"], ["G0008", "W1234", None, "0001F", "99213"]])
    on = days(*["2024-06-01"] * 8)
    status, covers, found = judging.judge_procedures(column, on, tmp_path)
    assert [Status(s).name for s in status] == [
        "UNCHECKED", "MALFORMED", "UNCHECKED", "UNCHECKED", "MALFORMED", "EMPTY", "UNCHECKED", "UNCHECKED",
    ]  # fmt: skip
    assert not covers.any()
    told = {f.subject: f for f in judging.missing(found.values())}
    assert told.keys() == {"cpt", "cdt", "hcpcs"}
    assert "3 codes were judged by their form alone: no list of CPT is loaded" in told["cpt"].message
    assert told["cdt"].message.startswith("1 code was judged by its form alone: ")
    assert "American Medical Association" in told["cpt"].fix
    assert "LONGULT.txt" in told["cpt"].fix
    assert all(f.severity == "warning" for f in told.values())


def test_with_a_list_the_same_codes_are_judged(tmp_path: Path):
    load(tmp_path, "x.csv", "code,description\n99213,W\n", "2024-01-01", "cpt")
    load(tmp_path, "cdt.csv", "CDT Code,Nomenclature\nD0120,W\n", "2024-01-01")
    status, _, found = judging.judge_procedures(
        ["99213", "99999", "D0120", "D9999"], days(*["2024-06-01"] * 4), tmp_path
    )
    assert [Status(s).name for s in status] == ["VALID", "UNKNOWN", "VALID", "UNKNOWN"]
    assert judging.missing(found.values()) == []


def test_a_partial_list_never_calls_a_code_wrong():
    found = judging.judge("carc", ["45", "9999", "253"], days(*["2024-06-01"] * 3))
    assert names(found)[0] == "VALID"
    assert names(found)[1] == "MALFORMED"
    assert judging.judge("carc", ["301"], days("2024-06-01")).status.tolist() == [Status.UNCHECKED]
    (warning,) = judging.missing([judging.judge("carc", ["301"], days("2024-06-01"))])
    assert "only a partial list" in warning.message


def test_numbers_with_days_of_an_official_list(samples: Path, tmp_path: Path):
    path = samples / "codes" / "carc_rarc" / "adj_codes_numbers_2024-06.csv"
    loading.load([path], tmp_path)
    found = judging.judge(
        "carc", ["15", "15", "304", "304"], days("2018-05-01", "2018-05-02", "2022-02-28", "2022-03-01"), tmp_path
    )
    assert names(found) == ["VALID", "ENDED", "NOT_YET", "VALID"]


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("bill_type", ["0111", "131", "085"], ["11", "ABCD"]),
        ("revenue", ["0450"], ["450"]),
        ("poa", ["Y", "N", "U", "W"], ["X", "YY"]),
        ("place_of_service", ["11", "22"], ["98", "1"]),
        ("modifier", ["25", "XE"], ["2", "ABC"]),
        ("patient_status", ["01"], ["1"]),
        ("cdt", ["D0120"], ["D012"]),
        ("icd10pcs", ["0016070"], ["001607", "00I6070"]),
    ],
)
def test_the_form_of_each_set(name: str, good: list[str], bad: list[str]):
    found = judging.judge(name, good + bad, [date(2024, 6, 1)] * len(good + bad))
    assert not found.wrong[: len(good)].any()
    assert found.wrong[len(good) :].all()


def test_type_of_bill_with_and_without_its_zero(samples: Path, tmp_path: Path):
    loading.load([samples / "codes/cms_bfd/CLM-BILL-FREQ-CD.csv"], tmp_path, effective_from=date(2020, 1, 1))
    found = judging.judge("bill_type", ["0111", "111", "0131", "0001"], [date(2024, 1, 1)] * 4, tmp_path)
    assert names(found) == ["VALID", "VALID", "VALID", "UNKNOWN"]


def test_keys_sort_as_codes_do_and_long_ones_are_nobodys():
    some = ["", "0", "00", "0A", "A", "A00", "A000", "A0001", "ABCDEFGH", "ZZZZZZZZ"]
    keys = editions.key_of(some)
    assert (np.diff(keys.astype(object)) > 0).all()
    assert editions.key_of([None, "ABCDEFGHI", "É", ""]).tolist() == [0, 0, 0, 0]


def test_facility_places_are_those_of_the_official_list(samples: Path, tmp_path: Path):
    loading.load([samples / "codes/pos/pos_codes_2024.csv"], tmp_path, effective_from=date(2024, 1, 1))
    shipped, official = editions.open_set("place_of_service", tmp_path).all
    for found in (shipped, official):
        assert found.table.column("facility").null_count == 0
    read = [dict(zip(e.table.column("code").to_pylist(), e.table.column("facility").to_pylist(), strict=True))
            for e in (shipped, official)]  # fmt: skip
    assert read[0] == read[1]

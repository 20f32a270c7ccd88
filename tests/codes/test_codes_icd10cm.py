"""Editions of ICD-10-CM by day, and the loading of official files."""

from __future__ import annotations

import gzip
from datetime import date
from pathlib import Path

import pytest

from pipeline import codes
from pipeline.codes import Status, build, catalogue, editions, icd10cm
from pipeline.errors import Terminal

#: an order file as it is published: number, code, flag, short and long description
ORDER_2025 = """\
00001 A00     0 Cholera                                                      Cholera
00002 A000    1 Cholera a                                                    Cholera a
00003 A009    1 Cholera unspecified                                          Cholera, unspecified
"""
ORDER_2026 = """\
00001 A00     0 Cholera                                                      Cholera
00002 A000    0 Cholera a                                                    Cholera a
00003 A0001   1 Cholera a one                                                Cholera a one
00004 A009    1 Cholera unspecified                                          Cholera, unspecified
"""


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_30_september_and_1_october_are_judged_by_different_lists(tmp_path: Path):
    codes.load_file(written(tmp_path, "o25.txt", ORDER_2025), tmp_path, date(2024, 10, 1))
    codes.load_file(written(tmp_path, "o26.txt", ORDER_2026), tmp_path, date(2025, 10, 1))
    sets = codes.open_icd10cm(tmp_path)
    assert sets.valid("A000", date(2025, 9, 30)) == (Status.billable, "2024-10-01", True)
    assert sets.valid("A000", date(2025, 10, 1)) == (Status.heading, "2025-10-01", True)
    assert sets.valid("A0001", date(2025, 9, 30)) == (Status.unknown, "2024-10-01", True)
    assert sets.valid("A0001", date(2025, 10, 1)) == (Status.billable, "2025-10-01", True)


def test_an_edition_ends_where_the_next_begins_and_at_the_end_of_its_year(tmp_path: Path):
    codes.load_file(written(tmp_path, "o25.txt", ORDER_2025), tmp_path, date(2024, 10, 1))
    codes.load_file(written(tmp_path, "o26.txt", ORDER_2026), tmp_path, date(2025, 4, 1))
    spans = [(e["effective_from"], e["effective_to"]) for e in codes.loaded(tmp_path, "icd10cm")]
    assert spans == [("2024-10-01", "2025-03-31"), ("2025-04-01", "2025-09-30"), ("2026-04-01", "2026-09-30")]
    # between the two, no list: the nearest one answers and says that it does not cover the day
    assert codes.open_icd10cm(tmp_path).valid("A0001", date(2025, 12, 1)) == (Status.billable, "2025-04-01", False)
    assert codes.open_icd10cm(tmp_path).valid("A0001", date(2026, 3, 1)) == (Status.unknown, "2026-04-01", False)


def test_before_icd10cm_there_was_none():
    assert codes.valid("J20.9", date(2015, 9, 30)).status is Status.before_icd10
    assert codes.valid("J20.9", date(2015, 10, 1)) == (Status.billable, "2026-04-01", False)


@pytest.mark.parametrize(
    ("code", "last", "after"),
    [
        ("M545", date(2021, 9, 30), "M5450"),
        ("N183", date(2020, 9, 30), "N1830"),
        ("E8881", date(2023, 9, 30), "E88810"),
    ],
)
def test_known_changes_correct_the_nearest_list(code: str, last: date, after: str):
    """These codes were split: the old one is a heading since, the new one did not exist before."""
    next_day = last.replace(month=10, day=1)
    assert codes.valid(code, last).status is Status.billable
    assert codes.valid(code, next_day).status is Status.heading
    assert codes.valid(after, last).status is Status.unknown
    assert codes.valid(after, next_day).status is Status.billable


def test_the_shipped_edition_is_the_packages_list():
    made = build.package_codes()
    shipped = codes.open_icd10cm().editions[0]
    assert shipped.billable == {code for code, leaf in made.items() if leaf}
    assert shipped.headings == {code for code, leaf in made.items() if not leaf}
    assert len(shipped.billable) == 74_719
    assert shipped.status("J209") is Status.billable
    assert shipped.status("J20") is Status.heading


def test_an_edition_has_the_same_bytes_each_time(tmp_path: Path):
    span = (date(2024, 10, 1), date(2025, 9, 30), "o")
    first = build.write_compact({"A000": True, "A00": False}, tmp_path, *span).read_bytes()
    assert first == build.write_compact({"A00": False, "A000": True}, tmp_path, *span).read_bytes()
    read = editions.read(tmp_path / "2024-10-01.parquet", catalogue.one("icd10cm"))
    assert (read.table.column("code").to_pylist(), read.table.column("billable").to_pylist()) == (
        ["A00", "A000"], [False, True],
    )  # fmt: skip
    path = written(tmp_path, "o25.txt", ORDER_2025)
    codes.load_file(path, tmp_path / "a", date(2024, 10, 1))
    codes.load_file(path, tmp_path / "b", date(2024, 10, 1))
    kept = [(tmp_path / home / "codes/icd10cm/2024-10-01.arrow").read_bytes() for home in "ab"]
    assert kept[0] == kept[1]


def test_a_codes_file_and_gzip_are_read_too(tmp_path: Path):
    path = tmp_path / "codes.txt.gz"
    path.write_bytes(gzip.compress(b"A000    Cholera a\nA0101X  Typhoid\n"))
    edition = codes.load_file(path, tmp_path, date(2023, 10, 1))
    assert edition.billable == {"A000", "A0101X"}
    assert {"A00", "A01", "A0101"} <= edition.headings


@pytest.mark.parametrize(
    "content", [b"", b"code,description\nA00,x\n", b"\x1f\x8b broken", b"99213 office visit\n", b"\xff\xfe"]
)
def test_anything_else_is_refused_with_a_way_out(content: bytes, tmp_path: Path):
    path = tmp_path / "file.txt"
    path.write_bytes(content)
    with pytest.raises(Terminal) as refused:
        codes.load_file(path, tmp_path, date(2023, 10, 1))
    assert refused.value.fix
    assert not (tmp_path / "codes").exists()


def test_a_broken_loaded_edition_is_named(tmp_path: Path):
    folder = tmp_path / "codes" / "icd10cm"
    folder.mkdir(parents=True)
    (folder / "2023-10-01.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(Terminal, match=r"2023-10-01\.parquet"):
        codes.open_icd10cm(tmp_path)


def test_official_files_load(samples: Path, tmp_path: Path):
    folder = samples / "codes" / "icd10cm"
    older = codes.load_file(folder / "icd10cm-codes-2024.txt.gz", tmp_path, date(2023, 10, 1))
    newer = codes.load_file(folder / "icd10cm_order_list_2026-04.txt.gz", tmp_path, date(2026, 4, 1))
    assert (len(older.billable), older.effective_to) == (74_044, date(2024, 9, 30))
    assert newer.billable == codes.open_icd10cm().editions[0].billable
    sets = codes.open_icd10cm(tmp_path)
    # obesity by class came on 1 October 2024
    assert sets.valid("E66813", date(2024, 9, 30)) == (Status.unknown, "2023-10-01", True)
    assert sets.valid("E66813", date(2026, 5, 1)) == (Status.billable, "2026-04-01", True)


def test_our_list_of_changes_agrees_with_an_official_list(samples: Path, tmp_path: Path):
    """Each change that falls before or after the official list of the year 2024 is as that list says."""
    codes.load_file(samples / "codes" / "icd10cm" / "icd10cm-codes-2024.txt.gz", tmp_path, date(2023, 10, 1))
    official = codes.open_icd10cm(tmp_path).editions[0]
    day = date(2023, 10, 1)
    changes = icd10cm._changes()
    assert len(changes) > 50
    for code, spans in changes.items():
        ours = any(span.start <= day <= span.end for span in spans)
        assert ours == (code in official.billable), code

"""'Excel saved it again, and the night said: a defect.' Line ends, encodings, blank lines, wide decimals, and what was cut."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from encounters.extracts import Extract
from encounters.test_encounters_layout import read

from pipeline.encounters.intake import RULES
from pipeline.errors import Terminal


@pytest.fixture
def extract() -> Extract:
    made = Extract()
    for number in (1, 2, 3):
        made.visit(number)
    return made


@pytest.fixture
def folder(extract: Extract, tmp_path: Path) -> Path:
    return extract.write(tmp_path / "extract")


def rewrite(folder: Path, old: bytes, new: bytes) -> None:
    for path in folder.glob("*.csv"):
        path.write_bytes(path.read_bytes().replace(old, new))


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"], ids=["LF", "CRLF", "CR"])
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"], ids=["", "BOM"])
def test_line_ends_of_any_system_are_line_ends(folder: Path, end: bytes, bom: bytes) -> None:
    kept = read(folder)
    rewrite(folder, b"\n", end)
    for path in folder.glob("*.csv"):
        path.write_bytes(bom + path.read_bytes())
    taken = read(folder)
    assert taken.encounters.equals(kept.encounters)
    assert taken.lines.equals(kept.lines)
    assert (taken.set_aside, taken.findings) == ([], [])


@pytest.mark.parametrize("blank", ["", "   ", "\t", ",,"], ids=["empty", "blanks", "tab", "commas"])
def test_blank_lines_are_no_rows_and_rows_keep_their_numbers(extract: Extract, tmp_path: Path, blank: str) -> None:
    extract.encounters[2]["service_from"] = "2026-02-30"
    folder = extract.write(tmp_path / "extract")
    for name in ("encounters", "diagnoses", "services"):
        lines = (folder / f"{name}.csv").read_text().splitlines()
        blank = "," * lines[0].count(",") if blank.startswith(",") else blank
        (folder / f"{name}.csv").write_text(
            "\n".join([lines[0], blank, lines[1], blank, *lines[2:], blank, blank]) + "\n"
        )
    taken = read(folder)
    assert taken.rows_read == 3
    assert taken.encounters["source_row"].to_pylist() == [2, 4]
    [finding] = taken.findings
    assert (finding.rule, finding.source) == ("intake.date.illegible", "encounters.csv row 5 column service_from")


@pytest.mark.parametrize(("mark", "called"), [(b";", "semicolons"), (b"\t", "tabs"), (b"|", "bars")])
def test_other_marks_between_cells_are_named(folder: Path, mark: bytes, called: str) -> None:
    rewrite(folder, b",", mark)
    with pytest.raises(Terminal, match=rf"The cells of encounters\.csv are separated by {called}, not by commas"):
        read(folder)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_is_named_and_the_way_out_told(folder: Path, encoding: str) -> None:
    path = folder / "encounters.csv"
    path.write_bytes(path.read_text().encode(encoding))
    with pytest.raises(Terminal, match=r"encounters\.csv is written in UTF-16, not in UTF-8\. Save it as “CSV UTF-8”"):
        read(folder, "csv")


NO_MANIFEST = {
    "brackets in brackets": "[" * 100_000,
    "objects in objects": '{"a":' * 100_000,
    "a number without end": '{"layout": ' + "9" * 5_000 + "}",
    "not UTF-8": b"\xff\xfe{}",
    "nothing": "",
}


@pytest.mark.parametrize("text", NO_MANIFEST.values(), ids=NO_MANIFEST.keys())
def test_a_manifest_that_cannot_be_read_is_refused(folder: Path, text: str | bytes) -> None:
    (folder / "manifest.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(Terminal, match=r"manifest\.json is not JSON"):
        read(folder)


@pytest.mark.parametrize("kind", [pa.decimal128(38, 10), pa.decimal128(18, 4), pa.decimal256(50, 20)], ids=str)
def test_decimals_as_wide_as_a_database_makes_them(extract: Extract, tmp_path: Path, kind: pa.DataType) -> None:
    plain = read(extract.write_parquet(tmp_path / "text"))
    wide = read(extract.write_parquet(tmp_path / "wide", {"charge": kind, "units": kind}))
    assert (wide.set_aside, wide.findings) == ([], [])
    assert wide.encounters.equals(plain.encounters)
    assert wide.lines.equals(plain.lines)


def test_a_third_decimal_is_still_no_amount(extract: Extract, tmp_path: Path) -> None:
    extract.encounters[0]["charge"] = "194.005"
    extract.totals["encounters.charge"] = "582.00"
    taken = read(extract.write_parquet(tmp_path, {"charge": pa.decimal128(38, 10)}))
    assert [(s.encounter_key, s.reason) for s in taken.set_aside] == [("P01:V1", "intake.amount.illegible")]


def test_a_parquet_file_with_a_column_twice_is_refused(folder: Path, extract: Extract, tmp_path: Path) -> None:
    place = extract.write_parquet(tmp_path / "twice")
    table = pq.read_table(place / "encounters.parquet")
    pq.write_table(table.append_column("charge", table.column("charge")), place / "encounters.parquet")
    with pytest.raises(Terminal, match="has the column charge twice"):
        read(place)


@pytest.mark.parametrize(
    "column", ["service_from", "patient_birth_date", "accident_date", "onset_date", "admission_date"]
)
@pytest.mark.parametrize("day", ["2100-01-01", "2150-06-30", "9999-12-31"])
def test_a_day_after_2099_is_a_slip_of_the_keyboard(extract: Extract, tmp_path: Path, column: str, day: str) -> None:
    extract.encounters[1][column] = day
    taken = read(extract.write(tmp_path))
    assert [(s.encounter_key, s.reason) for s in taken.set_aside] == [("P01:V2", "intake.date.illegible")]
    assert taken.encounters.num_rows == 2


@pytest.mark.parametrize("text", ["NaN", "1E5", "-0", "9" * 19, "9" * 5_000, "²", "1_0", "+5", "0x1"])
def test_fault_22_absurd_amounts_set_their_visit_aside(extract: Extract, tmp_path: Path, text: str) -> None:
    extract.encounters[1]["charge"] = text
    extract.totals["encounters.charge"] = "582.00"
    taken = read(extract.write(tmp_path))
    assert [s.encounter_key for s in taken.set_aside] == ["P01:V2"]
    assert taken.encounters.num_rows == 2
    if len(text) > 3:
        assert text not in json.dumps([f.as_dict() for f in taken.findings])


def test_what_cannot_be_compared_with_the_manifest_is_told_to_the_cent(extract: Extract, tmp_path: Path) -> None:
    """A2: the manifest's total and the night's differ by what cannot be read, and the line says by how much."""
    extract.encounters[1]["charge"] = "1E5"
    extract.totals["encounters.charge"] = "582.00"
    taken = read(extract.write(tmp_path))
    [told] = [f for f in taken.findings if f.rule == "intake.total.unproved"]
    assert told.message.endswith(
        "The manifest says 582.00, the legible amounts make 388.00: 194.00 stand in 1 cell that cannot be read."
    )
    assert taken.charge_cents == 38_800


def test_a_file_without_its_last_line_end_may_have_been_cut(folder: Path) -> None:
    """The last diagnosis was I10 and is I1 now: rows and charges agree all the same."""
    path = folder / "diagnoses.csv"
    path.write_bytes(path.read_bytes().rstrip(b"\n,0"))
    [told] = [f for f in read(folder).findings if f.rule == "intake.file.end"]
    assert (told.severity, told.file) == ("warning", "diagnoses.csv")
    assert told.fix == RULES["intake.file.end"][1]

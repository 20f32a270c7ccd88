"""Export: one file a table over all inputs, whole or not at all."""

from __future__ import annotations

import csv
import json
import os
import threading
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from benchmarks import x12_material
from transactions.x12_text import interchange, professional, remittance

from pipeline import shapes
from pipeline.errors import Terminal
from pipeline.transactions import bulk, read
from pipeline.transactions.bulk import export


@pytest.fixture
def era(tmp_path: Path) -> Path:
    path = tmp_path / "era.835"
    path.write_bytes(remittance())
    return path


def test_parquet_holds_the_tables_that_read_gives(era: Path, tmp_path: Path) -> None:
    result = export([era], tmp_path / "out")
    expected = read(era.read_bytes(), file="era.835").tables
    names = {"payments", "claims", "service_lines", "adjustments", "provider_adjustments", "interchanges"}
    assert {p.name for p in (tmp_path / "out").iterdir()} == {f"{n}.parquet" for n in names}
    for name, path in result.tables.items():
        table = pq.read_table(path)
        assert shapes.check(table, name).equals(expected[name]), name
        assert result.rows[name] == table.num_rows
    assert (result.files, result.bytes, result.findings) == (1, era.stat().st_size, [])


def test_csv_holds_the_same_with_amounts_as_written(era: Path, tmp_path: Path) -> None:
    export([era], tmp_path / "out", "csv")
    with (tmp_path / "out" / "claims.csv").open(encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert [(r["file"], r["claim_id"], r["charge"], r["statement_from"]) for r in rows] == [
        ("era.835", "ACC1", "200.00", "2025-11-01"),
        ("era.835", "ACC2", "-30.55", ""),
    ]


def test_json_is_one_array_with_exact_amounts(era: Path, tmp_path: Path) -> None:
    export([era], tmp_path / "out", "json")
    rows = json.loads((tmp_path / "out" / "claims.json").read_text(encoding="utf-8"))
    assert [(r["claim_id"], r["charge"], r["statement_from"]) for r in rows] == [
        ("ACC1", "200.00", "2025-11-01"),
        ("ACC2", "-30.55", None),
    ]
    assert json.loads((tmp_path / "out" / "payments.json").read_text())[0]["amount"] == "170.00"


def test_json_of_an_empty_table_is_an_empty_array(tmp_path: Path) -> None:
    source = tmp_path / "a.835"
    source.write_bytes(interchange("BPR*H*0*C*NON************20260105~LX*1~", kind="835", version="005010X221A1"))
    export([source], tmp_path / "out", "json")
    assert json.loads((tmp_path / "out" / "claims.json").read_text()) == []


def test_text_that_looks_like_a_formula_is_text_in_csv_and_untouched_in_parquet(tmp_path: Path) -> None:
    source = tmp_path / "a.835"
    source.write_bytes(remittance().replace(b"NM1*QC*1*DOE*JANE*Q", b'NM1*QC*1*=HYPERLINK("X")*-JANE*@Q'))
    export([source], tmp_path / "out", "csv")
    with (tmp_path / "out" / "claims.csv").open(encoding="utf-8", newline="") as handle:
        first = next(csv.DictReader(handle))
    assert (first["patient_last"], first["patient_first"], first["patient_middle"]) == (
        '\'=HYPERLINK("X")',
        "'-JANE",
        "'@Q",
    )
    with (tmp_path / "out" / "claims.csv").open(encoding="utf-8", newline="") as handle:
        assert [r["charge"] for r in csv.DictReader(handle)][1] == "-30.55"
    export([source], tmp_path / "out")
    assert pq.read_table(tmp_path / "out" / "claims.parquet")["patient_last"].to_pylist()[0] == '=HYPERLINK("X")'


def test_many_files_share_tables_and_rows_name_their_file(tmp_path: Path) -> None:
    sources = []
    for n in range(30):
        path = tmp_path / f"{n:02d}.835"
        path.write_bytes(remittance(delimiters=("*^:~", "|!>\n")[n % 2], control=n + 1))  # type: ignore[arg-type]
        sources.append(path)
    result = export(sources, tmp_path / "out")
    claims = pq.read_table(tmp_path / "out" / "claims.parquet").to_pylist()
    assert [(r["file"], r["claim_id"]) for r in claims] == [
        (f"{n:02d}.835", c) for n in range(30) for c in ("ACC1", "ACC2")
    ]
    assert result.rows["835.payments"] == 30
    assert result.findings == []


def test_kinds_that_share_a_name_carry_their_kind(era: Path, tmp_path: Path) -> None:
    other = tmp_path / "c.837"
    other.write_bytes(professional())
    export([era, other], tmp_path / "out", "csv")
    names = {p.name for p in (tmp_path / "out").iterdir()}
    assert {"835.claims.csv", "837.claims.csv", "835.payments.csv", "837.parties.csv", "interchanges.csv"} <= names
    assert "claims.csv" not in names


def test_inputs_of_one_name_are_told_apart_by_their_path(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "era.835").write_bytes(remittance())
    export([tmp_path / "a" / "era.835", tmp_path / "b" / "era.835"], tmp_path / "out")
    files = set(pq.read_table(tmp_path / "out" / "payments.parquet")["file"].to_pylist())
    assert files == {str(tmp_path / "a" / "era.835"), str(tmp_path / "b" / "era.835")}


def test_a_damaged_file_gives_findings_and_its_neighbours_go_on(era: Path, tmp_path: Path) -> None:
    poison = tmp_path / "poison.835"
    poison.write_bytes(remittance()[:-200])
    nothing = tmp_path / "nothing.835"
    nothing.write_bytes(b"\x00\xff not a claim")
    last = tmp_path / "last.835"
    last.write_bytes(remittance(control=9))  # type: ignore[arg-type]
    result = export([era, poison, nothing, last], tmp_path / "out")
    assert {f.file for f in result.findings} == {"poison.835", "nothing.835"}
    payments = pq.read_table(tmp_path / "out" / "payments.parquet")["file"].to_pylist()
    assert payments == ["era.835", "poison.835", "last.835"]


def test_a_missing_input_or_a_wrong_format_is_terminal_and_writes_nothing(era: Path, tmp_path: Path) -> None:
    with pytest.raises(Terminal, match="cannot begin"):
        export([era, tmp_path / "absent.835"], tmp_path / "out")
    with pytest.raises(Terminal, match="no export format"):
        export([era], tmp_path / "out", "xml")  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()


def test_a_write_that_fails_leaves_no_file_under_a_name(
    era: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(bulk._Parquet):
        def write(self, table: pa.Table) -> None:
            raise OSError(28, "No space left on device", "/out")

    monkeypatch.setitem(bulk._WRITERS, "parquet", Full)
    with pytest.raises(Terminal, match="No space left"):
        export([era], tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_the_same_input_gives_the_same_bytes(era: Path, tmp_path: Path) -> None:
    for fmt in ("parquet", "csv", "json"):
        export([era], tmp_path / "one", fmt)  # type: ignore[arg-type]
        export([era], tmp_path / "two", fmt)  # type: ignore[arg-type]
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_large_inputs_come_in_row_groups_and_progress_is_told(tmp_path: Path) -> None:
    source = tmp_path / "big.835"
    source.write_bytes(x12_material.remittance(9_000, seed=7))
    told: list[tuple[str, int, int]] = []
    result = export([source], tmp_path / "out", progress=lambda *step: told.append(step))
    size = source.stat().st_size
    assert told[-1] == ("big.835", size, size)
    assert len(told) > 1
    claims = pq.read_table(result.tables["835.claims"])
    assert claims["claim_number"].to_pylist() == list(range(1, 9_001))
    paid = sum(claims["paid"].to_pylist(), Decimal(0))
    lines = pq.read_table(result.tables["835.service_lines"])
    assert sum(lines["paid"].to_pylist(), Decimal(0)) == paid
    assert result.findings == []


def test_a_pipe_is_read_as_fast_as_it_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says that it holds no bytes; so does a file say too few that is still being written."""
    data = x12_material.remittance(100)
    reads = []
    plain = os.read

    def counted(handle: int, most: int) -> bytes:
        reads.append(most)
        return plain(handle, most)

    monkeypatch.setattr(os, "read", counted)
    path = tmp_path / "pipe.835"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(data,))
    writer.start()
    result = export([path], tmp_path / "out")
    writer.join()
    assert result.findings == []
    assert result.rows["835.claims"] == 100
    assert len(reads) < 3 + len(data) / 1000


@pytest.mark.parametrize("fmt", ["csv", "json"])
def test_a_disk_that_is_full_to_the_end_leaves_no_working_file(
    fmt: bulk.Format, era: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = bulk._WRITERS[fmt]
    whole = writer.close

    def write(_self: object, _table: pa.Table) -> None:
        raise OSError(28, "Error writing bytes to file. Detail: [errno 28] No space left on device")

    def close(self: bulk._Writer) -> None:
        whole(self)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writer, "write", write)
    monkeypatch.setattr(writer, "close", close)
    with pytest.raises(Terminal, match=r"The export stopped: No space left on device: .*out\."):
        export([era], tmp_path / "out", fmt)
    assert list((tmp_path / "out").iterdir()) == []


def test_tables_of_a_row_do_not_pile_up_until_their_group_is_full(tmp_path: Path) -> None:
    """Thousands of them, one a piece, took ten megabytes a gigabyte, and stood between what came and went."""
    sink = bulk._TableFiles(tmp_path, "parquet", 1 << 16, 1)
    most = 0
    for n in range(1000):
        row = {"file": "f", "set_number": n + 1, "segment": 3, "trace": f"T{n}"}
        sink.add("835.payments", shapes.from_rows("835.payments", [row]))
        most = max(most, len(sink._parts["835.payments"]))
    files, rows = sink.close()
    assert most < 100
    assert rows == {"835.payments": 1000}
    assert pq.read_table(files["835.payments"])["trace"].to_pylist() == [f"T{n}" for n in range(1000)]

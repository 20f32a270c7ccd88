from __future__ import annotations

from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from claims import samples
from claims.oracle import pyx12_errors
from cli.commands import claimpipe
from night.test_night_three_guides import mixed

from pipeline.claims import offline
from pipeline.coding import stage as coding
from pipeline.encounters import stage as intake
from pipeline.errors import Terminal
from pipeline.settings import load
from pipeline.store import open_store
from pipeline.x12 import validator

ON = date(2024, 3, 2)
NIGHT = date(2026, 11, 20)
NAMES = ("coded_claims", "coded_diagnoses", "coded_lines")


def test_parquet_in_files_out(tmp_path: Path) -> None:
    ours, others = samples.make(60, payer_key="meridian"), samples.make(5, payer_key="harbor", prefix="H")
    for name, table, other in zip(NAMES, ours, others, strict=True):
        pq.write_table(pa.concat_tables([table, other]), tmp_path / f"{name}.parquet")
    settings = load(home=tmp_path / "home")
    made = offline.build(tmp_path, "meridian", tmp_path / "out", settings, ON)
    (path,) = (tmp_path / "out").iterdir()
    assert path.name == "meridian_000000001.837"
    assert path.read_bytes() == made.files[0].data
    assert pyx12_errors(path.read_bytes()) == []
    assert path.read_bytes().count(b"~CLM*") == 60
    assert (made.findings, made.faults) == ([], [])
    offline.build(tmp_path, "meridian", tmp_path / "again", settings, ON)
    assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes()
    assert not (tmp_path / "home").exists()


def test_a_warning_names_the_claim_and_its_row_in_the_extract(tmp_path: Path) -> None:
    """A ZIP code of five digits is tolerated: at the billing provider it is said of the first claim below, at a facility of its own."""
    claims, diagnoses, lines = samples.make(12, payer_key="meridian")
    at = claims.schema.get_field_index("billing_zip")
    claims = claims.set_column(at, claims.schema.field(at), pa.array(["01103"] * 12))
    for name, table in zip(NAMES, (claims, diagnoses, lines), strict=True):
        pq.write_table(table, tmp_path / f"{name}.parquet")
    made = offline.build(tmp_path, "meridian", tmp_path / "out", load(home=tmp_path / "home"), ON)
    (file,) = made.files
    segments = [s.decode().split("*") for s in file.data.split(b"~")]
    below = [next(s[1] for s in segments[f.segment or 0 :] if s[0] == "CLM") for f in made.findings]
    rows = {c["claim_id"]: f"{c['source_file']} row {c['source_row']}" for c in claims.to_pylist()}
    assert {f.rule for f in made.findings} == {"837P.billing-zip"}
    assert [(f.severity, f.subject, f.source) for f in made.findings] == [("warning", c, rows[c]) for c in below]
    assert len(file.claim_ids) == 12


def test_claims_of_three_kinds_from_a_lake(tmp_path: Path) -> None:
    """What coding left in the lake: a file a guide, all of them sound."""
    settings = load(home=tmp_path / "home")
    store = open_store(settings)
    intake.run(store, NIGHT, mixed().write(tmp_path / "extract"))
    coding.run(store, NIGHT)
    store.close()
    made = offline.build(tmp_path / "home" / "lake", "harbor", tmp_path / "out", settings, NIGHT)
    assert sorted(file.guide for file in made.files) == ["005010X222A1", "005010X223A2", "005010X224A2"]
    assert (made.findings, made.faults) == ([], [])
    for file in made.files:
        data = (tmp_path / "out" / offline.file_name("harbor", file)).read_bytes()
        assert data == file.data
        assert [f for f in validator.validate(data) if f.severity == "error"] == []
        if file.guide != "005010X224A2":
            assert pyx12_errors(data) == []


def test_a_claim_that_stands_there_twice_is_refused(tmp_path: Path) -> None:
    settings = load(home=tmp_path / "home")
    for name, table in zip(NAMES, samples.make(3, payer_key="meridian"), strict=True):
        pq.write_table(pa.concat_tables([table, table]), tmp_path / f"{name}.parquet")
    with pytest.raises(Terminal, match=r"coded_claims in .* holds 3 claims twice"):
        offline.build(tmp_path, "meridian", tmp_path / "out", settings, ON)
    assert not (tmp_path / "out").exists()


def test_the_file_of_claims_stands_for_its_folder(tmp_path: Path) -> None:
    settings = load(home=tmp_path / "home")
    for name, table in zip(NAMES, samples.make(3, payer_key="meridian"), strict=True):
        pq.write_table(table, tmp_path / f"{name}.parquet")
    made = offline.build(tmp_path / "coded_claims.parquet", "meridian", tmp_path / "out", settings, ON)
    assert [len(file.claim_ids) for file in made.files] == [3]
    with pytest.raises(Terminal, match="not a table of claims by its name"):
        offline.build(tmp_path / "coded_lines.parquet", "meridian", tmp_path / "out", settings, ON)
    (tmp_path / "coded_lines.parquet").unlink()
    with pytest.raises(Terminal, match="has no table coded_lines"):
        offline.build(tmp_path, "meridian", tmp_path / "out", settings, ON)


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    settings = load(home=tmp_path / "home")
    with pytest.raises(Terminal, match="no payer profile nobody"):
        offline.build(tmp_path, "nobody", tmp_path / "out", settings, ON)
    with pytest.raises(Terminal, match="no table coded_claims"):
        offline.build(tmp_path, "meridian", tmp_path / "out", settings, ON)
    pq.write_table(samples.make(2)[0].drop_columns(["charge"]), tmp_path / "coded_claims.parquet")
    with pytest.raises(Terminal, match=r"coded_claims does not fit its shape: missing \['charge'\]"):
        offline.build(tmp_path, "meridian", tmp_path / "out", settings, ON)
    (tmp_path / "coded_claims.parquet").write_bytes(b"no parquet")
    with pytest.raises(Terminal, match="not Parquet"):
        offline.build(tmp_path, "meridian", tmp_path / "out", settings, ON)


def test_what_is_left_out_is_named_by_claim_and_cell(tmp_path: Path) -> None:
    claims, diagnoses, lines = samples.make(3, payer_key="meridian")
    names = claims.column("patient_last").to_pylist()
    spoilt = claims.set_column(
        claims.column_names.index("patient_last"), "patient_last", pa.array([names[0], "A*B", names[2]])
    )
    for name, table in zip(NAMES, (spoilt, diagnoses, lines), strict=True):
        pq.write_table(table, tmp_path / f"{name}.parquet")
    ran = claimpipe(
        "build", "--claims", tmp_path, "--profile", "meridian", "--out", tmp_path / "out", "--date", ON.isoformat()
    )
    told = " ".join(ran.out.split())
    assert ran.code == 1
    assert f"claim {claims.column('claim_id')[1].as_py()}, " in told
    assert "column patient_last: patient_last (2010BA NM103) holds a character" in told
    assert "A*B" not in told
    assert ": 2 claims, " in told

from __future__ import annotations

from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from claims import samples
from claims.oracle import pyx12_errors

from pipeline.claims import offline
from pipeline.errors import Terminal
from pipeline.settings import load

ON = date(2024, 3, 2)
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

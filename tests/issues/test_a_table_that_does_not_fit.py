"""Who builds from a table of their own was told `1 nulls, none allowed.` and `missing [], not known ['zz']`: neither the file, nor the
row, nor what to do."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from claims import samples

from pipeline.claims import offline
from pipeline.errors import Terminal
from pipeline.settings import load


def without(column: str, *rows: int) -> Callable[[pa.Table], pa.Table]:
    def change(table: pa.Table) -> pa.Table:
        values = [None if n in rows else v for n, v in enumerate(table.column(column).to_pylist())]
        at = table.column_names.index(column)
        return table.set_column(at, column, pa.array(values, table.schema.field(at).type))

    return change


def one_more(table: pa.Table) -> pa.Table:
    return table.append_column("price", pa.nulls(table.num_rows, pa.string()))


def floats(table: pa.Table) -> pa.Table:
    at = table.column_names.index("charge")
    return table.set_column(at, "charge", pa.array([float("nan")] * table.num_rows))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (without("claim_id", 2), "Table coded_lines, column claim_id: empty in row 3, and it may not be."),
        (without("claim_id", 1, 3), "Table coded_lines, column claim_id: empty in 2 rows (the first is row 2), and it may not be."),
        (one_more, "Table coded_lines does not fit its shape: not known ['price']."),
        (floats, "Table coded_lines, column charge: type double, the shape asks decimal128(18, 2)."),
    ],
)  # fmt: skip
def test_the_file_the_row_and_the_way_out_are_said(
    change: Callable[[pa.Table], pa.Table], said: str, tmp_path: Path
) -> None:
    claims, diagnoses, lines = samples.make(6, payer_key="meridian")
    folder = tmp_path / "coded_lines"
    folder.mkdir()
    pq.write_table(lines, folder / "good.parquet")
    pq.write_table(change(lines), folder / "late.parquet")
    for name, table in (("coded_claims", claims), ("coded_diagnoses", diagnoses)):
        pq.write_table(table, tmp_path / f"{name}.parquet")
    with pytest.raises(Terminal) as raised:
        offline.build(tmp_path, "meridian", tmp_path / "out", load(home=tmp_path / "home"), date(2024, 4, 1))
    assert raised.value.message == f"{said} The file is {folder / 'late.parquet'}."
    assert raised.value.fix == "Write it again with the columns and kinds that schemas/tables/coded_lines.toml states."

"""Make the shipped ICD-10-CM edition from the package simple-icd-10-cm (MIT): numbers and levels, no descriptions.

Run by hand when the package brings a newer list: `python -m pipeline.codes.build`.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import shapes
from pipeline.codes.icd10cm import shaped


def package_codes() -> dict[str, bool]:
    """The package's list of April 2026: code → may it stand on a claim?"""
    import simple_icd_10_cm as package  # takes two seconds: only here

    return {code: bool(package.is_leaf(code)) for code in package.get_all_codes(False) if shaped(code)}


def write_compact(
    codes: Mapping[str, bool], folder: Path, effective_from: date, effective_to: date, origin: str
) -> Path:
    """The list as a small Parquet file, the same bytes for the same list: code, billable, and what it is in the metadata."""
    about = {
        "name": effective_from.isoformat(),
        "effective_from": effective_from.isoformat(),
        "effective_to": effective_to.isoformat(),
        "origin": origin,
    }
    schema = pa.schema(
        [pa.field("code", pa.string(), nullable=False), pa.field("billable", pa.bool_(), nullable=False)],
        metadata={b"claimpipe": json.dumps(about, sort_keys=True).encode()},
    )
    ordered = sorted(codes)
    table = pa.table([pa.array(ordered), pa.array([codes[c] for c in ordered])], schema=schema)
    buffer = io.BytesIO()
    pq.write_table(
        table, buffer, compression="zstd", compression_level=19, use_dictionary=False,
        column_encoding={"code": "DELTA_BYTE_ARRAY", "billable": "PLAIN"},
    )  # fmt: skip
    path = folder / f"{effective_from.isoformat()}.parquet"
    path.write_bytes(buffer.getvalue())
    return path


if __name__ == "__main__":
    print(
        write_compact(
            package_codes(), shapes.schemas_dir() / "codes" / "icd10cm", date(2026, 4, 1), date(2026, 9, 30),
            "simple-icd-10-cm 1.5.0: list of 1 April 2026",
        )
    )  # fmt: skip

"""Extracts in the own layout for tests: a few visits as rows of texts, written as CSV or Parquet with their manifest."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

Row = dict[str, str]


def _amount(text: str) -> Decimal:
    return Decimal(text) if re.fullmatch(r"[0-9]{1,10}(\.[0-9]{0,2})?", text) else Decimal(0)


@dataclass
class Extract:
    """`totals` overrides control totals: {"encounters.rows": 3}."""

    encounters: list[Row] = field(default_factory=list)
    diagnoses: list[Row] = field(default_factory=list)
    services: list[Row] = field(default_factory=list)
    further: dict[str, list[Row]] = field(default_factory=dict)
    totals: dict[str, Any] = field(default_factory=dict)

    def visit(self, number: int, **cells: str) -> Row:
        """Add a sound visit with two diagnoses and two services; returns its row, to be spoilt."""
        key = {"practice_id": "P01", "encounter_id": f"V{number}"}
        row = key | {
            "service_from": "2026-11-10", "service_to": "2026-11-10", "charge": "194.00",
            "billing_name": "Northgate", "billing_npi": "2875355242", "billing_tin": "006056727",
            "patient_last": f"Last{number}", "patient_first": "Imogen", "patient_birth_date": "1977-09-02",
            "patient_sex": "F", "payer": "Medicare", "member_id": "1EG4TE5MK73", "minutes": "25",
        } | cells  # fmt: skip
        self.encounters.append(row)
        self.diagnoses += [
            key | {"rank": "1", "system": "ICD10CM", "code": "J020", "text": "strep throat"},
            key | {"rank": "2", "system": "ICD10CM", "code": "I10", "text": ""},
        ]
        self.services += [
            key | {"line": "1", "kind": "visit", "system": "HCPCS", "code": "99213", "units": "1", "charge": "156.00",
                   "service_date": "", "pointers": "1,2"},
            key | {"line": "2", "kind": "procedure", "system": "HCPCS", "code": "87880", "units": "1", "charge": "38.00",
                   "service_date": "2026-11-10", "pointers": "1"},
        ]  # fmt: skip
        return row

    @property
    def tables(self) -> dict[str, list[Row]]:
        return {
            "encounters": self.encounters,
            "diagnoses": self.diagnoses,
            "services": self.services,
            **self.further,
        }

    def add(self, table: str, number: int, **cells: str) -> Row:
        """A row of a further table (`parties`, `other_payers` …) of the visit with that number."""
        row = {"practice_id": "P01", "encounter_id": f"V{number}"} | cells
        self.further.setdefault(table, []).append(row)
        return row

    def manifest(self) -> dict[str, Any]:
        tables: dict[str, dict[str, Any]] = {}
        for name, rows in self.tables.items():
            tables[name] = {"rows": len(rows)}
            if name in ("encounters", "services"):
                tables[name]["charge"] = str(sum((_amount(row["charge"]) for row in rows), Decimal(0)))
        for place, value in self.totals.items():
            table, total = place.split(".")
            tables[table][total] = value
        return {"layout": "claimpipe-extract", "version": 1, "synthetic": True, "tables": tables}

    def write(self, folder: Path) -> Path:
        """As CSV."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, rows in self.tables.items():
            text = io.StringIO()
            columns = list(dict.fromkeys(column for row in rows for column in row)) or ["practice_id"]
            writer = csv.DictWriter(text, columns, lineterminator="\n", restval="")
            writer.writeheader()
            writer.writerows(rows)
            (folder / f"{name}.csv").write_bytes(text.getvalue().encode())
        (folder / "manifest.json").write_text(json.dumps(self.manifest()))
        return folder

    def write_parquet(self, folder: Path, types: dict[str, pa.DataType] | None = None) -> Path:
        """As Parquet, the columns in `types` typed (empty cells null), all others text."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, rows in self.tables.items():
            columns = list(dict.fromkeys(column for row in rows for column in row))
            arrays = []
            for column in columns:
                texts = pa.array([row.get(column, "") or None for row in rows], type=pa.string())
                arrays.append(texts.cast((types or {}).get(column, pa.string())))
            pq.write_table(pa.Table.from_arrays(arrays, names=columns), folder / f"{name}.parquet")
        (folder / "manifest.json").write_text(json.dumps(self.manifest()))
        return folder

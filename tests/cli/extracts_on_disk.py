"""A small extract made by `claimpipe sample`, with a canary for every patient's name, and ways to break copies of it."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path

from pipeline import sample

ON = date(2026, 11, 20)
CANARY = "ZZCANARY"


def make(folder: Path, visits: int = 30) -> Path:
    """The extract, each patient and subscriber called after the canary."""
    sample.make(visits=visits, seed=5, out=folder, on=ON)
    path = folder / "encounters.csv"
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        for column in ("patient_last", "subscriber_last"):
            if row[column]:
                row[column] = f"{CANARY}{row[column]}"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return folder


def copy(good: Path, to: Path, damage: Callable[[Path], None]) -> Path:
    shutil.copytree(good, to)
    damage(to)
    return to


def without_column(folder: Path) -> None:
    """The header names another column: the real one is missing."""
    path = folder / "encounters.csv"
    path.write_text(path.read_text(encoding="utf-8").replace("billing_npi", "billing_nip", 1), encoding="utf-8")


def without_rows(folder: Path) -> None:
    """Headers and control totals that agree: nothing was lost on the way, there is nothing."""
    for path in folder.glob("*.csv"):
        path.write_text(path.read_text(encoding="utf-8").splitlines(keepends=True)[0], encoding="utf-8")
    _totals(folder, lambda _name, _value: 0)


def without_bytes(folder: Path) -> None:
    (folder / "encounters.csv").write_bytes(b"")


def without_file(folder: Path) -> None:
    (folder / "services.csv").unlink()


def lost_row(folder: Path) -> None:
    path = folder / "encounters.csv"
    path.write_text("".join(path.read_text(encoding="utf-8").splitlines(keepends=True)[:-1]), encoding="utf-8")


def other_charges(folder: Path) -> None:
    _totals(folder, lambda name, value: "99999.99" if name == "charge" else value)


def no_manifest_json(folder: Path) -> None:
    (folder / "manifest.json").write_text("{", encoding="utf-8")


def no_extract(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()
    (folder / "notes.txt").write_text("nothing of use", encoding="utf-8")


def _totals(folder: Path, change: Callable[[str, object], object]) -> None:
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    for total in manifest["tables"].values():
        for name in total:
            value = change(name, total[name])
            total[name] = "0.00" if name == "charge" and value == 0 else value
    path.write_text(json.dumps(manifest), encoding="utf-8")

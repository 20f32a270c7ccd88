"""A file dropped into `files/` with its expected result is a test.

`NAME.findings.jsonl` beside `NAME` holds what `claimpipe validate --json` must print of it (`NAME.lenient.jsonl`: with `--mode
lenient`), one finding a line; only the keys that a line gives are compared, and all findings must be listed. `NAME.TABLE.csv`
holds rows of a table that is read from it, in their order; only the columns that it has are compared, an empty field is none.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.transactions import read
from pipeline.x12.validator import Mode, validate

FOLDER = Path(__file__).with_name("files")
MODES: dict[str, Mode] = {".findings.jsonl": "strict", ".lenient.jsonl": "lenient"}


def _cases(*suffixes: str) -> list[tuple[Path, Path]]:
    """(the file, its expected result)."""
    found = []
    for expected in sorted(FOLDER.iterdir()):
        for suffix in suffixes:
            if expected.name.endswith(suffix):
                name = expected.name.removesuffix(suffix)
                found.append((FOLDER / (name if suffix != ".csv" else name.partition(".edi.")[0] + ".edi"), expected))
    return found


@pytest.mark.parametrize(("file", "expected"), _cases(*MODES), ids=lambda path: path.name)
def test_the_findings_are_those_expected(file: Path, expected: Path) -> None:
    mode = next(mode for suffix, mode in MODES.items() if expected.name.endswith(suffix))
    wanted: list[dict[str, Any]] = [
        json.loads(line) for line in expected.read_text("utf-8").splitlines() if line.strip()
    ]
    found = validate(file.read_bytes(), mode=mode, limit=10_000)
    got = [f.as_dict() for f in found]
    keys = [[key for key in one if key != "file"] for one in wanted]
    shown = [{key: one.get(key) for key in names} for one, names in zip(got, keys, strict=False)]
    assert shown == [{key: one[key] for key in names} for one, names in zip(wanted, keys, strict=True)][: len(shown)]
    assert len(got) == len(wanted), [(f.rule, f.segment) for f in found]


@pytest.mark.parametrize(("file", "expected"), _cases(".csv"), ids=lambda path: path.name)
def test_the_tables_are_those_expected(file: Path, expected: Path) -> None:
    shape = expected.name.removesuffix(".csv").partition(".edi.")[2]
    with expected.open(encoding="utf-8", newline="") as handle:
        wanted = list(csv.DictReader(handle))
    rows = read(file.read_bytes(), file=file.name).tables[shape].to_pylist()
    columns = list(wanted[0]) if wanted else []
    assert [{c: "" if row[c] is None else str(row[c]) for c in columns} for row in rows] == wanted


def test_every_file_has_an_expected_result() -> None:
    tested = {file for file, _ in [*_cases(*MODES), *_cases(".csv")]}
    assert {path for path in FOLDER.iterdir() if path.suffix == ".edi"} == tested
    assert len(tested) >= 3

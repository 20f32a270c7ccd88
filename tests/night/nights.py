"""Running whole nights in tests, and reading the payer's own record, by which 'never sent twice' is judged."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from contextlib import contextmanager
from datetime import date
from pathlib import Path

from pipeline import night, settings
from pipeline.payer_simulator import process
from pipeline.store import open_store

ON = date(2026, 11, 20)


@contextmanager
def payer_in_a_box(home: Path, faults: str = "", **changes):
    """Settings of a home whose payer in a box runs; stopped at the end."""
    loaded = settings.load(home, **changes)
    path = None
    if faults:
        home.mkdir(parents=True, exist_ok=True)
        path = home / "faults.toml"
        path.write_text(faults)
    process.start(loaded, path)
    try:
        yield loaded
    finally:
        process.stop(loaded)


def run_night(loaded, extract: Path, fmt: str = "auto", on: date = ON) -> night.Report:
    store = open_store(loaded)
    try:
        return night.run(store, on, extract, fmt)
    finally:
        store.close()


def record(home: Path) -> list[dict]:
    """What the payer says it has received, in its order."""
    path = home / "payer_in_a_box" / "record.jsonl"
    if not path.is_file():
        return []
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [line for line in lines if line["event"] == "received"]


def assert_nothing_twice(home: Path) -> None:
    """I1 and I3, judged from the payer's record: no claim, no bytes, no control number twice."""
    received = record(home)
    for what, seen in (
        ("claim", Counter(claim["claim_id"] for line in received for claim in line["claims"])),
        ("file", Counter(line["sha256"] for line in received)),
        ("control number", Counter((line["payer"], line["isa13"]) for line in received)),
    ):
        twice = [key for key, n in seen.items() if n > 1]
        assert not twice, f"{what} reached the payer twice: {twice[:5]}"


def tree(home: Path) -> dict[str, str]:
    """Every file that claimpipe keeps under a home → sha256; the payer's own house and Airflow's left out."""
    return {
        str(path.relative_to(home)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(home.rglob("*"))
        if path.is_file() and path.relative_to(home).parts[0] not in ("payer_in_a_box", "airflow")
    }

"""Scrubbing with NCCI pairs and unit limits at full size: repairs, duplicates, every edit. One core.

    python tests/benchmarks/bench_scrubbing.py [claims]

The claims are made up, their procedures drawn from codes of the tables (see bench_codes), so that some meet a pair or a limit.
Seconds are processor time, the best of several runs; opening the tables is not counted.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.bench_codes import codes, tables
from claims import samples

from pipeline.codes import loading, open_icd10cm
from pipeline.payers import load_profiles
from pipeline.scrubbing import edits as books
from pipeline.scrubbing import repairs
from pipeline.scrubbing.batch import Batch
from pipeline.scrubbing.checks import duplicate_keys
from pipeline.scrubbing.stage import Judgement, judge

ON = date(2024, 8, 1)
FIRST = np.datetime64("2024-07-01")


def claims(number: int) -> dict[str, pa.Table]:
    """Coded claims with services of July 2024, their procedures as uneven as a practice's."""
    found = dict(zip(("claims", "diagnoses", "lines"), samples.make(number, dependents=False), strict=True))
    random = np.random.default_rng(number)
    pool = random.choice(codes(), 1500, replace=False)
    weight = 1 / np.arange(1, 1501) ** 0.7
    lines = found["lines"]
    procedures = pool[random.choice(1500, lines.num_rows, p=weight / weight.sum())]
    days = FIRST + random.integers(0, 30, number)
    owner = np.array([int(v[1:]) for v in lines.column("claim_id").to_pylist()])
    found["lines"] = changed(lines, procedure=procedures, service_date=days[owner], modifier1=None)
    found["claims"] = changed(found["claims"], service_from=days, service_to=days)
    fine = {
        "M545": "M5450",
        "R51": "R519",
        "F329": "F32A",
    }  # headings since 2021: half of the claims would be held for them
    told = [fine.get(v, v) for v in found["diagnoses"].column("code").to_pylist()]
    found["diagnoses"] = changed(found["diagnoses"], code=told)
    return found


def changed(table: pa.Table, **columns: Any) -> pa.Table:
    for name, values in columns.items():
        kind = table.schema.field(name)
        array = pa.nulls(table.num_rows, kind.type) if values is None else pa.array(values).cast(kind.type)
        table = table.set_column(table.schema.get_field_index(name), kind, array)
    return table


def scrub(home: Path, given: dict[str, pa.Table], book: books.Book) -> Judgement:
    """What the stage does between reading and recording."""
    profiles = load_profiles()
    repaired, _ = repairs.make(given["claims"], book.repairs, profiles)
    batch = Batch(
        repaired, given["diagnoses"], given["lines"], on=ON, icd10cm=open_icd10cm(home), profiles=profiles, home=home
    )
    duplicate_keys(batch)
    return judge(batch, book)


def measure(number: int = 100_000, times: int = 3) -> dict[str, float]:
    """Seconds, memory in MiB, the cost of a claim to that of a tenth of them, and the share of claims that are held."""
    found: dict[str, float] = {}
    book = books.load()
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        done = loading.load(tables(home), home)
        if done.failed:
            raise SystemExit(f"The tables of the benchmark did not load: {done.findings[:1]}")
        small, large = claims(max(number // 10, 1)), claims(number)
        judged = scrub(home, small, book)
        ours = {f.rule for f in judged.findings}
        if not {"ncci-pair", "ncci-pair-modifier", "units-of-line", "addon-alone"} <= ours:
            raise SystemExit(f"The claims of the benchmark do not meet the edits: {sorted(ours)}.")
        few = min(spent(home, small, book) for _ in range(times))
        many = min(spent(home, large, book) for _ in range(times))
        found["seconds"] = many
        found["cost a claim × that of a tenth"] = many / few / 10
        found["held, share"] = len(judged.errors) / small["claims"].num_rows
        found["memory, MiB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return found


def spent(home: Path, given: dict[str, pa.Table], book: books.Book) -> float:
    start = time.process_time()
    scrub(home, given, book)
    return time.process_time() - start


if __name__ == "__main__":
    for what, value in measure(int(sys.argv[1]) if sys.argv[1:] else 100_000).items():
        print(f"{what}: {value:,.2f}")

"""NCCI pairs, unit limits and add-on codes at full size: loading, and what a claim costs. Gates nothing.

    python tests/benchmarks/bench_codes.py [claims]

The tables are made up at the size of CMS's own (2.5 million practitioner pairs, 15,000 limits, 7,500 add-on rows), written in
CMS's layouts and loaded by the loader. Seconds are processor time, one core, the best of several runs.
"""

from __future__ import annotations

import gzip
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipeline.codes import editions, loading, pairs, units

PAIRS, CODES, ADD_ONS = 2_500_000, 15_000, 7_500
_SETS = ("ncci_ptp_practitioner", "mue_practitioner", "ncci_addon")


def best(work: Callable[[], object], times: int) -> float:
    found = []
    for _ in range(times):
        start = time.process_time()
        work()
        found.append(time.process_time() - start)
    return min(found)


def codes() -> np.ndarray:
    """Made-up codes of five digits."""
    return np.array([f"{n:05d}" for n in range(100, 100 + CODES * 6, 6)])


def tables(folder: Path) -> list[Path]:
    """The three official files, with made-up rows."""
    random = np.random.default_rng(7)
    known = codes()
    both = np.unique(random.integers(0, CODES * CODES, int(PAIRS * 1.01)))[:PAIRS]
    ends = random.choice(["*", "20191231", "20221231"], both.size, p=[0.66, 0.17, 0.17])
    kinds = random.choice(["0", "1", "9"], both.size, p=[0.3, 0.67, 0.03])
    ptp = folder / "ccipra-2024-07.txt.gz"
    with gzip.open(ptp, "wt", compresslevel=1) as file:
        file.write(
            "Column 1\tColumn 2\t*=in existence prior to 1996\tEffective Date\tDeletion Date *=no data\tModifier\tPTP Edit Rationale\n"
        )
        for pair, end, kind in zip(both.tolist(), ends.tolist(), kinds.tolist(), strict=True):
            file.write(f"{known[pair // CODES]}\t{known[pair % CODES]}\t\t20100101\t{end}\t{kind}\tMade up\n")
    mue = folder / "mue practitioner 2024-07.csv"
    limits = zip(
        known.tolist(), random.integers(1, 20, CODES).tolist(), random.choice([1, 2, 3], CODES).tolist(), strict=True
    )
    mue.write_text(
        "HCPCS/CPT Code,Practitioner Services MUE Values,MUE Adjudication Indicator,MUE Rationale\n"
        + "".join(f"{code},{limit},{indicator} Edit,Made up\n" for code, limit, indicator in limits)
    )
    add_on = folder / "add on 2024-07.csv"
    rows = zip(random.choice(known, ADD_ONS).tolist(), random.choice(known[:500], ADD_ONS).tolist(), strict=True)
    add_on.write_text(
        "primary_code,add_on_code,aoc_edit_type\n" + "".join(f"{a},{b},1\n" for a, b in dict.fromkeys(rows))
    )
    return [ptp, mue, add_on]


def claims(number: int) -> dict[str, object]:
    """Lines of claims: three a claim on average, 1,500 codes as uneven as a practice's, a month of days."""
    random = np.random.default_rng(number)
    per = random.integers(1, 6, number)
    group = np.repeat(np.arange(number), per)
    pool = random.choice(codes(), 1500, replace=False)
    weight = 1 / np.arange(1, 1501) ** 0.7
    first = date(2024, 7, 1).toordinal() - editions.EPOCH
    modifier = np.array([None, "59", "25", "RT", "LT", "26"], dtype=object)
    return {
        "group": group, "procedure": pa.array(pool[random.choice(1500, group.size, p=weight / weight.sum())]),
        "day": (first + random.integers(0, 30, number))[group].astype(np.int32),
        "modifiers": [
            pa.array(modifier[random.choice(6, group.size, p=[0.7, 0.06, 0.1, 0.05, 0.05, 0.04])], pa.string()),
            *[pa.nulls(group.size, pa.string())] * 3,
        ],
    }  # fmt: skip


def scrub(home: Path, lines: dict[str, object]) -> tuple[int, int, int]:
    """The three look-ups over a batch."""
    ones = np.ones(len(lines["group"]), dtype=np.int64)  # type: ignore[arg-type]
    found = pairs.conflicts("ncci_ptp_practitioner", home=home, **lines)  # type: ignore[arg-type]
    over = units.excess("mue_practitioner", units=ones, home=home, **lines)  # type: ignore[arg-type]
    without = {k: v for k, v in lines.items() if k != "modifiers"}
    alone = units.alone("ncci_addon", home=home, **without)  # type: ignore[arg-type]
    return len(found), len(over), len(alone)


def measure(number: int = 100_000, times: int = 5) -> dict[str, float]:
    """Seconds of loading and of scrubbing, memory in MiB, and the cost of a claim at a tenth of the number and at all."""
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = tables(folder)
        start = time.process_time()
        done = loading.load(files, folder)
        found["loading, s"] = time.process_time() - start
        if done.failed or {e.about.set for e, _ in done.editions} != set(_SETS):
            raise SystemExit(f"The tables of the benchmark did not load: {done.findings[:1]}")
        found["pairs"] = max(e.about.rows for e, _ in done.editions)
        small, large = claims(max(number // 10, 1)), claims(number)
        if not all(scrub(folder, large)):
            raise SystemExit("The claims of the benchmark meet no edit: nothing is measured.")
        few, many = best(lambda: scrub(folder, small), times), best(lambda: scrub(folder, large), times)
        found["look-ups, s"] = many
        found["cost a claim × that of a tenth"] = many / few / 10
        found["memory, MiB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return found


if __name__ == "__main__":
    for what, value in measure(int(sys.argv[1]) if sys.argv[1:] else 100_000).items():
        print(f"{what}: {value:,.2f}")

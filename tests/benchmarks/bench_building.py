"""How fast claims become 837P files: one core, tables in memory → bytes in memory.

    python tests/benchmarks/bench_building.py [claims]

Beside the claims a second stand two ratios of the same run, because absolute figures drift with the machine: against our
plain writer (one segment at a time) on the same segments, and against copying the same bytes, which is the limit.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from claims import samples

from pipeline.claims import proofreading
from pipeline.claims.batches import route
from pipeline.payers import load_profiles
from pipeline.settings import SubmitterSettings
from pipeline.transactions.claim_837_checks import check as check_claims
from pipeline.transactions.claim_837_forms import PROFESSIONAL
from pipeline.transactions.claim_837_route import Numbers
from pipeline.transactions.claim_837_writer import Interchange837
from pipeline.x12.segments import iter_segments
from pipeline.x12.writer import render

ON = date(2024, 3, 2)
FILE = 20_000  # claims in a file, as the profiles split them


def best(work: Callable[[], object], times: int = 5) -> float:
    """Least processor time of several runs, in seconds."""
    found = []
    for _ in range(times):
        start = time.process_time()
        work()
        found.append(time.process_time() - start)
    return min(found)


def measure(claims: int = 100_000) -> dict[str, float]:
    tables = samples.make(claims)
    files = [
        tuple(t.filter(_of(t, tables[0].column("claim_id")[start : start + FILE])) for t in tables)
        for start in range(0, claims, FILE)
    ]
    way = route(load_profiles()["harbor"], SubmitterSettings(), "T", PROFESSIONAL)
    numbers = Numbers(1, 1)

    def build() -> list[bytes]:
        return [Interchange837(*file, way, PROFESSIONAL).render(on=ON, numbers=numbers) for file in files]

    def check() -> None:
        for file in files:
            check_claims(*file, PROFESSIONAL, charset="basic", accepts_dependents=True)

    built = build()
    size = sum(map(len, built))
    seconds = best(build)
    copy = best(lambda: [np.frombuffer(b, dtype=np.uint8).copy() for b in built])
    sample = built[0]
    segments = [[e.split(":") if ":" in e and s.id != "ISA" else e for e in s.elements] for s in iter_segments(sample)]
    plain = best(lambda: render(segments), 2) * size / len(sample)
    meant = Interchange837(*files[0], way, PROFESSIONAL)
    data = meant.render(on=ON, numbers=numbers)
    proof = best(lambda: proofreading.compared(data, meant, ON, numbers), 2)
    return {
        "claims": claims,
        "bytes_a_claim": size / claims,
        "claims_a_second": claims / seconds,
        "megabytes_a_second": size / seconds / 1e6,
        "times_the_plain_writer": plain / seconds,
        "share_of_copying": copy / seconds,
        "checks_claims_a_second": claims / best(check),
        "readback_claims_a_second": len(meant) / proof,
        "validator_claims_a_second": len(meant) / best(lambda: proofreading.validated(data), 1),
    }


def _of(table, ids):  # type: ignore[no-untyped-def]
    import pyarrow.compute as pc

    return pc.is_in(table.column("claim_id"), ids.combine_chunks())


if __name__ == "__main__":
    for name, value in measure(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000).items():
        print(f"{name:28} {value:,.2f}")

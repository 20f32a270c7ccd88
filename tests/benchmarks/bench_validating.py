"""How fast claims and remittances are validated, as a ratio to pyx12 in the same run. Gates nothing.

    python tests/benchmarks/bench_validating.py [claims]

pyx12 validates a small file of the same kind (it needs minutes for megabytes); both are timed by processor time, the best
of several runs, one core.
"""

from __future__ import annotations

import io
import logging
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pyx12.params
import pyx12.x12n_document

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import x12_material

from pipeline.x12.validator import validate


def best(work: Callable[[], object], times: int) -> float:
    found = []
    for _ in range(times):
        start = time.process_time()
        work()
        found.append(time.process_time() - start)
    return min(found)


def by_pyx12(data: bytes, folder: Path) -> None:
    path = folder / "file.x12"
    path.write_bytes(data)
    pyx12.x12n_document.x12n_document(pyx12.params.params(), str(path), io.StringIO(), None)


def measure(claims: int = 4000) -> dict[str, float]:
    """MB/s of ours and of pyx12, and their ratio, for 837P and 835."""
    logging.disable(logging.CRITICAL)
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name:
        for kind, make in (("837P", x12_material.claims), ("835", x12_material.remittance)):
            # the rendering provider is another than the billing one: a good file, without a warning a claim
            ours, theirs = (make(n).replace(b"*ANN****XX*1234567893", b"*ANN****XX*1245319599") for n in (claims, 200))
            # the material's remittance names no payment: its one fault is told and does not matter here
            errors = [f for f in validate(ours) if f.severity == "error" and f.rule != "835.set-balance"]
            if errors:
                raise SystemExit(f"The {kind} of the benchmark is not valid: {errors[0].rule} {errors[0].message}")
            seconds = best(lambda data=ours: validate(data), 5)  # type: ignore[misc]
            slow = best(lambda data=theirs: by_pyx12(data, Path(name)), 2)  # type: ignore[misc]
            found[f"{kind} MB/s"] = len(ours) / 1e6 / seconds
            found[f"{kind} pyx12 MB/s"] = len(theirs) / 1e6 / slow
            found[f"{kind} × pyx12"] = found[f"{kind} MB/s"] / found[f"{kind} pyx12 MB/s"]
    return found


def main() -> None:
    for name, value in measure(int(sys.argv[1]) if len(sys.argv) > 1 else 4000).items():
        print(f"{name:20} {value:10.2f}")


if __name__ == "__main__":
    main()

"""One measure in a process of its own: `python tests/benchmarks/tasks.py NAME FILE… FOLDER` prints the seconds it took.

Imports and first-use tables are paid before the clock starts, for ours and for the others alike.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq

from pipeline.transactions.bulk import _Parquet, export

ROWS = 1 << 16


def exported(sources: list[Path], to: Path) -> float:
    export(sources[:1] if sources[0].stat().st_size < 1 << 20 else [_small(sources[0], to)], to / "warm")
    begin = time.perf_counter()
    export(sources, to)
    return time.perf_counter() - begin


def _small(source: Path, to: Path) -> Path:
    to.mkdir(exist_ok=True)
    path = to / "small.x12"
    with source.open("rb") as handle:
        path.write_bytes(handle.read(100_000))
    return path


def encoded(sources: list[Path], to: Path) -> float:
    """The tables that the export of these files left in `to`, written again the same way; reading them is not timed."""
    took = 0.0
    names = {"payments", "claims", "service_lines", "adjustments", "provider_adjustments"}
    for path in sorted(p for p in to.glob("*.parquet") if p.stem in names):
        held = pq.ParquetFile(path)
        writer = None
        for group in range(held.num_row_groups):
            table = held.read_row_group(group)
            begin = time.perf_counter()
            writer = writer or _Parquet(to / "again", f"835.{path.stem}")
            writer.write(table)
            took += time.perf_counter() - begin
        if writer is not None:
            begin = time.perf_counter()
            writer.close()
            took += time.perf_counter() - begin
    return took


def badx12(sources: list[Path], to: Path) -> float:
    from badx12 import Parser

    text = sources[0].read_text(encoding="utf-8")
    begin = time.perf_counter()
    Parser().parse_document(text)
    return time.perf_counter() - begin


def split_loop(sources: list[Path], to: Path) -> float:
    begin = time.perf_counter()
    claims = 0
    for segment in sources[0].read_text(encoding="utf-8").split("~"):
        claims += segment.split("*")[0] == "CLP"
    return time.perf_counter() - begin


TASKS: dict[str, Callable[[list[Path], Path], float]] = {
    "export": exported, "encode": encoded, "badx12": badx12, "loop": split_loop,
}  # fmt: skip

if __name__ == "__main__":
    name, *given = sys.argv[1:]
    print(TASKS[name]([Path(p) for p in given[:-1]], Path(given[-1])))

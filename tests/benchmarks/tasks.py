"""One measure in a process of its own: `python tests/benchmarks/tasks.py NAME FILE… FOLDER` prints seconds and processor
seconds.

Imports and first-use tables are paid before the clock starts, for ours and for the others alike.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq

from pipeline.transactions.bulk import _Parquet, export


class Clock:
    """Adds up wall and processor time (children that have ended included) of what is done `with` it."""

    def __init__(self) -> None:
        self.wall = self.processor = 0.0

    def __enter__(self) -> None:
        self._begin = time.perf_counter(), _processor()

    def __exit__(self, *_: object) -> None:
        self.wall += time.perf_counter() - self._begin[0]
        self.processor += _processor() - self._begin[1]


def _processor() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)


def exported(sources: list[Path], to: Path, clock: Clock) -> None:
    export(sources[:1] if sources[0].stat().st_size < 1 << 20 else [_small(sources[0], to)], to / "warm")
    for old in to.glob("*.parquet"):  # to free what stood there is another work
        old.unlink()
    with clock:
        export(sources, to)


def _small(source: Path, to: Path) -> Path:
    to.mkdir(exist_ok=True)
    path = to / "small.x12"
    with source.open("rb") as handle:
        path.write_bytes(handle.read(100_000))
    return path


def encoded(sources: list[Path], to: Path, clock: Clock) -> None:
    """The tables that the export of these files left in `to`, written again the same way; reading them is not timed."""
    names = {"payments", "claims", "service_lines", "adjustments", "provider_adjustments"}
    for path in sorted(p for p in to.glob("*.parquet") if p.stem in names):
        held = pq.ParquetFile(path)
        with clock:
            writer = _Parquet(to / "again", f"835.{path.stem}")
        for group in range(held.num_row_groups):
            table = held.read_row_group(group)
            with clock:
                writer.write(table)
        with clock:
            writer.close()


def badx12(sources: list[Path], to: Path, clock: Clock) -> None:
    from badx12 import Parser

    text = sources[0].read_text(encoding="utf-8")
    with clock:
        Parser().parse_document(text)


def split_loop(sources: list[Path], to: Path, clock: Clock) -> None:
    claims = 0
    with clock:
        for segment in sources[0].read_text(encoding="utf-8").split("~"):
            claims += segment.split("*")[0] == "CLP"


TASKS: dict[str, Callable[[list[Path], Path, Clock], None]] = {
    "export": exported, "encode": encoded, "badx12": badx12, "loop": split_loop,
}  # fmt: skip

if __name__ == "__main__":
    name, *given = sys.argv[1:]
    timed = Clock()
    TASKS[name]([Path(p) for p in given[:-1]], Path(given[-1]), timed)
    print(timed.wall, timed.processor)

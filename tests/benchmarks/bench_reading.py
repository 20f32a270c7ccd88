"""How fast remittances and claims are read, as ratios against others in one run. Gates nothing.

    python tests/benchmarks/bench_reading.py [--megabytes 50] [--files 500]

badx12 is timed on a small file of the same kind (it needs about a gigabyte for ten megabytes); the plain loop splits
segments and elements and keeps nothing. Absolute figures drift with the machine: compare ratios.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import x12_material

from pipeline.transactions import read
from pipeline.transactions.bulk import _Parquet, export


def seconds(work: Callable[[], object], times: int = 3) -> float:
    """The best of a few runs: what else the machine does only ever adds."""
    best = float("inf")
    for _ in range(times):
        begin = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - begin)
    return best


def plain_loop(path: Path) -> int:
    """Segments and elements by splitting: the floor of any reader that makes Python objects."""
    claims = 0
    for segment in path.read_text().split("~"):
        elements = segment.split("*")
        claims += elements[0] in ("CLP", "CLM")
    return claims


def badx12(path: Path) -> object:
    from badx12 import Parser

    return Parser().parse_document(path.read_text())


def encode(tables: dict[str, Path], to: Path) -> None:
    for name, source in tables.items():
        table = pq.read_table(source)
        writer = _Parquet(to / f"{name}.parquet", name)
        for at in range(0, max(table.num_rows, 1), 1 << 16):
            writer.write(table.slice(at, 1 << 16))
        writer.close()


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--megabytes", type=int, default=50)
    arguments.add_argument("--files", type=int, default=500)
    asked = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        room = Path(folder)
        for name, make, each in (("835", x12_material.remittance, 412), ("837P", x12_material.claims, 435)):
            big, small = room / f"big.{name}", room / f"small.{name}"
            big.write_bytes(make(asked.megabytes * 1_000_000 // each))
            small.write_bytes(make(400))
            size, data = big.stat().st_size / 1e6, big.read_bytes()
            speed = {
                "badx12": small.stat().st_size / 1e6 / seconds(lambda path=small: badx12(path), 1),
                "plain split loop": size / seconds(lambda path=big: plain_loop(path)),
                "read → tables": size / seconds(lambda blob=data: read(blob)),
                "export → Parquet": size / seconds(lambda path=big: export([path], room / "out")),
            }
            tables = export([big], room / "out").tables
            speed["Parquet encoding alone"] = size / seconds(lambda files=tables: encode(files, room))
            print(f"\n{name}, {size:.0f} MB")
            for who, rate in speed.items():
                print(
                    f"  {who:<24}{rate:9.2f} MB/s {rate / speed['badx12']:9.1f} × badx12 {rate / speed['plain split loop']:7.2f} × loop"
                )
        small_files = []
        for n in range(asked.files):
            path = room / f"{n:04d}.835"
            path.write_bytes(x12_material.remittance(50, seed=n, control=n + 1))
            small_files.append(path)
        took = seconds(lambda: export(small_files, room / "many"))
        each_kb = small_files[0].stat().st_size / 1000
        print(f"\n{asked.files} files of {each_kb:.0f} KB: {1000 * took / asked.files:.2f} ms a file")
    print(f"most memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


if __name__ == "__main__":
    main()

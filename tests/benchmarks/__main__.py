"""All speed targets in one run: `make bench`, or `python tests/benchmarks [--quick] [--megabytes 100 1000] …`.

Absolute figures drift with the machine, so what counts are ratios against others timed in turn with ours, each in a process
of its own; the table shows medians over rounds, and how many cores others kept busy: with none the wall clock can be believed, with more
the ratios by processor time say more, since what takes several processes waits for each of them. Memory is that of the process and its children, shared pages counted
once (PSS), and taken in a run of its own, since to look takes a tenth of a core. Exit code 1 where a target is missed and --strict is given.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from benchmarks.large_835 import Remittance  # noqa: E402 - tests/ is no package: badx12 brings one of that name

from pipeline.x12.kernel import kernel  # noqa: E402

POLARS = "polars==1.44.2"
_CORES = 2
PARTS = ("reading", "files", "validating", "building", "codes", "scrubbing", "night")


@dataclass
class Line:
    what: str
    value: float
    unit: str
    target: str
    met: bool | None  # None: no target


@dataclass
class Took:
    seconds: float
    processor: float
    memory: float  # MiB


class Bench:
    def __init__(self, room: Path, rounds: int) -> None:
        self.room, self.rounds = room, rounds
        self.lines: list[Line] = []
        self.others: list[float] = []  # cores that others kept busy during each measure

    def say(
        self, what: str, value: float, unit: str = "", at_least: float | None = None, at_most: float | None = None
    ) -> None:
        target, met = "", None
        if at_least is not None:
            target, met = f"≥ {at_least:,g}", value >= at_least
        if at_most is not None:
            target, met = f"≤ {at_most:,g}", value <= at_most
        self.lines.append(Line(what, value, unit, target, met))
        print(f"  {what}: {value:,.2f} {unit}", flush=True)

    # ---- one measure -------------------------------------------------------------------------------------------------

    def task(self, name: str, sources: list[Path], to: Path, compiled: bool = True, memory: bool = False) -> Took:
        """A task in its own process, with the compiled kernel (if there is one) or without it."""
        script = ROOT / "tests" / "benchmarks" / "tasks.py"
        chosen = {"CLAIMPIPE_KERNEL": "" if compiled else "off"}
        return self.watched([sys.executable, str(script), name, *map(str, sources), str(to)], chosen, memory)

    def watched(self, command: list[str], variables: dict[str, str] | None = None, memory: bool = False) -> Took:
        """What a command says of its seconds; with `memory` also the most that is seen of it from outside."""
        environment = {**os.environ, "PYTHONPATH": str(ROOT), **(variables or {})}
        with tempfile.TemporaryFile("w+") as answer:
            busy, begin, own = _busy(), time.perf_counter(), _children()
            process = subprocess.Popen(command, stdout=answer, cwd=ROOT, env=environment)
            most = 0
            while memory and process.poll() is None:
                most = max(most, sum(_memory(pid) for pid in _family(process.pid)))
                time.sleep(0.03)
            process.wait()
            wall = time.perf_counter() - begin
            self.others.append(max((_busy() - busy - (_children() - own)) / wall, 0.0))
            answer.seek(0)
            text = answer.read()
        if process.returncode:
            raise SystemExit(f"This failed: {' '.join(command[:6])}")
        seconds, processor = map(float, text.split()[-2:])
        return Took(seconds, processor, most / 1024)

    def polars(self) -> Path | None:
        """The Python of an environment that has Polars, made once; None where it cannot be had."""
        folder = self.room / "polars"
        python = folder / "bin" / "python"
        if not python.exists():
            venv.create(folder, with_pip=True)
            made = subprocess.run(
                [python, "-m", "pip", "install", "--quiet", POLARS], capture_output=True, text=True, check=False
            )
            if made.returncode:
                print("  Polars cannot be installed here: that comparison is left out.")
                python.unlink()
        return python if python.exists() else None

    # ---- reading -----------------------------------------------------------------------------------------------------

    def reading(self, megabytes: list[int]) -> None:
        small, to = self.room / "small.835", self.room / "out"
        to.mkdir(exist_ok=True)
        Remittance(2_000).write(small, 1)
        files = []
        for size in megabytes:
            files.append(self.room / f"{size}.835")
            Remittance().write(files[-1], size * 1_000_000)
        python = self.polars()
        memory: dict[int, float] = {}
        for size, path in zip(megabytes, files, strict=True):
            print(f"835 of {size} MB → Parquet", flush=True)
            whole, least = path.stat().st_size / 1e6, small.stat().st_size / 1e6
            rates: dict[str, list[float]] = {}
            work: dict[str, list[float]] = {}  # by processor time

            def note(who: str, took: Took, size: float, rates: dict = rates, work: dict = work) -> None:  # type: ignore[type-arg]
                rates.setdefault(who, []).append(size / took.seconds)
                work.setdefault(who, []).append(size / took.processor)

            for _ in range(self.rounds if size <= 200 else max(self.rounds // 2, 1)):
                note("badx12", self.task("badx12", [small], to), least)
                note("ours", self.task("export", [path], to), whole)
                if kernel() is not None and size <= 200:
                    note("ours, numpy alone", self.task("export", [path], to / "numpy", compiled=False), whole)
                note("encoding alone", self.task("encode", [path], to), whole)
                if size <= 200:  # the others hold the whole file many times over
                    note("split loop", self.task("loop", [path], to), whole)
                    if python is not None:
                        script = str(Path(__file__).with_name("polars_plan.py"))
                        note("Polars", self.watched([str(python), script, str(path), str(to)]), whole)
            for who, found in rates.items():
                self.say(f"835, {size} MB: {who}", statistics.median(found), "MB/s")
            for who, target in (("badx12", 300), ("Polars", 3), ("encoding alone", 0.5), ("ours, numpy alone", None)):
                if who in rates:
                    ratios = [a / b for a, b in zip(rates["ours"], rates[who], strict=True)]
                    self.say(f"835, {size} MB: ours ÷ {who}", statistics.median(ratios), "×", at_least=target)
                    # what two cores that nothing else uses would give if all work were spread over both
                    spread = [_CORES * a / b for a, b in zip(work["ours"], work[who], strict=True)]
                    if who == "ours, numpy alone":
                        by_processor = [value / _CORES for value in spread]
                        self.say(f"835, {size} MB: the same by processor time", statistics.median(by_processor), "×")
                    elif who != "Polars":  # it uses all cores itself
                        self.say(
                            f"835, {size} MB: the same by processor time, two cores", statistics.median(spread), "×"
                        )
            memory[size] = self.task("export", [path], to, memory=True).memory
            self.say(f"835, {size} MB: most memory", memory[size], "MiB", at_most=400)
        if len(megabytes) > 1:
            self.say("memory, largest ÷ smallest file", memory[megabytes[-1]] / memory[megabytes[0]], "×", at_most=1.25)
        for path in files:
            path.unlink()

    def many_files(self, count: int = 500) -> None:
        print(f"{count} files of 21 KB", flush=True)
        folder = self.room / "many"
        folder.mkdir()
        paths = []
        for n in range(count):
            paths.append(folder / f"{n:04d}.835")
            Remittance(40, seed=n).write(paths[-1], 1, control=n + 1)
        each = statistics.mean(p.stat().st_size for p in paths)
        what = f"{count} files of {each / 1000:.0f} KB"
        for compiled in (True, False) if kernel() is not None else (False,):
            found = [self.task("export", paths, self.room / "many-out", compiled) for _ in range(self.rounds)]
            name = what if compiled else f"{what}, numpy alone"
            wall, processor = (
                statistics.median(times) for times in zip(*((t.seconds, t.processor) for t in found), strict=True)
            )
            self.say(name, 1000 * wall / count, "ms a file", at_most=0.5 if compiled or kernel() is None else None)
            self.say(f"{name}: by processor time", 1000 * processor / count, "ms a file")

    # ---- the other rooms ---------------------------------------------------------------------------------------------

    def validating(self, claims: int) -> None:
        print("validation", flush=True)
        from benchmarks import bench_validating

        for name, value in bench_validating.measure(claims).items():
            self.say(f"validation, {name}", value, "", at_least=50 if "×" in name else None)

    def building(self, claims: int) -> None:
        print("building 837P", flush=True)
        from benchmarks import bench_building

        found = bench_building.measure(claims)
        self.say("837P from Arrow, one core", found["claims_a_second"], "claims/s", at_least=300_000)
        self.say("837P from Arrow", found["times_the_plain_writer"], "× the plain writer")
        self.say("checks before building", found["checks_claims_a_second"], "claims/s")

    def codes(self, claims: int) -> None:
        print("code edits", flush=True)
        from benchmarks import bench_codes

        found = bench_codes.measure(claims)
        self.say(f"NCCI and MUE over {claims:,} claims, one core", found["look-ups, s"], "s", at_most=3)
        self.say("the cost a claim, to that of a tenth", found["cost a claim × that of a tenth"], "×", at_most=1.3)
        self.say("loading 2.5 million pairs", found["loading, s"], "s")
        self.say("memory, loading included", found["memory, MiB"], "MiB", at_most=1500)

    def scrubbing(self, claims: int) -> None:
        print("scrubbing", flush=True)
        from benchmarks import bench_scrubbing

        found = bench_scrubbing.measure(claims)
        self.say(f"scrubbing {claims:,} claims, one core", found["seconds"], "s", at_most=30)
        self.say("the cost a claim, to that of a tenth", found["cost a claim × that of a tenth"], "×", at_most=1.3)
        self.say("memory", found["memory, MiB"], "MiB", at_most=1500)

    def night(self, visits: int) -> None:
        print("the whole night", flush=True)
        from benchmarks import bench_night

        few, many = bench_night.measure(max(visits // 10, 1), visits, room=self.room)
        self.say(f"the night on {visits:,} visits, from extract to reports", many.wall, "s", at_most=600)
        self.say("processor time of a visit", many.a_visit, "ms")
        self.say("the same, to that of a tenth", many.a_visit / few.a_visit, "×", at_most=1.3)
        self.say("memory of the night", many.memory, "MiB", at_most=2048)


def _busy() -> float:
    """Processor seconds that the machine has worked, or was kept from working by its host."""
    ticks = [int(n) for n in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _family(pid: int) -> list[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return [pid]
    return [pid, *(one for child in children for one in _family(int(child)))]


def _memory(pid: int) -> int:
    """KiB, a page that several processes share counted in parts."""
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    except OSError:
        pass
    return 0


def table(lines: list[Line]) -> str:
    wide = max(len(line.what) for line in lines)
    rows = [
        f"| {'what':<{wide}} | {'measured':>22} | {'target':>9} | met |",
        f"|{'-' * (wide + 2)}|-----------------------:|----------:|-----|",
    ]
    for line in lines:
        measured = (
            f"{line.value:,.0f}"
            if line.value >= 1000
            else f"{line.value:,.2f}"
            if line.value < 10
            else f"{line.value:,.1f}"
        )
        met = {None: "", True: "yes", False: "no"}[line.met]
        rows.append(f"| {line.what:<{wide}} | {f'{measured} {line.unit}'.strip():>22} | {line.target:>9} | {met:<3} |")
    return "\n".join(rows)


def main() -> int:
    arguments = argparse.ArgumentParser(prog="python tests/benchmarks", description=__doc__)
    arguments.add_argument("--quick", action="store_true", help="20 MB, one round: does it run, and roughly how fast")
    arguments.add_argument("--megabytes", type=int, nargs="+", default=[100, 1000], help="sizes of the 835, rising")
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--only", choices=PARTS, nargs="+")
    arguments.add_argument("--room", type=Path, help="folder for the files (it must exist); else a temporary one")
    arguments.add_argument("--strict", action="store_true", help="exit code 1 where a target is missed")
    asked = arguments.parse_args()
    if asked.quick:
        asked.megabytes, asked.rounds = [20], 1
    room = Path(tempfile.mkdtemp(prefix="bench-", dir=asked.room))
    bench = Bench(room, asked.rounds)
    wanted = asked.only or PARTS
    try:
        if "reading" in wanted:
            bench.reading(asked.megabytes)
        if "files" in wanted:
            bench.many_files()
        if "validating" in wanted:
            bench.validating(1000 if asked.quick else 4000)
        if "building" in wanted:
            bench.building(20_000 if asked.quick else 100_000)
        if "codes" in wanted:
            bench.codes(20_000 if asked.quick else 100_000)
        if "scrubbing" in wanted:
            bench.scrubbing(20_000 if asked.quick else 100_000)
        if "night" in wanted:
            bench.night(5_000 if asked.quick else 100_000)
    finally:
        shutil.rmtree(room)
    load = os.getloadavg()[0]
    print(
        f"\n{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, load at the end {load:.1f}\n"
    )
    if bench.others:
        print(
            f"Others kept {statistics.median(bench.others):.1f} cores busy meanwhile "
            f"(median; least {min(bench.others):.1f}, most {max(bench.others):.1f}).\n"
        )
    print(table(bench.lines))
    return 1 if asked.strict and any(line.met is False for line in bench.lines) else 0


if __name__ == "__main__":
    sys.exit(main())

"""The whole night on a made-up extract: where the time goes, how much memory it takes, and what a visit costs.

    python tests/benchmarks/bench_night.py [visits …] [--picture docs/night-time.svg] [--room FOLDER]

Each night runs in a process of its own, as `claimpipe nightly --json` does, from the extract to the proof and the reports, with the
payer in a box beside it. Seconds are those of the processor: a night's own and those of its children, without the payer's and the
bank's, who are another party; the payer's are told apart. Memory is the most that the processes of the night held at one time,
shared pages counted in parts. Of each step the time is told by the night's own report of its steps.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread
from typing import Any
from xml.sax.saxutils import escape

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

SEED = 3
#: step of the night → the stage it is told under
STAGES = {
    "intake": "intake", "code": "coding", "scrub": "scrubbing", "build": "building", "check files": "building", "send": "sending",
    "sweep": "receiving", "acknowledge": "acknowledgments", "post": "remittances", "reconcile": "deposits", "prove": "proof",
    "report": "reports",
}  # fmt: skip
COLOURS = {
    "start": "#b8c4cf", "intake": "#2f7dc1", "coding": "#5aa0d8", "scrubbing": "#8cc0e8", "building": "#d9a441", "sending": "#e8c583",
    "receiving": "#c9b8e0", "acknowledgments": "#9a7cc4", "remittances": "#2a9469", "deposits": "#7cc4a0", "proof": "#c8553d",
    "reports": "#e0998a",
}  # fmt: skip


@dataclass
class Night:
    """Processor seconds by stage, wall seconds, MiB, and the proof's residue in cents."""

    visits: int
    stages: dict[str, float] = field(default_factory=dict)
    processor: float = 0.0
    wall: float = 0.0
    memory: float = 0.0
    payer: float = 0.0
    residue_cents: int | None = None
    claims: int = 0

    @property
    def a_visit(self) -> float:
        """Milliseconds of the processor."""
        return 1000 * self.processor / self.visits


def run(visits: int, room: Path) -> Night:
    """Make the extract and run its night; RuntimeError where the night does not close."""
    from benchmarks.__main__ import _family, _memory

    extract, home = room / f"extract-{visits}", room / f"home-{visits}"
    for folder in (extract, home):
        shutil.rmtree(folder, ignore_errors=True)
    made = [
        sys.executable,
        "-m",
        "pipeline",
        "sample",
        "--visits",
        str(visits),
        "--seed",
        str(SEED),
        "--out",
        str(extract),
    ]
    made[1:3] = ["-c", "from pipeline.cli import main; main()"]
    subprocess.run(made, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
    night = Night(visits)
    began = time.perf_counter()
    child = subprocess.Popen(
        [sys.executable, str(Path(__file__).resolve()), "--of", str(extract), str(home)],
        cwd=ROOT, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    done = Event()

    def watch() -> None:
        while not done.wait(0.25):
            ours = [pid for pid in _family(child.pid) if not _is_the_payer(pid)]
            night.memory = max(night.memory, sum(_memory(pid) for pid in ours) / 1024)

    watcher = Thread(target=watch)
    watcher.start()
    said, _ = child.communicate()
    done.set()
    watcher.join()
    night.wall = time.perf_counter() - began
    if child.returncode:
        raise RuntimeError(f"The night on {visits:,} visits ended with {child.returncode}.")
    told: dict[str, Any] = json.loads(said.splitlines()[-1])
    night.stages, night.processor, night.payer = told["stages"], told["processor"], told["payer"]
    night.residue_cents, night.claims = told["residue_cents"], told["claims"]
    shutil.rmtree(extract)
    return night


def of(extract: Path, home: Path) -> dict[str, Any]:
    """In the child: the night with a clock at each step."""
    from benchmarks.tasks import _processor

    from pipeline import night, settings
    from pipeline.cli import SAMPLE_DATE
    from pipeline.payer_simulator import process
    from pipeline.reports import night as night_report
    from pipeline.reports import summary as summaries
    from pipeline.store import open_store

    spent: dict[str, float] = {"start": _processor()}
    last = spent["start"]

    def clock(step: str) -> None:
        nonlocal last
        now = _processor()
        stage = STAGES[step]
        spent[stage] = spent.get(stage, 0.0) + now - last
        last = now

    loaded = settings.load(home)
    endpoint = process.start(loaded, None)
    store = open_store(loaded)
    try:
        report = night.run(
            store, SAMPLE_DATE, extract, "csv", lambda step, _, counts: clock(step) if counts is not None else None
        )
        clock("prove")
        assert report.proof is not None
        payer = _of_process(endpoint.pid)
        night_report.write(home, summaries.gather(store, SAMPLE_DATE, report.proof, report.troubles))
        clock("report")
        processor = _processor()  # before the payer ends, whose time would be a child's
    finally:
        process.stop(loaded)
        store.close()
    if report.troubles or not report.proof.closes:
        raise SystemExit(f"The night has troubles: {report.troubles}, residue {report.proof.residue_cents}")
    return {
        "stages": spent, "processor": processor, "payer": payer, "residue_cents": report.proof.residue_cents,
        "claims": report.total("send", "claims"),
    }  # fmt: skip


def _is_the_payer(pid: int) -> bool:
    try:
        return b"payer_simulator" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def _of_process(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(*sizes: int, room: Path | None = None) -> list[Night]:
    """The night of each size, one after the other."""
    with tempfile.TemporaryDirectory(dir=room) as name:
        return [run(visits, Path(name)) for visits in sizes]


def picture(nights: list[Night]) -> str:
    """SVG: a bar a night, as long as the milliseconds that a visit costs, cut by stage; and a legend with the largest night's
    seconds."""
    longest = max(night.a_visit for night in nights)
    left, wide, top, step = 130, 760, 46, 44
    out = []
    for row, night in enumerate(nights):
        y, at = top + row * step, float(left)
        out.append(f'<text x="{left - 10}" y="{y + 19}" text-anchor="end">{night.visits:,} visits</text>')
        for stage, seconds in night.stages.items():
            width = 1000 * seconds / night.visits / longest * wide
            title = f"{stage}: {seconds:.1f} s, {1000 * seconds / night.visits:.2f} ms a visit"
            out.append(
                f'<rect x="{at:.1f}" y="{y}" width="{width:.1f}" height="28" fill="{COLOURS[stage]}">'
                f"<title>{escape(title)}</title></rect>"
            )
            at += width
        out.append(f'<text x="{at + 8:.1f}" y="{y + 19}">{night.a_visit:.2f} ms</text>')
    largest = nights[-1]
    y = top + len(nights) * step + 16
    for place, (stage, seconds) in enumerate(largest.stages.items()):
        x, down = left + place % 4 * 200, y + place // 4 * 24
        share = 100 * seconds / largest.processor
        out.append(f'<rect x="{x}" y="{down}" width="14" height="14" fill="{COLOURS[stage]}"/>')
        out.append(f'<text x="{x + 20}" y="{down + 12}">{stage} {seconds:.0f} s, {share:.0f}%</text>')
    height = y + (len(largest.stages) + 3) // 4 * 24 + 12
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1000 {height}" font-family="system-ui, sans-serif" font-size="14">'
        f'<rect width="1000" height="{height}" fill="#fff"/>'
        f'<text x="{left}" y="26" font-weight="600">Processor time of a visit, from extract to proof; below: of the night on '
        f"{largest.visits:,} visits</text>"
    )
    return head + "\n" + "\n".join(out) + "\n</svg>\n"


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("visits", nargs="*", type=int, default=[10_000, 100_000])
    asked.add_argument("--picture", type=Path, help="write the picture here")
    asked.add_argument("--room", type=Path, help="folder for the nights (it must exist); else a temporary one")
    asked.add_argument("--of", nargs=2, type=Path, help=argparse.SUPPRESS)
    given = asked.parse_args()
    if given.of:
        print(json.dumps(of(*given.of)))
        return
    nights = measure(*given.visits, room=given.room)
    for night in nights:
        print(f"{night.visits:,} visits, {night.claims:,} claims: {night.processor:,.0f} s of the processor, {night.a_visit:.2f} ms a "
              f"visit; {night.wall:,.0f} s by the clock; payer {night.payer:,.0f} s; {night.memory:,.0f} MiB")  # fmt: skip
        for stage, seconds in night.stages.items():
            print(f"    {stage:<16}{seconds:8.1f} s {100 * seconds / night.processor:5.0f}%")
    if len(nights) > 1:
        print(f"a visit, largest ÷ smallest night: {nights[-1].a_visit / nights[0].a_visit:.2f}")
    if given.picture:
        given.picture.write_text(picture(nights), encoding="utf-8")


if __name__ == "__main__":
    main()

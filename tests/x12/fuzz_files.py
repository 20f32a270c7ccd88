"""The fuzz target of the X12 rooms: damaged files without end, over every reader, the validator, the answers and the views.

    python tests/x12/fuzz_files.py --seconds 600 --seed 1 [FILE OR FOLDER of good files …]

Theory. A good file is damaged in a few places the way files are damaged (bytes, bits, segments, elements, cuts, joins, marks),
and what must hold of *any* bytes is asked of it: nothing raises, the same bytes give the same findings, one number means one
segment to every reader, how the bytes arrive changes nothing, and answers are valid files themselves. A case is known by its seed and number, so each can be made again; what fails is kept with its trace.
`tests/x12/test_x12_fuzz_files.py` runs a few hundred cases each time.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from x12 import x12_files as files

from pipeline.reports import x12_view
from pipeline.transactions import identify, read
from pipeline.transactions.engine import Engine
from pipeline.transactions.inspect import describe
from pipeline.x12.acknowledge import acknowledge
from pipeline.x12.segments import iter_segments
from pipeline.x12.validator import Mode, examine, validate, walk
from pipeline.x12.view import view

ON = date(2026, 11, 20)
LARGEST = 60_000  # bytes of a good file: the larger, the fewer cases
MODES: tuple[Mode, Mode] = ("strict", "lenient")
_INSETS = ["~", "~~", "*", "**", ":", "^", "\n", "\r\n", "\n~", "ISA*", "IEA*1*000000001~", "SE*1*0001~", "GE*1*1~", "GS*", "ST*835*1~",
           "\x1a", "\x00", " ", "é", "BIN*7*a~b*c~d~", "TA1*000000001*261120*1200*A*000~", "LX*1~", "HL*1**20*1~", "99999999999999999999",
           "-", ".", "1E9", "20269999", "\xff" * 9]  # fmt: skip


def good(places: Sequence[Path] = ()) -> dict[str, bytes]:
    """Good files by name: one of each kind, and those in the places given."""
    found = {kind: files.render(files.lines(text)) for kind, text in files.FILES.items()}
    found["secondary"] = files.render(files.secondary())
    for place in places:
        for path in sorted(p for p in (place.rglob("*") if place.is_dir() else [place]) if p.is_file()):
            data = path.read_bytes()[: LARGEST + 1]
            if b"ISA" in data[:200] and len(data) <= LARGEST:
                found[str(path)] = data
    return found


def damaged(dice: random.Random, seeds: Sequence[bytes]) -> bytes:
    """One of the files, damaged in one to six places."""
    data = dice.choice(seeds)
    for _ in range(dice.choice((1, 1, 1, 2, 3, 6))):
        data = dice.choice(_WAYS)(dice, data, seeds)
        if len(data) > 3 * LARGEST:
            data = data[: 3 * LARGEST]
    return data


def _place(dice: random.Random, data: bytes) -> int:
    return dice.randrange(len(data) + 1)


def _flip(dice: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    if not data:
        return data
    at = dice.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << dice.randrange(8)]) + data[at + 1 :]


def _inset(dice: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    at = _place(dice, data)
    return data[:at] + dice.choice(_INSETS).encode("latin-1") + data[at:]


def _lost(dice: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    at = _place(dice, data)
    return data[:at] + data[at + dice.choice((1, 2, 30, 500)) :]


def _twice(dice: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    at, size = _place(dice, data), dice.choice((1, 3, 30, 500))
    return data[: at + size] + data[at:]


def _ends(dice: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    return data[: _place(dice, data)]


def _joined(dice: random.Random, data: bytes, seeds: Sequence[bytes]) -> bytes:
    return data + dice.choice((b"", b"\r\n", b"\x1a")) + dice.choice(seeds)


def _marked(dice: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    """Other delimiters."""
    return data.translate(bytes.maketrans(b"*~:^", dice.choice((b"|!>;", b"\x1d\x1e\x1f\x1c", b"*\n:^", b"+'<&"))))


def _by_segment(change: Callable[[random.Random, list[list[str]], Sequence[bytes]], None]) -> Callable[..., bytes]:
    def changed(dice: random.Random, data: bytes, seeds: Sequence[bytes]) -> bytes:
        mark, end = (chr(data[3]), chr(data[105])) if len(data) > 105 else ("*", "~")
        segments = [s.split(mark) for s in data.decode("latin-1").split(end)]
        change(dice, segments, seeds)
        return end.join(mark.join(s) for s in segments).encode("latin-1", "replace")

    return changed


def _segment_lost(dice: random.Random, segments: list[list[str]], _: Sequence[bytes]) -> None:
    del segments[dice.randrange(len(segments))]


def _segment_moved(dice: random.Random, segments: list[list[str]], _: Sequence[bytes]) -> None:
    segments.insert(dice.randrange(len(segments)), segments.pop(dice.randrange(len(segments))))


def _segment_twice(dice: random.Random, segments: list[list[str]], _: Sequence[bytes]) -> None:
    at = dice.randrange(len(segments))
    segments[at:at] = [list(segments[at]) for _ in range(dice.choice((1, 1, 12, 60)))]


def _stranger(dice: random.Random, segments: list[list[str]], seeds: Sequence[bytes]) -> None:
    other = dice.choice(seeds).decode("latin-1").split("~")
    segments.insert(dice.randrange(len(segments)), dice.choice(other).split("*"))


def _element(dice: random.Random, segments: list[list[str]], seeds: Sequence[bytes]) -> None:
    elements = dice.choice(segments)
    at = dice.randrange(len(elements))
    match dice.choice(("empty", "value", "cut", "grow", "swap", "long")):
        case "empty":
            elements[at] = ""
        case "value":
            elements[at] = dice.choice(_INSETS)
        case "cut":
            del elements[max(at, 1) :]
        case "grow":
            elements += [""] * dice.randrange(4) + ["X"]
        case "swap":
            other = dice.randrange(len(elements))
            elements[at], elements[other] = elements[other], elements[at]
        case "long":
            elements[at] = elements[at] * dice.choice((2, 40)) or "9" * dice.choice((20, 5000))


_WAYS: tuple[Callable[..., bytes], ...] = (
    _flip, _inset, _lost, _twice, _ends, _joined, _marked,
    *map(_by_segment, (_segment_lost, _segment_moved, _segment_twice, _stranger, _element, _element, _element)),
)  # fmt: skip


# ── what must hold of any bytes ──────────────────────────────────────────────────────────────────────────────────────


def validated(data: bytes) -> None:
    strict, lenient = (validate(data, mode=mode) for mode in MODES)
    assert [f.rule for f in strict] == [f.rule for f in lenient], "the mode changes what is found"
    assert strict == validate(data), "the same bytes give other findings"
    for finding in strict:
        assert finding.message, finding
        assert finding.severity in ("error", "warning", "info"), finding
        assert finding.segment is not None, finding
        assert finding.segment >= 1, finding
        assert finding.snip in range(1, 8) or finding.rule == "x12.limit", finding
        assert finding.offset is not None, finding
        assert 0 <= finding.offset <= len(data), finding
    listed = examine(data, limit=3).findings
    assert len(listed) <= 3, "more findings than asked"
    if any(f.severity == "error" for f in strict):
        assert listed, "the limit hides that there are findings"


def answered(data: bytes) -> None:
    made = acknowledge(data, on=ON, control=5, answer_ta1="always")
    for answer in (made.ta1, made.functional_999):
        if answer is not None:
            assert validate(answer) == [], "an answer that is not valid itself"
            assert read(answer).findings == [], "an answer that our reader doubts"
    for seen in made.answers:
        assert seen.code in ("A", "E", "R"), seen.code


def read_alike(data: bytes) -> None:
    """One number and one offset for each segment, whoever reads; and how the bytes arrive changes nothing."""
    plain = list(iter_segments(data))
    walked: list[str] = []
    report = walk(data, lambda number, text, marks, *_: walked.append(text.split(marks.element)[0].strip().upper()))
    ids = [segment.id.strip().upper() for segment in plain]
    assert walked[: len(ids)] == ids, "the validator cuts otherwise than the plain reader"
    assert len(walked) <= len(ids) + 1, "the validator sees segments that are none"
    offsets = {segment.number: segment.offset for segment in plain}
    for finding in report.findings:
        if finding.rule != "x12.unterminated" and finding.segment in offsets:
            assert finding.offset == offsets[finding.segment], finding
    numbers = {segment.number for segment in plain}
    whole = read(data)
    for name, table in whole.tables.items():
        table.validate(full=True)
        if "segment" in table.column_names and name != "interchanges":
            assert set(table["segment"].to_pylist()) <= numbers | {None}, f"{name} has a row of no segment"
    assert whole.tables.keys() == read(data, mode="strict").tables.keys(), "the mode changes what is read"
    assert _rows(data, 512, 97) == _rows(data, 1 << 20, 1 << 20), "how bytes arrive changes the tables"
    assert identify(data) is not None


class _Kept:
    def __init__(self) -> None:
        self.rows: dict[str, list[dict[str, object]]] = {}

    def add(self, name: str, table: object) -> None:
        self.rows.setdefault(name, []).extend(table.to_pylist())  # type: ignore[attr-defined]


def _rows(data: bytes, window: int, block: int) -> dict[str, list[dict[str, object]]]:
    kept = _Kept()
    engine = Engine(kept, window=window)
    engine.file("f", (data[at : at + block] for at in range(0, len(data), block)))
    engine.finish()
    return {name: rows for name, rows in kept.rows.items() if rows}


def shown_masked(data: bytes) -> None:
    json.dumps(describe(data))
    json.dumps(describe(data, masked=False))
    assert x12_view.page(view(data, "f"))
    for row in view(data, "f").rows:
        assert row.text.isprintable(), row.number


CHECKS = (validated, answered, read_alike, shown_masked)


def cases(seed: int, seeds: Sequence[bytes]) -> Iterator[bytes]:
    for number in range(sys.maxsize):
        yield damaged(random.Random(f"{seed}/{number}"), seeds)


def run(seed: int, seconds: float, kept: Path, places: Sequence[Path]) -> Counter[str]:
    """Cases until the time is over. What fails is written to `kept`, one file a place in the code that it fails at."""
    seeds = list(good(places).values())
    count: Counter[str] = Counter(files=len(seeds))
    known: set[str] = set()
    end = time.monotonic() + seconds
    for data in cases(seed, seeds):
        if time.monotonic() > end:
            break
        count["cases"] += 1
        count["bytes"] += len(data)
        for check in CHECKS:
            begun = time.process_time()
            try:
                check(data)
            except Exception as error:
                place = traceback.extract_tb(error.__traceback__)[-1]
                name = f"{check.__name__}-{Path(place.filename).stem}-{place.lineno}"
                count[name] += 1
                if name not in known:
                    known.add(name)
                    kept.mkdir(parents=True, exist_ok=True)
                    (kept / f"{name}.x12").write_bytes(data)
                    (kept / f"{name}.txt").write_text(traceback.format_exc(), encoding="utf-8")
                    print(f"case {seed}/{count['cases'] - 1}: {name}: {error}"[:300], flush=True)
            taken = time.process_time() - begun
            if taken > 10 and f"slow {check.__name__}" not in known:
                known.add(f"slow {check.__name__}")
                kept.mkdir(parents=True, exist_ok=True)
                (kept / f"slow-{check.__name__}.x12").write_bytes(data)
                count["slow"] += 1
                print(f"case {seed}/{count['cases'] - 1}: {check.__name__} took {taken:.0f} s", flush=True)
    return count


if __name__ == "__main__":
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--seconds", type=float, default=600)
    asked.add_argument("--seed", type=int, default=1)
    asked.add_argument("--keep", type=Path, default=Path("fuzz-found"), help="where failing files are written")
    asked.add_argument("places", nargs="*", type=Path, help="files and folders of further good files")
    given = asked.parse_args()
    told = run(given.seed, given.seconds, given.keep, given.places)
    print(", ".join(f"{name}: {n:,}" for name, n in told.items()))
    sys.exit(1 if set(told) - {"files", "cases", "bytes"} else 0)

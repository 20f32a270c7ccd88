"""Tables made in other processes are those made in this one, and a process that is lost is told."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from benchmarks import x12_material
from transactions.x12_text import professional, remittance

from pipeline.errors import Transient
from pipeline.transactions import crew
from pipeline.transactions.bulk import export
from pipeline.transactions.engine import Engine

pytestmark = pytest.mark.skipif(not crew.possible(), reason="no fork on this system")
WINDOW = 20_000


class _Kept:
    def __init__(self) -> None:
        self.tables: dict[str, list[pa.Table]] = {}

    def add(self, name: str, table: pa.Table) -> None:
        self.tables.setdefault(name, []).append(table)


def _read(
    files: dict[str, bytes], processes: int, window: int = WINDOW, threads: int = 0
) -> tuple[dict[str, pa.Table], list[Any]]:
    kept = _Kept()
    with Engine(kept, window=window, processes=processes, threads=threads) as engine:
        for name, data in files.items():
            engine.file(name, [data[at : at + window] for at in range(0, len(data), window)])
        engine.finish()
    findings = sorted(engine.findings.items, key=lambda f: (f.file, f.offset or 0, f.rule))
    return {name: pa.concat_tables(parts) for name, parts in kept.tables.items()}, findings


def _material() -> dict[str, bytes]:
    large = x12_material.remittance(600, seed=3)
    wrong = bytearray(large)
    for at in range(
        20_000, len(large), 37_001
    ):  # amounts that are none, segments that no set has, ends that are missing
        wrong[at : at + 3] = b"9x9"
    return {
        "large.835": large,
        "newlines.835": large[:50_000].replace(b"~", b"~\r\n"),
        "wrong.835": bytes(wrong),
        "claims.837": x12_material.claims(400, seed=4),
        **{f"small{n:02d}.835": remittance(control=n + 1) for n in range(40)},
        "small.837": professional(),
        "cut.835": large[:-3000],
    }


@pytest.mark.parametrize(("processes", "threads"), [(1, 0), (2, 0), (3, 0), (0, 1), (0, 2), (0, 3)])
def test_tables_and_findings_are_the_same_whoever_makes_them(processes: int, threads: int) -> None:
    files = _material()
    tables, findings = _read(files, 0)
    others, other_findings = _read(files, processes, threads=threads)
    assert findings
    assert other_findings == findings
    assert list(others) == list(tables)
    assert all(others[name].equals(tables[name]) for name in tables)
    assert tables["835.claims"].num_rows > 1500


def test_files_written_are_the_same_to_the_byte(tmp_path: Path) -> None:
    source = tmp_path / "a.835"
    source.write_bytes(x12_material.remittance(14_000))  # several windows
    written = []
    for processes in (0, 1, 2):
        result = export([source], tmp_path / str(processes), processes=processes)
        assert result.rows["835.claims"] == 14_000
        written.append({name: path.read_bytes() for name, path in result.tables.items()})
    assert written[0] == written[1] == written[2]


def test_a_chunk_larger_than_the_room_is_read_here() -> None:
    """One claim that is larger than what the processes share goes the plain way, in its place among the others."""
    before, after = x12_material.remittance(100, seed=1), x12_material.remittance(100, seed=2)
    huge = x12_material.remittance(1).replace(b"SE*", b"LQ*HE*N130~" * 20_000 + b"SE*")
    files = {"a": before, "b": huge, "c": after}
    assert all(t.equals(_read(files, 0, 2_000)[0][n]) for n, t in _read(files, 2, 2_000)[0].items())


def _echo(buffer: np.ndarray, described: Any, cuts: Any) -> crew.Made:
    if described == "fail":
        raise KeyError("patient")
    if described == "cuts":
        return [], [cuts if cuts is None else [c.tolist() for c in cuts]]
    return [("t", pa.table({"x": np.repeat(buffer, described)}))], [described]


def _give(team: crew.Crew, value: int, described: Any, cuts: int = 1) -> None:
    room = team.room(4)
    assert room is not None
    room[:] = value
    assert team.give(
        4, described, (np.arange(cuts), np.arange(2), np.arange(3, 5), np.full(2, 1 << 60, dtype=np.uint64))
    )


def test_places_of_delimiters_go_along_where_there_is_room() -> None:
    team = crew.Crew(_echo, 1, 1 << 12)
    try:
        for cuts in (0, 3, 1 << 12):
            _give(team, 1, "cuts", cuts)
            assert team.take() == ([], [[list(range(cuts)), [0, 1], [3, 4], [1 << 60] * 2] if cuts < 1 << 12 else None])
    finally:
        team.close()


def test_what_is_taken_comes_in_the_order_of_giving_and_may_be_larger_than_its_room() -> None:
    team = crew.Crew(_echo, 2, 1 << 12)
    try:
        for value, times in ((1, 1), (2, 100_000), (3, 2)):
            _give(team, value, times)
        taken = [team.take() for _ in range(3)]
    finally:
        team.close()
    assert [(t[0][1].num_rows, t[0][1]["x"][0].as_py(), noted) for t, noted in taken] == [
        (4, 1, [1]),
        (400_000, 2, [100_000]),
        (8, 3, [2]),
    ]


def test_an_error_in_a_process_is_raised_here_and_the_process_goes_on() -> None:
    team = crew.Crew(_echo, 1, 1 << 12)
    try:
        _give(team, 1, "fail")
        with pytest.raises(KeyError):
            team.take()
        _give(team, 5, 1)
        assert team.take()[1] == [1]
    finally:
        team.close()


def test_a_description_too_large_for_the_room_is_not_taken() -> None:
    team = crew.Crew(_echo, 1, 1 << 12)
    try:
        assert team.room(1 << 14) is None
        assert team.room(4) is not None
        assert not team.give(4, "x" * (1 << 14), (np.arange(1),) * 4)
        _give(team, 5, 1)
        assert team.take()[1] == [1]
    finally:
        team.close()


def test_a_process_that_is_gone_is_told() -> None:
    team = crew.Crew(_echo, 1, 1 << 12)
    try:
        os.kill(team._members[0][0], signal.SIGKILL)

        def give_and_take() -> None:
            _give(team, 1, 1)
            team.take()

        with pytest.raises(Transient, match="ended before its time"):
            give_and_take()
    finally:
        team.close()


def test_closing_leaves_no_process() -> None:
    team = crew.Crew(_echo, 2, 1 << 12)
    pids = [pid for pid, _ in team._members]
    team.close()
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)

"""A segment that is indented was told of only where the one before it was read in the same window: in strict mode the same file was
damaged or not by how its bytes came."""

from __future__ import annotations

import pytest
from transactions.x12_text import remittance

from pipeline.transactions.engine import Engine


class Nowhere:
    def add(self, name: str, table: object) -> None:
        pass


@pytest.mark.parametrize("blanks", [b" ", b"\t ", b" \n "])
@pytest.mark.parametrize("threads", [0, 2])
def test_it_is_told_wherever_the_window_ends(threads: int, blanks: bytes) -> None:
    good = remittance()
    at = good.index(b"~CLP*") + 1
    data = good[:at] + blanks + good[at:]
    found = set()
    for window in (200, 300, at, at + 20, at + len(blanks) + 200, 1 << 20):
        with Engine(Nowhere(), window=window, threads=threads) as engine:
            engine.file("f", (data[n : n + window] for n in range(0, len(data), window)))
            engine.finish()
        found.add(
            tuple((f.segment, f.segment_id, f.offset) for f in engine.findings.items if f.rule == "envelope.blank")
        )
    assert found == {((good[:at].count(b"~") + 1, "CLP", at + len(blanks)),)}


@pytest.mark.parametrize("filling", [b"\n", b"\r\n", b"\t"])
def test_what_may_stand_between_segments_is_told_nowhere(filling: bytes) -> None:
    data = remittance().replace(b"~", b"~" + filling)
    for window in (200, 300, 1 << 20):
        engine = Engine(Nowhere(), window=window)
        engine.file("f", (data[n : n + window] for n in range(0, len(data), window)))
        engine.finish()
        assert not engine.findings.items

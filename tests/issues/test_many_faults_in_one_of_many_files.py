"""Segments of no set, more of them than are listed: they took the room of the files behind theirs, and were not all counted."""

from __future__ import annotations

import pytest
from transactions.x12_text import remittance

from pipeline.transactions.engine import Engine


class Nowhere:
    def add(self, name: str, table: object) -> None:
        pass


def strays(many: int) -> bytes:
    """An interchange with so many segments that stand in no set."""
    data = remittance()
    return data.replace(b"~GE*1*", b"~XX*1" * many + b"~GE*1*")


@pytest.mark.parametrize("window", [1 << 20, 2000])
def test_each_file_has_its_own_room_and_its_own_count(window: int) -> None:
    engine = Engine(Nowhere(), limit=10, window=window)
    for name, many in (("a", 500), ("b", 3), ("c", 12)):
        engine.file(name, [strays(many)])
    engine.finish()
    found = {
        name: [f for f in engine.findings.items if f.file == name and f.rule == "envelope.outside_set"]
        for name in "abc"
    }
    assert [len(found[name]) for name in "abc"] == [10, 3, 10]
    assert all(f.segment_id == "XX" for name in "abc" for f in found[name])
    more = {f.file: f.message.split()[0] for f in engine.findings.items if f.rule == "findings.limit"}
    assert more == {"a": "490", "c": "2"}


@pytest.mark.parametrize("window", [1 << 20, 2000])
def test_characters_are_named_once_a_file(window: int) -> None:
    engine = Engine(Nowhere(), window=window)
    data = strays(2000).replace(b"XX*1", b"XX*\xc9\x07")
    for name in ("a", "b"):
        engine.file(name, (data[at : at + window] for at in range(0, len(data), window)))
    engine.finish()
    named = [(f.file, f.rule) for f in engine.findings.items if f.rule.startswith("text.")]
    assert named == [(f, r) for f in "ab" for r in ("text.control_character", "text.not_ascii")]

"""A damaged remittance is read alike however its bytes arrive: found by reading damaged files in pieces of odd sizes.

An 835 without claims took what followed its header (here the TRN of another set's kind) for the payment's as far as the bytes at
hand reached; and an HL inside a claim, which only claims of an 837 begin with, parted its lines from it.
"""

from __future__ import annotations

from typing import Any

import pytest
from transactions.x12_text import remittance

from pipeline.transactions.engine import Engine


class Kept:
    def __init__(self) -> None:
        self.rows: dict[str, list[dict[str, Any]]] = {}

    def add(self, name: str, table: Any) -> None:
        self.rows.setdefault(name, []).extend(table.to_pylist())


def read(data: bytes, window: int, block: int) -> tuple[dict[str, list[dict[str, Any]]], list[str]]:
    kept = Kept()
    engine = Engine(kept, window=window)
    engine.file("f", (data[at : at + block] for at in range(0, len(data), block)))
    engine.finish()
    return {name: rows for name, rows in kept.rows.items() if rows}, sorted(map(str, engine.findings.items))


STRAY = b"HL*2*1*21*1~NM1*41*2*X*****46*Y~TRN*2*ANOTHER~REF*EV*ELSE~"


@pytest.mark.parametrize(("window", "block"), [(128, 128), (200, 33), (333, 7), (512, 97)])
@pytest.mark.parametrize("damage", ["header", "claim"])
def test_the_same_rows(damage: str, window: int, block: int) -> None:
    whole = remittance()
    if damage == "header":
        data = whole[: whole.index(b"LX*")] + STRAY * 9 + whole[whole.index(b"SE*") :]
    else:
        at = whole.index(b"SVC*")
        data = whole[:at] + STRAY + whole[at:]
    at_once = read(data, 1 << 20, 1 << 20)
    [payment] = at_once[0]["835.payments"]
    assert payment["trace"] == read(whole, 1 << 20, 1 << 20)[0]["835.payments"][0]["trace"]
    assert any("segment.unknown" in finding for finding in at_once[1])
    if damage == "claim":
        assert len(at_once[0]["835.service_lines"]) == whole.count(b"~SVC*")
    assert read(data, window, block) == at_once


@pytest.mark.parametrize("blank", [b"\n" * 4 + (b"\n" * 8 + b"~") * 68, b"\n" + (b"~" + b"\n" * 8) * 69])
def test_a_window_of_nothing_but_empty_segments(blank: bytes) -> None:
    """Found by the fuzz target: what was held then was one empty segment, of which no smallest byte could be asked."""
    assert read(remittance() + blank, 128, 128)[0] == read(remittance(), 1 << 20, 1 << 20)[0]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\n\n"])
def test_a_loose_isa_after_a_file_whose_segments_end_with_newlines(end: bytes) -> None:
    """The newline before it is the terminator of the segment before, and no blank after one: it was passed over where it was in view."""
    first = remittance().replace(b"~", end)
    loose = remittance(control=2).replace(b"SENDER         ", b"A VERY LONG SENDER ID", 1)
    at_once = read(first + loose, 1 << 20, 1 << 20)
    assert [row["interchange_control"] for row in at_once[0]["835.payments"]] == ["000000001", "000000002"]
    for window, block in ((512, 97), (700, 64), (len(first), len(first))):
        assert read(first + loose, window, block) == at_once

"""'The same file is read from the network drive and refused from the disk.' A letter stood before an ISA that had lost a blank: in
one piece it was junk, but where a read ended after the letter the rest looked like the beginning of a file."""

from __future__ import annotations

import pytest
from transactions.x12_text import remittance

from pipeline.transactions.engine import Engine

LOOSE = remittance().replace(b"ISA*00*", b"ISA*0*", 1)


class _Names:
    def __init__(self) -> None:
        self.found: set[str] = set()

    def add(self, name: str, table: object) -> None:
        self.found.add(name)


@pytest.mark.parametrize("block", [1, 2, 7, 1 << 20])
@pytest.mark.parametrize(("before", "read"), [(b"I", False), (b"X\r\n", False), (b"", True), (b"\r\n ", True)])
def test_a_loose_isa_counts_only_at_the_beginning_however_the_bytes_come(block: int, before: bytes, read: bool) -> None:
    data, names = before + LOOSE, _Names()
    engine = Engine(names, window=20)
    engine.file("f", (data[at : at + block] for at in range(0, len(data), block)))
    engine.finish()
    assert ("835.claims" in names.found) is read
    rules = [f.rule for f in engine.findings.items]
    assert rules == (["envelope.isa_width"] if read else ["envelope.junk", "envelope.isa_missing"])

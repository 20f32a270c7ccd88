"""`SE` with a NUL behind it was taken for SE by its number, and stopped the reader with a traceback."""

from __future__ import annotations

import pytest
from transactions.x12_text import remittance

from pipeline.transactions import read
from pipeline.transactions.inspect import describe


@pytest.mark.parametrize("name", [b"ISA", b"GS", b"ST", b"SE", b"GE", b"IEA", b"TA1"])
def test_an_id_with_a_nul_is_told_and_stops_nothing(name: bytes) -> None:
    good = remittance()
    data = (
        good.replace(b"~" + name + b"*", b"~" + name + b"\0*")
        if name != b"ISA"
        else good + good.replace(b"ISA*", b"ISA\0*")
    )
    if name == b"TA1":
        data = good.replace(b"~GS*", b"~TA1\0*000000001*260104*1200*A*000~GS*")
    assert data != good
    assert any(f.severity == "error" for f in read(data).findings)
    assert describe(data)["findings"]["error"]

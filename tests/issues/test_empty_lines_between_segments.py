"""'The export of one payer has the dates of one claim at the next one.' Newlines ended its segments, and one line was empty."""

from __future__ import annotations

import pytest
from compiled_kernel import built
from transactions.x12_text import remittance

from pipeline.transactions import read
from pipeline.x12.kernel import using


@pytest.mark.parametrize("compiled", [False, True])
def test_an_empty_line_moves_no_segment_to_another_claim(compiled: bool) -> None:
    data = remittance(delimiters="*^:\n")
    claim = data.index(b"\n", data.index(b"CLP*")) + 1
    with using(built() if compiled else None):
        plain = read(data).tables
        spaced = read(data[:claim] + b"\n" + data[claim:]).tables
    assert plain["835.claims"].column("patient_last").to_pylist()[0] == "DOE"
    for name in ("835.claims", "835.service_lines", "835.adjustments"):
        assert spaced[name].equals(plain[name])

"""A level whose HL01 is wrong, and one below it whose HL02 is: which number was advised changed from run to run."""

from __future__ import annotations

import pytest
from transactions.x12_text import interchange

from pipeline.x12.validator import validate


@pytest.mark.parametrize("given", ["2", ""])
def test_the_number_that_it_will_have(given: str) -> None:
    data = interchange(
        f"BHT*0019*00*1*20260105*0830*CH~HL*{given}**20*1~HL*2*9*22*0",
        kind="837",
        functional="HC",
        version="005010X222A1",
    )
    [parent] = [f for f in validate(data) if f.rule == "hl.parent"]
    assert parent.fix == "Send its HL01, 1."

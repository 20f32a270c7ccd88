"""'The payer's file ends with IEA, and it is set aside as cut off.' Where a line end closes the segments, the last line often has none,
and an editor drops it. All nine digits of the number are there, so nothing is lost; one digit less, and the file is cut."""

from __future__ import annotations

from datetime import date

import pytest
from transactions.x12_text import remittance

from pipeline import transactions
from pipeline.transport import routing
from pipeline.x12.acknowledge import acknowledge
from pipeline.x12.segments import iter_segments
from pipeline.x12.validator import validate

PLAIN = remittance()
LINES = PLAIN.replace(b"~", b"\n")


@pytest.mark.parametrize("data", [PLAIN[:-1], PLAIN[:-1] + b"\r\n", LINES[:-1], PLAIN[:-1] + b"\x1a"])
def test_a_whole_iea_without_its_terminator_ends_the_file(data: bytes) -> None:
    result = transactions.read(data, file="f")
    assert {name: t.num_rows for name, t in result.tables.items()} == {
        name: t.num_rows for name, t in transactions.read(PLAIN, file="f").tables.items()
    }
    assert [(f.rule, f.severity) for f in result.findings if f.rule != "envelope.trailing_control"] == [
        ("envelope.iea_unterminated", "warning")
    ]
    (told,) = [f for f in validate(data, mode="lenient") if f.segment_id == "IEA"]
    assert (told.rule, told.severity, data[told.offset : told.offset + 3]) == (
        "x12.iea-unterminated",
        "warning",
        b"IEA",
    )
    assert [f.severity for f in validate(data) if f.segment_id == "IEA"] == ["error"]
    assert [s.id for s in iter_segments(data)][-1] == "IEA"
    assert routing.incomplete(data) == ""


@pytest.mark.parametrize("less", [2, 3, 10, 12])
def test_one_digit_less_is_a_file_that_was_cut(less: int) -> None:
    data = PLAIN[:-less]
    assert "truncated.segment" in [f.rule for f in transactions.read(data).findings if f.severity == "error"]
    assert "x12.unterminated" in [f.rule for f in validate(data, mode="lenient") if f.severity == "error"]
    assert routing.incomplete(data) == "no_iea"


def test_a_receiver_says_that_the_file_ended_too_early() -> None:
    made = acknowledge(PLAIN[:-1], on=date(2026, 11, 20), control=1, answer_ta1="due")
    assert [(one.code, one.note) for one in made.answers] == [("R", "023")]

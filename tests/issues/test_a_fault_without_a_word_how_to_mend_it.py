"""'SV1 belongs to no claim line and is left out. And what shall I do now?' Each error of a file that is read says how it is mended."""

from __future__ import annotations

import pytest
from transactions.x12_text import interchange, professional

from pipeline.transactions import read

ACKNOWLEDGED = "AK1*HC*1*005010X222A1~IK5*A~AK9*A*1*1*1~"


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (professional().replace(b"LX*1~", b"", 1), "structure.outside_line"),
        (professional().replace(b"HL*2*1*22", b"HL*2*9*22", 1), "structure.hl02"),
        (professional().replace(b"HL*2*1*22", b"HL*2*1*99", 1), "structure.no_subscriber"),
        (professional().replace(b"D8*20251104~", b"D8*20251304~", 1), "date.form"),
        (interchange(ACKNOWLEDGED, kind="999", version="005010X231A1", functional="FA"), "acknowledgment.set"),
    ],
    ids=lambda given: given if isinstance(given, str) else "",
)
def test_an_error_says_how_it_is_mended(data: bytes, rule: str) -> None:
    errors = [finding for finding in read(data, file="claims.edi").findings if finding.severity == "error"]
    assert rule in {finding.rule for finding in errors}
    assert [finding.rule for finding in errors if not finding.fix] == []

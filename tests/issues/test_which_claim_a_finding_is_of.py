"""'In five thousand claims, segment 48,210 of loop 2300 tells a script nothing.' With --json a finding names its claim."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli.commands import claimpipe
from x12.x12_files import FILES, lines, render


def spoilt(kind: str, segment: str, instead: str) -> bytes:
    segments = lines(FILES[kind])
    segments[segments.index(segment)] = instead
    return render(segments)


@pytest.mark.parametrize(
    ("kind", "segment", "instead", "claim"),
    [
        ("837P", "SV1*HC:99213*100*UN*1***1:2", "SV1*HC:99213*101*UN*1***1:2", "C1"),
        ("277CA", "DTP*472*D8*20261101", "DTP*472*D8*20261301", "C1"),
        ("277CA", "STC*A7:562:85*20261121*U*50", "STC*A7:562:85*20261121*Q*50", "C2"),
        ("277CA", "QTY*QA*1", "QTY*QA*7", ""),  # the provider's total is of no claim
        ("277CA", "GE*1*1", "GE*2*1", ""),
    ],
)
def test_the_claim_where_there_is_one(kind: str, segment: str, instead: str, claim: str, tmp_path: Path) -> None:
    file = tmp_path / "a.edi"
    file.write_bytes(spoilt(kind, segment, instead))
    found = claimpipe("validate", "--json", file).lines
    assert [one["subject"] for one in found] == [claim]


def test_of_a_remittance_the_claim_number_that_the_payer_gives_back(tmp_path: Path) -> None:
    segments = lines(FILES["835"])
    (at,) = [n for n, text in enumerate(segments) if text.startswith("CLP*")][:1]
    parts = segments[at].split("*")
    file = tmp_path / "a.edi"
    file.write_bytes(render([*segments[:at], "*".join([*parts[:2], "5", *parts[3:]]), *segments[at + 1 :]]))
    (found,) = claimpipe("validate", "--json", file).lines
    assert (found["segment_id"], found["subject"]) == ("CLP", parts[1])


def test_what_looks_like_a_name_is_not_repeated(tmp_path: Path) -> None:
    file = tmp_path / "a.edi"
    file.write_bytes(
        spoilt("277CA", "TRN*2*C2", "TRN*2*JANE DOE").replace(b"A7:562:85*20261121*U", b"A7:562:85*20261121*Q")
    )
    ran = claimpipe("validate", "--json", file)
    assert [one["subject"] for one in ran.lines] == [""]
    assert "JANE" not in ran.out

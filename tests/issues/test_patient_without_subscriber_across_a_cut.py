"""A file whose subscriber level is lost: the patient of a claim was read, or not, by where a large file happened to be cut."""

from __future__ import annotations

from typing import Any

from transactions.x12_text import professional

from pipeline.transactions.engine import Engine


class Rows:
    def __init__(self) -> None:
        self.claims: list[dict[str, Any]] = []

    def add(self, name: str, table: Any) -> None:
        if name == "837.claims":
            self.claims += table.to_pylist()


def claims(data: bytes, window: int) -> list[dict[str, Any]]:
    rows = Rows()
    engine = Engine(rows, window=window)
    engine.file("f", (data[at : at + window] for at in range(0, len(data), window)))
    engine.finish()
    return rows.claims


def test_the_patient_is_the_same_wherever_the_file_is_cut() -> None:
    text = professional().decode()
    start, stop = text.index("HL*2*1*22"), text.index("CLM*")
    claim = text[stop : text.index("~SE*") + 1]
    patient = "HL*3*2*23*0~PAT*19~NM1*QC*1*ROE*JANE~N3*1 OAK~N4*BOSTON*MA*02101~DMG*D8*20100101*F~"
    data = (text[:start] + patient + claim * 3 + text[text.index("~SE*") + 1 :]).encode()
    whole = claims(data, 1 << 20)
    assert {row["patient_last"] for row in whole} == {"ROE"}
    for window in (256, 512, 777):
        assert claims(data, window) == whole

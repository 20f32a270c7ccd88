"""A file in parts is the same rows and findings as the file at once, and each set stands in one part."""

from __future__ import annotations

import pyarrow as pa
import pytest
from ledger.books import file_835, remittance

from pipeline import transactions
from pipeline.transactions import engine

CLAIM = "CLP*C{0}*1*100*80**12*I{0}*11\nCAS*CO*45*20\nSVC*HC:99213*100*80\nDTM*472*20261120\nCAS*CO*45*20"


def many(sets: int, claims: int) -> bytes:
    made = [
        remittance(
            "\n".join(CLAIM.format(f"{s}N{n}") for n in range(claims)), amount=str(80 * claims), trace=f"T{s}",
            tail="PLB*1234567893*20261231*L6:X*0",
        )
        for s in range(sets)
    ]  # fmt: skip
    half = sets // 2
    return file_835(*made[:half]) + file_835(*made[half:], control=2)


@pytest.mark.parametrize("damage", ["", "claim", "end"])
@pytest.mark.parametrize("rows", [1, 300, 10_000_000])
def test_parts_are_the_file(rows: int, damage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transactions, "WINDOW", 4_096)
    monkeypatch.setattr(
        engine.Engine.__init__, "__kwdefaults__", engine.Engine.__init__.__kwdefaults__ | {"window": 4_096}
    )
    data = many(12, 30)
    if damage == "claim":
        data = data.replace(b"CLP*C7N5*1*100*80", b"CLP*C7N5*1*1x0*80")
    elif damage == "end":
        data = data[:-2_000]
    whole = transactions.read(data, file="F")
    parts: list[dict[str, pa.Table]] = []
    findings = transactions.read_in_parts(data, parts.append, file="F", rows=rows)
    assert findings == whole.findings
    assert bool(findings) == bool(damage)
    for name, table in whole.tables.items():
        got = [part[name] for part in parts if name in part]
        assert sorted(map(str, pa.concat_tables(got).to_pylist())) == sorted(map(str, table.to_pylist()))
    of_sets = [
        {n for t in part.values() for n in t.column("set_number").to_pylist() if n is not None} for part in parts
    ]
    assert sum(map(len, of_sets)) == len(set().union(*of_sets)) == 12
    assert (len(parts) > 3) == (rows < 1_000)

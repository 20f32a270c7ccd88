"""Independent readings of what the payer writes: pyx12 for X12, and the flat formats taken apart by their positions."""

from __future__ import annotations

import io
import logging
from collections import defaultdict
from decimal import Decimal
from pathlib import Path
from typing import Any

from pipeline.x12.segments import Segment, iter_segments


def pyx12_accepts(data: bytes, folder: Path) -> bool:
    """The verdict of pyx12 on a whole file. (Its 999 for an 835 fails without ST03; its verdict does not depend on it.)"""
    import pyx12.params
    import pyx12.x12n_document

    logging.getLogger("pyx12").setLevel(logging.CRITICAL + 1)
    path = folder / "checked.edi"
    path.write_bytes(data)
    return bool(
        pyx12.x12n_document.x12n_document(
            param=pyx12.params.params(), src_file=str(path), fd_997=io.StringIO(), fd_html=None
        )
    )


def remittances(data: bytes) -> list[dict[str, Any]]:
    """Each ST of an 835 with its amounts as decimals, its claims, lines, adjustments; read segment by segment."""
    out: list[dict[str, Any]] = []
    claim: dict[str, Any] = {}
    line: dict[str, Any] | None = None
    for s in iter_segments(data):
        if s.id == "ST":
            out.append({"claims": [], "plb": []})
        elif s.id == "BPR":
            out[-1].update(amount=Decimal(s.element(2)), method=s.element(4), date=s.element(16), account=s.element(15),
                           handling=s.element(1))  # fmt: skip
        elif s.id == "TRN":
            out[-1].update(trace=s.element(2), origin=s.element(3))
        elif s.id == "CLP":
            claim = {"id": s.element(1), "status": s.element(2), "charge": Decimal(s.element(3)),
                     "paid": Decimal(s.element(4)), "patient": Decimal(s.element(5) or 0), "number": s.element(7),
                     "cas": [], "lines": []}  # fmt: skip
            line = None
            out[-1]["claims"].append(claim)
        elif s.id == "SVC":
            line = {"charge": Decimal(s.element(2)), "paid": Decimal(s.element(3)), "cas": [], "control": ""}
            claim["lines"].append(line)
        elif s.id == "REF" and s.element(1) == "6R" and line is not None:
            line["control"] = s.element(2)
        elif s.id == "CAS":
            (line or claim)["cas"] += trios(s)
        elif s.id == "PLB":
            for at in range(3, len(s.elements), 2):
                out[-1]["plb"].append((s.component(at, 1), s.component(at, 2), Decimal(s.element(at + 1))))
    return out


def trios(s: Segment) -> list[tuple[str, str, Decimal]]:
    return [
        (s.element(1), s.element(at), Decimal(s.element(at + 1)))
        for at in range(2, len(s.elements), 3)
        if s.element(at)
    ]


def assert_balanced(remittance: dict[str, Any]) -> None:
    """The three balances of an 835, worked from the segments."""
    for claim in remittance["claims"]:
        taken = sum((a for *_, a in claim["cas"]), Decimal(0))
        for line in claim["lines"]:
            of_line = sum((a for *_, a in line["cas"]), Decimal(0))
            assert line["charge"] - of_line == line["paid"]
            taken += of_line
        assert claim["charge"] - taken == claim["paid"]
    plb = sum((a for *_, a in remittance["plb"]), Decimal(0))
    assert sum((c["paid"] for c in remittance["claims"]), Decimal(0)) - plb == remittance["amount"] >= 0


def nacha_entries(data: bytes) -> list[dict[str, Any]]:
    """Entries with their addenda; every control total of the file is worked again."""
    records = data.decode("ascii").splitlines()
    assert all(len(r) == 94 for r in records)
    assert len(records) % 10 == 0
    entries: list[dict[str, Any]] = []
    batch: list[dict[str, Any]] = []
    hashes = credits = batches = 0
    header = ""
    for r in records:
        if r.startswith("5"):
            header, batch = r, []
        elif r.startswith("6"):
            assert aba_valid(r[3:12])
            batch.append({"code": r[1:3], "routing": r[3:12], "account": r[12:29].strip(), "cents": int(r[29:39]),
                          "trace_number": r[79:94], "description": header[53:63], "class": header[50:53],
                          "effective": header[69:75], "company": header[40:50].strip(), "addenda": ""})  # fmt: skip
            assert r[78] == "1"
        elif r.startswith("7"):
            assert r[1:3] == "05"
            assert r[87:94] == batch[-1]["trace_number"][-7:]
            batch[-1]["addenda"] = r[3:83].strip()
        elif r.startswith("8"):
            batches += 1
            assert int(r[4:10]) == 2 * len(batch)
            assert int(r[10:20]) == sum(int(e["routing"][:8]) for e in batch) % 10**10
            assert int(r[20:32]) == 0
            assert int(r[32:44]) == sum(e["cents"] for e in batch)
            assert r[87:94] == header[87:94]
            hashes += int(r[10:20])
            credits += int(r[32:44])
            entries += batch
        elif r.startswith("9") and r != "9" * 94:
            assert int(r[1:7]) == batches
            assert int(r[7:13]) == len(records) // 10
            assert int(r[13:21]) == 2 * len(entries)
            assert int(r[21:31]) == hashes % 10**10
            assert int(r[43:55]) == credits
    numbers = [e["trace_number"] for e in entries]
    assert numbers == sorted(set(numbers))
    return entries


def aba_valid(routing: str) -> bool:
    return len(routing) == 9 and sum(int(d) * w for d, w in zip(routing, (3, 7, 1) * 3, strict=True)) % 10 == 0


def bai2_deposits(data: bytes) -> list[dict[str, Any]]:
    """Deposits with their text put together from 16 and 88; every control total of the file is worked again."""
    deposits: list[dict[str, Any]] = []
    lines = data.decode("ascii").splitlines()
    logical: list[tuple[str, int]] = []
    for line in lines:
        if line.startswith("88,"):
            text, count = logical[-1]
            logical[-1] = (text + line[3:], count + 1)
        else:
            logical.append((line, 1))
    totals: dict[str, int] = defaultdict(int)
    records: dict[str, int] = defaultdict(int)
    day = account = ""
    accounts = groups = 0
    for text, count in logical:
        kind, _, rest = text.partition(",")
        fields = rest.rstrip("/").split(",")
        for level in ("49", "98", "99"):
            records[level] += count
        if kind == "02":
            day, accounts, totals["98"], records["98"] = fields[3], 0, 0, count
        elif kind == "03":
            account, totals["49"], records["49"] = fields[0], int(fields[3]), count
        elif kind == "16":
            code, cents, _funds, bank, _customer, free = rest.split(",", 5)
            totals["49"] += int(cents)
            deposits.append(
                {"day": day, "account": account, "code": code, "cents": int(cents), "reference": bank, "text": free}
            )
        elif kind == "49":
            assert [int(f) for f in fields] == [totals["49"], records["49"]]
            totals["98"] += totals["49"]
            accounts += 1
        elif kind == "98":
            assert [int(f) for f in fields] == [totals["98"], accounts, records["98"]]
            totals["99"] += totals["98"]
            groups += 1
        elif kind == "99":
            assert [int(f) for f in fields] == [totals["99"], groups, records["99"]]
    return deposits

"""Sums of every readable 835 and 837 of the samples against a count that shares nothing with the reader.

The count splits text at the delimiters that the ISA's places name and adds with Decimal. Where it and the reader must differ,
`REASONS` names the file and why.
"""

from __future__ import annotations

import csv
import os
from collections import Counter
from decimal import Decimal, InvalidOperation
from pathlib import Path

import pytest

from pipeline.transactions import read

SAMPLES = Path(os.environ.get("CLAIMPIPE_SAMPLES", Path(__file__).resolve().parents[3] / "shared" / "samples"))
INDEX = SAMPLES / "x12" / "INDEX.tsv"
#: file → totals that the reader leaves out on purpose
REASONS = {
    "x12/837P/hccinfhir__sample_837_11.txt": ({"line_charge", "lines"}, "its SV1 stands in no LX: an error, not a row"),
    "x12/837P/imsweb__x12_missing_required_loops_mult_repeats.txt": (
        {"line_charge", "lines"},
        "two SV1 stand in no LX: errors, not rows",
    ),
}

if not INDEX.exists():
    if os.environ.get("CI"):
        raise FileNotFoundError(f"The samples are missing: {INDEX}")
    pytest.skip("the samples are not here", allow_module_level=True)


def _rows() -> list[dict[str, str]]:
    with INDEX.open(encoding="utf-8", newline="") as handle:
        return [r for r in csv.DictReader(handle, delimiter="\t") if r["kind"].startswith(("835", "837"))]


FILES = [r["path"] for r in _rows()]


def naive_segments(text: str) -> list[list[str]]:
    """Segments by plain splitting: only for files of one delimiter set, which those of the samples are."""
    text = text.removeprefix("\ufeff").lstrip()
    if not text.startswith("ISA"):
        return []
    separator = text[3]
    parts = text.split(separator, 17)
    rest = parts[16][1:]
    terminator = rest[0] if rest[0] not in "\r\n" or rest.lstrip("\r\n")[:2] == "GS" else rest.lstrip("\r\n")[0]
    return [s.strip("\r\n ").split(separator) for s in text.split(terminator) if s.strip("\r\n ")]


def amount(text: str) -> Decimal:
    """A plain amount; anything else counts as nothing (the reader gives null and a finding)."""
    try:
        value = Decimal(text) if text and set(text) <= set("0123456789.-") else Decimal(0)
    except InvalidOperation:
        return Decimal(0)
    return value if value == value.quantize(Decimal("0.01")) else Decimal(0)


def naive_totals(text: str) -> Counter[str]:
    total: Counter[str] = Counter()
    kind, in_claim = "", False
    for e in naive_segments(text):
        e = e + [""] * 25
        match kind, e[0]:
            case _, "ST":
                kind, in_claim = e[1], False
            case "835", "CLP":
                in_claim = True
                total.update(claims=1, charge=amount(e[3]), paid=amount(e[4]), share=amount(e[5]))
            case "835", "SVC":
                total.update(lines=1, line_charge=amount(e[2]), line_paid=amount(e[3]))
            case "835", "CAS" if in_claim:
                total.update(adjustment=sum((amount(e[i]) for i in range(3, 20, 3)), Decimal(0)))
            case "835", "PLB":
                total.update(provider=sum((amount(e[i]) for i in range(4, 15, 2)), Decimal(0)))
            case "835", "BPR":
                total.update(payment=amount(e[2]))
            case "837", "CLM":
                total.update(claims=1, charge=amount(e[2]))
            case "837", "SV1" | "SV2" | "SV3":
                total.update(lines=1, line_charge=amount(e[3 if e[0] == "SV2" else 2]))
            case "837", "HI":
                total.update(codes=sum(1 for x in e[1:] if x))
            case "837", "NM1":
                total.update(parties=1)
    return Counter({k: v for k, v in total.items() if v})


#: name of a total → (table, column; '' counts rows)
READ = {
    "835": {
        "payment": ("payments", "amount"), "claims": ("claims", ""), "charge": ("claims", "charge"), "paid": ("claims", "paid"),
        "share": ("claims", "patient_responsibility"), "lines": ("service_lines", ""), "line_charge": ("service_lines", "charge"),
        "line_paid": ("service_lines", "paid"), "adjustment": ("adjustments", "amount"),
        "provider": ("provider_adjustments", "amount"),
    },
    "837": {
        "claims": ("claims", ""), "charge": ("claims", "charge"), "lines": ("service_lines", ""),
        "line_charge": ("service_lines", "charge"), "codes": ("diagnoses", ""), "parties": ("parties", ""),
    },
}  # fmt: skip


def read_totals(data: bytes) -> Counter[str]:
    tables = read(data).tables
    total: Counter[str] = Counter()
    for kind, names in READ.items():
        for name, (table, column) in names.items():
            have = tables.get(f"{kind}.{table}")
            if have is not None:
                values = [v for v in have[column].to_pylist() if v is not None] if column else []
                total[name] += sum(values, Decimal(0)) if column else have.num_rows
    return Counter({k: v for k, v in total.items() if v})


@pytest.mark.parametrize("path", FILES)
def test_totals_equal_an_independent_count(path: str) -> None:
    data = (SAMPLES / path).read_bytes()
    expected, found = naive_totals(data.decode("utf-8", "replace")), read_totals(data)
    different = {k for k in {*expected, *found} if expected[k] != found[k]}
    allowed, reason = REASONS.get(path, (set(), ""))
    assert different == allowed, (path, reason, {k: (str(expected[k]), str(found[k])) for k in different})


def test_the_samples_hold_what_the_count_needs() -> None:
    """A count that reads nothing would agree with a reader that reads nothing."""
    totals = [naive_totals((SAMPLES / p).read_bytes().decode("utf-8", "replace")) for p in FILES]
    whole: Counter[str] = Counter()
    for total in totals:
        whole.update(total)
    assert whole["claims"] > 1500
    assert sum(1 for t in totals if t["claims"]) > 130
    assert all(whole[k] for k in {*READ["835"], *READ["837"]})


def test_sums_agree_with_the_facts_of_the_index() -> None:
    """The index of the samples was counted by others."""
    import json

    compared = 0
    for row in _rows():
        facts = json.loads(row["facts_json"] or "{}")
        found = read_totals((SAMPLES / row["path"]).read_bytes())
        if not found or row["path"] in REASONS:
            continue
        assert found["claims"] == facts.get("claims", 0), row["path"]
        if "charges" in facts:
            assert found["charge"] == Decimal(facts["charges"]), row["path"]
            assert found["lines"] == facts["lines"], row["path"]
        bpr = [b for b in str(facts.get("bpr", "")).split("|") if b not in ("", "None")]
        assert found["payment"] == sum((Decimal(b) for b in bpr), Decimal(0)), row["path"]
        compared += 1
    assert compared > 120

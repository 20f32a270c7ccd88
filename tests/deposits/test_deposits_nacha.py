"""NACHA: CCD+ with its TRN, control totals, and what is no payment."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.deposits import nacha

FILE = """\
101 011000015 0910000192611270800A094101CLINIC BANK            PAYER BANK
5220ACME INSURANCE                      1999999991CCDHCCLAIMPMT261127261130   1091000010000001
622011000015123456789        00000120001234567893     CLINIC                  1091000010000001
705TRN*1*T1*1999999991\\                                                           00010000001
622011000015123456789        00000055001234567893     CLINIC                  1091000010000002
705TRN*1*T2*1999999991*ABC~                                                        00010000002
822000000400022000020000000000000000000175001999999991                         091000010000001
9000001000001000000040002200002000000000000000000017500
"""


def parse(text: str) -> nacha.NachaFile:
    lines = [line.ljust(94) for line in text.splitlines()]
    return nacha.read("\n".join(lines).encode(), file="f")


def test_efts_with_their_traces() -> None:
    found = parse(FILE)
    assert found.findings == []
    assert found.batches == 1
    first, second = found.efts
    assert (first.trace, first.origin, first.cents, first.effective, first.bank_trace, first.company_id) == (
        "T1", "1999999991", 12_000, date(2026, 11, 30), "091000010000001", "1999999991",
    )  # fmt: skip
    assert (second.trace, second.cents) == ("T2", 5_500)


def test_records_without_line_ends() -> None:
    lines = [line.ljust(94) for line in FILE.splitlines()]
    assert [e.trace for e in nacha.read("".join(lines).encode()).efts] == ["T1", "T2"]


BROKEN = {
    "entry hash of the batch": ("82200000040002200002", "82200000040002200003", "nacha.batch_totals"),
    "count of the batch": ("8220000004", "8220000005", "nacha.batch_totals"),
    "credits of the batch": ("000000017500199999", "000000017501199999", "nacha.batch_totals"),
    "an amount that was changed": ("0000012000", "0000012001", "nacha.batch_totals"),
    "entry hash of the file": ("9000001000001000000040002200002", "9000001000001000000040002200009", "nacha.file_totals"),
    "batches of the file": ("9000001", "9000002", "nacha.file_totals"),
    "credits of the file": ("00000000000000000017500\n", "00000000000000000017600\n", "nacha.file_totals"),
    "no file control": ("9000001000001000000040002200002000000000000000000017500\n", "", "nacha.order"),
    "no batch control": ("822000000400022000020000000000000000000175001999999991                         091000010000001\n", "", "nacha.order"),
}  # fmt: skip


@pytest.mark.parametrize(("old", "new", "rule"), BROKEN.values(), ids=BROKEN.keys())
def test_what_does_not_agree_gives_nothing(old: str, new: str, rule: str) -> None:
    assert old in FILE
    found = parse(FILE.replace(old, new, 1))
    assert found.efts == []
    assert rule in [f.rule for f in found.findings if f.severity == "error"]


def test_other_classes_returns_and_corrections_are_no_payments() -> None:
    ppd = parse(FILE.replace("CCDHCCLAIM", "PPDHCCLAIM"))
    assert (ppd.efts, [(f.rule, f.severity) for f in ppd.findings]) == ([], [("nacha.sec", "info")])
    returned = parse(FILE.replace("705TRN*1*T1*1999999991\\   ", "799R02091000010000009      "))
    assert [e.trace for e in returned.efts] == ["T2"]
    assert [f.rule for f in returned.findings] == ["nacha.return"]
    assert "R02" in returned.findings[0].message
    prenote = parse(FILE.replace("6220110000151234", "6230110000151234", 1))
    assert [e.trace for e in prenote.efts] == ["T2"]


def test_a_credit_without_trn_is_kept_and_told() -> None:
    found = parse(FILE.replace("TRN*1*T1*1999999991\\", "NO TRACE HERE       "))
    assert [(e.trace, e.cents) for e in found.efts] == [("", 12_000), ("T2", 5_500)]
    assert [(f.rule, f.severity) for f in found.findings] == [("nacha.trn", "warning")]


@given(st.binary(max_size=600))
def test_nothing_raises(data: bytes) -> None:
    assert nacha.read(data).efts == []


def test_samples_of_others(samples: Path) -> None:
    """Totals of files that their sources call right agree; those that break a rule on purpose are told."""
    errors = {}
    for path in sorted((samples / "bank" / "ach").iterdir()):
        found = nacha.read(path.read_bytes(), file=path.name)
        errors[path.name.split("__")[1]] = sorted({f.rule for f in found.findings if f.severity == "error"})
    for clean in (
        "ccd-debit.ach", "cor-read.ach", "ctx-debit.ach", "cor-c01.ach", "cor-example.ach", "extended-ascii.ach",
        "two-micro-deposits.ach", "2lCompanyNameAllZeros.txt", "return-PPD-custom-reason-code.ach",
    ):  # fmt: skip
        assert errors[clean] == [], clean
    assert errors["1k8RecordFollowing9Record.txt"] == ["nacha.file_totals", "nacha.order"]
    assert errors["nonascii.ach"] == ["nacha.file_totals"]


def test_what_the_payer_in_a_box_writes_is_read_back() -> None:
    from pipeline.payer_simulator import bank

    efts = [
        bank.Eft(
            trace=f"T{n}", origin="1999999991", payer_name="ACME", payee_name="CLINIC", payee_id="1234567893",
            routing=bank.routing_number("01100001"), account="123456789", cents=100 * n, effective=date(2026, 11, 30),
        )
        for n in range(1, 9)
    ]  # fmt: skip
    data = bank.nacha(
        efts, created=datetime(2026, 11, 27, 8, 0), destination="011000015", destination_name="CLINIC BANK",
        origin_routing="091000019", origin_name="PAYER BANK", trace_base=0,
    )  # fmt: skip
    found = nacha.read(data)
    assert found.findings == []
    assert [(e.trace, e.origin, e.cents, e.effective) for e in found.efts] == [
        (f"T{n}", "1999999991", 100 * n, date(2026, 11, 30)) for n in range(1, 9)
    ]

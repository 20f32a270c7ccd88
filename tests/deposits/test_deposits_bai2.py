"""BAI2: control totals at each level, continuations, TRN over several records, and what must be rejected."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.deposits import bai2

REPORT = """\
01,BANKSENDER,CLAIMPIPE,261130,0800,0001,80,,2/
02,CLAIMPIPE,BANKSENDER,1,261130,,USD,2/
03,000011112222,USD,010,500000,,,100,17500,2,/
16,165,12000,0,BR1,CR1,ACME HCCLAIMPMT TRN*1*T1*1999999991\\
16,115,5500,S,100,200,5200,BR2,,LOCKBOX 7/
49,535000,4/
03,000033334444,USD,100,300,1,/
16,354,300,,,,INTEREST/
49,600,3/
98,535600,2,9/
99,535600,1,11/
"""


def parse(text: str) -> bai2.Bai2File:
    return bai2.read(text.encode(), file="f")


def test_accounts_and_details() -> None:
    report = parse(REPORT)
    assert report.findings == []
    first, second = report.accounts
    assert (first.number, first.on, first.currency, first.total, first.rejected) == (
        "000011112222", date(2026, 11, 30), "USD", 535_000, "",
    )  # fmt: skip
    eft, lockbox = first.details
    assert (eft.type_code, eft.cents, eft.bank_reference, eft.customer_reference) == ("165", 12_000, "BR1", "CR1")
    assert (eft.trace, eft.origin, eft.is_credit) == ("T1", "1999999991", True)
    assert (lockbox.cents, lockbox.bank_reference, lockbox.text, lockbox.trace) == (5_500, "BR2", "LOCKBOX 7", "")
    assert [d.text for d in second.details] == ["INTEREST"]


#: what to change → the rules told, and the accounts that stay usable
BROKEN = {
    "a 49 total a cent off rejects its account": (
        [("49,535000,4", "49,535001,4"), ("98,535600", "98,535601"), ("99,535600", "99,535601")],
        ["bai2.account_total"], ["000033334444"],
    ),
    "a 49 count": ([("49,535000,4", "49,535000,5")], ["bai2.account_total"], ["000033334444"]),
    "a 98 total": ([("98,535600", "98,535700"), ("99,535600", "99,535700")], ["bai2.group_total"], []),
    "a 98 count of accounts": ([("98,535600,2", "98,535600,3")], ["bai2.group_total"], []),
    "a 98 count of records": ([("98,535600,2,9", "98,535600,2,8")], ["bai2.group_total"], []),
    "a 99 total": ([("99,535600", "99,535599")], ["bai2.file_total"], []),
    "a 99 count of groups": ([("99,535600,1", "99,535600,2")], ["bai2.file_total"], []),
    "a detail that was changed": ([("165,12000", "165,12001")], ["bai2.account_total"], ["000033334444"]),
    "an amount that is none": ([("165,12000", "165,12O00")], ["bai2.amount", "bai2.account_total"], ["000033334444"]),
    "the file is cut off": ([("99,535600,1,11/\n", "")], ["bai2.file_total"], []),
    "the account has no end": (
        [("49,535000,4/\n", "")], ["bai2.account_total", "bai2.group_total", "bai2.file_total"], [],
    ),
    "the group has no date": ([("1,261130,", "1,261331,")], ["bai2.date"], []),
}  # fmt: skip


@pytest.mark.parametrize(("changes", "rules", "usable"), BROKEN.values(), ids=BROKEN.keys())
def test_what_does_not_agree_is_rejected(changes: list[tuple[str, str]], rules: list[str], usable: list[str]) -> None:
    text = REPORT
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    report = parse(text)
    assert [f.rule for f in report.findings] == rules
    assert [a.number for a in report.accounts if not a.rejected] == usable


def detail(lines: str) -> bai2.Detail:
    body = lines.strip("\n") + "\n"
    count = body.count("\n")
    report = parse(
        "01,A,B,261130,0800,1,,,2/\n02,B,A,1,261130,,USD,2/\n03,1111,USD/\n"
        f"{body}49,500,{count + 2}/\n98,500,1,{count + 4}/\n99,500,1,{count + 6}/\n"
    )
    assert report.findings == []
    return report.accounts[0].details[0]


@pytest.mark.parametrize(
    "lines",
    [
        "16,165,500,0,BR,CR,ACME TRN*1*TRACE0001*1999999991\\",
        "16,165,500,0,BR,CR,ACME TRN*1*TRA\n88,CE0001*1999999991\\",
        "16,165,500,0,BR,CR,ACME T\n88,RN*1*TRACE\n88,0001*19999\n88,99991\\",
        "16,165,500,0,BR,CR,ACME TRN*1*TRA/\n88,CE0001*1999999991\\/",
        "16,165,500,0,BR,CR,ACME TRN*1*TRA   \n88,CE0001*1999999991\\  ",
        "16,165,500,0,BR,CR/\n88,ACME TRN*1*TRACE0001*1999999991\\",
        "16,165,500,V,261130,0900,BR,CR,TRN*1*TRACE0001*1999999991*SUPPLEMENT\\",
        "16,165,500,D,2,1,250,2,250,BR,CR,TRN*1*TRACE0001*1999999991",
        "16,165,500,0,B\n88,R,CR,TRN*1*TRACE0001*1999999991~",
        "16,165,500,,BR,CR,TRN*1*TRACE0001*1999999991\n88,NAME: ACME, INC/",
    ],
)
def test_a_trn_is_put_together(lines: str) -> None:
    found = detail(lines)
    assert (found.trace, found.origin, found.cents, found.bank_reference, found.customer_reference) == (
        "TRACE0001", "1999999991", 500, "BR", "CR",
    )  # fmt: skip


@given(st.lists(st.integers(1, 60), max_size=6))
def test_a_trn_is_put_together_wherever_it_is_cut(cuts: list[int]) -> None:
    text = "ACME HCCLAIMPMT TRN*1*2611230000000013441004*1520000009\\"
    pieces, at = [], 0
    for cut in cuts:
        pieces.append(text[at : at + cut])
        at += cut
    pieces.append(text[at:])
    pieces = [p for p in pieces if p]
    found = detail("16,165,500,0,BR,CR," + "\n88,".join(pieces))
    assert (found.trace, found.origin) == ("2611230000000013441004", "1520000009")


@given(st.binary(max_size=400))
def test_nothing_raises(data: bytes) -> None:
    assert not any(a for a in bai2.read(data).accounts if not a.rejected and a.total != a.stated)


def test_samples_of_banks(samples: Path) -> None:
    """What others' parsers take for right is right here too; their examples with wrong totals are rejected."""
    verdicts = {}
    for path in sorted((samples / "bank" / "bai2").iterdir()):
        report = bai2.read(path.read_bytes(), file=path.name)
        verdicts[path.name] = (len(report.accounts), sum(bool(a.rejected) for a in report.accounts))
    assert verdicts == {
        "moov_sample1.txt": (2, 0),
        "moov_sample2.txt": (5, 0),
        "moov_sample4-continuations-newline-delimited.txt": (
            5,
            5,
        ),  # its totals were made up: 49 says −12,601,613,417.62
        "moov_sample5-issue113.txt": (5, 5),
        "py_account_trailer_amount_blank_example.bai2": (2, 0),
        "py_citi_example.bai2": (1, 0),
    }

"""'The bank's report stays on its server, and from the disk it is rejected.' The bank keeps records in blocks of a fixed length: several
stand on one line with blanks between, or there is no line end at all. Another bank writes no slash behind its last record."""

from __future__ import annotations

import pytest

from pipeline.deposits import bai2
from pipeline.findings import has_errors
from pipeline.transport import routing

RECORDS = [
    "01,021000021,CUSTOMER,261120,0600,1,80,,2/",
    "02,CUSTOMER,021000021,1,261119,,USD,2/",
    "03,123456,,010,500000,,,100,30700,2,/",
    "16,165,20000,Z,REF1,,HCCLAIMPMT TRN*1*T1*1512345678/",
    "88,MORE OF IT/",
    "16,165,10700,Z,REF2,,PAID 4/ 16 OF IT/",
    "49,561400,5/",
    "98,561400,1,7/",
    "99,561400,1,9/",
]


def facts(data: str) -> list[tuple[int, str, str]]:
    read = bai2.read(data.encode())
    assert not has_errors(read.findings)
    return [(d.cents, d.text, d.trace) for account in read.accounts for d in account.details]


@pytest.mark.parametrize(
    "data",
    [
        "".join(record.ljust(80) for record in RECORDS),
        "".join(record.ljust(80) for record in RECORDS) + "\r\n",
        " ".join(RECORDS[:3]) + "\n" + "  ".join(RECORDS[3:]) + "\n",
    ],
    ids=["blocks", "blocks and a line end", "several on a line"],
)
def test_records_of_one_line_are_those_of_many(data: str) -> None:
    assert facts(data) == facts("\n".join(RECORDS)) != []
    assert routing.identify(data.encode()) == "BAI2"
    assert routing.incomplete(data.encode()) == ""


def test_text_that_looks_like_a_record_is_text_where_the_controls_agree() -> None:
    records = [record.replace("PAID 4/ 16 OF IT", "PAID 4/ 16,1 OF IT") for record in RECORDS]
    assert facts("\n".join(records))[1][1] == "PAID 4/ 16,1 OF IT"


def test_a_wrong_control_is_told_as_ever() -> None:
    data = "".join(record.ljust(80) for record in RECORDS).replace("49,561400,5", "49,561401,5")
    assert has_errors(bai2.read(data.encode()).findings)


def test_a_trailer_without_slash_ends_the_file_with_its_line() -> None:
    data = "\n".join(RECORDS)[:-1].encode()
    assert routing.incomplete(data + b"\n") == ""
    assert routing.incomplete(data) == "no_trailer"  # a digit may be missing
    assert routing.incomplete("".join(r.ljust(80) for r in RECORDS[:-1]).encode()) == "no_trailer"


def test_a_record_that_the_accounts_record_swallowed_is_told() -> None:
    """Without the line end, and with its rest on a line of its own, the sum of a deposit counted as one of the account's: the
    controls agreed, and the deposit was gone."""
    broken = "\n".join(RECORDS).replace("2,/\n16,165,20000,Z,REF1,,HCC", "2,/16,165,20000,Z,REF1,,\nHCC")
    assert broken != "\n".join(RECORDS)
    read = bai2.read(broken.encode())
    assert [f.rule for f in read.findings if f.severity == "error"] == ["bai2.record"]
    assert [account.rejected for account in read.accounts] == ["bai2.record"]

"""What the bank writes: NACHA files of CCD+ entries (the payer's order) and BAI2 reports (the deposits as booked).

Both are flat formats with control totals at each level. An EFT carries the TRN segment of its 835 in its addenda, and the
bank repeats it in the text of the deposit, which is how money and remittance find each other (CAQH CORE 370). Money is
integer cents. Layouts: NACHA Operating Rules (records 1, 5, 6, 7, 8, 9 of 94 characters, blocked by ten); BAI Cash Management
Balance Reporting version 2 (records 01, 02, 03, 16, 88, 49, 98, 99).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import groupby

RECORD, BLOCK = 94, 10
ENTRY_DESCRIPTION = "HCCLAIMPMT"  # CAQH CORE 370: company entry description of health-care EFTs
ACH_CREDIT = "165"
TOTAL_CREDITS = "100"
#: ACH forbids nothing printable here but keep to what every bank accepts
_PRINTABLE = re.compile(r"[^A-Za-z0-9 &'()*+,\-./:\\]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Eft:
    """One CCD+ credit: the payment of one 835."""

    trace: str  # TRN02
    origin: str  # TRN03
    cents: int
    effective: date
    payer_name: str
    payee_name: str
    payee_id: str
    routing: str  # of the payee's bank
    account: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Deposit:
    """One booked credit. `text` is free; for an EFT it holds the payer's name, HCCLAIMPMT and the TRN segment."""

    account: str
    on: date
    cents: int
    bank_reference: str
    text: str
    customer_reference: str = ""
    type_code: str = ACH_CREDIT


def trn_segment(trace: str, origin: str) -> str:
    """The TRN as it stands in the addenda: with asterisks, ended by a backslash."""
    return f"TRN*1*{trace}*{origin}\\"


def routing_number(eight: str) -> str:
    """Eight digits of a routing number → nine, with the ABA check digit."""
    weights = (3, 7, 1, 3, 7, 1, 3, 7)
    return eight + str(-sum(int(d) * w for d, w in zip(eight, weights, strict=True)) % 10)


def nacha(
    efts: Sequence[Eft], *, created: datetime, destination: str, destination_name: str, origin_routing: str,
    origin_name: str, trace_base: int, file_id: str = "A", reference: str = "",
) -> bytes:  # fmt: skip
    """A NACHA file: one batch for each payer (TRN03) and effective date, one entry with addenda for each EFT.

    `trace_base` starts the seven-digit sequence of the trace numbers; `destination` and `origin_routing` are nine-digit
    routing numbers. ValueError where an amount does not fit ten digits.
    """
    odfi = origin_routing[:8]
    records = [
        f"101 {destination:>9} {origin_routing:>9}{created:%y%m%d%H%M}{file_id}094101{_text(destination_name, 23)}"
        f"{_text(origin_name, 23)}{_text(reference, 8)}"
    ]
    entries, total_hash, total = 0, 0, 0
    sequence = trace_base
    batch = 0
    for (origin, effective), members in groupby(efts, key=lambda e: (e.origin, e.effective)):
        batch += 1
        listed = list(members)
        records.append(
            f"5220{_text(listed[0].payer_name, 16)}{'':20}{_text(origin, 10)}CCD{ENTRY_DESCRIPTION}"
            f"{effective:%y%m%d}{effective:%y%m%d}{'':3}1{odfi}{batch:07d}"
        )
        batch_hash = batch_total = 0
        for eft in listed:
            if not 0 < eft.cents < 10**10:
                raise ValueError("an ACH entry carries 0.01 to 99,999,999.99")
            sequence = sequence % 9_999_999 + 1
            records.append(
                f"622{eft.routing}{_text(eft.account, 17)}{eft.cents:010d}{_text(eft.payee_id, 15)}"
                f"{_text(eft.payee_name, 22)}{'':2}1{odfi}{sequence:07d}"
            )
            records.append(f"705{trn_segment(eft.trace, eft.origin):<80}{1:04d}{sequence:07d}")
            batch_hash += int(eft.routing[:8])
            batch_total += eft.cents
        count = 2 * len(listed)
        records.append(
            f"8220{count:06d}{batch_hash % 10**10:010d}{0:012d}{batch_total:012d}{_text(origin, 10)}{'':19}{'':6}"
            f"{odfi}{batch:07d}"
        )
        entries, total_hash, total = entries + count, total_hash + batch_hash, total + batch_total
    blocks = -(-(len(records) + 1) // BLOCK)
    records.append(f"9{batch:06d}{blocks:06d}{entries:08d}{total_hash % 10**10:010d}{0:012d}{total:012d}{'':39}")
    records += ["9" * RECORD] * (blocks * BLOCK - len(records))
    if any(len(r) != RECORD for r in records):
        raise ValueError("a NACHA record is not 94 characters long")
    return ("\n".join(records) + "\n").encode("ascii")


def bai2(
    deposits: Iterable[Deposit], *, created: datetime, sender: str, receiver: str, file_id: str, width: int = 80
) -> bytes:
    """A BAI2 file: a group for each date, an account for each account number, a 16 for each deposit.

    It reports deposits booked since the last report (as-of-date modifier 3: interim, same day). Records longer than
    `width` characters go on in 88 records, cut wherever the width falls, as banks do.
    """
    out: list[str] = []
    file_total = groups = 0
    ordered = sorted(deposits, key=lambda d: (d.on, d.account))  # stable: a day's order is kept
    header = f"01,{sender},{receiver},{created:%y%m%d},{created:%H%M},{file_id},{width},,2/"
    for on, of_day in groupby(ordered, key=lambda d: d.on):
        group = [f"02,{receiver},{sender},1,{on:%y%m%d},,USD,3/"]
        group_total = accounts = 0
        for account, members in groupby(of_day, key=lambda d: d.account):
            listed = list(members)
            credits = sum(d.cents for d in listed)
            records = [f"03,{account},USD,{TOTAL_CREDITS},{credits},{len(listed)},/"]
            for d in listed:
                records += _wrapped(
                    f"16,{d.type_code},{d.cents},0,{d.bank_reference},{d.customer_reference},{d.text}", width
                )
            account_total = 2 * credits  # every amount of the 03 and of the 16 records
            records.append(f"49,{account_total},{len(records) + 1}/")
            group += records
            group_total += account_total
            accounts += 1
        group.append(f"98,{group_total},{accounts},{len(group) + 1}/")
        out += group
        file_total += group_total
        groups += 1
    return "\n".join([header, *out, f"99,{file_total},{groups},{len(out) + 2}/", ""]).encode("ascii")


def deposit_text(payer_name: str, trace: str, origin: str) -> str:
    """The text of a deposit that an EFT made."""
    return f"{_clean(payer_name)} {ENTRY_DESCRIPTION} {trn_segment(trace, origin)}"


def _wrapped(record: str, width: int) -> list[str]:
    out, rest = [record[:width]], record[width:]
    while rest:
        out.append("88," + rest[: width - 3])
        rest = rest[width - 3 :]
    return out


def _clean(text: str) -> str:
    return _PRINTABLE.sub(" ", text)


def _text(text: str, width: int) -> str:
    return _clean(text)[:width].ljust(width)

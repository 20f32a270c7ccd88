"""Reading NACHA: the EFTs that payers announce. Bytes in; EFTs and findings out; no register, no ledger.

A file is records of 94 characters: 1 file header, 5 batch header, 6 entry, 7 addenda, 8 batch control, 9 file control. A
claim payment is a credit of class CCD whose one addenda (type 05) holds the 835's TRN segment (CCD+). Returns, corrections
and other classes are not payments: each is told as a finding. The control totals (entries and addenda, entry hash,
debits, credits) must agree at both levels; a batch whose totals do not agree gives nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import date, datetime

from pipeline.deposits import trn
from pipeline.findings import Finding

WIDTH = 94
_HASH = 10**10
#: transaction codes of a live credit: checking, savings, general ledger, loan
CREDITS = frozenset({"22", "32", "42", "52"})
#: the second digit of a transaction code: 1 to 4 are credits and what belongs to them, the rest debits
_DEBIT_DIGITS = frozenset("56789")
_PRENOTES = frozenset({"23", "28", "33", "38", "43", "53"})
_RETURN, _CORRECTION, _PAYMENT_INFORMATION = "99", "98", "05"
_DIGITS = re.compile(r"\d+", re.ASCII)
_FIX = "Nothing of it was taken. Ask the bank for the file again."


@dataclass(frozen=True, slots=True)
class Eft:
    """One CCD+ credit. `trace` and `origin` are empty where it has no TRN."""

    trace: str
    origin: str
    cents: int
    effective: date
    bank_trace: str
    company_id: str
    line: int


@dataclass
class NachaFile:
    efts: list[Eft] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    batches: int = 0


@dataclass
class _Totals:
    count: int = 0
    hash: int = 0
    debit: int = 0
    credit: int = 0

    def add(self, other: _Totals) -> None:
        self.count += other.count
        self.hash += other.hash
        self.debit += other.debit
        self.credit += other.credit

    def differences(self, count: str, entry_hash: str, debit: str, credit: str) -> list[str]:
        """Names of the totals that are not what a control record states."""
        stated = {"count": count, "entry hash": entry_hash, "debits": debit, "credits": credit}
        found = {"count": self.count, "entry hash": self.hash % _HASH, "debits": self.debit, "credits": self.credit}
        return [
            f"{name} {found[name]} stated {_int(text)}" for name, text in stated.items() if _int(text) != found[name]
        ]


@dataclass
class _Entry:
    record: str
    line: int
    legible: bool
    addenda: list[str] = field(default_factory=list)


@dataclass
class _Batch:
    header: str
    line: int
    entries: list[_Entry] = field(default_factory=list)
    totals: _Totals = field(default_factory=_Totals)

    @property
    def sec(self) -> str:
        return self.header[50:53]


def read(data: bytes, *, file: str = "") -> NachaFile:
    """Read one file. Findings of severity error say what was not taken; nothing raises."""
    result = NachaFile()
    reader = _Reader(file, result)
    for number, record in enumerate(_records(data), start=1):
        reader.take(number, record)
    reader.end()
    return result


def _records(data: bytes) -> list[str]:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    lines = (
        text.splitlines() if "\n" in text or "\r" in text else [text[i : i + WIDTH] for i in range(0, len(text), WIDTH)]
    )
    return [line for line in lines if line.strip()]


class _Reader:
    def __init__(self, file: str, result: NachaFile) -> None:
        self.file, self.result = file, result
        self.batch: _Batch | None = None
        self.totals = _Totals()
        self.header_seen = self.control_seen = False

    def take(self, number: int, record: str) -> None:
        if self.control_seen:
            if record.strip("9 "):
                self._tell("nacha.order", "error", number, "a record follows the file's control record")
            return
        if len(record) > WIDTH or len(record.rstrip()) > WIDTH:
            self._tell("nacha.length", "error", number, f"the record has {len(record)} characters, not {WIDTH}")
        elif len(record) < WIDTH:
            # editors and mail drop the blanks at the end; what is missing is blank
            self._tell("nacha.length", "warning", number, f"the record has {len(record)} characters, not {WIDTH}")
        handler = _HANDLERS.get(record[0])
        if handler is None:
            self._tell("nacha.record", "error", number, f"record type {record[0]!r} is not known")
            return
        handler(self, number, record.ljust(WIDTH)[:WIDTH])

    def end(self) -> None:
        if self.batch is not None:
            self._tell("nacha.order", "error", self.batch.line, "the batch has no control record")
        if not self.header_seen:
            self._tell("nacha.order", "error", 1, "the file has no header record")
        if not self.control_seen:
            self._tell("nacha.order", "error", 0, "the file has no control record: it is cut off")
        if any(f.rule in ("nacha.file_totals", "nacha.order") for f in self.result.findings):
            self.result.efts.clear()

    def _tell(self, rule: str, severity: str, number: int, message: str, fix: str = _FIX) -> None:
        self.result.findings.append(
            Finding(
                rule=rule, severity=severity, file=self.file, source=f"record {number}", subject=self.file,  # type: ignore[arg-type]
                message=f"NACHA record {number}: {message}.", fix=fix,
            )
        )  # fmt: skip

    def _file_header(self, number: int, record: str) -> None:
        if self.header_seen:
            self._tell("nacha.order", "error", number, "a second file header")
        self.header_seen = True

    def _batch_header(self, number: int, record: str) -> None:
        if self.batch is not None:
            self._tell("nacha.order", "error", number, "a batch begins before the last one ended")
        self.batch = _Batch(record, number)

    def _entry(self, number: int, record: str) -> None:
        if self.batch is None:
            self._tell("nacha.order", "error", number, "an entry stands outside of a batch")
            return
        totals = self.batch.totals
        cents = _int(record[29:39])
        legible = _DIGITS.fullmatch(record[3:11].strip()) is not None and _DIGITS.fullmatch(record[29:39]) is not None
        if not legible:
            self._tell("nacha.entry", "error", number, "the routing number or the amount is not a number")
        totals.count += 1
        totals.hash += _int(record[3:11])
        if record[2] in _DEBIT_DIGITS:
            totals.debit += cents
        else:
            totals.credit += cents
        self.batch.entries.append(_Entry(record, number, legible))

    def _addenda(self, number: int, record: str) -> None:
        if self.batch is None or not self.batch.entries:
            self._tell("nacha.order", "error", number, "an addenda stands without its entry")
            return
        self.batch.totals.count += 1
        self.batch.entries[-1].addenda.append(record)

    def _batch_control(self, number: int, record: str) -> None:
        batch, self.batch = self.batch, None
        if batch is None:
            self._tell("nacha.order", "error", number, "a batch control without its batch")
            return
        self.result.batches += 1
        self.totals.add(batch.totals)
        wrong = batch.totals.differences(record[4:10], record[10:20], record[20:32], record[32:44])
        if wrong:
            self._tell(
                "nacha.batch_totals", "error", number, f"the batch does not agree with its control: {', '.join(wrong)}"
            )
            return
        if batch.sec != "CCD":
            self._tell("nacha.sec", "info", batch.line, f"a batch of class {batch.sec} is no claim payment",
                       "Nothing to do unless a payment is missed.")  # fmt: skip
            return
        effective = _day(batch.header[69:75])
        if effective is None:
            self._tell("nacha.date", "error", batch.line, "the batch has no effective date")
            return
        for entry in filter(lambda entry: entry.legible, batch.entries):
            self._payment(batch, entry, effective)

    def _payment(self, batch: _Batch, entry: _Entry, effective: date) -> None:
        kinds = {addenda[1:3] for addenda in entry.addenda}
        code = entry.record[1:3]
        if _RETURN in kinds:
            reason = next(a[3:6] for a in entry.addenda if a[1:3] == _RETURN)
            self._tell(
                "nacha.return", "warning", entry.line, f"a returned entry, reason {reason}", "Look into the return."
            )
            return
        if _CORRECTION in kinds:
            self._tell(
                "nacha.correction", "warning", entry.line, "a notification of change", "Correct the account data."
            )
            return
        if code in _PRENOTES or code not in CREDITS:
            what = "a test without money" if code in _PRENOTES else "no credit"
            self._tell("nacha.code", "info", entry.line, f"transaction code {code} is {what}", "Nothing to do.")
            return
        texts = [addenda[3:83] for addenda in entry.addenda if addenda[1:3] == _PAYMENT_INFORMATION]
        trace, origin = trn.find(texts)
        if not trace:
            self._tell("nacha.trn", "warning", entry.line, "a credit without a TRN segment cannot be matched",
                       "Ask the payer for CCD+ with the reassociation trace number.")  # fmt: skip
        self.result.efts.append(
            Eft(trace, origin, _int(entry.record[29:39]), effective, entry.record[79:94].strip(),
                batch.header[40:50].strip(), entry.line)
        )  # fmt: skip

    def _file_control(self, number: int, record: str) -> None:
        self.control_seen = True
        wrong = self.totals.differences(record[13:21], record[21:31], record[31:43], record[43:55])
        if _int(record[1:7]) != self.result.batches:
            wrong.append(f"batches {self.result.batches} stated {_int(record[1:7])}")
        if wrong:
            self._tell(
                "nacha.file_totals", "error", number, f"the file does not agree with its control: {', '.join(wrong)}"
            )


_HANDLERS = {
    "1": _Reader._file_header, "5": _Reader._batch_header, "6": _Reader._entry, "7": _Reader._addenda,
    "8": _Reader._batch_control, "9": _Reader._file_control,
}  # fmt: skip


def _int(text: str) -> int:
    text = text.strip()
    return int(text) if text.isascii() and text.isdigit() else 0


def _day(text: str) -> date | None:
    try:
        return datetime.strptime(text, "%y%m%d").date()  # noqa: DTZ007 (a date without a time)
    except ValueError:
        return None

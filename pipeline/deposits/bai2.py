"""Reading BAI2: what the bank booked. Bytes in; accounts with their details and findings out; no register, no ledger.

Records: 01 file, 02 group (a bank and a day), 03 account, 16 detail, 88 continuation of the record before it, 49 account
control, 98 group control, 99 file control. Each control states the sum of all amounts below it and a count. An account
whose control is wrong is rejected; its neighbours go on. A group or file whose own control is wrong, or missing, rejects
what stands in it. A record ends with a slash; some banks end it with the line, and text may then hold slashes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

from pipeline.deposits import trn
from pipeline.findings import Finding, has_errors
from pipeline.money import LARGEST_CENTS
from pipeline.wording import counted

#: how many fields follow a funds type before the next field: D is counted by its own number
_FUNDS = {"S": 3, "V": 2}
#: line ends of any system; nothing else that Python takes for one ends a record
_LINE_END = re.compile(r"\r\n|\n|\r")
#: blanks between two records of one line
_NEXT_RECORD = re.compile(r"(?<=/)[ \t]+(?=(?:02|03|16|88|49|98|99),)")
#: days over which the funds of one amount become available: no bank names more
_MOST_DISTRIBUTIONS = 99
_TYPE = re.compile(r"\d{1,3}", re.ASCII)
_FIX = "Nothing of it was taken. Ask the bank for the report again."


@dataclass(frozen=True, slots=True)
class Detail:
    """A 16 record. `cents` has no sign: type codes 100–399 are credits, 400–699 debits. `text` holds its 88 records too.

    `taken_back`: the record states its amount with a minus, so it is the opposite of what its type code says.
    """

    type_code: str
    cents: int
    bank_reference: str
    customer_reference: str
    text: str
    trace: str
    origin: str
    line: int
    taken_back: bool = False

    @property
    def is_credit(self) -> bool:
        """Money that came in: a credit that is not taken back."""
        return 100 <= _int(self.type_code) <= 399 and not self.taken_back

    @property
    def net(self) -> int:
        """What it adds to the account, in cents."""
        credit = 100 <= _int(self.type_code) <= 399
        return self.cents if credit != self.taken_back else -self.cents


@dataclass
class Account:
    """An account on a day. `rejected` says why its details may not be used; empty if they may."""

    number: str
    currency: str
    on: date | None
    line: int
    details: list[Detail] = field(default_factory=list)
    total: int = 0
    stated: int = 0
    records: int = 0
    rejected: str = ""


@dataclass
class Bai2File:
    accounts: list[Account] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


@dataclass
class _Record:
    """A record with its continuations: its code, its lines without code and end, and whether each line had its slash."""

    code: str
    line: int
    bodies: list[str]
    slashes: list[bool]

    def fields(self) -> list[str]:
        """All fields; a line that ended with a slash ends a field, another one goes on in the next line."""
        text = self.bodies[0]
        for body, slash in zip(self.bodies[1:], self.slashes, strict=False):
            text += ("," if slash else "") + body
        return text.split(",")


def read(data: bytes, *, file: str = "") -> Bai2File:
    """Read one file. Findings of severity error say what was rejected; nothing raises.

    Where several records stand on a line, as in files of fixed blocks, they are told by the slash, the blanks and the code of
    the next one. Text may hold these too, so this reading counts only where its controls agree and those of the plain one do not.
    """
    text = data.decode("utf-8-sig", errors="replace")
    result = _read(text, file)
    if has_errors(result.findings) and _NEXT_RECORD.search(text):
        blocks = _read(_NEXT_RECORD.sub("\n", text), file)
        if not has_errors(blocks.findings):
            return blocks
    return result


def _read(text: str, file: str) -> Bai2File:
    result = Bai2File()
    _Reader(file, result).run(_records(text))
    return result


def _records(text: str) -> list[_Record]:
    records: list[_Record] = []
    for number, line in enumerate(_LINE_END.split(text), start=1):
        if not line.strip():
            continue
        code, _, body = line.partition(",")
        ended = body.rstrip().endswith("/")
        body = body.rstrip()[:-1] if ended else body
        if code.strip() == "88" and records:
            records[-1].bodies.append(body)
            records[-1].slashes.append(ended)
        else:
            records.append(_Record(code.strip().rstrip("/"), number, [body], [ended]))
    return records


class _Reader:
    def __init__(self, file: str, result: Bai2File) -> None:
        self.file, self.result = file, result
        self.account: Account | None = None
        self.group: list[Account] = []
        self.in_group = False
        self.on: date | None = None
        self.currency = ""
        self.group_records = self.file_records = self.groups = 0
        self.group_total = self.file_total = 0
        self.ended = self.began = False

    def run(self, records: Sequence[_Record]) -> None:
        for record in records:
            lines = len(record.bodies)
            self.file_records += lines
            if self.in_group or record.code == "02":
                self.group_records += lines
            if self.account is not None or record.code == "03":
                if self.account is not None and record.code in ("03", "98", "99"):
                    self._lost("the account has no control record")
                elif self.account is not None:
                    self.account.records += lines
            handler = _HANDLERS.get(record.code)
            if handler is None:
                self._tell(
                    "bai2.record",
                    "warning",
                    record.line,
                    f"record code {record.code[:4]!r} is not known",
                    "Tell the bank.",
                )
            else:
                handler(self, record)
        if self.account is not None:
            self._lost("the account has no control record")
        if self.in_group:
            self._reject(self.group, "bai2.group_total", 0, "the group has no control record")
        if not self.began or not self.ended:
            what = "header" if not self.began else "control record: it is cut off"
            self._reject(self.result.accounts, "bai2.file_total", 0, f"the file has no {what}")

    def _tell(self, rule: str, severity: str, line: int, message: str, fix: str = _FIX) -> None:
        self.result.findings.append(
            Finding(
                rule=rule, severity=severity, file=self.file, source=f"line {line}", subject=self.file,  # type: ignore[arg-type]
                message=f"BAI2 line {line}: {message}.", fix=fix,
            )
        )  # fmt: skip

    def _reject(self, accounts: Sequence[Account], rule: str, line: int, message: str) -> None:
        self._tell(rule, "error", line, message)
        for account in accounts:
            account.rejected = account.rejected or rule

    def _lost(self, message: str) -> None:
        assert self.account is not None
        self._reject([self.account], "bai2.account_total", self.account.line, message)
        self.account = None

    def _file_header(self, record: _Record) -> None:
        self.began = True

    def _group_header(self, record: _Record) -> None:
        if self.in_group:
            self._reject(self.group, "bai2.group_total", record.line, "a group begins before the last one ended")
            self.groups += 1
        fields = _padded(record.fields(), 7)
        self.in_group, self.group, self.group_total = True, [], 0
        self.group_records = len(record.bodies)
        self.on = _day(fields[3])
        self.currency = fields[5].strip() or "USD"
        if self.on is None:
            self._tell("bai2.date", "error", record.line, "the group has no as-of date")

    def _account(self, record: _Record) -> None:
        fields = _padded(record.fields(), 2)
        self.account = Account(fields[0].strip(), fields[1].strip() or self.currency, self.on, record.line)
        self.account.records = len(record.bodies)
        self.group.append(self.account)
        self.result.accounts.append(self.account)
        if self.on is None:
            self.account.rejected = "bai2.date"
        if any("/" in field for field in fields[2:]):  # no field here is text: what follows would be taken for sums
            self._reject([self.account], "bai2.record", record.line, "another record begins within the account's")
        at = 2
        while at + 1 < len(fields):
            amount = self._amount(fields[at + 1], record.line)
            self.account.total += amount or 0
            at += 3  # type, amount, item count
            at += 1 + _after_funds(fields, at)

    def _detail(self, record: _Record) -> None:
        if self.account is None:
            self._tell("bai2.order", "error", record.line, "a detail stands outside of an account")
            return
        head, pieces = _head_and_text(record)
        amount = self._amount(head[1], record.line)
        self.account.total += amount or 0
        type_code = head[0].strip()
        if not _TYPE.fullmatch(type_code):
            self._tell("bai2.type", "error", record.line, "the type code of a detail is not a number of three digits")
            self.account.rejected = self.account.rejected or "bai2.type"
        elif (amount or 0) < 0:
            self._tell(
                "bai2.sign",
                "warning",
                record.line,
                "an amount with a minus: the bank took back what it had booked",
                "It stands in suspense, below 0. Find the deposit that it takes back, and ask the bank why.",
            )
        trace, origin = trn.find(pieces)
        self.account.details.append(
            Detail(type_code, abs(amount or 0), head[-2].strip(), head[-1].strip(), "".join(pieces).strip(),
                   trace, origin, record.line, (amount or 0) < 0)
        )  # fmt: skip

    def _amount(self, text: str, line: int) -> int | None:
        text = text.strip()
        digits = text[1:] if text[:1] in "+-" else text
        if not digits:
            return 0
        if not (digits.isascii() and digits.isdigit()) or len(digits.lstrip("0")) > 15 or int(digits) > LARGEST_CENTS:
            self._tell("bai2.amount", "error", line, "an amount is not a whole number of cents that money can have")
            if self.account is not None:
                self.account.rejected = self.account.rejected or "bai2.amount"
            return None
        return -int(digits) if text.startswith("-") else int(digits)

    def _account_control(self, record: _Record) -> None:
        if self.account is None:
            self._tell("bai2.order", "error", record.line, "an account control without its account")
            return
        account, fields = self.account, _padded(record.fields(), 2)
        account.stated = self._amount(fields[0], record.line) or 0
        self.group_total += account.stated
        wrong = []
        if account.stated != account.total:
            wrong.append(f"the amounts make {account.total}, stated {account.stated}")
        if _int(fields[1]) != account.records:
            wrong.append(f"{counted(account.records, 'record')}, stated {_int(fields[1])}")
        if wrong:
            self._reject([account], "bai2.account_total", record.line, f"the account is rejected: {'; '.join(wrong)}")
        self.account = None

    def _group_control(self, record: _Record) -> None:
        fields = _padded(record.fields(), 3)
        stated = self._amount(fields[0], record.line) or 0
        wrong = []
        if stated != self.group_total:
            wrong.append(f"the accounts make {self.group_total}, stated {stated}")
        if _int(fields[1]) != len(self.group):
            wrong.append(f"{counted(len(self.group), 'account')}, stated {_int(fields[1])}")
        if _int(fields[2]) != self.group_records:
            wrong.append(f"{counted(self.group_records, 'record')}, stated {_int(fields[2])}")
        if wrong:
            self._reject(self.group, "bai2.group_total", record.line, f"the group is rejected: {'; '.join(wrong)}")
        self.file_total += stated
        self.groups += 1
        self.in_group, self.group, self.group_records = False, [], 0

    def _file_control(self, record: _Record) -> None:
        fields = _padded(record.fields(), 3)
        stated = self._amount(fields[0], record.line) or 0
        wrong = []
        if stated != self.file_total:
            wrong.append(f"the groups make {self.file_total}, stated {stated}")
        if _int(fields[1]) != self.groups:
            wrong.append(f"{counted(self.groups, 'group')}, stated {_int(fields[1])}")
        if _int(fields[2]) != self.file_records:
            wrong.append(f"{counted(self.file_records, 'record')}, stated {_int(fields[2])}")
        if wrong:
            self._reject(
                self.result.accounts, "bai2.file_total", record.line, f"the file is rejected: {'; '.join(wrong)}"
            )
        self.ended = True


_HANDLERS = {
    "01": _Reader._file_header, "02": _Reader._group_header, "03": _Reader._account, "16": _Reader._detail,
    "49": _Reader._account_control, "98": _Reader._group_control, "99": _Reader._file_control,
}  # fmt: skip


def _after_funds(fields: Sequence[str], at: int) -> int:
    """How many fields belong to the funds type at `at`, beyond itself."""
    kind = fields[at].strip() if at < len(fields) else ""
    if kind == "D":
        return 1 + 2 * min(_int(fields[at + 1] if at + 1 < len(fields) else ""), _MOST_DISTRIBUTIONS)
    return _FUNDS.get(kind, 0)


def _head_and_text(record: _Record) -> tuple[list[str], list[str]]:
    """A 16's fields up to the customer reference, and its text by lines: the text may hold commas and slashes."""
    for lines in range(1, len(record.bodies) + 1):
        part = _Record(record.code, record.line, record.bodies[:lines], record.slashes[:lines])
        fields = part.fields()
        size = 3 + _after_funds(fields, 2) + 2
        if len(fields) >= size:
            return fields[:size], [",".join(fields[size:]), *record.bodies[lines:]]
    return _padded(fields, size), []


def _padded(fields: list[str], size: int) -> list[str]:
    return fields + [""] * (size - len(fields))


def _int(text: str) -> int:
    """A count; 0 where it is none, or longer than any count is."""
    text = text.strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 15 else 0


def _day(text: str) -> date | None:
    try:
        return datetime.strptime(text.strip(), "%y%m%d").date()  # noqa: DTZ007 (a date without a time)
    except ValueError:
        return None

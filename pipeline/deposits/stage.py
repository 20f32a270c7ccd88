"""Deposits: what the bank shows, against what payers said they paid.

Theory. Three things tell of one payment: the remittance (835), the EFT that announces it (NACHA CCD+), and the deposit on the
bank's report (BAI2). They meet by trace (TRN02), origin (TRN03) and amount, all three, and by nothing else: equal amounts
under other traces are never matched. A deposit that meets a posted remittance clears it; any other deposit stands in
suspense, with a work item, until what it waits for comes or a person decides. What the bank takes back (a debit that names a
trace or reverses a deposit, a credit below 0) is a deposit below 0 and stands in suspense too. So at every moment the
deposits are what is matched and what is in suspense, to the cent. A deposit may be matched in parts, by persons only.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import sqlalchemy as sa

from pipeline.bank_days import add_bank_days, bank_days_between
from pipeline.deposits import bai2, nacha
from pipeline.findings import Finding
from pipeline.ledger import accounts, posting
from pipeline.ledger.posting import Entry, Transaction
from pipeline.money import shown
from pipeline.store import Store, received
from pipeline.store import register as r
from pipeline.store.store import chunks, insert_new, record_findings, update_rows
from pipeline.store.work import WorkItem, close_items, open_items

STAGE = "deposits"
KINDS = ("NACHA", "BAI2")
#: bank days after which what stands on one side only is an alarm (CAQH CORE: EFT and ERA come within three of each other)
ALARM_DAYS = 3
#: BAI2 credits that are no claim payments by their type: transfers between own accounts, sweeps, interest
NOT_CLAIMS = frozenset({"201", "275", "354"})
#: BAI2 debits that take a deposit back: credit reversal, deposited item returned, ACH reversal. Other debits are ours to pay,
#: unless they name a trace
TAKEN_BACK = frozenset({"552", "555", "558"})
#: kind of the transaction by which a person matches; its reference is the deposit's id, a slash, and the remittance's
MATCH_BY_PERSON = "person_match"
ID_LENGTH = 32
#: causes of the alarms that `_alarms` opens and closes
_ALARMS = ("no-deposit", "eft-without-remittance")


@dataclass(frozen=True)
class _Read:
    file_id: str
    kind: str
    findings: list[Finding]
    efts: list[dict[str, Any]]
    deposits: list[dict[str, Any]]
    rejected: str  # rule of the first error


@dataclass(frozen=True, slots=True)
class TieLine:
    """One bank account on one day, in cents: bank = posted + unapplied + in transit + not claims + residue."""

    account: str
    bank: int
    posted: int
    unapplied: int
    in_transit: int
    not_claims: int

    @property
    def residue(self) -> int:
        return self.bank - self.posted - self.unapplied - self.in_transit - self.not_claims


@dataclass(frozen=True, slots=True)
class Tie:
    on: date
    lines: tuple[TieLine, ...]

    @property
    def residue(self) -> int:
        """Σ of the absolute residues, so that two faults do not hide each other."""
        return sum(abs(line.residue) for line in self.lines)


def run(store: Store, on: date) -> dict[str, int]:
    """Take in the bank's files, match, and alarm for what stands on one side only."""

    def record(connection: sa.Connection, files: list[_Read], counts: dict[str, int]) -> None:
        _take_in(connection, on, files, counts)
        _match(connection, on, counts)
        _alarms(connection, on, counts)

    return received.work(store, on, STAGE, KINDS, lambda row: _read(store, row), record)


# --- files -----------------------------------------------------------------------------------------------------------


def _read(store: Store, row: Any) -> _Read:
    data = store.archive.get(row.file_id)
    efts: list[dict[str, Any]] = []
    deposits: list[dict[str, Any]] = []
    if row.kind == "NACHA":
        announced = nacha.read(data, file=row.file_id)
        findings = announced.findings
        efts = [eft_row(eft, row.file_id) for eft in announced.efts]
    else:
        report = bai2.read(data, file=row.file_id)
        findings = report.findings
        deposits = deposit_rows(report, row.file_id)
    rejected = next((f.rule for f in findings if f.severity == "error"), "")
    return _Read(row.file_id, row.kind, findings, efts, deposits, rejected)


def eft_row(eft: nacha.Eft, file_id: str) -> dict[str, Any]:
    """An EFT as a row of `efts`. Without a TRN only the bank's own trace tells two apart."""
    parts = [eft.origin, eft.trace, str(eft.cents), eft.effective.isoformat(), "" if eft.trace else eft.bank_trace]
    return {
        "eft_id": _hash(parts), "file_id": file_id, "trace": eft.trace, "origin": eft.origin,
        "amount_cents": eft.cents, "effective_date": eft.effective, "bank_trace": eft.bank_trace,
    }  # fmt: skip


def deposit_rows(report: bai2.Bai2File, file_id: str) -> list[dict[str, Any]]:
    """The credits of all accounts that are not rejected, and what takes credits back, as rows of `deposits`.

    Two of one report are told apart by all that they say and, where that is the same, by their ordinal in the report.
    """
    rows = []
    seen: dict[tuple[str, ...], int] = defaultdict(int)
    for account in report.accounts:
        if account.rejected or account.on is None:
            continue
        for detail in account.details:
            taken_back = detail.taken_back or detail.trace or detail.type_code in TAKEN_BACK
            if not detail.cents or not (detail.is_credit or taken_back):
                continue
            said = (
                account.number, account.on.isoformat(), detail.type_code, str(detail.net), detail.bank_reference,
                detail.customer_reference, detail.trace, detail.origin,
            )  # fmt: skip
            seen[said] += 1
            rows.append(
                {
                    "deposit_id": _hash([*said, str(seen[said])]), "file_id": file_id,
                    "account": account.number[-4:], "deposit_date": account.on, "type_code": detail.type_code[:3],
                    "amount_cents": detail.net, "bank_reference": detail.bank_reference, "trace": detail.trace,
                    "origin": detail.origin,
                }
            )  # fmt: skip
    return rows


def _take_in(connection: sa.Connection, on: date, files: Sequence[_Read], counts: dict[str, int]) -> None:
    marks, items = [], []
    for file in files:
        counts["files"] += 1
        record_findings(connection, STAGE, on, file.findings)
        counts["efts"] += insert_new(connection, r.efts, file.efts)
        new = insert_new(connection, r.deposits, _unknown(connection, file.deposits))
        counts["deposits"] += new
        nothing = bool(file.rejected) and not file.efts and not file.deposits
        marks.append(
            {"file_id": file.file_id, "state": "quarantined" if nothing else "processed", "reason": file.rejected}
        )
        if file.rejected:
            counts["files_with_errors"] += 1
            first = next(f for f in file.findings if f.severity == "error")
            items.append(
                WorkItem(
                    queue="file", subject=file.file_id, cause=file.rejected, payer_key="bank", opened_on=on,
                    title="A bank file does not agree with itself", reason=first.message,
                    action="What was rejected is not in the books. Ask the bank for the file again.",
                )
            )  # fmt: skip
    update_rows(connection, r.files, "file_id", marks, ["state", "reason"])
    counts["work_items"] += open_items(connection, items)


def _unknown(connection: sa.Connection, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those rows of one report that no earlier report has brought.

    An interim report may lack what the final one says (the bank's reference, the exact type). So a row is known where an
    earlier row has its account, day, amount and trace (without a trace its type as well) and no other reference of the
    bank; each earlier row stands for one row of a report, so that two like credits stay two. A reference that comes later
    is kept.
    """
    d = r.deposits.c
    days = sorted({row["deposit_date"] for row in rows})
    left: dict[str, Any] = {}
    for some in chunks(days):
        query = sa.select(r.deposits).where(d.deposit_date.in_(some)).order_by(d.deposit_id)
        left |= {row.deposit_id: row._mapping for row in connection.execute(query)}
    new = []
    for row in rows:
        if left.pop(row["deposit_id"], None) is None:
            new.append(row)
    by_fact: dict[tuple[Any, ...], list[Any]] = defaultdict(list)
    for known in left.values():
        by_fact[_facts(known)].append(known)
    unknown, named = [], []
    for row in new:
        likely = by_fact[_facts(row)]
        wanted = row["bank_reference"]
        fits = [k for k in likely if k["bank_reference"] == wanted] or [
            k for k in likely if not k["bank_reference"] or not wanted
        ]
        if not fits:
            unknown.append(row)
            continue
        likely.remove(fits[0])
        if wanted and not fits[0]["bank_reference"]:
            named.append({"deposit_id": fits[0]["deposit_id"], "bank_reference": wanted})
    update_rows(connection, r.deposits, "deposit_id", named, ["bank_reference"])
    return unknown


def _facts(row: Any) -> tuple[Any, ...]:
    trace = row["trace"]
    return (
        row["account"], row["deposit_date"], row["amount_cents"], trace, row["origin"],
        "" if trace else row["type_code"],
    )  # fmt: skip


# --- matching --------------------------------------------------------------------------------------------------------


def _match(connection: sa.Connection, on: date, counts: dict[str, int]) -> None:
    """Match every deposit that is not matched yet; post new ones and move what leaves suspense."""
    d = r.deposits.c
    parts = matched_by(r.matches.c.deposit_id)
    open_deposits = connection.execute(
        sa.select(r.deposits)
        .select_from(r.deposits.outerjoin(parts, parts.c.key == d.deposit_id))
        .where(parts.c.key.is_(None))
        .order_by(d.deposit_date, d.deposit_id)
    ).fetchall()
    if not open_deposits:
        return
    remittances = _open_remittances(connection)
    efts = _efts_by_key(connection)
    in_books = _in_suspense(connection, [row.deposit_id for row in open_deposits])
    traces = _remittances_by_trace(connection, [row.trace for row in open_deposits if row.trace])
    transactions: list[Transaction] = []
    matched: list[dict[str, Any]] = []
    items: list[WorkItem] = []
    settled: list[str] = []
    for deposit in open_deposits:
        key = (deposit.trace, deposit.origin, deposit.amount_cents)
        fits = remittances.get(key) if deposit.trace and deposit.amount_cents > 0 else None
        known = deposit.deposit_id in in_books
        if deposit.type_code in NOT_CLAIMS and not deposit.trace:
            transactions.append(_transaction(deposit, "deposit", accounts.BANK, accounts.NOT_CLAIMS, on))
            matched.append(_match_row(deposit, None, None, "not_claims", on))
            counts["not_claims_cents"] += deposit.amount_cents
        elif fits:
            remittance = fits.pop(0)
            source = accounts.SUSPENSE if known else accounts.BANK
            kind = "suspense_matched" if known else "deposit"
            transactions.append(_transaction(deposit, kind, source, accounts.clearing(remittance.payer_key), on))
            matched.append(_match_row(deposit, remittance.remittance_id, efts.get(key), "trace", on))
            counts["matched"] += 1
            counts["matched_cents"] += deposit.amount_cents
            settled.append(deposit.deposit_id)
        elif not known:
            transactions.append(_transaction(deposit, "suspense", accounts.BANK, accounts.SUSPENSE, on))
            items.append(_suspense_item(deposit, traces.get(deposit.trace, []), on))
            counts["suspense"] += 1
            counts["suspense_cents"] += deposit.amount_cents
    insert_new(connection, r.matches, matched)
    posting.post(connection, transactions)
    counts["work_items"] += open_items(connection, items)
    close_items(connection, "deposit", settled, "matched by trace, origin and amount")


def matched_by(column: Any) -> sa.Subquery:
    """(key, cents): how much is matched, by deposit or by remittance."""
    m = r.matches.c
    return (
        sa.select(column.label("key"), sa.func.sum(m.cents).label("cents"))
        .where(column.is_not(None))
        .group_by(column)
        .subquery("matched_by")
    )


def _short_remittances(connection: sa.Connection) -> Sequence[Any]:
    """Posted remittances whose money has not come in full, earliest first; `open_cents` is what is missing."""
    columns = r.remittances.c
    parts = matched_by(r.matches.c.remittance_id)
    left = columns.amount_cents - sa.func.coalesce(parts.c.cents, 0)
    return connection.execute(
        sa.select(r.remittances, left.label("open_cents"))
        .select_from(r.remittances.outerjoin(parts, parts.c.key == columns.remittance_id))
        .where(columns.state == "posted", left > 0)
        .order_by(columns.payment_date, columns.remittance_id)
    ).fetchall()


def _open_remittances(connection: sa.Connection) -> dict[tuple[str, str, int], list[Any]]:
    """(trace, origin, cents) → posted remittances that no deposit has met yet, earliest first."""
    found: dict[tuple[str, str, int], list[Any]] = defaultdict(list)
    for row in _short_remittances(connection):
        if row.open_cents == row.amount_cents:
            found[row.trace, row.origin, row.amount_cents].append(row)
    return found


def _efts_by_key(connection: sa.Connection) -> dict[tuple[str, str, int], str]:
    """(trace, origin, cents) → eft_id."""
    rows = connection.execute(sa.select(r.efts).where(r.efts.c.trace != "").order_by(r.efts.c.eft_id.desc()))
    return {(row.trace, row.origin, row.amount_cents): row.eft_id for row in rows}


def _in_suspense(connection: sa.Connection, deposit_ids: Sequence[str]) -> set[str]:
    columns = r.ledger_transactions.c
    found: set[str] = set()
    for part in chunks(deposit_ids):
        query = sa.select(columns.reference).where(columns.kind == "suspense", columns.reference.in_(part))
        found.update(connection.execute(query).scalars())
    return found


def _remittances_by_trace(connection: sa.Connection, traces: Sequence[str]) -> dict[str, list[Any]]:
    columns = r.remittances.c
    found: dict[str, list[Any]] = defaultdict(list)
    wanted = sorted(set(traces))
    for some in chunks(wanted):
        query = sa.select(r.remittances).where(columns.trace.in_(some), columns.state.in_(("posted", "held")))
        for row in connection.execute(query.order_by(columns.remittance_id)):
            found[row.trace].append(row)
    return found


def _transaction(deposit: Any, kind: str, debit: str, credit: str, on: date) -> Transaction:
    cents = deposit.amount_cents
    return Transaction(on, kind, deposit.deposit_id, (Entry(debit, cents), Entry(credit, -cents)))


def _match_row(deposit: Any, remittance_id: str | None, eft_id: str | None, method: str, on: date) -> dict[str, Any]:
    return {
        "match_id": deposit.deposit_id, "deposit_id": deposit.deposit_id, "remittance_id": remittance_id, "eft_id": eft_id, "method": method,
        "cents": deposit.amount_cents, "on_date": on,
    }  # fmt: skip


def _suspense_item(deposit: Any, same_trace: Sequence[Any], on: date) -> WorkItem:
    """Why a deposit stands in suspense, as far as one can tell. A likeness is told, never acted on."""
    facts = f"Deposit of {shown(deposit.amount_cents)} on {deposit.deposit_date.isoformat()}"
    cause, reason = "no-remittance", "no remittance with its trace has come."
    action = "Wait for the remittance, or ask the payer for it."
    same_origin = [row for row in same_trace if row.origin == deposit.origin]
    if deposit.amount_cents < 0:
        return _taken_back_item(deposit, on)
    if not deposit.trace:
        cause, reason = "no-trace", "the bank's text holds no TRN segment."
        action = "Find what it pays by the bank's reference; a person may match it."
    elif any(row.amount_cents != deposit.amount_cents for row in same_origin):
        other = next(row for row in same_origin if row.amount_cents != deposit.amount_cents)
        cause = "other-amount"
        reason = f"the remittance of its trace says {shown(other.amount_cents)}."
        action = "Ask the payer which amount is right; do not force it."
    elif any(row.state == "held" for row in same_origin):
        cause, reason = "held-remittance", "its remittance is held and not posted."
        action = "Work the remittance first; the deposit then matches by itself."
    elif same_origin:
        cause, reason = "twice", "its remittance has met another deposit already."
        action = "Ask the payer whether it paid twice."
    elif any(row.amount_cents == deposit.amount_cents for row in same_trace):
        cause, reason = "other-origin", "a remittance has its trace and amount, but another origin (TRN03)."
        action = "Check TRN03 of both; a person may match it."
    return WorkItem(
        queue="deposit", subject=deposit.deposit_id, cause=cause, title="A deposit that no remittance explains",
        reason=f"{facts}, trace {deposit.trace or 'none'}: {reason}", action=action, cents=deposit.amount_cents,
        opened_on=on, due_on=add_bank_days(deposit.deposit_date, ALARM_DAYS),
    )  # fmt: skip


def _taken_back_item(deposit: Any, on: date) -> WorkItem:
    cause = "taken-back" if deposit.type_code < "400" else "debit"  # a credit with a minus, or a debit
    return WorkItem(
        queue="deposit", subject=deposit.deposit_id, cause=cause, title="The bank took a deposit back",
        reason=f"{shown(-deposit.amount_cents)} went off on {deposit.deposit_date.isoformat()} (type {deposit.type_code}), trace "
               f"{deposit.trace or 'none'}. It stands in suspense.",
        action="Find the remittance whose money it was and match the two: the remittance is then unpaid again. Dispute it with "
               "the bank if there is none.",
        cents=-deposit.amount_cents, opened_on=on,
    )  # fmt: skip


# --- what stands on one side only --------------------------------------------------------------------------------------


def _alarms(connection: sa.Connection, on: date, counts: dict[str, int]) -> None:
    """Remittances without deposit and EFTs without remittance, from the third bank day on. (A deposit has its item at once.)"""
    items: list[WorkItem] = []
    columns = r.remittances.c
    for row in _short_remittances(connection):
        if row.method != "NON" and bank_days_between(row.payment_date, on) >= ALARM_DAYS:
            items.append(_remittance_alarm(row, on))
    here = sa.select(columns.trace, columns.origin, columns.amount_cents).where(columns.state.in_(("posted", "held")))
    posted = {(row.trace, row.origin, row.amount_cents) for row in connection.execute(here)}
    for eft in connection.execute(sa.select(r.efts).order_by(r.efts.c.eft_id)):
        missing = not eft.trace or (eft.trace, eft.origin, eft.amount_cents) not in posted
        if missing and bank_days_between(eft.effective_date, on) >= ALARM_DAYS:
            items.append(_eft_alarm(eft, on))
    counts["work_items"] += open_items(connection, items)
    _close_alarms(connection, {item.subject for item in items})


def _remittance_alarm(row: Any, on: date) -> WorkItem:
    return WorkItem(
        queue="deposit", subject=row.remittance_id, cause="no-deposit", payer_key=row.payer_key, cents=row.open_cents,
        title="A remittance whose money has not come",
        reason=f"Remittance of {row.payment_date.isoformat()}, trace {row.trace}, over {shown(row.amount_cents)}: no deposit "
               f"with its trace, origin and amount for {shown(row.open_cents)} after {ALARM_DAYS} bank days.",
        action="Look at the bank's report; ask the payer to trace the payment.", opened_on=on, reference="alarm",
    )  # fmt: skip


def _eft_alarm(eft: Any, on: date) -> WorkItem:
    return WorkItem(
        queue="deposit", subject=eft.eft_id, cause="eft-without-remittance", cents=eft.amount_cents, opened_on=on,
        title="An EFT whose remittance has not come", reference="alarm",
        reason=f"EFT of {eft.effective_date.isoformat()}, trace {eft.trace or 'none'}, over {shown(eft.amount_cents)}: no "
               f"remittance after {ALARM_DAYS} bank days.",
        action="Ask the payer for the 835.",
    )  # fmt: skip


def _close_alarms(connection: sa.Connection, still: set[str]) -> None:
    columns = r.work_items.c
    query = sa.select(columns.subject).where(
        columns.queue == "deposit", columns.state == "open", columns.cause.in_(_ALARMS)
    )
    gone = sorted(set(connection.execute(query).scalars()) - still)
    close_items(connection, "deposit", gone, "the other side has come")


# --- the daily tie -----------------------------------------------------------------------------------------------------


def tie(connection: sa.Connection, on: date) -> Tie:
    """The bank's credits of one day, by account, against the ledger.

    `bank` is what the bank's report says; the others are what the ledger did with each deposit: posted against a
    remittance, in transit (announced by an EFT or a remittance of the same trace, origin and amount that is not posted
    yet), unapplied, or no claim payment. What the ledger does not explain is the residue.
    """
    d, t, e = r.deposits.c, r.ledger_transactions.c, r.ledger_entries.c
    deposits = connection.execute(sa.select(r.deposits).where(d.deposit_date == on)).fetchall()
    credits: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    of_deposit = sa.func.substr(t.reference, 1, ID_LENGTH)  # a match by a person has the other side behind it
    # the transactions first: asked in one statement, databases go through every entry of the ledger instead
    query = (
        sa.select(t.transaction_id, d.deposit_id)
        .join_from(r.ledger_transactions, r.deposits, d.deposit_id == of_deposit)
        .where(d.deposit_date == on, t.kind.in_(("deposit", "suspense", "suspense_matched", MATCH_BY_PERSON)))
    )
    deposit_of = {row.transaction_id: row.deposit_id for row in connection.execute(query)}
    for some in chunks(sorted(deposit_of)):
        entries = sa.select(e.transaction_id, e.account, e.cents).where(e.transaction_id.in_(some))
        for transaction_id, account, cents in connection.execute(entries):
            name = account.split(":")[0] if account.startswith("clearing:") else account
            credits[deposit_of[transaction_id]][name] -= int(cents)
    announced = set(_efts_by_key(connection)) | {
        (row.trace, row.origin, row.amount_cents)
        for row in connection.execute(sa.select(r.remittances).where(r.remittances.c.state == "held"))
    }
    sums: dict[str, list[int]] = defaultdict(lambda: [0] * 5)
    for row in deposits:
        of_row = credits[row.deposit_id]
        line = sums[row.account]
        waiting = of_row[accounts.SUSPENSE]
        transit = bool(row.trace) and (row.trace, row.origin, row.amount_cents) in announced
        line[0] += row.amount_cents
        line[1] += of_row["clearing"]
        line[2] += 0 if transit else waiting
        line[3] += waiting if transit else 0
        line[4] += of_row[accounts.NOT_CLAIMS]
    return Tie(on, tuple(TieLine(account, *values) for account, values in sorted(sums.items())))


def _hash(parts: Iterable[str]) -> str:
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:32]

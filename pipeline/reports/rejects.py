"""What of a night is not green: what came and was set aside whole, and what was not posted or sent because of what it holds.

A night with such things is done, but not clean: it ends with exit code 1, and its report says so. Single rows that were set
aside among good neighbours are every real night's lot; they are in the work queues and do not count here.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

import sqlalchemy as sa

from pipeline.store import register as r
from pipeline.wording import counted

_LIST = "claimpipe work list --queue"


def rejects(connection: sa.Connection, on: date) -> list[str]:
    """Sentences for people, in the order in which a night goes; empty where the night is clean."""
    return [*_extracts(connection, on), *_claim_files(connection, on), *_received(connection, on)]


def _count(connection: sa.Connection, column: Any, *where: Any) -> int:
    return int(connection.execute(sa.select(sa.func.count(column.distinct())).where(*where)).scalar_one())


def _extracts(connection: sa.Connection, on: date) -> Iterator[str]:
    i = r.imports.c
    whole = sa.select(i.name, i.rows_read).where(
        i.logical_date == on, i.rows_read > 0, i.rows_quarantined == i.rows_read
    )
    for row in connection.execute(whole.order_by(i.name, i.import_id)):
        yield f"No visit of the extract {row.name} can be read ({row.rows_read:,} quarantined): {_LIST} file"
    f = r.findings.c
    # rows of visits that are not there, visits of records that are not there: one of the files was cut, or is of another day
    visits = f.file == "encounters.csv"
    torn = _count(
        connection,
        f.finding_id,
        f.logical_date == on,
        f.severity == "error",
        f.stage == "encounters",
        (f.rule == "intake.orphan") | ((f.rule == "intake.reference.missing") & (visits | f.file.like("%json%"))),
    )
    if torn:
        yield f"The extract is not whole: {counted(torn, 'row')} of records that it does not hold: {_LIST} file"


def _claim_files(connection: sa.Connection, on: date) -> Iterator[str]:
    s = r.sendings.c
    withheld = _count(connection, s.sending_id, s.logical_date == on, s.state == "withheld", s.reason != "test")
    if withheld:
        yield f"{counted(withheld, 'claim file')} withheld by a quality check: {_LIST} sending"


def _received(connection: sa.Connection, on: date) -> Iterator[str]:
    files, f, w = r.files.c, r.findings.c, r.work_items.c
    told = sa.select(f.subject).where(f.logical_date == on, f.severity == "error")
    aside = (files.direction == "in", files.state == "quarantined", files.kind != "extract")
    asked = sa.select(w.subject).where(w.queue == "file", w.state == "open", w.opened_on == on)
    today = (files.logical_date == on) | files.file_id.in_(told) | files.file_id.in_(asked)  # read again, and no better
    bad = sa.select(files.file_id).where(*aside, today)
    number = int(connection.execute(sa.select(sa.func.count()).select_from(bad.subquery())).scalar_one())
    if number:
        yield f"{counted(number, 'received file')} quarantined: {_LIST} file"
    part = _count(
        connection, f.subject, f.logical_date == on, f.severity == "error", f.stage == "deposits", f.subject.not_in(bad)
    )
    if part:
        yield f"{counted(part, 'bank file')} taken in part only: {_LIST} file"
    held = _count(
        connection,
        f.subject,
        f.logical_date == on,
        f.severity == "error",
        f.stage == "remittances",
        f.subject.not_in(bad),
    )
    if held:
        yield f"{counted(held, 'remittance')} held or not posted: {_LIST} remittance"
    left = _count(
        connection, w.item_id, w.queue == "file", w.opened_on == on, w.cause.like("inbox.%"), w.subject.like("%:%")
    )
    if left:
        yield f"{counted(left, 'file')} left at the sender since an earlier night: {_LIST} file"

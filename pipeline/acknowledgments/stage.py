"""Acknowledgments: TA1, 999 and 277CA move claims, settle sendings, and become work where something was refused.

Theory. Every acknowledgment is kept as a fact (`acknowledgments`), once, whatever file brings it. Facts that meet claims of ours
are applied (`applying`); a fact that meets nothing stays `waiting` and is tried again in every run: an acknowledgment may come
before the register knows of the upload, or after a restore. Nothing here ever sends.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import sqlalchemy as sa

from pipeline import payers
from pipeline.acknowledgments import answering, applying, facts, overdue, totals
from pipeline.acknowledgments.applying import STAGE
from pipeline.acknowledgments.items import unreadable
from pipeline.findings import Finding, has_errors
from pipeline.store import Store, received
from pipeline.store import register as r
from pipeline.store.store import insert_new, record_findings, update_rows
from pipeline.store.work import open_items

KINDS = ("TA1", "999", "277CA", "mixed")
#: what a mixed file's `reason` says when its acknowledgments are read but its remittances are not yet
READ_MARK = "acknowledgments read"
#: and the reverse, as the remittance stage leaves it
REMITTANCES_READ = "remittances read"


@dataclass
class _Read:
    """One file, read outside of the register's transaction."""

    file_id: str
    payer_key: str
    kind: str
    logical_date: date
    rows: list[facts.Row]
    findings: list[Finding]
    has_remittances: bool
    reason: str


def run(store: Store, on: date) -> dict[str, int]:
    """Read the acknowledgment files that have arrived, apply them and all that waited; alarm for what did not come."""
    profiles = payers.load_profiles(store.settings.payers_dir)

    def record(connection: sa.Connection, read: list[_Read], counts: dict[str, int]) -> None:
        order = _record_files(connection, on, read, counts)
        applying.apply(store, connection, on, order, profiles, counts)
        overdue.alarm(connection, on, profiles, counts)

    return received.work(store, on, STAGE, KINDS, lambda row: _read(store, row, profiles), record, unless=READ_MARK)


def _read(store: Store, row: Any, profiles: Mapping[str, payers.PayerProfile]) -> _Read:
    result = received.said_by(store, row)
    payer_key = row.payer_key or ""
    tables = result.tables
    bad = has_errors(result.findings)
    return _Read(
        row.file_id, payer_key, row.kind, row.logical_date,
        [] if bad else facts.read(tables, answering.payer_of(store, profiles, payer_key), row.file_id),
        result.findings if bad else [*result.findings, *totals.differences(row.file_id, tables)], "835.payments" in tables, row.reason,
    )  # fmt: skip


def _record_files(connection: sa.Connection, on: date, read: Sequence[_Read], counts: dict[str, int]) -> dict[str, int]:
    """Mark the files and keep their findings and facts; a file with an error is set aside whole.

    Returns the order of the facts: files are read in a fixed order, and facts of one file in theirs, so that events come
    in the same order each time.
    """
    marks, items = [], []
    for file in read:
        counts["files"] += 1
        bad = has_errors(file.findings)
        if bad:
            counts["files_quarantined"] += 1
            items.append(unreadable(file.file_id, file.payer_key, file.kind, file.findings, on))
            state, reason = "quarantined", next(f.rule for f in file.findings if f.severity == "error")
        elif file.kind == "mixed" and file.has_remittances and file.reason != REMITTANCES_READ:
            state, reason = "archived", READ_MARK
        else:
            state, reason = "processed", ""
        marks.append({"file_id": file.file_id, "state": state, "reason": reason})
        record_findings(connection, STAGE, on, file.findings)
    update_rows(connection, r.files, "file_id", marks, ["state", "reason"])
    open_items(connection, items)
    fresh = [row for file in read for row in file.rows]
    counts["facts"] += insert_new(connection, r.acknowledgments, fresh)
    for file in read:
        file.rows = []  # a night may bring hundreds of thousands; the register has them now
    return {row["ack_id"]: n for n, row in enumerate(fresh)}

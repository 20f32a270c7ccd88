"""Quality checkpoints: which rows are looked at after each stage, and where a row goes that fails.

`quality/` knows how to hold a frame against a suite of Great Expectations; this module knows the way of the data: what
the fresh rows of a stage are, and how one that fails is set aside with its reason so that its neighbours go on. Above
the suite's threshold the whole stage stops: then the fault is in the source, and a person should look first.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import pandas as pd
import pyarrow as pa
import sqlalchemy as sa

from pipeline import shapes, transactions
from pipeline.errors import ClaimpipeError
from pipeline.quality import engine
from pipeline.store import Store, received
from pipeline.store import register as r
from pipeline.store.events import Move, move_claims
from pipeline.store.store import chunks, files_waiting, record_findings, update_rows
from pipeline.store.work import WorkItem, open_items

#: kinds of received files that the stages of these names work
_ACKNOWLEDGING = ("TA1", "999", "277CA", "mixed")
_PAYING = ("835", "mixed")
#: keys that failed → the first reason of each
Failed = dict[str, engine.Reason]


@dataclass(frozen=True)
class Checkpoint:
    """`frame` gives the fresh rows (one column is `key`); `set_aside` moves failed rows out of the way.

    `of_file` in place of it: the rows of one received file of the kinds `received`, so that a file that cannot be held against
    the suite is set aside alone.

    `of_date`: the frame holds all rows of the date rather than those that are fresh, so a later check of the same night
    stands in place of the earlier one; else the checks of a night add up.
    """

    suite: str
    key: str
    set_aside: Callable[[sa.Connection, date, Failed], None]
    frame: Callable[[Store, date], pd.DataFrame] | None = None
    of_date: bool = False
    received: Sequence[str] = ()
    of_file: Callable[[Store, Any], pd.DataFrame | None] | None = None


def run(store: Store, on: date, suite: str) -> dict[str, int]:
    """Hold the fresh rows of a stage against its suite. Terminal where the share of failed rows passes the threshold."""
    point = CHECKPOINTS[suite]
    result, refused = _check_files(store, on, point) if point.of_file else _check_rows(store, on, point)
    if result is None:
        return {"checked": 0, "failed": refused}
    with store.begin() as connection:
        engine.record(connection, on, result, "" if point.of_date else _subject(result.names))
        if not result.stops:
            if result.failed:
                point.set_aside(connection, on, result.failed)
            record_findings(connection, f"quality.{suite}", on, result.findings())
    result.raise_if_stopped()
    return {"checked": result.rows, "failed": len(result.failed) + refused}


def _check_rows(store: Store, on: date, point: Checkpoint) -> tuple[engine.Result | None, int]:
    assert point.frame is not None
    frame = point.frame(store, on)
    return (None if frame.empty else engine.check(point.suite, frame, point.key)), 0


def _check_files(store: Store, on: date, point: Checkpoint) -> tuple[engine.Result | None, int]:
    """The check of what received files say, and how many files could not be checked at all and were quarantined.

    A fault that no row can be blamed for is looked for file by file, so that it costs one file and not the stage.
    """
    assert point.of_file is not None
    stage, of_file = f"quality.{point.suite}", point.of_file
    with store.read() as connection:
        waiting = files_waiting(connection, point.received)
    read = received.read_each(store, on, stage, waiting, lambda row: (row, of_file(store, row)))
    refused = len(waiting) - len(read)
    frames = [(row, frame) for row, frame in read if frame is not None and not frame.empty]
    if not frames:
        return None, refused
    try:
        result = engine.check_in_slices(
            point.suite, pd.concat([frame for _, frame in frames], ignore_index=True), point.key
        )
        if not result.broken:
            return result, refused
    except ClaimpipeError:
        raise
    except Exception:  # noqa: S110 - found again below, in the file that it belongs to
        pass
    of_id = {row.file_id: frame for row, frame in frames}
    each = received.read_each(
        store, on, stage, [row for row, _ in frames],
        lambda row: (row.file_id, engine.check_in_slices(point.suite, of_id[row.file_id], point.key)),
    )  # fmt: skip
    refused += len(frames) - len(each)
    bad = {file_id: one.broken[0].reason for file_id, one in each if one.broken}
    good = [of_id[file_id] for file_id, one in each if not one.broken]
    if good:
        told = engine.check_in_slices(point.suite, pd.concat(good, ignore_index=True), point.key)
    elif each:
        told = each[0][1]
    else:
        return None, refused
    told.broken = []
    told.failed |= bad
    told.names |= {file_id for file_id, _ in each}
    return told, refused


def _subject(keys: Iterable[str]) -> str:
    """The name of a check: the same rows checked again are the same check."""
    return hashlib.sha256("\0".join(sorted(set(keys))).encode()).hexdigest()[:16]


def _of_lake(store: Store, table: str, fresh: Iterable[tuple[str, date, str]]) -> pd.DataFrame:
    """Rows of visits (key, date, part), each from the part that holds its present version: an older part may have it too."""
    parts: dict[tuple[date, str], list[str]] = defaultdict(list)
    for key, on, part in fresh:
        parts[on, part].append(key)
    if not parts:
        return pd.DataFrame()
    tables = [
        store.lake.read(table, on, part, ("encounter_key", sorted(keys))) for (on, part), keys in sorted(parts.items())
    ]
    return pa.concat_tables(tables).to_pandas(types_mapper=pd.ArrowDtype)


def _encounters(store: Store, on: date) -> pd.DataFrame:
    e = r.encounters.c
    with store.read() as connection:
        fresh = connection.execute(
            sa.select(e.encounter_key, e.logical_date, e.lake_part).where(e.state == "extracted", e.logical_date <= on)
        ).all()
    return _of_lake(store, "encounters", [tuple(row) for row in fresh])


def _coded(store: Store, on: date) -> pd.DataFrame:
    e = r.encounters.c
    with store.read() as connection:
        fresh = connection.execute(
            sa.select(e.encounter_key, e.logical_date, e.coded_part).where(
                e.state == "coded", e.coded_part.is_not(None)
            )
        ).all()
    return _of_lake(store, "coded_claims", [tuple(row) for row in fresh])


def _scrubbed(store: Store, on: date) -> pd.DataFrame:
    c = r.claims.c
    with store.read() as connection:
        fresh = connection.execute(
            sa.select(c.encounter_key, c.scrubbed_date, c.scrubbed_part).where(
                c.state == "ready",
                sa.or_(c.frequency == "8", sa.exists().where(r.encounters.c.claim_id == c.claim_id)),
            )
        ).all()
    return _of_lake(store, "scrubbed_claims", [tuple(row) for row in fresh])


def _batches(store: Store, on: date) -> pd.DataFrame:
    """One row a file that is built and not sent: what the register means against what the archived bytes say."""
    s = r.sendings.c
    with store.read() as connection:
        fresh = connection.execute(sa.select(r.sendings).where(s.state == "built")).mappings().all()
    rows = []
    for sending in fresh:
        data = store.archive.get(sending["file_id"])
        tables = transactions.read(data, file=sending["file_id"], mode="strict").tables
        claims = tables["837.claims"]
        total = pa.compute.sum(claims.column("charge")).as_py() or 0
        rows.append(
            {
                "sending_id": sending["sending_id"],
                "usage": sending["usage"],
                "size": sending["size"],
                "bytes_archived": len(data),
                "claims_meant": sending["claim_count"],
                "claims_in_file": claims.num_rows,
                "cents_meant": sending["charge_cents"],
                "cents_in_file": int(total * 100),
                "interchange_control": sending["interchange_control"],
                "largest_claim_count_of_a_set": max(
                    claims.column("set_number").value_counts().field(1).to_pylist() or [0]
                ),
            }
        )
    return pd.DataFrame(rows)


def _acknowledgment(store: Store, row: Any) -> pd.DataFrame:
    """One row a fact of an acknowledgment file."""
    tables = received.said_by(store, row, ahead=True).tables
    return pd.DataFrame(
        [
            {"file_id": row.file_id, "kind": kind, "code": value}
            for kind, table, code in (
                ("TA1", "TA1.interchanges", "code"),
                ("999", "999.sets", "code"),
                ("277CA", "277CA.statuses", "category"),
            )
            if table in tables
            for value in tables[table].column(code).to_pylist()
        ]
    )


def _remittance(store: Store, row: Any) -> pd.DataFrame | None:
    """One row a claim payment, with what its transaction set says; a set without claims is one row as well."""
    wanted = {
        "835.payments": ["set_number", "amount", "method", "payment_date", "trace", "origin"],
        "835.claims": ["set_number", "claim_id", "status", "charge", "paid"],
    }  # fmt: skip
    kept: dict[str, list[pa.Table]] = {name: [shapes.empty(name).select(columns)] for name, columns in wanted.items()}

    def keep(tables: dict[str, pa.Table]) -> None:
        for name in wanted.keys() & tables.keys():
            kept[name].append(tables[name].select(wanted[name]))

    with store.archive.opened(row.file_id) as data:
        transactions.read_in_parts(data, keep, file=row.file_id)
    payments, claims = (pa.concat_tables(kept[name]) for name in wanted)
    if not payments.num_rows:
        return None
    return (
        payments.to_pandas(types_mapper=pd.ArrowDtype)
        .merge(claims.to_pandas(types_mapper=pd.ArrowDtype), on="set_number", how="left")
        .assign(file_id=row.file_id)
    )


def _postings(store: Store, on: date) -> pd.DataFrame:
    """One row a ledger transaction of a remittance that came in on this date: its kind, its sum, its entries."""
    t, e = r.ledger_transactions.c, r.ledger_entries.c
    with store.read() as connection:
        rows = connection.execute(
            sa.select(
                t.transaction_id, t.kind, sa.func.sum(e.cents).label("sum_cents"), sa.func.count().label("entries")
            )
            .select_from(
                r.ledger_transactions.join(r.ledger_entries, t.transaction_id == e.transaction_id)
                .join(r.remittances, t.remittance_id == r.remittances.c.remittance_id)
                .join(r.files, r.remittances.c.file_id == r.files.c.file_id)
            )
            .where(r.files.c.logical_date == on)
            .group_by(t.transaction_id, t.kind)
            .order_by(t.transaction_id)
        ).mappings()
        return pd.DataFrame([{**row, "sum_cents": int(row["sum_cents"])} for row in rows])


def _deposits(store: Store, on: date) -> pd.DataFrame:
    """One row a deposit of a bank file that came in on this date."""
    d = r.deposits.c
    with store.read() as connection:
        rows = connection.execute(
            sa.select(d.deposit_id, d.amount_cents, d.type_code, d.deposit_date, d.account)
            .join_from(r.deposits, r.files, d.file_id == r.files.c.file_id)
            .where(r.files.c.logical_date == on)
            .order_by(d.deposit_id)
        ).mappings()
        return pd.DataFrame([dict(row) for row in rows])


def _aside_encounters(connection: sa.Connection, on: date, failed: Failed) -> None:
    _encounter_state(connection, on, failed, "quarantined")


def _aside_coded(connection: sa.Connection, on: date, failed: Failed) -> None:
    _encounter_state(connection, on, failed, "held")


def _encounter_state(connection: sa.Connection, on: date, failed: Failed, state: str) -> None:
    """Set visits aside with their reason, and open a work item for each."""
    keys = sorted(failed)
    rows: list[Any] = []
    for some in chunks(keys):
        where = r.encounters.c.encounter_key.in_(some)
        rows += connection.execute(sa.select(r.encounters).where(where)).mappings().all()
    update_rows(
        connection,
        r.encounters,
        "encounter_key",
        [
            {"encounter_key": row["encounter_key"], "state": state, "reason": failed[row["encounter_key"]].rule}
            for row in rows
        ],
        ["state", "reason"],
    )
    items = []
    for row in rows:
        reason = failed[row["encounter_key"]]
        items.append(
            WorkItem(
                queue="held", subject=row["encounter_key"], cause=reason.rule, title=_title("Visit", reason),
                reason=reason.message, action=reason.fix, opened_on=on, cents=row["charge_cents"], payer_key=row["payer_key"],
            )
        )  # fmt: skip
    open_items(connection, items)


def _title(whose: str, reason: engine.Reason) -> str:
    """The expectation's own words, as the name of the work."""
    said = reason.message.removesuffix(".")
    return f"{whose}: {said[:1].lower()}{said[1:]}"


def _aside_scrubbed(connection: sa.Connection, on: date, failed: Failed) -> None:
    """A claim that is ready and fails is withdrawn: its visit is held, its row goes, the event of it stays."""
    c, keys = r.claims.c, sorted(failed)
    for some in chunks(keys):
        where = c.encounter_key.in_(some) & (c.state == "ready")
        rows = connection.execute(sa.select(c.claim_id, c.encounter_key).where(where).order_by(c.claim_id)).all()
        moves = [Move(row.claim_id, "withdrawn", "ready", detail=failed[row.encounter_key].rule) for row in rows]
        move_claims(connection, on, moves)
        connection.execute(sa.delete(r.claims).where(where, c.file_id.is_(None)))
    _encounter_state(connection, on, failed, "held")
    update_rows(
        connection, r.encounters, "encounter_key", [{"encounter_key": k, "claim_id": None} for k in keys], ["claim_id"]
    )


def _aside_batches(connection: sa.Connection, on: date, failed: Failed) -> None:
    for sending_id in sorted(failed):
        row = connection.execute(sa.select(r.sendings).where(r.sendings.c.sending_id == sending_id)).mappings().one()
        connection.execute(
            sa.update(r.sendings)
            .where(r.sendings.c.sending_id == sending_id)
            .values(state="withheld", reason=failed[sending_id].rule)
        )
        open_items(
            connection,
            [
                WorkItem(
                    queue="sending", subject=row["file_id"], cause=failed[sending_id].rule,
                    title=_title("Claim file", failed[sending_id]), reason=failed[sending_id].message,
                    action=failed[sending_id].fix, opened_on=on, cents=row["charge_cents"], payer_key=row["payer_key"],
                )
            ],
        )  # fmt: skip


def _aside_files(connection: sa.Connection, on: date, failed: Failed) -> None:
    for file_id in sorted(failed):
        connection.execute(
            sa.update(r.files)
            .where(r.files.c.file_id == file_id)
            .values(state="quarantined", reason=failed[file_id].rule)
        )
        open_items(
            connection,
            [
                WorkItem(
                    queue="file", subject=file_id, cause=failed[file_id].rule, title=_title("Received file", failed[file_id]),
                    reason=failed[file_id].message, action=failed[file_id].fix, opened_on=on,
                )
            ],
        )  # fmt: skip


def _only_report(connection: sa.Connection, on: date, failed: Failed) -> None:
    """What is posted is never unposted: a person looks."""
    open_items(
        connection,
        [
            WorkItem(queue="remittance", subject=key, cause=reason.rule, title=_title("Books", reason),
                     reason=reason.message, action=reason.fix, opened_on=on)
            for key, reason in sorted(failed.items())
        ],
    )  # fmt: skip


CHECKPOINTS = {
    point.suite: point
    for point in (
        Checkpoint("encounters", "encounter_key", _aside_encounters, _encounters),
        Checkpoint("coded_claims", "encounter_key", _aside_coded, _coded),
        Checkpoint("scrubbed_claims", "encounter_key", _aside_scrubbed, _scrubbed),
        Checkpoint("batches", "sending_id", _aside_batches, _batches),
        Checkpoint("acknowledgments", "file_id", _aside_files, received=_ACKNOWLEDGING, of_file=_acknowledgment),
        Checkpoint("remittances", "file_id", _aside_files, received=_PAYING, of_file=_remittance),
        Checkpoint("postings", "transaction_id", _only_report, _postings, of_date=True),
        Checkpoint("deposits", "deposit_id", _only_report, _deposits, of_date=True),
    )
}

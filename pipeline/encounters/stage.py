"""Intake: an extract becomes encounters in the register and in the lake.

Intake is idempotent by the visit: one whose key and content stand in the register already is left alone, so a cumulative
extract brings only what is new, and the same extract again brings nothing. It is not idempotent by the extract's bytes: the
same files have another effect once a visit's day has come, or once another extract has brought other content in between.

Most extracts state a visit as a whole. Charge messages go on where the ones before ended: for such a format the lake keeps the records
of which each version of a visit was made (`encounter_statements`), and the reader puts the new ones behind them
(`Context.earlier`), so that what it hands on is the whole visit again.

What a visit is, the latest logical date says, and of extracts of one date the last to come. An extract of an earlier night
than the one that brought a visit does not change it, so a backfill over later nights alters nothing; where its content
differs, a work item says so. A visit that comes again changed takes the earlier one's place. A claim that has not left the
house is withdrawn with it; one that has left stands, and scrubbing decides what corrects it (`scrubbing/versions.py`).
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from pipeline import payers
from pipeline.encounters import formats
from pipeline.encounters.intake import RULES, Context, Earlier, Intake, SetAside, Stated
from pipeline.failpoints import failpoint
from pipeline.findings import Finding
from pipeline.money import cents
from pipeline.store import Store
from pipeline.store import register as r
from pipeline.store.archive import sha256
from pipeline.store.events import Move, move_claims
from pipeline.store.store import chunks, insert_new, record_findings, record_stage, update_rows
from pipeline.store.work import WorkItem, close_items, open_items
from pipeline.wording import counted

STAGE = "encounters"
_LOOK_UP = 5000  # keys a query
_UPDATED = (
    "version", "content_hash", "import_id", "logical_date", "practice_id", "payer_key", "service_from", "charge_cents",
    "billed_cents", "unbilled_cents", "priced_cents", "state", "reason", "coded_part", "lake_part", "source_file",
    "source_row", "claim_id", "cancelled",
)  # fmt: skip


def run(store: Store, on: date, path: Path, fmt: str = "auto", *, name: str = "") -> dict[str, int]:
    """Take in the extract at `path` on the night of `on`; returns counts of visits and cents. `name`: what people call it,
    where that is not the path's own name.

    Keys: files, rows_read, rows_new, rows_changed, rows_known, rows_quarantined, charge_cents, quarantined_cents, findings.
    Terminal where the extract as a whole cannot be used: nothing of it is taken in then. The files that are read are in
    the archive before any of them is parsed.
    """
    fmt, files = formats.sources(Path(path), fmt)
    hashes = {name: sha256(data) for name, data in files.items()}
    files_id = hashlib.sha256("\n".join(f"{name} {hashes[name]}" for name in sorted(hashes)).encode()).hexdigest()
    for file in sorted(files):
        store.archive.put(files[file])
    context = Context(
        on=on,
        payers=payers.by_source_name(payers.load_profiles(store.settings.payers_dir)),
        timezone=ZoneInfo(store.settings.timezone),
        earlier=partial(_stated, store, on, fmt),
    )
    taken = formats.READERS[fmt].read(files, context)
    sizes = {name: len(data) for name, data in files.items()}
    del files
    earlier = _earlier(store, files_id)
    news = _compare(store, taken, on, repeated=on in earlier.values())
    import_id = _import_id(files_id, on, news) if earlier else files_id
    part = import_id[:16]
    for row in (*news.inserts, *news.updates):
        row |= {"import_id": import_id, "lake_part": part}
    if news.fresh and news.writes:
        keys = pa.array(news.fresh, type=pa.string())
        for shape, rows in (
            ("encounters", taken.encounters), ("encounter_diagnoses", taken.diagnoses), ("encounter_lines", taken.lines),
        ):  # fmt: skip
            store.lake.write(shape, on, part, rows.filter(pc.is_in(rows.column("encounter_key"), keys)))
    if taken.statements is not None and news.writes:
        keys = pa.array([row["encounter_key"] for row in (*news.inserts, *news.updates)], type=pa.string())
        said = taken.statements.filter(pc.is_in(taken.statements.column("encounter_key"), keys))
        store.lake.write("encounter_statements", on, part, said)
    listed = taken.authorizations
    if listed is not None and listed.num_rows and (news.writes or not earlier):
        store.lake.write("authorizations", on, part, listed)
    counts = {
        "files": len(hashes),
        "rows_read": taken.rows_read,
        "rows_new": news.new,
        "rows_changed": news.changed,
        "rows_known": news.known,
        "rows_quarantined": len(taken.set_aside),
        "charge_cents": taken.charge_cents,
        "quarantined_cents": sum(item.charge_cents for item in taken.set_aside),
        "findings": len(taken.findings),
    }
    failpoint("encounters.before_register")
    if earlier and not news.writes:
        with store.begin() as c:
            open_items(c, [_older(news.older, files_id, on)] if news.older else [])
        return _recorded(store, on, [i for i, day in earlier.items() if day == on]) or counts
    with store.begin() as c:
        insert_new(c, r.imports, [{
            "import_id": import_id, "files_id": files_id, "logical_date": on, "format": fmt, "name": name or Path(path).name,
            **{name: counts[name] for name in (
                "rows_read", "charge_cents", "rows_new", "rows_changed", "rows_known", "rows_quarantined")},
        }])  # fmt: skip
        insert_new(c, r.files, [
            {"file_id": hashes[name], "direction": "in", "kind": "extract", "payer_key": None, "size": sizes[name],
             "logical_date": on, "state": "processed", "reason": ""}
            for name in sorted(hashes)
        ])  # fmt: skip
        _withdraw(c, on, [row["encounter_key"] for row in news.updates])
        insert_new(c, r.encounters, news.inserts)
        update_rows(c, r.encounters, "encounter_key", news.updates, _UPDATED)
        brought = ("encounter_key", "version", "import_id", "charge_cents")
        insert_new(c, r.visit_versions, [{k: row[k] for k in brought} for row in [*news.inserts, *news.updates]])
        record_findings(c, STAGE, on, taken.findings)
        untold = [f for f in taken.findings if f.subject not in news.told]
        waiting = [item for item in taken.set_aside if item.encounter_key not in news.told]
        open_items(c, _summaries(untold, waiting, part, on))
        open_items(c, [_older(news.older, files_id, on)] if news.older else [])
        gone = [row["encounter_key"] for row in news.updates if row["state"] == "cancelled"]
        for queue in ("held", "coding"):
            close_items(c, queue, gone, "The visit was cancelled in the source.")
        _close_mended(c, part)
        record_stage(c, STAGE, on, counts, import_id)
    return counts


def _stated(store: Store, on: date, fmt: str, keys: Collection[str]) -> dict[str, Earlier]:
    """What extracts up to the night of `on` stated of each visit in this format: the records of its newest version of it."""
    v, i = r.visit_versions.c, r.imports.c
    newest: dict[str, tuple[date, str]] = {}
    last: dict[str, str] = {}
    with store.read() as c:
        for some in chunks(sorted(keys)):
            query = (
                sa.select(v.encounter_key, i.logical_date, v.import_id, i.format)
                .join_from(r.visit_versions, r.imports, v.import_id == i.import_id)
                .where(v.encounter_key.in_(some), i.logical_date <= on)
                .order_by(v.encounter_key, v.version)
            )
            for row in c.execute(query):
                last[row.encounter_key] = row.format
                if row.format == fmt:
                    newest[row.encounter_key] = (row.logical_date, row.import_id[:16])
    parts: dict[tuple[date, str], list[str]] = defaultdict(list)
    for key, place in newest.items():
        parts[place].append(key)
    found: dict[str, list[Stated]] = {key: [] for key in last}
    for (day, part), theirs in sorted(parts.items()):
        said = store.lake.read("encounter_statements", day, part, ("encounter_key", theirs))
        for row in said.sort_by([("encounter_key", "ascending"), ("number", "ascending")]).to_pylist():
            found[row["encounter_key"]].append(
                Stated(row["extract"], row["text"], row["source_file"], row["source_row"])
            )
    return {key: Earlier(records, bool(records) and last[key] == fmt) for key, records in found.items()}


def _earlier(store: Store, files_id: str) -> dict[str, date]:
    """Imports of the very same files, with their logical dates."""
    i = r.imports.c
    with store.read() as c:
        query = sa.select(i.import_id, i.logical_date).where(i.files_id == files_id)
        return {row.import_id: row.logical_date for row in c.execute(query)}


def _import_id(files_id: str, on: date, news: _News) -> str:
    """Of files that are known: made of what they change tonight, so that a run after a power cut finds the same id."""
    told = [f"{row['encounter_key']} {row['version']} {row['content_hash']}" for row in (*news.inserts, *news.updates)]
    return hashlib.sha256("\n".join([files_id, on.isoformat(), *told]).encode()).hexdigest()


def _recorded(store: Store, on: date, import_ids: list[str]) -> dict[str, int] | None:
    """What the first run of these files on this date counted."""
    s = r.stage_runs.c
    with store.read() as c:
        text = c.execute(
            sa.select(s.counts).where(s.stage == STAGE, s.logical_date == on, s.subject.in_(import_ids)).limit(1)
        ).scalar()
    return None if text is None else dict(json.loads(text))


@dataclass(slots=True)
class _News:
    """What an extract changes: register rows to insert and to update, visits whose rows go to the lake, work for people."""

    inserts: list[dict[str, Any]] = field(default_factory=list)
    updates: list[dict[str, Any]] = field(default_factory=list)
    fresh: list[str] = field(default_factory=list)
    told: set[str] = field(default_factory=set)
    """Keys of bad visits that a person has on a work item already."""
    new: int = 0
    changed: int = 0
    known: int = 0
    older: int = 0
    """Visits to which a later night has brought other content."""

    @property
    def writes(self) -> bool:
        return bool(self.inserts or self.updates)


def _compare(store: Store, taken: Intake, on: date, *, repeated: bool) -> _News:
    """What of the extract is news. `repeated`: these files were worked on this date before, so what a later night has
    changed since is known to all."""
    news = _News()
    rows = [*_good_rows(taken.encounters), *_set_aside_rows(taken.set_aside)]
    keys = [row["encounter_key"] for row in rows]
    before, billed = _before(store, keys), _with_claims(store, keys)
    for row in rows:
        row |= {
            "logical_date": on, "billed_cents": 0, "unbilled_cents": 0, "priced_cents": 0, "claim_id": None,
            "coded_part": None,
        }  # fmt: skip
        key, good = row["encounter_key"], row["state"] != "quarantined"
        if row["cancelled"]:
            row |= _cancelled(key in billed) | {"unbilled_cents": row["charge_cents"]}
        old = before.get(key)
        if old is None:
            news.inserts.append({"version": 1, **row})
            news.new += good
        elif old.content_hash == row["content_hash"] and (not good or old.state != "quarantined"):
            news.known += good
            if not good and old.state == "quarantined":
                news.told.add(key)
            continue
        elif old.logical_date > on:
            news.known += good
            news.older += not repeated
            news.told.add(key)
            continue
        elif not good and key in billed:
            continue  # the claim that left speaks for the visit until a legible row comes; the finding tells of this one
        else:
            news.updates.append({"version": old.version + 1, **row})
            news.changed += good
        if good:
            news.fresh.append(key)
    return news


def _cancelled(billed: bool) -> dict[str, Any]:
    """Where a visit goes that the source took back: a claim of it that left the house has to be voided first."""
    return {"state": "held", "reason": "cancelled"} if billed else {"state": "cancelled", "reason": "cancelled"}


def _good_rows(encounters: pa.Table) -> Iterable[dict[str, Any]]:
    names = (
        "encounter_key",
        "content_hash",
        "practice_id",
        "payer_key",
        "service_from",
        "charge",
        "source_file",
        "source_row",
        "cancelled",
    )
    columns = [encounters.column(name).to_pylist() for name in names]
    for cells in zip(*columns, strict=True):
        row = dict(zip(names, cells, strict=True))
        row["charge_cents"] = cents(row.pop("charge"))
        row["cancelled"] = bool(row["cancelled"])
        yield row | {"state": "extracted", "reason": ""}


def _set_aside_rows(items: Iterable[SetAside]) -> Iterable[dict[str, Any]]:
    for item in items:
        yield {
            "encounter_key": item.encounter_key, "content_hash": item.content_hash, "practice_id": item.practice_id,
            "payer_key": item.payer_key, "service_from": item.service_from, "charge_cents": item.charge_cents,
            "source_file": item.source_file, "source_row": item.source_row, "state": "quarantined", "reason": item.reason,
            "cancelled": False,
        }  # fmt: skip


def _before(store: Store, keys: list[str]) -> dict[str, Any]:
    e, found = r.encounters.c, {}
    with store.read() as c:
        for start in range(0, len(keys), _LOOK_UP):
            query = sa.select(e.encounter_key, e.content_hash, e.version, e.state, e.logical_date).where(
                e.encounter_key.in_(keys[start : start + _LOOK_UP])
            )
            found.update({row.encounter_key: row for row in c.execute(query)})
    return found


def _with_claims(store: Store, keys: list[str]) -> set[str]:
    """Visits of which a claim has gone into a file."""
    k = r.claims.c
    found: set[str] = set()
    with store.read() as c:
        if not c.execute(sa.select(k.claim_id).limit(1)).first():
            return found
        for start in range(0, len(keys), _LOOK_UP):
            some = k.encounter_key.in_(keys[start : start + _LOOK_UP])
            found.update(c.execute(sa.select(k.encounter_key).where(some, k.file_id.is_not(None))).scalars())
    return found


def _withdraw(connection: sa.Connection, on: date, keys: list[str]) -> None:
    """Claims of changed visits that are ready and in no file do not go; the new content makes its own. One that was let go
    again (`claims/release.py`) has been in a file and stays: scrubbing makes its next version."""
    k = r.claims.c
    for start in range(0, len(keys), _LOOK_UP):
        where = (k.encounter_key.in_(keys[start : start + _LOOK_UP]), k.state == "ready", k.file_id.is_(None))
        ids = list(connection.execute(sa.select(k.claim_id).where(*where).order_by(k.claim_id)).scalars())
        move_claims(connection, on, [Move(claim_id, "withdrawn", "ready", detail="visit changed") for claim_id in ids])
        if ids:
            connection.execute(sa.delete(r.claims).where(*where))


def _older(visits: int, files_id: str, on: date) -> WorkItem:
    return WorkItem(
        queue="file",
        subject=files_id[:16],
        cause="intake.older",
        reference=on.isoformat(),
        title="An extract of an earlier night says otherwise than a later one",
        reason=f"{counted(visits, 'visit of this extract differs', 'visits of this extract differ')} from what an "
        "extract of a later night has brought, and the books stay as the later night has it.",
        action="Nothing, if the later extract is right. Else run this one again under today's date.",
        opened_on=on,
    )


def _summaries(findings: Iterable[Finding], items: Iterable[SetAside], part: str, on: date) -> list[WorkItem]:
    """One work item for each kind of fault that the extract brings: a person sees it, however many rows have it.

    A bad visit that a later extract repeats unchanged is on the first extract's item and opens none.
    """
    found = Counter(f.rule for f in findings if f.severity == "error")
    value: dict[str, int] = defaultdict(int)
    visits: Counter[str] = Counter()
    for item in items:
        value[item.reason] += item.charge_cents
        visits[item.reason] += 1
    return [
        WorkItem(
            queue="file",
            subject=part,
            cause=rule,
            title=f"Extract: {RULES[rule][2]}",
            reason=f"Set aside: {RULES[rule][0]} Cells or rows: {count:,}. Visits that wait for this reason: "
            f"{visits[rule]:,}. The findings of this extract name file, row and column of each.",
            action=RULES[rule][1],
            opened_on=on,
            cents=value[rule],
        )
        for rule, count in sorted(found.items())
    ]


def _close_mended(connection: sa.Connection, part: str) -> None:
    """Close the items of earlier extracts whose every visit has come again and is no longer set aside as it was.

    A visit is tied to the extract that brought its present version by `lake_part`. Rows that belong to no visit cannot be
    seen to be mended: an item that may count some stays until a person closes it.
    """
    w, e, f = r.work_items.c, r.encounters.c, r.findings.c
    still = (
        sa.select(e.encounter_key)
        .join_from(r.encounters, r.findings, f.subject == e.encounter_key)
        .where(e.state == "quarantined", e.lake_part == w.subject, f.stage == STAGE, f.rule == w.cause)
        .correlate(r.work_items)
    )
    no_visit = (
        sa.select(f.finding_id)
        .where(
            f.stage == STAGE, f.rule == w.cause, f.subject == "", f.severity == "error", f.logical_date <= w.opened_on
        )
        .correlate(r.work_items)
    )
    mended = sa.select(w.item_id).where(
        w.queue == "file", w.state == "open", w.cause.in_(sorted(RULES)), w.subject != part, ~sa.exists(still),
        ~sa.exists(no_visit),
    )  # fmt: skip
    ids = list(connection.execute(mended).scalars())
    if ids:
        connection.execute(
            sa.update(r.work_items)
            .where(w.item_id.in_(ids))
            .values(state="done", resolution="Every visit of it has come again since.")
        )

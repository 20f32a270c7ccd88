"""Intake: an extract becomes encounters in the register and in the lake.

Intake is idempotent twice over. The extract: its id is the hash of its files, and an extract that is known is left alone
on any date. The visit: a visit whose key and content are known is left alone, so a cumulative extract brings only what is
new. A visit that comes again changed takes the place of the earlier one until a claim has been made of it; from then on the
claim stands and a person decides.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from pipeline import payers
from pipeline.encounters import formats
from pipeline.encounters.intake import RULES, Context, Intake, SetAside
from pipeline.failpoints import failpoint
from pipeline.findings import Finding
from pipeline.money import cents
from pipeline.store import Store
from pipeline.store import register as r
from pipeline.store.archive import sha256
from pipeline.store.store import insert_new, record_findings, record_stage, update_rows
from pipeline.store.work import WorkItem, open_items

STAGE = "encounters"
_LOOK_UP = 5000  # keys a query
_UPDATED = (
    "version", "content_hash", "import_id", "logical_date", "practice_id", "payer_key", "service_from", "charge_cents",
    "billed_cents", "unbilled_cents", "state", "reason", "coded_part", "lake_part", "source_file", "source_row",
)  # fmt: skip


def run(store: Store, on: date, path: Path, fmt: str = "auto") -> dict[str, int]:
    """Take in the extract in the folder `path` on the night of `on`; returns counts of visits and cents.

    Keys: files, rows_read, rows_new, rows_changed, rows_known, rows_quarantined, charge_cents, quarantined_cents, findings.
    Terminal where the extract as a whole cannot be used: nothing of it is taken in then. The files that are read are in
    the archive before any of them is parsed.
    """
    fmt, files = formats.sources(Path(path), fmt)
    hashes = {name: sha256(data) for name, data in files.items()}
    import_id = hashlib.sha256("\n".join(f"{name} {hashes[name]}" for name in sorted(hashes)).encode()).hexdigest()
    known = _known_import(store, import_id, on)
    if known is not None:
        return known
    for name in sorted(files):
        store.archive.put(files[name])
    context = Context(
        on=on,
        payers=payers.by_source_name(payers.load_profiles(store.settings.payers_dir)),
        timezone=ZoneInfo(store.settings.timezone),
    )
    taken = formats.READERS[fmt].read(files, context)
    sizes = {name: len(data) for name, data in files.items()}
    del files
    part = import_id[:16]
    news = _compare(store, taken, import_id, on, part)
    if news.fresh:
        keys = pa.array(news.fresh, type=pa.string())
        for shape, rows in (
            ("encounters", taken.encounters), ("encounter_diagnoses", taken.diagnoses), ("encounter_lines", taken.lines),
        ):  # fmt: skip
            store.lake.write(shape, on, part, rows.filter(pc.is_in(rows.column("encounter_key"), keys)))
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
    with store.begin() as c:
        insert_new(c, r.imports, [{
            "import_id": import_id, "logical_date": on, "format": fmt, "name": Path(path).name,
            **{name: counts[name] for name in (
                "rows_read", "charge_cents", "rows_new", "rows_changed", "rows_known", "rows_quarantined")},
        }])  # fmt: skip
        insert_new(c, r.files, [
            {"file_id": hashes[name], "direction": "in", "kind": "extract", "payer_key": None, "size": sizes[name],
             "logical_date": on, "state": "processed", "reason": ""}
            for name in sorted(hashes)
        ])  # fmt: skip
        insert_new(c, r.encounters, news.inserts)
        update_rows(c, r.encounters, "encounter_key", news.updates, _UPDATED)
        brought = ("encounter_key", "version", "import_id", "charge_cents")
        insert_new(c, r.visit_versions, [{k: row[k] for k in brought} for row in [*news.inserts, *news.updates]])
        record_findings(c, STAGE, on, taken.findings)
        untold = [f for f in taken.findings if f.subject not in news.told]
        waiting = [item for item in taken.set_aside if item.encounter_key not in news.told]
        open_items(c, [*news.items, *_summaries(untold, waiting, part, on)])
        _close_mended(c, part)
        record_stage(c, STAGE, on, counts, import_id)
    return counts


def _known_import(store: Store, import_id: str, on: date) -> dict[str, int] | None:
    """The counts of an extract that was taken in before: as recorded on its own date, all known on any other."""
    with store.read() as c:
        row = c.execute(sa.select(r.imports).where(r.imports.c.import_id == import_id)).first()
        if row is None:
            return None
        text = c.execute(
            sa.select(r.stage_runs.c.counts).where(
                r.stage_runs.c.stage == STAGE, r.stage_runs.c.subject == import_id,
                r.stage_runs.c.logical_date == row.logical_date,
            )
        ).scalar_one()  # fmt: skip
    counts: dict[str, int] = json.loads(text)
    if row.logical_date != on:
        counts |= {"rows_new": 0, "rows_changed": 0, "rows_known": counts["rows_read"] - counts["rows_quarantined"]}
    return counts


@dataclass(slots=True)
class _News:
    """What an extract changes: register rows to insert and to update, visits whose rows go to the lake, work for people."""

    inserts: list[dict[str, Any]] = field(default_factory=list)
    updates: list[dict[str, Any]] = field(default_factory=list)
    fresh: list[str] = field(default_factory=list)
    items: list[WorkItem] = field(default_factory=list)
    told: set[str] = field(default_factory=set)
    """Keys of bad visits that a person has on a work item already."""
    new: int = 0
    changed: int = 0
    known: int = 0


def _compare(store: Store, taken: Intake, import_id: str, on: date, part: str) -> _News:
    news = _News()
    rows = [*_good_rows(taken.encounters), *_set_aside_rows(taken.set_aside)]
    before = _before(store, [row["encounter_key"] for row in rows])
    for row in rows:
        row |= {
            "import_id": import_id, "logical_date": on, "lake_part": part, "billed_cents": 0, "unbilled_cents": 0,
            "claim_id": None, "coded_part": None,
        }  # fmt: skip
        key, good = row["encounter_key"], row["state"] != "quarantined"
        old = before.get(key)
        if old is None:
            news.inserts.append({"version": 1, **row})
            news.new += good
        elif old.content_hash == row["content_hash"] and (not good or old.state != "quarantined"):
            news.known += good
            if not good and old.state == "quarantined":
                news.told.add(key)
            continue
        elif old.state == "claimed":
            news.items.append(_after_claim(old, row, on))
            news.told.add(key)
            news.changed += good
            continue
        else:
            news.updates.append({"version": old.version + 1, **row})
            news.changed += good
        if good:
            news.fresh.append(key)
    return news


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
    )
    columns = [encounters.column(name).to_pylist() for name in names]
    for cells in zip(*columns, strict=True):
        row = dict(zip(names, cells, strict=True))
        row["charge_cents"] = cents(row.pop("charge"))
        yield row | {"state": "extracted", "reason": ""}


def _set_aside_rows(items: Iterable[SetAside]) -> Iterable[dict[str, Any]]:
    for item in items:
        yield {
            "encounter_key": item.encounter_key, "content_hash": item.content_hash, "practice_id": item.practice_id,
            "payer_key": item.payer_key, "service_from": item.service_from, "charge_cents": item.charge_cents,
            "source_file": item.source_file, "source_row": item.source_row, "state": "quarantined", "reason": item.reason,
        }  # fmt: skip


def _before(store: Store, keys: list[str]) -> dict[str, Any]:
    e, found = r.encounters.c, {}
    with store.read() as c:
        for start in range(0, len(keys), _LOOK_UP):
            query = sa.select(e.encounter_key, e.content_hash, e.version, e.state, e.claim_id, e.charge_cents).where(
                e.encounter_key.in_(keys[start : start + _LOOK_UP])
            )
            found.update({row.encounter_key: row for row in c.execute(query)})
    return found


def _after_claim(old: Any, row: Mapping[str, Any], on: date) -> WorkItem:
    return WorkItem(
        queue="held",
        subject=old.encounter_key,
        cause="intake.changed_after_claim",
        reference=row["content_hash"],
        title="The visit changed after its claim was made",
        reason="The extract brought this visit again with other content. The claim was built from the earlier version "
        "and stands as it is.",
        action="Compare both versions. Where the claim is wrong, send a replacement or a void.",
        opened_on=on,
        claim_id=old.claim_id,
        payer_key=row["payer_key"],
        cents=row["charge_cents"] - old.charge_cents,
    )


def _summaries(findings: Iterable[Finding], items: Iterable[SetAside], part: str, on: date) -> list[WorkItem]:
    """One work item for each kind of fault that the extract brings: a person sees it, however many rows have it.

    A bad visit that a later extract repeats unchanged is on the first extract's item and opens none.
    """
    counted = Counter(f.rule for f in findings if f.severity == "error")
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
        for rule, count in sorted(counted.items())
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

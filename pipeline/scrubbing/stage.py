"""Scrubbing: coded claims are repaired, judged by the edits, and either become claims that are ready to be sent, or are held.

Claims of encounters in state `coded` or `held` are looked at; a held one whose cause is gone (a payer profile was added, an
edit expired, a person overrode it) is released on the next night. What the claims builder gave back because it cannot be written is
released when it can be; only the builder knows, so it is asked (`Unwritten`). Where a claim of the visit has left the house already, `versions` says what
the coded claim becomes: a new original, a replacement, a void, or nothing. What passes is written, as repaired, to `scrubbed_*` in the lake: the claims
builder reads it there. What is held has findings that name the source and the fix, and one work item.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from pipeline import shapes
from pipeline.codes import Status, judging, open_icd10cm
from pipeline.errors import Terminal, Transient
from pipeline.failpoints import failpoint
from pipeline.findings import Finding
from pipeline.ledger import earlier
from pipeline.ledger.versions import close_versions
from pipeline.money import cents
from pipeline.payers import PayerProfile, load_profiles, usage
from pipeline.scrubbing import authorizations, repairs, versions
from pipeline.scrubbing import edits as books
from pipeline.scrubbing.batch import Batch, Hits
from pipeline.scrubbing.checks import duplicate_keys
from pipeline.scrubbing.checks_tables import added_up
from pipeline.scrubbing.edits import Book, Edit
from pipeline.scrubbing.registry import CHECKS, faults
from pipeline.scrubbing.versions import Plan, Version
from pipeline.store import register as r
from pipeline.store.events import Move, move_claims
from pipeline.store.store import Store, add_to_stage, chunks, insert_new, record_findings, update_rows
from pipeline.store.work import WorkItem, close_items, close_items_of_claims, open_items

STAGE = "scrubbing"
TABLES = ("claims", "diagnoses", "lines")
#: tables of claims (shapes `coded_*`) → the claims that cannot be written, each with the rule that it breaks
Unwritten = Callable[[Mapping[str, pa.Table]], Mapping[str, str]]


@dataclass(slots=True)
class Judgement:
    """What scrubbing found, by claim position. `errors`: the findings that hold it, the first one first. `passed`: claims that
    a person let pass an edit."""

    findings: list[Finding]
    errors: dict[int, list[Finding]]
    counts: Counter[str]
    passed: set[int]


def run(store: Store, on: date, unwritten: Unwritten = lambda tables: {}) -> dict[str, int]:
    """Scrub what is coded or held. Returns counts and cents of what this run changed; nothing where nothing changed.

    `unwritten` is asked of claims that the builder gave back: those that it would give back for the same cause stay held.
    """
    due = _due(store)
    if not due:
        return {}
    profiles = load_profiles(store.settings.payers_dir)
    book = books.load().with_profiles(profiles)
    tables = _read(store, due)
    family = versions.families(store, list(due))
    plans = _plans(store, tables, due, family, book, profiles) if family else {}
    if plans:
        bases = [v for key, p in plans.items() if p.action == "void" for v in family[key] if v.claim_id == p.replaces]
        tables = versions.applied(tables, plans, versions.as_sent(store, bases))
    claims, made = repairs.make(tables["claims"], book.repairs, profiles)
    tables["claims"] = claims
    authorized, unread = authorizations.load(store)
    batch = Batch(
        tables["claims"], tables["diagnoses"], tables["lines"], on=on, icd10cm=open_icd10cm(store.settings.home),
        profiles=profiles, usage=store.settings.submitter.usage,
        holds={key: p.hold for key, p in plans.items() if p.hold}, home=store.settings.home,
        overrides=_overrides(store, due), authorizations=authorized,
        authorized=authorizations.history(store, authorized, claims.column("encounter_key").to_pylist()),
    )  # fmt: skip
    keys = duplicate_keys(batch)
    batch.known = _known(store, {k for k in keys if k})
    fresh = np.array([due[key].state == "coded" for key in claims.column("encounter_key").to_pylist()], dtype=bool)
    judged = judge(batch, book)
    judged.findings += _repaired(batch, made, judged.counts, fresh) + _editions(batch, fresh) + unread
    if fresh.any():
        judged.findings += judging.missing(added_up(batch.judgements))
    titles = {edit.id: edit.title for edit in book.edits}
    stays = _given_back(batch, judged, titles, due, unwritten)
    return _record(store, on, batch, judged, titles, due, family, plans, keys, fresh, stays)


def judge(batch: Batch, book: Book) -> Judgement:
    """All edits over a batch."""
    findings: list[Finding] = []
    errors: dict[int, list[Finding]] = defaultdict(list)
    counts: Counter[str] = Counter()
    passed: set[int] = set()
    for edit in book.edits:
        if wrong := faults(edit):
            raise Terminal(
                f"The edit {edit.id} cannot be used: {'; '.join(wrong)}.", fix="Mend it; see `claimpipe edits check`."
            )
        reported: set[tuple[str, str, str]] = set()
        for hits in CHECKS[edit.check](batch, edit):
            owners = batch.owners[edit.table][hits.rows]
            for row, owner in zip(hits.rows.tolist(), owners.tolist(), strict=True):
                finding = _finding(batch, book, edit, hits, row, owner)
                if edit.severity == "error":
                    if who := _override(batch, edit, owner):
                        # the reason stays with the decision: people may write into it what findings must not hold
                        message = f"{finding.message} Overridden by {who}."
                        finding = replace(finding, severity="info", message=message, fix="")
                        passed.add(owner)
                    else:
                        errors[owner].append(finding)
                if edit.per == "practice":
                    if (finding.subject, finding.source, finding.severity) in reported:
                        continue
                    reported.add((finding.subject, finding.source, finding.severity))
                findings.append(finding)
                counts[f"{finding.severity}.{edit.id}"] += 1
    return Judgement(findings, errors, counts, passed)


def _finding(batch: Batch, book: Book, edit: Edit, hits: Hits, row: int, owner: int) -> Finding:
    place = book.place(hits.field, edit.table)
    words = {"field": place.words, **hits.words.get(row, {})}
    if edit.per == "practice":
        subject = str(_cell(batch, "claims", "practice_id", owner))
        source = hits.field
    else:
        subject = str(_cell(batch, "claims", "encounter_key", owner))
        source = _source(batch, edit.table, hits.field, row)
    return Finding(
        rule=edit.id, severity=edit.severity, snip=edit.snip, message=edit.message.format_map(words), fix=edit.fix,
        loop=place.loop, segment_id=place.segment, element=place.element or None, source=source, subject=subject,
    )  # fmt: skip


def _override(batch: Batch, edit: Edit, owner: int) -> str | None:
    """Who let the claim pass the edit, and when."""
    if not (edit.overridable and batch.overrides):
        return None
    return batch.overrides.get((_cell(batch, "claims", "encounter_key", owner), edit.id))


def _source(batch: Batch, table: str, field: str, row: int) -> str:
    """The cell of the extract, as far as the tables tell it: the row's own source, else the encounter's row."""
    if table != "claims":
        return str(_cell(batch, table, "source", row))
    file, number = _cell(batch, table, "source_file", row), _cell(batch, table, "source_row", row)
    return f"{file} row {number} {field}"


def _cell(batch: Batch, table: str, name: str, row: int) -> Any:
    column = batch.column(table, name)
    position = column.index[row]
    return column.values[position] if position >= 0 else None


# --- what is due ----------------------------------------------------------------------------------------------------


def _due(store: Store) -> dict[str, Any]:
    e = r.encounters.c
    with store.read() as connection:
        rows = connection.execute(
            sa.select(
                e.encounter_key,
                e.logical_date,
                e.coded_part,
                e.state,
                e.reason,
                e.version,
                e.payer_key,
                e.cancelled,
                e.charge_cents,
                e.priced_cents,
            )
            .where(e.state.in_(("coded", "held")), sa.or_(e.coded_part.is_not(None), e.cancelled))
            .order_by(e.encounter_key)
        ).all()
    return {row.encounter_key: row for row in rows}


def _overrides(store: Store, due: Mapping[str, Any]) -> dict[tuple[str, str], str]:
    """What people have let pass, of the versions of the visits that are due: (visit, edit) → who and when."""
    d, e = r.decisions.c, r.encounters.c
    query = (
        sa.select(d.encounter_key, d.rule, d.actor, d.on_date)
        .join_from(r.decisions, r.encounters, d.encounter_key == e.encounter_key)
        .where(d.action == "override", d.visit_version == e.version, e.state.in_(("coded", "held")))
        .order_by(d.on_date.desc(), d.decision_id.desc())
    )
    with store.read() as connection:
        return {
            (row.encounter_key, row.rule): f"{row.actor} on {row.on_date}"
            for row in connection.execute(query)
            if row.encounter_key in due
        }


def _read(store: Store, due: Mapping[str, Any]) -> dict[str, pa.Table]:
    """The coded tables of the encounters that are due."""
    parts: dict[tuple[date, str], list[str]] = defaultdict(list)
    for row in due.values():
        if row.coded_part is None:  # cancelled: what the payer holds is all there is
            continue
        parts[(row.logical_date, row.coded_part)].append(row.encounter_key)
    found: dict[str, list[pa.Table]] = {name: [shapes.empty(f"coded_{name}")] for name in TABLES}
    for (day, part), keys in sorted(parts.items()):
        claims = store.lake.read("coded_claims", day, part, ("encounter_key", keys), required=True)
        ids = claims.column("claim_id").to_pylist()
        found["claims"].append(claims)
        for name in ("diagnoses", "lines"):
            found[name].append(store.lake.read(f"coded_{name}", day, part, ("claim_id", ids)))
    return {name: pa.concat_tables(tables).combine_chunks() for name, tables in found.items()}


def _plans(
    store: Store, tables: Mapping[str, pa.Table], due: Mapping[str, Any], family: Mapping[str, list[Version]], book: Book,
    profiles: Mapping[str, PayerProfile],
) -> dict[str, Plan]:  # fmt: skip
    """What becomes of the visits that have a claim which left the house."""
    rows = tables["claims"].filter(
        pc.is_in(tables["claims"].column("encounter_key"), pa.array(sorted(family), pa.string()))
    )
    repaired, _ = repairs.make(rows, book.repairs, profiles)
    roots = dict(zip(rows.column("encounter_key").to_pylist(), rows.column("claim_id").to_pylist(), strict=True))
    now = versions.contents({**tables, "claims": repaired}, set(roots.values()))
    newest = {key: found[-1] for key, found in family.items()}
    before = versions.contents(versions.as_sent(store, newest.values()), {v.claim_id for v in newest.values()})
    said = versions.decisions(store, list(family))
    plans = {}
    earnest = {k for k, p in profiles.items() if usage(p, store.settings.submitter.usage) == "P"}
    for key, every in family.items():
        # what went to a payer in test only is not held by the payer in production
        found = [
            replace(v, state="rejected") if v.tested and v.payer_key in earnest and v.state != "ready" else v
            for v in every
        ]
        held = next((v for v in reversed(found) if v.state not in versions.NOT_HELD), found[-1])
        plans[key] = versions.plan(
            found, same=key in roots and now[roots[key]] == before[newest[key].claim_id], cancelled=due[key].cancelled,
            payer_key=due[key].payer_key, visit_version=due[key].version, decisions=said.get(key, ()),
            policy=profiles[held.payer_key].claims.corrections if held.payer_key in profiles else "approve",
        )  # fmt: skip
    return plans


def _given_back(
    batch: Batch, judged: Judgement, titles: Mapping[str, str], due: Mapping[str, Any], unwritten: Unwritten
) -> set[int]:
    """Rows of claims that no edit holds, and that the builder, which held them, still cannot write for the same cause."""
    keys = batch.tables["claims"].column("encounter_key").to_pylist()
    rows = [
        row for row, key in enumerate(keys)
        if due[key].state == "held" and due[key].reason not in titles and not judged.errors.get(row)
    ]  # fmt: skip
    if not rows:
        return set()
    told = unwritten(_some(batch, rows))
    ids = batch.tables["claims"].column("claim_id")
    return {row for row in rows if told.get(ids[row].as_py()) == due[keys[row]].reason}


def _known(store: Store, keys: set[str]) -> set[tuple[str, str]]:
    c, wanted = r.claims.c, sorted(keys)
    found: set[tuple[str, str]] = set()
    with store.read() as connection:
        if not connection.execute(sa.select(c.claim_id).limit(1)).first():
            return found
        for some in chunks(wanted):
            found.update(
                (row.duplicate_key, row.encounter_key)
                for row in connection.execute(
                    sa.select(c.duplicate_key, c.encounter_key).where(c.duplicate_key.in_(some), c.closed_on.is_(None))
                )
            )
    return found


# --- findings that are no edit's ------------------------------------------------------------------------------------


def _repaired(batch: Batch, made: list[repairs.Made], counts: Counter[str], fresh: np.ndarray) -> list[Finding]:
    """One finding a claim and repair, naming columns only; repairs that only change how letters are written are counted."""
    findings: list[Finding] = []
    for done in made:
        fields: dict[int, list[str]] = defaultdict(list)
        for name, rows in done.rows.items():
            for row in rows.tolist():
                if fresh[row]:
                    fields[row].append(name)
        counts[f"repair.{done.repair.id}"] += len(fields)
        if done.repair.log == "count":
            continue
        for row, names in fields.items():
            findings.append(
                Finding(
                    rule=f"repair.{done.repair.id}", severity="info",
                    message=done.repair.message.format(fields=", ".join(names)),
                    source=_source(batch, "claims", names[0], row),
                    subject=str(_cell(batch, "claims", "encounter_key", row)),
                )
            )  # fmt: skip
    return findings


def _editions(batch: Batch, fresh: np.ndarray) -> list[Finding]:
    """Said once for each list: it judged days that it does not cover."""
    column = batch.column("diagnoses", "code")
    owners = batch.owners["diagnoses"]
    days = np.append(batch.day("claims", "service_from"), 0)[owners]
    rows = np.append(fresh, False)[owners]
    pairs, number = np.unique(np.stack([column.index[rows], days[rows]]), axis=1, return_counts=True)
    used: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for (index, day), n in zip(pairs.T.tolist(), number.tolist(), strict=True):
        if index < 0 or day <= 0:
            continue
        verdict = batch.icd10cm.valid(column.values[index], date.fromordinal(day))
        if not verdict.covers and verdict.status is not Status.before_icd10:
            used[verdict.edition].append((day, n))

    def judged(found: list[tuple[int, int]]) -> str:
        first, last = (date.fromordinal(day) for day, _ in (min(found), max(found)))
        return judging.judged_by(sum(n for _, n in found), "diagnosis", "diagnoses", first, last)

    return [
        Finding(
            rule="icd10cm-edition", severity="warning", snip=5, subject=edition,
            message=f"{judged(found)} the ICD-10-CM list of {edition}: no list of those days is loaded.",
            fix="Load the official lists of those years: claimpipe codes load FILE --effective DATE.",
        )
        for edition, found in sorted(used.items())
    ]  # fmt: skip


# --- recording ------------------------------------------------------------------------------------------------------


def _record(
    store: Store, on: date, batch: Batch, judged: Judgement, titles: Mapping[str, str], due: Mapping[str, Any],
    family: Mapping[str, list[Version]], plans: Mapping[str, Plan], keys: list[str | None], fresh: np.ndarray,
    stays: set[int],
) -> dict[str, int]:  # fmt: skip
    claims = batch.tables["claims"]
    names = ("claim_id", "encounter_key", "payer_key", "practice_id", "guide", "frequency", "charge", "service_from")
    ready: list[dict[str, Any]] = []
    ready_rows: list[int] = []
    changes: list[dict[str, Any]] = []
    items: list[WorkItem] = []
    counts: Counter[str] = Counter()
    for key, done in plans.items():
        if done.action in ("keep", "drop"):
            changes.append(_settled(due[key], done, family[key]))
            counts["kept" if done.action == "keep" else "dropped"] += 1
    for row, values in enumerate(zip(*(claims.column(n).to_pylist() for n in names), strict=True)):
        if row in stays:
            continue
        claim = dict(zip(names, values, strict=True))
        charge = cents(claim.pop("charge"))
        before = due[claim["encounter_key"]]
        errors = judged.errors.get(row)
        if errors:
            items.append(_item(claim, errors, titles, charge, on, before.version))
            if before.state == "held" and before.reason == errors[0].rule:
                continue
            change = {"state": "held", "reason": errors[0].rule, "claim_id": None}
            counts.update({"held": 1, "held_cents": charge, f"held.{errors[0].rule}": 1})
        else:
            ready_rows.append(row)
            made = plans.get(claim["encounter_key"], Plan("make", version=1))
            ready.append(
                claim | {"charge_cents": charge, "duplicate_key": keys[row], "logical_date": on, "scrubbed_date": on,
                         "state": "ready", "version": made.version, "replaces": made.replaces}
            )  # fmt: skip
            change = _ready_visit(claim, before, made)
            counts.update({"ready": 1, "ready_cents": charge})
            if made.version > 1:
                counts[_VERSIONS[made.frequency]] += 1
            if before.state == "held":
                counts["released"] += 1
            if row in judged.passed:
                counts["overridden"] += 1
        changes.append({"encounter_key": claim["encounter_key"], **change})
    new = record = bool(changes) or _has_new(store, judged.findings)
    if not record:
        return {}
    counts.update({"claims": int(fresh.sum()), **{k: n for k, n in judged.counts.items() if k.startswith("repair.")}})
    counts["findings"] = len(judged.findings)
    part, settled = "", {}
    if ready:
        part = _part_name(ready)
        failpoint("scrubbing.before_lake")
        written = _write(store, on, part, batch, ready_rows)
        settled = earlier.settled(written["claims"], written["lines"])
    for claim in ready:
        claim |= {"scrubbed_part": part, "earlier_cents": settled.get(claim["claim_id"], 0)}
    failpoint("scrubbing.before_register")
    with store.begin() as connection:
        update_rows(connection, r.encounters, "encounter_key", changes, ["state", "reason", "claim_id"])
        billed = [change for change in changes if "billed_cents" in change]
        update_rows(connection, r.encounters, "encounter_key", billed, ["billed_cents", "unbilled_cents"])
        if insert_new(connection, r.claims, ready) != len(ready):
            raise Transient("Another run has made claims of some of these visits.", fix="Run again.")
        _settle_versions(connection, on, ready, plans, family)
        move_claims(connection, on, [Move(c["claim_id"], "scrubbed", "ready") for c in ready])
        _work(connection, changes, items)
        record_findings(connection, STAGE, on, judged.findings)
        add_to_stage(connection, STAGE, on, counts)
    return dict(sorted(counts.items())) if new else {}


def _has_new(store: Store, findings: list[Finding]) -> bool:
    """Is there a finding that the register does not know? Held claims have theirs already."""
    ids = sorted({f.finding_id for f in findings})
    with store.read() as connection:
        for chunk in chunks(ids):
            known = connection.execute(
                sa.select(sa.func.count()).select_from(r.findings).where(r.findings.c.finding_id.in_(chunk))
            ).scalar_one()
            if known < len(chunk):
                return True
    return False


def _part_name(ready: list[dict[str, Any]]) -> str:
    digest = hashlib.sha256()
    for claim in ready:
        digest.update(f"{claim['claim_id']}\0{claim['charge_cents']}\0{claim['duplicate_key']}\0".encode())
    return digest.hexdigest()[:32]


def _write(store: Store, on: date, part: str, batch: Batch, rows: list[int]) -> dict[str, pa.Table]:
    """The claims that passed, as repaired."""
    tables = _some(batch, rows)
    for name, table in tables.items():
        store.lake.write(f"scrubbed_{name}", on, part, table)
    return tables


def _some(batch: Batch, rows: list[int]) -> dict[str, pa.Table]:
    """These claims, with their diagnoses and lines."""
    claims = batch.tables["claims"].take(pa.array(rows, pa.int64()))
    ids = claims.column("claim_id").combine_chunks()
    rest = {name: batch.tables[name] for name in ("diagnoses", "lines")}
    return {"claims": claims} | {n: t.filter(pc.is_in(t.column("claim_id"), ids)) for n, t in rest.items()}


#: frequency of a later version → what it is counted as
_VERSIONS = {"1": "sent_anew", "7": "replacements", "8": "voids"}


def _ready_visit(claim: Mapping[str, Any], before: Any, made: Plan) -> dict[str, Any]:
    """Where the visit of a claim that passed stands. A void speaks for a cancelled visit; one that moves to another payer
    waits until the first payer has taken the void."""
    if made.action != "void":
        return {"state": "claimed", "reason": "", "claim_id": claim["claim_id"]}
    if before.cancelled:
        return {"state": "cancelled", "reason": "cancelled", "claim_id": claim["claim_id"]}
    return {"state": "held", "reason": "correction-waits", "claim_id": None}


def _settled(visit: Any, done: Plan, family: list[Version]) -> dict[str, Any]:
    """The change of a visit that an older version speaks for, or of which nothing is left to bill."""
    key = {"encounter_key": visit.encounter_key}
    if done.action == "drop":
        return key | {"state": "cancelled", "reason": "cancelled", "claim_id": None}
    kept = next(v for v in family if v.claim_id == done.claim_id)
    if visit.cancelled and kept.frequency == "8":
        return key | {"state": "cancelled", "reason": "cancelled", "claim_id": kept.claim_id}
    billed = kept.charge_cents
    return key | {
        "state": "claimed", "reason": "", "claim_id": kept.claim_id, "billed_cents": billed,
        "unbilled_cents": visit.charge_cents + visit.priced_cents - billed,
    }  # fmt: skip


def _settle_versions(
    connection: sa.Connection, on: date, ready: list[dict[str, Any]], plans: Mapping[str, Plan],
    family: Mapping[str, list[Version]],
) -> None:  # fmt: skip
    """Rejections and denials that a new version answers are worked; claims of dropped visits are closed."""
    answered = {c["encounter_key"]: f"answered by version {c['version']}, {c['claim_id']}" for c in ready}
    dropped = [key for key, done in plans.items() if done.action == "drop"]
    answered |= dict.fromkeys(dropped, "the visit was cancelled in the source")
    for key, words in answered.items():
        if key in family:
            close_items_of_claims(connection, ("rejection", "denial"), [v.claim_id for v in family[key]], words)
    let_go = [v.claim_id for key in answered if key in family for v in family[key] if v.state == "ready"]
    move_claims(connection, on, [Move(claim_id, "superseded", "rejected") for claim_id in let_go])
    close_versions(connection, on, [v.claim_id for key in dropped for v in family[key] if not v.closed])


def _item(
    claim: Mapping[str, Any], errors: list[Finding], titles: Mapping[str, str], charge: int, on: date, version: int
) -> WorkItem:
    first = errors[0]
    places: dict[str, list[str]] = defaultdict(list)
    for error in errors:
        places[error.message].append(error.source)
    return WorkItem(
        queue="held", subject=claim["encounter_key"], claim_id=claim["claim_id"], cause=first.rule,
        payer_key=claim["payer_key"], title=titles[first.rule], action=first.fix, opened_on=on,
        reason=" ".join(f"{message} ({'; '.join(dict.fromkeys(found))})" for message, found in places.items()),
        cents=charge, reference=f"visit version {version}" if version > 1 else "",
    )  # fmt: skip


def _work(connection: sa.Connection, changes: list[dict[str, Any]], items: list[WorkItem]) -> None:
    """Open what is held, close what is not, or is for another cause."""
    wanted = {item.subject: item.item_id for item in items}
    touched = {change["encounter_key"] for change in changes}
    open_ = connection.execute(
        sa.select(r.work_items.c.subject, r.work_items.c.item_id).where(
            r.work_items.c.queue == "held", r.work_items.c.state == "open"
        )
    ).all()
    stale = [row.subject for row in open_ if row.subject in touched and wanted.get(row.subject) != row.item_id]
    close_items(connection, "held", stale, "The cause is gone.")
    open_items(connection, items)

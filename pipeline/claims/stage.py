"""Claims that are ready → 837 files in the archive, waiting to be sent.

Order of effects, so that a power cut at any point loses and repeats nothing: control numbers are allotted to the batch
and committed; the bytes are made, proved and archived; then, in one transaction, the numbers are tied to the bytes, the
sending is written, the claims are moved and their charges posted. A run that finds a batch half done gives it the same
numbers and so the same bytes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from pipeline import payers
from pipeline.claims import control_numbers, recovery, release
from pipeline.claims.batches import Build, BuiltFile, build_files, required, route
from pipeline.errors import Terminal, Transient
from pipeline.failpoints import failpoint
from pipeline.findings import Finding
from pipeline.ledger import earlier, posting
from pipeline.ledger.versions import close_versions
from pipeline.payers import PayerProfile
from pipeline.store import Store, behind, locks, outgoing
from pipeline.store import register as r
from pipeline.store.archive import sha256
from pipeline.store.events import Move, move_claims
from pipeline.store.store import chunks, insert_new, record_findings, record_stage, update_rows
from pipeline.store.work import WorkItem, open_items
from pipeline.transactions.claim_837_forms import form_of
from pipeline.transactions.claim_837_route import Numbers, Route
from pipeline.transactions.claim_837_writer import Interchange837
from pipeline.wording import counted

STAGE = "claims"
Tables = tuple[pa.Table, pa.Table, pa.Table]


def build(store: Store, on: date, payer_key: str) -> dict[str, int]:
    """Build, prove and archive the 837 files of the payer's claims that are ready.

    Returns what this run did: `files`, `sets`, `claims`, `charge_cents`, and `held` (claims given back to their encounters
    with findings). Terminal where a file does not say what was meant (the other files stand) or there is no profile.
    """
    with store.read() as c:
        waiting = _ready(c, payer_key)
    if not waiting:
        return _counts([], 0)
    profile = required(payers.load_profiles(store.settings.payers_dir), payer_key)
    behind.require_level(store)
    with locks.held(store, f"build-{payer_key}"):
        rejoin(store, on)
        earlier.complete(store, on)
        with store.read() as c:  # again, now that no other run can take them
            waiting = _ready(c, payer_key)
        return _run(store, on, profile, waiting) if waiting else _counts([], 0)


def _run(store: Store, on: date, profile: PayerProfile, waiting: Sequence[Any]) -> dict[str, int]:
    settings = store.settings.submitter
    usage = payers.usage(profile, settings.usage)
    names: dict[str, str] = {}

    def allot(way: Route, batch_id: str) -> Numbers:
        failpoint("claims.before_numbers")
        with store.begin() as c:
            names[batch_id] = _unused(c, batch_id)
            return control_numbers.allot(c, way, names[batch_id], profile.key)

    tables = _tables(store, waiting)
    made = build_files(*tables, profile, settings, on=on, usage=usage, allot=allot)
    made.files = [replace(file, batch_id=names[file.batch_id]) for file in made.files]
    for file in made.files:
        store.archive.put(file.data)
        store.outgoing.bind(
            outgoing.described(
                file.data, sending_id=file.batch_id, payer_key=profile.key, guide=file.guide, on=on,
                claim_count=len(file.claim_ids), charge_cents=file.charge_cents,
            )
        )  # fmt: skip
    failpoint("claims.before_record")
    with store.begin() as c:
        _hold(c, on, made, waiting)
        for file in made.files:
            _record(c, on, profile, file, {row.claim_id: row for row in waiting})
        _record_faults(c, on, profile.key, made)
        if usage == "P":
            _tested(c, on, profile.key)
        record_stage(c, STAGE, on, _standing(c, on, profile.key), profile.key)
    if made.faults:
        one, many = (f"claim {noun} for {profile.key} {does}" for noun, does in (("file", "does"), ("files", "do")))
        raise Terminal(
            f"{counted(len(made.faulty_batches), one, many)} not say what was meant; not built: {made.faults[0].message}",
            fix="See the findings of the batch; nothing of it left the house.",
        )
    return _counts(made.files, len(made.held))


def unwritten(store: Store, on: date, tables: Mapping[str, pa.Table]) -> dict[str, str]:
    """Which of these claims (tables `claims`, `diagnoses`, `lines`) a build would give back, each with the rule that it breaks.
    Writes nothing and takes no number. Claims of payers without a profile are not judged."""
    claims, settings = tables["claims"], store.settings.submitter
    profiles = payers.load_profiles(store.settings.payers_dir)
    found: dict[str, str] = {}
    for key in sorted({k for k in claims.column("payer_key").to_pylist() if k in profiles}):
        mine = claims.filter(pc.equal(claims.column("payer_key"), key))
        usage = payers.usage(profiles[key], settings.usage)
        made = build_files(mine, tables["diagnoses"], tables["lines"], profiles[key], settings, on=on, usage=usage)
        found |= {claim_id: finding.rule for claim_id, finding in _first(made).items()}
    return found


def _first(made: Build) -> dict[str, Finding]:
    """Claims that are held → the finding that is told first."""
    first: dict[str, Finding] = {}
    for finding in made.findings:
        if finding.subject in made.held:
            first.setdefault(finding.subject, finding)
    return first


def _unused(connection: sa.Connection, batch_id: str) -> str:
    """The batch's name: another one where the same claims went out in the same bytes before and were let go again."""
    s, name, again = r.sendings.c, batch_id, 1
    while connection.execute(sa.select(s.sending_id).where(s.sending_id == name)).first() is not None:
        again += 1
        name = sha256(f"{batch_id}/{again}".encode())
    return name


def _tested(connection: sa.Connection, on: date, payer_key: str) -> None:
    """In production: claims that the payer had in test files only are a person's to let go."""
    claims, cents = release.test_only(connection, payer_key)
    if claims:
        open_items(connection, [WorkItem(
            queue="payer", subject=payer_key, cause="test_only", payer_key=payer_key, opened_on=on, cents=cents,
            title="Claims went to a payer in test files only",
            reason=f"Files for {payer_key} are marked production now; {counted(claims, 'claim')} went to it in test files and not in "
                   "earnest. Test files are never sent any more.",
            action=f"If they are to be paid: claimpipe release {payer_key} --tested. Their answers in test count for nothing.",
        )])  # fmt: skip


def _ready(connection: sa.Connection, payer_key: str) -> list[Any]:
    c, e = r.claims.c, r.encounters.c
    query = (
        sa.select(r.claims, e.source_file, e.source_row)
        .join_from(r.claims, r.encounters, c.encounter_key == e.encounter_key)
        .where(
            c.payer_key == payer_key,
            c.state == "ready",
            sa.or_(c.frequency == "8", (e.state == "claimed") & (e.claim_id == c.claim_id)),
        )
        .order_by(c.claim_id)
    )
    return list(connection.execute(query))


def _tables(store: Store, rows: Sequence[Any]) -> Tables:
    """The scrubbed claims of these rows with their diagnoses and lines, from the lake: each from its own part, for an older
    part may hold what the claim was before its visit changed."""
    parts: dict[tuple[date, str], list[str]] = defaultdict(list)
    for row in rows:
        parts[row.scrubbed_date, row.scrubbed_part].append(row.claim_id)
    wanted = {key: pa.array(ids, pa.string()) for key, ids in sorted(parts.items())}

    def gathered(table: str) -> pa.Table:
        required = table == "scrubbed_claims"
        found = [(store.lake.read(table, *key, required=required), ids) for key, ids in wanted.items()]
        return pa.concat_tables([rows.filter(pc.is_in(rows.column("claim_id"), ids)) for rows, ids in found])

    claims, diagnoses, lines = (gathered(t) for t in ("scrubbed_claims", "scrubbed_diagnoses", "scrubbed_lines"))
    if claims.num_rows != len(rows):
        raise Terminal(
            f"The lake holds {claims.num_rows} of {counted(len(rows), 'scrubbed claim')}.",
            fix="Restore the lake from its backup.",
        )
    return claims, diagnoses, lines


def _counts(files: Sequence[BuiltFile], held: int) -> dict[str, int]:
    return {
        "files": len(files),
        "sets": sum(len(set(file.set_controls)) for file in files),
        "claims": sum(len(file.claim_ids) for file in files),
        "charge_cents": sum(file.charge_cents for file in files),
        "held": held,
    }


def _standing(connection: sa.Connection, on: date, payer_key: str) -> dict[str, int]:
    """What stands for this date and payer, over all runs: what the stage's record says."""
    s = r.sendings.c
    row = connection.execute(
        sa.select(sa.func.count(), sa.func.sum(s.claim_count), sa.func.sum(s.charge_cents)).where(
            s.payer_key == payer_key, s.logical_date == on
        )
    ).one()
    return {"files": row[0], "claims": int(row[1] or 0), "charge_cents": int(row[2] or 0)}


# --- recording ----------------------------------------------------------------------------------------------------------


def _record(connection: sa.Connection, on: date, profile: PayerProfile, file: BuiltFile, rows: dict[str, Any]) -> None:
    file_id = sha256(file.data)
    still_ready = _count_ready(connection, file.claim_ids)
    if still_ready != len(file.claim_ids):
        raise Transient("Another run took some of the claims.", fix="Run again.")
    control_numbers.tie(connection, file.route, file.numbers, file.batch_id, file_id)
    interchange, group = f"{file.numbers.interchange:09d}", str(file.numbers.group)
    insert_new(connection, r.files, [{
        "file_id": file_id, "direction": "out", "kind": "837", "payer_key": profile.key, "size": len(file.data),
        "logical_date": on, "state": "archived", "reason": "",
    }])  # fmt: skip
    connection.execute(sa.insert(r.sendings).values(
        sending_id=file.batch_id, payer_key=profile.key, file_id=file_id, interchange_control=interchange, guide=file.guide,
        usage=file.usage, logical_date=on, claim_count=len(file.claim_ids), charge_cents=file.charge_cents,
        size=len(file.data), state="built", attempts=0, reason="",
    ))  # fmt: skip
    update_rows(connection, r.claims, "claim_id", [
        {"claim_id": claim_id, "file_id": file_id, "interchange_control": interchange, "group_control": group,
         "set_control": control}
        for claim_id, control in zip(file.claim_ids, file.set_controls, strict=True)
    ], ["file_id", "interchange_control", "group_control", "set_control"])  # fmt: skip
    move_claims(
        connection, on, [Move(claim_id, "batched", "batched", file_id, interchange) for claim_id in file.claim_ids]
    )
    _post_charges(connection, on, profile.key, [rows[claim_id] for claim_id in file.claim_ids])


def _count_ready(connection: sa.Connection, claim_ids: Sequence[str]) -> int:
    """How many of them are ready still. The state is looked at here: a database that is asked for it goes through all that are ready, for
    each part anew."""
    c = r.claims.c
    return sum(
        state == "ready"
        for some in chunks(claim_ids)
        for state in connection.execute(sa.select(c.state).where(c.claim_id.in_(some))).scalars()
    )


def _post_charges(connection: sa.Connection, on: date, payer_key: str, rows: Sequence[Any]) -> None:
    """Dr receivable of the payer, Cr income; what earlier payers settled leaves the receivable again. The charges of the versions
    before are taken back, and a void has none."""
    _close_earlier(connection, on, [row for row in rows if row.version > 1])
    billed = [row for row in rows if row.frequency != "8"]
    posting.post(connection, earlier.charges(billed, payer_key, on))


def _close_earlier(connection: sa.Connection, on: date, rows: Sequence[Any]) -> None:
    c = r.claims.c
    newest = {row.encounter_key: row.version for row in rows}
    keys = sorted(newest)
    before: list[str] = []
    for some in chunks(keys):
        query = sa.select(c.claim_id, c.encounter_key, c.version).where(c.encounter_key.in_(some))
        found = connection.execute(query.order_by(c.claim_id))
        before += [row.claim_id for row in found if row.version < newest[row.encounter_key]]
    close_versions(connection, on, before)


def _hold(connection: sa.Connection, on: date, made: Build, waiting: Sequence[Any]) -> None:
    """Claims that cannot be written go back to their encounters: held, with the findings and one work item each."""
    record_findings(connection, STAGE, on, made.findings)
    held = [row for row in waiting if row.claim_id in made.held]
    if not held:
        return
    first = _first(made)
    move_claims(connection, on, [Move(row.claim_id, "held", "ready", detail=first[row.claim_id].rule) for row in held])
    for some in chunks(held):
        ids = [row.claim_id for row in some]
        connection.execute(sa.delete(r.claims).where(r.claims.c.claim_id.in_(ids), r.claims.c.file_id.is_(None)))
    update_rows(connection, r.encounters, "encounter_key", [
        {"encounter_key": row.encounter_key, "state": "held", "reason": first[row.claim_id].rule, "claim_id": None}
        for row in held
    ], ["state", "reason", "claim_id"])  # fmt: skip
    open_items(connection, [
        WorkItem(queue="held", subject=row.encounter_key, claim_id=row.claim_id, cause=first[row.claim_id].rule,
                 title="A claim cannot be written as an 837", reason=first[row.claim_id].message,
                 action=first[row.claim_id].fix, opened_on=on, cents=row.charge_cents, payer_key=row.payer_key)
        for row in held
    ])  # fmt: skip


def _record_faults(connection: sa.Connection, on: date, payer_key: str, made: Build) -> None:
    record_findings(connection, STAGE, on, made.faults)
    open_items(connection, [
        WorkItem(queue="file", subject=batch_id, cause="837.proof", title="A claim file does not say what was meant",
                 reason="Read back, the file differs from the claims that went into it, or breaks the guide. It was not built.",
                 action="See the batch's findings and report them.", opened_on=on, payer_key=payer_key)
        for batch_id in made.faulty_batches
    ])  # fmt: skip


def rejoin(store: Store, on: date) -> dict[str, int]:
    """Claims that a payer has had since before the register was restored go to their files instead of into new ones."""
    return recovery.rejoin(store, on, _post_charges)


# --- comparing ------------------------------------------------------------------------------------------------------------


def compare(store: Store, on: date, tell: Callable[[str, bool], None] = lambda sending, same: None) -> dict[str, int]:
    """Rebuild every file of the date from the lake under its own control numbers and compare it with the archived bytes.

    Writes nothing and sends nothing. Returns `files`, `same`, `different`; `tell` hears of each sending.
    """
    s, c = r.sendings.c, r.claims.c
    profiles = payers.load_profiles(store.settings.payers_dir)
    same = different = 0
    with store.read() as connection:
        sendings = connection.execute(sa.select(r.sendings).where(s.logical_date == on).order_by(s.sending_id)).all()
    for sending in sendings:
        with store.read() as connection:
            rows = list(connection.execute(sa.select(r.claims).where(c.file_id == sending.file_id)))
        profile = required(profiles, sending.payer_key)
        form = form_of(sending.guide)
        agrees = False
        if rows and form:
            way = route(profile, store.settings.submitter, sending.usage, form)
            numbers = Numbers(int(sending.interchange_control), int(rows[0].group_control))
            tables = _tables(store, rows)
            rebuilt = Interchange837(*tables, way, form, claims_per_set=profile.batch.max_claims_per_set)
            agrees = sha256(rebuilt.render(on=on, numbers=numbers)) == sending.file_id
        same, different = same + agrees, different + (not agrees)
        tell(sending.sending_id, agrees)
    return {"files": len(sendings), "same": same, "different": different}

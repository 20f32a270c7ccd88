"""Acknowledgments: TA1, 999 and 277CA move claims, settle sendings, and become work where something was refused.

Theory. Every acknowledgment is kept as a fact (`acknowledgments`). A fact that meets claims of ours is applied: each of
them climbs to the higher of its own state and the state that the fact implies (`meaning.RANK`), so any order of arrival
gives the same states. A fact that meets nothing stays `waiting` and is tried again in every run: an acknowledgment may come
before the register knows of the upload, or after a restore. A fact about a file that the payer may have proves its
delivery, so an upload of unknown outcome is settled here. Nothing here ever sends.

Three kinds of fact are not what they seem. One about a file that by our own record never reached the payer is `ignored`, and
the file goes to a person before it goes anywhere (`_contradiction`). One about an earlier file of a claim that was sent again,
or about a claim that is to be sent again, is kept as an event and moves nothing. And a TA1 that says "duplicate" speaks of
an earlier interchange with that number, which is ours only where the payer has acknowledged ours in another way.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from pipeline import payers, transactions
from pipeline.acknowledgments import answering, facts, meaning
from pipeline.bank_days import add_bank_days, bank_days_between
from pipeline.findings import Finding, has_errors
from pipeline.store import Store, received
from pipeline.store import register as r
from pipeline.store.behind import MAY_HAVE
from pipeline.store.events import Move, move_claims
from pipeline.store.filing import last_days
from pipeline.store.store import insert_new, record_findings, update_rows
from pipeline.store.work import WorkItem, close_items, open_items

STAGE = "acknowledgments"
KINDS = ("TA1", "999", "277CA", "mixed")
#: what a mixed file's `reason` says when its acknowledgments are read but its remittances are not yet
READ_MARK = "acknowledgments read"
#: and the reverse, as the remittance stage leaves it
REMITTANCES_READ = "remittances read"
#: days around an acknowledgment within which the 837 that it names by batch is looked for
_BATCH_DAYS = 60
_DAYS_TO_REWORK = 5
#: BHT03 of our files is ISA13 and ST02
_CONTROL_DIGITS = 9
#: business days after which a file that could not be sent is a person's
_DAYS_TO_SEND = 1
_CHUNK = 500
#: states of a sending in which bytes of it have left the house, so that an answer can be true: a payer may take a file from
#: under its temporary name
_GIVEN_AWAY = ("intent", "sent_temporary", *MAY_HAVE)
#: states of a sending in which an acknowledgment settles it
_OPEN_SENDINGS = tuple(s for s in _GIVEN_AWAY if s != "acknowledged")
#: states of a claim that a remittance gave it
_ADJUDICATED = ("paid", "denied", "reversed")


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


@dataclass
class _Target:
    """Claims that a fact speaks of, and the 837 that carries them."""

    claim_ids: Sequence[str]
    file_ids: frozenset[str] = frozenset()
    foreign: bool = False  # the claim was sent to another payer than the one that answers


def run(store: Store, on: date) -> dict[str, int]:
    """Read the acknowledgment files that have arrived, apply them and all that waited; alarm for what did not come."""
    profiles = payers.load_profiles(store.settings.payers_dir)

    def record(connection: sa.Connection, read: list[_Read], counts: dict[str, int]) -> None:
        order = _record_files(connection, on, read, counts)
        _apply(store, connection, on, order, profiles, counts)
        _overdue(connection, on, profiles, counts)

    return received.work(store, on, STAGE, KINDS, lambda row: _read(store, row, profiles), record, unless=READ_MARK)


# --- files -----------------------------------------------------------------------------------------------------------


def _read(store: Store, row: Any, profiles: Mapping[str, payers.PayerProfile]) -> _Read:
    result = transactions.read(store.archive.get(row.file_id), file=row.file_id)
    payer_key = row.payer_key or ""
    tables = result.tables
    bad = has_errors(result.findings)
    return _Read(
        row.file_id, payer_key, row.kind, row.logical_date, [] if bad else facts.read(tables, answering.payer_of(store, profiles, payer_key), row.file_id),
        result.findings if bad else [*result.findings, *_totals(row.file_id, tables)], "835.payments" in tables, row.reason,
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
            items.append(_file_item(file, on))
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


def _file_item(file: _Read, on: date) -> WorkItem:
    first = next(f for f in file.findings if f.severity == "error")
    return WorkItem(
        queue="file", subject=file.file_id, cause=first.rule, payer_key=file.payer_key,
        title="An acknowledgment file cannot be read", opened_on=on,
        reason=f"The file of kind {file.kind} breaks its format: {first.message}",
        action="Ask the payer to send it again; until then its claims wait and nothing is sent twice.",
    )  # fmt: skip


_TOTALS = [
    "set_number", "segment", "level", "claim_id", "category", "action", "amount", "quantity_accepted",
    "quantity_rejected", "amount_accepted", "amount_rejected",
]  # fmt: skip


def _totals(file_id: str, tables: Mapping[str, pa.Table]) -> list[Finding]:
    """The totals that a 277CA states against the claims that it names, by set."""
    if "277CA.statuses" not in tables:
        return []
    stated: dict[int, facts.Row] = {}
    named: dict[int, dict[str, str]] = defaultdict(dict)
    amounts: dict[int, dict[str, Any]] = defaultdict(dict)
    for row in tables["277CA.statuses"].select(_TOTALS).to_pylist():
        if row["level"] == "receiver" and row["set_number"] not in stated:
            stated[row["set_number"]] = row
        elif row["level"] == "claim" and row["claim_id"]:
            refused = meaning.category_effect(row["category"] or "", row["action"] or "") == "rejected"
            known = named[row["set_number"]].get(row["claim_id"])
            named[row["set_number"]][row["claim_id"]] = "rejected" if refused or known == "rejected" else "accepted"
            amounts[row["set_number"]][row["claim_id"]] = row["amount"]
    found = []
    for number, total in stated.items():
        for outcome in ("accepted", "rejected"):
            claims = [c for c, how in named[number].items() if how == outcome]
            listed = [amounts[number][c] for c in claims]
            have = {"quantity": len(claims), "amount": sum(listed) if None not in listed else None}
            for what, value in have.items():
                says = total[f"{what}_{outcome}"]
                if not claims and outcome == "accepted" and named[number]:
                    continue  # payers may name only the claims that they reject
                if says is not None and value is not None and says != value and named[number]:
                    found.append(
                        Finding(
                            rule="277CA.totals", severity="warning", file=file_id, subject=file_id,
                            segment=total["segment"], loop="2200B", segment_id="QTY" if what == "quantity" else "AMT",
                            message=f"The 277CA says {what} {outcome} {says}, but the claims that it names make {value}.",
                            fix="Ask the payer which is right before the claims are worked.",
                        )
                    )  # fmt: skip
    return found


# --- applying --------------------------------------------------------------------------------------------------------


def _apply(
    store: Store, connection: sa.Connection, on: date, order: Mapping[str, int],
    profiles: Mapping[str, payers.PayerProfile], counts: dict[str, int],
) -> None:  # fmt: skip
    """Try every fact that waits, old and new."""
    query = sa.select(r.acknowledgments).where(r.acknowledgments.c.state == "waiting")
    rows = sorted(
        (dict(row._mapping) for row in connection.execute(query)),
        key=lambda row: (order.get(row["ack_id"], -1), row["ack_id"]),
    )
    counts["waiting"] += 0
    if not rows:
        return
    targets = _targets(store, connection, rows)
    claims = _claims(connection, {c for target in targets.values() for c in target.claim_ids})
    sendings = _sendings(
        connection,
        {c.file_id for c in claims.values() if c.file_id} | {f for t in targets.values() for f in t.file_ids},
    )
    moves: list[Move] = []
    states = {claim_id: claim.state for claim_id, claim in claims.items()}
    refused: dict[str, tuple[int, meaning.Words, str]] = {}
    questions: list[WorkItem] = []
    numbers: dict[str, set[str]] = defaultdict(set)
    delivered: set[str] = set()
    applied: list[str] = []
    ignored: list[str] = []
    impossible: set[str] = set()
    duplicates: dict[str, Any] = {}
    late: dict[str, WorkItem] = {}
    found: list[Finding] = []
    for row in rows:
        target = targets.get(row["ack_id"])
        if target is None:
            continue
        if target.foreign:
            ignored.append(row["ack_id"])
            questions.append(_foreign(row, on))
            continue
        contradicted = {f for f in _spoken_of(row, target, claims) if f in sendings and not _may_have(sendings[f])}
        if contradicted:
            ignored.append(row["ack_id"])
            impossible |= contradicted
            continue
        applied.append(row["ack_id"])
        effect = _effect(row)
        if _is_duplicate(row):
            found.append(_duplicate(row))
            duplicates |= dict.fromkeys(target.file_ids, row)
        else:
            delivered |= target.file_ids
        words = _words(row) if effect == "rejected" else None
        guilty = _guilty(store, row, target) if words else None
        for claim_id in target.claim_ids:
            before = states[claim_id]
            current = _is_current(row, claims[claim_id], sendings)
            climbs = current and effect in meaning.RANK and meaning.RANK[effect] > meaning.RANK[before]
            after = effect if climbs else before
            if climbs or row["kind"] != "TA1":
                detail = row["detail"].split(" line=")[0]
                moves.append(Move(claim_id, f"{row['kind']} {row['code']}", after, row["file_id"], detail))
            states[claim_id] = after
            if climbs:
                counts[f"claims_{after}"] += 1
            if words and meaning.RANK[after] == meaning.RANK["rejected"]:
                candidate = (_order(row), meaning.located(words, claim_id, guilty), row["file_id"])
                if claim_id not in refused or (candidate[0], candidate[1].cause) < (
                    refused[claim_id][0], refused[claim_id][1].cause
                ):  # fmt: skip
                    refused[claim_id] = candidate
            elif words and current and after in _ADJUDICATED:
                late.setdefault(claim_id, _late_rejection(claims[claim_id], words, row["file_id"], on))
            elif current and effect in ("question", "split"):
                questions.append(_question(row, claims[claim_id], on))
            if row["payer_claim_number"] and row["level"] == "claim":
                numbers[claim_id].add(row["payer_claim_number"])
            if current and claims[claim_id].file_id and not _is_duplicate(row):
                delivered.add(claims[claim_id].file_id)
    move_claims(connection, on, moves)
    _keep_numbers(connection, claims, numbers)
    settled = [{"ack_id": a, "state": "applied"} for a in applied] + [
        {"ack_id": a, "state": "ignored"} for a in ignored
    ]
    update_rows(connection, r.acknowledgments, "ack_id", settled, ["state"])
    newly = [c for c in refused if claims[c].state != "rejected"]
    filing = last_days(store, [claims[c] for c in newly], profiles)
    items = [_rejection(claims[c], refused[c][1], refused[c][2], on, filing.get(c)) for c in newly]
    counts["rejected_cents"] += sum(item.cents for item in items)
    unproved = [
        _duplicate_item(sendings[file_id], on)
        for file_id in sorted(duplicates)
        if file_id not in delivered and file_id in sendings and sendings[file_id].state != "acknowledged"
    ]
    counts["work_items"] += open_items(connection, [*items, *questions, *late.values(), *unproved])
    counts["work_items"] += _contradiction(connection, on, [sendings[f] for f in sorted(impossible)])
    _settle(connection, delivered, counts)
    record_findings(connection, STAGE, on, found)
    counts["applied"] += len(applied)
    if ignored:
        counts["ignored"] += len(ignored)
    counts["waiting"] += sum(row["ack_id"] in order and row["ack_id"] not in targets for row in rows)


def _effect(row: Mapping[str, Any]) -> str:
    """What a fact implies: a claim state, or question, split or none."""
    if _is_duplicate(row):
        return "none"
    if row["kind"] in ("TA1", "999"):
        return meaning.SYNTAX_EFFECT.get(row["code"], "none")
    parts = facts.fields(row["detail"])
    effect = meaning.category_effect(row["code"], parts.get("action", ""))
    if row["level"] == "line":
        return "none"  # a line's status tells why; its claim's status decides
    if row["level"] in ("receiver", "provider"):
        return "rejected" if parts.get("action") == "U" else "none"
    return effect


def _is_duplicate(row: Mapping[str, Any]) -> bool:
    return bool(row["kind"] == "TA1" and row["code"] == "R" and row["detail"] == meaning.DUPLICATE_INTERCHANGE)


def _may_have(sending: Any) -> bool:
    return sending.state in _GIVEN_AWAY


def _spoken_of(row: Mapping[str, Any], target: _Target, claims: Mapping[str, Any]) -> set[str]:
    """The 837 files that a fact says the payer has: those it names, or the one that carries the claim it names.

    A claim that was in an earlier file as well says nothing of its present one.
    """
    if target.file_ids:
        return set(target.file_ids)
    return {
        claim.file_id
        for claim in (claims[c] for c in target.claim_ids)
        if claim.file_id and not claim.earlier and not _names_another(row, claim)
    }


def _is_current(row: Mapping[str, Any], claim: Any, sendings: Mapping[str, Any]) -> bool:
    """Whether a fact speaks of the claim as the payer has it now.

    Not where the claim waits to go out (again), nor where the fact names another interchange of ours than the one that
    carries it (BHT03 begins with ISA13): then it answers an earlier file.
    """
    sending = sendings.get(claim.file_id or "")
    if claim.state == "ready" or (sending is not None and not _may_have(sending)):
        return False
    return not _names_another(row, claim)


def _names_another(row: Mapping[str, Any], claim: Any) -> bool:
    reference = row["batch_reference"] or ""
    ours = len(reference) > _CONTROL_DIGITS and reference.isdigit()
    return ours and claim.interchange_control is not None and reference[:_CONTROL_DIGITS] != claim.interchange_control


def _order(row: Mapping[str, Any]) -> int:
    """Which of several rejections of one claim names the cause best: 277CA before 999 before TA1."""
    return meaning.category_order(row["code"]) if row["kind"] == "277CA" else {"999": 10, "TA1": 20}[row["kind"]]


def _words(row: Mapping[str, Any]) -> meaning.Words:
    if row["kind"] == "TA1":
        return meaning.interchange_words(row["detail"])
    if row["kind"] == "999":
        return meaning.set_words(row["level"], row["detail"])
    parts = facts.fields(row["detail"])
    return meaning.claim_words(row["code"], parts["status"], parts["entity"], level=row["level"])


def _guilty(store: Store, row: Mapping[str, Any], target: _Target) -> str | None:
    """The claim in which the segment stands that a 999 refuses a set for, from our own file; None where it is in no claim."""
    if row["kind"] != "999" or row["level"] != "set" or len(target.file_ids) != 1:
        return None
    stated = meaning.error_field(row["detail"], "pos")
    if not stated.isdigit():
        return None
    position = int(stated)
    (file_id,) = target.file_ids
    tables = transactions.read(store.archive.get(file_id), file=file_id).tables
    starts = tables["interchanges"].select(["level", "set_control", "segment", "segments"]).to_pylist()
    for start in starts:
        if start["level"] == "set" and start["set_control"] == row["set_control"]:
            break
    else:
        return None
    wanted = start["segment"] + position - 1
    if "837.claims" not in tables or position > (start["segments"] or 0):
        return None
    claims = tables["837.claims"].select(["segment", "claim_id", "set_control"]).to_pylist()
    of_set = sorted((c["segment"], c["claim_id"]) for c in claims if c["set_control"] == row["set_control"])
    loop = meaning.error_field(row["detail"], "loop")
    if loop.startswith(("23", "24")):  # stands below its CLM
        return next((claim_id for segment, claim_id in reversed(of_set) if segment <= wanted), None)
    if loop.startswith(("2000B", "2010B", "2000C", "2010C")):  # subscriber and patient stand before their CLM
        return next((claim_id for segment, claim_id in of_set if segment > wanted), None)
    return None


def _targets(store: Store, connection: sa.Connection, rows: Sequence[Mapping[str, Any]]) -> dict[str, _Target]:
    """ack_id → what it speaks of; facts that meet nothing of ours are left out."""
    found: dict[str, _Target] = {}
    by_interchange = _by_interchange(connection, [row for row in rows if row["kind"] == "TA1"])
    by_group = _by_group(connection, [row for row in rows if row["kind"] == "999"])
    named = {row["claim_id"] for row in rows if row["claim_id"]}
    known = _payers_of(connection, named)
    roads = payers.roads(payers.load_profiles(store.settings.payers_dir))
    batches = _Batches(store, connection)
    for row in rows:
        ack_id = row["ack_id"]
        if row["kind"] == "TA1":
            target = by_interchange.get((row["payer_key"], row["interchange_control"]))
        elif row["kind"] == "999":
            target = by_group.get((row["payer_key"], row["group_control"], row["set_control"]))
        elif row["level"] in ("claim", "line"):
            target = _of_claim(row, known, roads)
        elif _effect(row) != "rejected":
            target = _Target([])  # an acceptance above the claims says nothing that its claims do not say themselves
        else:
            target = batches.beneath(row)
        if target is not None:
            found[ack_id] = target
    return found


def _of_claim(row: Mapping[str, Any], known: Mapping[str, str], roads: Mapping[str, str]) -> _Target | None:
    """The claim that a 277CA names: ours, and sent to the payer that answers or to one that is reached by the same road."""
    payer_key = known.get(row["claim_id"] or "")
    if payer_key is None:
        return None
    same = payer_key == row["payer_key"] or roads.get(payer_key, payer_key) == roads.get(row["payer_key"])
    return _Target([row["claim_id"]] if same else [], foreign=not same)


def _by_interchange(
    connection: sa.Connection, rows: Sequence[Mapping[str, Any]]
) -> dict[tuple[str, str | None], _Target]:
    """(payer, ISA13) → all claims of the interchange."""
    wanted = {row["interchange_control"] for row in rows if row["interchange_control"]}
    files: dict[str, tuple[str, str | None]] = {}
    for part in _chunks(sorted(wanted)):
        query = sa.select(r.sendings.c.file_id, r.sendings.c.payer_key, r.sendings.c.interchange_control).where(
            r.sendings.c.interchange_control.in_(part)
        )
        files |= {row.file_id: (row.payer_key, row.interchange_control) for row in connection.execute(query)}
    claims = defaultdict(list)
    for claim in _claims_of_files(connection, list(files)):
        claims[files[claim.file_id]].append(claim.claim_id)
    return {key: _Target(claims[key], frozenset({file_id})) for file_id, key in files.items()}


def _by_group(
    connection: sa.Connection, rows: Sequence[Mapping[str, Any]]
) -> dict[tuple[str, str | None, str | None], _Target]:
    """(payer, GS06, ST02 or None) → claims of the set, or of the whole group. A number that two files share meets none."""
    wanted = {(row["payer_key"], row["group_control"]) for row in rows}
    if not wanted:
        return {}
    columns = r.claims.c
    query = (
        sa.select(columns.payer_key, columns.group_control, columns.file_id)
        .where(columns.file_id.is_not(None), columns.group_control.in_({group for _, group in wanted if group}))
        .distinct()
    )
    files: dict[tuple[str, str], set[str]] = defaultdict(set)
    for row in connection.execute(query):
        if (row.payer_key, row.group_control) in wanted:
            files[row.payer_key, row.group_control].add(row.file_id)
    single = {next(iter(ids)) for ids in files.values() if len(ids) == 1}
    claims: dict[tuple[str, str | None, str | None], list[str]] = defaultdict(list)
    sent_in: dict[tuple[str, str | None, str | None], str] = {}
    for claim in _claims_of_files(connection, sorted(single)):
        for key in (
            (claim.payer_key, claim.group_control, claim.set_control),
            (claim.payer_key, claim.group_control, None),
        ):
            claims[key].append(claim.claim_id)
            sent_in[key] = claim.file_id
    return {key: _Target(ids, frozenset({sent_in[key]})) for key, ids in claims.items()}


class _Batches:
    """Finds what a 277CA rejects above its claims (2200B, 2200C): by the batch number (BHT03) in the archived 837."""

    def __init__(self, store: Store, connection: sa.Connection) -> None:
        self.store, self.connection = store, connection
        self._sets: dict[str, list[tuple[str, bytes]]] = {}
        self._providers: dict[str, dict[str, str]] = {}

    def beneath(self, row: Mapping[str, Any]) -> _Target | None:
        parts = facts.fields(row["detail"])
        if parts.get("below") == "named" and row["level"] == "receiver":
            return _Target([])  # its claims are named one by one
        file_id = self._file(row["payer_key"], row["batch_reference"], row["on_date"])
        if file_id is None:
            return None
        providers = self._provider_of_claims(file_id, row["batch_reference"])
        claims = [
            claim_id
            for claim_id, npi in providers.items()
            if row["level"] == "receiver" or npi == parts.get("provider")
        ]
        if parts.get("below") == "named" and self._named(row) & set(claims):
            return _Target([], frozenset({file_id}))
        ours = [c.claim_id for c in _claims_of_files(self.connection, [file_id]) if c.claim_id in set(claims)]
        return _Target(ours, frozenset({file_id}))

    def _file(self, payer_key: str, reference: str | None, on: date | None) -> str | None:
        if not reference:
            return None
        columns = r.sendings.c
        query = sa.select(columns.file_id).where(columns.payer_key == payer_key)
        if on is not None:
            query = query.where(columns.logical_date >= on - timedelta(days=_BATCH_DAYS))
        for file_id in self.connection.execute(query.order_by(columns.logical_date.desc(), columns.file_id)).scalars():
            if reference in self._references(file_id):
                return file_id
        return None

    def _references(self, file_id: str) -> set[str]:
        """BHT03 of every set in an 837 that we wrote."""
        data = self.store.archive.get(file_id)
        element, segment = re.escape(data[3:4]), re.escape(data[105:106])
        third = (
            segment
            + rb"\s*BHT"
            + element
            + (rb"[^" + element + rb"]*" + element) * 2
            + rb"([^"
            + element
            + segment
            + rb"]*)"
        )
        return {found.decode("latin-1") for found in re.findall(third, data)}

    def _provider_of_claims(self, file_id: str, reference: str | None) -> dict[str, str]:
        """claim → NPI of its billing provider, for the sets of the file that carry the batch number."""
        if file_id not in self._providers:
            tables = transactions.read(self.store.archive.get(file_id), file=file_id).tables
            rows = tables["837.claims"].select(["claim_id", "billing_npi"]).to_pylist()
            self._providers[file_id] = {row["claim_id"]: row["billing_npi"] for row in rows}
        return self._providers[file_id]

    def _named(self, row: Mapping[str, Any]) -> set[str]:
        columns = r.acknowledgments.c
        query = sa.select(columns.claim_id).where(
            columns.kind == "277CA",
            columns.claim_id.is_not(None),
            sa.or_(columns.file_id == row["file_id"], columns.batch_reference == row["batch_reference"]),
        )
        return set(self.connection.execute(query).scalars())


def _duplicate(row: Mapping[str, Any]) -> Finding:
    return Finding(
        rule="TA1.duplicate", severity="warning", file=row["file_id"], subject=row["file_id"], segment_id="TA1",
        message=f"The payer says that it has already had interchange {row['interchange_control']}.",
        fix="Nothing is sent again: the first one counts, and its own acknowledgments decide.",
    )  # fmt: skip


def _duplicate_item(sending: Any, on: date) -> WorkItem:
    control = sending.interchange_control
    return WorkItem(
        queue="sending", subject=sending.sending_id, cause=f"TA1:{meaning.DUPLICATE_INTERCHANGE}", opened_on=on,
        payer_key=sending.payer_key, cents=sending.charge_cents,
        title=f"The payer has had interchange number {control} before ({sending.claim_count} claims)",
        reason=f"The payer refused interchange {control} as a duplicate and has acknowledged no other file under that number. "
               "Its first one may be this same file, or a file of another program that uses our sender id.",
        action=f"Ask the payer what it holds under number {control}: the date and the number of claims. Nothing is sent again "
               "and no claim is moved before that. If it holds other bytes, its claims were not received.",
    )  # fmt: skip


def _contradiction(connection: sa.Connection, on: date, sendings: Sequence[Any]) -> int:
    """Answers to files that by our record never reached the payer: what it holds cannot be told, so nothing goes by itself.

    The file would otherwise either count as received, though it may never have gone, or be sent, though the payer has
    something under its number. `claimpipe settle` says which it is, after the payer was asked.
    """
    columns, items = r.claims.c, []
    for sending in sendings:
        control = sending.interchange_control
        connection.execute(
            sa.update(r.sendings)
            .where(r.sendings.c.sending_id == sending.sending_id)
            .values(state="unknown", reason="answered_unsent")
        )
        query = sa.select(columns.claim_id).where(columns.file_id == sending.file_id, columns.state == "batched")
        move_claims(connection, on, [
            Move(claim_id, "outcome_unknown", "unknown", sending.file_id, "answered_unsent")
            for claim_id in connection.execute(query.order_by(columns.claim_id)).scalars()
        ])  # fmt: skip
        items.append(WorkItem(
            queue="sending", subject=sending.sending_id, cause="answered_unsent", payer_key=sending.payer_key,
            title=f"The payer answers interchange {control}, which it never got ({sending.claim_count} claims)",
            reason=f"By our record the file was not sent (it was {sending.state}). The answer was set aside; it moved no claim.",
            action=f"Ask the payer what it holds under number {control}. Then: claimpipe settle {sending.payer_key} "
                   f"{int(control)} --received or --not-received. The file is not sent before.",
            opened_on=on, cents=sending.charge_cents,
        ))  # fmt: skip
    return open_items(connection, items)


def _foreign(row: Mapping[str, Any], on: date) -> WorkItem:
    return WorkItem(
        queue="file", subject=row["file_id"], cause="277CA.other_payer", payer_key=row["payer_key"], opened_on=on,
        title="A 277CA names claims that were sent to another payer",
        reason="The payer's 277CA speaks of at least one claim that went to another payer. That claim was not moved.",
        action="Ask the payer why it answers a claim that it was not sent. If both payers are reached by one clearinghouse, give "
               "both profiles the same [transport].",
    )  # fmt: skip


def _late_rejection(claim: Any, words: meaning.Words, file_id: str, on: date) -> WorkItem:
    return WorkItem(
        queue="rejection", subject=claim.claim_id, claim_id=claim.claim_id, payer_key=claim.payer_key,
        cause=f"{words.cause}:after-835", title=f"Refused after it was {claim.state}: {words.title}",
        reason=f"The payer's remittance has the claim as {claim.state}, and yet an acknowledgment refuses it. {words.reason}",
        action="Ask the payer which of the two stands; it may take its payment back. Do not send the claim again before.",
        cents=claim.charge_cents, opened_on=on, due_on=add_bank_days(on, _DAYS_TO_REWORK), reference=file_id,
    )  # fmt: skip


def _rejection(claim: Any, words: meaning.Words, file_id: str, on: date, last_day: date | None) -> WorkItem:
    due = min(add_bank_days(on, _DAYS_TO_REWORK), last_day or date.max)
    return WorkItem(
        queue="rejection", subject=claim.claim_id, claim_id=claim.claim_id, payer_key=claim.payer_key,
        cause=words.cause, title=words.title, reason=words.reason, cents=claim.charge_cents,
        action=words.action.replace("{payer}", claim.payer_key), opened_on=on, due_on=due, reference=claim.file_id or file_id,
    )  # fmt: skip


def _question(row: Mapping[str, Any], claim: Any, on: date) -> WorkItem:
    words = _words(row)
    known = meaning.table("categories").get(row["code"], {})
    return WorkItem(
        queue="rejection", subject=claim.claim_id, claim_id=claim.claim_id, payer_key=claim.payer_key,
        cause=words.cause, title=f"The payer answers: {known.get('meaning', row['code'])}",
        reason=f"The payer's 277CA says {known.get('meaning', row['code'])} (category {row['code']}).",
        action=known.get("action", ""), cents=claim.charge_cents, opened_on=on, due_on=add_bank_days(on, _DAYS_TO_REWORK),
    )  # fmt: skip


def _keep_numbers(connection: sa.Connection, claims: Mapping[str, Any], numbers: Mapping[str, set[str]]) -> None:
    """Keep the payer's claim number. Where several are known (a split, a clearinghouse and a payer), the last by date."""
    chosen = {}
    unclear = []
    for claim_id, given in numbers.items():
        known = claims[claim_id].payer_claim_number
        if len(given) == 1 and known in (None, "", *given):
            chosen[claim_id] = next(iter(given))
        else:
            unclear.append(claim_id)
    columns = r.acknowledgments.c
    for part in _chunks(unclear):
        query = (
            sa.select(columns.claim_id, columns.payer_claim_number)
            .where(columns.claim_id.in_(part), columns.level == "claim", columns.payer_claim_number.is_not(None))
            .order_by(columns.on_date, columns.payer_claim_number)
        )
        chosen |= {row.claim_id: row.payer_claim_number for row in connection.execute(query)}
    changed = [
        {"claim_id": claim_id, "payer_claim_number": number}
        for claim_id, number in chosen.items()
        if claims[claim_id].payer_claim_number != number
    ]
    update_rows(connection, r.claims, "claim_id", changed, ["payer_claim_number"])


def _settle(connection: sa.Connection, file_ids: Iterable[str], counts: dict[str, int]) -> None:
    """Sendings whose file was acknowledged were delivered, whatever we knew before."""
    settled: list[str] = []
    for part in _chunks(sorted(file_ids)):
        query = sa.select(r.sendings.c.sending_id).where(
            r.sendings.c.file_id.in_(part), r.sendings.c.state.in_(_OPEN_SENDINGS)
        )
        settled += connection.execute(query).scalars()
    if settled:
        update_rows(
            connection, r.sendings, "sending_id",
            [{"sending_id": s, "state": "acknowledged", "reason": ""} for s in settled], ["state", "reason"],
        )  # fmt: skip
        close_items(connection, "sending", settled, "acknowledged by the payer")
    counts["sendings_acknowledged"] += len(settled)


# --- what did not come -------------------------------------------------------------------------------------------------


def _overdue(
    connection: sa.Connection, on: date, profiles: Mapping[str, payers.PayerProfile], counts: dict[str, int]
) -> None:
    """An alarm for each file whose 999 or 277CA is late, or that could not be sent for days. Never a resend."""
    columns = r.sendings.c
    oldest = min((*(p.acknowledgment.days_999 for p in profiles.values()), _DAYS_TO_SEND))
    sendings = connection.execute(
        sa.select(r.sendings).where(columns.state != "withheld", columns.logical_date < on - timedelta(days=oldest - 1))
    ).fetchall()
    if not sendings:
        return
    answered = _answered(connection)
    unsent = _claims_in(connection, ("batched",))
    silent = _claims_in(connection, ("batched", "sent", "unknown"))
    undecided = _claims_in(connection, ("batched", "sent", "unknown", "received"))
    items, came = [], []
    for sending in sendings:
        profile = profiles.get(sending.payer_key)
        if profile is None:
            continue
        age = bank_days_between(sending.logical_date, on)
        limits = profile.acknowledgment
        nothing, file_id = (0, 0), sending.file_id
        placed = sending.state in MAY_HAVE
        for kind, (claims, cents), allowed in (
            ("sending", nothing if placed else unsent.get(file_id, nothing), _DAYS_TO_SEND),
            ("999", silent.get(file_id, nothing) if placed and file_id not in answered else nothing, limits.days_999),
            ("277CA", undecided.get(file_id, nothing) if placed else nothing, limits.days_277ca),
        ):
            subject = f"{sending.sending_id}:{kind}"
            if not claims:
                came.append(subject)
            elif age > allowed:
                items.append(_late_item(sending, kind, subject, allowed, claims, cents, on))
    late_now = open_items(connection, items)
    counts["overdue"] += late_now
    counts["work_items"] += late_now
    work = r.work_items.c
    alarmed = sa.select(work.subject).where(work.queue == "sending", work.state == "open", work.cause.like("no-%"))
    still_open = set(connection.execute(alarmed).scalars())
    close_items(connection, "sending", sorted(still_open & set(came)), "the acknowledgment came")


def _late_item(sending: Any, kind: str, subject: str, allowed: int, claims: int, cents: int, on: date) -> WorkItem:
    if kind == "sending":
        return WorkItem(
            queue="sending", subject=subject, payer_key=sending.payer_key, cause="no-sending", opened_on=on, cents=cents,
            title="A claim file could not be sent",
            reason=f"Interchange {sending.interchange_control} of {sending.logical_date.isoformat()} has not gone to the payer "
                   f"after {allowed} business day; {claims} claims wait and the filing clock runs.",
            action="Mend what each night says about this payer (link, login, rights, settings): the next run then sends the "
                   "file by itself.",
        )  # fmt: skip
    return WorkItem(
        queue="sending", subject=subject, payer_key=sending.payer_key, cause=f"no-{kind}",
        title=f"No {kind} from the payer", opened_on=on, cents=cents,
        reason=f"Interchange {sending.interchange_control} of {sending.logical_date.isoformat()} has no {kind} after "
               f"{allowed} business days; {claims} claims wait.",
        action="Ask the payer whether it has the file. Do not send it again: the claims may be in process.",
    )  # fmt: skip


def _answered(connection: sa.Connection) -> set[str]:
    """Files of which every set, or a group as a whole, has a 999, or that a TA1 refused."""
    claims, acks = r.claims.c, r.acknowledgments.c
    done: set[str] = set()
    groups: set[tuple[str, str | None]] = set()
    sets: set[tuple[str, str | None, str | None]] = set()
    for row in connection.execute(
        sa.select(acks.payer_key, acks.group_control, acks.set_control, acks.level).where(
            acks.kind == "999", acks.state == "applied"
        )
    ):
        if row.level == "group":
            groups.add((row.payer_key, row.group_control))
        else:
            sets.add((row.payer_key, row.group_control, row.set_control))
    pieces: dict[str, list[bool]] = defaultdict(list)
    for row in connection.execute(
        sa.select(claims.file_id, claims.payer_key, claims.group_control, claims.set_control)
        .where(claims.file_id.is_not(None))
        .distinct()
    ):
        has = (row.payer_key, row.group_control) in groups
        pieces[row.file_id].append(has or (row.payer_key, row.group_control, row.set_control) in sets)
    done |= {file_id for file_id, answered in pieces.items() if all(answered)}
    refused = sa.select(r.sendings.c.file_id).join(
        r.acknowledgments,
        (acks.payer_key == r.sendings.c.payer_key) & (acks.interchange_control == r.sendings.c.interchange_control),
    )
    done |= set(connection.execute(refused.where(acks.kind == "TA1", acks.code == "R")).scalars())
    return done


def _claims_in(connection: sa.Connection, states: Sequence[str]) -> dict[str, tuple[int, int]]:
    """837 file → how many of its claims are in these states, and their cents."""
    columns = r.claims.c
    query = (
        sa.select(columns.file_id, sa.func.count(), sa.func.sum(columns.charge_cents))
        .where(columns.file_id.is_not(None), columns.state.in_(states))
        .group_by(columns.file_id)
    )
    return {file_id: (count, int(cents)) for file_id, count, cents in connection.execute(query)}


# --- the register, by chunks ------------------------------------------------------------------------------------------


def _claims(connection: sa.Connection, claim_ids: Iterable[str]) -> dict[str, Any]:
    columns, events = r.claims.c, r.claim_events.c
    found: dict[str, Any] = {}
    for part in _chunks(sorted(claim_ids)):
        query = sa.select(
            columns.claim_id, columns.payer_key, columns.charge_cents, columns.service_from, columns.state,
            columns.file_id, columns.payer_claim_number, columns.interchange_control, columns.guide, columns.scrubbed_date,
            columns.scrubbed_part,
            sa.exists().where(
                events.claim_id == columns.claim_id, events.event == "batched", events.file_id != columns.file_id
            ).label("earlier"),
        ).where(columns.claim_id.in_(part))  # fmt: skip
        found.update({row.claim_id: row for row in connection.execute(query)})
    return found


def _payers_of(connection: sa.Connection, claim_ids: Iterable[str]) -> dict[str, str]:
    """Claims of ours → their payers."""
    columns = r.claims.c
    found: dict[str, str] = {}
    for part in _chunks(sorted(claim_ids)):
        query = sa.select(columns.claim_id, columns.payer_key).where(columns.claim_id.in_(part))
        found |= {row.claim_id: row.payer_key for row in connection.execute(query)}
    return found


def _sendings(connection: sa.Connection, file_ids: Iterable[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for part in _chunks(sorted(file_ids)):
        query = sa.select(r.sendings).where(r.sendings.c.file_id.in_(part))
        found |= {row.file_id: row for row in connection.execute(query)}
    return found


def _claims_of_files(connection: sa.Connection, file_ids: Sequence[str]) -> list[Any]:
    columns = r.claims.c
    found: list[Any] = []
    for part in _chunks(file_ids):
        query = (
            sa.select(columns.claim_id, columns.file_id, columns.payer_key, columns.group_control, columns.set_control)
            .where(columns.file_id.in_(part))
            .order_by(columns.claim_id)
        )
        found += connection.execute(query).fetchall()
    return found


def _chunks(items: Sequence[str]) -> Iterable[Sequence[str]]:
    for start in range(0, len(items), _CHUNK):
        yield items[start : start + _CHUNK]

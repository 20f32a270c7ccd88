"""Facts → states of claims and sendings, and work for people.

Theory. Each claim that a fact speaks of climbs to the higher of its own state and the state that the fact implies
(`meaning.RANK`), so any order of arrival gives the same states. A fact about a file that the payer may have proves its
delivery, so an upload of unknown outcome is settled here.

Three kinds of fact are not what they seem. One about a file that by our own record never reached the payer is `ignored`, and
the file goes to a person before it goes anywhere (`_contradiction`). One about an earlier file of a claim that was sent again,
or about a claim that is to be sent again, is kept as an event and moves nothing. And a TA1 that says "duplicate" speaks of
an earlier interchange with that number, which is ours only where the payer has acknowledged ours in another way.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any

import sqlalchemy as sa

from pipeline import payers
from pipeline.acknowledgments import facts, items, judging, meaning, targets
from pipeline.acknowledgments.targets import Target
from pipeline.findings import Finding
from pipeline.store import Store
from pipeline.store import register as r
from pipeline.store.behind import MAY_HAVE
from pipeline.store.events import Move, move_claims
from pipeline.store.filing import last_days
from pipeline.store.store import chunks, record_findings, update_rows
from pipeline.store.work import WorkItem, close_items, open_items

STAGE = "acknowledgments"
#: states of a sending in which bytes of it have left the house, so that an answer can be true: a payer may take a file from
#: under its temporary name
_GIVEN_AWAY = ("intent", "sent_temporary", *MAY_HAVE)
#: states of a sending in which an acknowledgment settles it
_OPEN_SENDINGS = tuple(s for s in _GIVEN_AWAY if s != "acknowledged")
#: states of a claim that a remittance gave it
_ADJUDICATED = ("paid", "denied", "reversed")


def apply(
    store: Store, connection: sa.Connection, on: date, order: Mapping[str, int],
    profiles: Mapping[str, payers.PayerProfile], counts: dict[str, int],
) -> None:  # fmt: skip
    """Try every fact that waits, old and new; `order` is that in which the new ones came."""
    query = sa.select(r.acknowledgments).where(r.waiting())
    rows = sorted(
        (dict(row._mapping) for row in connection.execute(query)),
        key=lambda row: (order.get(row["ack_id"], -1), row["ack_id"]),
    )
    counts["waiting"] += 0
    if not rows:
        return
    meant = targets.targets(store, connection, rows)
    batch = _Batch(store, connection, on, meant, counts)
    for row in rows:
        if (target := meant.get(row["ack_id"])) is not None:
            batch.take(row, target)
    batch.record(profiles)
    counts["waiting"] += sum(row["ack_id"] in order and row["ack_id"] not in meant for row in rows)


class _Batch:
    """The facts of one run: `take` says what each changes, `record` writes it."""

    def __init__(
        self, store: Store, connection: sa.Connection, on: date, meant: Mapping[str, Target], counts: dict[str, int]
    ) -> None:
        self.store, self.connection, self.on, self.counts = store, connection, on, counts
        self.claims = _claims(connection, {c for target in meant.values() for c in target.claim_ids})
        self.sendings = _sendings(
            connection,
            {c.file_id for c in self.claims.values() if c.file_id} | {f for t in meant.values() for f in t.file_ids},
        )
        self.written = targets.Written(store)
        self.states = {claim_id: claim.state for claim_id, claim in self.claims.items()}
        self.moves: list[Move] = []
        #: claim → the rejection that names its cause best, and the file that says it
        self.refused: dict[str, tuple[int, meaning.Words, str]] = {}
        self.late: dict[str, WorkItem] = {}
        self.questions: list[WorkItem] = []
        self.numbers: dict[str, set[str]] = defaultdict(set)
        self.delivered: set[str] = set()
        self.duplicates: set[str] = set()
        self.impossible: set[str] = set()
        self.fates: dict[str, str] = {}  # fact → applied or ignored
        self.findings: list[Finding] = []

    def take(self, row: Mapping[str, Any], target: Target) -> None:
        self.fates[row["ack_id"]] = "ignored"
        if target.foreign:
            self.questions.append(items.foreign(row, self.on))
            return
        spoken_of = _spoken_of(row, target, self.claims)
        contradicted = {f for f in spoken_of if f in self.sendings and not _may_have(self.sendings[f])}
        if contradicted:
            self.impossible |= contradicted
            return
        self.fates[row["ack_id"]] = "applied"
        if judging.is_duplicate(row):
            self.findings.append(items.duplicate(row))
            self.duplicates |= target.file_ids
        else:
            self.delivered |= target.file_ids
        effect = judging.effect(row)
        words = judging.words(row) if effect == "rejected" else None
        guilty = self.written.guilty(row, target) if words else None
        for claim_id in target.claim_ids:
            self._move(row, claim_id, effect, words, guilty)

    def _move(
        self, row: Mapping[str, Any], claim_id: str, effect: str, words: meaning.Words | None, guilty: str | None
    ) -> None:
        claim, before = self.claims[claim_id], self.states[claim_id]
        current = _is_current(row, claim, self.sendings)
        climbs = current and effect in meaning.RANK and meaning.RANK[effect] > meaning.RANK[before]
        after = effect if climbs else before
        if climbs or row["kind"] != "TA1":
            detail = row["detail"].split(" line=")[0]
            self.moves.append(Move(claim_id, f"{row['kind']} {row['code']}", after, row["file_id"], detail))
        self.states[claim_id] = after
        if climbs:
            self.counts[f"claims_{after}"] += 1
        if words and after == "rejected":
            order, located = judging.order(row), meaning.located(words, claim_id, guilty)
            known = self.refused.get(claim_id)
            if known is None or (order, located.cause) < (known[0], known[1].cause):
                self.refused[claim_id] = order, located, row["file_id"]
        elif words and current and after in _ADJUDICATED:
            self.late.setdefault(claim_id, items.late_rejection(claim, words, row["file_id"], self.on))
        elif current and effect in ("question", "split"):
            self.questions.append(items.question(row, claim, self.on))
        if row["payer_claim_number"] and row["level"] == "claim":
            self.numbers[claim_id].add(row["payer_claim_number"])
        if current and claim.file_id and not judging.is_duplicate(row):
            self.delivered.add(claim.file_id)

    def record(self, profiles: Mapping[str, payers.PayerProfile]) -> None:
        connection, counts = self.connection, self.counts
        move_claims(connection, self.on, self.moves)
        _keep_numbers(connection, self.claims, self.numbers)
        fates = [{"ack_id": ack_id, "state": fate} for ack_id, fate in self.fates.items()]
        update_rows(connection, r.acknowledgments, "ack_id", fates, ["state"])
        rejections = self._rejections(profiles)
        counts["rejected_cents"] += sum(item.cents for item in rejections)
        work = [*rejections, *self.questions, *self.late.values(), *self._unproved()]
        counts["work_items"] += open_items(connection, work)
        impossible = [self.sendings[file_id] for file_id in sorted(self.impossible)]
        counts["work_items"] += _contradiction(connection, self.on, impossible)
        _settle(connection, self.delivered, counts)
        record_findings(connection, STAGE, self.on, self.findings)
        ignored = sum(fate == "ignored" for fate in self.fates.values())
        counts["applied"] += len(self.fates) - ignored
        if ignored:
            counts["ignored"] += ignored

    def _rejections(self, profiles: Mapping[str, payers.PayerProfile]) -> list[WorkItem]:
        newly = [claim_id for claim_id in self.refused if self.claims[claim_id].state != "rejected"]
        filing = last_days(self.store, [self.claims[claim_id] for claim_id in newly], profiles)
        found = []
        for claim_id in newly:
            _, words, file_id = self.refused[claim_id]
            found.append(items.rejection(self.claims[claim_id], words, file_id, self.on, filing.get(claim_id)))
        return found

    def _unproved(self) -> list[WorkItem]:
        """Files refused as duplicates that the payer has acknowledged in no other way."""
        return [
            items.duplicate_item(self.sendings[file_id], self.on)
            for file_id in sorted(self.duplicates - self.delivered)
            if file_id in self.sendings and self.sendings[file_id].state != "acknowledged"
        ]


def _may_have(sending: Any) -> bool:
    return sending.state in _GIVEN_AWAY


def _spoken_of(row: Mapping[str, Any], target: Target, claims: Mapping[str, Any]) -> set[str]:
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
    ours = len(reference) > facts.CONTROL_DIGITS and reference.isdigit()
    return (
        ours
        and claim.interchange_control is not None
        and reference[: facts.CONTROL_DIGITS] != claim.interchange_control
    )


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
    for part in chunks(unclear):
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
    for part in chunks(sorted(file_ids)):
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


def _contradiction(connection: sa.Connection, on: date, sendings: Sequence[Any]) -> int:
    """Answers to files that by our record never reached the payer: what it holds cannot be told, so nothing goes by itself.

    The file would otherwise either count as received, though it may never have gone, or be sent, though the payer has
    something under its number. `claimpipe settle` says which it is, after the payer was asked.
    """
    columns = r.claims.c
    for sending in sendings:
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
    return open_items(connection, [items.contradiction(sending, on) for sending in sendings])


# --- the register, by chunks ------------------------------------------------------------------------------------------


def _claims(connection: sa.Connection, claim_ids: Iterable[str]) -> dict[str, Any]:
    columns, events = r.claims.c, r.claim_events.c
    found: dict[str, Any] = {}
    for part in chunks(sorted(claim_ids)):
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


def _sendings(connection: sa.Connection, file_ids: Iterable[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for part in chunks(sorted(file_ids)):
        query = sa.select(r.sendings).where(r.sendings.c.file_id.in_(part))
        found |= {row.file_id: row for row in connection.execute(query)}
    return found

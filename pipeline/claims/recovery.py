"""After a backup of the register was restored, or its file was lost: what the archive knows is taken over.

The archive's own record (`store.outgoing`) says which interchanges there are and which of them may be with their payer. Taking
over makes the register level with it: control numbers go on above the last one used; an interchange that may be with
its payer is a sending of unknown outcome, which its acknowledgment or a person settles and nothing sends again; and the
claims in its bytes are remembered. A claim that the register knows, now or when its visit comes in again, is joined to
the file that carries it instead of going into a new one. One whose charge or payer is no longer what was sent is held for
a person. A claim that the register has in a file already keeps its row, its charge and its history whatever another file says of it.

Files that were received since the backup are no more at their senders: the archive's record of them (`store.incoming`) puts them
before the stages again, which work them as on the night they came.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import sqlalchemy as sa

from pipeline import transactions
from pipeline.claims import control_numbers
from pipeline.errors import Terminal
from pipeline.money import cents
from pipeline.store import Store, behind, locks
from pipeline.store import register as r
from pipeline.store.behind import Gap
from pipeline.store.events import Move, move_claims
from pipeline.store.incoming import Received
from pipeline.store.outgoing import Interchange
from pipeline.store.store import chunks, insert_new, one_at_a_time, update_rows
from pipeline.store.work import WorkItem, close_items, open_items
from pipeline.wording import counted

#: posts the charges of claims that went into a file
PostCharges = Callable[[sa.Connection, date, str, Sequence[Any]], None]
#: a claim in one of these states may still be joined to a file that went out later than the register remembers
_OPEN = ("ready", "batched", "sent", "unknown", "received", "accepted", "rejected")
#: of these, those in which no payer holds it as far as the register knows
_NOT_AT_PAYER = ("ready", "rejected")
CAUSE = "recovered"
CHANGED = "recovered.changed"
#: the register has a claim in one file, and the archive has it in another one that says something else
APART = "recovered.apart"


@dataclass(frozen=True, slots=True)
class Found:
    """An interchange that the archive knows and the register does not."""

    gap: Gap
    entry: Interchange

    def as_dict(self) -> dict[str, Any]:
        return {
            "interchange": f"{self.entry.number:09d}", "payer": self.entry.payer_key, "date": self.entry.logical_date,
            "usage": self.entry.usage, "claims": self.entry.claim_count, "charge_cents": self.entry.charge_cents,
            "may_be_at_payer": bool(self.gap.placed), "file": self.entry.file_id,
        }  # fmt: skip


def missing(store: Store) -> list[Found]:
    """The interchanges that the register is behind of; empty where it agrees with the archive."""
    return [Found(gap, store.outgoing.read(gap.folder, gap.number)) for gap in behind.gaps(store)]


def adopt(store: Store, on: date) -> list[Found]:
    """Take over all that the archive knows; returns what was taken over. Run again it does nothing.

    Terminal where bytes are missing from the archive, or where the register has given a number to other bytes.
    """
    found = missing(store)
    for one in found:
        carried = _carried(store, one.entry) if one.gap.placed else []
        with locks.held(store, f"send-{one.entry.payer_key}"), store.begin() as c:
            one_at_a_time(c, "recovery")
            _numbers(c, one.entry)
            if one.gap.placed:
                _sending(c, on, one)
                insert_new(c, r.recovered_claims, carried)
    return found


def missing_mail(store: Store) -> list[Received]:
    """The received files that the register does not know; empty where it agrees with the archive."""
    return [store.incoming.read(folder, file_id) for folder, file_id in behind.unknown(store)]


def adopt_mail(store: Store, on: date) -> list[Received]:
    """Let the register know of the received files again; the next run of each stage works them. Run again it does nothing.

    Terminal where the bytes of one are missing from the archive or altered: nothing is taken over then.
    """
    found = missing_mail(store)
    for one in found:
        with store.archive.opened(one.file_id):
            pass
    with store.begin() as c:
        one_at_a_time(c, "recovery")
        insert_new(c, r.files, [
            {"file_id": one.file_id, "direction": "in", "kind": one.kind, "payer_key": one.payer_key, "size": one.size,
             "logical_date": one.on, "state": one.state, "reason": one.reason}
            for one in found
        ])  # fmt: skip
        insert_new(c, r.file_arrivals, [
            {"file_id": one.file_id, "payer_key": one.payer_key, "remote_name": one.remote_name, "logical_date": one.on}
            for one in found
        ])  # fmt: skip
        open_items(c, [
            WorkItem(
                queue="file", subject=one.file_id, cause=one.reason, payer_key=one.payer_key, opened_on=on,
                title=f"A file from {one.payer_key} was set aside",
                reason=f"It came on {one.logical_date}, before the register was restored, and was set aside ({one.reason}).",
                action="It is kept in the archive under its id. Ask the sender what it is; nothing was posted from it.",
            )
            for one in found
            if one.reason
        ])  # fmt: skip
    return found


def _carried(store: Store, entry: Interchange) -> list[dict[str, Any]]:
    """The claims in an archived 837 of ours."""
    tables = transactions.read(store.archive.get(entry.file_id), file=entry.file_id).tables
    if "837.claims" not in tables:
        return []
    rows = tables["837.claims"].select(["claim_id", "set_control", "charge"]).to_pylist()
    return [
        {"file_id": entry.file_id, "claim_id": row["claim_id"], "payer_key": entry.payer_key,
         "interchange_control": f"{entry.number:09d}", "group_control": str(entry.group_number),
         "set_control": row["set_control"], "charge_cents": cents(row["charge"]), "state": "waiting"}
        for row in rows
    ]  # fmt: skip


def _numbers(c: sa.Connection, entry: Interchange) -> None:
    n = r.control_numbers.c
    for scope, number in ((entry.scope, entry.number), (entry.group_scope, entry.group_number)):
        control_numbers.raise_to(c, scope, number)
        insert_new(c, r.control_numbers, [{"scope": scope, "number": number, "batch_id": entry.sending_id}])
        tied = c.execute(
            sa.update(r.control_numbers)
            .where(n.scope == scope, n.number == number, n.file_id.is_(None) | (n.file_id == entry.file_id))
            .values(batch_id=entry.sending_id, file_id=entry.file_id)
        ).rowcount
        if tied != 1:
            raise Terminal(
                f"Number {number} of {scope} belongs to other bytes in the register than in the archive.",
                fix="Restore register and archive from one backup, or ask for help: nothing is sent meanwhile.",
            )


def _sending(c: sa.Connection, on: date, one: Found) -> None:
    entry, s = one.entry, r.sendings.c
    interchange = f"{entry.number:09d}"
    insert_new(c, r.files, [{
        "file_id": entry.file_id, "direction": "out", "kind": "837", "payer_key": entry.payer_key, "size": entry.size,
        "logical_date": entry.on, "state": "archived", "reason": "",
    }])  # fmt: skip
    insert_new(c, r.sendings, [{
        "sending_id": entry.sending_id, "payer_key": entry.payer_key, "file_id": entry.file_id,
        "interchange_control": interchange, "guide": entry.guide, "usage": entry.usage, "logical_date": entry.on,
        "claim_count": entry.claim_count, "charge_cents": entry.charge_cents, "size": entry.size, "state": "unknown",
        "attempts": one.gap.placed, "reason": CAUSE,
    }])  # fmt: skip
    c.execute(
        sa.update(r.sendings)
        .where(s.file_id == entry.file_id)
        .values(state="unknown", attempts=one.gap.placed, reason=CAUSE)
    )
    open_items(c, [WorkItem(
        queue="sending", subject=entry.sending_id, cause=CAUSE, payer_key=entry.payer_key, opened_on=on,
        title=f"Is interchange {interchange} at the payer? ({counted(entry.claim_count, 'claim')})", cents=entry.charge_cents,
        reason="The register was older than what had been sent; this file was taken over from the archive. By the archive's "
               "record it was brought to the payer.",
        action="Wait for the payer's TA1, 999 or 277CA. If none comes, ask the payer by the interchange number and say what it "
               "answers: claimpipe settle. It is not sent again before.",
    )])  # fmt: skip


# --- claims ---------------------------------------------------------------------------------------------------------------


def rejoin(store: Store, on: date, post_charges: PostCharges) -> dict[str, int]:
    """Join claims of the register to the recovered files that carry them. Returns `joined` and `held`."""
    w = r.recovered_claims.c
    with store.read() as c:
        waits = c.execute(sa.select(w.claim_id).where(w.state == "waiting").limit(1)).first()
    if waits is None:
        return {"joined": 0, "held": 0}
    with store.begin() as c:
        one_at_a_time(c, "recovery")
        return _join(c, on, post_charges)


def _join(c: sa.Connection, on: date, post_charges: PostCharges) -> dict[str, int]:
    """In the order of the files, so that a claim that was sent twice ends in its last one.

    A claim that is not as the file has it is never joined to it. Where it was in no file before it was made anew from a changed visit:
    its row goes, and the visit is held. Where it was, the row is the record of what was sent and stays.
    """
    k, w = r.claims.c, r.recovered_claims.c
    query = (
        sa.select(r.recovered_claims, k.state.label("claim_state"), k.payer_key.label("claim_payer"),
                  k.charge_cents.label("claim_cents"), k.file_id.label("claim_file"), k.frequency, k.encounter_key,
                  r.sendings.c.state.label("sending_state"))
        .select_from(
            r.recovered_claims.join(r.claims, k.claim_id == w.claim_id).join(
                r.sendings, r.sendings.c.file_id == w.file_id
            )
        )
        .where(w.state == "waiting")
        .order_by(r.sendings.c.logical_date, w.interchange_control, w.claim_id)
    )  # fmt: skip
    rows = list(c.execute(query))
    held = [row for row in rows if row.claim_state == "ready" and row.claim_file is None and not _as_sent(row)]
    apart = [
        row
        for row in rows
        if row.claim_state in _OPEN and row.claim_file not in (None, row.file_id) and not _as_sent(row)
    ]
    _hold(c, on, held)
    _set_apart(c, on, apart)
    gone, others = {row.claim_id for row in held}, {(row.file_id, row.claim_id) for row in apart}
    rows = [row for row in rows if row.claim_id not in gone and (row.file_id, row.claim_id) not in others]
    for file_id, together in _by_file(iter(rows)):
        moved = [row for row in together if row.claim_state in _OPEN]
        update_rows(c, r.claims, "claim_id", [
            {"claim_id": row.claim_id, "file_id": file_id, "interchange_control": row.interchange_control,
             "group_control": row.group_control, "set_control": row.set_control}
            for row in moved
        ], ["file_id", "interchange_control", "group_control", "set_control"])  # fmt: skip
        state = {"unknown": "unknown", "verified": "sent"}.get(together[0].sending_state, "received")
        move_claims(c, on, [Move(row.claim_id, "recovered", state, file_id, row.interchange_control) for row in moved])
        claims = list(c.execute(sa.select(r.claims).where(k.claim_id.in_([row.claim_id for row in moved]))))
        for some in chunks(claims):
            post_charges(c, on, together[0].payer_key, some)
        c.execute(
            sa.update(r.recovered_claims)
            .where(w.file_id == file_id, w.claim_id == sa.bindparam("b_claim"))
            .values(state="joined"),
            [{"b_claim": row.claim_id} for row in together],
        )
    close_items(c, "held", [row.encounter_key for row in rows], "joined to the file sent")
    return {"joined": len(rows), "held": len(held) + len(apart)}


def _as_sent(row: Any) -> bool:
    return bool(row.claim_cents == row.charge_cents and row.claim_payer == row.payer_key)


def _by_file(rows: Iterator[Any]) -> Iterator[tuple[str, list[Any]]]:
    files: dict[str, list[Any]] = defaultdict(list)
    for row in rows:
        files[row.file_id].append(row)
    yield from files.items()


def _hold(c: sa.Connection, on: date, rows: Sequence[Any]) -> None:
    """The visit's claim is with a payer, but not as the visit now stands: a person decides, nothing is sent."""
    move_claims(c, on, [Move(row.claim_id, "held", "ready", detail=CHANGED) for row in rows])
    for row in rows:
        c.execute(sa.delete(r.claims).where(r.claims.c.claim_id == row.claim_id))
    update_rows(c, r.encounters, "encounter_key", [
        {"encounter_key": row.encounter_key, "state": "held", "reason": CHANGED, "claim_id": None} for row in rows
    ], ["state", "reason", "claim_id"])  # fmt: skip
    open_items(c, [
        WorkItem(
            queue="held", subject=row.encounter_key, claim_id=row.claim_id, cause=CHANGED, payer_key=row.payer_key,
            title="A claim was sent before the register was restored, and its visit is another now", opened_on=on,
            cents=row.claim_cents,
            reason=f"Interchange {row.interchange_control} for {row.payer_key} carries this claim with another charge or for "
                   "another payer than the visit has now.",
            action="Find out why the visit differs. Where the extract is wrong, mend it there: the claim then goes to its file. "
                   "Where the visit was changed, agree the change with the payer.",
        )
        for row in rows
    ])  # fmt: skip


def _set_apart(c: sa.Connection, on: date, rows: Sequence[Any]) -> None:
    """A payer may hold the claim as the other file has it: it does not go again before the payer has answered, and a person compares."""
    moves = [
        Move(row.claim_id, "recovered", "unknown", row.file_id, APART)
        for row in rows
        if row.claim_state in _NOT_AT_PAYER
    ]
    move_claims(c, on, moves)
    w = r.recovered_claims.c
    for row in rows:
        c.execute(
            sa.update(r.recovered_claims)
            .where(w.file_id == row.file_id, w.claim_id == row.claim_id)
            .values(state="apart")
        )
    open_items(c, [
        WorkItem(
            queue="held", subject=row.encounter_key, claim_id=row.claim_id, cause=APART, payer_key=row.payer_key,
            title="A claim stands in two files that do not say the same", opened_on=on, cents=row.claim_cents,
            reference=row.file_id,
            reason=f"Interchange {row.interchange_control} for {row.payer_key}, which was taken over from the archive, carries this claim "
                   "with another charge or for another payer than the file in which the register has it.",
            action="Ask the payer which of the two it holds; its answer to the claim settles the state. Nothing is sent again meanwhile.",
        )
        for row in rows
    ])  # fmt: skip

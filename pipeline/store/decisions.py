"""What a person decides about a claim: recorded with who and why, and acted on in the next night.

    approve   send the replacement or void that waits
    keep      leave the payer's claim as it is, though the visit says otherwise
    resend    send the visit's claim again although the visit did not change: anew after a rejection, as a replacement after
              the payer has decided it
    override  let a claim that an edit holds pass that edit (`rule`); whether the edit may be overridden, the edit says

A decision is about the visit and the claim as the person saw them (`visit_version`, `claim_id`): a later change asks again. An
override is about the visit alone: its claim may be rejected for another cause and go again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import date
from typing import Any, Literal

import sqlalchemy as sa

from pipeline.errors import Terminal
from pipeline.store import register as r
from pipeline.store.store import insert_new

Action = Literal["approve", "keep", "resend", "override"]
ACTIONS: tuple[Action, ...] = ("approve", "keep", "resend", "override")
#: states in which a payer has answered a claim, so that it may be sent again
_ANSWERED = frozenset({"accepted", "rejected", "paid", "denied", "reversed"})
#: rules that hold a correction → what a person may decide about it
CHOICES: Mapping[str, frozenset[str]] = {
    "correction-approval": frozenset({"approve", "keep"}),
    "void-approval": frozenset({"approve", "keep"}),
    "correction-other-payer": frozenset({"approve", "keep"}),
    "correction-without-number": frozenset({"keep"}),
    "correction-not-taken": frozenset({"keep"}),
}


def decide(
    connection: sa.Connection, item: Mapping[str, Any], action: Action, *, actor: str, reason: str, on: date
) -> None:
    """Record the decision that a work item asks for, within the caller's transaction. Terminal where it is not one that
    can be made about this item."""
    if action == "override":
        _override(connection, item, actor=actor, reason=reason, on=on)
        return
    e, c = r.encounters.c, r.claims.c
    key = connection.execute(sa.select(c.encounter_key).where(c.claim_id == (item["claim_id"] or ""))).scalar()
    visit = connection.execute(sa.select(r.encounters).where(e.encounter_key == (key or item["subject"]))).first()
    sent = visit and connection.execute(
        sa.select(r.claims).where(c.encounter_key == visit.encounter_key, c.file_id.is_not(None)).order_by(c.version)
    ).fetchall()  # fmt: skip
    if visit is None or not sent:
        raise Terminal("This work item is about no claim that went to a payer.", fix="Close it with a note alone.")
    newest = sent[-1]
    if action == "resend":
        _resend(connection, visit, newest)
    elif visit.state != "held" or action not in CHOICES.get(item["cause"], ()):
        raise Terminal(
            f"This work item cannot be answered with --{action}.", fix="See what it says: claimpipe work show ITEM."
        )
    _record(
        connection,
        {
            "encounter_key": visit.encounter_key, "action": action, "visit_version": visit.version,
            "claim_id": newest.claim_id, "item_id": item["item_id"], "actor": actor, "reason": reason, "on_date": on,
        },
    )  # fmt: skip


def _record(connection: sa.Connection, row: Mapping[str, Any]) -> None:
    identity = "\x1f".join(
        str(row[name]) for name in ("encounter_key", "action", "visit_version", "claim_id", "item_id")
    )
    insert_new(connection, r.decisions, [{"decision_id": hashlib.sha256(identity.encode()).hexdigest()[:32], **row}])


def _override(connection: sa.Connection, item: Mapping[str, Any], *, actor: str, reason: str, on: date) -> None:
    e = r.encounters.c
    visit = connection.execute(sa.select(r.encounters).where(e.encounter_key == item["subject"])).first()
    if item["queue"] != "held" or visit is None:
        raise Terminal("This work item is about no claim that an edit holds.", fix="Close it with a note alone.")
    if visit.state != "held" or visit.reason != item["cause"]:
        raise Terminal(
            "The visit has changed since, or something else holds its claim now.",
            fix="Run the night, then see where it waits: claimpipe work list --queue held --each.",
        )
    _record(
        connection,
        {
            "encounter_key": visit.encounter_key, "action": "override", "visit_version": visit.version,
            "claim_id": item["claim_id"] or "", "item_id": item["item_id"], "actor": actor, "reason": reason,
            "on_date": on, "rule": item["cause"],
        },
    )  # fmt: skip


def _resend(connection: sa.Connection, visit: Any, newest: Any) -> None:
    """The visit goes back to the start, so that its next claim is made by the rules and profiles of the day."""
    if visit.state not in ("claimed", "cancelled") or visit.claim_id != newest.claim_id:
        raise Terminal(
            f"The visit of this claim is {visit.state.replace('_', ' ')}: its next claim is under way already.",
            fix="See where it waits: claimpipe work list --each.",
        )
    if newest.state not in _ANSWERED:
        raise Terminal(
            f"Claim {newest.claim_id} is {newest.state}: the payer has not answered it.",
            fix="Wait for the answer; a claim is never sent twice on a guess.",
        )
    values = {"state": "held", "reason": "cancelled"} if visit.cancelled else {
        "state": "extracted", "reason": "", "billed_cents": 0, "unbilled_cents": 0, "priced_cents": 0, "coded_part": None,
    }  # fmt: skip
    connection.execute(
        sa.update(r.encounters)
        .where(r.encounters.c.encounter_key == visit.encounter_key)
        .values(claim_id=None, **values)
    )

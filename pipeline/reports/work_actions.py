"""What a person may do about a work item: code its visit; post, set aside, apply or match its money. Who and why is kept for good.

Each action is a row of `ACTIONS`. It is done in one register transaction with its row of `item_decisions` (append-only) and the
closing of its item, by the stages' own posting. The same decision again changes nothing. An item of which something is left
(a deposit matched in part) stays open.
"""

from __future__ import annotations

import getpass
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import sqlalchemy as sa

from pipeline.coding import answers
from pipeline.coding import decide as coding
from pipeline.coding import stage as coding_stage
from pipeline.deposits import decide as deposits
from pipeline.deposits import stage as deposits_stage
from pipeline.errors import Terminal
from pipeline.money import shown
from pipeline.remittances import decide as remittances
from pipeline.remittances import stage as remittances_stage
from pipeline.reports import work
from pipeline.store import Store
from pipeline.store import register as r
from pipeline.store.store import one_at_a_time


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a person asks for: the ids that he gives beside the item, his name and his reason."""

    by: str
    reason: str
    on: date
    claim: str = ""
    deposit: str = ""
    remittance: str = ""
    codes: tuple[str, ...] = ()
    as_rule: bool = False
    when: str = ""

    @property
    def target(self) -> str:
        return "/".join(part for part in (self.claim, self.deposit, self.remittance) if part)


@dataclass(frozen=True, slots=True)
class Done:
    """`left`: what of the item is still to be done, in plain words; empty where it is closed."""

    item_id: str
    left: str = ""


@dataclass(frozen=True, slots=True)
class _Context:
    store: Store
    connection: sa.Connection
    item: Mapping[str, Any]
    wanted: Wanted
    decision_id: str


@dataclass(frozen=True, slots=True)
class Action:
    """`stage` holds the lock that it needs; `needs` are the ids to give; `do` returns what is left to do.

    `target`: under what the decision is kept; without it, the ids that were given."""

    queue: str
    about: str
    stage: str
    needs: tuple[str, ...]
    do: Callable[[_Context], str]
    target: Callable[[Store, sa.Connection, Mapping[str, Any], Wanted], str] | None = None


def _release(c: _Context) -> str:
    remittances.release(c.store, c.connection, c.wanted.on, c.item["subject"], c.decision_id)
    return ""


def _discard(c: _Context) -> str:
    remittances.discard(c.connection, c.item["subject"], c.decision_id)
    return ""


def _apply(c: _Context) -> str:
    remittances.apply(c.store, c.connection, c.wanted.on, c.item["subject"], c.wanted.claim)
    return ""


def _match(c: _Context) -> str:
    """The item is about one side; the other one is given."""
    of_remittance = c.item["cause"] == "no-deposit"
    given = c.wanted.deposit if of_remittance else c.wanted.remittance
    if not given:
        option = "--deposit" if of_remittance else "--remittance"
        raise Terminal(f"The action match needs {option} ID.", fix="Give the other side of the match.")
    deposit, remittance = (given, c.item["subject"]) if of_remittance else (c.item["subject"], given)
    deposit_left, remittance_left = deposits.match(c.connection, c.wanted.on, deposit, remittance)
    left = remittance_left if of_remittance else deposit_left
    return f"{shown(left)} of {'the remittance' if of_remittance else 'the deposit'} is still open." if left else ""


def _not_claims(c: _Context) -> str:
    deposits.not_claims(c.connection, c.wanted.on, c.item["subject"])
    return ""


def _answer(store: Store, connection: sa.Connection, item: Mapping[str, Any], wanted: Wanted) -> str:
    said = coding.read(store, connection, dict(item), wanted.codes)
    return said.target(as_rule=wanted.as_rule, condition=wanted.when)


def _code(c: _Context) -> str:
    w = c.wanted
    decision = coding.read(c.store, c.connection, dict(c.item), w.codes)
    coding.keep(c.store, c.connection, decision, decision_id=c.decision_id, owner=w.by, reason=w.reason, on=w.on,
                as_rule=w.as_rule, condition=w.when)  # fmt: skip
    return ""


ACTIONS: dict[str, Action] = {
    answers.ACTION: Action("coding", "code the visit", coding_stage.STAGE, (), _code, _answer),
    "release": Action("remittance", "post a remittance that is held", remittances_stage.STAGE, (), _release),
    "discard": Action("remittance", "never post a remittance that is held", remittances_stage.STAGE, (), _discard),
    "apply": Action(
        "remittance", "post an unapplied payment to its claim", remittances_stage.STAGE, ("claim",), _apply
    ),
    "match": Action("deposit", "match a deposit with a remittance", deposits_stage.STAGE, (), _match),
    "not-claims": Action("deposit", "a deposit is no claim payment", deposits_stage.STAGE, (), _not_claims),
}


def decide(store: Store, item: str, action: str, wanted: Wanted) -> Done:
    """Do an action about an item and close it. Terminal, and nothing is changed, where it cannot be done."""
    chosen = ACTIONS.get(action)
    if chosen is None:
        raise Terminal(f"There is no action {action!r}.", fix=f"The actions are: {', '.join(ACTIONS)}.")
    if not wanted.reason.strip():
        raise Terminal("A decision needs its reason.", fix="Say why with --note.")
    for name in chosen.needs:
        if not getattr(wanted, name):
            raise Terminal(f"The action {action} needs --{name} ID.", fix="See docs/money.md.")
    with store.begin() as connection:
        one_at_a_time(connection, chosen.stage)
        found = work.find(connection, item)
        if found["queue"] != chosen.queue:
            raise Terminal(
                f"The action {action} is for items of the queue {chosen.queue}; this one is of {found['queue']}.",
                fix="See docs/command-line.md, “work”, for what can be done about an item.",
            )
        target = chosen.target(store, connection, found, wanted) if chosen.target else wanted.target
        decision_id = _decision_id(found["item_id"], action, target)
        if connection.execute(
            sa.select(r.item_decisions.c.decision_id).where(r.item_decisions.c.decision_id == decision_id)
        ).first():
            return Done(found["item_id"])
        work.require_undecided(connection, found)
        left = chosen.do(_Context(store, connection, found, wanted, decision_id))
        record(connection, found, action, target, wanted)
        if left:
            work.reopen(connection, found["item_id"])
        else:
            work.close(connection, found["item_id"], f"{action}: {wanted.reason}")
        return Done(found["item_id"], left)


def close(store: Store, item: str, wanted: Wanted) -> Done:
    """Close an open item with a note of what was done; nothing else is changed. Terminal where it is done already, or where
    the note says nothing."""
    if not wanted.reason.strip():
        raise Terminal("An item is closed with a note of what was done.", fix="Say it with --note.")
    with store.begin() as connection:
        found = work.find(connection, item)
        work.require_open(found)
        record(connection, found, work.NOTE, "", wanted)
        work.close(connection, found["item_id"], wanted.reason)
        return Done(found["item_id"])


def record(connection: sa.Connection, item: Mapping[str, Any], action: str, target: str, wanted: Wanted) -> None:
    connection.execute(
        sa.insert(r.item_decisions).values(
            decision_id=_decision_id(item["item_id"], action, target), item_id=item["item_id"], action=action,
            subject=item["subject"], target=target, actor=wanted.by, reason=wanted.reason, on_date=wanted.on,
        )
    )  # fmt: skip


def actor(named: str) -> str:
    """Who decides: the name given, else the login. Terminal where neither is known."""
    try:
        return named.strip() or getpass.getuser()
    except (OSError, KeyError):
        raise Terminal("It is not known who you are.", fix="Give your name with --by.") from None


def _decision_id(item_id: str, action: str, target: str) -> str:
    return hashlib.sha256("\x1f".join((item_id, action, target)).encode()).hexdigest()[:32]

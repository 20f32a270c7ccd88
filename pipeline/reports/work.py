"""The work queues on the command line: grouped by cause, item by item, and who works them. What is done about one: `work_actions`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import sqlalchemy as sa
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from pipeline.errors import Terminal
from pipeline.money import shown
from pipeline.payers import load_profiles
from pipeline.reports.terminal import named, table
from pipeline.reports.visits import visits
from pipeline.reports.words import QUEUES
from pipeline.scrubbing import edits as books
from pipeline.store import Store, decisions
from pipeline.store import register as r

_W = r.work_items.c
_D = r.item_decisions.c
_FINDINGS_SHOWN = 40
_CSV_ROW = re.compile(r"\.csv row (\d+)")
#: `item_decisions.action` of an item that was closed with a note alone
NOTE = "close"
_INTAKE = "intake."  # begins the rules of intake: an item of one is about an extract


def causes(store: Store, queue: str | None = None) -> list[dict[str, Any]]:
    """Open items by queue and cause: count, cents, what to do; the most dollars first. Terminal: no such queue."""
    query = (
        sa.select(_W.queue, _W.cause, sa.func.min(_W.title).label("title"), sa.func.count().label("items"),
                  sa.func.sum(_W.cents).label("cents"), sa.func.min(_W.action).label("action"),
                  sa.func.min(_W.due_on).label("due_on"))
        .where(_W.state == "open")
        .group_by(_W.queue, _W.cause)
        .order_by(sa.desc("cents"), _W.queue, _W.cause)
    )  # fmt: skip
    return _rows(store, query, queue)


def items(store: Store, queue: str | None = None) -> list[dict[str, Any]]:
    """Open items one by one, the most dollars first."""
    query = (
        sa.select(_W.item_id, _W.queue, _W.cause, _W.subject, _W.title, _W.cents, _W.due_on, _W.owner, _W.action)
        .where(_W.state == "open")
        .order_by(_W.cents.desc(), _W.item_id)
    )
    return _rows(store, query, queue)


def _rows(store: Store, query: sa.Select[Any], queue: str | None) -> list[dict[str, Any]]:
    if queue is not None:
        if queue not in QUEUES:
            raise Terminal(f"There is no queue {queue!r}.", fix=f"The queues are: {', '.join(QUEUES)}.")
        query = query.where(_W.queue == queue)
    with store.read() as connection:
        return [dict(row) for row in connection.execute(query).mappings()]


def find(connection: sa.Connection, item: str) -> dict[str, Any]:
    """The item whose id begins so. Terminal where there is none, or more than one."""
    if not item.strip():
        raise Terminal(
            "No work item is named.", fix="Give the beginning of its id: `claimpipe work list --each` shows them."
        )
    rows = connection.execute(
        sa.select(r.work_items).where(_W.item_id.startswith(item, autoescape=True)).limit(2)
    ).mappings().all()  # fmt: skip
    if len(rows) != 1:
        which = "No work item begins" if not rows else "Several work items begin"
        raise Terminal(f"{which} with {item}.", fix="See `claimpipe work list --each` for the ids.")
    return dict(rows[0])


def one(store: Store, item: str) -> dict[str, Any]:
    """One item with the findings of its subject and, where it is about a visit, where the visit stands in the source."""
    f = r.findings.c
    with store.read() as connection:
        found = find(connection, item)
        visit = visits(connection, [found]).get(found["item_id"], ("", ""))
        if found["queue"] == "file" and found["cause"].startswith(_INTAKE):
            mine = _of_extract(found)
        else:
            mine = f.subject.in_([k for k in (found["subject"], found["claim_id"]) if k])
        findings = connection.execute(
            sa.select(f.severity, f.rule, f.source, f.loop, f.segment_id, f.element, f.message, f.fix)
            .where(mine)
            .order_by(f.severity, f.rule, f.file, sa.func.length(f.source), f.source, f.finding_id)
        ).mappings()
        return found | {
            "visit": visit[0], "source": visit[1], "findings": [dict(x) for x in findings],
            "decisions": _decided(connection, found, visit[0]),
        }  # fmt: skip


def _decided(connection: sa.Connection, item: Mapping[str, Any], visit: str) -> list[dict[str, Any]]:
    """What people decided on the item; and, whatever item it is, which edits the visit's claim was let pass."""
    d = r.decisions.c
    of_item = sa.select(_D.action, _D.target, _D.actor, _D.reason, _D.on_date, _D.decision_id).where(
        _D.item_id == item["item_id"]
    )
    of_claim = sa.select(d.action, d.rule.label("target"), d.actor, d.reason, d.on_date, d.decision_id).where(
        sa.or_(d.item_id == item["item_id"], sa.and_(d.action == "override", d.encounter_key == visit))
    )
    rows = connection.execute(sa.union_all(of_item, of_claim).order_by("on_date", "decision_id")).mappings()
    return [{name: value for name, value in row.items() if name != "decision_id"} for row in rows]


def _of_extract(item: Mapping[str, Any]) -> sa.ColumnElement[bool]:
    """The findings behind an item of an extract: of its rule, and of its night or of a visit that waits since then.

    A finding that was known before keeps its first night; the visit's `lake_part` says which extract the item means.
    """
    f, e = r.findings.c, r.encounters.c
    waiting = sa.select(e.encounter_key).where(e.state == "quarantined", e.lake_part == item["subject"])
    return sa.and_(
        f.stage == "encounters", f.rule == item["cause"],
        sa.or_(f.logical_date == item["opened_on"], f.subject.in_(waiting)),
    )  # fmt: skip


def assign(store: Store, item: str, owner: str) -> str:
    """Give an open item to a person; returns its whole id. Terminal where it is done already."""
    return _change(store, item, owner=owner)


def decide(store: Store, item: str, action: decisions.Action, note: str, actor: str, on: date) -> str:
    """Answer an open item about a claim: approve, keep, resend or override. Terminal where that is no answer to it; the item
    stays open then."""
    if not note.strip():
        raise Terminal("A decision needs its reason.", fix="Say why with --note.")
    with store.begin() as connection:
        found = find(connection, item)
        require_undecided(connection, found)
        if action == "override":
            _require_overridable(store, found)
        decisions.decide(connection, found, action, actor=actor, reason=note, on=on)
        close(connection, found["item_id"], f"{action} by {actor}: {note}")
        return str(found["item_id"])


def _require_overridable(store: Store, item: Mapping[str, Any]) -> None:
    """The edit itself says whether a person may let a claim pass it."""
    book = books.load().with_profiles(load_profiles(store.settings.payers_dir))
    versions = [edit for edit in book.edits if edit.id == item["cause"]]
    if item["queue"] == "held" and not any(edit.overridable for edit in versions):
        what = f"The edit {item['cause']} cannot be overridden." if versions else "What holds this claim is no edit."
        raise Terminal(what, fix=str(item["action"]))


def _change(store: Store, item: str, **values: str) -> str:
    with store.begin() as connection:
        found = find(connection, item)
        require_open(found)
        connection.execute(sa.update(r.work_items).where(_W.item_id == found["item_id"]).values(**values))
        return str(found["item_id"])


def require_open(item: Mapping[str, Any]) -> None:
    """The note of a closed item is what was done: nothing is written over it."""
    if item["state"] != "open":
        raise Terminal(
            f"Work item {item['item_id']} is done already.", fix="See `claimpipe work show` for what was done."
        )


def require_undecided(connection: sa.Connection, item: Mapping[str, Any]) -> None:
    """An item is open to a decision until one is made: a note alone decides nothing, and what waits for the decision
    still waits."""
    if item["state"] != "open":
        made = set(connection.execute(sa.select(_D.action).where(_D.item_id == item["item_id"])).scalars())
        decided = connection.execute(sa.select(r.decisions.c.item_id).where(r.decisions.c.item_id == item["item_id"]))
        if made != {NOTE} or decided.first():
            require_open(item)


def close(connection: sa.Connection, item_id: str, resolution: str) -> None:
    connection.execute(
        sa.update(r.work_items).where(_W.item_id == item_id).values(state="done", resolution=resolution)
    )  # fmt: skip


def reopen(connection: sa.Connection, item_id: str) -> None:
    """Something of the item is left to do: it is open, also where a note alone had closed it."""
    connection.execute(sa.update(r.work_items).where(_W.item_id == item_id).values(state="open", resolution=""))


def show(console: Console, rows: Sequence[Mapping[str, Any]]) -> None:
    if not rows:
        console.print("Nothing to do.")
        return
    by_item = "item_id" in rows[0]
    if by_item:
        made = table("", "item", "queue", "dollars", "due", "owner", "what", right=(2,), fold=(5,))
    else:
        made = table("", "queue", "items", "dollars", "due", "what", right=(1, 2), fold=(4,))
    for row in rows:
        cents, due = shown(row["cents"] or 0), str(row["due_on"] or "")
        if by_item:
            made.add_row(row["item_id"][:10], row["queue"], cents, due, Text(row["owner"] or ""), Text(row["title"]))
        else:
            what = named(row["title"], f"{row['action']} ({row['cause']})")
            made.add_row(row["queue"], f"{row['items']:,}", cents, due, what)
    console.print(made)
    if not by_item:
        console.print(Text("Item by item: claimpipe work list --each", "dim"))


def show_one(console: Console, item: Mapping[str, Any]) -> None:
    console.print(Text(item["title"], "bold"))
    facts = table("", "", "")
    for name, value in (
        ("item", item["item_id"]),
        ("state", f"done: {item['resolution']}" if item["state"] == "done" else item["state"]),
        ("queue", f"{item['queue']}, cause {item['cause']}"),
        ("about", item["subject"]),
        ("claim", item["claim_id"]),
        ("visit", item["visit"] and f"{item['visit']}, {item['source']}"),
        ("payer", item["payer_key"]),
        ("dollars", shown(item["cents"])),
        ("opened", item["opened_on"]),
        ("due", item["due_on"]),
        ("owner", item["owner"] or "nobody"),
    ):
        if value:
            facts.add_row(Text(name, "dim"), Text(str(value)))
    facts.show_header = False
    console.print(facts)
    console.print()
    console.print(Text(item["reason"]))
    console.print(Text.assemble(("What to do: ", "bold"), item["action"]))
    for decision in item["decisions"]:
        target = f" {decision['target']}" if decision["target"] else ""
        done = f"{decision['on_date']}: {decision['action']}{target} by {decision['actor']}: {decision['reason']}"
        console.print(Text.assemble(("Decided ", "bold"), done))
    if item["findings"]:
        console.print()
        console.print(Text("Findings", "bold"))
    for finding in item["findings"][:_FINDINGS_SHOWN]:
        source = finding["source"]
        place = f" ({source})" if source and not finding["message"].startswith(source) else ""
        console.print(
            Padding(named(f"{finding['severity']}: {finding['message']}{place}", finding["fix"]), (0, 0, 0, 2))
        )
    more = len(item["findings"]) - _FINDINGS_SHOWN
    if more > 0:
        console.print(Text(f"  … and {more:,} more: claimpipe work show {item['item_id'][:10]} --json", "dim"))
    if row := _first_row(item):
        said = f"Rows are counted below the header: what is called row {row:,} here, a spreadsheet shows as row {row + 1:,}."
        console.print(Text(said, "dim"))


def _first_row(item: Mapping[str, Any]) -> int:
    """The first row of a text file that is named; 0 where none is. A spreadsheet counts the header as a row, and we do not."""
    places = [item["source"] or "", item["reason"], *(f"{f['source']} {f['message']}" for f in item["findings"])]
    named_rows = (_CSV_ROW.search(place) for place in places)
    return next((int(found[1]) for found in named_rows if found), 0)

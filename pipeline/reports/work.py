"""The work queues on the command line: grouped by cause, item by item, and the two changes a person makes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from rich.console import Console
from rich.table import Table

from pipeline.errors import Terminal
from pipeline.money import shown
from pipeline.store import Store
from pipeline.store import register as r

_W = r.work_items.c


def causes(store: Store, queue: str | None = None) -> list[dict[str, Any]]:
    """Open items by queue and cause: count, cents, what to do; the most dollars first."""
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
        query = query.where(_W.queue == queue)
    with store.read() as connection:
        return [dict(row) for row in connection.execute(query).mappings()]


def _find(connection: sa.Connection, item: str) -> dict[str, Any]:
    rows = connection.execute(
        sa.select(r.work_items).where(_W.item_id.startswith(item, autoescape=True)).limit(2)
    ).mappings().all()  # fmt: skip
    if len(rows) != 1:
        which = "No work item begins" if not rows else "Several work items begin"
        raise Terminal(f"{which} with {item}.", fix="See `claimpipe work list --each` for the ids.")
    return dict(rows[0])


def one(store: Store, item: str) -> dict[str, Any]:
    """One item with the findings of its subject."""
    f = r.findings.c
    with store.read() as connection:
        found = _find(connection, item)
        keys = [k for k in (found["subject"], found["claim_id"]) if k]
        findings = connection.execute(
            sa.select(f.severity, f.rule, f.source, f.loop, f.segment_id, f.element, f.message, f.fix)
            .where(f.subject.in_(keys))
            .order_by(f.severity, f.rule, f.finding_id)
        ).mappings()
        return found | {"findings": [dict(x) for x in findings]}


def assign(store: Store, item: str, owner: str) -> str:
    return _change(store, item, owner=owner)


def resolve(store: Store, item: str, note: str) -> str:
    return _change(store, item, state="done", resolution=note)


def _change(store: Store, item: str, **values: str) -> str:
    with store.begin() as connection:
        found: str = _find(connection, item)["item_id"]
        connection.execute(sa.update(r.work_items).where(_W.item_id == found).values(**values))
        return found


def show(console: Console, rows: Sequence[Mapping[str, Any]]) -> None:
    if not rows:
        console.print("Nothing to do.")
        return
    by_item = "item_id" in rows[0]
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in (
        ("item", "queue", "cause", "dollars", "due", "what to do")
        if by_item
        else ("queue", "cause", "items", "dollars", "due", "what to do")
    ):
        table.add_column(column, justify="right" if column in ("items", "dollars") else "left", overflow="fold")
    for row in rows:
        first = (
            [row["item_id"][:10], row["queue"], row["cause"]]
            if by_item
            else [row["queue"], row["cause"], f"{row['items']:,}"]
        )
        table.add_row(*first, shown(row["cents"] or 0), str(row["due_on"] or ""), row["action"])
    console.print(table)


def show_one(console: Console, item: Mapping[str, Any]) -> None:
    console.print(f"[bold]{item['title']}[/]  ({item['queue']}, {item['cause']}, {item['state']})")
    console.print(item["reason"])
    console.print(f"[bold]What to do:[/] {item['action']}")
    console.print(
        f"subject {item['subject']}  dollars {shown(item['cents'])}  owner {item['owner'] or 'nobody'}  due {item['due_on'] or 'no date'}"
    )
    for finding in item["findings"]:
        console.print(
            f"  {finding['severity']}: {finding['message']} {finding['source']} {finding['fix']}", markup=False
        )

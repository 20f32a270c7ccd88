"""Visits that are in no claim file yet, with the days since their service: the charge lag, before money is lost by it.

A visit is unbilled while it waits for a person or for the next night; one that no payer is billed for, a cancelled one, and one
whose claim has gone into a file are not. A visit whose date is illegible counts from the night that brought it. What lies in the
future has no lag and is no delay; how much that is, is told apart.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import sqlalchemy as sa
from rich.console import Console
from rich.text import Text

from pipeline.money import shown
from pipeline.reports.terminal import table
from pipeline.reports.words import STATES
from pipeline.store import Store
from pipeline.store import register as r
from pipeline.wording import counted

#: states of a visit in which nothing has gone to a payer; `claimed` too while its claim is ready and in no file
WAITING = ("quarantined", "extracted", "coder_list", "coded", "held")


def visits(store: Store, on: date, days: int = 0) -> list[dict[str, Any]]:
    """One row a visit whose service is at least `days` days before `on`, the oldest first: encounter_key, state, reason,
    payer_key, service_from, lag_days, cents, source."""
    found = []
    with store.read() as connection:
        for row in connection.execute(_waiting(r.encounters)):
            lag = (on - (row.service_from or row.logical_date)).days
            if lag >= days:
                found.append(
                    {"encounter_key": row.encounter_key, "state": "ready" if row.state == "claimed" else row.state,
                     "reason": row.reason, "payer_key": row.payer_key, "service_from": row.service_from, "lag_days": lag,
                     "cents": row.charge_cents, "source": f"{row.source_file} row {row.source_row}"}
                )  # fmt: skip
    return sorted(found, key=lambda row: (-row["lag_days"], row["encounter_key"]))


def in_the_future(store: Store, on: date) -> dict[str, int]:
    """Visits that `visits` leaves out because their service is after `on`: how many, and their cents."""
    e = r.encounters.c
    query = _waiting(sa.func.count(), sa.func.coalesce(sa.func.sum(e.charge_cents), 0))
    with store.read() as connection:
        count, cents = connection.execute(query.where(sa.func.coalesce(e.service_from, e.logical_date) > on)).one()
    return {"visits": count, "cents": int(cents)}


def _waiting(*columns: Any) -> sa.Select[Any]:
    e, c = r.encounters.c, r.claims.c
    return (
        sa.select(*columns)
        .select_from(r.encounters.outerjoin(r.claims, c.claim_id == e.claim_id))
        .where(sa.or_(e.state.in_(WAITING), (e.state == "claimed") & c.file_id.is_(None)))
    )


def by_state(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One row a state: visits, cents, the mean and the longest lag; the most dollars first."""
    groups: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        groups[row["state"]].append(row)
    found = [
        {"state": state, "visits": len(of), "cents": sum(x["cents"] for x in of),
         "mean_lag_days": round(sum(x["lag_days"] for x in of) / len(of)), "longest_lag_days": max(x["lag_days"] for x in of)}
        for state, of in groups.items()
    ]  # fmt: skip
    return sorted(found, key=lambda row: (-row["cents"], row["state"]))


def show(console: Console, rows: Sequence[Mapping[str, Any]], future: Mapping[str, int]) -> None:
    """`rows` of `visits` or `by_state`, and what `in_the_future` says beneath them."""
    if rows:
        _show(console, rows)
    elif not future["visits"]:
        console.print("Every visit that is to be billed is in a claim file.")
    if future["visits"]:
        one = future["visits"] == 1
        console.print(
            f"Not among them: {counted(future['visits'], 'visit')} over {shown(future['cents'])} whose service is still to "
            f"come. If {'it was' if one else 'they were'} given already, the extract has a wrong date."
        )


def _show(console: Console, rows: Sequence[Mapping[str, Any]]) -> None:
    words = {state: named for state, (named, _) in STATES.items()}
    if "encounter_key" in rows[0]:
        made = table("", "visit", "days", "dollars", "payer", "where it waits", "source", right=(1, 2), fold=(4, 5))
        for row in rows:
            where = f"{words.get(row['state'], row['state'])}{': ' + row['reason'] if row['reason'] else ''}"
            made.add_row(Text(row["encounter_key"]), str(row["lag_days"]), shown(row["cents"]), Text(row["payer_key"] or ""),
                         Text(where), Text(row["source"]))  # fmt: skip
    else:
        made = table("", "where they wait", "visits", "dollars", "mean days", "longest", right=(1, 2, 3, 4), fold=(0,))
        for row in rows:
            made.add_row(Text(words.get(row["state"], row["state"])), f"{row['visits']:,}", shown(row["cents"]),
                         str(row["mean_lag_days"]), str(row["longest_lag_days"]))  # fmt: skip
    console.print(made)
    if "encounter_key" not in rows[0]:
        console.print(Text("Visit by visit: claimpipe work unbilled --each", "dim"))

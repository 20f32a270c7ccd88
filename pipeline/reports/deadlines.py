"""Visits at risk of filing too late.

A payer counts its filing days from the first day of service on professional and dental claims and from the last one
on institutional claims, unless its profile says otherwise. A visit is at risk while no payer has accepted a claim of it, wherever
it waits: a rejected claim was never filed, and the clock still runs. Visits of payers without a profile have no known limit.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from typing import Any

import sqlalchemy as sa

from pipeline.payers import PayerProfile, load_profiles
from pipeline.store import Store
from pipeline.store import register as r
from pipeline.store.store import chunks

DAYS = 14
#: where a visit has no claim, and where a claim waits for the payer's acceptance
_NO_CLAIM = ("quarantined", "extracted", "coder_list", "coded", "held")
_NOT_ACCEPTED = ("ready", "batched", "sent", "unknown", "received", "rejected")
_ACCEPTED = ("accepted", "paid", "denied", "reversed")
#: what to do where no work item says it
_ACTIONS = {
    "quarantined": "Correct the row in the practice's system and export it again.",
    "extracted": "Run the night: it is not coded yet.",
    "coder_list": "Choose its codes: claimpipe work list --queue coding --each.",
    "coded": "Run the night: it is not scrubbed yet.",
    "held": "Mend what holds it: claimpipe work list --queue held --each.",
    "ready": "Run the night: its file is not built yet.",
    "batched": "See why its file has not gone: claimpipe work list --queue sending.",
    "sent": "Ask the payer whether it has the file.",
    "unknown": "Ask the payer whether it has the file, then say so: claimpipe settle.",
    "received": "Ask the payer for its answer to the claim.",
    "rejected": "Correct it and send it again: claimpipe work list --queue rejection --each.",
}
_QUEUES = ("coding", "held", "rejection", "sending")


@dataclass(frozen=True, slots=True)
class Waiting:
    """One visit. `days_left`: until the last day of filing, below 0 once it has passed."""

    encounter_key: str
    claim_id: str
    payer: str
    state: str
    service_from: date
    cents: int
    last_day: date
    days_left: int
    why: str
    action: str
    item_id: str


def at_risk(store: Store, on: date, days: int = DAYS) -> list[Waiting]:
    """Visits without an accepted claim whose filing days end within `days`, or have ended; the least days first, then the most
    dollars."""
    profiles = load_profiles(store.settings.payers_dir)
    e = r.encounters.c
    # the first day of service is never after the day that counts: this finds all, and some too many
    due = [
        sa.and_(e.payer_key == key, e.service_from <= on + timedelta(days=days - p.claims.filing_days))
        for key, p in profiles.items()
    ]
    if not due:
        return []
    with store.read() as connection:
        rows = connection.execute(_open_visits().where(sa.or_(*due))).all()
        items = _items(connection, rows)
    starts = _starts(store, rows, profiles)
    found = []
    for row in rows:
        last = starts[row.encounter_key] + timedelta(days=profiles[row.payer_key].claims.filing_days)
        if (last - on).days <= days:
            found.append(_waiting(row, items, on, last))
    return sorted(found, key=lambda x: (x.last_day, -x.cents, x.encounter_key))


def _open_visits() -> sa.Select[Any]:
    """Visits that are to be billed and of which no payer holds a claim."""
    e, c = r.encounters.c, r.claims.c
    taken, void = r.claims.alias("taken"), r.claims.alias("void")
    voided = (
        sa.select(void.c.claim_id)
        .where(void.c.encounter_key == taken.c.encounter_key, void.c.frequency == "8", void.c.state.in_(_ACCEPTED),
               void.c.version > taken.c.version)
        .exists()
    )  # fmt: skip
    accepted = (
        sa.select(taken.c.claim_id)
        .where(
            taken.c.encounter_key == e.encounter_key, taken.c.state.in_(_ACCEPTED), taken.c.frequency != "8", ~voided
        )
        .exists()
    )
    cents = sa.case((c.claim_id.is_not(None), c.charge_cents), else_=e.charge_cents + e.priced_cents - e.unbilled_cents)
    state = sa.case((e.state == "claimed", c.state), else_=e.state)
    return (
        sa.select(
            e.encounter_key, e.payer_key, e.service_from, e.logical_date, e.lake_part, c.claim_id,
            state.label("state"), cents.label("cents"),
        )
        .select_from(r.encounters.outerjoin(r.claims, c.claim_id == e.claim_id))
        .where(
            e.service_from.is_not(None), sa.not_(e.cancelled), sa.not_(accepted),
            sa.or_(e.state.in_(_NO_CLAIM), sa.and_(e.state == "claimed", c.state.in_(_NOT_ACCEPTED))),
        )
    )  # fmt: skip


def _starts(store: Store, rows: Sequence[Any], profiles: Mapping[str, PayerProfile]) -> dict[str, date]:
    """Visit → the day from which its payer counts. The register has the first day of service; the last one, and the kind of
    claim, stand in the lake."""
    found = {row.encounter_key: row.service_from for row in rows}
    parts: dict[tuple[date, str], list[str]] = defaultdict(list)
    for row in rows:
        if profiles[row.payer_key].claims.filing_from != "first":
            parts[(row.logical_date, row.lake_part)].append(row.encounter_key)
    payers = {row.encounter_key: profiles[row.payer_key] for row in rows}
    columns = ("encounter_key", "claim_type", "service_to")
    for (day, part), keys in sorted(parts.items()):
        for visit in store.lake.read("encounters", day, part, ("encounter_key", keys), columns).to_pylist():
            key, last = visit["encounter_key"], visit["service_to"]
            if last and payers[key].counts_from_last_day(visit["claim_type"] == "institutional"):
                found[key] = max(found[key], last)
    return found


def _items(connection: sa.Connection, rows: Sequence[Any]) -> dict[str, Any]:
    """Visit or claim → the open work item that says what to do."""
    w = r.work_items.c
    wanted = sorted({row.encounter_key for row in rows} | {row.claim_id for row in rows if row.claim_id})
    found: dict[str, Any] = {}
    for some in chunks(wanted):
        query = (
            sa.select(w.subject, w.claim_id, w.item_id, w.title, w.action)
            .where(w.state == "open", w.queue.in_(_QUEUES), sa.or_(w.subject.in_(some), w.claim_id.in_(some)))
            .order_by(w.item_id)
        )
        for row in connection.execute(query):
            found.setdefault(row.subject, row)
            found.setdefault(row.claim_id or row.subject, row)
    return found


def _waiting(row: Any, items: Mapping[str, Any], on: date, last: date) -> Waiting:
    item = items.get(row.encounter_key) or items.get(row.claim_id or "")
    action = item.action if item else _ACTIONS[row.state]
    if last < on:
        action = f"{action} Then send it with the reason for the delay, or write it off."
    return Waiting(
        row.encounter_key, row.claim_id or "", row.payer_key or "", row.state, row.service_from, int(row.cents or 0),
        last, (last - on).days, item.title if item else "", action,
        item.item_id if item else "",
    )  # fmt: skip


# --- telling ----------------------------------------------------------------------------------------------------------


def as_dict(waiting: Waiting) -> dict[str, Any]:
    return asdict(waiting)


def sums(found: Sequence[Waiting]) -> tuple[int, int]:
    """How many, and their cents."""
    return len(found), sum(x.cents for x in found)

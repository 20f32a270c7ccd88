"""What did not come: a file whose 999 or 277CA is late, or that could not be sent for days. Never a resend."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, timedelta

import sqlalchemy as sa

from pipeline import payers
from pipeline.acknowledgments.items import late_item
from pipeline.bank_days import bank_days_between
from pipeline.store import register as r
from pipeline.store.behind import MAY_HAVE
from pipeline.store.work import close_items, open_items

#: business days after which a file that could not be sent is a person's
_DAYS_TO_SEND = 1


def alarm(
    connection: sa.Connection, on: date, profiles: Mapping[str, payers.PayerProfile], counts: dict[str, int]
) -> None:
    """An alarm for each such file; one that was given is closed when the answer has come."""
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
                items.append(late_item(sending, kind, subject, allowed, claims, cents, on))
    late_now = open_items(connection, items)
    counts["overdue"] += late_now
    counts["work_items"] += late_now
    work = r.work_items.c
    alarmed = sa.select(work.subject).where(work.queue == "sending", work.state == "open", work.cause.like("no-%"))
    still_open = set(connection.execute(alarmed).scalars())
    close_items(connection, "sending", sorted(still_open & set(came)), "the acknowledgment came")


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

"""Is the register behind the archive's own records of what went out and what came in?

Theory. Both records (`outgoing.py`, `incoming.py`) are written after the register has committed what they say, so the register
is level with them or ahead. Where it is not, it was restored from an older backup, or lost: nothing is built or sent until a
person has looked, and the proof does not close.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from pipeline.errors import Terminal
from pipeline.store import register as r
from pipeline.store.incoming import Received
from pipeline.store.outgoing import folder_of
from pipeline.store.store import Store, chunks
from pipeline.wording import counted

#: states of a sending at which, by our own record, the payer may have the file
MAY_HAVE = ("renaming", "renamed", "verified", "unknown", "acknowledged")


@dataclass(frozen=True, slots=True, order=True)
class Gap:
    """An interchange of the archive that the register is behind of.

    `placed` is the last attempt that may have reached the payer, 0 where there was none. `known`: the register has the
    number, but not that the file was brought to the payer.
    """

    folder: str
    number: int
    placed: int
    known: bool


def gaps(store: Store) -> list[Gap]:
    """Where the register is behind the archive; empty where they agree."""
    listing = store.outgoing.listing()  # before the register is looked at: that one is always ahead
    if not listing:
        return []
    n, s = r.control_numbers.c, r.sendings.c
    query = (
        sa.select(n.scope, n.number, s.state, s.attempts)
        .select_from(r.control_numbers.outerjoin(r.sendings, s.file_id == n.file_id))
        .where(n.scope.like("isa:%"))
    )
    with store.read() as connection:
        known = {(folder_of(row.scope), row.number): (row.state, row.attempts) for row in connection.execute(query)}
    return [
        Gap(*key, placed, key in known)
        for key, placed in sorted(listing.items())
        if key not in known or (placed and not _level(*known[key], placed))
    ]


def _level(state: str | None, attempts: int | None, placed: int) -> bool:
    if state is None or attempts is None or attempts < placed:
        return False
    return attempts > placed or state in (*MAY_HAVE, "failed", "withheld")


def require_level(store: Store) -> None:
    """Terminal where the archive knows of interchanges that the register does not: nothing may be built or sent."""
    found = gaps(store)
    if found:
        raise Terminal(f"{told(store, found)} Nothing is built or sent.", fix=FIX)


FIX = (
    "Look at them with `claimpipe recover`; then let the register take them over with `claimpipe recover --adopt`. "
    "Or restore the newest backup of the register."
)


def told(store: Store, found: Sequence[Gap]) -> str:
    """What is wrong, in a sentence for people."""
    first = store.outgoing.read(found[0].folder, found[0].number)
    many = counted(len(found), "interchange")
    return (
        f"The archive knows of {many} that the register does not know of or does not know as sent (first: "
        f"{first.number:09d} for {first.payer_key} of {first.logical_date}): the register is older than what was sent, as "
        "after a backup was restored or its file was deleted."
    )


def unknown(store: Store) -> list[tuple[str, str]]:
    """(folder, id) of the files that the archive knows as received and the register does not know."""
    listing = store.incoming.listing()  # before the register is looked at: that one is always ahead
    ids = sorted({file_id for _, file_id in listing})
    known: set[str] = set()
    with store.read() as connection:
        for some in chunks(ids):
            where = r.files.c.file_id.in_(some)
            known.update(connection.execute(sa.select(r.files.c.file_id).where(where)).scalars())
    return [(folder, file_id) for folder, file_id in listing if file_id not in known]


def remember_received(store: Store, payer_key: str) -> int:
    """The other way round: tell the archive's record of the files of a route that the register alone knows; how many they were.

    Homes that are older than the record have such files, and so has a run that was killed between the two. What a stage made of a file
    since is not told: a recovered register works it again.
    """
    known = store.incoming.ids(payer_key)
    f, a = r.files.c, r.file_arrivals.c
    arrived = (
        sa.select(a.file_id, sa.func.min(a.remote_name).label("remote_name"))
        .where(a.payer_key == payer_key)
        .group_by(a.file_id)
        .subquery()
    )
    query = (
        sa.select(r.files, arrived.c.remote_name)
        .join_from(r.files, arrived, f.file_id == arrived.c.file_id)
        .where(f.direction == "in", f.payer_key == payer_key)
        .order_by(f.file_id)
    )
    with store.read() as connection:
        missed = [row for row in connection.execute(query) if row.file_id not in known]
    store.incoming.keep(
        Received(
            row.file_id, payer_key, row.kind, row.size, row.remote_name, row.logical_date.isoformat(), *_on_arrival(row)
        )
        for row in missed
    )
    return len(missed)


def _on_arrival(file: Any) -> tuple[str, str]:
    """State and reason that a file had when it came, by what it is now."""
    if file.state == "quarantined" and (file.kind == "unknown" or file.reason.startswith("inbox.")):
        return "quarantined", file.reason
    return ("processed" if file.kind == "zip" else "archived"), ""

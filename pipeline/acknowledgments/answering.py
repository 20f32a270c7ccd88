"""Which payer answers in an interchange that came.

A file comes by one payer's route, and mostly that payer speaks in it. Payers that are reached by one server and folder share what is
fetched there: whichever of them is swept first gets the file, and a clearinghouse glues answers of several together. Control
numbers are counted apart for each receiver, so number 7 of one payer is not number 7 of its neighbour, and the answer's sender
(ISA06, the receiver of what we sent) must say whose it is. Where several payers have one address, a number belongs to one of them.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from pipeline.payers import PayerProfile, roads
from pipeline.store import Store
from pipeline.store import register as r

#: (ISA06 of the answer, column of the register, the number that it answers) → key of the payer
Answers = Callable[[str, str, str], str]
INTERCHANGE, GROUP = "interchange_control", "group_control"


def payer_of(store: Store, profiles: Mapping[str, PayerProfile], route: str) -> Answers:
    """For a file that came by the route of a payer."""
    road = roads(dict(profiles))
    mates = sorted(key for key in road if road[key] == road.get(route))

    @cache
    def answers(sender: str, column: str, number: str) -> str:
        named = [key for key in mates if profiles[key].interchange.receiver_id.strip() == sender.strip()]
        if len(named) > 1:
            c = r.claims.c
            query = sa.select(c.payer_key).where(c.payer_key.in_(named), c[column] == number).distinct()
            with store.read() as connection:
                holders = list(connection.execute(query).scalars()) if number else []
            named = holders if len(holders) == 1 else []
        return named[0] if named else route

    return answers if len(mates) > 1 else lambda sender, column, number: route


class Senders:
    """ISA06 of the interchange in which something of a file stands. (Two senders may use one ISA13: it does not tell.)"""

    def __init__(self, tables: Mapping[str, pa.Table]) -> None:
        rows: list[dict[str, Any]] = tables["interchanges"].to_pylist() if "interchanges" in tables else []
        self._of_set = {row["set_number"]: row["sender_id"] or "" for row in rows if row["set_number"] is not None}
        self._begins = sorted((row["segment"], row["sender_id"] or "") for row in rows if row["level"] == "interchange")

    def of_set(self, number: int) -> str:
        return self._of_set.get(number, "")

    def of_segment(self, segment: int) -> str:
        at = bisect_right(self._begins, segment, key=lambda begin: begin[0])
        return self._begins[at - 1][1] if at else ""

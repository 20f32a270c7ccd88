"""The way from a work item back to the row of the extract that its visit came from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy as sa

from pipeline.store import register as r
from pipeline.store.store import chunks


def visits(connection: sa.Connection, items: Iterable[Mapping[str, Any]]) -> dict[str, tuple[str, str]]:
    """Item id → (visit's key, `FILE row N` of the source), for items about a visit, a claim or a claim's payment."""
    e, c = r.encounters.c, r.claims.c
    wanted = [(x["item_id"], x["claim_id"], x["subject"]) for x in items]
    of_claim = {key for _, claim, subject in wanted for key in (claim, subject) if key}
    keys: dict[str, str] = {}
    for some in chunks(sorted(of_claim)):
        for claim, key in connection.execute(sa.select(c.claim_id, c.encounter_key).where(c.claim_id.in_(some))):
            keys[claim] = key
    places: dict[str, str] = {}
    for some in chunks(sorted({*keys.values(), *(subject for _, _, subject in wanted)})):
        query = sa.select(e.encounter_key, e.source_file, e.source_row).where(e.encounter_key.in_(some))
        for key, file, row in connection.execute(query):
            places[key] = f"{file} row {row}"
    found = {}
    for item, claim, subject in wanted:
        key = keys.get(claim or "") or keys.get(subject) or subject
        if key in places:
            found[item] = (key, places[key])
    return found

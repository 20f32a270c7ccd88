"""A claim that the builder gave back was let go by scrubbing every night and given back again: each night wrote two events of it, closed
its work item and opened it anew. It stays held until it can be written."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
import sqlalchemy as sa
from claims import houses

from pipeline import night
from pipeline.claims import stage as claims_stage
from pipeline.store import Store
from pipeline.store import register as r

ON, NEXT = date(2026, 11, 20), date(2026, 11, 21)
#: a stay without its attending provider
VISIT, REASON = "P07:V0000027", "837I.required"
EXTRACT = Path(__file__).resolve().parents[2] / "sample_edi" / "extract"


def until_built(store: Store, on: date) -> None:
    night.code(store, on)
    night.scrub(store, on)
    for key in night.payers_with_work(store):
        night.build(store, on, key)


def standing(store: Store) -> list[str]:
    home = store.settings.home
    return sorted(str(path) for folder in ("lake", "archive") for path in (home / folder).rglob("*") if path.is_file())


def held(store: Store) -> list[tuple[str, str]]:
    e = r.encounters.c
    query = sa.select(e.encounter_key, e.reason).where(e.state == "held", e.reason.startswith("837"))
    with store.read() as connection:
        return [(row.encounter_key, row.reason) for row in connection.execute(query)]


def test_it_stays_held_and_the_sample_built_again_changes_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    night.intake(store, ON, EXTRACT)
    until_built(store, ON)
    assert held(store) == [(VISIT, REASON)]
    before, files = houses.everything(store), standing(store)
    for on in (ON, NEXT):
        until_built(store, on)
    assert houses.everything(store) == before
    assert standing(store) == files

    # given back for another cause, it is held for the cause that is there now
    with store.begin() as connection:
        connection.execute(sa.update(r.encounters).where(r.encounters.c.reason == REASON).values(reason="837I.gone"))
    until_built(store, NEXT)
    assert held(store) == [(VISIT, REASON)]

    # the builder can write it now, as after an upgrade: it is let go, once
    monkeypatch.setattr(claims_stage, "build_files", lambda *_, **__: claims_stage.Build())
    assert night.scrub(store, NEXT)["released"] == 1
    assert held(store) == []

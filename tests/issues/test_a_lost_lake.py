"""'The lake was on a disk that died. The night ends with KeyError.' It says what is lost; nothing is sent, nothing falls away."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path

import pytest
from claims import houses, samples
from conftest import rows

from pipeline import night, sample
from pipeline.claims import stage
from pipeline.errors import Terminal
from pipeline.store import Store
from pipeline.store import register as r


def test_visits_that_wait_to_be_coded_stay_and_go_on_when_the_lake_is_back(store: Store, tmp_path: Path) -> None:
    on = date(2026, 11, 20)
    sample.make(visits=4, seed=14, out=tmp_path / "visits")
    night.intake(store, on, tmp_path / "visits")
    store.lake.root.rename(tmp_path / "away")
    with pytest.raises(Terminal, match=r"has lost a part of encounters of 2026-11-20.*Restore the lake"):
        night.code(store, on)
    assert {e.state for e in rows(store, r.encounters)} == {"extracted"}
    (tmp_path / "away").rename(store.lake.root)
    night.code(store, on)
    assert "extracted" not in {e.state for e in rows(store, r.encounters)}


def test_claims_that_are_ready_stay_ready(tmp_path: Path) -> None:
    store = houses.opened(tmp_path / "home")
    houses.ready(store, samples.make(3, payer_key="meridian"), "meridian")
    shutil.rmtree(store.lake.root)
    with pytest.raises(Terminal, match="has lost a part of scrubbed_claims"):
        stage.build(store, houses.ON, "meridian")
    assert {c.state for c in rows(store, r.claims)} == {"ready"}
    assert (rows(store, r.sendings), rows(store, r.control_numbers)) == ([], [])
    store.close()

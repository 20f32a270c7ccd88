"""A visit that changed stands in two parts of the lake; its old rows in the older part, which its neighbours still need, are
not read with the new ones (they doubled the claim, and stopped the payer's file, or the night by "two visits carry the same id").
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import sqlalchemy as sa
from claims import houses, samples
from coding.visits_in_store import ON, STATED, put

from pipeline import checkpoints, shapes
from pipeline.claims import stage
from pipeline.store import Store
from pipeline.store import register as r


def test_a_claim_that_was_made_anew_goes_once_with_its_new_content(tmp_path: Path):
    store = houses.opened(tmp_path / "home")
    tables = samples.make(2, payer_key="meridian")
    houses.ready(store, tables, "meridian")
    changed = tables[0].column("claim_id")[0].as_py()
    for name, table in zip(("scrubbed_claims", "scrubbed_diagnoses", "scrubbed_lines"), tables, strict=True):
        rows = [row for row in table.to_pylist() if row["claim_id"] == changed]
        for row in rows:
            if name == "scrubbed_claims":
                row["patient_city"] = "NEWTOWN"
        store.lake.write(name, houses.ON, "p2", shapes.from_rows(name, rows))
    with store.begin() as c:
        c.execute(sa.update(r.claims).where(r.claims.c.claim_id == changed).values(scrubbed_part="p2"))
    assert stage.build(store, houses.ON, "meridian")["claims"] == 2
    with store.read() as c:
        [file_id] = c.execute(sa.select(r.sendings.c.file_id)).scalars()
    assert store.archive.get(file_id).count(b"*NEWTOWN") or b"NEWTOWN*" in store.archive.get(file_id)


def test_quality_looks_at_each_visit_as_it_is_now(store: Store):
    put(store, {"A": STATED, "B": STATED})
    with store.begin() as c:
        c.execute(sa.delete(r.encounters).where(r.encounters.c.encounter_key == "P1:B"))
    put(store, {"B": {**STATED, "patient_city": "NEWTOWN"}}, ON + timedelta(days=1), "b")
    assert checkpoints.run(store, ON + timedelta(days=1), "encounters") == {"checked": 2, "failed": 0}

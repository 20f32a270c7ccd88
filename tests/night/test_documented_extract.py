"""The example of docs/extracts.md is an extract that bills: its text, as it stands there, becomes a claim."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import sqlalchemy as sa

from pipeline.coding import stage as coding
from pipeline.encounters import stage as encounters
from pipeline.scrubbing import stage as scrubbing
from pipeline.store import Store
from pipeline.store import register as r

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "extracts.md").read_text(encoding="utf-8")


def documented(folder: Path) -> Path:
    """The example's files, cut out of the document."""
    folder.mkdir()
    manifest = TEXT.split("```json\n")[1].split("```")[0]
    (folder / "manifest.json").write_text(manifest, encoding="utf-8")
    for table in json.loads(manifest)["tables"]:
        section = TEXT.split(f"\n### {table}\n")[1].split("\n### ")[0]
        (folder / f"{table}.csv").write_text(section.split("```csv\n")[1].split("```")[0], encoding="utf-8")
    return folder


def test_the_first_visit_is_claimed_and_the_second_is_the_patients_own(store: Store, tmp_path: Path) -> None:
    on = date(2026, 11, 20)
    encounters.run(store, on, documented(tmp_path / "extract"))
    coding.run(store, on)
    scrubbing.run(store, on)
    with store.read() as connection:
        visits = connection.execute(
            sa.select(r.encounters.c.encounter_key, r.encounters.c.state, r.encounters.c.billed_cents)
        ).all()
        claims = connection.execute(sa.select(r.claims.c.state, r.claims.c.charge_cents)).all()
        stopping = connection.execute(
            sa.select(r.findings.c.rule).where(r.findings.c.severity == "error")
        ).all()  # fmt: skip
    assert sorted(map(tuple, visits)) == [("P01:V0000001", "claimed", 15600), ("P01:V0000002", "not_billable", 0)]
    assert [tuple(claim) for claim in claims] == [("ready", 15600)]
    assert stopping == []

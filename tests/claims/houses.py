"""A store in which scrubbed claims wait to be built: what the stages before would have left."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import sqlalchemy as sa
from registers import make_register

from pipeline.money import cents
from pipeline.settings import load
from pipeline.store import Store, open_store
from pipeline.store import register as r
from pipeline.store.events import Move, move_claims

ON = date(2024, 3, 2)


def opened(home: Path, **submitter: Any) -> Store:
    make_register(home)
    return open_store(load(home=home, **({"submitter": submitter} if submitter else {})))


def ready(
    store: Store, tables: tuple[pa.Table, pa.Table, pa.Table], payer_key: str, on: date = ON, part: str = "p1"
) -> None:
    """Put the claims into lake and register as 'ready'."""
    for name, table in zip(("scrubbed_claims", "scrubbed_diagnoses", "scrubbed_lines"), tables, strict=True):
        store.lake.write(name, on, part, table)
    rows = tables[0].to_pylist()
    with store.begin() as c:
        c.execute(sa.insert(r.encounters), [
            {"encounter_key": row["encounter_key"], "version": 1, "content_hash": "0" * 64, "logical_date": on,
             "import_id": "i" * 64, "practice_id": row["practice_id"], "payer_key": payer_key,
             "service_from": row["service_from"],
             "charge_cents": cents(row["charge"]), "billed_cents": cents(row["charge"]), "unbilled_cents": 0,
             "state": "claimed", "reason": "", "claim_id": row["claim_id"], "lake_part": part, "coded_part": part,
             "source_file": row["source_file"], "source_row": row["source_row"]}
            for row in rows
        ])  # fmt: skip
        c.execute(sa.insert(r.claims), [
            {"claim_id": row["claim_id"], "encounter_key": row["encounter_key"], "payer_key": payer_key,
             "practice_id": row["practice_id"], "guide": row["guide"], "frequency": row["frequency"],
             "charge_cents": cents(row["charge"]), "service_from": row["service_from"], "logical_date": on,
             "scrubbed_date": on, "scrubbed_part": part, "state": "ready"}
            for row in rows
        ])  # fmt: skip
        move_claims(c, on, [Move(row["claim_id"], "scrubbed", "ready") for row in rows])


def everything(store: Store) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of the register, sorted: to see that nothing, or what, changed."""
    with store.read() as c:
        return {
            t.name: sorted((tuple(row) for row in c.execute(sa.select(t))), key=repr) for t in r.metadata.sorted_tables
        }

"""'After the update the night stops at coding and scrubbing.' Parts of the lake that were written before their tables had gained
columns, at the top or within rows in rows, are read with those columns empty: visits, coded and scrubbed claims of before go on.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from claims import houses, samples
from conftest import rows

from pipeline import night, sample, shapes
from pipeline.claims import offline
from pipeline.errors import Terminal
from pipeline.settings import load
from pipeline.store import Store, open_store
from pipeline.store import register as r

ON = date(2026, 11, 20)


def smaller(kind: pa.DataType, values: list[object]) -> pa.DataType:
    """The kind without the fields of its rows that nothing stands in."""
    inner = [row for value in values for row in value or ()]  # type: ignore[attr-defined]
    kept = [
        pa.field(f.name, smaller(f.type, [row[f.name] for row in inner]) if pa.types.is_list(f.type) else f.type)
        for f in kind.value_type
        if not f.nullable or any(row[f.name] not in (None, []) for row in inner)
    ]
    return pa.list_(pa.struct(kept))


def aged(store: Store) -> int:
    """Every part as it was written before its empty columns were thought of. Returns how many columns went."""
    gone = 0
    for path in store.lake.root.rglob("*.parquet"):
        table = pq.ParquetFile(path).read()
        fields = []
        for field in table.schema:
            values = table.column(field.name).to_pylist()
            if field.nullable and not any(value not in (None, []) for value in values):
                gone += 1
            elif pa.types.is_list(field.type):
                kind = smaller(field.type, values)
                gone += kind != field.type
                fields.append(pa.field(field.name, kind))
            else:
                fields.append(field)
        schema = pa.schema(fields)
        old = [pa.array(table.column(f.name).to_pylist(), f.type) for f in schema]
        pq.write_table(pa.Table.from_arrays(old, schema=schema), path)
    return gone


def worked(home: Path, extract: Path, *, age: bool) -> tuple[list[bytes], list[tuple[str, str]], list[str]]:
    """The claim files of a night, what there is to do, and how the visits stand. With `age` each stage finds parts of before."""
    store = open_store(load(home))
    try:
        night.intake(store, ON, extract)
        assert not age or aged(store) > 50
        night.code(store, ON)
        assert not age or aged(store) > 50
        night.scrub(store, ON)
        assert not age or aged(store) > 50
        for payer in night.payers_with_work(store):
            night.build(store, ON, payer)
        files = sorted(store.archive.get(sending.file_id) for sending in rows(store, r.sendings))
        todo = sorted((item.queue, item.cause) for item in rows(store, r.work_items))
        return files, todo, [visit.state for visit in rows(store, r.encounters)]
    finally:
        store.close()


def test_a_home_of_before_goes_on(tmp_path: Path) -> None:
    sample.make(visits=40, seed=5, out=tmp_path / "visits")
    new, old = (worked(tmp_path / str(age), tmp_path / "visits", age=age) for age in (False, True))
    assert len(new[0]) >= 3
    assert any(b"~SBR*P*" in file and b"~SBR*S*" in file for file in new[0])  # rows in rows
    assert old == new


def test_files_are_built_from_a_lake_of_before(tmp_path: Path) -> None:
    """`claimpipe build --claims LAKE`"""
    store = houses.opened(tmp_path / "home")
    houses.ready(store, samples.make(3, payer_key="meridian"), "meridian")
    new = offline.build(store.lake.root, "meridian", tmp_path / "new", store.settings, houses.ON)
    assert aged(store) > 50
    old = offline.build(store.lake.root, "meridian", tmp_path / "old", store.settings, houses.ON)
    assert [len(file.claim_ids) for file in old.files] == [len(file.claim_ids) for file in new.files] == [3]
    store.close()


def test_what_cannot_be_brought_up_is_told() -> None:
    old = shapes.from_rows("part.note", []).append_column("gone", pa.array([], pa.string()))
    assert shapes.of_today(old, "part.note").schema == shapes.schema("part.note")
    needed = next(field.name for field in shapes.schema("part.note") if not field.nullable)
    with pytest.raises(Terminal, match=rf"missing \['{needed}'\]"):
        shapes.of_today(old.drop_columns([needed]), "part.note")
    other = old.drop_columns([needed]).append_column(needed, pa.array([], pa.list_(pa.int64())))
    with pytest.raises(Terminal, match="the shape asks string"):
        shapes.of_today(other, "part.note")

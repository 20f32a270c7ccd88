"""The whole night with its register on PostgreSQL ends as on SQLite, and a second night writes no row."""

import pytest
import sqlalchemy as sa
from faults.test_kill_at_every_failure_point import ending
from night.nights import assert_nothing_twice, payer_in_a_box, record, run_night

from pipeline import sample
from pipeline.store import open_store
from pipeline.store import register as r

pytestmark = [pytest.mark.slow, pytest.mark.postgres]


def everything(loaded) -> dict:
    store = open_store(loaded)
    with store.read() as connection:
        rows = {
            t.name: connection.execute(sa.select(t).order_by(*t.primary_key.columns)).all()
            for t in r.metadata.tables.values()
        }
    store.close()
    return rows


def test_a_night_on_postgresql(tmp_path, postgres_url):
    extract = tmp_path / "extract"
    sample.make(visits=60, seed=8, out=extract)
    with payer_in_a_box(tmp_path / "sqlite") as loaded:
        assert not run_night(loaded, extract).troubles
        on_sqlite = ending(loaded)
    home = tmp_path / "postgres"
    with payer_in_a_box(home, store={"url": postgres_url}) as loaded:
        report = run_night(loaded, extract)
        assert report.troubles == []
        assert report.proof.closes
        assert ending(loaded) == on_sqlite
        assert not (home / "claimpipe.db").exists()
        before, received = everything(loaded), record(home)
        assert run_night(loaded, extract).proof.closes
        assert everything(loaded) == before
        assert record(home) == received
        assert_nothing_twice(home)

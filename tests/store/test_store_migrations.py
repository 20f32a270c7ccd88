"""A register of an earlier revision comes to today's shape with its rows."""

import pytest
import sqlalchemy as sa

from pipeline.store import Store, migrate
from pipeline.store import register as r

#: as revision 0003 knew them: one trace posted twice under two dates, a held one, a matched deposit and one of interest
_ROWS = (
    "INSERT INTO remittances VALUES ('a', 'acme', 'O', 'T1', 80, '2026-11-25', 'ACH', 'f1', 1, 'h1', 'posted', '')",
    "INSERT INTO remittances VALUES ('b', 'acme', 'O', 'T1', 80, '2026-11-26', 'ACH', 'f2', 1, 'h2', 'posted', '')",
    "INSERT INTO remittances VALUES ('c', 'acme', 'O', 'T2', 70, '2026-11-26', 'ACH', 'f3', 1, 'h3', 'held', 'x')",
    "INSERT INTO matches VALUES ('d1', 'a', NULL, 'trace', 80, '2026-11-30')",
    "INSERT INTO matches VALUES ('d2', NULL, NULL, 'not_claims', 5, '2026-11-30')",
)


@pytest.fixture
def old(any_store: Store) -> Store:
    migrate.downgrade(any_store.engine, "0003")
    with any_store.engine.begin() as c:
        for statement in _ROWS:
            c.exec_driver_sql(statement)
    return any_store


def test_remittances_and_matches_are_kept_and_a_trace_that_was_posted_twice_is_marked(old: Store) -> None:
    migrate.upgrade(old.engine)
    t, m = r.remittances.c, r.matches.c
    with old.read() as c:
        assert c.execute(sa.select(t.remittance_id, t.state, t.decision_id).order_by(t.remittance_id)).tuples().all() == [
            ("a", "posted", ""), ("b", "posted", "before 0004"), ("c", "held", ""),
        ]  # fmt: skip
        assert c.execute(sa.select(m.match_id, m.deposit_id, m.cents).order_by(m.match_id)).tuples().all() == [
            ("d1", "d1", 80), ("d2", "d2", 5),
        ]  # fmt: skip
    with pytest.raises(sa.exc.IntegrityError), old.begin() as c:
        c.execute(sa.update(r.remittances).where(t.remittance_id == "b").values(decision_id=""))


def test_back_and_forth_keeps_what_both_shapes_can_hold(old: Store) -> None:
    migrate.upgrade(old.engine)
    migrate.downgrade(old.engine, "0003")
    with old.engine.connect() as c:
        assert c.exec_driver_sql("SELECT remittance_id FROM remittances ORDER BY 1").scalars().all() == ["a", "b", "c"]
        assert c.exec_driver_sql("SELECT deposit_id FROM matches ORDER BY 1").scalars().all() == ["d1", "d2"]
    migrate.upgrade(old.engine)
    shape = sa.inspect(old.engine)
    for table in (r.matches, r.remittances, r.item_decisions):
        assert {c["name"] for c in shape.get_columns(table.name)} == {c.name for c in table.columns}
        assert {i["name"] for i in shape.get_indexes(table.name)} >= {i.name for i in table.indexes}
    assert not [name for name in shape.get_table_names() if name.endswith(("_old", "_new"))]

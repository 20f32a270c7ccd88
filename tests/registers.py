"""Empty registers for tests, and what they cost paid once in a process.

All migrations are run once, and each test gets a copy of what they made. The text of a statement is made once: SQLAlchemy
keeps it as long as an engine lives, which is a test here and the whole night elsewhere.
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from pipeline import settings
from pipeline.store import open_store


@cache
def _pattern() -> Path:
    home = Path(tempfile.mkdtemp(prefix="claimpipe-empty-")) / "home"
    atexit.register(shutil.rmtree, home.parent, ignore_errors=True)
    loaded = settings.load(home)
    open_store(loaded).close()
    (database,) = home.glob("*.db")  # nothing is left beside it
    return database


def make_register(home: Path) -> None:
    """Give a new home its empty register on SQLite, as the first `open_store` of it would; one that has it stays as it is."""
    pattern = _pattern()
    if not (home / pattern.name).exists():
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.copy(pattern, home)  # with its rights


@contextmanager
def statements_made_once() -> Iterator[None]:
    """All engines on SQLite share the dialect, by which SQLAlchemy knows a statement again, and the texts of statements."""
    create, pattern = sa.create_engine, sa.create_engine("sqlite://")
    pattern.connect().close()  # the dialect knows its database from now on

    def sharing(url: Any, **named: Any) -> sa.Engine:
        engine = create(url, **named)
        if type(engine.dialect) is type(pattern.dialect):
            engine.dialect, engine._compiled_cache = pattern.dialect, pattern._compiled_cache
        return engine

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sa, "create_engine", sharing)
        yield
    pattern.dispose()

"""Empty registers for tests. All migrations are run once in a process, and each test gets a copy of what they made."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

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

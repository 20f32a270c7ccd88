"""The home that a command works in: its settings, its store, and the day."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from zoneinfo import ZoneInfo

import typer

from pipeline.cli_files import parse_day
from pipeline.errors import Terminal

if TYPE_CHECKING:
    from pipeline.settings import Settings
    from pipeline.store import Store

Day = Annotated[str | None, typer.Option("--date", help="Logical date, YYYY-MM-DD.")]


def day_of(text: str | None, settings: Settings | None = None) -> date:
    if text is None:
        return datetime.now(ZoneInfo(settings.timezone if settings else "America/New_York")).date()
    return parse_day(text)


def settings_of(home: Path | None) -> Settings:
    from pipeline import settings as settings_module

    loaded = settings_module.load(home)
    try:
        ZoneInfo(loaded.timezone)
    except (KeyError, ValueError, OSError):
        raise Terminal(
            f"The time zone {loaded.timezone} is not known.", fix="Use a name like America/New_York."
        ) from None
    return loaded


@contextmanager
def existing_store(home: Path | None, *, reading: bool = False) -> Iterator[Store]:
    """The store of a home that has been used before: a question must not create an empty register. Closed at the end.

    `reading`: nothing will be written, so a home that may not be written will do.
    """
    from pipeline.store import open_store, open_to_read

    settings = settings_of(home)
    if not settings.store.url and not (settings.home / "claimpipe.db").is_file():
        raise Terminal(
            f"There is no register in {settings.home}.", fix="Run `claimpipe nightly` first, or name another --home."
        )
    store = (open_to_read if reading else open_store)(settings)
    try:
        yield store
    finally:
        store.close()

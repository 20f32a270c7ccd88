"""Bringing a database to the shape of `register.py`, by Alembic, from inside the program."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError

from pipeline.errors import Terminal


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config


@cache
def _head() -> str | None:
    """The newest revision. All migrations are read to know it, and a program opens its store many times."""
    return ScriptDirectory.from_config(_config()).get_current_head()


def is_current(engine: sa.Engine) -> bool:
    """Whether the database has the shape of this version."""
    with engine.connect().execution_options(write=False) as connection:
        have = MigrationContext.configure(connection).get_current_revision()
    return have == _head()


def upgrade(engine: sa.Engine) -> None:
    """Upgrade to the newest revision; a database that is up to date is not written to."""
    config = _config()
    try:
        if is_current(engine):
            return
        with engine.begin() as connection:
            if connection.dialect.name == "postgresql":  # two runs that start together must not both migrate
                connection.exec_driver_sql("SELECT pg_advisory_xact_lock(727000)")
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except CommandError:
        raise Terminal(
            f"The register {engine.url.database} is of a newer version of claimpipe, or no claimpipe database.",
            fix="Use that version, or name another register: --home, or CLAIMPIPE_STORE__URL.",
        ) from None


def downgrade(engine: sa.Engine, revision: str = "base") -> None:
    """Back to an earlier revision. For tests and for an operator with a backup: what the newer one holds is lost."""
    config = _config()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, revision)

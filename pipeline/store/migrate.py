"""Bringing a database to the shape of `register.py`, by Alembic, from inside the program."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from pipeline.errors import Terminal, Transient


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config


def upgrade(engine: sa.Engine) -> None:
    """Upgrade to the newest revision; a database that is up to date is not written to."""
    config = _config()
    try:
        with engine.connect() as connection:
            have = MigrationContext.configure(connection).get_current_revision()
        if have == ScriptDirectory.from_config(config).get_current_head():
            return
        with engine.begin() as connection:
            if connection.dialect.name == "postgresql":  # two runs that start together must not both migrate
                connection.exec_driver_sql("SELECT pg_advisory_xact_lock(727000)")
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except sa.exc.OperationalError as error:
        raise Transient(
            f"The register cannot be reached ({type(error.orig).__name__}).",
            fix="Check that the database is up.",
        ) from error
    except sa.exc.DatabaseError as error:
        raise Terminal("The register is not a claimpipe database.", fix="Check the database URL.") from error

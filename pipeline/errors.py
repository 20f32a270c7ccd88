"""The two kinds of failure that an operator must be able to tell apart.

Findings (see `findings.py`) are values: bad data never raises. What raises is the world around the data, and then the
one question that matters is whether trying again can help. Airflow fails at once on `Terminal` and retries `Transient`;
the command line ends with exit code 2 on either. Messages say what happened, where, and what to do next, and never hold
patient data.
"""

from __future__ import annotations

import traceback
from pathlib import Path


class ClaimpipeError(Exception):
    """Base of all errors that claimpipe raises on purpose. `fix` says what to do next, for a person."""

    def __init__(self, message: str, *, fix: str = "") -> None:
        super().__init__(f"{message} {fix}".strip())
        self.message = message
        self.fix = fix


class Terminal(ClaimpipeError):
    """Trying again cannot help: bad login, changed host key, broken configuration, missing column."""


class Transient(ClaimpipeError):
    """Trying again may help: the link is down, the database is locked, the payer's server is busy."""


def place_of(error: BaseException) -> str:
    """Kind and place of an unforeseen exception, for messages: never its own words, which may quote a patient's values."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{where}"

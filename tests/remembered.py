"""Answers of pure functions that tests need again and again: given once, remembered by what was asked.

A night asks the same of the same bytes and rows as the night before it: whether rows are good (Great Expectations, which is the
half of a small night), and what stands in a file. Neither has an effect of its own. The first to ask gets the real answer and
every other one a copy of it; what a stage does with an answer is done each time.
"""

from __future__ import annotations

import copy
import hashlib
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from pipeline import transactions
from pipeline.quality import engine
from pipeline.x12 import validator

if TYPE_CHECKING:
    import pandas as pd

    from pipeline.findings import Finding

_judged: dict[bytes, engine.Result] = {}
_read: dict[tuple[Any, ...], transactions.ReadResult] = {}
_validated: dict[tuple[Any, ...], list[Finding]] = {}


@contextmanager
def judged_once() -> Iterator[None]:
    """Rows that were judged before get the answer of then."""
    check = engine.check

    def remembered(name: str, frame: pd.DataFrame, key: str) -> engine.Result:
        cells = [(column, str(frame[column].dtype), frame[column].tolist()) for column in frame.columns]
        digest = hashlib.sha256(pickle.dumps((name, key, engine.suite_json(name), cells))).digest()
        if digest not in _judged:
            _judged[digest] = check(name, frame, key)
        return copy.deepcopy(_judged[digest])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "check", remembered)
        yield


@contextmanager
def read_once() -> Iterator[None]:
    """Bytes that were read or validated before give the tables and findings of then; neither can be changed."""
    read, validate = transactions.read, validator.validate

    def remembered(data: bytes, **how: Any) -> transactions.ReadResult:
        key = (data, *sorted(how.items()))
        if key not in _read:
            _read[key] = read(data, **how)
        known = _read[key]
        return transactions.ReadResult(dict(known.tables), list(known.findings))

    def validated(data: bytes, **how: Any) -> list[Finding]:
        key = (data, *sorted(how.items()))
        if key not in _validated:
            _validated[key] = validate(data, **how)
        return list(_validated[key])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transactions, "read", remembered)
        patch.setattr(validator, "validate", validated)
        yield

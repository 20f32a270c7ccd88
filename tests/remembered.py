"""Answers of pure functions that tests need again and again: given once, remembered by what was asked.

A night asks the same of the same bytes and rows as the night before it: whether rows are good (Great Expectations, which is the
half of a small night), what stands in a file, and whether a file says what was meant. None has an effect of its own. The first to ask gets the real answer and
every other one a copy of it; what a stage does with an answer is done each time.
"""

from __future__ import annotations

import copy
import hashlib
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from pipeline import transactions
from pipeline.claims import batches, proofreading
from pipeline.quality import engine
from pipeline.transactions.claim_837_writer import Interchange837
from pipeline.x12 import validator

if TYPE_CHECKING:
    import pandas as pd

    from pipeline.findings import Finding

_judged: dict[bytes, engine.Result] = {}
_read: dict[tuple[Any, ...], transactions.ReadResult] = {}
_validated: dict[tuple[Any, ...], list[Finding]] = {}
_compared: dict[tuple[Any, ...], list[Finding]] = {}


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
    """Bytes that were read or validated before, or held against the same tables, give the tables and findings of then; neither
    can be changed."""
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

    compare = proofreading.compared

    class Meant(Interchange837):
        """It knows of what it was made."""

        def __init__(self, *tables_and_way: Any, **how: Any) -> None:
            super().__init__(*tables_and_way, **how)
            *tables, route, form = tables_and_way
            self.made_of = (*map(_bytes, tables), route, form.guide, *sorted(how.items()))

    def compared(data: bytes, meant: Meant, *when_and_numbers: Any) -> list[Finding]:
        key = (data, meant.made_of, *when_and_numbers)
        if key not in _compared:
            _compared[key] = compare(data, meant, *when_and_numbers)
        return list(_compared[key])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batches, "Interchange837", Meant)
        patch.setattr(proofreading, "compared", compared)
        patch.setattr(transactions, "read", remembered)
        patch.setattr(validator, "validate", validated)
        yield


def _bytes(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()

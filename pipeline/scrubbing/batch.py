"""Claims as columns: what the checks look at.

Each column is a list of distinct values and, for each row, which of them it has. A check judges the distinct values once, so
its cost hardly grows with the number of claims.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.codes import Icd10cm
from pipeline.codes.judging import Judgement
from pipeline.payers import PayerProfile
from pipeline.scrubbing.authorized import Authorization, Service

Mask = np.ndarray  # of booleans, one a row
EPOCH = date(1970, 1, 1).toordinal()


@dataclass(frozen=True, slots=True)
class Column:
    """`index` gives for each row the position in `values`; -1 where the cell is null."""

    index: np.ndarray
    values: list[Any]

    def where(self, test: Callable[[Any], bool], *, null: bool = False) -> Mask:
        """Rows whose value passes the test; `null` is the answer for empty cells."""
        answers = np.fromiter((test(v) for v in self.values), dtype=bool, count=len(self.values))
        return np.append(answers, null)[self.index]


def column(table: pa.Table, name: str) -> Column:
    encoded = table.column(name).combine_chunks()
    if isinstance(encoded, pa.ChunkedArray):  # an empty table
        encoded = pa.array([], encoded.type)
    encoded = encoded.dictionary_encode()
    index = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    return Column(index, encoded.dictionary.to_pylist())


class Batch:
    """Claims with their diagnoses and lines, and what the checks may know of the world."""

    def __init__(
        self, claims: pa.Table, diagnoses: pa.Table, lines: pa.Table, *, on: date, icd10cm: Icd10cm,
        profiles: Mapping[str, PayerProfile], usage: str = "T", known: Collection[tuple[str, str]] = (),
        holds: Mapping[str, str] | None = None, home: Path | None = None,
        overrides: Mapping[tuple[str, str], str] | None = None, authorizations: Sequence[Authorization] = (),
        authorized: Sequence[Service] = (),
    ) -> None:  # fmt: skip
        self.tables: dict[str, pa.Table] = {"claims": claims, "diagnoses": diagnoses, "lines": lines}
        self.on = on
        self.icd10cm = icd10cm
        self.profiles = profiles
        self.usage = usage
        #: (duplicate key, encounter key) of claims in the register
        self.known = known
        #: encounter key → why its correction does not go yet
        self.holds = holds or {}
        #: (encounter key, edit) → who let its claim pass the edit, and when
        self.overrides = overrides or {}
        #: what payers have authorized, and the services before these that may have taken from it, in their order
        self.authorizations = authorizations
        self.authorized = authorized
        #: where loaded code sets are, and what was judged by them
        self.home = home
        self.judgements: list[Judgement] = []
        self._columns: dict[tuple[str, str], Column] = {}
        self._made: dict[str, Any] = {}
        self.size = claims.num_rows

    def column(self, table: str, name: str) -> Column:
        key = (table, name)
        if key not in self._columns:
            self._columns[key] = column(self.tables[table], name)
        return self._columns[key]

    def once(self, name: str, make: Callable[[], Any]) -> Any:
        """What several checks need, made the first time."""
        if name not in self._made:
            self._made[name] = make()
        return self._made[name]

    @cached_property
    def claim_index(self) -> dict[str, int]:
        return {claim: i for i, claim in enumerate(self.tables["claims"].column("claim_id").to_pylist())}

    @cached_property
    def owners(self) -> dict[str, np.ndarray]:
        """For each table, the claim that each row belongs to."""
        found = {"claims": np.arange(self.size)}
        for name in ("diagnoses", "lines"):
            ids = self.column(name, "claim_id")
            positions = np.array([self.claim_index.get(v, -1) for v in ids.values] + [-1], dtype=np.int64)
            found[name] = positions[ids.index]
        return found

    def day(self, table: str, name: str) -> np.ndarray:
        """Dates as day numbers (proleptic ordinals); 0 where null."""
        found = self.column(table, name)
        return np.array([v.toordinal() for v in found.values] + [0], dtype=np.int64)[found.index]

    @cached_property
    def profile_of(self) -> list[PayerProfile | None]:
        keys = self.column("claims", "payer_key")
        found = [self.profiles.get(v) for v in keys.values]
        return [found[i] if i >= 0 else None for i in keys.index]


@dataclass(slots=True)
class Hits:
    """Rows of a table that a check found at fault, by field. `words` fill further places of the message, by row."""

    field: str
    rows: np.ndarray
    words: dict[int, dict[str, str]] = dataclasses.field(default_factory=dict)

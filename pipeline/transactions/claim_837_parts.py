"""What a claim or a line has any number of: nested rows, flattened to tables that know their owner, and written back.

Theory. A list column is a table already: `list_flatten` gives its rows and `list_parent_indices` their owners, without a
join. `Parts` holds both. Each row becomes a text (a segment, or the segments of a loop); `gather` joins the texts of one
owner, so that a child list turns into one string column of its owners, which a `Sheet` puts in its place among theirs. A
column of which no owner has a row is None and costs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.transactions.claim_837_forms import Form
from pipeline.x12 import columns as x
from pipeline.x12.columns import Columns, Integers, Mask

#: a value of every row: null is ''
Column: TypeAlias = "pa.Array | pa.ChunkedArray"


@dataclass(frozen=True, slots=True)
class Parts:
    """Rows and the place of each row's owner, ascending. `owners` is how many owners there are."""

    table: pa.Table
    owner: Integers
    owners: int

    def __len__(self) -> int:
        return self.table.num_rows

    def column(self, name: str) -> pa.ChunkedArray:
        return self.table.column(name)

    def where(self, rows: Mask) -> Parts:
        return self if rows.all() else Parts(self.table.filter(pa.array(rows)), self.owner[rows], self.owners)

    def equal(self, column: str, value: str) -> Mask:
        return x.as_mask(pc.equal(self.table.column(column), value))

    def counts(self) -> Integers:
        return np.bincount(self.owner, minlength=self.owners).astype(np.int64)

    def of(self, values: Column) -> pa.Array:
        """A column of the owners, spread over the rows."""
        return x.flat(values).take(pa.array(self.owner))

    def within(self, key: Integers | None = None) -> Integers:
        """Which of its owner's rows (of the same `key`, where rows of one key stand together) each is, from 0."""
        if not len(self):
            return np.zeros(0, dtype=np.int64)
        new = np.r_[True, self.owner[1:] != self.owner[:-1]]
        if key is not None:
            new |= np.r_[True, key[1:] != key[:-1]]
        places = np.arange(len(self))
        return places - np.maximum.accumulate(np.where(new, places, 0))


def parts(table: pa.Table, column: str) -> Parts | None:
    """The rows of a nested column; None where there are none at all."""
    lists = table.column(column)
    if lists.null_count == len(lists):
        return None
    array = x.flat(lists)
    rows = pc.list_flatten(array)
    if not len(rows):
        return None
    owner = np.asarray(pc.list_parent_indices(array).to_numpy(), dtype=np.int64)
    return Parts(pa.Table.from_arrays(rows.flatten(), names=[f.name for f in rows.type]), owner, len(array))


def gather(texts: pa.Array, owner: Integers, owners: int, separator: str) -> x.Every:
    """Texts of the same owner joined, in order; absent where an owner has none. Null texts are left out."""
    return x.Every.spread(*_gathered(texts, owner, owners, separator))


def gathered(texts: pa.Array, owner: Integers, owners: int, separator: str) -> pa.Array:
    """As `gather`, as a column: null where an owner has none."""
    return x.spread(*_gathered(texts, owner, owners, separator))


def _gathered(texts: pa.Array, owner: Integers, owners: int, separator: str) -> tuple[pa.Array, Mask]:
    if texts.null_count:
        stand = x.as_mask(texts.is_valid())
        texts, owner = texts.filter(pa.array(stand)), owner[stand]
    counts = np.bincount(owner, minlength=owners)
    here = counts > 0
    if counts.max(initial=0) > 1:
        offsets = pa.array(np.r_[0, np.cumsum(counts[here])].astype(np.int32))
        texts = pc.binary_join(pa.ListArray.from_arrays(offsets, texts), separator)
    return texts, here


class Sheet:
    """The segments of a table's rows, each a column, in whatever order they come; `texts` puts them in the guide's."""

    def __init__(self, c: Columns, form: Form, rows: int) -> None:
        self.c, self.form, self.rows = c, form, rows
        self._columns: list[tuple[int, int, x.Text | x.Every]] = []

    def put(self, loop: str, segment_id: str, key: str, column: x.Text | x.Every | None) -> None:
        """A column of segments at its place. It is dropped where there is none, or where the guide has no such place:
        the checks have reported it then."""
        place = self.form.place(loop, segment_id, key)
        if place is not None and column is not None:
            self._columns.append((place.index, len(self._columns), column))

    def segment(self, loop: str, segment_id: str, *elements: x.Part, where: Mask | None = None) -> None:
        """One segment a row, where the mask holds; its place goes by its first element."""
        if where is not None and not where.any():
            return
        key = elements[0] if isinstance(elements[0], str) else ""
        self.put(loop, segment_id, key, self.c.every(segment_id, *elements, where=where))

    def rows_of(self, loop: str, segment_id: str, key: str, texts: pa.Array, of: Parts) -> None:
        """Texts of child rows at one place of their owners."""
        self.put(loop, segment_id, key, gather(texts, of.owner, of.owners, self.c.end))

    def columns(self) -> list[x.Text | x.Every]:
        return [column for _, _, column in sorted(self._columns, key=lambda item: item[:2])]

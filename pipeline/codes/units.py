"""Medically unlikely edits and add-on codes: how many units of a procedure a day can have, and what may not stand alone.

Theory (CMS's MUE adjudication indicator, MAI). MAI 1: each line is judged by itself, so units split over two lines with a modifier
pass. MAI 2 and 3: the units of one procedure, patient, provider and day are added over all lines, so splitting does not help; 2
is absolute, 3 may be paid on appeal with the record. Lines with modifier 55 (care after surgery only) do not count into the day.
Practitioner, outpatient facility and DME supplier have tables of their own: the caller names the one of the claim.

Units are exact: integers of ten-thousandths, as the shapes hold quantities with four decimals.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.codes import editions, pairs
from pipeline.codes.editions import Editions, Ints, Mask

#: units are counted in ten-thousandths
SCALE = 10_000
#: lines with it do not count into the units of the day
AFTER_SURGERY = "55"


@dataclass(frozen=True, slots=True)
class Excess:
    """Lines over their limit, sorted by line. `units` are those that were compared (of the line, or of the day) in
    ten-thousandths, `limit` whole units, `indicator` the MAI, `covered` whether the edition covers the day."""

    line: Ints
    units: Ints
    limit: Ints
    indicator: Ints
    covered: Mask

    def __len__(self) -> int:
        return int(self.line.size)


def scaled(units: Any) -> Ints:
    """Units as integers of ten-thousandths: an Arrow decimal or integer column, decimals, or whole numbers. Null is 0."""
    if isinstance(units, pa.ChunkedArray):
        units = units.combine_chunks()
    if isinstance(units, pa.Array | pa.ChunkedArray):
        if pa.types.is_integer(units.type):
            return np.asarray(units.fill_null(0).to_numpy(zero_copy_only=False), dtype=np.int64) * SCALE
        index, values = editions.distinct(units)
        return np.array([*(int(v * SCALE) for v in values), 0], dtype=np.int64)[index]
    if isinstance(units, np.ndarray):
        if units.dtype.kind not in "iu":
            raise TypeError("units are exact: integers or decimals, never floats")
        return units.astype(np.int64) * SCALE
    return np.array([int(Decimal(u) * SCALE) for u in units], dtype=np.int64)


def excess(
    table: Editions | str, *, group: Ints, procedure: Any, day: Any, units: Any, modifiers: Sequence[Any] = (),
    days: Ints | None = None, home: Path | None = None,
) -> Excess:  # fmt: skip
    """Lines whose units are over the limit of their day.

    `table` is a set's id (`mue_practitioner`, `mue_outpatient`, `mue_dme`) or its editions; `group` an integer for each line that
    stands for patient and provider (see `pairs.groups`). `days` is how many days a line spans: its units are divided by it, and
    rounded up. A day over its limit gives every line that counted into it.
    """
    found = editions.open_set(table, home) if isinstance(table, str) else table
    on = editions.days_of(day)
    index, values = editions.distinct(procedure)
    keys = np.append(editions.key_of(values), np.uint64(0))  # of the distinct codes; the last one stands for none
    amounts = scaled(units)
    if days is not None:
        span = np.maximum(days, 1)
        whole = -(-amounts // (span * SCALE)) * SCALE
        amounts = np.where(span > 1, whole, amounts)
    limit = np.full(index.size, -1, dtype=np.int64)
    indicator = np.zeros(index.size, dtype=np.int64)
    covered = np.zeros(index.size, dtype=bool)
    for edition, rows, inside in found.each(on):
        first, last = edition.spans(keys)
        known = ((last > first) & (keys > 0))[index[rows]]
        rows = rows[known]
        at = first[index[rows]]
        limit[rows] = edition.numbers("units")[at]
        indicator[rows] = edition.numbers("indicator")[at]
        covered[rows] = inside[known]
    by_line = (indicator == 1) & (amounts > limit * SCALE)
    compared = amounts.copy()
    counts = np.flatnonzero((indicator > 1) & ~_has(modifiers, AFTER_SURGERY, index.size))
    over = by_line
    if counts.size:
        order = counts[np.lexsort((index[counts], on[counts], group[counts]))]
        fresh = np.ones(order.size, dtype=bool)
        fresh[1:] = (
            (group[order[1:]] != group[order[:-1]]) | (on[order[1:]] != on[order[:-1]])
            | (index[order[1:]] != index[order[:-1]])
        )  # fmt: skip
        sums = np.add.reduceat(amounts[order], np.flatnonzero(fresh))
        compared[order] = sums[np.cumsum(fresh) - 1]
        over[order] = compared[order] > limit[order] * SCALE
    lines = np.flatnonzero(over)
    return Excess(lines, compared[lines], limit[lines], indicator[lines], covered[lines])


def _has(modifiers: Sequence[Any], wanted: str, size: int) -> Mask:
    found = np.zeros(size, dtype=bool)
    for column in modifiers:
        index, values = editions.distinct(column)
        found |= np.array([*(v == wanted for v in values), False], dtype=bool)[index]
    return found


# --- add-on codes -------------------------------------------------------------------------------------------------------

#: stands for "a primary that the contractor decides"
CONTRACTOR = "CCCCC"


def alone(table: Editions | str, *, group: Ints, procedure: Any, day: Any, home: Path | None = None) -> Ints:
    """Lines with an add-on code whose primary procedure is not there on the day, sorted.

    Add-ons of type 1 name their primaries. Types 2 and 3 leave primaries to the contractor (2 all of them, 3 some), and are not
    judged: which codes the contractor takes is not in the table.
    """
    found = editions.open_set(table, home) if isinstance(table, str) else table
    on = editions.days_of(day)
    index, values = editions.distinct(procedure)
    keys = np.append(editions.key_of(values), np.uint64(0))  # of the distinct codes; the last one stands for none
    # a group's day as one number, and what stands on it as sorted (day, code) numbers
    when = pairs.groups(group, on)
    codes, rank = np.unique(keys, return_inverse=True)
    present = np.sort(when * (codes.size + 1) + rank[index])
    bad: list[Ints] = []
    for edition, rows, _ in found.each(on):
        first, last = edition.spans(keys)
        number = np.where(keys > 0, last - first, 0)[index[rows]]
        line = np.repeat(np.arange(rows.size), number)
        at = (
            np.repeat(first[index[rows]], number)
            + np.arange(number.sum())
            - np.repeat(np.cumsum(number) - number, number)
        )
        holds = (edition.numbers("start")[at] <= on[rows[line]]) & (on[rows[line]] <= edition.numbers("end")[at])
        line, at = line[holds], at[holds]
        if not line.size:
            continue
        names = edition.table.column("primary").take(pa.array(at)).to_pylist()
        decides = (edition.numbers("kind")[at] != 1) | np.array([n == CONTRACTOR for n in names], dtype=bool)
        wanted = editions.key_of(names)
        place = np.minimum(np.searchsorted(codes, wanted), codes.size - 1)
        asked = when[rows[line]] * (codes.size + 1) + place
        there = (codes[place] == wanted) & (
            present[np.minimum(np.searchsorted(present, asked), present.size - 1)] == asked
        )
        begins = np.flatnonzero(np.append(True, line[1:] != line[:-1]))
        good = np.logical_or.reduceat(decides | there, begins)
        bad.append(rows[line[begins[~good]]])
    return np.sort(np.concatenate(bad)) if bad else np.zeros(0, dtype=np.int64)

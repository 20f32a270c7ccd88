"""Age and sex: diagnoses that fit only some patients (CMS's Medicare Code Editor).

The tables hold diagnoses with the ages in years, or the sex, that they are for. Sex edits stand down where the claim says so (condition
code 45, modifier KX): the caller leaves those lines out, because only it knows the claim.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from pipeline.codes import editions, judging
from pipeline.codes.editions import Editions, Ints, Mask


def ages(born: Any, day: Any) -> Ints:
    """Whole years from birth to a day, by the calendar; -1 where a date is missing or the day is before birth.

    A person born on 29 February is a year older on 1 March of other years.
    """
    birth, on = editions.days_of(born), editions.days_of(day)
    missing = (birth == editions.OPEN_START) | (on == editions.OPEN_START) | (on < birth)
    b, d = (np.where(missing, 0, v).astype("datetime64[D]") for v in (birth, on))
    years = d.astype("datetime64[Y]").astype(int) - b.astype("datetime64[Y]").astype(int)

    def within(v: np.ndarray) -> np.ndarray:
        months = v.astype("datetime64[M]")
        return np.asarray(months.astype(int) % 12 * 100 + (v - months.astype("datetime64[D]")).astype(int))

    years = years - (within(d) < within(b))
    return np.where(missing, -1, years).astype(np.int64)


def age_conflicts(
    codes: Any, days: Any, years: Ints, table: Editions | str = "mce_age", home: Path | None = None
) -> Mask:
    """Rows whose diagnosis is for other ages. `years` is the patient's age on the day; -1 conflicts with nothing."""
    bad = np.zeros(len(years), dtype=bool)
    for edition, rows, at in _found(table, codes, days, home):
        lowest = edition.table.column("lowest").fill_null(0).to_numpy()[at]
        highest = edition.table.column("highest").fill_null(999).to_numpy()[at]
        bad[rows] |= (years[rows] >= 0) & ((years[rows] < lowest) | (years[rows] > highest))
    return bad


def sex_conflicts(
    codes: Any, days: Any, sexes: Any, table: Editions | str = "mce_sex", home: Path | None = None
) -> Mask:
    """Rows whose diagnosis is for the other sex. Only F and M can conflict; U and null never do."""
    index, values = editions.distinct(sexes)
    number = np.array([*({"F": 1, "M": 2}.get(v, 0) for v in values), 0])[index]
    bad = np.zeros(number.size, dtype=bool)
    for edition, rows, at in _found(table, codes, days, home):
        wanted = np.array([{"F": 1, "M": 2}.get(v, 0) for v in edition.table.column("sex").to_pylist()])[at]
        bad[rows] |= (number[rows] > 0) & (wanted > 0) & (number[rows] != wanted)
    return bad


def _found(
    table: Editions | str, codes: Any, days: Any, home: Path | None
) -> list[tuple[editions.Edition, Ints, Ints]]:
    """For each edition and each row of it that a code has: (edition, rows asked, rows of the edition)."""
    held = editions.open_set(table, home) if isinstance(table, str) else table
    on = editions.days_of(days)
    index, values = editions.distinct(codes)
    written = [judging.normal(v) if v is not None else None for v in values]
    keys = np.append(editions.key_of(written), np.uint64(0))[index]
    found = []
    for edition, rows, _ in held.each(on):
        first, last = edition.spans(keys[rows])
        starts, ends = edition.numbers("start"), edition.numbers("end")
        for step in range(int((last - first).max(initial=0))):
            here = np.flatnonzero((first + step < last) & (keys[rows] > 0))
            at = first[here] + step
            holds = (starts[at] <= on[rows[here]]) & (on[rows[here]] <= ends[at])
            found.append((edition, rows[here[holds]], at[holds]))
    return found

"""Medical necessity: which diagnoses a coverage policy (LCD, NCD) accepts for a procedure.

Theory. A policy names procedures and diagnoses in groups: a procedure of group 1 needs a diagnosis of group 1. Two tables hold
them (`necessity_procedure`, `necessity_diagnosis`), each row dated. A line is covered if one of the policy's groups that its
procedure stands in, on its day, accepts one of the diagnoses that the line points to; a diagnosis that a policy lists as not
covered speaks against the line where no other one covers it. A group without any diagnosis row asks for none.

What the practice said to the patient decides what becomes of a line that is not covered: GA, a waiver is on file (the line goes
out, the payer denies it to the patient); GX, a notice was given of its own accord; GY, the law excludes the service; GZ, no waiver
(the line is denied to the practice). With none of them the line is held.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.codes import editions, judging
from pipeline.codes.editions import Edition, Editions, Ints


class Coverage(IntEnum):
    """How a line stands under the policies of its day."""

    NO_POLICY = 0
    COVERED = 1
    NOT_COVERED = 2  # no waiver: hold the line
    WAIVER = 3  # GA: goes out, the patient may be billed
    NOTICE = 4  # GX
    EXCLUDED = 5  # GY
    NO_WAIVER = 6  # GZ: goes out, will be denied to the practice


#: modifier → how a line that is not covered stands with it, the first that fits
WAIVERS = {
    "GA": Coverage.WAIVER,
    "GX": Coverage.NOTICE,
    "GY": Coverage.EXCLUDED,
    "GZ": Coverage.NO_WAIVER,
}


@dataclass(frozen=True, slots=True)
class Decision:
    """For each line its coverage, and the policy that decided (an index into `policies`, -1 for none)."""

    coverage: np.ndarray  # of uint8: Coverage
    policy: Ints
    policies: tuple[str, ...]


class Policies:
    """The policies of one day's editions, indexed for look-up."""

    def __init__(self, procedures: Edition, diagnoses: Edition) -> None:
        self.procedures = procedures
        names = procedures.table.column("policy").to_pylist()
        groups = [g or "1" for g in procedures.table.column("group").to_pylist()]
        self.names = tuple(dict.fromkeys(names))
        place = {name: i for i, name in enumerate(self.names)}
        pairs = {pair: i for i, pair in enumerate(dict.fromkeys(zip(names, groups, strict=True)))}
        self.policy = np.array([place[n] for n in names], dtype=np.int64)
        self.group = np.array([pairs[p] for p in zip(names, groups, strict=True)], dtype=np.int64)
        self.payer = [p or "" for p in procedures.table.column("payer").to_pylist()]
        self.start, self.end = procedures.numbers("start"), procedures.numbers("end")
        theirs = zip(
            diagnoses.table.column("policy").to_pylist(), diagnoses.table.column("group").to_pylist(), strict=True
        )
        self.d_group = np.array([pairs.get((p, g or "1"), -1) for p, g in theirs], dtype=np.int64)
        self.d_key = diagnoses.numbers("key")
        self.d_start, self.d_end = diagnoses.numbers("start"), diagnoses.numbers("end")
        covered = diagnoses.table.column("covered").fill_null(True)
        self.d_covered = covered.to_numpy().astype(bool)
        order = np.lexsort((self.d_key, self.d_group))
        order = order[self.d_group[order] >= 0]
        self.d_group, self.d_key = self.d_group[order], self.d_key[order]
        self.d_start, self.d_end, self.d_covered = self.d_start[order], self.d_end[order], self.d_covered[order]
        self.asks = np.zeros(len(pairs), dtype=bool)  # groups that ask for a diagnosis
        self.asks[np.unique(self.d_group[self.d_covered])] = True
        self.forbids = np.zeros(len(pairs), dtype=bool)
        self.forbids[np.unique(self.d_group[~self.d_covered])] = True
        # one number for group and diagnosis: diagnoses are ranked among those that the policies name
        self.known = np.unique(self.d_key)
        self.both = self._both(self.d_group, self.d_key)

    def _both(self, group: Ints, key: Ints) -> Ints:
        """Group and diagnosis as one number; -1 for a diagnosis that no policy names."""
        at = np.searchsorted(self.known, key)
        at = np.minimum(at, max(self.known.size - 1, 0))
        same = self.known[at] == key if self.known.size else np.zeros(key.size, dtype=bool)
        return np.where(same, group * (self.known.size + 1) + at, -1)

    def answers(self, group: Ints, key: Ints, on: Ints) -> tuple[np.ndarray, np.ndarray]:
        """For each (group, diagnosis, day): is it listed as covered, is it listed as not covered."""
        both = self._both(group, key)
        first, last = np.searchsorted(self.both, both, "left"), np.searchsorted(self.both, both, "right")
        yes, no = np.zeros(group.size, dtype=bool), np.zeros(group.size, dtype=bool)
        for step in range(int((last - first).max(initial=0))):
            here = np.flatnonzero((first + step < last) & (both >= 0))
            at = first[here] + step
            holds = (self.d_start[at] <= on[here]) & (on[here] <= self.d_end[at])
            yes[here] |= holds & self.d_covered[at]
            no[here] |= holds & ~self.d_covered[at]
        return yes, no


def decide(
    *, procedure: Any, day: Any, diagnoses: Sequence[Any], modifiers: Sequence[Any] = (), payer: Any = None,
    home: Path | None = None, procedures: Editions | None = None, covered: Editions | None = None,
) -> Decision:  # fmt: skip
    """Judge lines. `diagnoses` are columns of the diagnoses that each line points to (null where it points to fewer).

    `payer` is a column of payer keys; a policy that names a payer speaks only of its lines, one that names none of every line
    given. Pass only the lines to which coverage policies apply (Medicare's, as a rule).
    """
    policies_held = procedures if procedures is not None else editions.open_set("necessity_procedure", home)
    diagnoses_held = covered if covered is not None else editions.open_set("necessity_diagnosis", home)
    on = editions.days_of(day)
    coverage = np.full(on.size, Coverage.NO_POLICY, dtype=np.uint8)
    policy = np.full(on.size, -1, dtype=np.int64)
    if not policies_held or not diagnoses_held:
        return Decision(coverage, policy, ())
    index, values = editions.distinct(procedure)
    keys = np.append(editions.key_of(values), np.uint64(0))[index]
    columns = []
    for column in diagnoses:
        d_index, d_values = editions.distinct(column)
        written = [judging.normal(v) if v is not None else None for v in d_values]
        columns.append(np.append(editions.key_of(written), np.uint64(0))[d_index])
    p_index, p_values = editions.distinct(payer) if payer is not None else (np.full(on.size, -1), [])
    names: list[str] = []
    for held, rows, _ in policies_held.each(on):
        for theirs, mine, _ in diagnoses_held.each(on[rows]):
            here = rows[mine]
            book = Policies(held, theirs)
            found, which = _decide(book, here, keys, on, columns, p_index, [*p_values, None])
            coverage[here] = found
            policy[here] = np.where(which >= 0, which + len(names), -1)
            names += book.names
    for modifier, standing in reversed(WAIVERS.items()):
        for column in modifiers:
            m_index, m_values = editions.distinct(column)
            has = np.array([*(v == modifier for v in m_values), False], dtype=bool)[m_index]
            coverage[has & np.isin(coverage, (Coverage.NOT_COVERED, *WAIVERS.values()))] = standing
    return Decision(coverage, policy, tuple(names))


def _decide(
    book: Policies, rows: Ints, keys: Ints, on: Ints, columns: list[Ints], p_index: Ints, payers: list[Any]
) -> tuple[np.ndarray, Ints]:
    """Coverage and deciding policy of the rows."""
    first, last = book.procedures.spans(keys[rows])
    number = np.where(keys[rows] > 0, last - first, 0)
    line = np.repeat(np.arange(rows.size), number)
    offset = np.arange(number.sum()) - np.repeat(np.cumsum(number) - number, number)
    at = np.repeat(first, number) + offset
    holds = (book.start[at] <= on[rows[line]]) & (on[rows[line]] <= book.end[at])
    named = np.array([bool(p) for p in book.payer], dtype=bool)
    if named.any():
        wanted = np.array([book.payer[a] for a in at.tolist()], dtype=object)
        given = np.array([payers[i] for i in p_index[rows[line]].tolist()], dtype=object)
        holds &= ~named[at] | (wanted == given)
    line, at = line[holds], at[holds]
    group = book.group[at]
    yes, no = np.zeros(line.size, dtype=bool), np.zeros(line.size, dtype=bool)
    for column in columns:
        covers, excludes = book.answers(group, column[rows[line]], on[rows[line]])
        yes |= covers
        no |= excludes
    # a group that lists only what it does not cover accepts everything else
    good = yes | (~book.asks[group] & ~no)
    result = np.full(rows.size, Coverage.NO_POLICY, dtype=np.uint8)
    policy = np.full(rows.size, -1, dtype=np.int64)
    # every policy of the procedure must be met; within one policy any of its groups will do
    order = np.lexsort((book.policy[at], line))
    line, at, good = line[order], at[order], good[order]
    if not line.size:
        return result, policy
    fresh = np.ones(line.size, dtype=bool)
    fresh[1:] = (line[1:] != line[:-1]) | (book.policy[at[1:]] != book.policy[at[:-1]])
    begins = np.flatnonzero(fresh)
    met = np.logical_or.reduceat(good, begins)
    whose, theirs = line[begins], book.policy[at[begins]]
    result[whose[met]] = Coverage.COVERED
    policy[whose[met]] = theirs[met]
    result[whose[~met]] = Coverage.NOT_COVERED
    policy[whose[~met]] = theirs[~met]
    return result, policy

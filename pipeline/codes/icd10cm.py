"""ICD-10-CM by edition: which codes exist on a day, and which of them may stand on a claim.

An edition is the whole list that is in force from a day (1 October, or 1 April) until the next. Only the last level of the
list is billable; the levels above are headings. `valid` answers for a code and a day with the edition that it used and
whether that edition covers the day. Codes travel without the point ("J209").

Where no edition covers the day the nearest one answers, corrected by `schemas/codes/icd10cm_changes.csv`: the days on
which some codes came or went, a partial list, for the codes that our own coding rules use.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import cache, cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from pipeline import shapes
from pipeline.codes import catalogue, editions, judging, loading
from pipeline.codes.editions import Editions
from pipeline.codes.judging import Judgement, normal
from pipeline.errors import Terminal

__all__ = [
    "FIRST_DAY",
    "Edition",
    "Icd10cm",
    "Status",
    "Verdict",
    "load_file",
    "normal",
    "open_icd10cm",
    "shaped",
    "valid",
]

SET = "icd10cm"
#: first day on which US claims carry ICD-10-CM; services before it were coded in ICD-9-CM
FIRST_DAY = date(2015, 10, 1)


class Status(StrEnum):
    billable = "billable"
    heading = "heading"  # a category: it needs more characters
    unknown = "unknown"
    before_icd10 = "before_icd10"  # the day is before ICD-10-CM


_FROM = {judging.Status.VALID: Status.billable, judging.Status.HEADING: Status.heading}
_TO = {
    Status.billable: judging.Status.VALID,
    Status.heading: judging.Status.HEADING,
    Status.unknown: judging.Status.UNKNOWN,
    Status.before_icd10: judging.Status.NOT_YET,
}


class Verdict(NamedTuple):
    """`edition` is the name of the one that answered; `covers` is false where it is not in force on the day."""

    status: Status
    edition: str
    covers: bool


class Edition:
    """One list: in force from `effective_from` to `effective_to`, both included."""

    def __init__(self, held: editions.Edition) -> None:
        self._held = held
        self.name, self.origin = held.name, held.about.origin
        self.effective_from, self.effective_to = held.effective_from, held.effective_to

    @cached_property
    def billable(self) -> frozenset[str]:
        """The codes that may stand on a claim."""
        return self._codes(True)

    @cached_property
    def headings(self) -> frozenset[str]:
        return self._codes(False)

    def _codes(self, billable: bool) -> frozenset[str]:
        table = self._held.table
        kinds = table.column("billable").to_pylist()
        return frozenset(c for c, b in zip(table.column("code").to_pylist(), kinds, strict=True) if b is billable)

    def status(self, code: str) -> Status:
        found, _ = judging.in_edition(self._held, editions.key_of([code]), np.zeros(1, dtype=np.int32))
        return _FROM.get(judging.Status(int(found[0])), Status.unknown)


@dataclass(frozen=True, slots=True)
class _Change:
    start: date
    end: date


class Icd10cm:
    """The loaded editions, answering by day."""

    def __init__(self, found: Editions) -> None:
        if not found:
            raise Terminal(
                "No ICD-10-CM edition is loaded.", fix="Reinstall claimpipe or run: claimpipe codes load FILE"
            )
        self._held = found
        self.editions = tuple(Edition(e) for e in found.all)
        self._changes = _changes()
        self._cache: dict[tuple[str, date], Verdict] = {}

    def edition(self, on: date) -> tuple[Edition, bool]:
        """The edition that answers for a day, and whether it covers it."""
        which, covers = self._held.on(np.array([editions.number_of(on)]))
        return self.editions[int(which[0])], bool(covers[0])

    def valid(self, code: str, on: date) -> Verdict:
        key = (code, on)
        found = self._cache.get(key)
        if found is None:
            found = self._cache[key] = self._judge(code, on)
        return found

    def judge(self, codes: pa.Array | pa.ChunkedArray | Sequence[str | None], days: Any) -> Judgement:
        """The same for columns: see `judging.judge`. Days before ICD-10-CM are `NOT_YET`."""
        days = editions.days_of(days)
        found = judging.judge_in(catalogue.one(SET), self._held, codes, days)
        index, values = editions.distinct(codes)
        early = days < editions.number_of(FIRST_DAY)
        # few rows are outside of all editions, or many of few codes: each (code, day) is asked once
        odd = np.flatnonzero((~found.covers | early) & (found.status != judging.Status.EMPTY))
        for row in odd.tolist():
            day = date.fromordinal(max(int(days[row]) + editions.EPOCH, 1))
            verdict = self.valid(normal(values[index[row]]), day)
            if found.status[row] != judging.Status.MALFORMED:
                found.status[row] = _TO[verdict.status]
        return found

    def _judge(self, code: str, on: date) -> Verdict:
        if on < FIRST_DAY:
            return Verdict(Status.before_icd10, "", True)
        edition, covers = self.edition(on)
        if covers:
            return Verdict(edition.status(code), edition.name, True)
        if code in self._changes:
            spans = self._changes[code]
            if any(s.start <= on <= s.end for s in spans):
                return Verdict(Status.billable, edition.name, False)
            status = edition.status(code)
            return Verdict(status if status is Status.heading else Status.unknown, edition.name, False)
        return Verdict(edition.status(code), edition.name, False)


def shaped(code: str) -> bool:
    """Three to seven characters in the pattern of ICD-10-CM."""
    return catalogue.one(SET).formed(code)


def valid(code: str, on: date) -> Verdict:
    """Judge one code on one day by the shipped editions alone."""
    return open_icd10cm().valid(normal(code), on)


def open_icd10cm(home: Path | None = None) -> Icd10cm:
    """The shipped editions and those that the user loaded into `home`/codes."""
    return _wrapped(editions.open_set(SET, home))


@cache
def _wrapped(found: Editions) -> Icd10cm:
    return Icd10cm(found)


def load_file(path: Path, home: Path, effective_from: date, effective_to: date | None = None) -> Edition:
    """Load an official ICD-10-CM file into `home`/codes, in force from a day.

    Read are the order file (every code with a flag), the codes file (billable codes only: headings follow from them), a plain list
    of codes, and the tabular XML; plain, gzip or zip. Without `effective_to` the edition ends on the 30 September that follows.
    Terminal where the file is none of these, or a line of it does not fit.
    """
    done = loading.load([path], home, set_name=SET, effective_from=effective_from, effective_to=effective_to)
    if done.failed:
        first = next(f for f in done.findings if f.severity == "error")
        raise Terminal(f"{first.source}: {first.message}", fix=first.fix)
    return next(e for e in open_icd10cm(home).editions if e.name == done.editions[0][0].name)


@cache
def _changes() -> dict[str, list[_Change]]:
    found: dict[str, list[_Change]] = {}
    path = shapes.schemas_dir() / "codes" / "icd10cm_changes.csv"
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            start = date.fromisoformat(row["valid_from"]) if row["valid_from"] else FIRST_DAY
            end = date.fromisoformat(row["valid_to"]) if row["valid_to"] else date.max
            found.setdefault(row["code"], []).append(_Change(start, end))
    return found

"""Is a code valid on a day? Vectorised over columns, one set at a time.

A verdict has three parts: the form (always judged, it needs no list), the list (where one is loaded), and whether that list
covers the day. Without a list, or with a partial one, a code that is not found is `unchecked`, never invalid: `missing` makes
one warning of it that says which set to load.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from enum import IntEnum
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.codes import catalogue, editions
from pipeline.codes.editions import Editions, Ints, Mask
from pipeline.findings import Finding
from pipeline.wording import counted


class Status(IntEnum):
    """How a code stands on a day."""

    VALID = 0
    HEADING = 1  # it needs more characters
    ENDED = 2  # its last day is past
    NOT_YET = 3  # its first day is to come
    UNKNOWN = 4  # the edition does not have it
    MALFORMED = 5  # it has not the form of the set
    UNCHECKED = 6  # the form is right, and no whole list is loaded
    EMPTY = 7  # there is no code


#: statuses that stop a claim
WRONG = (Status.HEADING, Status.ENDED, Status.NOT_YET, Status.UNKNOWN, Status.MALFORMED)


@dataclass(frozen=True, slots=True)
class Judgement:
    """For each row: the status, the edition that answered (its position, -1 for none), whether it covers the day, and its row."""

    set: str
    status: np.ndarray  # of uint8: Status
    edition: Ints
    covers: Mask
    row: Ints
    editions: Editions

    @property
    def wrong(self) -> Mask:
        return np.isin(self.status, WRONG)

    def name(self, row: int) -> str:
        """Name of the edition that answered for a row."""
        number = int(self.edition[row])
        return self.editions.all[number].name if number >= 0 else ""


def normal(code: str) -> str:
    """A code as people write it → as it travels: no point, no blanks, capitals."""
    return code.replace(".", "").strip().upper()


def judge(
    name: str, codes: pa.Array | pa.ChunkedArray | Sequence[str | None], days: Any, home: Path | None = None
) -> Judgement:
    """Judge a column of codes of one set, each on its day.

    `codes` is an Arrow or plain column of text, `days` a date32 column, datetime64, or days since 1970, of the same length. The
    cost goes with the number of distinct codes and days. Codes may carry points, blanks and small letters.
    """
    return judge_in(catalogue.one(name), editions.open_set(name, home), codes, editions.days_of(days))


def judge_in(code_set: catalogue.CodeSet, found: Editions, codes: Any, days: Ints) -> Judgement:
    """The same with the editions at hand, and `days` since 1970."""
    index, values = editions.distinct(codes)
    written = [normal(v) if v is not None else "" for v in values]
    if code_set.id == "bill_type":
        written = [v[1:] if len(v) == 4 and v[0] == "0" else v for v in written]
    formed = np.array([*(code_set.formed(v) for v in written), False], dtype=bool)[index]
    keys = np.append(editions.key_of(written), np.uint64(0))[index]
    size = index.size
    status = np.full(size, Status.UNCHECKED, dtype=np.uint8)
    edition = np.full(size, -1, dtype=np.int64)
    covers = np.zeros(size, dtype=bool)
    row = np.full(size, -1, dtype=np.int64)
    numbers = {id(e): i for i, e in enumerate(found.all)}
    for one, rows, covered in found.each(days):
        edition[rows], covers[rows] = numbers[id(one)], covered
        status[rows], row[rows] = in_edition(one, keys[rows], days[rows])
    status[~formed] = Status.MALFORMED
    status[np.array([*(v == "" for v in written), True], dtype=bool)[index]] = Status.EMPTY
    return Judgement(code_set.id, status, edition, covers, row, found)


def in_edition(edition: editions.Edition, keys: Ints, days: Ints) -> tuple[np.ndarray, Ints]:
    """Status and row of each key in one edition. A code may have several spans of days; the best of them counts."""
    missing = Status.UNCHECKED if edition.about.partial else Status.UNKNOWN
    status = np.full(keys.size, missing, dtype=np.uint8)
    row = np.full(keys.size, -1, dtype=np.int64)
    if not keys.size or not edition.table.num_rows:
        return status, row
    first, last = edition.spans(keys)
    starts, ends = edition.numbers("start"), edition.numbers("end")
    billable = edition.numbers("billable") if "billable" in edition.table.column_names else None
    valid = np.zeros(keys.size, dtype=bool)
    for step in range(int((last - first).max(initial=0))):
        here = np.flatnonzero((first + step < last) & ~valid)
        at = first[here] + step
        begun, over = starts[at] <= days[here], ends[at] < days[here]
        status[here] = np.where(~begun, Status.NOT_YET, np.where(over, Status.ENDED, Status.VALID))
        row[here] = at
        valid[here] = begun & ~over
    if billable is not None:
        heading = np.flatnonzero(row >= 0)
        heading = heading[~billable[row[heading]].astype(bool)]
        status[heading] = Status.HEADING
    return status, row


def procedure_set(code: str) -> str:
    """Which set a procedure code belongs to, by its form: D with digits is the ADA's, other letters CMS's, the rest the AMA's."""
    for name in ("cdt", "hcpcs", "cpt"):
        if catalogue.one(name).formed(code):
            return name
    return ""


def judge_procedures(
    codes: pa.Array | pa.ChunkedArray | Sequence[str | None], days: Any, home: Path | None = None
) -> tuple[np.ndarray, Mask, dict[str, Judgement]]:
    """Judge CPT, HCPCS and CDT codes that share a column: status by row, covers by row, and the judgement of each set."""
    index, values = editions.distinct(codes)
    days = editions.days_of(days)
    written = [normal(v) if v is not None else None for v in values]
    belongs = [procedure_set(v) if v else "" for v in written]
    status = np.full(index.size, Status.MALFORMED, dtype=np.uint8)
    covers = np.zeros(index.size, dtype=bool)
    status[np.array([*(not v for v in written), True], dtype=bool)[index]] = Status.EMPTY
    found: dict[str, Judgement] = {}
    for name in sorted(set(belongs) - {""}):
        rows = np.flatnonzero(np.array([*(b == name for b in belongs), False], dtype=bool)[index])
        column = pa.array([written[i] for i in index[rows].tolist()], pa.string())
        found[name] = judge(name, column, days[rows], home)
        status[rows], covers[rows] = found[name].status, found[name].covers
    return status, covers, found


def missing(judgements: Iterable[Judgement]) -> list[Finding]:
    """One warning for each set whose codes could only be judged by their form."""
    findings = []
    for judgement in judgements:
        number = int((judgement.status == Status.UNCHECKED).sum())
        if not number:
            continue
        code_set = catalogue.one(judgement.set)
        whose = f" The list is licensed by {code_set.owner}; load the file that you license." if code_set.owner else ""
        have = "only a partial list" if judgement.editions else "no list"
        findings.append(
            Finding(
                rule="code-set-missing", severity="warning", snip=5, subject=code_set.id,
                message=f"{counted(number, 'code was', 'codes were')} judged by "
                f"{'its' if number == 1 else 'their'} form alone: {have} of {code_set.title} is loaded.",
                fix=f"claimpipe codes load FILE --set {code_set.id}. Official name: {code_set.source}.{whose}",
            )
        )  # fmt: skip
    return findings


def judged_by(number: int, one: str, many: str, first: date, last: date) -> str:
    """3 codes of services from 2026-11-02 to 2026-11-19 were judged by (the list of other days)."""
    days = f"on {first}" if first == last else f"from {first} to {last}"
    return f"{counted(number, one, many)} of services {days} {'was' if number == 1 else 'were'} judged by"


def not_covered(judgement: Judgement, days: Any) -> list[Finding]:
    """One warning for each edition that judged days which it does not cover."""
    days = editions.days_of(days)
    judged = ~judgement.covers & (judgement.edition >= 0) & ~np.isin(judgement.status, (Status.EMPTY, Status.MALFORMED))
    findings = []
    code_set = catalogue.one(judgement.set)
    for number in np.unique(judgement.edition[judged]).tolist():
        mine = days[judged & (judgement.edition == number)]
        first, last = (date.fromordinal(int(d) + editions.EPOCH) for d in (mine.min(), mine.max()))
        findings.append(
            Finding(
                rule="code-set-edition", severity="warning", snip=5,
                subject=f"{judgement.set} {judgement.editions.all[number].name}",
                message=f"{judged_by(mine.size, 'code', 'codes', first, last)} the {code_set.title} list of "
                f"{judgement.editions.all[number].name}: no list of those days is loaded.",
                fix=f"Load the official files of those days: claimpipe codes load FILE --set {judgement.set} --effective DATE.",
            )
        )  # fmt: skip
    return findings

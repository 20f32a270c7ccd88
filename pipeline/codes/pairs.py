"""NCCI procedure-to-procedure pairs: which procedures may not be billed together on one day, at full size.

Theory. A pair is two codes of five letters or digits. Each is a number in base 37, the two of them one integer below 2**53, so
a table of millions of pairs is one sorted column of integers, mapped from its file, and a question is a binary search. Lines
that share a group (a claim, or a patient and provider) and a day are joined with one another in bounded blocks; distinct pairs
of codes are asked once, whatever the number of claims.

Modifier indicator: 0, no modifier opens the pair; 1, a modifier of `schemas/codes/ncci_modifiers.csv` on either line does;
9, the pair was taken back as if it had never been, and stops nothing.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from pipeline import shapes
from pipeline.codes import editions, sources
from pipeline.codes.catalogue import CodeSet
from pipeline.codes.editions import OPEN_END, OPEN_START, Edition, Editions, Ints, Mask
from pipeline.codes.sources import Source
from pipeline.errors import Terminal
from pipeline.findings import Finding
from pipeline.wording import counted

_DIGITS = {c: n for n, c in enumerate("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", 1)}
_BASE = 37
_CODE = _BASE**5
_BLOCK = 1 << 21  # pairs of lines that are looked at together
_DENSE = 1 << 24  # distinct pairs of codes up to which a table of all is kept

SCHEMA = pa.schema(
    [
        pa.field("key", pa.uint64(), nullable=False),
        pa.field("start", pa.int32(), nullable=False),
        pa.field("end", pa.int32(), nullable=False),
        pa.field("indicator", pa.int8(), nullable=False),
        pa.field("words", pa.dictionary(pa.int16(), pa.string()), nullable=False),
    ]
)


def pack(code: str | None) -> int:
    """A code of five letters or digits as a number; 0 for anything else."""
    if code is None or len(code) != 5:
        return 0
    number = 0
    for character in code:
        digit = _DIGITS.get(character)
        if digit is None:
            return 0
        number = number * _BASE + digit
    return number


def unpack(number: int) -> str:
    """The code of a number that `pack` made."""
    found = ""
    while number:
        number, digit = divmod(number, _BASE)
        found = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[digit - 1] + found
    return found


# --- loading --------------------------------------------------------------------------------------------------------------


def read_text(
    source: Source, delimiter: str, skip: int, columns: dict[str, int], code_set: CodeSet, most: int
) -> tuple[pa.Table, list[Finding], int]:
    """A text file of pairs, read in bounded pieces. `skip` is the number of lines above the data.

    Returns the pairs, the findings of lines that do not fit (at most `most`), and how many further there are.
    """
    checked = _Checked(source.name, most)
    width = max(columns.values()) + 1
    bad: list[tuple[int, str]] = []

    def invalid(row: Any) -> str:
        bad.append((row.number or 0, f"{counted(row.actual_columns, 'column')} instead of {row.expected_columns}"))
        return "skip"

    with source.open() as stream:
        for _ in range(skip):
            stream.readline()
        position = stream.readline()
        while position and _heading(position.decode("latin-1"), delimiter, columns["code"]):
            skip += 1
            position = stream.readline()
        names = [
            f"c{i}"
            for i in range(max(width, len(next(csv.reader([position.decode("latin-1")], delimiter=delimiter), []))))
        ]
        wanted = {name: f"c{at}" for name, at in columns.items()}
        try:
            reader = pacsv.open_csv(
                pa.PythonFile(_Again(position, stream), mode="r"),
                read_options=pacsv.ReadOptions(column_names=names, block_size=1 << 23, use_threads=False),
                parse_options=pacsv.ParseOptions(delimiter=delimiter, invalid_row_handler=invalid, ignore_empty_lines=False),
                convert_options=pacsv.ConvertOptions(
                    include_columns=list(wanted.values()), strings_can_be_null=False, check_utf8=False,
                    column_types={c: pa.binary() for c in wanted.values()},
                ),
            )  # fmt: skip
            tables = []
            given = 0
            for batch in reader:
                cells = {name: batch.column(batch.schema.get_field_index(c)) for name, c in wanted.items()}
                # lines that Arrow left out are counted in: the n-th row that it gives is not the n-th line
                gaps = np.array(sorted(number for number, _ in bad), dtype=np.int64)
                order = np.arange(given + 1, given + 1 + batch.num_rows)
                shift = np.searchsorted(gaps - np.arange(gaps.size), order, "right")
                tables.append(checked.take(cells, order + shift + skip))
                given += batch.num_rows
        except sources.UNREADABLE as error:
            raise Terminal(
                f"The file {source.name} cannot be read ({type(error).__name__}).",
                fix="Fetch it again from its publisher.",
            ) from error
        except pa.ArrowException as error:
            raise Terminal(
                f"The file {source.name} is no table of text ({type(error).__name__}).",
                fix="Fetch it again from its publisher.",
            ) from error
    for number, what in bad:
        checked.finding(number + skip, f"The line has {what}.")
    table = pa.concat_tables(tables) if tables else SCHEMA.empty_table()
    return table.unify_dictionaries(), checked.findings, checked.more


def _heading(line: str, delimiter: str, at: int) -> bool:
    """Does a line right below the heading still belong to it? It has no code then."""
    cells = next(csv.reader([line], delimiter=delimiter), [])
    return len(cells) <= at or not cells[at].strip()


class _Again(io.RawIOBase):
    """A stream with its first line put back."""

    def __init__(self, first: bytes, stream: Any) -> None:
        self._first, self._stream = first, stream

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if self._first:
            first, self._first = self._first, b""
            return first
        data: bytes = self._stream.read(size)
        return data


def read_rows(
    name: str, rows: Iterable[tuple[int, list[str]]], columns: dict[str, int], code_set: CodeSet, most: int
) -> tuple[pa.Table, list[Finding], int]:
    """Pairs from rows of texts (a workbook), in bounded pieces; see `read_text`."""
    checked = _Checked(name, most)
    tables = []
    for lines, piece in _pieces(rows, columns):
        cells = {c: pa.array([row[i] if i < len(row) else "" for row in piece], pa.string()).cast(pa.binary())
                 for c, i in columns.items()}  # fmt: skip
        tables.append(checked.take(cells, np.array(lines)))
    table = pa.concat_tables(tables) if tables else SCHEMA.empty_table()
    return table.unify_dictionaries(), checked.findings, checked.more


def _pieces(
    rows: Iterable[tuple[int, list[str]]], columns: dict[str, int]
) -> Iterator[tuple[list[int], list[list[str]]]]:
    lines: list[int] = []
    piece: list[list[str]] = []
    begun = False
    for number, cells in rows:
        if not begun and (len(cells) <= columns["code"] or not cells[columns["code"]].strip()):
            continue
        begun = True
        lines.append(number)
        piece.append(cells)
        if len(piece) == 100_000:
            yield lines, piece
            lines, piece = [], []
    if piece:
        yield lines, piece


class _Checked:
    """Turns pieces of a file into rows of pairs, and keeps the findings."""

    def __init__(self, name: str, most: int) -> None:
        self.name, self.most = name, most
        self.findings: list[Finding] = []
        self.more = 0

    def finding(self, line: int, message: str) -> None:
        if len(self.findings) >= self.most:
            self.more += 1
            return
        self.findings.append(
            Finding(
                rule="codes-row", severity="error", message=message, file=self.name, source=f"{self.name} line {line}",
                fix="Mend the line, or fetch the file again from its publisher; nothing of it was loaded.",
            )
        )  # fmt: skip

    def take(self, cells: dict[str, pa.Array], lines: Ints) -> pa.Table:
        first, second = _codes(cells["code"]), _codes(cells["second"])
        start, bad_start = _days(cells["start"], OPEN_START) if "start" in cells else (None, None)
        end, bad_end = _days(cells["end"], OPEN_END)
        indicator = _mapped(cells["indicator"], lambda t: int(t) if t in ("0", "1", "9") else -1, np.int8)
        blank = _mapped(cells["code"], lambda t: not t, bool) & _mapped(cells["second"], lambda t: not t, bool)
        wrong = [
            ((first == 0) & ~blank, "The first code is not five letters or digits."),
            ((second == 0) & ~blank, "The second code is not five letters or digits."),
            ((indicator < 0) & ~blank, "The modifier indicator is not 0, 1 or 9."),
            (bad_end & ~blank, "The deletion date is no date."),
        ]
        if bad_start is not None:
            wrong.append((bad_start & ~blank, "The effective date is no date."))
        keep = ~blank
        for mask, message in wrong:
            keep &= ~mask
            for at in np.flatnonzero(mask).tolist():
                self.finding(int(lines[at]), message)
        words = cells.get("words")
        if words is None:
            texts = pa.array([""] * len(first)).dictionary_encode()
        else:
            texts = pc.cast(words, pa.string(), safe=False) if not pa.types.is_string(words.type) else words
            texts = texts.dictionary_encode()
        return pa.table(
            [
                pa.array(first * np.uint64(_CODE) + second),
                pa.array(np.full(first.size, OPEN_START, np.int32) if start is None else start),
                pa.array(end),
                pa.array(indicator),
                pa.DictionaryArray.from_arrays(texts.indices.cast(pa.int16()), texts.dictionary),
            ],
            schema=SCHEMA,
        ).filter(pa.array(keep))


def _mapped(cells: pa.Array, make: Any, dtype: Any) -> np.ndarray:
    """Each distinct cell's value, by row."""
    encoded = cells.dictionary_encode()
    made = np.array([make((v or b"").decode("latin-1").strip()) for v in encoded.dictionary.to_pylist()], dtype=dtype)
    return made[encoded.indices.to_numpy(zero_copy_only=False)]


def _codes(cells: pa.Array) -> Ints:
    return _mapped(cells, lambda t: pack(t.upper()), np.uint64)


def _days(cells: pa.Array, default: int) -> tuple[Ints, Mask]:
    """Days since 1970, and which cells are no date."""
    bad = -(2**31) + 1

    def day(text: str) -> int:
        try:
            return editions.published_day(text, default)
        except ValueError:
            return bad

    found = _mapped(cells, day, np.int32)
    return found, found == bad


def sort(table: pa.Table) -> pa.Table:
    """Pairs by key and first day; the same pair twice is one."""
    table = table.unify_dictionaries().combine_chunks()
    keys, starts = table.column("key").to_numpy(), table.column("start").to_numpy()
    ends, indicators = table.column("end").to_numpy(), table.column("indicator").to_numpy()
    order = np.lexsort((ends, starts, keys))
    keys, starts, ends, indicators = keys[order], starts[order], ends[order], indicators[order]
    fresh = np.ones(keys.size, dtype=bool)
    fresh[1:] = (
        (keys[1:] != keys[:-1])
        | (starts[1:] != starts[:-1])
        | (ends[1:] != ends[:-1])
        | (indicators[1:] != indicators[:-1])
    )
    return table.take(pa.array(order[fresh]))


# --- looking up -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Conflicts:
    """Pairs of lines that the table forbids on their day. All arrays have one entry a conflict, sorted by line.

    `column1` and `column2` are rows of the lines asked about; the payer denies `column2`. `indicator` is 0 or 1 (a modifier
    would open it); `covered` is false where the edition that answered does not cover the day.
    """

    column1: Ints
    column2: Ints
    indicator: np.ndarray
    covered: Mask

    def __len__(self) -> int:
        return int(self.column1.size)


@cache
def associated_modifiers() -> dict[str, int]:
    """Modifiers that open a pair of indicator 1 → first day, in days since 1970."""
    path = shapes.schemas_dir() / "codes" / "ncci_modifiers.csv"
    with path.open(encoding="utf-8", newline="") as file:
        return {
            row["modifier"]: editions.number_of(date.fromisoformat(row["effective_from"]))
            for row in csv.DictReader(file)
        }


def opens(modifiers: Sequence[Any], days: Ints) -> Mask:
    """Rows with an associated modifier, in force on the row's day, in any of the modifier columns."""
    table = associated_modifiers()
    found = np.zeros(days.size, dtype=bool)
    for column in modifiers:
        index, values = editions.distinct(column)
        first = np.array([*(table.get(v, OPEN_END) if v else OPEN_END for v in values), OPEN_END], dtype=np.int64)[
            index
        ]
        found |= first <= days
    return found


def groups(*columns: Any) -> Ints:
    """Rows that are equal in all columns get the same number: the claim, or patient and provider. Null is a value of its own."""
    number: Ints | None = None
    for column in columns:
        if isinstance(column, np.ndarray) and column.dtype.kind in "iu":
            index = _ranked(column)
        else:
            index = editions.distinct(column)[0] + 1
        number = index if number is None else _ranked(number * (int(index.max(initial=0)) + 1) + index)
    if number is None:
        raise ValueError("no columns")
    return number


def _ranked(numbers: Ints) -> Ints:
    """Each number's place among the distinct ones."""
    order = np.argsort(numbers, kind="stable")
    fresh = np.zeros(numbers.size, dtype=np.int64)
    fresh[1:] = numbers[order[1:]] != numbers[order[:-1]]
    place = np.empty(numbers.size, dtype=np.int64)
    place[order] = np.cumsum(fresh)
    return place


def conflicts(
    table: Editions | str, *, group: Ints, procedure: Any, day: Any, modifiers: Sequence[Any], home: Path | None = None
) -> Conflicts:
    """All pairs of lines of one group and day that the table forbids.

    `table` is a set's id or its editions; `group` an integer a line (see `groups`); `procedure` and each of `modifiers` columns
    of text; `day` the days of service. Lines of equal codes are never a pair. Memory is bounded whatever the size of a group.
    """
    found = editions.open_set(table, home) if isinstance(table, str) else table
    days = editions.days_of(day)
    index, values = editions.distinct(procedure)
    packed = np.array([*(pack(v) for v in values), 0], dtype=np.uint64)
    opened = opens(modifiers, days)
    pieces: list[tuple[Ints, Ints, np.ndarray, Mask]] = []
    for edition, rows, covered in found.each(days):
        usable = (index[rows] >= 0) & (packed[index[rows]] > 0)
        rows, covered = rows[usable], covered[usable]
        finder = _Finder(edition, packed, len(values))
        for left, right in _joined(group[rows], days[rows], index[rows]):
            first, second, at = finder.ask(rows[left], rows[right], index)
            if not first.size:
                continue
            on = days[first]
            kind = finder.indicator[at]
            holds = (finder.start[at] <= on) & (on <= finder.end[at]) & (kind != 9)
            holds &= ~((kind == 1) & (opened[first] | opened[second]))
            first, second, kind = first[holds], second[holds], kind[holds]
            if first.size:
                pieces.append((first, second, kind, covered[np.searchsorted(rows, first)]))
    if not pieces:
        none = np.zeros(0, dtype=np.int64)
        return Conflicts(none, none, np.zeros(0, np.int8), np.zeros(0, bool))
    first, second, kind, inside = (np.concatenate(p) for p in zip(*pieces, strict=True))
    order = np.lexsort((first, second))
    return Conflicts(first[order], second[order], kind[order], inside[order])


def _joined(group: Ints, days: Ints, index: Ints) -> Iterator[tuple[Ints, Ints]]:
    """Ordered pairs of positions that share group and day and differ in code, in blocks of bounded size."""
    order = np.lexsort((days, group))
    if order.size < 2:
        return
    g, d = group[order], days[order]
    fresh = np.ones(order.size, dtype=bool)
    fresh[1:] = (g[1:] != g[:-1]) | (d[1:] != d[:-1])
    number = np.cumsum(fresh) - 1
    begins = np.flatnonzero(fresh)
    sizes = np.diff(np.append(begins, order.size))
    partners = sizes[number]  # of each line, itself included
    alone = partners < 2
    lines = np.flatnonzero(~alone)
    reach = np.cumsum(partners[lines])
    at = 0
    while at < lines.size:
        before = reach[at - 1] if at else 0
        stop = max(int(np.searchsorted(reach, before + _BLOCK, "right")), at + 1)
        here = lines[at:stop]
        width = partners[here]
        left = np.repeat(here, width)
        offset = np.arange(width.sum()) - np.repeat(np.cumsum(width) - width, width)
        right = np.repeat(begins[number[here]], width) + offset
        differ = index[order[left]] != index[order[right]]
        yield order[left[differ]], order[right[differ]]
        at = stop


class _Finder:
    """Asks one edition for pairs of codes, each distinct pair once."""

    def __init__(self, edition: Edition, packed: Ints, size: int) -> None:
        self.edition, self.packed, self.size = edition, packed, size
        self.start, self.end = edition.numbers("start"), edition.numbers("end")
        self.indicator = edition.numbers("indicator")

    def ask(self, left: Ints, right: Ints, index: Ints) -> tuple[Ints, Ints, Ints]:
        """Lines (column 1, column 2) whose codes are a pair, with the row of the table, one entry for each row that they have."""
        both = index[left] * self.size + index[right]
        if self.size * self.size <= _DENSE:
            seen = np.zeros(self.size * self.size, dtype=bool)
            seen[both] = True
            asked = np.flatnonzero(seen)
            place = np.zeros(self.size * self.size, dtype=np.int32)
            place[asked] = np.arange(asked.size, dtype=np.int32)
            which = place[both]
        else:
            asked, which = np.unique(both, return_inverse=True)
        keys = self.packed[asked // self.size] * np.uint64(_CODE) + self.packed[asked % self.size]
        low, high = self.edition.spans(keys)
        number = (high - low)[which]
        hit = np.flatnonzero(number)
        repeat = number[hit]
        offset = np.arange(repeat.sum()) - np.repeat(np.cumsum(repeat) - repeat, repeat)
        at = np.repeat(low[which[hit]], repeat) + offset
        return np.repeat(left[hit], repeat), np.repeat(right[hit], repeat), at

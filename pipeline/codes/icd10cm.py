"""ICD-10-CM by edition: which codes exist on a day, and which of them may stand on a claim.

An edition is the whole list that is in force from a day (1 October, or 1 April) until the next. Only the last level of the
list is billable; the levels above are headings. `valid` answers for a code and a day with the edition that it used and
whether that edition covers the day. Codes travel without the point ("J209").

Where no edition covers the day the nearest one answers, corrected by `schemas/codes/icd10cm_changes.csv`: the days on
which some codes came or went, a partial list, for the codes that our own coding rules use.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import shapes
from pipeline.errors import Terminal, Transient

#: first day on which US claims carry ICD-10-CM; services before it were coded in ICD-9-CM
FIRST_DAY = date(2015, 10, 1)
_SHAPE = re.compile(r"^[A-Z][0-9A][0-9AB][0-9A-Z]{0,4}$")
_ORDER_LINE = re.compile(r"^\d{5} (?P<code>[A-Z0-9]{3,7}) +(?P<flag>[01]) ")
_CODES_LINE = re.compile(r"^(?P<code>[A-Z0-9]{3,7})\s+\S")
_LIST_LINE = re.compile(r"^(?P<code>[A-Z][0-9A][0-9AB][0-9A-Z]{0,4}|[A-Z]\w\w-[A-Z]\w\w|\d{1,2})\s*$")


class Status(StrEnum):
    billable = "billable"
    heading = "heading"  # a category: it needs more characters
    unknown = "unknown"
    before_icd10 = "before_icd10"  # the day is before ICD-10-CM


class Verdict(NamedTuple):
    """`edition` is the name of the one that answered; `covers` is false where it is not in force on the day."""

    status: Status
    edition: str
    covers: bool


@dataclass(frozen=True, slots=True)
class Edition:
    """One list: in force from `effective_from` to `effective_to`, both included."""

    name: str
    effective_from: date
    effective_to: date
    billable: frozenset[str]
    headings: frozenset[str]
    origin: str = ""

    def status(self, code: str) -> Status:
        if code in self.billable:
            return Status.billable
        return Status.heading if code in self.headings else Status.unknown


@dataclass(frozen=True, slots=True)
class _Change:
    start: date
    end: date


class Icd10cm:
    """The loaded editions, answering by day."""

    def __init__(self, editions: Sequence[Edition]) -> None:
        if not editions:
            raise Terminal(
                "No ICD-10-CM edition is loaded.", fix="Reinstall claimpipe or run: claimpipe codes load FILE"
            )
        ordered = sorted(editions, key=lambda e: e.effective_from)
        # an edition ends the day before the next begins, at the latest
        self.editions = tuple(
            Edition(
                e.name, e.effective_from,
                min(e.effective_to, ordered[i + 1].effective_from - timedelta(days=1)) if i + 1 < len(ordered)
                else e.effective_to,
                e.billable, e.headings, e.origin,
            )
            for i, e in enumerate(ordered)
        )  # fmt: skip
        self._changes = _changes()
        self._cache: dict[tuple[str, date], Verdict] = {}

    def edition(self, on: date) -> tuple[Edition, bool]:
        """The edition that answers for a day, and whether it covers it."""
        for edition in self.editions:
            if edition.effective_from <= on <= edition.effective_to:
                return edition, True
        return min(
            self.editions,
            key=lambda e: (e.effective_from - on).days if on < e.effective_from else (on - e.effective_to).days,
        ), False

    def valid(self, code: str, on: date) -> Verdict:
        key = (code, on)
        found = self._cache.get(key)
        if found is None:
            found = self._cache[key] = self._judge(code, on)
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


def normal(code: str) -> str:
    """A code as people write it → as it travels: no point, no blanks, capitals."""
    return code.replace(".", "").strip().upper()


def shaped(code: str) -> bool:
    """Three to seven characters in the pattern of ICD-10-CM."""
    return bool(_SHAPE.match(code))


def valid(code: str, on: date) -> Verdict:
    """Judge one code on one day by the shipped editions alone."""
    return open_icd10cm().valid(normal(code), on)


def open_icd10cm(home: Path | None = None) -> Icd10cm:
    """The shipped editions and those that the user loaded into `home`/codes."""
    places = [shapes.schemas_dir() / "codes" / "icd10cm"]
    if home is not None:
        places.append(Path(home) / "codes" / "icd10cm")
    paths = {path.name: path for place in places for path in sorted(place.glob("*.parquet"))}
    return _open(tuple((str(p), p.stat().st_mtime_ns) for p in paths.values()))


@cache
def _open(paths: tuple[tuple[str, int], ...]) -> Icd10cm:
    return Icd10cm([read_edition(Path(path)) for path, _ in paths])


def read_edition(path: Path) -> Edition:
    """One edition from its Parquet file. Terminal, naming the file, where it cannot be read."""
    try:
        table = pq.ParquetFile(path).read()
        about = json.loads(table.schema.metadata[b"claimpipe"])
        codes, flags = table.column("code").to_pylist(), table.column("billable").to_pylist()
    except (OSError, KeyError, TypeError, ValueError, pa.ArrowException) as error:
        raise Terminal(
            f"The code set file {path} cannot be read ({type(error).__name__}).",
            fix="Remove it and load the official file again: claimpipe codes load FILE",
        ) from error
    return Edition(
        about["name"], date.fromisoformat(about["effective_from"]), date.fromisoformat(about["effective_to"]),
        frozenset(c for c, f in zip(codes, flags, strict=True) if f),
        frozenset(c for c, f in zip(codes, flags, strict=True) if not f), about["origin"],
    )  # fmt: skip


def write_edition(edition: Edition, folder: Path) -> Path:
    """Keep an edition as Parquet, the same bytes for the same edition: code, billable, and what it is in the metadata."""
    codes = sorted(edition.billable | edition.headings)
    about = {
        "name": edition.name,
        "effective_from": edition.effective_from.isoformat(),
        "effective_to": edition.effective_to.isoformat(),
        "origin": edition.origin,
    }
    schema = pa.schema(
        [pa.field("code", pa.string(), nullable=False), pa.field("billable", pa.bool_(), nullable=False)],
        metadata={b"claimpipe": json.dumps(about, sort_keys=True).encode()},
    )
    table = pa.table([pa.array(codes), pa.array([c in edition.billable for c in codes])], schema=schema)
    buffer = io.BytesIO()
    pq.write_table(
        table, buffer, compression="zstd", compression_level=19, use_dictionary=False,
        column_encoding={"code": "DELTA_BYTE_ARRAY", "billable": "PLAIN"},
    )  # fmt: skip
    path = folder / f"{edition.name}.parquet"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".part")
        temporary.write_bytes(buffer.getvalue())
        temporary.replace(path)
    except OSError as error:
        raise Transient(
            f"The folder {folder} refused a file ({error.strerror or type(error).__name__}).",
            fix="Free some space, then load the file again.",
        ) from error
    return path


def load_file(path: Path, home: Path, effective_from: date, effective_to: date | None = None) -> Edition:
    """Load an official ICD-10-CM file into `home`/codes, in force from a day.

    Read are the order file (every code with a flag), the codes file (billable codes only: headings follow from them) and a
    plain list of codes; text, or gzip of it. Without `effective_to` the edition ends on the 30 September that follows.
    Terminal where the file is none of these.
    """
    if effective_from < FIRST_DAY:
        raise Terminal(
            f"No ICD-10-CM edition was in force on {effective_from}.", fix="Give the day that the list took effect."
        )
    try:
        data = path.read_bytes()
        if data[:2] == b"\x1f\x8b":
            data = gzip.decompress(data)
        text = data.decode("utf-8-sig")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise Terminal(
            f"The file {path} cannot be read ({type(error).__name__}).", fix="Give a text file, or gzip of one."
        ) from error
    billable, headings = parse(text.splitlines(), path.name)
    edition = Edition(
        effective_from.isoformat(), effective_from, effective_to or _end_of_year(effective_from), billable, headings,
        f"loaded from {path.name}",
    )  # fmt: skip
    write_edition(edition, home / "codes" / "icd10cm")
    return edition


def parse(lines: Iterable[str], name: str) -> tuple[frozenset[str], frozenset[str]]:
    """Lines of an official file → billable codes and headings."""
    listed = [line.rstrip() for line in lines if line.strip()]
    if listed and all(_ORDER_LINE.match(line) for line in listed):
        pairs = [(line[6:14].strip(), line[14] == "1") for line in listed]
        return frozenset(c for c, f in pairs if f), frozenset(c for c, f in pairs if not f)
    if listed and all(_LIST_LINE.match(line) for line in listed):
        everything = {code for line in listed if shaped(code := line.strip())}
        headings = {code[:n] for code in everything for n in range(3, len(code)) if code[:n] in everything}
        # a seventh character may stand behind placeholders: T36.0X1A hangs below T36.0X1
        return frozenset(everything - headings), frozenset(headings)
    if listed and all((m := _CODES_LINE.match(line)) and shaped(m["code"]) for line in listed):
        billable = frozenset(line.split(maxsplit=1)[0] for line in listed)
        above = {code[:n] for code in billable for n in range(3, len(code))}
        return billable, frozenset(above - billable)
    raise Terminal(
        f"The file {name} is not a list of ICD-10-CM codes that claimpipe knows.",
        fix="Give the official order file or codes file, as text or gzip.",
    )


def loaded(home: Path | None = None) -> list[dict[str, object]]:
    """What is loaded, oldest first: name, from, to, billable codes, origin."""
    return [
        {
            "set": "ICD-10-CM", "edition": e.name, "effective_from": e.effective_from.isoformat(),
            "effective_to": e.effective_to.isoformat(), "billable": len(e.billable), "origin": e.origin,
        }
        for e in open_icd10cm(home).editions
    ]  # fmt: skip


def _end_of_year(start: date) -> date:
    return date(start.year + (start.month >= 10), 9, 30)


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

"""Editions: one list of a code set, as it is in force from a day until the next one.

Theory. A look-up answers for a code *and a day*. The day picks exactly one edition, so that editions are never mixed; within it
a row may carry days of its own (a HCPCS code that ended in March), and those decide next. Where no edition covers the day the
nearest one answers and says so. A set with `history` tells the past in its rows: its next edition covers the days before it.

An edition is one Arrow file, `HOME/codes/<set>/<first day>.arrow`, not compressed, so that it is mapped and not read; its rows
are sorted by `key`, the code's letters as one number, so that a look-up is a binary search over the mapped column. What ships
with claimpipe (`schemas/codes/`) is read into the same shape. Codes are no patient data.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.ipc as ipc
import pyarrow.parquet as pq

from pipeline import shapes
from pipeline.codes import catalogue
from pipeline.codes.catalogue import CodeSet
from pipeline.errors import Terminal, Transient

Ints = np.ndarray  # of integers
Mask = np.ndarray  # of booleans

EPOCH = date(1970, 1, 1).toordinal()
#: a row without a first or last day of its own
OPEN_START, OPEN_END = -(2**31), 2**31 - 1
WIDTH = 8  # letters of a code that fit into its key
_TYPES = {"text": pa.string(), "integer": pa.int64(), "decimal": pa.decimal128(18, 6), "flag": pa.bool_()}


@dataclass(frozen=True, slots=True)
class About:
    """What an edition is. `origin` names the files it came from, `sha256` is the hash of their bytes."""

    set: str
    name: str
    effective_from: date
    effective_to: date
    origin: str
    sha256: str = ""
    rows: int = 0
    shipped: bool = False
    partial: bool = False
    dated: bool = False  # its rows carry first days, so with `history` it tells the past
    notes: tuple[str, ...] = ()

    def as_json(self) -> bytes:
        return json.dumps(asdict(self), default=str, sort_keys=True).encode()


@dataclass(frozen=True)
class Edition:
    """One edition with its rows: `key`, `code`, `start`, `end` (days since 1970), `words`, and the set's own columns."""

    about: About
    table: pa.Table = field(repr=False)

    @property
    def name(self) -> str:
        return self.about.name

    @property
    def effective_from(self) -> date:
        return self.about.effective_from

    @property
    def effective_to(self) -> date:
        return self.about.effective_to

    def numbers(self, name: str) -> np.ndarray:
        """A column of numbers as numpy, mapped and not copied where the file allows it."""
        return np.asarray(self.table.column(name).combine_chunks().to_numpy(zero_copy_only=False))

    @property
    def billable(self) -> int:
        """How many codes may stand on a claim: all of them, where the set has no headings."""
        if "billable" not in self.table.column_names:
            return int(self.table.num_rows)
        return int(np.count_nonzero(self.numbers("billable")))

    def spans(self, keys: Ints) -> tuple[Ints, Ints]:
        """For each key the first and the last-but-one row that has it; both the same where none has."""
        own = self._keys
        return np.searchsorted(own, keys, "left"), np.searchsorted(own, keys, "right")

    @property
    def _keys(self) -> Ints:
        found: Ints | None = self.__dict__.get("_k")
        if found is None:
            found = self.numbers("key")
            object.__setattr__(self, "_k", found)
        return found


# --- keys and days ------------------------------------------------------------------------------------------------------


def key_of(codes: Sequence[str | None]) -> Ints:
    """Each code's letters (at most eight, ASCII) as one number that sorts as the letters do; 0 for null, too long, not ASCII."""
    packed = [
        c.encode() if c is not None and len(c) <= WIDTH and c.isascii() else b"" for c in codes
    ]  # a key of 0 is no code's
    return np.array(packed, dtype=f"S{WIDTH}").view(">u8").astype(np.uint64)


def distinct(values: pa.Array | pa.ChunkedArray | Sequence[str | None]) -> tuple[Ints, list[Any]]:
    """A column as (for each row the position of its value, or -1; the distinct values)."""
    array = values if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(values, pa.string())
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    if isinstance(array, pa.ChunkedArray):  # an empty one
        array = pa.array([], array.type)
    encoded = array if pa.types.is_dictionary(array.type) else array.dictionary_encode()
    index = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    return index, encoded.dictionary.to_pylist()


def days_of(days: Any) -> Ints:
    """Days as int32 since 1970: an Arrow date32 column, numpy datetime64, dates, or such integers already.

    Null days become `OPEN_START`, which no edition covers.
    """
    if isinstance(days, pa.ChunkedArray):
        days = days.combine_chunks()
    if isinstance(days, pa.Array | pa.ChunkedArray):
        return np.asarray(
            pc.fill_null(days.cast(pa.int32()), OPEN_START).to_numpy(zero_copy_only=False), dtype=np.int32
        )
    if isinstance(days, np.ndarray):
        if days.dtype.kind == "M":
            return days.astype("datetime64[D]").astype(np.int32)
        return days.astype(np.int32)
    return np.array([d.toordinal() - EPOCH for d in days], dtype=np.int32)


def number_of(day: date) -> int:
    """A date as days since 1970; the first and last date that Python knows stand for no limit."""
    if day == date.min:
        return OPEN_START
    return OPEN_END if day == date.max else day.toordinal() - EPOCH


def date_of(number: int) -> date:
    """Days since 1970 as a date; no limit is the first or the last date that Python knows."""
    if number == OPEN_START:
        return date.min
    return date.max if number == OPEN_END else date.fromordinal(number + EPOCH)


def published_day(text: str, default: int) -> int:
    """A date of a publisher → days since 1970; `default` for none."""
    text = text.strip().removesuffix(" 00:00:00")
    if text in ("", "*", "-", "N/A", "NA"):
        return default
    if text.isdigit() and len(text) == 8:
        found = date(int(text[:4]), int(text[4:6]), int(text[6:]))
    elif text.isdigit() and len(text) == 5:  # as a workbook stores a date
        return int(text) - 25569
    elif m := re.fullmatch(r"(\d{1,2})/(\d{1,2})/(\d{4})", text):
        found = date(int(m[3]), int(m[1]), int(m[2]))
    else:
        found = date.fromisoformat(text)
    return OPEN_END if found.year == 9999 else number_of(found)


# --- editions by day ----------------------------------------------------------------------------------------------------


class Editions:
    """The editions of one set, oldest first, each ending where the next begins."""

    def __init__(self, code_set: CodeSet, found: Iterable[Edition]) -> None:
        self.code_set = code_set
        ordered = sorted(found, key=lambda e: e.about.effective_from)
        # a whole list that tells the past takes the place of a partial one
        if code_set.history and any(e.about.dated and not e.about.partial for e in ordered):
            ordered = [e for e in ordered if not e.about.partial]
        clipped = []
        for edition, following in zip(ordered, [*ordered[1:], None], strict=False):
            last = edition.about.effective_to
            if following is not None:
                last = min(last, following.about.effective_from - timedelta(days=1))
            clipped.append(
                edition if last == edition.about.effective_to
                else Edition(replace(edition.about, effective_to=last), edition.table)
            )  # fmt: skip
        self.all = tuple(clipped)
        self._from = np.array([number_of(e.effective_from) for e in self.all], dtype=np.int64)
        self._to = np.array([number_of(e.effective_to) for e in self.all], dtype=np.int64)
        self._tells_past = np.array([code_set.history and e.about.dated for e in self.all], dtype=bool)

    def __bool__(self) -> bool:
        return bool(self.all)

    @property
    def whole(self) -> bool:
        """Is there an edition that is the whole set, so that a code it lacks is not valid?"""
        return any(not e.about.partial for e in self.all)

    def on(self, days: Ints) -> tuple[Ints, Mask]:
        """For each day the edition that answers, and whether it covers the day."""
        days = days.astype(np.int64)
        last = len(self.all) - 1
        before = np.clip(np.searchsorted(self._from, days, "right") - 1, 0, last)
        inside = (self._from[before] <= days) & (days <= self._to[before])
        after = np.clip(np.where(self._from[before] > days, before, before + 1), 0, last)
        # in a gap: the next edition where its rows tell the past, else whichever is nearer
        past = self._tells_past[after] & (self._from[after] > days) & (days > OPEN_START)
        nearer = np.where(
            (self._from[after] > days) & (self._from[after] - days <= days - self._to[before]), after, before
        )
        nearer = np.where(days < self._from[0], 0, nearer)
        return np.where(inside, before, np.where(past, after, nearer)), inside | past

    def each(self, days: Ints) -> list[tuple[Edition, Ints, Mask]]:
        """The rows of `days` by edition: (edition, rows that it answers for, which of those it covers)."""
        if not self.all or not days.size:
            return []
        which, covers = self.on(days)
        found = []
        for number in np.flatnonzero(np.bincount(which)).tolist():
            rows = np.flatnonzero(which == number)
            found.append((self.all[number], rows, covers[rows]))
        return found


def open_set(name: str, home: Path | None = None) -> Editions:
    """The editions of a set: what ships with claimpipe, and what the user loaded into `home`."""
    code_set = catalogue.one(name)
    paths: dict[str, Path] = {}
    places = [shapes.schemas_dir() / "codes" / name]
    if home is not None:
        places.append(Path(home) / "codes" / name)
    for place in places:
        for path in sorted([*place.glob("*.parquet"), *place.glob("*.arrow")]):
            paths[path.stem] = path
    return _open(
        name, code_set.shipped, tuple((str(p), p.stat().st_mtime_ns, p.stat().st_size) for p in paths.values())
    )


@cache
def _open(name: str, shipped: str, paths: tuple[tuple[str, int, int], ...]) -> Editions:
    code_set = catalogue.one(name)
    found = [read(Path(path), code_set) for path, _, _ in paths]
    if shipped:
        found.append(_shipped(name))
    return Editions(code_set, found)


# --- files --------------------------------------------------------------------------------------------------------------


def schema(code_set: CodeSet) -> pa.Schema:
    """The columns of an edition of the set."""
    return pa.schema(
        [
            pa.field("key", pa.uint64(), nullable=False),
            pa.field("code", pa.string(), nullable=False),
            pa.field("start", pa.int32(), nullable=False),
            pa.field("end", pa.int32(), nullable=False),
            pa.field("words", pa.string(), nullable=False),
            *(pa.field(name, _TYPES[kind]) for name, kind in code_set.columns.items()),
        ]
    )


def build(code_set: CodeSet, columns: Mapping[str, Sequence[Any]]) -> pa.Table:
    """Columns (`code`, and what there is of `start`, `end`, `words` and the set's own) → a table sorted by key and first day."""
    codes = list(columns["code"])
    size = len(codes)
    arrays: dict[str, pa.Array] = {
        "key": pa.array(key_of(codes)),
        "code": pa.array(codes, pa.string()),
        "start": pa.array(columns.get("start", np.full(size, OPEN_START)), pa.int32()),
        "end": pa.array(columns.get("end", np.full(size, OPEN_END)), pa.int32()),
        "words": pa.array(columns.get("words", [""] * size), pa.string()),
    }
    for name, kind in code_set.columns.items():
        arrays[name] = pa.array(columns.get(name, [None] * size), _TYPES[kind])
    order = np.lexsort((arrays["start"].to_numpy(), arrays["key"].to_numpy()))
    shape = schema(code_set)
    return pa.table([arrays[f.name] for f in shape], schema=shape).take(pa.array(order))


def write(home: Path, about: About, table: pa.Table) -> tuple[Path, bool]:
    """Keep an edition under `home`/codes: whole or not at all, the same bytes for the same edition.

    Returns the path, and whether anything was written: an edition that is there already is left as it is. Transient where the
    disk refuses.
    """
    folder = Path(home) / "codes" / about.set
    path = folder / f"{about.name}.arrow"
    about = replace(about, rows=table.num_rows)
    if path.is_file():
        with ipc.open_file(pa.memory_map(str(path))) as reader:
            if (reader.schema.metadata or {}).get(b"claimpipe") == about.as_json():
                return path, False
    temporary = ""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=folder, prefix=".part-")
        marked = table.combine_chunks().replace_schema_metadata({b"claimpipe": about.as_json()})
        with os.fdopen(handle, "wb") as file:
            with ipc.new_file(file, marked.schema) as writer:
                writer.write_table(marked)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
        # an edition of the same day in the older format would answer beside it
        path.with_suffix(".parquet").unlink(missing_ok=True)
    except OSError as error:
        if temporary:
            Path(temporary).unlink(missing_ok=True)
        raise Transient(
            f"The folder {folder} refused a file ({error.strerror or type(error).__name__}).",
            fix="Free some space, then load the file again.",
        ) from error
    return path, True


def read(path: Path, code_set: CodeSet) -> Edition:
    """One edition from its file. Terminal, naming the file, where it cannot be read."""
    try:
        if path.suffix == ".parquet":
            return _read_parquet(path, code_set)
        table = ipc.open_file(pa.memory_map(str(path))).read_all()
        about = _about(json.loads(table.schema.metadata[b"claimpipe"]))
    except (OSError, KeyError, TypeError, ValueError, pa.ArrowException) as error:
        raise Terminal(
            f"The code set file {path} cannot be read ({type(error).__name__}).",
            fix="Remove it and load the official file again: claimpipe codes load FILE",
        ) from error
    return Edition(about, table)


def _about(given: dict[str, Any]) -> About:
    known = {k: v for k, v in given.items() if k in About.__slots__}
    for name in ("effective_from", "effective_to"):
        known[name] = date.fromisoformat(known[name])
    known["notes"] = tuple(known.get("notes", ()))
    return About(**known)


def _read_parquet(path: Path, code_set: CodeSet) -> Edition:
    """The compact form that ships: code and the set's own columns, and what it is in the metadata."""
    table = pq.ParquetFile(path).read()
    about = _about({"set": code_set.id, **json.loads(table.schema.metadata[b"claimpipe"])})
    columns = {name: table.column(name).to_pylist() for name in table.column_names}
    shipped = path.is_relative_to(shapes.schemas_dir())
    full = build(code_set, columns)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Edition(replace(about, rows=full.num_rows, shipped=shipped, sha256=about.sha256 or digest), full)


@cache
def _shipped(name: str) -> Edition:
    """The small list of a set that comes with claimpipe, in our own words."""
    code_set = catalogue.one(name)
    path = shapes.schemas_dir() / "codes" / code_set.shipped
    data = path.read_bytes()
    rows = list(csv.DictReader(data.decode("utf-8").splitlines()))

    def day(row: dict[str, str], name: str, default: int) -> int:
        return number_of(date.fromisoformat(row[name])) if row.get(name) else default

    columns: dict[str, list[Any]] = {
        "code": [row["code"] for row in rows],
        "words": [row.get("words", "") for row in rows],
        "start": [day(row, "effective_from", OPEN_START) for row in rows],
        "end": [day(row, "effective_to", OPEN_END) for row in rows],
    }
    for name, kind in code_set.columns.items():
        columns[name] = [row.get(name) == "1" if kind == "flag" else row.get(name) for row in rows]
    about = About(
        code_set.id, "shipped", date.min, date.max, f"comes with claimpipe: {code_set.shipped}",
        hashlib.sha256(data).hexdigest(), len(rows), shipped=True, partial=code_set.partial, dated=True,
    )  # fmt: skip
    return Edition(about, build(code_set, columns))

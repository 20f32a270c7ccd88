"""CSV and Parquet files as tables of text: the form in which all cells are judged, whatever file they came in.

Nothing is converted here. A cell is the text that the source wrote, without the white space around it; an empty cell is
the empty text. Rows whose width is not the header's are kept apart with their number, and bytes that are not UTF-8 are
marked, so that one bad row never costs the file.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from pipeline.errors import Terminal

#: stands where bytes were not UTF-8, or a carriage return without a line feed
REPLACEMENT = "\ufffd"
_BOM = b"\xef\xbb\xbf"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_LOOKED_AT = 2_000  # bytes in which text of two bytes a character is seen by its zeros
#: what spreadsheets in other countries, and other systems, put between cells
_OTHER_MARKS = {";": "semicolons", "\t": "tabs", "|": "bars"}
_STRAY = re.compile(rb"\r(?!\n)")


@dataclass(slots=True)
class TextTable:
    """`columns`: name → Arrow string array without nulls. `numbers`: the 1-based data row in the file of each row.

    `ragged`: (data row, text) of rows that do not have the header's width. `garbled`: the file is not all UTF-8.
    `ended`: its last row has its line end; where not, it may have been cut.
    A table that was put together from records of other files names each row's own: `files`; and how the source calls a
    column there: `called`.
    """

    file: str
    columns: dict[str, pa.Array]
    rows: int
    numbers: np.ndarray
    ragged: list[tuple[int, str]] = field(default_factory=list)
    garbled: bool = False
    ended: bool = True
    files: pa.Array | None = None
    called: Mapping[str, str] = field(default_factory=dict)

    def place(self, index: int) -> tuple[str, int]:
        """(file, 1-based row or record) that the row came from."""
        return (self.file if self.files is None else self.files[index].as_py()), int(self.numbers[index])

    def name(self, column: str) -> str:
        """The column as whoever mends the source knows it."""
        return self.called.get(column, column)

    def require(self, names: Iterable[str]) -> None:
        """Terminal, naming them, where columns are missing."""
        missing = [name for name in names if name not in self.columns]
        if missing:
            raise Terminal(
                f"{self.file} has no column {', '.join(missing)}.",
                fix="Export the file with it; docs/extracts.md lists every column. Nothing of the extract was taken in.",
            )

    def text(self, name: str) -> pa.Array:
        """The column, or empty texts where the file does not have it."""
        if name in self.columns:
            return self.columns[name]
        return pa.array([""] * self.rows, type=pa.string())

    def lists(self, names: Sequence[str]) -> list[list[str]]:
        return [self.text(name).to_pylist() for name in names]

    def garbled_cells(self) -> list[tuple[int, str]]:
        """(index, column) of cells with bytes that were not UTF-8 text."""
        found: list[tuple[int, str]] = []
        if self.garbled:
            for name, column in self.columns.items():
                hits = pc.match_substring(column, REPLACEMENT).to_numpy(zero_copy_only=False)
                found += [(int(index), name) for index in np.flatnonzero(hits)]
        return found


def read(file: str, data: bytes) -> TextTable:
    """The table in a file, by the ending of its name. Terminal where the file as a whole cannot be read."""
    return read_parquet(file, data) if file.endswith(".parquet") else read_csv(file, data)


def read_csv(file: str, data: bytes) -> TextTable:
    """A comma-separated file with a header, quotes doubled inside quotes, UTF-8 (a byte order mark is allowed)."""
    if data.startswith(_UTF16) or data[:_LOOKED_AT].count(b"\0") > len(data[:_LOOKED_AT]) // 4:
        raise Terminal(
            f"{file} is written in UTF-16, not in UTF-8.",
            fix="Save it as “CSV UTF-8” and send it again. Nothing of the extract was taken in.",
        )
    data = data.removeprefix(_BOM)
    garbled = False
    if b"\n" not in data:  # as old Macs end lines
        data = data.replace(b"\r", b"\n")
    ended = data.endswith(b"\n")
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        data, garbled = data.decode("utf-8", "replace").encode(), True
    if data.count(b"\r") != data.count(b"\r\n"):
        # a stray carriage return would end the row for the reader; marked, it costs its own row alone
        data, garbled = _STRAY.sub(REPLACEMENT.encode(), data), True
    header = next(csv.reader(io.StringIO(data[:65536].decode("utf-8", "ignore"))), [])
    names = [name.strip() for name in header]
    if not any(names):
        raise Terminal(
            f"{file} is empty: not even a header.", fix="Export it again. Nothing of the extract was taken in."
        )
    if other := next((mark for mark in _OTHER_MARKS if len(names) == 1 and mark in names[0]), ""):
        raise Terminal(
            f"The cells of {file} are separated by {_OTHER_MARKS[other]}, not by commas.",
            fix="Export it with commas, and quotation marks around cells that hold one. Nothing of the extract was taken in.",
        )
    _refuse_doubled(file, names)
    ragged: list[tuple[int, str]] = []
    blank: list[int] = []  # lines without a cell: no rows, but they count where a person counts

    def keep_ragged(row: pacsv.InvalidRow) -> str:
        if row.text.strip():
            ragged.append((row.number - 1, row.text))
        else:
            blank.append(row.number - 1)
        return "skip"

    try:
        table = pacsv.read_csv(
            io.BytesIO(data),
            read_options=pacsv.ReadOptions(use_threads=False, block_size=8 << 20),
            parse_options=pacsv.ParseOptions(
                newlines_in_values=True, ignore_empty_lines=False, invalid_row_handler=keep_ragged
            ),
            convert_options=pacsv.ConvertOptions(
                column_types=dict.fromkeys(header, pa.string()), null_values=[], strings_can_be_null=False
            ),
        ).combine_chunks()
    except pa.ArrowInvalid:
        # the library's message quotes the row, so it is not handed on
        raise Terminal(
            f"{file} cannot be read as comma-separated text.",
            fix="Export it again. Nothing of the extract was taken in.",
        ) from None
    skipped = np.array([*(number for number, _text in ragged), *blank], dtype=np.int64)
    numbers = np.setdiff1d(np.arange(1, table.num_rows + len(skipped) + 1), skipped, assume_unique=True)
    columns = _named(table, names)
    said = _said(columns)
    if not said.all():  # an empty line is a row of empty cells to the reader, and spreadsheets write lines of commas
        columns = {name: column.filter(pa.array(said)) for name, column in columns.items()}
        numbers = numbers[said]
    return TextTable(file, columns, len(numbers), numbers, ragged, garbled, ended)


def read_parquet(file: str, data: bytes) -> TextTable:
    """Text, date, decimal, integer and boolean columns, and timestamps, as the text that a CSV of the same table would hold."""
    try:
        source = pq.ParquetFile(pa.BufferReader(data))
        _refuse_doubled(file, source.schema_arrow.names)
        table = source.read().combine_chunks()
    except (pa.ArrowException, OSError):
        raise Terminal(
            f"{file} cannot be read as Parquet.", fix="Export it again. Nothing of the extract was taken in."
        ) from None
    names = list(table.column_names)
    columns = [_as_text(file, name, table.column(name)) for name in names]
    texts = pa.Table.from_arrays(columns, names=names)
    return TextTable(file, _named(texts, names), table.num_rows, np.arange(1, table.num_rows + 1))


def _said(columns: Mapping[str, pa.Array]) -> np.ndarray:
    """Which rows have a cell that is not empty. Mostly the first columns tell."""
    said = np.zeros(len(next(iter(columns.values()))), dtype=np.bool_)
    for column in columns.values():
        if said.all():
            break
        said |= pc.not_equal(column, "").to_numpy(zero_copy_only=False)
    return said


def _refuse_doubled(file: str, names: Sequence[str]) -> None:
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise Terminal(f"{file} has the column {', '.join(doubled)} twice.", fix="Export it with each column once.")


def _named(table: pa.Table, names: Sequence[str]) -> dict[str, pa.Array]:
    found: dict[str, pa.Array] = {}
    for index, name in enumerate(names):
        column = table.column(index)
        array = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
        found[name] = pc.utf8_trim_whitespace(array)
    return found


def _days(moments: pa.ChunkedArray) -> pa.ChunkedArray:
    """Dates as pandas writes them, at midnight, are days; a moment with a time of day stays one, and its row is told."""
    local = pc.local_timestamp(moments) if moments.type.tz else moments
    midnight = pc.floor_temporal(local, unit="day")
    days = midnight.cast(pa.date32()).cast(pa.string())
    return pc.fill_null(pc.if_else(pc.equal(local, midnight), days, local.cast(pa.string())), "")


def _as_text(file: str, name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
    kind = column.type
    if pa.types.is_dictionary(kind):
        column, kind = column.cast(kind.value_type), kind.value_type
    if pa.types.is_floating(kind):
        raise Terminal(
            f"{file}, column {name}: binary floating point cannot hold cents or whole numbers exactly.",
            fix="Write the column as decimal, integer or text.",
        )
    try:
        if pa.types.is_timestamp(kind):
            return _days(column)
        text = pc.fill_null(column.cast(pa.string()), "")
        # decimal(38, 10) of a database writes 156.0000000000: zeros behind the point say nothing
        return pc.replace_substring_regex(text, r"(\.\d*?)0+$", r"\1") if pa.types.is_decimal(kind) else text
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise Terminal(
            f"{file}, column {name}: the type {kind} cannot be read.",
            fix="Write it as text, date32, decimal or integer.",
        ) from None

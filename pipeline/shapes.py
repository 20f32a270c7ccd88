"""The shapes of the tables between stages, read from `schemas/tables/*.toml`.

A column of type `rows` holds a list of rows of another shape (`part.*`): what a claim or a line has any number of, and most
have none of, travels with its owner through every stage without a join. A stage hands on Arrow tables, and the shape is checked at the border: names, order, types and the columns that may not
be null. A table that does not fit is a defect in the stage (bad data was set aside long before), so it raises Terminal.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import Terminal
from pipeline.wording import counted

MONEY = pa.decimal128(18, 2)
QUANTITY = pa.decimal128(18, 4)
TYPES: dict[str, pa.DataType] = {
    "text": pa.string(),
    "integer": pa.int64(),
    "money": MONEY,
    "quantity": QUANTITY,
    "date": pa.date32(),
    "boolean": pa.bool_(),
}


@cache
def schemas_dir() -> Path:
    """The folder `schemas/`: `CLAIMPIPE_SCHEMAS`, else beside the package (installed), else of the checkout."""
    named = os.environ.get("CLAIMPIPE_SCHEMAS")
    here = Path(__file__).resolve().parent
    for place in ([Path(named)] if named else []) + [here / "_schemas", here.parent / "schemas"]:
        if (place / "tables").is_dir():
            return place
    raise Terminal("The folder of schemas is missing.", fix="Reinstall claimpipe or set CLAIMPIPE_SCHEMAS.")


@cache
def _columns(name: str) -> dict[str, dict[str, Any]]:
    """The columns of the shape as its file states them."""
    path = schemas_dir() / "tables" / f"{name}.toml"
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise Terminal(f"There is no table shape named {name}.") from error
    if "same_as" in data:  # the same shape at a later stage of the way
        return _columns(data["same_as"])
    columns: dict[str, dict[str, Any]] = data["columns"]
    return columns


@cache
def schema(name: str) -> pa.Schema:
    """The Arrow schema of the shape `name`, for example `encounters` or `835.payments`."""
    return pa.schema(
        [
            pa.field(column, _type(spec), nullable=not spec.get("required", False))
            for column, spec in _columns(name).items()
        ]
    )


@cache
def words(name: str) -> dict[str, frozenset[str]]:
    """Columns of the shape that hold one of a few words, and the words."""
    return {column: frozenset(spec["words"]) for column, spec in _columns(name).items() if "words" in spec}


def _type(spec: Mapping[str, Any]) -> pa.DataType:
    return pa.list_(pa.struct(list(schema(spec["of"])))) if spec["type"] == "rows" else TYPES[spec["type"]]


@cache
def names() -> tuple[str, ...]:
    return tuple(sorted(p.stem for p in (schemas_dir() / "tables").glob("*.toml")))


@cache
def empty(name: str) -> pa.Table:
    return schema(name).empty_table()


def from_rows(name: str, rows: Iterable[Mapping[str, Any]]) -> pa.Table:
    """Rows (dicts; missing keys are null) → a table of the shape."""
    listed = list(rows)
    if not listed:
        return empty(name)
    return _without_missing(pa.Table.from_pylist(listed, schema=schema(name)), name)


def check(table: pa.Table, name: str) -> pa.Table:
    """The table itself, in the shape's column order, if it fits; Terminal otherwise."""
    shape = schema(name)
    missing = [f.name for f in shape if f.name not in table.column_names]
    extra = [c for c in table.column_names if c not in shape.names]
    if missing or extra:
        wrong = [f"{what} {columns}" for what, columns in (("missing", missing), ("not known", extra)) if columns]
        raise Terminal(f"Table {name} does not fit its shape: {', '.join(wrong)}.")
    table = table.select(shape.names)
    for field in shape:
        have = table.schema.field(field.name).type
        if have != field.type:
            raise Terminal(f"Table {name}, column {field.name}: type {have}, the shape asks {field.type}.")
    _without_missing(table, name)
    return table.cast(shape) if table.schema != shape else table


def _without_missing(table: pa.Table, name: str) -> pa.Table:
    """The table itself, if nothing is missing that its shape requires."""
    for field in schema(name):
        if not field.nullable and (nulls := table.column(field.name).null_count):
            first = pc.index(table.column(field.name).is_null(), True).as_py() + 1
            where = f"row {first}" if nulls == 1 else f"{counted(nulls, 'row')} (the first is row {first})"
            raise Terminal(f"Table {name}, column {field.name}: empty in {where}, and it may not be.")
    return table


def of_today(table: pa.Table, name: str, columns: Sequence[str] | None = None) -> pa.Table:
    """A kept table → the shape as it is now, or these columns of it.

    What was written before a column came, at any depth, has it empty; a column that the shape no longer has is left out. Terminal
    where that cannot be: a column that may not be empty is missing, or the kind of one has changed.
    """
    shape = schema(name) if columns is None else pa.schema([schema(name).field(column) for column in columns])
    if table.schema.equals(shape):
        return table
    missing = [field.name for field in shape if not field.nullable and field.name not in table.column_names]
    if missing:
        raise Terminal(f"Table {name} does not fit its shape: missing {missing}.")
    return pa.Table.from_arrays([_column_of_today(table, field, name) for field in shape], schema=shape)


def _column_of_today(table: pa.Table, field: pa.Field, name: str) -> pa.ChunkedArray:
    if field.name not in table.column_names:
        return pa.chunked_array([pa.nulls(table.num_rows, field.type)])
    column = table.column(field.name)
    if pa.types.is_list(column.type) and pa.types.is_list(field.type):  # rows gain columns as tables do
        try:
            return column.cast(field.type)
        except pa.ArrowException as error:
            raise Terminal(f"Table {name}, column {field.name}: its rows do not fit their shape.") from error
    if column.type != field.type:
        raise Terminal(f"Table {name}, column {field.name}: type {column.type}, the shape asks {field.type}.")
    return column

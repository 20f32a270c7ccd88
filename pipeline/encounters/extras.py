"""What a visit or a service has any number of, and most have none of: the further tables of the own layout.

Each table (`parties`, `other_payers`, `dates` …) is a shape `part.*` with the visit's key before it, and with `line` where a
service can own its rows. A row without a line is the visit's. The rows become nested columns of their owner, in the order in which
they came; what another payer decided (`adjustments` …) goes one level deeper, into the other payer or the decision that its
`payer_id` names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline import shapes

Places = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Extra:
    """`visit`, `line`: the nested column of the visit's and of the service's shape that takes the rows; '' for none.
    `within`: the tables whose rows take them instead, in the nested column of this name, as the column `BY` says."""

    shape: str
    visit: str = ""
    line: str = ""
    within: tuple[str, ...] = ()


EXTRAS: Mapping[str, Extra] = {
    "parties": Extra("part.party", "parties", "parties"),
    "other_payers": Extra("part.other_payer", visit="other_payers"),
    "adjudications": Extra("part.adjudication", line="adjudications"),
    "adjustments": Extra("part.adjustment", within=("other_payers", "adjudications")),
    "outpatient_decision": Extra("part.outpatient_decision", within=("other_payers",)),
    "inpatient_decision": Extra("part.inpatient_decision", within=("other_payers",)),
    "dates": Extra("part.date", "dates", "dates"),
    "references": Extra("part.reference", "references", "references"),
    "attachments": Extra("part.attachment", "attachments", "attachments"),
    "notes": Extra("part.note", "notes", "notes"),
    "codes": Extra("part.code", visit="codes"),
    "conditions": Extra("part.condition", "conditions", "conditions"),
    "transport": Extra("part.transport", "transport", "transport"),
    "spinal": Extra("part.spinal", visit="spinal"),
    "identifiers": Extra("part.identifier", "identifiers", "identifiers"),
    "contracts": Extra("part.contract", "contracts", "contracts"),
    "file_information": Extra("part.file_information", "file_information", "file_information"),
    "teeth": Extra("part.tooth", "teeth", "teeth"),
    "forms": Extra("part.form", line="forms"),
    "measurements": Extra("part.measurement", line="measurements"),
}
#: tables whose rows others take, with the level that they stand at (0: the visit, 1: the service), and how these name them
TAKERS, BY = {"other_payers": 0, "adjudications": 1}, "payer_id"


def own_columns(table: str) -> list[str]:
    """The columns of the table behind the visit's key: its line, the payer whose decision it is, and the shape's own."""
    extra = EXTRAS[table]
    own = [f.name for f in shapes.schema(extra.shape) if not pa.types.is_list(f.type)]
    if extra.within:
        return [*(["line"] if "adjudications" in extra.within else []), BY, *own]
    return ["line", *own] if extra.line else own


def filled(table: str) -> tuple[str, ...]:
    """Cells that may not be empty."""
    extra = EXTRAS[table]
    needed = [f.name for f in shapes.schema(extra.shape) if not f.nullable]
    return tuple(([BY] if extra.within else []) + (["line"] if extra.line and not extra.visit else []) + needed)


def struct(table: str, values: Mapping[str, pa.Array], nested: Mapping[str, pa.Array] | None = None) -> pa.StructArray:
    """The rows of a table as structs of its shape."""
    fields = list(shapes.schema(EXTRAS[table].shape))
    arrays = [(nested or {})[f.name] if pa.types.is_list(f.type) else values[f.name] for f in fields]
    return pa.StructArray.from_arrays(arrays, fields=fields)


def owned(rows: pa.StructArray, owner: Places, owners: int) -> pa.Array:
    """A list of rows for each of `owners`; null where it has none. `owner`: of each row, -1 for none of them."""
    kept = np.flatnonzero(owner >= 0)
    order = kept[np.argsort(owner[kept], kind="stable")]
    counts = np.bincount(owner[kept], minlength=owners)
    offsets = np.concatenate(([0], np.cumsum(counts))).astype(np.int32)
    return pa.ListArray.from_arrays(
        pa.array(offsets), rows.take(pa.array(order)), type=pa.list_(rows.type), mask=pa.array(counts == 0)
    )

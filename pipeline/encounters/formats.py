"""Which format an extract has, told by its content and never by its folder's name; and which reader reads it."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.encounters import layout, synthea
from pipeline.encounters.extras import EXTRAS
from pipeline.encounters.intake import Context, Intake
from pipeline.errors import Terminal

FORMATS = ("auto", "csv", "parquet", "synthea", "fhir", "hl7")


@dataclass(frozen=True, slots=True)
class Reader:
    """`files`: names that the reader wants, those in `optional` only where they are there."""

    files: tuple[str, ...]
    read: Callable[[Mapping[str, bytes], Context], Intake]
    optional: tuple[str, ...] = ()


READERS: dict[str, Reader] = {
    **{
        ending: Reader(
            (*(f"{table}.{ending}" for table in layout.SHAPES), layout.MANIFEST),
            layout.read,
            tuple(f"{table}.{ending}" for table in EXTRAS),
        )
        for ending in ("csv", "parquet")
    },
    "synthea": Reader(synthea.FILES, synthea.read),
}
#: recognised, so that the message can say what is the matter
NOT_YET = {"fhir": ("*.ndjson", "*.json"), "hl7": ("*.hl7",)}


def detect(folder: Path) -> str:
    """The format of the extract in `folder`. Terminal where none is recognised."""
    if (folder / "encounters.parquet").is_file():
        return "parquet"
    if (folder / "encounters.csv").is_file():
        return "synthea" if "ENCOUNTERCLASS" in _header(folder / "encounters.csv") else "csv"
    for fmt, patterns in NOT_YET.items():
        if any(path.name != layout.MANIFEST for pattern in patterns for path in folder.glob(pattern)):
            return fmt
    raise Terminal(
        f"{folder} holds no extract that claimpipe knows: neither encounters.csv nor encounters.parquet is there.",
        fix="docs/extracts.md says which files an extract has.",
    )


def sources(folder: Path, fmt: str) -> tuple[str, dict[str, bytes]]:
    """(format, file name → bytes) of an extract. Terminal where it is missing, not read yet, or a file cannot be read."""
    if fmt not in FORMATS:
        raise Terminal(f"There is no extract format {fmt}.", fix=f"Use one of: {', '.join(FORMATS)}.")
    try:
        if not folder.exists():
            raise Terminal(f"The extract {folder} does not exist.", fix="Check the path given to --extract.")
        if folder.is_file():
            single = next((f for f, patterns in NOT_YET.items() if any(folder.match(p) for p in patterns)), "")
            if fmt in NOT_YET or (fmt == "auto" and single):
                raise _not_yet(single or fmt)
            raise Terminal(
                f"The extract {folder} is a file.", fix="Give the folder that holds the files of the extract."
            )
        if fmt == "auto":
            fmt = detect(folder)
        if fmt in NOT_YET:
            raise _not_yet(fmt)
        reader = READERS[fmt]
        missing = [name for name in reader.files if not (folder / name).is_file()]
        if missing:
            raise Terminal(
                f"The {fmt} extract {folder} has no {', '.join(missing)}.",
                fix="Export the whole set of files again. Nothing of the extract was taken in.",
            )
        names = [*reader.files, *(name for name in reader.optional if (folder / name).is_file())]
        return fmt, {name: (folder / name).read_bytes() for name in names}
    except OSError as error:
        raise Terminal(
            f"The extract {folder} cannot be read ({error.strerror or type(error).__name__}).",
            fix="Check the path and its permissions.",
        ) from error


def _not_yet(fmt: str) -> Terminal:
    return Terminal(
        f"{ {'fhir': 'FHIR', 'hl7': 'HL7 v2'}[fmt] } extracts are recognised but not read yet.",
        fix="Export CSV, Parquet or Synthea CSV: see docs/extracts.md.",
    )


def _header(path: Path) -> list[str]:
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        return [name.strip() for name in next(csv.reader([file.readline(65536)]), [])]

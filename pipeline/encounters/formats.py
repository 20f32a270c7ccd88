"""Which format an extract has, told by its content and never by its folder's name; and which reader reads it."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from pipeline.encounters import fhir, hl7v2, layout, synthea
from pipeline.encounters.extras import EXTRAS
from pipeline.encounters.intake import Context, Intake
from pipeline.encounters.records import PRACTICES
from pipeline.errors import Terminal

FORMATS = ("auto", "csv", "parquet", "synthea", "fhir", "hl7")


@dataclass(frozen=True, slots=True)
class Reader:
    """`files`: names that the reader wants, those in `optional` only where they are there. `patterns`: it reads whatever files
    have such names, in a folder or one alone."""

    files: tuple[str, ...]
    read: Callable[[Mapping[str, bytes], Context], Intake]
    optional: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()

    def takes(self, path: Path) -> bool:
        """Whether the file's name is of the reader's kind; other systems write endings in capitals."""
        return any(fnmatch(path.name.lower(), pattern) for pattern in self.patterns)

    def names(self, folder: Path) -> list[str]:
        """The files of the extract in the folder."""
        found = (
            {path.name for path in folder.iterdir() if self.takes(path) and path.is_file()} if self.patterns else set()
        )
        here = [name for name in self.optional if (folder / name).is_file()]
        return [*self.files, *here, *sorted(found - {layout.MANIFEST})]


READERS: dict[str, Reader] = {
    **{
        ending: Reader(
            (*(f"{table}.{ending}" for table in layout.SHAPES), layout.MANIFEST),
            layout.read,
            tuple(f"{table}.{ending}" for table in (*EXTRAS, layout.AUTHORIZATIONS)),
        )
        for ending in ("csv", "parquet")
    },
    "synthea": Reader(synthea.FILES, synthea.read),
    "fhir": Reader((), fhir.read, (PRACTICES,), fhir.PATTERNS),
    "hl7": Reader((), hl7v2.read, (PRACTICES,), hl7v2.PATTERNS),
}


def detect(folder: Path) -> str:
    """The format of the extract in `folder`. Terminal where none is recognised."""
    if (folder / "encounters.parquet").is_file():
        return "parquet"
    if (folder / "encounters.csv").is_file():
        return "synthea" if "ENCOUNTERCLASS" in _header(folder / "encounters.csv") else "csv"
    for fmt, reader in READERS.items():
        if reader.patterns and set(reader.names(folder)) - set(reader.optional):
            return fmt
    raise Terminal(
        f"{folder} holds no extract that claimpipe knows: neither encounters.csv nor encounters.parquet, nor files of FHIR "
        "or HL7, are there.",
        fix="docs/extracts.md says which files an extract has.",
    )


def sources(path: Path, fmt: str) -> tuple[str, dict[str, bytes]]:
    """(format, file name → bytes) of an extract. Terminal where it is missing or a file cannot be read."""
    if fmt not in FORMATS:
        raise Terminal(f"There is no extract format {fmt}.", fix=f"Use one of: {', '.join(FORMATS)}.")
    try:
        if not path.exists():
            raise Terminal(f"The extract {path} does not exist.", fix="Check the path given to --extract.")
        if path.is_file():
            return _single(path, fmt)
        if fmt == "auto":
            fmt = detect(path)
        names = READERS[fmt].names(path)
        missing = [name for name in names if not (path / name).is_file()]
        if missing:
            raise Terminal(
                f"The {fmt} extract {path} has no {', '.join(missing)}.",
                fix="Export the whole set of files again. Nothing of the extract was taken in.",
            )
        if not set(names) - set(READERS[fmt].optional):
            raise Terminal(
                f"The folder {path} has no file of the format {fmt} ({', '.join(READERS[fmt].patterns)}).",
                fix="Check the path given to --extract.",
            )
        return fmt, {name: (path / name).read_bytes() for name in names}
    except OSError as error:
        raise Terminal(
            f"The extract {path} cannot be read ({error.strerror or type(error).__name__}).",
            fix="Check the path and its permissions.",
        ) from error


def _single(path: Path, fmt: str) -> tuple[str, dict[str, bytes]]:
    """One file that is an extract by itself, with `practices.csv` beside it where it is there."""
    fitting = [f for f, reader in READERS.items() if reader.takes(path)]
    if fmt == "auto":
        chosen = next(iter(fitting), "")
    else:  # whoever names the format need not mind the file's ending, unless it is another format's
        chosen = fmt if READERS[fmt].patterns and (fmt in fitting or not fitting) else ""
    if not chosen:
        raise Terminal(f"The extract {path} is a file.", fix="Give the folder that holds the files of the extract.")
    beside = [path.parent / name for name in READERS[chosen].optional]
    return chosen, {p.name: p.read_bytes() for p in [path, *beside] if p.is_file()}


def _header(path: Path) -> list[str]:
    with path.open("rb") as file:
        head = file.read(65536)
    text = head.decode("utf-16" if head.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig", errors="replace")
    lines = text.splitlines()
    return [name.strip() for name in next(csv.reader(lines[:1]), [])]

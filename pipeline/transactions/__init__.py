"""What the segments of each transaction set mean, as tables and back.

`read` gives Arrow tables in the shapes of `schemas/tables/` and findings; `identify` says what a file is, by content alone.
Reading is lenient by default (oddities that leave every byte's meaning certain are warnings) or strict (they are errors);
nothing is guessed in either, and no damage raises.
"""

from __future__ import annotations

import mmap
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from pipeline import shapes
from pipeline.findings import Finding
from pipeline.transactions.engine import WINDOW, Engine
from pipeline.transactions.identity import identify
from pipeline.x12.envelope import DEFAULT_LIMIT, Mode

__all__ = ["ReadResult", "identify", "read", "read_in_parts"]
#: rows over all tables of what is handed on together
PART_ROWS = 50_000


@dataclass(frozen=True, slots=True)
class ReadResult:
    """Tables by shape name (`interchanges` always, others only for kinds that are present), and findings in file order."""

    tables: dict[str, pa.Table]
    findings: list[Finding] = field(default_factory=list)


class _Collected:
    """A sink that keeps everything."""

    def __init__(self) -> None:
        self.parts: dict[str, list[pa.Table]] = defaultdict(list)

    def add(self, name: str, table: pa.Table) -> None:
        self.parts[name].append(table)


def read(data: bytes, *, file: str = "", mode: Mode = "lenient", limit: int = DEFAULT_LIMIT) -> ReadResult:
    """One file's bytes → tables and findings. `file` goes into the column `file` of every row; at most `limit` findings."""
    sink = _Collected()
    engine = Engine(sink, mode, limit=limit)
    engine.file(file, _blocks(data))
    engine.finish()
    tables = {name: pa.concat_tables(parts) for name, parts in sink.parts.items()}
    tables.setdefault("interchanges", shapes.empty("interchanges"))
    found = sorted(engine.findings.items, key=lambda f: (f.rule == "findings.limit", f.offset or 0))
    return ReadResult(tables, found)


class _Parts:
    """A sink that keeps what belongs to sets which have not come to their end, and gives the rest."""

    def __init__(self) -> None:
        self.parts: dict[str, list[pa.Table]] = defaultdict(list)
        self.rows = 0

    def add(self, name: str, table: pa.Table) -> None:
        self.parts[name].append(table)
        self.rows += table.num_rows

    def take(self, before: int | None = None) -> dict[str, pa.Table]:
        """The rows of sets with a lower number, and of none; all rows where no set is open."""
        whole = {name: pa.concat_tables(parts) for name, parts in self.parts.items()}
        self.parts, self.rows = defaultdict(list), 0
        taken = {}
        for name, table in whole.items():
            if before is not None and "set_number" in table.column_names:
                done = pc.fill_null(pc.less(table.column("set_number"), before), True)
                rest = table.filter(pc.invert(done))
                table = table.filter(done)
                if rest.num_rows:
                    self.add(name, rest)
            if table.num_rows:
                taken[name] = table
        return taken


def read_in_parts(
    data: bytes | mmap.mmap, then: Callable[[dict[str, pa.Table]], None], *, file: str = "", mode: Mode = "lenient",
    limit: int = DEFAULT_LIMIT, rows: int = PART_ROWS,
) -> list[Finding]:  # fmt: skip
    """As `read`, but in bounded memory: `then` is given the tables of whole sets, again and again, some `rows` at a time.

    A set is in one part, and as large as it is: the file may be of any size, a single set may not. Returns all findings, which are
    known only at the end: nothing may be done for good in `then` that a finding of a later part would forbid.
    """
    sink = _Parts()
    engine = Engine(sink, mode, limit=limit)

    def blocks() -> Iterator[bytes]:
        for block in _blocks(data):
            yield block
            if sink.rows >= rows:  # what was cut of the blocks before has become tables
                taken = sink.take(engine.envelope.set.number if engine.envelope.set is not None else None)
                if taken:
                    then(taken)

    engine.file(file, blocks())
    engine.finish()
    taken = sink.take()
    if taken:
        then(taken)
    return sorted(engine.findings.items, key=lambda f: (f.rule == "findings.limit", f.offset or 0))


def _blocks(data: bytes | mmap.mmap) -> Iterator[bytes]:
    for at in range(0, len(data), WINDOW):
        yield data[at : at + WINDOW]

"""What the segments of each transaction set mean, as tables and back.

`read` gives Arrow tables in the shapes of `schemas/tables/` and findings; `identify` says what a file is, by content alone.
Reading is lenient by default (oddities that leave every byte's meaning certain are warnings) or strict (they are errors);
nothing is guessed in either, and no damage raises.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

import pyarrow as pa

from pipeline import shapes
from pipeline.findings import Finding
from pipeline.transactions.engine import WINDOW, Engine
from pipeline.transactions.identity import identify
from pipeline.x12.envelope import DEFAULT_LIMIT, Mode

__all__ = ["ReadResult", "identify", "read"]


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


def _blocks(data: bytes) -> Iterator[bytes]:
    for at in range(0, len(data), WINDOW):
        yield data[at : at + WINDOW]

"""Remittances out of an archived file, some sets at a time: its size takes no memory.

A file is read by blocks, and what is handed on are whole sets, each a payment. So a file of any size is worked in the memory of a few
of its payments; a single payment is in memory whole.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

import pyarrow as pa
import pyarrow.compute as pc

from pipeline import transactions
from pipeline.findings import Finding
from pipeline.remittances import reading
from pipeline.remittances.reading import Remittance
from pipeline.store import Store


def read(
    store: Store, file_id: str, then: Callable[[list[Remittance]], None], sets: Collection[int] | None = None,
    seen: Callable[[str], None] = lambda table: None,
) -> list[Finding]:  # fmt: skip
    """Give the remittances of a file to `then`, in its order; only those of `sets` where they are named. Returns the file's findings.

    `seen` is told the names of the tables that the file gives. Findings are complete at the end alone.
    """

    def part(tables: dict[str, pa.Table]) -> None:
        for name in tables:
            seen(name)
        if sets is not None:
            wanted = pa.array(sorted(sets), pa.int64())
            tables = {
                name: table.filter(pc.is_in(table.column("set_number").cast(pa.int64()), wanted))
                for name, table in tables.items()
                if "set_number" in table.column_names
            }
        found = reading.read(tables, file_id) if "835.payments" in tables else []
        if found:
            then(found)

    with store.archive.opened(file_id) as data:
        return transactions.read_in_parts(data, part, file=file_id)

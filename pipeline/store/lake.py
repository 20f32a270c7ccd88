"""The lake: Parquet by table and date, for the next stage and for pandas, DuckDB or Spark.

`LAKE/<table>/date=YYYY-MM-DD/<part>.parquet`. A part is named by what made it (an import id, a batch id), so a stage run
again writes the same part with the same bytes, and where the bytes are the same nothing is written.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline import shapes
from pipeline.errors import Terminal, Transient
from pipeline.failpoints import failpoint
from pipeline.store.archive import write_synced


class Lake:
    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, table: str, on: date, part: str) -> Path:
        return self.root / table / f"date={on.isoformat()}" / f"{part}.parquet"

    def write(self, table: str, on: date, part: str, rows: pa.Table) -> Path:
        """Write one part (its shape is checked). Transient where the disk refuses."""
        rows = shapes.check(rows, table)
        buffer = io.BytesIO()
        pq.write_table(rows, buffer, compression="zstd")
        path = self.path(table, on, part)
        data = buffer.getvalue()
        if path.is_file() and path.read_bytes() == data:
            return path
        failpoint(f"lake.before_write.{table}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_synced(path, data)
        except OSError as error:
            raise Transient(
                f"The lake at {self.root} refused a file ({error.strerror or type(error).__name__}).",
                fix="Free some space or mend the disk, then run again: nothing was lost.",
            ) from error
        return path

    def read(
        self, table: str, on: date | None = None, part: str | None = None,
        where: tuple[str, Sequence[str]] | None = None, columns: Sequence[str] | None = None, *, required: bool = False,
    ) -> pa.Table:  # fmt: skip
        """Rows of a table: of all dates or one, of all parts or one, and only those whose column is in a list.

        `columns` names those that are wanted (the one of `where` among them); None: all. `required`: Terminal where nothing
        is there, for whoever has the part's name from the register and cannot go on without it (money can). A part stays as it
        was written; what its table has gained since is empty in it.
        """
        pattern = f"date={on.isoformat() if on else '*'}/{part or '*'}.parquet"
        paths = sorted((self.root / table).glob(pattern))
        if required and not paths:
            raise Terminal(
                f"The lake at {self.root} has lost a part of {table}{f' of {on.isoformat()}' if on else ''}.",
                fix="Restore the lake from its backup, then run again: nothing else was lost, and nothing is sent meanwhile.",
            )
        tables = []
        for path in paths:
            rows = pq.ParquetFile(path).read(columns=None if columns is None else list(columns))
            rows = shapes.of_today(rows, table, columns)
            if where is not None:
                rows = rows.filter(pc.is_in(rows.column(where[0]), pa.array(list(where[1]), type=pa.string())))
            tables.append(rows)
        if tables:
            return pa.concat_tables(tables)
        return shapes.empty(table) if columns is None else shapes.empty(table).select(list(columns))

"""Files of any size and number → one file a table, in bounded memory.

Theory. The engine hands tables on chunk by chunk; here they are gathered into row groups, and threads encode and write
while the next chunk is parsed (Arrow lets go of the interpreter meanwhile). A table is written under a working name and takes
its own name when everything is done, so that a broken export leaves nothing that looks whole. Parquet is tuned to the data:
dictionaries only where values repeat, differences for numbers and dates, decimals as integers.
"""

from __future__ import annotations

import gc
import json
import os
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from pipeline import shapes
from pipeline.errors import Terminal
from pipeline.findings import Finding
from pipeline.transactions import crew
from pipeline.transactions.engine import Engine
from pipeline.x12.envelope import DEFAULT_LIMIT, Mode
from pipeline.x12.kernel import kernel

Format = Literal["parquet", "csv", "json"]
Progress = Callable[[str, int, int], None]  # file, bytes done over all files, bytes in all
#: rows of a row group: enough for compression, little enough for memory. Where little is read, its tables should not all wait
#: for the end to be encoded
GROUP_ROWS, GROUP_ROWS_OF_LITTLE = 1 << 16, 1 << 14
#: processes that make tables of what this one cuts, and from how many bytes on they repay their start
PROCESSES = min(2, os.cpu_count() or 1)
MUCH = 1 << 25
#: tables of a row or two a piece are put together now and then: what holds one takes far more memory than its rows
_MOST_PARTS = 64
#: threads that encode: while the last groups are written, there is nothing else to do
WRITERS = 2
#: threads that make tables beside the one that cuts, with the kernel: a single one would be what all others wait for
THREADS = 2
#: mean size of files below which threads would hand the interpreter to each other, at each file, for longer than they work
LITTLE = 1 << 16
#: bytes that become tables at once: a larger piece costs memory, a smaller one more steps. Beside the kernel and its threads the
#: steps weigh more than their work
WINDOW, WINDOW_COMPILED = 3 << 19, 3 << 20
#: bytes in memory above which what lies free goes back to the system, looked at once in so many bytes read: so a long file takes
#: no more than a short one
_TIDY, _TIDY_EACH = 288 << 20, 8 << 20
#: text columns whose values seldom repeat: a dictionary would cost and give nothing
_MANY_VALUED = frozenset(
    {
        "claim_id", "payer_claim_number", "line_control_number", "patient_id", "subscriber_id", "patient_last", "trace",
        "subscriber_last", "last_name", "address1", "id", "original_reference", "reference", "corrected_id", "set_control",
        "copy_of_bad_data", "context", "message", "entity_id",
    }
)  # fmt: skip
_FORMULA = r"^[=+\-@\t\r]"


@dataclass(slots=True)
class ExportResult:
    """What was written: the file and rows of each table by its shape name, the findings, and how much was read."""

    tables: dict[str, Path] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    files: int = 0
    bytes: int = 0


def export(
    paths: Sequence[Path | str],
    to: Path | str,
    fmt: Format = "parquet",
    progress: Progress | None = None,
    *,
    mode: Mode = "lenient",
    limit: int = DEFAULT_LIMIT,
    processes: int | None = None,
) -> ExportResult:
    """X12 files → `to`/<table>.<fmt>, one file a table over all inputs, each row with its file.

    A table is called after its shape without the kind (`claims`); where the inputs hold several kinds that share a name, all
    carry the kind (`835.claims`). Damaged files give findings, and their neighbours go on. `processes` make tables beside
    this one (0: none; not said: two where there is much to read): the files written are the same. Terminal where a file
    cannot be read or the folder cannot be written, Transient where one of the processes is lost.
    """
    if fmt not in _WRITERS:
        raise Terminal(f"There is no export format named {fmt}.", fix="Use parquet, csv or json.")
    sources = [Path(p) for p in paths]
    names = _labels(sources)
    try:
        sizes = [os.stat(p).st_size for p in sources]
        folder = Path(to)
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Terminal(
            f"The export cannot begin: {error.strerror}: {error.filename}.", fix="Check the paths."
        ) from error
    result = ExportResult(files=len(sources), bytes=sum(sizes))
    if processes is None:
        # the kernel is done with a chunk before another process would have taken it
        processes = PROCESSES if result.bytes >= MUCH and kernel() is None else 0
    processes = processes if crew.possible() else 0
    group = GROUP_ROWS if result.bytes >= MUCH else GROUP_ROWS_OF_LITTLE
    sink = _TableFiles(folder, fmt, group, len(sources))  # its thread starts with the first rows, after the fork
    # where pieces are cut while others become tables, both cores have work until the end
    enough = result.bytes >= max(WINDOW_COMPILED, LITTLE * len(sources))
    threads = THREADS if kernel() is not None and enough else 0
    window = WINDOW_COMPILED if threads else WINDOW
    keep = result.bytes >= window and not processes
    with _memory_kept() if keep else nullcontext(), _garbage_looked_for_less():
        engine = Engine(sink, mode, limit=limit, window=window, processes=processes, threads=threads)
        done = 0
        try:
            for source, name, size in zip(sources, names, sizes, strict=True):
                for_file = partial(progress, name) if progress is not None else None
                engine.file(name, _blocks(source, size, engine, done, result.bytes, for_file))
                done += size
            engine.finish()
            result.tables, result.rows = sink.close()
        except OSError as error:
            # Arrow's own errors name no file, and say in their words what the system says in fewer
            said = os.strerror(error.errno) if error.errno else str(error)
            raise Terminal(
                f"The export stopped: {said}: {error.filename or folder}.", fix="Mend it and export again."
            ) from error
        finally:
            engine.__exit__()
            sink.discard()
    order = {name: n for n, name in enumerate(names)}
    result.findings = sorted(
        engine.findings.items, key=lambda f: (order.get(f.file, 0), f.rule == "findings.limit", f.offset or 0)
    )
    return result


@contextmanager
def _memory_kept() -> Iterator[None]:
    """What is freed stays with the process for the next chunk. Arrow's own allocator gives it back to the system, to have it
    cleared and given again: that costs a tenth of the time, and more memory."""
    crew.keep_memory()
    before = pa.default_memory_pool()
    pa.set_memory_pool(pa.system_memory_pool())
    try:
        yield
    finally:
        pa.set_memory_pool(before)


@contextmanager
def _garbage_looked_for_less() -> Iterator[None]:
    """Chunks leave no circles: what was there before need not be gone through again for each of them."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _blocks(
    path: Path, size: int, engine: Engine, done: int, total: int, progress: Callable[[int, int], None] | None
) -> Iterator[bytes]:
    begin = done
    # a file object would cost more than a small file's bytes
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    try:
        while True:
            # a pipe, or a file that is still being written, has more than was said: then as much as comes
            more = begin + size - done
            most = engine.window if more < 0 else min(engine.window, more + 1)
            block = _read(handle, path, most)
            if not block:
                break
            yield block
            before, done = done, done + len(block)
            if done // _TIDY_EACH > before // _TIDY_EACH:
                crew.give_back_memory(above=_TIDY)
            if progress is not None:
                progress(done, total)
            if len(block) == more < most:
                break  # all that was said, and no more: to ask again would only let other threads in
    finally:
        os.close(handle)


def _read(handle: int, path: Path, most: int) -> bytes:
    try:
        return os.read(handle, most)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def _labels(sources: Sequence[Path]) -> list[str]:
    """What stands in the column `file`: the name, or the path where two inputs share a name."""
    count = Counter(p.name for p in sources)
    return [p.name if count[p.name] == 1 else str(p) for p in sources]


# ---- writing ---------------------------------------------------------------------------------------------------------


class _Writer(Protocol):
    def __init__(self, path: Path, name: str, files: int) -> None: ...
    def write(self, table: pa.Table) -> None: ...
    def close(self) -> None: ...


class _Parquet:
    def __init__(self, path: Path, name: str, files: int = 1) -> None:
        """`files`: how many are read, since it helps nobody to know between which names the only one lies."""
        shape = shapes.schema(name)
        texts = [f.name for f in shape if pa.types.is_string(f.type)]
        numbers = [f.name for f in shape if pa.types.is_integer(f.type) or pa.types.is_date(f.type)]
        amounts = [f.name for f in shape if pa.types.is_decimal(f.type)]
        self._writer = pq.ParquetWriter(
            path, shape, compression="zstd", store_decimal_as_integer=True,
            use_dictionary=[name for name in texts if name not in _MANY_VALUED],
            column_encoding=dict.fromkeys([*numbers, *amounts], "DELTA_BINARY_PACKED"),
            # where one filters; for the rest they cost a fifth of the writing
            write_statistics=[*numbers, *(t for t in ("file", "claim_id") if t in texts and (files > 1 or t != "file"))],
        )  # fmt: skip

    def write(self, table: pa.Table) -> None:
        self._writer.write_table(table)

    def close(self) -> None:
        self._writer.close()


class _Csv:
    """Text that a spreadsheet would take for a formula is given a leading apostrophe; numbers stay numbers."""

    def __init__(self, path: Path, name: str, files: int) -> None:
        self._writer = pacsv.CSVWriter(path, shapes.schema(name))

    def write(self, table: pa.Table) -> None:
        for i, column in enumerate(table.schema):
            if pa.types.is_string(column.type):
                values = table.column(i)
                risky = pc.fill_null(pc.match_substring_regex(values, _FORMULA), False)
                if pc.any(risky).as_py():
                    guarded = pc.if_else(risky, pc.binary_join_element_wise("'", values, ""), values)
                    table = table.set_column(i, column, guarded)
        self._writer.write_table(table)

    def close(self) -> None:
        self._writer.close()


class _Json:
    """One JSON array, one object a line; amounts as text, so that no reader makes them floats."""

    def __init__(self, path: Path, name: str, files: int) -> None:
        self._handle = path.open("w", encoding="utf-8", newline="\n")
        self._handle.write("[")
        self._empty = True

    def write(self, table: pa.Table) -> None:
        for batch in table.to_batches(max_chunksize=10_000):
            lines = [json.dumps(row, default=_plain, ensure_ascii=False) for row in batch.to_pylist()]
            if lines:
                self._handle.write(("\n" if self._empty else ",\n") + ",\n".join(lines))
                self._empty = False

    def close(self) -> None:
        self._handle.write("]\n" if self._empty else "\n]\n")
        self._handle.close()


def _plain(value: Any) -> str:
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(type(value).__name__)


_WRITERS: dict[str, type[_Writer]] = {"parquet": _Parquet, "csv": _Csv, "json": _Json}


class _TableFiles:
    """A sink that gathers row groups and writes them in threads of its own, at most a few ahead of the disk. Any of them takes
    the oldest group whose table no other one is writing, so a table's groups keep their order and none waits without need."""

    def __init__(self, folder: Path, fmt: str, group: int, files: int) -> None:
        """Row groups of so many rows, of so many files."""
        self._folder, self._fmt, self._group, self._files = folder, fmt, group, files
        self._parts: dict[str, list[pa.Table]] = {}
        self._waiting: Counter[str] = Counter()
        self._rows: Counter[str] = Counter()
        self._writers: dict[str, _Writer] = {}
        self._failure: BaseException | None = None
        self._threads: list[threading.Thread] = []
        self._changed = threading.Condition()  # guards what follows
        self._groups: deque[tuple[str, pa.Table]] = deque()
        self._busy: set[str] = set()  # tables that are being written
        self._ended = False
        #: groups that are encoded or wait for it: what is gathered meanwhile is memory enough
        self._free = threading.Semaphore(WRITERS)

    def add(self, name: str, table: pa.Table) -> None:
        parts = self._parts.setdefault(name, [])
        if parts and not table.num_rows:
            return
        parts.append(table)
        if len(parts) >= _MOST_PARTS:
            self._parts[name] = [pa.concat_tables(parts).combine_chunks()]
        self._waiting[name] += table.num_rows
        self._rows[name] += table.num_rows
        if self._waiting[name] >= self._group:
            self._send(name)

    def _send(self, name: str) -> None:
        if self._failure is not None:
            raise self._failure
        parts, self._parts[name] = self._parts[name], []
        self._waiting[name] = 0
        if not self._threads:  # not before the engine has forked
            for _ in range(WRITERS):
                self._threads.append(threading.Thread(target=self._run, name="export-writer", daemon=True))
                self._threads[-1].start()
        self._free.acquire()
        with self._changed:
            self._groups.append((name, pa.concat_tables(parts)))
            self._changed.notify()

    def _run(self) -> None:
        while (item := self._next()) is not None:
            name, table = item
            if self._failure is None:
                try:
                    if name not in self._writers:
                        self._writers[name] = _WRITERS[self._fmt](self._working(name), name, self._files)
                    if table.num_rows:
                        self._writers[name].write(table)
                except BaseException as error:  # carried to the thread that asks
                    self._failure = error
            item = table = None
            with self._changed:
                self._busy.discard(name)
                self._changed.notify_all()
            self._free.release()

    def _next(self) -> tuple[str, pa.Table] | None:
        """The oldest group of a table that is not being written; None when no more will come."""
        with self._changed:
            while True:
                for at, (name, table) in enumerate(self._groups):
                    if name not in self._busy:
                        del self._groups[at]
                        self._busy.add(name)
                        return name, table
                if self._ended and not self._groups:
                    return None
                self._changed.wait()

    def _working(self, name: str) -> Path:
        return self._folder / f".{name}.{self._fmt}.part"

    def close(self) -> tuple[dict[str, Path], dict[str, int]]:
        """Write what is left and give the files their names; returns files and rows by shape name."""
        for name in sorted(self._parts, key=lambda name: -self._waiting[name]):
            if self._parts[name]:
                self._send(name)
        self._stop()
        if self._failure is not None:
            raise self._failure
        for writer in self._writers.values():
            writer.close()
        short = {name: SHORT_NAMES.get(name, name.partition(".")[2] or name) for name in self._rows}
        if len(set(short.values())) < len(short):
            short = {name: SHORT_NAMES.get(name, name) for name in short}
        files = {}
        for name, label in sorted(short.items()):
            files[name] = self._folder / f"{label}.{self._fmt}"
            self._working(name).replace(files[name])
        self._writers = {}
        return files, dict(sorted(self._rows.items()))

    def _stop(self) -> None:
        threads, self._threads = self._threads, []
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        for thread in threads:
            thread.join()

    def discard(self) -> None:
        """End the threads and remove what has only a working name; nothing of a broken export stays for want of room."""
        self._stop()
        writers, self._writers = self._writers, {}
        for name in self._rows:
            try:
                if name in writers:
                    writers[name].close()
            except (OSError, pa.ArrowException):
                pass  # what it could not write goes now
            finally:
                self._working(name).unlink(missing_ok=True)


#: tables whose name without the kind would say something else
SHORT_NAMES = {"TA1.interchanges": "interchange_acknowledgments", "interchanges": "interchanges"}

"""Processes that turn chunks into tables beside the one that reads, cuts and writes.

Theory. What is sequential in X12 (envelopes, counts, where a claim ends) stays in one process; what is heavy (columns) needs
only a chunk and what is known of it. So a chunk's bytes are laid in memory that both sides see, a short description goes
through a pipe, and the tables come back the same way as Arrow's own format, to be taken in the order in which chunks were
given. Processes are forked, since starting them anew takes longer than a hundred megabytes; they only compute, and leave
without running anything of their parent's. Where there is no fork the engine uses threads.
"""

from __future__ import annotations

import gc
import mmap
import os
import pickle
import signal
import warnings
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.errors import Transient
from pipeline.x12.scan import Cuts

#: room for the bytes of a chunk, and for its tables, as multiples of the window
_INPUT, _OUTPUT = 3, 8
_AHEAD = 2  # chunks that wait at each process
#: (name, table) and the findings noted on the way
Made = tuple[list[tuple[str, pa.Table]], list[Any]]
#: what a process does: the padded bytes, the description of a chunk and, where there was room for them, the places of its
#: delimiters → what it holds
Task = Callable[[npt.NDArray[np.uint8], Any, Cuts | None], Made]


def possible() -> bool:
    """Can this system fork?"""
    return hasattr(os, "fork")


class Crew:
    """`room` lends memory for the next chunk, `give` hands it over, `take` returns the oldest one's tables."""

    def __init__(self, task: Task, processes: int, window: int) -> None:
        self._slots = processes * _AHEAD
        self._input_size, self._output_size = _INPUT * window, _OUTPUT * window
        self._inputs = [mmap.mmap(-1, self._input_size) for _ in range(self._slots)]
        self._outputs = [mmap.mmap(-1, self._output_size) for _ in range(self._slots)]
        self._given = 0
        self._waiting: deque[int] = deque()
        self._members: list[tuple[int, Connection]] = []
        keep_memory()
        for _ in range(processes):
            ours, theirs = Pipe()
            with warnings.catch_warnings():  # threads of numpy and Arrow are idle, and both know what a fork is
                warnings.simplefilter("ignore", DeprecationWarning)
                pid = os.fork()
            if pid == 0:
                self._work(task, theirs, ours)
            theirs.close()
            self._members.append((pid, ours))

    # ---- the parent's side -------------------------------------------------------------------------------------------

    @property
    def full(self) -> bool:
        return len(self._waiting) >= self._slots

    def room(self, size: int) -> npt.NDArray[np.uint8] | None:
        """Memory of this size for the next chunk; None where the chunk is too large for it. Only when not `full`."""
        if size > self._input_size:
            return None
        return np.frombuffer(self._inputs[self._given % self._slots], dtype=np.uint8, count=size)

    def give(self, size: int, description: Any, cuts: Cuts) -> bool:
        """Hand over the chunk that stands in `room`; False where its description is too large for that. The places of the
        delimiters go with it if there is room: to find them again would take longer than all else that is not a column."""
        slot = self._given % self._slots
        described = pickle.dumps(description, protocol=5)
        end = size + len(described)
        if end > self._input_size:
            return False
        # not through the pipe: both sides would wait for ever if each had more to say than the pipe holds
        self._inputs[slot][size:end] = described
        places = _laid(self._inputs[slot], end, self._input_size, cuts)
        _, pipe = self._members[slot % len(self._members)]
        try:
            pipe.send_bytes(pickle.dumps((slot, size, end, places)))
        except OSError as error:
            raise _lost() from error
        self._waiting.append(slot)
        self._given += 1
        return True

    def take(self) -> Made:
        slot = self._waiting.popleft()
        _, pipe = self._members[slot % len(self._members)]
        try:
            ends, names, noted, failure, fits = pickle.loads(pipe.recv_bytes())  # noqa: S301 - from our own process
            data = self._outputs[slot] if fits else pipe.recv_bytes()
        except (EOFError, OSError) as error:
            raise _lost() from error
        if failure is not None:
            raise failure
        # bytes of its own for each table, so that one that is kept long does not keep the others
        parts = [_copied(data, start, end) for start, end in pairwise([0, *ends])]
        return [(name, pa.ipc.open_stream(part).read_all()) for name, part in zip(names, parts, strict=True)], noted

    def close(self) -> None:
        """End the processes, whatever they do."""
        members, self._members = self._members, []
        for pid, pipe in members:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
            pipe.close()
        for pid, _ in members:
            with suppress(ChildProcessError):
                os.waitpid(pid, 0)

    # ---- the process's side ------------------------------------------------------------------------------------------

    def _work(self, task: Task, pipe: Connection, parents: Connection) -> None:
        code = 1
        try:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            parents.close()
            gc.freeze()
            # the system's allocator keeps what is freed (see below); Arrow's own soon gives it back
            pa.set_memory_pool(pa.system_memory_pool())
            while True:
                slot, size, end, places = pickle.loads(pipe.recv_bytes())  # noqa: S301 - from our own process
                self._answer(pipe, slot, size, end, places, task)
        except (EOFError, OSError):
            code = 0  # the parent is gone
        finally:
            os._exit(code)  # nothing of the parent's (files, handlers, threads) may run here

    def _answer(self, pipe: Connection, slot: int, size: int, end: int, places: _Places, task: Task) -> None:
        try:
            memory = self._inputs[slot]
            description = pickle.loads(memory[size:end])  # noqa: S301 - from our own process
            cuts = _found(memory, places)
            tables, noted = task(np.frombuffer(memory, dtype=np.uint8, count=size), description, cuts)
        except Exception as error:
            pipe.send_bytes(pickle.dumps(([], [], [], _carried(error), True), protocol=5))
            return
        names = [name for name, _ in tables]
        sink: pa.NativeFile = pa.FixedSizeBufferWriter(pa.py_buffer(self._outputs[slot]))
        try:
            ends, fits = _write(tables, sink), True
        except (OSError, pa.ArrowException):  # larger than the room
            sink = pa.BufferOutputStream()
            ends, fits = _write(tables, sink), False
        pipe.send_bytes(pickle.dumps((ends, names, noted, None, fits), protocol=5))
        if not fits:
            pipe.send_bytes(sink.getvalue())


#: where the places of delimiters lie in a room, and how many there are of segments and of all; None: there was no room
_Places: TypeAlias = "tuple[int, int, int] | None"


def _laid(memory: mmap.mmap, after: int, size: int, cuts: Cuts) -> _Places:
    marks, last, starts, words = cuts
    at, n = -(-after // 8) * 8, len(last)
    if at + 16 * n + 4 * len(marks) > size:
        return None
    np.frombuffer(memory, dtype="<u8", count=n, offset=at)[:] = words
    small = np.frombuffer(memory, dtype=np.int32, count=2 * n + len(marks), offset=at + 8 * n)
    small[:n], small[n : 2 * n], small[2 * n :] = last, starts, marks
    return at, n, len(marks)


def _found(memory: mmap.mmap, places: _Places) -> Cuts | None:
    if places is None:
        return None
    at, n, marks = places
    words = np.frombuffer(memory, dtype="<u8", count=n, offset=at)
    small = np.frombuffer(memory, dtype=np.int32, count=2 * n + marks, offset=at + 8 * n).astype(np.int64)
    return small[2 * n :], small[:n], small[n : 2 * n], words


def _copied(data: mmap.mmap | bytes, start: int, end: int) -> pa.Buffer:
    """Memory of Arrow's own pool: the system's grows by and by when large pieces come and go between small ones that stay."""
    buffer = pa.allocate_buffer(end - start)
    memoryview(buffer).cast("B")[:] = memoryview(data)[start:end]
    return buffer


def _write(tables: list[tuple[str, pa.Table]], sink: pa.NativeFile) -> list[int]:
    """One stream a table; returns where each ends."""
    ends = []
    for _, table in tables:
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        ends.append(sink.tell())
    return ends


def _carried(error: Exception) -> Exception:
    """The error as it can go through a pipe."""
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - from our own process
    except Exception:
        return RuntimeError(type(error).__name__)
    return error


def _lost() -> Transient:
    return Transient(
        "A process that was reading the files ended before its time, perhaps for lack of memory.",
        fix="Run it again; if it happens again, use one process.",
    )


def keep_memory() -> None:
    """Keep freed memory (so much at most) for the next chunk, here and in the processes: to give it back and have it cleared
    again takes a tenth of the time."""
    with suppress(Exception):
        import ctypes

        library = ctypes.CDLL(None)
        trim_threshold, mmap_threshold = -1, -3
        library.mallopt(mmap_threshold, 1 << 22)
        library.mallopt(trim_threshold, 1 << 26)


def give_back_memory(above: int) -> None:
    """Where this process holds more than so many bytes, let free pages between memory that is held go back to the system.

    They become more the longer pieces of all sizes come and go: what is held for long stands between them. To give them back and
    have them cleared again costs time, so it is done only when it is needed.
    """
    with suppress(Exception):
        import ctypes

        _, resident, shared = (int(pages) for pages in Path("/proc/self/statm").read_text().split()[:3])
        if (resident - shared) * os.sysconf("SC_PAGE_SIZE") > above:
            ctypes.CDLL(None).malloc_trim(0)

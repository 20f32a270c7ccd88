"""The payer's own record: an append-only file of JSON lines, the only memory that outlives the process.

Events: `started` and `stopped` (of the process), `received` (a file was taken in), `answered` (all its answers stand in the
outbound folders), `failed` (a file could not be answered: the kind and place of the error), `fault` (a requested fault struck). It holds claim ids and charges, never a patient's name. A line is
written by one append and synced; a torn last line, as a kill in mid-write leaves it, is cut off at the next start.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class Record:
    def __init__(self, path: Path) -> None:
        self.path = path
        _mend(path)

    def append(self, event: str, **fields: Any) -> None:
        """Write one event and sync it to the disk."""
        line = json.dumps({"event": event, **fields}, separators=(",", ":"), sort_keys=False) + "\n"
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            data = line.encode("utf-8")
            while data:
                data = data[os.write(descriptor, data) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def events(self) -> Iterator[dict[str, Any]]:
        if not self.path.exists():
            return
        with open(self.path, encoding="utf-8") as file:
            for line in file:
                yield json.loads(line)


def _mend(path: Path) -> None:
    """Cut off a last line that was never finished."""
    if not path.exists():
        return
    with open(path, "r+b") as file:
        end = file.seek(0, os.SEEK_END)
        if not end:
            return
        file.seek(end - 1)
        if file.read(1) == b"\n":
            return
        position = end
        while position > 0:
            start = max(position - 65536, 0)
            file.seek(start)
            found = file.read(position - start).rfind(b"\n")
            if found >= 0:
                file.truncate(start + found + 1)
                return
            position = start
        file.truncate(0)

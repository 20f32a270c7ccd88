"""What every kind of connection shares: the session, its two errors, a name in a remote folder, where to log in.

A session raises two errors and no others, because only one question matters to its callers:

- `LinkLost` (Transient): the answer did not come. The step may or may not have happened. Trying again can help.
- `Refused` (Terminal): the other side answered no. The step did not happen. Trying again is pointless.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pipeline.errors import Terminal, Transient

#: no listing is longer; what lies beyond is taken by the next sweep
MAX_ENTRIES = 100_000


def wire(name: str) -> bytes:
    """A remote name as it travels; bytes that were not UTF-8 survive the way in and out."""
    return name.encode("utf-8", "surrogateescape")


class LinkLost(Transient):
    """The connection broke or an answer did not come in time: what was asked may or may not have been done."""


class Refused(Terminal):
    """The other side said no, so nothing was done. `absent`: there is no such file or folder."""

    def __init__(self, message: str, *, fix: str = "", absent: bool = False) -> None:
        super().__init__(message, fix=fix)
        self.absent = absent


@dataclass(frozen=True, slots=True)
class Entry:
    """One name in a remote folder. `name` is as the server gave it: never use it for a local path."""

    name: str
    size: int
    modified: int
    regular: bool  # a plain file: no folder, link, device


class Session(Protocol):
    """An open connection. Paths are the other side's, `/` between their parts."""

    def upload(self, path: str, data: bytes, *, exclusive: bool = False) -> None:
        """Write the whole file. `exclusive`: refuse where the name is taken; otherwise the file is written over."""

    def size(self, path: str) -> int | None:
        """Size in bytes, None where nothing has that name."""

    def rename(self, source: str, target: str) -> None:
        """Give a file its other name; refused where the target exists."""

    def remove(self, path: str) -> bool:
        """Remove a file; False where it was not there."""

    def entries(self, folder: str) -> list[Entry]:
        """What the folder holds, in no certain order."""

    def entry(self, path: str) -> Entry | None:
        """What stands at a path now, links not followed; None where nothing does."""

    def download(self, path: str, limit: int) -> Iterator[bytes]:
        """A file's bytes in pieces, at most `limit` + 1 in all. Errors are raised when a piece is asked for."""

    def close(self) -> None:
        """End it; never raises."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where and how to log in. Credentials are read at the last moment and are never shown."""

    label: str
    host: str
    port: int
    user: str
    known_hosts: Path
    key_file: Path | None = None
    password_variable: str = ""

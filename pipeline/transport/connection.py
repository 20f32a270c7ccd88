"""A connection to one payer (or to the bank), whatever stands at the other end: `sftp`, `box` or `folder`.

A session raises two errors and no others, because only one question matters to its callers:

- `LinkLost` (Transient): the answer did not come. The step may or may not have happened. Trying again can help.
- `Refused` (Terminal): the other side answered no. The step did not happen. Trying again is pointless.

Host keys are pinned: a server that is unknown, or whose key changed, is refused before any credential is sent.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from pipeline import payers
from pipeline.errors import Terminal, Transient
from pipeline.settings import Settings, TransportSettings

#: the route by which the bank's files come; its settings are the section [bank]
BANK = "bank"
#: no listing is longer; what lies beyond is taken by the next sweep
MAX_ENTRIES = 100_000

T = TypeVar("T")


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

    def download(self, path: str, limit: int) -> bytes:
        """At most `limit` + 1 bytes of a file."""

    def close(self) -> None:
        """End it; never raises."""


class Route(Protocol):
    """Whoever can be reached: a payer's profile, or the bank."""

    @property
    def key(self) -> str: ...
    @property
    def transport(self) -> payers.Transport: ...


@dataclass(frozen=True, slots=True)
class BankRoute:
    transport: payers.Transport
    key: str = BANK


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


def route(settings: Settings, key: str) -> Route:
    """The route of a payer's key, or of `bank`. Terminal where no profile has that key."""
    if key == BANK:
        return BankRoute(settings.bank)
    profiles = payers.load_profiles(settings.payers_dir)
    if key not in profiles:
        raise Terminal(f"There is no payer profile {key}.", fix=f"Known are: {', '.join(sorted(profiles)) or 'none'}.")
    return profiles[key]


def connect(settings: Settings, profile: Route) -> Session:
    """Open a session. Terminal: login, host key, configuration. LinkLost or Transient: not reachable now."""
    transport = profile.transport
    if transport.kind == "folder":
        from pipeline.transport.folder import FolderSession

        return FolderSession(profile.key)
    from pipeline.transport.sftp import SftpSession

    endpoint = _box(settings, profile.key) if transport.kind == "box" else _server(profile)
    return SftpSession(endpoint, settings.transport.timeout_seconds)


def _server(profile: Route) -> Endpoint:
    transport = profile.transport
    missing = [name for name in ("host", "user", "known_hosts") if not getattr(transport, name)]
    if not transport.key_file and not transport.password_variable:
        missing.append("key_file or password_variable")
    if missing:
        raise Terminal(
            f"The transport of {profile.key} lacks: {', '.join(missing)}.", fix="Complete the payer's profile."
        )
    if transport.password_variable and not os.environ.get(transport.password_variable):
        raise Terminal(
            f"The secret of {profile.key} is missing: {transport.password_variable} is not set.",
            fix="Set that environment variable where the night runs.",
        )
    return Endpoint(
        profile.key,
        transport.host,
        transport.port,
        transport.user,
        Path(transport.known_hosts).expanduser(),
        Path(transport.key_file).expanduser() if transport.key_file else None,
        transport.password_variable,
    )


def _box(settings: Settings, key: str) -> Endpoint:
    """The payer in a box tells by its endpoint file where it listens and which host key it has."""
    path = settings.payer_box_dir / "endpoint.json"
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        return Endpoint(
            key, str(told["host"]), int(told["port"]), key, Path(told["known_hosts"]), Path(told["client_key"])
        )
    except FileNotFoundError:
        raise Transient("The payer in a box is not running.", fix="Start it: claimpipe payer start.") from None
    except (ValueError, KeyError, TypeError, OSError):
        raise Transient(
            f"The payer in a box left an endpoint file that cannot be read ({path}).",
            fix="Start it anew: claimpipe payer stop, then claimpipe payer start.",
        ) from None


def retried(settings: TransportSettings, work: Callable[[], T], dropped: Callable[[], None]) -> T:
    """Do `work`; on a lost link call `dropped`, pause and try again, at most `attempts` times in all, doubling the pause."""
    pause = settings.backoff_seconds
    for left in range(max(settings.attempts, 1) - 1, -1, -1):
        try:
            return work()
        except LinkLost:
            dropped()
            if not left:
                raise
        time.sleep(pause)
        pause *= 2
    raise AssertionError("not reached")

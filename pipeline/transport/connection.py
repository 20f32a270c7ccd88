"""A connection to one payer (or to the bank), whatever stands at the other end: `sftp`, `box` or `folder`.

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
from pipeline.transport.session import Endpoint, LinkLost, Session

#: the route by which the bank's files come; its settings are the section [bank]
BANK = "bank"
T = TypeVar("T")


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


def route(settings: Settings, key: str) -> Route:
    """The route of a payer's key, or of `bank`. Terminal where no profile has that key."""
    if key == BANK:
        return BankRoute(settings.bank)
    profiles = payers.load_profiles(settings.payers_dir)
    if key not in profiles:
        raise Terminal(
            f"There is no payer profile {key}.",
            fix=f"Known are: {', '.join(sorted(profiles)) or 'none'}. Where claims went to it, give the profile back, under this key.",
        )
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

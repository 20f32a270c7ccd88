"""The process of the payer in a box: `python -m pipeline.payer_simulator.serve --root DIR`. Started by `process.start`.

It holds a lock on its folder as long as it lives, writes `endpoint.json` when it is ready, and ends on SIGTERM. What it
says on standard error names no claim and no person.
"""

from __future__ import annotations

import argparse
import asyncio
import errno
import fcntl
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import asyncssh

from pipeline.errors import ClaimpipeError
from pipeline.payer_simulator.adjudication import load_table
from pipeline.payer_simulator.box import Box, Sweeper
from pipeline.payer_simulator.faults import load_faults
from pipeline.payer_simulator.server import Files, Login
from pipeline.payers import load_profiles

HOST = "127.0.0.1"
POLL_SECONDS = 0.05


def key_pair(path: Path) -> asyncssh.SSHKey:
    """The ed25519 key in `path` (mode 0600), made where it is missing."""
    if not path.exists():
        key = asyncssh.generate_private_key("ssh-ed25519", comment="claimpipe payer in a box")
        part = path.with_suffix(".part")
        part.unlink(missing_ok=True)
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(key.export_private_key())
        os.rename(part, path)
    return asyncssh.read_private_key(str(path))


async def serve(root: Path, port: int, seed: int, faults: Path | None, payers: str) -> None:
    """Serve until SIGTERM or SIGINT."""
    loop = asyncio.get_running_loop()
    plan = load_faults(faults)
    box = Box(root, load_profiles(payers), load_table(), seed, plan, loop.call_later)
    sweeper = Sweeper(box)
    host_key, client_key = key_pair(root / "host_key"), key_pair(root / "client_key")
    changed = plan.offer("host_key_changed", "")
    shown_key = asyncssh.generate_private_key("ssh-ed25519") if changed else host_key
    awake, stopped = asyncio.Event(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _stop, stopped, awake)
    public = client_key.convert_to_public()
    listener = await asyncssh.listen(
        HOST,
        port,
        server_host_keys=[shown_key],
        server_factory=lambda: Login(box, public),
        sftp_factory=_sessions(box, sweeper, awake.set),
        allow_scp=False,
        compression_algs=None,
    )
    port = listener.get_port()
    known_hosts = root / "known_hosts"
    _replace(known_hosts, f"[{HOST}]:{port} {host_key.export_public_key().decode().strip()}\n")
    box.record.append("started", seed=seed, faults=plan.sha256)
    await asyncio.to_thread(box.finish_late)
    endpoint = {
        "host": HOST, "port": port, "pid": os.getpid(), "known_hosts": str(known_hosts),
        "client_key": str(root / "client_key"), "faults": plan.sha256, "seed": seed,
    }  # fmt: skip
    _replace(root / "endpoint.json", json.dumps(endpoint) + "\n")
    await asyncio.to_thread(box.work)
    while not stopped.is_set():
        if taken := sweeper.ready():
            for payer, name in taken:
                box.take(payer, name)
            await asyncio.to_thread(box.work)
        elif awake.is_set():
            awake.clear()
            await asyncio.to_thread(box.work)
        else:
            try:
                await asyncio.wait_for(awake.wait(), POLL_SECONDS)
            except TimeoutError:
                continue
    listener.close()
    (root / "endpoint.json").unlink(missing_ok=True)
    box.record.append("stopped")


def _stop(*events: asyncio.Event) -> None:
    for event in events:
        event.set()


def _sessions(box: Box, sweeper: Sweeper, wake: Callable[[], None]) -> Callable[..., Files]:
    return lambda chan: Files(chan, box, sweeper, wake)


def _replace(path: Path, text: str) -> None:
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8")
    os.rename(part, path)


def main() -> int:
    """Entry point: 0 after a stop, 2 where it cannot run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, required=True, help="folder of the payer in a box")
    parser.add_argument("--port", type=int, default=0, help="0: the port of last time if it is free, else any")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--faults", type=Path)
    parser.add_argument("--payers", default="", help="folder of payer profiles")
    given = parser.parse_args()
    given.root.mkdir(parents=True, exist_ok=True)
    given.root.chmod(0o700)
    lock = open(given.root / "lock", "a")  # noqa: SIM115 - held as long as the process lives
    for left in range(10, -1, -1):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except OSError:
            if not left or (given.root / "endpoint.json").exists():
                print("Another payer in a box runs in this folder.", file=sys.stderr)
                return 2
            time.sleep(0.02)  # who only asks whether a box runs holds the lock for a moment
    asyncssh.set_log_level("CRITICAL")  # its log would name files and users
    try:
        asyncio.run(_on_a_port(given))
    except ClaimpipeError as error:
        print(error, file=sys.stderr)
        return 2
    except (OSError, OverflowError) as error:
        print(_refused(error, given.port), file=sys.stderr)
        return 2
    return 0


def _refused(error: OSError | OverflowError, port: int) -> str:
    """What the machine refused, in words. asyncio puts the address into an error of its own, without a code of its own kind."""
    number = getattr(error, "errno", None)
    fix = "Set payer_box.port to a free port, or to 0 for any."
    if number == errno.EADDRINUSE:
        return f"Port {port} of {HOST} is in use by another program. {fix}"
    if isinstance(error, OverflowError) or number in (errno.EACCES, errno.EADDRNOTAVAIL):
        return f"Port {port} of {HOST} cannot be used. {fix}"
    return f"The machine refused an operation ({error.strerror or type(error).__name__})."


async def _on_a_port(given: argparse.Namespace) -> None:
    """Prefer the port of last time, so that an address pinned in a client stays true over a restart."""
    last = given.root / "known_hosts"
    port = given.port
    if not port and last.exists():
        port = int(last.read_text(encoding="utf-8").split("]:", 1)[1].split()[0])
    try:
        await serve(given.root, port, given.seed, given.faults, given.payers)
    except OSError:
        if given.port or not port:
            raise
        await serve(given.root, 0, given.seed, given.faults, given.payers)


if __name__ == "__main__":
    sys.exit(main())

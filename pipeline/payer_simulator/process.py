"""Starting and stopping the payer in a box. It is a process of its own and outlives the command that started it."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from pipeline.errors import Terminal, Transient
from pipeline.payer_simulator.faults import load_faults
from pipeline.settings import Settings

START_SECONDS, STOP_SECONDS = 30.0, 20.0


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where it listens. `client_key` opens every user's door: a payer's key, or `bank`."""

    host: str
    port: int
    pid: int
    known_hosts: Path
    client_key: Path


def endpoint(settings: Settings) -> Endpoint | None:
    """The running payer in a box; None where none runs."""
    told = _told(settings.payer_box_dir)
    return None if told is None else _endpoint(told)


def start(settings: Settings, faults: Path | None = None) -> Endpoint:
    """Start it and wait until it listens; the running one is left as it is.

    `faults` (else `settings.payer_box.faults`) is read at the start only. Terminal where it cannot run, or where one with
    other faults is running; Transient where it is not ready in time.
    """
    root = settings.payer_box_dir
    file = faults or (Path(settings.payer_box.faults) if settings.payer_box.faults else None)
    load_faults(file)  # refuse a broken file here, with its own message
    wanted = hashlib.sha256(file.read_bytes()).hexdigest() if file else ""
    root.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + START_SECONDS
    with open(root / "start.lock", "a") as starting:
        fcntl.flock(starting, fcntl.LOCK_EX)  # two starts at once: the second finds what the first started
        while _locked(root) and _told(root) is None and time.monotonic() < deadline:
            time.sleep(0.02)  # one is coming up, or going down
        told = _told(root)
        if told is None:
            return _spawn(settings, root, file, deadline)
    if file and told["faults"] != wanted:
        raise Terminal("A payer in a box runs already, with other faults.", fix="Stop it first: claimpipe payer stop.")
    return _endpoint(told)


def become(settings: Settings, faults: Path | None = None) -> NoReturn:
    """Be the payer in a box: this process goes on as it, until SIGTERM or Ctrl-C. Terminal where the faults cannot be used."""
    root = settings.payer_box_dir
    file = faults or (Path(settings.payer_box.faults) if settings.payer_box.faults else None)
    load_faults(file)
    root.mkdir(parents=True, exist_ok=True)
    command = _command(settings, root, file)
    print(f"The payer in a box runs in {root}.", flush=True)  # nothing of this process is flushed after the next line
    os.execv(command[0], command)  # noqa: S606 - the same interpreter, a fixed list


def _command(settings: Settings, root: Path, faults: Path | None) -> list[str]:
    command = [
        sys.executable, "-m", "pipeline.payer_simulator.serve", "--root", str(root.resolve()),
        "--port", str(settings.payer_box.port), "--seed", str(settings.payer_box.seed),
    ]  # fmt: skip
    if faults:
        command += ["--faults", str(faults.resolve())]
    if settings.payers_dir:
        command += ["--payers", str(Path(settings.payers_dir).resolve())]
    return command


def _spawn(settings: Settings, root: Path, faults: Path | None, deadline: float) -> Endpoint:
    command = _command(settings, root, faults)
    (root / "endpoint.json").unlink(missing_ok=True)
    log = root / "serve.log"
    # the box is another party: failure points of the night are none of its business
    environment = {k: v for k, v in os.environ.items() if not k.startswith("CLAIMPIPE_FAIL_")}
    with open(log, "ab") as out:
        mark = out.tell()
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True, env=environment,
            close_fds=True,
        )  # fmt: skip
    try:
        while time.monotonic() < deadline:
            told = _told(root)
            if told is not None:
                return _endpoint(told)
            if process.poll() is not None:
                said = log.read_bytes()[mark:].decode("utf-8", "replace").strip().splitlines()
                raise Terminal(
                    f"The payer in a box did not start: {said[-1] if said else f'it ended with code {process.returncode}'}",
                    fix=f"See {log}.",
                )
            time.sleep(0.02)
        raise Transient(f"The payer in a box was not ready within {START_SECONDS:.0f} seconds.", fix=f"See {log}.")
    except BaseException:  # Ctrl-C too: it has a session of its own and would live on
        process.kill()
        process.wait()
        raise


def stop(settings: Settings) -> bool:
    """Stop it and wait until it is gone. False where none was running."""
    told = _told(settings.payer_box_dir)
    if told is None:
        return False
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.kill(told["pid"], number)
        except ProcessLookupError:
            break
        deadline = time.monotonic() + STOP_SECONDS
        while time.monotonic() < deadline:
            if not _locked(settings.payer_box_dir):
                _reap(told["pid"])
                (settings.payer_box_dir / "endpoint.json").unlink(missing_ok=True)
                return True
            time.sleep(0.02)
    return True


def _endpoint(told: dict[str, Any]) -> Endpoint:
    return Endpoint(told["host"], told["port"], told["pid"], Path(told["known_hosts"]), Path(told["client_key"]))


def _told(root: Path) -> dict[str, Any] | None:
    """endpoint.json of a process that lives; the lock tells, since a process id may be another's by now."""
    try:
        told = json.loads((root / "endpoint.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return told if _locked(root) else None


def _locked(root: Path) -> bool:
    try:
        with open(root / "lock", "a") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def _reap(pid: int) -> None:
    """Where this process started it, take its exit status, so that no zombie stays."""
    try:
        os.waitpid(pid, 0)
    except ChildProcessError:
        return

"""A payer in a box for a test, with a client as real payers' partners use: paramiko, pinned host key, one key."""

from __future__ import annotations

import io
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import paramiko

from pipeline.payer_simulator import process
from pipeline.settings import Settings

T = TypeVar("T")
PATIENCE = 20.0


class BoxUnderTest:
    def __init__(self, settings: Settings) -> None:
        settings.payer_box.seed = 27  # that of `answers.answered`, by which answers are expected
        self.settings = settings
        self.root = settings.payer_box_dir

    def start(self, faults: str = "") -> process.Endpoint:
        file = None
        if faults:
            file = self.root.parent / "faults.toml"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(faults)
        return process.start(self.settings, file)

    def stop(self) -> bool:
        return process.stop(self.settings)

    def kill(self) -> None:
        """SIGKILL, as a power cut would."""
        running = process.endpoint(self.settings)
        assert running is not None
        os.kill(running.pid, signal.SIGKILL)
        os.waitpid(running.pid, 0)

    @contextmanager
    def session(self, user: str = "medicare") -> Iterator[paramiko.SFTPClient]:
        running = process.endpoint(self.settings)
        assert running is not None
        client = paramiko.SSHClient()
        client.load_host_keys(str(running.known_hosts))
        client.set_missing_host_key_policy(paramiko.RejectPolicy())
        try:
            client.connect(
                running.host, running.port, username=user, key_filename=str(running.client_key), allow_agent=False,
                look_for_keys=False, timeout=PATIENCE, banner_timeout=PATIENCE, auth_timeout=PATIENCE,
            )  # fmt: skip
            sftp = client.open_sftp()
            channel = sftp.get_channel()
            assert channel is not None
            channel.settimeout(PATIENCE)
            yield sftp
        finally:
            client.close()

    def upload(self, data: bytes, name: str = "claims.edi", user: str = "medicare") -> None:
        with self.session(user) as sftp:
            sftp.putfo(io.BytesIO(data), f"/inbound/.part-{name}")
            sftp.rename(f"/inbound/.part-{name}", f"/inbound/{name}")

    def record(self) -> list[dict[str, Any]]:
        path = self.root / "record.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def events(self, kind: str) -> list[dict[str, Any]]:
        return [e for e in self.record() if e["event"] == kind]

    def wait(self, test: Callable[[], T]) -> T:
        deadline = time.monotonic() + PATIENCE
        while not (found := test()):
            assert time.monotonic() < deadline, f"nothing came: {(self.root / 'serve.log').read_text()}"
            time.sleep(0.02)
        return found

    def wait_answered(self, count: int = 1) -> None:
        self.wait(lambda: len(self.events("answered")) >= count)

    def outbound(self, user: str = "medicare") -> dict[str, bytes]:
        """Everything in /outbound, fetched by SFTP."""
        found = {}
        with self.session(user) as sftp:
            for name in sftp.listdir("/outbound"):
                with sftp.open(f"/outbound/{name}", "rb") as file:
                    found[name] = file.read()
        return found

    def all_answers(self) -> dict[str, bytes]:
        return {**self.outbound(), **self.outbound("bank")}

    def all_answers_on_disk(self) -> list[str]:
        """Names in the outbound folders, without a server."""
        return [p.name for user in ("medicare", "bank") for p in self.folder(user, "outbound").iterdir()]

    def folder(self, *parts: str) -> Path:
        return self.root.joinpath("sftp", *parts)

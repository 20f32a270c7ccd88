"""A payer's SFTP server inside the test process: real protocol, real files, and faults on request.

It keeps the payer's own record, `taken`: every file that the payer took from its inbox, with its bytes. Tests judge from
that record whether something was delivered, once or twice.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncssh

TEMPORARY = ".part-"


@dataclass
class Faults:
    """What goes wrong. Counters count down to 0; booleans stay."""

    cut_upload_after: int | None = None  # close the connection once so many bytes were written
    cuts: int = 1  # how many uploads are cut
    lose_rename_reply: int = 0  # so many renames are done, then the connection dies without an answer
    drop_before_rename: int = 0  # so many renames are not done: the connection dies first
    refuse: dict[str, type[asyncssh.SFTPError]] = field(default_factory=dict)  # operation → error
    quota: int | None = None  # bytes of one file after which writing fails
    swallow_after: int | None = None  # bytes of a file beyond this are lost, and success is said
    sweep_at_once: bool = False  # the payer takes a file the moment it has a final name
    sweep_temporary: bool = False  # the payer takes files under any name, once they are closed
    extra_names: list[bytes] = field(default_factory=list)  # stand in the listing of /outbound, without a file
    cut_download_after: int = 0  # so many downloads go through, then the connection dies, once
    before_rename: Callable[[], None] | None = None  # called in the server, before a rename is done


class SftpPayer:
    def __init__(self, root: Path, user: str = "acme") -> None:
        self.root, self.user = root / "tree", user
        self.inbound, self.outbound = self.root / "inbound", self.root / "outbound"
        for folder in (self.inbound, self.outbound, root / "swept"):
            folder.mkdir(parents=True)
        self.swept = root / "swept"
        self.known_hosts, self.key_file = root / "known_hosts", root / "client_key"
        self._host_key = asyncssh.generate_private_key("ssh-ed25519")
        client_key = asyncssh.generate_private_key("ssh-ed25519")
        self.key_file.write_bytes(client_key.export_private_key("openssh"))
        self._client_public = client_key.export_public_key().decode()
        self.password = "right"
        self.faults = Faults()
        self.taken: list[tuple[str, bytes]] = []
        self.logins = 0
        self.calls: list[str] = []
        self.bytes_written = 0
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server: Any = None
        self._connections: list[asyncssh.SSHServerConnection] = []
        self.start()
        self.pin()

    # --- running ------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        self._server = self._call(self._listen())
        self.port = self._server.get_port()

    def stop(self) -> None:
        """Down: connections are refused. `start` brings it up again on the same port."""
        self._call(self._close())

    def end(self) -> None:
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def pin(self) -> None:
        """Write the host key as it is now to known_hosts, as the practice's administrator would."""
        public = self._host_key.export_public_key().decode().strip()
        self.known_hosts.write_text(f"[127.0.0.1]:{self.port} {public}\n")

    def change_host_key(self) -> None:
        self.stop()
        self._host_key = asyncssh.generate_private_key("ssh-ed25519")
        self.start()

    async def _listen(self) -> Any:
        payer = self

        class Login(asyncssh.SSHServer):
            def connection_made(self, connection: asyncssh.SSHServerConnection) -> None:
                payer._connections.append(connection)

            def begin_auth(self, username: str) -> bool:
                return True

            def password_auth_supported(self) -> bool:
                return True

            def validate_password(self, username: str, password: str) -> bool:
                return self._count(username == payer.user and password == payer.password)

            def public_key_auth_supported(self) -> bool:
                return True

            def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
                known = asyncssh.import_public_key(payer._client_public)
                return self._count(username == payer.user and key == known)

            def _count(self, right: bool) -> bool:
                payer.logins += right
                return right

        return await asyncssh.listen(
            "127.0.0.1", self.port, server_factory=Login, server_host_keys=[self._host_key],
            sftp_factory=lambda channel: _Tree(channel, self), allow_scp=False, login_timeout=10,
        )  # fmt: skip

    async def _close(self) -> None:
        self._server.close()
        for connection in self._connections:
            connection.abort()
        self._connections.clear()
        await self._server.wait_closed()

    def _call(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    # --- the payer ----------------------------------------------------------------------------------------------------

    def sweep(self) -> None:
        """The payer takes what stands in its inbox under a final name."""
        for path in sorted(self.inbound.iterdir()):
            if not path.name.startswith(TEMPORARY):
                self.take(path)

    def take(self, path: Path) -> None:
        self.taken.append((path.name, path.read_bytes()))
        shutil.move(path, self.swept / f"{len(self.taken)}-{path.name}")

    @property
    def delivered(self) -> list[bytes]:
        """The bytes of every file that the payer took, or could take now."""
        waiting = [p.read_bytes() for p in sorted(self.inbound.iterdir()) if not p.name.startswith(TEMPORARY)]
        return [data for _, data in self.taken] + waiting

    @property
    def temporaries(self) -> list[str]:
        return sorted(p.name for p in self.inbound.iterdir() if p.name.startswith(TEMPORARY))

    def put(self, name: str, data: bytes) -> Path:
        path = self.outbound / name
        path.write_bytes(data)
        return path

    @property
    def offered(self) -> list[str]:
        return sorted(os.listdir(self.outbound))


class _Tree(asyncssh.SFTPServer):
    """The file tree of one connection, where the faults happen."""

    def __init__(self, channel: Any, payer: SftpPayer) -> None:
        super().__init__(channel, chroot=str(payer.root).encode())
        self._payer = payer
        self._channel = channel
        self._written: dict[Any, int] = {}
        self._names: dict[Any, bytes] = {}

    def _die(self) -> None:
        self._channel.get_connection().abort()
        raise asyncssh.SFTPConnectionLost("cut")

    def _asked(self, operation: str) -> None:
        self._payer.calls.append(operation)
        if operation in self._payer.faults.refuse:
            raise self._payer.faults.refuse[operation]("no")

    def open(self, path: bytes, pflags: int, attrs: Any) -> Any:
        writing = bool(pflags & asyncssh.FXF_WRITE)
        self._asked("write" if writing else "read")
        faults = self._payer.faults
        if not writing and faults.cut_download_after > 0:
            faults.cut_download_after -= 1
            if not faults.cut_download_after:
                self._die()
        file = super().open(path, pflags, attrs)
        self._written[file] = 0
        self._names[file] = path
        return file

    def write(self, file: Any, offset: int, data: bytes) -> int:
        faults = self._payer.faults
        end = offset + len(data)
        if faults.quota is not None and end > faults.quota:
            super().write(file, offset, data[: max(0, faults.quota - offset)])
            raise asyncssh.SFTPFailure("quota")
        if faults.swallow_after is not None and end > faults.swallow_after:
            super().write(file, offset, data[: max(0, faults.swallow_after - offset)])
            return len(data)
        if faults.cut_upload_after is not None and faults.cuts > 0 and end > faults.cut_upload_after:
            super().write(file, offset, data[: max(0, faults.cut_upload_after - offset)])
            file.flush()
            faults.cuts -= 1
            self._die()
        self._payer.bytes_written += len(data)
        return super().write(file, offset, data)

    def close(self, file: Any) -> None:
        super().close(file)
        name = self._names.pop(file, b"")
        if self._payer.faults.sweep_temporary and b"/inbound/" in b"/" + name:
            path = Path(os.fsdecode(self.map_path(name)))
            if path.exists():
                self._payer.take(path)

    def rename(self, oldpath: bytes, newpath: bytes) -> Any:
        self._asked("rename")
        faults = self._payer.faults
        if faults.before_rename:
            faults.before_rename()
        if faults.drop_before_rename > 0:
            faults.drop_before_rename -= 1
            self._die()
        result = super().rename(oldpath, newpath)
        if faults.sweep_at_once:
            self._payer.sweep()
        if faults.lose_rename_reply > 0:
            faults.lose_rename_reply -= 1
            self._die()
        return result

    def remove(self, path: bytes) -> Any:
        self._asked("remove")
        return super().remove(path)

    def lstat(self, path: bytes) -> Any:
        self._asked("stat")
        return super().lstat(path)

    async def scandir(self, path: bytes) -> Any:
        self._asked("list")
        async for name in super().scandir(path):
            yield name
        if path.rstrip(b"/").endswith(b"outbound"):
            for extra in self._payer.faults.extra_names:
                attributes = asyncssh.SFTPAttrs(size=10, permissions=0o100644, atime=0, mtime=0)
                yield asyncssh.SFTPName(extra, b"-rw-r--r-- " + extra, attributes)

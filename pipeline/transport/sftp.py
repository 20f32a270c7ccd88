"""A session over SFTP by paramiko.

What paramiko leaves to its caller, and what is done here about it:
- An explicit refusal and a dead socket are both `OSError`; statuses are therefore turned into a class of their own.
- A pipelined upload loses the refusals of its last writes, because closing swallows errors: the last byte is written
  unpipelined, which reads every reply that is due.
- A login that fails because the link died looks like a wrong password: told apart by paramiko's words for it.
- A name that is not UTF-8 breaks `listdir`: names are read as bytes here.
- Unknown host keys are refused by default policy, agent and `~/.ssh` are not asked, compression is off.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import paramiko
from paramiko.sftp import CMD_CLOSE, CMD_HANDLE, CMD_NAME, CMD_OPENDIR, CMD_READDIR

from pipeline.errors import Terminal
from pipeline.failpoints import failpoint
from pipeline.transport.session import MAX_ENTRIES, Endpoint, Entry, LinkLost, Refused, wire

_CHUNK = 32_768
_AHEAD = 128  # pieces asked for ahead of what was read: more would be held in memory
_LOG = "pipeline.transport.ssh"
# paramiko's log would hold remote names, which are the payer's to choose: it goes nowhere
logging.getLogger(_LOG).addHandler(logging.NullHandler())
logging.getLogger(_LOG).propagate = False


class _Status(OSError):
    """The server answered with a status that is not OK."""


class _Client(paramiko.SFTPClient):
    def _convert_status(self, msg: Any) -> None:
        try:
            super()._convert_status(msg)
        except EOFError:
            raise
        except OSError as error:
            raise _Status(error.errno or errno.EIO, error.strerror or str(error)) from None

    def names(self, folder: str) -> Iterator[tuple[bytes, paramiko.SFTPAttributes]]:
        kind, reply = self._request(CMD_OPENDIR, folder.encode())
        if kind != CMD_HANDLE:
            raise paramiko.SFTPError("Expected handle")
        handle = reply.get_binary()
        while True:
            try:
                kind, reply = self._request(CMD_READDIR, handle)
            except EOFError:
                break
            if kind != CMD_NAME:
                raise paramiko.SFTPError("Expected names")
            for _ in range(reply.get_int()):
                name = reply.get_string()
                reply.get_string()  # the line for people
                yield name, paramiko.SFTPAttributes._from_msg(reply)
        self._request(CMD_CLOSE, handle)


class SftpSession:
    """See `connection.Session`."""

    def __init__(self, endpoint: Endpoint, timeout: float) -> None:
        self._where = endpoint.label
        self._ssh = paramiko.SSHClient()
        self._ssh.set_log_channel(_LOG)
        try:
            self._ssh.load_host_keys(str(endpoint.known_hosts))
        except (OSError, paramiko.SSHException, ValueError):
            raise Terminal(
                f"The file of pinned host keys of {self._where} cannot be read ({endpoint.known_hosts}).",
                fix="Ask the payer for its host key and put it there.",
            ) from None
        if endpoint.key_file is not None and not endpoint.key_file.is_file():
            raise Terminal(
                f"The private key of {self._where} is missing ({endpoint.key_file}).", fix="Put the key file there."
            )
        try:
            self._login(endpoint, timeout)
            channel_timeout = self._ssh.get_transport()
            with self._errors("opening SFTP"):
                client = _Client.from_transport(channel_timeout)
            if client is None:
                raise LinkLost(f"The server of {self._where} opened no SFTP channel.", fix="Run again.")
            self._sftp: _Client = client
            self._sftp.get_channel().settimeout(timeout)
        except BaseException:
            self._ssh.close()
            raise

    def _login(self, endpoint: Endpoint, timeout: float) -> None:
        try:
            self._ssh.connect(
                endpoint.host, endpoint.port, endpoint.user,
                password=os.environ.get(endpoint.password_variable) if endpoint.password_variable else None,
                key_filename=str(endpoint.key_file) if endpoint.key_file else None,
                allow_agent=False, look_for_keys=False, compress=False,
                timeout=timeout, banner_timeout=timeout, auth_timeout=timeout, channel_timeout=timeout,
            )  # fmt: skip
        except paramiko.BadHostKeyException:
            raise Terminal(
                f"The host key of {self._where} is not the pinned one; nothing was sent.",
                fix="Ask the payer whether it changed its key. Only then replace it in the known_hosts file.",
            ) from None
        except paramiko.AuthenticationException as error:
            words = str(error).lower()
            if "timeout" in words or "transport shut down" in words:
                raise self._lost("logging in", error) from None
            raise Terminal(
                f"{self._where} refused the login of user {endpoint.user}.",
                fix="Check the user and its key or password with the payer.",
            ) from None
        except paramiko.ssh_exception.IncompatiblePeer:
            raise Terminal(
                f"The server of {self._where} offers no way of encryption that is still safe.",
                fix="Ask the payer to renew its server.",
            ) from None
        except paramiko.SSHException as error:
            if "known_hosts" in str(error):  # paramiko's RejectPolicy
                raise Terminal(
                    f"The host key of {self._where} is not pinned; nothing was sent.",
                    fix=f"Ask the payer for its host key and add it to {endpoint.known_hosts}.",
                ) from None
            if "not a valid" in str(error) or "encountered" in str(error):
                raise Terminal(
                    f"The private key of {self._where} cannot be used.", fix="Check the key file and its passphrase."
                ) from None
            raise self._lost("connecting", error) from None
        except socket.gaierror as error:
            if error.errno == socket.EAI_AGAIN:
                raise self._lost("looking up its name", error) from None
            raise Terminal(
                f"The host name of {self._where} is not known.", fix="Check host in the payer's profile."
            ) from None
        except (OSError, EOFError) as error:
            raise self._lost("connecting", error) from None
        except ValueError:
            raise Terminal(
                f"The private key of {self._where} cannot be used.", fix="Check the key file and its passphrase."
            ) from None

    def _lost(self, doing: str, error: BaseException) -> LinkLost:
        return LinkLost(
            f"The link to {self._where} was lost while {doing} ({type(error).__name__}).",
            fix="Run again; if it stays, ask the payer whether its server is up.",
        )

    @contextmanager
    def _errors(self, doing: str) -> Iterator[None]:
        try:
            yield
        except _Status as error:
            absent = error.errno == errno.ENOENT
            why = {errno.ENOENT: "no such file or folder", errno.EACCES: "permission denied"}.get(
                error.errno or 0, "its server reports a failure: quota, space, or not allowed"
            )
            raise Refused(
                f"{self._where} refused {doing}: {why}.",
                fix="Ask the payer about the account's folders, rights and quota.",
                absent=absent,
            ) from None
        except (paramiko.SSHException, paramiko.SFTPError, EOFError, OSError) as error:
            raise self._lost(doing, error) from None

    def upload(self, path: str, data: bytes, *, exclusive: bool = False) -> None:
        with self._errors("an upload"):
            file = self._sftp.open(wire(path), "wx" if exclusive else "w")
            try:
                failpoint("transport.upload_opened")
                file.set_pipelined(True)
                view = memoryview(data)
                for start in range(0, len(data) - 1, _CHUNK):
                    file.write(bytes(view[start : min(start + _CHUNK, len(data) - 1)]))
                failpoint("transport.upload_half")
                file.set_pipelined(False)
                file.write(bytes(view[-1:]))
            finally:
                file.close()

    def size(self, path: str) -> int | None:
        found = self.entry(path)
        return None if found is None else found.size

    def entry(self, path: str) -> Entry | None:
        try:
            with self._errors("a look at a file"):
                return _entry(path, self._sftp.lstat(wire(path)))
        except Refused as error:
            if error.absent:
                return None
            raise

    def rename(self, source: str, target: str) -> None:
        with self._errors("a rename"):
            self._sftp.rename(wire(source), wire(target))

    def remove(self, path: str) -> bool:
        try:
            with self._errors("the removal of a file"):
                self._sftp.remove(wire(path))
        except Refused as error:
            if error.absent:
                return False
            raise
        return True

    def entries(self, folder: str) -> list[Entry]:
        found: list[Entry] = []
        with self._errors("a listing"):
            for name, attributes in self._sftp.names(folder):
                if name not in (b".", b".."):
                    found.append(_entry(name.decode("utf-8", "surrogateescape"), attributes))
                if len(found) >= MAX_ENTRIES:
                    break
        return found

    def download(self, path: str, limit: int) -> Iterator[bytes]:
        with self._errors("a download"), self._sftp.open(wire(path), "r") as file:
            size = file.stat().st_size or 0
            if 0 < size <= limit:
                file.prefetch(size, _AHEAD)
            left = limit + 1
            while left and (part := file.read(min(_CHUNK, left))):
                left -= len(part)
                yield part

    def close(self) -> None:
        with contextlib.suppress(Exception):
            self._ssh.close()


def _entry(name: str, attributes: paramiko.SFTPAttributes) -> Entry:
    mode = attributes.st_mode
    regular = True if mode is None else stat.S_ISREG(mode) or stat.S_IFMT(mode) == 0
    return Entry(name, int(attributes.st_size or 0), int(attributes.st_mtime or 0), regular)

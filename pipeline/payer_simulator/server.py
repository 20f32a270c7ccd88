"""The payer's front door: SFTP by asyncssh, one user a payer and one for the bank, each shut into its own folder.

Login is by the client key alone. Users may read, write, rename and remove plain files; folders are the payer's, links are
refused. Requested faults of the link strike here.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable
from typing import Any, cast

import asyncssh

from pipeline.payer_simulator.box import Box, Sweeper

WRITES = asyncssh.FXF_WRITE | asyncssh.FXF_APPEND


class Upload:
    """An open file, and how many bytes have gone through it."""

    def __init__(self, file: Any, path: str, *, writes: bool) -> None:
        self.file, self.path, self.writes, self.bytes, self.full = file, path, writes, 0, False


class Login(asyncssh.SSHServer):
    """Who may come in: known users with the client key."""

    def __init__(self, box: Box, client_key: asyncssh.SSHKey) -> None:
        self.box, self.client_key = box, client_key
        self.refused = False

    def begin_auth(self, username: str) -> bool:
        self.refused = self.box.strike("refuse_login", username) is not None
        return True

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        known = username in self.box.profiles or username == "bank"
        return known and not self.refused and key == self.client_key


class Files(asyncssh.SFTPServer):
    """One SFTP session."""

    def __init__(self, chan: Any, box: Box, sweeper: Sweeper, wake: Callable[[], None]) -> None:
        self.user = str(chan.get_extra_info("username"))
        self.box, self.sweeper, self.wake = box, sweeper, wake
        home = box.home(self.user)
        home.mkdir(parents=True, exist_ok=True)
        self.dropped = False  # the connection was cut; what the client had already asked for is not done any more
        super().__init__(chan, chroot=os.fsencode(home))

    # --- what is allowed --------------------------------------------------------------------------------------------

    def symlink(self, oldpath: bytes, newpath: bytes) -> None:
        raise asyncssh.SFTPPermissionDenied("links are not allowed")

    def link(self, oldpath: bytes, newpath: bytes) -> None:
        raise asyncssh.SFTPPermissionDenied("links are not allowed")

    def mkdir(self, path: bytes, attrs: Any) -> None:
        raise asyncssh.SFTPPermissionDenied("folders are the payer's")

    def rmdir(self, path: bytes) -> None:
        raise asyncssh.SFTPPermissionDenied("folders are the payer's")

    def setstat(self, path: bytes, attrs: Any) -> None:
        """Clients may set times and modes; nothing depends on them."""

    def fsetstat(self, file_obj: object, attrs: Any) -> None:
        """Clients may set times and modes; nothing depends on them."""

    # --- files ------------------------------------------------------------------------------------------------------

    def open(self, path: bytes, pflags: int, attrs: Any) -> object:
        shown = _shown(path)
        writes = bool(pflags & WRITES)
        self._refuse("put" if writes else "get", shown)
        if writes and posixpath.dirname(shown) != "/inbound":
            raise asyncssh.SFTPPermissionDenied("files are put into /inbound")
        upload = Upload(super().open(path, pflags, attrs), shown, writes=writes)
        if writes:
            self.sweeper.writing(self.user, posixpath.basename(shown))
        return upload

    def read(self, file_obj: object, offset: int, size: int) -> bytes:
        upload = cast(Upload, file_obj)
        fault = self.box.pending("cut_download_after_bytes", self.user, posixpath.basename(upload.path))
        if fault and offset + size > fault.options["bytes"]:
            self.box.strike("cut_download_after_bytes", self.user, posixpath.basename(upload.path))
            self._drop()
        return cast(bytes, super().read(upload.file, offset, size))

    def write(self, file_obj: object, offset: int, data: bytes) -> int:
        upload = cast(Upload, file_obj)
        self._alive()
        if upload.full:
            raise asyncssh.SFTPQuotaExceeded("quota exceeded")
        name = posixpath.basename(upload.path)
        for kind in ("quota", "cut_after_bytes"):
            fault = self.box.pending(kind, self.user, self._final(name))
            if fault and upload.bytes + len(data) > fault.options["bytes"]:
                room = max(fault.options["bytes"] - upload.bytes, 0)
                super().write(upload.file, offset, data[:room])
                upload.bytes += room
                self.box.strike(kind, self.user, self._final(name))
                if kind == "quota":
                    upload.full = True
                    raise asyncssh.SFTPQuotaExceeded("quota exceeded")
                self._drop()
        upload.bytes += len(data)
        return cast(int, super().write(upload.file, offset, data))

    def close(self, file_obj: object) -> None:
        upload = cast(Upload, file_obj)
        super().close(upload.file)
        if not upload.writes:
            return
        name = posixpath.basename(upload.path)
        self.sweeper.written(self.user, name, self)
        payer = self.box.profiles.get(self.user)
        if payer and name.startswith(payer.transport.temporary_prefix):
            if self.box.strike("sweep_temporary", self.user, self._final(name)):
                self._taken(name)
        elif self.box.strike("sweep_immediately", self.user, name):
            self._taken(name)

    def fstat(self, file_obj: object) -> Any:
        return super().fstat(cast(Upload, file_obj).file)

    def fsync(self, file_obj: object) -> None:
        super().fsync(cast(Upload, file_obj).file)

    def rename(self, oldpath: bytes, newpath: bytes) -> None:
        self._rename(oldpath, newpath, overwrite=False)

    def posix_rename(self, oldpath: bytes, newpath: bytes) -> None:
        self._rename(oldpath, newpath, overwrite=True)

    def _rename(self, oldpath: bytes, newpath: bytes, *, overwrite: bool) -> None:
        old, new = _shown(oldpath), _shown(newpath)
        name = posixpath.basename(new)
        self._refuse("rename", new)
        if self.box.strike("forbid_rename", self.user, name):
            raise asyncssh.SFTPOpUnsupported("rename is not allowed")
        if {posixpath.dirname(old), posixpath.dirname(new)} != {"/inbound"}:
            raise asyncssh.SFTPPermissionDenied("files are renamed within /inbound")
        if overwrite:
            super().posix_rename(oldpath, newpath)
        else:
            super().rename(oldpath, newpath)
        self.sweeper.renamed(self.user, posixpath.basename(old), name, self)
        if self.box.strike("sweep_immediately", self.user, name):
            self._taken(name)
        if self.box.strike("lose_reply_after_rename", self.user, name):
            self._drop()

    def remove(self, path: bytes) -> None:
        shown = _shown(path)
        self._refuse("remove", shown)
        super().remove(path)
        if self.box.strike("lose_reply_after_remove", self.user, posixpath.basename(shown)):
            self._drop()

    async def scandir(self, path: bytes) -> Any:
        self._refuse("list", _shown(path))
        async for entry in super().scandir(path):
            yield entry

    def exit(self) -> None:
        self.sweeper.session_over(self)
        self.wake()

    # --- faults -----------------------------------------------------------------------------------------------------

    def _alive(self) -> None:
        if self.dropped:
            raise asyncssh.SFTPConnectionLost("cut on request")

    def _refuse(self, operation: str, path: str) -> None:
        self._alive()
        name = self._final(posixpath.basename(path))
        fault = self.box.pending("permission_denied", self.user, name)
        if fault and fault.options["operation"] == operation:
            self.box.strike("permission_denied", self.user, name)
            raise asyncssh.SFTPPermissionDenied("permission denied")

    def _final(self, name: str) -> str:
        """The name that faults are matched with: without the temporary prefix."""
        payer = self.box.profiles.get(self.user)
        return name.removeprefix(payer.transport.temporary_prefix) if payer else name

    def _taken(self, name: str) -> None:
        self.box.take(self.user, name)
        self.wake()

    def _drop(self) -> None:
        """Cut the connection, without a goodbye and without a reply to what was asked."""
        self.dropped = True
        self.connection.abort()
        raise asyncssh.SFTPConnectionLost("cut on request")


def _shown(path: bytes) -> str:
    return posixpath.normpath(posixpath.join("/", os.fsdecode(path)))

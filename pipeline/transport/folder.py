"""A session over a local folder: a mounted share, a managed file-transfer agent's outbox, or a test."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.failpoints import failpoint
from pipeline.transport.session import MAX_ENTRIES, Entry, LinkLost, Refused

#: of a network share: the answer did not come
_LINK = {errno.ETIMEDOUT, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENETDOWN, errno.ENOTCONN, errno.ESTALE}

_CHUNK = 1 << 20


class FolderSession:
    """See `connection.Session`."""

    def __init__(self, label: str) -> None:
        self._where = label

    @contextmanager
    def _errors(self, doing: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno in _LINK:
                raise LinkLost(
                    f"The folder of {self._where} did not answer {doing} ({error.strerror}).", fix="Run again."
                ) from None
            raise Refused(
                f"The folder of {self._where} refused {doing} ({error.strerror or type(error).__name__}).",
                fix="Check the folder, its rights and its space.",
                absent=error.errno == errno.ENOENT,
            ) from None
        except ValueError:  # a NUL in a name
            raise Refused(f"The folder of {self._where} refused {doing} (impossible name).", absent=True) from None

    def upload(self, path: str, data: bytes, *, exclusive: bool = False) -> None:
        with self._errors("an upload"), open(path, "xb" if exclusive else "wb") as file:
            failpoint("transport.upload_opened")
            file.write(data[: len(data) // 2])
            failpoint("transport.upload_half")
            file.write(data[len(data) // 2 :])
            file.flush()
            os.fsync(file.fileno())

    def size(self, path: str) -> int | None:
        found = self.entry(path)
        return None if found is None else found.size

    def entry(self, path: str) -> Entry | None:
        try:
            with self._errors("a look at a file"):
                return _entry(path, os.lstat(path))
        except Refused as error:
            if error.absent:
                return None
            raise

    def rename(self, source: str, target: str) -> None:
        with self._errors("a rename"):
            try:
                os.link(source, target)  # fails where the target exists; os.rename would write over it
            except OSError as error:
                if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS):
                    raise
                if os.path.lexists(target):
                    raise FileExistsError(errno.EEXIST, "File exists") from None
                os.rename(source, target)
            else:
                os.unlink(source)

    def remove(self, path: str) -> bool:
        try:
            with self._errors("the removal of a file"):
                os.unlink(path)
        except Refused as error:
            if error.absent:
                return False
            raise
        return True

    def entries(self, folder: str) -> list[Entry]:
        found: list[Entry] = []
        with self._errors("a listing"), os.scandir(folder) as listing:
            for item in listing:
                try:
                    found.append(_entry(item.name, item.stat(follow_symlinks=False)))
                except FileNotFoundError:  # taken away meanwhile
                    continue
                if len(found) >= MAX_ENTRIES:
                    break
        return found

    def download(self, path: str, limit: int) -> Iterator[bytes]:
        left = limit + 1
        with self._errors("a download"), os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
            while left and (part := file.read(min(_CHUNK, left))):
                left -= len(part)
                yield part

    def close(self) -> None:
        return


def _entry(name: str, status: os.stat_result) -> Entry:
    return Entry(name, status.st_size, int(status.st_mtime), stat.S_ISREG(status.st_mode))

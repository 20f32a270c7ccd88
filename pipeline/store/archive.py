"""The archive: every byte sent or received, under its sha256, synced to the disk before anything reads it.

A name is the content, so writing twice is writing once, and nothing is ever changed or removed. Local folders are
written to a temporary name, synced, renamed, and the folder synced, so a power cut leaves either nothing or the whole.
What arrives goes to a temporary name piece by piece and is hashed as it comes (`receiving`), so its size takes no memory;
it is looked at there, and kept or dropped.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import mmap
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import fsspec

from pipeline.errors import Terminal, Transient
from pipeline.failpoints import failpoint


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


_COPIED = 1 << 20


class Arriving:
    """A file that has come whole and is not archived yet. `data`: its bytes, read from the disk where they are looked at."""

    def __init__(self, archive: Archive, file: IO[bytes], path: Path, size: int, file_id: str) -> None:
        self._archive, self._path = archive, path
        self.file, self.size, self.file_id = file, size, file_id
        self.data: bytes | mmap.mmap = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if size else b""

    def keep(self) -> str:
        """Archive it; returns its sha256. Errors as those of `Archive.put`."""
        with self._archive._refusals():
            self._archive._keep(self)
        failpoint("archive.after_write")
        return self.file_id


class Archive:
    """Bytes by their sha256, in a local folder or any fsspec store."""

    def __init__(self, place: str) -> None:
        self.place = place
        self._local = (
            None if "://" in place and not place.startswith("file://") else Path(place.removeprefix("file://"))
        )

    def put(self, data: bytes) -> str:
        """Store and sync the bytes; returns their sha256. Transient where the disk refuses (full, I/O error)."""
        file_id = sha256(data)
        with self._refusals():
            if self._known(file_id):
                return file_id
            failpoint("archive.before_write")
            if self._local is None:
                with fsspec.open(self._url(file_id), "wb") as file:
                    file.write(data)
            else:
                self._put_local(self._local, file_id, data)
        failpoint("archive.after_write")
        return file_id

    @contextmanager
    def receiving(self, pieces: Iterable[bytes]) -> Iterator[Arriving]:
        """Bytes as they come, under a temporary name until `Arriving.keep`; gone at the end where it was not kept.

        Transient where the disk refuses; what `pieces` raises passes.
        """
        with self._refusals():
            folder = self._local
            if folder is not None:
                folder.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=folder, prefix=".part-")
        path = Path(name)
        try:
            with self._refusals():
                file = os.fdopen(handle, "w+b")
            with file:
                digest, size = hashlib.sha256(), 0
                for piece in pieces:
                    digest.update(piece)
                    size += len(piece)
                    with self._refusals():
                        file.write(piece)
                with self._refusals():
                    file.flush()
                    arriving = Arriving(self, file, path, size, digest.hexdigest())
                yield arriving
        finally:
            path.unlink(missing_ok=True)

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        """What the disk refuses, as Terminal or Transient."""
        try:
            yield
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
                raise Terminal(
                    f"The archive at {self.place} may not be written ({error.strerror}).", fix="Check its rights."
                ) from error
            raise Transient(
                f"The archive at {self.place} refused a file ({error.strerror or type(error).__name__}).",
                fix="Free some space or mend the disk, then run again: nothing was lost.",
            ) from error

    def _known(self, file_id: str) -> bool:
        if not self.has(file_id):
            return False
        if self._local is not None:  # a run that died here may have renamed without syncing the folder
            sync_folder(self._path(self._local, file_id).parent)
        return True

    def _keep(self, arriving: Arriving) -> None:
        file_id = arriving.file_id
        if self._known(file_id):
            return
        failpoint("archive.before_write")
        if self._local is None:
            arriving.file.seek(0)
            with fsspec.open(self._url(file_id), "wb") as target:
                while piece := arriving.file.read(_COPIED):
                    target.write(piece)
            return
        path = self._folder_for(self._local, file_id)
        os.fsync(arriving.file.fileno())
        os.replace(arriving._path, path)
        sync_folder(path.parent)

    def get(self, file_id: str) -> bytes:
        """The bytes, hashed again: Terminal where they are missing or no longer what their name says."""
        with self._readable(file_id):
            if self._local is None:
                with fsspec.open(self._url(file_id), "rb") as file:
                    data: bytes = file.read()
            else:
                data = self._path(self._local, file_id).read_bytes()
        if sha256(data) != file_id:
            raise _altered(file_id)
        return data

    @contextmanager
    def opened(self, file_id: str) -> Iterator[bytes | mmap.mmap]:
        """The bytes, read from the disk where they are looked at, so that their size takes no memory. Hashed first; errors as of `get`."""
        with contextlib.ExitStack() as open_files:
            with self._readable(file_id):
                if self._local is not None:
                    file: IO[bytes] = open_files.enter_context(self._path(self._local, file_id).open("rb"))
                else:
                    file = open_files.enter_context(tempfile.TemporaryFile())
                    with fsspec.open(self._url(file_id), "rb") as source:
                        while piece := source.read(_COPIED):
                            file.write(piece)
                    file.flush()
                size = file.seek(0, os.SEEK_END)
                data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if size else b""
                digest = hashlib.sha256()
                for at in range(0, size, _COPIED):
                    digest.update(data[at : at + _COPIED])
            if digest.hexdigest() != file_id:
                raise _altered(file_id)
            yield data

    @contextmanager
    def _readable(self, file_id: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise Terminal(f"The archive has no file {file_id}.", fix="Restore the archive from its backup.") from error
        except OSError as error:
            raise Transient(
                f"The archive at {self.place} cannot be read ({error.strerror or type(error).__name__}).",
                fix="Check the disk or the link to it, then run again.",
            ) from error

    def has(self, file_id: str) -> bool:
        if self._local is None:
            fs, path = fsspec.core.url_to_fs(self._url(file_id))
            return bool(fs.exists(path))
        return self._path(self._local, file_id).is_file()

    def _url(self, file_id: str) -> str:
        return f"{self.place.rstrip('/')}/{file_id[:2]}/{file_id}"

    @staticmethod
    def _path(root: Path, file_id: str) -> Path:
        return root / file_id[:2] / file_id

    def _put_local(self, root: Path, file_id: str, data: bytes) -> None:
        write_synced(self._folder_for(root, file_id), data)

    def _folder_for(self, root: Path, file_id: str) -> Path:
        """Where the file will stand, in a folder that is there and lasts."""
        path = self._path(root, file_id)
        if not path.parent.is_dir():
            path.parent.mkdir(parents=True, exist_ok=True)
            sync_folder(root)  # else a power cut may take the new folder and the file in it
        return path


def _altered(file_id: str) -> Terminal:
    return Terminal(f"The archived file {file_id} was altered.", fix="Restore the archive from its backup.")


def write_synced(path: Path, data: bytes) -> None:
    """Write to a temporary name beside `path`, sync, rename, sync the folder."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".part-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder last through a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

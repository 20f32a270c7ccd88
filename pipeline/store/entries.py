"""Records of its own that the archive keeps beside its bytes: small files, made once and never changed or removed.

They tell a register that was restored from a backup, or lost, what has happened since: `outgoing` what was made and brought
to payers, `incoming` what was received. An entry is made exclusively and synced, in a local folder or any fsspec store.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import fsspec

from pipeline.errors import Terminal, Transient
from pipeline.failpoints import failpoint
from pipeline.store.archive import Archive, sync_folder

_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK)


class Entries:
    """Entries in folders under ARCHIVE/<name>."""

    name = ""

    def __init__(self, archive: Archive) -> None:
        self.place = f"{archive.place.removeprefix('file://').rstrip('/')}/{self.name}"
        self._local = Path(self.place) if "://" not in self.place else None

    def _read(self, folder: str, name: str, what: str) -> dict[str, Any]:
        """An entry. Terminal where it is missing or damaged."""
        try:
            if self._local is not None:
                data = (self._local / folder / name).read_bytes()
            else:
                with fsspec.open(f"{self.place}/{folder}/{name}", "rb") as file:
                    data = file.read()
            found = json.loads(data)
        except FileNotFoundError:
            raise Terminal(
                f"The archive's record of {what} is missing ({self.place}/{folder}/{name}).",
                fix="Restore the archive from its backup.",
            ) from None
        except ValueError:
            raise self._damaged(folder, name, what) from None
        except OSError as error:
            raise self._refused(error) from error
        if not isinstance(found, dict):
            raise self._damaged(folder, name, what)
        return found

    def _damaged(self, folder: str, name: str, what: str) -> Terminal:
        return Terminal(
            f"The archive's record of {what} is damaged ({self.place}/{folder}/{name}).",
            fix="Restore the archive from its backup.",
        )

    def _names(self, folder: str) -> list[str]:
        try:
            if self._local is not None:
                with os.scandir(self._local / folder) as entries:
                    return sorted(entry.name for entry in entries)
            fs, path = fsspec.core.url_to_fs(f"{self.place}/{folder}".rstrip("/"))
            return sorted(str(name).rstrip("/").rsplit("/", 1)[-1] for name in fs.ls(path, detail=False))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise self._refused(error) from error

    def _make(self, folder: str, name: str, data: bytes) -> bool:
        """Create an entry whole and synced; False where there is one."""
        failpoint(f"{self.name}.before_write")
        try:
            made = (
                self._make_local(folder, name, data)
                if self._local is not None
                else self._make_remote(folder, name, data)
            )
        except OSError as error:
            raise self._refused(error) from error
        failpoint(f"{self.name}.after_write")
        return made

    def _make_local(self, folder: str, name: str, data: bytes) -> bool:
        assert self._local is not None
        path = self._local / folder / name
        if not path.parent.is_dir():
            path.parent.mkdir(parents=True, exist_ok=True)
            sync_folder(self._local)
            sync_folder(self._local.parent)
        if path.exists():
            sync_folder(path.parent)  # a run that died here may have linked without syncing the folder
            return False
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".part-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            made = _linked(temporary, path)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
        sync_folder(path.parent)
        return made

    def _make_remote(self, folder: str, name: str, data: bytes) -> bool:
        url = f"{self.place}/{folder}/{name}"
        fs, path = fsspec.core.url_to_fs(url)
        if fs.exists(path):
            return False
        with fsspec.open(url, "wb") as file:
            file.write(data)
        return True

    def _refused(self, error: OSError) -> Terminal | Transient:
        what = error.strerror or type(error).__name__
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            return Terminal(f"The archive's record at {self.place} may not be used ({what}).", fix="Check its rights.")
        return Transient(
            f"The archive's record at {self.place} cannot be used ({what}).",
            fix="Free some space or mend the disk, then run again: nothing was lost.",
        )


def _linked(temporary: str, path: Path) -> bool:
    """Give a written file its name unless the name is taken."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        return False
    except OSError as error:  # a file system without links: the payer's lock keeps others out
        if error.errno not in _NO_LINKS:
            raise
        if path.exists():
            return False
        os.replace(temporary, path)
    return True

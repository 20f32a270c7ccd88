"""The archive's own record of the interchanges that we made: it tells a register that is older than what was sent.

Theory. The register can be restored from a backup, or lost. Payers do not forget: a control number that was used stays used,
and a claim that they have stays with them. So each interchange leaves a trace beside its bytes, apart from the register:

    ARCHIVE/outgoing/<scope>/<ISA13>.json        before it is recorded as built: which bytes have the number
    ARCHIVE/outgoing/<scope>/<ISA13>.placed-<n>  before attempt n may bring it under its final name at the payer

Entries are made exclusively, synced, and never changed or removed: a number keeps its sha256 even against a register that
knows nothing of it. Each is written *after* the register has committed the state that announces it, so whatever is killed
when, the register is level with this record or ahead of it. A register that is behind was restored, and then nothing is
built or sent until a person has looked. The question needs the names of the entries alone. Nothing of a patient stands here.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

import fsspec
import sqlalchemy as sa

from pipeline.errors import Terminal, Transient
from pipeline.failpoints import failpoint
from pipeline.store import register as r
from pipeline.store.archive import Archive, sha256, sync_folder
from pipeline.store.store import Store
from pipeline.x12.segments import iter_segments

#: states of a sending at which, by our own record, the payer may have the file
MAY_HAVE = ("renaming", "renamed", "verified", "unknown", "acknowledged")
_PLACED = ".placed-"
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK)
#: the entry of an interchange is less than a kilobyte, so of a file only its beginning is looked at
_HEAD = 4096


def interchange_scope(sender_qualifier: str, sender_id: str, receiver_qualifier: str, receiver_id: str) -> str:
    """Interchange numbers are unique per sender and receiver."""
    return f"isa:{sender_qualifier}/{sender_id}>{receiver_qualifier}/{receiver_id}"


def group_scope(sender: str, receiver: str) -> str:
    return f"gs:{sender}>{receiver}"


@dataclass(frozen=True, slots=True)
class Interchange:
    """One interchange as the archive remembers it. `logical_date` is ISO; charges are cents."""

    scope: str
    number: int
    group_scope: str
    group_number: int
    file_id: str
    sending_id: str
    payer_key: str
    guide: str
    usage: str
    logical_date: str
    claim_count: int
    charge_cents: int
    size: int

    @property
    def on(self) -> date:
        return date.fromisoformat(self.logical_date)


def described(
    data: bytes, *, sending_id: str, payer_key: str, guide: str, on: date, claim_count: int, charge_cents: int
) -> Interchange:
    """The entry of an 837 of ours: what its ISA and GS say, and what only the register knows of it."""
    head = {segment.id: segment for segment in iter_segments(data[:_HEAD]) if segment.id in ("ISA", "GS")}
    isa, gs = head["ISA"], head["GS"]
    return Interchange(
        scope=interchange_scope(*(isa.element(n).strip() for n in (5, 6, 7, 8))), number=int(isa.element(13)),
        group_scope=group_scope(gs.element(2), gs.element(3)), group_number=int(gs.element(6)), file_id=sha256(data),
        sending_id=sending_id, payer_key=payer_key, guide=guide, usage=isa.element(15), logical_date=on.isoformat(),
        claim_count=claim_count, charge_cents=charge_cents, size=len(data),
    )  # fmt: skip


@dataclass(frozen=True, slots=True, order=True)
class Gap:
    """An interchange of the archive that the register is behind of.

    `placed` is the last attempt that may have reached the payer, 0 where there was none. `known`: the register has the
    number, but not that the file was brought to the payer.
    """

    folder: str
    number: int
    placed: int
    known: bool


class Outgoing:
    """The entries beside an archive, in a local folder or any fsspec store."""

    def __init__(self, archive: Archive) -> None:
        self.place = f"{archive.place.removeprefix('file://').rstrip('/')}/outgoing"
        self._local = Path(self.place) if "://" not in self.place else None

    def bind(self, entry: Interchange) -> None:
        """Tie the number to the bytes, for good. Terminal where the archive knows it of other bytes."""
        text = json.dumps(asdict(entry), sort_keys=True).encode()
        folder, name = folder_of(entry.scope), f"{entry.number:09d}.json"
        if self._make(folder, name, text):
            return
        known = self.read(folder, entry.number)
        if known.file_id != entry.file_id:
            raise Terminal(
                f"Interchange number {entry.number:09d} for {entry.payer_key} belongs to other bytes in the archive, "
                f"of {known.logical_date}.",
                fix="Nothing was sent under it. The register is older than the archive: see `claimpipe recover`.",
            )

    def place_attempt(self, entry: Interchange, attempt: int) -> None:
        """Remember that from now on the payer may have the file."""
        self._make(folder_of(entry.scope), f"{entry.number:09d}{_PLACED}{attempt}", b"")

    def listing(self) -> dict[tuple[str, int], int]:
        """(folder of the scope, ISA13) → the last attempt that may have reached the payer, 0 for none."""
        found: dict[tuple[str, int], int] = {}
        for folder in self._names(""):
            for name in self._names(folder):
                number, mark, attempt = name.partition(_PLACED)
                number = number.removesuffix(".json")
                if number.isdigit() and (not mark or attempt.isdigit()):
                    key = (folder, int(number))
                    found[key] = max(found.get(key, 0), int(attempt or 0))
        return found

    def read(self, folder: str, number: int) -> Interchange:
        """An entry. Terminal where it is missing or damaged."""
        name = f"{number:09d}.json"
        try:
            if self._local is not None:
                data = (self._local / folder / name).read_bytes()
            else:
                with fsspec.open(f"{self.place}/{folder}/{name}", "rb") as file:
                    data = file.read()
            return Interchange(**json.loads(data))
        except FileNotFoundError:
            raise Terminal(
                f"The archive's record of interchange {number:09d} is missing ({self.place}/{folder}/{name}).",
                fix="Restore the archive from its backup.",
            ) from None
        except (ValueError, TypeError):
            raise Terminal(
                f"The archive's record of an interchange is damaged ({self.place}/{folder}/{name}).",
                fix="Restore the archive from its backup.",
            ) from None
        except OSError as error:
            raise self._refused(error) from error

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
        failpoint("outgoing.before_write")
        try:
            made = (
                self._make_local(folder, name, data)
                if self._local is not None
                else self._make_remote(folder, name, data)
            )
        except OSError as error:
            raise self._refused(error) from error
        failpoint("outgoing.after_write")
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


def folder_of(scope: str) -> str:
    """A scope as the name of a folder: ids of senders and receivers may hold any character."""
    return hashlib.sha256(scope.encode()).hexdigest()[:16]


def gaps(store: Store) -> list[Gap]:
    """Where the register is behind the archive; empty where they agree."""
    listing = store.outgoing.listing()  # before the register is looked at: that one is always ahead
    if not listing:
        return []
    n, s = r.control_numbers.c, r.sendings.c
    query = (
        sa.select(n.scope, n.number, s.state, s.attempts)
        .select_from(r.control_numbers.outerjoin(r.sendings, s.file_id == n.file_id))
        .where(n.scope.like("isa:%"))
    )
    with store.read() as connection:
        known = {(folder_of(row.scope), row.number): (row.state, row.attempts) for row in connection.execute(query)}
    return [
        Gap(*key, placed, key in known)
        for key, placed in sorted(listing.items())
        if key not in known or (placed and not _level(*known[key], placed))
    ]


def _level(state: str | None, attempts: int | None, placed: int) -> bool:
    if state is None or attempts is None or attempts < placed:
        return False
    return attempts > placed or state in (*MAY_HAVE, "failed", "withheld")


def require_level(store: Store) -> None:
    """Terminal where the archive knows of interchanges that the register does not: nothing may be built or sent."""
    found = gaps(store)
    if found:
        raise Terminal(f"{told(store, found)} Nothing is built or sent.", fix=FIX)


FIX = (
    "Look at them with `claimpipe recover`; then let the register take them over with `claimpipe recover --adopt`. "
    "Or restore the newest backup of the register."
)


def told(store: Store, found: Sequence[Gap]) -> str:
    """What is wrong, in a sentence for people."""
    first = store.outgoing.read(found[0].folder, found[0].number)
    many = f"{len(found)} interchanges" if len(found) > 1 else "an interchange"
    return (
        f"The archive knows of {many} that the register does not know of or does not know as sent (first: "
        f"{first.number:09d} for {first.payer_key} of {first.logical_date}): the register is older than what was sent, as "
        "after a backup was restored or its file was deleted."
    )

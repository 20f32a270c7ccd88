"""Extracts that stand elsewhere: fetched into a folder of their own for as long as they are read.

`sftp:FOLDER` is a folder (or file) on the practice's server, reached by the section [practice] with its pinned host key, like a
payer's. Any other address with a scheme (`s3://`, `gs://`, `abfs://`, `file://` …) is opened by fsspec, which also does SFTP but accepts any
host key: so `sftp://` is refused. The copy holds patients' data and is removed as soon as intake has archived it. Nothing is taken
away at the source. A file whose size changes while it is fetched is still being written: the night takes it next time.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path, PurePosixPath

from pipeline.errors import Terminal, Transient
from pipeline.payers import Transport
from pipeline.settings import Settings
from pipeline.transport.connection import connect, retried
from pipeline.transport.session import Entry, Session
from pipeline.wording import counted

#: files of one extract; bytes of one of its files
MOST_FILES, MOST_BYTES = 10_000, 8 << 30
_SFTP = "sftp:"


@dataclass(frozen=True, slots=True)
class PracticeRoute:
    transport: Transport
    key: str = "practice"


def is_elsewhere(place: str) -> bool:
    """Whether the place is an address and no path of this machine."""
    return place.startswith(_SFTP) or "://" in place


@contextmanager
def at_hand(settings: Settings, place: str, on: date) -> Iterator[Path]:
    """The extract as a path of this machine. `{date}` in the place stands for the night's date.

    Terminal where it is not there or may not be reached this way; Transient where the link is down or a file still grows.
    """
    place = place.replace("{date}", on.isoformat())
    if not is_elsewhere(place):
        if not Path(place).exists():
            raise Terminal(f"The extract {place} does not exist.", fix="Check --extract or the setting `extract`.")
        yield Path(place)
        return
    if place.startswith("sftp://"):
        raise Terminal(
            "An extract over SFTP is named sftp:FOLDER.",
            fix="Put the server with its pinned host key into the section [practice] of claimpipe.toml.",
        )
    settings.home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="extract-", dir=settings.home) as folder:
        into = Path(folder)
        if place.startswith(_SFTP):
            yield _over_sftp(settings, place.removeprefix(_SFTP), into)
        else:
            yield _by_fsspec(place, into)


# --- SFTP ---------------------------------------------------------------------------------------------------------------


def _over_sftp(settings: Settings, folder: str, into: Path) -> Path:
    route = PracticeRoute(settings.practice)
    held: list[Session] = []

    def fetch() -> Path:
        if not held:
            held.append(connect(settings, route))
        return _fetched(held[0], folder, into)

    def dropped() -> None:
        while held:
            held.pop().close()

    try:
        return retried(settings.transport, fetch, dropped)
    finally:
        dropped()


def _fetched(session: Session, folder: str, into: Path) -> Path:
    single = session.entry(folder)
    if single is not None and single.regular:
        name = _local(PurePosixPath(folder).name)
        _download(session, folder, single, into / name)
        return into / name
    listed = [entry for entry in session.entries(folder) if entry.regular]
    if len(listed) > MOST_FILES:
        raise Terminal(
            f"The extract has {counted(len(listed), 'file')}.", fix="Keep each extract in a folder of its own."
        )
    names = [_local(entry.name) for entry in listed]
    for entry, name in zip(listed, names, strict=True):
        _download(session, f"{folder.rstrip('/')}/{entry.name}", entry, into / name)
    return into


def _download(session: Session, remote: str, entry: Entry, target: Path) -> None:
    if entry.size > MOST_BYTES:
        raise Terminal(
            f"A file of the extract has {counted(entry.size, 'byte')}.",
            fix="Export the visits of fewer days at a time.",
        )
    with target.open("wb") as file:
        for part in session.download(remote, MOST_BYTES):
            file.write(part)
    after = session.entry(remote)
    if after is None or after.size != entry.size or target.stat().st_size != entry.size:
        raise Transient("A file of the extract is still being written.", fix="Run again once the export has ended.")


def _local(name: str) -> str:
    """A name that may stand in a folder of ours: what decides the format is its end, and a reader knows it by the whole."""
    if (
        name in ("", ".", "..")
        or "/" in name
        or "\\" in name
        or "\0" in name
        or len(name.encode("utf-8", "replace")) > 200
    ):
        raise Terminal("The extract holds a file with an unusable name.", fix="Rename it at the source.")
    try:
        name.encode()
    except UnicodeEncodeError:
        raise Terminal("The extract holds a file whose name is not UTF-8.", fix="Rename it at the source.") from None
    return name


# --- fsspec -------------------------------------------------------------------------------------------------------------


def _by_fsspec(place: str, into: Path) -> Path:
    import fsspec

    with _said_in_words():
        system, root = fsspec.core.url_to_fs(place)
        info = system.info(root)
        found = [info] if info["type"] == "file" else [e for e in system.ls(root, detail=True) if e["type"] == "file"]
    if len(found) > MOST_FILES:
        raise Terminal(
            f"The extract has {counted(len(found), 'file')}.", fix="Keep each extract in a folder of its own."
        )
    large = max((int(entry.get("size") or 0) for entry in found), default=0)
    if large > MOST_BYTES:
        raise Terminal(
            f"A file of the extract has {counted(large, 'byte')}.", fix="Export the visits of fewer days at a time."
        )
    names = [_local(str(entry["name"]).rstrip("/").rpartition("/")[2]) for entry in found]
    for entry, name in zip(found, names, strict=True):
        with _said_in_words():
            system.get_file(entry["name"], str(into / name))
    return into / names[0] if info["type"] == "file" else into


@contextmanager
def _said_in_words() -> Iterator[None]:
    """What a store raises, each kind of store its own exceptions, as ours; never the exception's words, which may hold names."""
    try:
        yield
    except FileNotFoundError:
        raise Terminal("The extract is not there.", fix="Check --extract or the setting `extract`.") from None
    except (ImportError, ValueError) as error:
        raise Terminal(
            f"An extract of this kind cannot be opened ({type(error).__name__}).",
            fix="Install the package that fsspec needs for it, or name a folder, sftp:FOLDER or a store's address.",
        ) from None
    except PermissionError:
        raise Terminal(
            "The extract's store does not let us read it.", fix="Check the store's login and the rights of the folder."
        ) from None
    except OSError as error:
        raise Transient(f"The extract's store did not answer ({type(error).__name__}).", fix="Run again.") from None
    except Exception as error:
        raise Terminal(
            f"The extract cannot be read from its store ({type(error).__name__}).",
            fix="Look whether the address, the login and, of an archive, the file are sound; then run again.",
        ) from None

"""Zip files from clearinghouses: unpacked piece by piece under caps, or refused whole.

No member's name becomes a path, so none can leave a folder; a package that tries is refused all the same, because nobody
honest sends one.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

MAX_ENTRIES = 1_000
MAX_RATIO = 200  # X12 packs 10 to 30 times; a bomb a thousand times and more
MAX_BYTES = 512 * 1024 * 1024
_PIECE = 1 << 18
_ENCRYPTED = 0x1 | 0x40 | 0x2000  # by password, strongly, the directory itself


class PackageRefused(Exception):
    """The package is not taken; the argument is the reason in a word."""


class Package:
    """An open zip whose members have all been looked at. `members` gives (name, pieces), sorted by name.

    PackageRefused at the opening: a bomb, encrypted, nested, damaged, packed in an unknown way, odd names. Everything that is
    refused is found there, so nothing of a refused package is ever taken.
    """

    def __init__(self, file: IO[bytes], size: int, *, max_bytes: int = MAX_BYTES) -> None:
        with _refusing():
            file.seek(0)
            if file.read(2) == b"\x1f\x8b":
                raise PackageRefused("gzip")
            self._zip = zipfile.ZipFile(file)
            self._found = sorted((m for m in self._zip.infolist() if not m.is_dir()), key=lambda m: m.filename)
            self._check(min(max_bytes, MAX_RATIO * size))

    def members(self) -> Iterator[tuple[str, Iterator[bytes]]]:
        for member in self._found:
            yield member.filename, self._pieces(member)

    def _check(self, left: int) -> None:
        if not self._found:
            raise PackageRefused("empty")
        if len(self._found) > MAX_ENTRIES:
            raise PackageRefused("too_many_entries")
        for member in self._found:
            if member.flag_bits & _ENCRYPTED:
                raise PackageRefused("encrypted")
            name = member.filename
            if name.startswith(("/", "\\")) or ".." in name.replace("\\", "/").split("/") or ":" in name:
                raise PackageRefused("names_leave_the_folder")
            begins = True
            for piece in self._pieces(member):  # the size that the header states is the sender's word: count instead
                left -= len(piece)
                if left < 0:
                    raise PackageRefused("too_large_unpacked")
                if begins and piece.startswith((b"PK\x03\x04", b"\x1f\x8b")):
                    raise PackageRefused("nested")
                begins = False

    def _pieces(self, member: zipfile.ZipInfo) -> Iterator[bytes]:
        with self._zip.open(member) as file:
            while piece := file.read(_PIECE):
                yield piece


@contextmanager
def _refusing() -> Iterator[None]:
    """A package is the sender's, and so is whatever is raised over it: the library has no list of what it may raise."""
    try:
        yield
    except PackageRefused:
        raise
    except NotImplementedError:
        raise PackageRefused("packed_in_an_unknown_way") from None
    except Exception:
        raise PackageRefused("damaged") from None

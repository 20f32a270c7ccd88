"""Zip files from clearinghouses: unpacked in memory under caps, or refused whole.

No member's name becomes a path, so none can leave a folder; a package that tries is refused all the same, because nobody
honest sends one.
"""

from __future__ import annotations

import io
import zipfile
import zlib

MAX_ENTRIES = 1_000
MAX_RATIO = 200  # X12 packs 10 to 30 times; a bomb a thousand times and more
MAX_BYTES = 512 * 1024 * 1024


class PackageRefused(Exception):
    """The package is not taken; the argument is the reason in a word."""


def unpack(data: bytes, *, max_bytes: int = MAX_BYTES) -> list[tuple[str, bytes]]:
    """Members of a zip as (name, bytes), sorted by name. PackageRefused: a bomb, encrypted, nested, damaged, odd names."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as package:
            members = [m for m in package.infolist() if not m.is_dir()]
            if not members:
                raise PackageRefused("empty")
            if len(members) > MAX_ENTRIES:
                raise PackageRefused("too_many_entries")
            cap = min(max_bytes, MAX_RATIO * len(data))
            found, total = [], 0
            for member in sorted(members, key=lambda m: m.filename):
                if member.flag_bits & 0x1:
                    raise PackageRefused("encrypted")
                name = member.filename
                if name.startswith(("/", "\\")) or ".." in name.replace("\\", "/").split("/") or ":" in name:
                    raise PackageRefused("names_leave_the_folder")
                with package.open(
                    member
                ) as file:  # the size that the header states is the sender's word: count instead
                    content = file.read(cap - total + 1)
                total += len(content)
                if total > cap:
                    raise PackageRefused("too_large_unpacked")
                if content.startswith((b"PK\x03\x04", b"\x1f\x8b")):
                    raise PackageRefused("nested")
                found.append((name, content))
            return found
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError, ValueError, RuntimeError, OSError):
        raise PackageRefused("damaged") from None

"""The files that publishers give: text, gzip, zip, Excel. Opened as streams, with caps, whatever the name says.

A zip is a parcel: each file in it is looked at by itself. Nothing is unpacked to the disk, so no name in it can lead out of a
folder; how much one may grow is capped, so that a bomb is a finding and not a full disk.
"""

from __future__ import annotations

import gzip
import io
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal
from xml.parsers import expat

from pipeline.errors import Terminal
from pipeline.wording import counted

MOST_BYTES = 4 << 30  # of one file, unpacked
MOST_RATIO = 300  # unpacked to packed
MOST_FILES = 200  # in one zip

UNREADABLE = (OSError, EOFError, zlib.error, zipfile.BadZipFile, gzip.BadGzipFile, NotImplementedError, RuntimeError)


@dataclass(frozen=True, slots=True)
class Source:
    """One readable file. `open` gives its bytes, unpacked; `names` are what it is called, outermost first."""

    names: tuple[str, ...]
    kind: Literal["text", "xlsx"]
    open: Callable[[], IO[bytes]]

    @property
    def name(self) -> str:
        return self.names[-1]


def sources(path: Path) -> list[Source]:
    """What a path holds. Terminal where it cannot be read, or unpacks to more than can be right."""
    try:
        with path.open("rb") as file:
            head = file.read(4)
    except OSError as error:
        raise Terminal(
            f"The file {path} cannot be read ({error.strerror or type(error).__name__}).", fix="Check the path."
        ) from error
    if head[:2] == b"\x1f\x8b":
        name = path.name.removesuffix(".gz")
        return [Source((path.name, name), "text", lambda: _capped(gzip.open(path), path.stat().st_size, path.name))]
    if head == b"PK\x03\x04":
        return _in_zip(path)
    return [Source((path.name,), "text", lambda: path.open("rb"))]


def _in_zip(path: Path) -> list[Source]:
    try:
        with zipfile.ZipFile(path) as archive:
            infos = [info for info in archive.infolist() if not info.is_dir()]
    except UNREADABLE as error:
        raise Terminal(f"The file {path} is a damaged zip.", fix="Fetch it again from its publisher.") from error
    names = {info.filename for info in infos}
    if "[Content_Types].xml" in names and any(name.startswith("xl/") for name in names):
        return [Source((path.name,), "xlsx", lambda: path.open("rb"))]
    if len(infos) > MOST_FILES:
        raise Terminal(
            f"The zip {path.name} holds {counted(len(infos), 'file')}.", fix="Give only the code set's own files."
        )
    found: list[Source] = []
    texts = {Path(info.filename).stem.lower() for info in infos if _kind(info.filename) == "text"}
    for info in infos:
        kind = _kind(info.filename)
        # the same table as text and as a workbook: the text is read, it is faster
        if kind is None or (kind == "xlsx" and Path(info.filename).stem.lower() in texts):
            continue
        found.append(Source((path.name, Path(info.filename).name), kind, _opener(path, info)))
    if not found:
        raise Terminal(
            f"The zip {path.name} holds no text, CSV, XML or Excel file.",
            fix="Unpack it and give the code set's own file.",
        )
    return found


def _kind(name: str) -> Literal["text", "xlsx"] | None:
    suffix = Path(name).suffix.lower()
    if suffix in (".txt", ".csv", ".tsv", ".xml"):
        return "text"
    return "xlsx" if suffix == ".xlsx" else None


def _opener(path: Path, info: zipfile.ZipInfo) -> Callable[[], IO[bytes]]:
    def opened() -> IO[bytes]:
        archive = zipfile.ZipFile(path)
        return _capped(archive.open(info), info.compress_size, info.filename)

    return opened


def _capped(stream: Any, packed: int, name: str) -> io.BufferedReader:
    return io.BufferedReader(_Capped(stream, packed, name), 1 << 20)


class _Capped(io.RawIOBase):
    """A stream that refuses to grow beyond the caps."""

    def __init__(self, stream: Any, packed: int, name: str) -> None:
        self._stream, self._name = stream, name
        self._most = min(MOST_BYTES, max(packed * MOST_RATIO, 1 << 20))
        self._given = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._stream.read(len(buffer))
        self._given += len(data)
        if self._given > self._most:
            raise Terminal(
                f"The file {self._name} unpacks to more than a code set can hold.",
                fix="Fetch it again from its publisher.",
            )
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._stream.close()
        super().close()


def read_bytes(source: Source) -> bytes:
    """All bytes of a source. Terminal where the file is damaged."""
    try:
        with source.open() as stream:
            return stream.read()
    except UNREADABLE as error:
        raise Terminal(
            f"The file {source.name} cannot be read ({type(error).__name__}).", fix="Fetch it again from its publisher."
        ) from error


def decode(data: bytes) -> str:
    """Text as publishers write it: UTF-8 with or without a mark, else Windows' Latin letters; without DOS's mark of the end."""
    data = data.replace(b"\x1a", b"")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace")


# --- Excel ------------------------------------------------------------------------------------------------------------


def xlsx_rows(source: Source) -> Iterator[tuple[int, list[str]]]:
    """The rows of a workbook's first sheet with their numbers, as texts, read in a stream."""
    data: Any
    try:
        with source.open() as opened:
            data = io.BytesIO(opened.read())
            with zipfile.ZipFile(data) as book:
                if sum(info.file_size for info in book.infolist()) > MOST_BYTES:
                    raise Terminal(f"The workbook {source.name} is too large.", fix="Save it as CSV and load that.")
                names = sorted(n for n in book.namelist() if re.fullmatch(r"xl/worksheets/sheet\d+\.xml", n))
                if not names:
                    raise Terminal(f"The workbook {source.name} holds no sheet.", fix="Save it as CSV and load that.")
                texts = _shared(book.read("xl/sharedStrings.xml")) if "xl/sharedStrings.xml" in book.namelist() else []
                first = min(names, key=lambda n: int(re.sub(r"\D", "", n)))
                with book.open(first) as sheet:
                    yield from _sheet(sheet, texts)
    except (*UNREADABLE, expat.ExpatError, KeyError, IndexError, ValueError) as error:
        raise Terminal(
            f"The workbook {source.name} cannot be read ({type(error).__name__}).", fix="Save it as CSV and load that."
        ) from error


def _shared(data: bytes) -> list[str]:
    """The workbook's table of texts."""
    texts: list[str] = []
    parts: list[str] = []
    inside = False

    def start(name: str, _: dict[str, str]) -> None:
        nonlocal inside
        if name == "si":
            parts.clear()
        inside = name == "t"

    def end(name: str) -> None:
        nonlocal inside
        inside = False
        if name == "si":
            texts.append("".join(parts))

    def text(value: str) -> None:
        if inside:
            parts.append(value)

    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, text
    parser.Parse(data, True)
    return texts


@dataclass(slots=True)
class _Cell:
    """Where the reading of a sheet stands."""

    row: int = 0
    column: int = 0
    shared: bool = False
    inside: bool = False


def _sheet(stream: IO[bytes], texts: list[str]) -> Iterator[tuple[int, list[str]]]:
    rows: list[tuple[int, list[str]]] = []
    cells: list[str] = []
    parts: list[str] = []
    at = _Cell()

    def start(name: str, given: dict[str, str]) -> None:
        if name == "row":
            at.row = int(given.get("r", at.row + 1))
            cells.clear()
        elif name == "c":
            at.shared = given.get("t") == "s"
            at.column = _column(given["r"]) if "r" in given else len(cells)
            parts.clear()
        elif name in ("v", "t"):
            at.inside = True

    def end(name: str) -> None:
        if name in ("v", "t"):
            at.inside = False
        elif name == "c":
            value = "".join(parts)
            if at.shared and value:
                value = texts[int(value)]
            cells.extend([""] * (min(at.column, 1000) - len(cells)))
            cells.append(value)
        elif name == "row":
            rows.append((at.row, list(cells)))

    def text(value: str) -> None:
        if at.inside:
            parts.append(value)

    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, text
    while block := stream.read(1 << 18):
        parser.Parse(block, False)
        yield from rows
        rows.clear()
    parser.Parse(b"", True)
    yield from rows


def _column(reference: str) -> int:
    number = 0
    for letter in reference:
        if not letter.isalpha():
            break
        number = number * 26 + ord(letter) - 64
    return number - 1

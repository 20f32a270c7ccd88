"""Archive and lake: whole or nothing, the same bytes for the same rows, and the disk's refusals."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import shapes
from pipeline.errors import Terminal, Transient
from pipeline.store.archive import Archive, sha256
from pipeline.store.lake import Lake

ON = date(2026, 11, 20)
DATA = b"ISA*00*"


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(str(tmp_path / "archive"))


def stored(archive: Archive) -> list[Path]:
    return sorted(p for p in Path(archive.place).rglob("*") if p.is_file())


def test_what_is_put_is_got_under_its_sha256(archive: Archive) -> None:
    file_id = archive.put(DATA)
    assert file_id == hashlib.sha256(DATA).hexdigest()
    assert archive.get(file_id) == DATA
    assert archive.has(file_id)
    assert not archive.has(sha256(b"other"))
    assert [p.name for p in stored(archive)] == [file_id]


def test_putting_again_writes_nothing(archive: Archive) -> None:
    archive.put(DATA)
    before = stored(archive)[0].stat()
    archive.put(DATA)
    assert len(stored(archive)) == 1
    assert stored(archive)[0].stat() == before


def test_bytes_are_on_the_disk_before_put_returns(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is synced before it gets its name, and every folder that holds a new name is synced after."""
    done: list[str] = []
    fsync, replace = os.fsync, os.replace

    def synced(handle: int) -> None:
        done.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file")
        fsync(handle)

    def replaced(source: Any, target: Any) -> None:
        done.append("name")
        replace(source, target)

    monkeypatch.setattr("pipeline.store.archive.os.fsync", synced)
    monkeypatch.setattr("pipeline.store.archive.os.replace", replaced)
    archive.put(DATA)
    assert done == ["folder", "file", "name", "folder"]


def test_files_are_their_owners_alone(archive: Archive) -> None:
    archive.put(DATA)
    assert stat.S_IMODE(stored(archive)[0].stat().st_mode) == 0o600


@pytest.mark.parametrize("altered", [b"", DATA + b"x", b"ISA*01*"])
def test_an_altered_file_is_not_given(archive: Archive, altered: bytes) -> None:
    file_id = archive.put(DATA)
    stored(archive)[0].write_bytes(altered)
    with pytest.raises(Terminal, match=f"{file_id} was altered"):
        archive.get(file_id)


def test_a_missing_file_is_terminal(archive: Archive) -> None:
    with pytest.raises(Terminal, match="has no file"):
        archive.get(sha256(DATA))


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
@pytest.mark.parametrize("call", ["fsync", "replace", "fdopen"])
def test_fault_13_a_full_disk_leaves_nothing_half_written(
    archive: Archive, monkeypatch: pytest.MonkeyPatch, number: int, call: str
) -> None:
    archive.put(b"there before")

    def refuse(*_arguments: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(f"pipeline.store.archive.os.{call}", refuse)
    with pytest.raises(Transient, match="nothing was lost"):
        archive.put(DATA)
    monkeypatch.undo()
    assert [p.name for p in stored(archive)] == [sha256(b"there before")]
    assert archive.get(archive.put(DATA)) == DATA


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_fault_13_a_write_that_the_disk_refuses(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    fdopen = os.fdopen

    def full(handle: int, mode: str) -> Any:
        os.close(handle)
        return fdopen(os.open("/dev/full", os.O_WRONLY), mode)

    monkeypatch.setattr("pipeline.store.archive.os.fdopen", full)
    with pytest.raises(Transient, match="No space left on device"):
        archive.put(DATA)
    assert stored(archive) == []


def test_an_archive_that_may_not_be_written_is_terminal(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: Any, **_named: Any) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("pipeline.store.archive.tempfile.mkstemp", refuse)
    with pytest.raises(Terminal, match="may not be written"):
        archive.put(DATA)


def test_other_stores_serve_through_fsspec() -> None:
    archive = Archive("memory://claimpipe-test")
    file_id = archive.put(DATA)
    assert archive.has(file_id)
    assert archive.get(archive.put(DATA)) == DATA
    with fsspec.open(f"memory://claimpipe-test/{file_id[:2]}/{file_id}", "wb") as file:
        file.write(b"altered")
    with pytest.raises(Terminal, match="altered"):
        archive.get(file_id)
    with pytest.raises(Terminal, match="has no file"):
        archive.get(sha256(b"other"))


# --- lake --------------------------------------------------------------------------------------------------------------


def errors(rows: int, file: str = "f") -> pa.Table:
    shape = shapes.schema("999.sets")
    samples: dict[pa.DataType, Any] = {
        pa.string(): "x", pa.int64(): 1, shapes.MONEY: Decimal("1.00"), pa.date32(): ON, pa.bool_(): True,
        shapes.QUANTITY: Decimal("1.0000"),
    }  # fmt: skip
    row = {f.name: samples[f.type] for f in shape} | {"file": file}
    return shapes.from_rows("999.sets", [row] * rows)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


def test_a_part_is_read_as_it_was_written(lake: Lake) -> None:
    lake.write("999.sets", ON, "one", errors(3, "a"))
    lake.write("999.sets", ON, "two", errors(2, "b"))
    lake.write("999.sets", date(2026, 11, 21), "one", errors(1, "c"))
    assert lake.read("999.sets").num_rows == 6
    assert lake.read("999.sets", ON).num_rows == 5
    assert lake.read("999.sets", ON, "one").equals(errors(3, "a"))
    assert lake.read("999.sets", where=("file", ["b", "c"])).column("file").to_pylist() == ["b", "b", "c"]
    assert lake.read("999.sets", date(2020, 1, 1)).equals(shapes.empty("999.sets"))


def test_the_same_rows_are_the_same_bytes_and_are_not_written_again(lake: Lake, tmp_path: Path) -> None:
    path = lake.write("999.sets", ON, "one", errors(3))
    before = (path.stat().st_mtime_ns, path.stat().st_ino, path.read_bytes())
    assert lake.write("999.sets", ON, "one", errors(3)) == path
    assert (path.stat().st_mtime_ns, path.stat().st_ino, path.read_bytes()) == before
    assert Lake(tmp_path / "elsewhere").write("999.sets", ON, "one", errors(3)).read_bytes() == before[2]


def test_other_rows_take_the_place_of_a_part(lake: Lake) -> None:
    lake.write("999.sets", ON, "one", errors(3))
    lake.write("999.sets", ON, "one", errors(1))
    assert lake.read("999.sets").num_rows == 1


def test_a_table_of_another_shape_is_refused(lake: Lake) -> None:
    with pytest.raises(Terminal, match="does not fit its shape"):
        lake.write("999.sets", ON, "one", errors(1).drop_columns(["file"]))


def test_fault_13_a_full_disk_keeps_the_part_that_was_there(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    path = lake.write("999.sets", ON, "one", errors(3))

    def refuse(*_arguments: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pipeline.store.archive.os.fsync", refuse)
    with pytest.raises(Transient, match="No space left on device"):
        lake.write("999.sets", ON, "one", errors(1))
    assert lake.read("999.sets").num_rows == 3
    assert [p.name for p in path.parent.iterdir()] == ["one.parquet"]


@given(st.binary(max_size=300))
def test_any_bytes_go_in_and_out(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    archive = Archive(str(tmp_path_factory.getbasetemp() / "any"))
    assert archive.get(archive.put(data)) == data

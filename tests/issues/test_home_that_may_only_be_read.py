"""'The auditor's copy of the home is on a read-only disk, and claimpipe prove refuses it.' Questions write nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from cli.commands import claimpipe
from ledger.books import ON, Books, file_837

from pipeline.store.work import WorkItem, open_items


@pytest.fixture
def read_only(books: Books, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A register with a claim and a work item, closed, in folders without the right to write (root has it all the same)."""
    books.send("C1", data=file_837(("C1", "100")))
    with books.store.begin() as c:
        open_items(c, [WorkItem(queue="file", subject="x", cause="y", title="T", reason="R", action="A", opened_on=ON)])
    books.store.close()
    paths = [home, *home.rglob("*")]
    for path in paths:
        path.chmod(0o555 if path.is_dir() else 0o444)
    monkeypatch.setattr("pipeline.store.store._writable", lambda _path: False)
    yield home
    for path in paths:
        path.chmod(0o755)


def content(home: Path) -> dict[str, str]:
    return {str(p): hashlib.sha256(p.read_bytes()).hexdigest() for p in home.rglob("*") if p.is_file()}


def test_questions_are_answered_and_nothing_is_written(read_only: Path) -> None:
    before = content(read_only)
    proof = claimpipe("prove", "--home", read_only, "--json")
    assert (proof.code, proof.err) == (1, "")  # the visit of these books is of no extract
    assert proof.lines[0]["residue_cents"] == 0
    (item,) = claimpipe("work", "list", "--each", "--home", read_only, "--json").lines
    assert claimpipe("work", "show", item["item_id"], "--home", read_only).code == 0
    assert content(read_only) == before


def test_a_register_of_another_version_is_told(read_only: Path, books: Books) -> None:
    database = read_only / "claimpipe.db"
    read_only.chmod(0o755)
    database.chmod(0o644)
    engine = sa.create_engine(f"sqlite:///{database}")
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0001_older'")
    engine.dispose()
    ran = claimpipe("prove", "--home", read_only)
    assert ran.code == 2
    assert "another version of claimpipe" in ran.sentence

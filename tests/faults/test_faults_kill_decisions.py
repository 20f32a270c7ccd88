"""Fault 1 for what people ask on the command line: killed at any point and asked again, it ends like one that was not."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from claims import houses
from ledger.books import ON, Books, file_835, remittance
from reports.test_reports_work_actions import CLAIM

from pipeline.remittances import stage as remittances
from pipeline.settings import load
from pipeline.store import open_store
from pipeline.store import register as r

#: forks one command after another from a process that has imported all: `point home words…` → how the command ended
_PARENT = """
import os, sys
from pipeline import cli, failpoints
import pipeline.night, pipeline.reports.work_actions, pipeline.store.migrate, pipeline.transport.again

for line in sys.stdin:
    point, home, *words = line.rstrip("\\n").split("\\t")
    child = os.fork()
    if not child:
        failpoints._at, failpoints._passed = int(point), 0
        code = 1
        try:
            sys.argv = ["claimpipe", *words, "--home", home]
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            code = cli._run()
        finally:
            os._exit(code)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
DAY = ["--date", ON.isoformat(), "--by", "ann"]
COMMANDS = {
    "release": ["work", "resolve", "ITEM", "--note", "they said so", "--action", "release", *DAY],
    "close": ["work", "resolve", "ITEM", "--note", "they said so", *DAY],
    "retry": ["inbox", "retry", "--all", "--note", "mended", *DAY],
    "recover": ["recover", "--adopt", "--date", ON.isoformat()],
}


@pytest.fixture
def parent(books: Books) -> Iterator[subprocess.Popen[str]]:
    env = os.environ | {"CLAIMPIPE_PAYERS_DIR": books.store.settings.payers_dir}
    with subprocess.Popen(
        [sys.executable, "-c", _PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env
    ) as started:
        yield started
        assert started.stdin is not None
        started.stdin.close()


def ask(parent: subprocess.Popen[str], point: int, home: Path, words: list[str]) -> int:
    assert parent.stdin is not None
    assert parent.stdout is not None
    parent.stdin.write("\t".join([str(point), str(home), *words]) + "\n")
    parent.stdin.flush()
    return int(parent.stdout.readline())


def prepared(books: Books, command: str) -> list[str]:
    """The home in which the command has work, and its words."""
    books.send("C1", "C2")
    if command in ("release", "close"):
        books.receive(file_835(remittance(CLAIM, amount="79.99")), "835")
        remittances.run(books.store, ON)
    else:
        for number, claim in enumerate(("C1", "C2"), start=1):
            file_id = books.receive(file_835(remittance(CLAIM.replace("C1", claim), amount="80", trace=claim)), "835")
            with books.store.begin() as c:
                f = r.files.c
                c.execute(sa.insert(r.file_arrivals).values(
                    file_id=file_id, payer_key="acme", remote_name=f"era{number}", logical_date=ON,
                ))  # fmt: skip
                c.execute(sa.update(r.files).where(f.file_id == file_id).values(state="quarantined", reason="835.x"))
    if command == "recover":
        from pipeline.store.behind import remember_received

        assert remember_received(books.store, "acme") == 2
    items = [item.item_id for item in books.work()]
    words = [items[0] if word == "ITEM" else word for word in COMMANDS[command]]
    books.store.close()
    if command == "recover":  # as after the file was lost
        for path in books.store.settings.home.glob("claimpipe.db*"):
            path.unlink()
    return words


def everything(home: Path) -> dict[str, list[tuple[object, ...]]]:
    store = open_store(load(home=home))
    found = houses.everything(store)
    store.close()
    return found


@pytest.mark.parametrize("command", COMMANDS)
def test_fault_1_a_command_killed_at_any_point_and_given_again_ends_like_one_that_was_not(
    books: Books, parent: subprocess.Popen[str], tmp_path: Path, command: str
) -> None:
    words = prepared(books, command)
    before, home = tmp_path / "before", books.store.settings.home
    shutil.copytree(home, before)
    assert ask(parent, 0, home, words) == 0
    untouched = everything(home)
    point = 0
    while True:
        point += 1
        assert point < 50
        shutil.rmtree(home)
        shutil.copytree(before, home)
        code = ask(parent, point, home, words)
        if code == 0:
            break
        assert code == -9
        assert ask(parent, 0, home, words) in (0, 2)  # 2: it was done already, and says so
        assert everything(home) == untouched
    assert point > 2

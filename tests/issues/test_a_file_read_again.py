"""'The remittance that the old version could not read is still quarantined after the upgrade, and nothing can release it.'"""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from ledger.books import ON, Books, file_835, remittance
from reports.test_reports_work_actions import CLAIM, closes
from typer.testing import CliRunner

from pipeline import transactions
from pipeline.cli import app
from pipeline.errors import Terminal
from pipeline.remittances import reading
from pipeline.remittances import stage as remittances
from pipeline.reports import work_actions
from pipeline.reports.rejects import rejects
from pipeline.store import register as r
from pipeline.transport import again

ERA = file_835(remittance(CLAIM, amount="80"))
LATER = ON + timedelta(days=3)


@pytest.fixture
def broken(books: Books, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A file that this version cannot read was set aside; `undo` is the upgrade."""

    def stumbles(*_: object) -> None:
        raise KeyError("a patient's name")

    books.send("C1")
    books.receive(ERA, "835")
    monkeypatch.setattr(reading, "read", stumbles)
    remittances.run(books.store, ON)
    (item,) = books.work()
    assert (item.queue, item.cause) == ("file", "file.unworkable")
    return monkeypatch


def state(books: Books) -> tuple[str, str]:
    (file,) = books.rows(r.files)
    return file.state, file.reason


def retry(books: Books, file: str = "", reason: str = "upgraded to 0.2") -> again.Asked:
    return again.retry(books.store, LATER, file, by="M. Adeyemi", reason=reason)


def test_a_file_is_read_again_after_its_fault_is_mended(books: Books, broken: pytest.MonkeyPatch) -> None:
    broken.undo()
    remittances.run(books.store, LATER)
    assert state(books)[0] == "quarantined"  # not by itself
    (one,) = again.aside(books.store)
    asked = retry(books, one.file_id[:8])
    assert (asked.waiting, asked.left) == ([one], [])
    assert state(books) == ("archived", "")
    remittances.run(books.store, LATER)
    assert state(books) == ("processed", "")
    assert books.states() == {"C1": "paid"}
    assert (books.work(), again.aside(books.store)) == ([], [])
    (decision,) = books.rows(r.item_decisions)
    assert (decision.action, decision.actor, decision.reason, decision.subject, decision.on_date) == (
        "retry", "M. Adeyemi", "upgraded to 0.2", one.file_id, LATER,
    )  # fmt: skip
    closes(books)


@pytest.mark.parametrize("noted", [False, True])
def test_what_fails_again_is_work_again_and_the_night_is_not_green(
    books: Books, broken: pytest.MonkeyPatch, noted: bool
) -> None:
    (item,) = books.work()
    if noted:
        work_actions.close(books.store, item.item_id, work_actions.Wanted("ann", "asked the vendor", ON))
    for time in (1, 2):
        retry(books)
        assert books.work() == []
        remittances.run(books.store, LATER)
        (now,) = books.work()
        assert (now.item_id, now.opened_on, now.resolution) == (item.item_id, LATER, "")
        assert len([d for d in books.rows(r.item_decisions) if d.action == "retry"]) == time
        with books.store.read() as c:
            assert [line for line in rejects(c, LATER) if "1 received file quarantined" in line]


def test_a_kind_that_no_stage_works_stays_aside(books: Books) -> None:
    with books.store.begin() as c:
        for data, kind in ((b"%PDF-1.7", "unknown"), (ERA, "unknown")):
            file_id = books.store.archive.put(data)
            c.execute(r.files.insert().values(
                file_id=file_id, direction="in", kind=kind, payer_key="acme", size=len(data), logical_date=ON,
                state="quarantined", reason="inbox.unknown",
            ))  # fmt: skip
    pdf = next(one for one in again.aside(books.store) if one.size == 8)
    with pytest.raises(Terminal, match="no stage works it"):
        retry(books, pdf.file_id)
    asked = retry(books)  # a later version knows the other one
    assert (asked.left, [one.size for one in asked.waiting]) == ([pdf], [len(ERA)])
    assert {(f.kind, f.state) for f in books.rows(r.files)} == {("unknown", "quarantined"), ("835", "archived")}
    assert transactions.identify(ERA) == "835"


def test_what_was_not_set_aside_is_not_read_again(books: Books) -> None:
    books.send("C1")
    file_id = books.receive(ERA, "835")
    remittances.run(books.store, ON)
    with pytest.raises(Terminal, match="was not set aside: it is processed"):
        retry(books, file_id)
    with pytest.raises(Terminal, match="No received file begins"):
        retry(books, "zz")
    with pytest.raises(Terminal, match="for a reason"):
        retry(books, reason=" ")
    assert retry(books) == again.Asked([], [])
    assert books.rows(r.item_decisions) == []


def test_on_the_command_line(books: Books, broken: pytest.MonkeyPatch) -> None:
    home = ["--home", str(books.store.settings.home)]
    listed = CliRunner().invoke(app, ["inbox", "list", "--json", *home])
    told = json.loads(listed.stdout)
    assert (told["kind"], told["reason"], told["payer"]) == ("835", "file.unworkable", "acme")
    assert "file.unworkable" in CliRunner().invoke(app, ["inbox", "list", *home]).stdout
    broken.undo()
    said = CliRunner().invoke(app, ["inbox", "retry", told["file"][:10], "--note", "upgraded", "--by", "ann", *home])
    assert (said.exit_code, said.stdout) == (0, "Files that wait for the next run: 1.\n")
    assert state(books) == ("archived", "")
    for wrong in ([], [told["file"], "--all"]):
        result = CliRunner().invoke(app, ["inbox", "retry", *wrong, "--note", "x", *home])
        assert isinstance(result.exception, Terminal)

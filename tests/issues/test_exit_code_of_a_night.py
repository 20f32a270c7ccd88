"""'Every visit was quarantined, an 835 was held, and nightly ended with 0.' What is set aside whole is no clean night."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa
from cli.commands import claimpipe
from deposits.test_deposits_stage import bai2, eft_credit
from encounters.extracts import Extract
from ledger.books import ON, Books, file_835, remittance

from pipeline import night
from pipeline.reports.rejects import rejects
from pipeline.store import register as r


def said(books: Books) -> list[str]:
    with books.store.read() as connection:
        return rejects(connection, ON)


def work(books: Books, *files: tuple[bytes, str]) -> list[str]:
    for data, kind in files:
        books.receive(data, kind)
    night.acknowledge(books.store, ON)
    night.post(books.store, ON)
    night.reconcile(books.store, ON)
    return said(books)


PAID = remittance("CLP*C1*1*1*1**12*I*11", amount="1")
NOT_CLEAN = {
    "an 835 that cannot be read": ((file_835(remittance("", amount="NaN")), "835"), "1 received file quarantined"),
    "an 835 that does not balance": ((file_835(PAID.replace("BPR*I*1*", "BPR*I*2*")), "835"), "1 remittance held"),
    "a bank file that is cut": ((bai2(eft_credit(5, "T"))[:-12], "BAI2"), "1 received file quarantined"),
    "a bank file with one bad account": (
        (bai2(eft_credit(5, "T")).replace(b"49,5,3/", b"49,5,3/\n03,1,USD/\n49,7,2/")
         .replace(b"98,5,1,5/", b"98,12,2,7/").replace(b"99,5,1,7/", b"99,12,1,9/"), "BAI2"),
        "1 bank file taken in part only",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("file", "words"), NOT_CLEAN.values(), ids=NOT_CLEAN.keys())
def test_what_came_and_was_set_aside_is_told(books: Books, file: tuple[bytes, str], words: str) -> None:
    books.send("C1", cents=100)
    assert [line.partition(":")[0].removesuffix(" or not posted") for line in work(books, file)] == [words]
    assert work(books) == said(books)  # run again it is the same night


def test_a_night_of_good_files_is_clean(books: Books) -> None:
    books.send("C1", cents=100)
    assert work(books, (file_835(PAID), "835"), (bai2(eft_credit(100, "T1")), "BAI2")) == []


def test_what_was_set_aside_on_another_night_is_that_nights(books: Books) -> None:
    work(books, (file_835(remittance("", amount="NaN")), "835"))
    with books.store.read() as connection:
        assert rejects(connection, ON.replace(day=29)) == []


def test_a_claim_file_that_quality_withholds_is_told(books: Books) -> None:
    books.send("C1")
    with books.store.begin() as c:
        c.execute(sa.update(r.sendings).values(state="withheld", logical_date=ON))
    assert [line.partition(":")[0] for line in said(books)] == ["1 claim file withheld by a quality check"]


def test_a_night_without_one_legible_visit_ends_with_one(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "payers").mkdir()  # no payer in a box: none is started
    (tmp_path / "payers" / "acme.toml").write_text(
        'name = "ACME"\npayer_id = "A1"\nmatches = []\n[interchange]\nreceiver_id = "A1"\n[transport]\nkind = "folder"\n'
    )
    monkeypatch.setenv("CLAIMPIPE_PAYERS_DIR", str(tmp_path / "payers"))
    extract = Extract()
    extract.visit(1, service_from="2026-02-30")
    extract.visit(2, charge="1E5")
    ran = claimpipe(
        "nightly", "--extract", extract.write(tmp_path / "extract"), "--date", "2026-11-20", "--home", home, "--json"
    )
    assert ran.code == 1
    assert ran.sentence.startswith("No visit of the extract extract can be read (2 quarantined): claimpipe work list")
    assert ran.lines[-1]["rejects"] == [ran.sentence]
    assert ran.lines[-1]["proof"]["closes"]

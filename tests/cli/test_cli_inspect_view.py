"""`inspect --tree` and `--html`: a file by its loops, masked unless asked."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from cli.commands import claimpipe
from payer_simulator.claims_837 import file_837, many

GOOD = file_837(many(3))


@pytest.fixture
def claims(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "claims.edi"
    path.write_bytes(GOOD)
    return path


def test_the_tree_shows_loops_and_nobody(claims: Path) -> None:
    ran = claimpipe("inspect", "--tree", claims)
    assert (ran.code, ran.err) == (0, "")
    assert "2300 claim" in ran.out
    assert "837 claims: 3" not in ran.out
    assert "DOE" not in ran.out
    assert "DOE" in claimpipe("inspect", "--tree", "--unmasked", claims).out


def test_the_page_is_written_where_asked(claims: Path, tmp_path: Path) -> None:
    page = tmp_path / "new" / "claims.html"
    ran = claimpipe("inspect", "--html", page, claims)
    assert (ran.code, ran.err) == (0, "")
    assert f"page: {page}" in ran.out
    assert "837 claims: 3" in ran.out
    html = page.read_text(encoding="utf-8")
    assert html.startswith("<!doctype html>")
    assert "DOE" not in html
    secret = tmp_path / "secret.html"
    (found,) = claimpipe("inspect", "--html", secret, "--unmasked", "--json", claims).lines
    assert found["page"] == str(secret)
    assert "DOE" in secret.read_text(encoding="utf-8")
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600


def test_a_damaged_file_is_shown_and_fails(claims: Path) -> None:
    claims.write_bytes(GOOD[: len(GOOD) // 2])
    ran = claimpipe("inspect", "--tree", claims)
    assert ran.code == 1
    assert "A segment has no terminator: the file is cut off" in " ".join(ran.out.split())


def test_what_cannot_be_done_is_one_sentence(claims: Path, tmp_path: Path) -> None:
    assert claimpipe("inspect", "--tree", "--json", claims).code == 2
    (tmp_path / "blocked").write_text("a file")
    ran = claimpipe("inspect", "--html", tmp_path / "blocked" / "page.html", claims)
    assert "cannot be written" in ran.sentence

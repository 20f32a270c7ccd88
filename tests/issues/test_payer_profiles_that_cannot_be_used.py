"""'No claim goes to Harbor, and nothing says why.' A profile, its folder or a database URL that cannot be used is told by name."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from pipeline import payers, settings
from pipeline.errors import Terminal

GOOD = 'name = "ACME"\npayer_id = "ACME1"\nmatches = ["Acme Health"]\n[interchange]\nreceiver_id = "ACME"\n'


def refusal(folder: Path) -> str:
    with pytest.raises(Terminal) as refused:
        payers.load_profiles(str(folder))
    return str(refused.value)


def test_a_good_profile_is_read_with_or_without_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "acme.toml").write_bytes(b"\xef\xbb\xbf" + GOOD.encode())
    assert payers.load_profiles(str(tmp_path))["acme"].name == "ACME"
    assert payers.keys(str(tmp_path)) == ["acme"]


def test_a_folder_that_is_not_there_or_empty_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert f"{tmp_path / 'none'} does not exist" in refusal(tmp_path / "none")
    assert "payers_dir" in refusal(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    assert f"{tmp_path / 'empty'} holds no profile" in refusal(tmp_path / "empty")
    monkeypatch.setenv("CLAIMPIPE_PAYERS_DIR", str(tmp_path / "none"))
    dagkit = importlib.import_module("pipeline.dagkit")  # here alone: it takes Airflow along
    with pytest.raises(Terminal, match="does not exist"):  # a DAG without payers would be green and send nothing
        dagkit.payer_keys()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (GOOD.encode("utf-16"), "is not UTF-8 text"),
        (b"\xff\xfe broken", "is not UTF-8 text"),
        (b"name = ", "is not TOML"),
        (b'key = "other"\n' + GOOD.encode(), "key: the file's name is the key"),
        (GOOD.encode() + b'[claims]\nmember_id_pattern = "[A-Z"\n', "claims.member_id_pattern: is no regular expression"),
        (GOOD.encode() + b"[claims]\nfiling_days = 0\n", "claims.filing_days"),
        (GOOD.encode() + b"[acknowledgment]\ndays_999 = -1\n", "acknowledgment.days_999"),
        (GOOD.encode() + b"[transport]\nport = 70000\n", "transport.port"),
        (GOOD.encode().replace(b'"ACME"\n[', b'"ACME"\n[').replace(b'receiver_id = "ACME"', b'receiver_id = ""'), "interchange.receiver_id"),
        (GOOD.encode().replace(b"payer_id", b"payerid"), "payerid"),
    ],
)  # fmt: skip
def test_a_defect_is_told_with_its_file_and_field(tmp_path: Path, text: bytes, says: str) -> None:
    (tmp_path / "acme.toml").write_bytes(text)
    assert f"{tmp_path / 'acme.toml'}" in refusal(tmp_path)
    assert says in refusal(tmp_path)


@pytest.mark.parametrize("stem", ["Acme", "acme health", "acme:1", "bank", "é", "a" * 41, ".acme"])
def test_an_odd_name_of_a_file_is_told(tmp_path: Path, stem: str) -> None:
    (tmp_path / f"{stem}.toml").write_text(GOOD)
    assert "has a name that cannot be a payer's key" in refusal(tmp_path)


def test_a_name_that_leads_to_two_payers_is_told(tmp_path: Path) -> None:
    (tmp_path / "acme.toml").write_text(GOOD)
    (tmp_path / "zeta.toml").write_text(GOOD.replace('"ACME"', '"ZETA"').replace("Acme Health", "ACME HEALTH"))
    assert "acme and zeta both have 'acme health' in `matches`" in refusal(tmp_path)


@pytest.mark.parametrize(
    "url",
    ["nonsense", "http://db/claims", "mysql://me:hidden@db/claims", "postgresql+psycopg://me:hidden@db:port/claims", "sqlite://",
     "sqlite:///:memory:", "://"],
)  # fmt: skip
@pytest.mark.parametrize("by", ["file", "environment"])
def test_a_database_url_that_cannot_be_used_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, by: str
) -> None:
    if by == "file":
        (tmp_path / "claimpipe.toml").write_text(f'[store]\nurl = "{url}"\n')
    else:
        monkeypatch.setenv("CLAIMPIPE_STORE__URL", url)
    with pytest.raises(Terminal) as refused:
        settings.load(tmp_path)
    assert "hidden" not in str(refused.value)
    assert "store.url: " in str(refused.value) or "holds a database password" in str(refused.value)

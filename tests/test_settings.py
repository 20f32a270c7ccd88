"""Settings: the order of strength, refusals in words, and the page that documents them."""

import re
from pathlib import Path

import pytest

from pipeline import settings
from pipeline.errors import Terminal


def test_the_environment_is_stronger_than_the_file_and_the_file_than_the_default(tmp_path, monkeypatch):
    (tmp_path / "claimpipe.toml").write_text(
        'timezone = "America/Chicago"\n[transport]\nattempts = 7\nbackoff_seconds = 1.5\n'
    )
    monkeypatch.setenv("CLAIMPIPE_TRANSPORT__ATTEMPTS", "9")
    loaded = settings.load(tmp_path)
    assert loaded.transport.attempts == 9
    assert loaded.transport.backoff_seconds == 1.5
    assert loaded.timezone == "America/Chicago"
    assert loaded.transport.timeout_seconds == 20.0


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("[transport]\nattemps = 3\n", "transport.attemps"),
        ('[transport]\nattempts = "many"\n', "transport.attempts"),
        ("this is no toml", "is not TOML"),
        ('[store]\nurl = "postgresql+psycopg://me:secret@db/claims"\n', "database password"),
        ('[submitter]\nusage = "X"\n', "submitter.usage"),
    ],
)
def test_a_bad_file_is_refused_by_name_and_its_secrets_are_not_repeated(tmp_path, text, names):
    (tmp_path / "claimpipe.toml").write_text(text)
    with pytest.raises(Terminal) as refused:
        settings.load(tmp_path)
    assert names in str(refused.value)
    assert "secret" not in str(refused.value).replace("secrets", "")


@pytest.mark.parametrize("name", ["CLAIMPIPE_TRANSPORT__ATTEMPS", "CLAIMPIPE_TIMEZON", "CLAIMPIPE_HOME__X"])
def test_a_misspelt_variable_is_refused(tmp_path, monkeypatch, name):
    monkeypatch.setenv(name, "1")
    with pytest.raises(Terminal, match=name):
        settings.load(tmp_path)


def test_a_users_own_secret_variable_is_let_be(tmp_path, monkeypatch):
    monkeypatch.setenv("CLAIMPIPE_SECRET_MERIDIAN", "x")
    assert settings.load(tmp_path).home == tmp_path


def test_a_named_file_must_exist(tmp_path, monkeypatch):
    monkeypatch.setenv("CLAIMPIPE_CONFIG", str(tmp_path / "none.toml"))
    with pytest.raises(Terminal, match=r"none\.toml does not exist"):
        settings.load(tmp_path)


def test_every_setting_is_documented():
    page = Path(__file__).parent.parent / "docs" / "settings.md"
    assert page.read_text() == settings.documented() + "\n", "run: python -m pipeline.settings > docs/settings.md"


def test_every_variable_that_the_program_reads_is_let_be(tmp_path, monkeypatch):
    """`CLAIMPIPE_KERNEL=off` was read by the scanner and refused by every command that has settings."""
    root = Path(settings.__file__).parent
    read = r"""environ(?:\.get\(|\[)\s*"(CLAIMPIPE_\w+)\""""
    names = {n for file in root.rglob("*.py") for n in re.findall(read, file.read_text(encoding="utf-8"))}
    assert {"CLAIMPIPE_HOME", "CLAIMPIPE_KERNEL", "CLAIMPIPE_TRACEBACK"} <= names
    for name in sorted(names - {"CLAIMPIPE_HOME", "CLAIMPIPE_CONFIG"}):
        monkeypatch.setenv(name, "off")
        settings.load(tmp_path)

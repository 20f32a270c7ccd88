from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from transport.server import SftpPayer

from pipeline.settings import Settings

PROFILE = """
name = "ACME HEALTH"
payer_id = "ACME1"
matches = ["Acme Health"]

[interchange]
receiver_id = "ACMERECEIVER"

[transport]
kind = "sftp"
host = "127.0.0.1"
port = {port}
user = "acme"
known_hosts = "{known_hosts}"
key_file = "{key_file}"
"""


def write_profile(folder: Path, payer: SftpPayer, extra: str = "") -> None:
    """The profile `acme` of a payer, as an administrator would write it; read anew by the code under test."""
    from pipeline import payers

    folder.mkdir(exist_ok=True)
    text = PROFILE.format(port=payer.port, known_hosts=payer.known_hosts, key_file=payer.key_file)
    (folder / "acme.toml").write_text(text + extra)
    payers._load.cache_clear()


@pytest.fixture
def payer(tmp_path: Path, settings: Settings) -> Iterator[SftpPayer]:
    """A payer `acme` with its server up and its profile written."""
    running = SftpPayer(tmp_path / "payer")
    settings.payers_dir = str(tmp_path / "profiles")
    write_profile(tmp_path / "profiles", running)
    yield running
    running.end()

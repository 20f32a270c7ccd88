"""'claimpipe payer start printed a page of Python.' The port was another program's: one sentence says so, and what to do."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli.commands import claimpipe


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


@pytest.mark.parametrize("command", [("payer", "start"), ("nightly",)], ids=" ".join)
def test_the_box_says_that_its_port_is_taken(
    home: Path, taken: int, command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLAIMPIPE_PAYER_BOX__PORT", str(taken))
    ran = claimpipe(*command, "--home", home)
    assert ran.code == 2
    assert f"Port {taken} of 127.0.0.1 is in use by another program." in ran.sentence
    assert "payer_box.port" in ran.sentence
    assert "Traceback" not in (home / "payer_in_a_box" / "serve.log").read_text()


def test_airflow_says_that_its_port_is_taken_before_it_starts_anything(home: Path, taken: int) -> None:
    ran = claimpipe("airflow", "--port", taken, "--home", home)
    assert ran.code == 2
    assert ran.sentence == f"Port {taken} is in use. Stop what listens there, or name another with --port."
    assert not home.exists()


def test_there_is_no_port_70000(home: Path) -> None:
    ran = claimpipe("airflow", "--port", 70_000, "--home", home)
    assert (ran.code, ran.sentence) == (2, "There is no port 70000. Name one from 1024 to 65535 with --port.")

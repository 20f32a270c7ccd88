"""'I pressed Ctrl-C right after starting the night, and the payer in a box still ran an hour later.'"""

from __future__ import annotations

import subprocess
from typing import Any

import pytest

from pipeline.payer_simulator import process
from pipeline.settings import Settings


def test_ctrl_c_while_the_box_comes_up_takes_it_along(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def noted(*arguments: Any, **named: Any) -> subprocess.Popen[bytes]:
        started.append(popen(*arguments, **named))
        return started[-1]

    def pressed(_root: object) -> None:
        if started:
            raise KeyboardInterrupt

    monkeypatch.setattr(process.subprocess, "Popen", noted)
    monkeypatch.setattr(process, "_told", pressed)
    with pytest.raises(KeyboardInterrupt):
        process.start(settings)
    (box,) = started
    assert box.returncode is not None
    monkeypatch.undo()
    assert process.endpoint(settings) is None

"""Running the command line as a user does, in this process: arguments in; exit code, stdout and stderr out."""

from __future__ import annotations

import contextlib
import io
import json
import sys
from dataclasses import dataclass
from typing import Any
from unittest import mock

from pipeline import cli


@dataclass
class Ran:
    """What a command did. `lines` are its JSON objects: stdout must hold nothing else."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        found = [json.loads(line) for line in self.out.splitlines()]
        assert all(isinstance(one, dict) for one in found)
        return found

    @property
    def sentence(self) -> str:
        """The one line on stderr, without the program's name."""
        (line,) = self.err.splitlines()
        assert line.startswith("claimpipe: "), line
        assert "Traceback" not in line
        assert "a defect" not in line
        return line.removeprefix("claimpipe: ")


def claimpipe(*arguments: object) -> Ran:
    """Run `claimpipe ARGUMENTS` through its real entry point."""
    out, err = io.StringIO(), io.StringIO()
    code: object = 0
    with (
        mock.patch.object(sys, "argv", ["claimpipe", *map(str, arguments)]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            cli.main()
        except SystemExit as stop:
            code = stop.code
    assert isinstance(code, int)
    return Ran(code, out.getvalue(), err.getvalue())

"""Killing the program at its failure points, quickly: a process that has imported everything forks one run after another."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import TracebackType

_PARENT = """
import os, sys
from datetime import date
from pathlib import Path
from pipeline import failpoints, settings
from pipeline.store import open_store
from pipeline.transport import inbox, sending, sftp, folder
import pipeline.store.migrate

def run(what, on):
    store = open_store(settings.load(sys.argv[1], payers_dir=sys.argv[2]))
    stage = sending.send if what == "send" else inbox.sweep
    stage(store, date.fromisoformat(on), "acme")

for line in sys.stdin:
    at, log, what, on = line.split()
    child = os.fork()
    if not child:
        failpoints._at, failpoints._log, failpoints._passed = int(at), log, 0
        code = 1
        try:
            run(what, on)
            code = 0
        except BaseException as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        finally:
            os._exit(code)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Runs:
    """Runs of `send` or `sweep` for the payer acme, each in a process of its own."""

    def __init__(self, home: Path, profiles: Path, log: Path) -> None:
        self._log = log
        self._parent = subprocess.Popen(
            [sys.executable, "-c", _PARENT, str(home), str(profiles)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def killed_at(self, point: int, what: str, on: str) -> bool:
        """Run, die at the n-th failure point passed; False where the run ended before it. Any other end is an error."""
        assert self._parent.stdin is not None
        assert self._parent.stdout is not None
        self._parent.stdin.write(f"{point} {self._log} {what} {on}\n")
        self._parent.stdin.flush()
        code = int(self._parent.stdout.readline())
        assert code in (0, -9), f"the run ended with {code}"
        return code == -9

    @property
    def points(self) -> set[str]:
        return {line.split()[1] for line in self._log.read_text().splitlines()}

    def __enter__(self) -> Runs:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        assert self._parent.stdin is not None
        self._parent.stdin.close()
        self._parent.wait(10)

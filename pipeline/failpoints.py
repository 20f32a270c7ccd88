"""Failure points: named places where a test may kill the process, to prove that a restart loses nothing.

`CLAIMPIPE_FAIL_AT=n` kills the process (SIGKILL, as a power cut would) at the n-th failure point that it passes;
`CLAIMPIPE_FAIL_LOG` names a file that lists the points passed. Without these variables a point costs one comparison.
Place one before and after each effect that the world can see: a commit, a rename, a write, an upload.
"""

from __future__ import annotations

import os
import signal

_at = int(os.environ.get("CLAIMPIPE_FAIL_AT", "0"))
_log = os.environ.get("CLAIMPIPE_FAIL_LOG", "")
_passed = 0


def failpoint(name: str) -> None:
    """Pass the failure point `name`; die here if the environment says so."""
    global _passed
    if not _at and not _log:
        return
    _passed += 1
    if _log:
        with open(_log, "a", encoding="utf-8") as file:
            file.write(f"{_passed} {name}\n")
    if _passed == _at:
        os.kill(os.getpid(), signal.SIGKILL)

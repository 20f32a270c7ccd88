"""'claimpipe edits check says that half of your own edits name checks that do not exist.' The checks against official tables were
registered by an import that only the night made: a command alone, in a process of its own, did not know them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from cli.commands import claimpipe

ALONE = "import sys; from pipeline import cli; sys.argv[0] = 'claimpipe'; cli.main()"


def test_every_example_holds_where_nothing_was_imported_before(home: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", ALONE, "edits", "check", "--home", str(home)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "does not exist" not in ran.stdout + ran.stderr
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout.rstrip().endswith("examples: all hold.")


@pytest.mark.parametrize("command", ["check", "try"])
def test_what_the_help_says_of_files_is_whole(command: str) -> None:
    ran = claimpipe("edits", command, "--help")
    assert "TOML file of edits" in " ".join(ran.out.replace("│", " ").split())
    assert "[]" not in ran.out

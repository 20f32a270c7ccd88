"""docs/command-line.md names every command and every option that there is, and none that there is not."""

from __future__ import annotations

import re
from pathlib import Path

import typer

from pipeline.cli import app

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "command-line.md").read_text(encoding="utf-8")


def commands() -> dict[str, set[str]]:
    """Command ("work list") → its long options."""
    found: dict[str, set[str]] = {}

    def walk(command, name: str) -> None:
        if hasattr(command, "commands"):
            for key, below in command.commands.items():
                walk(below, f"{name} {key}".strip())
        else:
            options = {o for p in command.params for o in (*p.opts, *p.secondary_opts)}
            found[name] = {o for o in options if o.startswith("--")} - {"--help"}

    walk(typer.main.get_command(app), "")
    return found


def test_every_command_and_option_is_documented():
    for name, options in commands().items():
        group = name.split()[0]
        section = re.search(rf"^### {group}\n(.*?)(?=^##|\Z)", TEXT, re.M | re.S)
        assert section, f"{group} has no section"
        assert name.split()[-1] in section[1]
        general = {"--home", "--json"}  # explained once, at the head
        missing = {o for o in options - general if o not in section[1]}
        assert not missing, f"{name}: {missing}"


def test_nothing_else_is_documented():
    known = set().union(*commands().values()) | {"--help"}
    assert set(re.findall(r"--[a-z][a-z-]+", TEXT)) <= known
    shown = {line.split()[2] for line in TEXT.splitlines() if line.startswith("$ claimpipe ")}
    assert shown <= {name.split()[0] for name in commands()}

"""docs/command-line.md names every command and every option that there is, and none that there is not."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import typer
from cli.commands import claimpipe

from pipeline.cli import SAMPLE_DATE, app, sample_extract
from pipeline.coding import stage as coding
from pipeline.encounters import stage as encounters
from pipeline.scrubbing import stage as scrubbing
from pipeline.store import Store

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


def examples(command: str) -> list[tuple[list[str], list[list[str]]]]:
    """(arguments, pieces of output between …) of each example of a command."""
    found = []
    for block in re.findall(r"^```\n(.*?)^```", TEXT, re.M | re.S):
        for part in re.split(r"^\$ ", block, flags=re.M)[1:]:
            line, _, output = part.partition("\n")
            if line.startswith(f"claimpipe {command} "):
                pieces = [piece.strip("\n").splitlines() for piece in re.split(r"^…\n?", output, flags=re.M)]
                found.append((line.split()[1:], [piece for piece in pieces if piece]))
    return found


def test_the_example_of_work_show_is_what_the_sample_gives(store: Store, home: Path):
    """Word for word, from the extract that comes with claimpipe."""
    encounters.run(store, SAMPLE_DATE, sample_extract(), "csv")
    coding.run(store, SAMPLE_DATE)
    scrubbing.run(store, SAMPLE_DATE)
    store.close()
    [(arguments, pieces)] = examples("work show")
    ran = claimpipe(*arguments, "--home", home)
    assert (ran.code, ran.err) == (0, "")
    shown = "\n".join(line.rstrip() for line in ran.out.splitlines())
    at = 0
    for piece in pieces:
        at = shown.index("\n".join(piece), at) + 1


def test_the_tables_of_export_are_those_of_the_schemas():
    """Each table with what a row of it is, in the words of its schema; none more."""
    shapes = {}
    for path in (Path(__file__).resolve().parents[2] / "schemas" / "tables").glob("*.toml"):
        kind, _, name = path.stem.rpartition(".")
        if kind == "part" or (not kind and name != "interchanges"):
            continue  # tables between stages
        shapes[kind or "anything", name] = tomllib.loads(path.read_text(encoding="utf-8"))["title"].partition(
            "one row "
        )[2]
    section = re.search(r"^### export\n(.*?)(?=^##)", TEXT, re.M | re.S)
    assert section
    rows = re.findall(r"^\| (\w+) \| `(\w+)` \| (.+) \|$", section[1], re.M)
    assert {(kind, name): words for kind, name, words in rows} == shapes
    assert len(rows) == len(shapes) > 20

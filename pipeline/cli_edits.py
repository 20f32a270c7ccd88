"""`claimpipe edits`: the rules that claims are held against, their examples, and what a rule would have done in the past."""

from __future__ import annotations

import difflib
import json
import tempfile
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from pipeline.cli_files import Home, Json, console, emit, parse_day
from pipeline.cli_home import settings_of
from pipeline.errors import Terminal
from pipeline.wording import counted

if TYPE_CHECKING:
    from pipeline.scrubbing.edits import Book, Edit
    from pipeline.settings import Settings

app = typer.Typer(no_args_is_help=True, help="The rules that claims are held against.")

_LISTED = ("kind", "id", "version", "severity", "snip", "table", "fields", "owner", "effective_from", "effective_to",
           "title", "message", "payer", "overridable")  # fmt: skip


def _book(settings: Settings) -> Book:
    from pipeline.payers import load_profiles
    from pipeline.scrubbing import edits

    return edits.load().with_profiles(load_profiles(settings.payers_dir))


def _rules(settings: Settings) -> list[dict[str, Any]]:
    """All edits, payers' own among them, and repairs as plain rows, edits first."""
    from pipeline.scrubbing.trials import payer_of

    book = _book(settings)
    return [
        *({"kind": "edit", **edit.model_dump(mode="json"), "payer": payer_of(edit)} for edit in book.edits),
        *({"kind": "repair", **repair.model_dump(mode="json")} for repair in book.repairs),
    ]


def _days(row: dict[str, Any]) -> str:
    first, last = row.get("effective_from", ""), row.get("effective_to", "")
    first = "" if first == date.min.isoformat() else first
    last = "" if last == date.max.isoformat() else last
    return f"{first} to {last}" if last else f"from {first}" if first else ""


@app.command("list")
def edits_list(
    payer: Annotated[str, typer.Option("--payer", help="Only the rules of this payer's own profile.")] = "",
    home: Home = None,
    as_json: Json = False,
) -> None:
    """The rules that claims are held against, payers' own among them, and the repairs made before."""
    rows = _rules(settings_of(home))
    if payer:
        rows = [row for row in rows if row.get("payer") == payer]
    if as_json:
        for row in rows:
            emit({key: row.get(key) for key in _LISTED})
        return
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("rule", "severity", "SNIP", "payer", "days of service", "owner", "what"):
        table.add_column(column, overflow="fold", no_wrap=column in ("rule", "days of service"))
    for row in rows:
        severity = row["severity"] if row["kind"] == "edit" else "repair"
        if row.get("overridable"):
            severity += " (o)"
        table.add_row(
            row["id"], severity, str(row.get("snip") or ""), row.get("payer", ""), _days(row), row.get("owner", ""),
            row.get("title") or row["message"],
        )  # fmt: skip
    console().print(table, markup=False)
    print("error: the claim is held · (o): a person may let it pass with a reason · warning, info: it goes on")


@app.command("show")
def edits_show(
    rule: Annotated[str, typer.Argument(help="Id of the rule, as findings and `edits list` name it.")],
    home: Home = None,
    as_json: Json = False,
) -> None:
    """One rule: for which days and fields it holds, what to do about it, and claims that pass and fail."""
    rows = _rules(settings_of(home))
    found = [row for row in rows if row["id"] == rule]
    if not found:
        raise _no_rule(rule, [row["id"] for row in rows])
    for row in found:
        if as_json:
            emit(row)
            continue
        for name, value in row.items():
            if value not in (None, "", [], {}, date.min.isoformat(), date.max.isoformat()):
                text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
                print(f"{name.replace('_', ' ') + ':':<16}{text}")


def _no_rule(rule: str, known: list[str]) -> Terminal:
    near = difflib.get_close_matches(rule, known, n=3)
    hint = f"Did you mean {' or '.join(near)}?" if near else "See `claimpipe edits list`."
    return Terminal(f"There is no rule {rule}.", fix=hint)


@app.command("check")
def edits_check(
    file: Annotated[
        Path | None,
        typer.Argument(help="A TOML file of edits, or a payer's profile (default: every edit and profile)."),
    ] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Run the examples of every edit and of every payer's own rules: each must pass or fail as it says."""
    from pipeline.payers import load_profiles
    from pipeline.scrubbing import edits, examples, trials

    settings = settings_of(home)
    chosen = edits.read(file) if file else _book(settings).edits
    with tempfile.TemporaryDirectory(prefix="claimpipe-edits-") as place:
        examples.load_tables(Path(place))
        failed = list(trials.run_examples(chosen, load_profiles(settings.payers_dir), Path(place)))
    for one in failed:
        if as_json:
            emit({"edit": one.edit, "payer": one.payer, "example": one.example, "severity": one.severity,
                  "message": one.message})  # fmt: skip
        else:
            where = " ".join(part for part in (one.edit, one.example) if part)
            print(f"{one.severity}: {where}: {one.message}")
    errors = [one for one in failed if one.severity == "error"]
    if not as_json:
        number = sum(len(edit.passes) + len(edit.fails) for edit in chosen)
        print(
            f"{counted(len(chosen), 'edit')}, {counted(number, 'example')}: {f'{len(errors):,} wrong.' if errors else 'all hold.'}"
        )
    raise typer.Exit(1 if errors else 0)


@app.command("try")
def edits_try(
    rule: Annotated[str, typer.Argument(help="Id of a rule, or a TOML file of edits (docs/edits.md).")],
    since: Annotated[str, typer.Option("--since", help="First night to look at, YYYY-MM-DD.")],
    until: Annotated[str | None, typer.Option("--until", help="Last night (default: all since then).")] = None,
    payer: Annotated[str, typer.Option("--payer", help="Only claims to this payer.")] = "",
    as_dated: Annotated[
        bool,
        typer.Option(
            "--as-dated", help="Keep the days of the file's rules; else they are tried as if they had always held."
        ),
    ] = False,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """What a rule would have done: held over the claims of past nights, and what the payers did with what it would have held."""
    from pipeline.reports import edit_trial
    from pipeline.scrubbing import trials
    from pipeline.store import open_to_read

    first = parse_day(since, "--since")
    last = parse_day(until, "--until") if until else date.max
    if last < first:
        raise typer.BadParameter("the last night is before the first.", param_hint="--until")
    settings = settings_of(home)
    chosen = _chosen(settings, rule, as_dated)
    if not settings.store.url and not (settings.home / "claimpipe.db").is_file():
        raise Terminal(f"There is no register in {settings.home}.", fix="Name the right folder with --home.")
    store = open_to_read(settings)
    try:
        trial = trials.replay(store, chosen, first, last, payer)
    finally:
        store.close()
    if as_json:
        for row in edit_trial.rows(trial):
            emit(row)
    else:
        edit_trial.show(console(), trial)


def _chosen(settings: Settings, rule: str, as_dated: bool) -> list[Edit]:
    from pipeline.scrubbing import edits

    if rule.endswith(".toml") or Path(rule).is_file():
        days = {} if as_dated else {"effective_from": date.min, "effective_to": date.max}
        return [edit.model_copy(update=days) for edit in edits.read(Path(rule))]
    book = _book(settings)
    found = [edit for edit in book.edits if edit.id == rule]
    if not found:
        raise _no_rule(rule, [edit.id for edit in book.edits])
    return found

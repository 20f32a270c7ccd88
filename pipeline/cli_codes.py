"""`claimpipe codes`: official code set files into the home, by the days of service that they hold for."""

from __future__ import annotations

import sys
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from pipeline.cli_files import Home, Json, check_readable, console, emit, parse_day
from pipeline.cli_home import settings_of
from pipeline.findings import Finding, has_errors
from pipeline.wording import counted

app = typer.Typer(no_args_is_help=True, help="Code sets and the dates they are loaded for.")

Files = Annotated[
    list[Path], typer.Argument(help="One file, or all parts of one edition.", metavar="FILE...", show_default=False)
]


@app.command("load")
def codes_load(
    files: Files,
    effective: Annotated[
        str | None,
        typer.Option(
            "--effective", help="First day of service it holds for, YYYY-MM-DD (default: what the file's name says)."
        ),
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", help="Last day (default: the end of the set's period).")
    ] = None,
    set_name: Annotated[
        str, typer.Option("--set", help="Which set it is, where the file does not say: see `codes list --all`.")
    ] = "",
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Load official code set files (text, CSV, Excel; plain, gzip or zip) into the home: whole, or not at all."""
    from pipeline.codes import catalogue, loading

    first = parse_day(effective, "--effective") if effective else None
    last = parse_day(until, "--until") if until else None
    if first is not None and last is not None and last < first:
        raise typer.BadParameter("the last day is before the first.", param_hint="--until")
    for file in files:
        check_readable(file)
    done = loading.load(files, settings_of(home).home, set_name=set_name, effective_from=first, effective_to=last)
    for edition, written in done.editions:
        about, code_set = edition.about, catalogue.one(edition.about.set)
        end = "" if about.effective_to == date.max else about.effective_to.isoformat()
        if as_json:
            emit(
                {
                    "set": code_set.title, "edition": about.name, "effective_from": about.effective_from.isoformat(),
                    "effective_to": end, "billable": edition.billable, "origin": about.origin, "id": about.set,
                    "codes": about.rows, "sha256": about.sha256, "written": written,
                }
            )  # fmt: skip
            continue
        what = "billable code" if edition.billable < about.rows else code_set.one
        print(
            f"{code_set.title} {about.name}: {counted(edition.billable, what)} for services from {about.effective_from}"
            f"{' to ' + end if end else ' on'}.{'' if written else ' It was loaded already: nothing changed.'}"
        )
    _tell(done.findings, as_json)
    raise typer.Exit(1 if has_errors(done.findings) else 0)


def _tell(findings: list[Finding], as_json: bool) -> None:
    for finding in findings:
        if as_json:
            emit(
                {
                    k: v
                    for k, v in finding.as_dict().items()
                    if k in ("file", "severity", "rule", "message", "fix", "source")
                }
            )
        else:
            print(
                f"{finding.severity}: {finding.source or finding.file}: {finding.message} {finding.fix}",
                file=sys.stderr,
            )
    if has_errors(findings) and not as_json:
        print("Nothing was loaded; what was there before stays in force.", file=sys.stderr)


@app.command("list")
def codes_list(
    everything: Annotated[
        bool, typer.Option("--all", help="Also the sets of which nothing is loaded, with their official names.")
    ] = False,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """The code sets that are loaded, and the days of service that each holds for."""
    from pipeline import codes

    place = settings_of(home).home
    rows = codes.loaded(place)
    absent = codes.not_loaded(place)
    if as_json:
        for row in rows:
            emit(row)
        if everything:
            for row in absent:
                emit(row | {"edition": "", "codes": 0})
        return
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("set", "edition", "from", "to", "codes", "hash", "origin"):
        table.add_column(column, justify="right" if column == "codes" else "left", overflow="fold")
    for row in rows:
        table.add_row(*_texts(row))
    console().print(table, markup=False)
    if not everything:
        names = ", ".join(str(row["set"]) for row in absent)
        console().print(
            f"Not loaded: {names}.\nCodes of these sets are judged by their form; edits and expected payments that need them are silent. "
            "`--all` says where each comes from.",
            markup=False, highlight=False,
        )  # fmt: skip
        return
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("not loaded", "--set", "official name", "licence"):
        table.add_column(column, overflow="fold")
    for row in absent:
        table.add_row(str(row["set"]), str(row["id"]), str(row["source"]), str(row["owner"]) or "public")
    console().print(table, markup=False)


def _texts(row: dict[str, Any]) -> list[str]:
    origin = f"{row['origin']} (partial)" if row["partial"] else str(row["origin"])
    return [
        str(row["set"]), str(row["edition"]), str(row["effective_from"]), str(row["effective_to"]),
        f"{row['codes']:,}", str(row["sha256"])[:8], origin,
    ]  # fmt: skip

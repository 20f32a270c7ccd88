"""The commands that work on files alone: no register, no network. `cli.py` adds them to the command line."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import date, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipeline.errors import Terminal
from pipeline.findings import Finding, has_errors
from pipeline.money import shown
from pipeline.wording import counted

if TYPE_CHECKING:
    from pipeline.payers import PayerProfile

#: what `--json` prints of a finding, in this order: a contract
FINDING_KEYS = (
    "file", "severity", "snip", "rule", "segment", "loop", "segment_id", "element", "component", "offset", "message", "fix",
    "subject",
)  # fmt: skip

Files = Annotated[list[Path], typer.Argument(help="One or more files.", show_default=False)]
OneFile = Annotated[Path, typer.Argument(help="The file.", show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="One JSON object a line on stdout, nothing else there.")]
Home = Annotated[
    Path | None, typer.Option("--home", help="Folder of the register (default: $CLAIMPIPE_HOME or .claimpipe).")
]


class Mode(StrEnum):
    strict = "strict"
    lenient = "lenient"


class TableFormat(StrEnum):
    parquet = "parquet"
    csv = "csv"
    json = "json"


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    for command in (inspect, validate, acknowledge, export, build):
        app.command()(command)


# --- what commands share ----------------------------------------------------------------------------------------------


def emit(value: Any) -> None:
    """One JSON object as one line on stdout."""
    print(json.dumps(value, default=str, ensure_ascii=False), flush=True)


def console() -> Console:
    """A console as wide as the terminal; where there is none, wide enough for the tables."""
    found = Console()
    return found if found.is_terminal else Console(width=120)


def parse_day(text: str, option: str = "--date") -> date:
    """YYYY-MM-DD → date; a usage error that names the option where it is anything else."""
    try:
        if len(text) == 10:  # fromisoformat takes other forms too, and a contract has one
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise typer.BadParameter("a date is written YYYY-MM-DD and stands in the calendar.", param_hint=option)


def today() -> date:
    return datetime.now().astimezone().date()


def read_bytes(path: Path) -> bytes:
    """The bytes of one file that a person named. Terminal, saying why, where it cannot be read."""
    check_readable(path)
    try:
        return path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error) from None


def check_readable(path: Path) -> None:
    """Terminal where `path` is not a file that can be opened."""
    try:
        if path.is_dir():
            raise Terminal(f"{path} is a folder.", fix=f"Name its files, for example {path}/*.")
        with path.open("rb"):
            return
    except OSError as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: OSError) -> Terminal:
    return Terminal(
        f"The file {path} cannot be read ({error.strerror or type(error).__name__}).",
        fix="Check its name and its permissions.",
    )


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Make the folder for a command's files; Terminal, saying why, where it refuses them."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise Terminal(
            f"The folder {folder} cannot be written ({error.strerror or type(error).__name__}).",
            fix="Name another folder, or free some space, and run again.",
        ) from None


def _profile(name: str | None) -> PayerProfile | None:
    from pipeline import payers
    from pipeline import settings as settings_module

    if name is None:
        return None
    profiles = payers.load_profiles(settings_module.load().payers_dir)
    if name not in profiles:
        raise Terminal(f"There is no payer profile {name}.", fix=f"There are: {', '.join(sorted(profiles))}.")
    return profiles[name]


def _finding(finding: Finding) -> dict[str, Any]:
    return {key: getattr(finding, key) for key in FINDING_KEYS}


# --- X12 files --------------------------------------------------------------------------------------------------------


def inspect(
    file: OneFile,
    tree: Annotated[
        bool, typer.Option("--tree", help="Show each segment under its loop, with what is wrong beside it.")
    ] = False,
    html: Annotated[Path | None, typer.Option("--html", help="Write the same as one HTML page.")] = None,
    unmasked: Annotated[
        bool, typer.Option("--unmasked", help="Show patients' data: the first claims by name, and all elements.")
    ] = False,
    as_json: Json = False,
) -> None:
    """What a file holds, masked: interchanges, sets, counts, totals. Exit code 1 where it is no X12 or damaged."""
    from pipeline.transactions.inspect import describe

    if tree and as_json:
        raise typer.BadParameter("a tree is for people: use it without --json.", param_hint="--tree")
    check_readable(file)
    found = describe(file, masked=not unmasked)
    damaged = found["findings"]["error"] > 0
    if as_json:
        emit({**found, "file": str(file)} | ({"page": str(html)} if html else {}))
    elif not tree:
        show_contents(console(), file, found)
    if tree or html:
        _look(file, tree, html, masked=not unmasked, quiet=as_json)
    raise typer.Exit(1 if damaged else 0)


def _look(file: Path, tree: bool, html: Path | None, *, masked: bool, quiet: bool) -> None:
    """The file by loops: on the terminal, as a page, or both."""
    from pipeline.reports import x12_view
    from pipeline.x12.view import view

    seen = view(read_bytes(file), str(file), masked=masked)
    if tree:
        x12_view.show(console(), seen)
    if html is not None:
        with writing(html.parent):
            if not masked:
                html.touch(mode=0o600)  # it will hold patients' data
            html.write_text(x12_view.page(seen), encoding="utf-8")
        if not quiet:
            print(f"page: {html}")


#: what the codes are that `describe` counts, by the kind of set
_CODE_OF = {"837": "claim frequency", "835": "claim status", "277CA": "category", "999": "answer", "997": "answer",
            "TA1": "answer"}  # fmt: skip


def show_contents(console: Console, file: Path, found: dict[str, Any]) -> None:
    """`describe`'s answer for people: the envelope as a tree, then counts, dollars and codes by kind."""

    def say(text: str) -> None:
        console.print(text, highlight=False, markup=False, soft_wrap=True)

    counts = found["counts"]
    parts = [
        counted(found["bytes"], "byte"),
        counted(counts["interchanges"], "interchange"),
        counted(counts["groups"], "group"),
    ]
    parts += [f"{counted(n, 'set')} of {kind}" for kind, n in counts["sets"].items()] or ["no sets"]
    say(f"{file}: {', '.join(parts)}")
    for seen in found["interchanges"]:
        usage = {"T": "test", "P": "production"}.get(seen["usage"] or "", "no usage")
        say(f"interchange {seen['control']}  {seen['sender']} → {seen['receiver']}  {seen['date']}  {usage}")
        for group in seen["groups"]:
            inside = ", ".join(f"{n:,} × {kind}" for kind, n in group["sets"].items())
            say(f"  group {group['control']}  {group['functional_id']} {group['version']}  {inside}")
    if counts["interchanges"] > len(found["interchanges"]):
        say(f"… {counted(counts['interchanges'] - len(found['interchanges']), 'more interchange')}")
    for kind, totals in found["totals"].items():
        for name, value in totals.items():
            dollars = name.endswith("_cents")
            words = name.removesuffix("_cents").replace("_", " ")
            say(f"{kind} {words}, dollars: {shown(value)}" if dollars else f"{kind} {words}: {value:,}")
        for code, n in found["codes"].get(kind, {}).items():
            say(f"{kind} {_CODE_OF.get(kind, 'code')} {code}: {n:,}")
    for example in found.get("examples", []):
        say("  ".join(str(value) for value in example.values() if value is not None))
    for one in found["first_findings"]:
        say(f"{one['severity']}: segment {one['segment'] or '-'}: {one['message']} {one['fix']}".rstrip())


def validate(
    files: Files,
    mode: Annotated[
        Mode, typer.Option("--mode", help="strict: for what we send; lenient: for what we receive.")
    ] = Mode.strict,
    profile: Annotated[str | None, typer.Option("--profile", help="Payer profile whose rules count as well.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many findings a file.")] = 1000,
    as_json: Json = False,
) -> None:
    """What is wrong with X12 files, where, and how to mend it. Exit code 1 where a finding rejects, 2 where a file cannot
    be read; the other files are checked all the same."""
    from pipeline.x12.validator import validate as check

    wanted = _profile(profile)
    overlay = (
        {"charset": wanted.claims.charset, "max_claims_per_set": wanted.batch.max_claims_per_set}
        if wanted is not None
        else None
    )
    rejected = unreadable = False
    for file in files:
        try:
            data = read_bytes(file)
        except Terminal as error:
            unreadable = True
            print(f"claimpipe: {error}", file=sys.stderr)
            continue
        found = check(data, file=str(file), mode=mode.value, profile=overlay, limit=limit)
        rejected |= has_errors(found)
        if as_json:
            for finding in found:
                emit(_finding(finding))
        else:
            show_findings(console(), file, found)
    raise typer.Exit(2 if unreadable else 1 if rejected else 0)


def show_findings(console: Console, file: Path, found: Iterable[Finding]) -> None:
    """Findings of one file as a table; nothing in them is taken for markup."""
    listed = list(found)
    if not listed:
        console.print(Text.assemble(("✓", "green"), f" {file}: nothing is wrong"))
        return
    table = Table(title=Text(str(file)), title_justify="left", box=None, padding=(0, 2, 0, 0))
    for column in ("", "segment", "where", "snip", "what and how to mend it"):
        table.add_column(column, overflow="fold")
    colours = {"error": "red", "warning": "yellow", "info": "dim"}
    for f in listed:
        where = (
            f"{f.loop} {f.segment_id}"
            + (f"{f.element:02d}" if f.element else "")
            + (f"-{f.component}" if f.component else "")
        )
        table.add_row(
            Text(f.severity, style=colours[f.severity]),
            str(f.segment or ""),
            Text(where.strip()),
            str(f.snip or ""),
            Text(f"{_of_claim(f)}{f.message} {f.fix} ({f.rule})"),
        )
    console.print(table)


def _of_claim(f: Finding) -> str:
    """Which claim, and where in the source it came from, where the finding knows: among thousands of claims a place in a loop is none."""
    told = [f"claim {f.subject}" if f.subject else "", f.source]
    place = ", ".join(part for part in told if part)
    return f"{place}: " if place else ""


def acknowledge(
    file: OneFile,
    out: Annotated[Path, typer.Option("--out", help="Folder for the answers.")],
    day: Annotated[str | None, typer.Option("--date", help="Date of the answers, YYYY-MM-DD (default: today).")] = None,
    mode: Annotated[
        Mode, typer.Option("--mode", help="lenient: faults that leave the meaning certain are accepted with errors.")
    ] = Mode.strict,
    as_json: Json = False,
) -> None:
    """The TA1, 999 and, for claims, 277CA that a receiver answers. Exit code 1 where something is rejected."""
    from pipeline.transactions import receiver

    on = parse_day(day) if day else today()
    answers = receiver.answer(read_bytes(file), on=on, file=str(file), mode=mode.value)
    if not answers.files:
        raise Terminal(
            f"{file} gets no answer: it is no X12 file, or holds acknowledgments alone.",
            fix=f"See what it holds: claimpipe inspect {file}",
        )
    with writing(out):
        for kind, data in answers.files.items():
            path = out / f"{file.stem}.{kind}.edi"
            path.write_bytes(data)
            if as_json:
                emit({"file": str(file), "answer": kind, "path": str(path), "code": answers.codes.get(kind, "")})
            else:
                print(f"{kind}: {path}  {answers.codes.get(kind, '')}".rstrip())
    raise typer.Exit(1 if answers.rejected else 0)


def export(
    files: Files,
    to: Annotated[Path, typer.Option("--to", help="Folder for the tables.")],
    fmt: Annotated[TableFormat, typer.Option("--format", help="How the tables are written.")] = TableFormat.parquet,
    as_json: Json = False,
) -> None:
    """The tables of X12 files: one file a table over all inputs, with a column `file`. Exit code 1 where a file is damaged, 2
    where one cannot be read; the other files are exported all the same."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from pipeline.transactions import bulk

    readable: list[Path] = []
    for file in files:
        try:
            check_readable(file)
        except Terminal as error:
            if len(files) == 1:
                raise
            print(f"claimpipe: {error}", file=sys.stderr)
        else:
            readable.append(file)
    if not readable:
        raise Terminal("None of the files can be read: nothing is exported.", fix="Check their names and permissions.")
    screen = Console(stderr=True)
    with Progress(
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:.0f} %"), TimeRemainingColumn(),
        console=screen, disable=as_json or not screen.is_terminal, transient=True,
    ) as progress:  # fmt: skip
        task = progress.add_task("reading", total=None)
        result = bulk.export(
            readable, to, fmt.value, lambda _file, done, total: progress.update(task, completed=done, total=total)
        )
    for name, rows in result.rows.items():
        path = result.tables[name]
        if as_json:
            emit({"table": path.stem, "shape": name, "rows": rows, "path": str(path)})
        else:
            print(f"{path.stem}: {counted(rows, 'row')}  {path}")
    if as_json:
        for finding in result.findings:
            emit(_finding(finding))
    else:
        for finding in result.findings[:20]:
            where = f"{finding.file} segment {finding.segment}" if finding.segment else finding.file
            print(f"{finding.severity}: {where}: {finding.message} {finding.fix}".rstrip(), file=sys.stderr)
        if len(result.findings) > 20:
            print(f"… {len(result.findings) - 20:,} more: see `claimpipe validate --mode lenient`.", file=sys.stderr)
    raise typer.Exit(2 if len(readable) < len(files) else 1 if has_errors(result.findings) else 0)


def build(
    claims: Annotated[
        Path, typer.Option("--claims", help="Folder with coded_claims, coded_diagnoses, coded_lines as Parquet.")
    ],
    profile: Annotated[str, typer.Option("--profile", help="Payer profile.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for the 837 files.")],
    day: Annotated[
        str | None, typer.Option("--date", help="Date of the envelope, YYYY-MM-DD (default: today).")
    ] = None,
    as_json: Json = False,
) -> None:
    """Coded claims → 837 files of one payer, without sending. Exit code 1 where a claim was left out."""
    from pipeline import settings as settings_module
    from pipeline.claims import offline

    on = parse_day(day) if day else today()
    made = offline.build(claims, profile, out, settings_module.load(), on)
    for file in made.files:
        path = out / offline.file_name(profile, file)
        if as_json:
            emit({"path": str(path), "claims": len(file.claim_ids), "charge_cents": file.charge_cents})
        else:
            print(f"{path}: {counted(len(file.claim_ids), 'claim')}, {shown(file.charge_cents)}")
    left = [*made.findings, *made.faults]
    if as_json:
        for finding in left:
            emit(_finding(finding) | {"source": finding.source})
    elif left:
        show_findings(console(), claims, left)
    elif not made.files:
        print(f"There is no claim of {profile} in {claims}.", file=sys.stderr)
    raise typer.Exit(1 if has_errors(left) else 0)

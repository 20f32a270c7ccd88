"""The commands that work on files alone: no register, no network. `cli.py` adds them to the command line."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from pipeline import settings as settings_module
from pipeline.errors import Terminal
from pipeline.findings import Finding, has_errors

#: what `--json` prints of a finding, in this order: a contract
FINDING_KEYS = (
    "file", "severity", "snip", "rule", "segment", "loop", "segment_id", "element", "component", "offset", "message", "fix",
)  # fmt: skip

codes_app = typer.Typer(no_args_is_help=True, help="Code sets and the dates they are loaded for.")
edits_app = typer.Typer(no_args_is_help=True, help="The rules that claims are held against.")

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
    app.add_typer(codes_app, name="codes")
    app.add_typer(edits_app, name="edits")


def read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Terminal(
            f"The file {path} cannot be read ({error.strerror}).", fix="Check the name and the permissions."
        ) from None


def _emit(value: Any) -> None:
    print(json.dumps(value, default=str, ensure_ascii=False), flush=True)


def _profile(name: str | None) -> Any:
    from pipeline import payers

    if name is None:
        return None
    profiles = payers.load_profiles(settings_module.load().payers_dir)
    if name not in profiles:
        raise Terminal(f"There is no payer profile {name}.", fix=f"There are: {', '.join(sorted(profiles))}.")
    return profiles[name]


def inspect(file: OneFile, as_json: Json = False) -> None:
    """What a file holds, masked: interchanges, sets, counts, totals."""
    from pipeline.transactions.inspect import describe

    found = describe(read_bytes(file))
    if as_json:
        _emit({"file": str(file), **found})
        return
    console = Console()
    console.print(
        f"[bold]{file.name}[/]: {found['kind']}, {found['bytes']:,} bytes, {found['segments']:,} segments",
        highlight=False,
    )
    for seen in found["interchanges"]:
        console.print(
            f"interchange {seen['control']}  {seen['sender']} → {seen['receiver']}  {seen['date']}  usage {seen['usage']}",
            highlight=False,
        )
        for group in seen["groups"]:
            console.print(
                f"  group {group['control']}  {group['functional_id']}  {group['version']}  {len(group['sets'])} sets"
            )
            for one in group["sets"][:50]:
                what = "  ".join(
                    f"{name} {value}" for name, value in one.items() if name not in ("id", "control") and value
                )
                console.print(f"    {one['id']} {one['control']}  {what}", highlight=False)
            if len(group["sets"]) > 50:
                console.print(f"    … {len(group['sets']) - 50:,} more sets")
    for name, value in found["totals"].items():
        console.print(f"  {name}: {value}", highlight=False)


def validate(
    files: Files,
    mode: Annotated[
        Mode, typer.Option("--mode", help="strict: for what we send; lenient: for what we receive.")
    ] = Mode.strict,
    profile: Annotated[str | None, typer.Option("--profile", help="Payer profile whose rules count as well.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many findings a file.")] = 1000,
    as_json: Json = False,
) -> None:
    """What is wrong with X12 files, where, and how to mend it. Exit code 1 where a finding rejects."""
    from pipeline.x12.validator import validate as check

    wanted = _profile(profile)
    overlay = (
        {"charset": wanted.claims.charset, "max_claims_per_set": wanted.batch.max_claims_per_set}
        if wanted is not None
        else None
    )
    rejected = False
    for file in files:
        found = check(read_bytes(file), file=str(file), mode=mode.value, profile=overlay, limit=limit)
        rejected |= has_errors(found)
        if as_json:
            for finding in found:
                _emit({key: getattr(finding, key) for key in FINDING_KEYS})
        else:
            show_findings(Console(), file, found)
    raise typer.Exit(1 if rejected else 0)


def show_findings(console: Console, file: Path, found: Iterable[Finding]) -> None:
    listed = list(found)
    if not listed:
        console.print(f"[green]✓[/] {file}: nothing is wrong", highlight=False)
        return
    table = Table(title=str(file), title_justify="left", box=None, padding=(0, 2, 0, 0))
    for column in ("", "segment", "where", "snip", "what and how to mend it"):
        table.add_column(column, overflow="fold")
    for f in listed:
        where = (
            f"{f.loop} {f.segment_id}"
            + (f"{f.element:02d}" if f.element else "")
            + (f"-{f.component}" if f.component else "")
        )
        colour = {"error": "red", "warning": "yellow", "info": "dim"}[f.severity]
        table.add_row(
            f"[{colour}]{f.severity}[/]",
            str(f.segment or ""),
            where.strip(),
            str(f.snip or ""),
            f"{f.message} {f.fix} ({f.rule})",
        )
    console.print(table)


def acknowledge(
    file: OneFile,
    out: Annotated[Path, typer.Option("--out", help="Folder for the answers.")],
    day: Annotated[str | None, typer.Option("--date", help="Date of the answers, YYYY-MM-DD (default: today).")] = None,
    as_json: Json = False,
) -> None:
    """The TA1, 999 and, for claims, 277CA that a receiver answers. Exit code 1 where something is rejected."""
    from pipeline.transactions import receiver

    try:
        on = date.fromisoformat(day) if day else datetime.now().astimezone().date()
    except ValueError:
        raise typer.BadParameter("a date is written YYYY-MM-DD", param_hint="--date") from None
    answers = receiver.answer(read_bytes(file), on=on, file=str(file))
    if not answers.files:
        raise Terminal(f"{file} is no X12 file that asks for an answer.", fix="Acknowledgments themselves get none.")
    out.mkdir(parents=True, exist_ok=True)
    for kind, data in answers.files.items():
        path = out / f"{file.stem}.{kind}.edi"
        path.write_bytes(data)
        if as_json:
            _emit({"file": str(file), "answer": kind, "path": str(path), "code": answers.codes.get(kind, "")})
        else:
            print(f"{kind}: {path}  {answers.codes.get(kind, '')}".rstrip())
    raise typer.Exit(1 if answers.rejected else 0)


def export(
    files: Files,
    to: Annotated[Path, typer.Option("--to", help="Folder for the tables.")],
    fmt: Annotated[
        TableFormat, typer.Option("--format", help="parquet, csv or json (one object a line).")
    ] = TableFormat.parquet,
    as_json: Json = False,
) -> None:
    """The tables of X12 files: one file a table over all inputs, with a column `file`. Exit code 1 where a file is damaged."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from pipeline.transactions import bulk

    for file in files:
        if not file.is_file():
            raise Terminal(f"The file {file} cannot be read.", fix="Check the name.")
    console = Console(stderr=True)
    with Progress(
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:.0f} %"), TimeRemainingColumn(),
        console=console, disable=as_json or not console.is_terminal, transient=True,
    ) as progress:  # fmt: skip
        task = progress.add_task("reading", total=sum(file.stat().st_size for file in files))
        result = bulk.export(files, to, fmt.value, lambda done: progress.update(task, advance=done))
    for name, rows in result.rows.items():
        if as_json:
            _emit({"table": name, "rows": rows, "path": str(result.paths[name])})
        else:
            print(f"{name}: {rows:,} rows  {result.paths[name]}")
    if not as_json:
        for finding in result.findings[:20]:
            console.print(
                f"{finding.severity}: {finding.file} segment {finding.segment}: {finding.message}", markup=False
            )
    raise typer.Exit(1 if has_errors(result.findings) else 0)


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
    """Coded claims → 837 files, without sending. Exit code 1 where a claim was left out."""
    from pipeline.claims import batches

    settings = settings_module.load()
    wanted = _profile(profile)
    tables = [read_tables(claims, name) for name in ("claims", "diagnoses", "lines")]
    try:
        on = date.fromisoformat(day) if day else datetime.now().astimezone().date()
    except ValueError:
        raise typer.BadParameter("a date is written YYYY-MM-DD", param_hint="--date") from None
    made = batches.build_files(
        tables[0], tables[1], tables[2], wanted, settings.submitter, on=on, usage=settings.submitter.usage
    )
    out.mkdir(parents=True, exist_ok=True)
    for file in made.files:
        path = out / f"837P_{file.numbers.interchange:09d}.edi"
        path.write_bytes(file.data)
        if as_json:
            _emit({"path": str(path), "claims": len(file.claim_ids), "charge_cents": file.charge_cents})
        else:
            print(f"{path}: {len(file.claim_ids):,} claims")
    left = [*made.findings, *made.faults]
    if as_json:
        for finding in left:
            _emit(
                {key: getattr(finding, key) for key in FINDING_KEYS}
                | {"source": finding.source, "subject": finding.subject}
            )
    elif left:
        show_findings(Console(), claims, left)
    raise typer.Exit(1 if has_errors(left) else 0)


def read_tables(folder: Path, name: str) -> Any:
    """`scrubbed_<name>` or `coded_<name>` of a folder: one Parquet file, or a lake folder of parts."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from pipeline import shapes

    for kind in ("scrubbed", "coded"):
        table = f"{kind}_{name}"
        paths = (
            [folder / f"{table}.parquet"]
            if (folder / f"{table}.parquet").is_file()
            else sorted((folder / table).glob("**/*.parquet"))
        )
        if paths:
            try:
                rows = pa.concat_tables([pq.ParquetFile(path).read() for path in paths])
            except (pa.ArrowInvalid, OSError):
                raise Terminal(
                    f"{paths[0]} is no Parquet file of {table}.", fix="Give the folder of a lake or of an export."
                ) from None
            return shapes.check(rows, f"coded_{name}")
    raise Terminal(
        f"{folder} has no coded_{name}.parquet.",
        fix="Give a folder with coded_claims, coded_diagnoses and coded_lines.",
    )

"""The command line: a contract that users' scripts rely on. Names and shapes are added to, never renamed.

Exit codes: 0 done and clean · 1 findings that reject, or a proof that does not close · 2 cannot run (bad arguments, an
unreadable file, broken configuration, a payer that cannot be reached). With `--json`, stdout carries one JSON object a
line and nothing else; people's words go to stderr then. Heavy modules are imported inside the commands, so that `--help` is quick.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from pipeline import __version__, cli_codes, cli_edits, cli_files, cli_inbox
from pipeline.cli_files import Json, emit
from pipeline.cli_home import Day, day_of, existing_store, settings_of
from pipeline.errors import ClaimpipeError, Terminal, place_of
from pipeline.money import shown
from pipeline.wording import counted

app = typer.Typer(
    name="claimpipe", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
    help="Visits to correct insurance claims, claims to money that agrees with the bank.",
)  # fmt: skip
work_app = typer.Typer(no_args_is_help=True, help="The work queues: what a person has to do.")
payer_app = typer.Typer(no_args_is_help=True, help="The payer in a box: a local payer that answers claim files.")
app.add_typer(work_app, name="work")
app.add_typer(payer_app, name="payer")
cli_files.register(app)
app.add_typer(cli_codes.app, name="codes")
app.add_typer(cli_edits.app, name="edits")
app.add_typer(cli_inbox.app, name="inbox")

OK, FINDINGS, CANNOT_RUN, INTERRUPTED = 0, 1, 2, 130

#: the night of the sample extract that comes with claimpipe
SAMPLE_DATE = date(2026, 11, 20)

Home = Annotated[
    Path | None,
    typer.Option(
        "--home", help="Folder of the register, archive, lake and reports (default: $CLAIMPIPE_HOME or .claimpipe)."
    ),
]


class Format(StrEnum):
    auto = "auto"
    csv = "csv"
    parquet = "parquet"
    synthea = "synthea"
    fhir = "fhir"
    hl7 = "hl7"


#: what the parser of arguments raises: no such option, a value that does not fit, something missing
_UsageError: Any = typer.BadParameter.__base__


def main() -> None:
    """Run the command line; turn every failure into one sentence and an exit code."""
    sys.exit(_run())


def _run() -> int:
    try:
        code = app(prog_name="claimpipe", standalone_mode=False)
    except _UsageError as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # a group without a command: its help has been shown
            return CANNOT_RUN
        command = error.ctx.command_path if error.ctx else "claimpipe"
        if (option := _of_a_command_below(error)) is not None:
            _say(
                f"{option} stands behind the command that it is for: `{command} COMMAND {option} …`. See `{command} --help`."
            )
            return CANNOT_RUN
        text = error.format_message().replace(": Value error, ", ": ").rstrip(".")
        _say(f"{text}. See `{command} --help`.")
        return CANNOT_RUN
    except ClaimpipeError as error:
        _say(str(error))
        return CANNOT_RUN
    except OSError as error:
        _say(_of_the_machine(error))
        return _or_traceback(CANNOT_RUN)
    except Exception as error:  # a defect: say where, but not the values, which may be a patient's
        _say(
            f"a defect ({place_of(error)}). Nothing half-done was recorded. Set CLAIMPIPE_TRACEBACK=1 to see more (it may show patient data)."
        )
        return _or_traceback(CANNOT_RUN)
    if code == INTERRUPTED:
        _say("stopped. Nothing was lost; run the same command again.")
    return code if isinstance(code, int) else OK


def _of_a_command_below(error: Any) -> str | None:
    """The option that is unknown where it stands and known to a command further down."""
    option = getattr(error, "option_name", None) if type(error).__name__ == "NoSuchOption" else None
    waiting = list(getattr(error.ctx.command, "commands", {}).values()) if option and error.ctx else []
    while waiting:
        command = waiting.pop()
        if any(option in (*given.opts, *given.secondary_opts) for given in command.params):
            return str(option)
        waiting += getattr(command, "commands", {}).values()
    return None


def _say(text: str) -> None:
    """One sentence on stderr; a message of several lines would be several messages to who reads a log."""
    with suppress(OSError):  # nobody reads us any more
        print(f"claimpipe: {' '.join(text.split())}", file=sys.stderr)


def _or_traceback(code: int) -> int:
    if os.environ.get("CLAIMPIPE_TRACEBACK"):
        traceback.print_exc()
    return code


def _of_the_machine(error: OSError) -> str:
    """The sentence of a failure that no part of the pipeline has words for: the disk, rights, limits."""
    where = f" ({error.filename})" if isinstance(error.filename, str) else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"The disk is full{where}. Free some space, then run the same command again: nothing was lost."
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"Permission denied{where}. Check the rights of the folder, then run the same command again."
    what = error.strerror or type(error).__name__
    return f"The machine refused an operation: {what}{where}. Mend it, then run the same command again."


def _version(wanted: bool) -> None:
    if wanted:
        print(f"claimpipe {__version__}")
        raise typer.Exit(OK)


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    return


@contextmanager
def _stopping_cleanly() -> Iterator[None]:
    """SIGTERM stops as Ctrl-C does: what was started is stopped too. (Signals are for the main thread alone.)"""

    def asked_to_stop(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, asked_to_stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _progress(quiet: bool) -> Iterator[Any]:
    """A spinner on a terminal; silence elsewhere. Yields the night's `tell`."""
    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield lambda step, subject, counts: None
        return
    with console.status("starting") as status:

        def tell(step: str, subject: str, counts: dict[str, int] | None) -> None:
            if counts is None:
                status.update(f"{step} {subject}".strip())

        yield tell


# --- the night -------------------------------------------------------------------------------------------------------


@app.command()
def nightly(
    extract: Annotated[
        str | None,
        typer.Option(
            "--extract",
            help="Extract to take in: a path, sftp:FOLDER, or a store's address (default: the sample that comes with claimpipe).",
        ),
    ] = None,
    fmt: Annotated[Format, typer.Option("--format", help="How the extract is written.")] = Format.auto,
    day: Day = None,
    home: Home = None,
    airflow: Annotated[bool, typer.Option("--airflow", help="Run the same night through the Airflow DAGs.")] = False,
    as_json: Json = False,
) -> None:
    """The whole night on one machine: visits become claims, claims become payments, payments agree with the bank."""
    settings = settings_of(home)
    if extract is None:
        extract, fmt = str(sample_extract()), Format.csv
        on = day_of(day) if day else SAMPLE_DATE
    else:
        on = day_of(day, settings)
    from pipeline.transport.extracts import is_elsewhere

    if not is_elsewhere(extract) and not Path(extract.replace("{date}", on.isoformat())).exists():
        raise Terminal(f"The extract {extract} does not exist.", fix="Check the path after --extract.")

    from pipeline import night
    from pipeline.payer_simulator import process
    from pipeline.reports import night as night_report
    from pipeline.reports import summary as summaries
    from pipeline.reports import terminal
    from pipeline.store import open_store

    store = open_store(settings)
    started = process.endpoint(settings) is None and night.uses_box(settings)
    with _stopping_cleanly():
        try:
            if started:
                process.start(settings, Path(settings.payer_box.faults) if settings.payer_box.faults else None)
            with _progress(as_json) as tell:
                if airflow:
                    from pipeline import airflow_night

                    report = airflow_night.run(store, on, extract, fmt.value, tell)
                else:
                    report = night.run(store, on, extract, fmt.value, tell)
        finally:
            if started:
                process.stop(settings)
    assert report.proof is not None
    written: list[Path] = []
    summary = summaries.gather(store, on, report.proof, report.troubles)
    try:
        written = night_report.write(settings.home, summary)
    except ClaimpipeError as error:  # the night itself is done and told all the same
        report.troubles.append(f"reports: {error}")
    store.close()
    if as_json:
        for step, subject, counts in report.steps:
            emit({"step": step, "subject": subject, **counts})
        emit(
            {
                "date": on,
                "troubles": report.troubles,
                "rejects": summary.rejects,
                "reports": [str(p) for p in written],
                "proof": report.proof.as_dict(),
            }
        )
    else:
        terminal.show(terminal.console_for_people(), summary)
        for path in written:
            print(f"report: {path}")
    for said in [*summary.rejects, *together(report.troubles)]:
        _say(said)
    if report.troubles:
        raise typer.Exit(CANNOT_RUN)
    raise typer.Exit(OK if report.proof.closes and not summary.rejects else FINDINGS)


def together(troubles: Sequence[str]) -> list[str]:
    """Troubles of several steps with one cause as one sentence: "harbor, medicaid: The disk is full. …"."""
    whose: dict[str, list[str]] = {}
    for trouble in troubles:
        who, _, what = trouble.partition(": ")
        whose.setdefault(what, []).append(who)
    return [f"{', '.join(names)}: {what}" for what, names in whose.items()]


def sample_extract() -> Path:
    """The extract of `sample_edi/`, beside the package or inside an installed one."""
    here = Path(__file__).resolve().parent
    for place in (here / "_sample_edi", here.parent / "sample_edi"):
        if (place / "extract").is_dir():
            return place / "extract"
    raise Terminal("The sample extract is missing.", fix="Name an extract with --extract.")


@app.command()
def prove(home: Home = None, day: Day = None, as_json: Json = False) -> None:
    """The conservation proof: where every visit stands and where every cent is. The residue must be 0.00."""
    from pipeline import night
    from pipeline.reports import proof as proof_report
    from pipeline.reports.terminal import console_for_people

    with existing_store(home, reading=True) as store:
        result = night.prove(store, day_of(day) if day else None)
    if as_json:
        emit(result.as_dict())
    else:
        proof_report.show(console_for_people(), result)
    raise typer.Exit(OK if result.closes else FINDINGS)


@app.command()
def recover(
    adopt: Annotated[
        bool, typer.Option("--adopt", help="Let the register take over what the archive knows; without it, only look.")
    ] = False,
    day: Day = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """After the register was restored from a backup or lost: what was sent and received meanwhile, from the archive. Sends nothing."""
    from pipeline import night
    from pipeline.store import open_store

    settings = settings_of(home)
    if not settings.store.url and not settings.home.is_dir():
        raise Terminal(f"There is nothing in {settings.home}.", fix="Name the right folder with --home.")
    store = open_store(settings)
    joined = 0
    if adopt:
        found, mail, counts = night.recover(store, day_of(day, settings))
        joined = counts["joined"]
    else:
        found, mail = night.missing_interchanges(store), night.missing_mail(store)
    store.close()
    for file in mail:
        if as_json:
            emit(file.as_dict())
        else:
            print(f"{file.payer_key} {file.kind} of {file.logical_date}, received: {counted(file.size, 'byte')}")
    for one in found:
        if as_json:
            emit(one.as_dict())
        else:
            told = one.as_dict()
            what = "may be with the payer" if told["may_be_at_payer"] else "was not sent"
            print(
                f"{told['payer']} {told['interchange']} of {told['date']}: {counted(told['claims'], 'claim')}, "
                f"{shown(told['charge_cents'])}, {what}"
            )
    if not as_json:
        if not found and not mail:
            print("Register and archive agree on what was sent and received.")
        if adopt and mail:
            what = counted(
                len(mail), "received file; the next night works it", "received files; the next night works them"
            )
            print(f"Taken over: {what}.")
        if adopt and found:
            print(
                f"Taken over: {counted(len(found), 'interchange')}, with {counted(joined, 'claim')} of the register. Nothing of it is sent "
                "again; take in the extracts of the lost days anew, and work the queue `sending`."
            )
    raise typer.Exit(FINDINGS if (found or mail) and not adopt else OK)


#: what `release` says where there is no claim of that kind, and what to do then
_NOTHING_TO_RELEASE = {
    "refused": "No claim of this payer stands refused by a TA1 or 999. What a payer rejected by its data (277CA) goes again once the "
    "visit is mended at its source: see `claimpipe work list --queue rejection`.",
    "tested": "No claim of this payer stands in test files only; there is nothing to do.",
}


@app.command()
def release(
    payer: Annotated[str, typer.Argument(help="Key of the payer.")],
    refused: Annotated[
        bool,
        typer.Option("--refused", help="Claims whose file or set a TA1 or 999 refused, now that the cause is mended."),
    ] = False,
    tested: Annotated[
        bool,
        typer.Option("--tested", help="Claims that went out in test files only, now that the payer is in production."),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without it, only say how many.")] = False,
    day: Day = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Let claims go again that a payer does not hold: the next run puts them into new files."""
    from pipeline import night

    if refused == tested:
        raise Terminal("Say which claims: --refused or --tested.", fix="See `claimpipe release --help`.")
    settings = settings_of(home)
    with existing_store(home) as store:
        counts = night.let_go(store, day_of(day, settings), payer, "refused" if refused else "tested", do=yes)
    if as_json:
        emit({"payer": payer, "released": yes, **counts})
        return
    if not counts["claims"]:
        print(f"{payer}: nothing waits. {_NOTHING_TO_RELEASE['refused' if refused else 'tested']}")
        return
    one = counts["claims"] == 1
    ready = f"{'is' if one else 'are'} ready again: the next run puts {'it' if one else 'them'} into new files"
    after = ready if yes else f"would go; say --yes to let {'it' if one else 'them'}"
    print(f"{payer}: {counted(counts['claims'], 'claim')}, {shown(counts['charge_cents'])}, {after}.")


@app.command()
def settle(
    payer: Annotated[str, typer.Argument(help="Key of the payer.")],
    interchange: Annotated[int, typer.Argument(help="Interchange number (ISA13).")],
    received: Annotated[
        bool, typer.Option("--received/--not-received", help="What the payer said when it was asked for the file.")
    ],
    note: Annotated[str, typer.Option("--note", help="Who said so, and when.")],
    day: Day = None,
    home: Home = None,
) -> None:
    """Say what became of a claim file of unknown outcome, after asking the payer. Not received: it is sent again."""
    from pipeline.transport import sending

    settings = settings_of(home)
    with existing_store(home) as store:
        counts = sending.settle(store, day_of(day, settings), payer, interchange, arrived=received, note=note)
    one = counts["claims"] == 1
    waits, goes = ("waits", "goes") if one else ("wait", "go")
    after = f"{waits} for the payer's answer" if received else f"{goes} with the next run, under the same number"
    print(f"Interchange {interchange:09d}: its {counted(counts['claims'], 'claim')} {after}.")


@app.command()
def sample(
    visits: Annotated[int, typer.Option("--visits", min=1, help="How many visits.")],
    seed: Annotated[int, typer.Option("--seed", help="The same seed gives the same bytes.")],
    out: Annotated[Path, typer.Option("--out", help="Folder to write; it must be new or empty.")],
    kinds: Annotated[
        str,
        typer.Option("--kinds", help="Kinds of visits, with commas; each may have a share: professional=80,dental=20."),
    ] = "professional,institutional,dental",
    day: Day = None,
) -> None:
    """Make a lifelike extract of any size, with the errors that real extracts have."""
    from pipeline import sample as maker

    try:
        shares = maker.read_kinds(kinds)
    except ValueError as error:
        raise Terminal(f"--kinds cannot be read. {error}", fix="For example professional,institutional=20.") from None
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise Terminal(f"{out} is not an empty folder.", fix="Name a new folder after --out.")
    maker.make(visits=visits, seed=seed, out=out, on=day_of(day) if day else SAMPLE_DATE, kinds=shares)
    print(f"{counted(visits, 'visit')} in {out}")


# --- the payer in a box ----------------------------------------------------------------------------------------------


@payer_app.command("start")
def payer_start(
    faults: Annotated[Path | None, typer.Option("--faults", help="TOML file of faults to inject.")] = None,
    foreground: Annotated[
        bool, typer.Option("--foreground", help="Stay in this process until SIGTERM or Ctrl-C, as a container wants.")
    ] = False,
    home: Home = None,
) -> None:
    """Start the payer in a box; it runs until `claimpipe payer stop`."""
    from pipeline.payer_simulator import process

    settings = settings_of(home)
    if foreground:
        process.become(settings, faults)
    endpoint = process.start(settings, faults)
    print(f"The payer in a box listens on {endpoint.host}:{endpoint.port} (process {endpoint.pid}).")


@payer_app.command("stop")
def payer_stop(home: Home = None) -> None:
    """Stop the payer in a box."""
    from pipeline.payer_simulator import process

    print("Stopped." if process.stop(settings_of(home)) else "It was not running.")


@app.command("airflow")
def airflow_pages(
    port: Annotated[int, typer.Option("--port", help="Port of Airflow's pages.")] = 8080,
    prepare_only: Annotated[
        bool, typer.Option("--prepare-only", help="Only make the database and the payers' pools.")
    ] = False,
    home: Home = None,
) -> None:
    """Airflow's own pages with the four DAGs in them, on the embedded default. Stop with Ctrl-C."""
    from pipeline import airflow_night, night
    from pipeline.payer_simulator import process

    settings = settings_of(home)
    if not prepare_only:
        airflow_night.refuse_a_port_in_use(port)
    airflow_night.prepare(settings)
    if prepare_only:
        return
    if not settings.extract:
        os.environ["CLAIMPIPE_EXTRACT"] = str(sample_extract())
    # without the base URL every task would call port 8080, whatever the pages listen on
    os.environ |= {"AIRFLOW__API__PORT": str(port), "AIRFLOW__API__BASE_URL": f"http://localhost:{port}"}
    print(
        f"Airflow opens on http://localhost:{port} in some seconds; every visitor is its administrator, so keep it local."
    )
    try:
        if night.uses_box(settings):
            process.start(settings)
        raise typer.Exit(airflow_night.standalone())
    finally:
        process.stop(settings)


# --- work queues -----------------------------------------------------------------------------------------------------


@work_app.command("list")
def work_list(
    queue: Annotated[str | None, typer.Option("--queue", help="Only this queue.")] = None,
    everything: Annotated[bool, typer.Option("--each", help="One line an item instead of one a cause.")] = False,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """What there is to do, grouped by cause, the most dollars first."""
    from pipeline.reports import work
    from pipeline.reports.terminal import console_for_people

    with existing_store(home, reading=True) as store:
        rows = work.items(store, queue) if everything else work.causes(store, queue)
    if as_json:
        for row in rows:
            emit(row)
    else:
        work.show(console_for_people(), rows)


@work_app.command("unbilled")
def work_unbilled(
    days: Annotated[
        int, typer.Option("--days", min=0, help="Only visits whose service is at least so many days ago.")
    ] = 0,
    everything: Annotated[bool, typer.Option("--each", help="One line a visit instead of one a state.")] = False,
    day: Day = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Visits that are in no claim file yet: where they wait, how long since their service, and their dollars."""
    from pipeline.reports import unbilled
    from pipeline.reports.terminal import console_for_people

    with existing_store(home, reading=True) as store:
        on = day_of(day, store.settings)
        rows, future = unbilled.visits(store, on, days), unbilled.in_the_future(store, on)
    if not everything:
        rows = unbilled.by_state(rows)
    if as_json:
        for row in rows:
            emit(row)
        if future["visits"]:
            emit({"future": future})
    else:
        unbilled.show(console_for_people(), rows, future)


@work_app.command("at-risk")
def work_at_risk(
    days: Annotated[int, typer.Option("--days", min=0, help="Filing days that end within so many days.")] = 14,
    day: Day = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Visits without an accepted claim whose payer's filing days end soon, wherever they wait."""
    from pipeline.reports import deadlines
    from pipeline.reports.terminal import console_for_people, show_at_risk

    with existing_store(home, reading=True) as store:
        found = deadlines.at_risk(store, day_of(day, store.settings), days)
    if as_json:
        for one in found:
            emit(deadlines.as_dict(one))
    else:
        show_at_risk(console_for_people(), found, days)


@work_app.command("provider-level")
def work_provider_level(
    everything: Annotated[bool, typer.Option("--each", help="Those that came to 0 as well.")] = False,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Forward balances, take-backs and advances (PLB) that do not come to 0 by their reference yet, the most dollars first."""
    from pipeline.reports import provider_level
    from pipeline.reports.terminal import console_for_people, show_provider_level

    with existing_store(home, reading=True) as store, store.read() as connection:
        found = provider_level.still_open(connection, settled=everything)
    if as_json:
        for one in found:
            emit(one.as_dict())
    else:
        show_provider_level(console_for_people(), found)


@work_app.command("show")
def work_show(
    item: Annotated[str, typer.Argument(help="Item id, or its beginning.")], home: Home = None, as_json: Json = False
) -> None:
    """One item with its reason, what to do, and its findings."""
    from pipeline.reports import work
    from pipeline.reports.terminal import console_for_people

    with existing_store(home, reading=True) as store:
        found = work.one(store, item)
    if as_json:
        emit(found)
    else:
        work.show_one(console_for_people(), found)


@work_app.command("assign")
def work_assign(
    item: Annotated[str, typer.Argument(help="Item id, or its beginning.")],
    owner: Annotated[str, typer.Option("--to", help="Who works it.")],
    home: Home = None,
) -> None:
    """Give an item to a person."""
    from pipeline.reports import work

    with existing_store(home) as store:
        print(f"Item {work.assign(store, item, owner)} belongs to {owner}.")


@work_app.command("resolve")
def work_resolve(
    item: Annotated[str, typer.Argument(help="Item id, or its beginning.")],
    note: Annotated[str, typer.Option("--note", help="What was done, or why.")],
    approve: Annotated[bool, typer.Option("--approve", help="Send the replacement or void that waits.")] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the payer's claim as it is.")] = False,
    resend: Annotated[
        bool, typer.Option("--resend", help="Send the claim again though its visit did not change.")
    ] = False,
    override: Annotated[
        bool, typer.Option("--override", help="Let the claim pass the edit that holds it; the note says why.")
    ] = False,
    action: Annotated[
        str,
        typer.Option(
            "--action",
            help="About money: release, discard, apply, match, not-claims (docs/money.md). About codes: code.",
        ),
    ] = "",
    code: Annotated[
        list[str] | None,
        typer.Option("--code", help="code: CODE, or SYSTEM:CODE=CODE,CODE; `none`: on no claim. May be given again."),
    ] = None,
    as_rule: Annotated[
        bool, typer.Option("--as-rule", help="code: it holds for later visits too, as a rule of the practice.")
    ] = False,
    when: Annotated[str, typer.Option("--when", help="code: condition of the rule, for example age<18.")] = "",
    claim: Annotated[str, typer.Option("--claim", help="apply: our claim.")] = "",
    deposit: Annotated[str, typer.Option("--deposit", help="match: the deposit, where the item is a remittance.")] = "",
    remittance: Annotated[str, typer.Option("--remittance", help="match: the remittance that the deposit pays.")] = "",
    actor: Annotated[str, typer.Option("--by", help="Who decides; else the login name.")] = "",
    day: Day = None,
    home: Home = None,
) -> None:
    """Close an item, with a note of what was done; or decide what becomes of the claim or of the money that it is about."""
    from pipeline.reports import work, work_actions
    from pipeline.store import decisions

    given = {"approve": approve, "keep": keep, "resend": resend, "override": override}
    chosen = [name for name in decisions.ACTIONS if given[name]]
    if len(chosen) + bool(action) > 1:
        raise Terminal("Only one of --approve, --keep, --resend, --override and --action can be done.")
    with existing_store(home) as store:
        on = day_of(day, store.settings)
        wanted = work_actions.Wanted(
            work_actions.actor(actor), note, on, claim, deposit, remittance, tuple(code or ()), as_rule, when
        )
        if chosen:
            done = work.decide(store, item, chosen[0], note, wanted.by, on)
            print(f"Item {done} is done: {chosen[0]}. The next night acts on it.")
            return
        made = work_actions.decide(store, item, action, wanted) if action else work_actions.close(store, item, wanted)
        print(f"Item {made.item_id} stays open: {made.left}" if made.left else f"Item {made.item_id} is done.")


if __name__ == "__main__":
    main()

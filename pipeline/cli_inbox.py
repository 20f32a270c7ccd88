"""`claimpipe inbox`: received files that were set aside, and reading them again."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from pipeline.cli_files import Home, Json, console, emit
from pipeline.cli_home import Day, day_of, existing_store
from pipeline.errors import Terminal

app = typer.Typer(no_args_is_help=True, help="Received files that were set aside.")


@app.command("list")
def inbox_list(home: Home = None, as_json: Json = False) -> None:
    """The received files that stand set aside, and why."""
    from pipeline.transport import again

    with existing_store(home, reading=True) as store:
        found = again.aside(store)
    if as_json:
        for one in found:
            emit(one.as_dict())
        return
    if not found:
        print("No received file is set aside.")
        return
    made = Table("file", "from", "kind", "came", "bytes", "reason", box=None, pad_edge=False)
    for one in found:
        made.add_row(one.file_id[:10], Text(one.payer_key), one.kind, str(one.on), f"{one.size:,}", Text(one.reason))
    console().print(made)


@app.command("retry")
def inbox_retry(
    note: Annotated[str, typer.Option("--note", help="Why it can be read now: what was mended.")],
    file: Annotated[str, typer.Argument(help="Id of the file, or its beginning.", metavar="[FILE]")] = "",
    everything: Annotated[bool, typer.Option("--all", help="All that stand set aside.")] = False,
    actor: Annotated[str, typer.Option("--by", help="Who decides; else the login name.")] = "",
    day: Day = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Let a received file that was set aside be read again by the next run, after its fault is mended."""
    from pipeline.reports import work_actions
    from pipeline.transport import again

    if bool(file) == everything:
        raise Terminal("Say which: a FILE, or --all.", fix="See `claimpipe inbox list`.")
    with existing_store(home) as store:
        asked = again.retry(store, day_of(day, store.settings), file, by=work_actions.actor(actor), reason=note)
    if as_json:
        for state, files in (("waiting", asked.waiting), ("left", asked.left)):
            for one in files:
                emit(one.as_dict() | {"state": state})
        return
    print(f"Files that wait for the next run: {len(asked.waiting):,}.")
    if asked.left:
        print(f"Files of a kind that no stage works, which stay set aside: {len(asked.left):,}.")

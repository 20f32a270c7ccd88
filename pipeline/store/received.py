"""Working received files: a file that cannot be worked is set aside, and its neighbours go on.

Theory. Readers return findings and do not raise, and stages record what they were given; but what arrives is the sender's
to choose, and sooner or later a file holds something that nobody thought of. So every stage that works received files does
it through here: whatever is raised while ONE file is read or recorded is that file's trouble. It is quarantined, a
person gets a work item with the place in the code and none of the file's values, and the next file is worked. Errors that
claimpipe raises on purpose (the archive is gone, the database is locked) are the machine's and no file's: they pass.

A register transaction holds many files. Where it fails it is made again without any, which tells whether a file is to
blame at all, and then for one file after the other: the stages' results do not depend on the order of files.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date
from typing import Any, Protocol, TypeVar

import sqlalchemy as sa

from pipeline import transactions
from pipeline.errors import ClaimpipeError, place_of
from pipeline.failpoints import failpoint
from pipeline.findings import Finding
from pipeline.store import register as r
from pipeline.store.store import (
    Store,
    add_to_stage,
    files_waiting,
    one_at_a_time,
    record_findings,
    update_rows,
)
from pipeline.store.work import WorkItem, open_items

UNWORKABLE = "file.unworkable"
#: so many bytes of files, at most, are kept read from the check to the stage
READ_AHEAD = 1 << 24

Counts = dict[str, int]


class Read(Protocol):
    """What a stage makes of one file, outside of the register's transaction."""

    @property
    def file_id(self) -> str: ...


T = TypeVar("T")
R = TypeVar("R", bound=Read)


def work(
    store: Store,
    on: date,
    stage: str,
    kinds: Sequence[str],
    read: Callable[[Any], R],
    record: Callable[[sa.Connection, list[R], Counts], None],
    *,
    unless: str = "",
    at_once: int = 0,
) -> Counts:
    """Work the files that wait: `read` each one's row, `record` them in one transaction; returns and keeps the counts.

    `record` is called even where no file waits: a stage has other work in it. `unless`: see `files_waiting`. `at_once`: so many bytes
    of files are in memory together and in one transaction (0: all that wait); for stages to which the order of files is nothing.
    """
    with store.read() as connection:
        arrived = files_waiting(connection, kinds, unless=unless)
    total: Counts = defaultdict(int)
    for some in _together(arrived, at_once):
        for name, count in _work(store, on, stage, kinds, some, read, record, unless).items():
            total[name] += count
    return dict(total)


def _together(arrived: Sequence[Any], at_once: int) -> Iterator[Sequence[Any]]:
    """The files in groups; one group, if an empty one, where nothing waits."""
    group: list[Any] = []
    size = 0
    for row in arrived:
        if at_once and group and size + row.size > at_once:
            yield group
            group, size = [], 0
        group.append(row)
        size += row.size
    yield group


def _work(
    store: Store, on: date, stage: str, kinds: Sequence[str], arrived: Sequence[Any], read: Callable[[Any], R],
    record: Callable[[sa.Connection, list[R], Counts], None], unless: str,
) -> Counts:  # fmt: skip
    files = read_each(store, on, stage, arrived, read)
    refused = len(arrived) - len(files)
    failpoint(f"{stage}.before_record")

    def once(files: Sequence[R]) -> Counts:
        counts: Counts = defaultdict(int)
        with store.begin() as connection:
            one_at_a_time(connection, stage)
            still = {row.file_id for row in files_waiting(connection, kinds, unless=unless)}
            record(connection, [file for file in files if file.file_id in still], counts)
            add_to_stage(connection, stage, on, counts)
        return counts

    try:
        return _with(once(files), refused)
    except ClaimpipeError:
        raise
    except Exception:
        if not files:
            raise
    total = once([])  # raises where no file is to blame
    for row in arrived:
        for file in read_each(store, on, stage, [row], read):  # anew: recording may have used up what was read
            try:
                made = once([file])
            except ClaimpipeError:
                raise
            except Exception as error:
                made = _set_aside(store, on, stage, file.file_id, error)
            for name, count in made.items():
                total[name] += count
    return _with(total, refused)


def _with(counts: Counts, refused: int) -> Counts:
    """The counts with the files that could not even be read: `read_each` has kept those in the register."""
    for name in ("files", "files_quarantined") if refused else ():
        counts[name] = counts.get(name, 0) + refused
    return dict(counts)


def read_each(store: Store, on: date, stage: str, rows: Iterable[Any], read: Callable[[Any], T]) -> list[T]:
    """`read` of each row of `files`; a file in which it raises is quarantined at once and left out."""
    made: list[T] = []
    for row in rows:
        try:
            made.append(read(row))
        except ClaimpipeError:
            raise
        except Exception as error:
            _set_aside(store, on, stage, row.file_id, error)
    return made


def said_by(store: Store, row: Any, *, ahead: bool = False) -> transactions.ReadResult:
    """What a received file (its row of `files`) says. The check of a stage reads `ahead` of it: then it is kept for the stage, so
    that a file is read once for both."""
    kept = store.read_ahead
    _, known = kept.pop(row.file_id, (0, None))
    result = known or transactions.read(store.archive.get(row.file_id), file=row.file_id)
    if ahead and row.size + sum(size for size, _ in kept.values()) <= READ_AHEAD:
        kept[row.file_id] = row.size, result
    return result


def _set_aside(store: Store, on: date, stage: str, file_id: str, error: Exception) -> Counts:
    """Quarantine one file, in a transaction of its own."""
    found = unworkable(stage, file_id, error)
    counts = {"files": 1, "files_quarantined": 1}
    with store.begin() as connection:
        one_at_a_time(connection, stage)
        file = connection.execute(
            sa.select(r.files.c.kind, r.files.c.payer_key, r.files.c.state).where(r.files.c.file_id == file_id)
        ).one()
        if file.state != "archived":  # another run was faster
            return {}
        update_rows(
            connection, r.files, "file_id",
            [{"file_id": file_id, "state": "quarantined", "reason": found.rule}], ["state", "reason"],
        )  # fmt: skip
        record_findings(connection, stage, on, [found])
        open_items(connection, [
            WorkItem(
                queue="file", subject=file_id, cause=found.rule, payer_key=file.payer_key or None, opened_on=on,
                title="A received file cannot be worked", reason=f"Kind {file.kind}. {found.message}", action=found.fix,
            )
        ])  # fmt: skip
        add_to_stage(connection, stage, on, counts)
    return counts


def unworkable(stage: str, file_id: str, error: Exception) -> Finding:
    """The finding of a file over which a stage stumbled: the place in the code, and nothing that the file holds."""
    return Finding(
        rule=UNWORKABLE, severity="error", subject=file_id, file=file_id,
        message=f"Something in the file cannot be worked by {stage} ({place_of(error)}). Nothing of it was taken.",
        fix="It is kept in the archive under its id. Ask the sender for the file again, and report the place that is "
            "named here as a defect of claimpipe.",
    )  # fmt: skip

"""The night: the order of the stages, once, for the command line and for Airflow.

Each function below is one step of a night; `run` does them all on one machine, the DAGs do the same ones as tasks. A step
takes the store and the logical date and gives counts. A payer that cannot be reached is one payer's trouble: the others
go on, and the trouble is told at the end. A Terminal of the intake or of quality stops what would build on it, while
money that has come in is still posted and proved.
"""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from pathlib import Path

import sqlalchemy as sa

from pipeline import checkpoints, garbage, payers
from pipeline.acknowledgments import stage as acknowledgments_stage
from pipeline.claims import recovery, release
from pipeline.claims import stage as claims_stage
from pipeline.coding import stage as coding_stage
from pipeline.deposits import stage as deposits_stage
from pipeline.encounters import stage as encounters_stage
from pipeline.errors import ClaimpipeError, Terminal, place_of
from pipeline.ledger import proof
from pipeline.money import shown
from pipeline.remittances import stage as remittances_stage
from pipeline.scrubbing import stage as scrubbing_stage
from pipeline.settings import Settings
from pipeline.store import Store
from pipeline.store import register as r
from pipeline.store.incoming import Received
from pipeline.store.store import chunks, files_waiting
from pipeline.transport import extracts, inbox, sending

Counts = dict[str, int]
#: told of every step: its name, the payer where it is of one payer, and its counts (None when it begins)
Tell = Callable[[str, str, Counts | None], None]

BANK = "bank"


def silent(step: str, subject: str, counts: Counts | None) -> None:
    return


@dataclass
class Report:
    """What a night did: counts by step, troubles in plain words, and the proof."""

    on: date
    steps: list[tuple[str, str, Counts]] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)
    proof: proof.Proof | None = None

    def total(self, step: str, count: str) -> int:
        return sum(counts.get(count, 0) for name, _, counts in self.steps if name == step)


# --- the steps ------------------------------------------------------------------------------------------------------


def intake(store: Store, on: date, extract: str | Path, fmt: str = "auto") -> Counts:
    """Take in an extract: a path, or an address that `transport.extracts` fetches."""
    with extracts.at_hand(store.settings, str(extract), on) as path:
        return encounters_stage.run(store, on, path, fmt, name=_name(extract)) | _checked(store, on, "encounters")


def _name(extract: str | Path) -> str:
    return str(extract).rstrip("/").rpartition("/")[2]


def extract_of(store: Store, named: str | None) -> str:
    """The extract that a run takes in: the one it names, else the one of the settings. Terminal where there is none."""
    text = named or store.settings.extract
    if not text:
        raise Terminal(
            "No extract is named.", fix="Set `extract` in claimpipe.toml or give the run its parameter extract."
        )
    return text


def code(store: Store, on: date) -> Counts:
    return coding_stage.run(store, on) | _checked(store, on, "coded_claims")


def scrub(store: Store, on: date) -> Counts:
    counts = scrubbing_stage.run(store, on, partial(claims_stage.unwritten, store, on))
    return counts | _checked(store, on, "scrubbed_claims")


def payers_with_work(store: Store) -> list[str]:
    """Keys of the payers that have claims ready or files not yet known to have arrived."""
    with store.read() as connection:
        ready = connection.execute(
            sa.select(r.claims.c.payer_key).where(r.claims.c.state == "ready").distinct()
        ).scalars()
        open_files = connection.execute(
            sa.select(r.sendings.c.payer_key).where(r.sendings.c.state.in_(sending.TO_DO)).distinct()
        ).scalars()
        return sorted({*ready, *open_files})


def payers_with_mail(store: Store) -> list[str]:
    """Keys of the payers that we have ever sent to: their outbound folders are swept."""
    with store.read() as connection:
        return sorted(connection.execute(sa.select(r.sendings.c.payer_key).distinct()).scalars())


def build(store: Store, on: date, payer_key: str) -> Counts:
    return claims_stage.build(store, on, payer_key)


def let_go(store: Store, on: date, payer_key: str, what: str, *, do: bool) -> Counts:
    """Claims that a person lets go again: `refused` for a file's form, or `tested` in test files only."""
    work = {"refused": release.refused, "tested": release.tested}[what]
    return work(store, on, payer_key, do=do)


def missing_interchanges(store: Store) -> list[recovery.Found]:
    """What the archive knows of interchanges and the register does not, as after a restored backup."""
    return recovery.missing(store)


def missing_mail(store: Store) -> list[Received]:
    """What the archive knows as received and the register does not know, as after a restored backup."""
    return recovery.missing_mail(store)


def recover(store: Store, on: date) -> tuple[list[recovery.Found], list[Received], Counts]:
    """Let the register take over what the archive knows; nothing of it is sent again, and received files wait for the next
    night."""
    found, mail = recovery.adopt(store, on), recovery.adopt_mail(store, on)
    return found, mail, claims_stage.rejoin(store, on)


def check_batches(store: Store, on: date) -> Counts:
    return _checked(store, on, "batches")


def send(store: Store, on: date, payer_key: str) -> Counts:
    return sending.send(store, on, payer_key)


def routes_with_mail(store: Store) -> list[str]:
    """The payers we have ever sent to, and with them the bank."""
    mail = payers_with_mail(store)
    return [*mail, BANK] if mail else []


def has_landed(store: Store, *kinds: str) -> bool:
    """Whether a received file of one of the kinds waits to be worked."""
    with store.read() as connection:
        return bool(files_waiting(connection, (*kinds, "mixed")))


def sweep(store: Store, on: date, payer_key: str) -> Counts:
    new = inbox.sweep(store, on, payer_key)
    f, aside = r.files.c, 0
    with store.read() as connection:
        for some in chunks(new):
            query = sa.select(sa.func.count()).where(f.file_id.in_(some), f.state == "quarantined")
            aside += connection.execute(query).scalar_one()
    return {"files": len(new), "quarantined": aside}


def acknowledge(store: Store, on: date) -> Counts:
    checked = _checked(store, on, "acknowledgments")
    return acknowledgments_stage.run(store, on) | checked


def post(store: Store, on: date) -> Counts:
    checked = _checked(store, on, "remittances")
    counts = remittances_stage.run(store, on)
    return counts | checked | {f"postings_{k}": v for k, v in _checked(store, on, "postings").items()}


def reconcile(store: Store, on: date) -> Counts:
    return deposits_stage.run(store, on) | _checked(store, on, "deposits")


def prove(store: Store, on: date | None = None) -> proof.Proof:
    return proof.prove(store, on)


def prove_or_fail(store: Store, on: date) -> Counts:
    """The proof, and the night's report in HOME/reports. Terminal where the proof does not close."""
    from pipeline.reports import night as night_report
    from pipeline.reports import summary as summaries

    result = prove(store, on)
    night_report.write(store.settings.home, summaries.gather(store, on, result))
    if not result.closes:
        raise Terminal(
            f"The proof does not close: the residue is {shown(result.residue_cents)}.", fix="See the night's report."
        )
    return {"residue_cents": result.residue_cents, "lines": len(result.lines)}


def compare(store: Store, on: date) -> Counts:
    """Rebuild every file of this date from the lake under its own control numbers and compare it with the archived bytes."""
    return claims_stage.compare(store, on)


def _checked(store: Store, on: date, suite: str) -> Counts:
    return {f"quality_{name}": count for name, count in checkpoints.run(store, on, suite).items()}


# --- the whole night -------------------------------------------------------------------------------------------------


@garbage.looked_for_less()
def run(store: Store, on: date, extract: str | Path | None, fmt: str = "auto", tell: Tell = silent) -> Report:
    """The whole night for one logical date. Never raises what fails in one payer or step: see `Report.troubles`.

    A trouble of the intake itself (missing column, unreadable extract) is raised, after the mail has been worked: there is
    nothing new to code, but money that came in does not wait for it.
    """
    report = Report(on)

    def step(name: str, subject: str, work: Callable[[], Counts]) -> Counts:
        tell(name, subject, None)
        counts = work()
        report.steps.append((name, subject, counts))
        tell(name, subject, counts)
        return counts

    if extract is not None:
        try:
            step("intake", "", partial(intake, store, on, extract, fmt))
        except Exception:
            _work_the_mail(store, on, report, step)
            raise
    with _noting(report, "coding and scrubbing"):
        step("code", "", partial(code, store, on))
        step("scrub", "", partial(scrub, store, on))
    for key in payers_with_work(store):
        with _noting(report, key):
            step("build", key, partial(build, store, on, key))
    with _noting(report, "claim files"):
        step("check files", "", partial(check_batches, store, on))
        for key in payers_with_work(store):
            with _noting(report, key):
                step("send", key, partial(send, store, on, key))
    _work_the_mail(store, on, report, step)
    tell("prove", "", None)
    report.proof = prove(store, on)
    return report


def _work_the_mail(
    store: Store, on: date, report: Report, step: Callable[[str, str, Callable[[], Counts]], Counts]
) -> None:
    """What payers and bank have sent: fetched, worked, posted, reconciled. It does not depend on tonight's extract."""
    collect(store, on, report, step)
    with _noting(report, "posting"):
        step("post", "", partial(post, store, on))
    with _noting(report, "deposits"):
        step("reconcile", "", partial(reconcile, store, on))


def collect(store: Store, on: date, report: Report, step: Callable[[str, str, Callable[[], Counts]], Counts]) -> None:
    """Fetch and work what payers and bank have sent. The payer in a box is waited for, as long as it goes on answering; real
    payers answer when they do."""
    mail = payers_with_mail(store)
    patience = store.settings.inbox.wait_seconds
    deadline = time.monotonic() + patience
    reachable = set(mail)
    while True:
        came = 0
        for key in mail:
            if key in reachable:
                with _noting(report, key) as noted:
                    came += step("sweep", key, partial(sweep, store, on, key))["files"]
                if noted:
                    reachable.discard(key)
        with _noting(report, "acknowledgments"):
            step("acknowledge", "", partial(acknowledge, store, on))
        if came:
            deadline = time.monotonic() + patience
        waiting = awaiting_box(store) & reachable
        if not waiting or time.monotonic() > deadline:
            break
        time.sleep(0.3)
    if mail:
        with _noting(report, "bank"):
            step("sweep", BANK, partial(sweep, store, on, BANK))


def awaiting_box(store: Store) -> set[str]:
    """Payers reached by the payer in a box that have not answered every file yet."""
    profiles = payers.load_profiles(store.settings.payers_dir)
    with store.read() as connection:
        keys = connection.execute(
            sa.select(r.sendings.c.payer_key)
            .where(r.sendings.c.state.in_(("renamed", "verified", "unknown")))
            .distinct()
        ).scalars()
        return {k for k in keys if k in profiles and profiles[k].transport.kind == "box"}


@contextmanager
def _noting(report: Report, whose: str) -> Iterator[list[str]]:
    """Turn a failure of one payer or step into a trouble of the report, so that its neighbours go on.

    A defect is one too, told without the values of its exception: mail and money of the others do not wait for its mending.
    """
    noted: list[str] = []
    try:
        yield noted
        return
    except ClaimpipeError as error:
        noted.append(f"{whose}: {error}")
    except Exception as error:
        if os.environ.get("CLAIMPIPE_TRACEBACK"):
            traceback.print_exc()
        noted.append(
            f"{whose}: A defect ({place_of(error)}). Nothing half-done was recorded. Set CLAIMPIPE_TRACEBACK=1 to see "
            "more (it may show patient data)."
        )
    if noted[0] not in report.troubles:
        report.troubles.append(noted[0])


def uses_box(settings: Settings) -> bool:
    """Whether any payer is reached by the payer in a box, so that a night on one machine starts it."""
    return any(p.transport.kind == "box" for p in payers.load_profiles(settings.payers_dir).values())


def summary(report: Report) -> Mapping[str, object]:
    """The night as one JSON-able object: counts and cents only."""
    return {
        "date": report.on.isoformat(),
        "steps": [{"step": s, "subject": k, **c} for s, k, c in report.steps],
        "troubles": report.troubles,
        "proof": report.proof.as_dict() if report.proof else None,
    }

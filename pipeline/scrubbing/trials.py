"""Edits tried out: on their own examples, and on history.

**Examples.** Each edit carries claims that pass and claims that fail. `run_examples` runs them as tests, so that a payer's
companion guide, written as edits in its profile, is executable by who wrote it.

**History.** `replay` holds the claims that went in earlier nights against a rule, one part of the lake at a time, and joins what
the payers did with them. A claim that the rule would have held is

    caught       rejected (277CA) or denied for what it said itself: the rule would have saved the trip
    false hold   paid all the same: the rule would have cost time, or the money
    undecided    no decision yet, or one that was taken back

A claim counts as a whole: one that was paid with a line denied is paid. A claim that went down with its file, its set or its
provider (TA1, 999, a 277CA above the claims) is undecided: no payer has looked at it, so it proves nothing for a rule.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from pipeline.codes import open_icd10cm
from pipeline.errors import Terminal
from pipeline.payers import PayerProfile, load_profiles
from pipeline.scrubbing import authorizations, examples
from pipeline.scrubbing.batch import Batch
from pipeline.scrubbing.edits import Edit
from pipeline.scrubbing.registry import CHECKS, faults
from pipeline.store import register as r
from pipeline.store.events import rejecting
from pipeline.store.store import Store, chunks

Outcome = Literal["caught", "false_hold", "undecided"]
OUTCOMES: tuple[Outcome, ...] = ("caught", "false_hold", "undecided")
_OF_STATE: dict[str, Outcome] = {"rejected": "caught", "denied": "caught", "paid": "false_hold"}


def caught(batch: Batch, edit: Edit) -> np.ndarray:
    """Which claims of the batch the edit finds at fault."""
    found = np.zeros(batch.size, dtype=bool)
    for hits in CHECKS[edit.check](batch, edit):
        owners = batch.owners[edit.table][hits.rows]
        found[owners[owners >= 0]] = True
    return found


# --- examples ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Failure:
    """An example that does not do what it says, or an edit that cannot be used. `severity`: an edit without a failing example
    is a warning: nothing shows that it finds what it is for."""

    edit: str
    payer: str
    example: str
    severity: Literal["error", "warning"]
    message: str


def payer_of(edit: Edit) -> str:
    """The one payer that the edit speaks of; empty where it speaks of several."""
    keys = edit.when.get("payer_key", ())
    return keys[0] if len(keys) == 1 and keys[0] not in ("", "*") else ""


def run_examples(edits: Sequence[Edit], profiles: Mapping[str, PayerProfile], home: Path) -> Iterator[Failure]:
    """What is wrong with the edits by their own examples. `home`: one with the example tables (`examples.load_tables`)."""
    for edit in edits:
        payer = payer_of(edit)
        if wrong := faults(edit):
            yield Failure(edit.id, payer, "", "error", f"The edit cannot be used: {'; '.join(wrong)}.")
            continue
        if not edit.fails:
            yield Failure(
                edit.id, payer, "", "warning", "The edit has no example that fails: nothing shows that it works."
            )
        for kind, given in (("passes", edit.passes), ("fails", edit.fails)):
            for number, example in enumerate(given, 1):
                told = _run(edit, example, kind == "fails", payer, profiles, home)
                if told:
                    yield Failure(edit.id, payer, f"{kind} {number}", "error", told)


def _run(
    edit: Edit, example: Mapping[str, Any], fails: bool, payer: str, profiles: Mapping[str, PayerProfile], home: Path
) -> str:
    """What is wrong with the example, in plain words; empty where nothing is."""
    if wrong := examples.unknown(example):
        return f"The example names columns that do not exist: {', '.join(wrong)}."
    day = min(max(examples.DAY, edit.effective_from), edit.effective_to)
    try:
        batch = examples.batch(
            # examples of our own edits speak of the payers that we ship
            example,
            home=home,
            profiles=profiles if payer else None,
            day=day,
            changed={"payer_key": payer} if payer else None,
        )
        found = bool(caught(batch, edit).any())
    except (
        Exception
    ) as error:  # whatever a person wrote: an unknown column, a wrong kind of value, a parameter left out
        return f"The example or the edit's parameters cannot be used ({type(error).__name__}). See docs/edits.md."
    if found is fails:
        return ""
    return "The edit finds fault with this example." if found else "The edit finds nothing in this example."


# --- history ----------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Tally:
    """Claims and their cents; `paid_cents`: what the payers paid on them."""

    claims: int = 0
    cents: int = 0
    paid_cents: int = 0

    def add(self, claims: int, cents: int, paid: int = 0) -> None:
        self.claims += claims
        self.cents += cents
        self.paid_cents += paid


@dataclass(slots=True)
class Line:
    """What was looked at, and of what would have been held, what became of it."""

    looked_at: Tally = field(default_factory=Tally)
    caught: Tally = field(default_factory=Tally)
    false_hold: Tally = field(default_factory=Tally)
    undecided: Tally = field(default_factory=Tally)

    @property
    def held(self) -> Tally:
        parts = (self.caught, self.false_hold, self.undecided)
        return Tally(sum(p.claims for p in parts), sum(p.cents for p in parts), sum(p.paid_cents for p in parts))

    def as_dict(self) -> dict[str, Any]:
        return {
            f"{name}_{what}" if what != "claims" else name: getattr(getattr(self, name), what)
            for name, kinds in (("looked_at", ("claims", "cents")), ("held", ("claims", "cents")),
                                ("caught", ("claims", "cents")), ("false_hold", ("claims", "cents", "paid_cents")),
                                ("undecided", ("claims", "cents")))
            for what in kinds
        }  # fmt: skip


@dataclass(slots=True)
class Trial:
    """A rule held against history. `nights`: first and last night that had claims; None where none had."""

    rules: list[str]
    since: date
    until: date
    nights: tuple[date, date] | None = None
    whole: Line = field(default_factory=Line)
    payers: dict[str, Line] = field(default_factory=dict)
    by_rule: dict[str, Line] = field(default_factory=dict)


def replay(store: Store, edits: Sequence[Edit], since: date, until: date, payer: str = "") -> Trial:
    """The edits over all claims that the nights `since` to `until` made ready, whatever became of them. Terminal where an edit
    cannot be used."""
    for edit in edits:
        if wrong := faults(edit):
            raise Terminal(f"The edit {edit.id} cannot be used: {'; '.join(wrong)}.", fix="See docs/edits.md.")
    trial = Trial(sorted({edit.id for edit in edits}), since, until)
    trial.by_rule = {rule: Line() for rule in trial.rules}
    profiles = load_profiles(store.settings.payers_dir)
    c = r.claims.c
    wanted = [c.scrubbed_date.between(since, until), c.frequency != "8"]
    if payer:
        wanted.append(c.payer_key == payer)
    with store.read() as connection:
        parts = connection.execute(
            sa.select(c.scrubbed_date, c.scrubbed_part)
            .where(*wanted)
            .distinct()
            .order_by(c.scrubbed_date, c.scrubbed_part)
        ).all()
    for day, part in parts:
        with store.read() as connection:
            rows = connection.execute(
                sa.select(c.claim_id, c.payer_key, c.state, c.charge_cents)
                .where(*wanted, c.scrubbed_date == day, c.scrubbed_part == part)
                .order_by(c.claim_id)
            ).all()
        trial.nights = (trial.nights[0] if trial.nights else day, day)
        _add(store, trial, edits, profiles, day, part, rows)
    return trial


def _add(
    store: Store, trial: Trial, edits: Sequence[Edit], profiles: Mapping[str, PayerProfile], day: date, part: str,
    rows: Sequence[Any],
) -> None:  # fmt: skip
    """One part of the lake: its claims are held against the rules, then let go."""
    ids = pa.array([row.claim_id for row in rows], pa.string())
    authorized, _ = authorizations.load(store)
    tables = {
        name: store.lake.read(f"scrubbed_{name}", day, part, ("claim_id", ids.to_pylist()), required=True)
        for name in ("claims", "diagnoses", "lines")
    }
    batch = Batch(
        tables["claims"], tables["diagnoses"], tables["lines"], on=day, icd10cm=open_icd10cm(store.settings.home),
        profiles=profiles, usage=store.settings.submitter.usage, home=store.settings.home, authorizations=authorized,
    )  # fmt: skip
    order = pc.index_in(tables["claims"].column("claim_id"), value_set=ids).to_numpy()  # claim of the batch → row
    masks = {rule: np.zeros(len(rows), dtype=bool) for rule in trial.rules}
    for edit in edits:
        found = caught(batch, edit)
        masks[edit.id][order[found].astype(np.int64)] = True
    held = np.logical_or.reduce(list(masks.values()))
    own = _rejected_themselves(
        store, [rows[i].claim_id for i in np.flatnonzero(held).tolist() if rows[i].state == "rejected"]
    )
    paid = _paid(store, [rows[i].claim_id for i in np.flatnonzero(held).tolist() if rows[i].state == "paid"])
    for number, row in enumerate(rows):
        lines = [trial.whole, trial.payers.setdefault(row.payer_key, Line())]
        for line in (*lines, *trial.by_rule.values()):
            line.looked_at.add(1, row.charge_cents)
        if not held[number]:
            continue
        lines += [line for rule, line in trial.by_rule.items() if masks[rule][number]]
        outcome = _OF_STATE.get(row.state, "undecided")
        if row.state == "rejected" and row.claim_id not in own:
            outcome = "undecided"
        for line in lines:
            getattr(line, outcome).add(1, row.charge_cents, paid.get(row.claim_id, 0))


def _rejected_themselves(store: Store, claim_ids: Sequence[str]) -> set[str]:
    """Of rejected claims, those that a 277CA names and rejects, each for its own sake."""
    k, a = r.claims.c, r.acknowledgments.c
    found: set[str] = set()
    with store.read() as connection:
        for some in chunks(claim_ids):
            query = sa.select(k.claim_id).where(
                k.claim_id.in_(some),
                rejecting(r.claim_events.c.event).like("277CA %"),
                sa.exists().where(
                    a.kind == "277CA", a.level == "claim", a.claim_id == k.claim_id,
                    a.file_id == rejecting(r.claim_events.c.file_id),
                ),
            )  # fmt: skip
            found |= set(connection.execute(query).scalars())
    return found


def _paid(store: Store, claim_ids: Sequence[str]) -> dict[str, int]:
    """Claim → cents that its payments, less those taken back, add up to."""
    p = r.remittance_claims.c
    found: dict[str, int] = {}
    with store.read() as connection:
        for some in chunks(claim_ids):
            query = (
                sa.select(p.claim_id, sa.func.sum(p.paid_cents))
                .where(p.claim_id.in_(some), p.state == "posted")
                .group_by(p.claim_id)
            )
            found |= {claim_id: int(cents or 0) for claim_id, cents in connection.execute(query)}
    return found

"""What the register says about a night: the funnel, the exceptions, the money, the files, the quality checks."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

import sqlalchemy as sa

from pipeline import payers
from pipeline.ledger.proof import Proof
from pipeline.store import Store
from pipeline.store import register as r


@dataclass(frozen=True, slots=True)
class Stage:
    """One step of the funnel: how many visits came so far, with their charges, and what became of those that did not."""

    name: str
    count: int
    cents: int
    aside: str = ""
    aside_count: int = 0
    aside_cents: int = 0


@dataclass(frozen=True, slots=True)
class Exception_:
    """Open work items of one queue and cause."""

    queue: str
    cause: str
    title: str
    action: str
    count: int
    cents: int
    payer: str


@dataclass(frozen=True, slots=True)
class SentFile:
    payer: str
    interchange_control: str
    file_id: str
    claims: int
    cents: int
    state: str
    usage: str


@dataclass(frozen=True, slots=True)
class PayerLine:
    payer: str
    claims: int
    charge: int
    paid: int
    adjusted: int
    patient: int
    open: int
    denied: int
    rejected: int


@dataclass(frozen=True, slots=True)
class Check:
    suite: str
    expectation: str
    column: str
    success: bool
    checked: int
    unexpected: int


@dataclass(frozen=True, slots=True)
class Deposit:
    on: date
    cents: int
    trace: str
    state: str


@dataclass(frozen=True)
class Summary:
    on: date
    visits: int
    charge: int
    funnel: list[Stage]
    states: list[tuple[str, int, int]]
    exceptions: list[Exception_]
    files: list[SentFile]
    payer_lines: list[PayerLine]
    accounts: list[tuple[str, int]]
    deposits: list[Deposit]
    checks: list[Check]
    proof: Proof
    troubles: list[str]

    @property
    def residue(self) -> int:
        return self.proof.residue_cents

    def as_dict(self) -> dict[str, Any]:
        return asdict(self) | {"proof": self.proof.as_dict()}


#: the states in which a visit has come at least so far; each step of the funnel is the sum over its states
_SENT = ("sent", "unknown", "received", "accepted", "rejected", "paid", "denied", "reversed")
_ADJUDICATED = ("paid", "denied", "reversed")
_FUNNEL: tuple[tuple[str, frozenset[str], str], ...] = (
    ("Visits in the extract", frozenset({"*"}), ""),
    ("Legible", frozenset({"*"}) - {"quarantined"}, "quarantined: the row cannot be read"),
    ("Coded", frozenset({"coded", "held", "ready", "batched", *_SENT}), "on the coder's list or not billed"),
    ("Clean", frozenset({"ready", "batched", *_SENT}), "held by an edit"),
    ("Sent", frozenset(_SENT), "built and not sent"),
    ("Accepted by the payer", frozenset({"accepted", *_ADJUDICATED}), "rejected or not answered"),
    ("Paid", frozenset({"paid"}), "denied, reversed or not decided"),
)


def gather(store: Store, on: date, proof: Proof, troubles: list[str] | None = None) -> Summary:
    """Read the report of one night: visits whose current version came with that night, and what became of them."""
    names = {key: p.name for key, p in payers.load_profiles(store.settings.payers_dir).items()}
    with store.read() as connection:
        states = _states(connection, on)
        return Summary(
            on=on,
            visits=sum(n for _, n, _ in states),
            charge=sum(c for _, _, c in states),
            funnel=_funnel(states),
            states=states,
            exceptions=_exceptions(connection, names),
            files=_files(connection, on, names),
            payer_lines=_payer_lines(connection, names),
            accounts=_accounts(connection),
            deposits=_deposits(connection),
            checks=_checks(connection, on),
            proof=proof,
            troubles=troubles or [],
        )


def _states(connection: sa.Connection, on: date) -> list[tuple[str, int, int]]:
    e, c = r.encounters.c, r.claims.c
    state = sa.case((e.state == "claimed", c.state), else_=e.state).label("state")
    rows = connection.execute(
        sa.select(state, sa.func.count(), sa.func.sum(e.charge_cents))
        .select_from(r.encounters.outerjoin(r.claims, c.encounter_key == e.encounter_key))
        .where(e.logical_date == on)
        .group_by(state)
    )
    order = [*r.ENCOUNTER_STATES, *r.CLAIM_STATES]
    return sorted(((str(s), int(n), int(t or 0)) for s, n, t in rows), key=lambda row: order.index(row[0]))


def _funnel(states: list[tuple[str, int, int]]) -> list[Stage]:
    steps: list[Stage] = []
    for name, members, aside in _FUNNEL:
        if name == "Visits in the extract":
            rows = states
        elif name == "Legible":
            rows = [s for s in states if s[0] != "quarantined"]
        else:
            rows = [s for s in states if s[0] in members]
        count, cents = sum(n for _, n, _ in rows), sum(c for _, _, c in rows)
        if steps:
            steps.append(Stage(name, count, cents, aside, steps[-1].count - count, steps[-1].cents - cents))
        else:
            steps.append(Stage(name, count, cents))
    return steps


def _exceptions(connection: sa.Connection, names: dict[str, str]) -> list[Exception_]:
    w = r.work_items.c
    rows = connection.execute(
        sa.select(w.queue, w.cause, sa.func.min(w.title), sa.func.min(w.action), sa.func.count(), sa.func.sum(w.cents),
                  sa.func.min(w.payer_key), sa.func.count(w.payer_key.distinct()))
        .where(w.state == "open")
        .group_by(w.queue, w.cause)
    ).all()  # fmt: skip
    found = [
        Exception_(
            q,
            cause,
            title,
            action,
            int(n),
            int(cents or 0),
            "several" if several > 1 else names.get(key or "", key or ""),
        )
        for q, cause, title, action, n, cents, key, several in rows
    ]
    return sorted(found, key=lambda x: (-x.cents, -x.count, x.queue, x.cause))


def _files(connection: sa.Connection, on: date, names: dict[str, str]) -> list[SentFile]:
    s = r.sendings.c
    rows = connection.execute(
        sa.select(r.sendings).where(s.logical_date == on).order_by(s.payer_key, s.interchange_control)
    )
    return [
        SentFile(
            names.get(x.payer_key, x.payer_key),
            x.interchange_control,
            x.file_id,
            x.claim_count,
            x.charge_cents,
            x.state,
            x.usage,
        )
        for x in rows
    ]


def _payer_lines(connection: sa.Connection, names: dict[str, str]) -> list[PayerLine]:
    c = r.claims.c
    found: dict[str, dict[str, int]] = {}
    for key, state, n, cents in connection.execute(
        sa.select(c.payer_key, c.state, sa.func.count(), sa.func.sum(c.charge_cents)).group_by(c.payer_key, c.state)
    ):
        line = found.setdefault(key, dict.fromkeys(("claims", "charge", "denied", "rejected"), 0))
        line["claims"] += n
        line["charge"] += int(cents)
        if state in ("denied", "rejected"):
            line[state] += int(cents)
    e = r.ledger_entries.c
    money: dict[tuple[str, str], int] = {}
    for key, account, cents in connection.execute(
        sa.select(c.payer_key, e.account, sa.func.sum(e.cents))
        .join_from(r.ledger_entries, r.claims, e.claim_id == c.claim_id)
        .group_by(c.payer_key, e.account)
    ):
        money[key, account.split(":")[0] if account != "receivable:patient" else "patient"] = money.get(
            (key, account.split(":")[0] if account != "receivable:patient" else "patient"), 0
        ) + int(cents)
    return [
        PayerLine(
            names.get(key, key), line["claims"], line["charge"], money.get((key, "clearing"), 0),
            money.get((key, "adjustment"), 0), money.get((key, "patient"), 0), money.get((key, "receivable"), 0),
            line["denied"], line["rejected"],
        )
        for key, line in sorted(found.items())
    ]  # fmt: skip


def _accounts(connection: sa.Connection) -> list[tuple[str, int]]:
    e = r.ledger_entries.c
    return [
        (a, int(c))
        for a, c in connection.execute(
            sa.select(e.account, sa.func.sum(e.cents)).group_by(e.account).order_by(e.account)
        )
    ]


def _deposits(connection: sa.Connection) -> list[Deposit]:
    d, m = r.deposits.c, r.matches.c
    rows = connection.execute(
        sa.select(d.deposit_date, d.amount_cents, d.trace, m.deposit_id)
        .select_from(r.deposits.outerjoin(r.matches, m.deposit_id == d.deposit_id))
        .order_by(d.deposit_date, d.trace, d.deposit_id)
    )
    return [Deposit(x.deposit_date, x.amount_cents, x.trace, "matched" if x.deposit_id else "suspense") for x in rows]


def _checks(connection: sa.Connection, on: date) -> list[Check]:
    q = r.quality_results.c
    rows = connection.execute(
        sa.select(r.quality_results).where(q.logical_date == on).order_by(q.suite, q.subject, q.ordinal)
    )
    return [Check(x.suite, x.expectation, x.column_name, x.success, x.checked, x.unexpected) for x in rows]

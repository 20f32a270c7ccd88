"""What the register says about a night: the funnel, what there is to do, the money, the files, the quality checks.

Some of it is of the night alone (its visits, what came in, its files, its checks), some of the whole register as it
stands after the night (what there is to do, the books, the payers, the deposits). The reports say which is which.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from datetime import date
from itertools import groupby
from typing import Any

import sqlalchemy as sa

from pipeline import payers
from pipeline.claims import release
from pipeline.deposits import stage as deposits_stage
from pipeline.errors import Terminal
from pipeline.ledger.proof import Proof
from pipeline.money import shown
from pipeline.quality import engine
from pipeline.reports import deadlines, provider_level, words
from pipeline.reports.rejects import rejects
from pipeline.reports.visits import visits
from pipeline.store import Store
from pipeline.store import register as r
from pipeline.wording import counted


@dataclass(frozen=True, slots=True)
class Stage:
    """One step of the funnel: how many visits came so far, and what became of those that did not.

    `cents` are the extract's charges until a visit is coded, and what its claim bills from then on. So the step "Coded"
    also sets aside dollars of visits that go on: services that are never billed (`unbilled_cents`), less what the
    charge master priced where the extract had no charge (`priced_cents`); both are part of `aside_cents`.
    """

    name: str
    count: int
    cents: int
    aside: str = ""
    aside_count: int = 0
    aside_cents: int = 0
    unbilled_cents: int = 0
    priced_cents: int = 0

    @property
    def why(self) -> str:
        """What was set aside and why, in one line; empty where nothing was."""
        parts = [f"{counted(self.aside_count, 'visit')} {self.aside}"] if self.aside_count else []
        if self.unbilled_cents:
            parts.append(f"{shown(self.unbilled_cents)} for services of coded visits that are not billed")
        if self.priced_cents:
            parts.append(f"{shown(self.priced_cents)} added by the charge master")
        if not parts:
            return ""
        return f"−{shown(self.aside_cents)}: {'; '.join(parts)}"


@dataclass(frozen=True, slots=True)
class Intake:
    """An extract that came with the night: visits by what they were, and its charges."""

    name: str
    format: str
    rows: int
    new: int
    changed: int
    known: int
    quarantined: int
    cents: int


@dataclass(frozen=True, slots=True)
class Mail:
    """Files of one kind that came in with the night."""

    kind: str
    files: int
    quarantined: int


@dataclass(frozen=True, slots=True)
class Came:
    """Money of the files that came in with the night."""

    remittances: int
    remitted: int
    held: int
    held_cents: int
    deposits: int
    deposited: int


@dataclass(frozen=True, slots=True)
class ToDo:
    """Open work items of one queue and cause."""

    queue: str
    cause: str
    title: str
    action: str
    count: int
    cents: int
    payer: str
    due_on: date | None


@dataclass(frozen=True, slots=True)
class Item:
    """One open work item."""

    item_id: str
    queue: str
    cause: str
    title: str
    reason: str
    action: str
    payer: str
    claim_id: str
    subject: str
    cents: int
    opened_on: date
    due_on: date | None
    owner: str
    visit: str
    source: str


@dataclass(frozen=True, slots=True)
class SentFile:
    payer: str
    interchange_control: str
    file_id: str
    claims: int
    cents: int
    state: str
    usage: str
    refused: int  # of its claims: those that a TA1 or 999 refused for the form of their file or set


@dataclass(frozen=True, slots=True)
class PayerLine:
    """A payer's claims and their dollars. `earlier`: of `charge`, what payers before it had settled."""

    payer: str
    claims: int
    charge: int
    paid: int
    adjusted: int
    patient: int
    open: int
    denied: int
    rejected: int
    earlier: int


@dataclass(frozen=True, slots=True)
class Check:
    """One expectation: what it finds wrong and how that is mended, in the suite's own words; rows it looked at."""

    says: str
    fix: str
    column: str
    success: bool
    checked: int
    failed: int
    stops: bool


@dataclass(frozen=True, slots=True)
class Suite:
    """The checks after one stage. `stop_above`: the share of failed rows above which the stage stops."""

    name: str
    stop_above: float
    checks: tuple[Check, ...]

    @property
    def rows(self) -> int:
        return max(check.checked for check in self.checks)

    @property
    def passed(self) -> int:
        return sum(check.success for check in self.checks)

    @property
    def worst(self) -> float:
        """The largest share of rows that one check set aside."""
        return max(check.failed / check.checked if check.checked else 0.0 for check in self.checks)

    @property
    def stopped(self) -> bool:
        return any(check.stops for check in self.checks) or self.worst > self.stop_above


@dataclass(frozen=True, slots=True)
class Deposit:
    """`state`: matched, suspense, or not_claims (interest, transfers between own accounts)."""

    on: date
    cents: int
    trace: str
    state: str


@dataclass(frozen=True, slots=True)
class Notice:
    """Warnings of one rule and remedy in this night: things that went on and that a person should know. `says`: their words,
    or those of the first for example where they differ (each may name an amount of its own)."""

    stage: str
    rule: str
    says: str
    fix: str
    count: int


@dataclass(frozen=True, slots=True)
class TieDay:
    """The bank's credits of one day and account against the ledger."""

    on: date
    account: str
    bank: int
    posted: int
    unapplied: int
    in_transit: int
    not_claims: int
    residue: int


@dataclass(frozen=True, slots=True)
class Deadline:
    """Visits of one payer that wait in one place, and the first of the last days of filing."""

    payer: str
    where: str
    past: bool
    soonest: date
    count: int
    cents: int


@dataclass(frozen=True)
class Summary:
    on: date
    visits: int
    charge: int
    funnel: list[Stage]
    states: list[tuple[str, int, int]]
    intakes: list[Intake]
    mail: list[Mail]
    came: Came
    todo: list[ToDo]
    items: list[Item]
    files: list[SentFile]
    payer_lines: list[PayerLine]
    accounts: list[tuple[str, int]]
    deposits: list[Deposit]
    tie: list[TieDay]
    suites: list[Suite]
    proof: Proof
    troubles: list[str]
    rejects: list[str] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
    at_risk: list[deadlines.Waiting] = field(default_factory=list)
    provider_level: list[provider_level.Open] = field(default_factory=list)

    @property
    def deadlines(self) -> list[Deadline]:
        """What is at risk of filing too late, by payer and where it waits: the soonest first, what is past last."""
        groups: dict[tuple[bool, str, str], list[deadlines.Waiting]] = {}
        for x in self.at_risk:
            groups.setdefault((x.days_left < 0, x.payer, x.state), []).append(x)
        found = [
            Deadline(payer, words.STATES[state][0], past, min(x.last_day for x in same), len(same),
                     sum(x.cents for x in same))
            for (past, payer, state), same in groups.items()
        ]  # fmt: skip
        return sorted(found, key=lambda d: (d.past, d.soonest, -d.cents))

    @property
    def residue(self) -> int:
        return self.proof.residue_cents

    @property
    def to_do(self) -> int:
        """How many work items are open, in all queues."""
        return sum(cause.count for cause in self.todo)

    def deposited(self, state: str | None = None) -> int:
        return sum(d.cents for d in self.deposits if state in (None, d.state))

    def families(self) -> list[tuple[str, int]]:
        """The ledger by families of accounts, in the order of a statement."""
        found: dict[str, int] = {}
        for account, cents in self.accounts:
            found[words.family(account)] = found.get(words.family(account), 0) + cents
        order = list(words.ACCOUNTS)
        return sorted(found.items(), key=lambda x: (order.index(x[0]) if x[0] in order else len(order), x[0]))

    def as_dict(self) -> dict[str, Any]:
        return asdict(self) | {"proof": self.proof.as_dict()}


#: the states in which a visit has come at least so far; each step of the funnel is the sum over its states
_SENT = ("sent", "unknown", "received", "accepted", "rejected", "paid", "denied", "reversed")
_ADJUDICATED = ("paid", "denied", "reversed")
_BILLED = ("coded", "held", *r.CLAIM_STATES)
#: a workbook with more rows helps nobody: the items with the most dollars are in it, all are in `claimpipe work list`
ITEMS = 5000
#: bank days whose tie is shown
_TIE_DAYS = 31
_FUNNEL: tuple[tuple[str, frozenset[str], str], ...] = (
    ("Visits in the extract", frozenset({"*"}), ""),
    ("Legible", frozenset({"*"}) - {"quarantined"}, "quarantined: the row cannot be read"),
    (
        "Coded",
        frozenset({"coded", "held", "ready", "batched", *_SENT}),
        "on the coder's list, not billed, or not coded yet",
    ),
    ("Clean", frozenset({"ready", "batched", *_SENT}), "held by an edit, or not scrubbed yet"),
    ("Sent", frozenset(_SENT), "not sent yet"),
    ("Accepted by the payer", frozenset({"accepted", *_ADJUDICATED}), "rejected or not answered"),
    ("Paid", frozenset({"paid"}), "denied, reversed or not decided"),
)


def gather(store: Store, on: date, proof: Proof, troubles: list[str] | None = None) -> Summary:
    """Read the report of one night: visits whose current version came with that night, and what became of them."""
    names = {key: p.name for key, p in payers.load_profiles(store.settings.payers_dir).items()}
    risks = deadlines.at_risk(store, on)
    with store.read() as connection:
        rows = _states(connection, on)
        states = [(row.state, row.count, row.charge) for row in rows]
        deposits = _deposits(connection)
        return Summary(
            on=on,
            visits=sum(n for _, n, _ in states),
            charge=sum(c for _, _, c in states),
            funnel=_funnel(rows),
            states=states,
            intakes=_intakes(connection, on),
            mail=_mail(connection, on),
            came=_came(connection, on),
            todo=_todo(connection, names),
            items=_items(connection, names),
            files=_files(connection, on, names),
            payer_lines=_payer_lines(connection, names),
            accounts=_accounts(connection),
            deposits=deposits,
            tie=_tie(connection, deposits),
            suites=_suites(connection, on),
            proof=proof,
            troubles=troubles or [],
            rejects=rejects(connection, on),
            notices=_notices(connection, on),
            at_risk=[replace(x, payer=names.get(x.payer, x.payer)) for x in risks],
            provider_level=[
                replace(x, payer=names.get(x.payer, x.payer)) for x in provider_level.still_open(connection)
            ],
        )


@dataclass(frozen=True, slots=True)
class _StateRow:
    state: str
    count: int
    charge: int
    billed: int
    unbilled: int
    priced: int

    @property
    def cents(self) -> int:
        return self.billed if self.state in _BILLED else self.charge


def _states(connection: sa.Connection, on: date) -> list[_StateRow]:
    e, c = r.encounters.c, r.claims.c
    state = sa.case((e.state == "claimed", c.state), else_=e.state).label("state")
    sums = [sa.func.sum(column) for column in (e.charge_cents, e.billed_cents, e.unbilled_cents, e.priced_cents)]
    rows = connection.execute(
        sa.select(state, sa.func.count(), *sums)
        .select_from(r.encounters.outerjoin(r.claims, c.claim_id == e.claim_id))
        .where(e.logical_date == on)
        .group_by(state)
    )
    order = [*r.ENCOUNTER_STATES, *r.CLAIM_STATES]
    found = [_StateRow(str(state), int(n), *(int(x or 0) for x in cents)) for state, n, *cents in rows]
    return sorted(found, key=lambda row: order.index(row.state))


def _funnel(rows: list[_StateRow]) -> list[Stage]:
    steps: list[Stage] = []
    for name, members, aside in _FUNNEL:
        if name == "Visits in the extract":
            steps.append(Stage(name, sum(x.count for x in rows), sum(x.charge for x in rows)))
            continue
        here = [x for x in rows if x.state in members or (name == "Legible" and x.state != "quarantined")]
        count = sum(x.count for x in here)
        cents = sum(x.charge for x in here) if name == "Legible" else sum(x.cents for x in here)
        coded = here if name == "Coded" else []
        steps.append(
            Stage(
                name, count, cents, aside, steps[-1].count - count, steps[-1].cents - cents,
                sum(x.unbilled for x in coded), sum(x.priced for x in coded),
            )
        )  # fmt: skip
    return steps


def _intakes(connection: sa.Connection, on: date) -> list[Intake]:
    i = r.imports.c
    rows = connection.execute(sa.select(r.imports).where(i.logical_date == on).order_by(i.name, i.import_id))
    return [
        Intake(
            x.name, x.format, x.rows_read, x.rows_new, x.rows_changed, x.rows_known, x.rows_quarantined, x.charge_cents
        )
        for x in rows
    ]


def _mail(connection: sa.Connection, on: date) -> list[Mail]:
    f = r.files.c
    aside = sa.func.sum(sa.case((f.state == "quarantined", 1), else_=0))
    rows = connection.execute(
        sa.select(f.kind, sa.func.count(), aside)
        .where(f.logical_date == on, f.direction == "in", f.kind != "extract")
        .group_by(f.kind)
    )
    order = list(words.KINDS)
    found = [Mail(kind, int(n), int(bad)) for kind, n, bad in rows]
    return sorted(found, key=lambda x: (order.index(x.kind) if x.kind in order else len(order), x.kind))


def _notices(connection: sa.Connection, on: date) -> list[Notice]:
    f = r.findings.c
    found: dict[tuple[str, str, str], list[str]] = {}
    rows = connection.execute(
        sa.select(f.stage, f.rule, f.message, f.fix)
        .where(f.logical_date == on, f.severity == "warning")
        .order_by(f.stage, f.rule, f.file, f.message, f.finding_id)
    )
    # what is mended in different ways stands apart: two lists that are not loaded are two things to load
    for row in rows:
        found.setdefault((row.stage, row.rule, row.fix), []).append(row.message)
    return [
        Notice(stage, rule, said[0] if len(set(said)) == 1 else f"For example: {said[0]}", fix, len(said))
        for (stage, rule, fix), said in found.items()
    ]


def _came(connection: sa.Connection, on: date) -> Came:
    m, d, f = r.remittances.c, r.deposits.c, r.files.c
    total = {"posted": (0, 0), "held": (0, 0)}
    for state, n, cents in connection.execute(
        sa.select(m.state, sa.func.count(), sa.func.sum(m.amount_cents))
        .join_from(r.remittances, r.files, m.file_id == f.file_id)
        .where(f.logical_date == on)
        .group_by(m.state)
    ):
        total[state] = (int(n), int(cents))
    n, cents = connection.execute(
        sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(d.amount_cents), 0))
        .join_from(r.deposits, r.files, d.file_id == f.file_id)
        .where(f.logical_date == on)
    ).one()
    return Came(*total["posted"], *total["held"], int(n), int(cents))


def _todo(connection: sa.Connection, names: dict[str, str]) -> list[ToDo]:
    w = r.work_items.c
    rows = connection.execute(
        sa.select(w.queue, w.cause, sa.func.min(w.title), sa.func.min(w.action), sa.func.count(), sa.func.sum(w.cents),
                  sa.func.min(w.payer_key), sa.func.count(w.payer_key.distinct()), sa.func.min(w.due_on))
        .where(w.state == "open")
        .group_by(w.queue, w.cause)
    ).all()  # fmt: skip
    found = [
        ToDo(
            q,
            cause,
            title,
            action,
            int(n),
            int(cents or 0),
            "several payers" if several > 1 else names.get(key or "", key or ""),
            due,
        )
        for q, cause, title, action, n, cents, key, several, due in rows
    ]
    return sorted(found, key=lambda x: (-x.cents, -x.count, x.queue, x.cause))


def _items(connection: sa.Connection, names: dict[str, str]) -> list[Item]:
    w = r.work_items.c
    rows = connection.execute(
        sa.select(r.work_items).where(w.state == "open").order_by(w.cents.desc(), w.item_id).limit(ITEMS)
    ).fetchall()
    about = visits(connection, [x._asdict() for x in rows])
    return [
        Item(x.item_id, x.queue, x.cause, x.title, x.reason, x.action, names.get(x.payer_key or "", x.payer_key or ""),
             x.claim_id or "", x.subject, int(x.cents), x.opened_on, x.due_on, x.owner or "",
             *about.get(x.item_id, ("", "")))
        for x in rows
    ]  # fmt: skip


def _files(connection: sa.Connection, on: date, names: dict[str, str]) -> list[SentFile]:
    s, c = r.sendings.c, r.claims.c
    ours = sa.select(s.file_id).where(s.logical_date == on)
    refused: dict[str, int] = dict(
        connection.execute(
            sa.select(c.file_id, sa.func.count())
            .where(c.file_id.in_(ours), release.refused_for_form())
            .group_by(c.file_id)
        )
        .tuples()
        .all()
    )
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
            refused.get(x.file_id, 0),
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
            line["denied"], line["rejected"], money.get((key, "settled"), 0),
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
    """The bank's deposits; one that is matched in part is shown as its parts."""
    d, m = r.deposits.c, r.matches.c
    rows = connection.execute(
        sa.select(d.deposit_id, d.deposit_date, d.amount_cents, d.trace, m.method, m.remittance_id, m.cents)
        .select_from(r.deposits.outerjoin(r.matches, m.deposit_id == d.deposit_id))
        .order_by(d.deposit_date, d.trace, d.deposit_id, m.match_id)
    ).fetchall()
    found = []
    for _, group in groupby(rows, key=lambda row: row.deposit_id):
        parts = list(group)
        first, left = parts[0], parts[0].amount_cents
        for part in parts:
            if part.cents is not None:
                state = "not_claims" if part.remittance_id is None else "matched"
                found.append(Deposit(part.deposit_date, part.cents, part.trace, state))
                left -= part.cents
        if left:
            found.append(Deposit(first.deposit_date, left, first.trace, "suspense"))
    return found


def _tie(connection: sa.Connection, deposits: list[Deposit]) -> list[TieDay]:
    """The tie of the latest days on which the bank showed money, the latest first."""
    days = sorted({d.on for d in deposits}, reverse=True)[:_TIE_DAYS]
    return [
        TieDay(day, x.account, x.bank, x.posted, x.unapplied, x.in_transit, x.not_claims, x.residue)
        for day in days
        for x in deposits_stage.tie(connection, day).lines
    ]


def _suites(connection: sa.Connection, on: date) -> list[Suite]:
    """The night's checks by stage, in the order of the way of the data."""
    q = r.quality_results.c
    rows = connection.execute(
        sa.select(q.suite, q.ordinal, q.expectation, q.column_name, sa.func.min(sa.cast(q.success, sa.Integer)),
                  sa.func.sum(q.checked), sa.func.sum(q.unexpected))
        .where(q.logical_date == on)
        .group_by(q.suite, q.ordinal, q.expectation, q.column_name)
        .order_by(q.suite, q.ordinal)
    )  # fmt: skip
    found: dict[str, list[Check]] = {}
    for suite, ordinal, expectation, column, success, checked, failed in rows:
        meta = _meta(suite, ordinal, expectation)
        says = meta.get("message", f"{expectation} failed on {column}.")
        # a failure that no row can be blamed for stops the stage, and so does one that the suite marks so
        stops = not success and (not failed or not meta.get("aside", True))
        found.setdefault(suite, []).append(
            Check(says, meta.get("fix", ""), column, bool(success), int(checked), int(failed), stops)
        )
    order = list(words.SUITES)
    return [
        Suite(name, _stop_above(name), tuple(found[name]))
        for name in sorted(found, key=lambda n: (order.index(n) if n in order else len(order), n))
    ]


def _meta(suite: str, ordinal: int, expectation: str) -> dict[str, Any]:
    """What the suite says about an expectation. Nothing where the suite has changed since, or is gone."""
    try:
        entry = engine.suite_json(suite)["expectations"][ordinal]
    except (Terminal, IndexError):
        return {}
    meta: dict[str, Any] = entry["meta"] if entry["type"] == expectation else {}
    return meta


def _stop_above(suite: str) -> float:
    try:
        return float(engine.suite_json(suite).get("meta", {}).get("stop_above", 0.5))
    except Terminal:
        return 0.5

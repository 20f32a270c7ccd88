"""The conservation proof: where every visit stands and where every cent is.

Theory. Nothing is taken from a running total. Each line of the proof computes one quantity in two ways that share as little
as they can (what the extract said against what the claims say; the claims against the bytes that were sent; the bytes
that came against the ledger) and states both. The residue is the sum of the absolute differences, so two faults cannot
hide each other; it must be 0.00. What is broken without being an amount (the hash chain of events, an altered archive, a
visit in no state) is told apart and keeps the proof open too.
"""

from __future__ import annotations

import mmap
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

import sqlalchemy as sa

from pipeline.errors import ClaimpipeError
from pipeline.ledger import accounts, posting
from pipeline.ledger.earlier_in_files import earlier_in
from pipeline.ledger.interchanges import interchanges
from pipeline.money import received_cents
from pipeline.store import Store, behind, events, outgoing
from pipeline.store import register as r
from pipeline.wording import counted

#: `remittances.decision_id` of what an older register had posted under one trace twice
BEFORE = "before 0004"


@dataclass(frozen=True, slots=True)
class State:
    """How many visits stand in one state, with their charges. Visits that have a claim are shown by the claim's state."""

    state: str
    count: int
    cents: int


@dataclass(frozen=True, slots=True)
class Line:
    """One quantity computed in two ways, in cents."""

    name: str
    expected: int
    found: int

    @property
    def difference(self) -> int:
        return self.found - self.expected

    def as_dict(self) -> dict[str, Any]:
        return asdict(self) | {"difference": self.difference}


@dataclass(frozen=True)
class Proof:
    """`on` is the date of the visits that were proved; None: all of them."""

    on: date | None
    states: list[State]
    accounts: dict[str, int]
    lines: list[Line]
    broken: list[str]

    @property
    def residue_cents(self) -> int:
        return sum(abs(line.difference) for line in self.lines)

    @property
    def closes(self) -> bool:
        return self.residue_cents == 0 and not self.broken

    def as_dict(self) -> dict[str, Any]:
        return {
            "on": self.on.isoformat() if self.on else None,
            "states": [asdict(state) for state in self.states],
            "accounts": self.accounts,
            "lines": [line.as_dict() for line in self.lines],
            "broken": self.broken,
            "residue_cents": self.residue_cents,
            "closes": self.closes,
        }


def prove(store: Store, on: date | None = None, *, archive: bool = True) -> Proof:
    """Prove the register against itself and against the archive.

    `on` limits the visits that are shown by state to those whose current version came on that date; the books are proved
    as a whole, since money does not keep to dates. `archive=False` leaves out what reads the archived bytes again.
    """
    broken = [*_outgoing(store), *_incoming(store)] if archive else []
    with store.read() as connection:
        states = _states(connection, on, broken)
        lines = [
            *_visits(connection, broken),
            *_claims(connection),
            *_receivables(connection),
            *_remittances(connection),
            *_deposits(connection),
        ]
        if archive:
            lines += _archived(store, connection, broken)
        _decisions(connection, broken)
        broken += [f"The chain of claim events is broken at {place}." for place in events.verify(connection)]
        return Proof(on, states, posting.balances(connection), lines, broken)


def _sum(connection: sa.Connection, column: Any, *where: Any) -> int:
    return int(connection.execute(sa.select(sa.func.coalesce(sa.func.sum(column), 0)).where(*where)).scalar_one())


def _states(connection: sa.Connection, on: date | None, broken: list[str]) -> list[State]:
    e, c = r.encounters.c, r.claims.c
    query = (
        sa.select(e.state, c.state, sa.func.count(), sa.func.sum(e.charge_cents))
        .select_from(r.encounters.outerjoin(r.claims, c.claim_id == e.claim_id))
        .group_by(e.state, c.state)
    )
    if on is not None:
        query = query.where(e.logical_date == on)
    found: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for state, claim_state, count, cents in connection.execute(query):
        name = claim_state if state == "claimed" else state
        if name not in r.ENCOUNTER_STATES + r.CLAIM_STATES or name == "claimed":
            broken.append(
                f"{counted(count, 'visit says that it has', 'visits say that they have')} a claim, and there is none."
            )
            name = "claimed"
        if state not in ("claimed", "cancelled") and claim_state is not None:
            broken.append(
                f"{counted(count, 'visit')} in state {state}: a claim is there as well, in state {claim_state}."
            )
        found[name][0] += count
        found[name][1] += int(cents)
    broken += _versions(connection)
    order = [*r.ENCOUNTER_STATES, *r.CLAIM_STATES]
    return [State(name, *found[name]) for name in order if name in found]


def _versions(connection: sa.Connection) -> Iterator[str]:
    """Claims that no visit speaks for, and visits that an old version speaks for."""
    e, c = r.encounters.c, r.claims.c
    newest = (
        sa.select(c.encounter_key, sa.func.max(c.version).label("version")).group_by(c.encounter_key).subquery("last")
    )
    joined = r.claims.join(newest, c.encounter_key == newest.c.encounter_key).outerjoin(
        r.encounters, e.encounter_key == c.encounter_key
    )
    last = c.version == newest.c.version
    spoken_for = sa.and_(e.claim_id.is_not(None), e.claim_id == c.claim_id)
    for one, many, where in (
        ("claim is of no visit.", "claims are of no visit.", e.encounter_key.is_(None)),
        ("claim is ready, and no visit says so.", "claims are ready, and no visit says so.",
         sa.and_(c.state == "ready", c.frequency != "8", c.file_id.is_(None), ~spoken_for)),
        ("visit is claimed, and not by the newest version.", "visits are claimed, and not by the newest version.",
         sa.and_(last, e.state == "claimed", ~spoken_for)),
        ("claim is not the newest version, and yet its charge stands beside it.",
         "claims are not the newest version, and yet their charge stands beside it.",
         sa.and_(~last, c.closed_on.is_(None), c.file_id.is_not(None), _later_sent(c))),
    ):  # fmt: skip
        count = connection.execute(sa.select(sa.func.count()).select_from(joined).where(where)).scalar_one()
        if count:
            yield counted(count, one, many)


def _later_sent(c: Any) -> sa.ColumnElement[bool]:
    later = r.claims.alias("later")
    return sa.exists().where(
        later.c.encounter_key == c.encounter_key, later.c.version > c.version, later.c.file_id.is_not(None)
    )


def _stands(c: Any) -> sa.ColumnElement[bool]:
    """The version's charge stands: it went into a file, no later one did, and it is no void."""
    return sa.and_(c.file_id.is_not(None), c.closed_on.is_(None), c.frequency != "8")


def _visits(connection: sa.Connection, broken: list[str]) -> Iterator[Line]:
    """Extracts → visits → billed and unbilled."""
    e, i = r.encounters.c, r.imports.c
    columns = (i.rows_read, i.rows_new, i.rows_changed, i.rows_known, i.rows_quarantined)
    read, new, changed, known, aside = (_sum(connection, column) for column in columns)
    if read != new + changed + known + aside:
        broken.append(
            f"Extracts had {counted(read, 'row')}; {new} new, {changed} changed, {known} known, {aside} quarantined."
        )
    yield from _imported(connection, broken)
    coded = e.state.in_(("coded", "held", "claimed"))
    yield Line(
        "charges of coded visits, with what the charge master priced = billed + not billed apart",
        _sum(connection, e.charge_cents + e.priced_cents, coded),
        _sum(connection, e.billed_cents + e.unbilled_cents, coded),
    )


def _imported(connection: sa.Connection, broken: list[str]) -> Iterator[Line]:
    """Extracts against what they brought, and that against the visits as they stand.

    `visit_versions` is append-only, so a version that a later extract superseded still counts for the extract that brought
    it, and a visit that vanished from the register is missed.
    """
    e, i, v = r.encounters.c, r.imports.c, r.visit_versions.c
    versions = (
        sa.select(v.import_id, sa.func.count().label("visits"), sa.func.sum(v.charge_cents).label("cents"))
        .group_by(v.import_id)
        .subquery("versions")
    )
    expected = found = 0
    for row in connection.execute(
        sa.select(r.imports, versions.c.visits, versions.c.cents)
        .select_from(r.imports.outerjoin(versions, versions.c.import_id == i.import_id))
        .order_by(i.import_id)
    ):
        count = int(row.visits or 0)
        if count == row.rows_read:  # wholly new; of any other extract a part was known before, and stands below
            expected += row.charge_cents
            found += int(row.cents or 0)
        elif not row.rows_new <= count <= row.rows_new + row.rows_changed + row.rows_quarantined:
            broken.append(
                f"Extract {row.import_id[:16]} is recorded with {counted(count, 'visit')}, which is not what it brought."
            )
    orphans = connection.execute(
        sa.select(sa.func.count())
        .select_from(r.visit_versions.outerjoin(r.imports, i.import_id == v.import_id))
        .where(i.import_id.is_(None))
    ).scalar_one()
    if orphans:
        broken.append(f"{counted(orphans, 'visit is', 'visits are')} of extracts that the register does not know.")
    yield Line("charges of extracts that were wholly new = charges of the visits that they brought", expected, found)
    newest = (
        sa.select(v.encounter_key, sa.func.max(v.version).label("version")).group_by(v.encounter_key).subquery("newest")
    )
    brought = (
        sa.select(v.encounter_key, v.version, v.charge_cents)
        .join(newest, (newest.c.encounter_key == v.encounter_key) & (newest.c.version == v.version))
        .subquery("brought")
    )
    total = connection.execute(sa.select(sa.func.coalesce(sa.func.sum(brought.c.charge_cents), 0))).scalar_one()
    yield Line("charges of all visits ever brought (newest version) = charges of registered visits", int(total),
               _sum(connection, e.charge_cents))  # fmt: skip
    lost = connection.execute(
        sa.select(sa.func.count())
        .select_from(brought.outerjoin(r.encounters, e.encounter_key == brought.c.encounter_key))
        .where(e.encounter_key.is_(None))
    ).scalar_one()
    if lost:
        broken.append(
            f"{counted(lost, 'visit that extracts brought is', 'visits that extracts brought are')} no longer in the register."
        )
    strange = connection.execute(
        sa.select(sa.func.count())
        .select_from(r.encounters.outerjoin(brought, e.encounter_key == brought.c.encounter_key))
        .where(sa.or_(brought.c.encounter_key.is_(None), brought.c.version != e.version,
                      brought.c.charge_cents != e.charge_cents))
    ).scalar_one()  # fmt: skip
    if strange:
        broken.append(
            f"{counted(strange, 'visit in the register is', 'visits in the register are')} not as brought by extracts."
        )


def _claims(connection: sa.Connection) -> Iterator[Line]:
    """Visits → claims → ledger."""
    e, c = r.encounters.c, r.claims.c
    yield Line(
        "billed by claimed visits = charges of claims",
        _sum(connection, e.billed_cents, e.state == "claimed"),
        _sum(connection, c.charge_cents, c.claim_id == e.claim_id, e.state == "claimed"),
    )
    yield Line(
        "charges of claims that went into a file and stand = income in the ledger",
        _sum(connection, c.charge_cents, _stands(c)),
        -_balance(connection, accounts.INCOME),
    )
    charged = _charged()
    stands = sa.case((_stands(c), c.charge_cents), else_=0)
    off = sa.func.abs(stands - sa.func.coalesce(charged.c.cents, 0))
    each = connection.execute(
        sa.select(sa.func.coalesce(sa.func.sum(off), 0)).select_from(
            r.claims.outerjoin(charged, charged.c.claim_id == c.claim_id)
        )
    ).scalar_one()
    yield Line("each claim's charge is posted once, as billed", 0, int(each))


def _charged() -> sa.Subquery:
    t, e = r.ledger_transactions.c, r.ledger_entries.c
    return (
        sa.select(e.claim_id, sa.func.sum(e.cents).label("cents"))
        .join_from(r.ledger_entries, r.ledger_transactions, t.transaction_id == e.transaction_id)
        .where(t.kind == "charge", sa.or_(_payers_owe(), e.account == accounts.EARLIER_PAYERS))
        .group_by(e.claim_id)
        .subquery("charged")
    )


def _payers_owe() -> sa.ColumnElement[bool]:
    """Entries on what payers owe: the payer that was billed, or the one to which it has sent the claim on."""
    account = r.ledger_entries.c.account
    return sa.or_(account.like("receivable:payer:%"), account == accounts.NEXT_PAYER)


def _balance(connection: sa.Connection, account: str) -> int:
    return _sum(connection, r.ledger_entries.c.cents, r.ledger_entries.c.account == account)


def _family(connection: sa.Connection, prefix: str) -> int:
    return _sum(connection, r.ledger_entries.c.cents, r.ledger_entries.c.account.like(prefix + "%"))


def _receivables(connection: sa.Connection) -> Iterator[Line]:
    """Each claim's receivable, from its charge and its remittances, against the ledger."""
    c, p, e = r.claims.c, r.remittance_claims.c, r.ledger_entries.c
    settled = (
        sa.select(
            p.claim_id,
            sa.func.sum(p.paid_cents + p.adjusted_cents + p.patient_cents).label("moved"),
            sa.func.sum(p.patient_cents).label("patient"),
        )
        .where(p.state == "posted")
        .group_by(p.claim_id)
        .subquery("settled")
    )

    def held(account: Any, name: str) -> sa.Subquery:
        return (
            sa.select(e.claim_id, sa.func.sum(e.cents).label("cents"))
            .where(account, e.claim_id.is_not(None))
            .group_by(e.claim_id)
            .subquery(name)
        )

    receivable = held(_payers_owe(), "receivable")
    patient = held(e.account == accounts.PATIENT, "patient")
    before = held(e.account == accounts.EARLIER_PAYERS, "before")
    charge = sa.case((_stands(c), c.charge_cents), else_=0)
    earlier_part = sa.case((_stands(c), sa.func.coalesce(c.earlier_cents, 0)), else_=0)
    earlier_booked = sa.func.coalesce(before.c.cents, 0)
    expected = charge - earlier_part - sa.func.coalesce(settled.c.moved, 0)
    found = sa.func.coalesce(receivable.c.cents, 0)
    owed, booked = sa.func.coalesce(settled.c.patient, 0), sa.func.coalesce(patient.c.cents, 0)
    row = connection.execute(
        sa.select(
            sa.func.sum(expected), sa.func.sum(found), sa.func.sum(sa.func.abs(expected - found)),
            sa.func.sum(owed), sa.func.sum(booked), sa.func.sum(sa.func.abs(owed - booked)),
            sa.func.sum(earlier_part), sa.func.sum(earlier_booked), sa.func.sum(sa.func.abs(earlier_part - earlier_booked)),
        ).select_from(
            r.claims.outerjoin(settled, settled.c.claim_id == c.claim_id)
            .outerjoin(receivable, receivable.c.claim_id == c.claim_id)
            .outerjoin(patient, patient.c.claim_id == c.claim_id)
            .outerjoin(before, before.c.claim_id == c.claim_id)
        )
    ).one()  # fmt: skip
    values = [int(value or 0) for value in row]
    yield Line("charge − earlier payers − paid − written off − patient = the payers' receivable", values[0], values[1])
    yield Line("the payer's receivable of each claim (sum of differences)", 0, values[2])
    yield Line("group PR of remittances = the patients' receivable", values[3], values[4])
    yield Line("the patient's receivable of each claim (sum of differences)", 0, values[5])
    yield Line("what earlier payers settled of claims = the account", values[6], values[7])
    yield Line("what earlier payers settled of each claim (sum of differences)", 0, values[8])
    yield Line(
        "the payers' receivable of claims = the account as a whole",
        values[1],
        _sum(connection, e.cents, _payers_owe()),
    )
    uneven = connection.execute(
        sa.select(sa.func.coalesce(sa.func.sum(sa.func.abs(sa.literal_column("cents"))), 0)).select_from(
            sa.select(sa.func.sum(e.cents).label("cents")).group_by(e.transaction_id).subquery("sums")
        )
    ).scalar_one()
    yield Line("each ledger transaction sums to 0 (sum of differences)", 0, int(uneven))
    yield Line("all ledger entries sum to 0", 0, _sum(connection, e.cents))


def _remittances(connection: sa.Connection) -> Iterator[Line]:
    """Remittances → clearing, unapplied, written off."""
    m, p, t, e = r.remittances.c, r.remittance_claims.c, r.ledger_transactions.c, r.ledger_entries.c
    amount = _sum(connection, m.amount_cents, m.state == "posted")
    debits = sa.select(sa.func.coalesce(sa.func.sum(e.cents), 0)).join_from(
        r.ledger_entries, r.ledger_transactions, t.transaction_id == e.transaction_id
    )
    cleared = connection.execute(debits.where(t.remittance_id.is_not(None), e.account.like("clearing:%"))).scalar_one()
    yield Line("amounts of posted remittances (BPR02) = debits of clearing", amount, int(cleared))
    posted = (
        sa.select(t.remittance_id, sa.func.sum(e.cents).label("cents"))
        .join_from(r.ledger_entries, r.ledger_transactions, t.transaction_id == e.transaction_id)
        .where(e.account.like("clearing:%"), t.remittance_id.is_not(None))
        .group_by(t.remittance_id)
        .subquery("posted")
    )
    each = connection.execute(
        sa.select(sa.func.sum(sa.func.abs(m.amount_cents - sa.func.coalesce(posted.c.cents, 0))))
        .select_from(r.remittances.outerjoin(posted, posted.c.remittance_id == m.remittance_id))
        .where(m.state == "posted")
    ).scalar()
    yield Line("clearing of each remittance (sum of differences)", 0, int(each or 0))
    yield Line(
        "paid by claims of posted remittances − provider adjustments = their amounts",
        _sum(connection, p.paid_cents)
        - _family(connection, "provider_adjustment:")
        - _balance(connection, accounts.DIFFERENCE),
        amount,
    )
    yield Line(
        "paid by claims that were not found = unapplied",
        _sum(connection, p.paid_cents, p.state == "exception"),
        -_balance(connection, accounts.UNAPPLIED),
    )
    yield Line(
        "written off by remittances = adjustments in the ledger",
        _sum(connection, p.adjusted_cents, p.state == "posted"),
        _family(connection, "adjustment:"),
    )


def _deposits(connection: sa.Connection) -> Iterator[Line]:
    """Deposits = matched + suspense, in the register and in the ledger."""
    d, m, t = r.deposits.c, r.matches.c, r.remittances.c
    deposited = _sum(connection, d.amount_cents)
    yield Line("deposits of the bank's reports = the bank account", deposited, _balance(connection, accounts.BANK))
    matched = _sum(connection, m.cents)
    suspense = -_balance(connection, accounts.SUSPENSE)
    yield Line("deposits = matched + in suspense", deposited, matched + suspense)
    parts = sa.select(m.deposit_id, sa.func.sum(m.cents).label("cents")).group_by(m.deposit_id).subquery("parts")
    of_deposits = sa.select(
        d.deposit_id, (d.amount_cents - sa.func.coalesce(parts.c.cents, 0)).label("left")
    ).select_from(r.deposits.outerjoin(parts, parts.c.deposit_id == d.deposit_id))
    yield Line("deposits without a match = suspense in the ledger", _total(connection, of_deposits), suspense)
    met = (
        sa.select(m.remittance_id, sa.func.sum(m.cents).label("cents"))
        .where(m.remittance_id.is_not(None))
        .group_by(m.remittance_id)
        .subquery("met")
    )
    beyond = sa.select(
        sa.case(
            (sa.and_(met.c.cents >= 0, met.c.cents <= sa.func.coalesce(t.amount_cents, 0)), 0),
            else_=sa.func.abs(met.c.cents - sa.func.coalesce(t.amount_cents, 0)),
        ).label("left")
    ).select_from(met.outerjoin(r.remittances, sa.and_(t.remittance_id == met.c.remittance_id, t.state == "posted")))
    yield Line("deposits matched beyond their remittance (sum)", 0, _total(connection, beyond))
    yield Line(
        "remittances without a deposit = clearing that is open",
        _sum(connection, t.amount_cents, t.state == "posted") - _sum(connection, m.cents, m.remittance_id.is_not(None)),
        _family(connection, "clearing:"),
    )


def _total(connection: sa.Connection, query: sa.Select[Any]) -> int:
    rows = query.subquery("rows_")
    return int(connection.execute(sa.select(sa.func.coalesce(sa.func.sum(rows.c.left), 0))).scalar_one())


def _decisions(connection: sa.Connection, broken: list[str]) -> None:
    """What a person did to money has a decision that says who and why."""
    m, t, d = r.matches.c, r.remittances.c, r.item_decisions.c
    known = set(connection.execute(sa.select(d.decision_id)).scalars())
    by_person = set(connection.execute(sa.select(t.decision_id).where(t.decision_id.not_in(("", BEFORE)))).scalars())
    matched = connection.execute(sa.select(sa.func.count()).where(m.method == "person")).scalar_one()
    decided = connection.execute(sa.select(sa.func.count()).where(d.action.in_(("match", "not-claims")))).scalar_one()
    if by_person - known or matched > decided:
        number = len(by_person - known) + max(matched - decided, 0)
        broken.append(f"{counted(number, 'change to money has', 'changes to money have')} no decision of a person.")


# --- the archive --------------------------------------------------------------------------------------------------------


def _archived(store: Store, connection: sa.Connection, broken: list[str]) -> Iterator[Line]:
    """The bytes that were sent and that came, read again, against the register."""
    s, m, c = r.sendings.c, r.remittances.c, r.claims.c
    carried: dict[str, dict[str, int]] = defaultdict(dict)
    settled: dict[str, dict[str, int]] = defaultdict(dict)
    columns = (c.claim_id, c.charge_cents, c.earlier_cents, c.file_id)
    for row in connection.execute(sa.select(*columns).where(c.file_id.is_not(None))):
        carried[row.file_id][row.claim_id] = row.charge_cents
        if row.earlier_cents is None:  # not found in the lake yet: nothing is posted of it
            settled[row.file_id][row.claim_id] = -1
        elif row.earlier_cents:
            settled[row.file_id][row.claim_id] = row.earlier_cents
    in_files = in_claims = differ = stated = recorded = earlier_in_files = earlier_in_claims = earlier_differ = 0
    for sending in connection.execute(sa.select(s.file_id, s.charge_cents).order_by(s.file_id)):
        data = _bytes(store, sending.file_id, broken)
        if data is None:
            continue
        charges = dict(claims_in(data))
        stated += sum(charges.values())
        recorded += sending.charge_cents
        ours = carried.pop(sending.file_id, {})  # a claim that was sent again belongs to its last file
        parts, known = dict(earlier_in(data)), settled[sending.file_id]
        earlier_in_files += sum(parts.get(claim, 0) for claim in ours if known.get(claim, 0) >= 0)
        earlier_in_claims += sum(cents for cents in known.values() if cents > 0)
        earlier_differ += sum(
            abs(parts.get(claim, 0) - known.get(claim, 0))
            for claim in {*parts, *known} & ours.keys()
            if known.get(claim, 0) >= 0
        )
        in_claims += sum(ours.values())
        in_files += sum(charges.get(claim, 0) for claim in ours)
        differ += sum(abs(cents - charges.get(claim, 0)) for claim, cents in ours.items())
    if carried:
        broken.append(
            f"{counted(len(carried), 'file that carries claims has', 'files that carry claims have')} no sending."
        )
    yield Line("CLM02 in the archived 837 files = charges of the sendings", stated, recorded)
    yield Line("CLM02 of claims in their files = charges of claims", in_files, in_claims)
    yield Line("CLM02 of each claim in its file (sum of differences)", 0, differ)
    yield Line(
        "what claims in their files say that earlier payers settled = of claims", earlier_in_files, earlier_in_claims
    )
    yield Line("what each claim in its file says that earlier payers settled (sum of differences)", 0, earlier_differ)
    amounts = 0
    posted: dict[str, set[int]] = defaultdict(set)
    for taken in connection.execute(sa.select(m.file_id, m.set_number)):
        posted[taken.file_id].add(taken.set_number)
    for file_id, sets in sorted(posted.items()):
        try:
            with store.archive.opened(file_id) as received:  # of any size
                amounts += sum(cents for number, cents in payments_in(received) if number in sets)
        except ClaimpipeError as error:
            broken.append(error.message)
    yield Line("BPR02 of the archived 835 files = amounts of remittances", amounts, _sum(connection, m.amount_cents))
    yield from _statements(store, connection, broken)


def _statements(store: Store, connection: sa.Connection, broken: list[str]) -> Iterator[Line]:
    """The bank's own records again: every file that gave a deposit is there, and holds as much as was taken from it."""
    d = r.deposits.c
    taken = connection.execute(sa.select(d.file_id, sa.func.sum(d.amount_cents)).group_by(d.file_id)).fetchall()
    for file_id, cents in taken:
        data = _bytes(store, file_id, broken)
        if data is not None and details_in(data) < int(cents):
            broken.append(f"Bank file {file_id} holds less than the deposits that were taken from it.")
    return iter(())


def _incoming(store: Store) -> Iterator[str]:
    """The archive's own record of what was received, against the register."""
    missed = len(behind.unknown(store))
    if missed:
        yield (
            f"The archive knows {counted(missed, 'received file')} that the register does not know, and the "
            "register is older: see `claimpipe recover`."
        )


def _outgoing(store: Store) -> Iterator[str]:
    """The archive's own record of what was made and sent, against the register: the other direction of `_archived`."""
    n = r.control_numbers.c
    listing = store.outgoing.listing()
    for gap in behind.gaps(store):
        entry = store.outgoing.read(gap.folder, gap.number)
        what = "which may be with the payer" if gap.placed else "which was not sent"
        yield (
            f"The archive knows interchange {gap.number:09d} for {entry.payer_key} of {entry.logical_date} "
            f"({counted(entry.claim_count, 'claim')}), {what}, and the register is older: see `claimpipe recover`."
        )
    with store.read() as connection:
        rows = connection.execute(sa.select(n.scope, n.number, n.file_id).where(n.scope.like("isa:%")))
        tied = {(outgoing.folder_of(row.scope), row.number): row.file_id for row in rows}
    for (folder, number), placed in sorted(listing.items()):
        try:
            entry = store.outgoing.read(folder, number)
        except ClaimpipeError as error:
            yield error.message
            continue
        ours = tied.get((folder, number))
        if ours is not None and ours != entry.file_id:
            yield f"Interchange {number:09d} for {entry.payer_key} belongs to other bytes in the archive than in the register."
        if placed and not store.archive.has(entry.file_id):
            yield f"The archive has no bytes of interchange {number:09d} for {entry.payer_key}, which was sent."


def _bytes(store: Store, file_id: str, broken: list[str]) -> bytes | None:
    try:
        return store.archive.get(file_id)
    except ClaimpipeError as error:
        broken.append(error.message)
        return None


def _segments(data: bytes | mmap.mmap, *wanted: bytes) -> Iterator[list[bytes]]:
    """Segments of some kinds, cut out of the bytes by the delimiters of their interchange; nothing else of the reader is used."""
    for start, end, element, t in interchanges(data):
        found = re.compile(t + rb"\s*((?:" + b"|".join(wanted) + rb")" + element + rb"[^" + t + rb"]*)")
        separator = data[start + 3 : start + 4]
        for match in found.finditer(data, start, end):
            yield match[1].rstrip().split(separator)


def _cents(elements: list[bytes], place: int) -> int:
    """The amount in an element; 0 where it is none, which then shows as a difference."""
    return (received_cents(elements[place].decode("latin-1")) or 0) if len(elements) > place else 0


def claims_in(data: bytes) -> Iterator[tuple[str, int]]:
    """(CLM01, CLM02 in cents) of an 837, read apart from the project's reader."""
    for elements in _segments(data, b"CLM"):
        yield elements[1].decode("latin-1"), _cents(elements, 2)


def payments_in(data: bytes | mmap.mmap) -> Iterator[tuple[int, int]]:
    """(number of the set in the file, BPR02 in cents) of the 835s of a file, read apart from the project's reader."""
    number, is_835 = 0, False
    for elements in _segments(data, b"ST", b"BPR"):
        if elements[0] == b"ST":
            number += 1
            is_835 = elements[1:2] == [b"835"]
        elif is_835:
            yield number, _cents(elements, 2)
            is_835 = False  # a set has one


_CREDIT = re.compile(rb"^\s*16\s*,\s*([1-3]\d\d)\s*,\s*\+?(\d{1,16})\s*[,/]", re.MULTILINE)


def details_in(data: bytes) -> int:
    """Σ of the 16 records of a BAI2 file, in cents: credits only, and of them none that the bank took back (a minus)."""
    lines = data.replace(b"\r", b"\n") + b"\n"
    return sum(int(found[2]) for found in _CREDIT.finditer(lines))

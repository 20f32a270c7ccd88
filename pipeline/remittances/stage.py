"""Remittances: an 835 is read, balanced, and posted; once, whatever its file is called.

Theory. A payment is known by its payer and its trace; what is said of it, by a hash that leaves the envelope out. Each content
that comes is a row of `remittances`. Of one payment at most one content posts by itself: known content changes nothing, a
content that cannot post (it does not balance, it is not ours, its payer is unknown) is held and gives way to its
correction, and another content of a payment that is posted, be it another date or amount, goes to a person. Each claim
payment (CLP) is one ledger transaction of its own, so the ledger is a sum that does not depend on the order in which files
come. What cannot be placed yet (no such claim, a reversal before its original) is kept as an exception, its money in
`unapplied:remittance`; every run tries the exceptions again, and a settled one leaves the ledger as if it had been placed
at once. Persons release, discard and apply through `decide` by the same posting.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Any

import sqlalchemy as sa

from pipeline import payers, transactions
from pipeline.findings import Finding, has_errors
from pipeline.ledger import accounts, posting
from pipeline.ledger.posting import Entry, Transaction
from pipeline.money import shown
from pipeline.remittances import balance, lines, parts, policy, reading, underpayment
from pipeline.remittances.addressee import Addressee
from pipeline.remittances.reading import Claim, Remittance
from pipeline.store import Store, received
from pipeline.store import register as r
from pipeline.store.events import Move, move_claims
from pipeline.store.filing import last_days
from pipeline.store.store import insert_new, record_findings, update_rows
from pipeline.store.work import WorkItem, close_items, closed_by_person, open_items

STAGE = "remittances"
KINDS = ("835", "mixed")
#: `files.reason` of a mixed file whose acknowledgments have been read already (see acknowledgments.stage)
ACKNOWLEDGMENTS_READ = "acknowledgments read"
_ACKNOWLEDGMENTS = ("TA1.interchanges", "999.sets", "277CA.statuses")
NOT_FOUND, NO_ORIGINAL, UNKNOWN_STATUS, WRONG_SIGN, CHARGE_TOO_HIGH = (
    "claim-not-found", "reversal-without-original", "status-unknown", "sign-wrong", "charge-too-high",
)  # fmt: skip
CONFLICT, UNKNOWN_PAYER, NO_KEY, TEST, DATE, GONE = (
    "835.conflict", "835.payer", "835.key", "835.test", "835.date", "835.payer_gone",
)  # fmt: skip
OVERPOSTED = "overposted"
#: bytes of a file above which it is read part by part, and of files that are in memory together
LARGE, AT_ONCE = 1 << 24, 1 << 26
#: payers date a payment days ahead at the most
FARTHEST_DAYS = 366
#: exceptions that a later file can settle
_RETRIED = (NOT_FOUND, NO_ORIGINAL, CHARGE_TOO_HIGH)
_WORK_DAYS = 5
_CHUNK = 500


@dataclass
class _File:
    """One file, read outside of the register's transaction."""

    file_id: str
    payer_key: str
    logical_date: date
    waits_for_acknowledgments: bool
    remittances: list[Remittance]
    findings: list[Finding]
    balances: dict[int, list[Finding]] = field(default_factory=dict)
    large: bool = False  # its remittances are read again, part by part, when they are recorded
    part: bool = False  # some remittances of a large file; the file itself comes after its parts
    worked: bool = False  # its parts are recorded


@dataclass(slots=True)
class _Known:
    """A content of a payment that the register, or this run, has already."""

    remittance_id: str
    origin: str
    payer_key: str
    content_hash: str
    state: str


@dataclass(slots=True)
class _Payment:
    """A CLP on its way into the ledger, or there already (`claim` is None then)."""

    remittance_id: str
    number: int
    set_number: int
    paid_on: date
    clearing_key: str
    file_id: str
    status: str
    charge: int
    paid: int
    stated_id: str
    payer_claim_number: str
    claim: Claim | None = None
    claim_id: str | None = None
    outcome: str = "other"
    adjusted: int = 0
    patient: int = 0
    state: str = "exception"
    reason: str = ""
    reverses: str = ""
    was_exception: bool = False
    by_person: bool = False  # a person has named its claim
    entries: tuple[Entry, ...] = ()

    @property
    def key(self) -> str:
        return f"{self.remittance_id}/{self.number}"

    @property
    def order(self) -> tuple[date, str, int]:
        return self.paid_on, self.remittance_id, self.number


def run(store: Store, on: date) -> dict[str, int]:
    """Post the remittances that have arrived, and settle earlier exceptions that can be settled now."""
    profiles = payers.load_profiles(store.settings.payers_dir)

    def record(connection: sa.Connection, files: list[_File], counts: dict[str, int]) -> None:
        for file in files:
            if file.large and not has_errors(file.findings):

                def post(remittances: list[Remittance], of: _File = file) -> None:
                    checked = {m.set_number: balance.check(m) for m in remittances}
                    some = replace(of, remittances=remittances, findings=[], balances=checked, part=True)
                    Posting(store, connection, on, profiles, counts).run([some], retry=False)

                parts.read(store, file.file_id, post)
                file.worked = True
        Posting(store, connection, on, profiles, counts).run(files)

    return received.work(
        store, on, STAGE, KINDS, lambda row: _read(store, row), record, unless=READ_MARK, at_once=AT_ONCE
    )


#: what a mixed file's `reason` says when its remittances are posted but its acknowledgments are not read yet
READ_MARK = "remittances read"


def _read(store: Store, row: Any) -> _File:
    if row.size > LARGE:
        return _read_large(store, row)
    result = transactions.read(store.archive.get(row.file_id), file=row.file_id)
    bad = has_errors(result.findings)
    file = _File(
        row.file_id, row.payer_key or "", row.logical_date,
        row.kind == "mixed" and row.reason != ACKNOWLEDGMENTS_READ and any(t in result.tables for t in _ACKNOWLEDGMENTS),
        [] if bad else reading.read(result.tables, row.file_id), result.findings,
    )  # fmt: skip
    file.balances = {m.set_number: balance.check(m) for m in file.remittances}
    return file


def _read_large(store: Store, row: Any) -> _File:
    """Look through the whole file for what forbids to post any of it; keep nothing of it but that."""
    tables: set[str] = set()
    findings = parts.read(store, row.file_id, lambda remittances: None, sets=(), seen=tables.add)
    acknowledges = (
        row.kind == "mixed" and row.reason != ACKNOWLEDGMENTS_READ and any(t in tables for t in _ACKNOWLEDGMENTS)
    )
    return _File(
        row.file_id, row.payer_key or "", row.logical_date, acknowledges, [], findings, large="835.payments" in tables
    )


class Posting:
    """One run within one register transaction."""

    def __init__(
        self, store: Store, connection: sa.Connection, on: date, profiles: Mapping[str, payers.PayerProfile],
        counts: dict[str, int],
    ) -> None:  # fmt: skip
        self.store, self.connection, self.on, self.profiles, self.counts = store, connection, on, profiles, counts
        self.origins = {origin: key for key, p in profiles.items() for origin in p.remittance_origins}
        self.addressee = Addressee(store, connection, profiles)
        billed = connection.execute(sa.select(r.claims.c.payer_key).distinct()).scalars()
        self.gone = sorted(set(billed) - set(profiles))  # payers of claims whose profile is no more
        self.items: list[WorkItem] = []
        self.replaced: list[str] = []  # remittances that gave way in this run
        self.transactions: list[Transaction] = []
        self.closing: dict[str, list[str]] = defaultdict(list)  # reason of closing → subjects

    def run(
        self, files: Sequence[_File], released: Sequence[tuple[Remittance, str]] = (), applied: Mapping[str, str] | None = None, *,
        retry: bool = True,
    ) -> None:  # fmt: skip
        """Post what came; what a person `released` (with its payer's key); and exceptions that a person `applied`: the
        payment's key → our claim. Earlier exceptions are tried again, unless more of the same file follows (`retry`)."""
        accepted = [*self._remittances(files), *released]
        fresh = [
            _Payment(
                remittance.remittance_id, claim.number, remittance.set_number, remittance.payment_date or self.on, key,
                remittance.file_id, claim.status, claim.charge, claim.paid, claim.stated_id, claim.payer_claim_number, claim,
            )
            for remittance, key in accepted
            for claim in remittance.claims
        ]  # fmt: skip
        pending = self._pending(applied or {}) if retry else []
        known = self._claims({p.stated_id for p in fresh} | {p.stated_id for p in pending})
        history = self._history(known)
        settled = self._settle(fresh, pending, known, history)
        for remittance, key in accepted:
            self._provider_adjustments(remittance, key)
            self._difference(remittance, key)
        posted = posting.post(self.connection, self.transactions)
        self.counts["transactions"] += posted
        self._record(fresh, settled)
        self._work(fresh, settled, known)
        self._states([p for p in [*fresh, *settled] if p.state == "posted"], known, history)
        for reason, subjects in self.closing.items():
            for queue in ("remittance", "denial", "underpayment"):
                close_items(self.connection, queue, subjects, reason)
        gone = set(self.replaced)  # what came and gave way in one run was nobody's work
        self.counts["work_items"] += open_items(self.connection, (i for i in self.items if i.subject not in gone))

    # --- files and remittances ---------------------------------------------------------------------------------------

    def _remittances(self, files: Sequence[_File]) -> list[tuple[Remittance, str]]:
        """Sort what came into new, known, held and unusable; returns the new ones to post with their payer's key."""
        known = self._known_remittances(m.trace for file in files for m in file.remittances)
        accepted: list[tuple[Remittance, str]] = []
        marks: list[dict[str, Any]] = []
        rows: list[dict[str, Any]] = []
        findings: list[Finding] = []
        for file in files:
            if not file.part:
                self.counts["files"] += 1
                findings += file.findings
                if has_errors(file.findings) or not (file.remittances or file.worked):
                    marks.append(self._quarantine(file))
                    continue
            for remittance in file.remittances:
                findings += file.balances[remittance.set_number]
                key = self.payer_of(remittance, file.payer_key)
                outcome = self._one(remittance, key, file, known, rows, findings)
                self.counts[f"remittances_{outcome}"] += 1
                if outcome == "posted":
                    accepted.append((remittance, key))
                    self.counts["paid_cents"] += remittance.amount or 0
            if file.part:
                continue
            if file.waits_for_acknowledgments:
                marks.append({"file_id": file.file_id, "state": "archived", "reason": READ_MARK})
            else:
                marks.append({"file_id": file.file_id, "state": "processed", "reason": ""})
        if rows:  # not insert_new: a second posting of one trace must fail, not be left out while its claims are posted
            self.connection.execute(sa.insert(r.remittances), rows)
        gone = [{"remittance_id": identity, "state": "replaced"} for identity in self.replaced]
        update_rows(self.connection, r.remittances, "remittance_id", gone, ["state"])
        update_rows(self.connection, r.files, "file_id", marks, ["state", "reason"])
        record_findings(self.connection, STAGE, self.on, findings)
        return accepted

    def payer_of(self, remittance: Remittance, route: str) -> str:
        """Key of the payer's profile: by the origin, else by the route that the file came by; empty: nobody knows it."""
        return self.origins.get(remittance.origin) or (route if route in self.profiles else "")

    def _one(
        self, remittance: Remittance, key: str, file: _File, known: dict[str, list[_Known]], rows: list[dict[str, Any]],
        findings: list[Finding],
    ) -> str:  # fmt: skip
        """posted, held, known, conflict or unusable."""
        identity = remittance.remittance_id
        missing = [
            name
            for name, value in (
                ("TRN02", _legible(remittance.trace)), ("TRN03", _legible(remittance.origin)), ("BPR16", remittance.payment_date),
                ("BPR02", remittance.amount is not None),
            )
            if not value
        ]  # fmt: skip
        if missing:
            findings.append(
                self._finding(remittance, NO_KEY, f"{', '.join(missing)} missing or illegible: nothing can be matched.")
            )
            self._item(identity, NO_KEY, "A remittance cannot be identified",
                       f"Set {remittance.set_number} of file {file.file_id} lacks {', '.join(missing)}, or holds no text there; it was not posted.",
                       "Ask the payer for a corrected remittance.", remittance.amount or 0, key)  # fmt: skip
            return "unusable"
        family = [k for k in known[remittance.trace] if k.origin == remittance.origin or (key and k.payer_key == key)]
        if any(k.content_hash == remittance.content_hash for k in family):
            return "known"
        reason = self._why_held(remittance, key, file.balances[remittance.set_number], family, findings)
        if reason != CONFLICT:
            self._replace([k for k in family if k.state == "held"])
        state = "held" if reason else "posted"
        known[remittance.trace].append(
            _Known(identity, remittance.origin, key or "unknown", remittance.content_hash, state)
        )
        rows.append(
            {
                "remittance_id": identity, "payer_key": key or "unknown", "origin": remittance.origin,
                "trace": remittance.trace, "amount_cents": remittance.amount, "payment_date": remittance.payment_date,
                "method": remittance.method[:3], "file_id": remittance.file_id, "set_number": remittance.set_number,
                "content_hash": remittance.content_hash, "state": state, "reason": reason, "decision_id": "",
            }
        )  # fmt: skip
        return "conflict" if reason == CONFLICT else state

    def _why_held(
        self, remittance: Remittance, key: str, checked: Sequence[Finding], family: Sequence[_Known], findings: list[Finding]
    ) -> str:  # fmt: skip
        """The rule for which a new content may not post by itself, told as a finding and a work item; empty: it may."""
        where = f"Trace {remittance.trace} of {remittance.payment_date}"
        if any(k.state == "posted" for k in family):
            findings.append(
                self._finding(remittance, CONFLICT, "A payment of this payer and trace is posted already, with other content.")
            )  # fmt: skip
            self._item(remittance.remittance_id, CONFLICT, "The payer sent one payment with two contents",
                       f"{where}: a remittance with its trace is posted already, with another date, amount or content; this one "
                       f"was not posted (file {remittance.file_id}).",
                       "Compare the two and ask the payer which one holds. Discard this one; release it only if it is a payment "
                       "of its own.",
                       remittance.amount or 0, key)  # fmt: skip
            return CONFLICT
        errors = [f for f in checked if f.severity == "error"]
        if errors:
            self._item(remittance.remittance_id, errors[0].rule, "A remittance does not balance",
                       f"{where}: {errors[0].message} {len(errors)} places in all. Nothing of it was posted.",
                       "Ask the payer for a corrected remittance, which replaces this one; the deposit waits in suspense.",
                       remittance.amount or 0, key)  # fmt: skip
            return errors[0].rule
        strange = self.addressee.problem(remittance)
        if strange:
            findings.append(strange)
            self._item(remittance.remittance_id, strange.rule, "A remittance that is not ours",
                       f"{where}: {strange.message} Nothing of it was posted.", strange.fix, remittance.amount or 0, key)  # fmt: skip
            return strange.rule
        if not key:
            findings.append(self._finding(remittance, UNKNOWN_PAYER, "No payer profile has this origin (TRN03)."))
            self._item(remittance.remittance_id, UNKNOWN_PAYER, "A remittance of a payer that is not known",
                       f"{where}: no payer profile names its origin.",
                       "Add the origin to `remittance_origins` of the payer's profile, then release the remittance.",
                       remittance.amount or 0, key)  # fmt: skip
            return UNKNOWN_PAYER
        gone = self._gone(remittance)
        doubts = (
            (GONE, bool(gone), "A remittance pays claims of a payer that has no profile any more",
             f"It pays claims that were sent to {', '.join(gone)}, and no payer profile has that key: a payment of another payer would "
             "be booked as such, and this one may be theirs under a new key.",
             "Give the profile its old key (its file's name) back, then release the remittance. If another payer paid these claims, "
             "release it as it is."),
            (TEST, remittance.usage == "T" and payers.usage(self.profiles[key], self.store.settings.submitter.usage) == "P",
             "A test remittance from a payer in production",
             "The payer marked the remittance as a test (ISA15), and claims go to it for good: no money came with it.",
             "Ask the payer. If the deposit came all the same, release the remittance; else discard it."),
            (DATE, remittance.payment_date is not None and (remittance.payment_date - self.on).days > FARTHEST_DAYS,
             "A remittance whose payment date cannot be right",
             "The payment date (BPR16) lies more than a year ahead.",
             "Ask the payer for the date or a corrected remittance. If the deposit came, release the remittance."),
        )  # fmt: skip
        for rule, holds, title, what, action in doubts:
            if holds:
                findings.append(self._finding(remittance, rule, what))
                self._item(remittance.remittance_id, rule, title, f"{where}: {what} Nothing of it was posted.", action,
                           remittance.amount or 0, key)  # fmt: skip
                return rule
        return ""

    def _gone(self, remittance: Remittance) -> list[str]:
        """The payers without a profile to which claims of the remittance were sent."""
        if not self.gone:
            return []
        k = r.claims.c
        found: set[str] = set()
        for part in _chunks(sorted({claim.stated_id for claim in remittance.claims if claim.stated_id})):
            query = sa.select(k.payer_key).where(k.claim_id.in_(part), k.payer_key.in_(self.gone)).distinct()
            found.update(self.connection.execute(query).scalars())
        return sorted(found)

    def _replace(self, held: Sequence[_Known]) -> None:
        """Held contents give way to a newer one; nothing of them was ever posted."""
        for one in held:
            one.state = "replaced"
            self.closing["replaced by a newer remittance of its trace"].append(one.remittance_id)
            self.counts["remittances_replaced"] += 1
        self.replaced += [one.remittance_id for one in held]

    def _quarantine(self, file: _File) -> dict[str, Any]:
        first = next((f for f in file.findings if f.severity == "error"), None)
        rule = first.rule if first else "835.empty"
        self.items.append(
            WorkItem(
                queue="file", subject=file.file_id, cause=rule, payer_key=file.payer_key or None, opened_on=self.on,
                title="A remittance file cannot be read",
                reason=f"Nothing of it was posted: {first.message if first else 'it holds no remittance.'}",
                action="Ask the payer to send it again.",
            )
        )  # fmt: skip
        self.counts["files_quarantined"] += 1
        return {"file_id": file.file_id, "state": "quarantined", "reason": rule}

    def _finding(self, remittance: Remittance, rule: str, message: str) -> Finding:
        return Finding(
            rule=rule, severity="error", message=message, fix="A person decides; nothing was posted.",
            file=remittance.file_id, segment=remittance.segment, segment_id="ST", subject=remittance.remittance_id,
        )  # fmt: skip

    def _item(
        self, subject: str, cause: str, title: str, reason: str, action: str, cents: int, key: str | None,
        claim_id: str | None = None, reference: str = "", queue: str = "remittance", due: date | None = None,
    ) -> None:  # fmt: skip
        self.items.append(
            WorkItem(
                queue=queue, subject=subject, cause=cause, title=title, reason=reason, action=action, cents=cents,
                payer_key=key or None, claim_id=claim_id, opened_on=self.on, due_on=due, reference=reference,
            )
        )  # fmt: skip

    # --- what the register knows -------------------------------------------------------------------------------------

    def _known_remittances(self, traces: Iterable[str]) -> dict[str, list[_Known]]:
        """Trace → what is known of it, of any payer."""
        columns = r.remittances.c
        found: dict[str, list[_Known]] = defaultdict(list)
        for part in _chunks(sorted({trace for trace in traces if trace})):
            query = sa.select(
                columns.trace, columns.remittance_id, columns.origin, columns.payer_key, columns.content_hash, columns.state
            ).where(columns.trace.in_(part))  # fmt: skip
            for trace, *row in self.connection.execute(query.order_by(columns.remittance_id)):
                found[trace].append(_Known(*row))
        return found

    def _claims(self, ids: Iterable[str]) -> dict[str, Any]:
        """Our claims of these ids, and the other versions of their visits' claims: by id."""
        columns, named = r.claims.c, r.claims.alias("named")
        found: dict[str, Any] = {}
        for part in _chunks(sorted(i for i in ids if i)):
            query = sa.select(
                columns.claim_id, columns.payer_key, columns.charge_cents, columns.service_from, columns.state,
                columns.scrubbed_date, columns.scrubbed_part, columns.encounter_key, columns.version, columns.closed_on,
                columns.guide,
            ).where(
                columns.encounter_key.in_(sa.select(named.c.encounter_key).where(named.c.claim_id.in_(part)))
            )  # fmt: skip
            found |= {row.claim_id: row for row in self.connection.execute(query)}
        return found

    def _stored(self) -> sa.Select[Any]:
        return sa.select(
            r.remittance_claims, r.remittances.c.payment_date, r.remittances.c.payer_key, r.remittances.c.file_id,
            r.remittances.c.set_number,
        ).join_from(r.remittance_claims, r.remittances,
                    r.remittance_claims.c.remittance_id == r.remittances.c.remittance_id)  # fmt: skip

    def _pending(self, applied: Mapping[str, str]) -> list[_Payment]:
        """Exceptions that may be settled now; those that a person applied with the claim that he named."""
        columns = r.remittance_claims.c
        query = self._stored().where(columns.state == "exception", columns.reason.in_(_RETRIED))
        found = sorted((_stored_payment(row) for row in self.connection.execute(query)), key=lambda p: p.order)
        for payment in found:
            if payment.key in applied:
                payment.stated_id, payment.reason, payment.by_person = applied[payment.key], NOT_FOUND, True
        return found

    def _history(self, claim_ids: Iterable[str]) -> dict[str, list[_Payment]]:
        """Claim → its payments that are posted, in their order."""
        found: dict[str, list[_Payment]] = defaultdict(list)
        columns = r.remittance_claims.c
        for part in _chunks(sorted(set(claim_ids))):
            query = self._stored().where(columns.claim_id.in_(part), columns.state == "posted")
            for row in self.connection.execute(query):
                found[row.claim_id].append(_stored_payment(row))
        return found

    # --- posting -----------------------------------------------------------------------------------------------------

    def _settle(
        self, fresh: Sequence[_Payment], pending: Sequence[_Payment], known: Mapping[str, Any],
        history: dict[str, list[_Payment]],
    ) -> list[_Payment]:  # fmt: skip
        """Place every new payment, and the exceptions that can be placed now; returns those exceptions."""
        originals: list[_Payment] = []
        reversals: list[_Payment] = []
        for payment in fresh:
            problem = self._problem(payment, known)
            if problem:
                payment.reason = problem
            else:
                payment.claim_id = payment.stated_id
                (reversals if payment.status == "22" else originals).append(payment)
        found = [p for p in pending if p.reason in (NOT_FOUND, CHARGE_TOO_HIGH) and not self._problem(p, known)]
        waiting = [p for p in pending if p.reason == NO_ORIGINAL]
        self._reread(found)
        for payment in found:
            payment.claim_id = payment.stated_id
            (waiting if payment.status == "22" else originals).append(payment)
        for payment in originals:
            self._place(payment, known[payment.claim_id or ""])
            history[payment.claim_id or ""].append(payment)
        placed = self._reverse([*reversals, *waiting], known, history)
        for payment in reversals:
            if payment.state != "posted":
                payment.reason = NO_ORIGINAL
        for payment in fresh:
            if payment.state == "exception":
                self._keep_unapplied(payment)
        settled = [p for p in found if p.state == "posted"] + [p for p in placed if p.was_exception and p not in found]
        for payment in settled:
            if payment.paid:
                self.transactions.append(self._transaction(payment, "unapplied_settled", _negated(_unapplied(payment))))
        self.counts["exceptions"] += sum(p.state == "exception" for p in fresh)
        self.counts["exceptions_settled"] += len(settled)
        return settled

    def _problem(self, payment: _Payment, known: Mapping[str, Any]) -> str:
        """Why a payment cannot be placed; empty if it can."""
        if payment.status not in policy.STATUSES:
            return UNKNOWN_STATUS
        if (payment.charge > 0) if payment.status == "22" else (payment.charge < 0):
            return WRONG_SIGN
        ours = known.get(payment.stated_id)
        if ours is None:
            return NOT_FOUND
        decided = policy.STATUSES[payment.status] == "processed" and not payment.by_person
        return CHARGE_TOO_HIGH if decided and payment.charge > ours.charge_cents else ""

    def _reread(self, payments: Sequence[_Payment]) -> None:
        """Give exceptions of earlier files their claim back, from the archived bytes."""
        wanted: dict[str, list[_Payment]] = defaultdict(list)
        for payment in payments:
            if payment.claim is None:
                wanted[payment.file_id].append(payment)
        for file_id, of_file in sorted(wanted.items()):
            claims: dict[tuple[int, int], Claim] = {}
            asked = {(payment.set_number, payment.number) for payment in of_file}

            def keep(
                remittances: list[Remittance],
                asked: set[tuple[int, int]] = asked,
                claims: dict[tuple[int, int], Claim] = claims,
            ) -> None:
                for m in remittances:
                    claims.update({(m.set_number, c.number): c for c in m.claims if (m.set_number, c.number) in asked})

            parts.read(self.store, file_id, keep, sets={number for number, _ in asked})
            for payment in of_file:
                payment.claim = claims[payment.set_number, payment.number]

    def _place(self, payment: _Payment, ours: Any) -> None:
        """Post a payment (not a reversal) by the policy of its reasons.

        The payer that we billed settles its own receivable; another payer, to which the claim was sent on, the next payer's.
        """
        claim = payment.claim
        assert claim is not None
        receivable = (
            accounts.receivable(ours.payer_key) if payment.clearing_key == ours.payer_key else accounts.NEXT_PAYER
        )
        sent_on = payment.status in policy.SENT_ON or claim.sent_on
        entries = []
        if payment.paid:
            entries.append(Entry(accounts.clearing(payment.clearing_key), payment.paid, payment.claim_id))
        if policy.STATUSES[payment.status] == "processed":
            for group, reason, cents in claim.adjustments:
                account = policy.account(group, reason, sent_on)
                if account is None or account == receivable or not cents:
                    continue
                entries.append(Entry(account, cents, payment.claim_id, f"{group}-{reason}"))
                if account == accounts.PATIENT:
                    payment.patient += cents
                elif account != accounts.NEXT_PAYER:
                    payment.adjusted += cents
        moved = sum(e.cents for e in entries)
        if entries:
            entries.append(Entry(receivable, -moved, payment.claim_id))
        payment.outcome = policy.outcome(payment.status, payment.paid, claim.adjustments)
        payment.state, payment.reason, payment.entries = "posted", "", tuple(entries)
        self.transactions.append(self._transaction(payment, "payment", payment.entries))
        self.counts["claims_posted"] += 1

    def _reverse(
        self, reversals: Sequence[_Payment], known: Mapping[str, Any], history: dict[str, list[_Payment]]
    ) -> list[_Payment]:  # fmt: skip
        """Undo the payments that reversals take back, entry by entry; returns the reversals that were placed.

        A reversal's original is a posted payment of the same claim and payer with the negated charge and payment, not yet reversed,
        whose posted adjustments the reversal negates under the same group and reason. Payers may name the replacement (its CLP01)
        when they take back what they paid on the version that it replaces: then the payer's number of that payment tells.
        """
        if not reversals:
            return []
        candidates: dict[str, list[_Payment]] = {}
        gone: set[str] = set()
        earlier = _earlier_versions(known)
        for payment in reversals:
            ids = [payment.stated_id, *([] if payment.by_person else earlier.get(payment.stated_id, ()))]
            rows = [p for claim_id in ids for p in history.get(claim_id, ())]
            gone |= {p.reverses for p in rows if p.reverses}
            candidates[payment.key] = sorted(
                (p for p in rows if p.outcome != "reversal"), key=lambda p: (known[p.claim_id or ""].version, p.order)
            )
        hopeful = [p for p in reversals if any(_mirrors(p, o) for o in candidates[p.key] if o.key not in gone)]
        self._reread(hopeful)
        self._load_entries([o for p in hopeful for o in candidates[p.key]])
        placed = []
        for payment in sorted(hopeful, key=lambda p: p.order):
            fits = [
                o
                for o in candidates[payment.key]
                if o.key not in gone and _mirrors(payment, o) and _negates(payment, o)
            ]
            same_number = [o for o in fits if o.payer_claim_number in _references(payment)]
            chosen = same_number or [o for o in fits if o.claim_id == payment.stated_id]
            if not chosen:
                continue
            original = chosen[0]
            gone.add(original.key)
            own = accounts.clearing(payment.clearing_key)
            payment.entries = tuple(
                Entry(own if e.account.startswith("clearing:") else e.account, -e.cents, e.claim_id, e.detail)
                for e in original.entries
            )
            claim_id = original.claim_id or payment.stated_id
            payment.claim_id, payment.state, payment.reason = claim_id, "posted", ""
            payment.outcome, payment.reverses = "reversal", original.key
            payment.adjusted, payment.patient = -original.adjusted, -original.patient
            history[claim_id].append(payment)
            self.transactions.append(self._transaction(payment, "reversal", payment.entries))
            self.closing["the payer took the payment back"].append(original.key)
            self.counts["claims_reversed"] += 1
            placed.append(payment)
        return placed

    def _load_entries(self, payments: Iterable[_Payment]) -> None:
        """The entries that earlier runs posted for payments."""
        wanted = {
            self._transaction(p, "payment", ()).transaction_id: p for p in payments if p.claim is None and not p.entries
        }
        columns = r.ledger_entries.c
        found: dict[str, list[Entry]] = defaultdict(list)
        for part in _chunks(sorted(wanted)):
            query = (
                sa.select(columns.transaction_id, columns.account, columns.cents, columns.claim_id, columns.detail)
                .where(columns.transaction_id.in_(part))
                .order_by(columns.transaction_id, columns.line)
            )
            for row in self.connection.execute(query):
                found[row.transaction_id].append(Entry(row.account, row.cents, row.claim_id, row.detail))
        for identity, payment in wanted.items():
            payment.entries = tuple(found[identity])

    def _keep_unapplied(self, payment: _Payment) -> None:
        """An exception: its money stands apart, so that the remittance balances all the same, and a person is told."""
        if payment.paid:
            self.transactions.append(self._transaction(payment, "unapplied", _unapplied(payment)))
        title, reason, action = _EXCEPTION_WORDS[payment.reason]
        self._item(payment.key, payment.reason, title,
                   f"Claim {payment.number} of remittance {payment.remittance_id}, status {payment.status}, paid "
                   f"{shown(payment.paid)}: {reason} Its money stands unapplied.",
                   action, abs(payment.paid), payment.clearing_key)  # fmt: skip

    def _provider_adjustments(self, remittance: Remittance, key: str) -> None:
        """PLB: each reason has an account of its own; the reference goes with it."""
        entries = []
        for item in remittance.provider:
            if item.cents:
                entries += [
                    Entry(accounts.provider_adjustment(item.reason), item.cents, None, item.reference),
                    Entry(accounts.clearing(key), -item.cents, None, item.reference),
                ]
        if entries:
            self.transactions.append(
                Transaction(self.on, "provider_adjustment", "PLB", tuple(entries), remittance.remittance_id)
            )
            self.counts["provider_adjustments"] += len(entries) // 2

    def _difference(self, remittance: Remittance, key: str) -> None:
        """What a remittance that a person released does not add up to, so that clearing still receives exactly BPR02."""
        difference = balance.difference(remittance)
        if difference:
            entries = (
                Entry(accounts.clearing(key), -difference, None, "BPR02"),
                Entry(accounts.DIFFERENCE, difference, None, "BPR02"),
            )
            self.transactions.append(Transaction(self.on, "difference", "BPR02", entries, remittance.remittance_id))

    def _transaction(self, payment: _Payment, kind: str, entries: tuple[Entry, ...]) -> Transaction:
        return Transaction(self.on, kind, str(payment.number), entries, payment.remittance_id)

    # --- recording ---------------------------------------------------------------------------------------------------

    def _record(self, fresh: Sequence[_Payment], settled: Sequence[_Payment]) -> None:
        rows = [
            {
                "remittance_id": p.remittance_id, "claim_number": p.number, "claim_id_stated": p.stated_id,
                "claim_id": p.claim_id, "status": p.status[:2], "charge_cents": p.charge, "paid_cents": p.paid,
                "adjusted_cents": p.adjusted, "patient_cents": p.patient, "payer_claim_number": p.payer_claim_number,
                "outcome": p.outcome, "reverses": p.reverses, "state": p.state, "reason": p.reason,
            }
            for p in fresh
        ]  # fmt: skip
        insert_new(self.connection, r.remittance_claims, rows)
        if settled:
            columns = r.remittance_claims.c
            names = ("claim_id", "adjusted_cents", "patient_cents", "outcome", "reverses", "state", "reason")
            self.connection.execute(
                sa.update(r.remittance_claims)
                .where(columns.remittance_id == sa.bindparam("b_id"), columns.claim_number == sa.bindparam("b_number"))
                .values({name: sa.bindparam(f"b_{name}") for name in names}),
                [
                    {
                        "b_id": p.remittance_id, "b_number": p.number, "b_claim_id": p.claim_id,
                        "b_adjusted_cents": p.adjusted, "b_patient_cents": p.patient, "b_outcome": p.outcome,
                        "b_reverses": p.reverses, "b_state": p.state, "b_reason": p.reason,
                    }
                    for p in settled
                ],
            )  # fmt: skip
            self.closing["settled by a later file"] += [p.key for p in settled]

    def _states(
        self, posted: Sequence[_Payment], known: Mapping[str, Any], history: Mapping[str, list[_Payment]]
    ) -> None:
        moves, adjudicated = [], []
        for payment in sorted(posted, key=lambda p: p.order):
            claim_id = payment.claim_id or ""
            state = standing(history[claim_id]) or known[claim_id].state
            detail = f"{payment.key}{' ' + payment.outcome if payment.outcome != 'other' else ''}"
            moves.append(Move(claim_id, f"835 {payment.status}", state, payment.file_id, detail))
            self.counts[f"payments_{payment.outcome}"] += 1
            if known[claim_id].state == "rejected" and state != "rejected":
                adjudicated.append(claim_id)
        move_claims(self.connection, self.on, moves)
        close_items(self.connection, "rejection", sorted(set(adjudicated)), "adjudicated by the payer after all")

    # --- work --------------------------------------------------------------------------------------------------------

    def _work(self, fresh: Sequence[_Payment], settled: Sequence[_Payment], known: Mapping[str, Any]) -> None:
        taken_back = {key for keys in self.closing.values() for key in keys} - {p.key for p in settled}
        placed = [p for p in [*fresh, *settled] if p.state == "posted" and p.outcome != "reversal"]
        standing_payments = [p for p in placed if p.key not in taken_back]
        anew = [p for p in standing_payments if p.claim and policy.asks_for_a_new_claim(p.claim.all_remarks())]
        filing = last_days(self.store, [known[p.claim_id or ""] for p in anew], self.profiles)
        for payment in standing_payments:
            self._denials(payment, known[payment.claim_id or ""], filing)
        self._charges(standing_payments, known)
        self._line_problems(standing_payments, known)
        self._underpayments(standing_payments, known)
        self._overposted([p for p in [*fresh, *settled] if p.claim_id], known)

    def _denials(self, payment: _Payment, ours: Any, filing: Mapping[str, date]) -> None:
        claim = payment.claim
        assert claim is not None
        status = policy.STATUSES[payment.status]
        if status != "processed":
            self._special(payment, status, claim)
            return
        denied = [a for a in claim.adjustments if a[2] > 0 and policy.is_denial(a[0], a[1])]
        review = [a for a in claim.adjustments if a[2] and policy.kind(a[0], a[1]) == "review"]
        if payment.clearing_key != ours.payer_key:
            review = [a for a in review if (a[0], a[1]) != policy.EARLIER_PAYER]
        if denied:
            self._denial(payment, denied, ours, filing)
        if review:
            group, number, _ = max(review, key=lambda a: (abs(a[2]), a[0], a[1]))
            reason, action, _ = policy.denial_words(review, ())
            self._item(payment.key, f"{group}-{number}", f"To be looked at: {policy.reason(number).meaning}",
                       f"{reason} It is neither written off nor billed to the patient.", action,
                       abs(sum(a[2] for a in review)), ours.payer_key, payment.claim_id)  # fmt: skip

    def _charges(self, payments: Sequence[_Payment], known: Mapping[str, Any]) -> None:
        """Claims whose payer decided less than we billed. A payer may split a claim over several CLP of one remittance."""
        decided: dict[tuple[str, str], list[_Payment]] = defaultdict(list)
        for payment in payments:
            if policy.STATUSES[payment.status] == "processed":
                decided[payment.remittance_id, payment.claim_id or ""].append(payment)
        for (_, claim_id), pieces in decided.items():
            ours = known[claim_id]
            missing = ours.charge_cents - sum(p.charge for p in pieces)
            if missing > 0:
                first = min(pieces, key=lambda p: p.number)
                self._item(first.key, "charge-too-low", "The payer decided a smaller charge than we billed",
                           f"Claim {first.number} of remittance {first.remittance_id}: the payer's charge (CLP03) is "
                           f"{shown(missing)} less than the claim's. Its money is posted; the rest stays in the receivable.",
                           "Look for lines that the payer has lost or will decide apart; ask the payer.",
                           missing, first.clearing_key, claim_id)  # fmt: skip
                self.counts["charge_too_low"] += 1

    def _denial(
        self, payment: _Payment, denied: list[tuple[str, str, int]], ours: Any, filing: Mapping[str, date]
    ) -> None:  # fmt: skip
        claim = payment.claim
        assert claim is not None
        group, number, _ = max(denied, key=lambda a: (a[2], a[0], a[1]))
        reason, action, effect = policy.denial_words(denied, claim.all_remarks())
        terms = self.profiles[ours.payer_key].claims if ours.payer_key in self.profiles else None
        due = None
        if terms is not None:
            again = effect == "resubmit"
            due = filing.get(ours.claim_id) if again else payment.paid_on + timedelta(days=terms.appeal_days)
        self._item(payment.key, f"{group}-{number}", f"Denied: {policy.reason(number).meaning}", reason, action,
                   sum(a[2] for a in denied), ours.payer_key, payment.claim_id, queue="denial", due=due)  # fmt: skip
        self.counts["denials"] += 1
        self.counts["denied_cents"] += sum(a[2] for a in denied)

    def _special(self, payment: _Payment, status: str, claim: Claim) -> None:
        title, action, queue = _SPECIAL_WORDS[status]
        reason, _, _ = policy.denial_words(claim.adjustments, claim.all_remarks())
        self._item(payment.key, f"status-{payment.status}", title, f"CLP02 is {payment.status}. {reason}", action,
                   payment.charge, payment.clearing_key, payment.claim_id, queue=queue)  # fmt: skip

    def _line_problems(self, payments: Sequence[_Payment], known: Mapping[str, Any]) -> None:
        checked = [p for p in payments if p.claim and p.claim.lines and policy.STATUSES[p.status] == "processed"]
        ours = self._our_lines([known[p.claim_id or ""] for p in checked])
        for payment in checked:
            mine = ours.get(payment.claim_id or "")
            if mine is None or payment.claim is None:
                continue
            by_problem: dict[str, list[int]] = defaultdict(list)
            for number, problem in lines.problems(payment.claim.lines, mine):
                by_problem[problem].append(number)
            for problem, numbers in by_problem.items():
                title, action = _LINE_WORDS[problem]
                self.counts[problem.replace("-", "_")] += len(numbers)
                paid = sum(line.paid for line in payment.claim.lines if line.number in numbers)
                self._item(payment.key, problem, title,
                           f"Lines {', '.join(map(str, numbers))} of claim {payment.number} in remittance "
                           f"{payment.remittance_id}. The claim's money is posted.",
                           action, paid, payment.clearing_key, payment.claim_id)  # fmt: skip

    def _underpayments(self, payments: Sequence[_Payment], known: Mapping[str, Any]) -> None:
        """One item for each payment that allowed less than the contract says."""
        asked = [(p.claim, known[p.claim_id or ""]) for p in payments if p.claim and p.status in underpayment.PRIMARY]
        by_claim = {id(p.claim): p for p in payments}
        for short in underpayment.find(self.store, asked, self.profiles):
            payment = by_claim[id(short.claim)]
            ours = known[payment.claim_id or ""]
            terms = self.profiles[ours.payer_key].claims
            self._item(payment.key, "underpaid", "The payer allowed less than its contract says", short.reason,
                       "Compare the payment with the contract; ask the payer for the rest, or correct the contract's row.",
                       short.cents, ours.payer_key, payment.claim_id, queue="underpayment",
                       due=payment.paid_on + timedelta(days=terms.appeal_days))  # fmt: skip
            self.counts["underpayments"] += 1
            self.counts["underpaid_cents"] += short.cents

    def _our_lines(self, claims: Sequence[Any]) -> dict[str, list[lines.OurLine]]:
        """Claim → its lines as they were sent, from the lake."""
        parts: dict[tuple[date, str], list[str]] = defaultdict(list)
        for claim in claims:
            parts[claim.scrubbed_date, claim.scrubbed_part].append(claim.claim_id)
        found: dict[str, list[lines.OurLine]] = defaultdict(list)
        names = ["claim_id", "line_control_number", "procedure", "revenue_code", "modifier1", "modifier2", "modifier3",
                 "modifier4", "service_date"]  # fmt: skip
        for (day, part), ids in sorted(parts.items()):
            table = self.store.lake.read("scrubbed_lines", day, part, where=("claim_id", sorted(set(ids))))
            for claim_id, control, procedure, revenue, m1, m2, m3, m4, served in zip(
                *(table.column(name).to_pylist() for name in names), strict=True
            ):
                modifiers = tuple(m for m in (m1, m2, m3, m4) if m)
                found[claim_id].append(lines.OurLine(control, procedure or revenue, modifiers, served))
        return found

    def _overposted(self, changed: Sequence[_Payment], known: Mapping[str, Any]) -> None:
        """A visit whose payer has settled more than was charged: a credit that somebody must look at.

        Judged over all versions of the visit's claim, payer by payer: what a payer paid late on a version that was replaced is
        covered by the charge of its replacement until that one is paid as well, and the payer's reversal of the first one then makes
        it level. What a person has closed stays closed until more money comes.
        """
        families: dict[str, list[str]] = defaultdict(list)
        for claim_id, row in sorted(known.items(), key=lambda item: item[1].version):
            families[row.encounter_key].append(claim_id)
        visits = sorted({known[p.claim_id].encounter_key for p in changed if p.claim_id})
        if not visits:
            return
        balances = posting.claim_balances(self.connection, sorted(i for visit in visits for i in families[visit]))
        newest: dict[str, str] = {}  # visit → the latest payment that came in this run
        for payment in sorted(changed, key=lambda p: p.order):
            if payment.claim_id and payment.entries and payment.outcome != "reversal":
                newest[known[payment.claim_id].encounter_key] = payment.key
        items: dict[str, WorkItem] = {}
        for visit in visits:
            owed: dict[str, int] = defaultdict(int)
            for claim_id in families[visit]:
                for account, cents in balances.get(claim_id, {}).items():
                    if account == accounts.NEXT_PAYER or account.startswith("receivable:payer:"):
                        owed[account] += cents
            left = sum(min(cents, 0) for cents in owed.values())
            if left < 0:
                items[visit] = self._credit([i for i in families[visit] if i in balances], left, known)
        self.counts["overposted"] += len(items)
        settled = closed_by_person(self.connection, [item.item_id for item in items.values()])
        for visit, item in items.items():
            if item.item_id in settled and visit in newest:
                items[visit] = replace(item, reference=f"{item.reference} {newest[visit]}")
        self.items += items.values()
        subjects = [claim_id for visit in visits for claim_id in families[visit]]
        close_items(
            self.connection, "remittance", subjects, "the receivable is no longer overdrawn by this amount",
            cause=OVERPOSTED, but=[item.item_id for item in items.values()],
        )  # fmt: skip

    def _credit(self, versions: Sequence[str], left: int, known: Mapping[str, Any]) -> WorkItem:
        """`versions`: those of the visit that stand in the ledger, oldest first."""
        which = f" (versions {', '.join(versions)})" if len(versions) > 1 else ""
        replaced = any(known[claim_id].closed_on for claim_id in versions)
        due = " A version that was paid has been replaced or voided: its reversal is due." if replaced else ""
        return WorkItem(
            queue="remittance", subject=versions[0], cause=OVERPOSTED, title="More was settled than was charged",
            reason=f"What payers owe on the claim{which} stands at {shown(left)}: payments, write-offs and the patient's "
                   f"share are more than the charge.{due}",
            action="Look for a payment that came twice or a reversal that is missing; refund what is not ours.",
            cents=-left, payer_key=known[versions[-1]].payer_key, claim_id=versions[-1], opened_on=self.on, reference=str(-left),
        )  # fmt: skip


def standing(payments: Sequence[_Payment]) -> str | None:
    """The claim's state by all its posted payments, whatever their order of arrival; None where they decide nothing.

    The payments that are not taken back decide: paid if any of the latest date paid, else denied. If all of them were
    taken back, the claim is reversed.
    """
    undone = {p.reverses for p in payments if p.reverses}
    decided = [p for p in payments if p.outcome in ("paid", "denied")]
    left = [p for p in decided if p.key not in undone]
    if left:
        latest = max(p.paid_on for p in left)
        return "paid" if any(p.outcome == "paid" for p in left if p.paid_on == latest) else "denied"
    return "reversed" if decided else None


def _legible(key: str) -> str:
    """A number that a payment is known by, or nothing: with a control character in it the file was damaged on its way, and what
    is known already would look like another payment."""
    return key if key.isascii() and key.isprintable() else ""


def _stored_payment(row: Any) -> _Payment:
    return _Payment(
        row.remittance_id, row.claim_number, row.set_number, row.payment_date, row.payer_key, row.file_id, row.status, row.charge_cents,
        row.paid_cents, row.claim_id_stated, row.payer_claim_number, None, row.claim_id, row.outcome, row.adjusted_cents,
        row.patient_cents, row.state, row.reason, row.reverses, row.state == "exception",
    )  # fmt: skip


def _unapplied(payment: _Payment) -> tuple[Entry, ...]:
    return (
        Entry(accounts.clearing(payment.clearing_key), payment.paid),
        Entry(accounts.UNAPPLIED, -payment.paid),
    )


def _earlier_versions(known: Mapping[str, Any]) -> dict[str, list[str]]:
    """Claim → the versions of its visit's claim that came before it."""
    visits: dict[str, list[str]] = defaultdict(list)
    for claim_id, row in sorted(known.items(), key=lambda item: item[1].version):
        visits[row.encounter_key].append(claim_id)
    return {claim_id: ids[:n] for ids in visits.values() for n, claim_id in enumerate(ids) if n}


def _negated(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    return tuple(Entry(e.account, -e.cents, e.claim_id, e.detail) for e in entries)


def _mirrors(reversal: _Payment, original: _Payment) -> bool:
    same_payer = original.clearing_key == reversal.clearing_key
    return same_payer and original.charge == -reversal.charge and original.paid == -reversal.paid


def _negates(reversal: _Payment, original: _Payment) -> bool:
    """Does the reversal state, under the same groups and reasons, the negative of what the original posted?"""
    assert reversal.claim is not None
    stated = {f"{group}-{reason}": cents for group, reason, cents in reversal.claim.adjustments}
    return all(stated.get(e.detail) == -e.cents for e in original.entries if e.detail)


def _references(payment: _Payment) -> set[str]:
    numbers = {payment.payer_claim_number}
    if payment.claim is not None:
        numbers.add(payment.claim.original_reference)
    return numbers - {""}


_EXCEPTION_WORDS = {
    NOT_FOUND: ("A payment for a claim that we do not have", "its claim number (CLP01) is none of ours.",
                "Find the claim by the payer's number, or tell the payer that it is not ours."),
    NO_ORIGINAL: ("A reversal without its original", "no posted payment of the claim has these amounts, and none of an earlier version under the payer's number.",
                  "Nothing, if the original is still to come; else ask the payer what it takes back."),
    UNKNOWN_STATUS: ("A claim status that the guide does not know", "its status code has no meaning in version 5010.",
                     "Ask the payer what it means."),
    CHARGE_TOO_HIGH: ("The payer decided a larger charge than we billed", "its charge (CLP03) is more than the claim's.",
                      "Compare it with the claim: if the payment is ours, apply it to the claim; else ask the payer to take it back."),
    WRONG_SIGN: ("A claim payment with the wrong sign", "a reversal must be negative and a payment positive.",
                 "Ask the payer for a corrected remittance."),
}  # fmt: skip
_SPECIAL_WORDS = {
    "not_recognised": ("The payer does not know the patient", "Check the member id and the cover, and send it again.", "denial"),
    "forwarded": ("Not this payer's claim; sent on", "Wait for the other payer.", "remittance"),
    "predetermination": ("A forecast, not a payment", "Nothing is owed on it.", "remittance"),
}  # fmt: skip
_LINE_WORDS = {
    "line-not-found": ("A remittance line that matches none of ours", "Match it by hand; ask the payer for REF*6R."),
    "code-mismatch": ("The payer decided another procedure than we sent", "Compare the codes; appeal if the change is wrong."),
}  # fmt: skip


def _chunks(items: Sequence[str]) -> Iterable[Sequence[str]]:
    for start in range(0, len(items), _CHUNK):
        yield items[start : start + _CHUNK]

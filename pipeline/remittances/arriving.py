"""Which of the remittances that came may post by themselves.

A payment is known by its payer and its trace; what is said of it, by a hash that leaves the envelope out. Of one payment at most
one content posts by itself: known content changes nothing, a content that cannot post (it does not balance, it is not ours, its
payer is unknown) is held and gives way to its correction, and another content of a payment that is posted, be it another date
or amount, goes to a person.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import sqlalchemy as sa

from pipeline import payers
from pipeline.findings import Finding, has_errors
from pipeline.remittances.addressee import Addressee
from pipeline.remittances.context import Run
from pipeline.remittances.reading import Remittance
from pipeline.store import register as r
from pipeline.store.store import chunks, record_findings, update_rows
from pipeline.store.work import WorkItem

STAGE = "remittances"
#: what a mixed file's `reason` says when its remittances are posted but its acknowledgments are not read yet
READ_MARK = "remittances read"
CONFLICT, UNKNOWN_PAYER, NO_KEY, TEST, DATE, GONE = (
    "835.conflict", "835.payer", "835.key", "835.test", "835.date", "835.payer_gone",
)  # fmt: skip
#: titles of what `balance` finds and is no sum that is off
_HELD = {
    "835.amount": "A remittance with an amount that cannot be posted",
    "835.plb": "A remittance with a provider adjustment that the guide does not know",
}
#: payers date a payment days ahead at the most
FARTHEST_DAYS = 366


@dataclass
class File:
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
class Known:
    """A content of a payment that the register, or this run, has already."""

    remittance_id: str
    origin: str
    payer_key: str
    content_hash: str
    state: str


class Arrivals:
    """Files → the remittances of them that post, with their payer's key."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.origins = {origin: key for key, p in run.profiles.items() for origin in p.remittance_origins}
        self.addressee = Addressee(run.store, run.connection, run.profiles)
        billed = run.connection.execute(sa.select(r.claims.c.payer_key).distinct()).scalars()
        self.gone = sorted(set(billed) - set(run.profiles))  # payers of claims whose profile is no more

    def payer_of(self, remittance: Remittance, route: str) -> str:
        """Key of the payer's profile: by the origin, else by the route that the file came by; empty: nobody knows it."""
        return self.origins.get(remittance.origin) or (route if route in self.run.profiles else "")

    def sort(self, files: Sequence[File]) -> list[tuple[Remittance, str]]:
        """Sort what came into new, known, held and unusable; returns the new ones to post with their payer's key."""
        known = self._known_remittances(m.trace for file in files for m in file.remittances)
        accepted: list[tuple[Remittance, str]] = []
        marks: list[dict[str, Any]] = []
        rows: list[dict[str, Any]] = []
        findings: list[Finding] = []
        for file in files:
            if not file.part:
                self.run.counts["files"] += 1
                findings += file.findings
                if has_errors(file.findings) or not (file.remittances or file.worked):
                    marks.append(self._quarantine(file))
                    continue
            for remittance in file.remittances:
                findings += file.balances[remittance.set_number]
                key = self.payer_of(remittance, file.payer_key)
                outcome = self._one(remittance, key, file, known, rows, findings)
                self.run.counts[f"remittances_{outcome}"] += 1
                if outcome == "posted":
                    accepted.append((remittance, key))
                    self.run.counts["paid_cents"] += remittance.amount or 0
            if file.part:
                continue
            if file.waits_for_acknowledgments:
                marks.append({"file_id": file.file_id, "state": "archived", "reason": READ_MARK})
            else:
                marks.append({"file_id": file.file_id, "state": "processed", "reason": ""})
        if rows:  # not insert_new: a second posting of one trace must fail, not be left out while its claims are posted
            self.run.connection.execute(sa.insert(r.remittances), rows)
        gone = [{"remittance_id": identity, "state": "replaced"} for identity in self.run.replaced]
        update_rows(self.run.connection, r.remittances, "remittance_id", gone, ["state"])
        update_rows(self.run.connection, r.files, "file_id", marks, ["state", "reason"])
        record_findings(self.run.connection, STAGE, self.run.on, findings)
        return accepted

    def _one(
        self, remittance: Remittance, key: str, file: File, known: dict[str, list[Known]], rows: list[dict[str, Any]],
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
            self.run.item(identity, NO_KEY, "A remittance cannot be identified",
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
            Known(identity, remittance.origin, key or "unknown", remittance.content_hash, state)
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
        self, remittance: Remittance, key: str, checked: Sequence[Finding], family: Sequence[Known], findings: list[Finding]
    ) -> str:  # fmt: skip
        """The rule for which a new content may not post by itself, told as a finding and a work item; empty: it may."""
        where = f"Trace {remittance.trace} of {remittance.payment_date}"
        if any(k.state == "posted" for k in family):
            findings.append(
                self._finding(remittance, CONFLICT, "A payment of this payer and trace is posted already, with other content.")
            )  # fmt: skip
            self.run.item(remittance.remittance_id, CONFLICT, "The payer sent one payment with two contents",
                       f"{where}: a remittance with its trace is posted already, with another date, amount or content; this one "
                       f"was not posted (file {remittance.file_id}).",
                       "Compare the two and ask the payer which one holds. Discard this one; release it only if it is a payment "
                       "of its own.",
                       remittance.amount or 0, key)  # fmt: skip
            return CONFLICT
        errors = [f for f in checked if f.severity == "error"]
        if errors:
            more = f" It is one of {len(errors)} places." if len(errors) > 1 else ""
            self.run.item(remittance.remittance_id, errors[0].rule, _HELD.get(errors[0].rule, "A remittance does not balance"),
                       f"{where}: {errors[0].message}{more} Nothing of it was posted.",
                       "Ask the payer for a corrected remittance, which replaces this one; the deposit waits in suspense.",
                       remittance.amount or 0, key)  # fmt: skip
            return errors[0].rule
        strange = self.addressee.problem(remittance)
        if strange:
            findings.append(strange)
            self.run.item(remittance.remittance_id, strange.rule, "A remittance that is not ours",
                       f"{where}: {strange.message} Nothing of it was posted.", strange.fix, remittance.amount or 0, key)  # fmt: skip
            return strange.rule
        if not key:
            findings.append(self._finding(remittance, UNKNOWN_PAYER, "No payer profile has this origin (TRN03)."))
            self.run.item(remittance.remittance_id, UNKNOWN_PAYER, "A remittance of a payer that is not known",
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
            (TEST, remittance.usage == "T" and payers.usage(self.run.profiles[key], self.run.store.settings.submitter.usage) == "P",
             "A test remittance from a payer in production",
             "The payer marked the remittance as a test (ISA15), and claims go to it for good: no money came with it.",
             "Ask the payer. If the deposit came all the same, release the remittance; else discard it."),
            (DATE, remittance.payment_date is not None and (remittance.payment_date - self.run.on).days > FARTHEST_DAYS,
             "A remittance whose payment date cannot be right",
             "The payment date (BPR16) lies more than a year ahead.",
             "Ask the payer for the date or a corrected remittance. If the deposit came, release the remittance."),
        )  # fmt: skip
        for rule, holds, title, what, action in doubts:
            if holds:
                findings.append(self._finding(remittance, rule, what))
                self.run.item(remittance.remittance_id, rule, title, f"{where}: {what} Nothing of it was posted.", action,
                           remittance.amount or 0, key)  # fmt: skip
                return rule
        return ""

    def _gone(self, remittance: Remittance) -> list[str]:
        """The payers without a profile to which claims of the remittance were sent."""
        if not self.gone:
            return []
        k = r.claims.c
        found: set[str] = set()
        for part in chunks(sorted({claim.stated_id for claim in remittance.claims if claim.stated_id})):
            query = sa.select(k.payer_key).where(k.claim_id.in_(part), k.payer_key.in_(self.gone)).distinct()
            found.update(self.run.connection.execute(query).scalars())
        return sorted(found)

    def _replace(self, held: Sequence[Known]) -> None:
        """Held contents give way to a newer one; nothing of them was ever posted."""
        for one in held:
            one.state = "replaced"
            self.run.closing["replaced by a newer remittance of its trace"].append(one.remittance_id)
            self.run.counts["remittances_replaced"] += 1
        self.run.replaced += [one.remittance_id for one in held]

    def _quarantine(self, file: File) -> dict[str, Any]:
        first = next((f for f in file.findings if f.severity == "error"), None)
        rule = first.rule if first else "835.empty"
        self.run.items.append(
            WorkItem(
                queue="file", subject=file.file_id, cause=rule, payer_key=file.payer_key or None, opened_on=self.run.on,
                title="A remittance file cannot be read",
                reason=f"Nothing of it was posted: {first.message if first else 'it holds no remittance.'}",
                action="Ask the payer to send it again.",
            )
        )  # fmt: skip
        self.run.counts["files_quarantined"] += 1
        return {"file_id": file.file_id, "state": "quarantined", "reason": rule}

    def _finding(self, remittance: Remittance, rule: str, message: str) -> Finding:
        return Finding(
            rule=rule, severity="error", message=message, fix="A person decides; nothing was posted.",
            file=remittance.file_id, segment=remittance.segment, segment_id="ST", subject=remittance.remittance_id,
        )  # fmt: skip

    def _known_remittances(self, traces: Iterable[str]) -> dict[str, list[Known]]:
        """Trace → what is known of it, of any payer."""
        columns = r.remittances.c
        found: dict[str, list[Known]] = defaultdict(list)
        for part in chunks(sorted({trace for trace in traces if trace})):
            query = sa.select(
                columns.trace, columns.remittance_id, columns.origin, columns.payer_key, columns.content_hash, columns.state
            ).where(columns.trace.in_(part))  # fmt: skip
            for trace, *row in self.run.connection.execute(query.order_by(columns.remittance_id)):
                found[trace].append(Known(*row))
        return found


def _legible(key: str) -> str:
    """A number that a payment is known by, or nothing: with a control character in it the file was damaged on its way, and what
    is known already would look like another payment."""
    return key if key.isascii() and key.isprintable() else ""

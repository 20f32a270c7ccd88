"""Sending claim files: the state machine. All that changes the state of a sending before its acknowledgment stands here.

    built ─► intent ─► sent_temporary ─► renaming ─► renamed ─► verified ─► acknowledged
               ▲ │            │              │            │
               │ ▼            └──────────────┴────────────┴──► unknown ─► verified or acknowledged
              failed

Three facts make a second delivery impossible at whatever instant the process dies:

1. A state is committed *before* the step that it announces. Up to `sent_temporary` the payer has nothing, so the same bytes
   may be uploaded afresh. From `renaming` on it may have the file, so nothing is ever uploaded again.
2. Every upload has a temporary name of its own (its attempt stands in it), and a file can be moved away from a name once:
   repeating a rename whose reply was lost is harmless while the temporary file is still there to be seen.
3. Each change compares state and attempt (`_change`). A worker that comes back from the dead finds them changed and
   leaves, before it may rename.

Payers empty their inboxes: a file that is absent is not undelivered. Where neither name is to be seen the state is
`unknown`, and TA1, 999 or a person settles it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any, NoReturn

import sqlalchemy as sa

from pipeline import payers
from pipeline.errors import Terminal, Transient
from pipeline.failpoints import failpoint
from pipeline.settings import Settings
from pipeline.store import Store, behind, locks, outgoing
from pipeline.store import register as r
from pipeline.store.events import Move, move_claims
from pipeline.store.store import record_stage
from pipeline.store.work import WorkItem, close_items, open_items
from pipeline.transport.connection import Route, connect, retried, route
from pipeline.transport.session import LinkLost, Refused, Session
from pipeline.wording import counted
from pipeline.x12.segments import iter_segments

#: states from which a run goes on; `unknown` is only looked at
TO_DO = ("built", "intent", "sent_temporary", "renaming", "renamed", "failed")
#: states in which nothing is under a final name at the payer, nor can come there without another step of ours
_AT_HOME = ("built", "intent", "sent_temporary", "failed")
_GUIDES = {"X222": "837P", "X223": "837I", "X224": "837D"}

#: why a sending is unknown: cause → (what happened, what to do)
_UNKNOWN = {
    "no_reply": (
        "The link broke while the file was given its final name, and the file is not to be seen on the payer's server.",
        "Wait for the payer's TA1 or 999. If none comes in time, ask the payer by the interchange number; do not send again.",
    ),
    "temporary_gone": (
        "The file vanished from the payer's server under its temporary name: the payer may have taken it.",
        "Ask the payer whether it took the file. If it takes files under any name, set transport.upload to direct.",
    ),
    "direct_interrupted": (
        "The upload to the final name did not end, and the payer may have taken the file.",
        "Wait for the payer's TA1 or 999. If none comes in time, ask the payer by the interchange number; do not send again.",
    ),
    "other_size": (
        "A file with our final name but another size stands on the payer's server.",
        "Ask the payer what it received under this interchange number; do not send again.",
    ),
}


class Overtaken(Transient):
    """Another run changed the sending meanwhile; this one leaves without effect."""


def send(store: Store, on: date, payer_key: str) -> dict[str, int]:
    """Send the payer's claim files that wait, each once, and settle those that an earlier run left half done.

    Returns what this run did: `files`, `claims`, `charge_cents` delivered; `unknown` newly unknown; `waiting` unknown in
    all. Terminal: the payer refuses (login, host key, rights, quota, rename); its files stay and go with the next run
    after the cause is mended. Transient: the link or the register was lost; run again.
    """
    profile = route(store.settings, payer_key)
    left = _leave_other_usage(store, on, payer_key)
    with store.read() as c:
        waiting = _rows(c, payer_key, (*TO_DO, "unknown"), _usage(store.settings, payer_key))
    counts = _counts([], [], 0)
    if waiting:
        behind.require_level(store)
        with locks.held(store, f"send-{payer_key}"):
            counts = _Run(store, on, profile).run()
    earnest = [row.interchange_control for row in left if row.usage == "P"]
    if earnest:  # a practice in production whose settings fell back to test must hear of it
        raise Terminal(
            f"{counted(len(earnest), 'production file')} for {payer_key} (first: {earnest[0]}) not sent, because files are marked test "
            "now: test and production never mix.",
            fix="Set submitter.usage, and interchange.usage of the payer's profile, to P if the payer is in production.",
        )
    return counts


def _rows(c: sa.Connection, payer_key: str, states: tuple[str, ...], usage: str = "") -> list[Any]:
    """The payer's sendings in these states; with `usage`, without those of another one that have not left the house."""
    s = r.sendings.c
    query = sa.select(r.sendings).where(s.payer_key == payer_key, s.state.in_(states)).order_by(s.interchange_control)
    if usage:
        query = query.where((s.usage == usage) | s.state.not_in(_AT_HOME))
    return list(c.execute(query))


def _usage(settings: Settings, payer_key: str) -> str:
    return payers.usage(payers.load_profiles(settings.payers_dir)[payer_key], settings.submitter.usage)


def _leave_other_usage(store: Store, on: date, payer_key: str) -> list[Any]:
    """Files that were built in test stay when the payer is in production, and the reverse: a person says what becomes of them."""
    usage, s, items = _usage(store.settings, payer_key), r.sendings.c, []
    with store.read() as c:
        query = sa.select(r.sendings).where(s.payer_key == payer_key, s.state.in_(_AT_HOME), s.usage != usage)
        rows = list(c.execute(query))
    for row in rows:
        mark, now = ("test", "production") if row.usage == "T" else ("production", "test")
        action = (
            f"To send its claims in earnest: claimpipe release {payer_key} --tested. The test file itself stays here."
            if row.usage == "T"
            else "If the payer is in production, set submitter.usage and interchange.usage of its profile to P: the file then goes."
        )
        items.append(WorkItem(
            queue="sending", subject=row.sending_id, cause="other_usage", opened_on=on, cents=row.charge_cents,
            payer_key=payer_key, title=f"A {mark} file is not sent: files for {payer_key} are marked {now} now",
            reason=f"Interchange {row.interchange_control} ({counted(row.claim_count, 'claim')}) was built as {mark}. Test and production never "
                   "mix, so it waits; other files go.",
            action=action,
        ))  # fmt: skip
    if items:
        with store.begin() as c:
            open_items(c, items)
    return rows


def _counts(delivered: list[Any], unknown: list[Any], waiting: int) -> dict[str, int]:
    return {
        "files": len(delivered),
        "claims": sum(row.claim_count for row in delivered),
        "charge_cents": sum(row.charge_cents for row in delivered),
        "unknown": len(unknown),
        "waiting": waiting,
    }


def settle(store: Store, on: date, payer_key: str, interchange: int, *, arrived: bool, note: str) -> dict[str, int]:
    """A person has asked the payer about a file of unknown outcome and says what it answered.

    `arrived`: its claims are sent, and the payer's answers are waited for. Otherwise the payer has nothing of it, and the next
    run sends the same bytes under the same number. Returns `claims`. Terminal where there is no such file, or its
    outcome is known.
    """
    s, k, a = r.sendings.c, r.claims.c, r.acknowledgments.c
    control = f"{interchange:09d}"
    with locks.held(store, f"send-{payer_key}"), store.begin() as c:
        row = c.execute(
            sa.select(r.sendings).where(s.payer_key == payer_key, s.interchange_control == control)
        ).one_or_none()
        if row is None:
            raise Terminal(
                f"No file with interchange number {control} was made for {payer_key}.",
                fix="See `claimpipe work list --queue sending --each`.",
            )
        if row.state != "unknown":
            raise Terminal(
                f"Interchange {control} for {payer_key} is not of unknown outcome: it is {row.state}.",
                fix="There is nothing to settle.",
            )
        state, claim_state = ("verified", "sent") if arrived else ("failed", "batched")
        claims = list(
            c.execute(
                sa.select(k.claim_id, k.group_control)
                .where(k.file_id == row.file_id, k.state == "unknown")
                .order_by(k.claim_id)
            )
        )
        c.execute(
            sa.update(r.sendings)
            .where(s.sending_id == row.sending_id)
            .values(
                state=state, reason="" if arrived else "not received: settled by a person", final_name=final_name(row)
            )
        )
        event = "settled_received" if arrived else "settled_not_received"
        move_claims(c, on, [Move(claim.claim_id, event, claim_state, row.file_id, control) for claim in claims])
        close_items(c, "sending", [row.sending_id], note)
        if not arrived:  # no answer can be late to what was not received
            close_items(c, "sending", [f"{row.sending_id}:{kind}" for kind in ("999", "277CA")], note)
        if arrived:  # answers that were set aside because we knew of no sending count now
            groups = {claim.group_control for claim in claims if claim.group_control}
            c.execute(
                sa.update(r.acknowledgments)
                .where(a.payer_key == payer_key, a.state == "ignored")
                .where((a.interchange_control == control) | a.group_control.in_(groups))
                .values(state="waiting")
            )
        return {"claims": len(claims)}


class _Run:
    """One run for one payer: the only holder of its lock. Keeps one session, opened when first needed."""

    def __init__(self, store: Store, on: date, profile: Route) -> None:
        self.store, self.on, self.profile = store, on, profile
        self.transport = profile.transport
        self.settings: Settings = store.settings
        self.usage = _usage(store.settings, profile.key)
        self.session: Session | None = None
        self.delivered: list[Any] = []
        self.unknown: list[Any] = []
        self.handed_over: set[str] = set()  # sendings whose last byte this process gave to the link
        self.steps: dict[str, Callable[[Any], None]] = {
            "built": self._upload,
            "failed": self._upload,
            "intent": self._upload,
            "sent_temporary": self._place,
            "renaming": self._settle,
            "renamed": self._verify,
            "unknown": self._look_again,
        }

    def run(self) -> dict[str, int]:
        try:
            with self.store.read() as c:  # again, now that no other run can change them
                rows = _rows(c, self.profile.key, TO_DO, self.usage)
                unknown = _rows(c, self.profile.key, ("unknown",))
            for row in rows:
                self._deliver(row.sending_id)
            for row in unknown:
                try:
                    self._deliver(row.sending_id)
                except Transient:
                    break  # nothing waits to be sent; the acknowledgment settles it as well
        finally:
            self._drop()
        return self._record()

    def _record(self) -> dict[str, int]:
        s = r.sendings.c
        with self.store.read() as c:
            waiting = len(_rows(c, self.profile.key, ("unknown",)))
        counts = _counts(self.delivered, self.unknown, waiting)
        if self.delivered or self.unknown:
            with self.store.begin() as c:
                rows = c.execute(
                    sa.select(
                        s.state, sa.func.count(), sa.func.sum(s.claim_count), sa.func.sum(s.charge_cents)
                    )
                    .where(s.payer_key == self.profile.key, s.logical_date == self.on)
                    .group_by(s.state)
                ).all()  # fmt: skip
                sent = [row for row in rows if row[0] in ("verified", "acknowledged")]
                record_stage(c, "sending", self.on, {
                    "files": sum(row[1] for row in sent), "claims": sum(int(row[2]) for row in sent),
                    "charge_cents": sum(int(row[3]) for row in sent),
                    "unknown": sum(row[1] for row in rows if row[0] == "unknown"),
                    "open": sum(row[1] for row in rows if row[0] in TO_DO),
                }, self.profile.key)  # fmt: skip
        return counts

    # --- one sending --------------------------------------------------------------------------------------------------

    def _deliver(self, sending_id: str) -> None:
        """Advance one sending until it rests."""

        def advance() -> None:
            while (step := self.steps.get((row := self._row(sending_id)).state)) is not None:
                before = (row.state, row.attempts)
                step(row)
                after = self._row(sending_id)
                if (after.state, after.attempts) == before or after.state == "unknown":
                    return

        try:
            retried(self.settings.transport, advance, self._drop)
        except Overtaken:
            if self._row(sending_id).state not in ("verified", "acknowledged"):
                raise
        except LinkLost:
            row = self._row(sending_id)
            if row.state == "renaming":  # tried enough: say what is true, and let the acknowledgment settle it
                self._to_unknown(row, "no_reply" if row.temporary_name else "direct_interrupted")
            raise

    def _upload(self, row: Any) -> None:
        """Built, or left off before the rename: send the bytes under a temporary name of this attempt's own."""
        data = self._bytes(row)
        self.store.outgoing.bind(self._entry(row, data))
        session = self._open()
        final = row.final_name or final_name(row)
        standing = session.size(self._path(final))
        if standing is not None:  # the name holds our number and hash: an earlier life of the register sent it
            row = self._change(row, row.state, final_name=final)
            self._found(row, standing)
            return
        if row.temporary_name:
            self._remove_leftover(row)
            if self._row(row.sending_id).state == "unknown":
                return
        if self.transport.upload == "direct":
            self._upload_direct(row, data, final)
            return
        temporary = f"{self.transport.temporary_prefix}{final}.{row.attempts + 1}"
        failpoint("transport.before_intent")
        row = self._change(
            row, "intent", attempts=row.attempts + 1, temporary_name=temporary, final_name=final, reason=""
        )
        try:
            session.upload(self._path(temporary), data)
            self.handed_over.add(row.sending_id)
            size = session.size(self._path(temporary))
        except Refused as error:
            self._clear(session, temporary)
            self._to_failed(row, error)
            raise
        failpoint("transport.uploaded")
        if size is None:
            self._temporary_gone(row)
        if size != row.size:
            raise LinkLost(
                f"{self.profile.key} holds {counted(size, 'byte')} of a file of {row.size:,}; it was not given its final name.",
                fix="Run again.",
            )
        self._change(row, "sent_temporary")

    def _remove_leftover(self, row: Any) -> None:
        session = self._open()
        try:
            there = session.remove(self._path(row.temporary_name))
        except Refused:
            return  # a leftover disturbs nobody: this attempt has another name, and its rename was never allowed
        if not there and row.sending_id in self.handed_over and row.state == "intent":
            self._temporary_gone(row)  # every byte may have arrived, and somebody took them

    def _place(self, row: Any) -> None:
        """The whole file stands under its temporary name: allow the rename, then ask for it."""
        session = self._open()
        size = session.size(self._path(row.temporary_name))
        if size is None:
            self._temporary_gone(row)
        if size != row.size:
            self._change(row, "intent")
            raise LinkLost(
                f"{self.profile.key} holds {counted(size, 'byte')} of a file of {row.size:,} under its temporary name.",
                fix="Run again.",
            )
        self._rename(self._change(row, "renaming"))

    def _rename(self, row: Any) -> None:
        session = self._open()
        self.store.outgoing.place_attempt(self._entry(row, self._bytes(row)), row.attempts)
        failpoint("transport.before_rename")
        try:
            session.rename(self._path(row.temporary_name), self._path(row.final_name))
        except Refused as error:
            self._rename_refused(row, error)
            return
        failpoint("transport.after_rename")
        self._change(row, "renamed")

    def _rename_refused(self, row: Any, error: Refused) -> None:
        session = self._open()
        if session.size(self._path(row.final_name)) == row.size:
            self._change(row, "renamed")
            return
        # only a temporary file that we could take away was certainly never moved
        if not session.remove(self._path(row.temporary_name)):
            self._to_unknown(row, "no_reply")
            return
        self._to_failed(row, error)
        raise Terminal(
            f"{self.profile.key} refused to rename an uploaded file; the upload was removed and nothing was sent.",
            fix="If the payer forbids renaming, set transport.upload to direct in its profile; otherwise ask it why.",
        )

    def _settle(self, row: Any) -> None:
        """The file may be under its final name: look, and never upload."""
        session = self._open()
        standing = session.size(self._path(row.final_name))
        if standing == row.size:
            self._change(row, "renamed")
        elif row.temporary_name is None:
            self._to_unknown(row, "direct_interrupted")
        elif standing is not None:
            self._to_unknown(row, "other_size")
        elif session.size(self._path(row.temporary_name)) == row.size:
            self._rename(row)
        else:
            self._to_unknown(row, "no_reply")

    def _found(self, row: Any, standing: int) -> None:
        if standing == row.size:
            self._change(row, "renamed")
        else:
            self._to_unknown(row, "other_size")

    def _look_again(self, row: Any) -> None:
        """Unknown since an earlier run: it may be seen now. Where it is not, nothing is written."""
        session = self._open()
        final = row.final_name or final_name(row)  # a file taken over from the archive had no name of ours yet
        if session.size(self._path(final)) == row.size:
            self._change(row, "renamed", final_name=final)
        elif row.temporary_name and session.size(self._path(row.temporary_name)) == row.size:
            self._change(row, "renaming")

    def _verify(self, row: Any) -> None:
        """The payer's server confirmed the rename. A file that is gone already was swept: its size was checked before."""
        size = self._open().size(self._path(row.final_name))
        if size is not None and size != row.size:
            self._to_unknown(row, "other_size")
            return
        failpoint("transport.before_verified")
        with self.store.begin() as c:
            self._compare_and_set(c, row, {"state": "verified", "reason": ""})
            claims = self._claims(c, row, ("batched", "unknown"))
            move_claims(c, self.on, [
                Move(claim_id, "sent", "sent", row.file_id, row.interchange_control) for claim_id in claims
            ])  # fmt: skip
            close_items(c, "sending", [row.sending_id], "The file was seen at the payer.")
        self.delivered.append(row)

    def _upload_direct(self, row: Any, data: bytes, final: str) -> None:
        """The payer forbids renaming: its profile says so. From the first byte on the file may be taken."""
        session = self._open()
        failpoint("transport.before_intent")
        row = self._change(row, "intent", attempts=row.attempts + 1, temporary_name=None, final_name=final, reason="")
        row = self._change(row, "renaming")
        self.store.outgoing.place_attempt(self._entry(row, data), row.attempts)
        try:
            session.upload(self._path(final), data, exclusive=True)
        except Refused as error:
            size = session.size(self._path(final))
            if size == row.size:
                self._change(row, "renamed")
                return
            if size is not None and not session.remove(self._path(final)):
                self._to_unknown(row, "direct_interrupted")
                return
            self._to_failed(row, error)
            raise
        failpoint("transport.after_rename")
        self._change(row, "renamed")

    # --- the register -------------------------------------------------------------------------------------------------

    def _row(self, sending_id: str) -> Any:
        with self.store.read() as c:
            return c.execute(sa.select(r.sendings).where(r.sendings.c.sending_id == sending_id)).one()

    def _change(self, row: Any, state: str, **values: Any) -> Any:
        """Commit the next state if nobody changed the sending meanwhile; the row as it is now."""
        with self.store.begin() as c:
            self._compare_and_set(c, row, {"state": state, **values})
        failpoint(f"transport.state_{state}")
        return self._row(row.sending_id)

    def _compare_and_set(self, c: sa.Connection, row: Any, values: dict[str, Any]) -> None:
        s = r.sendings.c
        done = c.execute(
            sa.update(r.sendings)
            .where(s.sending_id == row.sending_id, s.state == row.state, s.attempts == row.attempts)
            .values(**values)
        ).rowcount
        if done != 1:
            raise Overtaken(
                f"Another run took over the file with interchange number {row.interchange_control}.",
                fix="It goes on with it; nothing is lost.",
            )

    def _claims(self, c: sa.Connection, row: Any, states: tuple[str, ...]) -> list[str]:
        k = r.claims.c
        query = sa.select(k.claim_id).where(k.file_id == row.file_id, k.state.in_(states)).order_by(k.claim_id)
        return list(c.execute(query).scalars())

    def _item(self, row: Any, cause: str, title: str, reason: str, action: str) -> WorkItem:
        return WorkItem(
            queue="sending", subject=row.sending_id, cause=cause, title=title, reason=reason, action=action,
            opened_on=self.on, cents=row.charge_cents, payer_key=row.payer_key,
        )  # fmt: skip

    def _to_unknown(self, row: Any, cause: str) -> None:
        reason, action = _UNKNOWN[cause]
        with self.store.begin() as c:
            self._compare_and_set(c, row, {"state": "unknown", "reason": cause})
            claims = self._claims(c, row, ("batched",))
            move_claims(c, self.on, [
                Move(claim_id, "outcome_unknown", "unknown", row.file_id, cause) for claim_id in claims
            ])  # fmt: skip
            title = f"Is interchange {row.interchange_control} at the payer? ({counted(row.claim_count, 'claim')})"
            open_items(c, [self._item(row, cause, title, reason, action)])
        self.unknown.append(row)

    def _temporary_gone(self, row: Any) -> NoReturn:
        self._to_unknown(row, "temporary_gone")
        reason, action = _UNKNOWN["temporary_gone"]
        raise Terminal(f"{self.profile.key}: {reason} No further file is sent.", fix=action)

    def _to_failed(self, row: Any, error: Refused) -> None:
        with self.store.begin() as c:
            self._compare_and_set(c, row, {"state": "failed", "reason": error.message})
            title = f"Interchange {row.interchange_control} could not be sent ({counted(row.claim_count, 'claim')})"
            action = f"{error.fix} The next night sends it again by itself, with the same number."
            open_items(c, [self._item(row, "refused", title, error.message, action)])

    # --- the other side -----------------------------------------------------------------------------------------------

    def _open(self) -> Session:
        if self.session is None:
            self.session = connect(self.settings, self.profile)
        return self.session

    def _drop(self) -> None:
        if self.session is not None:
            self.session.close()
            self.session = None

    def _path(self, name: str) -> str:
        return f"{self.transport.inbound.rstrip('/')}/{name}"

    def _clear(self, session: Session, name: str) -> None:
        try:
            session.remove(self._path(name))
        except Refused:
            return

    def _entry(self, row: Any, data: bytes) -> outgoing.Interchange:
        """The archive's own record of the file."""
        return outgoing.described(
            data, sending_id=row.sending_id, payer_key=row.payer_key, guide=row.guide, on=row.logical_date,
            claim_count=row.claim_count, charge_cents=row.charge_cents,
        )  # fmt: skip

    def _bytes(self, row: Any) -> bytes:
        """The archived file, if it is what the sending says: number, size, and test or production."""
        data = self.store.archive.get(row.file_id)
        isa = next(iter_segments(data[:200]), None)
        said = (len(data), isa and isa.element(13), isa and isa.element(15))
        if said != (row.size, row.interchange_control, row.usage):
            raise Terminal(
                f"The archived file of interchange {row.interchange_control} is not the one that was built.",
                fix="Do not send it. Restore archive and register from one backup.",
            )
        if row.state in _AT_HOME and row.usage != self.usage:
            raise Terminal(
                f"Interchange {row.interchange_control} is marked {row.usage} and files for {self.profile.key} are marked "
                f"{self.usage} now: test and production never mix.",
                fix="Check submitter.usage and interchange.usage of the payer's profile.",
            )
        return data


def final_name(row: Any) -> str:
    """The name under which the payer sees the file: kind, control number, hash. Ours alone, the same at each attempt."""
    kind = next((name for mark, name in _GUIDES.items() if mark in row.guide), "837")
    return f"{kind}_{row.interchange_control}_{row.file_id[:12]}.edi"

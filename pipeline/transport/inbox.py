"""Sweeping an inbox: list, fetch, archive, record, and only then remove from the server.

Remote names are the sender's to choose: they are kept as a fact (escaped and cut) and never become a path here. A file is
known by its bytes: the same bytes under another name are one file that arrived twice, and are not worked twice. A file that
is still growing, empty or without its end stays on the server; if it is still so on a later night, a person hears of it.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import sqlalchemy as sa

from pipeline.errors import ClaimpipeError
from pipeline.failpoints import failpoint
from pipeline.findings import Finding
from pipeline.store import Store, behind, received
from pipeline.store import register as r
from pipeline.store.archive import Arriving, sha256
from pipeline.store.incoming import Received
from pipeline.store.store import insert_new, record_findings, record_stage
from pipeline.store.work import WorkItem, close_items, open_items
from pipeline.transport import packages, routing
from pipeline.transport.connection import connect, retried, route
from pipeline.transport.session import Entry, Refused, Session, wire

STAGE = "inbox"
_BATCH = 50  # files a register transaction: what a crash makes us fetch again
_REMEMBERED = timedelta(days=31)  # how long an incomplete file's first sighting counts
_TEMPORARY = (".part", ".tmp", ".temp", ".filepart", ".partial", ".crdownload", ".writing")

#: why a file stays on the server: rule → what a person reads once it stayed
_LEFT = {
    "inbox.empty": "is empty",
    "inbox.no_iea": "has no end: its last segment is not IEA",
    "inbox.no_file_control": "has no end: the NACHA file control record is missing",
    "inbox.no_trailer": "has no end: the BAI2 trailer (99) is missing",
    "inbox.growing": "is still growing",
    "inbox.too_large": "is larger than inbox.max_file_bytes allows",
    "inbox.refused": "is listed, but the server refuses to give it",
    "inbox.strange_name": "has a name that leads out of its folder",
}


@dataclass(slots=True)
class _Taken:
    """One file that was fetched and archived."""

    entry: Entry
    file_id: str
    size: int
    kind: str
    reason: str = ""  # set where it is quarantined
    error: Exception | None = None  # what was raised over it, where that is the reason
    members: list[_Taken] = field(default_factory=list)

    @property
    def all(self) -> list[_Taken]:
        return [self, *self.members]


def sweep(store: Store, on: date, payer_key: str) -> list[str]:
    """Fetch what waits for us at a payer, or at the bank (`bank`); ids of the files that are new, in order of their names.

    Terminal: login, host key, missing folder. Transient: the link or the disk failed; whatever was not recorded is still
    on the server. A file that cannot be taken never stops the others.
    """
    run = _Sweep(store, on, payer_key)
    if payer_key not in store.level:  # a night looks into each inbox many times, and the register grows with the years
        behind.remember_received(store, payer_key)
    store.level.discard(payer_key)
    try:
        retried(store.settings.transport, run.once, run.drop)
    finally:
        run.drop()
    store.level.add(payer_key)
    return run.new


class _Sweep:
    def __init__(self, store: Store, on: date, payer_key: str) -> None:
        self.store, self.on, self.key = store, on, payer_key
        self.route = route(store.settings, payer_key)
        self.limit = store.settings.inbox.max_file_bytes
        self.session: Session | None = None
        self.new: list[str] = []

    def drop(self) -> None:
        if self.session is not None:
            self.session.close()
            self.session = None

    def once(self) -> None:
        """One pass over the listing; after a lost link it is made again, and what was recorded is not fetched again."""
        if self.session is None:
            self.session = connect(self.store.settings, self.route)
        session = self.session
        left: dict[str, str] = {}  # remote name → rule
        listed = self._stable(session, self._candidates(session), left)
        for start in range(0, len(listed), _BATCH):
            taken = []
            for entry in listed[start : start + _BATCH]:
                found = self._take(session, entry, left)
                if found is not None:
                    taken.append(found)
            if taken:
                self._record(taken)
                self.store.incoming.keep(self._received(item) for outer in taken for item in outer.all)
                failpoint("inbox.before_remove")
                for item in taken:
                    self._remove(session, item)
                failpoint("inbox.after_remove")
        self._report_left(left)

    # --- what to take -------------------------------------------------------------------------------------------------

    def _candidates(self, session: Session) -> list[Entry]:
        """Plain files under final names, by name. Links and folders are nobody's files."""
        listed = session.entries(self.route.transport.outbound)
        own = self.route.transport.temporary_prefix
        return sorted((e for e in listed if e.regular and not _temporary(e.name, own)), key=lambda e: wire(e.name))

    def _stable(self, session: Session, listed: list[Entry], left: dict[str, str]) -> list[Entry]:
        """Entries whose size and time have not changed for `inbox.stable_seconds`."""
        if not listed or self.store.settings.inbox.stable_seconds <= 0:
            return listed
        time.sleep(self.store.settings.inbox.stable_seconds)
        now = {e.name: e for e in session.entries(self.route.transport.outbound)}
        for entry in listed:
            if entry.name in now and now[entry.name] != entry:
                left[entry.name] = "inbox.growing"
        return [e for e in listed if now.get(e.name) == e]

    def _take(self, session: Session, entry: Entry, left: dict[str, str]) -> _Taken | None:
        """Fetch and archive one file, or note why it stays."""
        if not entry.size:
            left[entry.name] = "inbox.empty"
            return None
        if entry.size > self.limit:
            left[entry.name] = "inbox.too_large"
            return None
        if _leads_out(entry.name):
            left[entry.name] = "inbox.strange_name"
            return None
        try:
            with self.store.archive.receiving(session.download(self._path(entry), self.limit)) as arriving:
                if arriving.size != entry.size:
                    left[entry.name] = "inbox.growing" if arriving.size <= self.limit else "inbox.too_large"
                    return None
                reason = _or_nothing(routing.incomplete, arriving.data)
                if reason:
                    left[entry.name] = f"inbox.{reason}"
                    return None
                return self._archived(entry, arriving)
        except Refused as error:
            if not error.absent:
                left[entry.name] = "inbox.refused"
            return None

    def _archived(self, entry: Entry, arriving: Arriving) -> _Taken:
        taken = _Taken(entry, arriving.keep(), arriving.size, "unknown")
        try:
            taken.kind = routing.identify(arriving.data)
            if taken.kind == "zip":
                taken.members = self._unpacked(entry, arriving)
            else:
                taken.reason = _unexpected(taken.kind)
        except packages.PackageRefused as refusal:
            taken.reason = f"inbox.zip_{refusal}"
        except ClaimpipeError:
            raise
        except Exception as error:
            taken.reason, taken.error = received.UNWORKABLE, error
        return taken

    def _unpacked(self, entry: Entry, arriving: Arriving) -> list[_Taken]:
        package = packages.Package(arriving.file, arriving.size, max_bytes=min(packages.MAX_BYTES, self.limit))
        members = []
        for name, pieces in package.members():
            with self.store.archive.receiving(pieces) as content:
                inner = Entry(f"{entry.name}!{name}", content.size, entry.modified, True)
                member = _Taken(inner, content.keep(), content.size, "unknown")
                try:
                    member.kind = routing.identify(content.data)
                    end = routing.incomplete(content.data)
                    member.reason = f"inbox.{end}" if end else _unexpected(member.kind)
                except Exception as error:
                    member.reason, member.error = received.UNWORKABLE, error
                members.append(member)
        return members

    # --- the record ---------------------------------------------------------------------------------------------------

    def _record(self, batch: list[_Taken]) -> None:
        taken = [item for outer in batch for item in outer.all]
        failpoint("inbox.before_record")
        with self.store.begin() as c:
            ids = sorted({t.file_id for t in taken})
            known = set(c.execute(sa.select(r.files.c.file_id).where(r.files.c.file_id.in_(ids))).scalars())
            new: dict[str, _Taken] = {}
            for item in taken:
                if item.file_id not in known:
                    new.setdefault(item.file_id, item)
            insert_new(c, r.files, (
                {"file_id": t.file_id, "direction": "in", "kind": t.kind, "payer_key": self.key, "size": t.size,
                 "logical_date": self.on, "state": _state(t), "reason": t.reason}
                for t in new.values()
            ))  # fmt: skip
            insert_new(c, r.file_arrivals, (
                {"file_id": t.file_id, "payer_key": self.key, "remote_name": recorded_name(t.entry.name),
                 "logical_date": self.on}
                for t in taken
            ))  # fmt: skip
            bad = [t for t in new.values() if t.reason]
            record_findings(c, STAGE, self.on, map(_finding, bad))
            open_items(c, map(self._item, bad))
            self._settle_left(c, (t.entry.name for t in taken))
            self._count(c)
        self.new += new

    def _received(self, taken: _Taken) -> Received:
        return Received(
            file_id=taken.file_id, payer_key=self.key, kind=taken.kind, size=taken.size,
            remote_name=recorded_name(taken.entry.name), logical_date=self.on.isoformat(), state=_state(taken),
            reason=taken.reason,
        )  # fmt: skip

    def _item(self, taken: _Taken) -> WorkItem:
        finding = _finding(taken)
        return WorkItem(
            queue="file", subject=taken.file_id, cause=taken.reason, title=f"A file from {self.key} was set aside",
            reason=finding.message, action=finding.fix, opened_on=self.on, payer_key=self.key,
        )  # fmt: skip

    def _count(self, c: sa.Connection) -> None:
        a, f = r.file_arrivals.c, r.files.c
        arrivals = c.execute(
            sa.select(sa.func.count()).where(a.payer_key == self.key, a.logical_date == self.on)
        ).scalar_one()
        rows = c.execute(
            sa.select(f.kind, f.state, sa.func.count())
            .where(f.direction == "in", f.payer_key == self.key, f.logical_date == self.on)
            .group_by(f.kind, f.state)
        ).all()
        counts: dict[str, Any] = {
            "arrivals": arrivals,
            "files": sum(row[2] for row in rows),
            "quarantined": sum(row[2] for row in rows if row[1] == "quarantined"),
        }
        for kind, _state, number in rows:
            counts[f"kind_{kind}"] = counts.get(f"kind_{kind}", 0) + number
        record_stage(c, STAGE, self.on, counts, self.key)

    # --- what stays ---------------------------------------------------------------------------------------------------

    def _report_left(self, left: dict[str, str]) -> None:
        """First a finding; on a later night a work item. Writes nothing that is known already."""
        if not left:
            return
        found = [self._left_finding(name, rule) for name, rule in sorted(left.items())]
        f = r.findings.c
        with self.store.read() as c:
            seen = c.execute(
                sa.select(f.subject, f.logical_date, f.finding_id)
                .where(f.stage == STAGE, f.subject.in_([x.subject for x in found]))
                .where(f.rule.in_(list(_LEFT)), f.logical_date >= self.on - _REMEMBERED)
            ).all()
        first: dict[str, date] = {}
        for row in seen:
            first[row.subject] = min(row.logical_date, first.get(row.subject, row.logical_date))
        ids = {row.finding_id for row in seen}
        fresh = [x for x in found if x.finding_id not in ids]
        items = [
            WorkItem(
                queue="file", subject=x.subject, cause=x.rule, title=f"A file stays at {self.key}",
                reason=f"{x.message} It was first seen so on {first[x.subject]}.", action=x.fix, opened_on=self.on,
                payer_key=self.key, reference=first[x.subject].isoformat(),
            )
            for x in found
            if first.get(x.subject, self.on) < self.on
        ]  # fmt: skip
        if items:
            w = r.work_items.c
            with self.store.read() as c:
                have = set(c.execute(sa.select(w.item_id).where(w.item_id.in_([i.item_id for i in items]))).scalars())
            items = [i for i in items if i.item_id not in have]
        if fresh or items:
            with self.store.begin() as c:
                record_findings(c, STAGE, self.on, fresh)
                open_items(c, items)

    def _left_finding(self, name: str, rule: str) -> Finding:
        return Finding(
            rule=rule, severity="warning", subject=self._left_subject(name), source=self.on.isoformat(),
            message=f"A file in the outbound folder of {self.key} {_LEFT[rule]}; it was left there.",
            fix="The next sweep looks again. If it stays so, ask the sender to send it anew.",
        )  # fmt: skip

    def _left_subject(self, name: str) -> str:
        """Remote names may hold anything, a patient's name too: findings and items carry a hash of it."""
        return f"{self.key}:{hashlib.sha256(wire(name)).hexdigest()[:16]}"

    def _settle_left(self, c: sa.Connection, names: Iterable[str]) -> None:
        close_items(c, "file", [self._left_subject(name) for name in names], "The file came to its end and was taken.")

    # --- the server ---------------------------------------------------------------------------------------------------

    def _path(self, entry: Entry) -> str:
        return f"{self.route.transport.outbound.rstrip('/')}/{entry.name}"

    def _remove(self, session: Session, taken: _Taken) -> None:
        """Remove what was recorded, unless another file has come under its name meanwhile."""
        try:
            now = session.entry(self._path(taken.entry))
            if now is not None and (now.size, now.modified) == (taken.entry.size, taken.entry.modified):
                session.remove(self._path(taken.entry))
        except Refused:
            finding = Finding(
                rule="inbox.not_removed", severity="warning", subject=taken.file_id,
                message=f"{self.key} does not let a fetched file be removed; it will be fetched again and known again.",
                fix="Ask for the right to remove files from the outbound folder.",
            )  # fmt: skip
            with self.store.begin() as c:
                record_findings(c, STAGE, self.on, [finding])


def _temporary(name: str, own_prefix: str) -> bool:
    """Whether senders give such names to files that they are still writing."""
    hidden = name.startswith(("~", ".")) and not name.startswith("..")
    return hidden or bool(own_prefix and name.startswith(own_prefix)) or name.lower().endswith(_TEMPORARY)


def _leads_out(name: str) -> bool:
    """A name that is no name of a file in its folder: never asked for."""
    return name in ("", ".", "..") or "/" in name or "\x00" in name


def _unexpected(kind: str) -> str:
    return "" if kind in routing.EXPECTED else "inbox.unknown" if kind == "unknown" else "inbox.not_expected"


def _state(taken: _Taken) -> str:
    return "quarantined" if taken.reason else "processed" if taken.kind == "zip" else "archived"


def _or_nothing(look: Callable[[Any], str], data: Any) -> str:
    """What the look says; nothing where it fails: then the file is taken, and set aside for the same reason."""
    try:
        return look(data)
    except Exception:
        return ""


def _finding(taken: _Taken) -> Finding:
    if taken.error is not None:
        return received.unworkable(STAGE, taken.file_id, taken.error)
    if taken.reason.startswith("inbox.zip_"):
        message = f"A zip file was refused ({taken.reason.removeprefix('inbox.zip_').replace('_', ' ')})."
    elif taken.reason == "inbox.not_expected":
        message = f"A file of kind {taken.kind} arrived, which no stage works."
    elif taken.reason == "inbox.unknown":
        message = "A file arrived whose content is no X12, NACHA or BAI2."
    else:
        message = f"A file in a zip {_LEFT[taken.reason]}."
    return Finding(
        rule=taken.reason, severity="error", subject=taken.file_id, file=taken.file_id, message=message,
        fix="It is kept in the archive under its id. Ask the sender what it is; nothing was posted from it.",
    )  # fmt: skip


def recorded_name(name: str) -> str:
    """A remote name as the register keeps it: printable, at most 255 characters, distinct for distinct names."""
    shown = "".join(
        c if c.isprintable() and not 0xD800 <= ord(c) <= 0xDFFF and c != "%" else
        "".join(f"%{b:02X}" for b in wire(c))
        for c in name
    )  # fmt: skip
    if len(shown) <= 255:
        return shown
    return f"{shown[:200]}~{sha256(wire(name))[:32]}"

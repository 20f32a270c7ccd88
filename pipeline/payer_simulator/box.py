"""The payer's back office: takes uploads in, answers them, lays the answers out. It survives a kill at any moment.

Theory. Every step is one rename or one synced append, and every later step can be found again from what is on the disk:

    /inbound/NAME ─rename─► taken/N/NAME ─append─► record: received N ─► answers/N.part/… ─rename─► answers/N/
        ─rename, one by one─► /outbound/NAME ─append─► record: answered N

N counts the files that were taken in. A file that was received but not answered is answered again, with the same bytes; an
answer that was already laid out has left answers/N and is not laid out twice. The remittances and the bank's files of an 837
go out before its acknowledgments, so who sees the 999 or TA1 will find everything else there.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import threading
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.payer_simulator import adjudication
from pipeline.payer_simulator import answers as answering
from pipeline.payer_simulator.adjudication import Table
from pipeline.payer_simulator.answers import Answer
from pipeline.payer_simulator.books import Books, Held
from pipeline.payer_simulator.faults import KINDS, Fault, FaultPlan
from pipeline.payer_simulator.record import Record
from pipeline.payer_simulator.submissions import read_submission
from pipeline.payers import PayerProfile

BANK = "bank"
#: an upload whose session stays open is taken after so many seconds; after the session's end at once
SETTLED_SECONDS = 2.0


@dataclass(slots=True)
class _History:
    """What the record knows of one payer: file hashes and ISA13s seen, claims accepted, files by ISA13, the books."""

    hashes: set[str]
    controls: set[tuple[str, str]]  # (ISA05 and ISA06, ISA13)
    claims: set[str]
    files: dict[str, int] = field(default_factory=dict)
    books: Books = field(default_factory=Books)


class Box:
    """One payer in a box. `root` is its folder; `later(seconds, action)` runs an action some time on."""

    def __init__(
        self, root: Path, profiles: dict[str, PayerProfile], table: Table, seed: int, plan: FaultPlan,
        later: Callable[[float, Callable[[], None]], object],
    ) -> None:  # fmt: skip
        self.root, self.profiles, self.table, self.seed, self.plan, self.later = (
            root, profiles, table, seed, plan, later,
        )  # fmt: skip
        self.taken, self.staged = root / "taken", root / "answers"
        for folder in (self.taken, self.staged, *(self.outbound(user) for user in (*profiles, BANK))):
            folder.mkdir(parents=True, exist_ok=True)
        for key in profiles:
            self.inbound(key).mkdir(parents=True, exist_ok=True)
        self.record = Record(root / "record.jsonl")
        self._lock = threading.Lock()  # of the fault plan and the record's order: the link and the office both use them
        self._history = {key: _History(set(), set(), set()) for key in profiles}
        for key, history in self._history.items():
            history.books.look_up = partial(self._look_up, key)
        self._received: dict[int, dict[str, Any]] = {}
        self._failed: set[int] = set()
        self._resume()

    # --- folders ----------------------------------------------------------------------------------------------------

    def home(self, user: str) -> Path:
        return self.root / "sftp" / user

    def inbound(self, payer: str) -> Path:
        return self.home(payer) / "inbound"

    def outbound(self, user: str) -> Path:
        return self.home(user) / "outbound"

    # --- faults -----------------------------------------------------------------------------------------------------

    def strike(self, kind: str, payer: str, name: str = "") -> Fault | None:
        """The fault of that kind that strikes now, counted and recorded; None where none does."""
        with self._lock:
            fault = self.plan.offer(kind, payer, name)
            if fault:
                self._struck(fault, payer, name, None)
            return fault

    def pending(self, kind: str, payer: str, name: str = "") -> Fault | None:
        """The fault of that kind that would strike here; not counted."""
        with self._lock:
            return self.plan.offer(kind, payer, name)

    def _struck(self, fault: Fault, payer: str, name: str, number: int | None) -> None:
        if self.plan.use(fault, number):
            fields = {"fault": fault.index, "kind": fault.kind, "payer": payer, "name": name}
            self.record.append("fault", **fields, **({} if number is None else {"n": number}))

    # --- the record -------------------------------------------------------------------------------------------------

    def _resume(self) -> None:
        """Read the record: what was received, answered, and which faults have struck since the last clean stop."""
        uses: list[tuple[int, int | None]] = []
        for event in self.record.events():
            name = event["event"]
            if name == "received":
                self._received[event["n"]] = event
            elif name == "answered":
                self._learn(self._received.pop(event["n"]), event)
            elif name == "stopped" or (name == "started" and event.get("faults") != self.plan.sha256):
                uses = []
            elif name == "fault":
                uses.append((event["fault"], event.get("n")))
        self.plan.resume(uses)

    def _learn(self, received: dict[str, Any], answered: dict[str, Any]) -> None:
        history = self._history.get(received["payer"])
        if history is None:
            return
        history.hashes.add(received["sha256"])
        if received["isa13"] and not answered.get("duplicate"):
            history.controls.add((received["sender"], received["isa13"]))
            refused = set(answered.get("refused", []))
            history.claims.update(c["claim_id"] for c in received["claims"] if c["claim_id"] not in refused)
            history.files[received["isa13"]] = received["n"]
            history.books.learn(answered.get("books", {}))

    def _look_up(self, payer: str, control: str, ordinal: int, corrected: bool, repeated: bool) -> Held | None:
        """A claim that the payer holds, worked out again from the file in which it came."""
        history = self._history[payer]
        number = history.files.get(control)
        if number is None:
            return None
        path = next((self.taken / f"{number:08d}" / "file").iterdir())
        submission = read_submission(path.read_bytes())
        claim = next((c for c in submission.claims if c.ordinal == ordinal), None)
        if claim is None or submission.on is None or claim.claim_id not in history.claims or claim.frequency == "8":
            return None
        own = f"{submission.on:%y%j}{control}{ordinal:06d}"
        if repeated:
            decision = adjudication.repeated(claim, table=self.table, seed=self.seed, on=submission.on, number=own)
        else:
            decision = adjudication.adjudicated(
                claim, table=self.table, profile=self.profiles[payer], seed=self.seed, on=submission.on, number=own
            )
        payment = decision.correction if corrected else decision.payment
        return Held(claim, payment) if payment else None

    def _next_number(self) -> int:
        return max((int(p.name) for p in self.taken.iterdir() if p.name.isdigit()), default=0) + 1

    # --- the way of a file ------------------------------------------------------------------------------------------

    def take(self, payer: str, name: str) -> int:
        """Take an upload in: one rename out of /inbound. Gives its number; the caller answers it by `work`."""
        with self._lock:
            number = self._next_number()
            folder = self.taken / f"{number:08d}"
            folder.mkdir()
            (folder / "payer").write_text(payer, encoding="utf-8")
            (folder / "file").mkdir()
            os.rename(self.inbound(payer) / name, folder / "file" / name)
            _sync(folder / "file")
        return number

    def work(self) -> int:
        """Answer every file that was taken in and not answered, in order. Gives how many.

        A file that cannot be answered is told by the kind of the error and left until the next start; the others go on.
        """
        done = 0
        for folder in sorted(p for p in self.taken.iterdir() if p.name.isdigit() and not (p / "done").exists()):
            number = int(folder.name)
            if number in self._failed:
                continue
            try:
                done += self._answer(number, folder)
            except Exception as error:
                self._failed.add(number)
                frame = traceback.extract_tb(error.__traceback__)[-1]
                place = f"{type(error).__name__} at {Path(frame.filename).name}:{frame.lineno}"
                self.record.append("failed", n=number, error=place)
        return done

    def _answer(self, number: int, folder: Path) -> int:
        files = list((folder / "file").iterdir()) if (folder / "file").is_dir() else []
        if not files:  # killed between the folder and the rename: nothing was taken
            (folder / "done").touch()
            return 0
        payer, path = (folder / "payer").read_text(encoding="utf-8"), files[0]
        if payer not in self.profiles:
            return 0
        if not (folder / "answered").exists():
            data = path.read_bytes()
            received = self._received.get(number)
            submission = read_submission(data)
            digest = hashlib.sha256(data).hexdigest()
            if received is None:
                received = {
                    "n": number, "payer": payer, "name": path.name, "sha256": digest,
                    "isa13": submission.interchange_control,
                    "sender": f"{submission.sender_qualifier}/{submission.sender_id}",
                    "claims": [
                        {"claim_id": c.claim_id,
                         "charge": None if c.charge_cents is None else f"{c.charge_cents // 100}.{c.charge_cents % 100:02d}"}
                        for c in submission.claims
                    ],
                }  # fmt: skip
                self.record.append("received", **received)
                self._received[number] = received
            history = self._history[payer]
            duplicate = (
                digest in history.hashes or (received["sender"], submission.interchange_control) in history.controls
            )
            with self._lock:
                offered = {
                    kind: fault
                    for kind, about in KINDS.items()
                    if about.where == "answer" and (fault := self.plan.offer(kind, payer, path.name, number))
                }
            answered = answering.answer(
                data, submission, profile=self.profiles[payer], table=self.table, seed=self.seed, duplicate=duplicate,
                number=number, known=history.claims, faults=offered, books=history.books,
            )  # fmt: skip
            with self._lock:
                for kind in answered.applied:
                    self._struck(offered[kind], payer, path.name, number)
            self._stage(number, payer, answered.answers)
            outcome: dict[str, Any] = {"duplicate": True} if duplicate else {}
            if answered.books:
                outcome["books"] = answered.books
            (folder / "answered").write_text(
                json.dumps({"n": number, "answers": len(answered.answers), **outcome, "refused": answered.refused}),
                encoding="utf-8",
            )
        self._lay_out(number)
        if number in self._received:
            event = json.loads((folder / "answered").read_text(encoding="utf-8"))
            self.record.append("answered", **event)
            self._learn(self._received.pop(number), event)
        (folder / "done").touch()
        return 1

    def _stage(self, number: int, payer: str, answers: Iterable[Answer]) -> None:
        """Write all answers of a file beside the outbound folders; the rename at the end makes them valid together."""
        target, part = self.staged / f"{number:08d}", self.staged / f"{number:08d}.part"
        if target.exists():
            return
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir()
        manifest = []
        for place, answer in enumerate(answers):
            _write(part / str(place), answer.data)
            manifest.append(
                {"place": place, "user": BANK if answer.to_bank else payer, "name": answer.name,
                 "after": answer.after_seconds, "grow": answer.grow_seconds}
            )  # fmt: skip
        _write(part / "manifest.json", json.dumps(manifest).encode("utf-8"))
        _sync(part)
        os.rename(part, target)
        _sync(self.staged)

    def _lay_out(self, number: int, *, also_late: bool = False) -> None:
        """Move what is staged into the outbound folders, in order; what is to come later comes later."""
        folder = self.staged / f"{number:08d}"
        if not folder.is_dir():
            return
        late = 0.0
        for entry in json.loads((folder / "manifest.json").read_text(encoding="utf-8")):
            source, target = folder / str(entry["place"]), self.outbound(entry["user"]) / entry["name"]
            if not source.exists():
                continue
            wait = max(entry["after"], entry["grow"])
            if wait and not also_late:
                late = max(late, wait)
                if entry["grow"]:
                    _half(source, target)
                continue
            if entry["grow"]:
                _whole(source, target)
            else:
                os.rename(source, target)
        if late:
            self.later(late, lambda: self._lay_out(number, also_late=True))
        else:
            shutil.rmtree(folder)

    def finish_late(self) -> None:
        """At the start: what a killed box still owed is laid out at once."""
        for folder in sorted(self.staged.iterdir()):
            if folder.name.isdigit() and int(folder.name) not in self._received:  # recorded as answered
                self._lay_out(int(folder.name), also_late=True)


class Sweeper:
    """Which uploads may be taken: those under a final name that nobody writes to and whose session is over or settled."""

    def __init__(self, box: Box) -> None:
        self.box = box
        self._writing: dict[tuple[str, str], int] = {}
        self._fresh: dict[tuple[str, str], tuple[object, float]] = {}

    def writing(self, payer: str, name: str) -> None:
        self._writing[(payer, name)] = self._writing.get((payer, name), 0) + 1

    def written(self, payer: str, name: str, session: object) -> None:
        left = self._writing.pop((payer, name), 1) - 1
        if left > 0:
            self._writing[(payer, name)] = left
        self._fresh[(payer, name)] = (session, time.monotonic())

    def renamed(self, payer: str, old: str, new: str, session: object) -> None:
        self._fresh.pop((payer, old), None)
        self._fresh[(payer, new)] = (session, time.monotonic())

    def session_over(self, session: object) -> None:
        self._fresh = {key: value for key, value in self._fresh.items() if value[0] is not session}

    def ready(self) -> list[tuple[str, str]]:
        """(payer, name) of every upload that may be taken now, in order of name."""
        now = time.monotonic()
        found = []
        for payer, profile in self.box.profiles.items():
            with os.scandir(self.box.inbound(payer)) as entries:
                names = sorted(e.name for e in entries if e.is_file(follow_symlinks=False))
            for name in names:
                key = (payer, name)
                if name.startswith(profile.transport.temporary_prefix) or self._writing.get(key):
                    continue
                if key in self._fresh and now - self._fresh[key][1] < SETTLED_SECONDS:
                    continue
                self._fresh.pop(key, None)
                found.append(key)
        return found


def _half(source: Path, target: Path) -> None:
    """The first half of an answer under its final name."""
    data = source.read_bytes()
    part = source.with_suffix(".half")
    part.write_bytes(data[: len(data) // 2])
    os.rename(part, target)


def _whole(source: Path, target: Path) -> None:
    """The rest of it; where the half was fetched and removed meanwhile, nothing."""
    data = source.read_bytes()
    if target.exists():
        with open(target, "ab") as file:
            file.write(data[file.tell() :])
    source.unlink()


def _write(path: Path, data: bytes) -> None:
    with open(path, "xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

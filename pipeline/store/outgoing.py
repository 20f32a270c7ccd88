"""The archive's own record of the interchanges that we made: it tells a register that is older than what was sent.

Theory. The register can be restored from a backup, or lost. Payers do not forget: a control number that was used stays used,
and a claim that they have stays with them. So each interchange leaves a trace beside its bytes, apart from the register:

    ARCHIVE/outgoing/<scope>/<ISA13>.json        before it is recorded as built: which bytes have the number
    ARCHIVE/outgoing/<scope>/<ISA13>.placed-<n>  before attempt n may bring it under its final name at the payer

Entries are made exclusively, synced, and never changed or removed: a number keeps its sha256 even against a register that
knows nothing of it. Each is written *after* the register has committed the state that announces it, so whatever is killed
when, the register is level with this record or ahead of it. A register that is behind was restored, and then nothing is
built or sent until a person has looked. The question needs the names of the entries alone. Nothing of a patient stands here.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from datetime import date

from pipeline.errors import Terminal
from pipeline.store.archive import sha256
from pipeline.store.entries import Entries
from pipeline.x12.segments import iter_segments

_PLACED = ".placed-"
#: the entry of an interchange is less than a kilobyte, so of a file only its beginning is looked at
_HEAD = 4096


def interchange_scope(sender_qualifier: str, sender_id: str, receiver_qualifier: str, receiver_id: str) -> str:
    """Interchange numbers are unique per sender and receiver."""
    return f"isa:{sender_qualifier}/{sender_id}>{receiver_qualifier}/{receiver_id}"


def group_scope(sender: str, receiver: str) -> str:
    return f"gs:{sender}>{receiver}"


@dataclass(frozen=True, slots=True)
class Interchange:
    """One interchange as the archive remembers it. `logical_date` is ISO; charges are cents."""

    scope: str
    number: int
    group_scope: str
    group_number: int
    file_id: str
    sending_id: str
    payer_key: str
    guide: str
    usage: str
    logical_date: str
    claim_count: int
    charge_cents: int
    size: int

    @property
    def on(self) -> date:
        return date.fromisoformat(self.logical_date)


def described(
    data: bytes, *, sending_id: str, payer_key: str, guide: str, on: date, claim_count: int, charge_cents: int
) -> Interchange:
    """The entry of an 837 of ours: what its ISA and GS say, and what only the register knows of it."""
    head = {segment.id: segment for segment in iter_segments(data[:_HEAD]) if segment.id in ("ISA", "GS")}
    isa, gs = head["ISA"], head["GS"]
    return Interchange(
        scope=interchange_scope(*(isa.element(n).strip() for n in (5, 6, 7, 8))), number=int(isa.element(13)),
        group_scope=group_scope(gs.element(2), gs.element(3)), group_number=int(gs.element(6)), file_id=sha256(data),
        sending_id=sending_id, payer_key=payer_key, guide=guide, usage=isa.element(15), logical_date=on.isoformat(),
        claim_count=claim_count, charge_cents=charge_cents, size=len(data),
    )  # fmt: skip


class Outgoing(Entries):
    """The entries beside an archive, in a local folder or any fsspec store."""

    name = "outgoing"

    def bind(self, entry: Interchange) -> None:
        """Tie the number to the bytes, for good. Terminal where the archive knows it of other bytes."""
        text = json.dumps(asdict(entry), sort_keys=True).encode()
        folder, name = folder_of(entry.scope), f"{entry.number:09d}.json"
        if self._make(folder, name, text):
            return
        known = self.read(folder, entry.number)
        if known.file_id != entry.file_id:
            raise Terminal(
                f"Interchange number {entry.number:09d} for {entry.payer_key} belongs to other bytes in the archive, "
                f"of {known.logical_date}.",
                fix="Nothing was sent under it. The register is older than the archive: see `claimpipe recover`.",
            )

    def place_attempt(self, entry: Interchange, attempt: int) -> None:
        """Remember that from now on the payer may have the file."""
        self._make(folder_of(entry.scope), f"{entry.number:09d}{_PLACED}{attempt}", b"")

    def listing(self) -> dict[tuple[str, int], int]:
        """(folder of the scope, ISA13) → the last attempt that may have reached the payer, 0 for none."""
        found: dict[tuple[str, int], int] = {}
        for folder in self._names(""):
            for name in self._names(folder):
                number, mark, attempt = name.partition(_PLACED)
                number = number.removesuffix(".json")
                if number.isdigit() and (not mark or attempt.isdigit()):
                    key = (folder, int(number))
                    found[key] = max(found.get(key, 0), int(attempt or 0))
        return found

    def read(self, folder: str, number: int) -> Interchange:
        """An entry. Terminal where it is missing or damaged."""
        found = self._read(folder, f"{number:09d}.json", f"interchange {number:09d}")
        try:
            return Interchange(**found)
        except TypeError:
            raise self._damaged(folder, f"{number:09d}.json", f"interchange {number:09d}") from None


def folder_of(scope: str) -> str:
    """A scope as the name of a folder: ids of senders and receivers may hold any character."""
    return hashlib.sha256(scope.encode()).hexdigest()[:16]

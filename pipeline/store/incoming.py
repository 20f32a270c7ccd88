"""The archive's own record of what was received: it tells a register that is older than the mail.

Theory. Once a file is archived and recorded it is removed from the sender's server, so if the register is then restored from an
older backup, or lost, nobody has it but the archive, where it is bytes among bytes. A remittance would never be posted, and
the books would close without it. So each received file leaves a trace beside its bytes, apart from the register:

    ARCHIVE/incoming/<hash of the route>/<sha256>.json    after the register has recorded it, before it is removed

A run that is killed between the two finds the file still at the sender, and writes the trace then. So the register is level
with this record or ahead; where it is behind, the proof does not close, and `claims/recovery.py` takes the files over. The
question needs the names of the entries alone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

from pipeline.store.entries import Entries


@dataclass(frozen=True, slots=True)
class Received:
    """A received file as the archive remembers it. `reason` is set where it was set aside on arrival; `logical_date` is ISO."""

    file_id: str
    payer_key: str
    kind: str
    size: int
    remote_name: str
    logical_date: str
    state: str
    reason: str

    @property
    def on(self) -> date:
        return date.fromisoformat(self.logical_date)

    def as_dict(self) -> dict[str, Any]:
        """For people: without the name that the sender gave it."""
        return {
            "received": self.file_id, "payer": self.payer_key, "kind": self.kind, "date": self.logical_date, "size": self.size,
        }  # fmt: skip


class Incoming(Entries):
    """The entries beside an archive, in a local folder or any fsspec store."""

    name = "incoming"

    def keep(self, received: Iterable[Received]) -> None:
        """Remember these files, for good."""
        for one in received:
            text = json.dumps(asdict(one), sort_keys=True).encode()
            self._make(_folder(one.payer_key), f"{one.file_id}.json", text)

    def ids(self, payer_key: str) -> set[str]:
        """The files that came by this route."""
        names = self._names(_folder(payer_key))
        return {name.removesuffix(".json") for name in names if name.endswith(".json")}

    def listing(self) -> list[tuple[str, str]]:
        """(folder of the route, id of the file), in their order."""
        return [
            (folder, name.removesuffix(".json"))
            for folder in self._names("")
            for name in self._names(folder)
            if name.endswith(".json")
        ]

    def read(self, folder: str, file_id: str) -> Received:
        """An entry. Terminal where it is missing or damaged."""
        what = f"received file {file_id}"
        try:
            return Received(**self._read(folder, f"{file_id}.json", what))
        except TypeError:
            raise self._damaged(folder, f"{file_id}.json", what) from None


def _folder(payer_key: str) -> str:
    return hashlib.sha256(payer_key.encode()).hexdigest()[:16]

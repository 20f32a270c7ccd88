"""Faults on request: what the payer in a box does wrong, read from a TOML file when it starts.

A file holds any number of `[[fault]]` tables. Each names a `kind`, how many `times` it strikes (0: every time), optionally
the `payer` (key, or `bank`) and the final `name` (a pattern with * and ?) that it is meant for, and the options of its kind.
`KINDS` is the whole list; docs/payer-in-a-box.md shows it to people. Uses are counted from the box's own record, so a
box that is killed and started anew goes on where it was; `claimpipe payer stop` ends the count.
"""

from __future__ import annotations

import fnmatch
import hashlib
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.errors import Terminal


@dataclass(frozen=True, slots=True)
class Kind:
    """Where it strikes (`link`: while talking SFTP, once an occasion; `answer`: when a file is answered) and its options."""

    where: str
    about: str
    options: Mapping[str, Any] = field(default_factory=dict)


ACKNOWLEDGMENTS = ["TA1", "999", "277CA"]
KINDS: dict[str, Kind] = {
    # --- the link ---------------------------------------------------------------------------------------------------
    "refuse_login": Kind("link", "the login is refused"),
    "host_key_changed": Kind("start", "the server shows another host key, as long as it runs; `times` is ignored"),
    "permission_denied": Kind(
        "link", "the operation (put, get, list, remove, rename) is refused: permission denied", {"operation": "put"}
    ),
    "quota": Kind("link", "an upload is refused after so many bytes: quota exceeded", {"bytes": 0}),
    "cut_after_bytes": Kind("link", "the connection drops after so many bytes of an upload", {"bytes": 1000}),
    "cut_download_after_bytes": Kind("link", "the connection drops after so many bytes of a download", {"bytes": 1000}),
    "forbid_rename": Kind("link", "a rename is refused: operation not permitted"),
    "lose_reply_after_rename": Kind("link", "the rename is done, and the connection drops before the reply"),
    "lose_reply_after_remove": Kind("link", "the file is removed, and the connection drops before the reply"),
    "sweep_immediately": Kind("link", "the payer takes the file away before the reply to the rename (or close) leaves"),
    "sweep_temporary": Kind("link", "the payer takes a file under its temporary name, as soon as it is closed"),
    # --- the answers ------------------------------------------------------------------------------------------------
    "silent": Kind("answer", "the named answers to a file never come (empty list: none at all)", {"answers": []}),
    "late_ack": Kind(
        "answer", "the named answers come so many seconds after the others", {"answers": ACKNOWLEDGMENTS, "seconds": 5.0}
    ),
    "growing_file": Kind(
        "answer", "the first answer of that kind stands half written under its final name for so many seconds",
        {"answer": "835", "seconds": 2.0},
    ),
    "empty_file": Kind("answer", "beside the answers there is an empty file"),
    "unknown_file": Kind("answer", "beside the answers there is a file that is no EDI (a PDF)"),
    "unknown_ack": Kind("answer", "beside the answers there is a 999 for a group that was never sent"),
    "renamed_835": Kind("answer", "the first 835 stands there twice, under two names"),
    "reenveloped_835": Kind("answer", "the first 835 comes again in a new envelope (new ISA13, same TRN)"),
    "changed_835": Kind("answer", "the first 835 comes again with the same TRN, amount and date but other claim payments"),
    "unbalanced_835": Kind(
        "answer", "one cent is wrong in the first 835, at `level` line, claim or transaction", {"level": "transaction"}
    ),
    "truncated_835": Kind("answer", "the first 835 ends in the middle"),
    "reversed_order": Kind("answer", "the 835s stand there in reverse: corrections first, by name and by time"),
    "missing_deposit": Kind("answer", "the first EFT is announced (835, CCD+) but never booked"),
    "wrong_deposit_amount": Kind("answer", "the first EFT is booked with another amount", {"cents": -100}),
    "extra_deposit": Kind("answer", "a deposit is booked that no 835 speaks of", {"cents": 4321}),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Fault:
    index: int  # place in the file
    kind: str
    times: int
    payer: str
    name: str
    options: Mapping[str, Any]

    def fits(self, payer: str, name: str) -> bool:
        return (not self.payer or self.payer == payer) and (not self.name or fnmatch.fnmatchcase(name, self.name))


class FaultPlan:
    """The faults of one file and how often each has struck. The caller writes uses into the record."""

    def __init__(self, faults: Iterable[Fault] = (), sha256: str = "") -> None:
        self.faults = list(faults)
        self.sha256 = sha256
        self._used = {f.index: 0 for f in self.faults}
        self._answered: set[tuple[int, int]] = set()  # (fault, file number) already spoken for

    def resume(self, uses: Iterable[tuple[int, int | None]]) -> None:
        """Take over the uses that a killed box recorded: (index of the fault, number of the file it struck or None)."""
        for index, number in uses:
            if index not in self._used or (number is not None and (index, number) in self._answered):
                continue
            self._used[index] += 1
            if number is not None:
                self._answered.add((index, number))

    def offer(self, kind: str, payer: str, name: str = "", number: int | None = None) -> Fault | None:
        """The fault of that kind that is to strike here, if any; not yet counted."""
        for fault in self.faults:
            if fault.kind != kind or not fault.fits(payer, name):
                continue
            again = number is not None and (fault.index, number) in self._answered
            if again or not fault.times or self._used[fault.index] < fault.times:
                return fault
        return None

    def use(self, fault: Fault, number: int | None = None) -> bool:
        """Count a use. False where this file's use was counted before."""
        if number is not None:
            if (fault.index, number) in self._answered:
                return False
            self._answered.add((fault.index, number))
        self._used[fault.index] += 1
        return True


def load_faults(path: Path | None) -> FaultPlan:
    """The plan of a faults file; an empty plan where there is none. Terminal, naming the place, where it cannot be used."""
    if path is None:
        return FaultPlan()
    try:
        raw = path.read_bytes()
        data = tomllib.loads(raw.decode("utf-8"))
    except OSError as error:
        raise Terminal(f"The faults file {path} cannot be read: {error.strerror}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Terminal(f"The faults file {path} is not TOML: {error}.") from None
    if set(data) - {"fault"}:
        raise Terminal(f"The faults file {path} holds more than [[fault]] tables: {', '.join(sorted(set(data)))}.")
    found = [_fault(path, index, entry) for index, entry in enumerate(data.get("fault", []))]
    return FaultPlan(found, hashlib.sha256(raw).hexdigest())


def _fault(path: Path, index: int, entry: dict[str, Any]) -> Fault:
    place = f"The faults file {path}, fault {index + 1}"
    kind = entry.pop("kind", None)
    if kind not in KINDS:
        raise Terminal(f"{place}: there is no kind {kind!r}.", fix=f"Kinds are: {', '.join(KINDS)}.")
    times, payer, name = entry.pop("times", 1), entry.pop("payer", ""), entry.pop("name", "")
    defaults = KINDS[kind].options
    unknown = set(entry) - set(defaults)
    if unknown:
        raise Terminal(f"{place} ({kind}): unknown option {', '.join(sorted(unknown))}.")
    wrong = [
        option
        for option, value in {"times": times, **entry}.items()
        if not isinstance(value, _types(defaults.get(option, 1))) or isinstance(value, bool)
    ]
    if wrong or not isinstance(payer, str) or not isinstance(name, str) or times < 0:
        raise Terminal(f"{place} ({kind}): wrong value of {', '.join(wrong) or 'times, payer or name'}.")
    return Fault(index, kind, times, payer, name, {**defaults, **entry})


def _types(default: object) -> tuple[type, ...]:
    return (int, float) if isinstance(default, float) else (type(default),)

"""What the payer keeps of the claims it has taken: enough to replace, to void and to know one again.

Theory. Nothing of a claim is stored twice. The payer's number of a claim says in which file it came and where it stands there;
the file is still in `taken/`, and adjudicating is a pure function, so the claim and what was paid on it can be worked out
again at any time. What cannot be worked out is what *later* files did: which claims were replaced or voided, which content is
paid for, which money a payee still owes. Each answered file records its share of that, so books are what the record says.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pipeline.payer_simulator.submissions import SubmittedClaim
from pipeline.transactions.remittance_835_writer import ClaimPayment

_NUMBER = re.compile(r"\d{5}(?P<control>\d{9})(?P<ordinal>\d{6})(?P<again>C?)")


@dataclass(frozen=True, slots=True)
class Held:
    """A claim that the payer holds: what was submitted, and the payment that stands."""

    claim: SubmittedClaim
    payment: ClaimPayment


@dataclass(frozen=True, slots=True)
class Owed:
    """A forward balance that is open: the reference of its PLB, and cents."""

    reference: str
    cents: int


@dataclass
class Books:
    """`paid`: content → number of the claim that is paid for it · `closed`: numbers that were replaced or voided ·
    `corrected`: numbers whose payment was taken back and made anew · `repeated`: numbers denied as a repeat · `owed`: by
    billing NPI. `look_up` works a claim out by its number (see `box`)."""

    paid: dict[str, str] = field(default_factory=dict)
    closed: set[str] = field(default_factory=set)
    corrected: set[str] = field(default_factory=set)
    repeated: set[str] = field(default_factory=set)
    owed: dict[str, Owed] = field(default_factory=dict)
    look_up: Callable[[str, int, bool, bool], Held | None] = lambda control, ordinal, corrected, repeated: None

    def held(self, number: str) -> Held | None:
        """The claim with this number, where the payer holds it still. After a correction either of its numbers will do."""
        found = _NUMBER.fullmatch(number)
        first = number.removesuffix("C")
        if found is None or first in self.closed or (found["again"] and first not in self.corrected):
            return None
        return self.look_up(found["control"], int(found["ordinal"]), first in self.corrected, first in self.repeated)

    def close(self, number: str) -> None:
        first = number.removesuffix("C")
        self.closed.add(first)
        self.paid = {content: of for content, of in self.paid.items() if of != first}

    def copy(self) -> Books:
        return Books(
            dict(self.paid), set(self.closed), set(self.corrected), set(self.repeated), dict(self.owed), self.look_up
        )

    def changes(self, before: Books) -> dict[str, Any]:
        """What these books say beyond the earlier ones, as JSON."""
        found: dict[str, Any] = {
            "paid": {c: n for c, n in self.paid.items() if before.paid.get(c) != n},
            "owed": {npi: [o.reference, o.cents] for npi, o in self.owed.items() if before.owed.get(npi) != o}
            | {npi: ["", 0] for npi in before.owed if npi not in self.owed},
        }
        for name in ("closed", "corrected", "repeated"):
            found[name] = sorted(getattr(self, name) - getattr(before, name))
        return {name: value for name, value in found.items() if value}

    def learn(self, changes: dict[str, Any]) -> None:
        for number in changes.get("closed", ()):
            self.close(number)
        self.paid |= changes.get("paid", {})
        self.corrected |= set(changes.get("corrected", ()))
        self.repeated |= set(changes.get("repeated", ()))
        for npi, (reference, cents) in changes.get("owed", {}).items():
            if cents:
                self.owed[npi] = Owed(reference, cents)
            else:
                self.owed.pop(npi, None)


def content(claim: SubmittedClaim) -> str:
    """Patient, providers and services: two claims of the same content ask for the same money."""
    told = [claim.subscriber.id, claim.patient.last, claim.patient.first, claim.billing.npi,
            claim.rendering.id if claim.rendering else "", claim.charge_cents]  # fmt: skip
    told += sorted(
        f"{line.procedure} {line.revenue_code} {line.charge_cents} {line.units} {line.service_from}"
        for line in claim.lines
    )
    return hashlib.sha256(repr(told).encode()).hexdigest()[:24]


def repeats_on_purpose(claim: SubmittedClaim) -> bool:
    """A modifier says of a service that it was given again."""
    return any(not {"76", "77", "91"}.isdisjoint(line.procedure[2:]) for line in claim.lines)

"""835 tables → remittances: one object a transaction set, with its claims, in integer cents. Pure: no register here.

A set's content hash covers everything it says except its envelope, so the same remittance under a new name or in a new
interchange is recognised, and another content under the same key is too.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline import shapes
from pipeline.money import LARGEST_CENTS

TABLES = ("835.payments", "835.claims", "835.service_lines", "835.adjustments", "835.provider_adjustments")
#: columns that tell where a row stands, or which envelope carried it, not what it says
_ENVELOPE = ("file", "set_number", "segment", "interchange_control", "group_control", "set_control", "version")
_FIRST, _LAST = date(1990, 1, 1), date(2099, 12, 31)
_HUNDRED = pa.scalar(Decimal(100), pa.decimal128(3, 0))


@dataclass(slots=True)
class Line:
    """An SVC. `adjustments` are (group, reason, cents) as they stand. `difference` = charge − adjustments − paid: 0 where it balances."""

    number: int
    segment: int
    codes: tuple[str, ...]  # procedure as paid, and as submitted where the payer changed it
    modifiers: tuple[str, ...]
    charge: int
    paid: int
    on: date | None
    control: str
    remarks: str
    adjusted: int = 0
    adjustments: list[tuple[str, str, int]] = field(default_factory=list)

    @property
    def difference(self) -> int:
        return self.charge - self.adjusted - self.paid


@dataclass(slots=True)
class Claim:
    """A CLP. `adjustments` are (group, reason, cents) summed over claim and lines, in the order of their codes."""

    number: int
    segment: int
    stated_id: str
    status: str
    charge: int
    paid: int
    patient_stated: int | None
    payer_claim_number: str
    original_reference: str
    remarks: str
    sent_on: bool = False  # NM1*TT names a payer to whom the claim was sent on
    adjustments: list[tuple[str, str, int]] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    adjusted: int = 0

    @property
    def difference(self) -> int:
        return self.charge - self.adjusted - self.paid

    def all_remarks(self) -> list[str]:
        """MIA/MOA and LQ codes, each once, in order."""
        words = [*self.remarks.split(), *(code for line in self.lines for code in line.remarks.split())]
        return list(dict.fromkeys(words))


@dataclass(slots=True)
class ProviderAdjustment:
    """A PLB reason; cents > 0 reduce the payment."""

    reason: str
    reference: str
    cents: int
    segment: int


@dataclass(slots=True)
class Remittance:
    """An 835 transaction set. What is None was missing or illegible."""

    file_id: str
    set_number: int
    segment: int
    amount: int | None
    debit: bool
    handling: str
    method: str
    payment_date: date | None
    trace: str
    origin: str
    content_hash: str
    receiver: str = ""  # ISA08
    usage: str = ""  # ISA15
    payees: tuple[str, ...] = ()  # 1000B: N104 and REF*TJ, whatever of them is given
    claims: list[Claim] = field(default_factory=list)
    provider: list[ProviderAdjustment] = field(default_factory=list)
    illegible: int = 0  # amounts that are not there though they must be
    known_as: str = ""  # its id in the register, where it came before

    @property
    def remittance_id(self) -> str:
        """Hash of the payment (origin, trace, amount, date) and of what is said of it: another content is another id.

        That a payment posts once is not held by this id but by origin and trace (see `stage`).
        """
        if self.known_as:
            return self.known_as
        on = self.payment_date.isoformat() if self.payment_date else ""
        parts = [self.origin, self.trace, str(self.amount), on, self.content_hash]
        return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:32]


def cents(column: pa.ChunkedArray) -> list[int | None]:
    """A money column as cents; null where it is empty or larger than any amount of the trade."""
    values: list[int | None] = pc.multiply(column, _HUNDRED).cast(pa.int64()).to_pylist()
    return [None if value is None or abs(value) > LARGEST_CENTS else value for value in values]


def read(tables: Mapping[str, pa.Table], file_id: str) -> list[Remittance]:
    """The remittances of one file, in its order."""
    have = {name: tables[name] if name in tables else shapes.empty(name) for name in TABLES}
    hashes = _content_hashes(have)
    envelopes = _envelopes(tables)
    found: dict[int, Remittance] = {}
    payments = have["835.payments"]
    for row, amount in zip(payments.to_pylist(), cents(payments.column("amount")), strict=True):
        found[row["set_number"]] = Remittance(
            file_id, row["set_number"], row["segment"], amount, row["credit_debit"] == "D", row["handling"] or "",
            row["method"] or "", _day(row["payment_date"]) or _day(row["production_date"]), row["trace"] or "", row["origin"] or "",
            hashes.get(row["set_number"], ""), *envelopes.get(row["set_number"], ("", "")),
            tuple(text for text in (row["payee_id"], row["payee_tin"]) if text),
        )  # fmt: skip
    claims = _claims(have["835.claims"], found)
    lines = _lines(have["835.service_lines"], claims)
    _adjustments(have["835.adjustments"], claims, lines)
    plb = have["835.provider_adjustments"]
    for row, amount in zip(plb.to_pylist(), cents(plb.column("amount")), strict=True):
        remittance = found[row["set_number"]]
        remittance.illegible += amount is None
        remittance.provider.append(
            ProviderAdjustment(row["reason"] or "", row["reference"] or "", amount or 0, row["segment"])
        )
    return list(found.values())


def _envelopes(tables: Mapping[str, pa.Table]) -> dict[int, tuple[str, str]]:
    """Set number → ISA08 and ISA15 of its interchange."""
    if "interchanges" not in tables:
        return {}
    rows = _columns(tables["interchanges"], "level", "set_number", "receiver_id", "usage")
    return {number: (receiver or "", usage or "") for level, number, receiver, usage in rows if level == "set"}


def _day(stated: date | None) -> date | None:
    """A day on which payers pay; what lies ages away is a slip, and no bank day can be counted from it."""
    return stated if stated is not None and _FIRST <= stated <= _LAST else None


def _columns(table: pa.Table, *names: str) -> Any:
    return zip(*(table.column(name).to_pylist() for name in names), strict=True)


def _claims(table: pa.Table, found: Mapping[int, Remittance]) -> dict[tuple[int, int], Claim]:
    claims: dict[tuple[int, int], Claim] = {}
    text = _columns(
        table, "set_number", "claim_number", "segment", "claim_id", "status", "payer_claim_number", "original_reference",
        "remarks", "crossover_payer", "crossover_payer_id",
    )  # fmt: skip
    money = zip(*(cents(table.column(name)) for name in ("charge", "paid", "patient_responsibility")), strict=True)
    for (set_number, number, segment, claim_id, status, payer_number, original, remarks, next_name, next_id), (
        charge, paid, patient,
    ) in zip(text, money, strict=True):  # fmt: skip
        claim = Claim(
            number, segment, claim_id or "", status or "", charge or 0, paid or 0, patient, payer_number or "",
            original or "", remarks or "", bool(next_name or next_id),
        )  # fmt: skip
        remittance = found[set_number]
        remittance.illegible += (charge is None) + (paid is None)
        remittance.claims.append(claim)
        claims[set_number, number] = claim
    return claims


def _lines(table: pa.Table, claims: Mapping[tuple[int, int], Claim]) -> dict[tuple[int, int, int], Line]:
    lines: dict[tuple[int, int, int], Line] = {}
    text = _columns(
        table, "set_number", "claim_number", "line_number", "segment", "procedure", "submitted_procedure", "modifier1",
        "modifier2", "modifier3", "modifier4", "service_from", "line_control_number", "remarks",
    )  # fmt: skip
    money = zip(cents(table.column("charge")), cents(table.column("paid")), strict=True)
    for (s, c, n, segment, procedure, submitted, m1, m2, m3, m4, on, control, remarks), (charge, paid) in zip(
        text, money, strict=True
    ):
        claim = claims[s, c]
        line = Line(
            n, segment, tuple(code for code in (procedure, submitted) if code),
            tuple(m for m in (m1, m2, m3, m4) if m), charge or 0, paid or 0, on, control or "", remarks or "",
        )  # fmt: skip
        claim.lines.append(line)
        lines[s, c, n] = line
    return lines


def _adjustments(
    table: pa.Table, claims: Mapping[tuple[int, int], Claim], lines: Mapping[tuple[int, int, int], Line]
) -> None:
    sums: dict[tuple[int, int], dict[tuple[str, str], int]] = defaultdict(lambda: defaultdict(int))
    rows = _columns(table, "set_number", "claim_number", "line_number", "group", "reason")
    for (s, c, n, group, reason), amount in zip(rows, cents(table.column("amount")), strict=True):
        value = amount or 0
        claims[s, c].adjusted += value
        if n is not None:
            lines[s, c, n].adjusted += value
            lines[s, c, n].adjustments.append((group or "", reason or "", value))
        sums[s, c][group or "", reason or ""] += value
    for key, by_code in sums.items():
        claims[key].adjustments = [(group, reason, value) for (group, reason), value in sorted(by_code.items())]


def _content_hashes(tables: Mapping[str, pa.Table]) -> dict[int, str]:
    """Set number → hash over all that the set says. Whole columns at a time."""
    digests: dict[int, Any] = defaultdict(hashlib.sha256)
    for name in TABLES:
        table = tables[name]
        if not table.num_rows:
            continue
        columns = [c for c in table.column_names if c not in _ENVELOPE]
        parts = [pc.fill_null(table.column(c).cast(pa.string()), "\x00") for c in columns]
        text = pc.binary_join_element_wise(*parts, "\x1f").to_pylist()
        rows: dict[int, list[str]] = defaultdict(list)
        for number, row in zip(table.column("set_number").to_pylist(), text, strict=True):
            rows[number].append(row)
        for number, listed in rows.items():
            digests[number].update(f"\x1d{name}\x1d".encode() + "\x1e".join(listed).encode())
    return {number: digest.hexdigest() for number, digest in digests.items()}

"""What an 835 must mean: line, claim and set balance, a reversal is negated, and reason 16 says what it lacks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pipeline.x12.validator_meaning import Meaning, State, cents, nth, safe_id, shown, trios
from pipeline.x12.validator_standing import Frame, Standing

#: the reason of an adjustment that says nothing without a remark code
NEEDS_REMARK = "16"
_REMARK = re.compile(r"[A-Z]{1,3}\d{1,4}[A-Z]?\Z", re.ASCII)


class _State835(State):
    def __init__(self, profile: Mapping[str, Any]) -> None:
        super().__init__(profile)
        self.payment: int | None = None
        self.payment_number = 0
        self.total: int | None = 0
        self.charge: int | None = None
        self.paid: int | None = None
        self.adjusted: int | None = 0
        self.share: int | None = None  # CLP05
        self.patients: int | None = 0  # Σ CAS of group PR
        self.claim_number = 0
        self.line_number = 0
        self.line_charge: int | None = None
        self.line_paid: int | None = None
        self.line_adjusted: int | None = 0
        # segment number of an adjustment that needs a remark (0: none), and whether one stands beside it
        self.asks = self.line_asks = 0
        self.remarked = self.line_remarked = False


class Meaning835(Meaning):
    closing = frozenset(("2100", "2110"))
    SUBJECTS = frozenset(("2100",))

    def state(self, profile: Mapping[str, Any]) -> _State835:
        return _State835(profile)

    def prepare(self) -> None:
        self.on("ST", "BPR", _payment)
        self.on("2100", "CLP", _claim_payment)
        self.on("2100", "CAS", _claim_adjustment)
        self.on("2110", "SVC", _service_payment)
        self.on("2110", "CAS", _service_adjustment)
        self.on("ST", "PLB", _provider_adjustment)
        self.on("2100", "MIA", _claim_remark)
        self.on("2100", "MOA", _claim_remark)
        self.on("2110", "LQ", _line_remark)

    def closed(self, state: _State835, walk: Standing, frame: Frame) -> None:
        if frame.loop.id == "2110":
            if state.line_asks and not state.line_remarked:
                _no_remark(walk, state.line_asks, "2110")
            state.line_asks, state.line_remarked = 0, False
            charge, adjusted, paid = state.line_charge, state.line_adjusted, state.line_paid
            if charge is not None and adjusted is not None and paid is not None and charge - adjusted != paid:
                walk.report(
                    "835.line-balance",
                    f"The line's charge {shown(charge)} less adjustments {shown(adjusted)} is not what it paid, {shown(paid)}.",
                    "Ask the payer for a corrected remittance.", number=state.line_number, loop="2110", segment_id="SVC", element=3,
                )  # fmt: skip
        elif frame.loop.id == "2100":
            if state.asks and not state.remarked:
                _no_remark(walk, state.asks, "2100")
            charge, adjusted, paid = state.charge, state.adjusted, state.paid
            if charge is not None and adjusted is not None and paid is not None and charge - adjusted != paid:
                walk.report(
                    "835.claim-balance",
                    f"The claim's charge {shown(charge)} less adjustments {shown(adjusted)} is not what it paid, {shown(paid)}.",
                    "Ask the payer for a corrected remittance.", number=state.claim_number, loop="2100", segment_id="CLP", element=4,
                )  # fmt: skip

            if state.share is not None and state.patients is not None and abs(state.share) != abs(state.patients):
                walk.report(
                    "835.patient-share",
                    f"CLP05 is {shown(state.share)}; the adjustments of group PR come to {shown(state.patients)}.",
                    "Ask the payer for a corrected remittance.", number=state.claim_number, loop="2100", segment_id="CLP", element=5,
                )  # fmt: skip

    def finished(self, state: _State835, walk: Standing) -> None:  # type: ignore[override]
        super().finished(state, walk)
        if state.payment is not None and state.total is not None and state.payment != state.total:
            walk.report(
                "835.set-balance",
                f"BPR02 is {shown(state.payment)}; the claims less provider adjustments come to {shown(state.total)}.",
                "Ask the payer for a corrected remittance.", number=state.payment_number, loop="ST", segment_id="BPR", element=2,
            )  # fmt: skip


def _payment(state: _State835, walk: Standing, number: int, parts: list[str]) -> None:
    state.payment, state.payment_number = cents(nth(parts, 2)), number
    if nth(parts, 3) == "D" and state.payment is not None:
        state.payment = -state.payment


def _claim_payment(state: _State835, walk: Standing, number: int, parts: list[str]) -> None:
    state.claim_number, state.adjusted = number, 0
    state.share, state.patients = None, 0
    state.asks, state.remarked = 0, False
    if len(parts) < 5:
        walk.subject = ""
        state.charge = state.paid = state.total = None
        return
    walk.subject = safe_id(parts[1])
    state.charge, state.paid = cents(parts[3]), cents(parts[4])
    state.share = cents(parts[5]) if nth(parts, 5) else None
    if parts[2] == "22":
        for element, amount in ((3, state.charge), (4, state.paid)):
            if amount is not None and amount > 0:
                walk.report(
                    "835.reversal-sign", f"CLP{element:02d} of a reversal (CLP02 22) is more than nothing: its amounts are negated.",
                    "Ask the payer for a corrected remittance.", loop="2100", segment_id="CLP", element=element,
                )  # fmt: skip
                break
    state.total = None if state.total is None or state.paid is None else state.total + state.paid


def _claim_remark(state: _State835, walk: Standing, number: int, parts: list[str]) -> None:
    state.remarked |= any(_REMARK.match(part) for part in parts[3:])


def _line_remark(state: _State835, walk: Standing, number: int, parts: list[str]) -> None:
    state.line_remarked |= nth(parts, 1) == "HE"


def _no_remark(walk: Standing, number: int, loop: str) -> None:
    where = "LQ*HE of the line" if loop == "2110" else "MIA or MOA of the claim"
    walk.report(
        "835.remark", f"Reason {NEEDS_REMARK} says that something is missing or wrong, and no remark code says what ({where}).",
        "Ask the payer what the claim lacks.", number=number, loop=loop, segment_id="CAS",
    )  # fmt: skip


def _claim_adjustment(state: _State835, walk: Standing, number: int, parts: list[str]) -> None:
    if NEEDS_REMARK in parts[2::3]:
        state.asks = state.asks or number
    total = trios(parts)
    state.adjusted = None if state.adjusted is None or total is None else state.adjusted + total
    _patients_share(state, parts, total)


def _patients_share(state: _State835, parts: list[str], total: int | None) -> None:
    group = nth(parts, 1)
    if group not in ("CO", "CR", "OA", "PI", "PR"):
        state.patients = None  # told as an element: whose share it is, is not known
    elif group == "PR":
        state.patients = None if state.patients is None or total is None else state.patients + total


def _service_payment(state: _State835, walk: Standing, number: int, parts: list[str]) -> None:
    state.line_number, state.line_adjusted = number, 0
    length = len(parts)
    state.line_charge = cents(parts[2]) if length > 2 else None
    state.line_paid = cents(parts[3]) if length > 3 and parts[3] else 0


def _service_adjustment(state: _State835, walk: Standing, number: int, parts: list[str]) -> None:
    if NEEDS_REMARK in parts[2::3]:
        state.line_asks = state.line_asks or number
    total = trios(parts)
    _patients_share(state, parts, total)
    if total is None:
        state.line_adjusted = state.adjusted = None
        return
    if state.line_adjusted is not None:
        state.line_adjusted += total
    if state.adjusted is not None:
        state.adjusted += total


def _provider_adjustment(state: _State835, walk: Standing, number: int, parts: list[str]) -> None:
    for index in range(4, max(len(parts) + 1, 5), 2):
        text = parts[index] if index < len(parts) else ""
        if not text and not any(parts[index - 1 : index]):
            continue
        amount = cents(text)
        state.total = None if state.total is None or amount is None else state.total - amount

"""The rules of the format itself, once, as a table: what each is called, how severe, and what a 999 or TA1 says of it.

`lenient` is the severity on files that we receive: what can be read without guessing is a warning, what cannot stays an
error. `segment`, `element` and `set` are the codes of IK304, IK403 and IK502; `group` of AK905; `interchange` of TA105.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "info"]


@dataclass(frozen=True, slots=True)
class FormatRule:
    snip: int
    strict: Severity = "error"
    lenient: Severity = "error"
    segment: str = ""
    element: str = ""
    set: str = ""
    group: str = ""
    interchange: str = ""
    situational: bool = False  # about meaning: a 999 tells it with its trigger (CTX)


_R = FormatRule
RULES: dict[str, FormatRule] = {
    # the interchange
    "x12.not-x12": _R(1, interchange="022"),
    "x12.byte-order-mark": _R(1, lenient="warning"),
    "x12.line-ends": _R(1, strict="info", lenient="info"),
    "x12.cut-lines": _R(1, lenient="warning", interchange="024"),
    "x12.line-before-terminator": _R(1, lenient="warning", interchange="024"),
    "x12.trailing-bytes": _R(1, lenient="warning"),
    "x12.isa-length": _R(1, lenient="warning", interchange="024"),
    "x12.isa-element": _R(1, lenient="warning", interchange="024"),
    "x12.isa-date": _R(1, lenient="warning", interchange="014"),
    "x12.isa-time": _R(1, lenient="warning", interchange="015"),
    "x12.isa-version": _R(1, lenient="warning", interchange="017"),
    "x12.isa-control": _R(1, lenient="warning", interchange="018"),
    "x12.isa-duplicate": _R(1, strict="warning", lenient="warning", interchange="025"),
    "x12.isa-usage": _R(1, interchange="020"),
    "x12.delimiters": _R(1, interchange="026"),
    "x12.iea-missing": _R(1, interchange="023"),
    "x12.iea-unterminated": _R(1, lenient="warning", interchange="023"),
    "x12.iea-control": _R(1, lenient="warning", interchange="001"),
    "x12.iea-count": _R(1, lenient="warning", interchange="021"),
    "x12.iea-unexpected": _R(1, interchange="022"),
    "x12.unterminated": _R(1, interchange="023"),
    "x12.ta1": _R(1, lenient="warning"),
    # the group
    "x12.gs-element": _R(1, lenient="warning", group="2"),
    "x12.gs-version": _R(1, lenient="warning", group="2"),
    "x12.ge-missing": _R(1, group="3", interchange="022"),
    "x12.ge-control": _R(1, lenient="warning", group="4"),
    "x12.ge-count": _R(1, lenient="warning", group="5"),
    "x12.ge-unexpected": _R(1, interchange="022"),
    "x12.gs-missing": _R(1, interchange="022"),
    "x12.gs-duplicate": _R(1, lenient="warning", group="6"),
    # the set
    "x12.st-missing": _R(1, group="5"),
    "x12.st-element": _R(1, set="6"),
    "x12.st-version": _R(1, lenient="warning", set="I6"),
    "x12.st-duplicate": _R(1, lenient="warning", set="23"),
    "x12.se-missing": _R(1, set="2"),
    "x12.se-control": _R(1, lenient="warning", set="3"),
    "x12.se-count": _R(1, lenient="warning", set="4"),
    "x12.se-unexpected": _R(1, segment="2"),
    "x12.set-unknown": _R(1, lenient="warning", set="1"),
    "x12.set-empty": _R(1, lenient="warning", group="5"),
    # segments
    "x12.segment-id": _R(1, segment="1", set="5"),
    "x12.segment-case": _R(1, lenient="warning", segment="1", set="5"),
    "x12.segment-empty": _R(1, lenient="warning", segment="1", set="5"),
    "x12.segment-unknown": _R(2, segment="1", set="5"),
    "x12.segment-unexpected": _R(2, segment="2", set="5"),
    "x12.segment-order": _R(2, segment="7", set="5"),
    "x12.segment-missing": _R(2, segment="3", set="5"),
    "x12.segment-repeat": _R(2, segment="5", set="5"),
    "x12.loop-missing": _R(2, segment="3", set="5"),
    "x12.loop-repeat": _R(2, segment="4", set="5"),
    # elements
    "x12.element-missing": _R(2, segment="8", element="1", set="5"),
    "x12.element-paired": _R(2, segment="8", element="2", set="5"),
    "x12.element-excluded": _R(2, segment="8", element="10", set="5"),
    "x12.element-not-used": _R(2, lenient="warning", segment="8", element="I10", set="I5"),
    "x12.element-many": _R(2, segment="8", element="3", set="5"),
    "x12.component-many": _R(2, segment="8", element="3", set="5"),
    "x12.element-repeat": _R(2, segment="8", element="12", set="5"),
    "x12.element-short": _R(2, lenient="warning", segment="8", element="4", set="5"),
    "x12.element-long": _R(2, segment="8", element="5", set="5"),
    "x12.element-type": _R(2, segment="8", element="6", set="5"),
    "x12.element-character": _R(1, lenient="warning", segment="8", element="6", set="5"),
    "x12.element-padded": _R(1, lenient="warning", segment="8", element="6", set="5"),
    "x12.element-code": _R(2, segment="8", element="7", set="5"),
    "x12.element-list": _R(5, lenient="warning", segment="8", element="7", set="5"),
    "x12.element-date": _R(2, segment="8", element="8", set="5"),
    "x12.element-time": _R(2, segment="8", element="9", set="5"),
    "x12.element-range": _R(2, segment="8", element="8", set="5"),
    "x12.element-decimals": _R(2, segment="8", element="6", set="5"),
    "x12.trailing-separator": _R(1, lenient="warning", segment="8", element="3", set="5"),
    # levels
    "hl.number": _R(2, situational=True),
    "hl.parent": _R(2, situational=True),
    "hl.children": _R(2, lenient="warning", situational=True),
    # identifiers
    "npi": _R(5, lenient="warning", situational=True),
    "address": _R(4, lenient="warning", situational=True),
    "name": _R(4, lenient="warning", situational=True),
    "taxonomy": _R(5, strict="warning", lenient="warning", situational=True),
    # 837
    "837.charges": _R(3, situational=True),
    "837.line-paid": _R(3, situational=True),
    "837.payer-paid": _R(3, situational=True),
    "837.claim-paid": _R(3, situational=True),
    "837.non-covered": _R(3, situational=True),
    "837.payer-amount": _R(3, lenient="warning", situational=True),
    "837.statement-dates": _R(4, lenient="warning", situational=True),
    "837.payer-order": _R(4, situational=True),
    "837.payer-repeated": _R(4, situational=True),
    "837.paid-by": _R(4, situational=True),
    "837.paid-date": _R(4, situational=True),
    "837.line-number": _R(4, situational=True),
    "837.line-control": _R(4, situational=True),
    "837.negative": _R(4, situational=True),
    "837.icd": _R(5, lenient="warning", situational=True),
    "837.medicare-id": _R(5, strict="warning", lenient="warning", situational=True),
    "837.no-claim": _R(4, situational=True),
    "837.claim-id": _R(4, strict="warning", lenient="warning", situational=True),
    "837.pointer": _R(4, situational=True),
    "837.claims-in-set": _R(4, strict="warning", lenient="warning", situational=True),
    "837.service-date": _R(4, situational=True),
    "837.duplicate-claim": _R(4, strict="warning", lenient="warning", situational=True),
    # 835
    "835.line-balance": _R(3, situational=True),
    "835.claim-balance": _R(3, situational=True),
    "835.set-balance": _R(3, situational=True),
    "835.patient-share": _R(3, lenient="warning", situational=True),
    "835.reversal-sign": _R(4, lenient="warning", situational=True),
    "835.remark": _R(4, lenient="warning", situational=True),
    # 999
    "999.counts": _R(4, lenient="warning", situational=True),
    "999.codes": _R(4, lenient="warning", situational=True),
    # 277CA
    "277CA.totals": _R(4, lenient="warning", situational=True),
}

"""Findings: what is wrong, where, and how to mend it, as values.

Checks return findings and never raise, so that one bad row leaves its neighbours alone. A finding names a rule, never a
patient: values of patient fields stay out of `message` and `fix`, because findings travel into logs and reports.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from typing import Any, Literal

Severity = Literal["error", "warning", "info"]
#: error: the thing may not go on · warning: it goes on and a person should know · info: a tolerated oddity


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One fact about one place.

    `segment` is the 1-based number of the segment in the file, `element`/`component` are 1-based X12 positions,
    `offset` is the byte offset in the file. `source` names the cell of the extract (`file row N column C`).
    `subject` is the id of the encounter, claim, remittance or file that the finding is about.
    """

    rule: str
    severity: Severity
    message: str
    fix: str = ""
    snip: int | None = None
    file: str = ""
    segment: int | None = None
    loop: str = ""
    segment_id: str = ""
    element: int | None = None
    component: int | None = None
    offset: int | None = None
    source: str = ""
    subject: str = ""

    @property
    def finding_id(self) -> str:
        """A stable id: the same finding found again is the same finding."""
        text = "\x1f".join("" if v is None else str(v) for v in asdict(self).values())
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def has_errors(findings: list[Finding]) -> bool:
    return any(f.severity == "error" for f in findings)

"""What the validator saw of the envelopes: interchanges, groups and sets, for acknowledgments."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from pipeline.findings import Finding
from pipeline.x12.segments import Delimiters

Mode = Literal["strict", "lenient"]


@dataclass(slots=True)
class SetSeen:
    """One transaction set: its header as it stands, its first and last segment, and how many findings it got."""

    id: str
    control: str
    version: str
    first: int
    last: int = 0
    errors: int = 0
    warnings: int = 0
    known: bool = True  # we have its guide


@dataclass(slots=True)
class GroupSeen:
    functional_id: str
    sender: str
    receiver: str
    control: str
    version: str
    first: int
    last: int = 0
    created: str = ""  # GS04
    stated_sets: str = ""
    sets: list[SetSeen] = field(default_factory=list)


@dataclass(slots=True)
class InterchangeSeen:
    """`elements` are ISA01–ISA16 without padding."""

    elements: tuple[str, ...]
    delimiters: Delimiters
    first: int
    last: int = 0
    groups: list[GroupSeen] = field(default_factory=list)


@dataclass(slots=True)
class Report:
    findings: list[Finding]
    interchanges: list[InterchangeSeen]

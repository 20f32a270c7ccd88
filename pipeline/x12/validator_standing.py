"""Where a walk through a file stands, and what it has found so far: what hooks and rules are given.

Theory. The walk, the meaning of a transaction and the situational rules all need to know the same things (the segment's number,
the open loops, the delimiters) and all report. So this is what they share: it knows no guide's tables and calls none of them.
A finding is kept as a plain row; its byte offset is found at the end, and only for the segments that have one.
"""

from __future__ import annotations

from typing import Any, get_args

from pipeline.findings import Finding, Severity
from pipeline.wording import counted
from pipeline.x12.guides import Loop, Place
from pipeline.x12.lines import joined
from pipeline.x12.segments import BLANKS, DEFAULT_DELIMITERS
from pipeline.x12.validator_rules import RULES, FormatRule
from pipeline.x12.validator_seen import GroupSeen, InterchangeSeen, Mode, SetSeen
from pipeline.x12.validator_tokens import Tokens

#: (place, segment number, the segment's elements)
Item = tuple[Place, int, list[str]]
#: the gravest first
GRADES = get_args(Severity)


class Frame:
    """An open loop: what it has held (`mask`, `counts`), where it began, and its segments where rules ask for them."""

    __slots__ = ("counts", "excused", "firsts", "items", "kids", "loop", "mask", "number", "signature")

    def __init__(self, loop: Loop, number: int, keep: bool) -> None:
        self.signature: tuple[int, tuple[Any, ...]] | None = None
        self.loop = loop
        self.mask = 0
        self.excused = 0  # what it need not hold, since its own first segment is missing and that was told
        self.number = number
        self.counts: dict[int, int] | None = None
        #: (bit, segment number) of the first of each place and child loop: tells where a missing one should have stood
        self.firsts: list[tuple[int, int]] = []
        self.items: list[Item] | None = [] if keep else None
        self.kids: dict[str, list[tuple[list[Item], tuple[Any, ...]]]] | None = None


class Standing:
    def __init__(self, data: bytes, mode: Mode, profile: dict[str, Any], limit: int) -> None:
        self.data, self.lines = joined(data)
        self.text = self.data.decode("latin-1")
        self.lenient = mode == "lenient"
        self.profile = profile
        self.limit = max(limit, 1)
        self.found: list[dict[str, Any]] = []
        #: of errors and of all else, how many are kept: of each at most `limit`, so that no number of warnings hides an error
        self.kept = {True: 0, False: 0}
        self.beyond = 0  # neither kept nor listed
        self.count = 0  # findings so far, listed or not
        self.interchanges: list[InterchangeSeen] = []
        self.number = 0
        self.delimiters = DEFAULT_DELIMITERS
        self.group: GroupSeen | None = None
        self.set: SetSeen | None = None
        self.frames: list[Frame] = []  # the open loops of the set
        self.subject = ""
        #: (segment, element) whose form is wrong: what they mean is not asked
        self.faulty: set[tuple[int, int]] = set()
        #: (first segment of a loop, segment id): it holds one whose qualifier is wrong, so none of them is called missing
        self.doubted: set[tuple[int, str]] = set()
        self.muted = False  # nothing is reported: a hook is told of a segment that is missing
        self.quiet = (
            False  # nothing is reported: what is read is the rest of something that was cut off, which was told
        )

    def report(
        self,
        rule: str,
        message: str,
        fix: str = "",
        *,
        number: int | None = None,
        loop: str = "",
        segment_id: str = "",
        element: int | None = None,
        component: int | None = None,
        severity: str = "",
        snip: int | None = None,
        subject: str | None = None,
    ) -> None:
        if self.muted or self.quiet:
            return
        if element and not rule.startswith("x12.") and (number or self.number, element) in self.faulty:
            return
        known: FormatRule | None = RULES.get(rule)
        if not severity:
            severity = (known.lenient if self.lenient else known.strict) if known else "error"
        if snip is None and known:
            snip = known.snip
        self.count += 1
        if self.set is not None:
            if severity == "error":
                self.set.errors += 1
            elif severity == "warning":
                self.set.warnings += 1
        if self.kept[severity == "error"] >= self.limit:
            self.beyond += 1
            return
        self.kept[severity == "error"] += 1
        self.found.append({
            "rule": rule, "severity": severity, "message": message, "fix": fix, "snip": snip,
            "segment": self.number if number is None else number, "loop": loop, "segment_id": segment_id,
            "element": element, "component": component, "subject": self.subject if subject is None else subject,
        })  # fmt: skip

    def finished(self, file: str) -> list[Finding]:
        """The findings with their byte offsets, in order of segments. Where there are more than may be listed, errors
        come first, and the last one is as grave as the gravest that is not listed: the verdict never depends on the limit."""
        found, tail = self.found, []
        lost = len(found) + self.beyond - self.limit
        if lost > 0:
            found = sorted(found, key=lambda item: item["severity"] != "error")
            last = found[self.limit - 1]
            unlisted = {item["severity"] for item in found[self.limit - 1 :]}
            tail = [{
                **last, "rule": "x12.limit", "severity": next(grade for grade in GRADES if grade in unlisted), "snip": None,
                "loop": "", "segment_id": "", "element": None, "component": None, "subject": "",
                "message": f"{counted(lost + 1, 'further finding')} not listed.", "fix": "Mend these first, or raise the limit.",
            }]  # fmt: skip
            found = found[: self.limit - 1]
        # stable: findings of one segment stay in the order in which they were made
        found.sort(key=lambda item: item["segment"])
        offsets = self._offsets({item["segment"] for item in found + tail})
        end = len(self.text)
        placed = [
            (item.pop("place", offsets.get(item["segment"], end if item["segment"] > 1 else 0)), item)
            for item in found + tail
        ]
        place = self.lines.place if self.lines else int
        return [Finding(file=file, offset=place(offset), **item) for offset, item in placed]

    def _offsets(self, wanted: set[int]) -> dict[int, int]:
        if not wanted:
            return {}
        result: dict[int, int] = {}
        todo = sorted((number for number in wanted if number > 0), reverse=True)
        number = 0
        tokens = Tokens(self.data, self.text)
        for offset, batch, whole in tokens:
            if not whole and not tokens.last:
                continue  # cut off by another interchange: it has no number
            raw = batch.split(tokens.delimiters.segment)
            if tokens.delimiters.segment in "\r\n":
                for text in raw:
                    blank = len(text) - len(text.lstrip(BLANKS))
                    if blank < len(text):  # an empty line has no number
                        number += 1
                        if todo and todo[-1] == number:
                            result[todo.pop()] = offset + blank
                    offset += len(text) + 1
                continue
            at = 0  # segments of this batch passed so far
            while todo and todo[-1] <= number + len(raw):
                index = todo.pop() - number - 1
                offset += sum(map(len, raw[at:index])) + index - at
                at = index
                blank = len(raw[index]) - len(raw[index].lstrip(BLANKS))
                result[number + index + 1] = offset + blank
            if not todo:
                break
            number += len(raw)
        return result

    def _forget(self, elements: set[int]) -> None:
        """The form of these elements of this segment is wrong: one fault, one finding, so what they mean is left unsaid."""
        self.faulty |= {(self.number, element) for element in elements}
        index = len(self.found)
        while index and self.found[index - 1]["segment"] == self.number:
            index -= 1
            item = self.found[index]
            if item["element"] not in elements or item["rule"].startswith("x12."):
                continue
            del self.found[index]
            self.count -= 1
            self.kept[item["severity"] == "error"] -= 1
            if self.set is not None and item["severity"] in ("error", "warning"):
                name = "errors" if item["severity"] == "error" else "warnings"
                setattr(self.set, name, getattr(self.set, name) - 1)

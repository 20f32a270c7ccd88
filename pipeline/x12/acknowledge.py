"""What a receiver answers to a file: TA1 for interchanges, 999 for groups. Made from the validator's findings alone.

Theory. TA1 speaks of the envelope (ISA to IEA), the 999 of what stands inside a group. A rejected interchange gets a TA1 and
no 999, since none of its groups was taken. A set with an error is rejected as a whole: none of its claims was received;
one with warnings only is accepted with errors and must not be sent again. SNIP 1, 2 and the situational rules of the
guide go into the 999; balances and later types belong into the 277CA.

The answers are interchanges themselves, addressed back to the sender, and pass the same validator.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal

from pipeline.findings import Finding
from pipeline.x12 import guides
from pipeline.x12.guides import Element
from pipeline.x12.segments import DEFAULT_DELIMITERS
from pipeline.x12.validator import examine
from pipeline.x12.validator_elements import is_date, is_time
from pipeline.x12.validator_envelope import QUALIFIERS
from pipeline.x12.validator_rules import RULES
from pipeline.x12.validator_seen import GroupSeen, InterchangeSeen, Mode, Report, SetSeen
from pipeline.x12.writer import Element as Written
from pipeline.x12.writer import Envelope, gs, interchange, isa, render

VERSION_999 = "005010X231A1"
#: findings of these SNIP types are told by the 999; later types by the 277CA
TOLD_BY_999 = (1, 2, 4)

Segments = list[list[Written]]


@dataclass(frozen=True, slots=True)
class SetAnswer:
    """IK501 of one set and the segments that say why."""

    set: SetSeen
    code: str  # A, E or R


@dataclass(frozen=True, slots=True)
class GroupAnswer:
    """AK901 of one group."""

    group: GroupSeen
    code: str  # A, E, P or R
    sets: tuple[SetAnswer, ...]


@dataclass(frozen=True, slots=True)
class InterchangeAnswer:
    """TA104 and TA105 of one interchange, and its groups (empty where it was rejected)."""

    interchange: InterchangeSeen
    code: str  # A, E or R
    note: str
    groups: tuple[GroupAnswer, ...]


@dataclass(frozen=True, slots=True)
class Acknowledgments:
    """`ta1` and `functional_999` are whole files (None: none is due). `next_control` is the first ISA13 not used."""

    ta1: bytes | None
    functional_999: bytes | None
    findings: list[Finding]
    answers: tuple[InterchangeAnswer, ...]
    next_control: int
    report: Report = field(repr=False)


def acknowledge(
    data: bytes,
    *,
    on: date,
    control: int = 1,
    time: str = "0000",
    file: str = "",
    mode: Mode = "strict",
    profile: Mapping[str, Any] | None = None,
    answer_ta1: Literal["due", "always", "never"] = "due",
    note: str = "",
    also: Sequence[Finding] = (),
) -> Acknowledgments:
    """The answers to one received file.

    `on`, `time` (HHMM) and `control` (the first ISA13 to use; each answering interchange takes the next) are given, so
    that the same file gives the same answer. `answer_ta1` due: where ISA14 asks for it or the interchange is not accepted.
    `note`: a TA105 of the caller that rejects every interchange (`025` where it knows a duplicate).
    `also`: findings of the caller's own, which count as the validator's do (they need `segment` and `snip`).
    Acknowledgments (TA1, 999) and files that are no X12 get no answer.
    """
    report = examine(data, file=file, mode=mode, profile=profile, limit=100_000)
    if also:
        report.findings[:] = sorted([*report.findings, *also], key=lambda f: f.segment or 0)
    answers = tuple(_interchange(seen, report, note) for seen in report.interchanges)
    ta1_segments: list[Segments] = []
    functional: list[Segments] = []
    for answer in answers:
        seen = answer.interchange
        if _only_acknowledgments(seen):
            continue
        due = seen.elements[13] == "1" or answer.code != "A"
        if answer_ta1 == "always" or (answer_ta1 == "due" and due):
            envelope = _envelope(seen, on, time, control, "", "", 0)
            ta1_segments.append(
                [*[isa(envelope)], ta1_segment(seen, answer.code, answer.note), ["IEA", "0", f"{control:09d}"]]
            )
            control += 1
        groups = [group for group in answer.groups if group.group.functional_id != "FA"]
        if groups:
            functional.append(_functional(seen, groups, report.findings, on, time, control))
            control += 1
    return Acknowledgments(
        b"".join(render(segments) for segments in ta1_segments) or None,
        b"".join(render(segments) for segments in functional) or None,
        report.findings,
        answers,
        control,
        report,
    )


def ta1(answer: InterchangeAnswer, envelope: Envelope) -> bytes:
    """The TA1 of one interchange in an envelope of the caller's (no group, IEA01 = 0)."""
    trailer: list[Written] = ["IEA", "0", f"{envelope.interchange_control:09d}"]
    return render(
        [isa(envelope), ta1_segment(answer.interchange, answer.code, answer.note), trailer], envelope.delimiters
    )


def functional_999(answer: InterchangeAnswer, findings: Sequence[Finding], envelope: Envelope) -> bytes:
    """The 999s of one interchange, one set a received group, in one group of the caller's envelope (FA, 005010X231A1)."""
    bodies = [list(_body(group, findings, f"{n:04d}")) for n, group in enumerate(answer.groups, start=1)]
    return interchange(envelope, bodies)


def ta1_segment(seen: InterchangeSeen, code: str, note: str) -> list[Written]:
    """TA1 for an interchange: its control number, date and time, then A, E or R and the note (`000` fine)."""
    v = seen.elements
    number = v[12] if v[12].isdigit() and len(v[12]) == 9 else "".join(c for c in v[12] if c.isdigit())[:9].zfill(9)
    return ["TA1", number, _date(v[8]), v[9] if len(v[9]) == 4 and is_time(v[9]) else "0000", code, note]


def _date(text: str) -> str:
    return text if len(text) == 6 and is_date("20" + text) else "000101"


def _only_acknowledgments(seen: InterchangeSeen) -> bool:
    """TA1 alone, or 999s: they are never acknowledged by a TA1, or two systems would answer each other for ever."""
    return not seen.groups or all(group.functional_id == "FA" for group in seen.groups)


def _within(findings: Sequence[Finding], first: int, last: int) -> list[Finding]:
    return [f for f in findings if f.segment is not None and first <= f.segment <= last]


def _interchange(seen: InterchangeSeen, report: Report, note: str) -> InterchangeAnswer:
    findings = _within(report.findings, seen.first, seen.last)
    code, found_note = "A", "000"
    for finding in findings:
        known = RULES.get(finding.rule)
        if known is None or not known.interchange:
            continue
        if finding.severity == "error" and code != "R":
            code, found_note = "R", known.interchange
        elif finding.severity == "warning" and code == "A":
            code, found_note = "E", known.interchange
    if note and note != "000":
        code, found_note = "R", note
    if code == "R":
        return InterchangeAnswer(seen, code, found_note, ())
    return InterchangeAnswer(seen, code, found_note, tuple(_group(group, findings) for group in seen.groups))


def _told(findings: Sequence[Finding], seen: SetSeen) -> list[Finding]:
    return [
        f for f in _within(findings, seen.first, seen.last)
        if f.severity in ("error", "warning") and f.snip in TOLD_BY_999 and not _of_group(f)
    ]  # fmt: skip


def _of_group(finding: Finding) -> bool:
    known = RULES.get(finding.rule)
    return bool(known and (known.group or known.interchange) and not known.set)


def _group(group: GroupSeen, findings: Sequence[Finding]) -> GroupAnswer:
    sets = []
    for seen in group.sets:
        told = _told(findings, seen)
        code = "R" if any(f.severity == "error" for f in told) else "E" if told else "A"
        sets.append(SetAnswer(seen, code))
    own = _group_findings(group, findings)
    codes = {answer.code for answer in sets}
    if any(f.severity == "error" for f in own) or (codes and codes == {"R"}) or not sets:
        code = "R"
    elif "R" in codes:
        code = "P"
    else:
        code = "E" if "E" in codes or own else "A"
    if code == "R":
        sets = [SetAnswer(answer.set, "R" if answer.code == "R" else answer.code) for answer in sets]
    return GroupAnswer(group, code, tuple(sets))


def _group_findings(group: GroupSeen, findings: Sequence[Finding]) -> list[Finding]:
    last = max(group.last, group.first)
    return [f for f in _within(findings, group.first, last) if (known := RULES.get(f.rule)) and known.group]


def _envelope(
    seen: InterchangeSeen, on: date, time: str, control: int, sender: str, receiver: str, group: int
) -> Envelope:
    """Addressed back: what was the receiver sends now."""
    v = seen.elements
    return Envelope(
        sender_qualifier=_qualifier(v[6]), sender_id=_clean(v[7])[:15] or "RECEIVER",
        receiver_qualifier=_qualifier(v[4]), receiver_id=_clean(v[5])[:15] or "SENDER", group_sender=sender, group_receiver=receiver, on=on, time=time,
        interchange_control=control, group_control=group, functional_id="FA", version=VERSION_999,
        usage=v[14] if v[14] in ("P", "T") else "T",
    )  # fmt: skip


def _qualifier(text: str) -> str:
    return text if text in QUALIFIERS else "ZZ"


def _clean(text: str) -> str:
    """A received id or number without delimiters of ours and without odd characters."""
    return "".join(c for c in text if " " <= c <= "~" and c not in DEFAULT_DELIMITERS).strip()


def _functional(
    seen: InterchangeSeen, groups: Sequence[GroupAnswer], findings: Sequence[Finding], on: date, time: str, control: int
) -> Segments:
    """One interchange of 999s: a set for each received group, in a group for each pair of application ids."""
    addressed: dict[tuple[str, str], list[GroupAnswer]] = {}
    for group in groups:
        addressed.setdefault((group.group.receiver, group.group.sender), []).append(group)
    envelope = _envelope(seen, on, time, control, "", "", 1)
    segments: Segments = [isa(envelope)]
    ordinal = 0  # of the sets: unique in the interchange
    for number, ((sender, receiver), answers) in enumerate(addressed.items(), start=1):
        names = [_clean(sender) or envelope.sender_id, _clean(receiver) or envelope.receiver_id]
        one = _envelope(seen, on, time, control, names[0].ljust(2, "0")[:15], names[1].ljust(2, "0")[:15], number)
        segments.append(gs(one))
        for answer in answers:
            ordinal += 1
            body = list(_body(answer, findings, f"{ordinal:04d}"))
            segments += [*body, ["SE", str(len(body) + 1), f"{ordinal:04d}"]]
        segments.append(["GE", str(len(answers)), str(number)])
    segments.append(["IEA", str(len(addressed)), f"{control:09d}"])
    return segments


def _body(answer: GroupAnswer, findings: Sequence[Finding], number: str) -> Iterator[list[Written]]:
    group = answer.group
    yield ["ST", "999", number, VERSION_999]
    yield ["AK1", _functional_id(group), _number(group.control), _clean(group.version)[:12] or "005010"]
    for answered in answer.sets:
        yield from _set(answered, _told(findings, answered.set))
    stated = _number(group.stated_sets) if group.stated_sets else str(len(answer.sets))
    accepted = 0 if answer.code == "R" else sum(1 for one in answer.sets if one.code in ("A", "E"))
    codes = list(dict.fromkeys(RULES[f.rule].group for f in _group_findings(group, findings)))[:5]
    yield ["AK9", answer.code, stated[:6], str(len(answer.sets)), str(accepted), *codes]


def _functional_id(group: GroupSeen) -> str:
    """AK101 needs two letters, whatever GS01 held."""
    text = group.functional_id
    return text if len(text) == 2 and text.isascii() and text.isalpha() else "HC"


def _number(text: str) -> str:
    digits = "".join(c for c in text if c.isascii() and c.isdigit())[:9]
    return digits or "0"


def _set(answer: SetAnswer, told: Sequence[Finding]) -> Iterator[list[Written]]:
    seen = answer.set
    known_ids = _clean(seen.id)[:3]
    yield [
        "AK2",
        known_ids.ljust(3, "0"),
        (_clean(seen.control) or "0000").ljust(4, "0")[:9],
        _clean(seen.version)[:35],
    ]
    codes: list[str] = []
    guide = guides.for_version(seen.version, seen.id)
    grouped: dict[tuple[int, str, str], list[Finding]] = {}
    for finding in told:
        known = RULES.get(finding.rule)
        code = "I5" if _situational(finding) else known.set if known else ""
        if code and code not in codes:
            codes.append(code)
        segment_code = _situational_code(finding) if _situational(finding) else known.segment if known else ""
        if not segment_code or finding.segment is None:
            continue
        grouped.setdefault((finding.segment, finding.segment_id, segment_code), []).append(finding)
    for (segment, segment_id, segment_code), listed in grouped.items():
        yield ["IK3", segment_id or "ZZZ", str(segment - seen.first + 1), "", segment_code]
        subject = next((f.subject for f in listed if f.subject), "")
        for f in [f for f in listed if _situational(f)][:9]:
            yield _trigger(f, segment - seen.first + 1)
        if subject and seen.id == "837":
            yield ["CTX", ["CLM01", _clean(subject)[:35]]]
        if segment_code in ("8", "I6"):
            yield from _elements(guide, [f for f in listed if f.element and not _situational(f)])
    yield ["IK5", answer.code, *codes[:5]]


def _situational(finding: Finding) -> bool:
    known = RULES.get(finding.rule)
    return known is None or known.situational


def _situational_code(finding: Finding) -> str:
    """A situational rule: the segment it names is missing (no element named) or one of its elements breaks the rule."""
    return "I6" if finding.element is None else "8"


def _trigger(finding: Finding, position: int) -> list[Written]:
    parts: list[Written] = ["CTX", "SITUATIONAL TRIGGER", finding.segment_id or "ZZZ", str(position)]
    if finding.element:
        parts += ["", [str(finding.element), *([str(finding.component)] if finding.component else [])]]
    return parts


def _elements(guide: guides.Guide | None, listed: Sequence[Finding]) -> Iterator[list[Written]]:
    seen: set[tuple[Any, ...]] = set()
    for finding in listed:
        code = RULES[finding.rule].element
        key = (finding.element, finding.component, code)
        if not code or key in seen:
            continue
        seen.add(key)
        position: Written = (
            [str(finding.element), str(finding.component)] if finding.component else str(finding.element)
        )
        yield ["IK4", position, _data_element(guide, finding), code]


def _data_element(guide: guides.Guide | None, finding: Finding) -> str:
    """The number of the data element in X12's dictionary, '' where the guide does not have the place."""
    for place in guide.by_id(finding.segment_id) if guide else ():
        if (
            place.loop.id == (finding.loop or place.loop.id)
            and finding.element
            and finding.element <= len(place.elements)
        ):
            element: Element = place.elements[finding.element - 1]
            if finding.component and finding.component <= len(element.components):
                element = element.components[finding.component - 1]
            if element.number.isdigit():
                return element.number
    return ""

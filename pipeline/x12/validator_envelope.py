"""The envelope, in plain steps: ISA, TA1, GS, ST, SE, GE, IEA, and what is missing of them."""

from __future__ import annotations

import json
import re
from typing import Any

from pipeline.wording import counted
from pipeline.x12 import guides
from pipeline.x12.segments import Delimiters
from pipeline.x12.validator_elements import is_date, is_time
from pipeline.x12.validator_machine import machine_for
from pipeline.x12.validator_seen import GroupSeen, InterchangeSeen, Mode, SetSeen
from pipeline.x12.validator_standing import Frame
from pipeline.x12.validator_strays import Strays

ISA_WIDTHS = (2, 10, 2, 10, 2, 15, 2, 15, 6, 4, 1, 5, 9, 1, 1, 1)
QUALIFIERS = frozenset(["01", "02", "03", "04", "07", "08", "09", "10", "11", "12", "13", "14", "15", "16", "17", "18", "19", "20", "21", "22", "23", "24", "25", "26", "27", "28", "29", "30", "31", "32", "33", "34", "35", "36", "37", "38", "AM", "NR", "SA", "SN", "ZZ"])  # fmt: skip
ENVELOPE = frozenset(("ISA", "TA1", "GS", "ST", "SE", "GE", "IEA"))
_CONTROL_NUMBER = re.compile(r"\d{9}\Z")


class Envelopes(Strays):
    """A walk that knows the envelope around its sets."""

    def __init__(self, data: bytes, mode: Mode, profile: dict[str, Any], limit: int) -> None:
        super().__init__(data, mode, profile, limit)
        overlay = {key: profile[key] for key in ("elements", "segments", "rules") if profile.get(key)}
        self.overlay = json.dumps(overlay, sort_keys=True, default=list) if overlay else ""
        self.interchange: InterchangeSeen | None = None
        self.set_numbers: set[str] = set()
        self.group_numbers: set[str] = set()
        self.interchange_numbers: set[tuple[str, ...]] = set()
        self.outside = False  # between sets, where segments stand that belong to none: told once
        self.lost_sets = 0  # of this group: how often
        self.ended = False  # all segments were read
        self.cut = False  # the file, or this interchange, is cut off: what stood after it is not known

    def _envelope(self, segment_id: str, parts: list[str], segment: str) -> None:
        # trailing empty elements do not count
        while len(parts) > 1 and not parts[-1] and segment_id != "ISA":
            parts.pop()
            if len(parts) == 1 or parts[-1]:
                self.report(
                    "x12.trailing-separator", f"{segment_id} ends with empty elements.", "End it after its last value.",
                    segment_id=segment_id, element=len(parts),
                )  # fmt: skip
        getattr(self, f"_{segment_id.lower()}")(parts, segment)

    def _isa(self, parts: list[str], segment: str) -> None:
        if self.interchange is not None:
            self._close_interchange(missing=True)
        self.cut = False
        values = (*parts[1:17], *[""] * (17 - len(parts)))
        self.subject = ""
        self.group_numbers = set()
        self.set_numbers = set()
        self.interchange = InterchangeSeen(
            tuple(v.strip(" ") for v in values), self.delimiters, self.number, self.number
        )
        self.interchanges.append(self.interchange)
        say = self._isa_finding
        self.outside = False
        if len(set(marks := tuple(mark for mark in _declared(parts, self.delimiters) if mark))) < len(marks):
            self.report(
                "x12.delimiters", "The delimiters that ISA declares are not four different marks.", "Use * ^ : and ~.",
                segment_id="ISA",
            )  # fmt: skip
        if tuple(map(len, values)) != ISA_WIDTHS:
            say(
                "x12.isa-length",
                0,
                "ISA is not 106 characters long with its terminator.",
                "Pad each ISA element to its width.",
            )
        if len(parts) != 17:
            say("x12.isa-length", 0, "ISA does not have sixteen elements.", "Send ISA01 to ISA16.")
        for position, (value, width) in enumerate(zip(values, ISA_WIDTHS, strict=False), start=1):
            if len(value) != width and position != 16:
                say(
                    "x12.isa-length",
                    position,
                    f"ISA{position:02d} is not {width} characters wide.",
                    "Pad it with spaces.",
                )
            elif re.search(r"[^ -~]", value) and position not in (11, 16):
                say(
                    "x12.isa-element",
                    position,
                    f"ISA{position:02d} holds a character that is not allowed.",
                    "Replace it.",
                )
        v = self.interchange.elements
        if v[0] not in ("00", "03"):
            say("x12.isa-element", 1, "ISA01 is not 00 or 03.", "Use 00.")
        if v[2] not in ("00", "01"):
            say("x12.isa-element", 3, "ISA03 is not 00 or 01.", "Use 00.")
        for position in (5, 7):
            if v[position - 1] not in QUALIFIERS:
                say(
                    "x12.isa-element",
                    position,
                    f"ISA{position:02d} is not a qualifier of X12.",
                    "Use ZZ, 01, 27, 28, 29, 30 …",
                )
        for position in (6, 8):
            if not v[position - 1]:
                say("x12.isa-element", position, f"ISA{position:02d} is empty.", "Give the id of the party.")
        if not (len(v[8]) == 6 and is_date("20" + v[8])):
            say("x12.isa-date", 9, "ISA09 is not a date YYMMDD.", "Give the date of the interchange.")
        if not (len(v[9]) == 4 and is_time(v[9])):
            say("x12.isa-time", 10, "ISA10 is not a time HHMM.", "Give the time of the interchange.")
        if v[11] not in ("00501", "00401"):
            say("x12.isa-version", 12, "ISA12 is not 00501.", "Use 00501.")
        elif v[11] == "00501" and (not v[10] or v[10].isalnum()):
            say("x12.isa-element", 11, "ISA11 does not declare a repetition separator.", "Use ^.")
        if not _CONTROL_NUMBER.match(v[12]):
            say("x12.isa-control", 13, "ISA13 is not nine digits.", "Give the control number with leading zeros.")
        elif (own := (*v[4:8], v[12])) in self.interchange_numbers:
            say(
                "x12.isa-duplicate", 13, "ISA13 stands a second time between this sender and receiver.",
                "Give each interchange a number of its own; send no interchange twice.",
            )  # fmt: skip
        else:
            self.interchange_numbers.add(own)
        if v[13] not in ("0", "1"):
            say("x12.isa-element", 14, "ISA14 is not 0 or 1.", "Use 0 or 1.")
        if v[14] not in ("P", "T", "I"):
            say("x12.isa-usage", 15, "ISA15 is not P or T.", "Use T for tests, P for production.")
        elif self.profile.get("usage") and v[14] != self.profile["usage"]:
            say(
                "x12.isa-usage",
                15,
                f"ISA15 is {v[14]} and the profile asks {self.profile['usage']}.",
                "Do not send it.",
            )

    def _isa_finding(self, rule: str, element: int, message: str, fix: str) -> None:
        self.report(rule, message, fix, segment_id="ISA", element=element or None)

    def _ta1(self, parts: list[str], segment: str) -> None:
        def say(element: int, message: str) -> None:
            self.report("x12.ta1", message, "Mend the TA1.", segment_id="TA1", element=element or None)

        if self.interchange is None or self.group is not None:
            say(0, "TA1 does not stand between ISA and the first GS.")
        v = [*parts[1:], *[""] * 5][:5] if len(parts) <= 6 else parts[1:]
        if len(v) > 5:
            say(6, "TA1 has more than five elements.")
        if not _CONTROL_NUMBER.match(v[0]):
            say(1, "TA101 is not nine digits.")
        if not (len(v[1]) == 6 and is_date("20" + v[1])):
            say(2, "TA102 is not a date YYMMDD.")
        if not (len(v[2]) == 4 and is_time(v[2])):
            say(3, "TA103 is not a time HHMM.")
        if v[3] not in ("A", "E", "R"):
            say(4, "TA104 is not A, E or R.")
        if not re.match(r"0(?:[0-2]\d|30|31)\Z", v[4]):
            say(5, "TA105 is not a note code 000 to 031.")
        elif (v[3] == "A") != (v[4] == "000") and v[3] in ("A", "R"):
            say(5, "TA104 and TA105 contradict each other.")

    def _gs(self, parts: list[str], segment: str) -> None:
        if self.interchange is None:
            self.report(
                "x12.gs-missing", "GS stands outside an interchange.", "Check the ISA before it.", segment_id="GS"
            )
            self.interchange = InterchangeSeen(("",) * 16, self.delimiters, self.number, self.number)
            self.interchanges.append(self.interchange)
        if self.group is not None:
            self._close_group(missing=True)
        v = [*parts[1:9], *[""] * (9 - len(parts))]
        self.group = GroupSeen(v[0], v[1], v[2], v[5], v[7], self.number, self.number, v[3])
        self.interchange.groups.append(self.group)

        def say(element: int, message: str, rule: str = "x12.gs-element") -> None:
            self.report(rule, message, f"Mend GS{element:02d}.", segment_id="GS", element=element)

        if len(parts) > 9:
            say(9, "GS has more than eight elements.")
        known = [guides.data(name) for name in guides.kinds_of(v[7])]
        if not re.match(r"[A-Z]{2}\Z", v[0]):
            say(1, "GS01 is not a functional identifier of two letters.")
        elif known and v[0] not in {guide["group"] for guide in known}:
            say(1, f"GS01 is not {' or '.join(sorted({guide['group'] for guide in known}))}, which GS08 asks.")
        for element in (2, 3):
            if not 2 <= len(v[element - 1]) <= 15:
                say(element, f"GS{element:02d} is not 2 to 15 characters long.")
        if not is_date(v[3]):
            say(4, "GS04 is not a date CCYYMMDD.")
        if not is_time(v[4]):
            say(5, "GS05 is not a time HHMM.")
        if not (v[5].isdigit() and v[5].isascii() and len(v[5]) <= 9):
            say(6, "GS06 is not a number of up to nine digits.")
        elif v[5] in self.group_numbers:
            say(6, "GS06 stands a second time in this interchange.", "x12.gs-duplicate")
        self.group_numbers.add(v[5])
        if v[6] != "X":
            say(7, "GS07 is not X.")
        if known and not self.interchange.groups[1:] and self.interchange.elements[11] == "00401":
            self.report(
                "x12.isa-version", "ISA12 is 00401 and its groups are of version 005010.", "Use 00501.",
                number=self.interchange.first, segment_id="ISA", element=12,
            )  # fmt: skip
        if not known:
            self.report(
                "x12.gs-version", "There is no guide for the version in GS08: only the envelope is checked.",
                f"Known: {', '.join(sorted({guides.data(n)['version'] for n in guides.names()}))}.", segment_id="GS", element=8,
            )  # fmt: skip

    def _st(self, parts: list[str], segment: str) -> None:
        self.outside = False
        if self.set is not None:
            self._close_set(missing=True)
        if self.group is None:
            self.report(
                "x12.gs-missing", "ST stands outside a functional group.", "Give GS before it.", segment_id="ST"
            )
            if self.interchange is None:
                self.interchange = InterchangeSeen(("",) * 16, self.delimiters, self.number, self.number)
                self.interchanges.append(self.interchange)
            self.group = GroupSeen("", "", "", "", "", self.number, self.number)
            self.interchange.groups.append(self.group)
        v = [*parts[1:4], *[""] * (4 - len(parts))]
        self.subject = ""
        group_version = self.group.version
        self.set = SetSeen(v[0], v[1], v[2] or group_version, self.number, self.number)
        self.group.sets.append(self.set)
        if v[1] in self.set_numbers:
            self.report(
                "x12.st-duplicate", "ST02 stands a second time in this interchange.", "Number the sets one after another.",
                segment_id="ST", element=2,
            )  # fmt: skip
        self.set_numbers.add(v[1])
        version = group_version if guides.kinds_of(group_version) else v[2]
        self.machine = machine_for(version, v[0], self.overlay, self.delimiters, self.basic)
        if self.machine is None and guides.kinds_of(version):
            wanted = " or ".join(guides.data(name)["set"] for name in guides.kinds_of(version))
            self.report(
                "x12.set-unknown", f"ST01 does not agree with the version in GS08, which is for {wanted}.",
                "Put each set into a group of its own version.", segment_id="ST", element=1,
            )  # fmt: skip
        self.set.known = self.machine is not None
        if self.machine is None:
            self.table, self.frames = {}, []
            if not 4 <= len(v[1]) <= 9:
                self.report(
                    "x12.st-element", "ST02 is not 4 to 9 characters long.", "Mend ST02.", segment_id="ST", element=2
                )
            return
        if group_version and v[2] and v[2] != group_version:
            self.report(
                "x12.st-version",
                "ST03 differs from GS08.",
                "Send the same version in both.",
                segment_id="ST",
                element=3,
            )
        root = self.machine.guide.root
        self.frames = [Frame(root, self.number, root.id in self.machine.ruled)]
        self.frames[0].mask |= root.trigger.bit
        self.state = self.machine.meaning.state(self.profile)
        self._elements(root.trigger, segment, spared=3 if group_version else 0)  # GS08 says the same
        self.place = root.trigger
        self.table = self.machine.filled(root.trigger)

    def _se(self, parts: list[str], segment: str) -> None:
        if self.set is None and self.outside:
            self.outside = False
            return
        if self.set is None:
            self.report(
                "x12.se-unexpected", "SE stands without an ST before it.", "Check the ST before it.", segment_id="SE"
            )
            return
        v = [*parts[1:3], *[""] * (3 - len(parts))]
        count = self.number - self.set.first + 1
        if len(parts) > 3:
            self.report(
                "x12.element-many", "SE has more than two elements.", "End it after SE02.", segment_id="SE", element=3
            )
        if not (v[0].isascii() and v[0].isdigit()) or int(v[0][:12]) != count:
            self.report(
                "x12.se-count", f"SE01 does not agree: the set has {counted(count, 'segment')}.", f"Send {count} in SE01.",
                segment_id="SE", element=1,
            )  # fmt: skip
        if v[1] != self.set.control:
            self.report(
                "x12.se-control",
                "SE02 differs from ST02.",
                "Send the same control number in both.",
                segment_id="SE",
                element=2,
            )
        self._close_set(missing=False)

    def _close_set(self, *, missing: bool) -> None:
        assert self.set is not None
        number = self.number
        if missing and not self.ended:
            self.number -= 1  # the set ended before the segment that shows it
        if missing:
            self.report(
                "x12.se-missing",
                "A transaction set is not ended by SE.",
                "Ask the sender for a whole set.",
                segment_id="SE",
            )
        quiet, self.quiet = self.quiet, self.quiet or (missing and self.cut)
        if self.machine is not None:
            while len(self.frames) > 1:
                self._close(self.frames.pop())
            if self.frames:
                root = self.frames.pop()
                for place in root.loop.places:
                    if place.id == "SE":
                        root.mask |= place.bit
                self._close(root)
                self.subject = ""
                self.machine.meaning.finished(self.state, self)
        self.quiet = quiet
        self.set.last = self.number
        self.number = number
        self.set, self.machine, self.state, self.subject = None, None, None, ""
        self.table, self.frames, self.place = {}, [], None

    def _ge(self, parts: list[str], segment: str) -> None:
        if self.set is not None:
            self._close_set(missing=True)
        if self.group is None:
            self.report(
                "x12.ge-unexpected", "GE stands without a GS before it.", "Check the GS before it.", segment_id="GE"
            )
            return
        v = [*parts[1:3], *[""] * (3 - len(parts))]
        self.group.stated_sets = v[0]
        if len(parts) > 3:
            self.report(
                "x12.ge-count", "GE has more than two elements.", "End it after GE02.", segment_id="GE", element=3
            )
        sets = len(self.group.sets)
        stated = int(v[0][:12]) if v[0].isascii() and v[0].isdigit() else -1
        if stated not in (sets, sets + self.lost_sets):
            self.report(
                "x12.ge-count", f"GE01 does not agree: the group has {counted(len(self.group.sets), 'set')}.",
                f"Send {len(self.group.sets)} in GE01.", segment_id="GE", element=1,
            )  # fmt: skip
        if self.group.control and v[1] != self.group.control:
            self.report(
                "x12.ge-control",
                "GE02 differs from GS06.",
                "Send the same control number in both.",
                segment_id="GE",
                element=2,
            )
        self._close_group(missing=False)

    def _close_group(self, *, missing: bool) -> None:
        assert self.group is not None
        if self.set is not None:
            self._close_set(missing=True)
        number = self.number
        if missing and not self.ended:
            self.number -= 1
        if missing:
            self.report(
                "x12.ge-missing",
                "A functional group is not ended by GE.",
                "Ask the sender for a whole group.",
                segment_id="GE",
            )
        elif not self.group.sets and not self.lost_sets:
            self.report(
                "x12.set-empty", "A functional group holds no transaction set.", "Leave the group out.", segment_id="GE"
            )
        self.group.last = self.number
        self.number = number
        self.group = None
        self.outside, self.lost_sets = False, 0

    def _iea(self, parts: list[str], segment: str) -> None:
        if self.interchange is None:
            self.report(
                "x12.iea-unexpected",
                "IEA stands without an ISA before it.",
                "Check the ISA before it.",
                segment_id="IEA",
            )
            return
        if self.group is not None:
            self._close_group(missing=True)
        v = [*parts[1:3], *[""] * (3 - len(parts))]
        groups = len(self.interchange.groups)
        if len(parts) > 3:
            self.report(
                "x12.iea-count", "IEA has more than two elements.", "End it after IEA02.", segment_id="IEA", element=3
            )
        if not (v[0].isascii() and v[0].isdigit()) or int(v[0][:12]) != groups:
            self.report(
                "x12.iea-count", f"IEA01 does not agree: the interchange has {counted(groups, 'group')}.", f"Send {groups} in IEA01.",
                segment_id="IEA", element=1,
            )  # fmt: skip
        if v[1] != self.interchange.elements[12]:
            self.report(
                "x12.iea-control",
                "IEA02 differs from ISA13.",
                "Send the same control number in both.",
                segment_id="IEA",
                element=2,
            )
        self._close_interchange(missing=False)

    def _close_interchange(self, *, missing: bool) -> None:
        assert self.interchange is not None
        if self.group is not None:
            self._close_group(missing=True)
        number = self.number
        if missing and not self.ended:
            self.number -= 1
        if missing:
            self.report(
                "x12.iea-missing",
                "The interchange is not ended by IEA.",
                "Ask the sender for a whole file.",
                segment_id="IEA",
            )
        self.interchange.last = self.number
        self.number = number
        self.interchange = None
        self.subject = ""


def _declared(parts: list[str], delimiters: Delimiters) -> tuple[str, ...]:
    """The marks of an ISA as they stand, ISA11 among them where it is a mark."""
    eleventh = parts[11] if len(parts) > 11 and len(parts[11]) == 1 and not parts[11].isalnum() else ""
    return (delimiters.element, delimiters.component, delimiters.segment, eleventh.strip(" "))

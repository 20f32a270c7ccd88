"""What a 999, a 997 and a 277CA must mean: their counts and totals agree with the answers that they hold."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from pipeline.wording import counted
from pipeline.x12.validator_meaning import Meaning, State, cents, nth, safe_id, shown
from pipeline.x12.validator_standing import Frame, Standing


class _State999(State):
    def __init__(self, profile: Mapping[str, Any]) -> None:
        super().__init__(profile)
        self.answers: list[str] = []
        self.unread = False  # one of them is no code
        self.told = False  # the set at hand has an IK3
        self.errors = 0


class Meaning999(Meaning):
    """AK9 agrees with the answers above it. A 997 says with AK3 and AK5 what a 999 says with IK3 and IK5."""

    def state(self, profile: Mapping[str, Any]) -> _State999:
        return _State999(profile)

    def prepare(self) -> None:
        self.on("2000", "AK2", _set_begin)
        for segment in ("IK3", "AK3"):
            self.on("2100", segment, _set_error)
        for segment in ("IK5", "AK5"):
            self.on("2000", segment, _set_answer)
        self.on("ST", "AK9", _group_answer)


def _set_begin(state: _State999, walk: Standing, number: int, parts: list[str]) -> None:
    state.told = False


def _set_error(state: _State999, walk: Standing, number: int, parts: list[str]) -> None:
    state.told = True


def _set_answer(state: _State999, walk: Standing, number: int, parts: list[str]) -> None:
    code = nth(parts, 1)
    words = ""
    if code == "A" and (state.told or nth(parts, 2)):
        words = f"{parts[0]}01 accepts the set, and errors are told of it: that is E."
    elif code == "R" and not state.told and not nth(parts, 2):
        words = f"{parts[0]}01 rejects the set, and nothing says why."
    if words:
        walk.report(
            "999.codes", words, "Ask the sender which of them holds.", loop="2000", segment_id=parts[0], element=1
        )
    state.answers.append(code)
    state.unread |= code not in ("A", "E", "M", "P", "R", "W", "X")


def _group_answer(state: _State999, walk: Standing, number: int, parts: list[str]) -> None:
    def say(rule: str, message: str, element: int) -> None:
        walk.report(rule, message, "Count the answers again.", loop="ST", segment_id="AK9", element=element)

    if state.unread:
        return
    code = nth(parts, 1)
    counts = [
        int(text) if (text := nth(parts, n)).isascii() and text.isdigit() and len(text) < 7 else None for n in (2, 3, 4)
    ]
    accepted = sum(1 for answer in state.answers if answer in ("A", "E"))
    if counts[2] is not None and counts[1] is not None and counts[2] > counts[1]:
        say("999.counts", "AK904 accepts more sets than AK903 received.", 4)
    elif state.answers and counts[1] is not None and counts[1] < len(state.answers):
        say("999.counts", f"AK903 is {counts[1]} and {counted(len(state.answers), 'set is', 'sets are')} answered.", 3)
    elif (
        state.answers
        and counts[1] == len(state.answers)
        and counts[2] is not None
        and code != "R"
        and counts[2] != accepted
    ):
        say(
            "999.counts",
            f"AK904 is {counts[2]} and {counted(accepted, 'of the answered sets is', 'of the answered sets are')} accepted.",
            4,
        )
    refused = len(state.answers) - accepted
    if code in ("A", "E") and refused:
        say("999.codes", "AK901 accepts the group and a set of it is rejected.", 1)
    elif code == "P" and state.answers and counts[2] == 0:
        say("999.codes", "AK901 accepts a part of the group, and AK904 none of its sets.", 1)
    elif code == "R" and counts[2]:
        say("999.codes", "AK901 rejects the group, and AK904 accepts sets of it.", 1)
    elif code == "R" and state.answers and not refused and not nth(parts, 5):
        say("999.codes", "AK901 rejects the group, no set of it is rejected, and no reason is given.", 1)


class _State277(State):
    def __init__(self, profile: Mapping[str, Any]) -> None:
        super().__init__(profile)
        self.seen = {"2200B": [0, 0, 0, 0], "2200C": [0, 0, 0, 0]}  # accepted, rejected, and their cents
        self.stated: dict[str, list[int | None]] = {}
        self.at: dict[str, int] = {}
        self.submitted: dict[str, int | None] = {}  # STC04 of the level
        self.answered = False
        self.sure = True


class Meaning277CA(Meaning):
    """The totals of a level agree with the claims beneath it, where claims stand beneath it."""

    closing = frozenset(("2000B", "2000C", "2200D"))

    def state(self, profile: Mapping[str, Any]) -> _State277:
        return _State277(profile)

    def prepare(self) -> None:
        for loop in ("2200B", "2200C"):
            self.on(loop, "TRN", partial(_total_begin, loop))
            self.on(loop, "QTY", partial(_total_stated, loop))
            self.on(loop, "AMT", partial(_total_stated, loop))
            self.on(loop, "STC", partial(_submitted, loop))
        self.on("2200D", "TRN", _claim_begin)
        self.on("2200D", "STC", _claim_answer)

    def closed(self, state: _State277, walk: Standing, frame: Frame) -> None:
        if frame.loop.id == "2000B":
            _total_check(state, walk, "2200B")
        elif frame.loop.id == "2000C":
            _total_check(state, walk, "2200C")
        elif frame.loop.id == "2200D":
            walk.subject = ""
            state.sure &= state.answered  # a claim without an answer, which is told, is in no total


_TOTALS = {"90": 0, "QA": 0, "AA": 1, "QC": 1, "YU": 2, "YY": 3}


def _total_begin(loop: str, state: _State277, walk: Standing, number: int, parts: list[str]) -> None:
    state.seen[loop] = [0, 0, 0, 0]
    state.stated[loop] = [None, None, None, None]
    state.at[loop] = number
    state.submitted[loop] = None


def _submitted(loop: str, state: _State277, walk: Standing, number: int, parts: list[str]) -> None:
    """STC04 of a receiver or a provider: the charges of all its claims."""
    if state.submitted.get(loop) is None:
        state.submitted[loop] = cents(nth(parts, 4))


def _total_stated(loop: str, state: _State277, walk: Standing, number: int, parts: list[str]) -> None:
    index = _TOTALS.get(nth(parts, 1))
    value = cents(nth(parts, 2))
    if index is not None and loop in state.stated and value is not None:
        state.stated[loop][index] = value if index > 1 else value // 100


def _claim_begin(state: _State277, walk: Standing, number: int, parts: list[str]) -> None:
    walk.subject = safe_id(nth(parts, 2))
    state.answered = False


def _claim_answer(state: _State277, walk: Standing, number: int, parts: list[str]) -> None:
    """The first STC of a claim counts it; further ones explain it."""
    if state.answered:
        return
    state.answered = True
    index = 1 if nth(parts, 3) == "U" else 0
    amount = cents(nth(parts, 4))
    if amount is None or nth(parts, 3) not in ("U", "WQ"):
        state.sure = False  # told as an element: in which total it belongs is not known
        return
    for seen in state.seen.values():
        seen[index] += 1
        seen[index + 2] += amount


def _total_check(state: _State277, walk: Standing, loop: str) -> None:
    stated, seen = state.stated.pop(loop, None), state.seen[loop]
    if stated is None or not state.sure or not (seen[0] or seen[1]):
        return
    submitted, total = state.submitted.get(loop), seen[2] + seen[3]
    if submitted is not None and submitted != total:
        walk.report(
            "277CA.totals", f"STC04 states charges of {shown(submitted)}; those beneath come to {shown(total)}.",
            "Ask for a corrected acknowledgment.", number=state.at[loop], loop=loop, segment_id="STC", element=4,
        )  # fmt: skip
    for index, value in enumerate(stated):
        if value is None or value == seen[index]:
            continue
        what = ("accepted claims", "rejected claims", "accepted charges", "rejected charges")[index]
        found, said = (shown(seen[index]), shown(value)) if index > 1 else (str(seen[index]), str(value))
        walk.report(
            "277CA.totals", f"The {what} are stated as {said}; those beneath come to {found}.",
            "Ask for a corrected acknowledgment.", number=state.at[loop], loop=loop,
            segment_id="AMT" if index > 1 else "QTY", element=2,
        )  # fmt: skip

"""What a receiver answers to a file: TA1 and 999 for any transaction set, and a 277CA for claims.

The validator decides. What the 999 tells (syntax, usage, codes) rejects whole sets; a claim whose set is taken and that has an
error of its own beyond that (balances, situations, code sets) is rejected in the 277CA, the others are accepted there.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.findings import Finding
from pipeline.transactions import read
from pipeline.transactions.claim_acknowledgment_277ca import Batch, ClaimStatus, Party, Status, write_all
from pipeline.x12.acknowledge import TOLD_BY_999, Acknowledgments
from pipeline.x12.acknowledge import acknowledge as acknowledge_x12
from pipeline.x12.segments import iter_segments
from pipeline.x12.validator import Mode
from pipeline.x12.validator_meaning import is_npi
from pipeline.x12.writer import EXTENDED, Envelope

_ACCEPTED = (Status("A2", "20", "PR"),)
#: loops above the claims without a name of their own → whose they are
_WHOSE = {"2000A": "85", "2000B": "IL", "2000C": "QC"}
#: NM101 of an 837 that a 277CA may speak of; others are left out
_ENTITIES = frozenset({"40", "41", "71", "72", "77", "82", "85", "87", "DK", "DN", "DQ", "IL", "P3", "PR", "QC"})


@dataclass(slots=True)
class Answers:
    """`files`: kind (TA1, 999, 277CA) → bytes. `codes`: what each says, for people. `rejected`: something was refused."""

    files: dict[str, bytes] = field(default_factory=dict)
    codes: dict[str, str] = field(default_factory=dict)
    rejected: bool = False


def answer(data: bytes, *, on: date, file: str = "", control: int = 1, mode: Mode = "strict") -> Answers:
    """The answers to one received file, dated `on`; `control` is the first ISA13 to use. Same file, same answers.

    `mode` lenient: faults that leave the meaning certain are accepted with errors (E), not rejected.
    """
    acks = acknowledge_x12(data, on=on, control=control, file=file, answer_ta1="due", mode=mode)
    answers = Answers()
    if acks.ta1:
        answers.files["TA1"] = acks.ta1
        answers.codes["TA1"] = " ".join(sorted({f"{one.code} {one.note}" for one in acks.answers}))
    if acks.functional_999:
        answers.files["999"] = acks.functional_999
        answers.codes["999"] = " ".join(sorted({group.code for one in acks.answers for group in one.groups}))
    answers.rejected = any(
        one.code == "R" or any(group.code in ("R", "P") for group in one.groups) for one in acks.answers
    )
    made, refused = _claims(data, acks, on)
    if made:
        answers.files["277CA"] = made
        answers.codes["277CA"] = f"{refused} rejected" if refused else "all accepted"
        answers.rejected |= refused > 0
    return answers


def _claims(data: bytes, acks: Acknowledgments, on: date) -> tuple[bytes | None, int]:
    """The 277CA over all claims of sets that were taken, and how many of them are rejected."""
    result = read(data)
    claims: list[dict[str, Any]] = result.tables["837.claims"].to_pylist() if "837.claims" in result.tables else []
    if not claims:
        return None, 0
    heads = {h["set_number"]: h for h in result.tables["interchanges"].to_pylist() if h["level"] == "set"}
    taken_sets = {
        answer.set.first
        for one in acks.answers
        for group in one.groups  # a rejected interchange has none
        for answer in group.sets
        if "R" not in (answer.code, group.code)
    }
    taken = {number: head for number, head in heads.items() if head["segment"] in taken_sets}
    above = _Above(result.tables["837.parties"], heads)
    rejected = _rejected(acks.findings, claims, above)
    entities = _Entities(result.tables["837.parties"])
    days = _service_days(result.tables["837.service_lines"])
    batches: dict[int, list[ClaimStatus]] = defaultdict(list)
    for place, claim in enumerate(claims):
        if claim["set_number"] in taken:
            key = (claim["set_number"], claim["claim_number"])
            first, last = days.get(key, (on, on))  # a predetermination has no day of service: the day of the answer
            batches[claim["set_number"]].append(
                _status(claim, rejected.get(place), entities, above.provider(claim["segment"]), first, last)
            )
    if not batches:
        return None, 0
    first_head = next(iter(taken.values()))
    envelope = Envelope(
        sender_qualifier=first_head["receiver_qualifier"] or "ZZ", sender_id=first_head["receiver_id"] or "RECEIVER",
        receiver_qualifier=first_head["sender_qualifier"] or "ZZ", receiver_id=first_head["sender_id"] or "SENDER",
        group_sender=_padded(first_head["group_receiver"]), group_receiver=_padded(first_head["group_sender"]),
        on=on, time="0000", interchange_control=acks.next_control, group_control=acks.next_control,
        functional_id="HN", version="005010X214", usage=first_head["usage"] or "T",
    )  # fmt: skip
    of_claims = {c["set_number"]: c for c in reversed(claims)}
    references = _references(data, {head["segment"] + 1: number for number, head in taken.items()})
    answers = [
        (_batch(references.get(n, ""), above.submitter(taken[n]), of_claims[n], envelope, n, on), batches[n])
        for n in sorted(batches)
    ]
    return write_all(envelope, answers), sum(not s.accepted for listed in batches.values() for s in listed)


#: level of a hierarchy → loops that belong to it before its name (NM1) and from its name on
_LEVELS = (("2010AA", "2000A", "2010A"), ("2010BA", "2000B", "2010B"), ("2010CA", "2000C", "2010C"))


class _Above:
    """What stands above claims: billing providers, subscribers, patients, submitters, by number of segment."""

    def __init__(self, parties: pa.Table, heads: dict[int, dict[str, Any]]) -> None:
        names = [name for name, _, _ in _LEVELS]
        wanted = pc.is_in(parties.column("loop"), pa.array([*names, "1000A"]))
        self._rows = {row["segment"]: row for row in parties.filter(wanted).to_pylist()}
        self._at = {name: sorted(n for n, row in self._rows.items() if row["loop"] == name) for name in names}
        self._sets = sorted(head["segment"] for head in heads.values())
        self._submitters = {row["set_number"]: row for row in self._rows.values() if row["loop"] == "1000A"}

    def provider(self, segment: int) -> Party:
        """The billing provider of a claim, by a number that the guide allows: the NPI if it is one, else the tax id."""
        row = self._rows.get(self._before("2010AA", segment) or 0, {})
        name, npi, tax = (_clean(row.get(column)) for column in ("last_name", "id", "tax_id"))
        if is_npi(npi):
            number, qualifier = npi, "XX"
        else:
            number, qualifier = (tax, "FI") if len(tax) > 1 else (npi if len(npi) > 1 else "UNKNOWN", "SV")
        first = _clean(row.get("first_name")) if row.get("entity_type") == "1" else ""
        return Party(name=name or "UNKNOWN", first=first, id=number, qualifier=qualifier)

    def submitter(self, head: dict[str, Any]) -> Party:
        row = self._submitters.get(head["set_number"], {})
        number = _clean(row.get("id")) or _clean(head["group_sender"])
        return Party(name=_clean(row.get("last_name")) or "SUBMITTER", id=_padded(number), qualifier="46")

    def unit(self, loop: str, segment: int) -> tuple[str, int]:
        """What a finding above the claims speaks of: (loop of the name, its segment), or ("ST", segment of the set)."""
        for name, before, after in _LEVELS:
            if loop == before:
                at = self._at[name]
                place = bisect_left(at, segment)
                return (name, at[place]) if place < len(at) else ("", 0)
            if loop.startswith(after):
                return name, self._before(name, segment) or 0
        return "ST", self.start(segment)

    def units(self, claim: int) -> set[tuple[str, int]]:
        """All that a claim hangs under."""
        start = self.start(claim)
        found = {("ST", start)}
        for name, _, _ in _LEVELS:
            segment = self._before(name, claim)
            if segment is not None and segment > start:
                found.add((name, segment))
        return found

    def start(self, segment: int) -> int:
        """The ST before it."""
        place = bisect_right(self._sets, segment)
        return self._sets[place - 1] if place else 0

    def _before(self, name: str, segment: int) -> int | None:
        place = bisect_right(self._at[name], segment)
        return self._at[name][place - 1] if place else None


class _Entities:
    """Whom a finding is about: the name (NM1) of its loop that stands at it or before it."""

    def __init__(self, parties: pa.Table) -> None:
        self._of: dict[str, list[tuple[int, str]]] = defaultdict(list)
        for loop, segment, entity in zip(
            *(parties.column(n).to_pylist() for n in ("loop", "segment", "entity")), strict=True
        ):
            self._of[loop or ""].append((segment, entity or ""))

    def of(self, finding: Finding) -> str:
        """Its code, or nothing where the finding is about the claim or a line itself."""
        if finding.loop in _WHOSE:
            return _WHOSE[finding.loop]
        names = self._of.get(finding.loop, [])
        place = bisect_right(names, (finding.segment or 0, "\uffff"))
        entity = names[place - 1][1] if place else ""
        return entity if entity in _ENTITIES else ""


def _refusal(fault: Finding, entities: _Entities) -> tuple[Status, ...]:
    """What a 277CA says of a claim with this error: 178 charges that do not add up, 562 an NPI, 21 missing or invalid."""
    if fault.snip == 3:
        return (Status("A8", "178"),)
    return (Status("A7", "562" if fault.rule == "npi" else "21", entities.of(fault)),)


def _rejected(findings: list[Finding], claims: list[dict[str, Any]], above: _Above) -> dict[int, Finding]:
    """Place of each claim with an error that the 999 does not tell → the first: its own, or one of what it hangs under."""
    starts = [claim["segment"] for claim in claims]
    own: dict[int, Finding] = {}
    shared: dict[tuple[str, int], Finding] = {}
    for finding in findings:
        if finding.severity != "error" or finding.snip in TOLD_BY_999 or finding.segment is None:
            continue
        place = bisect_right(starts, finding.segment) - 1
        inside = place >= 0 and above.start(starts[place]) == above.start(finding.segment)
        if finding.loop.startswith(("23", "24")) and inside:
            own.setdefault(place, finding)
        else:
            shared.setdefault(above.unit(finding.loop, finding.segment), finding)
    if shared:
        for place, start in enumerate(starts):
            for unit in above.units(start) & shared.keys():
                own.setdefault(place, shared[unit])
    return own


def _service_days(lines: pa.Table) -> dict[tuple[int, int], tuple[date, date]]:
    """(set, claim) → first and last day of service of its lines."""
    if not lines.num_rows:
        return {}
    last = pc.coalesce(lines.column("service_to"), lines.column("service_from"))
    spans = (
        lines.select(["set_number", "claim_number", "service_from"])
        .append_column("last", last)
        .group_by(["set_number", "claim_number"])
        .aggregate([("service_from", "min"), ("last", "max")])
        .to_pylist()
    )
    return {
        (row["set_number"], row["claim_number"]): (row["service_from_min"], row["last_max"])
        for row in spans
        if row["service_from_min"] is not None
    }


def _references(data: bytes, places: dict[int, int]) -> dict[int, str]:
    """BHT03 of the sets, found where the segment after ST is a BHT: set number → reference."""
    return {
        places[number]: _clean(segment.element(3))
        for number, segment in enumerate(iter_segments(data), start=1)
        if number in places and segment.id == "BHT"
    }


def _status(
    claim: dict[str, Any], fault: Finding | None, entities: _Entities, provider: Party, first: date, last: date
) -> ClaimStatus:
    institutional = "X223" in (claim["version"] or "")
    return ClaimStatus(
        claim_id=_clean(claim["claim_id"]) or "0",
        provider=provider,
        patient_last=_clean(claim["patient_last"] or claim["subscriber_last"]) or "UNKNOWN",
        patient_first=_clean(claim["patient_first"] or claim["subscriber_first"]),
        member_id=_padded(claim["subscriber_id"]),
        charge=claim["charge"] if claim["charge"] is not None else Decimal(0),
        accepted=fault is None,
        statuses=_ACCEPTED if fault is None else _refusal(fault, entities),
        bill_type=_clean(f"{claim['facility_code'] or ''}{claim['frequency'] or ''}") if institutional else "",
        service_from=claim["statement_from"] or first,
        service_to=claim["statement_to"] or (claim["statement_from"] or last),
    )


def _batch(reference: str, submitter: Party, claim: dict[str, Any], envelope: Envelope, number: int, on: date) -> Batch:
    return Batch(
        source=Party(name=_clean(claim["payer_name"]) or "PAYER", id=_padded(claim["payer_id"]), qualifier="PI"),
        source_entity="PR",
        receiver=submitter,
        reference=f"{envelope.interchange_control:09d}{number:04d}",
        source_trace=f"{envelope.interchange_control:09d}",
        batch_trace=reference or "0",
        received=on,
        processed=on,
    )


def _padded(text: str | None) -> str:
    """An id of at least two characters, as the guides want."""
    return (_clean(text) or "UNKNOWN").ljust(2, "0")


def _clean(text: str | None) -> str:
    """A received value as our own delimiters allow it back out; the claim's id is what matters, and it never needs this."""
    return "".join(c for c in text or "" if c in EXTENDED and c not in "*^:~")

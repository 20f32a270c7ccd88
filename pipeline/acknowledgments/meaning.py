"""What the codes of acknowledgments mean for a claim, and how to say it to billing staff.

The effect of a code on a claim is a table; its wording stands in `schemas/acknowledgments/*.csv`, in our own words. Codes
that the tables do not know are still worked: they get a general sentence with the code in it.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass, replace
from functools import cache

from pipeline import shapes

#: TA104, AK901 and IK501 → state of the claims beneath; a code that is not here moves nothing (AK901 P: its sets decide)
SYNTAX_EFFECT = {"A": "received", "E": "received", "R": "rejected", "M": "rejected", "W": "rejected", "X": "rejected"}
#: TA105 of a duplicate: the payer has had the first one, so nothing is rejected, and nothing may be sent again
DUPLICATE_INTERCHANGE = "025"
#: a claim only ever climbs, so the order in which acknowledgments arrive does not matter; the last three come from remittances
RANK = {
    "ready": 0, "batched": 1, "sent": 2, "unknown": 2, "received": 3, "accepted": 4, "rejected": 5,
    "paid": 6, "denied": 6, "reversed": 6,
}  # fmt: skip
#: categories that name a cause best come first
_CATEGORY_ORDER = ("A7", "A6", "A8", "A3", "A4")


@dataclass(frozen=True, slots=True)
class Words:
    """A rejection in plain words: `cause` groups like ones, `title` heads the group.

    `who` acts: `staff` where a claim's data is wrong, `technical` where the file, the set-up or the program is. `action` may
    hold {payer}.
    """

    cause: str
    title: str
    reason: str
    action: str
    who: str = "staff"


#: what technical staff do when the cause is mended
_AGAIN = "then let the claims go again: claimpipe release {payer} --refused."
#: loops in which the data of one claim and its patient stand; above them is what all claims share
_CLAIM_LOOPS = ("2000B", "2010B", "2000C", "2010C", "23", "24")


@cache
def table(name: str) -> dict[str, dict[str, str]]:
    """A CSV of `schemas/acknowledgments` by its first column (two columns, joined by a colon, for `syntax`)."""
    path = shapes.schemas_dir() / "acknowledgments" / f"{name}.csv"
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    if name == "syntax":
        return {f"{row['list']}:{row['code']}": row for row in rows}
    return {row[next(iter(row))]: row for row in rows}


def category_effect(category: str, action: str) -> str:
    """STC01-1 and STC03 → rejected, accepted, question, split or none."""
    if action == "U":
        return "rejected"
    return table("categories").get(category, {}).get("effect", "none")


def category_order(category: str) -> int:
    return _CATEGORY_ORDER.index(category) if category in _CATEGORY_ORDER else len(_CATEGORY_ORDER)


def _syntax(list_name: str, code: str) -> tuple[str, str, str]:
    """Meaning, what to do, who does it."""
    row = table("syntax").get(f"{list_name}:{code}")
    if row is None:
        words = f"code {code} of {list_name}, which is not in our table"
        return words, "Look the code up in the payer's guide.", "technical"
    return row["meaning"], row["fix"], row["who"]


def interchange_words(note: str) -> Words:
    """Of a TA1 that rejects: every claim of the file."""
    meaning, fix, _ = _syntax("TA105", note)
    return Words(
        cause=f"TA1:{note}",
        title=f"Technical: the payer refused the whole file (TA1 note {note})",
        reason=f"The payer refused the interchange before it read a claim: {meaning}. No claim's data is at fault.",
        action=f"For technical staff: {fix} None of its claims was received and the filing clock runs; {_AGAIN}",
        who="technical",
    )


def set_words(level: str, detail: str) -> Words:
    """Of a 999 that rejects a set or a group. `detail` is what `facts.set_detail` wrote: codes and positions only."""
    fields = dict(part.split("=", 1) for part in detail.split(" ; ")[0].split() if "=" in part)
    what = "group" if level == "group" else "transaction set"
    if "seg" not in fields:
        list_name = "AK905" if level == "group" else "IK502"
        codes = [c for c in fields.get("codes", "").split(",") if c]
        meaning, fix, who = (
            _syntax(list_name, codes[0])
            if codes
            else ("it gives no reason", "Ask the payer for the reason.", "technical")
        )
        cause = f"999:{codes[0] if codes else 'none'}"
        place = ""
    else:
        segment, segment_error, element_error = fields["seg"], fields.get("IK304", ""), fields.get("IK403", "")
        meaning, fix, who = (
            _syntax("IK304", segment_error) if segment_error else ("the segment is wrong", "", "technical")
        )
        place = f" Segment {segment}"
        place += f" in loop {fields['loop']}" if "loop" in fields else ""
        place += f", number {fields['pos']} of the set" if "pos" in fields else ""
        cause = f"999:{segment}:{segment_error}"
        if element_error:
            meaning, fix, who = _syntax("IK403", element_error)
            place += f", element {fields.get('el', '?')}"
            cause += f":{fields.get('el', '')}:{element_error}"
        place += "."
    shown = cause.removeprefix("999:")
    none = f"None of the claims of the {what} was received and the filing clock runs"
    if who == "staff" and fields.get("loop", "").startswith(_CLAIM_LOOPS):
        return Words(
            cause=cause,
            title=f"The payer refused the {what} for the data of a claim ({shown})",
            reason=f"The payer refused the whole {what}: {meaning}.{place}",
            action=f"For billing staff: {fix} Mend the visit at its source, and the claim goes as a new one. {none}.",
        )
    return Words(
        cause=cause,
        title=f"Technical: the payer refused the {what} for its form ({shown})",
        reason=f"The payer refused the whole {what}: {meaning}.{place} It speaks of the file's form, not of one claim's data.",
        action=f"For technical staff: {fix} Compare the file with the payer's guide, and mend the settings, the payer's profile "
        f"or the program. {none}; {_AGAIN}",
        who="technical",
    )


def error_field(detail: str, name: str) -> str:
    """A field of the first error in a set's detail, for example `pos` (IK302: the segment's number, ST being 1) or `loop`."""
    for part in detail.split(" ; ")[0].split():
        if part.startswith(f"{name}="):
            return part.removeprefix(f"{name}=")
    return ""


def located(words: Words, claim_id: str, guilty: str | None) -> Words:
    """The words for one claim of a refused set: whether the fault stands in it or in a neighbour."""
    if guilty is None:
        return words
    if claim_id == guilty:
        return replace(words, reason=f"{words.reason} The segment stands in this claim.")
    action = words.action
    if words.who == "staff":
        action = (
            f"Nothing of this claim is wrong. Technical staff let it go again: claimpipe release {{payer}} --refused; "
            f"billing staff mend claim {guilty}."
        )
    return replace(words, reason=f"{words.reason} The segment stands in claim {guilty}.", action=action)


def claim_words(category: str, status: str, entity: str, *, level: str = "claim") -> Words:
    """Of a 277CA: category (STC01-1), status (-2) and entity (-3)."""
    known = table("categories").get(category)
    meaning = known["meaning"] if known else f"answered with category {category}"
    action = known["action"] if known else "Look the code up in the payer's guide."
    if category_effect(category, "") != "rejected":
        meaning += ", and rejected"
        action = "Mend the claim and send it as a new one (frequency 1); it was never adjudicated."
    about = table("claim_status").get(status)
    what = about["meaning"] if about else f"status code {status}, which is not in our table"
    who = table("entities").get(entity, {}).get("name", f"party {entity}" if entity else "")
    where = f" Look at: {about['where']}." if about and about["where"] else ""
    place = {
        "claim": "The claim was",
        "provider": "All claims of the billing provider in the file were",
        "receiver": "All claims of the file were",
    }[level]
    return Words(
        cause=f"{category}:{status}" + (f":{entity}" if entity else ""),
        title=f"Rejected: {what}" + (f" of the {who}" if who else ""),
        reason=f"{place} {meaning}: {what}" + (f" ({who})." if who else "."),
        action=f"{action}{where}",
    )

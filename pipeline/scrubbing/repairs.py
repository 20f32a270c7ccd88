"""Repairs: changes to names, addresses and telephone numbers that lose nothing a payer could want.

They are made before the edits look, each by a rule of `schemas/edits/repairs.toml`. Codes, dollars, dates and identifiers
are never touched: a repair of such a column is refused when the rules are read. The claim before stands in the lake as
`coded_claims`, after as `scrubbed_claims`; a finding names the columns, never the values.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import Terminal
from pipeline.payers import PayerProfile
from pipeline.scrubbing.batch import column
from pipeline.scrubbing.edits import Repair

#: columns that a repair may touch
OPEN = re.compile(
    r"^(billing|rendering|referring|facility|patient|subscriber)_"
    r"(name|first|last|middle|suffix|address1|address2|city|state|zip|phone)$"
)
#: letters that are no letter with an accent
_FOLD = str.maketrans(
    {"Ł": "L", "ł": "l", "Ø": "O", "ø": "o", "Đ": "D", "đ": "d", "ß": "ss", "Æ": "AE", "æ": "ae", "Œ": "OE", "œ": "oe",
     "Þ": "TH", "þ": "th", "Ð": "D", "ð": "d", "’": "'", "‘": "'", "–": "-"}
)  # fmt: skip


def spaces(text: str) -> str:
    return re.sub(" {2,}", " ", text.strip(" "))


def accents(text: str) -> str:
    """Latin letters without their accents; where anything else would be lost, the text as it is."""
    if text.isascii():
        return text
    folded = "".join(c for c in unicodedata.normalize("NFD", text.translate(_FOLD)) if not unicodedata.combining(c))
    return folded if folded.isascii() else text


def capitals(text: str) -> str:
    return text.upper()


def phone(text: str) -> str:
    """Ten digits, where that is what punctuation and a leading 1 leave."""
    if not re.fullmatch(r"[\d\s().+-]+", text, re.ASCII):
        return text
    digits = re.sub(r"\D", "", text)
    if len(digits) == 11 and digits[0] == "1":
        digits = digits[1:]
    return digits if len(digits) == 10 else text


def zip_code(text: str) -> str:
    return text.replace("-", "") if re.fullmatch(r"\d{5}-\d{4}", text, re.ASCII) else text


CHANGES: dict[str, Callable[[str], str]] = {
    "spaces": spaces, "accents": accents, "capitals": capitals, "phone": phone, "zip": zip_code,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Made:
    """One repair that was made, and the rows of each field that it changed."""

    repair: Repair
    rows: dict[str, np.ndarray]


def make(
    claims: pa.Table, repairs: tuple[Repair, ...], profiles: Mapping[str, PayerProfile]
) -> tuple[pa.Table, list[Made]]:
    """The claims with repairs made, and what was made, in the order of the rules."""
    keys = column(claims, "payer_key")
    charsets = np.array(
        [profiles[v].claims.charset if v in profiles else "basic" for v in keys.values] + ["basic"], dtype=object
    )[keys.index]
    done: list[Made] = []
    for repair in repairs:
        change = CHANGES[repair.change]
        where = np.isin(charsets, list(repair.charset))
        rows: dict[str, np.ndarray] = {}
        for name in repair.fields:
            if not OPEN.match(name):
                raise Terminal(
                    f"The repair {repair.id} touches {name}.", fix="Repairs are for names and addresses only."
                )
            found = column(claims, name)
            after = [change(v) for v in found.values]
            differs = np.array([a != b for a, b in zip(after, found.values, strict=True)] + [False], dtype=bool)
            changed = differs[found.index] & where
            if not changed.any():
                continue
            rows[name] = np.flatnonzero(changed)
            new = pa.array(after, pa.string()).take(pa.array(found.index, mask=found.index < 0))
            repaired = pc.if_else(pa.array(changed), new, claims.column(name).combine_chunks())
            claims = claims.set_column(claims.schema.get_field_index(name), claims.schema.field(name), repaired)
        if rows:
            done.append(Made(repair, rows))
    return claims, done

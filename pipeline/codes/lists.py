"""The small code sets, and the shapes of identifiers that carry a check of their own.

Place of service, states, sexes and the numbers of claim adjustment reasons stand in `schemas/codes/*.csv`, in our own
words. CPT and HCPCS are licensed or large: what ships is a partial list of numbers with the days on which they came and
went, so an unknown number is never called wrong, only its shape is judged.
"""

from __future__ import annotations

import csv
import re
from datetime import date
from functools import cache

from pipeline import shapes

#: CPT (category I, II, III, proprietary) and HCPCS level II, by shape
PROCEDURE = re.compile(r"^(?:\d{4}[0-9AFMTU]|[A-V]\d{4})$")
_MODIFIER = re.compile(r"^[A-Z0-9]{2}$")
_TAXONOMY = re.compile(r"^[0-9A-Z]{9}X$")
_L = "AC-HJKMNP-RT-Y"  # letters of a Medicare beneficiary identifier: no S L O I B Z
_MBI = re.compile(rf"^[1-9][{_L}][0-9{_L}]\d[{_L}][0-9{_L}]\d[{_L}]{{2}}\d{{2}}$")


def npi(text: str) -> bool:
    """Ten digits, the first 1 or 2, and Luhn's check over 80840 and the number."""
    if len(text) != 10 or not (text.isascii() and text.isdigit()) or text[0] not in "12":
        return False
    total = 24  # what the prefix 80840 adds to Luhn's sum
    for index, character in enumerate(text):
        digit = int(character)
        if index % 2 == 0:
            digit = digit * 2 - 9 if digit > 4 else digit * 2
        total += digit
    return total % 10 == 0


def mbi(text: str) -> bool:
    """A Medicare beneficiary identifier, by its pattern (it has no check digit)."""
    return bool(_MBI.match(text))


def taxonomy_shaped(text: str) -> bool:
    return bool(_TAXONOMY.match(text))


def procedure_shaped(text: str) -> bool:
    return bool(PROCEDURE.match(text))


def modifier_shaped(text: str) -> bool:
    return bool(_MODIFIER.match(text))


def _rows(name: str) -> list[dict[str, str]]:
    with (shapes.schemas_dir() / "codes" / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _day(text: str, default: date) -> date:
    return date.fromisoformat(text) if text else default


@cache
def _spans(name: str) -> dict[str, tuple[date, date]]:
    return {
        row["code"]: (_day(row["effective_from"], date.min), _day(row["effective_to"], date.max)) for row in _rows(name)
    }


def place_of_service(code: str, on: date) -> bool:
    """Is it a place-of-service code in force on the day?"""
    span = _spans("place_of_service").get(code)
    return span is not None and span[0] <= on <= span[1]


@cache
def states() -> frozenset[str]:
    """Two letters: states, the district, territories, armed forces."""
    return frozenset(row["code"] for row in _rows("states"))


def sexes() -> frozenset[str]:
    """What DMG03 may say."""
    return frozenset("FMU")


def known_procedure(code: str, on: date) -> bool | None:
    """In force on the day? None where the partial list does not know the number."""
    span = _spans("procedures").get(code)
    return None if span is None else span[0] <= on <= span[1]


@cache
def reason_codes() -> dict[str, str]:
    """Claim adjustment reason codes → our own words. Partial: the frequent ones."""
    return {row["code"]: row["words"] for row in _rows("reason_codes")}


@cache
def remark_codes() -> dict[str, str]:
    """Remittance advice remark codes → our own words. Partial: the frequent ones."""
    return {row["code"]: row["words"] for row in _rows("remark_codes")}

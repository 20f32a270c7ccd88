"""Money is exact: `Decimal` with two places at the borders, integer cents inside the register. Never a float."""

from __future__ import annotations

import re
from decimal import Decimal

CENT = Decimal("0.01")
#: no single amount of this trade is larger (one trillion dollars): what is, is illegible. A million of them still add up
#: within the 64 bits of a database's integer
LARGEST_CENTS = 10**14
#: what a person or a payer may write for an amount: optional sign, digits, at most two decimals
_AMOUNT = re.compile(r"^[+-]?(\d{1,16})(\.\d{0,2})?$|^[+-]?\.\d{1,2}$")


def parse_cents(text: str) -> int:
    """Text of an amount → cents. Raises ValueError on anything but a plain decimal (no exponent, NaN, thousands)."""
    text = text.strip()
    if not _AMOUNT.match(text):
        raise ValueError("not a plain amount with at most two decimals")
    return int((Decimal(text) * 100).to_integral_exact())


#: a decimal as X12 allows it: optional sign, digits, a point, as many decimals as the sender likes
_DECIMAL = re.compile(r"[+-]?(\d{1,30}(\.\d{0,30})?|\.\d{1,30})", re.ASCII)


def received_cents(text: str) -> int | None:
    """An amount as a payer may write it (494.85, 494.850, 0494.85, +494.85) → cents; None where it is no plain decimal of
    whole cents below `LARGEST_CENTS`. Never raises: what others write is no reason to stop."""
    text = text.strip()
    if not _DECIMAL.fullmatch(text):
        return None
    value = Decimal(text)
    if abs(value) * 100 > LARGEST_CENTS or value * 100 != (value * 100).to_integral_value():
        return None
    return int(value * 100)


def cents(amount: Decimal) -> int:
    """Decimal dollars → cents; raises ValueError where a fraction of a cent would be lost."""
    scaled = amount * 100
    whole = int(scaled)
    if whole != scaled:
        raise ValueError("amount has a fraction of a cent")
    return whole


def dollars(value: int) -> Decimal:
    """Cents → decimal dollars with two places."""
    return Decimal(value).scaleb(-2)


def shown(value: int) -> str:
    """Cents → text for people: 1,234.50"""
    return f"{dollars(value):,.2f}"

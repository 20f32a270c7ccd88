"""Money is exact: `Decimal` with two places at the borders, integer cents inside the register. Never a float."""

from __future__ import annotations

import re
from decimal import Decimal

CENT = Decimal("0.01")
#: what a person or a payer may write for an amount: optional sign, digits, at most two decimals
_AMOUNT = re.compile(r"^[+-]?(\d{1,16})(\.\d{0,2})?$|^[+-]?\.\d{1,2}$")


def parse_cents(text: str) -> int:
    """Text of an amount → cents. Raises ValueError on anything but a plain decimal (no exponent, NaN, thousands)."""
    text = text.strip()
    if not _AMOUNT.match(text):
        raise ValueError("not a plain amount with at most two decimals")
    return int((Decimal(text) * 100).to_integral_exact())


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

"""Made-up identifiers for made-up providers: valid in form, and from ranges that nobody has been given.

National provider identifiers begin with 1 or 2, and those that begin with 2 have not been issued; employer identification
numbers never begin with 00. So a made-up number can neither fail a check of form nor belong to a real provider.
"""

from __future__ import annotations

import hashlib


def luhn_digit(digits: str) -> str:
    """The check digit that Luhn's rule puts behind `digits`."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if place % 2 == 0 else 1)
        total += value - 9 if value > 9 else value
    return str(-total % 10)


def synthetic_npi(seed: str) -> str:
    """Ten digits beginning with 2, the same for the same seed; Luhn over the prefix 80840 holds."""
    body = f"2{int(hashlib.sha256(f'npi:{seed}'.encode()).hexdigest(), 16) % 10**8:08d}"
    return body + luhn_digit("80840" + body)


def synthetic_ein(seed: str) -> str:
    """Nine digits beginning with 00, the same for the same seed."""
    return f"00{int(hashlib.sha256(f'ein:{seed}'.encode()).hexdigest(), 16) % 10**7:07d}"

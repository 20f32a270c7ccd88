"""Remittances of any size, fast and the same every time: 513 bytes a claim, as files of payers have them.

One block of claims is made claim by claim (names, codes, amounts, denials, reversals as they are found); every further block
is the same bytes with other numbers in its ids, its own set around it. So a gigabyte takes seconds and no memory.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

BLOCK = 10_000  # claims of a block, which is one transaction set
_MARK = b"@@@@"
_ISA = "ISA*00*          *00*          *ZZ*PAYER          *ZZ*PRACTICE       *260105*0830*^*00501*{0:09d}*0*P*:~"
_LAST = [
    "SMITH",
    "JOHNSON",
    "WILLIAMS",
    "BROWN",
    "JONES",
    "GARCIA",
    "MILLER",
    "DAVIS",
    "RODRIGUEZ",
    "MARTINEZ",
    "HERNANDEZ",
    "LOPEZ",
    "WILSON",
    "LEE",
    "CLARK",
]
_FIRST = [
    "MARY",
    "JAMES",
    "PATRICIA",
    "JOHN",
    "JENNIFER",
    "ROBERT",
    "LINDA",
    "MICHAEL",
    "ELIZABETH",
    "WILLIAM",
    "BARBARA",
    "DAVID",
    "SUSAN",
]
_CODES = [
    "99213",
    "99214",
    "99203",
    "99396",
    "36415",
    "85025",
    "80053",
    "80061",
    "83036",
    "84443",
    "81003",
    "87880",
    "93000",
    "90471",
    "90686",
    "96372",
]
_MODIFIERS = [":25", ":59", ":25:95", ":TC"] + [""] * 12
_REASONS = ["45", "45", "45", "97", "B10", "253"]
_REMARKS = ["N130", "M15", "N381", "MA01"]


def amount(cents: int) -> str:
    text = f"{cents // 100}.{cents % 100:02d}".rstrip("0").rstrip(".")
    return text or "0"


def _claim(n: int, pick: random.Random) -> tuple[str, int]:
    """A claim and what it pays."""
    last, first = pick.choice(_LAST), pick.choice(_FIRST)
    day = f"2025{pick.randrange(9, 13):02d}{pick.randrange(1, 29):02d}"
    denied = pick.random() < 0.08
    lines, charge, paid, share = [], 0, 0, 0
    for line in range(1, pick.choice((2, 2, 3, 3)) + 1):
        asked = pick.randrange(1500, 42000)
        allowed = 0 if denied else asked * pick.randrange(40, 90) // 100
        copay = 0 if denied else min(allowed, pick.choice((0, 0, 2000, 3500)))
        text = f"SVC*HC:{pick.choice(_CODES)}{pick.choice(_MODIFIERS)}*{amount(asked)}*{amount(allowed - copay)}**1~DTM*472*{day}~"
        if denied:
            text += f"CAS*CO*{pick.choice(('16', '29', '50'))}*{amount(asked)}~"
        else:
            text += f"CAS*CO*{pick.choice(_REASONS)}*{amount(asked - allowed)}~"
            text += f"CAS*PR*3*{amount(copay)}~" if copay else ""
        text += f"REF*6R*L@@@@{n:06d}{line}~AMT*B6*{amount(allowed)}~"
        if pick.random() < 0.3:
            text += f"LQ*HE*{pick.choice(_REMARKS)}~"
        lines.append(text)
        charge, paid, share = charge + asked, paid + allowed - copay, share + copay
    member = f"W{pick.randrange(10**9):09d}"
    head = (
        f"CLP*A@@@@{n:06d}*{4 if denied else pick.choice((1, 1, 1, 2))}*{amount(charge)}*{amount(paid)}*{amount(share)}"
        f"*{pick.choice(('12', '12', 'MB', 'HM'))}*2025@@@@{n:06d}X*11*1~"
        f"NM1*QC*1*{last}*{first}*{pick.choice('ABCDEFGH')}***MI*{member}~NM1*82*1*DOCTOR*ANN****XX*1245319599~"
        f"MOA***{pick.choice(_REMARKS)}~REF*1L*GROUP{pick.randrange(400):05d}~REF*EA*@@@@{n:06d}~DTM*232*{day}~DTM*233*{day}~DTM*050*20260102~"
        f"AMT*AU*{amount(paid + share)}~"
    )
    return head + "".join(lines), paid


class Remittance:
    """`parts` are the bytes of a file of at least so many bytes."""

    def __init__(self, block: int = BLOCK, seed: int = 835) -> None:
        pick = random.Random(seed)
        made = [_claim(n, pick) for n in range(block)]
        total = sum(paid for _, paid in made)
        text = (
            f"ST*835*@@@@~BPR*I*{amount(total)}*C*ACH*CCP*01*021000021*DA*123456*1512345678**01*021000021*DA*987654*20260105~"
            "TRN*1*T@@@@00*1512345678~DTM*405*20260105~N1*PR*PAYER ONE~N3*1 STREET~N4*CITY*MD*21244~REF*2U*PAY01~"
            "PER*BL*HELP*TE*8005550100~N1*PE*PRACTICE*XX*1234567893~REF*TJ*123456789~LX*1~"
            + "".join(t for t, _ in made)
        )
        self._block = np.frombuffer(f"{text}SE*{text.count('~') + 1}*@@@@~".encode(), dtype=np.uint8).copy()
        self._marks = np.array([m.start() for m in re.finditer(_MARK, self._block.tobytes())])
        self.claims = block

    def parts(self, at_least: int, control: int = 1) -> Iterator[bytes]:
        head = _ISA.format(control) + f"GS*HP*PAYER*PRACTICE*20260105*0830*{control}*X*005010X221A1~"
        yield head.encode()
        size, sets = len(head), 0
        while size < at_least or not sets:
            sets += 1
            for place, digit in enumerate(f"{sets:04d}".encode()):
                self._block[self._marks + place] = digit
            yield self._block.tobytes()
            size += len(self._block)
        yield f"GE*{sets}*{control}~IEA*1*{control:09d}~".encode()

    def write(self, path: Path, at_least: int, control: int = 1) -> None:
        with path.open("wb") as handle:
            for part in self.parts(at_least, control):
                handle.write(part)

"""A maker of small 837P files for the tests of the payer in a box."""

from __future__ import annotations

from collections.abc import Sequence


def file_837(
    claims: Sequence[tuple[str, Sequence[int]]], *, control: int = 1, on: str = "261120", sets: int = 1,
    ack_requested: str = "1", payer_id: str = "MEDICARE1", receiver: str = "BOXMEDICARE", member: str = "1EG4TE5MK73",
    service: str = "20261102", patient: str = "", frequency: str = "1", original: str = "", modifier: str = "",
    filing: str = "MB",
) -> bytes:  # fmt: skip
    """`claims` are (claim id, charges of the lines in whole dollars), spread over `sets` transaction sets.

    Each claim has a patient of its own unless `patient` names one for all.
    """
    out = [
        f"ISA*00*          *00*          *ZZ*CLAIMPIPE      *ZZ*{receiver:<15}*{on}*0200*^*00501*{control:09d}*{ack_requested}*T*:",
        f"GS*HC*CLAIMPIPE*{receiver}*20{on}*0200*{control}*X*005010X222A1",
    ]
    share = -(-len(claims) // sets)
    for number in range(sets):
        body = [
            f"ST*837*{number + 1:04d}*005010X222A1",
            f"BHT*0019*00*{control:09d}{number + 1}*20{on}*0200*CH",
            "NM1*41*2*CLAIMPIPE DEMO PRACTICE*****46*CLAIMPIPE",
            "PER*IC*BILLING OFFICE*TE*6175550100",
            f"NM1*40*2*MEDICARE*****46*{receiver}",
            "HL*1**20*1",
            "NM1*85*2*RIVERSIDE CLINIC*****XX*1234567893",
            "N3*12 RIVER STREET",
            "N4*BOSTON*MA*021100001",
            "REF*EI*123456789",
        ]
        for place, (claim_id, charges) in enumerate(claims[number * share : (number + 1) * share], start=2):
            body += [
                f"HL*{place}*1*22*0",
                f"SBR*P*18*******{filing}",
                f"NM1*IL*1*DOE*{patient or _name(claim_id)}****MI*{member}",
                "N3*1 MAIN STREET",
                "N4*BOSTON*MA*02110",
                "DMG*D8*19500214*F",
                f"NM1*PR*2*MEDICARE*****PI*{payer_id}",
                f"CLM*{claim_id}*{sum(charges)}***11:B:{frequency}*Y*A*Y*Y",
                *([f"REF*F8*{original}"] if original else []),
                "HI*ABK:E119",
                "NM1*82*1*WELBY*MARCUS****XX*1679576722",
                "PRV*PE*PXC*207Q00000X",
            ]
            for line, charge in enumerate(charges, start=1):
                body += [
                    f"LX*{line}",
                    f"SV1*HC:9921{2 + line % 3}{modifier and ':' + modifier}*{charge}*UN*1***1",
                    f"DTP*472*D8*{service}",
                    f"REF*6R*{claim_id}L{line}",
                ]
        out += [*body, f"SE*{len(body) + 1}*{number + 1:04d}"]
    out += [f"GE*{sets}*{control}", f"IEA*1*{control:09d}"]
    return "".join(s + "~" for s in out).encode()


def _name(claim_id: str) -> str:
    """A first name of its own for each claim: digits as letters."""
    return "JANE" + "".join(chr(65 + int(c)) for c in claim_id if c.isdigit())


def many(count: int, start: int = 1) -> list[tuple[str, list[int]]]:
    return [(f"C{n:08d}", [100 + n % 37, 45][: 1 + n % 2]) for n in range(start, start + count)]

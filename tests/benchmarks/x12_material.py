"""X12 of any size for benchmarks, the same for the same seed: remittances and professional claims."""

from __future__ import annotations

import random
from collections.abc import Iterator


def isa(sender: str, receiver: str, control: int) -> str:
    return f"ISA*00*          *00*          *ZZ*{sender:<15}*ZZ*{receiver:<15}*260105*0830*^*00501*{control:09d}*0*T*:~"


def remittance(claims: int, seed: int = 0, *, control: int = 1) -> bytes:
    """One 835 with so many claims of two lines each: about 500 bytes a claim."""
    return b"".join(remittance_parts(claims, seed, control=control))


def remittance_parts(claims: int, seed: int = 0, *, control: int = 1) -> Iterator[bytes]:
    pick = random.Random(seed)
    yield (
        isa("PAYER", "PRACTICE", control)
        + f"GS*HP*PAYER*PRACTICE*20260105*0830*{control}*X*005010X221A1~ST*835*0001*005010X221A1~"
        "BPR*I*0*C*NON************20260105~TRN*1*T0001*1512345678~DTM*405*20260105~N1*PR*PAYER ONE~N3*1 STREET~"
        "N4*CITY*MD*21244~PER*BL*HELP*TE*8005550100~N1*PE*PRACTICE*XX*1234567893~REF*TJ*123456789~LX*1~"
    ).encode()
    segments = 11
    for n in range(claims):
        first, second = pick.randrange(5000, 40000), pick.randrange(2000, 15000)
        cut, share = first // 3, second // 5
        paid_first, paid_second = first - cut, second - share
        charge, paid = first + second, paid_first + paid_second
        day = f"202511{pick.randrange(1, 29):02d}"
        yield (
            f"CLP*C{n:09d}*1*{_d(charge)}*{_d(paid)}*{_d(share)}*12*P{n:012d}*11*1~"
            f"NM1*QC*1*NAME{n % 977}*FIRST{n % 131}****MI*M{n % 99991:09d}~NM1*82*1*DOCTOR*ANN****XX*1234567893~"
            f"REF*EA*{n:08d}~DTM*232*{day}~DTM*050*20251220~AMT*AU*{_d(charge - cut)}~"
            f"SVC*HC:99213:25*{_d(first)}*{_d(paid_first)}**1~DTM*472*{day}~CAS*CO*45*{_d(cut)}~REF*6R*L{n:09d}01~"
            f"AMT*B6*{_d(first - cut)}~LQ*HE*N130~"
            f"SVC*HC:85025*{_d(second)}*{_d(paid_second)}**1~DTM*472*{day}~CAS*PR*1*{_d(share // 2)}**2*{_d(share - share // 2)}~"
            f"REF*6R*L{n:09d}02~AMT*B6*{_d(second)}~"
        ).encode()
        segments += 18
    yield f"SE*{segments + 1}*0001~GE*1*{control}~IEA*1*{control:09d}~".encode()


def claims(number: int, seed: int = 0, *, control: int = 1) -> bytes:
    """One 837P with so many claims of two lines, each below a subscriber of its own: about 700 bytes a claim."""
    pick = random.Random(seed)
    out = [
        isa("PRACTICE", "PAYER", control)
        + f"GS*HC*PRACTICE*PAYER*20260105*0830*{control}*X*005010X222A1~ST*837*0001*005010X222A1~"
        "BHT*0019*00*B1*20260105*0830*CH~NM1*41*2*PRACTICE*****46*P1~PER*IC*HELP*TE*8005550100~NM1*40*2*PAYER*****46*P2~"
        "HL*1**20*1~PRV*BI*PXC*207Q00000X~NM1*85*2*PRACTICE*****XX*1234567893~N3*1 STREET~N4*CITY*MD*212440001~REF*EI*123456789~"
    ]
    segments = 10
    for n in range(number):
        first, second = pick.randrange(5000, 40000), pick.randrange(2000, 15000)
        day = f"202511{pick.randrange(1, 29):02d}"
        out.append(
            f"HL*{n + 2}*1*22*0~SBR*P*18*******CI~NM1*IL*1*NAME{n % 977}*FIRST{n % 131}****MI*M{n % 99991:09d}~N3*{n % 999} ROAD~"
            f"N4*CITY*MD*21244~DMG*D8*19800101*F~NM1*PR*2*PAYER ONE*****PI*PAY01~CLM*C{n:09d}*{_d(first + second)}***11:B:1*Y*A*Y*Y~"
            f"HI*ABK:I10*ABF:E119*ABF:Z7984~NM1*82*1*DOCTOR*ANN****XX*1234567893~PRV*PE*PXC*207Q00000X~"
            f"LX*1~SV1*HC:99213:25*{_d(first)}*UN*1***1:2~DTP*472*D8*{day}~REF*6R*L{n:09d}01~"
            f"LX*2~SV1*HC:85025*{_d(second)}*UN*1***1~DTP*472*D8*{day}~REF*6R*L{n:09d}02~"
        )
        segments += 19
    out.append(f"SE*{segments + 2}*0001~GE*1*{control}~IEA*1*{control:09d}~")
    return "".join(out).encode()


def _d(cents: int) -> str:
    """Cents as X12 writes them: no trailing zeros."""
    text = f"{cents // 100}.{cents % 100:02d}".rstrip("0").rstrip(".")
    return text or "0"

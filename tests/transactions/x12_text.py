"""Envelopes around X12 text that stands in a test: counts and control numbers are worked out, so that a body is enough."""

from __future__ import annotations

from collections.abc import Sequence


def isa(control: int = 1, *, e: str = "*", r: str = "^", c: str = ":", version: str = "00501") -> str:
    parts = ["ISA", "00", " " * 10, "00", " " * 10, "ZZ", "SENDER".ljust(15), "ZZ", "RECEIVER".ljust(15), "260105", "0830",
             r, version, f"{control:09d}", "0", "T", c]  # fmt: skip
    return e.join(parts)


def sets_of(*bodies: str, kind: str, version: str = "", first: int = 1) -> list[str]:
    """Bodies (segments from the one after ST to the one before SE) → segments with ST and SE."""
    out: list[str] = []
    for number, body in enumerate(bodies, start=first):
        segments = [s.strip() for s in body.strip().strip("~").split("~") if s.strip()]
        control = f"{number:04d}"
        out += ["*".join(["ST", kind, control, *([version] if version else [])]), *segments]
        out.append(f"SE*{len(segments) + 2}*{control}")
    return out


def interchange(
    *bodies: str,
    kind: str,
    version: str,
    functional: str = "HP",
    control: int = 1,
    before_group: Sequence[str] = (),
    delimiters: str = "*^:~",
    newline: str = "",
) -> bytes:
    """One interchange with one group. Bodies are written with `*`, `:`, `^` and `~`; `delimiters` replaces these four."""
    e, r, c, t = delimiters
    segments = [*before_group]
    if bodies:
        st03 = version if version.startswith("005") else ""
        segments.append(f"GS*{functional}*SENDER*RECEIVER*20260105*0830*{control}*X*{version}")
        segments += [*sets_of(*bodies, kind=kind, version=st03), f"GE*{len(bodies)}*{control}"]
    segments.append(f"IEA*{1 if bodies else 0}*{control:09d}")
    table = str.maketrans({"*": e, "^": r, ":": c})
    ends = t + newline
    head = isa(control, e=e, r=r, c=c, version="00501" if version.startswith("005") or not bodies else "00401")
    return (head + ends + "".join(s.translate(table) + ends for s in segments)).encode()


REMITTANCE = """
BPR*I*170*C*ACH*CCP*01*011000015*DA*123456*1512345678**01*021000021*DA*987654*20260107~
TRN*1*TRACE77*1512345678*SUPP~
REF*EV*RECV9~
DTM*405*20260106~
N1*PR*PAYER ONE*XV*PAY01~
N3*1 STREET~
N4*CITY*MD*21244~
REF*2U*PAY99~
PER*BL*HELP DESK*TE*8005550100~
N1*PE*GOOD PRACTICE*XX*1234567893~
REF*TJ*123456789~
LX*1~
CLP*ACC1*1*200*150*20*12*ICN1*11*1**470~
CAS*CO*253*5~
NM1*QC*1*DOE*JANE*Q***MI*MEM1~
NM1*IL*1*DOE*JOHN****MI*MEM0~
NM1*74*1*DOE*JAYNE****C*MEM2~
NM1*82*1*DOC*ANN****XX*1999999984~
NM1*TT*2*NEXT PAYER*****PI*NXT01~
MIA*0***5*MA01***************MA02~
MOA***N1*N2~
REF*F8*ORIG5~
DTM*232*20251101~
DTM*233*20251102~
DTM*050*20251203~
DTM*036*20261231~
AMT*AU*175.5~
SVC*HC:99213:25:59*120*100**2*HC:99214*3~
DTM*150*20251101~
DTM*151*20251102~
CAS*CO*45*15~
REF*6R*LINE1~
REF*HPI*1888888882~
AMT*B6*105~
LQ*HE*N130~
LQ*HE*M15~
SVC*HC:85025*80*50~
DTM*472*20251101~
CAS*PR*1*10**2*10*1.5~
CAS*CO*45*10~
CLP*ACC2*22*-30.55*-20~
CAS*OA*23*-10.55~
PLB*1234567893*20261231*WO:REF1*10*72:REF2*-50~
"""


def remittance(**options: str) -> bytes:
    return interchange(REMITTANCE, kind="835", version="005010X221A1", **options)


CLAIMS = """
BHT*0019*00*B1*20260105*0830*CH~
NM1*41*2*GOOD PRACTICE*****46*SUB1~
PER*IC*HELP*TE*8005550100~
NM1*40*2*PAYER ONE*****46*REC1~
HL*1**20*1~
PRV*BI*PXC*207Q00000X~
NM1*85*2*GOOD PRACTICE*****XX*1234567893~
N3*1 STREET*SUITE 2~
N4*CITY*MD*212440001~
REF*EI*123456789~
NM1*87*2~
N3*PO BOX 9~
N4*CITY*MD*212440001~
HL*2*1*22*0~
SBR*P*18*GRP7******CI~
NM1*IL*1*DOE*JOHN*Q**JR*MI*MEM1~
N3*9 ROAD~
N4*TOWN*MD*21045~
DMG*D8*19800229*M~
NM1*PR*2*PAYER ONE*****PI*PAY01~
CLM*ACC1*150.5***11:B:7*Y*A*Y*Y**AA:EM~
DTP*434*RD8*20251101-20251103~
REF*G1*AUTH1~
REF*F8*ICN1~
HI*ABK:I10*ABF:E119~
HI*BH:11:D8:20251030~
NM1*82*1*DOC*ANN****XX*1999999984~
PRV*PE*PXC*208D00000X~
REF*G2*LEGACY~
SBR*S*01*GRP8******MB~
AMT*D*40~
AMT*EAF*12.25~
NM1*IL*1*DOE*MARY****MI*MEM9~
NM1*PR*2*OTHER PAYER*****PI*OTH01~
DTP*573*D8*20251212~
REF*F8*OTHERICN~
LX*1~
SV1*HC:99213:25:59:::OFFICE VISIT*100.5*UN*1*22**1:2~
DTP*472*D8*20251101~
REF*6R*L1~
LIN**N4*00002143380~
CTP****3*ML~
REF*XZ*RX1~
NM1*82*1*OTHER*DOC****XX*1888888882~
LX*2~
SV1*HC:85025*50*UN*2.5***2~
DTP*472*RD8*20251101-20251102~
HL*3*1*22*1~
SBR*P********CI~
NM1*IL*1*ROE*RICH****MI*MEM5~
NM1*PR*2*PAYER TWO*****PI*PAY02~
HL*4*3*23*0~
PAT*19~
NM1*QC*1*ROE*KIM~
N3*9 ROAD~
N4*TOWN*MD*21045~
DMG*D8*20150101*F~
CLM*ACC2*80***11:B:1*Y*A*Y*Y~
HI*ABK:J069~
LX*1~
SV1*HC:99212*80*UN*1***1~
DTP*472*D8*20251104~
"""


def professional(**options: str) -> bytes:
    return interchange(CLAIMS, kind="837", version="005010X222A1", functional="HC", **options)

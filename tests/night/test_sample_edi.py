"""`sample_edi/night/` is what the night of the sample extract gives, byte for byte, and shows each kind of file and outcome."""

import re

import pytest
from night.make_sample_edi import HERE, files_of_the_night

pytestmark = pytest.mark.slow


def test_the_committed_files_are_those_of_the_night(tmp_path):
    made = files_of_the_night(tmp_path)
    kept = {path.name: path.read_bytes() for path in HERE.iterdir()}
    assert sorted(made) == sorted(kept), "run: cd tests && python -m night.make_sample_edi"
    stale = [name for name in made if made[name] != kept[name]]
    assert stale == [], "run: cd tests && python -m night.make_sample_edi"


def test_they_show_every_kind_of_file_and_outcome():
    files = {path.name: path.read_bytes().decode("ascii") for path in HERE.iterdir()}
    assert {name.split("_")[1 if not name.startswith("blue") else 2] for name in files} == {
        "837P", "837I", "837D", "TA1", "999", "277CA", "835", "NACHA", "BAI2",
    }  # fmt: skip
    everything = "".join(files.values())
    for outcome, sign in {
        "contractual reduction": r"CAS\*CO\*45\*",
        "deductible": r"CAS\*PR\*1\*|\*1\*[\d.]+",
        "coinsurance": r"CAS\*PR\*2\*",
        "copayment": r"CAS\*PR\*3\*",
        "denial": r"CAS\*CO\*(16|197|50)\*",
        "set rejected at the 999": r"IK5\*R",
        "claim rejected at the 277CA": r"STC\*A[367]:[^~]*\*U",
        "claim accepted at the 277CA": r"STC\*A2:[^~]*\*WQ",
        "claim sent on to the next payer": r"CLP\*[^*]+\*19\*[^~]+~(?:CAS[^~]+~)*NM1\*QC[^~]+~(?:NM1\*82[^~]+~)?NM1\*TT\*",
        "claim to a second payer": r"SBR\*S\*18\*[^~]+~NM1\*IL",
        "what the first payer decided": r"SVD\*MEDICARE1\*",
        "decided by a second payer": r"CAS\*OA\*23\*",
        "stay": r"DTP\*435\*DT\*",
        "present on admission": r"HI\*ABK:[A-Z0-9]+:::::::Y",
        "DRG": r"HI\*DR:",
        "covered days": r"HI\*BE:80:::",
        "revenue code and HCPCS": r"SV2\*0\d{3}\*HC:",
        "tooth and surface": r"TOO\*JP\*\d+\*?",
        "drug": r"LIN\*\*N4\*99999",
        "anaesthesia in minutes": r"\*MJ\*",
        "ambulance": r"CR1\*LB\*",
        "authorisation": r"REF\*G1\*PA",
        "reversal": r"CLP\*[^*]+\*22\*-",
        "provider adjustment": r"PLB\*",
        "payment by ACH": r"BPR\*I\*[\d.]+\*C\*ACH",
        "payment entry with its trace": r"\nH?.*HCCLAIMPMT|705TRN\*1\*",
    }.items():
        assert re.search(sign, everything), f"no {outcome} in sample_edi/night"

"""What a receiver answers: the answers are valid files themselves, and blame the claims that are to blame, and no others."""

from __future__ import annotations

from datetime import date

import pytest
from claims.oracle import pyx12_errors
from transactions.x12_text import interchange

from pipeline.transactions import read, receiver
from pipeline.x12.validator import validate

ON = date(2026, 11, 20)
VERSION = "005010X222A1"
#: pyx12 counts both kinds of CTX of a 999 as one segment and allows one; the guide allows nine of the first and one of the other
PYX12_MISTAKE = "Segment CTX exceeded max count"

HEAD = """
BHT*0019*00*BATCH77*20260105*0830*CH~
NM1*41*2*GOOD PRACTICE*****46*SUB1~
PER*IC*HELP*TE*8005550100~
NM1*40*2*PAYER ONE*****46*RECEIVER~
"""


def provider(hl: int, npi: str, tax: str = "123456789") -> str:
    return f"HL*{hl}**20*1~NM1*85*2*PRACTICE {hl}*****XX*{npi}~N3*1 STREET~N4*CITY*MD*212440001~REF*EI*{tax}~"


def subscriber(hl: int, above: int, *claims: str) -> str:
    return (
        f"HL*{hl}*{above}*22*0~SBR*P*18*******CI~NM1*IL*1*DOE*JOHN****MI*MEM{hl}~N3*9 ROAD~N4*TOWN*MD*21045~"
        f"DMG*D8*19800229*M~NM1*PR*2*PAYER ONE*****PI*PAY01~{''.join(claims)}"
    )


def claim(claim_id: str, total: str, *lines: tuple[str, str]) -> str:
    """`lines`: charge and day of service."""
    body = f"CLM*{claim_id}*{total}***11:B:1*Y*A*Y*Y~HI*ABK:I10~"
    for number, (charge, day) in enumerate(lines, start=1):
        body += f"LX*{number}~SV1*HC:99213*{charge}*UN*1***1~DTP*472*D8*{day}~"
    return body


def file_of(*sets: str) -> bytes:
    return interchange(*(HEAD + body for body in sets), kind="837", version=VERSION, functional="HC")


def statuses(data: bytes) -> dict[str, tuple[str, str, str]]:
    """Claim → category, status code and accepted or rejected, as our reader of 277CA finds them at the claim's level."""
    rows = read(data).tables["277CA.statuses"].to_pylist()
    return {r["claim_id"]: (r["category"], r["status"], r["action"]) for r in rows if r["level"] == "claim"}


GOOD = provider(1, "1234567893") + subscriber(
    2, 1, claim("A1", "150", ("100", "20251101"), ("50", "20251103")), claim("A2", "80", ("80", "20251104"))
)


def test_a_good_file_is_accepted_throughout():
    data = file_of(GOOD)
    answers = receiver.answer(data, on=ON)
    assert list(answers.files) == ["999", "277CA"]  # ISA14 asks for no TA1
    assert answers.codes == {"999": "A", "277CA": "all accepted"}
    assert not answers.rejected
    assert statuses(answers.files["277CA"]) == {"A1": ("A2", "20", "WQ"), "A2": ("A2", "20", "WQ")}
    text = answers.files["277CA"].decode()
    assert "~TRN*2*BATCH77~" in text  # the sender's own number of the batch
    assert "~NM1*41*2*GOOD PRACTICE*****46*SUB1~" in text
    assert "~QTY*90*2~AMT*YU*230~" in text
    assert "~TRN*2*A1~" in text
    assert "~DTP*472*RD8*20251101-20251103~" in text  # from the lines: a professional claim has no days of its own
    for made in answers.files.values():
        assert validate(made) == []
        assert pyx12_errors(made) == []
    assert receiver.answer(data, on=ON).files == answers.files


def test_charges_that_do_not_add_up_reject_the_claim_and_not_its_neighbour():
    answers = receiver.answer(
        file_of(provider(1, "1234567893")
                + subscriber(2, 1, claim("A1", "150", ("100", "20251101")), claim("A2", "80", ("80", "20251104")))),
        on=ON,
    )  # fmt: skip
    assert answers.codes["999"] == "A"
    assert answers.codes["277CA"] == "1 rejected"
    assert answers.rejected
    assert statuses(answers.files["277CA"]) == {"A1": ("A8", "178", "U"), "A2": ("A2", "20", "WQ")}
    assert "~QTY*90*1~QTY*AA*1~AMT*YU*80~AMT*YY*150~" in answers.files["277CA"].decode()


def test_a_fault_of_a_provider_rejects_all_claims_below_it_and_none_above():
    body = (
        provider(1, "1234567893") + subscriber(2, 1, claim("A1", "100", ("100", "20251101")))
        + provider(3, "1234567890", "987654321")  # the last digit does not check
        + subscriber(4, 3, claim("B1", "70", ("70", "20251101")))
        + subscriber(5, 3, claim("B2", "60", ("60", "20251101")))
    )  # fmt: skip
    answers = receiver.answer(file_of(body), on=ON)
    assert answers.codes["999"] == "A"
    found = statuses(answers.files["277CA"])
    assert {claim_id: row[2] for claim_id, row in found.items()} == {"A1": "WQ", "B1": "U", "B2": "U"}
    assert found["B1"] == ("A7", "562", "U")
    text = answers.files["277CA"].decode()
    assert text.count("STC*A7:562:85*") == 2  # an NPI, and whose: the billing provider's
    assert "~NM1*85*2*PRACTICE 3*****FI*987654321~" in text  # a number that is no NPI is not given back as one
    assert validate(answers.files["277CA"]) == []
    assert pyx12_errors(answers.files["277CA"]) == []


@pytest.mark.parametrize(
    ("loop", "entity"),
    [
        ("NM1*82*1*HAND*LEE****XX*1234567890~", "82"),
        ("NM1*DN*1*HAND*LEE****XX*1234567890~NM1*82*1*HAND*LEE****XX*1234567893~", "DN"),
        ("NM1*DN*1*HAND*LEE****XX*1234567893~NM1*82*1*HAND*LEE****XX*1234567890~", "82"),
    ],
)
def test_a_fault_names_whose_it_is(loop: str, entity: str):
    one = claim("A1", "100", ("100", "20251101")).replace("HI*ABK:I10~", f"HI*ABK:I10~{loop}")
    data = file_of(provider(1, "1234567893") + subscriber(2, 1, one, claim("A2", "80", ("80", "20251104"))))
    made = receiver.answer(data, on=ON).files["277CA"]
    assert statuses(made) == {"A1": ("A7", "562", "U"), "A2": ("A2", "20", "WQ")}
    assert f"STC*A7:562:{entity}*" in made.decode()
    assert validate(made) == []


def test_a_set_with_an_error_is_rejected_by_the_999_and_its_claims_get_no_277ca():
    broken = provider(1, "1234567893") + subscriber(
        2, 1, claim("X1", "100", ("100", "20251101")).replace("HI*ABK:I10~", "")
    )
    answers = receiver.answer(file_of(broken, GOOD), on=ON)
    assert answers.codes["999"] == "P"
    assert answers.rejected
    nines = read(answers.files["999"]).tables["999.sets"].to_pylist()
    assert [(row["set_control"], row["code"]) for row in nines if row["level"] == "set"] == [
        ("0001", "R"),
        ("0002", "A"),
    ]
    assert set(statuses(answers.files["277CA"])) == {"A1", "A2"}
    alone = receiver.answer(file_of(broken), on=ON)
    assert list(alone.files) == ["999"]
    assert alone.codes == {"999": "R"}


def test_a_broken_envelope_gets_a_ta1_alone():
    answers = receiver.answer(file_of(GOOD).replace(b"IEA*1*000000001~", b"IEA*2*000000001~"), on=ON)
    assert list(answers.files) == ["TA1"]
    assert answers.codes["TA1"] == "R 021"
    assert answers.rejected
    assert validate(answers.files["TA1"]) == []


@pytest.mark.parametrize("kind", ["999", "277CA", "TA1"])
def test_acknowledgments_are_not_acknowledged_for_ever(kind):
    """999 and TA1 get no answer; a 277CA gets a 999 and nothing that would be answered again."""
    sent = file_of(GOOD).replace(b"*0*T*:", b"*1*T*:")
    first = receiver.answer(sent, on=ON)
    assert set(first.files) == {"TA1", "999", "277CA"}
    again = receiver.answer(first.files[kind], on=ON)
    assert set(again.files) == ({"999"} if kind == "277CA" else set())
    assert not again.rejected


@pytest.mark.parametrize("data", [b"", b"\x00\xff\x80 no file of ours", b"ISA*00*", b"ISA" + b"*" * 200])
def test_what_is_no_x12_gets_no_answer(data):
    assert receiver.answer(data, on=ON).files == {}


@pytest.mark.parametrize("folder", ["837P", "837I", "837D", "837-postadj", "837-predet"])
def test_answers_to_files_of_others_are_valid_themselves(samples, folder):
    answered = 0
    wrong: list[str] = []
    for path in sorted((samples / "x12" / folder).iterdir()):
        answers = receiver.answer(path.read_bytes(), on=ON, file=path.name)
        answered += bool(answers.files)
        for kind, made in answers.files.items():
            wrong += [f"{path.name} {kind}: {f.rule} {f.message}" for f in validate(made)]
            if kind != "TA1":  # pyx12 has no map for it
                wrong += [f"{path.name} {kind}: {e}" for e in pyx12_errors(made) if not _mistaken(e)]
    assert answered
    assert wrong == []


def _mistaken(error: str) -> bool:
    return PYX12_MISTAKE in error and error.count("err_cde") == 1

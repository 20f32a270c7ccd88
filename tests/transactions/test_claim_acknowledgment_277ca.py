"""277CA written from answers: levels, totals that are counted, and a file that our validator and pyx12 accept."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
import pyx12.params
import pyx12.x12n_document
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import Terminal
from pipeline.transactions.claim_acknowledgment_277ca import (
    Batch,
    ClaimStatus,
    LineStatus,
    Party,
    Status,
    write,
    write_all,
)
from pipeline.x12.segments import iter_segments
from pipeline.x12.validator import validate
from pipeline.x12.writer import Envelope

ENVELOPE = Envelope(
    sender_qualifier="ZZ", sender_id="PAYER", receiver_qualifier="ZZ", receiver_id="CLINIC", group_sender="PAYER",
    group_receiver="CLINIC", on=date(2026, 11, 20), time="0200", interchange_control=1, group_control=1, functional_id="HN",
    version="005010X214", usage="T",
)  # fmt: skip
NORTH = Party(name="CLINIC NORTH", id="1234567893", qualifier="XX")
SOUTH = Party(name="SMITH", first="ANN", id="1245319599", qualifier="XX")
BATCH = Batch(
    source=Party(name="PAYER", id="P1", qualifier="PI"), source_entity="PR",
    receiver=Party(name="CLINIC", id="C1", qualifier="46"), reference="R1", source_trace="T1", batch_trace="B1",
    received=date(2026, 11, 20), processed=date(2026, 11, 21),
)  # fmt: skip
ACCEPTED = ClaimStatus(
    claim_id="C1", provider=NORTH, patient_last="DOE", patient_first="JO", member_id="M12", charge=Decimal("100.50"),
    accepted=True, statuses=(Status("A2", "20", "PR"),), payer_claim_number="PCN1", service_from=date(2026, 11, 1),
)  # fmt: skip
REJECTED = ClaimStatus(
    claim_id="C2", provider=NORTH, patient_last="ROE", patient_first="JA", member_id="M13", charge=Decimal("50"),
    accepted=False, statuses=(Status("A7", "562", "85"), Status("A3", "21")), clearinghouse_trace="D9X", bill_type="111",
    service_from=date(2026, 11, 1), service_to=date(2026, 11, 3),
    lines=(LineStatus(procedure=("HC", "99213", "25"), charge=Decimal("50"), statuses=(Status("A7", "454"),), line_control="L1",
                      units="1", service_from=date(2026, 11, 1)),),
)  # fmt: skip


def segments(data: bytes) -> list[str]:
    return ["*".join(s.elements) for s in iter_segments(data)]


def accepted_by_pyx12(data: bytes, folder: Path) -> bool:
    path = folder / "a.277"
    path.write_bytes(data)
    return bool(pyx12.x12n_document.x12n_document(pyx12.params.params(), str(path), io.StringIO(), None))


def test_the_whole_answer(tmp_path: Path) -> None:
    data = write(ENVELOPE, BATCH, [ACCEPTED, REJECTED])
    assert segments(data)[2:-2] == [
        "ST*277*0001*005010X214", "BHT*0085*08*R1*20261120*0200*TH",
        "HL*1**20*1", "NM1*PR*2*PAYER*****PI*P1", "TRN*1*T1", "DTP*050*D8*20261120", "DTP*009*D8*20261121",
        "HL*2*1*21*1", "NM1*41*2*CLINIC*****46*C1", "TRN*2*B1", "STC*A1:19:PR*20261121*WQ*150.5",
        "QTY*90*1", "QTY*AA*1", "AMT*YU*100.5", "AMT*YY*50",
        "HL*3*2*19*1", "NM1*85*2*CLINIC NORTH*****XX*1234567893", "TRN*1*0", "STC*A1:19:PR**WQ*150.5",
        "QTY*QA*1", "QTY*QC*1", "AMT*YU*100.5", "AMT*YY*50",
        "HL*4*3*PT", "NM1*QC*1*DOE*JO****MI*M12", "TRN*2*C1", "STC*A2:20:PR*20261121*WQ*100.5", "REF*1K*PCN1", "DTP*472*D8*20261101",
        "HL*5*3*PT", "NM1*QC*1*ROE*JA****MI*M13", "TRN*2*C2", "STC*A7:562:85*20261121*U*50******A3:21", "REF*D9*D9X", "REF*BLT*111",
        "DTP*472*RD8*20261101-20261103",
        "SVC*HC:99213:25*50*****1", "STC*A7:454*20261121*U", "REF*FJ*L1", "DTP*472*D8*20261101", "SE*41*0001",
    ]  # fmt: skip
    assert validate(data) == []
    assert accepted_by_pyx12(data, tmp_path)


def test_claims_stand_under_their_provider() -> None:
    others = [replace(ACCEPTED, claim_id=f"S{n}", provider=SOUTH) for n in (1, 2)]
    data = write(ENVELOPE, BATCH, [others[0], ACCEPTED, others[1]])
    listed = segments(data)
    assert [s for s in listed if s[:2] in ("HL",) or s[:6] in ("TRN*2*", "NM1*85")] == [
        "HL*1**20*1", "HL*2*1*21*1", "TRN*2*B1", "HL*3*2*19*1", "NM1*85*1*SMITH*ANN****XX*1245319599", "HL*4*3*PT", "TRN*2*S1",
        "HL*5*3*PT", "TRN*2*S2", "HL*6*2*19*1", "NM1*85*2*CLINIC NORTH*****XX*1234567893", "HL*7*6*PT", "TRN*2*C1",
    ]  # fmt: skip
    assert [s for s in listed if s.startswith(("QTY", "AMT"))] == [
        "QTY*90*3",
        "AMT*YU*301.5",
        "QTY*QA*2",
        "AMT*YU*201",
        "QTY*QA*1",
        "AMT*YU*100.5",
    ]
    assert validate(data) == []


def test_a_batch_rejected_as_a_whole_has_nothing_below() -> None:
    whole = replace(BATCH, rejected=(Status("A3", "24", "41"),), rejected_total=Decimal("150.50"))
    data = write(ENVELOPE, whole, [])
    assert segments(data)[9:15] == [
        "HL*2*1*21*0",
        "NM1*41*2*CLINIC*****46*C1",
        "TRN*2*B1",
        "STC*A3:24:41*20261121*U*150.5",
        "SE*12*0001",
        "GE*1*1",
    ]
    assert validate(data) == []
    with pytest.raises(Terminal, match="no claims below"):
        write(ENVELOPE, whole, [ACCEPTED])


def test_a_provider_rejected_as_a_whole() -> None:
    data = write(
        ENVELOPE,
        replace(BATCH, rejected_providers=((NORTH.id, (Status("A8", "145", "85"),)),)),
        [REJECTED],
    )
    assert "STC*A8:145:85**U*50" in segments(data)
    assert validate(data) == []


def test_a_set_for_each_batch() -> None:
    data = write_all(ENVELOPE, [(BATCH, [ACCEPTED]), (replace(BATCH, batch_trace="B2"), [REJECTED])])
    assert [s for s in segments(data) if s.startswith(("ST*", "TRN*2*B", "GE"))] == [
        "ST*277*0001*005010X214", "TRN*2*B1", "ST*277*0002*005010X214", "TRN*2*B2", "GE*2*1",
    ]  # fmt: skip
    assert validate(data) == []


def test_what_cannot_be_written_is_refused() -> None:
    with pytest.raises(Terminal, match="HN and 005010X214"):
        write(replace(ENVELOPE, functional_id="FA"), BATCH, [ACCEPTED])
    with pytest.raises(Terminal, match="one to three statuses"):
        write(ENVELOPE, BATCH, [replace(ACCEPTED, statuses=())])
    with pytest.raises(Terminal, match="fraction of a cent"):
        write(ENVELOPE, BATCH, [replace(ACCEPTED, charge=Decimal("1.005"))])
    with pytest.raises(Terminal, match=r"NM1.*delimiter") as error:
        write(ENVELOPE, BATCH, [replace(ACCEPTED, patient_last="DOE*X")])
    assert "DOE" not in str(error.value)


claims = st.builds(
    ClaimStatus,
    claim_id=st.integers(1, 10**9).map(str), provider=st.sampled_from([NORTH, SOUTH]), patient_last=st.just("DOE"),
    member_id=st.just("M12"), charge=st.decimals("0.01", "99999.99", places=2), accepted=st.just(False),
    statuses=st.just((Status("A7", "21", "IL"), Status("A8", "122"))),
    payer_claim_number=st.sampled_from(["", "PCN"]), service_from=st.sampled_from([date(2026, 11, 2), date(2026, 11, 1)]),
).flatmap(lambda c: st.sampled_from([c, replace(c, accepted=True, statuses=(Status("A2", "20"),))]))  # fmt: skip


@given(st.lists(claims, min_size=1, max_size=12))
@settings(max_examples=60, deadline=None)
def test_totals_are_those_of_the_claims(listed: list[ClaimStatus]) -> None:
    data = write(ENVELOPE, BATCH, listed)
    assert validate(data) == []
    listed_segments = segments(data)
    batch = listed_segments[: listed_segments.index("HL*3*2*19*1")]
    found = {s.split("*")[1]: Decimal(s.split("*")[2]) for s in batch if s.startswith(("QTY*", "AMT*"))}
    assert found.get("90", 0) == sum(claim.accepted for claim in listed)
    assert found.get("AA", 0) == sum(not claim.accepted for claim in listed)
    assert found.get("YU", 0) == sum((c.charge for c in listed if c.accepted), Decimal(0))
    assert found.get("YY", 0) == sum((c.charge for c in listed if not c.accepted), Decimal(0))
    assert write(ENVELOPE, BATCH, listed) == data

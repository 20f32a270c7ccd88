"""A night on visits of all three kinds: professional, institutional and dental claims go, are answered, paid and proved."""

from collections import Counter
from decimal import Decimal

import pytest
import sqlalchemy as sa
from claims.oracle import pyx12_errors
from claims.samples import npi
from encounters.extracts import Extract
from night.nights import assert_nothing_twice, payer_in_a_box, run_night, tree

from pipeline import transactions
from pipeline.claims import stage
from pipeline.store import open_store
from pipeline.store import register as r

_KINDS = {"professional": 9, "institutional": 7, "dental": 5}
_PRACTICE = {
    "billing_name": "Northgate", "billing_npi": npi(1), "billing_tin": "006056727", "billing_tin_kind": "EI",
    "billing_taxonomy": "207Q00000X", "billing_address1": "1 Elm St", "billing_city": "Boston", "billing_state": "MA",
    "billing_zip": "021100001", "rendering_npi": npi(2), "rendering_last": "Ash", "rendering_first": "Al",
}  # fmt: skip
_PATIENT = {
    "patient_first": "Imogen", "patient_birth_date": "1977-09-02", "patient_sex": "F", "patient_address1": "2 Oak St",
    "patient_city": "Boston", "patient_state": "MA", "patient_zip": "02111", "relationship": "18",
}  # fmt: skip
_STAY = {"bill_type": "11", "admission_date": "2026-11-08", "admission_hour": "2230", "admission_type": "1", "admission_source": "1",
         "patient_status": "01", "discharge_hour": "1000", "visit_class": "inpatient"}  # fmt: skip


def mixed() -> Extract:
    extract = Extract()
    number = 0
    for kind, visits in _KINDS.items():
        for nth in range(visits):
            number += 1
            key = {"practice_id": "P01", "encounter_id": f"V{number}"}
            medicare = kind != "dental" and nth % 3 == 0
            payer = (
                {"payer": "Medicare", "member_id": "1EG4TE5MK73"}
                if medicare
                else {"payer": "Harbor Mutual", "member_id": f"HM{number:07d}"}
            )
            extract.encounters.append(
                key | _PRACTICE | _PATIENT | payer | {
                    "claim_type": kind, "service_from": "2026-11-08", "service_to": "2026-11-10", "charge": f"{number + 150}.50",
                    "patient_id": f"PT{number}", "patient_last": f"Last{chr(64 + number)}", "place_of_service": "11", "visit_class": "ambulatory",
                } | (_STAY if kind == "institutional" else {})
            )  # fmt: skip
            code = {"dental": "K02.9"}.get(kind, "J02.0")
            extract.diagnoses.append(key | {"rank": "1", "system": "ICD10CM", "code": code, "text": "", "kind": ""})
            services = {
                "professional": [("CPT", "99213", ""), ("CPT", "85025", "")],
                "institutional": [("REVENUE", "0120", "0120"), ("CPT", "99283", "0450")],
                "dental": [("CDT", "D2150", ""), ("CDT", "D1110", "")],
            }[kind]
            charges = (f"{number + 100}.25", "50.25")
            for line, ((system, service, revenue), charge) in enumerate(zip(services, charges, strict=True), 1):
                extract.services.append(key | {
                    "line": str(line), "kind": "procedure", "system": system, "code": service, "text": "", "units": "1",
                    "charge": charge, "service_date": f"2026-11-{8 + line:02d}", "revenue_code": revenue, "pointers": "",
                })  # fmt: skip
            if kind == "institutional":
                extract.diagnoses.append(
                    key | {"rank": "1", "system": "ICD10CM", "code": "R07.9", "text": "", "kind": "admitting"}
                )
                extract.add("parties", number, role="attending", last="Yew", first="Una", npi=npi(3))
                extract.add("codes", number, kind="value", rank="1", code="80", amount="2.00")
    return extract


@pytest.mark.slow
def test_a_night_of_three_guides_closes(tmp_path):
    with payer_in_a_box(tmp_path / "home") as loaded:
        extract = mixed().write(tmp_path / "extract")
        report = run_night(loaded, extract)
        assert report.troubles == []
        assert (report.proof.closes, report.proof.residue_cents) == (True, 0)
        assert_nothing_twice(tmp_path / "home")
        store = open_store(loaded)
        with store.read() as connection:
            claims = connection.execute(sa.select(r.claims)).mappings().all()
            sendings = connection.execute(sa.select(r.sendings)).mappings().all()
            held = connection.execute(sa.select(r.encounters.c.state, r.encounters.c.reason)).all()
        assert Counter(state for state, _ in held) == {"claimed": sum(_KINDS.values())}, held
        guides = {"professional": "005010X222A1", "institutional": "005010X223A2", "dental": "005010X224A2"}
        assert Counter(c["guide"] for c in claims) == {guides[kind]: visits for kind, visits in _KINDS.items()}
        assert {s["state"] for s in sendings} == {"acknowledged"}
        assert sorted((s["payer_key"], s["guide"]) for s in sendings) == [
            ("harbor", guides["professional"]), ("harbor", guides["institutional"]), ("harbor", guides["dental"]),
            ("medicare", guides["professional"]), ("medicare", guides["institutional"]),
        ]  # fmt: skip
        charged = Decimal(0)
        for sending in sendings:
            data = store.archive.get(sending["file_id"])
            read = transactions.read(data)
            assert set(read.tables["837.claims"].column("version").to_pylist()) == {sending["guide"]}
            charged += sum(read.tables["837.claims"].column("charge").to_pylist())
            if sending["guide"] != guides["dental"]:
                assert pyx12_errors(data) == []
        assert charged * 100 == sum(c["charge_cents"] for c in claims)
        # answered by the payer in every kind
        for guide in guides.values():
            assert {c["state"] for c in claims if c["guide"] == guide} & {"paid", "denied"}, guide
        assert stage.compare(store, report.on) == {"files": 5, "same": 5, "different": 0}
        store.close()
        before = tree(tmp_path / "home")
        assert run_night(loaded, extract).proof.closes
        assert tree(tmp_path / "home") == before

"""One visit from each format gives one normalised encounter (A4).

The visit: two diagnoses, an office visit and a laboratory test, a spouse's policy, a second payer, a supervising provider.

It is told twice: with the codes of claims, which Synthea does not have, and with clinical ones (`clinical`), which all five
formats can write. What Synthea's columns cannot say of it stands in `SYNTHEA_CANNOT`, and nothing else may differ.
"""

from __future__ import annotations

import gzip
import json
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from encounters.extracts import Extract

from pipeline import shapes
from pipeline.encounters import formats
from pipeline.encounters.identifiers import synthetic_ein, synthetic_npi
from pipeline.encounters.intake import Context, Intake

CONTEXT = Context(on=date(2026, 11, 20), payers={"acme health": "acme"}, timezone=ZoneInfo("America/New_York"))
#: what tells where a visit came from, and the words of people, which formats have more or less of
FREE = frozenset({"synthetic", "source_format", "source_file", "source_row", "source_column", "content_hash", "text"})

PRACTICE = {
    "billing_name": "Northgate Family Medicine", "billing_npi": "2875355242", "billing_tin": "006056727", "billing_tin_kind": "EI",
    "billing_taxonomy": "207Q00000X", "billing_address1": "12 Elm Street", "billing_city": "Albany", "billing_state": "NY",
    "billing_zip": "122071234", "billing_phone": "5185550100",
}  # fmt: skip


def own_layout() -> Extract:
    extract = Extract()
    key = {"practice_id": "P01", "encounter_id": "V1"}
    extract.encounters.append(key | PRACTICE | {
        "claim_type": "professional", "service_from": "2026-11-10", "service_to": "2026-11-10", "charge": "194.00",
        "visit_class": "outpatient", "rendering_npi": "1245319599", "rendering_last": "Okafor", "rendering_first": "Ben",
        "referring_npi": "1234567893", "referring_last": "Quill", "referring_first": "Ada", "patient_id": "MR77",
        "patient_last": "O'Dwyer", "patient_first": "Silas", "patient_middle": "J", "patient_birth_date": "1990-01-31",
        "patient_sex": "M", "patient_address1": "3 Oak Road", "patient_city": "Troy", "patient_state": "NY",
        "patient_zip": "12180", "relationship": "01", "subscriber_last": "O'Dwyer", "subscriber_first": "Mae",
        "subscriber_birth_date": "1989-05-06", "subscriber_sex": "F", "subscriber_address1": "3 Oak Road",
        "subscriber_city": "Troy", "subscriber_state": "NY", "subscriber_zip": "12180", "payer": "Acme Health",
        "member_id": "ACM123", "group_number": "G9", "authorization_number": "AU5",
    })  # fmt: skip
    extract.diagnoses += [
        key | {"rank": "1", "system": "ICD10CM", "code": "J02.0", "text": "strep throat"},
        key | {"rank": "2", "system": "ICD10CM", "code": "I10"},
    ]
    extract.services += [
        key | {"line": "1", "kind": "visit", "system": "HCPCS", "code": "99213", "modifier1": "25", "units": "1",
               "charge": "156.00", "service_date": "2026-11-10", "pointers": "1,2"},
        key | {"line": "2", "kind": "procedure", "system": "HCPCS", "code": "87880", "units": "2", "charge": "38.00",
               "service_date": "2026-11-10", "pointers": "1"},
    ]  # fmt: skip
    extract.further["other_payers"] = [key | {
        "responsibility": "S", "payer_name": "Zenith Mutual", "payer_id": "ZM1", "payer_address1": "1 Bay Street",
        "payer_city": "Reno", "payer_state": "NV", "payer_zip": "89501", "relationship": "18", "member_id": "ZM55",
        "group_number": "ZG",
    }]  # fmt: skip
    extract.further["parties"] = [key | {
        "role": "ordering", "last": "Quill", "first": "Ada", "npi": "1234567893", "line": "2",
    }]  # fmt: skip
    return extract


def fhir() -> list[dict[str, Any]]:
    """The resources, in no particular order."""

    def person(kind: str, identity: str, family: str, given: list[str], **more: Any) -> dict[str, Any]:
        return {"resourceType": kind, "id": identity, "name": [{"family": family, "given": given}], **more}

    def npi(number: str) -> list[dict[str, Any]]:
        return [{"system": "http://hl7.org/fhir/sid/us-npi", "value": number}]

    def address(line: str, city: str, state: str, code: str) -> list[dict[str, Any]]:
        return [{"line": [line], "city": city, "state": state, "postalCode": code}]

    def coded(system: str, code: str) -> dict[str, Any]:
        return {"coding": [{"system": system, "code": code}]}

    icd, cpt = "http://hl7.org/fhir/sid/icd-10-cm", "http://www.ama-assn.org/go/cpt"
    role = "http://terminology.hl7.org/CodeSystem/claimcareteamrole"
    cover_class = "http://terminology.hl7.org/CodeSystem/coverage-class"
    relation = "http://terminology.hl7.org/CodeSystem/subscriber-relationship"
    return [
        {"resourceType": "Claim", "id": "C1", "status": "active", "use": "claim", "created": "2026-11-11",
         "type": coded("http://terminology.hl7.org/CodeSystem/claim-type", "professional"),
         "priority": coded("http://terminology.hl7.org/CodeSystem/processpriority", "normal"),
         "patient": {"reference": "Patient/PT1"}, "provider": {"reference": "Organization/P01"},
         "billablePeriod": {"start": "2026-11-10", "end": "2026-11-10"},
         "careTeam": [
             {"sequence": 1, "provider": {"reference": "Practitioner/D1"}, "role": coded(role, "primary")},
             {"sequence": 2, "provider": {"reference": "Practitioner/D2"}, "role": coded(role, "referring")},
             {"sequence": 3, "provider": {"reference": "Practitioner/D2"}, "role": coded(role, "ordering")}],
         "diagnosis": [
             {"sequence": 1, "diagnosisCodeableConcept": coded(icd, "J02.0")},
             {"sequence": 2, "diagnosisReference": {"reference": "Condition/X2"}}],
         "insurance": [
             {"sequence": 1, "focal": True, "coverage": {"reference": "Coverage/A"}, "preAuthRef": ["AU5"]},
             {"sequence": 2, "focal": False, "coverage": {"reference": "Coverage/B"}}],
         "item": [
             {"sequence": 1, "productOrService": coded(cpt, "99213"), "modifier": [coded(cpt, "25")],
              "diagnosisSequence": [1, 2], "servicedDate": "2026-11-10", "net": {"value": 156.00},
              "encounter": [{"reference": "Encounter/V1"}]},
             {"sequence": 2, "productOrService": coded(cpt, "87880"), "diagnosisSequence": [1], "careTeamSequence": [1, 3],
              "servicedDate": "2026-11-10", "quantity": {"value": 2}, "unitPrice": {"value": 19.00}}],
         "total": {"value": 194.00, "currency": "USD"}},
        {"resourceType": "Encounter", "id": "V1", "status": "finished", "class": {"code": "SS"},
         "subject": {"reference": "Patient/PT1"}, "serviceProvider": {"reference": "Organization/P01"}},
        person("Patient", "PT1", "O'Dwyer", ["Silas", "J"], gender="male", birthDate="1990-01-31",
               address=address("3 Oak Road", "Troy", "NY", "12180"),
               identifier=[{"type": coded("http://terminology.hl7.org/CodeSystem/v2-0203", "MR"), "value": "MR77"}]),
        person("RelatedPerson", "S1", "O'Dwyer", ["Mae"], gender="female", birthDate="1989-05-06",
               patient={"reference": "Patient/PT1"}, address=address("3 Oak Road", "Troy", "NY", "12180")),
        {"resourceType": "Organization", "id": "P01", "name": PRACTICE["billing_name"],
         "identifier": [*npi("2875355242"), {"system": "urn:oid:2.16.840.1.113883.4.4", "value": "00-6056727"}],
         "type": [coded("http://nucc.org/provider-taxonomy", "207Q00000X")],
         "telecom": [{"system": "phone", "value": "5185550100"}], "address": address("12 Elm Street", "Albany", "NY", "12207-1234")},
        {"resourceType": "Organization", "id": "ACME", "name": "Acme Health"},
        {"resourceType": "Organization", "id": "ZM1", "name": "Zenith Mutual", "address": address("1 Bay Street", "Reno", "NV", "89501")},
        person("Practitioner", "D1", "Okafor", ["Ben"], identifier=npi("1245319599")),
        person("Practitioner", "D2", "Quill", ["Ada"], identifier=npi("1234567893")),
        {"resourceType": "Condition", "id": "X2", "subject": {"reference": "Patient/PT1"}, "code": coded(icd, "I10")},
        {"resourceType": "Coverage", "id": "A", "status": "active", "subscriberId": "ACM123", "beneficiary": {"reference": "Patient/PT1"},
         "subscriber": {"reference": "RelatedPerson/S1"}, "relationship": coded(relation, "spouse"),
         "payor": [{"reference": "Organization/ACME"}], "class": [{"type": coded(cover_class, "group"), "value": "G9"}]},
        {"resourceType": "Coverage", "id": "B", "status": "active", "subscriberId": "ZM55", "beneficiary": {"reference": "Patient/PT1"},
         "relationship": coded(relation, "self"), "payor": [{"reference": "Organization/ZM1"}],
         "class": [{"type": coded(cover_class, "group"), "value": "ZG"}]},
        {"resourceType": "Observation", "id": "O1", "status": "final", "code": {"text": "not a thing that is billed"}},
    ]  # fmt: skip


HL7 = r"""MSH|^~\&|EHR|P01|CLAIMS|X|20261111||DFT^P03|M1|P|2.5
PID|1||MR77^^^P01^MR||O'Dwyer^Silas^J||19900131|M|||3 Oak Road^^Troy^NY^12180
PV1|1|O||||||1234567893^Quill^Ada^^^^^^^^^^NPI|||||||||||V1
DG1|1||J02.0^strep throat^I10|||F
DG1|2||I10^^I10|||F
FT1|1|||20261110||CG|||||156.00||||||||J02.0^^I10~I10^^I10|1245319599^Okafor^Ben^^^^^^^^^^NPI|||||99213^^C4|25
FT1|2|||20261110||CG||||2||19.00|||||||J02.0^^I10|1245319599^Okafor^Ben^^^^^^^^^^NPI|1234567893^Quill^Ada^^^^^^^^^^NPI||||87880^^C4
IN1|1|A|ACM|Acme Health||||G9||||||AU5||O'Dwyer^Mae|SPO|19890506|3 Oak Road^^Troy^NY^12180|||||||||||||||||ACM123|||||||F
IN1|2|B|ZM1|Zenith Mutual|1 Bay Street^^Reno^NV^89501|||ZG||||||||O'Dwyer^Silas|SEL|||||||||||||||||||ZM55
"""


#: codes of claims → clinical ones
CLINICAL = {
    "J02.0": "43878008", "I10": "59621000", "99213": "185345009", "87880": "122121004", "ICD10CM": "SNOMED", "HCPCS": "SNOMED",
    "http://hl7.org/fhir/sid/icd-10-cm": "http://snomed.info/sct", "http://www.ama-assn.org/go/cpt": "http://snomed.info/sct",
    "^C4": "^SCT",
}  # fmt: skip
#: ids of Synthea's records, of which it has no numbers of people and companies; they are made up of them
CLINIC, DOCTOR = "6f0c6a5e-0001", "6f0c6a5e-0002"


def clinical(text: str) -> str:
    """The visit in clinical codes, from 08:15 to 08:40 in New York."""
    text = text.replace("^I10|", "^SCT|").replace("^I10~", "^SCT~")  # HL7's name of a coding system, and of a diagnosis
    for old, new in CLINICAL.items():
        text = text.replace(old, new)
    made_up = {
        "2875355242": synthetic_npi(CLINIC),
        "006056727": synthetic_ein(CLINIC),
        "1245319599": synthetic_npi(DOCTOR),
    }
    for old, new in made_up.items():
        text = text.replace(old, new).replace(f"{old[:2]}-{old[2:]}", f"{new[:2]}-{new[2:]}")
    return text


def own_clinical() -> Extract:
    extract = own_layout()
    for rows in extract.tables.values():
        rows[:] = json.loads(clinical(json.dumps(rows)))
        for row in rows:
            row["practice_id"] = CLINIC
    extract.encounters[0] |= {
        "minutes": "25", "visit_system": "SNOMED", "visit_code": "185345009", "rendering_taxonomy": "207Q00000X",
    }  # fmt: skip
    return extract


def fhir_clinical() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(clinical(json.dumps(fhir())).replace("P01", CLINIC))
    for resource in found:
        if resource["resourceType"] == "Encounter":
            resource["type"] = [{"coding": [{"system": "http://snomed.info/sct", "code": "185345009"}]}]
            resource["period"] = {"start": "2026-11-10T08:15:00-05:00", "end": "2026-11-10T13:40:00Z"}
        if resource["id"] == "D1":
            code = {"coding": [{"system": "http://nucc.org/provider-taxonomy", "code": "207Q00000X"}]}
            resource["qualification"] = [{"code": code}]
    return found


def hl7_clinical() -> str:
    times = f"V1{'|' * 25}202611100815|202611100840"
    return clinical(HL7).replace("|P01|", f"|{CLINIC}|").replace("V1\n", times + "\n", 1)


#: columns of a table; its rows, a row a line
SYNTHEA = {
    "encounters": """Id,START,STOP,PATIENT,ORGANIZATION,PROVIDER,PAYER,ENCOUNTERCLASS,CODE,DESCRIPTION,BASE_ENCOUNTER_COST,TOTAL_CLAIM_COST,REASONCODE,REASONDESCRIPTION
V1,2026-11-10T13:15:00Z,2026-11-10T13:40:00Z,MR77,CLINIC,DOCTOR,acme,outpatient,185345009,visit,156.00,194.00,43878008,strep throat
""",
    "patients": """Id,BIRTHDATE,FIRST,MIDDLE,LAST,SUFFIX,GENDER,ADDRESS,CITY,STATE,ZIP
MR77,1990-01-31,Silas,J,O'Dwyer,,M,3 Oak Road,Troy,New York,12180
""",
    "organizations": """Id,NAME,ADDRESS,CITY,STATE,ZIP,PHONE
CLINIC,Northgate Family Medicine,12 Elm Street,Albany,NY,12207-1234,518-555-0100
""",
    "providers": "Id,NAME,SPECIALITY\nDOCTOR,Ben Okafor,FAMILY PRACTICE\n",
    "payers": "Id,NAME\nacme,Acme Health\nzenith,Zenith Mutual\n",
    "payer_transitions": """PATIENT,MEMBERID,START_DATE,END_DATE,PAYER,SECONDARY_PAYER,PLAN_OWNERSHIP,OWNER_NAME
MR77,ACM123,2026-01-01T05:00:00Z,2027-01-01T05:00:00Z,acme,zenith,Spouse,Mae O'Dwyer
""",
    "conditions": """ENCOUNTER,SYSTEM,CODE,DESCRIPTION
V1,http://snomed.info/sct,59621000,x
""",
    "procedures": """START,ENCOUNTER,SYSTEM,CODE,DESCRIPTION,BASE_COST,REASONCODE,REASONDESCRIPTION
2026-11-10T13:20:00Z,V1,http://snomed.info/sct,122121004,x,38.00,43878008,strep throat
""",
    "immunizations": "DATE,ENCOUNTER,CODE,DESCRIPTION,BASE_COST\n",
    "medications": "START,ENCOUNTER,CODE,DESCRIPTION\n",
}
_NOT_THE_OWNER = "the owner of a policy is a name alone; the patient's own number makes the patient the subscriber"
#: table → column → (what stands there instead, why)
SYNTHEA_CANNOT: dict[str, dict[str, tuple[Any, str]]] = {
    "encounters": {
        "billing_taxonomy": (None, "organisations have no taxonomy"),
        **dict.fromkeys(("referring_npi", "referring_last", "referring_first"), (None, "nobody refers")),
        "relationship": ("18", _NOT_THE_OWNER),
        **dict.fromkeys((
            "subscriber_last", "subscriber_first", "subscriber_birth_date", "subscriber_sex", "subscriber_address1",
            "subscriber_city", "subscriber_state", "subscriber_zip"), (None, _NOT_THE_OWNER)),
        "group_number": (None, "covers have no group"),
        "authorization_number": (None, "nothing is authorized"),
        "other_payers": (None, "a second payer is named without the patient's number there"),
    },
    "diagnoses": {},
    "lines": {
        "modifier1": (None, "codes have no modifiers"),
        "units": (Decimal("1.0000"), "a service is done once"),
        "pointers": ("1", "a service has one reason"),
        "parties": (None, "nobody orders a service"),
    },
}  # fmt: skip
#: HL7's charge messages have no field for these
HL7_CANNOT: dict[str, dict[str, tuple[Any, str]]] = {
    "encounters": {
        **dict.fromkeys(("visit_system", "visit_code"), (None, "no field says in a coding system what a visit was for")),
        "rendering_taxonomy": (None, "a person of FT1-20 has no taxonomy"),
    },
    "diagnoses": {},
    "lines": {"kind": ("procedure", "nothing says which service is the visit itself, where its code does not")},
}  # fmt: skip


def bundle(resources: list[dict[str, Any]]) -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": r} for r in resources]}


def write(fmt: str, folder: Path, *, in_clinical_codes: bool = False) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    own, resources, text, practice = own_layout(), fhir(), HL7, {"practice_id": "P01", **PRACTICE}
    if in_clinical_codes:
        own, resources, text = own_clinical(), fhir_clinical(), hl7_clinical()
        practice = json.loads(clinical(json.dumps(practice))) | {"practice_id": CLINIC}
    if fmt == "csv":
        return own.write(folder)
    if fmt == "parquet":
        return own.write_parquet(folder)
    if fmt == "synthea":
        for name, cells in SYNTHEA.items():
            (folder / f"{name}.csv").write_text(cells.replace("CLINIC", CLINIC).replace("DOCTOR", DOCTOR))
    elif fmt == "fhir bundle":
        (folder / "visits.json").write_text(json.dumps(bundle(resources)))
    elif fmt == "fhir bundle, gzipped":
        (folder / "visits.json.gz").write_bytes(gzip.compress(json.dumps(bundle(resources)).encode()))
    elif fmt == "fhir ndjson by type":
        for resource in resources:
            with (folder / f"{resource['resourceType']}.ndjson").open("a") as file:
                file.write(json.dumps(resource) + "\n")
    else:
        text = text if fmt == "hl7" else text.replace("\n", "\r")
        (folder / "charges.hl7").write_bytes(text.encode())
        (folder / "practices.csv").write_text(",".join(practice) + "\n" + ",".join(practice.values()) + "\n")
    return folder


def taken(fmt: str, folder: Path, *, in_clinical_codes: bool = False) -> Intake:
    found, sources = formats.sources(write(fmt, folder, in_clinical_codes=in_clinical_codes), "auto")
    assert found == fmt.split()[0].rstrip(",")
    return formats.READERS[found].read(sources, CONTEXT)


def told(table: pa.Table) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if name not in FREE} for row in table.to_pylist()]


@pytest.mark.parametrize(
    "fmt",
    ["parquet", "fhir bundle", "fhir bundle, gzipped", "fhir ndjson by type", "hl7", "hl7 with carriage returns"],
)
def test_one_visit_from_each_format_is_one_encounter(fmt: str, tmp_path: Path):
    expected, found = taken("csv", tmp_path / "csv"), taken(fmt, tmp_path / "other")
    assert found.set_aside == expected.set_aside == []
    assert [f for f in found.findings if f.severity == "error"] == []
    [visit], [mine] = told(expected.encounters), told(found.encounters)
    assert visit["payer_key"] == "acme"
    assert visit["other_payers"][0]["payer_id"] == "ZM1"
    assert mine == visit
    assert told(found.diagnoses) == told(expected.diagnoses)
    assert told(found.lines) == told(expected.lines)
    assert found.charge_cents == expected.charge_cents == 19400
    for table, shape in (
        (found.encounters, "encounters"), (found.diagnoses, "encounter_diagnoses"), (found.lines, "encounter_lines"),
    ):  # fmt: skip
        shapes.check(table, shape)


@pytest.mark.parametrize(
    ("fmt", "cannot"),
    [("parquet", {}), ("fhir bundle", {}), ("hl7", HL7_CANNOT), ("synthea", SYNTHEA_CANNOT)],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_one_visit_in_clinical_codes_from_all_five_formats_is_one_encounter(
    fmt: str, cannot: dict[str, dict[str, tuple[Any, str]]], tmp_path: Path
):
    expected = taken("csv", tmp_path / "csv", in_clinical_codes=True)
    found = taken(fmt, tmp_path / "other", in_clinical_codes=True)
    assert found.set_aside == expected.set_aside == []
    assert [f for f in (*found.findings, *expected.findings) if f.severity == "error"] == []
    assert (found.charge_cents, found.rows_read) == (expected.charge_cents, expected.rows_read) == (19400, 1)
    for table in ("encounters", "diagnoses", "lines"):
        unsaid = cannot.get(table, {})
        rows, mine = told(getattr(expected, table)), told(getattr(found, table))
        assert len(mine) == len(rows) > 0
        assert table == "encounters" or {each["system"] for each in mine} == {"SNOMED"}
        # what cannot be said is as it is told above, and nothing stands there that could be said after all
        for each in mine:
            assert {n: each[n] for n in unsaid} == {n: value for n, (value, _why) in unsaid.items()}
        assert {n for a, b in zip(rows, mine, strict=True) for n in a if a[n] != b[n]} == set(unsaid)


def test_the_same_visit_again_has_the_same_hash(tmp_path: Path):
    for fmt in ("fhir bundle", "hl7"):
        one, two = (taken(fmt, tmp_path / fmt / n).encounters.column("content_hash").to_pylist() for n in "ab")
        assert one == two

"""FHIR and HL7 as other systems write them: how records name each other, what comes twice, what stands where.

Each test takes the visit of test_encounters_formats_agree and says it in another system's way; the encounter must stay what it is.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from encounters.test_encounters_formats_agree import CONTEXT, HL7, PRACTICE, bundle, fhir, told

from pipeline.encounters import formats, records, stage
from pipeline.encounters.intake import Intake
from pipeline.reports.rejects import rejects
from pipeline.store import Store

Records = list[dict[str, Any]]


def read(folder: Path, files: dict[str, str | bytes], fmt: str = "auto") -> Intake:
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    found, sources = formats.sources(folder, fmt)
    return formats.READERS[found].read(sources, CONTEXT)


def fhir_of(folder: Path, resources: Records) -> Intake:
    return read(folder, {"all.json": json.dumps(bundle(resources))})


def one(resources: Records, kind: str, identity: str = "") -> dict[str, Any]:
    return next(r for r in resources if r["resourceType"] == kind and r["id"].startswith(identity))


def replaced(old: str, new: str) -> Records:
    text = json.dumps(fhir())
    assert old in text
    found: Records = json.loads(text.replace(old, new))
    return found


def coded(system: str, code: str) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code}]}


def rules(taken: Intake) -> list[tuple[str, str]]:
    return sorted((f.severity, f.rule) for f in taken.findings)


# --- references ---------------------------------------------------------------------------------------------------------


def contained() -> Records:
    """Cover, payer and practitioner inside of the claim; the cover names a payer beside it."""
    resources = fhir()
    claim, cover, doctor = (one(resources, *which) for which in (("Claim",), ("Coverage", "A"), ("Practitioner", "D1")))
    others = [r for r in resources if r is not cover and r is not doctor]
    claim["contained"] = [cover, doctor, {"resourceType": "Organization", "id": "pay", "name": "Acme Health"}]
    cover["payor"] = [{"reference": "#pay"}]
    claim["insurance"][0]["coverage"] = {"reference": "#A"}
    claim["careTeam"][0]["provider"] = {"reference": "#D1"}
    return others


def by_role() -> Records:
    resources = fhir()
    one(resources, "Claim")["careTeam"][0]["provider"] = {"reference": "PractitionerRole/R1"}
    role = {"resourceType": "PractitionerRole", "id": "R1", "practitioner": {"reference": "Practitioner/D1"}}
    return [*resources, role]


def by_identifier() -> Records:
    resources = fhir()
    npi = {"system": "http://hl7.org/fhir/sid/us-npi", "value": "1245319599"}
    one(resources, "Claim")["careTeam"][0]["provider"] = {"type": "Practitioner", "identifier": npi}
    return resources


def by_search() -> Records:
    return replaced('"Practitioner/D1"', '"Practitioner?identifier=http://hl7.org/fhir/sid/us-npi|1245319599"')


def with_version() -> Records:
    return replaced('"Patient/PT1"', '"Patient/PT1/_history/2"')


def absolute() -> Records:
    return replaced('"reference": "', '"reference": "https://ehr.example.org/r4/')


@pytest.mark.parametrize("way", [contained, by_role, by_identifier, by_search, with_version, absolute])
def test_however_records_name_each_other_the_visit_is_the_same(way: Any, tmp_path: Path) -> None:
    expected, taken = fhir_of(tmp_path / "a", fhir()), fhir_of(tmp_path / "b", way())
    assert (taken.findings, taken.set_aside) == ([], [])
    for name in ("encounters", "diagnoses", "lines"):
        assert told(getattr(taken, name)) == told(getattr(expected, name)), name


def test_a_transaction_whose_records_have_no_ids_yet(tmp_path: Path) -> None:
    """Entries are told apart by their URLs; the visit is called by its own identifier, which the next export has again."""
    resources = fhir()
    second = copy.deepcopy([one(resources, "Claim"), one(resources, "Encounter")])
    second = json.loads(
        json.dumps(second).replace("Encounter/V1", "Encounter/V2").replace('"V1"', '"V2"').replace('"C1"', '"C2"')
    )
    keys = []
    for export in "ab":
        made = [copy.deepcopy(r) for r in (*resources, *second)]
        urls = {f"{r['resourceType']}/{r['id']}": f"urn:uuid:{export}-{r['resourceType']}-{r['id']}" for r in made}
        entries = []
        for resource in made:
            url = urls[f"{resource['resourceType']}/{resource['id']}"]
            if resource["resourceType"] in ("Encounter", "Organization"):
                resource["identifier"] = [
                    {"system": "urn:visit", "value": f"N-{resource['id']}"},
                    *resource.get("identifier", []),
                ]
            del resource["id"]
            entries.append({"fullUrl": url, "resource": resource})
        text = json.dumps({"resourceType": "Bundle", "type": "transaction", "entry": entries})
        for name, url in urls.items():
            text = text.replace(f'"{name}"', f'"{url}"')
        taken = read(tmp_path / export, {"t.json": text})
        assert (taken.findings, taken.set_aside, taken.charge_cents) == ([], [], 2 * 19400)
        assert taken.encounters.column("patient_last").to_pylist() == ["O'Dwyer", "O'Dwyer"]
        keys.append(taken.encounters.column("encounter_key").to_pylist())
    assert keys[0] == keys[1] == ["N-P01:N-V1", "N-P01:N-V2"]


def test_an_identifier_that_several_bear_names_none_of_them(tmp_path: Path) -> None:
    resources = by_search()
    one(resources, "Practitioner", "D2")["identifier"] = one(resources, "Practitioner", "D1")["identifier"]
    taken = fhir_of(tmp_path, resources)
    assert taken.encounters.column("rendering_npi").to_pylist() == [None]


def test_one_id_in_two_bundles_is_whoever_that_bundle_means(tmp_path: Path) -> None:
    """Bundles of two systems, each with a Patient/PT1 of its own."""
    other = json.loads(json.dumps(fhir()).replace("V1", "V9").replace('"C1"', '"C9"').replace('"Silas"', '"Otis"'))
    taken = read(tmp_path, {"a.json": json.dumps(bundle(fhir())), "b.json": json.dumps(bundle(other))})
    names = zip(*(taken.encounters.column(c).to_pylist() for c in ("encounter_key", "patient_first")), strict=True)
    assert sorted(names) == [("P01:V1", "Silas"), ("P01:V9", "Otis")]


# --- what comes twice ---------------------------------------------------------------------------------------------------


def test_a_visit_that_comes_twice_is_billed_once(tmp_path: Path) -> None:
    taken = read(tmp_path, {"a.json": json.dumps(bundle(fhir())), "b.json": json.dumps(bundle(fhir()))})
    assert (taken.encounters.column("encounter_key").to_pylist(), taken.charge_cents) == (["P01:V1"], 19400)
    assert taken.lines.num_rows == 2
    assert rules(taken) == [("warning", "intake.row.repeated")] * 2


@pytest.mark.parametrize("marks", [("2026-11-11T08:00:00Z", "2026-11-11T04:00:00-05:00"), ("1", "2")])
@pytest.mark.parametrize("turned", [False, True])
def test_of_two_versions_the_later_counts(marks: tuple[str, str], turned: bool, tmp_path: Path) -> None:
    field = "lastUpdated" if "T" in marks[0] else "versionId"
    older, newer = fhir(), fhir()
    for resources, mark, charge in ((older, marks[0], 194.00), (newer, marks[1], 200.00)):
        claim = one(resources, "Claim")
        claim["meta"] = {field: mark}
        claim["total"]["value"] = charge
        claim["item"][0]["net"]["value"] = charge - 38
    files = [newer, older] if turned else [older, newer]
    taken = read(tmp_path, {f"{n}.json": json.dumps(bundle(r)) for n, r in enumerate(files)})
    assert (taken.encounters.column("encounter_key").to_pylist(), taken.charge_cents) == (["P01:V1"], 20000)


def test_of_two_contents_without_a_version_none_is_billed(tmp_path: Path) -> None:
    other = fhir()
    one(other, "Claim")["total"]["value"] = 195.00
    one(other, "Claim")["item"][0]["net"]["value"] = 157.00
    taken = read(tmp_path, {"a.json": json.dumps(bundle(fhir())), "b.json": json.dumps(bundle(other))})
    assert taken.encounters.num_rows == 0
    assert {a.reason for a in taken.set_aside} == {"intake.key.duplicate"}


def test_two_claims_of_one_encounter_keep_their_keys_in_any_order(tmp_path: Path) -> None:
    first = fhir()
    second = copy.deepcopy(one(first, "Claim")) | {"id": "A0", "created": "2026-11-12"}
    keys = []
    for n, resources in enumerate(([*first, second], [second, *first])):
        taken = fhir_of(tmp_path / str(n), resources)
        keys.append(sorted(taken.encounters.column("encounter_key").to_pylist()))
    assert keys == [["P01:A0", "P01:V1"]] * 2


def test_a_message_delivered_twice_is_charged_once(tmp_path: Path) -> None:
    again = HL7.replace("|20261111||DFT", "|20261112||DFT")  # the interface's clock, not the content
    taken = read(tmp_path, {"a.hl7": HL7 + again})
    assert (taken.lines.num_rows, taken.charge_cents) == (2, 19400)
    assert rules(taken) == [("warning", "intake.row.repeated")]
    other = HL7.replace("|M1|", "|M2|")  # another message that says the same: charges of their own
    assert read(tmp_path / "other", {"a.hl7": HL7 + other}).charge_cents == 2 * 19400


# --- attachments --------------------------------------------------------------------------------------------------------


def attached(category: str = "attachment", number: str = "ACN7", **more: Any) -> dict[str, Any]:
    return {
        "category": coded("http://terminology.hl7.org/CodeSystem/claiminformationcategory", category),
        "code": {"coding": [
            {"system": "http://loinc.org", "code": "18842-5"},
            {"system": "https://codesystem.x12.org/005010/755", "code": "OZ"},
            {"system": "https://codesystem.x12.org/005010/756", "code": "FX"},
        ]},
        "valueReference": {"identifier": {"value": number}},
    } | more  # fmt: skip


def test_attachments_are_the_claims_or_of_the_lines_that_name_them(tmp_path: Path) -> None:
    resources = fhir()
    claim = one(resources, "Claim")
    claim["supportingInfo"] = [
        {"sequence": 1, **attached()},
        {"sequence": 2, **attached("additionalInformation", "ACN8")},
        {"sequence": 3, **attached("info", "ACN9")},
    ]
    claim["item"][1]["informationSequence"] = [2]
    taken = fhir_of(tmp_path, resources)
    paper = {"report_type": "OZ", "transmission": "FX", "control_number": "ACN7", "file": None}
    assert taken.encounters.column("attachments").to_pylist() == [[paper]]
    assert taken.lines.column("attachments").to_pylist() == [None, [paper | {"control_number": "ACN8"}]]
    assert rules(taken) == []


def test_what_an_attachment_leaves_open_is_not_guessed(tmp_path: Path) -> None:
    resources = fhir()
    unknown = {"code": coded("http://loinc.org", "18842-5")}
    kind = {"code": coded("https://codesystem.x12.org/005010/755", "B4"), "valueString": "ACN8"}
    bare = {name: value for name, value in attached(**kind).items() if name != "valueReference"}
    one(resources, "Claim")["supportingInfo"] = [{"sequence": 1, **attached(**unknown)}, {"sequence": 2, **bare}]
    taken = fhir_of(tmp_path, resources)
    assert taken.encounters.column("attachments").to_pylist() == [
        [{"report_type": "B4", "transmission": None, "control_number": "ACN8", "file": None}]
    ]
    assert rules(taken) == [("warning", "intake.attachment.other")]


# --- visits without a claim ---------------------------------------------------------------------------------------------


def unclaimed(**encounter: Any) -> Records:
    resources = [r for r in fhir() if r["resourceType"] != "Claim"]
    one(resources, "Encounter").update(
        {"period": {"start": "2026-11-10T08:15:00-05:00", "end": "2026-11-10T10:00:00-05:00"}}, **encounter
    )
    return resources


def test_covers_of_the_day_say_who_pays(tmp_path: Path) -> None:
    resources = unclaimed()
    cover, other = one(resources, "Coverage", "A"), one(resources, "Coverage", "B")
    cover["order"], other["order"] = 2, 1
    ended = copy.deepcopy(other) | {"id": "Z", "order": 3, "period": {"end": "2026-10"}}
    void = copy.deepcopy(other) | {"id": "Y", "order": 4, "status": "cancelled"}
    taken = fhir_of(tmp_path, [ended, void, *resources])
    [visit] = taken.encounters.to_pylist()
    assert (visit["payer_source"], visit["member_id"], visit["relationship"]) == ("Zenith Mutual", "ZM55", "18")
    assert [(p["responsibility"], p["payer_name"], p["relationship"]) for p in visit["other_payers"]] == [
        ("S", "Acme Health", "01")
    ]
    assert taken.findings == []
    del cover["order"]
    assert rules(fhir_of(tmp_path / "unordered", resources)) == [("warning", "intake.cover.order")]


def test_a_visit_without_any_cover_is_told(tmp_path: Path) -> None:
    taken = fhir_of(tmp_path, [r for r in unclaimed() if r["resourceType"] != "Coverage"])
    assert (rules(taken), taken.encounters.column("payer_key").to_pylist()) == (
        [("warning", "intake.cover.missing")],
        [None],
    )
    uninsured = "\n".join(line for line in HL7.splitlines() if not line.startswith("IN1")) + "\n"
    assert rules(read(tmp_path / "hl7", {"a.hl7": uninsured})) == [("warning", "intake.cover.missing")]


def test_diagnoses_of_the_encounter_come_in_their_order_and_without_what_was_only_suspected(tmp_path: Path) -> None:
    icd = "http://hl7.org/fhir/sid/icd-10-cm"
    status = "http://terminology.hl7.org/CodeSystem/condition-ver-status"
    conditions = [
        {"resourceType": "Condition", "id": f"K{n}", "subject": {"reference": "Patient/PT1"}, "code": coded(icd, code),
         "encounter": {"reference": "Encounter/V1"}, "verificationStatus": coded(status, certain)}
        for n, (code, certain) in enumerate([("E11.9", "confirmed"), ("J18.9", "confirmed"), ("I21.9", "refuted"), ("R07.9", "differential")])
    ]  # fmt: skip
    uses = [{"condition": {"reference": "Condition/K0"}, "rank": 2}, {"condition": {"reference": "Condition/K1"}, "rank": 1},
            {"condition": {"reference": "Condition/X2"}, "use": coded("x", "AD"), "rank": 3}]  # fmt: skip
    taken = fhir_of(tmp_path / "office", [*unclaimed(diagnosis=uses), *conditions])
    assert [(r["rank"], r["code"], r["kind"]) for r in taken.diagnoses.to_pylist()] == [
        (1, "J18.9", None), (2, "E11.9", None), (3, "I10", None),
    ]  # fmt: skip
    stay = unclaimed(diagnosis=uses) + conditions
    one(stay, "Encounter")["class"] = {"code": "IMP"}
    taken = fhir_of(tmp_path / "stay", stay)  # on a stay what is suspected at its end is coded as if it were so
    assert sorted((r["kind"] or "", r["rank"], r["code"]) for r in taken.diagnoses.to_pylist()) == [
        ("", 1, "J18.9"), ("", 2, "E11.9"), ("", 3, "R07.9"), ("admitting", 1, "I10"),
    ]  # fmt: skip


def test_a_stay_without_a_claim_says_who_attended_and_how_it_ended(tmp_path: Path) -> None:
    people = [
        {"type": [coded("x", code)], "individual": {"reference": f"Practitioner/{who}"}}
        for code, who in (("REF", "D2"), ("ATND", "D1"))
    ]
    went = {"admitSource": coded("http://terminology.hl7.org/CodeSystem/admit-source", "hosp-trans"),
            "dischargeDisposition": coded("https://www.nubc.org/CodeSystem/PatDischargeStatus", "06")}  # fmt: skip
    resources = unclaimed(participant=people, hospitalization=went)
    one(resources, "Encounter")["class"] = {"code": "IMP"}
    deed = {"resourceType": "Procedure", "id": "P", "status": "completed", "subject": {"reference": "Patient/PT1"},
            "encounter": {"reference": "Encounter/V1"}, "performedDateTime": "2026-11-10",
            "code": coded("http://hl7.org/fhir/sid/icd-10-pcs", "0BH17EZ")}  # fmt: skip
    facility = {
        "all.json": json.dumps(bundle([*resources, deed])),
        "practices.csv": "practice_id,claim_type\nP01,institutional\n",
    }
    [visit] = read(tmp_path / "facility", facility).encounters.to_pylist()
    wanted = (
        "admission_hour",
        "discharge_hour",
        "admission_source",
        "patient_status",
        "rendering_last",
        "referring_last",
    )
    assert [visit[name] for name in wanted] == ["0815", "1000", "4", "06", "Okafor", "Quill"]
    assert str(visit["admission_date"]) == "2026-11-10"
    assert [(p["role"], p["npi"]) for p in visit["parties"]] == [("attending", "1245319599")]
    assert [(c["kind"], c["code"], str(c["from_date"])) for c in visit["codes"]] == [
        ("procedure", "0BH17EZ", "2026-11-10")
    ]
    # a physician's claim has no place for either: the procedure is a service, for a coder
    physician = fhir_of(tmp_path / "physician", [*resources, deed])
    assert physician.lines.column("code").to_pylist() == ["0BH17EZ"]
    [visit] = physician.encounters.to_pylist()
    assert (visit["parties"], visit["codes"], visit["referring_last"]) == (None, None, "Quill")
    assert [visit[name] for name in wanted[:4]] == [None] * 4
    assert str(visit["admission_date"]) == "2026-11-10"


# --- covers -------------------------------------------------------------------------------------------------------------


def test_a_cover_whose_payer_is_not_there_is_never_the_patients_own_bill(tmp_path: Path) -> None:
    resources = [r for r in fhir() if r["id"] != "ACME"]
    taken = fhir_of(tmp_path, resources)
    assert taken.encounters.column("payer_source").to_pylist() == ["Organization/ACME"]
    assert rules(taken) == [("error", "intake.reference.missing")]
    own = fhir()  # the patient pays, says the record
    one(own, "Coverage", "A")["payor"] = [{"reference": "Patient/PT1"}]
    assert fhir_of(tmp_path / "own", own).encounters.column("payer_source").to_pylist() == ["NO_INSURANCE"]


def test_an_export_without_its_records_is_no_clean_night(store: Store, tmp_path: Path) -> None:
    (tmp_path / "all.json").write_text(json.dumps(bundle([r for r in fhir() if r["id"] != "ACME"])))
    stage.run(store, CONTEXT.on, tmp_path)
    with store.read() as connection:
        assert [line.split(":")[0] for line in rejects(connection, CONTEXT.on)] == ["The extract is not whole"]


@pytest.mark.parametrize("gone", ["D1", "PT1"])
def test_a_person_who_is_not_there_is_told_and_never_left_out(gone: str, tmp_path: Path) -> None:
    taken = fhir_of(tmp_path, [r for r in fhir() if r["id"] != gone])
    assert set(rules(taken)) == {("error", "intake.reference.missing")}
    [visit] = taken.encounters.to_pylist()
    if gone == "D1":  # a provider without a number: scrubbing holds the claim
        assert (visit["rendering_last"], visit["rendering_npi"]) == ("Practitioner/D1", None)


def test_a_subscriber_of_unknown_relationship_is_not_the_patient(tmp_path: Path) -> None:
    resources = fhir()
    del one(resources, "Coverage", "A")["relationship"]
    [visit] = fhir_of(tmp_path, resources).encounters.to_pylist()
    assert (visit["relationship"], visit["subscriber_first"]) == (None, "Mae")


def test_who_attended_is_of_the_claim_though_lines_name_them(tmp_path: Path) -> None:
    resources = fhir()
    claim = one(resources, "Claim")
    claim["type"] = coded("x", "institutional")
    claim["careTeam"][0]["role"] = coded("x", "attending")  # line 2 names member 1
    taken = fhir_of(tmp_path, resources)
    [visit], lines = taken.encounters.to_pylist(), taken.lines.to_pylist()
    assert [(p["role"], p["npi"]) for p in visit["parties"]] == [("attending", "1245319599")]
    assert [[p["role"] for p in line["parties"] or []] for line in lines] == [[], ["ordering"]]


def test_a_claim_whose_encounter_came_before_is_of_that_visit(tmp_path: Path) -> None:
    """An export of what changed since: the claim alone, its encounter in an earlier night's."""
    later = [r for r in fhir() if r["resourceType"] != "Encounter"]
    further = copy.deepcopy(one(later, "Claim")) | {"id": "C2", "created": "2026-11-12"}
    taken = fhir_of(tmp_path, [further, *later])
    assert sorted(taken.encounters.column("encounter_key").to_pylist()) == ["P01:C2", "P01:V1"]
    for item in one(later, "Claim")["item"]:
        item.pop("encounter", None)
    assert fhir_of(tmp_path / "own", later).encounters.column("encounter_key").to_pylist() == ["P01:C1"]


def test_a_draft_of_a_claim_waits(tmp_path: Path) -> None:
    resources = fhir()
    other = json.loads(json.dumps(fhir()).replace("V1", "V9").replace('"C1"', '"C9"'))
    one(resources, "Claim")["status"] = "draft"
    taken = fhir_of(tmp_path, [*resources, *other])
    assert taken.encounters.column("encounter_key").to_pylist() == ["P01:V9"]
    assert ("warning", "intake.visit.unfinished") in rules(taken)


def test_what_was_asked_for_before_the_visit_does_not_keep_it_from_being_billed(tmp_path: Path) -> None:
    resources = fhir()
    asked = copy.deepcopy(one(resources, "Claim")) | {"id": "C0", "use": "preauthorization"}
    assert fhir_of(tmp_path / "a", [*resources, asked]).charge_cents == 19400
    alone = [*unclaimed(type=[coded("http://www.ama-assn.org/go/cpt", "99213")]), asked]
    taken = fhir_of(tmp_path / "b", alone)
    assert (taken.encounters.num_rows, taken.lines.column("code").to_pylist()) == (1, ["99213"])


def test_names_and_addresses_that_are_in_use(tmp_path: Path) -> None:
    resources = fhir()
    patient, practice = one(resources, "Patient"), one(resources, "Organization", "P01")
    patient["name"] = [
        {"use": "maiden", "family": "Was"},
        {"use": "usual", "family": "Nick"},
        {**patient["name"][0], "use": "official"},
    ]
    patient["address"] = [
        {"use": "old", "line": ["1 Past"]},
        {"line": ["2 Gone"], "period": {"end": "2020-01-01"}},
        *patient["address"],
    ]
    practice["address"] = [{"type": "postal", "line": ["PO Box 9"], "city": "Albany"}, *practice["address"]]
    taken = fhir_of(tmp_path / "b", resources)
    assert told(taken.encounters) == told(fhir_of(tmp_path / "a", fhir()).encounters)


@pytest.mark.parametrize(
    ("unit", "claims"), [("mg", "ME"), ("mL", "ML"), ("[iU]", "F2"), ("{tablet}", "UN"), ("GR", "GR"), ("drop", "DROP")]
)
def test_units_of_drugs(unit: str, claims: str, tmp_path: Path) -> None:
    resources = fhir()
    one(resources, "Claim")["item"][1]["detail"] = [{
        "sequence": 1, "productOrService": coded("http://hl7.org/fhir/sid/ndc", "0409-3795-01"), "quantity": {"value": 2, "code": unit},
    }]  # fmt: skip
    line = fhir_of(tmp_path / "a", resources).lines.to_pylist()[1]
    assert (line["ndc"], line["ndc_units"], line["ndc_unit_basis"]) == ("00409379501", 2, claims)
    text = HL7.replace("87880^^C4", f"87880^^C4||||0409-3795-01^K^NDC||||||||||||||2^{unit}")
    assert read(tmp_path / "b", {"a.hl7": text}).lines.column("ndc_unit_basis").to_pylist() == [None, claims]


@pytest.mark.parametrize(("written", "claims"), [
    ("0409-3795-01", "00409379501"), ("12345-678-90", "12345067890"), ("12345-6789-0", "12345678900"), ("00409-3795-01", "00409379501"),
    ("00409379501", "00409379501"), ("0409379501", "0409379501"),
])  # fmt: skip
def test_numbers_of_drugs_have_their_zero_where_the_dashes_tell(written: str, claims: str) -> None:
    assert records.ndc(written) == claims


def test_minutes_of_anaesthesia(tmp_path: Path) -> None:
    resources = fhir()
    item = one(resources, "Claim")["item"][0]
    item["productOrService"] = coded("http://www.ama-assn.org/go/cpt", "00840")
    item["quantity"] = {"value": 45, "unit": "min", "system": "http://unitsofmeasure.org", "code": "min"}
    line = fhir_of(tmp_path, resources).lines.to_pylist()[0]
    assert (line["units"], line["minutes"]) == (1, 45)


# --- HL7 ----------------------------------------------------------------------------------------------------------------


def credit(text: str, kind: str = "CD", sign: str = "") -> str:
    """The message's first charge taken back."""
    charge = next(line for line in text.splitlines() if line.startswith("FT1|1|"))
    return charge.replace("|CG|", f"|{kind}|").replace("|156.00|", f"|{sign}156.00|") + "\n"


@pytest.mark.parametrize(("kind", "sign"), [("CD", ""), ("CR", "-")])
def test_a_credit_takes_its_charge_away(kind: str, sign: str, tmp_path: Path) -> None:
    later = HL7.replace("|M1|", "|M2|")
    head, tail = later.split("FT1|1|")[0], "IN1|1|" + later.split("IN1|1|")[1]
    taken = read(tmp_path / "a", {"a.hl7": HL7 + head + credit(HL7, kind, sign) + tail})
    assert (taken.lines.column("code").to_pylist(), taken.charge_cents, taken.findings) == (["87880"], 3800, [])
    other = read(tmp_path / "b", {"a.hl7": HL7 + head + credit(HL7, kind, sign).replace("156.00", "150.00") + tail})
    assert "intake.charge.credited" in {f.rule for f in other.findings}
    assert other.encounters.num_rows == 0
    again = (
        HL7.split("FT1|1|")[0].replace("|M1|", "|M3|")
        + next(x for x in HL7.splitlines() if x.startswith("FT1|1|"))
        + "\n"
        + tail
    )
    text = HL7 + head + credit(HL7, kind, sign) + tail + again  # charged, taken back, charged again
    assert read(tmp_path / "c", {"a.hl7": text}).charge_cents == 19400


def test_a_visit_whose_charges_were_all_taken_back_is_cancelled(tmp_path: Path) -> None:
    alone = "\n".join(line for line in HL7.splitlines() if not line.startswith("FT1|2|")) + "\n"
    head, tail = alone.split("FT1|1|")[0].replace("|M1|", "|M2|"), "IN1|1|" + alone.split("IN1|1|")[1]
    taken = read(tmp_path, {"a.hl7": alone + head + credit(alone) + tail})
    [visit] = taken.encounters.to_pylist()
    assert (visit["cancelled"], str(visit["service_from"]), taken.lines.num_rows) == (True, "2026-11-10", 0)


@pytest.mark.parametrize(
    ("times", "minutes"),
    [
        ("202611100815|202611100840", 25),
        ("20261110081500.5-0500|20261110133000+0000", 15),
        ("20261110081500-0500|202611100840", None),
        ("20261110|20261111", None),
        ("202611100815|202611110815", None),
        ("202611100815|202611100815", None),
        ("202611100815|", None),
    ],
)
def test_minutes_of_a_visit_lie_between_two_moments(times: str, minutes: int | None, tmp_path: Path) -> None:
    text = HL7.replace("|V1\n", f"|V1{'|' * 25}{times}\n", 1)
    assert read(tmp_path, {"a.hl7": text}).encounters.column("minutes").to_pylist() == [minutes]


STAY = (
    r"""MSH|^~\&|ADT|P01|CLAIMS|X|20261112||DFT^P03|M7|P|2.5
PID|1||MR77^^^P01^MR||O'Dwyer^Silas^J||19900131|M|||3 Oak Road^^Troy^NY^12180
PV1|1|I|W^1^2||||1245319599^Okafor^Ben^^^^^^^^^^NPI|||||||2|||||V7|||||||||||||||||01||||||||20261108081500|20261111103000
DG1|1||J18.9^^I10|||A
DG1|2||J18.9^^I10|||F||||||||||||||||||||Y
FT1|1|||20261108||CG|0120^^NUBC|||3|3000.00
FT1|2|||20261108||CG|0320^^NUBC|||1|200.00
PR1|1||71045^^C4||20261108
FT1|3|||20261108||CG|0250^^NUBC|||1|100.00
PR1|1||5A1935Z^^I10P||20261110|||||||||2
PR1|2||0BH17EZ^^I10P||20261109|||||||||1
UB2|1|||||01^1500.00~80^3|11^20261105|70^20261101^20261104
DRG|193^^
IN1|1|A|ACM|Acme Health||||||||||||O'Dwyer^Mae|SPO
"""
    + f"IN2{'|' * 61}MB7\n"
)


def test_a_stay_from_charge_messages(tmp_path: Path) -> None:
    taken = read(tmp_path, {"a.hl7": STAY})
    [visit] = taken.encounters.to_pylist()
    assert (visit["claim_type"], visit["patient_status"], visit["patient_member_id"]) == ("institutional", "01", "MB7")
    assert [(p["role"], p["npi"]) for p in visit["parties"]] == [("attending", "1245319599")]
    told_codes = [
        (c["kind"], c["rank"], c["code"], c["amount"] and str(c["amount"]), str(c["from_date"])) for c in visit["codes"]
    ]
    assert sorted(told_codes) == [
        ("drg", 1, "193", None, "None"), ("occurrence", 1, "11", None, "2026-11-05"),
        ("occurrence_span", 1, "70", None, "2026-11-01"), ("procedure", 1, "0BH17EZ", None, "2026-11-09"),
        ("procedure", 2, "5A1935Z", None, "2026-11-10"), ("value", 1, "01", "1500.00", "None"), ("value", 2, "80", "3.00", "None"),
    ]  # fmt: skip
    lines = [(r["system"], r["code"], r["revenue_code"]) for r in taken.lines.to_pylist()]
    assert lines == [("REVENUE", "0120", "0120"), ("HCPCS", "71045", "0320"), ("REVENUE", "0250", "0250")]


def test_a_procedure_behind_a_charge_says_what_was_done(tmp_path: Path) -> None:
    text = HL7.replace("|99213^^C4|25\n", "\nPR1|1||99213^Office visit^C4||20261110|||||||||||25\n")
    text = text.replace("FT1|1|||20261110||CG|", "FT1|1|||20261110||CG|OV3^Office visit^L")
    expected, taken = read(tmp_path / "a", {"a.hl7": HL7}), read(tmp_path / "b", {"a.hl7": text})
    assert told(taken.lines) == told(expected.lines)
    slept = HL7.replace("99213^^C4|25\n", "00840^^C4|AA\nPR1|1||00840^^C4||20261110|||||45\n")
    assert read(tmp_path / "c", {"a.hl7": slept}).lines.column("minutes").to_pylist() == [45, None]


def test_diagnoses_behind_each_charge_are_its_own(tmp_path: Path) -> None:
    lines = [line for line in HL7.splitlines() if not line.startswith("DG1")]
    grouped = []
    for line in lines:
        grouped.append(line.replace("J02.0^^I10~I10^^I10", "").replace("J02.0^^I10", ""))
        if line.startswith("FT1|1"):
            grouped += ["DG1|1||J02.0^^I10|||F", "DG1|2||I10^^I10|||F"]
        elif line.startswith("FT1|2"):
            grouped.append("DG1|1||I10^^I10|||F")
    taken = read(tmp_path, {"a.hl7": "\n".join(grouped) + "\n"})
    assert taken.lines.column("pointers").to_pylist() == ["1,2", "2"]
    behind_all = [line for line in grouped if not line.startswith("DG1")]
    behind_all[behind_all.index(next(b for b in behind_all if b.startswith("IN1"))) : 0] = ["DG1|1||J02.0^^I10|||F"]
    taken = read(tmp_path / "all", {"a.hl7": "\n".join(behind_all) + "\n"})  # the message's: whose, nobody says
    assert taken.lines.column("pointers").to_pylist() == [None, None]
    assert taken.diagnoses.column("code").to_pylist() == ["J02.0"]


def test_the_character_set_that_a_message_states(tmp_path: Path) -> None:
    stated = HL7.replace("|P|2.5\n", "|P|2.5||||||8859/1\n").replace("^Silas", "^Sílas")
    assert read(tmp_path / "a", {"A.HL7": stated.encode("latin-1")}).encounters.column("patient_first").to_pylist() == [
        "Sílas"
    ]
    silent = read(tmp_path / "b", {"a.hl7": HL7.replace("^Silas", "^Sílas").encode("latin-1"), "b.hl7": STAY})
    assert [a.reason for a in silent.set_aside] == ["intake.file.illegible"]
    assert silent.encounters.num_rows == 1


def test_a_file_of_a_named_format_may_have_any_ending(tmp_path: Path) -> None:
    (tmp_path / "charges.txt").write_text(HL7)
    fmt, sources = formats.sources(tmp_path / "charges.txt", "hl7")
    assert formats.READERS[fmt].read(sources, CONTEXT).encounters.num_rows == 1


def test_dental_charges_are_a_dental_visit(tmp_path: Path) -> None:
    text = HL7.replace("99213^^C4|25", "D0120^^CDT").replace("87880^^C4", "D1110^^CDT")
    practices = ",".join(["practice_id", *PRACTICE]) + "\n" + ",".join(["P01", *PRACTICE.values()]) + "\n"
    assert read(tmp_path, {"a.hl7": text, "practices.csv": practices}).encounters.column("claim_type").to_pylist() == [
        "dental"
    ]

"""FHIR and HL7 extracts that are damaged, cut off, or hold what is no bill: each told, its neighbours taken in."""

from __future__ import annotations

import copy
import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from conftest import rows
from encounters.test_encounters_formats_agree import CONTEXT, HL7, bundle, fhir
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from pipeline.encounters import formats, stage
from pipeline.encounters.intake import RULES, Intake
from pipeline.errors import Terminal
from pipeline.store import Store
from pipeline.store import register as r


def read(folder: Path) -> Intake:
    fmt, sources = formats.sources(folder, "auto")
    return formats.READERS[fmt].read(sources, CONTEXT)


def resource(resources: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    return next(r for r in resources if r["resourceType"] == kind)


def second_visit() -> list[dict[str, Any]]:
    """Another visit of the same patient, so that a fault in the first has a neighbour."""
    encounter = copy.deepcopy(resource(fhir(), "Encounter")) | {"id": "V2"}
    claim = copy.deepcopy(resource(fhir(), "Claim")) | {"id": "C2"}
    claim["item"][0]["encounter"][0]["reference"] = "Encounter/V2"
    return [encounter, claim]


def write(folder: Path, resources: list[dict[str, Any]], name: str = "all.json") -> Path:
    (folder / name).write_text(json.dumps(bundle([*resources, *second_visit()])))
    return folder


def rules(taken: Intake) -> set[str]:
    return {f.rule for f in taken.findings}


def as_lines(all_of_it: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(one) + "\r\n" for one in all_of_it)


def as_list(all_of_it: list[dict[str, Any]]) -> str:
    return json.dumps(all_of_it, indent=1)


def as_list_of_bundles(all_of_it: list[dict[str, Any]]) -> str:
    return json.dumps([bundle(all_of_it[:2]), bundle(all_of_it[2:])])


def as_bundle_of_bundles(all_of_it: list[dict[str, Any]]) -> str:
    """As a server answers a batch of searches."""
    return json.dumps(bundle([bundle(all_of_it[:2]), bundle([bundle(all_of_it[2:])])]))


# --- FHIR ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [as_lines, as_list, as_list_of_bundles, as_bundle_of_bundles])
def test_resources_however_a_file_holds_them(tmp_path: Path, shape: Any) -> None:
    plain, other = tmp_path / "plain", tmp_path / "other"
    plain.mkdir()
    other.mkdir()
    one = read(write(plain, fhir()))
    (other / "all.json").write_text(shape([*fhir(), *second_visit()]), newline="")
    two = read(other)
    assert (two.findings, two.set_aside) == (one.findings, one.set_aside) == ([], [])
    for name in ("encounters", "lines", "diagnoses"):
        mine, theirs = getattr(one, name), getattr(two, name)
        keep = [c for c in mine.column_names if c not in ("source_row", "source_file")]
        assert theirs.select(keep).equals(mine.select(keep)), name
    assert two.encounters.num_rows == 2


def test_a_list_that_holds_anything_else_is_no_file_of_records(tmp_path: Path) -> None:
    (tmp_path / "all.json").write_text(json.dumps([*fhir(), 7]))
    taken = read(tmp_path)
    assert rules(taken) == {"intake.file.illegible"}


def unfinished(all_of_it: list[dict[str, Any]]) -> None:
    resource(all_of_it, "Encounter")["status"] = "in-progress"


def no_birth_date(all_of_it: list[dict[str, Any]]) -> None:
    resource(all_of_it, "Claim")["billablePeriod"] = {"start": "1989-01-01", "end": "1989-01-01"}


def third_decimal(all_of_it: list[dict[str, Any]]) -> None:
    resource(all_of_it, "Claim")["total"]["value"] = 194.001


def other_total(all_of_it: list[dict[str, Any]]) -> None:
    resource(all_of_it, "Claim")["total"]["value"] = 195


def no_start(all_of_it: list[dict[str, Any]]) -> None:
    del resource(all_of_it, "Claim")["billablePeriod"]


@pytest.mark.parametrize(
    ("change", "rule", "source"),
    [
        (no_birth_date, "intake.birth.after_service", "all.json row 1 column Patient.birthDate"),
        (third_decimal, "intake.amount.illegible", "all.json row 1 column Claim.total"),
        (other_total, "intake.charge.disagrees", "all.json row 1 column Claim.total"),
        (no_start, "intake.value.missing", "all.json row 1 column Claim.billablePeriod"),
    ],
)
def test_a_fault_is_told_by_its_path_and_costs_its_own_visit(change: Any, rule: str, source: str, tmp_path: Path):
    resources = fhir()
    change(resources)
    taken = read(write(tmp_path, resources))
    assert taken.encounters.num_rows == 1
    assert taken.encounters.column("encounter_key")[0].as_py().endswith("V2")
    assert [a.reason for a in taken.set_aside] == [rule]
    assert [f.source for f in taken.findings if f.rule == rule] == [source]


def test_a_visit_that_is_not_finished_waits(tmp_path: Path):
    resources = fhir()
    unfinished(resources)
    taken = read(write(tmp_path, resources))
    assert (taken.encounters.num_rows, taken.set_aside, rules(taken)) == (1, [], {"intake.visit.unfinished"})


@pytest.mark.parametrize("status", ["cancelled", "entered-in-error"])
@pytest.mark.parametrize("kind", ["Encounter", "Claim"])
def test_what_is_cancelled_takes_the_visit_back(store: Store, tmp_path: Path, kind: str, status: str):
    """The visit came before; the same record again with such a status is the visit, taken back."""
    for name, said in (("first", None), ("second", status)):
        (tmp_path / name).mkdir()
        resources = fhir()
        if said:
            resource(resources, kind)["status"] = said
        stage.run(store, CONTEXT.on, write(tmp_path / name, resources))
    assert {e.encounter_key: (e.state, e.cancelled, e.version) for e in rows(store, r.encounters)} == {
        "P01:V1": ("cancelled", True, 2), "P01:V2": ("extracted", False, 1),
    }  # fmt: skip


def test_a_claim_that_breaks_r4_is_set_aside_and_told_by_its_path(tmp_path: Path):
    resources = fhir()
    resource(resources, "Claim")["item"][1]["sequence"] = "second"
    taken = read(write(tmp_path, resources))
    assert "intake.record.illegible" in {a.reason for a in taken.set_aside}
    [told] = [f for f in taken.findings if f.rule == "intake.record.illegible"]
    assert told.source == "all.json row 1 column Claim.item.1.sequence"
    assert {"V2"} <= {key.rpartition(":")[2] for key in taken.encounters.column("encounter_key").to_pylist()}


def test_a_line_of_an_export_that_is_no_json_costs_itself_alone(tmp_path: Path):
    lines = [json.dumps(r) for r in [*fhir(), *second_visit()]]
    lines.insert(3, lines[0][:200])
    (tmp_path / "export.ndjson").write_text("\n".join(lines) + "\n")
    taken = read(tmp_path)
    assert taken.encounters.num_rows == 2
    [aside] = taken.set_aside
    assert (aside.reason, aside.source_file, aside.source_row) == ("intake.record.illegible", "export.ndjson", 4)
    assert taken.rows_read == 3


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("cut.json", json.dumps(bundle(fhir())).encode()[:-300]),
        ("latin.json", json.dumps({"resourceType": "Patient", "id": "ü"}, ensure_ascii=False).encode("latin-1")),
        ("cut.json.gz", gzip.compress(json.dumps(bundle(fhir())).encode())[:-20]),
        ("bomb.json.gz", gzip.compress(b" " * (64 << 20))),
        ("none.json", b""),
        ("nan.json", b'{"resourceType": "Claim", "total": {"value": NaN}}'),
        ("deep.json", b"[" * 100_000),
    ],
)
def test_a_file_that_cannot_be_read_costs_itself_alone(name: str, data: bytes, tmp_path: Path):
    write(tmp_path, fhir())
    (tmp_path / name).write_bytes(data)
    taken = read(tmp_path)
    assert taken.encounters.num_rows == 2
    assert [(a.reason, a.source_file) for a in taken.set_aside] == [("intake.file.illegible", name)]


def test_claims_of_a_pharmacy_are_told_and_left(tmp_path: Path):
    resources = fhir()
    prescription = copy.deepcopy(resource(resources, "Claim")) | {"id": "C9"}
    prescription["type"]["coding"][0]["code"] = "pharmacy"
    prescription["total"]["value"] = 15
    taken = read(write(tmp_path, [*resources, prescription]))
    assert (taken.encounters.num_rows, taken.charge_cents) == (2, 2 * 19400)
    [told] = [f for f in taken.findings if f.rule == "intake.claim.other"]
    assert (told.severity, "all.json (1 claim): these claims are" in told.message) == ("warning", True)


def test_a_visit_without_a_claim_is_priced_by_the_charge_master(tmp_path: Path):
    resources = [r for r in fhir() if r["resourceType"] != "Claim"]
    encounter = resource(resources, "Encounter")
    encounter["type"] = [{"coding": [{"system": "http://snomed.info/sct", "code": "185345009"}]}]
    encounter["period"] = {"start": "2026-11-10T23:30:00-05:00", "end": "2026-11-10T23:55:00-05:00"}
    condition = resource(resources, "Condition")
    condition["encounter"] = {"reference": "Encounter/V1"}
    shot = {"resourceType": "Immunization", "id": "I1", "status": "completed", "patient": {"reference": "Patient/PT1"},
            "encounter": {"reference": "Encounter/V1"}, "occurrenceDateTime": "2026-11-10T23:40:00-05:00",
            "vaccineCode": {"coding": [{"system": "http://hl7.org/fhir/sid/cvx", "code": "140"}]}}  # fmt: skip
    (tmp_path / "visit.json").write_text(json.dumps(bundle([*resources, shot])))
    taken = read(tmp_path)
    [visit] = taken.encounters.to_pylist()
    assert (str(visit["service_from"]), visit["minutes"], visit["charge"]) == ("2026-11-10", 25, 0)
    lines = [(r["kind"], r["system"], r["code"], r["charge"]) for r in taken.lines.to_pylist()]
    assert lines == [("visit", "SNOMED", "185345009", None), ("immunization", "CVX", "140", None)]
    assert [r["code"] for r in taken.diagnoses.to_pylist()] == ["I10"]


@given(data=st.data())
@hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_a_resource_holds_its_neighbour_goes_on(tmp_path: Path, data: st.DataObject):
    """Any value in the place of any other, anywhere in the claim: the reader never raises, the neighbour is taken in."""
    resources = fhir()
    node: Any = resource(resources, "Claim")
    while True:
        keys = list(node) if isinstance(node, dict) else range(len(node))
        place = data.draw(st.sampled_from([k for k in keys if k not in ("resourceType", "id")]))
        if isinstance(node[place], dict | list) and node[place] and data.draw(st.booleans()):
            node = node[place]
            continue
        node[place] = data.draw(
            st.sampled_from([None, "", "x", -1, 10**20, True, [], {}, [[]], {"value": "1E5"}, "2026-02-30"])
        )
        break
    taken = read(write(tmp_path, resources))
    assert any(key.endswith("V2") for key in taken.encounters.column("encounter_key").to_pylist())


# --- HL7 ----------------------------------------------------------------------------------------------------------------


def messages(*texts: str, batch: int | None = None) -> str:
    joined = "".join(texts)
    if batch is None:
        return joined
    return f"FHS|^~\\&|EHR\nBHS|^~\\&|EHR\n{joined}BTS|{batch}\nFTS|1\n"


def hl7_folder(folder: Path, text: str, name: str = "a.hl7") -> Path:
    (folder / name).write_text(text)
    return folder


V2 = HL7.replace("|V1\n", "|V2\n")


def test_many_messages_and_a_batch_that_counts_right(tmp_path: Path):
    taken = read(hl7_folder(tmp_path, messages(HL7, V2, batch=2)))
    assert (taken.encounters.num_rows, taken.set_aside) == (2, [])


def test_a_batch_that_lost_a_message_is_refused_whole(tmp_path: Path):
    hl7_folder(tmp_path, messages(V2), "b.hl7")
    taken = read(hl7_folder(tmp_path, messages(HL7, batch=2)))
    assert taken.encounters.column("encounter_key").to_pylist() == ["P01:V2"]
    assert [(a.reason, a.source_file) for a in taken.set_aside] == [("intake.file.count", "a.hl7")]


def test_mllp_frames_and_escapes(tmp_path: Path):
    text = HL7.replace("Troy", r"Troy \T\ East", 1).replace("\n", "\r")
    taken = read(hl7_folder(tmp_path, f"\x0b{text}\x1c\r"))
    assert taken.encounters.column("patient_city").to_pylist() == ["Troy & East"]


def test_charges_of_one_visit_in_two_messages_are_one_visit(tmp_path: Path):
    lines = HL7.splitlines()
    one = "\n".join(line for line in lines if not line.startswith("FT1|2")) + "\n"
    two = "\n".join(line for line in lines if not line.startswith("FT1|1")) + "\n"
    taken = read(hl7_folder(tmp_path, messages(one, two)))
    assert [r["line"] for r in taken.lines.to_pylist()] == [1, 2]
    assert taken.charge_cents == 19400


@pytest.mark.parametrize(
    ("change", "rule", "source"),
    [
        (("|20261110||CG|||||156", "|20261310||CG|||||156"), "intake.date.illegible", "a.hl7 row 1 column FT1-4"),
        (("|||||156.00", "|||||1E2"), "intake.amount.illegible", "a.hl7 row 1 column FT1-11"),
        (("|CG|||||156", "|CD|||||156"), "intake.charge.credited", "a.hl7 row 1 column FT1-6"),
        (("||19900131", "||20301231"), "intake.birth.after_service", "a.hl7 row 1 column PID-7"),
        (("|V1\n", "|\n"), "intake.key.missing", "a.hl7 row 1 column PV1-19"),
    ],
)
def test_a_fault_is_told_by_its_field(change: tuple[str, str], rule: str, source: str, tmp_path: Path):
    spoilt = HL7.replace(*change, 1)
    assert spoilt != HL7
    taken = read(hl7_folder(tmp_path, messages(spoilt, V2)))
    assert taken.encounters.column("encounter_key").to_pylist() == ["P01:V2"]
    assert len(taken.set_aside) == 1
    assert source in {f.source for f in taken.findings if f.rule == rule}


@pytest.mark.parametrize(
    "text", ["MSH|^~\\&|\nPID|1\n", "MSH\n", "MSH|^~\\&|A|P01|||20261111||DFT^P03\nFT1|1", "PID|1||x\n"]
)
def test_a_message_that_is_none_costs_itself_alone(text: str, tmp_path: Path):
    taken = read(hl7_folder(tmp_path, messages(text + "\n", V2)))
    assert taken.encounters.column("encounter_key").to_pylist() == ["P01:V2"]
    assert taken.set_aside


def test_messages_that_bill_nothing_are_told_and_left(tmp_path: Path):
    taken = read(hl7_folder(tmp_path, messages(V2, HL7.replace("DFT^P03", "ADT^A04"))))
    assert (taken.encounters.num_rows, taken.set_aside) == (1, [])
    [told] = [f for f in taken.findings if f.rule == "intake.record.other"]
    assert told.message.startswith("a.hl7 (1 ADT message): these records are")


def test_nothing_that_bills_is_refused(tmp_path: Path):
    (tmp_path / "more.hl7").write_text(HL7.replace("DFT^P03", "ADT^A08") + HL7.replace("DFT^P03", "Jane Doe^A08"))
    with pytest.raises(Terminal) as refused:
        read(hl7_folder(tmp_path, HL7.replace("DFT^P03", "ADT^A04")))
    assert "The extract holds no visit. It holds 2 ADT messages, 1 unknown message." in str(refused.value)
    assert "DFT" in refused.value.fix


def test_an_extract_without_visits_says_what_it_holds(tmp_path: Path):
    others = [one for one in fhir() if one["resourceType"] not in ("Claim", "Encounter")]
    others += [{"resourceType": "Observation", "id": str(n)} for n in range(2)] + [{"resourceType": "Jane Doe"}]
    (tmp_path / "all.json").write_text(json.dumps(bundle(others)))
    with pytest.raises(Terminal) as refused:
        read(tmp_path)
    patients = sum(one["resourceType"] == "Patient" for one in others)
    assert patients == 1
    for said in (
        "The extract holds no visit. It holds ",
        "3 Observation resources",
        "1 Patient resource,",
        "1 unknown resource.",
    ):
        assert said in str(refused.value)
    assert "Jane" not in str(refused.value)
    assert "Encounter" in refused.value.fix


@example(cut=4, text="^")  # MSH|^^~\\& declares one mark twice
@example(cut=3, text="&")
@example(cut=5, text="\n")
@given(cut=st.integers(0, len(HL7)), text=st.sampled_from(["|", "^", "~", "\\", "&", "\n", "\x00", "é", "MSH", "\\X"]))
@hypothesis_settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_a_message_holds_its_neighbour_goes_on(tmp_path: Path, cut: int, text: str):
    taken = read(hl7_folder(tmp_path, messages(V2, HL7[:cut] + text + HL7[cut:])))
    assert "P01:V2" in {
        *taken.encounters.column("encounter_key").to_pylist(), *(a.encounter_key for a in taken.set_aside)
    }  # fmt: skip


def test_practices_fill_what_messages_do_not_say(tmp_path: Path):
    (tmp_path / "practices.csv").write_text("practice_id,billing_npi,claim_type\nP01,2875355242,institutional\n")
    taken = read(hl7_folder(tmp_path, HL7))
    assert taken.encounters.column("billing_npi").to_pylist() == ["2875355242"]
    assert taken.encounters.column("claim_type").to_pylist() == ["institutional"]
    (tmp_path / "practices.csv").write_text("practice_id,npi\nP01,2875355242\n")
    with pytest.raises(Terminal, match="npi"):
        read(tmp_path)


def test_every_rule_of_these_formats_has_its_words():
    for rule in ("intake.file.illegible", "intake.file.count", "intake.record.illegible", "intake.record.other",
                 "intake.claim.other", "intake.visit.unfinished", "intake.charge.credited"):  # fmt: skip
        assert all(RULES[rule])

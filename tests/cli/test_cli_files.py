"""The commands on files: exit codes, `--json`, and bad input that never ends in a traceback."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from cli.commands import claimpipe
from payer_simulator.claims_837 import file_837, many
from transactions.x12_text import remittance

KEYS = ["file", "severity", "snip", "rule", "segment", "loop", "segment_id", "element", "component", "offset", "message",
        "fix", "subject"]  # fmt: skip
GOOD = file_837(many(3))
#: the charge of the first claim no longer is the sum of its lines
WRONG = file_837([("C1", [100])]).replace(b"CLM*C1*100*", b"CLM*C1*101*")
JUNK = {
    "empty": b"",
    "binary": bytes(range(256)) * 40,
    "pdf": b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\n",
    "text": "Grüße\n".encode("latin-1"),
    "half an ISA": b"ISA*00*          *00*",
    "ISA of separators": b"ISA" + b"*" * 500,
    "cut": GOOD[: len(GOOD) // 2],
}


@pytest.fixture(autouse=True)
def _away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands without --home must not find, or make, a home where the tests run."""
    monkeypatch.chdir(tmp_path)


def put(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


# --- validate ---------------------------------------------------------------------------------------------------------


def test_validate_says_by_exit_code_whether_a_file_may_go(tmp_path):
    good, wrong = put(tmp_path / "good.edi", GOOD), put(tmp_path / "wrong.edi", WRONG)
    ran = claimpipe("validate", good)
    assert (ran.code, ran.err) == (0, "")
    assert f"{good}: nothing is wrong" in ran.out
    ran = claimpipe("validate", wrong, good)
    assert (ran.code, ran.err) == (1, "")
    assert "CLM02" in ran.out
    assert f"{good}: nothing is wrong" in ran.out


def test_validate_json_is_one_finding_a_line_under_the_contracts_keys(tmp_path):
    wrong = put(tmp_path / "wrong.edi", WRONG)
    ran = claimpipe("validate", "--json", wrong, put(tmp_path / "good.edi", GOOD))
    assert (ran.code, ran.err) == (1, "")
    (finding,) = ran.lines
    assert list(finding) == KEYS
    assert (finding["file"], finding["severity"], finding["snip"]) == (str(wrong), "error", 3)
    assert (finding["segment_id"], finding["element"], finding["loop"]) == ("CLM", 2, "2300")
    assert WRONG[finding["offset"] :].startswith(b"CLM*C1*101")
    assert WRONG[: finding["offset"]].count(b"~") + 1 == finding["segment"]


def test_validate_by_a_profile_counts_its_rules(tmp_path):
    small = put(tmp_path / "small.edi", GOOD.replace(b"DOE*JANE", b"Doe*Jane"))
    assert claimpipe("validate", small).code == 0
    ran = claimpipe("validate", "--profile", "medicare", small)  # its character set has no small letters
    assert ran.code == 1
    ran = claimpipe("validate", "--profile", "nobody", small)
    assert ran.code == 2
    assert ran.sentence.startswith("There is no payer profile nobody. There are: aetna,")
    assert ran.out == ""


def test_validate_goes_on_after_files_that_cannot_be_read(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    wrong = put(tmp_path / "wrong.edi", WRONG)
    ran = claimpipe("validate", "--json", tmp_path / "absent.edi", folder, wrong)
    assert ran.code == 2  # stronger than the 1 of the finding
    assert [line["file"] for line in ran.lines] == [str(wrong)]
    first, second = ran.err.splitlines()
    assert first == (
        f"claimpipe: The file {tmp_path}/absent.edi cannot be read (No such file or directory). "
        "Check its name and its permissions."
    )
    assert second == f"claimpipe: {folder} is a folder. Name its files, for example {folder}/*."


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_validate_of_a_file_without_rights(tmp_path):
    locked = put(tmp_path / "locked.edi", GOOD)
    locked.chmod(0)
    ran = claimpipe("validate", locked)
    locked.chmod(stat.S_IRUSR | stat.S_IWUSR)
    assert ran.code == 2
    assert "Permission denied" in ran.sentence


@pytest.mark.parametrize("what", JUNK)
@pytest.mark.parametrize("command", ["validate", "validate --mode lenient", "inspect", "export --to tables"])
def test_junk_is_a_finding_and_never_a_traceback(tmp_path, what, command):
    junk = put(tmp_path / "junk", JUNK[what])
    ran = claimpipe(*command.split(), "--json", junk)
    assert ran.code == 1
    assert ran.err == ""
    assert ran.lines


@pytest.mark.parametrize("what", [what for what in JUNK if what != "cut"])
def test_junk_gets_no_acknowledgment(tmp_path, what):
    ran = claimpipe("acknowledge", put(tmp_path / "junk", JUNK[what]), "--out", tmp_path / "out")
    assert ran.code == 2
    assert "gets no answer" in ran.sentence
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", ["inspect", "export --to tables", "acknowledge --out out"])
def test_what_is_no_file_ends_in_a_sentence(tmp_path, command):
    for path, words in ((tmp_path / "absent", "No such file or directory"), (tmp_path, "is a folder")):
        ran = claimpipe(*command.split(), path)
        assert ran.code == 2
        assert words in ran.sentence
        assert ran.out == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["export --to", "acknowledge --out"])
def test_a_folder_that_cannot_be_written_ends_in_a_sentence(tmp_path, command):
    good, blocked = put(tmp_path / "good.edi", GOOD), put(tmp_path / "blocked", b"")
    ran = claimpipe(*command.split(), blocked / "below", good)
    assert ran.code == 2
    assert "Not a directory" in ran.sentence
    assert ran.out == ""


# --- inspect, acknowledge, export -------------------------------------------------------------------------------------


def test_inspect_counts_and_names_nobody(tmp_path):
    path = put(tmp_path / "claims.edi", GOOD)
    ran = claimpipe("inspect", path)
    assert (ran.code, ran.err) == (0, "")
    assert "837 claims: 3" in ran.out
    assert "837 claim frequency 1: 3" in ran.out
    charges = sum(sum(lines) for _, lines in many(3))
    assert f"837 charges, dollars: {charges}.00" in ran.out
    assert "DOE" not in ran.out
    ran = claimpipe("inspect", "--json", path)
    (found,) = ran.lines
    assert found["file"] == str(path)
    assert found["bytes"] == len(GOOD)
    assert found["counts"] == {"interchanges": 1, "groups": 1, "sets": {"837": 1}}
    assert found["totals"]["837"]["charges_cents"] == charges * 100
    assert "DOE" not in ran.out
    assert "DOE" in claimpipe("inspect", "--unmasked", path).out


def test_acknowledge_writes_the_answers_and_says_what_they_say(tmp_path):
    ran = claimpipe("acknowledge", "--json", put(tmp_path / "good.edi", GOOD), "--out", tmp_path / "a", "--date",
                    "2026-11-21")  # fmt: skip
    assert (ran.code, ran.err) == (0, "")
    assert [(line["answer"], line["code"]) for line in ran.lines] == [
        ("TA1", "A 000"), ("999", "A"), ("277CA", "all accepted")
    ]  # fmt: skip
    paths = [Path(line["path"]) for line in ran.lines]
    assert [path.name for path in paths] == ["good.TA1.edi", "good.999.edi", "good.277CA.edi"]
    assert claimpipe("validate", *paths).code == 0
    assert all(b"*261121*" in path.read_bytes() for path in paths)
    ran = claimpipe("acknowledge", put(tmp_path / "wrong.edi", WRONG), "--out", tmp_path / "b")
    assert ran.code == 1
    assert "1 rejected" in ran.out
    odd = put(tmp_path / "odd.edi", (tmp_path / "good.edi").read_bytes().replace(b"*^*00501*", b"*U*00501*", 1))
    assert claimpipe("acknowledge", odd, "--out", tmp_path / "strict").out.startswith("TA1")
    assert {p.name for p in (tmp_path / "strict").iterdir()} == {"odd.TA1.edi"}
    ran = claimpipe("acknowledge", odd, "--out", tmp_path / "lenient", "--mode", "lenient", "--json")
    assert ran.code == 0
    assert [(line["answer"], line["code"]) for line in ran.lines] == [
        ("TA1", "E 024"), ("999", "A"), ("277CA", "all accepted")
    ]  # fmt: skip
    ran = claimpipe("acknowledge", paths[1], "--out", tmp_path / "c")
    assert ran.code == 2
    assert "holds acknowledgments alone" in ran.sentence


def test_export_gives_the_contracts_tables_over_all_inputs(tmp_path):
    one, two = put(tmp_path / "one.835", remittance()), put(tmp_path / "two.835", remittance())
    ran = claimpipe("export", "--json", one, two, "--to", tmp_path / "out")
    assert ran.code == 0, ran.err
    rows = {line["table"]: line["rows"] for line in ran.lines if "table" in line}
    assert rows == {
        "payments": 2, "claims": 4, "service_lines": 4, "adjustments": 12, "provider_adjustments": 4, "interchanges": 6
    }  # fmt: skip
    for name, count in rows.items():
        table = pq.read_table(tmp_path / "out" / f"{name}.parquet")
        assert table.num_rows == count
        assert set(table.column("file").to_pylist()) == {"one.835", "two.835"}
    ran = claimpipe("export", one, "--to", tmp_path / "json", "--format", "json")
    assert ran.code == 0
    (payment,) = json.loads((tmp_path / "json" / "payments.json").read_text())
    assert payment["amount"] == "170.00"
    first = {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir()}
    claimpipe("export", one, two, "--to", tmp_path / "again")
    assert {p.name: p.read_bytes() for p in (tmp_path / "again").iterdir()} == first


def test_export_goes_on_beside_a_file_that_cannot_be_read(tmp_path):
    one = put(tmp_path / "one.835", remittance())
    empty, foreign = put(tmp_path / "empty.835", b""), put(tmp_path / "foreign.pdf", b"%PDF-1.7")
    ran = claimpipe("export", "--json", one, empty, foreign, "--to", tmp_path / "out")
    assert ran.code == 1
    assert {line["file"] for line in ran.lines if "rule" in line} == {"empty.835", "foreign.pdf"}
    assert pq.read_table(tmp_path / "out" / "claims.parquet").num_rows == 2
    ran = claimpipe("export", tmp_path / "nowhere.835", one, "--to", tmp_path / "again")
    assert ran.code == 2
    assert "nowhere.835 cannot be read" in ran.err
    assert pq.read_table(tmp_path / "again" / "claims.parquet").num_rows == 2
    ran = claimpipe("export", tmp_path / "nowhere.835", "--to", tmp_path / "none")
    assert ran.code == 2
    assert not (tmp_path / "none").exists()


# --- codes, edits -----------------------------------------------------------------------------------------------------

ORDER_FILE = (
    "00001 A00     0 Cholera                                                      Cholera\n"
    "00002 A000    1 Cholera due to one cause                                     Cholera due to one cause\n"
)


def test_codes_load_is_seen_by_codes_list(tmp_path):
    home = tmp_path / "home"
    file = put(tmp_path / "order.txt", ORDER_FILE.encode())
    shipped = claimpipe("codes", "list", "--home", home, "--json").lines
    assert not home.exists()  # a question makes nothing
    ran = claimpipe("codes", "load", file, "--effective", "2024-10-01", "--home", home)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == "ICD-10-CM 2024-10-01: 1 billable code for services from 2024-10-01 to 2025-09-30.\n"
    ran = claimpipe("codes", "list", "--home", home, "--json")
    (new,) = [line for line in ran.lines if line not in shipped]
    assert new == {
        "set": "ICD-10-CM", "edition": "2024-10-01", "effective_from": "2024-10-01", "effective_to": "2025-09-30",
        "billable": 1, "origin": "loaded from order.txt", "id": "icd10cm", "codes": 2, "partial": False, "shipped": False,
        "sha256": hashlib.sha256(ORDER_FILE.encode()).hexdigest(),
    }  # fmt: skip
    assert "2024-10-01" in claimpipe("codes", "list", "--home", home).out
    ran = claimpipe(
        "codes", "load", file, "--effective", "2024-10-01", "--until", "2024-12-31", "--home", home, "--json"
    )
    assert ran.lines[0]["effective_to"] == "2024-12-31"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--effective", "2024-13-01"], "a date is written YYYY-MM-DD"),
        (["--effective", "20241001"], "a date is written YYYY-MM-DD"),
        (["--effective", "2024-10-01", "--until", "2024-09-30"], "the last day is before the first"),
        (["--effective", "1999-10-01"], "No ICD-10-CM edition was in force on 1999-10-01"),
        ([], "The first day of service that order.txt holds for is not known"),
    ],
)
def test_codes_load_refuses_days_that_cannot_be(tmp_path, options, words):
    ran = claimpipe(
        "codes", "load", put(tmp_path / "order.txt", ORDER_FILE.encode()), *options, "--home", tmp_path / "h"
    )
    assert ran.code == 2
    assert words in ran.sentence
    assert not (tmp_path / "h").exists()


@pytest.mark.parametrize("data", [b"", b"no list of codes\n", bytes(range(256)), b"\x1f\x8bbroken"])
def test_codes_load_refuses_what_is_no_list(tmp_path, data):
    ran = claimpipe("codes", "load", put(tmp_path / "f", data), "--effective", "2024-10-01", "--home", tmp_path / "h")
    assert ran.code == 2
    assert ran.sentence
    assert not (tmp_path / "h").exists()


def test_edits_list_and_show(tmp_path):
    rows = claimpipe("edits", "list", "--json").lines
    ids = [row["id"] for row in rows]
    assert {"npi", "zip"} <= set(ids)
    assert {row["kind"] for row in rows} == {"edit", "repair"}
    text = claimpipe("edits", "list").out
    assert all(f"{one} " in text for one in ids)
    ran = claimpipe("edits", "show", "npi", "--json")
    (rule,) = ran.lines
    assert (rule["id"], rule["severity"], rule["snip"], rule["effective_from"]) == ("npi", "error", 5, "2008-05-23")
    assert {"billing_npi": "1234567893"} in rule["passes"]
    shown = claimpipe("edits", "show", "npi").out
    assert rule["message"] in shown
    assert rule["fix"] in shown
    ran = claimpipe("edits", "show", "npl")
    assert (ran.code, ran.sentence) == (2, "There is no rule npl. Did you mean npi?")


# --- the command line itself ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nonsense"], "No such command 'nonsense'. See `claimpipe --help`."),
        (["validate"], "Missing argument 'files'. See `claimpipe validate --help`."),
        (
            ["validate", "--mode", "loud", "x"],
            "'loud' is not one of 'strict', 'lenient'. See `claimpipe validate --help`.",
        ),
        (["export", "x", "--to", "y", "--format", "xls"], "'xls' is not one of 'parquet', 'csv', 'json'."),
        (["validate", "--limit", "0", "x"], "--limit"),
        (["acknowledge", "x", "--out", "y", "--date", "tomorrow"], "a date is written YYYY-MM-DD"),
        (["edits", "try"], "Missing argument 'rule'. See `claimpipe edits try --help`."),
        (["--home", "x", "prove"], "--home stands behind the command that it is for: `claimpipe COMMAND --home …`."),
        (
            ["work", "--note", "x", "resolve"],
            "--note stands behind the command that it is for: `claimpipe work COMMAND --note …`.",
        ),
        (["--loud", "prove"], "No such option: --loud. See `claimpipe --help`."),
    ],
)
def test_bad_arguments_end_in_one_sentence(arguments, words):
    ran = claimpipe(*arguments)
    assert ran.code == 2
    assert words in ran.sentence
    assert ran.out == ""


COMMANDS = ["nightly", "inspect", "validate", "acknowledge", "export", "build", "prove", "sample", "work", "payer", "codes",
            "edits", "airflow"]  # fmt: skip


def test_every_command_has_help():
    top = claimpipe("--help")
    assert top.code == 0
    for command in COMMANDS:
        assert f"{command} " in top.out
        ran = claimpipe(*command.split(), "--help")
        assert (ran.code, ran.err) == (0, "")
        assert f"claimpipe {command}" in ran.out


@pytest.mark.parametrize("asked", ["--help", "--version"])
def test_help_loads_nothing_heavy(asked):
    """Heavy modules are imported by the commands that need them, when they need them."""
    found = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "pipeline.cli", asked], capture_output=True, text=True, check=True
    )
    modules = [line.rsplit("|", 1)[1].strip() for line in found.stderr.splitlines() if "|" in line]
    heavy = {
        "pandas", "numpy", "pyarrow", "sqlalchemy", "alembic", "pydantic", "pydantic_settings", "great_expectations", "airflow",
        "paramiko", "asyncssh", "jinja2", "fhir",
    }  # fmt: skip
    assert {module.split(".")[0] for module in modules} & heavy == set()
    assert {module for module in modules if module.startswith("pipeline.")} <= {
        "pipeline.errors", "pipeline.findings", "pipeline.money", "pipeline.wording",
        *(module for module in modules if module.startswith("pipeline.cli")),
    }  # fmt: skip


def test_a_reader_that_goes_away_is_no_defect(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-m", "pipeline.cli", "edits", "list", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    process.wait(timeout=60)
    assert b"Traceback" not in process.stderr.read()
    process.stderr.close()

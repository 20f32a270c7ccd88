"""The four DAGs, run by `dag.test()` against the real register and the real SFTP server of the payer in a box."""

from __future__ import annotations

import csv
import importlib
import json
import os
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from night.nights import ON, assert_nothing_twice, record

from pipeline import sample, settings
from pipeline.errors import Terminal
from pipeline.store import open_store

pytestmark = [pytest.mark.slow, pytest.mark.long(together="airflow")]
HERE = Path(__file__).parent
ROOT = HERE.parent.parent


@pytest.fixture(scope="module")
def dagkit() -> ModuleType:
    """Imported here alone: it takes Airflow along, in each process that only looks for tests."""
    return importlib.import_module("pipeline.dagkit")


def in_airflow(home: Path, extract: Path, *steps: str) -> tuple[list[dict], str]:
    done = subprocess.run(
        [sys.executable, str(HERE / "in_airflow.py"), str(home), str(extract), ON.isoformat(), *steps],
        capture_output=True, text=True, check=False, env={**os.environ, "CLAIMPIPE_TRANSPORT__BACKOFF_SECONDS": "0.01"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.splitlines()[-1]), done.stdout + done.stderr


@pytest.fixture(scope="module")
def extract(tmp_path_factory):
    out = tmp_path_factory.mktemp("dags") / "extract"
    sample.make(visits=60, seed=3, out=out)
    return out


@pytest.fixture(scope="module")
def after_a_night(tmp_path_factory, extract):
    home = tmp_path_factory.mktemp("home")
    runs, output = in_airflow(
        home, extract, "claim_submission", "payer_inbox", "payer_inbox", "remittance_posting", "deposit_reconciliation"
    )
    # payers without mail are skipped, which is no error: who runs the first night must not read of any
    assert "skipped" in runs[1]["tasks"].values()
    assert [line for line in output.splitlines() if "error" in line.casefold() and not line.startswith("[{")] == []
    return home, runs


def test_the_four_dags_turn_visits_into_reconciled_money(after_a_night):
    home, runs = after_a_night
    assert [(r["dag"], r["state"], r["troubles"]) for r in runs] == [
        (name, "success", [])
        for name in ("claim_submission", "payer_inbox", "payer_inbox", "remittance_posting", "deposit_reconciliation")
    ]
    assert record(home), "nothing reached the payer"
    assert_nothing_twice(home)
    assert runs[-1]["counts"]["deposit_reconciliation.prove"]["residue_cents"] == 0
    assert runs[3]["counts"]["remittance_posting.post"]["quality_checked"] > 0
    assert (home / "reports" / f"night-{ON}.html").is_file()


def test_files_are_built_mapped_over_payers_and_sent_by_a_task_a_payer(after_a_night):
    home, runs = after_a_night
    tasks = runs[0]["tasks"]
    built = [t for t in tasks if t.startswith("build[")]
    sent = {t.removeprefix("send_") for t, state in tasks.items() if t.startswith("send_") and state == "success"}
    assert len(built) == len(sent) > 1
    assert sent == {line["payer"] for line in record(home)}


def test_a_cleared_task_or_a_run_again_sends_nothing_again(after_a_night, extract):
    home, _ = after_a_night
    before = record(home)
    runs, _ = in_airflow(home, extract, "claim_submission", "claim_submission", "payer_inbox", "remittance_posting")
    assert [r["state"] for r in runs] == ["success"] * 4
    assert record(home) == before
    assert all(state in ("skipped", "None") for t, state in runs[0]["tasks"].items() if t.startswith("send_"))


CANARY = "Qxzcanary"


@pytest.fixture(scope="module")
def canary_extract(tmp_path_factory, extract):
    """The same visits with a canary in every patient field that may hold free text."""
    out = tmp_path_factory.mktemp("canary") / "extract"
    out.mkdir()
    for path in extract.iterdir():
        if path.name != "encounters.csv":
            (out / path.name).write_bytes(path.read_bytes())
    with (extract / "encounters.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for number, row in enumerate(rows):
        for column in ("patient_last", "patient_first", "patient_address1", "patient_city", "patient_id"):
            if row.get(column):
                row[column] = f"{CANARY} {number}" if number % 9 else f"{CANARY}*~{number}"
    with (out / "encounters.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return out


def test_no_patient_data_in_airflow_its_logs_or_reports_after_a_night_with_failures(tmp_path, canary_extract):
    home = tmp_path / "home"
    home.mkdir()
    (home / "faults.toml").write_text(
        '[[fault]]\nkind = "permission_denied"\npayer = "medicaid"\ntimes = 1\n[[fault]]\nkind = "unknown_file"\npayer = "meridian"\n'
        '[[fault]]\nkind = "unbalanced_835"\npayer = "harbor"\n'
    )
    runs, output = in_airflow(
        home, canary_extract, "claim_submission", "payer_inbox", "payer_inbox", "remittance_posting", "deposit_reconciliation",
        "claim_submission:extract=/nowhere/at/all",
    )  # fmt: skip
    assert runs[0]["state"] == "failed", "the fault did not bite"
    assert runs[-1]["state"] == "failed"
    # fault 28: what was set aside makes its run red, is no trouble of the machine, and keeps nothing from being worked
    for aside in (runs[1:3], runs[3:4]):
        red = [r for r in aside if r["tasks"]["nothing_set_aside"] == "failed"]
        assert [r["state"] for r in red] == ["failed"]
        assert red[0]["troubles"] == []
    assert runs[3]["counts"]["remittance_posting.post"]["remittances_posted"] > 0
    assert record(home), "the other payers were to go on"
    needle = CANARY.casefold().encode()
    lake = b"".join(p.read_bytes() for p in (home / "archive").rglob("*") if p.is_file()).lower()
    assert needle in lake, "the canary never went in: the test would prove nothing"
    places = [p for folder in ("airflow", "reports") for p in (home / folder).rglob("*") if p.is_file()]
    assert any(p.name == "airflow.db" for p in places)
    assert [str(p) for p in places if needle in p.read_bytes().lower()] == []
    assert needle not in output.lower().encode()
    names = [str(p.relative_to(home)).lower() for p in home.rglob("*")]
    assert not [n for n in names if CANARY.casefold() in n]


def test_the_dag_folder_imports_clean_and_every_dag_is_described(tmp_path, dagkit):
    script = (
        "import json,sys\n"
        "from pipeline import airflow_night as a, settings\n"
        "a.prepare(settings.load(sys.argv[1]))\n"
        "from airflow.dag_processing.dagbag import DagBag\n"
        "b = DagBag(dag_folder=str(a.dags_folder()))\n"
        "print(json.dumps({'errors': b.import_errors, 'dags': {d: {'doc': dag.doc_md, 'tags': sorted(dag.tags), 'catchup': dag.catchup,"
        "'tasks': {t.task_id: [t.pool, t.retries] for t in dag.tasks}} for d, dag in b.dags.items()}}))\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["errors"] == {}
    assert sorted(found["dags"]) == ["claim_submission", "deposit_reconciliation", "payer_inbox", "remittance_posting"]
    for name, dag in found["dags"].items():
        assert dag["doc"].startswith(f"# {name}")
        assert "claimpipe" in dag["tags"]
        assert dag["catchup"] is False
    submission = found["dags"]["claim_submission"]["tasks"]
    for key in dagkit.payer_keys():
        assert submission[f"send_{key}"][0] == f"payer_{key}"


def context(run_type="scheduled", **params):
    return {
        "dag_run": SimpleNamespace(run_type=run_type, run_after=datetime.fromisoformat("2026-11-21T07:00:00+00:00")),
        "params": params,
    }


def test_only_its_parameter_lets_a_backfill_send(dagkit):
    assert dagkit.may_send(context("scheduled"))
    assert dagkit.may_send(context("manual"))
    assert dagkit.may_send(context("asset_triggered"))
    assert not dagkit.may_send(context("backfill", send_from_backfill=False))
    assert not dagkit.may_send(context("backfill"))
    assert dagkit.may_send(context("backfill", send_from_backfill=True))


def test_the_night_of_a_run_is_its_parameter_then_its_events_then_its_interval(dagkit):
    interval = {"data_interval_start": datetime.fromisoformat("2026-11-20T07:00:00+00:00")}
    event = SimpleNamespace(extra={"date": "2026-11-18"})
    later = SimpleNamespace(extra={"date": "2026-11-19"})
    events = {"triggering_asset_events": {"a": [event, later], "b": [SimpleNamespace(extra={})]}}
    assert dagkit.night_of(context(date="2026-11-01") | interval | events).isoformat() == "2026-11-01"
    assert dagkit.night_of(context() | interval | events).isoformat() == "2026-11-19"
    assert dagkit.night_of(context() | interval).isoformat() == "2026-11-20"
    assert dagkit.night_of(context()).isoformat() == "2026-11-21"
    with pytest.raises(Terminal, match="YYYY-MM-DD"):
        dagkit.night_of(context(date="yesterday"))


def test_a_defect_inside_a_task_reaches_airflow_without_its_values(tmp_path, monkeypatch, dagkit):
    monkeypatch.setenv("CLAIMPIPE_HOME", str(tmp_path))
    open_store(settings.load()).close()

    def work(store, on):
        raise KeyError(CANARY)

    with pytest.raises(Terminal, match=r"KeyError at test_dags\.py") as told:
        dagkit.run(context(date=ON.isoformat()), work)
    assert CANARY not in str(told.value)
    assert told.value.__context__ is None

"""The same night through the four Airflow DAGs, in this process: `make nightly` and the tests use it.

Airflow's home is HOME/airflow: a SQLite database of its own, migrated when it is new. Each DAG runs by `dag.test()`, task by
task, against the real register and the real SFTP server; `payer_inbox` is run again until the payer in a box has answered.
Airflow reads its configuration at import, so nothing of it may be imported before `prepare`.
"""

from __future__ import annotations

import contextlib
import errno
import io
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from datetime import date
from pathlib import Path
from typing import Any

from pipeline import night
from pipeline.errors import Terminal
from pipeline.settings import Settings
from pipeline.store import Store
from pipeline.transport.extracts import is_elsewhere

OK_STOPPED = 0  # a person stopped it: no failure
#: tasks that only make a run red, for what the report of the night tells in its own words
_TOLD_OTHERWISE = ("every_step_succeeded", "nothing_set_aside", "prove")
DAGS = ("claim_submission", "payer_inbox", "remittance_posting", "deposit_reconciliation")


def dags_folder() -> Path:
    """The folder `dags/` of the checkout, or where CLAIMPIPE_DAGS says."""
    place = Path(os.environ.get("CLAIMPIPE_DAGS") or Path(__file__).resolve().parent.parent / "dags")
    if not (place / "claim_submission.py").is_file():
        raise Terminal(f"There are no DAGs in {place}.", fix="Set CLAIMPIPE_DAGS to the folder dags/ of claimpipe.")
    return place


def environment(settings: Settings) -> dict[str, str]:
    """The variables under which Airflow runs on the embedded default: SQLite, local, offline, quiet."""
    home = settings.home.resolve() / "airflow"
    return {
        "AIRFLOW_HOME": str(home),
        # its processes start one another by name: they must find the `airflow` beside this Python
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
        "AIRFLOW__API__HOST": "127.0.0.1",  # every visitor is an administrator here
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags_folder()),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": "4",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "30",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "CLAIMPIPE_HOME": str(settings.home.resolve()),
        "GX_ANALYTICS_ENABLED": "false",
    }


def prepare(settings: Settings) -> None:
    """Migrate Airflow's database where it is new and make the payers' pools; sets this process's environment."""
    from pipeline import payers

    values = environment(settings)
    os.environ.update(values)
    home = Path(values["AIRFLOW_HOME"])
    keys = [*payers.load_profiles(settings.payers_dir), night.BANK]
    marker = home / "prepared"
    wanted = "\n".join(sorted(keys))
    if marker.is_file() and marker.read_text(encoding="utf-8") == wanted:
        return
    home.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-m", "airflow", "db", "migrate"], capture_output=True, text=True, check=False, env=os.environ
    )
    if done.returncode:
        raise Terminal("Airflow's database could not be made.", fix=f"Look at {home}; remove the folder and run again.")
    with contextlib.redirect_stdout(io.StringIO()):
        from airflow.models.pool import Pool

        for key in keys:
            Pool.create_or_update_pool(
                f"payer_{key}", slots=1, description="one connection a payer", include_deferred=True
            )
    marker.write_text(wanted, encoding="utf-8")


def refuse_a_port_in_use(port: int) -> None:
    """Terminal where Airflow's pages could not listen: found here, before anything is started."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: a port just given up is free
        try:
            probe.bind(("127.0.0.1", port))
        except OverflowError:
            raise Terminal(f"There is no port {port}.", fix="Name one from 1024 to 65535 with --port.") from None
        except OSError as error:
            why = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be used ({error.strerror})"
            raise Terminal(f"Port {port} {why}.", fix="Stop what listens there, or name another with --port.") from None


def standalone() -> int:
    """Run `airflow standalone` until it is stopped; returns its exit code. Its processes are one group and go together."""
    process = subprocess.Popen([sys.executable, "-m", "airflow", "standalone"], start_new_session=True)

    def asked_to_stop(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, asked_to_stop)
    try:
        return process.wait()
    except KeyboardInterrupt:
        return OK_STOPPED
    finally:
        signal.signal(signal.SIGTERM, before)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=20)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def run(store: Store, on: date, extract: str | None, fmt: str, tell: night.Tell = night.silent) -> night.Report:
    """Run the four DAGs for the logical date. A DAG that fails is a trouble of the report; the next ones run all the same."""
    settings = store.settings
    prepare(settings)
    report = night.Report(on)
    tell(DAGS[0], "", None)
    run_dag(
        report, DAGS[0],
        {"date": on.isoformat(), "extract": _absolute(extract), "format": fmt},
    )  # fmt: skip
    deadline = time.monotonic() + settings.inbox.wait_seconds
    tell(DAGS[1], "", None)
    while True:
        run_dag(report, DAGS[1], {"date": on.isoformat()})
        if not night.awaiting_box(store) or time.monotonic() > deadline or report.troubles:
            break
        time.sleep(0.3)
    for dag_id in DAGS[2:]:
        tell(dag_id, "", None)
        run_dag(report, dag_id, {"date": on.isoformat()})
    report.proof = night.prove(store, on)
    return report


def _absolute(extract: str | None) -> str | None:
    """A path of this machine as tasks, which work elsewhere, find it; an address stays what it is."""
    return extract if extract is None or is_elsewhere(extract) else str(Path(extract).resolve())


def run_dag(report: night.Report, dag_id: str, conf: dict[str, Any]) -> Any:
    """One DAG run by `dag.test()`, which is returned; its tasks' counts become steps, its failed tasks a trouble."""
    logging.getLogger("airflow").setLevel(logging.ERROR)
    dag = load_dag(dag_id)
    with contextlib.redirect_stdout(sys.stderr):
        dag_run = dag.test(run_conf=conf)
    failed = []
    for instance in sorted(dag_run.get_task_instances(), key=lambda i: (str(i.start_date), i.task_id)):
        if instance.state == "failed" and instance.task_id not in _TOLD_OTHERWISE:
            failed.append(instance.task_id)
        counts = instance.xcom_pull(task_ids=instance.task_id, map_indexes=instance.map_index)
        if isinstance(counts, dict):
            report.steps.append((f"{dag_id}.{instance.task_id}", "", counts))
    if failed:
        report.troubles.append(f"{dag_id}: {', '.join(failed)} failed; the task's log says why.")
    return dag_run


def load_dag(dag_id: str) -> Any:
    """Import one DAG file as Airflow would. Terminal with the error where it does not import."""
    from airflow.dag_processing.dagbag import DagBag

    with contextlib.redirect_stdout(sys.stderr):
        bag = DagBag(dag_folder=str(dags_folder() / f"{dag_id}.py"))
    if bag.import_errors:
        raise Terminal(f"The DAG {dag_id} does not import: {next(iter(bag.import_errors.values())).splitlines()[-1]}")
    return bag.dags[dag_id]

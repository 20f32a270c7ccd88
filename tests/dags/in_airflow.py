"""Runs the DAGs in a process of its own (Airflow reads its configuration at import) and prints what happened as JSON.

Usage: in_airflow.py HOME EXTRACT DATE STEP [STEP …], where a step is a DAG's id, optionally `dag_id:key=value,…` for parameters.
"""

from __future__ import annotations

import contextlib
import json
import sys
from datetime import date
from pathlib import Path

from pipeline import airflow_night, night, settings
from pipeline.payer_simulator import process


def main() -> None:
    home, extract, on, *steps = sys.argv[1:]
    loaded = settings.load(home)
    out: list[dict] = []
    faults = Path(home) / "faults.toml"
    process.start(loaded, faults if faults.is_file() else None)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            airflow_night.prepare(loaded)
            for step in steps:
                dag_id, _, given = step.partition(":")
                conf = {"date": on} | ({"extract": extract, "format": "auto"} if dag_id == "claim_submission" else {})
                conf |= dict(pair.split("=") for pair in given.split(",")) if given else {}
                report = night.Report(date.fromisoformat(on))
                run = airflow_night.run_dag(report, dag_id, conf)
                tasks = {
                    f"{i.task_id}[{i.map_index}]" if i.map_index >= 0 else i.task_id: str(i.state)
                    for i in run.get_task_instances()
                }
                out.append({"dag": dag_id, "state": str(run.state), "tasks": tasks, "troubles": report.troubles,
                            "counts": {s: c for s, _, c in report.steps}})  # fmt: skip
    finally:
        process.stop(loaded)
    print(json.dumps(out))


if __name__ == "__main__":
    main()

"""What the DAG files share: the date, the store, payers and pools, and errors without patient data.

Light at the top (a DAG file imports this at every parse): the stages are imported when a task runs. Only ids, counts and
dates pass through Airflow; whatever a defect's exception may hold is dropped here before Airflow can log it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import ExceptionRetryPolicy, Param, RetryAction, RetryRule, get_current_context, task
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from pipeline.errors import ClaimpipeError, Terminal, place_of

if TYPE_CHECKING:
    from pipeline.store import Store

#: assets: what happened, never to whom
REMITTANCES_LANDED = "claimpipe://remittances/landed"
BANK_FILES_LANDED = "claimpipe://bank/landed"
POSTINGS_MADE = "claimpipe://ledger/postings"

#: how every task retries: what is Terminal fails at once
RETRIES: dict[str, Any] = {
    "retries": 3,
    "retry_delay": timedelta(minutes=2),
    "retry_exponential_backoff": True,
    "retry_policy": ExceptionRetryPolicy(
        rules=[RetryRule(exception="pipeline.errors.Terminal", action=RetryAction.FAIL)]
    ),
}


def date_parameter() -> Param:
    return Param(None, type=["null", "string"], description="Logical date, YYYY-MM-DD (default: that of the run)")


@task(task_id="every_step_succeeded", trigger_rule="one_failed", retries=0)
def watch() -> None:
    """Put behind all steps: tasks that run whatever happened before must not turn a failed run green."""
    raise AirflowFailException("A step of this run failed: see the red tasks.")


#: counts of what a step set aside whole, or held: see `nothing_set_aside`
_ASIDE = (
    "files_quarantined", "files_with_errors", "quality_failed", "quarantined", "remittances_held", "remittances_conflict",
    "remittances_unusable",
)  # fmt: skip


@task(trigger_rule="all_done", retries=0)
def nothing_set_aside() -> None:
    """Put behind the steps of a run: fails where they set a received file or a remittance aside. The others were worked, and
    the run is not green. Cleared and run again it is, since nothing is set aside twice.

    What the steps counted is pulled by their names: handed over as an argument, each step that was skipped, as most payers'
    are, would stand in the log as an error."""
    context = get_current_context()
    steps = context["ti"].xcom_pull(task_ids=sorted(context["task"].upstream_task_ids))
    aside = sum(counts.get(name, 0) for counts in steps if counts for name in _ASIDE)
    if aside:
        raise AirflowFailException(
            f"Set aside in this run: {aside}. All the rest was worked. See `claimpipe work list` for what to do."
        )


def skip(why: str) -> None:
    """Mark the task as skipped."""
    raise AirflowSkipException(why)


def payer_keys() -> list[str]:
    """Keys of the payer profiles, from their file names: cheap enough for every parse."""
    from pipeline import payers, settings

    return payers.keys(settings.load().payers_dir)


def pool_of(payer_key: str) -> str:
    """The pool of a payer: one slot, so that one payer is never talked to twice at once."""
    return f"payer_{payer_key}"


def night_of(context: Mapping[str, Any]) -> date:
    """The logical date of a run: its `date` parameter, else the dates of its triggering events, else its interval.

    A run may take several asset events at once; the newest date is the one to work under, and the stages take every file
    that waits, whatever event announced it.
    """
    from zoneinfo import ZoneInfo

    from pipeline import settings

    named = (context.get("params") or {}).get("date")
    if named:
        try:
            return date.fromisoformat(named)
        except ValueError:
            raise Terminal("The parameter date is not a date.", fix="Write it as YYYY-MM-DD.") from None
    events = [e for listed in (context.get("triggering_asset_events") or {}).values() for e in listed]
    dates = [e.extra["date"] for e in events if e.extra and e.extra.get("date")]
    if dates:
        return date.fromisoformat(max(dates))
    moment: datetime | None = context.get("data_interval_start") or context["dag_run"].run_after
    assert moment is not None
    return moment.astimezone(ZoneInfo(settings.load().timezone)).date()


def may_send(context: Mapping[str, Any]) -> bool:
    """A backfill sends only where its parameter says so; every other run sends."""
    backfill = str(getattr(context["dag_run"], "run_type", "")).rpartition(".")[2].lower().startswith("backfill")
    return not backfill or bool((context.get("params") or {}).get("send_from_backfill"))


def run(context: Mapping[str, Any], work: Callable[[Store, date], Any]) -> Any:
    """Open the store, do the work for the run's date, close. Raises only errors that hold no patient data."""
    from pipeline import garbage, settings
    from pipeline.store import open_store

    try:
        store = open_store(settings.load())
        try:
            with garbage.looked_for_less():
                return work(store, night_of(context))
        finally:
            store.close()
    except (ClaimpipeError, AirflowSkipException):
        raise
    except Exception as error:
        message = f"A defect ({place_of(error)})."
    raise Terminal(
        message, fix="Nothing half-done was recorded. Run the step with claimpipe on the command line to see more."
    )

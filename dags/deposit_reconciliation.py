"""# deposit_reconciliation: the bank agrees with the ledger

Starts when remittances were posted or bank files have landed. Matches deposits to remittances by trace number, amount and
origin, never by amount alone; the rest stands in suspense until a person decides. Ends with the conservation proof and
the night's report: the run is red when the residue is not 0.00.
"""

from airflow.sdk import Asset, dag, get_current_context, task

from pipeline import dagkit


@dag(
    schedule=(Asset(dagkit.POSTINGS_MADE) | Asset(dagkit.BANK_FILES_LANDED)),
    catchup=False,
    max_active_runs=1,
    default_args=dagkit.RETRIES,
    tags=["claimpipe", "deposits", "bank"],
    doc_md=__doc__,
    params={"date": dagkit.date_parameter()},
)
def deposit_reconciliation():
    @task
    def reconcile() -> dict[str, int]:
        from pipeline import night

        return dagkit.run(get_current_context(), night.reconcile)

    @task
    def prove() -> dict[str, int]:
        """The proof and the report of the night; fails where the proof does not close."""
        from pipeline import night

        return dagkit.run(get_current_context(), night.prove_or_fail)

    reconciled = reconcile()
    reconciled >> [prove(), dagkit.nothing_set_aside()]


deposit_reconciliation()

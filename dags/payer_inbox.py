"""# payer_inbox: what payers and the bank have sent

Sweeps every payer's outbound folder and the bank's, archives each file before anything reads it, and works the
acknowledgments (TA1, 999, 277CA). An 835 that landed announces the asset that starts `remittance_posting`; a bank file
the one that starts `deposit_reconciliation`. The name of a file is never trusted: its content says what it is.
"""

from airflow.sdk import Asset, CronDataIntervalTimetable, Metadata, dag, get_current_context, task

from pipeline import dagkit

REMITTANCES = Asset(dagkit.REMITTANCES_LANDED)
BANK_FILES = Asset(dagkit.BANK_FILES_LANDED)


@dag(
    schedule=CronDataIntervalTimetable("*/30 6-22 * * *", timezone="America/New_York"),
    catchup=False,
    max_active_runs=1,
    default_args=dagkit.RETRIES,
    tags=["claimpipe", "acknowledgments", "inbox"],
    doc_md=__doc__,
    params={"date": dagkit.date_parameter()},
)
def payer_inbox():
    @task
    def sweep(payer: str) -> dict[str, int]:
        from pipeline import night

        def work(store, on):
            if payer not in night.routes_with_mail(store):
                dagkit.skip("Nothing was ever sent on this route.")
            return night.sweep(store, on, payer)

        return dagkit.run(get_current_context(), work)

    @task(trigger_rule="all_done")
    def acknowledge() -> dict[str, int]:
        from pipeline import night

        return dagkit.run(get_current_context(), night.acknowledge)

    @task(trigger_rule="all_done", outlets=[REMITTANCES])
    def announce_remittances():
        from pipeline import night

        context = get_current_context()
        if not dagkit.run(context, lambda store, on: night.has_landed(store, "835")):
            dagkit.skip("No remittance waits.")
        yield Metadata(REMITTANCES, {"date": dagkit.night_of(context).isoformat()})

    @task(trigger_rule="all_done", outlets=[BANK_FILES])
    def announce_bank_files():
        from pipeline import night

        context = get_current_context()
        if not dagkit.run(context, lambda store, on: night.has_landed(store, "NACHA", "BAI2")):
            dagkit.skip("No bank file waits.")
        yield Metadata(BANK_FILES, {"date": dagkit.night_of(context).isoformat()})

    swept = [
        sweep.override(task_id=f"sweep_{key}", pool=dagkit.pool_of(key))(key) for key in [*dagkit.payer_keys(), "bank"]
    ]
    acknowledged = acknowledge()
    after = [acknowledged, announce_remittances(), announce_bank_files()]
    for one in after:
        swept >> one
    clean = dagkit.nothing_set_aside()
    [*swept, acknowledged] >> clean
    [*swept, *after, clean] >> dagkit.watch()


payer_inbox()

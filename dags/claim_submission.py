"""# claim_submission: visits become claims, claims go to payers

Runs every night at 02:00 of the practice's time zone for the day before. Takes in the extract, codes it, scrubs it,
builds one or more 837 files a payer, checks them, and sends them by SFTP.

* **Run again at will.** Every step is idempotent; the outbox stands in claimpipe's register, so clearing a task never sends
  a file twice.
* **Backfill.** A backfill takes in, codes and scrubs; it rebuilds the files that were sent on its date and compares them. It
  builds and sends new ones only with the parameter `send_from_backfill`.
* **Errors.** A Terminal error (login, host key, configuration) fails at once; a Transient one is retried. One payer's
  trouble leaves the other payers alone, and the run is red all the same.
"""

from airflow.sdk import CronDataIntervalTimetable, Param, dag, get_current_context, task

from pipeline import dagkit


@dag(
    schedule=CronDataIntervalTimetable("0 2 * * *", timezone="America/New_York"),
    catchup=False,
    max_active_runs=1,
    default_args=dagkit.RETRIES,
    tags=["claimpipe", "claims", "837"],
    doc_md=__doc__,
    params={
        "date": dagkit.date_parameter(),
        "extract": Param(
            None, type=["null", "string"], description="Extract to take in (default: the setting `extract`)"
        ),
        "format": Param("auto", enum=["auto", "csv", "parquet", "synthea", "fhir", "hl7"]),
        "send_from_backfill": Param(False, type="boolean", description="Let a backfill build and send"),
    },
)
def claim_submission():
    @task
    def intake() -> dict[str, int]:
        from pipeline import night

        context = get_current_context()
        extract, fmt = context["params"]["extract"], context["params"]["format"]
        return dagkit.run(context, lambda store, on: night.intake(store, on, night.extract_of(store, extract), fmt))

    @task
    def code() -> dict[str, int]:
        from pipeline import night

        return dagkit.run(get_current_context(), night.code)

    @task
    def scrub() -> dict[str, int]:
        from pipeline import night

        return dagkit.run(get_current_context(), night.scrub)

    @task
    def compare() -> dict[str, int]:
        """Rebuild the files that were sent on this date and compare them, byte for byte."""
        from pipeline import night

        return dagkit.run(get_current_context(), night.compare)

    @task
    def payers() -> list[str]:
        from pipeline import night

        context = get_current_context()
        if not dagkit.may_send(context):
            return []
        return dagkit.run(context, lambda store, on: night.payers_with_work(store))

    @task(map_index_template="{{ payer }}")
    def build(payer: str) -> dict[str, int]:
        from pipeline import night

        context = get_current_context()
        context["payer"] = payer
        return dagkit.run(context, lambda store, on: night.build(store, on, payer))

    @task(trigger_rule="all_done")
    def check_files() -> dict[str, int]:
        from pipeline import night

        return dagkit.run(get_current_context(), night.check_batches)

    @task
    def send(payer: str) -> dict[str, int]:
        from pipeline import night

        context = get_current_context()
        if not dagkit.may_send(context):
            dagkit.skip("A backfill sends only with send_from_backfill.")

        def work(store, on):
            if payer not in night.payers_with_work(store):
                dagkit.skip("There is nothing to send to this payer.")
            return night.send(store, on, payer)

        return dagkit.run(context, work)

    coded, scrubbed, listed, checked = code(), scrub(), payers(), check_files()
    intake() >> coded >> scrubbed >> [compare(), listed]
    sent = [
        send.override(task_id=f"send_{key}", pool=dagkit.pool_of(key), trigger_rule="all_success")(key)
        for key in dagkit.payer_keys()
    ]
    built = build.expand(payer=listed)
    built >> checked >> sent
    [built, checked, *sent, scrubbed] >> dagkit.watch()


claim_submission()

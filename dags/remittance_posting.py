"""# remittance_posting: 835s become ledger entries

Starts when an 835 has landed, and takes every one that waits. What does not balance at all three levels is never posted
by itself: it becomes a work item. A remittance posts once, whatever its file is called.
"""

from airflow.sdk import Asset, Metadata, dag, get_current_context, task

from pipeline import dagkit

POSTINGS = Asset(dagkit.POSTINGS_MADE)


@dag(
    schedule=[Asset(dagkit.REMITTANCES_LANDED)],
    catchup=False,
    max_active_runs=1,
    default_args=dagkit.RETRIES,
    tags=["claimpipe", "remittances", "835"],
    doc_md=__doc__,
    params={"date": dagkit.date_parameter()},
)
def remittance_posting():
    @task
    def post() -> dict[str, int]:
        from pipeline import night

        return dagkit.run(get_current_context(), night.post)

    @task(outlets=[POSTINGS])
    def announce():
        yield Metadata(POSTINGS, {"date": dagkit.night_of(get_current_context()).isoformat()})

    posted = post()
    posted >> [announce(), dagkit.nothing_set_aside()]


remittance_posting()

"""The work queues: grouped, listed, shown with their findings; and the two changes that a person makes."""

import io
import re
from datetime import date

import pytest
import sqlalchemy as sa
from rich.console import Console

from pipeline.errors import Terminal
from pipeline.findings import Finding
from pipeline.reports import work, work_actions
from pipeline.store import register as r
from pipeline.store.store import record_findings
from pipeline.store.work import WorkItem, open_items

ON = date(2026, 11, 20)


def item(subject: str, cause: str = "npi", cents: int = 100, queue: str = "held", **changes) -> WorkItem:
    words = {"title": f"Title {cause}", "reason": "Reason [of] it.", "action": "Do it.", "opened_on": ON}
    return WorkItem(queue=queue, subject=subject, cause=cause, cents=cents, **(words | changes))


@pytest.fixture
def queues(any_store):
    with any_store.begin() as connection:
        open_items(
            connection,
            [item("P1:V1", cents=100, due_on=date(2027, 1, 2)), item("P1:V2", cents=250, due_on=date(2026, 12, 1)),
             item("P1:V3", "tin", 300), item("C1", "CO-50", 350, "denial", claim_id="C1", due_on=date(2027, 3, 1))],
        )  # fmt: skip
        found = [
            Finding(rule="npi", severity="error", message="The NPI is not valid.", fix="Correct it.", source="e.csv row 1", subject="P1:V1"),
            Finding(rule="zip", severity="warning", message="Five [digits].", subject="P1:V1"),
            Finding(rule="npi", severity="error", message="Of another visit.", subject="P1:V2"),
        ]  # fmt: skip
        record_findings(connection, "scrubbing", ON, found)
    return any_store


def resolve(store, item_id: str, note: str) -> str:
    return work_actions.close(store, item_id, work_actions.Wanted("M. Adeyemi", note, ON)).item_id


def shown(row) -> str:
    console = Console(file=io.StringIO(), width=100, highlight=False)
    work.show_one(console, row)
    return console.file.getvalue()


def test_causes_are_grouped_with_their_earliest_due_date(queues):
    assert [(x["queue"], x["cause"], x["items"], x["cents"], x["due_on"]) for x in work.causes(queues)] == [
        ("denial", "CO-50", 1, 350, date(2027, 3, 1)),
        ("held", "npi", 2, 350, date(2026, 12, 1)),
        ("held", "tin", 1, 300, None),
    ]
    assert [x["cause"] for x in work.causes(queues, "denial")] == ["CO-50"]
    assert work.causes(queues, "payer") == []


@pytest.mark.parametrize("listed", [work.causes, work.items])
def test_a_queue_that_does_not_exist_is_told_with_those_that_do(queues, listed):
    with pytest.raises(Terminal, match="no queue 'nope'") as told:
        listed(queues, "nope")
    assert "coding, held, rejection, denial, underpayment, remittance, deposit, file, sending, payer" in told.value.fix


def test_items_come_one_by_one_the_most_dollars_first(queues):
    assert [x["subject"] for x in work.items(queues)] == ["C1", "P1:V3", "P1:V2", "P1:V1"]
    assert [x["subject"] for x in work.items(queues, "held")] == ["P1:V3", "P1:V2", "P1:V1"]


def test_an_item_is_found_by_the_beginning_of_its_id_with_its_findings_alone(queues):
    wanted = item("P1:V1").item_id
    row = work.one(queues, wanted[:8])
    assert row["item_id"] == wanted
    assert [x["message"] for x in row["findings"]] == ["The NPI is not valid.", "Five [digits]."]
    text = shown(row)
    for words in ("Title npi", wanted, "held, cause npi", "P1:V1", "1.00", "2027-01-02", "nobody", "Reason [of] it.",
                  "What to do: Do it.", "error: The NPI is not valid. (e.csv row 1)", "→ Correct it.",
                  "warning: Five [digits]."):  # fmt: skip
        assert words in text


@pytest.mark.parametrize("beginning", ["zz", "", " ", "%", "_"])
def test_an_id_that_names_no_item_is_told(queues, beginning):
    with pytest.raises(Terminal, match="No work item begins" if beginning.strip() else "No work item is named"):
        work.one(queues, beginning)


def test_an_id_that_names_several_items_is_told(queues):
    with queues.read() as connection:
        ids = [row.item_id for row in connection.execute(sa.select(r.work_items.c.item_id))]
    shared = next(a for a in {i[:1] for i in ids} if sum(i.startswith(a) for i in ids) > 1)
    with pytest.raises(Terminal, match="Several work items begin"):
        work.one(queues, shared)


def test_assign_gives_one_item_to_a_person_and_leaves_the_others(queues):
    wanted = item("P1:V1").item_id
    assert work.assign(queues, wanted[:10], "Imogen") == wanted
    assert {x["subject"]: x["owner"] for x in work.items(queues)} == {
        "C1": None, "P1:V1": "Imogen", "P1:V2": None, "P1:V3": None,
    }  # fmt: skip
    assert re.search(r"^owner +Imogen *$", shown(work.one(queues, wanted)), re.M)
    work.assign(queues, wanted, "Tobias")
    assert work.one(queues, wanted)["owner"] == "Tobias"


def test_resolve_closes_one_item_with_its_note(queues):
    wanted = item("P1:V2").item_id
    assert resolve(queues, wanted[:10], "NPI corrected at the practice.") == wanted
    assert [x["subject"] for x in work.items(queues)] == ["C1", "P1:V3", "P1:V1"]
    assert [x["items"] for x in work.causes(queues, "held")] == [1, 1]
    row = work.one(queues, wanted)
    assert (row["state"], row["resolution"]) == ("done", "NPI corrected at the practice.")
    assert "done: NPI corrected at the practice." in shown(row)
    assert "Decided 2026-11-20: close by M. Adeyemi: NPI corrected at the practice." in shown(row)
    with queues.begin() as connection:  # the same cause found again does not open it again
        assert open_items(connection, [item("P1:V2", cents=250)]) == 0


@pytest.mark.parametrize("change", [work.assign, resolve])
def test_what_is_done_stays_as_it_was_written(queues, change):
    wanted = item("P1:V2").item_id
    resolve(queues, wanted, "First note.")
    with pytest.raises(Terminal, match="done already"):
        change(queues, wanted, "Second")
    with queues.read() as connection:
        row = connection.execute(sa.select(r.work_items).where(r.work_items.c.item_id == wanted)).one()
    assert (row.resolution, row.owner) == ("First note.", None)


def visit(key: str, row: int, **changes) -> dict:
    return {
        "encounter_key": key, "content_hash": "0" * 64, "import_id": "e" * 64, "logical_date": ON, "practice_id": "P1",
        "charge_cents": 100, "state": "claimed", "lake_part": "e" * 16, "source_file": "e.csv", "source_row": row,
    } | changes  # fmt: skip


def claim(number: str, key: str) -> dict:
    return {
        "claim_id": number, "encounter_key": key, "payer_key": "medicare", "practice_id": "P1", "guide": "005010X222A1",
        "frequency": "1", "charge_cents": 100, "service_from": ON, "logical_date": ON, "scrubbed_date": ON,
        "scrubbed_part": "p", "state": "denied",
    }  # fmt: skip


def test_an_item_leads_to_the_row_of_its_visit(queues):
    by_subject = item("C2", "A7:562", 10, "rejection")
    with queues.begin() as connection:
        connection.execute(sa.insert(r.encounters), [visit(f"P1:V{n}", 10 + n) for n in (1, 7, 8)])
        connection.execute(sa.insert(r.claims), [claim("C1", "P1:V7"), claim("C2", "P1:V8")])
        open_items(connection, [by_subject])
    for wanted, key, row in (
        (item("C1", "CO-50", queue="denial"), "P1:V7", 17), (by_subject, "P1:V8", 18), (item("P1:V1"), "P1:V1", 11),
    ):  # fmt: skip
        found = work.one(queues, wanted.item_id)
        assert (found["visit"], found["source"]) == (key, f"e.csv row {row}")
        assert re.search(rf"^visit +{key}, e.csv row {row} *$", shown(found), re.M)
    other = work.one(queues, item("P1:V2").item_id)
    assert (other["visit"], other["source"]) == ("", "")
    assert not re.search("^visit", shown(other), re.M)


def test_an_item_of_an_extract_lists_its_rows(queues):
    part, rule = "e" * 16, "intake.date.illegible"
    wanted = item(part, rule, queue="file")

    def told(row: int, subject: str, rule: str = rule) -> Finding:
        place = f"e.csv row {row} column d"
        return Finding(
            rule=rule, severity="error", message=f"{place}: bad.", file="e.csv", source=place, subject=subject
        )

    with queues.begin() as connection:
        aside = {"state": "quarantined"}
        connection.execute(sa.insert(r.encounters), [
            visit("P1:V5", 5, **aside), visit("P1:V6", 6, **aside, lake_part="f" * 16)])  # fmt: skip
        open_items(connection, [wanted])
        earlier = date(2026, 11, 1)  # spoilt once more in the same cell: its finding was known
        record_findings(connection, "encounters", earlier, [told(5, "P1:V5"), told(6, "P1:V6")])
        many = [told(n, f"P1:W{n}") for n in range(100, 140)]
        record_findings(
            connection, "encounters", ON, [told(10, ""), told(9, "P1:V9"), told(3, "P1:V9", "intake.orphan"), *many]
        )
    found = work.one(queues, wanted.item_id)
    rows = [int(x["source"].split()[2]) for x in found["findings"]]
    assert rows == [5, 9, 10, *range(100, 140)]
    text = shown(found)
    assert "error: e.csv row 9 column d: bad.\n" in re.sub(" +\n", "\n", text)
    assert "row 136" in text
    assert "row 137" not in text
    assert f"and 3 more: claimpipe work show {wanted.item_id[:10]} --json" in text

"""Authorizations over nights: what is used is counted from the register, each visit once, and the same night again counts the same."""

from __future__ import annotations

import hashlib
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from coding.visits_in_store import DAY, ON, STATED, everything, put, states

from pipeline import shapes
from pipeline.coding import stage as coding
from pipeline.errors import Terminal
from pipeline.payers import load_profiles
from pipeline.scrubbing import authorizations, stage
from pipeline.store import Store
from pipeline.store import register as r

HEAD = "payer,member_id,number,procedures,from,to,units,visits\n"
MAY = "aetna,w123456789,A1,99202-99215,2026-05-01,2026-05-31"


def write(store: Store, *rows: str) -> None:
    store.settings.home.mkdir(exist_ok=True)  # with PostgreSQL the home holds no register
    (store.settings.home / "authorizations.csv").write_text(
        HEAD + "".join(f"{row}\n" for row in rows), encoding="utf-8"
    )


def night(store: Store, number: int, visits: dict[str, dict[str, Any]] | None = None) -> dict[str, int]:
    on = ON + timedelta(days=number)
    if visits:
        put(store, visits, on, f"x{number}")
    coding.run(store, on)
    return stage.run(store, on)


def on(day: int, **changes: Any) -> dict[str, Any]:
    """The visit of a day in May: the same patient each time."""
    when = date(2026, 5, day)
    return {**STATED, "patient_id": "42", "service_from": when, "service_to": when, **changes}


def became(store: Store, visit: str, **values: Any) -> None:
    with store.begin() as c:
        done = c.execute(sa.update(r.claims).where(r.claims.c.encounter_key == f"P1:{visit}").values(**values))
        assert done.rowcount == 1


def test_the_third_visit_on_two_units_is_held_whatever_the_nights(any_store: Store):
    store = any_store
    write(store, f"{MAY},2,")
    night(store, 0, {"A": on(4)})
    night(store, 1, {"B": on(5)})
    night(store, 2, {"C": on(6), "D": on(7, member_id="W987654321", patient_id="43")})
    assert states(store) == {
        "A": ("claimed", ""), "B": ("claimed", ""), "C": ("held", "authorization-used"), "D": ("claimed", ""),
    }  # fmt: skip
    before = everything(store)
    assert night(store, 3) == {}
    assert everything(store) == before
    write(store, f"{MAY},2,", "aetna,W123456789,A2,99213,2026-05-06,2026-06-30,,1")
    assert night(store, 4)["released"] == 1


def test_visits_of_one_night_take_in_the_order_of_their_services(store: Store):
    write(store, f"{MAY},,2")
    night(store, 0, {"A": on(6), "B": on(4), "C": on(5)})
    assert states(store) == {"A": ("held", "authorization-used"), "B": ("claimed", ""), "C": ("claimed", "")}


def test_a_list_that_comes_late_counts_what_went_before(store: Store):
    night(store, 0, {"A": on(4)})
    write(store, f"{MAY},1,")
    night(store, 1, {"B": on(5)})
    assert states(store)["B"] == ("held", "authorization-used")


@pytest.mark.parametrize(
    ("values", "state"),
    [
        ({"state": "rejected"}, "claimed"),
        ({"state": "denied"}, "claimed"),
        ({"closed_on": ON}, "claimed"),
        ({"state": "paid"}, "held"),
    ],
)
def test_what_the_payer_did_not_take_took_nothing(store: Store, values: dict[str, Any], state: str):
    write(store, f"{MAY},1,")
    night(store, 0, {"A": on(4)})
    became(store, "A", **values)
    night(store, 1, {"B": on(5)})
    assert states(store)["B"][0] == state


def test_versions_of_a_claim_are_counted_once(store: Store):
    """The first version was paid, its replacement is ready: one visit, by its newest version."""
    write(store, f"{MAY},2,")
    night(store, 0, {"A": on(4)})
    with store.begin() as c:
        row = dict(c.execute(sa.select(r.claims)).mappings().one())
        c.execute(sa.update(r.claims).values(state="paid"))
        lake = {name: store.lake.read(f"scrubbed_{name}") for name in stage.TABLES}
        second = {**row, "claim_id": "CV2", "version": 2, "frequency": "7", "scrubbed_part": "p2"}
        c.execute(sa.insert(r.claims).values(second))
    for name, table in lake.items():
        rows = [{**x, "claim_id": "CV2"} for x in table.to_pylist()]
        store.lake.write(f"scrubbed_{name}", row["scrubbed_date"], "p2", shapes.from_rows(f"scrubbed_{name}", rows))
    night(store, 1, {"B": on(5)})
    night(store, 2, {"C": on(6)})
    assert (states(store)["B"][0], states(store)["C"]) == ("claimed", ("held", "authorization-used"))


def test_a_service_outside_the_days_is_held_and_its_neighbour_goes(store: Store):
    write(store, "aetna,W123456789,A1,,2026-05-01,2026-05-04,,")
    night(store, 0, {"A": on(4), "B": on(5)})
    assert states(store) == {"A": ("claimed", ""), "B": ("held", "authorization-dates")}


def test_a_profile_says_which_procedures_need_one(store: Store, tmp_path: Path):
    text = (shapes.schemas_dir() / "payers" / "aetna.toml").read_text(encoding="utf-8")
    changed = text.replace("filing_days = 180\n", 'filing_days = 180\nauthorize = ["70551-70553", "99213"]\n')
    (tmp_path / "aetna.toml").write_text(changed, encoding="utf-8")
    store.settings.payers_dir = str(tmp_path)
    night(store, 0, {"A": on(4), "B": on(5, authorization_number="A1")})
    assert states(store) == {"A": ("held", "authorization-missing"), "B": ("claimed", "")}
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "aetna.toml").write_text(changed.replace("70551-70553", "70553-70551"), encoding="utf-8")
    with pytest.raises(Terminal, match="no range of codes"):
        load_profiles(str(tmp_path / "bad"))


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("aetna,,A1,,2026-05-01,2026-05-31,2,", "member_id is empty"),
        ("aetna,SECRET,A1,9921,2026-05-01,2026-05-31,2,", "procedures is no list"),
        ("aetna,SECRET,A1,99215-99213,2026-05-01,2026-05-31,2,", "procedures is no list"),
        ("aetna,SECRET,A1,,5/1/2026,2026-05-31,2,", "from is no date"),
        ("aetna,SECRET,A1,,2026-05-31,2026-05-01,2,", "to is before from"),
        ("aetna,SECRET,A1,,2026-05-01,2026-05-31,2,2", "it can have one of them"),
        ("aetna,SECRET,A1,,2026-05-01,2026-05-31,NaN,", "no number above 0"),
        ("aetna,SECRET,A1,,2026-05-01,2026-05-31,0,", "no number above 0"),
    ],
)
def test_a_row_that_cannot_be_used_is_told_and_the_others_are_used(store: Store, row: str, words: str):
    write(store, row, f"{MAY},2,")
    found, [told] = authorizations.load(store)
    assert [a.number for a in found] == ["A1"]
    assert words in told.message
    assert told.source == "authorizations.csv row 2"
    assert "SECRET" not in f"{told.message}{told.fix}"


def test_a_file_of_another_form_is_told_in_the_night(store: Store):
    (store.settings.home / "authorizations.csv").write_text("payer,number\naetna,A1\n", encoding="utf-8")
    night(store, 0, {"A": on(DAY.day)})
    assert states(store)["A"][0] == "claimed"
    with store.read() as c:
        [told] = c.execute(sa.select(r.findings).where(r.findings.c.rule == "authorization-list")).fetchall()
    assert "no column member_id, procedures, from, to, units, visits" in told.message


# --- lists that come with extracts --------------------------------------------------------------------------------------


def came(store: Store, number: int, *rows: str, known: bool = True) -> None:
    """The extract of that night had a list beside its visits. `known`: the register has the import."""
    names = HEAD.strip().split(",")
    listed = [
        {k: v or None for k, v in zip(names, row.split(","), strict=True)} | {"source_file": "authorizations.csv", "source_row": n}
        for n, row in enumerate(rows, 1)
    ]  # fmt: skip
    import_id = hashlib.sha256(f"x{number}".encode()).hexdigest()
    made = [row | {"payer_source": row["payer"] and row["payer"].title()} for row in listed]
    when = ON + timedelta(days=number)
    store.lake.write("authorizations", when, import_id[:16], shapes.from_rows("authorizations", made))
    if known:
        counts = dict.fromkeys(
            ("rows_read", "charge_cents", "rows_new", "rows_changed", "rows_known", "rows_quarantined"), 0
        )
        row = {"import_id": import_id, "logical_date": when, "format": "csv", "name": "x", "files_id": import_id}
        with store.begin() as c:
            c.execute(sa.insert(r.imports), [row | counts])


def test_a_list_of_an_extract_counts_like_the_homes(any_store: Store):
    store = any_store
    came(store, 0, f"{MAY},1,")
    night(store, 0, {"A": on(4), "B": on(5)})
    assert states(store) == {"A": ("claimed", ""), "B": ("held", "authorization-used")}
    before = everything(store)
    assert night(store, 1) == {}
    assert everything(store) == before
    came(store, 2, f"{MAY},2,")  # a later extract says more
    assert night(store, 2, {"C": on(6)})["released"] == 1
    assert states(store) == {"A": ("claimed", ""), "B": ("claimed", ""), "C": ("held", "authorization-used")}
    write(store, f"{MAY},3,")  # the home's own list comes before both
    assert night(store, 3)["released"] == 1


def test_a_list_of_an_extract_that_was_not_taken_in_is_none(store: Store):
    came(store, 0, f"{MAY},1,", known=False)  # the power went before the register knew of it
    night(store, 0, {"A": on(4), "B": on(5)})
    assert states(store) == {"A": ("claimed", ""), "B": ("claimed", "")}


def test_rows_of_an_extracts_list_that_cannot_be_used_are_told_with_their_place(store: Store):
    came(store, 0, "aetna,SECRET,A1,,2026-05-31,2026-05-01,2,", f"{MAY},1,")
    night(store, 0, {"A": on(4), "B": on(5)})
    assert states(store)["B"] == ("held", "authorization-used")
    with store.read() as c:
        [told] = c.execute(sa.select(r.findings).where(r.findings.c.rule == "authorization-list")).fetchall()
    assert (told.severity, told.source) == ("warning", "authorizations.csv row 1")
    assert "SECRET" not in told.message


def test_a_dependents_own_number_is_the_one_that_is_authorized(store: Store):
    write(store, "aetna,W555555555,A1,,2026-05-01,2026-05-31,1,")
    mine = {"patient_member_id": "w555555555", "member_id": "W123456789", "relationship": "19"}
    night(store, 0, {"A": on(4, **mine), "B": on(5, **mine), "C": on(6)})
    assert states(store) == {"A": ("claimed", ""), "B": ("held", "authorization-used"), "C": ("claimed", "")}

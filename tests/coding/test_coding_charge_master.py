"""The practice's own charge master, loaded with `codes load` (C4): dated, by modifier, in place of the one that ships."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from coding.visits_in_store import DAY, ON, put, states

from pipeline.codes import loading
from pipeline.coding import rules as tables
from pipeline.coding import stage
from pipeline.store import Store

HEAD = "procedure,modifier,effective_from,effective_to,amount,version\n"
EXAMPLE = Path(__file__).resolve().parents[2] / "schemas" / "codes" / "examples" / "charge_master.csv"


def load(home: Path, text: str, since: date) -> None:
    path = home.parent / f"prices-{since}.csv"
    path.write_text(HEAD + text, encoding="utf-8")
    assert loading.load([path], home, effective_from=since).findings == []


@pytest.mark.parametrize(
    ("procedure", "on", "modifier", "cents"),
    [
        ("99213", date(2024, 6, 30), "", 14500),
        ("99213", date(2024, 7, 1), "", 15200),
        ("99213", date(2023, 12, 31), "", None),
        ("71046", date(2024, 7, 1), "", 7700),
        ("71046", date(2024, 7, 1), "26", 2500),
        ("71046", date(2024, 7, 1), "TC", 7700),
        ("12001", date(2024, 7, 1), "", None),  # the demonstration's price is none of the practice's
    ],
)
def test_a_price_is_chosen_by_the_day_of_service_and_the_modifier(
    tmp_path: Path, procedure: str, on: date, modifier: str, cents: int | None
):
    loading.load([EXAMPLE], tmp_path, effective_from=date(2024, 1, 1))
    found = tables.load(tmp_path).price(procedure, on, modifier)
    assert (found and found.cents) == cents
    shipped = tables.load(None).price("12001", date(2024, 7, 1))
    assert shipped is not None
    assert shipped.cents == 23300


def test_a_newer_edition_takes_the_place_of_an_older_from_its_day(tmp_path: Path):
    home = tmp_path / "home"
    load(home, "99213,,2024-01-01,,140.00,a\n", date(2024, 1, 1))
    load(home, "99213,,2025-01-01,,150.00,b\n", date(2025, 1, 1))
    rules = tables.load(home)
    found = [rules.price("99213", day) for day in (date(2024, 12, 31), date(2025, 1, 1))]
    assert [price and price.cents for price in found] == [14000, 15000]


def test_a_visit_that_waits_for_a_price_is_billed_once_it_is_loaded(store: Store):
    line = {"system": "HCPCS", "code": "99213", "charge": None, "modifier1": "25", "units": 2}
    put(store, {"S": {"diagnoses": [("ICD10CM", "J20.9")], "lines": [line], "service_from": DAY, "service_to": DAY}})
    home = store.settings.home
    load(home, "99214,,2024-01-01,,190.00,a\n", date(2024, 1, 1))
    stage.run(store, ON)
    assert states(store) == {"S": ("coder_list", "price:99213")}
    load(home, "99213,,2024-01-01,,140.00,b\n99213,25,2024-01-01,,145.50,b\n", date(2025, 1, 1))
    counts = stage.run(store, ON.replace(day=11))
    assert states(store) == {"S": ("coded", "")}
    assert counts["priced_cents"] == 29_100
    (coded,) = store.lake.read("coded_lines").to_pylist()
    assert str(coded["charge"]) == "291.00"
    assert coded["price_origin"].startswith("charge master ")
    assert coded["price_origin"].endswith(": 99213-25 from 2024-01-01")

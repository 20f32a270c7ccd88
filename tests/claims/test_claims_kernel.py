"""Claim files built with the compiled kernel and without it: the same bytes, whatever the order of what they are made from."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from claims import samples, whole
from compiled_kernel import built
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.claims.batches import route
from pipeline.payers import load_profiles
from pipeline.settings import SubmitterSettings
from pipeline.transactions.claim_837_forms import KINDS, PROFESSIONAL, form_of
from pipeline.transactions.claim_837_route import Numbers
from pipeline.transactions.claim_837_tables import parents
from pipeline.transactions.claim_837_writer import Interchange837
from pipeline.x12.kernel import using


def copies(tables: tuple[pa.Table, ...], times: int) -> list[pa.Table]:
    """The claims again and again under other ids, some with another patient or billing provider, in no order."""
    made = []
    for table in tables:
        parts = []
        for n in np.random.default_rng(1).permutation(times).tolist():
            changed = {"claim_id": pc.binary_join_element_wise(table.column("claim_id"), f"{n}", "")}
            if "patient_last" in table.column_names and n % 3 == 0:
                changed["patient_last"] = pa.repeat(f"Doe{'x' * (n % 20)}", table.num_rows)
            if "billing_npi" in table.column_names and n % 4 == 0:
                changed["billing_npi"] = pa.repeat(f"10000{n % 9}0001", table.num_rows)
            columns = [changed.get(name, table.column(name)) for name in table.column_names]
            parts.append(pa.Table.from_arrays(columns, schema=table.schema))
        made.append(pa.concat_tables(parts))
    return made


@pytest.mark.parametrize("kind", [*KINDS, "samples"])
def test_the_bytes_are_the_same(kind: str) -> None:
    form = form_of(kind) or PROFESSIONAL
    tables = samples.make(500) if kind == "samples" else copies(whole.tables(kind), 60)
    plain = route(load_profiles()["harbor"], SubmitterSettings(), "T", form)
    for way, most in ((plain, 5000), (replace(plain, newline=True, charset="extended"), 7)):
        files = []
        for chosen in (None, built()):
            with using(chosen):
                meant = Interchange837(*tables, way, form, claims_per_set=most)
                files.append([meant.render(on=date(2024, 3, n), numbers=Numbers(10**n, n)) for n in (2, 3)])
        assert files[0] == files[1]
        for data in files[1]:
            sets = data.decode().replace("\n", "").split("ST*837*")[1:]
            assert [int(s.split("~SE*")[1].split("*")[0]) for s in sets] == [
                s.split("~SE*")[0].count("~") + 2 for s in sets
            ]


@settings(deadline=None)
@given(st.lists(st.integers(0, 12), max_size=12), st.booleans())
def test_the_claim_of_each_row_is_found_in_any_order(owners: list[int], in_order: bool) -> None:
    ids = [f"C{n:02d}" for n in range(10)]  # rows of claims 10 to 12 have none
    rows = sorted(owners) if in_order else owners
    for chosen in (None, built()):
        with using(chosen):
            found = parents(pa.array([f"C{n:02d}" for n in rows], pa.string()), pa.array(ids))
        assert found.tolist() == [n if n < 10 else -1 for n in rows]

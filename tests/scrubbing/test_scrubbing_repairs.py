"""Repairs change how something is written, never what it says."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import shapes
from pipeline.errors import Terminal
from pipeline.payers import load_profiles
from pipeline.scrubbing import edits as books
from pipeline.scrubbing import repairs
from pipeline.scrubbing.edits import Book, Repair
from pipeline.scrubbing.examples import CLAIM

BOOK = books.load()
PROFILES = load_profiles()


def made(**changes: str):
    table = shapes.from_rows("coded_claims", [CLAIM | changes])
    after, done = repairs.make(table, BOOK.repairs, PROFILES)
    before, now = table.to_pylist()[0], after.to_pylist()[0]
    return {k: now[k] for k in now if now[k] != before[k]}, [(d.repair.id, sorted(d.rows)) for d in done]


@pytest.mark.parametrize(
    ("repair", "before", "after"),
    [(r, b, a) for r in BOOK.repairs for b, a in r.passes],
    ids=lambda v: getattr(v, "id", None),
)
def test_examples_of_the_repairs(repair: Repair, before: str, after: str):
    assert repairs.CHANGES[repair.change](before) == after


def test_a_clean_claim_is_left_alone():
    assert made() == ({}, [])


def test_repairs_are_made_in_the_claim_and_named():
    changed, done = made(patient_last=" Núñez", billing_phone="(617) 555-0100", billing_zip="02139-1234")
    assert changed == {"patient_last": "NUNEZ", "billing_phone": "6175550100", "billing_zip": "021391234"}
    assert done == [
        ("spaces", ["patient_last"]), ("accents", ["patient_last"]), ("capitals", ["patient_last"]),
        ("phone", ["billing_phone"]), ("zip", ["billing_zip"]),
    ]  # fmt: skip


def test_codes_dollars_dates_and_identifiers_are_never_touched():
    touched = {field for repair in BOOK.repairs for field in repair.fields}
    kept = {n for n in shapes.schema("coded_claims").names if not repairs.OPEN.match(n)}
    assert not touched & kept
    assert {
        "member_id",
        "billing_npi",
        "billing_tin",
        "charge",
        "service_from",
        "place_of_service",
        "group_number",
    } <= kept
    changed, _ = made(member_id="w-12é", authorization_number="a 1", group_number="g1", patient_id="p1")
    assert changed == {}


def test_a_repair_of_an_identifier_is_refused(tmp_path: Path):
    (tmp_path / "repairs.toml").write_text(
        "[[repair]]\nid='x'\nchange='capitals'\nfields=['member_id']\nmessage='m'\npasses=[['a','A']]\n"
    )
    with pytest.raises(Terminal, match="member_id"):
        repairs.make(shapes.from_rows("coded_claims", [CLAIM]), Book(tmp_path).repairs, PROFILES)


def test_small_letters_stay_where_the_payers_set_has_them():
    extended = PROFILES["aetna"].model_copy(
        update={"claims": PROFILES["aetna"].claims.model_copy(update={"charset": "extended"})}
    )
    table = shapes.from_rows("coded_claims", [CLAIM | {"patient_last": "Núñez"}])
    after, _ = repairs.make(table, BOOK.repairs, {"aetna": extended})
    assert after.column("patient_last").to_pylist() == ["Nunez"]


def test_a_null_stays_null_and_neighbours_stay_as_they_are():
    rows = [CLAIM | {"patient_middle": None}, CLAIM | {"patient_middle": "é"}, CLAIM | {"patient_middle": "X"}]
    after, done = repairs.make(shapes.from_rows("coded_claims", rows), BOOK.repairs, PROFILES)
    assert after.column("patient_middle").to_pylist() == [None, "E", "X"]
    assert [d.rows["patient_middle"].tolist() for d in done] == [[1], [1]]


@given(st.text())
def test_taking_accents_off_loses_no_letter(text: str):
    """Either the text is as it was, or it is plain ASCII with a letter for each letter."""
    after = repairs.accents(text)
    assert after == text or after.isascii()
    if after != text:
        letters = [c for c in unicodedata.normalize("NFD", text) if not unicodedata.combining(c)]
        assert len(after) >= len(letters)


@given(st.text(), st.sampled_from(sorted(repairs.CHANGES)))
def test_a_repair_made_twice_is_made_once(text: str, name: str):
    change = repairs.CHANGES[name]
    assert change(change(text)) == change(text)


@given(st.text(alphabet="*~:^|😀李\x07AB"))
def test_delimiters_and_strange_characters_are_no_repairs_business(text: str):
    for name in ("accents", "capitals", "phone", "zip"):
        assert repairs.CHANGES[name](text) == text

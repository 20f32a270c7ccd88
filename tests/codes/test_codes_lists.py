"""Identifiers with a check of their own, and the small code sets."""

from __future__ import annotations

import csv
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import codes


@given(st.from_regex(r"[12][0-9]{8}", fullmatch=True))
def test_exactly_one_last_digit_makes_an_npi(nine: str):
    assert sum(codes.npi(f"{nine}{digit}") for digit in range(10)) == 1


@pytest.mark.parametrize(
    ("text", "valid"),
    [("1234567893", True), ("1234567890", False), ("123456789", False), ("3234567893", False), ("12345678９3", False)],
)
def test_npi(text: str, valid: bool):
    assert codes.npi(text) is valid


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        ("1EG4TE5MK73", True),
        ("1EG4TE5MS73", False),
        ("0EG4TE5MK73", False),
        ("1EG4-TE5-MK73", False),
        ("1EG4TE5MK7", False),
    ],
)
def test_medicare_beneficiary_identifier(text: str, valid: bool):
    assert codes.mbi(text) is valid


@pytest.mark.parametrize(
    ("text", "valid"),
    [("99213", True), ("G0008", True), ("0001F", True), ("0591T", True), ("V2020", True), ("W0001", False), ("9921", False),
     ("99213X", False), ("D0120", True), ("", False)],
)  # fmt: skip
def test_shape_of_a_procedure(text: str, valid: bool):
    assert codes.procedure_shaped(text) is valid


def test_telehealth_at_home_came_in_2022():
    assert not codes.place_of_service("10", date(2021, 12, 31))
    assert codes.place_of_service("10", date(2022, 1, 1))
    assert not codes.place_of_service("98", date(2022, 1, 1))


def test_a_partial_list_does_not_call_the_unknown_wrong():
    assert codes.known_procedure("99201", date(2020, 12, 31)) is True
    assert codes.known_procedure("99201", date(2021, 1, 1)) is False
    assert codes.known_procedure("12345", date(2021, 1, 1)) is None


def test_reason_and_remark_numbers_are_known_to_the_official_lists(samples: Path):
    with (samples / "codes" / "carc_rarc" / "adj_codes_numbers_2024-06.csv").open(newline="") as file:
        official = {row["code"] for row in csv.DictReader(file)}
    assert codes.reason_codes().keys() <= official
    assert codes.remark_codes().keys() <= official


def test_places_and_states_are_those_of_the_official_lists(samples: Path):
    with (samples / "codes" / "pos" / "pos_codes_2024.csv").open(newline="", encoding="utf-8") as file:
        official = {row["pos_code"] for row in csv.DictReader(file) if "assigned" not in row["pos_name"].lower()}
    ours = {
        code for code in official | {f"{n:02d}" for n in range(100)} if codes.place_of_service(code, date(2024, 6, 1))
    }
    assert ours == official
    listed = set((samples / "codes" / "x12_external" / "states.txt").read_text().split())
    assert codes.states() - listed <= {"AA", "AP", "PW", "MH", "FM", "MP", "AS", "GU", "PR", "VI"}

"""What a file holds, at a glance, without a patient in it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from transactions.x12_text import interchange, professional, remittance

from pipeline.errors import Terminal
from pipeline.transactions.inspect import describe


def test_an_835_with_its_totals(tmp_path: Path) -> None:
    path = tmp_path / "era.835"
    path.write_bytes(remittance())
    found = describe(path)
    assert found["file"] == "era.835"
    assert found["bytes"] == path.stat().st_size
    assert found["counts"] == {"interchanges": 1, "groups": 1, "sets": {"835": 1}}
    assert found["interchanges"] == [
        {
            "control": "000000001", "sender": "SENDER", "receiver": "RECEIVER", "date": "2026-01-05", "usage": "T",
            "groups": [{"functional_id": "HP", "control": "1", "version": "005010X221A1", "sets": {"835": 1},
                        "segments": remittance().count(b"~") - 4}],
        }
    ]  # fmt: skip
    assert found["totals"] == {
        "835": {
            "payments": 1, "payments_cents": 17000, "claims": 2, "charges_cents": 16945, "paid_cents": 13000,
            "patient_responsibility_cents": 2000, "service_lines": 2, "adjustments": 6, "adjustments_cents": 3945,
            "provider_adjustments": 2, "provider_adjustments_cents": -4000,
        }
    }  # fmt: skip
    assert found["codes"] == {"835": {"1": 1, "22": 1}}
    assert found["findings"] == {"error": 0, "warning": 0, "info": 0}
    json.dumps(found)


def test_several_kinds_in_one_file() -> None:
    found = describe(remittance() + professional(delimiters="|!>\n") + professional(control=3))  # type: ignore[arg-type]
    assert found["counts"] == {"interchanges": 3, "groups": 3, "sets": {"835": 1, "837": 2}}
    assert found["totals"]["837"]["charges_cents"] == 2 * 23050
    assert found["totals"]["837"]["line_charges_cents"] == 2 * 23050


def test_nothing_of_a_patient_is_shown_unless_asked() -> None:
    data = remittance() + professional()
    masked = json.dumps(describe(data))
    for value in ("DOE", "JANE", "MEM1", "ACC1", "ROE", "KIM"):
        assert value not in masked
    shown = describe(data, masked=False)["examples"]
    assert [r["patient_last"] for r in shown] == ["DOE", None, "DOE", "ROE"]


def test_damage_in_codes_shows_no_value() -> None:
    data = (
        remittance().replace(b"CLP*ACC2*22*", b"CLP*ACC2*CANARY SMITH*").replace(b"ST*835*0001", b"ST*CANARYNAME*0001")
    )
    assert "CANARY" not in json.dumps(describe(data))


def test_findings_are_counted_and_the_first_listed() -> None:
    found = describe(remittance()[:-30])
    assert found["findings"]["error"] >= 1
    assert found["first_findings"][0]["rule"].startswith("truncated.")


def test_a_ta1_and_an_empty_file() -> None:
    ta1 = interchange(kind="", version="", before_group=["TA1*000000042*260104*1200*A*000"])
    assert describe(ta1)["totals"] == {"TA1": {"interchange_acknowledgments": 1}}
    assert describe(b"")["counts"] == {"interchanges": 0, "groups": 0, "sets": {}}


def test_a_path_that_is_not_there_is_terminal(tmp_path: Path) -> None:
    with pytest.raises(Terminal, match="cannot be read"):
        describe(tmp_path / "absent")

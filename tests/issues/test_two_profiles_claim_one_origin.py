"""'All money of one payer went to the account of another: both profiles had its origin, and the last one read won.'"""

from pathlib import Path

import pytest

from pipeline import payers
from pipeline.errors import Terminal

PROFILE = """
name = "{name}"
payer_id = "{name}1"
matches = {matches}
remittance_origins = {origins}
[interchange]
receiver_id = "{name}"
"""


def folder(tmp_path: Path, **profiles: tuple[list[str], list[str]]) -> str:
    for key, (matches, origins) in profiles.items():
        text = PROFILE.format(name=key.upper(), matches=matches, origins=origins).replace("'", '"')
        (tmp_path / f"{key}.toml").write_text(text)
    return str(tmp_path)


def test_an_origin_in_two_profiles_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Terminal, match="acme and zeta both have '1999999991' in `remittance_origins`"):
        payers.load_profiles(folder(tmp_path, acme=(["A"], ["1999999991"]), zeta=(["Z"], ["1", "1999999991"])))


@pytest.mark.parametrize("name", ["Acme Health", "ACME HEALTH", "acme"])
def test_a_name_in_two_profiles_is_refused_however_it_is_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(Terminal, match="acme and zeta both have"):
        payers.load_profiles(folder(tmp_path, acme=(["Acme Health"], ["1"]), zeta=([name], ["2"])))


def test_a_profile_may_repeat_itself(tmp_path: Path) -> None:
    found = payers.load_profiles(folder(tmp_path, acme=(["Acme", "ACME", "acme"], ["1", "1"]), zeta=(["Z"], ["2"])))
    assert sorted(found) == ["acme", "zeta"]

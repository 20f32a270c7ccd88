"""'I asked for the refused claims, and it said: 0 claims, 0.00, are ready again.'"""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa
from cli.commands import claimpipe
from faults.test_faults_restore import built
from ledger.books import SENT

from pipeline.store import register as r
from pipeline.store.events import Move, move_claims


@pytest.mark.parametrize("yes", [[], ["--yes"]])
def test_nothing_waits(yes: list[str], tmp_path: Path) -> None:
    built(tmp_path / "home").close()
    ran = claimpipe("release", "meridian", "--refused", *yes, "--home", tmp_path / "home")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith("meridian: nothing waits. No claim of this payer stands refused by a TA1 or 999.")
    assert "claimpipe work list --queue rejection" in ran.out
    assert "0.00" not in ran.out


def test_a_payer_that_nobody_knows_is_no_payer_without_claims(tmp_path: Path) -> None:
    built(tmp_path / "home").close()
    ran = claimpipe("release", "meridan", "--refused", "--home", tmp_path / "home")
    assert ran.code == 2
    assert "There is no payer profile meridan." in ran.sentence


def test_one_claim_is_ready(tmp_path: Path) -> None:
    store = built(tmp_path / "home")
    with store.begin() as c:
        claim_id = str(c.execute(sa.select(sa.func.min(r.claims.c.claim_id))).scalar_one())
        move_claims(c, SENT, [Move(claim_id, "999 R", "rejected")])
    store.close()
    would = claimpipe("release", "meridian", "--refused", "--home", tmp_path / "home")
    does = claimpipe("release", "meridian", "--refused", "--yes", "--home", tmp_path / "home")
    assert "meridian: 1 claim, " in would.out
    assert would.out.endswith("would go; say --yes to let it.\n")
    assert does.out.endswith("is ready again: the next run puts it into new files.\n")

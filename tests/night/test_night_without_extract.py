"""A bad extract stops what would build on it; money that has come in is posted and reconciled all the same."""

import pytest
import sqlalchemy as sa
from night.nights import payer_in_a_box, record, run_night

from pipeline import sample
from pipeline.errors import Terminal
from pipeline.store import open_store
from pipeline.store import register as r

pytestmark = pytest.mark.slow


def count(loaded, table) -> int:
    store = open_store(loaded)
    with store.read() as connection:
        found = connection.execute(sa.select(sa.func.count()).select_from(table)).scalar()
    store.close()
    return found


def test_the_mail_is_worked_although_the_extract_is_bad(tmp_path):
    extract = tmp_path / "extract"
    sample.make(visits=20, seed=4, out=extract)
    home = tmp_path / "home"
    with payer_in_a_box(home, '[[fault]]\nkind = "late_ack"\nanswers = ["TA1", "999", "277CA", "835"]\nseconds = 4\ntimes = 9\n',
                        inbox={"wait_seconds": 0}) as loaded:  # fmt: skip
        run_night(loaded, extract)
        assert record(home)
        assert count(loaded, r.remittances) == 0, "the answers were to come late"
    (extract / "services.csv").unlink()
    with payer_in_a_box(home) as loaded:
        with pytest.raises(Terminal, match="services"):
            run_night(loaded, extract)
        assert count(loaded, r.remittances) > 0
        assert count(loaded, r.matches) > 0

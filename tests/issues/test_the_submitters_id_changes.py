"""'We changed submitter.interchange_id, and since then every night ends with an IntegrityError.' Numbers began at 1 again."""

from claims import houses, samples
from conftest import rows

from pipeline.claims import stage
from pipeline.store import register as r
from pipeline.store.behind import gaps


def built(store, prefix: str) -> None:
    houses.ready(store, samples.make(2, seed=ord(prefix), payer_key="meridian", prefix=prefix), "meridian", part=prefix)
    assert stage.build(store, houses.ON, "meridian")["claims"] == 2


def test_numbers_go_on_above_those_of_the_old_id_and_of_the_new_one_when_it_is_changed_back(tmp_path):
    store = houses.opened(tmp_path / "home")
    built(store, "A")
    built(store, "B")
    old = store.settings.submitter
    store.settings.submitter = old.model_copy(update={"id": "NEWCLINIC", "interchange_id": "NEWCLINIC"})
    built(store, "C")
    store.settings.submitter = old
    built(store, "D")
    numbers = {(row.scope.partition(":")[0], row.number) for row in rows(store, r.control_numbers)}
    assert numbers == {(kind, n) for kind in ("isa", "gs") for n in (1, 2, 3, 4)}
    assert sorted(s.interchange_control for s in rows(store, r.sendings)) == [f"{n:09d}" for n in (1, 2, 3, 4)]
    assert len({row.scope for row in rows(store, r.control_numbers)}) == 4
    assert gaps(store) == []
    store.close()

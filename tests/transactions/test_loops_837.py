"""The names of loops in `parties` are those of the guides."""

from __future__ import annotations

import tomllib

import pytest

from pipeline.shapes import schemas_dir
from pipeline.transactions.loops_837 import LOOPS, guide_of


def named_loops(guide: str) -> set[tuple[str, str]]:
    """(loop, NM101) of each NM1 of a guide."""
    data = tomllib.loads((schemas_dir() / "guides" / f"{guide}.toml").read_text(encoding="utf-8"))
    found: set[tuple[str, str]] = set()
    for loop in data["loop"]:
        for segment in loop.get("segments", []):
            if segment["layout"].partition(".")[0] == "NM1":
                found |= {(loop["id"], entity) for entity in segment.get("codes", "").split()}
    return found


@pytest.mark.parametrize(("guide", "ours"), [("837P", "5010P"), ("837I", "5010I"), ("837D", "5010D")])
def test_each_name_of_the_guide_has_its_loop(guide: str, ours: str) -> None:
    table = {(loop, entity) for (_, entities), loop in LOOPS[ours].items() for entity in entities}
    assert table == named_loops(guide)


def test_guides_are_known_by_their_names() -> None:
    assert [guide_of(v) for v in ("005010X222A1", "005010X223A3", "005010X224A2", "004010X098A1", "")] == [
        "5010P", "5010I", "5010D", "4010P", None,
    ]  # fmt: skip

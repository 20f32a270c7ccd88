"""A segment of its id alone, where no element is required, was taken for good, and its text, which is the id, then stood for
every segment of that id: the next file in the same process could not be read."""

from __future__ import annotations

import pytest
from x12 import x12_files as files

from pipeline.x12.validator import validate

GOOD = files.render(files.lines(files.FILES["270"]))


@pytest.mark.parametrize("bare", [b"DMG", b"DMG***"])
def test_a_segment_without_elements_is_told(bare: bytes) -> None:
    found = validate(GOOD.replace(b"DMG*D8*20150115*F", bare))
    assert [(f.rule, f.segment_id, f.segment, f.element) for f in found if f.rule != "x12.trailing-separator"] == [
        ("x12.element-missing", "DMG", 14, 1)
    ]


def test_the_next_file_is_read_as_ever() -> None:
    validate(GOOD.replace(b"DMG*D8*20150115*F", b"DMG"))
    assert validate(GOOD) == []

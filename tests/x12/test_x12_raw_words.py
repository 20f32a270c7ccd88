"""BIN and BDS, whose bytes cut nothing, are noticed wherever they stand, and nothing else is taken for them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.x12.validator_tokens import _names_raw


@given(st.lists(st.sampled_from(b"BIDNS~*")).map(bytes), st.integers(0, 20), st.integers(0, 20))
def test_they_are_seen_where_a_search_finds_them(data: bytes, start: int, more: int) -> None:
    start = min(start, len(data))
    stop = min(start + more, len(data))
    assert _names_raw(data, start, stop) == any(data.find(word, start, stop) >= 0 for word in (b"BIN", b"BDS"))

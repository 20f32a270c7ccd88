from __future__ import annotations

from collections.abc import Iterator

import pytest
from payer_simulator.box import BoxUnderTest

from pipeline.settings import Settings


@pytest.fixture
def box(settings: Settings) -> Iterator[BoxUnderTest]:
    """A payer in a box in the test's own home: not started; stopped at the end."""
    under_test = BoxUnderTest(settings)
    yield under_test
    under_test.stop()

"""Python's search for objects that refer to one another in circles, and how seldom the work of a night needs it.

Theory. Python frees an object when nothing refers to it any more; only circles need a search, which it begins after every 700 new
objects, going through all that are young, and again and again through all there are. The work of a night makes millions of rows,
segments and elements that refer to nothing behind them: the search found a few thousand small objects in a night and took a sixth of
its time (of a file that badx12 reads, two thirds). So it begins after many more, and memory stays as it was.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

#: new objects before a search
NEW_OBJECTS = 50_000


@contextmanager
def looked_for_less() -> Iterator[None]:
    """While this is open the search is seldom; behind it, as often as before."""
    before = gc.get_threshold()
    gc.set_threshold(NEW_OBJECTS, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)

"""Cutting for the validator: batches of raw segments, cut as the other readers cut them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from pipeline.x12.isa import runs, without_raw
from pipeline.x12.segments import BLANKS, DEFAULT_DELIMITERS, delimiters_of

#: segments read at a time: bounds memory, whatever the file
CHUNK = 1 << 20


class Tokens:
    """Batches of raw segments, cut as the other readers cut them. Each batch lies under one set of delimiters."""

    def __init__(self, data: bytes, text: str) -> None:
        self.data = data
        self.text = text
        self.delimiters = DEFAULT_DELIMITERS
        self.ragged = False  # a newline stands before each terminator
        self.outside = ""  # what stands before the first ISA, or instead of one
        self.last = False  # the run at hand is the file's last one

    def __iter__(self) -> Iterator[tuple[int, str, bool]]:
        """(offset, text of whole segments without the last terminator, line ends included; True), and for what no terminator
        ends (offset, text, False)."""
        for run in runs(self.data):
            if run.wire is None:
                self.outside = self.text[run.start : run.stop]
                continue
            head = self.text[run.start : run.start + 200].split(chr(run.wire.element), 13)
            declared = delimiters_of(run.wire)
            self.delimiters = replace(
                declared, repetition=_repetition(declared.repetition, head[12] if head[12:] else "")
            )
            self.ragged, self.last = run.wire.ragged, run.stop == len(self.data)
            text, shift = self.text, 0
            if _names_raw(self.data, run.start, run.stop):
                text, shift = without_raw(text[run.start : run.stop], declared.element, declared.segment), run.start
            position, stop, mark = run.start - shift, run.stop - shift, declared.segment
            while position < stop:
                end = text.rfind(mark, position, min(position + CHUNK, stop))
                if end < 0:
                    end = text.find(mark, position, stop)
                if end < 0:
                    rest = text[position:stop].rstrip(BLANKS)
                    if rest.lstrip(BLANKS):
                        yield position + shift, rest, False
                    break
                yield position + shift, text[position:end], True
                position = end + 1


def _names_raw(data: bytes, start: int, stop: int) -> bool:
    """Do the letters BIN or BDS stand there? B is rare, so looking for it alone is faster than a search for either word."""
    view = np.frombuffer(data, dtype=np.uint8, count=stop - start, offset=start)
    at = np.flatnonzero(view[:-2] == ord("B"))
    second, third = view[at + 1], view[at + 2]
    words = (second == ord("I")) & (third == ord("N")) | (second == ord("D")) & (third == ord("S"))
    return bool(words.any())


def _repetition(mark: str, version: str) -> str:
    """ISA11 is the repetition separator from version 00402 on; before, a standards id (U)."""
    return "" if version < "00402" else mark

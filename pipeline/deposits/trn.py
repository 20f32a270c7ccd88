"""The TRN segment as banks carry it: in the addenda of an EFT, or in the text of a deposit, cut over several records."""

from __future__ import annotations

import re
from collections.abc import Sequence

#: TRN02 has 1 to 50 characters, TRN03 exactly ten; banks end the segment with a backslash, a tilde or nothing
_PLAIN = re.compile(r"TRN\*1\*([^*~\\\s]{1,50})\*([0-9A-Za-z]{10})")
_WITH_BLANKS = re.compile(r"TRN\*1\*([^*~\\]{1,50})\*([0-9A-Za-z]{10})")


def find(pieces: Sequence[str]) -> tuple[str, str]:
    """(trace, origin), or two empty texts.

    Pieces are put together as they are, then without the blanks that fill their records; a trace that really holds blanks
    is taken last.
    """
    whole = "".join(pieces)
    for pattern, text in ((_PLAIN, whole), (_PLAIN, "".join(p.strip() for p in pieces)), (_WITH_BLANKS, whole)):
        match = pattern.search(text)
        if match:
            return match.group(1).strip(), match.group(2)
    return "", ""

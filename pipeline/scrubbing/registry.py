"""All checks by name, whichever module they stand in, and whether an edit can be used with them."""

from __future__ import annotations

import re
import string

from pipeline import shapes
from pipeline.scrubbing import authorizations, checks, checks_tables
from pipeline.scrubbing.edits import Edit

#: the modules register their checks when they are read
MODULES = (checks, checks_tables, authorizations)
CHECKS, TESTS, WORDS = checks.CHECKS, checks.TESTS, checks.WORDS


def faults(edit: Edit) -> list[str]:
    """What makes an edit unusable, in plain words: names that do not exist."""
    if edit.check not in CHECKS:
        return [f"it names a check that does not exist: {edit.check}"]
    found = []
    claims, own = set(shapes.schema("coded_claims").names), set(shapes.schema(f"coded_{edit.table}").names)
    if unknown := sorted({f for f in edit.fields if f not in own}):
        found.append(f"{edit.table} have no column {', '.join(unknown)}")
    lines = {f"{checks.OF_LINE}{name}" for name in own} if edit.table == "lines" else set()
    if unknown := sorted({f for f in edit.when if f not in claims | lines}):
        found.append(f"`when`: claims have no column {', '.join(unknown)}")
    if edit.check == "beside" and edit.parameters.get("other") not in own:
        found.append(f"its parameter other is no column of {edit.table}")
    try:
        places = {
            name for text in (edit.message,) for _, name, _, _ in string.Formatter().parse(text) if name is not None
        }
    except ValueError:
        return [*found, "the message has a brace that stands alone"]
    if unknown := sorted(places - {"field"} - WORDS.get(edit.check, frozenset())):
        found.append(f"the message has places that the check {edit.check} does not fill: {', '.join(unknown)}")
    if edit.check == "test" and edit.parameters.get("test") not in TESTS:
        found.append(f"its parameter test is none of {', '.join(sorted(TESTS))}")
    if edit.check == "pattern":
        try:
            re.compile(str(edit.parameters["pattern"]), re.ASCII)
        except (re.error, KeyError):
            found.append("its parameter pattern is missing or is no regular expression")
    return found

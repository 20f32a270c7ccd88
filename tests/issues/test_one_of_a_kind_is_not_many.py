"""'It says that 1 claims would go.' Numbers of things are said by one helper, in all messages."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.wording import counted

ROOM = Path(__file__).resolve().parents[2] / "pipeline"
#: what is counted in messages, behind words that say more of it
THINGS = re.compile(
    r" (?:(?:bank|business|claim|further|more|production|received|service) )*(?:accounts|bytes|claims|columns|days|deposits|edits|elements|errors|examples|files|findings|groups|"
    r"interchanges|items|lines|messages|minutes|pairs|records|remittances|rows|segments|sets|units|values|visits)\b"
)


@pytest.mark.parametrize(
    ("number", "said"), [(0, "0 visits"), (1, "1 visit"), (2, "2 visits"), (1_000, "1,000 visits"), (-1, "-1 visits")]
)
def test_a_number_and_its_noun(number: int, said: str) -> None:
    assert counted(number, "visit") == said


def test_a_plural_of_its_own() -> None:
    assert [counted(n, "claim waits", "claims wait") for n in (1, 2)] == ["1 claim waits", "2 claims wait"]


def plurals(source: str) -> Iterator[tuple[int, str, str]]:
    """(line, expression, what follows) of every number in a text that is followed by a plural, whatever the number is."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.JoinedStr):
            for value, after in zip(node.values, node.values[1:], strict=False):
                if isinstance(value, ast.FormattedValue) and isinstance(after, ast.Constant):
                    expression = ast.unparse(value.value)
                    if (
                        THINGS.match(str(after.value))
                        and not expression.isupper()
                        and not expression.startswith("counted(")
                    ):
                        yield value.lineno, expression, str(after.value)


def test_the_search_finds_what_it_looks_for() -> None:
    text = 'f"{n} claims wait; {len(x):,} more files; {DAYS} days; {counted(n, chr(99))} of visits"'
    assert [(found[1], found[2][:6]) for found in plurals(text)] == [("n", " claim"), ("len(x)", " more ")]


def test_no_message_says_a_plural_of_one() -> None:
    found = [
        (str(path.relative_to(ROOM)), *one)
        for path in sorted(ROOM.rglob("*.py")) if "migrations" not in path.parts
        for one in plurals(path.read_text(encoding="utf-8"))
    ]  # fmt: skip
    kinds = [("coding/visit.py", "kind")]  # "professional claims"
    assert [one for one in found if (one[0], one[2]) not in kinds] == []

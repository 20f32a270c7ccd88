"""What is printed for people: it fits the terminal, and no number, id or date is cut or folded."""

import dataclasses
import io
import re

import pytest
from reports.conftest import gathered
from reports.test_reports_page import proof_that_is_open
from rich.console import Console

from pipeline.money import shown
from pipeline.reports import proof as proof_report
from pipeline.reports import terminal, work

WIDTHS = (80, 120)


def printed(width: int, show, *arguments) -> str:
    console = Console(file=io.StringIO(), width=width, highlight=False)
    show(console, *arguments)
    text = console.file.getvalue()
    assert all(len(line.rstrip("\n")) <= width for line in text.splitlines())
    return text


@pytest.mark.parametrize("width", WIDTHS)
def test_the_night_fits(bad_night, width):
    summary = bad_night.summary
    text = printed(width, terminal.show, summary)
    for stage in summary.funnel:
        [line] = [line for line in text.splitlines() if re.match(rf"{stage.name} .* visits ", line)]
        assert line.endswith(
            f" {stage.count:,} visits  {shown(stage.cents).rjust(len(shown(summary.charge)))}".rstrip()
        )
    for file in summary.files:
        assert re.search(
            rf"^{re.escape(file.payer)} .*{file.interchange_control} .* {re.escape(shown(file.cents))} ", text, re.M
        )
    for item in summary.todo[:12]:
        assert re.search(
            rf"^{item.queue} +{item.count} +{re.escape(shown(item.cents))}  {re.escape(item.title[:20])}", text, re.M
        )
    words = " ".join(text.split())
    rest = summary.todo[12:]
    assert f"… {sum(x.count for x in rest)} {shown(sum(x.cents for x in rest))} {len(rest)} more causes" in words
    assert f"in suspense {shown(summary.deposited('suspense'))}" in words
    assert "Residue 0.00: every visit is in one state and every cent is explained." in words.replace(" │ │ ", " ")
    plain = " ".join(re.sub("[│╭╮╰╯─]", " ", text).split())
    for said in [*summary.rejects, *summary.troubles]:
        assert " ".join(said.split()) in plain
    for notice in summary.notices[:6]:
        assert " ".join(notice.says.split()) in plain


def test_bars_are_as_long_as_their_visits(bad_night):
    text = printed(120, terminal.show, bad_night.summary)
    lengths = [len(bar) for bar in re.findall("█+", text)]
    counts = [stage.count for stage in bad_night.summary.funnel]
    assert lengths == [round(40 * count / counts[0]) for count in counts]


def test_an_open_proof_names_what_differs(bad_night):
    summary = dataclasses.replace(bad_night.summary, proof=proof_that_is_open(bad_night.summary.proof))
    text = printed(120, terminal.show, summary)
    assert "✗ charges of <extracts> = charges of their visits: expected 100.00, found 98.77" in text
    assert "✗ 3 visits say that they have no claim." in text
    assert "Residue 1.23: the proof does not close." in text
    assert "every cent is explained" not in text


def test_a_night_with_nothing_is_short(copied, bad_night):
    store = copied()
    text = printed(80, terminal.show, gathered(store, on=bad_night.summary.on.replace(day=21)))
    assert "No new extract came with this night." in text
    assert "From visit to money" not in text
    assert "Claim files" not in text


def test_square_brackets_of_messages_are_printed_and_not_obeyed(bad_night):
    summary = dataclasses.replace(bad_night.summary, troubles=["harbor: [red]no[/] such file [bold]"])
    assert "! harbor: [red]no[/] such file [bold]" in printed(120, terminal.show, summary)


@pytest.mark.parametrize("width", WIDTHS)
def test_the_proof_fits(bad_night, width):
    proof = proof_that_is_open(bad_night.summary.proof)
    text = printed(width, proof_report.show, proof)
    for line in proof.lines:
        numbers = " +".join(re.escape(shown(x)) for x in (line.expected, line.found, line.difference))
        assert re.search(rf"^{re.escape(line.name[:20])}.* {numbers} *$", text, re.M), line.name
    assert "On the coder's list" in text
    assert "Residue 1.23: the proof does not close." in text
    assert "✗ 3 visits say that they have no claim." in text
    closed = printed(width, proof_report.show, bad_night.summary.proof)
    assert "Residue 0.00: every visit is in one state and every cent is explained." in closed


@pytest.mark.parametrize("width", WIDTHS)
def test_the_work_queues_fit(copied, width):
    store = copied()
    causes, items = work.causes(store), work.items(store)
    text = printed(width, work.show, causes)
    for row in causes:
        due = row["due_on"].isoformat() if row["due_on"] else ""
        assert re.search(
            rf"^{row['queue']} +{row['items']} +{re.escape(shown(row['cents']))} +{due} *{re.escape(row['title'][:15])}", text, re.M
        )  # fmt: skip
        assert row["action"].split()[0] in text
    text = printed(width, work.show, items)
    for row in items:
        assert re.search(rf"^{row['item_id'][:10]}  {row['queue']} +{re.escape(shown(row['cents']))}  ", text, re.M)
    assert printed(width, work.show, []) == "Nothing to do.\n"

"""The pages: whole HTML, no request to anywhere, no patient, every trouble told, and the same bytes for the same register."""

import dataclasses
import re
from datetime import date
from html.parser import HTMLParser

import pytest
from night.nights import ON
from reports.conftest import gathered

from pipeline.ledger.proof import Line, Proof
from pipeline.money import shown
from pipeline.reports import night as night_report
from pipeline.reports import page
from pipeline.reports.summary import Check, Suite, ToDo

VOID = {"meta", "link", "br", "hr", "img", "input", "col", "wbr"}
LINKS = ("href", "src", "srcset", "action", "poster", "data", "background", "formaction", "xlink:href")


class Page(HTMLParser):
    """What a page is made of. Raises where an element is closed that is not open, or not closed at all."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.links: list[tuple[str, str]] = []
        self.ids: list[str] = []
        self.styles: list[str] = []
        self.tags: set[str] = set()
        self.cells: list[list[str]] = []
        self.tables: list[list[list[str]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == [], f"not closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        for name, value in attrs:
            assert not name.startswith("on"), f"{tag} has a script in {name}"
            if name in LINKS:
                self.links.append((tag, value or ""))
            if name == "style":
                self.styles.append(value or "")
            if name == "id":
                self.ids.append(value or "")
        assert len({name for name, _ in attrs}) == len(attrs), f"{tag} has an attribute twice"
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in ("td", "th"):
            self.tables[-1][-1].append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        last = self.open.pop()
        assert last == tag, f"</{tag}> closes <{last}>"

    def handle_data(self, data):
        if "style" in self.open:
            self.styles.append(data)
        else:
            self.words.append(data)
        if self.open and {"td", "th"} & set(self.open):
            self.tables[-1][-1][-1] += data

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def rows(self, first_heading: str) -> list[list[str]]:
        [found] = [t for t in self.tables if t[0][0].strip() == first_heading]
        return [[cell.strip() for cell in row] for row in found[1:]]


def proof_that_is_open(proof: Proof) -> Proof:
    line = Line("charges of <extracts> = charges of their visits", 10_000, 9_877)
    return dataclasses.replace(proof, lines=[line, *proof.lines], broken=["3 visits say that they have no claim."])


@pytest.fixture(scope="module")
def whole(bad_night):
    return Page(page.render(bad_night.summary))


@pytest.fixture(scope="module")
def pages(bad_night):
    """The pages of the bad night, of a night without anything, and of one whose proof is open."""
    summary = bad_night.summary
    nothing = dataclasses.replace(
        summary, visits=0, charge=0, funnel=[], states=[], intakes=[], mail=[], todo=[], items=[], files=[], payer_lines=[],
        accounts=[], deposits=[], tie=[], suites=[], troubles=[],
    )  # fmt: skip
    open_ = dataclasses.replace(summary, proof=proof_that_is_open(summary.proof))
    return {
        f"{render.__name__} {name}": render(found)
        for render in (page.render, page.render_quality)
        for name, found in (("bad", summary), ("empty", nothing), ("open", open_))
    }


def test_every_page_is_whole_html(pages):
    for text in pages.values():
        assert text.startswith("<!doctype html>\n<html lang=")
        found = Page(text)
        assert len(set(found.ids)) == len(found.ids)
        for table in found.tables:
            assert len({len(row) for row in table}) == 1, table[0]
            assert len(table) > 1, f"a heading without rows: {table[0]}"


def test_no_page_asks_anything_of_anyone(pages):
    """No script, no frame, no picture from outside; links lead to the reports beside it, and all else is forbidden."""
    for text in pages.values():
        found = Page(text)
        assert not found.tags & {
            "script",
            "iframe",
            "img",
            "object",
            "embed",
            "form",
            "base",
            "video",
            "audio",
            "image",
            "use",
        }
        for tag, link in found.links:
            assert (tag, link) == ("link", "data:,") or tag == "a"
            assert re.fullmatch(r"data:,|#[a-z_]+|(night|quality)-2026-11-20\.(html|xlsx)", link), link
        for style in found.styles:
            assert not re.search(r"url\s*\(|@import|expression|https?:|//", style), style[:80]
        assert "default-src 'none'" in text


def test_links_lead_to_files_that_are_there(bad_night, tmp_path):
    written = night_report.write(tmp_path, bad_night.summary)
    assert [p.name for p in written] == [f"night-{ON}.html", f"quality-{ON}.html", f"night-{ON}.xlsx"]
    for path in written[:2]:
        found = Page(path.read_text())
        for tag, link in found.links:
            if link.startswith("#"):
                assert link[1:] in found.ids
            elif tag == "a":
                assert (path.parent / link).is_file(), link
    assert any(link == f"quality-{ON}.html" for _, link in Page(written[0].read_text()).links)


def test_no_patient_is_on_a_page(bad_night, pages):
    assert len(bad_night.secrets) > 250
    for text in pages.values():
        assert "zqx" not in text.casefold()
        words = set(re.findall(r"[A-Za-z0-9']+", text))
        assert not {s for s in bad_night.secrets if s in words or (" " in s and s in text)}


def test_the_numbers_on_the_page_are_the_summarys(whole, bad_night):
    summary = bad_night.summary
    assert f"Residue ${shown(summary.residue)}" in whole.text
    states = whole.rows("state")
    assert [(int(r[1]), r[2]) for r in states[:-1]] == [(n, shown(c)) for _, n, c in summary.states]
    assert states[-1] == ["All", "120", shown(summary.charge)]
    assert [(r[3], int(r[2])) for r in whole.rows("what")] == [(shown(x.cents), x.count) for x in summary.todo]
    for stage in summary.funnel:
        assert f"{stage.name} {stage.count:,} visits · ${shown(stage.cents)}" in whole.text


def test_the_money_adds_up_before_the_readers_eyes(whole, bad_night):
    """Every sum of the page follows from the rows above it, and the tiles say the same. This night has a PLB, money that was
    not found at the bank yet and a deposit that nothing explains."""
    rows = whole.rows("money")
    total, signs = 0, set()
    for said, text in rows:
        cents = int(text.replace(",", "").replace(".", "").replace("−", "-"))
        if said.startswith("="):
            assert cents == total, said
        else:
            total += -cents if said.startswith("−") else cents
            signs.add(said)
    assert [said for said, _ in rows if said.startswith("=")] == [
        "= Posted remittances (BPR02)", "= Deposits that remittances explain", "= In the bank"
    ]  # fmt: skip
    [(posted,)] = bad_night.sql("select sum(amount_cents) from remittances where state = 'posted'")
    [(bank,)] = bad_night.sql("select sum(amount_cents) from deposits")
    [(plb,)] = bad_night.sql("select sum(cents) from ledger_entries where account like 'provider_adjustment:%'")
    assert plb
    assert {"+ Paid by payers outside of claims (PLB)", "+ Deposits in suspense"} <= signs
    amounts = dict(rows)
    assert amounts["= Posted remittances (BPR02)"] == shown(posted)
    assert amounts["= In the bank"] == shown(bank)
    assert amounts["+ Paid by payers outside of claims (PLB)"].replace("−", "-") == shown(-plb)
    assert not any("Not explained" in said for said in signs)
    paid = amounts["Paid by payers for claims"]
    assert f"${shown(posted)} paid by payers so far: ${paid} for claims, " in whole.text
    assert f"${amounts['= Deposits that remittances explain']} of it in the bank, " in whole.text


def test_books_that_do_not_add_up_say_so_in_the_money(bad_night):
    accounts = [(name, cents + (name == "bank:operating") * 7) for name, cents in bad_night.summary.accounts]
    found = Page(page.render(dataclasses.replace(bad_night.summary, accounts=accounts)))
    assert dict(found.rows("money"))["+ Not explained: see the proof"] == "0.07"


def test_bars_are_as_long_as_their_numbers(bad_night):
    bars = re.findall(
        r'class="bar ([a-z ]+)" data-number="(\d+)" style="width:([\d.]+)%', page.render(bad_night.summary)
    )
    funnel = bad_night.summary.funnel
    for kind, numbers in (("", [s.count for s in funnel]), (" money", [s.cents for s in funnel])):
        found = [(int(n), float(w)) for group, n, w in bars if group.endswith("money") == bool(kind)]
        assert [n for n, _ in found] == numbers
        for number, width in found:
            assert width == pytest.approx(100 * number / max(numbers), abs=0.001)


def test_troubles_and_an_open_proof_cannot_be_overlooked(bad_night, pages):
    assert bad_night.summary.troubles
    found = Page(pages["render open"])
    for said in [*bad_night.summary.troubles, *bad_night.summary.rejects, *(n.says for n in bad_night.summary.notices)]:
        assert said in found.text
    assert f"Residue ${shown(bad_night.summary.residue + 123)}: the proof does not close" in found.text
    assert "3 visits say that they have no claim." in found.text
    assert ["Charges of <extracts> = charges of their visits", "100.00", "98.77", "−1.23"] in found.rows(
        "what must agree"
    )
    assert 'class="badge bad" id="residue"' in pages["render open"]
    assert 'class="badge" id="residue"' in pages["render bad"]


def test_an_empty_night_says_so(pages):
    text = Page(pages["render empty"]).text
    for words in ("No new extract.", "No file of a payer or the bank.", "No visit is new this night.",
                  "No file was made this night.", "No deposit has been seen yet.", "No check ran"):  # fmt: skip
        assert words in text
    assert "No check ran: nothing was new." in Page(pages["render_quality empty"]).text


def test_deposits_in_suspense_are_listed_with_their_sum(whole, bad_night):
    [table] = [t for t in whole.tables if t[-1][0] == "All in suspense"]
    suspense = [d for d in bad_night.summary.deposits if d.state == "suspense"]
    assert [row[2] for row in table[1:]] == [*(shown(d.cents) for d in suspense), shown(sum(d.cents for d in suspense))]


def test_a_payers_name_is_text_on_the_page(copied, tmp_path):
    """Fault 27 on a page: what looks like HTML is shown, not obeyed."""
    todo = ToDo("held", "x", "<script>alert(1)</script>", "<b>", 1, 100, '"><img src=x>', None)
    summary = dataclasses.replace(gathered(copied()), todo=[todo])
    found = Page(page.render(summary))
    assert not found.tags & {"script", "img"}
    assert '<script>alert(1)</script> "><img src=x> · x' in found.text


def test_more_causes_than_a_page_holds_are_counted(bad_night):
    todo = [ToDo("held", f"c{n}", f"Title {n}", "Do.", n, n * 100, "", date(2026, 12, 1)) for n in range(1, 61)]
    found = Page(page.render(dataclasses.replace(bad_night.summary, todo=todo)))
    assert len(found.rows("what")) == page.CAUSES
    rest = todo[page.CAUSES :]
    total = sum(x.cents for x in rest)
    assert f"And 20 more causes with {sum(x.count for x in rest):,} items over ${shown(total)}" in found.text


def test_the_quality_page_tells_thresholds_words_and_what_stopped(bad_night):
    check = Check("The visit names no patient.", "Complete it.", "patient_id", False, 1000, 600, False)
    fine = dataclasses.replace(check, success=True, failed=0, says="Two visits carry the same id.", fix="Mend <it>.")
    summary = dataclasses.replace(bad_night.summary, suites=[Suite("encounters", 0.5, (check, fine))])
    found = Page(page.render_quality(summary))
    assert "1 of 2 checks passed" in found.text
    assert (
        "The stage stops where more than 50% of them fail; the check that failed most often failed on 60%."
        in found.text
    )
    assert "Stopped. Visits as taken in" in found.text
    rows = found.rows("what would be wrong")
    assert rows[0] == [
        "The visit names no patient.Complete it.",
        "patient_id",
        "1,000",
        "600",
        "stopped the stage",
    ]
    assert rows[1] == ["Two visits carry the same id.", "patient_id", "1,000", "0", "passed"]
    assert found.text.count("nothing was new") == 7


def test_a_small_share_is_never_shown_as_none():
    assert [page._percent(x) for x in (0.0, 0.00001, 0.001, 0.5, 1.0)] == ["0%", "<0.1%", "0.1%", "50%", "100%"]


def test_the_same_register_gives_the_same_bytes_and_they_are_not_written_again(copied, bad_night, tmp_path):
    written = night_report.write(tmp_path, bad_night.summary)
    before = [(p.stat().st_mtime_ns, p.read_bytes()) for p in written]
    assert night_report.write(tmp_path, gathered(copied(), bad_night.summary.troubles)) == written
    assert [(p.stat().st_mtime_ns, p.read_bytes()) for p in written] == before

"""The pages in a real browser: nothing is asked of the network, nothing is wider than the window, the picture is true."""

import os
from pathlib import Path

import pytest
from night.nights import ON

from pipeline.reports import night as night_report

pytestmark = pytest.mark.browser

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
             "--disable-component-update", "--disable-sync"]  # fmt: skip


@pytest.fixture(scope="module")
def browser():
    if not CHROMIUM.is_file():
        if os.environ.get("CI"):
            pytest.fail(f"CI looks at the pages in a browser, and {CHROMIUM} is missing.")
        pytest.skip(f"no {CHROMIUM} here")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        found = started.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        yield found
        found.close()


@pytest.fixture(scope="module")
def folder(bad_night, tmp_path_factory):
    home = tmp_path_factory.mktemp("pages")
    night_report.write(home, bad_night.summary)
    return home / "reports"


class Visit:
    """A page that was opened, with all that it said and asked."""

    def __init__(self, browser, path: Path, width: int, scheme: str = "light") -> None:
        self.page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(path.as_uri(), wait_until="load")


@pytest.fixture
def visit(browser):
    opened: list[Visit] = []

    def open_(*arguments, **named) -> Visit:
        opened.append(Visit(browser, *arguments, **named))
        return opened[-1]

    yield open_
    for one in opened:
        one.page.close()


@pytest.mark.parametrize("width", [400, 1120])
@pytest.mark.parametrize("name", [f"night-{ON}.html", f"quality-{ON}.html"])
def test_nothing_is_said_asked_or_cut_off(folder, visit, name, width):
    seen = visit(folder / name, width)
    assert seen.said == []
    assert [url for url in seen.asked if not url.startswith("data:")] == [(folder / name).as_uri()]
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
    outside = seen.page.evaluate("""[...document.querySelectorAll('body *')].filter(e => !e.closest('.scroll') &&
        e.getBoundingClientRect().width && e.getBoundingClientRect().right > innerWidth + 0.5).map(e => e.outerHTML)""")
    assert outside == []


def test_sentences_are_not_set_in_a_narrow_column_on_a_telephone(folder, visit):
    """Rows that hold sentences are stacked there: a word a line is not read."""
    narrow = visit(folder / f"night-{ON}.html", 390).page.evaluate("""[...document.querySelectorAll('td')].filter(e =>
        e.textContent.length > 45 && e.clientWidth < 200).map(e => e.textContent)""")
    assert narrow == []


@pytest.mark.parametrize("width", [390, 740, 1280])
def test_a_columns_name_is_not_broken_inside_a_word(folder, visit, width):
    """A name may go on in the next line behind an underscore or a blank."""
    torn = visit(folder / f"quality-{ON}.html", width).page.evaluate("""() => {
        const torn = [], walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
        while (walk.nextNode()) {
            if (!walk.currentNode.parentElement.closest('td code')) continue;
            for (const word of walk.currentNode.data.matchAll(/[^\\s_]+/g)) {
                const range = document.createRange();
                range.setStart(walk.currentNode, word.index);
                range.setEnd(walk.currentNode, word.index + word[0].length);
                if (new Set([...range.getClientRects()].map(r => r.top)).size > 1) torn.push(word[0]);
            }
        }
        return torn }""")
    assert torn == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1120])
def test_the_residue_is_seen_at_once(folder, visit, width, scheme):
    badge = visit(folder / f"night-{ON}.html", width, scheme=scheme).page.locator("#residue")
    assert badge.is_visible()
    assert badge.inner_text() == "Residue $0.00"
    box = badge.bounding_box()
    assert box["y"] + box["height"] < 300
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_stands_out_from_what_is_behind_it(folder, visit, scheme):
    """WCAG's contrast of 4.5 for every piece of text on both pages."""
    for name in (f"night-{ON}.html", f"quality-{ON}.html"):
        faint = visit(folder / name, 1120, scheme=scheme).page.evaluate("""() => {
            const parts = c => c.match(/[\\d.]+/g).map(Number);
            const light = c => { const [r, g, b] = c.slice(0, 3).map(v => { v /= 255; return v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4 });
                return .2126 * r + .7152 * g + .0722 * b };
            const behind = e => { for (; e; e = e.parentElement) { const c = parts(getComputedStyle(e).backgroundColor);
                if (c.length < 4 || c[3] > 0) return c } return [255, 255, 255] };
            const found = new Set();
            const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
            while (walk.nextNode()) {
                const e = walk.currentNode.parentElement;
                if (!walk.currentNode.data.trim() || !e.getClientRects().length) continue;
                const [a, b] = [light(parts(getComputedStyle(e).color)), light(behind(e))];
                if ((Math.max(a, b) + .05) / (Math.min(a, b) + .05) < 4.5) found.add(e.outerHTML.slice(0, 120));
            }
            return [...found] }""")
        assert faint == []


@pytest.mark.parametrize("width", [400, 1120])
def test_bars_of_the_funnel_are_as_wide_as_their_numbers(folder, visit, bad_night, width):
    bars = visit(folder / f"night-{ON}.html", width).page.evaluate("""[...document.querySelectorAll('.funnel .bar')].map(e =>
        [e.classList.contains('money'), Number(e.dataset.number), e.getBoundingClientRect().width,
         e.parentElement.getBoundingClientRect().width])""")
    funnel = bad_night.summary.funnel
    for money, numbers in ((False, [s.count for s in funnel]), (True, [s.cents for s in funnel])):
        found = [bar[1:] for bar in bars if bar[0] == money]
        assert [n for n, _, _ in found] == numbers
        for number, wide, track in found:
            assert track > 150
            assert wide == pytest.approx(max(track * number / max(numbers), 2 if number else 0), abs=0.6)


def test_parts_of_the_visits_bar_are_as_wide_as_their_states(folder, visit, bad_night):
    widths = visit(folder / f"night-{ON}.html", 1120).page.evaluate(
        "[...document.querySelector('.parts').children].map(e => e.getBoundingClientRect().width)"
    )
    states = bad_night.summary.states
    whole = sum(widths)
    assert len(widths) == len(states)
    for width, (_, count, _) in zip(widths, states, strict=True):
        assert width == pytest.approx(whole * count / bad_night.summary.visits, abs=2)


def test_the_quality_page_is_one_click_away_and_back(folder, visit):
    seen = visit(folder / f"night-{ON}.html", 1120)
    seen.page.click("text=the quality page")
    assert "checks passed" in seen.page.locator(".badge").inner_text()
    seen.page.click("text=The night’s page")
    assert seen.page.locator("#residue").is_visible()

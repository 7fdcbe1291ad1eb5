"""The page of a comparison in headless Chromium: sort, toggle, axes, keyboard, print, narrow and without JavaScript."""

import shutil

import numpy as np
import pytest

from bert_lightning.compare.page import write_page
from tests.compare.page.made import LABELS, made

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")
CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the PATH: apt-get install chromium"),
]
ARMS = "#results tbody th bdi"


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "page.html"
    write_page(made(), path)
    return path.as_uri()


@pytest.fixture
def visit(browser):
    """Opens a page, and fails at the end of the test if the page said or asked for anything."""
    contexts, said = [], []

    def visit(address, width=1280, **options):
        contexts.append(browser.new_context(viewport={"width": width, "height": 900}, **options))
        page = contexts[-1].new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda r: None if r.url == address or r.url.startswith("data:") else said.append(r.url))
        page.goto(address)
        return page

    yield visit
    for context in contexts:
        context.close()
    assert said == []


def column(page, number):
    cells = page.locator(f"#results tbody tr td:nth-child({number})")
    return [float(cell.get_attribute("data-key")) for cell in cells.all()]


def test_a_click_sorts_and_says_so(visit, address):
    page = visit(address)
    head = page.locator("#results thead th").nth(1)
    assert head.get_attribute("aria-sort") == "none"
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "descending"
    assert column(page, 2) == sorted(column(page, 2), reverse=True)
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    assert column(page, 2) == sorted(column(page, 2))
    page.locator("#results thead th").nth(0).locator("button").click()
    assert head.get_attribute("aria-sort") == "none"
    assert page.locator(ARMS).all_inner_texts() == sorted(LABELS, key=str.lower)


def test_missing_values_stay_last(visit, address):
    page = visit(address)
    table = page.locator("#curves table.sortable")
    for order in ("descending", "ascending"):
        table.locator("thead button", has_text="steps").click()
        assert table.locator("th[aria-sort=" + order + "]").inner_text() == "steps"
        assert "not reached" in table.locator("tbody tr").last.inner_text()


def test_the_keyboard_alone_reaches_and_sorts(visit, address):
    page = visit(address)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    head = page.locator("#results thead th button").nth(2)
    for _ in range(60):
        page.keyboard.press("Tab")
        if head.evaluate("button => button === document.activeElement"):
            break
    outline = head.evaluate("button => getComputedStyle(button).outlineStyle + getComputedStyle(button).outlineWidth")
    assert outline == "solid2px"
    page.keyboard.press("Enter")
    assert column(page, 3) == sorted(column(page, 3), reverse=True)


@pytest.mark.parametrize("javascript", [True, False])
def test_the_legend_hides_an_arm_and_the_switch_changes_the_axis(visit, address, javascript):
    page = visit(address, java_script_enabled=javascript)
    plots = {axis: page.locator(f"#curves .plot.x-{axis}") for axis in ("steps", "tokens", "flops", "seconds")}
    assert [axis for axis, plot in plots.items() if plot.is_visible()] == ["steps"]
    lines = plots["steps"].locator("g.a2")
    assert lines.is_visible()
    page.locator("#show-2").uncheck()
    assert not lines.is_visible()
    assert not plots["steps"].locator(".names .a2").first.is_visible()
    assert plots["steps"].locator("g.a1").is_visible()
    page.locator("#axis-steps").focus()
    page.keyboard.press("ArrowRight")
    assert [axis for axis, plot in plots.items() if plot.is_visible()] == ["tokens"]
    assert "million tokens" in plots["tokens"].inner_text()
    assert not plots["tokens"].locator("g.a2").is_visible()


def test_the_pointer_reads_values_off_a_plot(visit, address):
    page = visit(address)
    plot = page.locator("#curves .plot.x-steps")
    labels, unit = plot.locator(".names b"), plot.locator(".unit")
    last, words = labels.all_inner_texts(), unit.inner_text()
    plot.locator(".box").hover()
    assert unit.inner_text() == "1,000 training steps"
    middle = [float(text) for text in labels.all_inner_texts()]
    assert all(a > float(b) for a, b in zip(middle, last, strict=True))
    seeds = [c for c in made().curves if c.arm == "ALBERT"]
    mean = sum(np.interp(1000, c.steps, c.values) for c in seeds) / len(seeds)
    assert abs(middle[0] - mean) < 0.01
    page.locator("h1").hover()
    assert (labels.all_inner_texts(), unit.inner_text()) == (last, words)


def test_all_is_readable_without_javascript(visit, address):
    page = visit(address, java_script_enabled=False)
    assert page.locator(".answer").is_visible()
    assert page.locator("#theme").is_hidden()
    page.locator("#differences summary").click()
    assert page.locator("#differences details table").is_visible()
    with page.expect_download() as download:
        page.locator("#data a").first.click()
    assert download.value.suggested_filename.endswith("values.csv")
    assert "BERT,average,1" in download.value.path().read_text()


@pytest.mark.parametrize("labels", [LABELS, ["x" * 300, "two words " * 20]], ids=["short", "long"])
def test_no_sideways_scroll_on_a_phone(visit, tmp_path, labels):
    write_page(made(labels), tmp_path / "page.html")
    page = visit((tmp_path / "page.html").as_uri(), width=390)
    for name in page.locator("details").all():
        name.evaluate("part => part.open = true")
    assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_dark_and_light(visit, address):
    dark = visit(address, color_scheme="dark")
    colour = "getComputedStyle(document.body).backgroundColor"
    night = dark.evaluate(colour)
    dark.locator("#theme").click()
    day = dark.evaluate(colour)
    assert (night, day) == ("rgb(18, 21, 24)", "rgb(255, 255, 255)")
    dark.reload()
    assert dark.evaluate(colour) == day  # the choice stays
    assert visit(address, color_scheme="light").evaluate(colour) == day


CONTRAST = """() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgb = (colour, below) => {
    canvas.fillStyle = below; canvas.fillRect(0, 0, 1, 1);
    canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    return canvas.getImageData(0, 0, 1, 1).data;
  };
  const light = (c) => [0.2126, 0.7152, 0.0722].reduce((sum, weight, i) => {
    const value = c[i] / 255;
    return sum + weight * (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
  }, 0);
  const bad = [];
  for (const each of document.querySelectorAll("body *")) {
    const own = [...each.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!own || each.closest("script, .unseen, .skip, svg")) continue;
    let behind = each;
    while (behind && ["rgba(0, 0, 0, 0)", "transparent"].includes(getComputedStyle(behind).backgroundColor)) {
      behind = behind.parentElement;
    }
    const page = getComputedStyle(document.body).backgroundColor;
    const ground = behind ? getComputedStyle(behind).backgroundColor : page;
    const [a, b] = [light(rgb(getComputedStyle(each).color, ground)), light(rgb(ground, page))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) bad.push(`${each.tagName}.${each.className} ${ratio.toFixed(2)} ${each.textContent.slice(0, 20)}`);
  }
  return bad;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_the_contrast_of_aa(visit, address, scheme):
    assert visit(address, color_scheme=scheme).evaluate(CONTRAST) == []


def test_print_is_light_open_and_a4(visit, address, tmp_path):
    page = visit(address, color_scheme="dark")
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.locator("nav").is_hidden()
    assert page.locator("#differences details table").is_visible()
    pdf = page.pdf(prefer_css_page_size=True, print_background=True)
    assert b"/MediaBox [0 0 594.95996 841.91998]" in pdf or b"/MediaBox [0 0 595" in pdf
    assert page.locator("#differences details").get_attribute("open") is None  # closed again after the print


def test_a_hundred_runs_are_usable(visit, tmp_path):
    comparison = made([f"arm {number}" for number in range(20)], seeds=5, points=1000)
    assert len(comparison.runs) == 100
    write_page(comparison, tmp_path / "page.html")
    page = visit((tmp_path / "page.html").as_uri())
    timing = page.evaluate("""() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(
        () => done(performance.now()))))""")
    assert timing < 4000  # milliseconds until the script has run and the page is drawn; 2 slow cores, shared
    page.locator("#results thead button").nth(1).click()
    assert column(page, 2) == sorted(column(page, 2), reverse=True)
    print(f"{(tmp_path / 'page.html').stat().st_size / 1e6:.1f} MB, interactive after {timing:.0f} ms")

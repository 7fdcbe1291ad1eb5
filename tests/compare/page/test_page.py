"""The page of a comparison as HTML: complete, escaped, small, and without anything from the network."""

import base64
import csv
import dataclasses
import io
import json
import re
from html.parser import HTMLParser

import pytest

from bert_lightning.compare.page import page_html, write_page
from bert_lightning.compare.results import Comparison, Curve, Difference, Measure
from bert_lightning.html_page.drawing import Scale, thinned, tick_labels
from bert_lightning.html_page.markup import Markup, element, escaped
from tests.compare.page.made import LABELS, NAN, empty, made

SECTIONS = ["answer", "equal", "results", "differences", "curves", "noise", "tasks", "settings", "examples", "runs",
            "method", "data"]  # fmt: skip
VOID = {"meta", "link", "input", "br", "hr", "col", "wbr"}


class Reader(HTMLParser):
    """Reads a page strictly: every element that is opened is closed, in order."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.tags, self.ids, self.attributes, self.text, self.tables = [], [], [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attributes]
        self.ids += [value for name, value in attributes if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("script", "style"):
            self.text.append(data)

    @property
    def words(self):
        return " ".join(self.text)


@pytest.fixture(scope="module")
def page():
    return page_html(made())


@pytest.fixture(scope="module")
def read(page):
    return Reader(page)


def test_all_sections_come_in_order(read):
    assert [name for name in read.ids if name in SECTIONS] == SECTIONS
    assert len(set(read.ids)) == len(read.ids)


def test_the_contents_link_to_sections(read):
    links = [value[1:] for tag, name, value in read.attributes if (tag, name) == ("a", "href") and value[:1] == "#"]
    assert set(links) <= set(read.ids)
    assert links[1:] == SECTIONS


def test_language_title_and_viewport_are_given(read, page):
    assert ("html", "lang", "en") in read.attributes
    assert f"<title>{made().title}</title>" in page
    assert ("meta", "content", "width=device-width, initial-scale=1") in read.attributes


def test_answer_and_every_arm_are_there_without_javascript(read):
    comparison = made()
    assert comparison.answer.replace(" %", "\u00a0%") in read.words
    assert comparison.to_settle in read.words
    for label in LABELS:
        assert read.words.count(label) >= 10, label
    for difference in comparison.differences:
        if difference.measure == "blimp/accuracy":
            assert f"{100 * difference.estimate:+.1f}".replace("-", "\u2212") in read.words


def test_nothing_comes_from_the_network(read, page):
    loads = {"src", "srcset", "action", "poster", "data", "formaction", "background"}
    for tag, name, value in read.attributes:
        assert name not in loads, (tag, name, value)
        if tag == "link":
            assert name != "href" or value == "data:,"
    assert not re.search(r"@import|url\(|fetch\(|XMLHttpRequest|import\(|type=.module", page)


def test_eighteen_runs_with_long_curves_stay_small():
    comparison = made(points=2000)
    curves = [dataclasses.replace(c, measure=f"loss {number}") for number in range(6) for c in comparison.curves]
    large = page_html(dataclasses.replace(comparison, curves=curves))
    assert len(large.encode()) < 2_500_000
    longest = max(re.findall(r' d="(M[^"]*)"', large), key=len)
    assert longest.count(" ") < 2 * 300


NASTY = [
    "<script>alert(1)</script>", "</style></script><img src=x onerror=alert(1)>", "\"'><svg onload=alert(1)>",
    "' onmouseover='alert(1)", "&lt;b&gt; &amp;", "\u202eעברית \u2067ltr", "x" * 600, "two  words " * 40,
    "🙂🏳️‍🌈", "\ud800\x00\x1b", "{{7*7}} ${7}", "=HYPERLINK(\"http://x\")",
]  # fmt: skip


def replaced(value, text):
    """The same data with `text` in every string."""
    if isinstance(value, str):
        return text
    if dataclasses.is_dataclass(value):
        return type(value)(**{f.name: replaced(getattr(value, f.name), text) for f in dataclasses.fields(value)})
    if isinstance(value, dict):
        return {text if isinstance(key, str) else key: replaced(item, text) for key, item in value.items()}
    return [replaced(item, text) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("text", NASTY, ids=range(len(NASTY)))
def test_no_text_of_a_stranger_becomes_markup(text, tmp_path):
    comparison = replaced(made(LABELS[:2], points=5), text)
    page = page_html(comparison)
    read = Reader(page)
    assert read.tags.count("script") == 1
    assert read.tags.count("style") == 1
    assert "img" not in read.tags
    assert not [name for _, name, _ in read.attributes if name.startswith("on")]
    write_page(comparison, tmp_path / "below" / "page.html")
    assert (tmp_path / "below" / "page.html").read_bytes().decode() == page


def test_text_of_a_stranger_is_escaped_in_each_field_on_its_own():
    """Mixed data: each string field in turn, so that no lookup fails because all names are equal."""
    base = made(LABELS[:2], points=5)
    for f in dataclasses.fields(Comparison):
        value = getattr(base, f.name)
        if f.name not in ("baseline", "primary"):
            page = page_html(dataclasses.replace(base, **{f.name: replaced(value, NASTY[2])}))
            assert "<svg onload" not in page, f.name
            Reader(page)


def test_only_the_page_s_own_script_may_run(page):
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1]
    assert "default-src &#x27;none&#x27;" in policy
    assert re.search(r"script-src &#x27;sha256-[A-Za-z0-9+/]{43}=&#x27;", policy)


@pytest.mark.parametrize(
    "comparison",
    [
        empty(),
        empty(title="One", arms=made().arms[:1], answer="There is one arm."),
        dataclasses.replace(made(seeds=1, finetuning_seeds=1), power=[], curves=[], times_to_target=[]),
        made(LABELS[:1]),
        dataclasses.replace(made(), measures=[], arms=[]),
        dataclasses.replace(made(), checks=[], warnings=[], examples=[], breakdowns=[], runs=[]),
    ],
    ids=["nothing", "one arm", "one seed", "one arm with data", "undescribed", "sparse"],
)
def test_what_is_missing_is_said(comparison):
    page = page_html(comparison)
    read = Reader(page)
    assert [name for name in read.ids if name in SECTIONS] == SECTIONS
    assert "nan" not in read.words.lower().split()
    assert "None" not in read.words.split()


def test_sentences_stand_where_a_plot_would_be_empty():
    words = Reader(page_html(empty())).words
    for sentence in ("This comparison has no answer", "was not checked", "No run has a measure", "There are no curves"):
        assert sentence in words
    for sentence in ("The variance cannot be estimated", "No predictions were kept", "without run folders"):
        assert sentence in words


def test_numbers_that_are_not_finite_are_dashes():
    measure = Measure("loss", "loss", False)
    curve = Curve("a", 1, "loss", [NAN, 2.0, float("inf"), 1.0], [1, 2, 3, 4], [], [], [])
    differences = [Difference("b", "a", "loss", NAN, NAN, float("inf"), verdict="odd")]
    page = page_html(empty(baseline="a", primary="loss", measures=[measure], curves=[curve], differences=differences))
    assert "nan" not in re.sub(r"base64,[^\"]*", "", page).lower().split()
    assert "NaN%" not in page


def test_an_interval_that_is_not_symmetric_shows_its_ends():
    base = made()
    cells = [dataclasses.replace(base.cells[0], mean=0.99, low=0.95, high=1.0), *base.cells[1:]]
    words = " ".join(Reader(page_html(dataclasses.replace(base, cells=cells))).words.split())
    assert "99.00 [95.00, 100.00]" in words


def test_a_warning_that_a_check_repeats_is_shown_once():
    base = made()
    warnings = ["tokenizer: losses per token do not compare; bits per byte do (BERT: a)", "tokenizers are slow"]
    words = Reader(page_html(dataclasses.replace(base, warnings=warnings))).words
    assert words.count("losses per token do not compare") == 1
    assert "tokenizers are slow" in words


def test_why_there_is_no_interval_is_said_once():
    base = made()
    cells = [dataclasses.replace(cell, low=None, high=None, note="one <seed>") for cell in base.cells[:2]]
    words = Reader(page_html(dataclasses.replace(base, cells=[*cells, *base.cells[2:]]))).words
    assert words.count("BERT, average of tasks (%); ") == words.count("one <seed>") == 1
    assert "no interval" in words


@pytest.mark.parametrize("values", [[3, 1, 1, 1, 1, 1, 1], [2] * 7, [0] * 7, [-1, -2, -3, -4, -5, -6, -7]], ids=str)
def test_any_curve_can_be_drawn(values):
    curve = Curve("a", 1, "loss", values, list(range(7)), [0] * 7, [1, 2], [])
    read = Reader(page_html(empty(curves=[curve])))
    assert "No run logged loss over" not in read.words
    assert "ends at" in " ".join(value for _, name, value in read.attributes if name == "aria-label")


def test_an_axis_that_one_measure_lacks_is_said():
    curves = [
        Curve("a", 1, "loss", [2, 1], [1, 2], [8, 16], [], []),
        Curve("a", 1, "other", [2, 1], [1, 2], [], [], []),
    ]
    assert "No run logged other over tokens." in Reader(page_html(empty(curves=curves))).words


def test_a_smaller_loss_is_shown_as_better(page):
    panel = page[page.index('<caption class="unseen">bits per byte: difference') :]
    head = panel[: panel.index("</thead>")]
    assert head.index("better") < head.index("worse")


def test_downloads_hold_the_data():
    comparison = made(points=2000)
    links = dict(re.findall(r'href="data:([a-z/]+);charset=utf-8;base64,([^"]*)"', page_html(comparison)))
    data = json.loads(base64.b64decode(links["application/json"]))
    assert data["answer"] == comparison.answer
    assert len(data["cells"]) == len(comparison.cells)
    assert max(len(curve["values"]) for curve in data["curves"]) <= 300
    assert len(links["application/json"]) < 2_000_000
    every = re.findall(r'href="data:text/csv;charset=utf-8;base64,([^"]*)"', page_html(comparison))
    values, differences = (list(csv.DictReader(io.StringIO(base64.b64decode(text).decode()))) for text in every)
    seeds = sum(max(len(value.finetuned), 1) for cell in comparison.cells for value in cell.values)
    assert len(values) == seeds
    assert float(differences[0]["estimate"]) == comparison.differences[0].estimate


def test_a_spreadsheet_does_not_run_a_label():
    comparison = made(["=1+1", "b"])
    text = re.findall(r'href="data:text/csv;charset=utf-8;base64,([^"]*)"', page_html(comparison))[0]
    assert next(csv.DictReader(io.StringIO(base64.b64decode(text).decode())))["arm"] == "'=1+1"


def test_markup_is_escaped_unless_it_is_markup():
    assert element("p", "<b>", element("i", "&"), title='"') == '<p title="&quot;">&lt;b&gt;<i>&amp;</i></p>'
    assert escaped(Markup("<b>")) == "<b>"
    assert element("p", ["<", Markup("<br>")]) == "<p>&lt;<br></p>"


def test_ticks_are_round_and_within_the_scale():
    scale = Scale(-0.031, 0.052)
    assert tick_labels(scale.ticks(4), signed=True) == ["0", "+0.05"]
    assert tick_labels(Scale(0, 2000).ticks(5)) == ["0", "500", "1,000", "1,500", "2,000"]
    for low, high in [(0, 1), (-3e-9, 2e-9), (1e12, 5e12), (4.2, 4.2000001)]:
        ticks = Scale(low, high).ticks(5)
        assert 1 <= len(ticks) <= 8
        assert all(low - 1e-6 * (high - low) <= tick <= high + 1e-6 * (high - low) for tick in ticks)


def test_thinning_keeps_peaks_and_ends():
    points = [(float(x), 1.0) for x in range(10_000)]
    points[5432] = (5432.0, 9.0)
    kept = thinned(points)
    assert len(kept) <= 300
    assert (5432.0, 9.0) in kept
    assert (kept[0], kept[-1]) == (points[0], points[-1])
    assert kept == sorted(kept)

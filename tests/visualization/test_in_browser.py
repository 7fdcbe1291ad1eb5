"""The page about a model in headless Chromium: heads, tokens and points answer to the pointer and the keyboard."""

import re

import pytest

from bert_lightning.visualization.model_page import model_page
from bert_lightning.visualization.text_sections import text_sections
from bert_lightning.visualization.visualizing import visualize
from tests.compare.page.test_browser import CONTRAST, browser, pytestmark, visit  # noqa: F401
from tests.visualization.test_prediction_sections import part
from tests.visualization.test_text_sections import TEXT, model, tokenizer  # noqa: F401


@pytest.fixture(scope="module")
def address(tmp_path_factory, model):  # noqa: F811
    path = tmp_path_factory.mktemp("page") / "page.html"
    parts = [text_sections(model, [TEXT, "The cat [MASK]."], 3, 64), part("text_classification")]
    model_page("A model", model, parts).save(path)
    return path.as_uri()


def test_a_head_becomes_large_and_says_its_weights(visit, address, model):  # noqa: F811
    page = visit(address)
    view = page.locator("#attention-1 .attention")
    weights = model.attention(TEXT).weights
    view.locator(".heads input").nth(1).check(force=True)  # layer 1, head 2
    assert view.locator(".which").inner_text().startswith("Layer 1, head 2")
    page.wait_for_timeout(100)
    view.locator(".large .names span").nth(3).hover()
    shown = view.locator(".reading").inner_text()
    assert shown.startswith("“sleeps” attends to")
    best = float(re.search(r" (\d\.\d\d),", shown)[1])
    assert best == pytest.approx(weights[0, 1, 3].max(), abs=0.01)
    view.locator(".heads input").nth(1).focus()
    page.keyboard.press("ArrowRight")
    assert view.locator(".which").inner_text().startswith("Layer 1, mean of its heads")
    box = view.locator(".matrix").bounding_box()
    cell = box["width"] / weights.shape[2]
    page.mouse.move(box["x"] + 1.5 * cell, box["y"] + 2.5 * cell)
    value = float(view.locator(".reading").inner_text().rpartition(" ")[2])
    assert value == pytest.approx(weights[0].mean(0)[2, 1], abs=0.01)


def test_a_token_says_what_is_expected(visit, address):  # noqa: F811
    page = visit(address)
    reader = page.locator("#tokens-1 .reader")
    reader.locator(".token").nth(1).hover()
    assert reader.locator(".reading").inner_text().startswith("cat: ")
    assert "Expected: " in reader.locator(".reading").inner_text()
    reader.locator(".token").nth(2).focus()
    assert reader.locator(".reading").inner_text().startswith("sleeps: ")


def test_points_answer_and_the_legend_hides_them(visit, tmp_path, model):  # noqa: F811
    texts = ["The cat sleeps.", "A garden.", "no", "It rains."]
    visualize(model, embed=texts, labels=["a", "b", "b", "a"]).save(tmp_path / "page.html")
    page = visit((tmp_path / "page.html").as_uri())
    point = page.locator(".group-1 use").first
    point.hover(force=True)
    assert page.locator(".scatter .reading").inner_text() == "b: A garden."
    page.locator(".show-1").uncheck()
    assert not point.is_visible()
    assert page.locator(".group-0 use").first.is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_the_contrast_of_aa(visit, address, scheme):  # noqa: F811
    assert visit(address, color_scheme=scheme).evaluate(CONTRAST) == []


@pytest.mark.parametrize("javascript", [True, False])
def test_no_sideways_scroll_on_a_phone(visit, address, javascript):  # noqa: F811
    page = visit(address, width=390, java_script_enabled=javascript)
    assert page.locator("#tokens-1 table").is_visible()
    assert page.locator("#attention-1 .heads img").first.is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == 390

"""Figures of a comparison for a paper: the files that are written, and that strange labels do not break them."""

import xml.etree.ElementTree as ElementTree

import pytest

from tests.compare.page.made import LABELS, empty, made

pytest.importorskip("matplotlib", reason="figures need matplotlib")
from bert_lightning.compare.paper_figures import figures


def test_intervals_and_curves_are_written_as_png_and_svg(tmp_path):
    paths = figures(made(), tmp_path / "figures")
    assert [path.name for path in paths] == [
        "differences.png", "differences.svg", "curves-val-bits-per-byte.png", "curves-val-bits-per-byte.svg"
    ]  # fmt: skip
    for path in paths:
        assert path.stat().st_size < 300_000
        assert path.suffix != ".png" or path.read_bytes().startswith(b"\x89PNG")
    for path in paths[1::2]:
        words = "".join(ElementTree.parse(path).getroot().itertext())
        for label in LABELS[1:]:
            assert label in words


@pytest.mark.slow
def test_the_same_comparison_gives_the_same_svg(tmp_path):
    first, second = (figures(made(LABELS[:2], seeds=1, points=5), tmp_path / name)[1].read_bytes() for name in "ab")
    assert first == second


@pytest.mark.slow
def test_any_label_can_be_drawn(tmp_path, recwarn):
    paths = figures(made(["BERT", "$\\alpha", "x" * 300, "<script>", "a\nb", "_{", "\u05e2\u05d1"], points=5), tmp_path)
    assert "<script>" in "".join(ElementTree.parse(paths[1]).getroot().itertext())
    assert not [warning for warning in recwarn if "Glyph" not in str(warning.message)]


def test_nothing_is_written_where_there_is_nothing(tmp_path):
    assert figures(empty(), tmp_path) == []

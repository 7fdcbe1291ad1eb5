"""Embeddings in two dimensions: the components, the neighbours, the labels, and the file of texts."""

import numpy as np
import pytest

from bert_lightning import UserError, visualize
from bert_lightning.visualization.given_rows import labelled_texts
from bert_lightning.visualization.principal_components import neighbour_agreement, principal_components
from tests.compare.page.test_page import NASTY, Reader
from tests.visualization.test_text_sections import model, tokenizer  # noqa: F401


def test_components_are_those_of_the_covariance():
    vectors = np.random.default_rng(0).normal(size=(50, 6)) * [5, 1, 3, 1, 1, 1] + 7
    places, shares = principal_components(vectors.astype(np.float32))
    variances, directions = np.linalg.eigh(np.cov(vectors.T))
    best = directions[:, ::-1][:, :2]
    best *= np.sign(best[np.abs(best).argmax(0), [0, 1]])
    np.testing.assert_allclose(places, (vectors - vectors.mean(0)) @ best, atol=1e-4)
    np.testing.assert_allclose(shares, variances[::-1][:2] / variances.sum(), rtol=1e-5)
    again, _ = principal_components(vectors[::-1].astype(np.float32))
    np.testing.assert_allclose(again[::-1], places, atol=1e-4)  # the sign does not depend on the order


def test_components_that_do_not_exist_are_0():
    assert principal_components(np.ones((4, 3)))[0].tolist() == [[0, 0]] * 4
    places, shares = principal_components(np.array([[1.0], [3.0]]))
    np.testing.assert_allclose(places, [[-1, 0], [1, 0]])
    np.testing.assert_allclose(shares, [1, 0])


def test_neighbours_are_counted_without_the_text_itself():
    vectors = np.array([[1, 0], [2, 0.1], [0, 1], [0.1, 5], [1, 0.2]], np.float32)
    same, chance = neighbour_agreement(vectors, np.array([0, 0, 1, 1, 1]))
    assert same == pytest.approx(4 / 5)
    assert chance == pytest.approx((2 * 1 + 3 * 2) / (5 * 4))


def test_each_text_is_a_point_of_its_label(model):  # noqa: F811
    texts = ["The cat sleeps.", "A dog runs.", "It rains again.", *NASTY[:3]]
    page = Reader(visualize(model, embed=texts, labels=[1, 1, 2, "<b>", 2, 2]).html)
    assert page.tags.count("use") == len(texts)
    for text in texts:
        assert text in page.words
    assert {value for tag, name, value in page.attributes if (tag, name) == ("use", "href")} == {
        "#mark-embeddings-0", "#mark-embeddings-1", "#mark-embeddings-2"
    }  # fmt: skip
    _, shares = principal_components(model.embed(texts))
    assert f"component 1, {100 * shares[0]:.1f} % of the variance" in page.words
    assert "by chance it were" in page.words
    assert page.tags.count("script") == 1


def test_texts_that_are_cut_are_counted(model):  # noqa: F811
    html = visualize(model, embed=["a cat", "cat " * 99, "the cat"]).html
    assert "1 of 3 texts are longer than 64 tokens and cut to them." in html


def test_many_labels_share_the_last_colour(model):  # noqa: F811
    labels = [number % 20 for number in range(40)] + [0, 1]
    page = Reader(visualize(model, embed=["a cat"] * 42, labels=labels).html)
    assert "other labels" in page.words
    assert sum(value.startswith("show-") for _, name, value in page.attributes if name == "class") == 16


def test_texts_come_from_lines_or_a_table(tmp_path):
    (tmp_path / "a.txt").write_text("one\n\n two \nthree\n")
    (tmp_path / "a.csv").write_text("text,label,stars\none,x,1\ntwo,y,2\n")
    assert labelled_texts(f"{tmp_path}/a.txt", "text", None, 9).texts == ["one", "two", "three"]
    found = labelled_texts(f"{tmp_path}/a.csv", "text", None, 9)
    assert (found.texts, found.labels, found.of) == (["one", "two"], ["x", "y"], 2)
    assert labelled_texts(f"{tmp_path}/a.csv", "text", "stars", 9).labels == ["1", "2"]
    some = labelled_texts(f"{tmp_path}/a.csv", "text", None, 1)
    assert (len(some.texts), some.of) == (1, 2)
    for arguments, message in [
        (("a.csv", "body", None), "there is no column 'body', only 'text', 'label', 'stars'"),
        (("a.csv", "text", "class"), "there is no column 'class'"),
        (("a.txt", "text", "class"), "is no table, so it has no labels: leave it out"),
        (("b.txt", "text", None), "does not exist"),
    ]:
        with pytest.raises(UserError, match=message):
            labelled_texts(f"{tmp_path}/{arguments[0]}", *arguments[1:], 9)


def test_what_cannot_be_embedded_is_one_line(model):  # noqa: F811
    with pytest.raises(UserError, match="there are 2 texts to embed: give three or more"):
        visualize(model, embed=["a", "b"])
    with pytest.raises(UserError, match="there are 3 texts to embed and 2 labels: give one label for each text"):
        visualize(model, embed=["a", "b", "c"], labels=[1, 2])

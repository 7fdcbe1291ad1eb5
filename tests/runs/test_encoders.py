"""Encoders load from folders of every family, and from the cache of the hub."""

import json
import os
import re
import shutil

import pytest
import torch
import yaml
from safetensors.torch import load_file

from bert_lightning.config.finetuning_options import finetuning_option_of
from bert_lightning.errors import UserError
from bert_lightning.runs.pretrained import load_pretrained
from bert_lightning.text.tokenizers.recipes import load_tokenizer
from tests.conftest import REPOSITORY
from tests.test_tasks import SENTENCES

transformers = pytest.importorskip("transformers")
transformers.utils.logging.disable_progress_bar()

GOOGLE = REPOSITORY / "tests/model/hugging_face/tensorflow_checkpoint"
SIZES = dict(
    vocab_size=400, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48,
    max_position_embeddings=130,
)  # fmt: skip
FAMILIES = {
    "Bert": SIZES,
    "Roberta": SIZES | {"type_vocab_size": 1, "pad_token_id": 0},
    "Albert": SIZES | {"embedding_size": 16},
    "DistilBert": dict(vocab_size=400, dim=32, n_layers=2, n_heads=4, hidden_dim=48, max_position_embeddings=130),
    "Electra": SIZES | {"embedding_size": 16},
    "ModernBert": SIZES | {"global_attn_every_n_layers": 2, "local_attention": 8, "pad_token_id": 0},
}


@pytest.fixture
def folder_of(small_data, tmp_path):
    """The folder of a tiny random model, with the tokenizer of the small corpus."""

    def make(family):
        folder = tmp_path / family
        config = getattr(transformers, f"{family}Config")(**FAMILIES[family])
        getattr(transformers, f"{family}Model")(config).save_pretrained(folder)
        small_data.tokenizer.save(str(folder / "tokenizer.json"))
        return folder

    return make


@pytest.fixture
def rows(tmp_path):
    """Ten labelled texts, `rows.jsonl`."""
    rows = [{"text": text, "label": i % 2} for i, text in enumerate(SENTENCES * 2)]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n", encoding="utf-8")
    return ("task=text_classification", "task.path=rows.jsonl", "name=tuned")


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_a_folder_of_every_family_can_be_finetuned(family, folder_of, rows, command):
    folder_of(family)
    code, _, errors = command(
        "finetune", *rows, f"encoder={family}", "debug=smoke", "batch_size=4", "callbacks.progress=null"
    )
    assert code == 0, errors
    pooler = "" if family in ("Bert", "Albert") else "classification.head.pooler.dense, "
    said = f"note: {family}: loaded {family.lower()} of 2 layers, with.*, from model.safetensors in float32; .*new and "
    assert re.search(f"{said}random: {pooler}.*classification.head.classifier\n", errors), errors
    assert command("predict", "run=runs/tuned", "the cat sleeps")[0] == 0


@pytest.mark.parametrize("family", FAMILIES)
def test_a_folder_of_every_family_is_exported_as_it_came(family, folder_of, command):
    came = load_pretrained(str(folder_of(family)))
    code, output, errors = command("export", f"run={family}", "output=again")
    assert (code, errors) == (0, "")
    assert f"again: {family.lower()}, for transformers" in output
    again = load_pretrained("again")
    assert again.config == came.config
    assert again.tensors.keys() == came.tensors.keys()
    assert all(torch.equal(tensor, came.tensors[name]) for name, tensor in again.tensors.items())


def test_a_model_of_the_hub_comes_from_its_cache_without_a_network(folder_of, tmp_path, monkeypatch):
    cached = tmp_path / "cache" / "models--owner--tiny"
    shutil.copytree(folder_of("Electra"), cached / "snapshots" / ("1" * 40))
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text("1" * 40)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert load_pretrained("hub:owner/tiny").config.embedding_size == 16
    assert load_pretrained("hub:owner/tiny@main").config.embedding_size == 16
    for location in ("hub:owner/other", "hub:owner/tiny@v2"):
        with pytest.raises(UserError, match=f"{location} cannot be had .* check the name, or give a folder"):
            load_pretrained(location)


@pytest.mark.parametrize(
    ("family", "overrides", "rate", "layer_decay"),
    [("Electra", [], 1e-4, 0.8), ("Electra", ["finetuning=bert"], 5e-5, 1.0),
     ("Electra", ["optimizer.lr=3e-4"], 3e-4, 0.8), ("DistilBert", [], 5e-5, 1.0)],
)  # fmt: skip
def test_the_recipe_is_that_of_the_family_unless_one_is_chosen(
    family, overrides, rate, layer_decay, folder_of, rows, command, tmp_path
):
    folder_of(family)
    code, _, errors = command("finetune", *rows, f"encoder={family}", "launch=none", *overrides)
    assert code == 0, errors
    assert ("note: finetuning=electra" in errors) == (layer_decay == 0.8)
    config = yaml.safe_load((tmp_path / "runs/tuned/config.yaml").read_text())
    assert (config["optimizer"]["lr"], config["layer_decay"]) == (rate, layer_decay)


def test_the_recipe_of_a_run_is_named_by_its_variant(tmp_path):
    for name, content in (
        ("first", {"verb": "pretrain", "published": {"recipe": "electra"}}),
        ("second", {"verb": "finetune", "encoder": f"{tmp_path}/first"}),
        ("itself", {"verb": "finetune", "encoder": f"{tmp_path}/itself"}),
    ):
        (tmp_path / name / "checkpoints").mkdir(parents=True)
        (tmp_path / name / "config.yaml").write_text(yaml.safe_dump(content))
    assert finetuning_option_of(f"{tmp_path}/first") == "electra"
    assert finetuning_option_of(f"{tmp_path}/second/checkpoints/best.ckpt") == "electra"
    assert finetuning_option_of(f"{tmp_path}/none") is None
    with pytest.raises(UserError, match=r"itself/config.yaml names its own run as its encoder"):
        finetuning_option_of(f"{tmp_path}/itself")


@pytest.mark.parametrize("damage", ["fifo", "folder", "loop", "weights", "no weights", "checkpoint"])
def test_what_is_no_regular_file_is_one_line_and_no_hang(damage, folder_of, tmp_path):
    folder = folder_of("Bert")
    config, weights = folder / "config.json", folder / "model.safetensors"
    if damage == "checkpoint":
        folder = tmp_path / "pipe.ckpt"
        os.mkfifo(folder)
    elif "weights" in damage:
        weights.unlink()
        if damage == "weights":
            os.mkfifo(weights)
    else:
        config.unlink()
        {"fifo": os.mkfifo, "folder": os.mkdir, "loop": lambda path: os.symlink(path.name, path)}[damage](config)
    with pytest.raises(UserError, match=r"is no file|no encoder at|holds no weights: it needs one of model") as raised:
        load_pretrained(str(folder))
    assert "\n" not in str(raised.value)
    assert finetuning_option_of(str(folder)) == ("bert" if "weights" in damage else None)


class Payload:
    def __reduce__(self):
        return os.mkdir, ("acted",)


def spoil_bin(folder, tensors):
    torch.save(tensors | {"more": Payload()}, folder / "pytorch_model.bin")


def spoil_shard(folder, tensors):
    places = {name: f"pytorch_model-0000{1 + i % 2}-of-00002.bin" for i, name in enumerate(tensors)}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": places}))
    kept = "pytorch_model-00001-of-00002.bin"
    torch.save({name: tensors[name] for name, place in places.items() if place == kept}, folder / kept)


def spoil_family(folder, tensors):
    change(folder, model_type="gpt2")
    torch.save(tensors, folder / "pytorch_model.bin")


def spoil_vocabulary(folder, tensors):
    change(folder, vocab_size=90)
    words = "embeddings.word_embeddings.weight"
    torch.save(tensors | {words: tensors[words][:90].clone()}, folder / "pytorch_model.bin")


def spoil_numbers(folder, tensors):
    tensors["embeddings.LayerNorm.bias"][3] = torch.nan
    torch.save(tensors, folder / "pytorch_model.bin")


def change(folder, **settings):
    found = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(found | settings))


SPOILT = {
    spoil_bin: r"pytorch_model.bin cannot be read as tensors alone .*: give the weights as model.safetensors",
    spoil_shard: r"index.json names 'pytorch_model-00002-of-00002.bin', which is missing: fetch all files",
    spoil_family: r"config.json: model_type='gpt2' is not supported: this encoder reads bert, roberta, albert,",
    spoil_vocabulary: r"Bert: the tokenizer has \d+ ids, but the model has only 90: give the tokenizer",
    spoil_numbers: r"Bert: encoder.embeddings.norm.bias holds 1 values that are NaN or infinite: use another",
}


@pytest.mark.parametrize("spoil", SPOILT)
def test_what_does_not_fit_is_one_line_and_nothing_is_executed(spoil, folder_of, tmp_path, monkeypatch, capfd):
    """The folder also names code by `auto_map`, which is not run in any of the cases."""
    monkeypatch.chdir(tmp_path)
    folder = folder_of("Bert")
    change(folder, auto_map={"AutoModel": "own.Model"}, trust_remote_code=True)
    (folder / "own.py").write_text("import os; os.mkdir('acted')")
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    spoil(folder, tensors)
    with pytest.raises(UserError, match=SPOILT[spoil]) as raised:
        load_pretrained("Bert")
    assert "\n" not in str(raised.value)
    assert all("the code that auto_map names is not run" in line for line in capfd.readouterr().err.splitlines())
    assert not (tmp_path / "acted").exists()


@pytest.mark.parametrize("piece", ["Cats", "cats"])
def test_a_checkpoint_of_google_research_is_loaded_with_its_casing(piece, tmp_path):
    """Its files do not state whether text is lowercased, but a vocabulary with capitals needs them."""
    for name in ("bert_config.json", "bert_model.ckpt.index", "bert_model.ckpt.data-00000-of-00001"):
        shutil.copy(GOOGLE / name, tmp_path)
    letters = [f"{mark}{letter}" for letter in "CATScats" for mark in ("", "##") if letter.islower() or piece == "Cats"]
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", piece, *letters]
    (tmp_path / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    found = load_pretrained(str(tmp_path))
    assert found.tokenizer.encode("Cats").tokens == ["[CLS]", piece, "[SEP]"]
    assert load_tokenizer(tmp_path).encode("Cats").tokens == ["[CLS]", piece, "[SEP]"]  # as tokenizer=files does
    assert found.encoder()(torch.tensor([[2, 5, 3]])).shape == (1, 3, 8)
    assert found.masked_lm_head() is not None
    unused = 40 - len(vocabulary)
    assert found.loaded == (
        "bert of 2 layers, with masked_lm, next_sentence, from bert_model.ckpt.index in float32; "
        f"{unused} of its 40 word vectors have no token"
    )


def test_a_foreign_folder_is_read_or_one_line(folder_of, command):
    folder = folder_of("Bert")
    settings = json.loads((folder / "config.json").read_text())
    for change in ({"hidden_size": 10**12}, {"vocab_size": 10**13}, {"num_hidden_layers": 10**9}, {"model_type": []}):
        (folder / "config.json").write_text(json.dumps(settings | change))
        code, _, errors = command("predict", "run=Bert", "the [MASK] sleeps")
        assert (code, errors.count("\n")) == (2, 1), errors
        assert "Bert/config.json: " in errors

"""Hugging Face folders: every form of weights, scores as transformers has them, and damage named in one sentence."""

import json
import os
import pickle
import re
import zipfile

import pytest
import torch
from safetensors.torch import load_file, save_file

from bert_lightning.model import BERT
from bert_lightning.model.heads import MaskedLMHead
from bert_lightning.model.hugging_face.conversion import from_hugging_face
from bert_lightning.model.hugging_face.loading import load_hugging_face

transformers = pytest.importorskip("transformers")

SIZES = dict(
    vocab_size=61, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24,
    max_position_embeddings=20,
)  # fmt: skip
FAMILIES = {
    "Bert": (SIZES, "cls.predictions.decoder.weight"),
    "Roberta": (SIZES | {"type_vocab_size": 1, "layer_norm_eps": 1e-5}, "lm_head.decoder.weight"),
    "Albert": (SIZES | {"embedding_size": 8}, "predictions.decoder.weight"),
    "DistilBert": (
        dict(vocab_size=61, dim=16, n_layers=2, n_heads=2, hidden_dim=24, max_position_embeddings=20),
        "vocab_projector.weight",
    ),
    "Electra": (SIZES | {"embedding_size": 8}, "generator_lm_head.weight"),
    "ModernBert": (SIZES | {"local_attention": 8, "pad_token_id": 0}, "decoder.weight"),
}
IDS = torch.tensor([[5, 9, 33, 60, 7, 12]])


def model_of(family, **settings):
    """A tiny random model for masked words whose biases are not 0."""
    torch.manual_seed(0)
    config = getattr(transformers, f"{family}Config")(**FAMILIES[family][0], **settings)
    model = getattr(transformers, f"{family}ForMaskedLM")(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


@pytest.fixture
def folder(tmp_path):
    """A tiny BERT's folder."""
    model_of("Bert").save_pretrained(tmp_path / "bert")
    return tmp_path / "bert"


def scores(folder):
    """Our scores of words for `IDS`."""
    model = load_hugging_face(folder)
    bert, head = BERT(model.config).eval(), MaskedLMHead(model.config).eval()
    for module, prefix in ((bert, "bert."), (head, "masked_lm.")):
        tensors = {n.removeprefix(prefix): t for n, t in model.tensors.items() if n.startswith(prefix)}
        module.load_state_dict(tensors, assign=True)
    with torch.no_grad():
        return head(bert(IDS), bert.embeddings.word.weight)


def their_scores(family, folder):
    with torch.no_grad():
        return getattr(transformers, f"{family}ForMaskedLM").from_pretrained(folder).eval()(IDS).logits


@pytest.mark.parametrize("how", ["tied", "untied", "untied, but config.json says tied"])
@pytest.mark.parametrize("family", FAMILIES)
def test_scores_of_words_are_those_of_transformers(family, how, tmp_path):
    model_of(family, tie_word_embeddings=how == "tied").save_pretrained(tmp_path)
    if "but" in how:
        settings = json.loads((tmp_path / "config.json").read_text())
        (tmp_path / "config.json").write_text(json.dumps(settings | {"tie_word_embeddings": True}))
    model = load_hugging_face(tmp_path)
    assert model.config.tie_word_embeddings == (how == "tied")
    assert model.left_out == []
    expected = their_scores(family, tmp_path)
    torch.testing.assert_close(scores(tmp_path), expected, atol=1e-5, rtol=0)
    if how != "tied":  # the test can tell the two apart
        words = load_file(tmp_path / "model.safetensors")
        tied = {name: tensor for name, tensor in words.items() if name != FAMILIES[family][1]}
        save_file(tied, tmp_path / "model.safetensors", metadata={"format": "pt"})
        (tmp_path / "config.json").write_text(
            json.dumps(json.loads((tmp_path / "config.json").read_text()) | {"tie_word_embeddings": True})
        )
        assert (scores(tmp_path) - expected).abs().max() > 1e-2


@pytest.mark.parametrize("form", ["bin", "bin of 2019", "module", "sharded safetensors", "sharded bin"])
def test_every_form_of_weights_gives_the_same(form, folder):
    expected = scores(folder)
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    if form == "bin":
        decoder = {"cls.predictions.decoder.weight": tensors["bert.embeddings.word_embeddings.weight"]}
        torch.save(tensors | decoder, folder / "pytorch_model.bin")
    elif form == "bin of 2019":  # a file of another format, with other names and buffers, beside fewer settings
        old = {name.replace("Norm.weight", "Norm.gamma").replace("Norm.bias", "Norm.beta"): tensors[name]
               for name in tensors} | {"bert.embeddings.position_ids": torch.arange(20)[None]}  # fmt: skip
        torch.save(old, folder / "pytorch_model.bin", _use_new_zipfile_serialization=False)
        known = ("attention_probs_dropout_prob", "hidden_act", "hidden_dropout_prob", "initializer_range",
                 "type_vocab_size", *SIZES)  # fmt: skip
        settings = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({name: settings[name] for name in known}))
    elif form == "module":  # saved from DistributedDataParallel
        torch.save({f"module.{name}": tensor for name, tensor in tensors.items()}, folder / "pytorch_model.bin")
    else:
        save, stem, ending = (
            (save_file, "model", "safetensors") if "safe" in form else (torch.save, "pytorch_model", "bin")
        )
        places = {name: f"{stem}-{i % 3}.{ending}" for i, name in enumerate(tensors)}
        for place in set(places.values()):
            save({name: tensors[name] for name in tensors if places[name] == place}, folder / place)
        (folder / f"{stem}.{ending}.index.json").write_text(json.dumps({"weight_map": places}))
    assert torch.equal(scores(folder), expected)
    assert load_hugging_face(folder).left_out == []


CLASSES = ("Model", "ForMaskedLM", "ForPreTraining", "ForNextSentencePrediction", "ForSequenceClassification",
           "ForTokenClassification", "ForQuestionAnswering", "ForMultipleChoice")  # fmt: skip
READ_HEADS = {"ForMaskedLM": ["masked_lm"], "BertForPreTraining": ["masked_lm", "next_sentence"],
              "AlbertForPreTraining": ["masked_lm", "next_sentence"], "ForNextSentencePrediction": ["next_sentence"],
              "ElectraForPreTraining": ["replaced_tokens"]}  # fmt: skip


@pytest.mark.parametrize("family", FAMILIES)
def test_every_class_of_a_family_has_the_same_encoder(family, tmp_path):
    """With the prefix or without, whatever head is on top, in float16: nothing else decides what is read."""
    config = getattr(transformers, f"{family}Config")(**FAMILIES[family][0])
    for name in CLASSES:
        if (make := getattr(transformers, family + name, None)) is None:
            continue
        whole = make(config).half()
        base = getattr(whole, whole.base_model_prefix, whole)
        whole.save_pretrained(tmp_path / name)
        found = load_hugging_face(tmp_path / name)
        encoder = from_hugging_face(base.state_dict(), found.config, found.model_type)
        assert found.dtype == torch.float16
        for tensor in BERT(found.config).state_dict():
            assert torch.equal(found.tensors[f"bert.{tensor}"], encoder[f"bert.{tensor}"]), (name, tensor)
        heads = {tensor.partition(".")[0] for tensor in found.tensors if ".pooler." not in tensor} - {"bert"}
        assert sorted(heads) == READ_HEADS.get(family + name, READ_HEADS.get(name, []))
        of_task = name in CLASSES[4:]
        assert [bool(re.search("classifier|qa_outputs", sentence)) for sentence in found.left_out] == [True] * of_task


@pytest.mark.parametrize("names", [("LayerNorm.weight", "LayerNorm.gamma"), ("bert.", "")])
def test_two_names_of_one_tensor_are_refused(names, folder):
    tensors = load_file(folder / "model.safetensors")
    more = {name.replace(*names, 1): tensor + 1 for name, tensor in tensors.items()}
    save_file(more | tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"it holds both .* and .*, which are two names of one tensor: drop one"):
        load_hugging_face(folder)


def test_a_tensor_in_two_shards_is_refused(folder):
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    twice = "bert.embeddings.LayerNorm.bias"
    save_file(tensors, folder / "model-1.safetensors")
    save_file({twice: tensors[twice] + 1}, folder / "model-2.safetensors")
    places = dict.fromkeys(tensors, "model-1.safetensors") | {twice: "model-2.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    with pytest.raises(ValueError, match=f"index.json: {twice} is in two of its files: fetch all files of the model"):
        load_hugging_face(folder)


def test_an_old_config_names_its_family_by_the_class(tmp_path):
    model_of("Roberta").save_pretrained(tmp_path)
    settings = json.loads((tmp_path / "config.json").read_text())
    del settings["model_type"]
    (tmp_path / "config.json").write_text(json.dumps(settings))
    found = load_hugging_face(tmp_path)
    assert (found.model_type, found.config.position_offset, found.left_out) == ("roberta", 2, [])


@pytest.mark.parametrize(
    ("weight_map", "message"),
    [
        ({"a": "../model.safetensors"}, r"index.json names '../model.safetensors', which is no file of weights in its"),
        ({"a": "/etc/passwd"}, "names '/etc/passwd', which is no file of weights"),
        ({"a": "config.json"}, "names 'config.json', which is no file of weights"),
        ({"a": "..bin"}, "names '..bin', which is missing: fetch all files"),
        ({"a": "pipe.safetensors"}, "names 'pipe.safetensors', which is missing"),
        ({"a": 3}, "index.json has no weight_map"),
        ([], "index.json has no weight_map"),
        (None, "index.json has no weight_map"),
        ({"nothing": "model-1.safetensors"}, "says that nothing is in model-1.safetensors, which lacks it"),
        ({}, "does not fit its config.json: 0 tensors make no encoder of 2 layers"),
    ],
)
def test_an_index_names_files_of_its_own_folder_that_are_there(weight_map, message, folder):
    os.mkfifo(folder / "pipe.safetensors")
    (folder / "model.safetensors").rename(folder / "model-1.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    with pytest.raises(ValueError, match=message):
        load_hugging_face(folder)


class Evil:
    def __reduce__(self):
        return os.mkdir, ("acted",)


@pytest.mark.parametrize("content", ["code", "list", "numbers", "sparse", "text", "cut", "bomb"])
def test_a_bin_file_is_tensors_and_nothing_else(content, folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    path = folder / "pytorch_model.bin"
    if content == "code":
        torch.save(tensors | {"more": Evil()}, path)
    elif content in ("list", "numbers"):
        torch.save([1, 2] if content == "list" else tensors | {"step": 3}, path)
    elif content == "sparse":
        torch.save({name: tensor.to_sparse() for name, tensor in tensors.items()}, path)
    elif content == "text":
        path.write_bytes(pickle.dumps("x" * 1000))
    elif content == "cut":
        torch.save(tensors, path)
        path.write_bytes(path.read_bytes()[:-500])
    else:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("archive/data.pkl", b"\0" * 10**6)
    with pytest.raises(ValueError, match=r"pytorch_model.bin .*give the weights as model.safetensors") as raised:
        load_hugging_face(folder)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "acted").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not JSON"),
        (b"{", "is not JSON"),
        (b"\xff\xfe", "is not JSON"),
        (b"[1]", "must hold an object of settings"),
        (b"NaN", "must hold an object of settings"),
        (b'{"a":' * 100_000, "is nested too deeply|is not JSON"),
        (b'{"hidden_size": ' + b"9" * 5000 + b"}", "is not JSON"),
    ],
    ids=str,
)
def test_a_config_that_is_no_json_object_is_named(content, message, folder):
    (folder / "config.json").write_bytes(content)
    with pytest.raises(ValueError, match=f"config.json ({message})"):
        load_hugging_face(folder)


HUGE = 10**12
WRONG = [
    *({name: value} for name in ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads",
      "intermediate_size", "max_position_embeddings", "type_vocab_size")
      for value in (HUGE, 10**400, 2**31 - 1, -1, "8", 1.5, [8], {}, True, float("nan"))),
    *({name: value} for name in ("layer_norm_eps", "hidden_dropout_prob", "initializer_range")
      for value in (10**400, -1, "a", None, [], float("nan"), float("inf"))),
    *({name: value} for name in ("model_type", "hidden_act", "position_embedding_type")
      for value in ([], {}, 3, None, "\ud800", "x" * 10_000)),
    {"tie_word_embeddings": "no"}, {"is_decoder": True}, {"add_cross_attention": 1}, {"pruned_heads": {"0": [1]}},
    {"quantization_config": {"quant_method": "bitsandbytes"}}, {"hidden_size": 17}, {"num_hidden_layers": 3},
    {"num_hidden_layers": 9_999}, {"vocab_size": 62}, {"intermediate_size": 12},
]  # fmt: skip
WRONG_ROBERTA = [{"pad_token_id": value} for value in (None, -1, "1", True, HUGE, 19)]
WRONG_ALBERT = [
    *({"num_hidden_layers": value} for value in (HUGE, 10**7, 2**31 - 1)), {"num_hidden_groups": HUGE},
    {"num_hidden_groups": 0}, {"inner_group_num": 2}, {"embedding_size": HUGE}, {"embedding_size": 16},
]  # fmt: skip
WRONG_MODERN = [
    *({"layer_types": value} for value in (3, "x", [[]], ["full_attention"] * 3, ["sliding_attention"] * 2)),
    *({"rope_parameters": value} for value in (
        3, [1], {"full_attention": 3}, {"full_attention": {"rope_type": "yarn", "factor": 4.0}},
        {"full_attention": {"rope_theta": "x"}}, {"sliding_attention": {"rope_theta": 10**400}})),
    *({"layer_types": None, "global_attn_every_n_layers": value} for value in (0, -2, "3", None)),
    {"local_attention": HUGE}, {"num_hidden_layers": HUGE}, {"rope_scaling": {"type": "linear", "factor": 2}},
    {"classifier_activation": "relu"}, {"hidden_activation": "gelu_new"}, {"decoder_bias": "yes"},
]  # fmt: skip


@pytest.mark.parametrize(
    ("family", "changes"),
    [("Bert", WRONG), ("Roberta", WRONG_ROBERTA), ("Albert", WRONG_ALBERT), ("ModernBert", WRONG_MODERN)],
)
def test_a_foreign_config_is_one_sentence_and_no_memory(family, changes, tmp_path):
    model_of(family).save_pretrained(tmp_path)
    good = json.loads((tmp_path / "config.json").read_text())
    for change in changes:
        (tmp_path / "config.json").write_text(json.dumps(good | change))
        with pytest.raises(ValueError, match=r"config\.json") as raised:
            print(change, load_hugging_face(tmp_path).config)
        assert len(str(raised.value)) < 600 + len(str(tmp_path)), change
        assert "\n" not in str(raised.value), change


def test_damaged_safetensors_are_named(folder):
    path = folder / "model.safetensors"
    whole = path.read_bytes()
    for content in (b"", b"x" * 100, whole[:-1], whole[:20], b"\xff" * 8 + whole[8:], b"{" + whole[1:]):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"model.safetensors is damaged \(") as raised:
            load_hugging_face(folder)
        assert "\n" not in str(raised.value)
    path.rename(folder / "tf_model.h5")
    with pytest.raises(ValueError, match=r"bert holds no weights \('tf_model.h5' is not read\): it needs one of model"):
        load_hugging_face(folder)


@pytest.mark.parametrize(
    ("name", "tensor", "message"),
    [
        ("bert.embeddings.LayerNorm.bias", None, r"it holds no tensor for bert.embeddings.norm.bias \(1 are missing"),
        ("bert.encoder.layer.1.attention.self.key.weight", None, "does not hold bert.encoder.layer.1.attention.self"),
        (
            "bert.encoder.layer.0.attention.self.key.weight",
            torch.ones(1),
            r"has shape \[1\], but the sizes there make \[16, 16\]",
        ),
        ("bert.encoder.layer.0.attention.self.key.weight", torch.ones(1).expand(2**20, 2**20), r"\[16, 16\]"),
        (
            "bert.encoder.layer.0.output.dense.weight",
            torch.ones(16, 24).to(torch.int8),
            "holds torch.int8, not numbers",
        ),
        ("bert.embeddings.LayerNorm.bias", torch.ones(16).to(torch.float8_e4m3fn), "holds torch.float8_e4m3fn, not"),
        ("bert.embeddings.word_embeddings.weight", torch.ones(()), r"has shape \[\]"),
    ],
)
def test_tensors_that_do_not_fit_are_named_before_they_are_joined(name, tensor, message, folder):
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    changed = {**tensors, name: tensor}
    torch.save({name: tensor for name, tensor in changed.items() if tensor is not None}, folder / "pytorch_model.bin")
    with pytest.raises(ValueError, match=f"pytorch_model.bin does not fit its config.json: .*{message}"):
        load_hugging_face(folder)


def test_what_is_left_out_is_said(folder):
    tensors = load_file(folder / "model.safetensors")
    harmless = {"bert.embeddings.position_ids": torch.arange(20)[None]}
    more = {"classifier.weight": torch.ones(2, 16), "bert.encoder.layer.7.output.dense.weight": torch.ones(16, 24)}
    save_file(tensors | harmless, folder / "model.safetensors", metadata={"format": "pt"})
    assert load_hugging_face(folder).left_out == []
    save_file(tensors | more, folder / "model.safetensors", metadata={"format": "pt"})
    settings = json.loads((folder / "config.json").read_text())
    settings |= {"attention_probs_dropout_prob": 0.0, "auto_map": {"AutoModel": "code.Model"}}
    (folder / "config.json").write_text(json.dumps(settings))
    unread, dropout, code = load_hugging_face(folder).left_out
    assert re.match(
        r"2 tensors are not read, .* \(bert.encoder.layer.7.output.dense.weight, classifier.weight\)", unread
    )
    assert "attention_probs_dropout_prob=0.0 is not read: hidden_dropout_prob=0.1 serves" in dropout
    assert "auto_map names is not run" in code


def test_a_trained_table_of_positions_is_read_whatever_the_config_says(tmp_path):
    model = model_of("DistilBert", sinusoidal_pos_embds=True)
    model.save_pretrained(tmp_path)
    assert load_hugging_face(tmp_path).config.positions == "learned"
    torch.testing.assert_close(scores(tmp_path), their_scores("DistilBert", tmp_path), atol=1e-5, rtol=0)
    transformers.DistilBertModel(model.config).save_pretrained(tmp_path)
    assert load_hugging_face(tmp_path).config.positions == "sinusoidal"


def test_albert_of_one_width_is_refused_where_its_projection_changes_anything(tmp_path):
    torch.manual_seed(0)
    model = transformers.AlbertForMaskedLM(transformers.AlbertConfig(**SIZES, embedding_size=16)).eval()
    model.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="embedding_size=16 is hidden_size, and albert"):
        load_hugging_face(tmp_path)
    mapping = model.albert.encoder.embedding_hidden_mapping_in
    mapping.weight.data, mapping.bias.data = torch.eye(16), torch.zeros(16)
    model.save_pretrained(tmp_path)
    torch.testing.assert_close(scores(tmp_path), their_scores("Albert", tmp_path), atol=1e-5, rtol=0)


def test_reading_a_folder_draws_no_random_number(folder):
    torch.manual_seed(3)
    before = torch.get_rng_state()
    load_hugging_face(folder)
    assert torch.equal(torch.get_rng_state(), before)

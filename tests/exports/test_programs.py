"""A program of ONNX or torch.export computes what the package computes, for any batch size and length."""

import importlib
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from bert_lightning import UserError
from bert_lightning.exports.onnx_format import OnnxFormat
from bert_lightning.exports.padded_encoder import PaddedEncoder
from bert_lightning.exports.program_folder import export_program
from bert_lightning.exports.torch_format import TorchFormat
from bert_lightning.exports.traced_model import ModelOutput, default_output, traced_model
from bert_lightning.inference.loaded_model import LoadedModel
from bert_lightning.model import BERT, BertConfig
from bert_lightning.model.heads import (
    MaskedLMHead,
    NextSentenceHead,
    ReplacedTokenHead,
    SequenceClassificationHead,
    SpanHead,
    TokenClassificationHead,
)
from bert_lightning.runs.pretrained import PretrainedWeights
from bert_lightning.text.tokenizers.recipes import load_tokenizer

SIZES = {
    "vocab_size": 30522, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24,
    "max_position_embeddings": 64, "initializer_range": 0.2,
}  # fmt: skip
FAMILIES = {
    "bert": {},
    "roberta": {"type_vocab_size": 1, "position_offset": 2},
    "albert": {"embedding_size": 8, "num_hidden_groups": 1, "activation": "gelu_tanh"},
    "distilbert": {"type_vocab_size": 0, "positions": "sinusoidal"},
    "electra": {"embedding_size": 8, "classifier_activation": "gelu"},
    "modernbert": {
        "type_vocab_size": 0, "positions": "rotary", "norm_order": "pre", "final_norm": True, "linear_bias": False,
        "first_attention_norm": False, "feed_forward": "gated", "norm_bias": False, "local_window": 8,
        "global_every": 2, "rope_theta": 1000.0, "local_rope_theta": 100.0, "classifier_pooling": "mean",
    },
    "of no family": {"norm": "rms", "norm_order": "pre", "final_norm": True, "tie_word_embeddings": False},
}  # fmt: skip
HEADS = {
    "masked_lm": lambda config: MaskedLMHead(config),
    "replaced_token": lambda config: ReplacedTokenHead(config),
    "next_sentence": lambda config: NextSentenceHead(config),
    "sequence_classification": lambda config: SequenceClassificationHead(config, 3),
    "token_classification": lambda config: TokenClassificationHead(config, 5),
    "span": lambda config: SpanHead(config),
}
SHAPES = ((1, 1), (1, 7), (2, 64), (3, 17), (5, 30))
TEXTS = ["The cat sleeps.", "A very long and unforgettable story about the garden of my uncle."]


@pytest.fixture(scope="module")
def tokenizer(test_data):
    return load_tokenizer(test_data / "vocab" / "bert-base-uncased")


def weights(tokenizer, family="bert", head="masked_lm", **sizes):
    torch.manual_seed(0)
    config = BertConfig(**SIZES | FAMILIES[family] | sizes)
    tensors = {f"encoder.{name}": value for name, value in BERT(config).state_dict().items()}
    if head is not None:
        made = HEADS[head](config).state_dict()
        tensors |= {f"objective.terms.t.head.{name}": torch.randn_like(value) * 0.3 for name, value in made.items()}
    heads = {} if head is None else {"t": head}
    return PretrainedWeights(Path("x.ckpt"), config, tokenizer, tensors, {"heads": heads})


def batch(shape, config):
    generator = torch.Generator().manual_seed(shape[1])
    ids = torch.randint(config.vocab_size, shape, generator=generator)
    lengths = (shape[1] - 4 * torch.arange(shape[0])).clamp(min=1)
    mask = (torch.arange(shape[1]) < lengths[:, None]).long()
    return ids, mask, (torch.arange(shape[1]) > shape[1] // 2).long().expand(shape).contiguous()


@pytest.mark.parametrize("family", FAMILIES)
def test_the_padded_encoder_equals_the_encoder(family, tokenizer):
    encoder = weights(tokenizer, family, None).encoder().eval()
    padded = PaddedEncoder(encoder)
    assert {id(parameter) for parameter in padded.parameters()} == {id(each) for each in encoder.parameters()}
    with torch.no_grad():
        for shape in SHAPES:
            ids, mask, types = batch(shape, encoder.config)
            for real in (mask, mask.flip(1)):  # padding after the text, and before it
                found = padded(ids, real, types)
                assert found.isfinite().all()
                torch.testing.assert_close(found[real > 0], encoder(ids, types, real)[real > 0], atol=1e-5, rtol=1e-5)
    assert not any("Padded" in type(part).__name__ for part in encoder.modules())  # the encoder stays as it is


def expected_outputs(source, head, ids, mask, types):
    """Outputs of the package's own encoder and head, computed without this module's code."""
    hidden = source.encoder().eval()(ids, types, mask)
    if head is None:
        return (hidden,)
    module = HEADS[head](source.config).eval()
    source.fill(module, "objective.terms.t.head.")
    if head == "masked_lm":
        return (module(hidden, source.tensors["encoder.embeddings.word.weight"]),)
    if head == "sequence_classification":
        return (module(hidden, mask),)
    found = module(hidden)
    return found if isinstance(found, tuple) else (found,)


@pytest.mark.parametrize("head", [*HEADS, None])
@pytest.mark.parametrize("family", ["bert", "modernbert", "of no family"])
def test_every_head_of_the_model_that_is_traced(family, head, tokenizer):
    source = weights(tokenizer, family, head)
    model = traced_model(source, ModelOutput("hidden_states" if head is None else "logits"))
    ids, mask, types = batch((3, 17), source.config)
    with torch.no_grad():
        found, expected = model.module(ids, mask, types), expected_outputs(source, head, ids, mask, types)
    assert len(found) == len(expected) == len(model.outputs)
    for ours, theirs in zip(found, expected, strict=True):
        real = mask > 0 if ours.shape[:2] == ids.shape else ...
        torch.testing.assert_close(ours[real], theirs[real], atol=1e-5, rtol=1e-5)


def run_card(folder, monkeypatch, names):
    """Run the Python code of the model card where the folder lies, and return the outputs."""
    monkeypatch.chdir(folder.parent)
    (code,) = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    scope = {}
    exec(code.replace("A text.", TEXTS[0]).replace("Another, longer text.", TEXTS[1]), scope)
    return [np.asarray(scope[name]) for name in names]


def test_onnx(tokenizer, tmp_path, monkeypatch, capsys):
    """The code of the card gives the embeddings of `embed`; a later program is not asked for anything of this one."""
    for name in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(name, reason="pip install 'bert-lightning[onnx]'")
    source = weights(tokenizer, num_hidden_layers=1)
    written = export_program(source, tmp_path / "new", OnnxFormat(), ModelOutput("embeddings", "mean", True), None)
    assert capsys.readouterr().err == ""
    assert written.difference < 1e-5
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [
        "README.md", "config.json", "model.onnx", "tokenizer.json", "tokenizer_config.json",
    ]  # fmt: skip
    (found,) = run_card(tmp_path / "new", monkeypatch, ["sentence_embedding"])
    ours = LoadedModel(source, "cpu").embed(TEXTS, normalize=True)
    np.testing.assert_allclose(found, ours, atol=1e-5)


def test_torch_export_is_loaded_without_this_package(tokenizer, tmp_path, monkeypatch):
    source = weights(tokenizer, "bert", "span", num_hidden_layers=1)
    written = export_program(source, tmp_path / "new", TorchFormat(), ModelOutput("logits"), None)
    assert written.outputs == ("start_logits", "end_logits")
    assert json.loads((tmp_path / "new/config.json").read_text())["model_type"] == "bert"
    monkeypatch.setitem(sys.modules, "bert_lightning", None)  # an import of it would fail
    starts, _ = run_card(tmp_path / "new", monkeypatch, written.outputs)
    encoded = tokenizer.encode_batch(TEXTS)
    ids = torch.tensor([each.ids + [0] * (len(encoded[1].ids) - len(each.ids)) for each in encoded])
    mask = (ids != 0).long()
    with torch.no_grad():
        expected = expected_outputs(source, "span", ids, mask, torch.zeros_like(ids))[0]
    real = mask.numpy() > 0
    np.testing.assert_allclose(starts[real], expected.numpy()[real], atol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("quantize=int8", "quantize=int8 is a setting of to=onnx: add it, or leave quantize out"),
        ("to=torch_export quantize=int8", "quantize=int8 is a setting of to=onnx"),
        ("outputs=logits", "outputs=logits is a setting of to=onnx or to=torch_export"),
        ("to=onnx outputs=logits pooling=cls", "pooling=cls is a setting of embeddings, not of outputs=logits"),
        ("to=torch_export outputs=states", "outputs=states"),
    ],
)
def test_settings_without_an_effect_get_one_line(options, message, command, tmp_path):
    code, _, errors = command("export", "run=runs/none", "output=new", *options.split())
    assert (code, errors.count("\n")) == (2, 1), errors
    assert message in errors
    assert not (tmp_path / "new").exists()


def test_a_missing_package_gets_the_command_that_installs_it(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"^to=onnx needs onnx, onnxscript, onnxruntime: pip install 'bert-lightning\["):
        OnnxFormat("int8")


def test_a_head_of_an_own_class_is_refused(tokenizer):
    source = weights(tokenizer, head=None)
    source.metadata["task"] = {"labels": []}
    with pytest.raises(UserError, match=r"x.ckpt has no head whose logits .*: give outputs=hidden_states"):
        traced_model(source, ModelOutput("logits"))


def test_a_pooler_without_a_classifier_is_no_head(tokenizer):
    source = weights(tokenizer, head="next_sentence")
    assert default_output(source) == "logits"
    for name in [name for name in source.tensors if ".head.classifier." in name]:
        del source.tensors[name]
    assert default_output(source) == "hidden_states"
    assert traced_model(source, ModelOutput("hidden_states")).left_out == ()
    with pytest.raises(UserError, match="has no head whose logits"):
        traced_model(source, ModelOutput("logits"))


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_onnx_of_every_family_at_five_shapes(family, tokenizer, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime", reason="pip install 'bert-lightning[onnx]'")
    source = weights(tokenizer, family, "token_classification", num_hidden_layers=3)
    export_program(source, tmp_path / "new", OnnxFormat(), ModelOutput("logits"), None)
    session = onnxruntime.InferenceSession(tmp_path / "new/model.onnx")
    for shape in SHAPES:
        ids, mask, types = batch(shape, source.config)
        given = {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}
        (found,) = session.run(None, {each.name: given[each.name].numpy() for each in session.get_inputs()})
        with torch.no_grad():
            (expected,) = expected_outputs(source, "token_classification", ids, mask, types)
        real = mask.numpy() > 0
        np.testing.assert_allclose(found[real], expected.numpy()[real], atol=1e-4)


@pytest.mark.slow
def test_int8(tokenizer, tmp_path, monkeypatch):
    pytest.importorskip("onnxruntime", reason="pip install 'bert-lightning[onnx]'")
    source = weights(tokenizer, "bert", "sequence_classification", hidden_size=64, intermediate_size=128)
    sizes, scores = {}, {}
    for name, quantize in (("exact", None), ("int8", "int8")):
        written = export_program(source, tmp_path / name, OnnxFormat(quantize), ModelOutput("logits"), None)
        sizes[name] = (tmp_path / name / "model.onnx").stat().st_size
        (scores[name],) = run_card(tmp_path / name, monkeypatch, written.outputs)
    assert 1e-4 < written.difference < 0.2  # rounding to 8 bits is seen, and stays small
    assert sizes["int8"] < 0.3 * sizes["exact"]
    np.testing.assert_allclose(scores["int8"], scores["exact"], atol=0.2 * abs(scores["exact"]).max())
    assert "with weights in int8" in (tmp_path / "int8/README.md").read_text(encoding="utf-8")
    assert sorted(path.name for path in (tmp_path / "int8").iterdir()) == sorted(
        path.name for path in (tmp_path / "exact").iterdir()
    )

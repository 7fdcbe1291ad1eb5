"""Exported weights give the same hidden states and scores in transformers, and load back."""

import re
import resource
import signal
from pathlib import Path

import pytest
import torch

from bert_lightning.errors import UserError
from bert_lightning.exports.transformers_folder import export
from bert_lightning.model.heads import MaskedLMHead, NextSentenceHead, ReplacedTokenHead
from bert_lightning.runs.pretrained import load_pretrained

transformers = pytest.importorskip("transformers")

SIZES = ("trainer.max_steps=2", "trainer.val_check_interval=2", "callbacks.progress=null")
# What every variant is at the default size: overrides, transformers' class, the family, and what has no place there.
CASES = {
    "bert": ((), "BertForPreTraining", "bert", None),
    "roberta": ((), "RobertaForMaskedLM", "roberta", None),
    "albert": ((), "AlbertForPreTraining", "albert", None),
    "electra": ((), "ElectraForPreTraining", "electra", "objective.terms.generator"),
    "modernbert": ((), "ModernBertForMaskedLM", "modernbert", None),
    "spanbert": ((), "BertForMaskedLM", "bert", "objective.terms.sbo"),
    "distilbert": (("teacher=runs/teacher",), "DistilBertForMaskedLM", "distilbert", None),
    "roberta, order of sentences": (
        ("objective=mlm_sop", "examples=sentence_order", "model.type_vocab_size=2"),
        "RobertaForMaskedLM", "roberta", "objective.terms.sop",
    ),
    "albert, replaced tokens": (
        ("objective=rtd", "masking=electra", "examples=full_sentences"),
        "AlbertModel", "albert", "objective.terms.generator, objective.terms.rtd",
    ),
    "bert, untied": (("model.tie_word_embeddings=false",), "BertForPreTraining", "bert", None),
    "bert, sinusoidal": (
        ("model.type_vocab_size=0", "model.positions=sinusoidal", "examples=full_sentences", "objective=mlm"),
        "DistilBertForMaskedLM", "distilbert", None,
    ),
}  # fmt: skip


HEADS = {
    "mlm": (MaskedLMHead, ("prediction_logits", "logits")),
    "nsp": (NextSentenceHead, ("seq_relationship_logits",)),
    "sop": (NextSentenceHead, ("sop_logits",)),
    "rtd": (ReplacedTokenHead, ("logits",)),
}


@pytest.fixture
def pretrained(command, small_corpus, tmp_path):
    """Pretrain a variant at its default size for two steps, as `runs/<name>`; returns what was printed."""

    def make(variant, *overrides, name="run"):
        data = ("data=sentences", f"data.corpus.path={small_corpus}", f"data.folder={tmp_path}/data/{name}",
                "data.validation_fraction=0.2", "debug=smoke", "model.dropout_rate=0.1")  # fmt: skip
        words = () if "distilbert" in variant else ("tokenizer.vocab_size=400",)
        code, output, errors = command(
            "pretrain", f"variant={variant}", *data, *words, *SIZES, *overrides, f"name={name}"
        )
        assert code == 0, errors
        return output

    return make


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_transformers_computes_what_the_run_computes(case, command, pretrained, tmp_path):
    overrides, model_class, family, lost = CASES[case]
    if case == "distilbert":
        pretrained("bert", name="teacher")
    pretrained(case.partition(",")[0], *overrides)
    code, output, errors = command("export", "run=runs/run", "output=exported")
    assert code == 0, errors
    assert f"exported: {family}" in output
    assert errors.count("left out") == (lost is not None)
    if lost:
        assert f"note: {family} has no head for {lost}: left out" in errors
    source = load_pretrained("runs/run")
    bare = {"add_pooling_layer": False} if model_class.endswith("Model") else {}
    model, notes = getattr(transformers, model_class).from_pretrained("exported", output_loading_info=True, **bare)
    assert not notes["missing_keys"], notes
    assert not notes["mismatched_keys"], notes
    model.eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained("exported")
    texts = ["the cat sleeps.", "a dog runs away in story 3 part 1."]
    batch = tokenizer(texts, texts[::-1], padding=True, return_tensors="pt")
    encoded = source.tokenizer.encode_batch(list(zip(texts, texts[::-1], strict=True)))
    assert batch["input_ids"].tolist() == [
        each.ids + [tokenizer.pad_token_id] * (batch["input_ids"].shape[1] - len(each.ids)) for each in encoded
    ]
    assert ("token_type_ids" in batch) == (source.config.type_vocab_size > 1)
    assert tokenizer.mask_token is not None
    mask = batch["attention_mask"]
    with torch.no_grad():
        ours = source.encoder().eval()(batch["input_ids"], batch.get("token_type_ids"), mask)
        theirs = model.base_model(**batch).last_hidden_state
    torch.testing.assert_close(ours[mask > 0], theirs[mask > 0], atol=1e-5, rtol=1e-5)
    expected = model(**batch)
    for name, (head_class, outputs) in HEADS.items():
        logits = [expected[output] for output in outputs if output in expected]
        if logits and name in source.head_types():
            head = head_class(source.config).eval()
            source.fill(head, f"objective.terms.{name}.head.")
            words = (source.encoder().embeddings.word.weight,) if name == "mlm" else ()
            scores, real = head(ours, *words), mask > 0 if name in ("mlm", "rtd") else ...
            torch.testing.assert_close(scores[real], logits[0][real], atol=1e-5, rtol=1e-5)
    again = load_pretrained("exported")
    kept = set(again.tensors) & set(source.tensors)
    assert all(torch.equal(again.tensors[name], source.tensors[name]) for name in kept)
    wanted = {name for name in source.tensors if name.startswith("encoder.") and "parametrizations" not in name}
    assert wanted <= kept
    with torch.no_grad():
        torch.testing.assert_close(again.encoder().eval()(batch["input_ids"], batch.get("token_type_ids"), mask), ours)


def test_mistakes_get_one_line(command, tiny_run, tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to("nowhere")
    (tmp_path / "file").write_text("")
    code, _, errors = command("pretrain", *tiny_run, *SIZES, "name=run", "model.norm_order=pre")
    assert code == 0, errors
    for arguments, message in (
        (("run=runs/run", "output=there"), "output=there exists already: choose another path"),
        (("run=runs/run", "output=link"), "output=link exists already: choose another path"),
        (("run=runs/run", "output=new"), "no model family of transformers has this architecture: "
         "norm_order='pre' cannot be written as bert, which has 'post'"),
        (("run=runs/run", "output=new", "family=modernbert"), "cannot be written as modernbert, which has"),
        (("run=runs/run", "output=new", "family=roberta"), "pad_token_id=-1 must be an id"),
        (("run=runs/none", "output=new"), "no encoder at runs/none"),
        (("run=runs/run", "output=new", "family=gpt"), "model_type='gpt' is not supported"),
    ):  # fmt: skip
        code, _, errors = command("export", *arguments)
        assert code == 2
        assert errors.count("\n") == 1, errors
        assert message in errors
        assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("variant", "overrides", "message"),
    [
        (
            "cramming",
            (),
            r"no model family of transformers has this .*: .* cannot be written as \w+, .* \(and \d more differences",
        ),
        ("roberta", ("tokenizer=wordpiece",), "position_offset=2 cannot be written as bert, which has 0"),
        ("modernbert", ("model.norm=rms",), "norm='rms' cannot be written as modernbert, which has 'layer'"),
    ],
)
def test_the_family_that_comes_nearest_is_named(variant, overrides, message, command, pretrained, tmp_path):
    pretrained(variant, *overrides)
    code, _, errors = command("export", "run=runs/run", "output=new")
    assert code == 2
    assert errors.count("\n") == 1
    assert re.search(message, errors), errors
    assert not (tmp_path / "new").exists()
    if variant == "roberta":  # its positions are counted from the padding id, which is another one here
        code, _, errors = command("export", "run=runs/run", "output=new", "family=roberta")
        assert "position_offset=2 needs the padding id 1 in roberta, not 0" in errors


def test_a_full_disk_leaves_nothing(command, tiny_run, tmp_path):
    code, _, errors = command("pretrain", *tiny_run, *SIZES, "name=run")
    assert code == 0, errors
    before = sorted(tmp_path.rglob("*"))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    for size in (10, 2000, 20_000):  # in config.json, in the weights
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
            with pytest.raises(UserError, match=r"output=deep/er/new cannot be written \(.*: choose") as raised:
                export(load_pretrained("runs/run"), Path("deep/er/new"), None)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            signal.signal(signal.SIGXFSZ, handler)
        assert "\n" not in str(raised.value)
        assert sorted(tmp_path.rglob("*")) == before
    for output in ("runs/run/config.yaml/new", "x" * 300):
        code, _, errors = command("export", "run=runs/run", f"output={output}")
        assert (code, errors.count("\n")) == (2, 1), errors
        assert "cannot be written" in errors
    assert sorted(tmp_path.rglob("*")) == before


def test_a_checkpoint_from_before_heads_had_types_is_exported_whole(command, pretrained, tmp_path):
    """Older versions stored no types of heads, and called the term `rtd` by the name `replaced`."""
    pretrained("electra")
    assert export(load_pretrained("runs/run"), tmp_path / "new", None) == "electra"
    path = tmp_path / "runs/run/checkpoints/best.ckpt"
    checkpoint = torch.load(path, weights_only=True)
    state, metadata = checkpoint["state_dict"], checkpoint["bert_lightning"]
    checkpoint["state_dict"] = {name.replace(".rtd.", ".replaced."): tensor for name, tensor in state.items()}
    checkpoint["bert_lightning"] = {"terms": ["generator", "replaced"]} | {
        name: metadata[name] for name in ("config", "tokenizer_fingerprint", "max_length")
    }
    assert len(checkpoint["state_dict"].keys() - state.keys()) == 4
    torch.save(checkpoint, path)
    assert load_pretrained("runs/run").head_types() == {"rtd": "replaced_token"}
    export(load_pretrained("runs/run"), tmp_path / "old", None)
    assert (tmp_path / "old/model.safetensors").read_bytes() == (tmp_path / "new/model.safetensors").read_bytes()
    assert "objective.terms.rtd.head.classifier.weight" in load_pretrained(str(tmp_path / "old")).tensors

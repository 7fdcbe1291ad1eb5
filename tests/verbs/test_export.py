"""A run's weights in transformers: the same hidden states and scores, and back again."""

import pytest
import torch

from bert_lightning.runs.checkpoint import load

transformers = pytest.importorskip("transformers")

SIZES = ("trainer.max_steps=2", "trainer.val_check_interval=2", "callbacks.progress=null")
CASES = {
    "bert": ((), "BertForPreTraining", "bert"),
    "albert": (("variant=albert",), "AlbertForPreTraining", "albert"),
    "electra": (("variant=electra",), "ElectraForPreTraining", "electra"),
    "distilbert": (
        ("model.type_vocab_size=0", "model.positions=sinusoidal", "examples=full_sentences", "objective=mlm"),
        "DistilBertForMaskedLM", "distilbert",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_transformers_computes_what_the_run_computes(case, command, tiny_run, tmp_path):
    overrides, model_class, family = CASES[case]
    small = [o for o in tiny_run if not (overrides and o.startswith("tokenizer."))]  # a recipe has its own
    code, _, errors = command("pretrain", *small, *SIZES, *overrides, "name=run", "model.dropout_rate=0.1")
    assert code == 0, errors
    code, output, errors = command("export", "run=runs/run", "output=exported")
    assert code == 0, errors
    assert f"exported: {family}" in output
    source = load("runs/run")
    model, notes = getattr(transformers, model_class).from_pretrained("exported", output_loading_info=True)
    assert not notes["missing_keys"], notes
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
    again = load("exported")
    kept = set(again.tensors) & set(source.tensors)
    assert all(torch.equal(again.tensors[name], source.tensors[name]) for name in kept)
    assert {name for name in source.tensors if name.startswith("encoder.")} <= kept


def test_mistakes_get_one_line(command, tiny_run, tmp_path):
    (tmp_path / "there").mkdir()
    code, _, errors = command("pretrain", *tiny_run, *SIZES, "name=run", "model.norm_order=pre")
    assert code == 0, errors
    for arguments, message in (
        (("run=runs/run", "output=there"), "there exists: choose another output=..."),
        (("run=runs/run", "output=new"), "is of no architecture that transformers has under these names: norm_order="),
        (("run=runs/none", "output=new"), "no encoder at runs/none"),
        (("run=runs/run", "output=new", "family=gpt"), "model_type='gpt' is not supported"),
    ):
        code, _, errors = command("export", *arguments)
        assert code == 2
        assert errors.count("\n") == 1, errors
        assert message in errors
        assert not (tmp_path / "new").exists()

"""Task heads of every family equal those of transformers, with its weights here and with our weights there."""

from dataclasses import replace

import pytest
import torch

from bert_lightning.model import (
    BERT,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
)
from bert_lightning.model.hugging_face.conversion import (
    config_from_hugging_face,
    config_to_hugging_face,
    from_hugging_face,
    task_to_hugging_face,
    to_hugging_face,
)

transformers = pytest.importorskip("transformers")

SIZES = dict(vocab_size=101, hidden_size=32, num_hidden_layers=1, num_attention_heads=4, intermediate_size=48)
# family -> settings, their names of our head's dense layer, norm and classifier
HEADS = {
    "bert": (SIZES, "bert.pooler.dense", None, "classifier"),
    "roberta": (SIZES, "classifier.dense", None, "classifier.out_proj"),
    "albert": (SIZES | {"embedding_size": 16}, "albert.pooler", None, "classifier"),
    "distilbert": (
        dict(vocab_size=101, dim=32, n_layers=1, n_heads=4, hidden_dim=48), "pre_classifier", None, "classifier",
    ),
    "electra": (SIZES, "classifier.dense", None, "classifier.out_proj"),
    "modernbert": (SIZES | {"pad_token_id": 0}, "head.dense", "head.norm", "classifier"),
}  # fmt: skip
HEADS["modernbert of means"] = (HEADS["modernbert"][0] | {"classifier_pooling": "mean"}, *HEADS["modernbert"][1:])


@pytest.mark.parametrize("case", HEADS)
def test_scores(case):
    settings, dense, norm, classifier = HEADS[case]
    family = case.partition(" ")[0]
    torch.manual_seed(0)
    theirs = transformers.AutoModelForSequenceClassification.from_config(
        transformers.AutoConfig.for_model(family, **settings, num_labels=3)
    ).eval()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    tensors = theirs.state_dict()
    config = config_from_hugging_face(theirs.config.to_dict())
    ours = BertForSequenceClassification(BERT(config), num_labels=3).eval()
    names = {"head.pooler.dense": dense, "head.norm": norm, "head.classifier": classifier}
    weights = {name: t for name, t in from_hugging_face(tensors, config, family).items() if name.startswith("bert.")}
    for our_name, their_name in names.items():
        for suffix in (".weight", ".bias"):
            if f"{their_name}{suffix}" in tensors:
                weights[our_name + suffix] = tensors[their_name + suffix]
    ours.load_state_dict(weights)
    ids = torch.randint(2, 101, (4, 9))
    mask = (torch.arange(9) < torch.tensor([9, 3, 1, 6])[:, None]).long()
    ids = torch.where(mask.bool(), ids, theirs.config.pad_token_id)
    expected = theirs(input_ids=ids, attention_mask=mask).logits
    torch.testing.assert_close(ours(ids, attention_mask=mask), expected, atol=1e-5, rtol=0)


LABELS = ["a", "b", "c"]
MODELS = {
    "classification": lambda bert: BertForSequenceClassification(bert, num_labels=3),
    "tagging": lambda bert: BertForTokenClassification(bert, num_labels=3),
    "spans": BertForQuestionAnswering,
}


@pytest.mark.parametrize("head", MODELS)
@pytest.mark.parametrize("case", HEADS)
def test_a_head_is_written_so_that_transformers_computes_it(case, head):
    torch.manual_seed(0)
    family = case.partition(" ")[0]
    config = config_from_hugging_face(transformers.AutoConfig.for_model(family, **HEADS[case][0]).to_dict())
    labels = [] if head == "spans" else LABELS
    if family == "modernbert" and head != "classification":
        with pytest.raises(ValueError, match="computes another head"):
            task_to_hugging_face(config, family, head, labels)
        return
    ours = MODELS[head](BERT(config)).eval()
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    tensors = {name.replace("head.", f"{head}.", 1): tensor for name, tensor in ours.state_dict().items()}
    settings = config_to_hugging_face(config, family) | task_to_hugging_face(config, family, head, labels)
    made = transformers.AutoConfig.for_model(**{"pad_token_id": 0} | settings)
    theirs = getattr(transformers, settings["architectures"][0])(made).eval()
    notes = theirs.load_state_dict(to_hugging_face(tensors, config, family), strict=False)
    assert not notes.unexpected_keys
    assert not notes.missing_keys
    ids, mask = torch.randint(2, 101, (2, 9)), torch.ones(2, 9, dtype=torch.long)
    with torch.no_grad():
        out, scores = theirs(input_ids=ids, attention_mask=mask), ours(ids, torch.zeros_like(ids), mask)
    expected = (out.start_logits, out.end_logits) if head == "spans" else out.logits
    torch.testing.assert_close(scores, expected, atol=1e-5, rtol=0)
    if labels:
        assert list(made.id2label.values()) == labels


def test_a_head_that_transformers_lacks_is_named():
    config = config_from_hugging_face({"model_type": "bert"} | SIZES)
    with pytest.raises(ValueError, match="classifier_pooling='mean', but transformers' BertForSequenceClassification"):
        task_to_hugging_face(replace(config, classifier_pooling="mean"), "bert", "classification", LABELS)

"""Fine-tune transformers' own class on our batches.

    python experiments/downstream/reference.py <overrides of `finetune`>

Weights (also of the head), data, order, hyperparameters, precision and seed are those of `bert-lightning finetune`
with the same overrides. The model is measured once, after the last step. Scores come from scikit-learn, SciPy,
seqeval, and a second implementation of the rules of the SQuAD script. `--mask-padding` excludes padding from the
softmax over the tokens of a row; transformers' class includes it. classifier_pooling=mean does not exist in
transformers' class, so it is computed from the parts of the class.
"""

import collections
import functools
import json
import re
import string
import sys
import time
from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import torch
from hydra import compose, initialize_config_dir
from torch import nn

from bert_lightning.cli import conf_folder
from bert_lightning.config.building import build
from bert_lightning.config.finalize import epoch_steps, finalize
from bert_lightning.config.hydra_registry import register
from bert_lightning.data.batching.sampler import StreamBatches
from bert_lightning.data.labelled.examples import labelled_batch
from bert_lightning.model.hugging_face.families import FAMILIES
from bert_lightning.optim import parameter_groups
from bert_lightning.runs.pretrained import load_pretrained
from bert_lightning.runs.ranks import device_count
from bert_lightning.runtime.environment import git_commit
from bert_lightning.tasks.data import training_data
from bert_lightning.verbs import finetune


def model_of(term, folder, num_labels, head, dropout_rate):
    """Return transformers' model with the weights of a folder. Its random head is replaced with our initial head."""
    import transformers as hf

    make = {
        "classification": hf.AutoModelForSequenceClassification,
        "regression": hf.AutoModelForSequenceClassification,
        "tagging": hf.AutoModelForTokenClassification,
        "spans": hf.AutoModelForQuestionAnswering,
    }[term]
    extra = {} if term == "spans" else {"num_labels": num_labels}
    config = hf.AutoConfig.from_pretrained(folder, **extra)
    if dropout_rate is not None:
        for name, value in config.to_dict().items():
            if "dropout" in name and isinstance(value, float | int):
                setattr(config, name, dropout_rate)
    model = make.from_pretrained(folder, config=config, attn_implementation="sdpa")
    if hasattr(head, "pooler") and hasattr(model, "bert"):  # the reader of the folder has filled ours
        torch.testing.assert_close(model.bert.pooler.dense.weight, head.pooler.dense.weight)
    replaced, kind = {}, "classification" if term == "regression" else term
    for ours, theirs in FAMILIES[config.model_type].tasks.items():
        if ours.startswith(f"{kind}."):
            layer = head.get_submodule(ours.removeprefix(f"{kind}."))
            replaced |= {f"{theirs}.{name}": tensor for name, tensor in layer.state_dict().items()}
    assert len(replaced) == len(head.state_dict()), "transformers' class computes another head"
    assert not model.load_state_dict(replaced, strict=False).unexpected_keys
    return model.train()


def forward(model, term, batch, task_type, labels, pooling=None, mask_padding=False):
    """Return the loss of the class, and the scores that `TaskType.decode` reads."""
    inputs = {
        "input_ids": batch["input_ids"],
        "token_type_ids": batch["token_type_ids"],
        "attention_mask": batch["attention_mask"].long(),
    }
    if getattr(model.config, "type_vocab_size", 1) == 1:  # such models tell no segments apart
        del inputs["token_type_ids"]
    targets = task_type.targets(batch["units"].units, labels)
    if term == "tagging":
        tags = torch.full(batch["input_ids"].shape, -100)
        tags.view(-1)[batch["word_positions"]] = targets
        out = model(**inputs, labels=tags)
        return out.loss, out.logits.flatten(0, 1)[batch["word_positions"]]
    if term == "spans":
        out = model(**inputs, start_positions=targets[:, 0], end_positions=targets[:, 1])
        scores = torch.stack([out.start_logits, out.end_logits], -1)
        if not mask_padding:
            return out.loss, scores
        scores = scores.float().masked_fill(~inputs["attention_mask"].bool()[..., None], -torch.inf)
        return nn.functional.cross_entropy(scores, targets), scores
    if pooling == "mean":
        hidden, weights = model.bert(**inputs).last_hidden_state, inputs["attention_mask"][..., None]
        pooler = model.bert.pooler
        read = pooler.activation(pooler.dense((hidden * weights).sum(1) / weights.sum(1)))
        logits = model.classifier(model.dropout(read))
        if term == "regression":
            return nn.functional.mse_loss(logits.squeeze(-1), targets), logits.squeeze(-1)
        return nn.functional.cross_entropy(logits, targets), logits
    out = model(**inputs, labels=targets)
    return out.loss, out.logits.squeeze(-1) if term == "regression" else out.logits


def score(name, predictions, examples):
    """Return the metrics of the task, computed by other libraries."""
    found, right = [p["answer"] for p in predictions], [e.answer for e in examples]
    if name == "accuracy":
        return float(np.mean([f == r for f, r in zip(found, right, strict=True)]))
    if name == "spearman":
        from scipy.stats import spearmanr

        return float(spearmanr(found, right).statistic)
    if name == "f1" and isinstance(right[0], str):
        from sklearn.metrics import f1_score

        return float(f1_score(right, found, pos_label="equivalent"))
    if name == "f1" and isinstance(right[0][0], str):
        from seqeval.metrics import f1_score

        return float(f1_score(right, found))
    answers = [[a["text"] for a in r] for r in right]
    best = [[max(m(f, a) for a in r) for m in (exact_match, token_f1)] for f, r in zip(found, answers, strict=True)]
    exact, f1 = 100 * np.mean(best, axis=0)
    return {"exact": exact, "f1": f1}


def exact_match(found, right):
    """Normalize an answer as the evaluation script of SQuAD 1.1 does."""
    return squad_words(found) == squad_words(right)


def token_f1(found, right):
    found, right = squad_words(found), squad_words(right)
    common = sum((collections.Counter(found) & collections.Counter(right)).values())
    if common == 0:
        return 0
    precision, recall = common / len(found), common / len(right)
    return 2 * precision * recall / (precision + recall)


def squad_words(text):
    without = "".join(c for c in text.lower() if c not in set(string.punctuation))
    return re.sub(r"\b(a|an|the)\b", " ", without).split()


def predictions(scores_of, model, batches, task_type, labels, autocast):
    """Return the predictions for the validation examples, in order. `scores_of` returns the scores of a batch."""
    model.eval()
    found, units = [], batches.validation.units
    with torch.no_grad(), autocast():
        for start in range(0, len(units), batches.batch_size):
            part = units[start : start + batches.batch_size]
            batch = labelled_batch(task_type, part, batches.validation.pad)
            found += task_type.decode(scores_of(batch)[1], part, labels)
    return found


def run(overrides, mask_padding=False):
    """Train and measure. Return the content of `result.json`."""
    register()
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        config = compose("finetune", overrides)
    source = load_pretrained(config.encoder)
    data = training_data(config.task, config.validation_examples)
    batches = finetune.labelled_batches(config, source, data)
    devices = device_count(config.trainer)
    steps, interval = epoch_steps(config, batches.batches_per_epoch(), devices)
    config = finalize(config, {"trainer.max_steps": steps, "trainer.val_check_interval": interval})
    pl.seed_everything(config.seed, verbose=False)
    ours = finetune._module(config, source, data)  # for its initial head
    term = config.task.term
    head = ours.objective.terms[term].head
    model = model_of(term, source.path, max(1, len(data.labels)), head, config.dropout_rate)
    optimizer = build(config.optimizer)(parameter_groups(model, config.weight_decay))
    schedule = build(config.schedule)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: schedule(step, step + 1, steps))
    scores_of = functools.partial(
        forward, model, term, task_type=data.task_type, labels=data.labels,
        pooling=config.classifier_pooling, mask_padding=mask_padding,
    )  # fmt: skip
    bf16 = str(config.trainer.precision).startswith("bf16")
    autocast = functools.partial(torch.autocast, "cpu", torch.bfloat16, enabled=bf16)
    started, losses = (time.time(), time.process_time()), []
    for positions in StreamBatches(config.batch_size, steps):
        with autocast():
            loss, _ = scores_of(batches.train[positions])
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), config.max_grad_norm)
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        if len(losses) % 50 == 0:
            print(len(losses), sum(losses[-50:]) / 50, f"{time.process_time() - started[1]:.0f} s", flush=True)
    found = predictions(scores_of, model, batches, data.task_type, data.labels, autocast)
    return {
        "name": config.name, "steps": steps, "score": score(config.task.monitor, found, data.validation),
        "wall_seconds": time.time() - started[0], "cpu_seconds": time.process_time() - started[1],
        "commit": git_commit(), "losses": losses,
    }  # fmt: skip


def main():
    overrides = [argument for argument in sys.argv[1:] if argument != "--mask-padding"]
    result = run(overrides, mask_padding="--mask-padding" in sys.argv)
    print({name: value for name, value in result.items() if name != "losses"})
    folder = Path("runs") / f"{result['name']}-transformers"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "result.json").write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()

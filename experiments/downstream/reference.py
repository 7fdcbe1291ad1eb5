"""transformers' own class on our batches: python experiments/downstream/reference.py <overrides of `finetune`>

The same weights (the head's too), data, order, hyperparameters, precision and seed as `bert-lightning finetune` with
the same overrides. Scores come from scikit-learn, SciPy, seqeval, and the rules of the SQuAD script written down anew.
"""

import collections
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
from bert_lightning.config import register
from bert_lightning.data.labelled.examples import labelled_batch
from bert_lightning.data.sampler import StreamBatches
from bert_lightning.optim import parameter_groups
from bert_lightning.runs.checkpoint import load
from bert_lightning.verbs import finetune
from bert_lightning.verbs.common import build
from bert_lightning.verbs.tasks import training_data


def model_of(term, folder, num_labels, head):
    """transformers' model with its published weights, and our initial head in place of its own random one."""
    import transformers as hf

    make = {
        "classification": hf.AutoModelForSequenceClassification,
        "regression": hf.AutoModelForSequenceClassification,
        "tagging": hf.AutoModelForTokenClassification,
        "spans": hf.AutoModelForQuestionAnswering,
    }[term]
    extra = {} if term == "spans" else {"num_labels": num_labels}
    model = make.from_pretrained(folder, attn_implementation="sdpa", **extra)
    theirs = model.qa_outputs if term == "spans" else model.classifier
    theirs.load_state_dict(head.classifier.state_dict())
    if hasattr(head, "pooler"):
        torch.testing.assert_close(model.bert.pooler.dense.weight, head.pooler.dense.weight)
    return model.train()


def forward(model, term, batch, kind, labels):
    """Loss as the class computes it, and the scores that `kind.decode` reads."""
    inputs = {
        "input_ids": batch["input_ids"],
        "token_type_ids": batch["token_type_ids"],
        "attention_mask": batch["attention_mask"].long(),
    }
    targets = kind.targets(batch["units"].units, labels)
    if term == "tagging":
        tags = torch.full(batch["input_ids"].shape, -100)
        tags.view(-1)[batch["places"]] = targets
        out = model(**inputs, labels=tags)
        return out.loss, out.logits.flatten(0, 1)[batch["places"]]
    if term == "spans":
        out = model(**inputs, start_positions=targets[:, 0], end_positions=targets[:, 1])
        return out.loss, torch.stack([out.start_logits, out.end_logits], -1)
    out = model(**inputs, labels=targets)
    return out.loss, out.logits.squeeze(-1) if term == "regression" else out.logits


def score(name, predictions, examples):
    """The task's metric by somebody else's code."""
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
    """As the evaluation script of SQuAD 1.1 says it."""
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


def main():
    overrides = sys.argv[1:]
    register()
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        config = compose("finetune", overrides)
    source = load(config.encoder)
    data = training_data(config.task, None)
    batches = finetune.labelled_batches(config, source, data)
    finetune.set_steps(config, len(batches.train))
    pl.seed_everything(config.seed, verbose=False)
    ours = finetune._module(config, source, data)  # for its initial head
    term, steps = config.task.term, config.trainer.max_steps
    model = model_of(term, source.path, max(1, len(data.labels)), ours.objective.terms[term].head)
    optimizer = build(config.optimizer)(parameter_groups(model, config.weight_decay))
    schedule = build(config.schedule)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: schedule(step, step + 1, steps))
    bf16 = str(config.trainer.precision).startswith("bf16")
    started, scores = time.time(), []
    for step, positions in enumerate(StreamBatches(config.batch_size, steps), 1):
        batch = batches.train[positions]
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss, _ = forward(model, term, batch, data.kind, data.labels)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), config.max_grad_norm)
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad()
        if step % config.trainer.val_check_interval == 0:
            model.eval()
            predictions = []
            with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                for start in range(0, len(batches.validation), config.batch_size):
                    units = batches.validation.units[start : start + config.batch_size]
                    batch = labelled_batch(data.kind, units, batches.validation.pad)
                    _, logits = forward(model, term, batch, data.kind, data.labels)
                    predictions += data.kind.decode(logits, units, data.labels)
            model.train()
            scores.append(score(config.task.monitor, predictions, data.validation))
            print(step, loss.item(), scores[-1], f"{time.time() - started:.0f} s", flush=True)
    result = {"name": config.name, "steps": steps, "seconds": time.time() - started, "scores": scores}
    folder = Path(config.runs) / f"{config.name}-transformers"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "result.json").write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()

"""Write folders of runs by hand, as a training leaves them, so that tests of comparisons train nothing."""

import json

import numpy as np

from bert_lightning.runs.predictions_file import write_predictions


def write_pretraining(path, variant="bert", seed=1, loss=5.0, **changes):
    """Write the folder of an ended pretraining. `changes` are other values of the config or the summary."""
    config = {
        "verb": "pretrain", "name": path.name, "runs": "runs", "seed": seed, "batch_size": 8,
        "model": {"hidden_size": 128 if variant == "bert" else 64}, "examples": {"max_length": 128},
        "validation_examples": 64, "trainer": {"precision": "32-true"}, "teacher": None, "init_from": None,
        "origin": {"choices": {"variant": variant}, "overrides": [f"variant={variant}", f"seed={seed}"]},
    }  # fmt: skip
    summary = {
        "verb": "pretrain", "seed": seed, "parameters": {"encoder": 4_000, "trained": 5_000},
        "data_fingerprint": "d1", "tokenizer_fingerprint": "t1", "steps": 100, "tokens": 1_000,
        "budget": {"unit": "steps", "spent": 100, "total": 100, "share": 1.0},
        "throughput": {"tokens_per_second": 50.0},
        "metrics": {"val/mlm/loss": loss, "val/mlm/accuracy": 0.1}, "best": None, "wall_seconds": 20.0, "ranks": 1,
        "commit": "c1", "versions": {"torch": "2.13.0"}, "processor": "p1", "torch_threads": 1,
    }  # fmt: skip
    return _write(path, config, summary, changes)


def write_finetuning(path, encoder, seed=1, task="sentiment", answers=None, **changes):
    """Write the folder of an ended fine-tuning. `answers` has for each example whether the prediction is right."""
    config = {
        "verb": "finetune", "name": path.name, "runs": "runs", "seed": seed, "encoder": str(encoder), "batch_size": 16,
        "task": {"monitor": "accuracy", "path": "reviews.csv", "hub": None, "term": "label"},
        "origin": {"choices": {"task": task}, "overrides": [f"task={task}", f"seed={seed}", f"encoder={encoder}"]},
    }  # fmt: skip
    accuracy = 0.5 if answers is None else float(np.mean(answers))
    summary = {
        "verb": "finetune", "seed": seed, "parameters": {"encoder": 4_000, "trained": 4_100}, "data_fingerprint": "f1",
        "tokenizer_fingerprint": "t1", "steps": 10, "metrics": {"val/label/accuracy": accuracy}, "best": None,
        "budget": {"unit": "steps", "spent": 10, "total": 10, "share": 1.0}, "wall_seconds": 5.0, "ranks": 1,
        "commit": "c1", "versions": {"torch": "2.13.0"}, "processor": "p1", "torch_threads": 1,
    }  # fmt: skip
    _write(path, config, summary, changes)
    if answers is not None:
        names = {True: "positive", False: "negative"}
        rows = [
            {"id": f"e{i}", "gold": names[i % 2 == 0], "prediction": names[(i % 2 == 0) == bool(right)]}
            for i, right in enumerate(answers)
        ]
        about = {"split": "validation", "task": task, "checkpoint": "last.ckpt", "metrics": {"accuracy": accuracy},
                 "task_type": "text_classification", "labels": ["negative", "positive"]}  # fmt: skip
        write_predictions(path / "predictions", "validation", rows, about)
    return path


def _write(path, config, summary, changes):
    for key, value in changes.items():
        (config if key in config else summary)[key] = value
    (path / "checkpoints").mkdir(parents=True)
    (path / "config.yaml").write_text(json.dumps(config))  # JSON is yaml
    (path / "summary.json").write_text(json.dumps(summary))
    return path


def write_two_arms(runs, seeds=(1, 2, 3), examples=200, better=0.9, worse=0.6):
    """Write two arms that pretrain and are fine-tuned: albert is right more often than bert."""
    for variant, rate in (("bert", worse), ("albert", better)):
        for seed in seeds:
            encoder = write_pretraining(runs / f"{variant}-{seed}", variant, seed, loss=6 - rate + 0.01 * seed)
            answers = np.random.default_rng([seed, int(100 * rate)]).random(examples) < rate
            write_finetuning(runs / f"{variant}-{seed}-tuned", encoder, seed=7, answers=answers)
    return runs

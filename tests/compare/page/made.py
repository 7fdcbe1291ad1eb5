"""A comparison that is made up, with everything that a real one has: 6 arms, 3 seeds, 5 measures, curves, examples."""

import math

import numpy as np

from bert_lightning.compare.results import (
    Arm,
    Breakdown,
    Cell,
    ComparedExample,
    ComparedRun,
    Comparison,
    Curve,
    Difference,
    FairnessCheck,
    Measure,
    Power,
    SeedValue,
    TimeToTarget,
)

LABELS = ["BERT", "RoBERTa", "ALBERT", "DistilBERT", "ELECTRA", "ModernBERT-style"]
MEASURES = [
    Measure("average", "average of tasks", True, "%", 100, 2, None, "average"),
    Measure("blimp/accuracy", "BLiMP", True, "%", 100, 1, 6700, "evaluation"),
    Measure("sentiment/accuracy", "sentiment", True, "%", 100, 1, 1066, "task"),
    Measure("cola/matthews", "CoLA, Matthews' correlation", True, "", 1, 3, 1043, "task"),
    Measure("val/bits_per_byte", "bits per byte", False, "bits per byte", 1, 3, 4096, "pretraining"),
]
LEVEL = {
    "average": (0.61, 0.012),
    "blimp/accuracy": (0.552, 0.012),
    "sentiment/accuracy": (0.781, 0.014),
    "cola/matthews": (0.11, 0.03),
    "val/bits_per_byte": (1.42, -0.02),
}
EFFECT = [0, 0.9, -1.6, -0.3, 1.1, 2.6]
CATEGORIES = [
    "anaphor agreement",
    "argument structure",
    "binding",
    "control / raising",
    "determiner-noun agreement",
    "ellipsis",
    "filler-gap",
    "irregular forms",
    "island effects",
    "NPI licensing",
    "quantifiers",
    "subject-verb agreement",
]
TEXTS = [
    "The film was [MASK] from the first scene to the last.",
    "I have never seen such a [MASK] performance.",
    "Nobody in the [MASK] laughed, and the director knew it.",
    "She gave the [MASK] three stars out of five.",
    "The plot is thin, but the [MASK] make up for it.",
    "It is not the worst [MASK] of the year, only the longest.",
    "A slow, careful story about a [MASK] and his brother.",
    "Even the [MASK] fell asleep.",
]
WORDS = ["great", "bad", "funny", "boring", "good", "audience", "actor", "movie"]


def made(labels=LABELS, seeds=3, finetuning_seeds=2, points=120):
    """Return the comparison. More labels repeat the effects."""
    rng = np.random.default_rng(0)
    seed_list = list(range(1, seeds + 1))
    effects = [EFFECT[index % len(EFFECT)] + index // len(EFFECT) * 0.2 for index in range(len(labels))]
    arms, cells, differences = [], [], []
    for index, label in enumerate(labels):
        settings = {
            "model.num_hidden_layers": 6 if "Distil" in label else 12,
            "model.positions": "rotary" if "Modern" in label else "learned",
            "objective.terms": "rtd" if label == "ELECTRA" else "mlm",
            "optimizer.lr": [5e-4, 6e-4, 8.8e-4, 5e-4, 5e-4, 8e-4][index % 6],
            "examples.pairs": label in ("BERT", "ALBERT"),
        }
        costs = {
            "parameters": [4.39e6, 4.41e6, 1.2e6, 2.9e6, 5.1e6, 4.7e6][index % 6],
            "tokens": 4.5e6 * [1, 1.02, 1.1, 1.5, 0.72, 0.94][index % 6],
            "flops": 1.31e14,
            "tokens_per_second": [12400, 12900, 11100, 18200, 8700, 10900][index % 6],
            "wall_seconds": [363, 356, 446, 371, 372, 388][index % 6],
        }
        arms.append(Arm(label, settings, costs, seed_list, list(range(finetuning_seeds))))
        for measure in MEASURES:
            level, scale = LEVEL[measure.name]
            values = []
            for seed in seed_list:
                base = level + scale * effects[index] + abs(scale) * rng.normal() * 0.5
                tuned = {f: base + abs(scale) * rng.normal() * 0.3 for f in range(finetuning_seeds)}
                tuned = tuned if measure.kind == "task" else {}
                values.append(SeedValue(seed, float(np.mean(list(tuned.values()))) if tuned else base, tuned))
            mean = float(np.mean([value.value for value in values]))
            half = abs(scale) * 1.1
            best = effects[index] > 0.8
            known = seeds > 1
            cells.append(
                Cell(
                    label,
                    measure.name,
                    mean,
                    mean - half if known else None,
                    mean + half if known else None,
                    abs(scale) * 0.5 if known else None,
                    abs(scale) * 0.3 if measure.kind == "task" else None,
                    values,
                    best if known else None,
                )
            )
    for cell in cells:
        base = next(c for c in cells if c.arm == labels[0] and c.measure == cell.measure)
        if cell.arm != labels[0]:
            differences.append(_difference(cell, base, labels[0], seeds))
    runs = [
        ComparedRun(
            f"runs/variants/{label.lower()}/seed={seed}",
            label,
            "pretrain",
            "ended",
            seed,
            None,
            None,
            "806b3c6f0a",
            360.0 + 3 * seed,
        )
        for label in labels
        for seed in seed_list
    ]
    runs[-1] = ComparedRun(
        "runs/variants/electra/seed=4",
        "ELECTRA",
        "pretrain",
        "failed",
        4,
        None,
        None,
        "806b3c6f0a",
        41.0,
        "the loss was not finite at step 310; left out",
    )
    return Comparison(
        title="Six recipes on 25,000 film reviews, at equal training FLOPs",
        baseline=labels[0],
        primary="average",
        answer=_answer(differences, labels),
        to_settle="RoBERTa and BERT cannot be told apart yet: 11 seeds of each would settle a difference of this size, "
        "about 1.6 hours more on this machine.",
        arms=arms,
        measures=MEASURES,
        cells=cells,
        differences=differences,
        power=[
            Power(
                m.name,
                abs(LEVEL[m.name][1]) * 1.9,
                abs(LEVEL[m.name][1]) * 0.5,
                abs(LEVEL[m.name][1]) * 0.3 if m.kind == "task" else None,
                1.8,
                2.0 if m.kind == "task" else None,
                any(d.measure == m.name and d.verdict != "open" for d in differences),
            )
            for m in MEASURES
        ],
        checks=[
            FairnessCheck("validation examples", "equal"),
            FairnessCheck("training data", "equal"),
            FairnessCheck("training FLOPs", "equal"),
            FairnessCheck("precision", "equal"),
            FairnessCheck("masks", "equal"),
            FairnessCheck(
                "tokenizer",
                "different",
                ["tokenizer.recipe"],
                {"BERT": "wordpiece 4,096", "RoBERTa": "byte-level BPE 4,096"},
                "losses per token do not compare; bits per byte do",
            ),
            FairnessCheck("commit", "different", ["commit"], {"ALBERT": "5cc7a32", "others": "806b3c6"}),
            FairnessCheck("hardware", "unknown"),
        ],
        warnings=["One run failed and is left out: ELECTRA, seed 4. ELECTRA's interval rests on the seeds that ended."],
        curves=[_curve(label, seed, effects[i], rng, points) for i, label in enumerate(labels) for seed in seed_list],
        times_to_target=[_target(label, seed, effects[i]) for i, label in enumerate(labels) for seed in seed_list],
        breakdowns=[
            Breakdown(
                "BLiMP by phenomenon",
                "blimp/accuracy",
                CATEGORIES,
                [100 * (1 + i) for i in range(len(CATEGORIES))],
                {
                    label: [float(0.5 + 0.2 * rng.random() + 0.01 * effects[i]) for _ in CATEGORIES]
                    for i, label in enumerate(labels)
                },
            ),
            Breakdown(
                "Sentiment by label",
                "sentiment/accuracy",
                ["negative", "positive"],
                [533, 533],
                {label: [0.77 + 0.01 * effects[i], 0.79 - 0.002 * i] for i, label in enumerate(labels)},
            ),
        ],
        examples=[
            *[
                ComparedExample(
                    "val/bits_per_byte",
                    f"review-{i}",
                    text,
                    WORDS[i],
                    {label: [WORDS[int(rng.integers(8))] for _ in seed_list] for label in labels},
                    0.9 - 0.1 * i,
                    True,
                )
                for i, text in enumerate(TEXTS)
            ],
            *[
                ComparedExample(
                    "sentiment/accuracy",
                    f"rt-{i}",
                    text.replace("[MASK]", WORDS[i]),
                    "positive",
                    {label: [["positive", "negative"][int(rng.integers(2))] for _ in range(6)] for label in labels},
                    0.5 - 0.05 * i,
                )
                for i, text in enumerate(TEXTS)
            ],
        ],
        runs=runs,
        command="bert-lightning compare experiments/variants report=page.html baseline=BERT",
        commit="806b3c6f0a",
        version="0.9.0",
    )


def _answer(differences, labels):
    found = [d for d in differences if (d.arm, d.measure) == (labels[-1], "average")]
    if not found or found[0].low is None:
        return "Whether any arm is better than the baseline cannot be told from one seed."
    d = found[0]
    return (
        f"{d.arm} is better than {d.baseline} on the average of tasks: {100 * d.estimate:+.2f} points, "
        f"95 % interval {100 * d.low:+.2f} to {100 * d.high:+.2f}."
    )


def _difference(cell, base, baseline, seeds):
    half = abs(LEVEL[cell.measure][1]) * 1.5
    estimate = cell.mean - base.mean
    if seeds < 2:
        return Difference(cell.arm, baseline, cell.measure, estimate)
    told = abs(estimate) > half
    good = (estimate > 0) == (cell.measure != "val/bits_per_byte")
    return Difference(
        cell.arm,
        baseline,
        cell.measure,
        estimate,
        estimate - half,
        estimate + half,
        half / 2.4,
        4.6,
        False,
        0.12,
        estimate - 0.75 * half,
        estimate + 0.8 * half,
        0.012 if told else 0.2,
        0.1,
        0.1,
        0.04 if told else 0.6,
        0.008 if told else 0.21,
        ("better" if good else "worse") if told else "open",
        abs(LEVEL[cell.measure][1]) * 1.9,
        None if told else 11,
        None if told else 5800.0,
    )


def _curve(label, seed, effect, rng, points):
    steps = np.linspace(10, 2000, points)
    scale = 1 + 0.02 * seed
    values = (
        3.1 - 0.09 * effect + 6.5 * np.exp(-steps / 160) + 1.2 * np.exp(-steps / 700) + rng.normal(size=points) * 0.03
    )
    return Curve(
        label,
        seed,
        "val/bits_per_byte",
        (values / 2.2).tolist(),
        steps.tolist(),
        (steps * 4096).tolist(),
        (steps * 6.5e10 * (1 + 0.1 * effect)).tolist(),
        (steps * 0.18 * scale * (1 + 0.05 * effect)).tolist(),
    )


def _target(label, seed, effect):
    if effect < -1 or (effect == 0 and seed == 3):
        return TimeToTarget(label, seed, "val/bits_per_byte", 1.5, None, None, None, None)
    steps = 1300 - 200 * effect + 20 * seed
    return TimeToTarget(label, seed, "val/bits_per_byte", 1.5, steps, steps * 4096, steps * 6.5e10, steps * 0.18)


def empty(**changes):
    """Return a comparison that has nothing to show."""
    fields = dict.fromkeys(
        [
            "arms",
            "measures",
            "cells",
            "differences",
            "power",
            "checks",
            "warnings",
            "curves",
            "times_to_target",
            "breakdowns",
            "examples",
            "runs",
        ]
    )
    values = {name: [] for name in fields} | {"title": "", "baseline": "", "primary": "", "answer": "", "to_settle": ""}
    return Comparison(**values | {"command": "", "commit": None, "version": "0"} | changes)


NAN = math.nan

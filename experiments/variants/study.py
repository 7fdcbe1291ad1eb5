"""Train every variant on the same reviews, with the same vocabulary, model size, sequence length, batch size and steps.

python experiments/variants/study.py            # make the missing runs, then write results.json and the figure
python experiments/variants/study.py --report   # only write results.json and the figure, from runs/variants
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from omegaconf import OmegaConf

from bert_lightning.compare.figures import logged
from bert_lightning.compare.unigram import unigram_perplexity
from bert_lightning.runs.run_folder import RunFolder
from bert_lightning.verbs.prepare import prepared_data
from bert_lightning.verbs.pretrain import build_parts

HERE, RUNS = Path(__file__).parent, Path("runs/variants")
SAME = [f"--config-dir={HERE}", "scale=study", "callbacks.progress=null"]
# One lowercase vocabulary of 4,096 tokens for all, so that losses are comparable. The student has its teacher's.
WORDS = ["tokenizer=wordpiece", "tokenizer.vocab_size=4096", "tokenizer.lowercase=true"]
MASKS = "masking.rate=0.3"  # twice as many masked tokens (Wettig et al. 2023); validation always has 15 %
CORRECTED = ["optimizer.lr=2e-3"]
# Without bias correction step t is larger by 1 / sqrt(1 - 0.999^t): with a warmup of 60 steps, 4 times at its end, and
# the network never leaves the unigram loss; after 240 steps 2.2 times. BERT's own warmup has 10,000 steps.
UNCORRECTED = ["optimizer.lr=1e-3", "schedule.warmup=0.4"]
RELATIVE = [
    "optimizer.lr=1e-2",
    "schedule.warmup=0.4",
]  # LAMB: relative to the norm of the weights; no bias correction either
# Overrides of each variant beside `variant=`. The teacher comes first.
ARMS = {
    "bert": [*WORDS, MASKS, *UNCORRECTED],
    "albert": [*WORDS, MASKS, *RELATIVE],
    "electra": [*WORDS, *UNCORRECTED],  # the encoder detects the 15 % of replaced tokens
    "distilbert": [
        MASKS, *CORRECTED, f"teacher={RUNS}/bert", "model.num_hidden_layers=1",
        "objective.terms.soft_targets.masked_only=true",
    ],
    "roberta": [*WORDS, MASKS, *CORRECTED],
    "spanbert": [*WORDS, MASKS, *CORRECTED],
    "modernbert": [*WORDS, MASKS, *CORRECTED, "model.local_window=16"],
    "cramming": [*WORDS, MASKS, *CORRECTED],
}  # fmt: skip


def run(variant: str) -> None:
    """Make one run, unless it exists."""
    if (RUNS / variant / "summary.json").exists():
        return
    overrides = [*SAME, f"variant={variant}", *ARMS[variant], f"name={variant}", f"runs={RUNS}"]
    subprocess.run([sys.executable, "-m", "bert_lightning", "pretrain", *overrides], check=True)


def report() -> None:
    """Write results.json and curves.png from the folders of the runs."""
    folders = {variant: RunFolder(RUNS / variant) for variant in ARMS}
    results = {variant: result(variant, folder) for variant, folder in folders.items() if folder.summary.exists()}
    (HERE / "results.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    draw(results)
    for variant, found in results.items():
        numbers = {**found["final"], **{f"baseline {name}": value for name, value in found["baselines"].items()}}
        print(variant, f"{found['wall_seconds']:.0f} s", {name: round(value, 3) for name, value in numbers.items()})


def result(variant: str, folder: RunFolder) -> dict[str, Any]:
    """Return the settings of a run, its validation losses by step, and the losses of the baselines."""
    summary = folder.read_summary()
    metrics = {name: value for name, value in summary["metrics"].items() if name.startswith("val/")}
    losses = [name for name in metrics if name.endswith("/loss")]
    kept = ("steps", "tokens", "wall_seconds", "commit", "processor", "torch_threads", "versions")
    return {
        "overrides": ["scale=study", *ARMS[variant]],
        **{name: summary[name] for name in kept},
        "final": metrics,
        "baselines": baselines(folder),
        "curves": {name: dict(zip(*logged(folder, name), strict=True)) for name in losses},
    }


def baselines(folder: RunFolder) -> dict[str, float]:
    """Return the validation losses of the baselines: token frequencies, and the fraction of replaced tokens."""
    config = OmegaConf.load(folder.path / "config.yaml")
    data = prepared_data(config)
    made = build_parts(config)
    last = torch.load(folder.path / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    made.module.load_state_dict(last)
    made.module.eval()
    words, replaced = [], []
    for batch in made.data.val_dataloader():
        words.append(batch["masked_labels"].numpy())
        if "rtd" in config.objective.terms:
            with torch.no_grad():
                replaced.append(made.module.objective(made.module.encoder, batch)[1]["rtd"].targets.numpy())
    found = {"mlm/loss": math.log(unigram_perplexity(data.train, np.concatenate(words), config.model.vocab_size))}
    if replaced:
        share = float(np.concatenate(replaced).mean())
        found["rtd/accuracy"] = 1 - share
        found["rtd/loss"] = -share * math.log(share) - (1 - share) * math.log(1 - share)
    return found


def draw(results: dict[str, Any]) -> None:
    """Draw the losses of masked tokens and of a unigram model on the left, and all other objectives on the right."""
    figure = Figure(figsize=(12, 4.6), layout="constrained")
    words, others = figure.subplots(1, 2)
    for number, (variant, found) in enumerate(results.items()):
        curves = found["curves"]
        of_words = next(name for name in ("val/mlm/loss", "val/generator/loss") if name in curves)
        label = variant if of_words == "val/mlm/loss" else f"{variant}, its generator"
        words.plot(list(curves[of_words]), list(curves[of_words].values()), f"C{number}", marker=".", label=label)
        words.axhline(found["baselines"]["mlm/loss"], color="gray", linewidth=0.5, linestyle=":")
        for style, name in zip(("-", "--"), (name for name in curves if name != of_words), strict=False):
            first = next(iter(curves[name].values()))
            values = [value / first for value in curves[name].values()]
            others.plot(list(curves[name]), values, f"C{number}{style}", marker=".", label=f"{variant}: {name[4:-5]}")
    words.set(xlabel="step", ylabel="nats a masked word, validation", title="Masked words (dotted: unigram models)")
    others.set(xlabel="step", ylabel="validation loss, relative to the first", title="The other objectives")
    for axes in (words, others):
        axes.legend(fontsize=8)
    figure.savefig(HERE / "curves.png", dpi=120)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--report", action="store_true", help="only results.json and the figure")
    if not parser.parse_args().report:
        for arm in ARMS:
            run(arm)
    report()

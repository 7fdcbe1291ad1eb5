"""Draw figures of runs as PNG files."""

from __future__ import annotations

import csv
import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bert_lightning.errors import UserError
from bert_lightning.runs.run_folder import RunFolder

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def logged(run: RunFolder, name: str) -> tuple[list[int], list[float]]:
    """Return the steps and values of one metric in a run's `metrics.csv`."""
    with (run.path / "metrics.csv").open(encoding="utf-8", newline="") as file:
        rows = [(int(row["step"]), float(row[name])) for row in csv.DictReader(file) if row.get(name)]
    return [step for step, _ in rows], [value for _, value in rows]


def learning_curves(run: RunFolder, unigram_loss: float, path: Path) -> None:
    """Draw the loss of masked tokens over the steps, in training and validation, and that of a unigram model."""
    figure, axes = _axes(7)
    axes.plot(*logged(run, "train/mlm/loss"), color="0.75", linewidth=0.8, label="training batches")
    axes.plot(*logged(run, "val/mlm/loss"), color="tab:blue", marker="o", label="validation")
    axes.axhline(unigram_loss, color="tab:red", linestyle="--", label="unigram model, validation")
    axes.set(
        xlabel="step", ylabel="negative log-likelihood of a masked token (nats)", title=f"Pretraining: {run.path.name}"
    )
    axes.legend()
    figure.savefig(path, dpi=130)


def comparison(results: Mapping[str, Sequence[float]], ylabel: str, title: str, path: Path) -> None:
    """Draw a bar for the mean of each group of results, and a dot for each result."""
    figure, axes = _axes(6)
    for place, values in enumerate(results.values()):
        mean = sum(values) / len(values)
        axes.bar(place, mean, color="tab:blue", alpha=0.35 + 0.2 * place)
        axes.scatter([place] * len(values), values, color="black", s=14, zorder=3)
        axes.annotate(f"{mean:.1f}", (place, max(values)), (0, 5), textcoords="offset points", ha="center")
    axes.set_xticks(range(len(results)), list(results))
    lowest = min(value for values in results.values() for value in values)
    axes.set(ylabel=ylabel, title=title, ylim=(max(0, lowest - 10), None))
    figure.savefig(path, dpi=130)


def check_matplotlib() -> None:
    """Check that matplotlib is installed.

    Raises:
        UserError: if it is not installed.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise UserError("figures need matplotlib: pip install 'bert-lightning[demo]'")


def _axes(width: float) -> tuple[Figure, Axes]:
    check_matplotlib()
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, 4.2), layout="constrained")
    return figure, figure.subplots()

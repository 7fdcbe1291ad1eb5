"""Draw the accuracy of probes over the layers of encoders."""

from __future__ import annotations

from pathlib import Path

from bert_lightning.compare.paper_figures import COLOURS, COLUMN, STYLE, short_label
from bert_lightning.probes.probe_results import ProbeResult

FIGURE_FORMATS = (".png", ".svg")


def draw_layers(result: ProbeResult, title: str, path: Path) -> None:
    """Draw a line with its interval for each encoder, the control task dashed, and the baselines in grey.

    The best layer of each encoder is a larger dot.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    with rc_context(STYLE):
        figure = Figure(figsize=(1.5 * COLUMN, 2.8 + 0.09 * len(result.encoders)), layout="constrained")
        axes = figure.subplots()
        for number, encoder in enumerate(result.encoders):
            colour = COLOURS[(number + 1) % len(COLOURS)]
            places = [layer.layer for layer in encoder.layers]
            found = [layer.accuracy for layer in encoder.layers]
            accuracy = [100 * each.estimate for each in found]
            low = [100 * (each.estimate if each.low is None else each.low) for each in found]
            high = [100 * (each.estimate if each.high is None else each.high) for each in found]
            axes.fill_between(places, low, high, color=colour, alpha=0.2, linewidth=0)
            axes.plot(places, accuracy, color=colour, marker="o", markersize=2.5, label=short_label(encoder.name))
            axes.plot(encoder.best.layer, accuracy[encoder.best.layer], color=colour, marker="o", markersize=6)
            control = [100 * layer.control for layer in encoder.layers if layer.control is not None]
            if control:
                axes.plot(places, control, color=colour, linestyle="--", linewidth=0.8)
        if result.of_words:
            axes.plot([], [], color="0.3", linestyle="--", linewidth=0.8, label="control task")
        baselines = [("", result.majority, ":"), (" of the word", result.word_majority, "-.")]
        for name, value, dash in baselines:
            label = f"most frequent class{name}"
            if value is not None:
                axes.axhline(100 * value, color="0.5", linestyle=dash, linewidth=0.8, zorder=0, label=label)
        axes.set(xlabel="layer (0: embeddings)", ylabel="accuracy (%)", title=title)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        figure.legend(loc="outside lower center", ncols=2, frameon=False)
        figure.savefig(path, dpi=200, metadata={"Date": None} if path.suffix == ".svg" else None)

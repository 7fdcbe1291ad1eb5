"""Show the results of probes as a table, and write them as JSON or CSV."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from typing import IO, Any

from bert_lightning.compare.intervals import Interval
from bert_lightning.probes.linear_probe import STRENGTHS
from bert_lightning.probes.probe_results import EncoderResult, LayerResult, ProbeResult
from bert_lightning.text_table import table

FORMATS = (".json", ".csv")


def as_text(result: ProbeResult, title: str, monitor: str = "accuracy") -> str:
    """Return the table: a row for each layer, columns for each encoder, and the baselines below it.

    `monitor` names the task's main metric. If it is not the accuracy, its values for the best layers are shown too.
    """
    unit, examples = ("words", "sentences") if result.of_words else ("texts", "texts")
    counts = result.counts
    of = f" of {counts['measured_examples']:,} {examples}" if result.of_words else ""
    heads = ["layer", *(head for each in result.encoders for head in _heads(each, result.of_words))]
    deepest = max(len(each.layers) for each in result.encoders)
    rows = [[_layer_name(layer), *_cells(result, layer)] for layer in range(deepest)]
    lines = [
        f"{title}: accuracy in % of linear probes on {counts['measured_states']:,} {unit}{of}, trained on "
        f"{counts['train_states']:,}",
        "",
        table([heads, *rows], right_aligned=range(1, len(heads))),
        "",
        "baselines: " + ", ".join(f"{name} {100 * value:.1f}" for name, value in _baselines(result)),
        *_differences(result),
        *_main_metric(result, monitor),
        "± is half of the 95 % interval over " + examples + "; * is the best layer on held-out training " + examples,
    ]
    if result.of_words:
        lines.append("selectivity: minus the accuracy on random labels of word types")
    return "\n".join([*lines, *_cautions(result)])


def _heads(encoder: EncoderResult, of_words: bool) -> list[str]:
    return [encoder.name, "selectivity"] if of_words else [encoder.name]


def _layer_name(layer: int) -> str:
    return str(layer) if layer else "0 (embeddings)"


def _cells(result: ProbeResult, layer: int) -> Iterator[str]:
    for encoder in result.encoders:
        found = encoder.layers[layer] if layer < len(encoder.layers) else None
        star = "* " if found is encoder.best else ""
        yield "" if found is None else f"{star}{_with_half_width(found.accuracy)}"
        if result.of_words:
            selectivity = None if found is None else found.selectivity
            yield "" if selectivity is None else f"{100 * selectivity.estimate:.1f}"


def _with_half_width(interval: Interval) -> str:
    if interval.low is None or interval.high is None:
        return f"{100 * interval.estimate:.1f}"
    return f"{100 * interval.estimate:.1f} ± {50 * (interval.high - interval.low):.1f}"


def _baselines(result: ProbeResult) -> Iterator[tuple[str, float]]:
    yield "most frequent class", result.majority
    if result.word_majority is not None:
        yield "most frequent class of the word", result.word_majority


def _differences(result: ProbeResult) -> Iterator[str]:
    first = result.encoders[0]
    for encoder in result.encoders[1:]:
        found = encoder.difference
        if found is None or found.low is None or found.high is None:
            continue
        yield (
            f"{encoder.name} minus {first.name}, best layers: {100 * found.estimate:+.1f} "
            f"[{100 * found.low:+.1f}, {100 * found.high:+.1f}]"
        )


def _main_metric(result: ProbeResult, monitor: str) -> Iterator[str]:
    found = [(each.name, each.best.metrics[monitor]) for each in result.encoders if monitor in each.best.metrics]
    if found and monitor != "accuracy":
        yield f"{monitor} of the best layers: " + ", ".join(f"{name} {100 * value:.1f}" for name, value in found)


def _cautions(result: ProbeResult) -> Iterator[str]:
    layers = [layer for encoder in result.encoders for layer in encoder.layers]
    if stopped := sum(not layer.converged for layer in layers):
        yield f"note: {stopped} of {len(layers)} layers have a probe that was stopped before it converged"
    if edge := sum(layer.strength == STRENGTHS[-1] for layer in layers):
        yield f"note: {edge} of {len(layers)} layers prefer the largest C that is tried, {STRENGTHS[-1]}"


def write_results(result: ProbeResult, about: dict[str, Any], suffix: str, file: IO[str]) -> None:
    """Write the results to a text file. `about` describes the task and the data; only JSON has it."""
    if suffix == ".json":
        json.dump(about | _as_data(result), file, indent=1, ensure_ascii=False)
        file.write("\n")
        return
    rows = [
        {"encoder": encoder.name, **_layer_data(layer, encoder)}
        for encoder in result.encoders
        for layer in encoder.layers
    ]
    writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)


def _as_data(result: ProbeResult) -> dict[str, Any]:
    return {
        "labels": result.labels,
        **result.counts,
        "baselines": {"majority": result.majority, "word_majority": result.word_majority},
        "encoders": [
            {
                "name": encoder.name,
                "location": encoder.location,
                "difference_to_first": None if encoder.difference is None else _ends(encoder.difference),
                "layers": [_layer_data(layer, encoder) for layer in encoder.layers],
            }
            for encoder in result.encoders
        ],
    }


def _ends(interval: Interval) -> dict[str, float | None]:
    return {"estimate": interval.estimate, "low": interval.low, "high": interval.high}


def _layer_data(layer: LayerResult, encoder: EncoderResult) -> dict[str, Any]:
    selectivity = layer.selectivity
    return {
        "layer": layer.layer,
        "accuracy": layer.accuracy.estimate,
        "low": layer.accuracy.low,
        "high": layer.accuracy.high,
        **{name: value for name, value in layer.metrics.items() if name != "accuracy"},
        "control": layer.control,
        "selectivity": None if selectivity is None else selectivity.estimate,
        "selectivity_low": None if selectivity is None else selectivity.low,
        "selectivity_high": None if selectivity is None else selectivity.high,
        "selection_accuracy": layer.selection_accuracy,
        "c": layer.strength,
        "converged": layer.converged,
        "best": layer is encoder.best,
    }

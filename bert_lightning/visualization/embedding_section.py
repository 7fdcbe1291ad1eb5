"""Embeddings of texts as points in the plane of their first two principal components."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence

import numpy as np

from bert_lightning.errors import UserError
from bert_lightning.html_page.drawing import Scale
from bert_lightning.html_page.markup import note
from bert_lightning.html_page.number_formats import plural
from bert_lightning.html_page.self_contained import Section
from bert_lightning.inference.loaded_model import LoadedModel
from bert_lightning.visualization.page_part import PagePart
from bert_lightning.visualization.principal_components import neighbour_agreement, principal_components
from bert_lightning.visualization.scatter import Point, scatter_plot

_MOST_LABELS = 16  # labels with a marker of their own
_LONGEST = 200  # characters of a text in its title
OTHER = "other labels"
_POOLED = {"mean": "the mean over the states", "cls": "the first state", "max": "the maximum over the states"}


def embedding_section(
    model: LoadedModel,
    texts: Sequence[str],
    labels: Sequence[str] | None,
    pooling: str = "mean",
    layer: int = -1,
    of: int | None = None,
) -> PagePart:
    """Return the section about the embeddings of texts.

    Args:
        model: the model.
        texts: the texts.
        labels: a label for each text; None if there are none.
        pooling: the pooling, as for `LoadedModel.embed`.
        layer: the layer, as for `LoadedModel.embed`.
        of: the number of texts that these were drawn from; None: these are all.

    Raises:
        UserError: if there are fewer than three texts, or there is no such pooling or layer.
    """
    if len(texts) < 3:
        raise UserError(f"there are {len(texts)} texts to embed: give three or more")
    with warnings.catch_warnings(record=True) as caught:  # of texts that are cut; the page says so
        warnings.simplefilter("always")
        vectors = model.embed(list(texts), pooling=pooling, layer=layer)
    cut = "".join(f" {warning.message}." for warning in caught)
    places, shares = principal_components(vectors)
    groups, numbers = _groups(labels, len(texts))
    points = [
        Point(float(a), float(b), number, _title(text, None if labels is None else labels[index]))
        for index, ((a, b), number, text) in enumerate(zip(places, numbers, texts, strict=True))
    ]
    axes = f"component 1, {100 * shares[0]:.1f} % of the variance", f"component 2, {100 * shares[1]:.1f} %"
    x, y = (Scale.around(places[:, column].tolist()) for column in (0, 1))
    plot = scatter_plot("embeddings", points, x, y, axes, groups, ticks=False)
    drawn = f"{len(texts):,} of {of:,} texts, drawn at random" if of and of > len(texts) else plural(len(texts), "text")
    both = f"{100 * shares.sum():.0f} %"
    remark = note(
        f"{drawn[0].upper()}{drawn[1:]}, {_POOLED[pooling]} of {_layer_name(layer)}. The plane has {both} of their "
        f"variance: points that are close in it may be far apart in the other {vectors.shape[1] - 2} dimensions.{cut}"
    )
    sentence = f"Two principal components have {both} of the variance of {plural(len(texts), 'embedding')}."
    if len(groups) > 1 and labels is not None:
        known = {label: number for number, label in enumerate(dict.fromkeys(labels))}
        same, chance = neighbour_agreement(vectors, np.array([known[label] for label in labels]))
        sentence += (
            f" In all {vectors.shape[1]} dimensions, {100 * same:.0f} % of the texts have the label of their nearest "
            f"neighbour; by chance it were {100 * chance:.0f} %."
        )
    return PagePart([Section("embeddings", "Embeddings", [plot, remark])], [sentence])


def _groups(labels: Sequence[str] | None, count: int) -> tuple[list[str], list[int]]:
    """Return the names of the groups, and the number of each text's group. Rare labels share the last group."""
    if labels is None:
        return [], [0] * count
    frequent = [label for label, _ in Counter(labels).most_common(_MOST_LABELS)]
    if len(set(labels)) > len(frequent):
        frequent = frequent[:-1]
    numbers = {label: number for number, label in enumerate(sorted(frequent))}
    names = [*numbers, *([OTHER] if len(set(labels)) > len(frequent) else [])]
    return names, [numbers.get(label, len(numbers)) for label in labels]


def _layer_name(layer: int) -> str:
    return {-1: "the last layer", 0: "the embeddings of the tokens"}.get(layer, f"layer {layer}")


def _title(text: str, label: str | None) -> str:
    shown = text[:_LONGEST] + ("…" if len(text) > _LONGEST else "")
    return shown if label is None else f"{label}: {shown}"

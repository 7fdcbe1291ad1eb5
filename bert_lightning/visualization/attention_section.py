"""The attention of every head: an image of its weights, and one of them large, with the tokens beside it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from bert_lightning.html_page.markup import Markup, element, escaped, note
from bert_lightning.html_page.number_formats import number
from bert_lightning.html_page.sortable_table import Column, Entry, data_table, details
from bert_lightning.visualization.weight_images import ROUNDING, weight_image

Weights = npt.NDArray[np.float32]
_KINDS = ("itself", "the token before", "the token after", "the first token", "separators")
_NARROW = 20  # tokens whose large image has room beside the small ones
MOSTLY = 0.5  # mean weight from which a head is said to attend mostly to one kind of token


def attention_parts(name: str, tokens: Sequence[str], special: Sequence[bool], weights: Weights) -> list[Markup]:
    """Return the images of all heads, the large one, and a table of what the heads attend to.

    Args:
        name: a name for the group of choices, unique on the page.
        tokens: [S] the tokens in writing.
        special: [S] whether a token is [CLS] or [SEP].
        weights: [layers, heads, S, S] the attention weights.
    """
    shares = [[head_shares(head, special) for head in layer] for layer in weights]
    rows = [_heading(weights.shape[1])]
    for layer, (of_layer, its_shares) in enumerate(zip(weights, shares, strict=True)):
        rows.append(_layer(name, layer, of_layer, its_shares))
    chosen = element("p", "The larger image shows the chosen head. Point at it, or at a token.", class_="reading note")
    return [
        element(
            "div",
            element("div", rows, class_="heads", style=f"--heads:{weights.shape[1]}"),
            element("div", _large(tokens, weights[-1].mean(0)), chosen, class_="chosen"),
            class_="attention wide" if len(tokens) > _NARROW else "attention",
            data_tokens=str(len(tokens)),
        ),
        note(
            "Each image has one row for each token that attends, and one column for each token that is attended to, in "
            "the order of the text. The weights of a row sum to 1. The strength of a colour is the square root of its "
            f"weight. Numbers under the pointer are right within {ROUNDING}. Attention says what a head reads, and not "
            "why the model predicts what it does (Jain and Wallace 2019)."
        ),
        details("What each head attends to", _table(shares, weights)),
    ]


def head_shares(weights: Weights, special: Sequence[bool]) -> list[float]:
    """Return the mean weight that the tokens of a text give to each of `_KINDS`. The kinds may overlap.

    Args:
        weights: [S, S] the attention weights of one head.
        special: [S] whether a token is [CLS] or [SEP].
    """
    length = len(weights)
    separators = np.flatnonzero(special)[1:]
    return [
        float(np.trace(weights) / length),
        float(np.trace(weights, -1) / max(length - 1, 1)),
        float(np.trace(weights, 1) / max(length - 1, 1)),
        float(weights[:, 0].mean()),
        float(weights[:, separators].sum(1).mean()),
    ]


def entropy_bits(weights: Weights) -> float:
    """Return the mean entropy of the rows of attention weights [S, S], in bits: 0 if each row has one token."""
    positive = np.where(weights > 0, weights, 1)
    return float(-(weights * np.log2(positive)).sum(1).mean())


def _heading(heads: int) -> Markup:
    names = [element("span", text) for text in ("layer", *(f"{head + 1}" for head in range(heads)), "mean")]
    return element("div", names, class_="row heading", aria_hidden="true")


def _layer(name: str, layer: int, heads: Weights, shares: Sequence[Sequence[float]]) -> Markup:
    images = [
        _head(name, f"Layer {layer + 1}, head {head + 1}", _said(of_head), weights)
        for head, (weights, of_head) in enumerate(zip(heads, shares, strict=True))
    ]
    mean = _head(name, f"Layer {layer + 1}, mean of its heads", "", heads.mean(0))
    return element("div", element("span", f"{layer + 1}", class_="layer"), images, mean, class_="row")


def _head(name: str, label: str, said: str, weights: Weights) -> Markup:
    whole = f"{label}: {said}" if said else label
    return element(
        "label",
        element("input", type="radio", name=f"head-{name}", aria_label=whole),
        element("img", src=escaped(weight_image(weights)), alt="", data_label=whole),
        title=whole,
    )


def _said(shares: Sequence[float]) -> str:
    best = max(range(len(shares)), key=shares.__getitem__)
    return f"mostly {_KINDS[best]} ({number(shares[best])})" if shares[best] >= MOSTLY else ""


def _large(tokens: Sequence[str], weights: Weights) -> Markup:
    names = [element("span", token, tabindex="0") for token in tokens]
    return element(
        "div",
        element("p", "Mean of the heads of the last layer", class_="which"),
        element("div", names, class_="columns", aria_hidden="true"),
        element("div", names, class_="names"),
        element("div", element("img", src=escaped(weight_image(weights)), alt="attention weights"), class_="matrix"),
        class_="large",
        style=f"--n:{len(tokens)}",
    )


def _table(shares: Sequence[Sequence[Sequence[float]]], weights: Weights) -> Markup:
    columns = [Column("layer and head"), *(Column(kind, True) for kind in _KINDS), Column("entropy, bits", True)]
    rows: list[list[Entry]] = []
    for layer, of_layer in enumerate(shares):
        for head, of_head in enumerate(of_layer):
            values = [*of_head, entropy_bits(weights[layer, head])]
            label = (f"{layer + 1}.{head + 1}", f"{layer + 1:03}.{head + 1:03}")
            rows.append([label, *(number(value) for value in values)])
    return data_table("Mean attention weights of each head", columns, rows, "shares")

"""Make the page about a model from what a caller wants to see."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bert_lightning.errors import UserError
from bert_lightning.inference.given_texts import Given
from bert_lightning.inference.loaded_model import LoadedModel, load
from bert_lightning.runs.run_folder import newest_finished_run
from bert_lightning.visualization.embedding_section import embedding_section
from bert_lightning.visualization.given_rows import LabelledTexts
from bert_lightning.visualization.model_page import ModelPage, model_page
from bert_lightning.visualization.page_part import PagePart
from bert_lightning.visualization.prediction_sections import prediction_sections, predictions_path
from bert_lightning.visualization.text_sections import text_sections


def visualize(
    model: LoadedModel | str | os.PathLike[str],
    texts: Any = None,
    *,
    embed: Sequence[str] | LabelledTexts | None = None,
    labels: Sequence[Any] | None = None,
    predictions: str | None = None,
    top_k: int = 5,
    max_tokens: int = 64,
    max_errors: int = 40,
    pooling: str = "mean",
    layer: int = -1,
) -> ModelPage:
    """Return a page about a model, which a notebook shows, and which `save` writes to an HTML file.

    Args:
        model: a model, or its place, as for `load`.
        texts: a text, or a list of texts, whose tokens are predicted, and whose attention is shown. `A ||| B` is a
            pair.
        embed: texts whose embeddings are drawn in two dimensions.
        labels: a label for each text in `embed`, which becomes its colour.
        predictions: the name of predictions that the run of this place has kept, or the path of their `.jsonl` file;
            None: those of the run's last validation, if neither `texts` nor `embed` are given.
        top_k: the number of words for each place of a text.
        max_tokens: the largest number of tokens in a text. A page grows with its square.
        max_errors: the largest number of wrong predictions.
        pooling: the pooling of embeddings, as for `LoadedModel.embed`.
        layer: the layer of embeddings, as for `LoadedModel.embed`.

    Raises:
        UserError: if there is nothing to show, or a value is wrong.
    """
    place = str(model.path) if isinstance(model, LoadedModel) else os.fspath(model)
    if place == "newest":
        place = str(newest_finished_run(Path("runs"), ("pretrain", "finetune")))
    parts: list[PagePart] = []
    needed = texts is not None or embed is not None
    loaded = model if isinstance(model, LoadedModel) else load(place) if needed else None
    if loaded is not None and texts is not None:
        parts.append(text_sections(loaded, Given.texts(texts).items, top_k, max_tokens))
    if predictions is not None or not needed:
        parts.append(prediction_sections(predictions_path(place, predictions), max_errors))
    if loaded is not None and embed is not None:
        given = _labelled(embed, labels)
        parts.append(embedding_section(loaded, given.texts, given.labels, pooling, layer, given.of))
    return model_page(place, loaded, parts)


def _labelled(embed: Sequence[str] | LabelledTexts, labels: Sequence[Any] | None) -> LabelledTexts:
    if isinstance(embed, LabelledTexts):
        return embed
    texts = Given.texts(embed, "embed").items
    if labels is not None and len(labels) != len(texts):
        raise UserError(f"there are {len(texts)} texts to embed and {len(labels)} labels: give one label for each text")
    return LabelledTexts(texts, None if labels is None else [str(label) for label in labels], len(texts))

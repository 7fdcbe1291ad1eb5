"""The sections about single texts: their predicted tokens or the task's answer, and the attention of all heads."""

from __future__ import annotations

from collections.abc import Sequence

from bert_lightning.data.labelled.task_types import SEPARATOR, parts_of
from bert_lightning.errors import UserError
from bert_lightning.html_page.markup import Markup, element, note
from bert_lightning.html_page.self_contained import Section
from bert_lightning.inference.loaded_model import LoadedModel
from bert_lightning.inference.text_tokens import text_tokens
from bert_lightning.text.files.rows import Row
from bert_lightning.visualization.attention_section import attention_parts
from bert_lightning.visualization.error_cards import probability_bar
from bert_lightning.visualization.page_part import PagePart
from bert_lightning.visualization.token_section import most_surprising, token_parts

_LONG = 48  # characters of a text in a heading


def text_sections(model: LoadedModel, texts: Sequence[str], top_k: int, max_tokens: int) -> PagePart:
    """Return the sections about texts. A text with `|||` or a tab is a pair.

    Raises:
        UserError: if a text is empty, or has more than `max_tokens` tokens.
    """
    sections: list[Section] = []
    sentences = []
    for number, text in enumerate(texts, 1):
        parts = parts_of(text) if SEPARATOR in text or "\t" in text else [text]
        given = (parts[0], *parts[1:]) if len(parts) > 1 else text
        _check_length(model, given, number, max_tokens)
        title = "" if len(texts) == 1 else f": “{text[:_LONG]}{'…' if len(text) > _LONG else ''}”"
        quoted = element("p", text, class_="quoted", dir="auto")
        predicted, sentence = _predicted(model, text, given, top_k)
        found = model.attention(given)
        special = text_tokens(given, model.tokenizer, model.max_length).special
        attention = attention_parts(str(number), found.tokens, special, found.weights)
        sections += [
            Section(f"tokens-{number}", f"Predictions{title}", [quoted, *predicted]),
            Section(f"attention-{number}", f"Attention{title}", attention),
        ]
        sentences.append(sentence)
    return PagePart(sections, sentences)


def _check_length(model: LoadedModel, given: str | tuple[str, ...], number: int, max_tokens: int) -> None:
    longest = model.model.config.max_position_embeddings
    found = text_tokens(given, model.tokenizer, longest)
    if found.sequence.is_cut:
        raise UserError(f"text {number} is longer than the {longest} tokens that the encoder reads: shorten it")
    if (length := len(found.names)) > max_tokens:
        heads = model.model.config.num_hidden_layers * model.model.config.num_attention_heads
        raise UserError(
            f"text {number} has {length} tokens, and max_tokens={max_tokens}: shorten it, or raise max_tokens for a "
            f"page of about {heads * length * length * 1.2 / 1e6:.1f} MB"
        )


def _predicted(model: LoadedModel, text: str, given: str | tuple[str, ...], top_k: int) -> tuple[list[Markup], str]:
    """Return what the model predicts for a text, and a sentence about it."""
    served = model.methods()
    if "token_predictions" in served:
        rows = model.token_predictions(given, top_k)
        return token_parts(rows), most_surprising(rows)
    if "predict" in served:
        return _answered(model, text)
    missing = "This model has no masked-word head, so it predicts no tokens. Attention needs none."
    return [note(missing)], "This model has no head that predicts words: the page shows its attention."


def _answered(model: LoadedModel, text: str) -> tuple[list[Markup], str]:
    """Return the answer of a fine-tuned model to a text, and a sentence about it."""
    prediction, task_type = model.predict(text), model.answerer.task_type
    chances = prediction.get("probabilities")
    if isinstance(chances, dict):
        ordered = sorted(chances.items(), key=lambda chance: -chance[1])
        shown = element("ul", [element("li", probability_bar(*chance)) for chance in ordered], class_="chances")
        best, chance = ordered[0]
        sentence = f"The model answers “{best}”, with a probability of {100 * chance:.1f} %."
    else:
        (example,) = task_type.examples([Row("text", task_type.parse(text))], answered=False)
        lines = task_type.show(example, prediction)
        shown, sentence = element("pre", lines), "The model answers the task that it was fine-tuned for."
    return [shown, note("A model that was fine-tuned for a task has no head that predicts masked words.")], sentence

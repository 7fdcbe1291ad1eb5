"""Load a checkpoint as one object that answers from Python: words, classes, entities, answers, embeddings, scores.

import bert_lightning

model = bert_lightning.load("runs/first")
model.fill_mask("The film was [MASK].")
model.embed(["A good film.", "A bad film."])  # [2, H] float32
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from bert_lightning.data.labelled.encoding import encode
from bert_lightning.data.labelled.task_types import Prediction
from bert_lightning.errors import UserError
from bert_lightning.inference.given_texts import Given, question_rows, task_rows
from bert_lightning.inference.loaded_encoder import LoadedEncoder, warn_of_cuts
from bert_lightning.inference.mask_filling import FillMask
from bert_lightning.inference.served_methods import check_serves, served_methods, trained_for
from bert_lightning.inference.text_tokens import text_tokens
from bert_lightning.inference.token_predictions import token_predictions
from bert_lightning.model.heads import MaskedLMHead
from bert_lightning.runs.pretrained import load_pretrained
from bert_lightning.runs.run_folder import newest_finished_run
from bert_lightning.tasks.answering import Answerer, check_numbers
from bert_lightning.tasks.length_batches import results_in_order
from bert_lightning.tasks.pseudo_likelihood import TOKENS_PER_UNIT, PseudoLikelihood
from bert_lightning.text.files.rows import Row
from bert_lightning.text.sentences import clean
from bert_lightning.text.tokenizers.special_tokens import SpecialIds


def load(
    place: str | os.PathLike[str],
    device: str | torch.device | None = None,
    precision: str = "32-true",
    runs: str = "runs",
) -> LoadedModel:
    """Load a checkpoint. Only tensors and plain data are read.

    Args:
        place: a run's folder (its `best.ckpt`, or else its `last.ckpt`), a `.ckpt` file, a folder of transformers,
            `hub:owner/name`, `pkg:package/folder`, or `newest` for the run below `runs` that finished last.
        device: a device of torch, such as `cuda:1`; None: a GPU if there is one.
        precision: `32-true`, or `bf16-mixed` for matrix products in bfloat16, as in `trainer.precision`. This is
            several times as fast on some processors and on GPUs, and rounds to about three digits.
        runs: the folder in which `newest` is looked for.

    Raises:
        UserError: if there is no checkpoint, it is damaged, or there is no such device or precision.
    """
    if not isinstance(place, (str, os.PathLike)):
        raise UserError(f"{place!r} is no place: give the path of a run's folder, as a text")
    location = os.fspath(place)
    if location == "newest":
        location = str(newest_finished_run(Path(runs), ("pretrain", "finetune")))
    return LoadedModel(load_pretrained(location), device, precision)


class LoadedModel(LoadedEncoder):
    """A checkpoint that is ready to use: its encoder, its tokenizer, and the head that it was trained with.

    Every method takes one text and returns one result, or takes a list of texts and returns as many results, in their
    order. Texts are sorted by length into batches without padding. A text longer than `max_length` tokens is cut, with
    a warning. An empty text is an error, since a result for it would mean nothing. `progress=True` shows a progress
    bar, False none, and None shows it if standard error is a terminal.

    Attributes:
        path: the checkpoint file, or the folder of transformers.
        tokenizer: the tokenizer, a `tokenizers.Tokenizer`.
        model: the encoder, a `bert_lightning.BERT` in evaluation mode.
        max_length: the maximal number of tokens in a text: that of training, or else that of the encoder.
    """

    def fill_mask(self, texts: Any, top_k: int = 5, batch_size: int = 32, progress: bool | None = None) -> Any:
        """Return the likeliest words for each [MASK] of each text.

        Args:
            texts: a text, or a list of texts, with [MASK] where a word is missing.
            top_k: the number of words for each [MASK].
            batch_size: the maximal number of texts in a batch.
            progress: whether a progress bar is shown.

        Returns:
            for each text `{"text": str, "masks": [[{"word": str, "probability": float}, ...], ...]}`. `masks` has one
            list for each [MASK], the likeliest word first.

        Raises:
            UserError: if the checkpoint has no masked language model head, or a text has no [MASK] that is read.
        """
        given, filler = Given.texts(texts), self.mask_filler
        filler.check_top_k(top_k)
        asked = filler.read(given.items)
        warn_of_cuts(sum(tokens.is_cut for _, tokens in asked), len(asked), self.max_length)
        lengths = [len(tokens.ids) for _, tokens in asked]
        with self._computing():
            filled = results_in_order(
                asked, lengths, lambda part: filler(part, top_k), batch_size, self.device, progress
            )
        return given.shaped(filled)

    def classify(self, texts: Any, batch_size: int = 32, progress: bool | None = None) -> Any:
        """Return the class of each text, or of each pair of texts.

        Args:
            texts: a text, or a list of texts. If the task has pairs, a pair is a tuple of two texts.
            batch_size: the maximal number of texts in a batch.
            progress: whether a progress bar is shown.

        Returns:
            for each text `{"answer": str, "probabilities": {class: float}}`.

        Raises:
            UserError: if the checkpoint was not fine-tuned for classification.
        """
        return self._answers("classify", texts, batch_size, progress)

    def entities(self, texts: Any, batch_size: int = 32, progress: bool | None = None) -> Any:
        """Return the named entities of each text, in the order of the text.

        Args:
            texts: a text, or a list of texts. In a list, a text may be a list of words.
            batch_size: the maximal number of texts in a batch.
            progress: whether a progress bar is shown.

        Returns:
            for each text a list of `{"type": str, "text": str, "start": int, "end": int, "score": float}`. The entity
            is `text[start:end]`; words are joined by a space. The score is the mean probability of its words' tags.

        Raises:
            UserError: if the checkpoint was not fine-tuned for named entities.
        """
        found = self._answers("entities", texts, batch_size, progress)
        return found["entities"] if isinstance(found, dict) else [each["entities"] for each in found]

    def answer(self, question: Any, context: Any, batch_size: int = 32, progress: bool | None = None) -> Any:
        """Return the answer to a question, which is a span of its context.

        Args:
            question: a question, or a list of questions.
            context: a text, or a list of texts, of any length. One question or one context may go with a list.
            batch_size: the maximal number of questions in a batch.
            progress: whether a progress bar is shown.

        Returns:
            for each question `{"answer": str, "start": int, "end": int, "score": float, ...}`. The answer is
            `context[start:end]`, or empty if the model finds none. `score` is its probability among the best spans,
            which `candidates` lists.

        Raises:
            UserError: if the checkpoint was not fine-tuned for questions, or there are not as many contexts.
        """
        check_serves(self._source, "answer")
        given, rows = question_rows(question, context, self.answerer.task_type)
        return given.shaped(self._predictions(rows, batch_size, progress))

    def predict(self, examples: Any, batch_size: int = 32, progress: bool | None = None) -> Any:
        """Return the answers of the checkpoint's task, whatever task it is, as the verb `predict` does.

        Args:
            examples: an example, or a list of examples. An example is a text as on the command line, such as
                `"A ||| B"`, a tuple of the task's parts, or a mapping of its columns.
            batch_size: the maximal number of examples in a batch.
            progress: whether a progress bar is shown.

        Returns:
            for each example a dict with the key `answer`, and more keys of the task, such as `probabilities`.

        Raises:
            UserError: if the checkpoint was not fine-tuned, or an example lacks a part.
        """
        return self._answers("predict", examples, batch_size, progress)

    def score(
        self, texts: Any, mask_rest_of_word: bool = True, batch_size: int = 32, progress: bool | None = None
    ) -> Any:
        """Return the pseudo-log-likelihood of each text: how likely a masked language model finds it.

        It is the sum over the tokens of the log-probability of the token where it is masked (Salazar et al. 2020). The
        highest value is 0. Longer texts have lower values.

        Args:
            texts: a text, or a list of texts.
            mask_rest_of_word: whether the tokens of a word to the right of the predicted one are masked too (Kauf and
                Ivanova 2023), or the predicted token alone.
            batch_size: a batch has 256 times as many tokens.
            progress: whether a progress bar is shown.

        Returns:
            an array [N] of float64, or a float for one text.

        Raises:
            UserError: if the checkpoint has no masked language model head, or a text has no tokens.
        """
        check_serves(self._source, "score")
        given, special = Given.texts(texts), SpecialIds.of(self.tokenizer)
        head, mask = self._masked_lm_head(), special.require_mask()
        cleaned = [clean(text).strip() for text in given.items]
        sequences = encode(cleaned, self.tokenizer, self.max_length, with_word_starts=True)
        for number, tokens in enumerate(sequences):
            if len(tokens.first) == 0:
                raise UserError(f"{given.place(number)} has no tokens: give a text with words")
        warn_of_cuts(sum(tokens.is_cut for tokens in sequences), len(sequences), self.max_length)
        scorer = PseudoLikelihood(self.model, head, mask, special.pad, mask_rest_of_word, progress)
        with self._computing():
            scores = scorer(sequences, batch_size * TOKENS_PER_UNIT) if sequences else torch.zeros(0).double()
        check_numbers(self.path, scores)
        return float(scores[0]) if given.is_one else scores.numpy()

    def token_predictions(self, text: Any, top_k: int = 5) -> list[dict[str, Any]]:
        """Return what a masked language model predicts at each place of a text, if the token there is masked.

        Args:
            text: a text, or a tuple of two texts, which are one sequence.
            top_k: the number of words for each place.

        Returns:
            for each token but [CLS] and [SEP] `{"position": int, "token": str, "probability": float, "bits": float,
            "predictions": [{"word": str, "probability": float}, ...]}`. `bits` is the surprisal of the token, -log2 of
            its probability.

        Raises:
            UserError: if the checkpoint has no masked language model head, or the text is none or is empty.
        """
        check_serves(self._source, "token_predictions")
        found = text_tokens(text, self.tokenizer, self.max_length)
        warn_of_cuts(int(found.sequence.is_cut), 1, self.max_length)
        with self._computing():
            return token_predictions(self.mask_filler, found, top_k)

    def methods(self) -> list[str]:
        """Return the names of the methods that this checkpoint serves. Those of its own head come first."""
        return served_methods(self._source)

    def __repr__(self) -> str:
        return f"<LoadedModel {self.path}, {trained_for(self._source)}, on {self.device}>"

    @cached_property
    def answerer(self) -> Answerer:
        """Return what answers the checkpoint's task. Raise UserError if it has none."""
        check_serves(self._source, "predict")
        return Answerer(self._source, encoder=self.model)

    @cached_property
    def mask_filler(self) -> FillMask:
        """Return what fills in masked tokens. Raise UserError if the checkpoint has no head for them."""
        check_serves(self._source, "fill_mask")
        return FillMask(self.path, self.model, self._masked_lm_head(), self.tokenizer, self.max_length)

    def _masked_lm_head(self) -> MaskedLMHead:
        head = self._source.masked_lm_head()
        assert head is not None, "the caller has checked that there is one"
        return head.eval().to(self.device)

    def _answers(self, method: str, inputs: Any, batch_size: int, show: bool | None) -> Any:
        check_serves(self._source, method)
        given = Given.of(inputs, "texts", (str, tuple, Mapping))
        return given.shaped(self._predictions(task_rows(given, self.answerer.task_type), batch_size, show))

    def _predictions(self, rows: Sequence[Row], batch_size: int, show: bool | None) -> list[Prediction]:
        answerer = self.answerer
        units = answerer.units(answerer.task_type.examples(rows, answered=False))
        warn_of_cuts(sum(unit.is_cut for unit in units), len(units), answerer.max_length)
        lengths = [sum(len(tokens.ids) for tokens in unit.sequences) for unit in units]
        with self._computing():
            return results_in_order(units, lengths, answerer.predictions, batch_size, self.device, show)

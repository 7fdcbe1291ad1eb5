"""Score sentences by their pseudo-log-likelihood under a masked language model, without training.

The pseudo-log-likelihood of a sentence is the sum over its tokens of the log-probability of the token where it is
masked (Salazar et al. 2020, https://arxiv.org/abs/1910.14659). If a word has several tokens, those to the right of the
predicted one are masked too by default (PLL-word-l2r, Kauf and Ivanova 2023, https://arxiv.org/abs/2305.10588).
Otherwise the rest of a rare word gives it away.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bert_lightning.data.labelled.encoding import TokenSequence
from bert_lightning.data.labelled.minimal_pairs import MinimalPairs
from bert_lightning.data.labelled.task_types import Example, Prediction
from bert_lightning.errors import UserError
from bert_lightning.model.encoder import BERT
from bert_lightning.model.heads import MaskedLMHead
from bert_lightning.runs.pretrained import PretrainedWeights
from bert_lightning.runtime.matmul_precision import OneDnnProducts
from bert_lightning.tasks.answering import check_numbers
from bert_lightning.tasks.output import progress
from bert_lightning.tasks.tokenized_examples import TokenizedExamples
from bert_lightning.text.tokenizers.recipes import SpecialIds

TOKENS_PER_UNIT = 256  # tokens in a batch for each unit of `batch_size`
Integers = npt.NDArray[np.int64]


class PseudoLikelihood:
    """A scorer of token sequences.

    Args:
        encoder: the encoder, on the device where it runs.
        head: its masked language model head.
        mask: id of the mask token.
        pad: id of the padding token.
        mask_rest_of_word: whether the tokens of a word to the right of the predicted token are masked too.
        bar: whether a progress bar is shown; None: if standard error is a terminal.
    """

    def __init__(
        self,
        encoder: BERT,
        head: MaskedLMHead,
        mask: int,
        pad: int,
        mask_rest_of_word: bool = True,
        bar: bool | None = None,
    ) -> None:
        self.encoder, self.head, self.mask, self.pad = encoder.eval(), head.eval(), mask, pad
        self.mask_rest_of_word, self.bar = mask_rest_of_word, bar

    @torch.inference_mode()
    def __call__(self, sequences: Sequence[TokenSequence], batch_tokens: int) -> Tensor:
        """Return the pseudo-log-likelihood of each sequence, [N] float64.

        Equal sequences are computed once, so that they have exactly equal scores.

        Args:
            sequences: sequences with one special token at each end. `first` is the first token of each word.
            batch_tokens: number of tokens in a batch, with padding.
        """
        distinct = {tokens.ids.tobytes(): tokens for tokens in sorted(sequences, key=lambda tokens: len(tokens.ids))}
        index = {key: number for number, key in enumerate(distinct)}
        totals = torch.zeros(len(distinct), dtype=torch.double)
        by_length = list(distinct.values())
        batches = _batches(by_length, batch_tokens)
        for copies in progress(batches, len(batches), self.bar):
            totals.index_add_(0, torch.from_numpy(copies[:, 0].copy()), self._log_probabilities(by_length, copies))
        places = torch.tensor([index[tokens.ids.tobytes()] for tokens in sequences], dtype=torch.long)
        return totals[places]

    def _log_probabilities(self, sequences: Sequence[TokenSequence], copies: Integers) -> Tensor:
        """Return the log-probability of the masked token of each copy, [M]. A copy is (sequence, position, word's end).

        Only the masked positions go through the last layer and the head.
        """
        rows = [sequences[number].ids for number in copies[:, 0]]
        length = max(map(len, rows))
        ids = np.full((len(rows), length), self.pad, np.int64)
        for row, tokens in enumerate(rows):
            ids[row, : len(tokens)] = tokens
        real = np.arange(length) < np.array([len(tokens) for tokens in rows])[:, None]
        position, end = copies[:, 1], copies[:, 2]
        labels = ids[np.arange(len(rows)), position]
        masked = (np.arange(length) >= position[:, None]) & (np.arange(length) < end[:, None])
        ids[masked if self.mask_rest_of_word else np.arange(length) == position[:, None]] = self.mask
        return self._at(*map(torch.from_numpy, (ids, real, position + np.arange(len(rows)) * length, labels)))

    def _at(self, ids: Tensor, real: Tensor, positions: Tensor, labels: Tensor) -> Tensor:
        device = self.encoder.embeddings.word.weight.device
        hidden = self.encoder(ids.to(device), None, real.to(device), positions.to(device))  # [M, H]
        logits = self.head(hidden, self.encoder.embeddings.word.weight).float()  # [M, V]
        chosen: Tensor = logits.gather(1, labels.to(device)[:, None])[:, 0] - logits.logsumexp(1)
        return chosen.double().cpu()


class PairScorer:
    """A predictor for minimal pairs: the likelier sentence of a pair. It uses the masked-word head of a checkpoint.

    Raises:
        UserError: if the checkpoint has no such head, or its tokenizer has no mask token.
    """

    labels: Sequence[str] = ()

    def __init__(self, source: PretrainedWeights, task_type: MinimalPairs, max_length: int) -> None:
        head = source.masked_lm_head()
        if head is None:
            raise UserError(_no_head(source))
        special = SpecialIds.of(source.tokenizer)
        self.device = device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        encoder = source.encoder().to(device)
        self.path, self.task_type, self.tokenizer = source.path, task_type, source.tokenizer
        self.max_length = min(max_length, source.config.max_position_embeddings)
        self.num_cut = 0  # pairs so far that were cut to the maximal length
        mask = special.require_mask()
        self.score = PseudoLikelihood(encoder, head.to(device), mask, special.pad, task_type.mask_rest_of_word)

    def __call__(
        self, examples: Sequence[Example], batch_size: int, tokenized: TokenizedExamples | None = None
    ) -> Iterator[tuple[Example, Prediction]]:
        """Yield each pair with its prediction, in the given order. `tokenized` may have the tokens already."""
        tokenized = tokenized or TokenizedExamples()
        units = tokenized.units(self.task_type, examples, self.tokenizer, self.max_length)
        self.num_cut += sum(unit.is_cut for unit in units)
        sequences = [tokens for unit in units for tokens in unit.sequences]
        with OneDnnProducts(self.device):
            scores = self.score(sequences, batch_size * TOKENS_PER_UNIT)
        check_numbers(self.path, scores)
        yield from zip(examples, self.task_type.decode(scores.view(-1, 2), units, self.labels), strict=True)


def _batches(sequences: Sequence[TokenSequence], batch_tokens: int) -> list[Integers]:
    """Return the masked copies of all sequences in batches of similar length: [M, 3] sequence, position, word's end."""
    copies = np.concatenate([_masked_copies(number, tokens) for number, tokens in enumerate(sequences)])
    lengths = np.array([len(tokens.ids) for tokens in sequences])[copies[:, 0]]
    batches, start = [], 0
    while start < len(copies):
        end = start + max(1, batch_tokens // int(lengths[start]))
        end = start + max(1, batch_tokens // int(lengths[min(end, len(copies)) - 1]))  # the batch's longest sequence
        batches.append(copies[start:end])
        start = end
    return batches


def _masked_copies(number: int, tokens: TokenSequence) -> Integers:
    """Return one row for each token between the special tokens: the sequence, the position, the end of its word."""
    end = len(tokens.ids) - 1
    position = np.arange(1, end)
    ends = np.append(tokens.first[1:], end)[np.searchsorted(tokens.first, position, side="right") - 1]
    return np.column_stack([np.full_like(position, number), position, ends]).astype(np.int64)


def _no_head(source: PretrainedWeights) -> str:
    """Return why a checkpoint cannot score minimal pairs, and what to use."""
    heads: dict[str, Any] = source.head_types()
    if "task" in source.metadata:
        return f"{source.path} is fine-tuned and has no masked-word head: give the run that it was fine-tuned from"
    if "replaced_token" in heads.values():
        return (
            f"{source.path} is a discriminator, which gives words no probabilities: minimal pairs need a masked-word "
            "head, as of variant=bert; compare this run by fine-tuning it for a task"
        )
    return f"{source.path} has no masked-word head: give a run that was pretrained with one, as with variant=bert"

"""`bert-lightning inspect`: print statistics and samples of the corpus, the examples and the masking."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from omegaconf import DictConfig
from tokenizers import Tokenizer

from bert_lightning.config.building import build
from bert_lightning.data.arrays import Ints
from bert_lightning.data.batch import PretrainingBatch
from bert_lightning.data.pretraining.examples import PretrainingExamples
from bert_lightning.data.pretraining.masking import RateSchedule
from bert_lightning.data.pretraining.phases import Phases
from bert_lightning.data.store.preparation import PreparedData
from bert_lightning.errors import UserError
from bert_lightning.verbs.prepare import prepared_data
from bert_lightning.verbs.pretrain import pretraining_examples


def run(config: DictConfig) -> None:
    """Print counts of the corpus, statistics of its examples and of their masking, and some examples."""
    for name, least in (("batch_size", 1), ("sample", 1), ("show", 0)):
        if config[name] < least:
            raise UserError(f"{name}={config[name]} must be {least} or more")
    data = prepared_data(config)
    examples = pretraining_examples(config, data, data.train, build(config.masking), config.seed)
    print("\n".join(report(config, data, examples)))


def report(config: DictConfig, data: PreparedData, examples: PretrainingExamples) -> Iterator[str]:
    """Yield the lines of the report."""
    yield f"\n{data.folder}"
    yield f"{'':12}{'documents':>14}{'sentences':>14}{'tokens':>16}{'tokens per sentence':>21}"
    for name, store in (("train", data.train), ("validation", data.validation)):
        counts = store.counts()
        mean = counts["tokens"] / counts["sentences"]
        yield f"{name:12}{counts['documents']:14,}{counts['sentences']:14,}{counts['tokens']:16,}{mean:21.1f}"
    for number, phase in enumerate(examples.phases, 1):
        alone = replace(examples, phases=Phases.of(phase.builder))
        share = f", phase {number}: {phase.share:.0%} of training" if len(examples.phases) > 1 else ""
        yield f"\n{type(phase.builder).__name__}{share}"
        yield from _statistics(alone, config.batch_size, min(config.sample, len(alone)))
    if config.show:
        yield "\nThe first sequences. Predicted tokens: [masked], {original>replacement} or (kept)."
        yield "1A is segment A of the first example in a sequence."
    for number in range(min(config.show, len(examples))):
        yield f"\n{number + 1}."
        yield from _shown_sequence(examples[range(number, number + 1)], data.tokenizer, examples.vocabulary.mask)


def _statistics(examples: PretrainingExamples, batch_size: int, sample: int) -> Iterator[str]:
    """Yield statistics of the first `sample` sequences of the stream: lengths, padding, labels and masks."""
    lengths: list[Ints] = []
    labels: list[Ints] = []
    positions = real = text = predicted = masked = kept = runs = 0
    for start in range(0, sample, batch_size):
        batch = examples[range(start, min(start + batch_size, sample))]
        numbers = batch["attention_mask"].numpy()
        offset = numbers + (numbers.max() + 1) * np.arange(len(numbers))[:, None]
        lengths.append(np.unique(offset[numbers > 0], return_counts=True)[1])
        labels += [batch[key].numpy() for key in _label_keys(batch)]  # type: ignore[literal-required]
        positions, real = positions + numbers.size, real + batch["num_tokens"]
        special = (examples.special.pad, examples.special.cls, examples.special.sep)
        text += int((~np.isin(_unmasked(batch), special)).sum())
        found = batch["input_ids"].view(-1)[batch["masked_positions"]].numpy()
        predicted, masked = predicted + len(found), masked + int((found == examples.vocabulary.mask).sum())
        kept += int((found == batch["masked_labels"].numpy()).sum())
        runs += 1 + int((np.diff(batch["masked_positions"].numpy()) > 1).sum())
    quantiles = np.percentile(np.concatenate(lengths), [0, 10, 50, 90, 100]).astype(int)
    several = sum(map(len, lengths)) / sample
    yield f"  {len(examples):,} sequences per epoch" + (f", {several:.1f} examples in each" if several > 1 else "")
    yield "  tokens per example: minimum {}, 10th percentile {}, median {}, 90th percentile {}, maximum {}".format(
        *quantiles
    )
    yield f"  {real / positions:.2%} of the positions are tokens, the others padding, in batches of {batch_size}"
    if labels:
        yield f"  {_label_keys(batch)[0]}: 1 in {np.concatenate(labels).mean():.1%} of the sequences"
    rate = getattr(examples.masking, "rate", None)
    if isinstance(rate, RateSchedule):
        points = ", ".join(f"{r:.1%} at {s:.0%}" for s, r in zip(rate.shares, rate.rates, strict=True))
        yield f"  masking rate by the fraction of training done: {points}; the numbers below are those at the end"
    yield f"  {predicted / text:.2%} of the tokens of the text are predicted, {predicted / sample:.1f} per sequence"
    if predicted:
        shares = [count / predicted for count in (masked, predicted - masked - kept, kept)]
        yield "  of these {:.1%} are masked, {:.1%} replaced by a random token, {:.1%} kept".format(*shares)
        yield f"  predicted tokens that are neighbours form runs of {predicted / runs:.2f} tokens on average"


def _shown_sequence(batch: PretrainingBatch, tokenizer: Tokenizer, mask: int) -> Iterator[str]:
    """Yield the labels of a sequence, and its text on one line per segment.

    A predicted token is shown as [masked], {original>replacement} or (kept).
    """
    for key in _label_keys(batch):
        yield f"  {key}={int(batch[key])}"  # type: ignore[literal-required]
    ids, words = batch["input_ids"][0].tolist(), _unmasked(batch).tolist()
    chosen = set(batch["masked_positions"].tolist())
    numbers, types = batch["attention_mask"][0].tolist(), batch["token_type_ids"][0].tolist()
    line: list[str] = []
    run: list[int] = []
    for place, (id_, word) in enumerate(zip(ids, words, strict=True)):
        if not numbers[place]:
            break
        if place not in chosen:
            run.append(word)
        else:
            line += [tokenizer.decode(run, skip_special_tokens=False)] if run else []
            run, name, now = [], tokenizer.id_to_token(word), tokenizer.id_to_token(id_)
            line.append(f"[{name}]" if id_ == mask else f"({name})" if id_ == word else f"{{{name}>{now}}}")
        after = (numbers[place + 1], types[place + 1]) if place + 1 < len(ids) else (0, 0)
        if (numbers[place], types[place]) != after:
            line += [tokenizer.decode(run, skip_special_tokens=False)] if run else []
            yield f"  {numbers[place]}{'AB'[types[place]]} {' '.join(line)}"
            line, run = [], []


def _unmasked(batch: PretrainingBatch) -> Ints:
    """Return the token ids before masking, of the flattened batch: [B * S]."""
    ids = batch["input_ids"].reshape(-1).clone()
    ids[batch["masked_positions"]] = batch["masked_labels"]
    return ids.numpy()


def _label_keys(batch: Any) -> list[str]:
    return [key for key in batch if key.endswith("_label")]

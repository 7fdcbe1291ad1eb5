"""Encoding of labelled data: from texts and words to token sequences, and to the input tensors of the encoder."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Encoding, Tokenizer

from bert_lightning.data.batch import EncoderInputs
from bert_lightning.text.tokenizers.batch_tokenizer import text_reader

TextInput = str | tuple[str, str] | list[str]  # a text, a pair of texts, or words
_CHUNK = 1000  # texts that are encoded together; an `Encoding` of the library takes some kilobytes until converted


@dataclass(frozen=True, slots=True)
class TokenSequence:
    """One token sequence, including special tokens. `first` is empty without words, `offsets` without a context."""

    ids: npt.NDArray[np.int32]  # [S] token ids
    types: npt.NDArray[np.uint8]  # [S] token types
    first: npt.NDArray[np.int32]  # [W] index of each word's first token in `ids`, -1 for a word without tokens
    offsets: npt.NDArray[np.int32]  # [S, 2] characters [start, end) of each token in the context; -1 outside of it
    is_cut: bool = False  # whether tokens beyond the maximal length were left out


_NONE = np.empty(0, np.int32)


def encode(
    texts: Sequence[TextInput],
    tokenizer: Tokenizer,
    max_length: int,
    with_masks: bool = False,
    with_word_starts: bool = False,
    with_offsets: bool = False,
) -> list[TokenSequence]:
    """Encode each text as `[CLS] text [SEP]`, and each pair as `[CLS] a [SEP] b [SEP]`, cut to `max_length` tokens.

    The longer text of a pair is cut first. As in pretraining, special tokens in a text are plain text. If `with_masks`
    is true, `[MASK]` is the mask token. If `with_word_starts` is true, `first` has the words of a text as the tokenizer
    divides it. If `with_offsets` is true, `offsets` has the characters of each token. A list of words is encoded as a
    sentence, with a space before each word; see `text_reader`.
    """
    found: list[TokenSequence] = []
    of_words = bool(texts) and isinstance(texts[0], list)
    with _reader(tokenizer, with_masks, of_words) as reader:
        reader.enable_truncation(max_length)
        for start in range(0, len(texts), _CHUNK):
            chunk = list(texts[start : start + _CHUNK])
            for text, encoding in zip(chunk, reader.encode_batch(chunk, is_pretokenized=of_words), strict=True):
                first = _first_pieces(encoding, len(text)) if of_words else _NONE
                first = _word_starts(encoding) if with_word_starts else first
                offsets = np.array(encoding.offsets, np.int32) if with_offsets else _NONE
                found.append(_tokens(encoding, first, offsets, bool(encoding.overflowing)))
    return found


def encode_windows(
    questions: Sequence[str], contexts: Sequence[str], tokenizer: Tokenizer, max_length: int, overlap: int
) -> list[list[TokenSequence]]:
    """Encode each question with its context, as windows `[CLS] question [SEP] part of the context [SEP]`.

    Neighbouring windows have `overlap` tokens of the context in common.
    """
    found: list[list[TokenSequence]] = []
    with _reader(tokenizer) as reader:
        reader.enable_truncation(max_length, stride=overlap, strategy="only_second")
        for start in range(0, len(questions), _CHUNK):
            part = slice(start, start + _CHUNK)
            for encoding in reader.encode_batch(list(zip(questions[part], contexts[part], strict=True))):
                windows = [encoding, *encoding.overflowing]
                found.append([_tokens(window, _NONE, _context_offsets(window)) for window in windows])
    return found


def truncate_texts(texts: Sequence[str], tokenizer: Tokenizer, max_tokens: int) -> list[str]:
    """Return the beginning of each text, up to `max_tokens` tokens."""
    with _reader(tokenizer) as reader:
        encodings = reader.encode_batch(list(texts), add_special_tokens=False)
    return [
        text[: encoding.offsets[max_tokens - 1][1]] if len(encoding.ids) > max_tokens else text
        for text, encoding in zip(texts, encodings, strict=True)
    ]


def collate(inputs: Sequence[TokenSequence], pad: int) -> EncoderInputs:
    """Pad sequences to the longest of them with the id `pad`, and return the inputs of the encoder."""
    lengths = torch.tensor([len(tokens.ids) for tokens in inputs])
    mask = torch.arange(int(lengths.max())) < lengths[:, None]  # [B, S]
    ids, types = torch.full(mask.shape, pad), torch.zeros(mask.shape, dtype=torch.long)
    ids[mask] = torch.from_numpy(np.concatenate([tokens.ids for tokens in inputs]).astype(np.int64))
    types[mask] = torch.from_numpy(np.concatenate([tokens.types for tokens in inputs]).astype(np.int64))
    return {"input_ids": ids, "token_type_ids": types, "attention_mask": mask, "num_tokens": int(lengths.sum())}


_lock = threading.RLock()  # the settings of a tokenizer are shared by all threads


@contextmanager
def _reader(tokenizer: Tokenizer, with_masks: bool = False, of_words: bool = False) -> Iterator[Tokenizer]:
    """Yield the tokenizer that reads texts or words, for this thread alone, and restore its settings afterwards."""
    with _lock:
        reader = text_reader(tokenizer, of_words)
        reader.encode_special_tokens = not with_masks
        try:
            yield reader
        finally:
            reader.no_truncation()
            reader.encode_special_tokens = False


def _tokens(
    encoding: Encoding, first: npt.NDArray[np.int32], offsets: npt.NDArray[np.int32], is_cut: bool = False
) -> TokenSequence:
    return TokenSequence(
        np.array(encoding.ids, np.int32), np.array(encoding.type_ids, np.uint8), first, offsets, is_cut
    )


def _first_pieces(encoding: Encoding, num_words: int) -> npt.NDArray[np.int32]:
    """Return the index of each word's first token, -1 for a word without tokens."""
    first = np.full(num_words, -1, np.int32)
    for position, word in reversed(list(enumerate(encoding.word_ids))):
        if word is not None:
            first[word] = position
    return first


def _word_starts(encoding: Encoding) -> npt.NDArray[np.int32]:
    words = [None, *encoding.word_ids]
    starts = [i for i, (before, word) in enumerate(pairwise(words)) if word is not None and word != before]
    return np.array(starts, np.int32)


def _context_offsets(encoding: Encoding) -> npt.NDArray[np.int32]:
    inside = np.array([part == 1 for part in encoding.sequence_ids])
    return np.where(inside[:, None], np.array(encoding.offsets, np.int32), np.int32(-1))

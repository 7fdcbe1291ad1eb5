"""Report the text of a corpus that a tokenizer loses: combining marks that it drops, and words that become [UNK]."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable

from tokenizers import Tokenizer

from bert_lightning.text.corpora import Document
from bert_lightning.text.tokenizers.recipes import SpecialIds
from bert_lightning.text.tokenizers.trained import Note

SAMPLE = 10**6  # number of characters of the corpus that are examined
_LEAST = 0.01  # fractions up to this one are not reported
# Accents of Latin, Greek and Cyrillic. BERT drops them on purpose. In other scripts, marks may be vowels.
_ACCENTS = re.compile("[\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]")


def report(tokenizer: Tokenizer, documents: Iterable[Document], note: Note) -> None:
    """Report the percentage of dropped characters and of [UNK] tokens, each by a call of `note` if it is above 1 %."""
    sentences = [sentence for document in documents for sentence in document]
    _report_dropped_marks(tokenizer, sentences, note)
    _report_unknown(tokenizer, sentences, note)


def _report_dropped_marks(tokenizer: Tokenizer, sentences: list[str], note: Note) -> None:
    if tokenizer.normalizer is None:
        return
    normalize = tokenizer.normalizer.normalize_str
    counts = Counter(character for s in sentences for character in unicodedata.normalize("NFD", s))
    total = sum(count for character, count in counts.items() if not character.isspace())
    marks = [c for c in counts if unicodedata.category(c).startswith("M") and not _ACCENTS.match(c)]
    dropped = {mark for mark in marks if mark not in unicodedata.normalize("NFD", normalize("a" + mark))}
    share = sum(counts[mark] for mark in dropped) / max(total, 1)
    if share <= _LEAST:
        return
    words = Counter(word for s in sentences for word in s.split())
    before = next(w for w, _ in words.most_common() if dropped & set(unicodedata.normalize("NFD", w)))[:20]
    note(
        f"the tokenizer drops {share:.1%} of the characters, which are vowels and other marks of the script: "
        f"{before!r} is read as {normalize(before).strip()!r}; use tokenizer=wordpiece_multilingual, or "
        "tokenizer=unigram_multilingual for a script without spaces"
    )


def _report_unknown(tokenizer: Tokenizer, sentences: list[str], note: Note) -> None:
    unknown = SpecialIds.of(tokenizer).unk
    encodings = tokenizer.encode_batch(sentences, add_special_tokens=False)
    counts = [encoding.ids.count(unknown) for encoding in encodings]
    total = sum(map(len, encodings))
    if sum(counts) <= _LEAST * total:
        return
    sentence, encoding = next((s, e) for s, e, count in zip(sentences, encodings, counts, strict=True) if count)
    begin, end = encoding.offsets[encoding.ids.index(unknown)]
    note(
        f"{sum(counts) / total:.1%} of the tokens of a sample are [UNK], such as "
        f"{sentence[begin:end][:20]!r}: use tokenizer=unigram_multilingual, which reads words of any length "
        "and fits scripts without spaces, tokenizer=bpe, which has no [UNK], or a vocabulary of this language"
    )

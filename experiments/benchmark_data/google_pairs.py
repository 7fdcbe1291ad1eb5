"""Build segment pairs as `create_pretraining_data.py` of google-research/bert does. The benchmark compares with it.

The algorithm is that of the original, in Python: chunks of sentences; a random or the following segment B; truncation
at either end; at most `max_predictions` masked tokens, 80/10/10; then padding to fixed lengths. It works on token ids
instead of strings, so it is faster than the original. The package never imports this file.
"""

from __future__ import annotations

import random


class GooglePairs:
    """An iterator over the examples of documents, one document after another."""

    def __init__(self, documents, special, vocab_size, max_length, max_predictions, seed=12345):
        self.documents, self.special, self.vocab_size = documents, special, vocab_size
        self.max_length, self.max_predictions = max_length, max_predictions
        self.rng = random.Random(seed)

    def __iter__(self):
        while True:
            for index in range(len(self.documents)):
                yield from self.instances(index)

    def instances(self, index):
        """Return the examples of a document, as `create_instances_from_document` does."""
        document, rng = self.documents[index], self.rng
        room = self.max_length - 3
        target = rng.randint(2, room) if rng.random() < 0.1 else room
        chunk, length, i = [], 0, 0
        while i < len(document):
            chunk.append(document[i])
            length += len(document[i])
            if i == len(document) - 1 or length >= target:
                if chunk:
                    a_end = rng.randint(1, len(chunk) - 1) if len(chunk) >= 2 else 1
                    a = [token for sentence in chunk[:a_end] for token in sentence]
                    b = []
                    is_random = len(chunk) == 1 or rng.random() < 0.5
                    if is_random:
                        for _ in range(10):
                            other = rng.randint(0, len(self.documents) - 1)
                            if other != index:
                                break
                        other = self.documents[other]
                        for sentence in other[rng.randint(0, len(other) - 1) :]:
                            b.extend(sentence)
                            if len(b) >= target - len(a):
                                break
                        i -= len(chunk) - a_end
                    else:
                        b = [token for sentence in chunk[a_end:] for token in sentence]
                    self.truncate(a, b, room)
                    yield self.instance(a, b, is_random)
                chunk, length = [], 0
            i += 1

    def truncate(self, a, b, room):
        """Shorten a pair of segments to the maximal length, as `truncate_seq_pair` does."""
        while len(a) + len(b) > room:
            longer = a if len(a) > len(b) else b
            if self.rng.random() < 0.5:
                del longer[0]
            else:
                longer.pop()

    def instance(self, a, b, is_random):
        """Add special tokens, mask and pad. Return one row of the batch, and its number of tokens."""
        special = self.special
        ids = [special.cls, *a, special.sep, *b, special.sep]
        types = [0] * (len(a) + 2) + [1] * (len(b) + 1)
        positions, labels = self.mask(ids)
        padding, unused = self.max_length - len(ids), self.max_predictions - len(positions)
        row = {
            "input_ids": ids + [special.pad] * padding,
            "input_mask": [1] * len(ids) + [0] * padding,
            "segment_ids": types + [0] * padding,
            "masked_lm_positions": positions + [0] * unused,
            "masked_lm_ids": labels + [0] * unused,
            "masked_lm_weights": [1.0] * len(positions) + [0.0] * unused,
            "next_sentence_labels": int(is_random),
        }
        return row, len(ids)

    def mask(self, ids):
        """Mask tokens as `create_masked_lm_predictions` does, without whole-word masking."""
        special, rng = self.special, self.rng
        candidates = [i for i, token in enumerate(ids) if token not in (special.cls, special.sep)]
        rng.shuffle(candidates)
        count = min(self.max_predictions, max(1, round(len(ids) * 0.15)))
        chosen = sorted(candidates[:count])
        labels = [ids[i] for i in chosen]
        for i in chosen:
            if rng.random() < 0.8:
                ids[i] = special.mask
            elif rng.random() >= 0.5:
                ids[i] = rng.randint(0, self.vocab_size - 1)
        return chosen, labels

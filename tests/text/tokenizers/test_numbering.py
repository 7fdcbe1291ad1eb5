"""Words have the numbers that a dictionary would give them, whatever their bytes."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bert_lightning.text.tokenizers.numbering import WordNumbers

# Around 8, 16 and 24 bytes, where keys begin and end; with the byte 0; long ones that begin alike.
EDGES = ["", "\x00", "a", "a\x00", *("ab" * n for n in range(1, 15)), "é" * 12, "é" * 13, "\x00" * 24, "\x00" * 25]
WORDS = st.sampled_from(EDGES) | st.text(st.characters(exclude_characters=" ", exclude_categories=["Cs"]), max_size=30)


def check(numbers, words, known):
    given_numbers, new = numbers(" ".join(words).encode())
    known += new
    assert len(known) == len(set(known)) == len(numbers)
    assert [known[number] for number in given_numbers] == words


@given(st.lists(st.lists(WORDS, min_size=1), max_size=4))
def test_numbers_are_those_of_the_words(texts):
    numbers, known = WordNumbers(), [None]
    for words in texts:
        check(numbers, words, known)


def test_many_words_that_come_again():
    numbers, known, random = WordNumbers(), [None], np.random.default_rng(0)
    for _ in range(4):
        check(numbers, [f"w{word}" for word in random.zipf(1.2, 50_000)], known)


def test_what_is_forgotten_is_new_again_and_the_rest_keeps_its_number():
    numbers, words = WordNumbers(), [f"word{i}" for i in range(70_000)]
    _, known = numbers(" ".join(words).encode())
    numbers.forget(60_001)
    again, new = numbers(" ".join(known).encode())
    assert again[:60_000].tolist() == list(range(1, 60_001))
    assert sorted(new) == sorted(known[60_000:])
    assert sorted(again.tolist()) == list(range(1, 70_001))

"""Words of extreme length: left out of the training of tokenizers, and encoded in time that is linear."""

import random
import string
import time

import numpy as np
import pytest

from bert_lightning.errors import UserError
from bert_lightning.text.tokenizers.batch_tokenizer import PlainTokenizer
from bert_lightning.text.tokenizers.bpe_and_unigram import TrainByteLevelBPE, TrainUnigram
from bert_lightning.text.tokenizers.cached_tokenizer import fastest_tokenizer
from bert_lightning.text.tokenizers.long_words import BERT_ENDS, LONGEST_WORD, WithoutLongWords
from bert_lightning.text.tokenizers.recipes import TrainWordPiece, fingerprint

PLAIN = [["the quick brown fox jumps over lazy dogs' tails, isn't it?", "a 語 and more"]] * 20
RECIPES = [TrainWordPiece(300), TrainByteLevelBPE(400), TrainUnigram(60)]


def letters(count):
    return "".join(random.Random(0).choices(string.ascii_lowercase, k=count))


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: type(recipe).__name__)
def test_a_very_long_word_is_left_out_and_said(recipe):
    said = []
    begin = time.monotonic()
    trained = recipe([*PLAIN, [letters(400_000)]], said.append)
    assert time.monotonic() - begin < 20  # with the word in it: minutes
    assert fingerprint(trained) == fingerprint(recipe([*PLAIN, [""]]))
    (note,) = said
    assert note.startswith("1 words of more than 1")
    assert f"({letters(20)}...) are left out of the tokenizer's training" in note


def test_words_of_ordinary_length_pass_unchanged():
    tokenizer = TrainWordPiece(100)(PLAIN)
    web = "https://www.example.org/" + "a-b/" * 40  # a hundred characters without a space, of short words
    documents = [[web, "語" * 200, "x" * LONGEST_WORD, f"{'é' * 101}, kept"]]
    (kept,) = WithoutLongWords(documents, tokenizer, LONGEST_WORD, BERT_ENDS)
    assert kept[:3] == documents[0][:3]
    assert kept[3].split() == [",", "kept"]


def test_a_word_that_goes_on_where_the_text_is_cut_is_one():
    tokenizer = TrainWordPiece(100)(PLAIN)
    bounded = WithoutLongWords([["a-" * 4_000 + letters(25_000) + "-b"]], tokenizer, LONGEST_WORD)
    (kept,) = bounded
    assert kept == ["a-" * 4_000 + " -b"]
    assert bounded.count == 1


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: type(recipe).__name__)
@pytest.mark.parametrize("unit", ["a", "a-", "ก", "語"])
def test_a_word_of_any_length_is_encoded_as_the_library_does_in_linear_time(recipe, unit):
    tokenizer = recipe(PLAIN)
    texts = [unit * 100, unit * 101, unit * (50_000 // len(unit))]
    begin = time.monotonic()
    ours, theirs = fastest_tokenizer(tokenizer)(texts), PlainTokenizer(tokenizer)(texts)
    assert time.monotonic() - begin < 10
    for name in ("tokens", "word_starts", "lengths"):
        assert np.array_equal(getattr(ours, name), getattr(theirs, name))


def test_wordpiece_reads_words_above_a_hundred_characters_as_unknown():
    tokenizer = TrainWordPiece(300)(PLAIN)
    assert tokenizer.encode("a" * 100, add_special_tokens=False).tokens != ["[UNK]"]
    assert tokenizer.encode("a" * 101, add_special_tokens=False).tokens == ["[UNK]"]


def test_a_text_of_long_words_alone_names_the_fix():
    with pytest.raises(UserError, match=r"no words of 100 characters or fewer: use tokenizer=unigram_multilingual"):
        TrainWordPiece(300)([["ก" * 200]])

"""Words that are added to a vocabulary, for WordPiece and Unigram."""

import re

import pytest
from tokenizers import AddedToken, Tokenizer

from bert_lightning.errors import UserError
from bert_lightning.text.tokenizers.bpe_and_unigram import TrainByteLevelBPE, TrainUnigram
from bert_lightning.text.tokenizers.recipes import TrainWordPiece, vocabulary_size
from bert_lightning.text.tokenizers.vocabulary_extension import ExtendVocabulary

GENERAL = [["the cat sleeps on the mat", "a dog and a cat run in the rain"]] * 20
DOMAIN = [["harpooner saw whale", "whale sank one boat said harpooner", "龘 龘 龘"]] * 3
RECIPES = {
    "wordpiece": lambda: TrainWordPiece(60).__call__(GENERAL),
    "unigram": lambda: TrainUnigram(60).__call__(GENERAL),
}


class Made:
    """A recipe that gives a tokenizer, whatever the text."""

    sample_megabytes = 0

    def __init__(self, tokenizer):
        self.tokenizer = tokenizer

    def files(self):
        return []

    def __call__(self, documents, note=None):
        return self.tokenizer


@pytest.fixture(params=RECIPES)
def before(request):
    return RECIPES[request.param]()


def extended(before, said, **options):
    return ExtendVocabulary(Made(before), **options)(DOMAIN, said.append)


def test_learned_words_are_those_that_save_most_tokens(before):
    said = []
    after = extended(before, said, extend=3)
    words = re.findall(r"\w+", " ".join(sentence for document in DOMAIN for sentence in document))
    saved = {}
    for word in words:  # the tokens of a word stand between [CLS] and [SEP]
        pieces = before.encode(word).ids[1:-1]
        unknown = before.token_to_id(before.id_to_token(1)) in pieces
        saved[word] = words.count(word) * (len(word) if unknown else len(pieces) - 1)
    best = sorted(saved, key=lambda word: (-saved[word], word))[:3]
    new = after.get_vocab().keys() - before.get_vocab().keys()
    assert sorted(token.lstrip("▁") for token in new) == sorted(best)
    assert all(len(after.encode(word).ids) == 3 for word in best)
    assert any("the vocabulary gets 3 more words: " in each for each in said)


def test_other_texts_and_ids_stay(before):
    after = extended(before, [], extend=3)
    for text in ("a cat sleeps on a mat", "a dog", "mat, rain and cat!"):
        assert after.encode(text).ids == before.encode(text).ids
    assert before.get_vocab().items() <= after.get_vocab().items()
    assert sorted(after.get_vocab().values()) == list(range(vocabulary_size(before) + 3))
    assert Tokenizer.from_str(after.to_str()).get_vocab() == after.get_vocab()


def test_added_tokens_behind_the_vocabulary_keep_their_ids(before):
    before.add_special_tokens([AddedToken("[ENT]", special=True)])
    before.add_tokens(["cat-dog"])
    after = extended(before, [], extend=3)
    assert before.get_vocab().items() <= after.get_vocab().items()
    assert len({*after.get_vocab().values()}) == len(after.get_vocab()) == vocabulary_size(before) + 3
    assert after.encode("a [ENT] cat-dog").tokens == before.encode("a [ENT] cat-dog").tokens


def test_words_come_from_a_file_and_those_that_are_tokens_are_left_out(before, tmp_path):
    path = tmp_path / "words.txt"
    path.write_text("Whale\ncat\n\nwhale\nharpoon\n", encoding="utf-8")
    after = extended(before, [], add=str(path))
    new = after.get_vocab().keys() - before.get_vocab().keys()
    assert {word.lstrip("▁") for word in new} >= {"whale", "harpoon"}
    assert len(new) - len({"whale", "harpoon"}) == (len(before.encode("cat").ids) > 3)
    assert all(len(after.encode(word).ids) == 3 for word in ("whale", "WHALE", "harpoon"))


def test_mistakes_are_one_line(before, tmp_path):
    path = tmp_path / "words.txt"
    path.write_text("whale\nsperm whale\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"words\.txt, line 2: 'sperm whale' is not one word"):
        extended(before, [], add=str(path))
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match=r"cannot be read .it is not UTF-8"):
        extended(before, [], add=str(path))
    with pytest.raises(UserError, match=r"cannot be read .No such file"):
        extended(before, [], add=str(tmp_path / "nowhere.txt"))
    with pytest.raises(UserError, match=r"vocabulary\.add=nowhere\.txt is no file: give a text file"):
        ExtendVocabulary(Made(before), add="nowhere.txt").files()


def test_fewer_words_than_asked_for_are_said(before):
    said = []
    extended(before, said, extend=500)
    assert any("vocabulary.extend=500: the training text has only" in each for each in said)


def test_bpe_is_refused():
    with pytest.raises(UserError, match="a BPE tokenizer cannot be extended"):
        extended(TrainByteLevelBPE(300)(GENERAL), [], extend=2)

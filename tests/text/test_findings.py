"""A tokenizer that loses text is reported, and the presets lose none."""

import re

import pytest

from bert_lightning.text import findings
from bert_lightning.text.tokenizers.bpe_and_unigram import TrainByteLevelBPE, TrainUnigram
from bert_lightning.text.tokenizers.recipes import LoadTokenizer, TrainWordPiece, fingerprint

HINDI = [[f"अपने पोस्ट ऑफिस में पदों पर भर्ती हो रही है । {i}" for i in range(20)]]
_THAI = "ประเทศไทยมีประชากรประมาณเจ็ดสิบล้านคนและเมืองหลวงคือกรุงเทพมหานครซึ่งเป็นเมืองที่ใหญ่ที่สุดในประเทศ"
THAI = [[f"{_THAI}{_THAI} {i}" for i in range(20)]]  # a word of more than 100 characters
JAPANESE = [["これはペンです。ありがとうございます。"] * 5]
FRENCH = [["Élève à l'école, déjà vu, naïve façade, Łódź, Việt Nam, й ё ά ώ."] * 5]

FINGERPRINTS = ["bf8de9673d60a8d4", "ddbdbd932f154fc2", "254080e9cc80e121", "79b6af132f62c72d"]


def notes(recipe, documents):
    said = []
    findings.report(recipe(documents), documents, said.append)
    return said


@pytest.mark.parametrize(
    ("recipe", "documents", "expected"),
    [
        (TrainWordPiece(300), HINDI, [r"drops 1\d.\d% of .* 'अपने' is read as 'अपन'; use tokenizer=wordpiece_m"]),
        (TrainUnigram(100), HINDI, [r"drops 3\d.\d% of the characters"]),
        (TrainWordPiece(300), THAI, [r"drops 1\d.\d% ", r"\d\d.\d% of the tokens .* 'ประเทศ"]),
        (TrainWordPiece(300), JAPANESE, [r"drops \d+.\d% of the characters"]),
        (TrainWordPiece(300), FRENCH, []),
        (TrainByteLevelBPE(300), THAI, []),
        (TrainWordPiece(300, lowercase=False, strip_accents=False), HINDI, []),
        (TrainUnigram(100, lowercase=False, strip_accents=False), THAI, []),
        (TrainUnigram(100, lowercase=False, strip_accents=False), HINDI, []),
    ],
)  # fmt: skip
def test_what_is_lost_is_said_with_the_preset_that_loses_nothing(recipe, documents, expected):
    said = notes(recipe, documents)
    assert len(said) == len(expected)
    for note, pattern in zip(said, expected, strict=True):
        assert re.search(pattern, note), note
        assert len(note) < 290  # a note is cut there


def test_a_vocabulary_of_another_language_is_noticed(tmp_path):
    (tmp_path / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "cat"]))
    (note,) = notes(LoadTokenizer(str(tmp_path)), [["The cat sleeps."]])
    assert note.startswith("50.0% of the tokens of a sample are [UNK], such as 'sleeps'")


def test_small_letters_with_their_accents():
    assert TrainWordPiece(300, strip_accents=False)(FRENCH).normalizer.normalize_str("ÉCOLE") == "école"
    assert TrainUnigram(100, strip_accents=False)(FRENCH).normalizer.normalize_str("ÉCOLE") == "école"


def test_what_was_trained_before_is_trained_the_same_today():
    """The text in a store's settings and the tokenizer of each preset, from before accents had a setting."""
    recipes = [TrainWordPiece(100), TrainWordPiece(100, lowercase=False), TrainByteLevelBPE(300), TrainUnigram(60)]
    assert [repr(recipe) for recipe in recipes] == [
        "TrainWordPiece(vocab_size=100, lowercase=True, sample_megabytes=100)",
        "TrainWordPiece(vocab_size=100, lowercase=False, sample_megabytes=100)",
        "TrainByteLevelBPE(vocab_size=300, sample_megabytes=100)",
        "TrainUnigram(vocab_size=60, lowercase=True, sample_megabytes=64)",
    ]
    assert repr(TrainUnigram(60, strip_accents=False)).endswith("strip_accents=False)")
    assert [fingerprint(recipe(FRENCH)) for recipe in recipes] == FINGERPRINTS

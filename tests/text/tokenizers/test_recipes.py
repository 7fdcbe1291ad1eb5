import json
import subprocess
import sys

import pytest

from bert_lightning.errors import UserError
from bert_lightning.text.tokenizers.bpe_and_unigram import TrainByteLevelBPE, TrainUnigram
from bert_lightning.text.tokenizers.recipes import (
    SPECIAL_TOKENS,
    LoadTokenizer,
    SpecialIds,
    TrainWordPiece,
    fingerprint,
    load_tokenizer,
    vocabulary_size,
)

DOCUMENTS = [["The film was unbelievably good, really.", "Café naïve — 3.5 stars!"], ["An unfilmed scene re-filmed."]]


@pytest.fixture(scope="module")
def tokenizer():
    return TrainWordPiece(120)(DOCUMENTS)


def test_special_tokens_come_first(tokenizer):
    assert [tokenizer.token_to_id(token) for token in SPECIAL_TOKENS] == [0, 1, 2, 3, 4]
    assert SpecialIds.of(tokenizer) == SpecialIds(pad=0, unk=1, cls=2, sep=3, mask=4)


def test_words_split_into_pieces_and_come_back(tokenizer):
    encoding = tokenizer.encode("Unbelievably CAFÉ!")
    assert encoding.tokens[0] == "[CLS]"
    assert encoding.tokens[-1] == "[SEP]"
    assert "[UNK]" not in encoding.tokens
    assert tokenizer.decode(encoding.ids) == "unbelievably cafe!"


def test_no_piece_that_cannot_occur(tokenizer):
    assert "##m" in tokenizer.get_vocab()
    assert not {"##!", "##,", "##-", "##."} & tokenizer.get_vocab().keys()


@pytest.mark.parametrize("recipe", ["TrainWordPiece(300)", "TrainByteLevelBPE(400)", "TrainUnigram(300)"])
def test_training_gives_the_same_tokenizer_in_another_process(small_corpus, recipe):
    program = (
        "from bert_lightning.text.corpora import SentenceLines\n"
        "from bert_lightning.text.tokenizers.recipes import TrainWordPiece, fingerprint\n"
        "from bert_lightning.text.tokenizers.bpe_and_unigram import TrainByteLevelBPE, TrainUnigram\n"
        # characters so rare that unigram learns no piece for them
        f"documents = [*SentenceLines({str(small_corpus)!r}), ['0 = rare: {{}} & æ|q ~ ^ ½']]\n"
        f"print(fingerprint({recipe}(documents)))"
    )
    printed = {
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip()
        for _ in range(3)
    }
    assert len(printed) == 1


def test_a_saved_tokenizer_is_the_same(tokenizer, tmp_path):
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    assert fingerprint(load_tokenizer(tmp_path)) == fingerprint(tokenizer)


def test_published_vocabulary_splits_as_transformers_does(test_data):
    transformers = pytest.importorskip("transformers")
    folder = test_data / "vocab" / "bert-base-uncased"
    vocabulary = next(folder.glob("*vocab.txt"))
    ours = LoadTokenizer(str(vocabulary))([])
    theirs = transformers.BertTokenizerFast(vocab=str(vocabulary), do_lower_case=True)
    text = (test_data / "pretrain_en" / "bert_sample" / "sample_text.txt").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line]
    assert [ours.encode(line).ids for line in lines] == theirs(lines)["input_ids"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.txt", None, "no tokenizer at"),
        ("tokenizer.json", "{}", "is not a tokenizer"),
        ("vocab.txt", "[PAD]\nhello\n", r"the vocabulary has no \[UNK\] or <unk>, \[CLS\] or <s>, "),
    ],
)
def test_what_is_no_tokenizer_is_named(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=message):
        load_tokenizer(tmp_path / name)


def test_documents_without_words_train_nothing():
    with pytest.raises(UserError, match="no words"):
        TrainWordPiece(100)([[" "]])


def test_byte_level_bpe_has_ids_for_every_text_and_the_same_each_time():
    tokenizer = TrainByteLevelBPE(300)(DOCUMENTS)
    assert SpecialIds.of(tokenizer) == SpecialIds(cls=0, pad=1, sep=2, unk=3, mask=4)
    text = "The unfilmed 映画 \U0001f600\x07!"
    assert tokenizer.decode(tokenizer.encode(text).ids) == text
    assert fingerprint(TrainByteLevelBPE(300)(DOCUMENTS)) == fingerprint(tokenizer)


def test_unigram_is_trained_with_its_special_tokens():
    tokenizer = TrainUnigram(60)(DOCUMENTS)
    assert SpecialIds.of(tokenizer) == SpecialIds(pad=0, unk=1, cls=2, sep=3, mask=4)
    assert tokenizer.decode(tokenizer.encode("The FILM was good").ids) == "the film was good"


def test_gaps_in_the_ids(test_data, tmp_path):
    for source in ("roberta-base/vocab.json", "gpt2/merges.txt"):
        (tmp_path / source.partition("/")[2]).write_bytes((test_data / "vocab" / source).read_bytes())
    tokenizer = load_tokenizer(tmp_path)
    assert SpecialIds.of(tokenizer) == SpecialIds(cls=0, pad=1, sep=2, unk=3, mask=50264)
    assert (tokenizer.get_vocab_size(), vocabulary_size(tokenizer)) == (50262, 50265)
    (tmp_path / "merges.txt").unlink()
    with pytest.raises(UserError, match=r"no tokenizer at .*merges.txt: give"):
        load_tokenizer(tmp_path)


def test_sentencepiece_files(test_data, tmp_path):
    """Scores and pieces as the protocol buffer library reads them."""
    convert = pytest.importorskip("transformers.convert_slow_tokenizer")
    path = test_data / "vocab" / "sentencepiece_small" / "test_model.model"
    tokenizer = load_tokenizer(path)
    proto = convert.import_protobuf().ModelProto()
    proto.ParseFromString(path.read_bytes())
    model = json.loads(tokenizer.to_str())["model"]
    assert [tuple(piece) for piece in model["vocab"]] == [(piece.piece, piece.score) for piece in proto.pieces]
    assert model["unk_id"] == 0
    assert SpecialIds.of(tokenizer) == SpecialIds(pad=1000, unk=0, cls=1, sep=2, mask=1001)
    (tmp_path / "spiece.model").write_bytes(path.read_bytes()[:5000])
    with pytest.raises(UserError, match=r"spiece.model is not a tokenizer \(damaged"):
        load_tokenizer(tmp_path)


@pytest.mark.parametrize("recipe", [TrainWordPiece, TrainByteLevelBPE, TrainUnigram])
@pytest.mark.parametrize("size", [0, -1, 5, 10**13, 10**400, 2.5, "many", None])
def test_vocabularies_of_impossible_size_are_refused_before_the_library_sees_them(recipe, size):
    with pytest.raises(UserError, match=r"tokenizer.vocab_size=.* must be a whole number from \d+ to 4,194,304"):
        recipe(size)


@pytest.mark.parametrize("megabytes", [0, -1, float("nan"), float("inf"), "all", None])
def test_a_sample_of_impossible_size_is_refused(megabytes):
    with pytest.raises(UserError, match=r"tokenizer.sample_megabytes=\S+ must be a number above 0"):
        TrainWordPiece(300, sample_megabytes=megabytes)


@pytest.mark.parametrize("name", ["lowercase", "strip_accents"])
@pytest.mark.parametrize("value", [5, "yes", [], {}])
def test_settings_that_are_no_truth_values_are_refused(name, value):
    for recipe in (TrainWordPiece, TrainUnigram):
        with pytest.raises(UserError, match=rf"tokenizer.{name}=.* must be true"):
            recipe(300, **{name: value})

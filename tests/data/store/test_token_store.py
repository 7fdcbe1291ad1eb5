import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from bert_lightning.data.store.preparation import StorePlan, open_prepared, prepare
from bert_lightning.data.store.token_store import TokenStore
from bert_lightning.errors import UserError
from bert_lightning.text.corpora import SentenceLines
from bert_lightning.text.sentences import split_position
from bert_lightning.text.tokenizers.recipes import LoadTokenizer, TrainWordPiece
from tests.data.stores import write_store


def silent(_: str) -> None:
    pass


def test_ids_and_boundaries_are_those_of_the_text(small_corpus, small_data):
    documents = [d for d in SentenceLines(str(small_corpus)) if split_position(d) >= 0.2]
    store, tokenizer = small_data.train, small_data.tokenizer
    assert store.num_documents == len(documents)
    for number, document in enumerate(documents):
        first, end = store.documents[number : number + 2]
        assert end - first == len(document)
        for sentence, text in zip(range(first, end), document, strict=True):
            ids = store.tokens[store.sentences[sentence] : store.sentences[sentence + 1]]
            assert ids.tolist() == tokenizer.encode(text, add_special_tokens=False).ids
    assert store.sentences[-1] == len(store.tokens)


def test_no_document_is_on_both_sides(small_corpus, small_data):
    assert small_data.train.num_documents + small_data.validation.num_documents == 60
    assert 2 <= small_data.validation.num_documents < 30


def test_special_tokens_that_an_author_typed_are_text(small_data, tmp_path):
    write_store(tmp_path / "s", [["A [MASK] and a [SEP] here."]], small_data.tokenizer)
    ids = set(TokenStore(tmp_path / "s").tokens.tolist())
    assert not ids & {0, 2, 3, 4}


def test_large_vocabularies_need_wide_ids(tmp_path):
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = Tokenizer(models.WordLevel({f"w{i}": i for i in range(70_000)}, unk_token="w0"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    write_store(tmp_path / "s", [["w69999 w1"]], words)
    assert TokenStore(tmp_path / "s").tokens.tolist() == [69_999, 1]


def test_documents_and_sentences_without_tokens_are_left_out(small_data, tmp_path):
    counts = write_store(tmp_path / "s", [["\u200b", "one"], ["\u200b"], ["two", "three"]], small_data.tokenizer)
    assert counts == {"documents": 2, "sentences": 3, "tokens": counts["tokens"]}


def test_what_is_prepared_is_reused_and_what_changed_is_not(small_corpus, tmp_path):
    said = []

    def again(path, words=300):
        return prepare(
            StorePlan(SentenceLines(str(path)), TrainWordPiece(words), 0.2, tmp_path / "data" / "x"), said.append
        )

    (tmp_path / "data").mkdir()
    path = tmp_path / "copy.txt"
    path.write_bytes(small_corpus.read_bytes())
    first = again(path)
    count = len(said)
    assert again(path).folder == first.folder
    assert len(said) == count
    assert again(path, words=200).folder != first.folder
    path.write_text(path.read_text(encoding="utf-8") + "\n\nOne more. Document here.\n", encoding="utf-8")
    assert again(path).folder != first.folder


def test_nothing_is_left_of_a_preparation_that_failed(tmp_path):
    path = tmp_path / "bad.txt"
    path.write_bytes(b"\n\n".join(b"Sentence %d one.\nSentence two." % i for i in range(50)) + b"\n\nbad \xff\n")
    (tmp_path / "data").mkdir()
    with pytest.raises(UserError, match="not UTF-8"):
        prepare(StorePlan(SentenceLines(str(path)), TrainWordPiece(100), 0.2, tmp_path / "data" / "x"), silent)
    assert list((tmp_path / "data").iterdir()) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no text in it"),
        ("One.\nTwo.\n", "1 document with one text of 2 sentences is too little .*: give more text"),
        ("One.\n\n" * 5, "5 documents with one text of 1 sentence is too little .*: give more text"),
        (
            "One.\n\nTwo.\n\nThree.\n\nFour.\n\nFive.",
            r"validation_fraction=0.001 puts 0 of 5 .* use data.validation_fr",
        ),
    ],
)
def test_corpora_too_small_to_split(tmp_path, text, message):
    path = tmp_path / "a.txt"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=message):
        prepare(StorePlan(SentenceLines(str(path)), TrainWordPiece(100), 0.001, tmp_path / "x"), silent)


def test_the_fraction_that_is_advised_serves(tmp_path):
    path = tmp_path / "a.txt"
    texts = {
        "many": "\n\n".join(f"Text number {i} is here." for i in range(6)),
        "two": "One text is here.\n\nAnother is here.",
        "one": "\n".join(f"Text number {i} is here." for i in range(12)),
    }
    for name, text in texts.items():
        path.write_text(text, encoding="utf-8")
        for wrong in (0.0001, 0.9999):
            with pytest.raises(UserError) as caught:
                prepare(StorePlan(SentenceLines(str(path)), TrainWordPiece(100), wrong, tmp_path / "x"), silent)
            advised = float(str(caught.value).rpartition("=")[2])
            data = prepare(StorePlan(SentenceLines(str(path)), TrainWordPiece(100), advised, tmp_path / "x"), silent)
            assert min(data.train.num_documents, data.validation.num_documents) >= (1 if name == "two" else 2)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda folder: (folder / "train/tokens.bin").write_bytes(b"12345"),
            r"train/tokens.bin is damaged: it has 5 bytes, expected \d+, sha256",
        ),
        (lambda folder: (folder / "train/sentences.npy").unlink(), "train/sentences.npy is missing: expected"),
        (lambda folder: (folder / "train/documents.npy").write_bytes(b"\x93NUMPY"), "train/documents.npy is damaged"),
        (lambda folder: (folder / "manifest.json").write_text("{"), "is not a prepared corpus"),
        (
            lambda folder: TrainWordPiece(60)([["other words"]]).save(str(folder / "tokenizer.json")),
            "tokenizer.json is damaged",
        ),
    ],
)
def test_damage_is_named(small_data, tmp_path, damage, message):
    folder = tmp_path / "copy"
    shutil.copytree(small_data.folder, folder)
    damage(folder)
    with pytest.raises(UserError, match=message):
        open_prepared(folder)


def test_the_manifest_counts(small_data):
    manifest = json.loads((small_data.folder / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["splits"] == {"train": small_data.train.counts(), "validation": small_data.validation.counts()}
    assert manifest["splits"]["train"]["tokens"] == len(small_data.train.tokens)
    assert small_data.train.tokens.dtype == np.uint16


def test_a_vocabulary_that_changed_is_noticed(small_corpus, tmp_path):
    vocabulary = tmp_path / "vocab.txt"
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "cat", "dog"]
    folders = []
    for more in ([], ["moon"]):
        vocabulary.write_text("\n".join([*words, *more]) + "\n", encoding="utf-8")
        corpus, recipe = SentenceLines(str(small_corpus)), LoadTokenizer(str(vocabulary))
        folders.append(prepare(StorePlan(corpus, recipe, 0.2, tmp_path / "x"), silent).folder)
    assert folders[0] != folders[1]


def test_two_processes_may_prepare_the_same(small_corpus, tmp_path):
    program = (
        "from pathlib import Path; from bert_lightning.data.store.preparation import StorePlan, prepare\n"
        "from bert_lightning.text.corpora import SentenceLines\n"
        "from bert_lightning.text.tokenizers.recipes import TrainWordPiece\n"
        f"corpus = SentenceLines({str(small_corpus)!r})\n"
        f"plan = StorePlan(corpus, TrainWordPiece(300), 0.2, Path({str(tmp_path / 'x')!r}))\n"
        "print(prepare(plan, lambda _: None).folder)"
    )
    processes = [subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) for _ in range(3)]
    printed = {process.communicate()[0].strip() for process in processes}
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert [str(folder) for folder in tmp_path.iterdir()] == list(printed)


def test_words_begin_where_the_pre_tokenization_splits(small_data, tmp_path):
    write_store(tmp_path / "s", [["The cat sleeps.", "Unknowable stories!"]], small_data.tokenizer)
    store = TokenStore(tmp_path / "s")
    tokens = [small_data.tokenizer.id_to_token(i) for i in store.tokens]
    assert any(token.startswith("##") for token in tokens)
    assert store.word_starts.tolist() == [not token.startswith("##") for token in tokens]

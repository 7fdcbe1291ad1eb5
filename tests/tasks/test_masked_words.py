"""Bits per byte of masked words: the words, the value beside a plain computation, and what a run keeps."""

import json
import math
import random

import pytest
import torch

from bert_lightning.compare.word_measurements import word_measurement
from bert_lightning.data.labelled.encoding import encode
from bert_lightning.data.store.passages import MOST_PASSAGES, PASSAGE_WORDS, PassageSample
from bert_lightning.data.store.preparation import StorePlan, prepare
from bert_lightning.errors import UserError
from bert_lightning.model.config import BertConfig
from bert_lightning.model.encoder import BERT
from bert_lightning.model.heads import MaskedLMHead
from bert_lightning.tasks.masked_words import MaskedWords, bits_per_byte, masked_spans
from bert_lightning.text.corpora import SentenceLines
from bert_lightning.text.tokenizers.bpe_and_unigram import TrainByteLevelBPE, TrainUnigram
from bert_lightning.text.tokenizers.recipes import SpecialIds, TrainWordPiece, vocabulary_size

RECIPES = [TrainWordPiece(300), TrainByteLevelBPE(400), TrainUnigram(200)]


@pytest.fixture(scope="module")
def prepared(small_corpus, tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    plans = [StorePlan(SentenceLines(str(small_corpus)), r, 0.3, folder / str(i)) for i, r in enumerate(RECIPES)]
    return [prepare(plan, say=lambda _: None) for plan in plans]


def test_passages_are_the_same_for_every_tokenizer(prepared):
    assert prepared[0].passages
    assert len({data.passages for data in prepared}) == 1
    assert all(len(passage.split()) == PASSAGE_WORDS for passage in prepared[0].passages)


def test_the_sample_depends_on_neither_order_nor_parts():
    documents = [[f"{n} {i} is a sentence of eight words." for i in range(8)] for n in range(400)]
    whole, parts = PassageSample(), [PassageSample(), PassageSample()]
    for document in documents:
        whole.take(document)
    random.Random(1).shuffle(documents)
    for number, document in enumerate(documents):
        parts[number % 2].take(document)
    joined = PassageSample(passage for part in parts for passage in part.passages()).passages()
    assert whole.passages() == joined
    assert len(joined) == MOST_PASSAGES


def test_fifteen_per_cent_of_the_words_are_masked(prepared):
    for passage in prepared[0].passages:
        spans = masked_spans(passage)
        assert len(spans) == 5
        assert all(" " not in passage[start:end] for start, end in spans)
        assert spans == masked_spans(passage)


def model(data, seed=0):
    torch.manual_seed(seed)
    config = BertConfig(vocabulary_size(data.tokenizer), 16, 1, 2, 32, max_position_embeddings=256)
    return BERT(config).eval(), MaskedLMHead(config).eval()


@pytest.mark.parametrize("number", range(len(RECIPES)), ids=[type(recipe).__name__ for recipe in RECIPES])
def test_bits_equal_those_of_one_passage_at_a_time(prepared, number):
    data = prepared[number]
    encoder, head = model(data)
    rows = MaskedWords(data.passages, data.tokenizer, 256).measure(encoder, head)
    special = SpecialIds.of(data.tokenizer)
    for row in rows[:5]:
        (tokens,) = encode([row["text"]], data.tokenizer, 256, with_offsets=True)
        ids = torch.from_numpy(tokens.ids).long()
        offsets = tokens.offsets.tolist()
        inside = [[i for i, (a, b) in enumerate(offsets) if a < end and b > start] for start, end in row["words"]]
        masked = ids.clone()
        masked[[i for word in inside for i in word]] = special.mask
        with torch.no_grad():
            scores = head(encoder(masked[None])[0], encoder.embeddings.word.weight).log_softmax(-1) / math.log(2)
        expected = [-sum(scores[i, ids[i]].item() for i in word) for word in inside]
        known = [i for i, word in enumerate(inside) if special.unk not in ids[word].tolist()]
        assert known
        assert [row["bits"][i] for i in known] == pytest.approx([expected[i] for i in known], rel=1e-5)


def test_a_word_that_cannot_be_predicted_costs_eight_bits_a_byte(prepared):
    data = prepared[0]
    passage = " ".join(["日本"] * PASSAGE_WORDS)
    (row,) = MaskedWords([passage], data.tokenizer, 256).measure(*model(data))
    assert row["bits"] == [8 * 6] * 5
    assert bits_per_byte([row]) == 8
    (cut,) = MaskedWords([data.passages[0]], data.tokenizer, 6).measure(*model(data))
    assert 8 * len(data.passages[0][slice(*cut["words"][-1])]) == cut["bits"][-1]


def test_a_uniform_model_costs_what_its_vocabulary_says(prepared):
    data = prepared[1]  # no word of bytes is unknown
    encoder, head = model(data)
    for parameter in (*encoder.parameters(), *head.parameters()):
        parameter.data.zero_()
    rows = MaskedWords(data.passages, data.tokenizer, 256).measure(encoder, head)
    tokens = [t for row in rows for t in encode([row["text"]], data.tokenizer, 256, with_offsets=True)]
    counts = [
        sum(bool(a < end and b > start) for a, b in t.offsets.tolist())
        for row, t in zip(rows, tokens, strict=True)
        for start, end in row["words"]
    ]
    bits = [b for row in rows for b in row["bits"]]
    assert bits == pytest.approx([c * math.log2(vocabulary_size(data.tokenizer)) for c in counts], rel=1e-5)


def test_a_run_keeps_its_masked_words_and_training_is_the_same(command, tiny_run, tmp_path):
    for name, more in (("with", ()), ("without", ("measure_words=false",))):
        code, _, errors = command("pretrain", *tiny_run, f"name={name}", *more)
        assert code == 0, errors
    runs = tmp_path / "runs"
    states = [
        torch.load(runs / n / "checkpoints/last.ckpt", weights_only=True)["state_dict"] for n in ("with", "without")
    ]
    assert all(torch.equal(tensor, states[1][name]) for name, tensor in states[0].items())
    value = json.loads((runs / "with/summary.json").read_text())["metrics"]["val/words/bits_per_byte"]
    path = runs / "with/predictions/masked_words.jsonl"
    measurement = word_measurement(path, "bert", 1)
    assert measurement.value == pytest.approx(value, rel=1e-5)
    assert measurement.values.mean() == pytest.approx(value, rel=1e-5)
    assert not (runs / "without/predictions").exists()
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(UserError, match="is damaged"):
        word_measurement(path, "bert", 1)


def test_a_discriminator_is_not_measured(command, tiny_run, tmp_path):
    code, _, errors = command("pretrain", *tiny_run, "variant=electra", "tokenizer.vocab_size=400", "name=electra")
    assert code == 0, errors
    assert "val/words/bits_per_byte" not in json.loads((tmp_path / "runs/electra/summary.json").read_text())["metrics"]

"""Bits per byte of masked words: the words, the value beside a plain computation, and what a run keeps."""

import json
import math
import random
from collections import Counter
from dataclasses import replace

import pytest
import torch

from bert_lightning.compare.word_measurements import word_measurement
from bert_lightning.data.labelled.encoding import encode
from bert_lightning.data.store.passages import MOST_PASSAGES, PASSAGE_WORDS, PassageSample
from bert_lightning.data.store.preparation import StorePlan, prepare
from bert_lightning.data.store.splitting import SplitByDocument
from bert_lightning.data.store.word_frequency import WordCounts
from bert_lightning.errors import UserError
from bert_lightning.model.config import BertConfig
from bert_lightning.model.encoder import BERT
from bert_lightning.model.heads import MaskedLMHead
from bert_lightning.runs.word_sums import sum_words
from bert_lightning.tasks import unigram
from bert_lightning.tasks.masked_words import MaskedWords, masked_spans
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
    rows = MaskedWords(data, 256).measure(encoder, head)
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
    (row,) = MaskedWords(replace(data, passages=(passage,)), 256).measure(*model(data))
    assert row["bits"] == [8 * 6] * 5
    assert sum_words([row])[0].bits_per_byte() == 8
    (cut,) = MaskedWords(replace(data, passages=data.passages[:1]), 6).measure(*model(data))
    assert 8 * len(data.passages[0][slice(*cut["words"][-1])]) == cut["bits"][-1]


def test_a_uniform_model_costs_what_its_vocabulary_says(prepared):
    data = prepared[1]  # no word of bytes is unknown
    encoder, head = model(data)
    for parameter in (*encoder.parameters(), *head.parameters()):
        parameter.data.zero_()
    rows = MaskedWords(data, 256).measure(encoder, head)
    tokens = [t for row in rows for t in encode([row["text"]], data.tokenizer, 256, with_offsets=True)]
    counts = [
        sum(bool(a < end and b > start) for a, b in t.offsets.tolist())
        for row, t in zip(rows, tokens, strict=True)
        for start, end in row["words"]
    ]
    bits = [b for row in rows for b in row["bits"]]
    assert bits == pytest.approx([c * math.log2(vocabulary_size(data.tokenizer)) for c in counts], rel=1e-5)


def test_words_have_the_bands_that_a_plain_count_says(prepared, small_corpus):
    documents = [text.split() for text in small_corpus.read_text().split("\n\n")]
    training = [d for d in documents if SplitByDocument(0.3)([" ".join(d)])[0]]
    counts = Counter(word.lower().strip(".") for document in training for word in document)
    for row in MaskedWords(prepared[0], 256).measure(*model(prepared[0])):
        for (start, end), band in zip(row["words"], row["bands"], strict=True):
            per_million = 1e6 * counts[row["text"][start:end].lower().strip(".")] / counts.total()
            limits = {"unseen": (0, 0), "rare": (1e-9, 10), "middle": (10, 1000), "frequent": (1000, 1e6)}
            low, high = limits[band]
            assert low <= per_million < high or per_million == low == 0


def test_limits_of_the_bands():
    counts = WordCounts.of_parts([{"a": 1000, "b": 9}, {"b": 1, "c": 999, "d": 9, "e": 10**6 - 2018}], ["A, b. C d! x"])
    assert counts.total == 10**6
    bands = {"a": "frequent", "b": "middle", "c": "middle", "d": "rare", "x": "unseen"}
    assert {word: counts.band(word.upper() + ".") for word in "abcdx"} == bands


def test_masked_words_and_their_bands_are_the_same_for_every_tokenizer(prepared):
    found = [MaskedWords(data, 256).measure(*model(data)) for data in prepared]
    facts = [[(row["text"], row["words"], row["bands"]) for row in rows] for rows in found]
    assert facts[0] == facts[1] == facts[2]
    assert len({(sums.words, sums.size) for sums in (sum_words(rows)[0] for rows in found)}) == 1
    assert len({band for row in found[0] for band in row["bands"]}) > 1
    assert len({tuple(MaskedWords(data, 256).metric_names) for data in prepared}) == 1


@pytest.mark.parametrize("number", range(len(RECIPES)), ids=[type(recipe).__name__ for recipe in RECIPES])
def test_bits_of_the_unigram_model_equal_those_by_hand(prepared, number):
    data = prepared[number]
    counts, size = Counter(data.train.tokens.tolist()), vocabulary_size(data.tokenizer)
    unknown = SpecialIds.of(data.tokenizer).unk
    for row in MaskedWords(data, 256).measure(*model(data))[:5]:
        encoded = data.tokenizer.encode(row["text"])
        for (start, end), bits in zip(row["words"], row["unigram_bits"], strict=True):
            ids = [i for i, (a, b) in zip(encoded.ids, encoded.offsets, strict=True) if a < end and b > start]
            by_hand = -sum(math.log2((counts[i] + 1) / (counts.total() + size)) for i in ids)
            assert bits == pytest.approx(8 * (end - start) if unknown in ids else by_hand, rel=1e-9)


def test_a_large_store_is_counted_in_blocks(prepared, monkeypatch):
    data = prepared[0]
    size, whole = vocabulary_size(data.tokenizer), unigram.unigram_bits(data.train, vocabulary_size(data.tokenizer))
    monkeypatch.setattr(unigram, "_BLOCK", 100)
    assert (unigram.unigram_bits(data.train, size) == whole).all()
    monkeypatch.setattr(unigram, "_MOST_BLOCKS", 2)
    blocks = -(-len(data.train.tokens) // 100)
    second = 100 * -(-blocks // 2)
    counts = Counter([*data.train.tokens[:100].tolist(), *data.train.tokens[second : second + 100].tolist()])
    expected = [-math.log2((counts[i] + 1) / (counts.total() + size)) for i in range(size)]
    assert unigram.unigram_bits(data.train, size).tolist() == pytest.approx(expected, rel=1e-12)


def test_the_sums_of_two_shards_are_those_of_the_whole(prepared):
    data = prepared[1]
    rows = MaskedWords(data, 256).measure(*model(data))
    (whole, bands), shards = sum_words(rows), [sum_words(rows[i::2]) for i in range(2)]
    added = shards[0][0] + shards[1][0]
    assert (added.words, added.size) == (whole.words, whole.size)
    assert added.bits == pytest.approx(whole.bits, rel=1e-12)
    for band, sums in bands.items():
        words = [
            (bits, other, row["text"][slice(*span)])
            for row in rows
            for span, bits, other, own in zip(row["words"], row["bits"], row["unigram_bits"], row["bands"], strict=True)
            if own == band
        ]
        size = sum(len(text.encode()) for *_, text in words)
        assert sums.words == len(words)
        assert sums.bits_per_byte() == pytest.approx(sum(bits for bits, *_ in words) / size, rel=1e-12)
        assert sums.unigram_bits_per_byte() == pytest.approx(sum(other for _, other, _ in words) / size, rel=1e-12)
    assert sum(sums.words for sums in bands.values()) == whole.words
    assert whole.perplexity() == pytest.approx(2 ** (whole.bits / whole.words))


def test_a_store_without_counts_of_words_has_no_bands(prepared):
    old = replace(prepared[0], word_counts=None)
    rows = MaskedWords(old, 256).measure(*model(old))
    assert not any("bands" in row for row in rows)
    assert sum_words(rows)[1] == {}
    assert MaskedWords(old, 256).metric_names == ["val/words/bits_per_byte", "val/words/perplexity"]


def test_a_run_keeps_its_masked_words_and_training_is_the_same(command, tiny_run, tmp_path):
    for name, more in (("with", ()), ("without", ("measure_words=false",))):
        code, _, errors = command("pretrain", *tiny_run, f"name={name}", *more)
        assert code == 0, errors
    runs = tmp_path / "runs"
    states = [
        torch.load(runs / n / "checkpoints/last.ckpt", weights_only=True)["state_dict"] for n in ("with", "without")
    ]
    assert all(torch.equal(tensor, states[1][name]) for name, tensor in states[0].items())
    metrics = json.loads((runs / "with/summary.json").read_text())["metrics"]
    value, path = metrics["val/words/bits_per_byte"], runs / "with/predictions/masked_words.jsonl"
    whole, bands = sum_words(json.loads(line) for line in path.read_text().splitlines())
    expected = {f"bits_per_byte/{band}": sums.bits_per_byte() for band, sums in bands.items()}
    expected |= {"unigram_bits_per_byte": whole.unigram_bits_per_byte(), "perplexity": whole.perplexity()}
    assert {name: metrics[f"val/words/{name}"] for name in expected} == pytest.approx(expected, rel=1e-5)
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

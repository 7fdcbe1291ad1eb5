"""A loaded checkpoint: what each method returns, the order of its results, and what it refuses in one line."""

import re
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from bert_lightning import UserError
from bert_lightning.data.labelled.minimal_pairs import BAD, GOOD, MinimalPairs
from bert_lightning.data.labelled.task_types import Example
from bert_lightning.inference.loaded_model import LoadedModel, load
from bert_lightning.model import BERT, BertConfig
from bert_lightning.model.heads import MaskedLMHead, SequenceClassificationHead, SpanHead, TokenClassificationHead
from bert_lightning.runs.pretrained import PretrainedWeights
from bert_lightning.tasks.length_batches import length_batches
from bert_lightning.tasks.pseudo_likelihood import PairScorer
from bert_lightning.text.tokenizers.recipes import load_tokenizer

CONFIG = BertConfig(
    vocab_size=30522, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
    max_position_embeddings=32, initializer_range=0.5,
)  # fmt: skip
# Of different lengths, and not in their order.
TEXTS = [
    "The cat sleeps.",
    "No.",
    "A very long and unforgettable story about the garden of my uncle.",
    "It rains again.",
]
CONTEXT = "My uncle grows tomatoes in the garden. " * 4  # longer than a sequence


@pytest.fixture(scope="module")
def tokenizer(test_data):
    return load_tokenizer(test_data / "vocab" / "bert-base-uncased")


def weights(tokenizer, term, head, metadata):
    torch.manual_seed(0)
    tensors = {f"encoder.{name}": value for name, value in BERT(CONFIG).state_dict().items()}
    tensors |= {f"objective.terms.{term}.head.{name}": value for name, value in head.state_dict().items()}
    return PretrainedWeights("x.ckpt", CONFIG, tokenizer, tensors, {"max_length": 24, **metadata})


def task_model(tokenizer, task_type, objective, head, labels=(), **parts):
    settings = {"overlap": 2, "max_question_tokens": 8} if task_type == "questions" else {}
    kept = {
        "type": {"_target_": task_type, **settings},
        "objective": {"_target_": objective, "_partial_": True, **parts},
        "term": "t", "max_length": 24, "labels": list(labels),
    }  # fmt: skip
    return LoadedModel(weights(tokenizer, "t", head, {"task": kept}), "cpu")


@pytest.fixture(scope="module")
def source(tokenizer):
    return weights(tokenizer, "mlm", MaskedLMHead(CONFIG), {"heads": {"mlm": "masked_lm"}})


@pytest.fixture(scope="module")
def model(source):
    return LoadedModel(source, "cpu")


@pytest.fixture(scope="module")
def films(tokenizer):
    head = SequenceClassificationHead(CONFIG, 2)
    return task_model(tokenizer, "text_classification", "classification", head, ["bad", "good"])


@pytest.fixture(scope="module")
def names(tokenizer):
    labels = ["O", "B-PER", "I-PER"]
    return task_model(tokenizer, "tagged_words", "token_classification", TokenClassificationHead(CONFIG, 3), labels)


@pytest.fixture(scope="module")
def questions(tokenizer):
    return task_model(tokenizer, "questions", "span_extraction", SpanHead(CONFIG))


def plain_states(model, text):
    """The states of all layers of one text, alone in its batch, [L + 1, S, H]."""
    ids = torch.tensor([model.tokenizer.encode(text).ids])
    with torch.inference_mode():
        return torch.cat([*model.model.layer_states(ids)]).numpy()


@pytest.mark.parametrize(
    ("settings", "of_text"),
    [
        ({}, lambda states: states[-1].mean(0)),
        ({"layer": 1}, lambda states: states[1].mean(0)),
        ({"layer": -3}, lambda states: states[0].mean(0)),
        ({"pooling": "cls"}, lambda states: states[-1][0]),
        ({"pooling": "max"}, lambda states: states[-1].max(0)),
        ({"normalize": True}, lambda states: states[-1].mean(0) / np.linalg.norm(states[-1].mean(0))),
    ],
)
def test_embeddings_are_those_of_each_text_alone(settings, of_text, model):
    found = model.embed(TEXTS, batch_size=3, **settings)
    assert (found.dtype, found.shape) == (np.float32, (4, 16))
    np.testing.assert_allclose(found, [of_text(plain_states(model, text)) for text in TEXTS], atol=1e-5)
    np.testing.assert_allclose(model.embed(TEXTS[0], **settings), found[0], atol=1e-5)


def test_similarity_is_the_cosine_of_every_pair(model):
    scaled = model.embed(TEXTS, normalize=True)
    matrix = model.similarity(TEXTS, TEXTS[:3])
    np.testing.assert_allclose(matrix, scaled @ scaled[:3].T, atol=1e-6)
    np.testing.assert_allclose(model.similarity(TEXTS[1], model.embed(TEXTS)), scaled[1] @ scaled.T, atol=1e-6)
    assert model.similarity(TEXTS[0], TEXTS[1]) == pytest.approx(matrix[0, 1], abs=1e-6)
    assert isinstance(model.similarity(TEXTS[0], TEXTS[1]), float)


@pytest.mark.parametrize("mask_rest_of_word", [True, False])
def test_scores_are_those_of_minimal_pairs(mask_rest_of_word, source, model):
    pairs = [Example("", "", {GOOD: a, BAD: b}) for a, b in zip(TEXTS, TEXTS[::-1], strict=True)]
    scorer = PairScorer(source, MinimalPairs(mask_rest_of_word=mask_rest_of_word), 24)
    expected = [prediction["scores"][GOOD] for _, prediction in scorer(pairs, 32)]
    found = model.score(TEXTS, mask_rest_of_word)
    assert np.float32(found).tolist() == expected
    assert isinstance(model.score(TEXTS[0]), float)


def test_the_likeliest_words_of_each_mask(model):
    texts = ["[MASK] cat [MASK].", "A much longer text about the [MASK] of my uncle."]
    one, other = model.fill_mask(texts, top_k=3)
    assert (one["text"], other["text"]) == tuple(texts)
    assert [[len(words) for words in each["masks"]] for each in (one, other)] == [[3, 3], [3]]
    ids = torch.tensor([model.tokenizer.encode(texts[1]).ids])
    head = model.mask_filler.head
    with torch.inference_mode():
        logits = head(model.model(ids)[ids == model.mask_filler.mask_id], model.model.embeddings.word.weight)
    best = logits.softmax(-1).max().item()
    assert other["masks"][0][0]["probability"] == pytest.approx(best, rel=1e-4)
    assert model.fill_mask(texts[1], top_k=3)["masks"][0][0]["word"] == other["masks"][0][0]["word"]


def test_classes_come_in_the_order_of_the_texts(films):
    found = films.classify(TEXTS, batch_size=2)
    alone = [films.classify(text) for text in TEXTS]
    assert [each["answer"] for each in found] == [each["answer"] for each in alone]
    for one, other in zip(found, alone, strict=True):
        assert one["probabilities"] == pytest.approx(other["probabilities"], abs=1e-5)
    assert films.predict({"text": TEXTS[0]}) == films.predict(TEXTS[0]) == alone[0]


def test_a_task_without_a_method_of_its_own_is_predicted(tokenizer):
    parts = {"pooling": {"_target_": "mean", "_partial_": True}, "criterion": {"_target_": "cosine_error"}}
    pairs = task_model(tokenizer, "text_pair_similarity", "similarity", torch.nn.Identity(), **parts)
    expected = pytest.approx(pairs.similarity(*TEXTS[:2]), abs=1e-5)
    assert pairs.predict((TEXTS[0], TEXTS[1]))["answer"] == expected
    assert pairs.predict([f"{TEXTS[0]} ||| {TEXTS[1]}"])[0]["answer"] == expected
    with pytest.raises(UserError, match="was fine-tuned for text_pair_similarity: use predict, embed, similarity"):
        pairs.classify((TEXTS[0], TEXTS[1]))
    with pytest.raises(UserError, match=r"^texts\[0\]: 'alone' has 1 parts: write TEXT \|\|\| TEXT_PAIR"):
        pairs.predict(["alone"])


def test_entities_are_pieces_of_their_text(names):
    text = "Anna meets  Bob in Paris."
    found, *_ = names.entities([text, ["Anna", "sleeps"]])
    assert found == names.entities(text)
    assert found
    assert all(text[each["start"] : each["end"]] == each["text"] for each in found)


def test_answers_are_spans_of_their_context(questions):
    found = questions.answer("Who grows tomatoes?", CONTEXT)
    assert CONTEXT[found["start"] : found["end"]] == found["answer"] != ""
    both = questions.answer(["Who grows tomatoes?", "Where?"], CONTEXT)
    assert both[0]["answer"] == found["answer"]
    assert len(questions.answer("Who?", [CONTEXT, "My aunt."])) == 2


def test_an_empty_list_has_no_results(model, films, names, questions):
    assert model.embed([]).shape == (0, 16)
    assert model.score([]).shape == (0,)
    assert model.similarity([], TEXTS).shape == (0, 4)
    assert model.fill_mask([]) == films.classify([]) == names.entities([]) == questions.answer([], []) == []


@pytest.mark.parametrize("texts", [np.array(TEXTS), (text for text in TEXTS), dict.fromkeys(TEXTS).keys()])
def test_any_iterable_is_a_list_of_texts(texts, model):
    np.testing.assert_array_equal(model.embed(texts), model.embed(TEXTS))


def test_a_long_text_is_cut_with_a_warning(model, films):
    long = "garden " * 40
    for method in (model.embed, model.score, films.classify):
        with pytest.warns(UserWarning, match="1 of 2 texts are longer than 24 tokens and cut to them"):
            method([long, "No."])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        np.testing.assert_allclose(model.embed(long), model.embed("garden " * 22), atol=1e-5)


def test_bfloat16_is_near_float32(source, model):
    rounded = LoadedModel(source, "cpu", "bf16-mixed")
    for one, other in ((rounded.embed(TEXTS), model.embed(TEXTS)), (rounded.score(TEXTS), model.score(TEXTS))):
        np.testing.assert_allclose(one, other, rtol=0.05, atol=0.2)
        assert (one != other).any()
        assert one.dtype == other.dtype
    with pytest.raises(UserError, match=r"^precision='half' must be one of 32-true, bf16-mixed$"):
        LoadedModel(source, "cpu", "half")


def test_threads_share_a_model(model):
    lengths = [4, 24] * 20
    with warnings.catch_warnings(), ThreadPoolExecutor(4) as pool:
        warnings.simplefilter("ignore")
        found = list(pool.map(lambda length: model.embed("garden " * 40, max_length=length), lengths))
        expected = {length: model.embed("garden " * 40, max_length=length) for length in (4, 24)}
    np.testing.assert_allclose(found, [expected[length] for length in lengths], atol=1e-5)


def test_moving_to_a_device_keeps_the_results(model, films):
    before = films.classify(TEXTS)
    assert films.to("cpu") is films
    assert films.classify(TEXTS) == before
    assert model.device == torch.device("cpu")


REFUSED = [
    (lambda m: m.embed(["a", ""]), "texts[1] is empty: give a text, or leave it out"),
    (lambda m: m.embed(" \n"), "texts is empty: give a text, or leave it out"),
    (lambda m: m.embed(["a", 3.5]), "texts[1] is 3.5, of type float: give a text"),
    (lambda m: m.score(None), "texts is None, of type NoneType: give a text or a list of texts"),
    (lambda m: m.embed(b"a"), "texts is b'a', of type bytes: give a text or a list of texts"),
    (
        lambda m: m.embed("caf\udce9"),
        "'caf\\udce9' is not UTF-8: convert it, for example with iconv -f latin1 -t utf-8",
    ),
    (lambda m: m.score(["a", "\x01"]), "texts[1] has no tokens: give a text with words"),
    (lambda m: m.embed("a", pooling="median"), "pooling='median' must be one of mean, cls, max"),
    (lambda m: m.embed("a", layer=3), "layer=3 must be from 0 (the embeddings) to 2, or from -1 (the last) to -3"),
    (lambda m: m.embed("a", batch_size=0), "batch_size=0 must be a whole number, 1 or more"),
    (lambda m: m.embed("a", max_length=33), "max_length=33 must be from 3 to the encoder's positions, 32"),
    (lambda m: m.fill_mask("a [MASK]", top_k=0), "top_k=0 must be from 1 to the vocabulary size, 30522"),
    (lambda m: m.fill_mask("a"), "'a' has no [MASK] to fill in: write [MASK] where a word is missing"),
    (lambda m: m.fill_mask(["a [MASK]", ""]), "texts[1] is empty: give a text, or leave it out"),
    (
        lambda m: m.classify("a"),
        "x.ckpt has no classify, since it was pretrained with the heads masked_lm: use fill_mask, score, "
        "token_predictions, embed, similarity, attention, or load a checkpoint that was fine-tuned for such a task",
    ),
]


@pytest.mark.parametrize(("call", "message"), REFUSED)
def test_what_has_no_answer_gets_one_line(call, message, model):
    with pytest.raises(UserError, match=f"^{re.escape(message)}$"):
        call(model)


def test_a_method_names_those_that_the_checkpoint_serves(films, names, questions):
    with pytest.raises(UserError, match="was fine-tuned for text_classification: use classify, predict, embed, simil"):
        films.fill_mask("a [MASK]")
    with pytest.raises(UserError, match="was fine-tuned for tagged_words: use entities, predict, embed, similarity"):
        names.classify("a")
    with pytest.raises(UserError, match="was fine-tuned for questions: use answer, predict, embed, similarity"):
        questions.entities("a")
    with pytest.raises(UserError, match="there are 2 questions and 3 contexts: give one context for each question"):
        questions.answer(["a", "b"], ["a", "b", "c"])
    with pytest.raises(UserError, match=re.escape("texts[1] has 2 parts: give (text)")):
        films.classify(["a", ("a", "b")])


def test_a_place_or_a_device_that_is_not_there(source):
    with pytest.raises(UserError, match="there is no encoder at nowhere"):
        load("nowhere")
    with pytest.raises(UserError, match="3 is no place: give the path of a run's folder, as a text"):
        load(3)
    with pytest.raises(UserError, match=r"^device='gpu' cannot be used \(.*\): give 'cpu', or a GPU such as 'cuda:0'$"):
        LoadedModel(source, "gpu")


@pytest.mark.parametrize(("device", "batches"), [("cpu", [[4], [0], [1, 2], [3]]), ("meta", [[4, 0], [1, 2], [3]])])
def test_a_batch_on_a_cpu_has_a_limit_of_tokens(device, batches):
    assert [*length_batches([3000, 1500, 1500, 1000, 5000], 2, torch.device(device), False)] == batches


@pytest.mark.parametrize("objective", ["contrastive", "similarity"])
def test_a_checkpoint_that_was_trained_for_embeddings_has_its_pooling_and_scaling(objective, tokenizer):
    pooling = {"contrastive": "max", "similarity": {"_target_": "max", "_partial_": True}}[objective]
    types = {"contrastive": "contrastive_pairs", "similarity": "text_pair_similarity"}
    trained = task_model(tokenizer, types[objective], objective, torch.nn.Identity(), pooling=pooling)
    np.testing.assert_array_equal(trained.embed(TEXTS), trained.embed(TEXTS, pooling="max", normalize=True))
    assert not np.allclose(trained.embed(TEXTS), trained.embed(TEXTS, pooling="mean", normalize=False))

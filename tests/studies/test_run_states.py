"""The states of a study's runs, from folders that the tests make by hand."""

import json
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from bert_lightning.config.building import build
from bert_lightning.config.composition import NotComposable
from bert_lightning.config.finalize import finalize, trainer_limits
from bert_lightning.errors import UserError
from bert_lightning.runs.run_folder import RunFolder
from bert_lightning.studies import records
from bert_lightning.studies.planned_runs import planned_runs
from bert_lightning.studies.run_configs import RunConfigs
from bert_lightning.studies.run_states import CHANGED, DONE, FAILED, INTERRUPTED, WAITING, hours_left, run_states
from bert_lightning.studies.status_table import left_text, status_data, status_text
from bert_lightning.studies.study_file import read_study

from .conftest import holding

SUMMARY = {
    "verb": "pretrain", "steps": 4, "wall_seconds": 60.0, "metrics": {}, "best": None,
    "budget": {"unit": "steps", "total": 4, "spent": 4, "share": 1.0},
}  # fmt: skip


EXPERIMENTS = Path(__file__).parents[2] / "experiments"
COMPOSED = {}  # compositions, which the studies of all tests share to save time


class ByHand:
    """A study whose runs are made by hand: folders as the verbs leave them, without any training."""

    def __init__(self, folder):
        self.study = read_study(folder)
        self.runs = planned_runs(self.study)
        self.configs = RunConfigs(self.study)
        self.configs._templates = COMPOSED
        self.named = {run.name: run for run in self.runs}
        for run in self.runs:
            records.claim_of(run).path.mkdir(parents=True, exist_ok=True)  # a process that works on a run makes it

    def begin(self, name, **changes):
        run = self.named[name]
        records.write_start(run)
        config = self.configs.new(run)
        derived = {"trainer.max_steps": 4, "trainer.val_check_interval": 100, "trainer.devices": 1}
        if run.verb == "pretrain":
            derived |= {"model.vocab_size": 8192} | trainer_limits(config.trainer, build(config.budget))
        run.folder.mkdir(parents=True, exist_ok=True)
        (run.folder / "config.yaml").write_text(OmegaConf.to_yaml(finalize(config, derived | changes)))

    def end(self, name, seconds=60.0):
        if name not in self.begun():
            self.begin(name)
        (self.named[name].folder / "summary.json").write_text(json.dumps({**SUMMARY, "wall_seconds": seconds}))

    def begun(self):
        return {name for name, run in self.named.items() if (run.folder / "config.yaml").exists()}

    def states(self):
        return run_states(self.runs, self.configs)

    def state(self, name):
        found = next(state for state in self.states() if state.run.name == name)
        return found.state, found.note


@pytest.fixture
def by_hand(written, hydra_configs):
    return ByHand(written())


PRETRAINED, TUNED = "bert/seed-1/pretrain", "bert/seed-1/finetune/sentiment/seed-5"


def test_a_run_waits_begins_and_ends(by_hand):
    assert by_hand.state(PRETRAINED) == (WAITING, "")
    by_hand.begin(PRETRAINED)
    assert by_hand.state(PRETRAINED) == (INTERRUPTED, "")
    by_hand.end(PRETRAINED)
    assert by_hand.state(PRETRAINED) == (DONE, "")
    by_hand.end(TUNED)
    assert by_hand.state(TUNED) == (DONE, "")


def test_an_evaluation_is_done_when_it_has_a_result(by_hand):
    by_hand.end(PRETRAINED)
    by_hand.end(TUNED)
    run = by_hand.named["bert/seed-1/evaluate/test/seed-5"]
    records.write_start(run)
    plain = OmegaConf.to_container(by_hand.configs.new(run), resolve=True)
    records.write_evaluation(run, plain, {"metrics": {"accuracy": 1.0}})
    assert by_hand.state(run.name) == (DONE, "")
    records.write_evaluation(run, {**plain, "split": "train"}, {"metrics": {"accuracy": 1.0}})
    assert by_hand.state(run.name) == (CHANGED, "split is train there and test now")
    records.result_file(run).write_text("{")
    assert by_hand.state(run.name)[0] == FAILED


def test_an_error_is_kept_until_the_next_attempt(by_hand):
    run = by_hand.named[PRETRAINED]
    records.write_failure(run, UserError("no file matches nowhere.csv"))
    assert by_hand.state(PRETRAINED) == (FAILED, "no file matches nowhere.csv")
    records.write_failure(run, ZeroDivisionError("a bug"))
    assert by_hand.state(PRETRAINED)[1].startswith("ZeroDivisionError: a bug; the traceback is in ")
    records.write_start(run)
    assert by_hand.state(PRETRAINED) == (WAITING, "")


def test_a_damaged_summary_is_a_failure(by_hand):
    by_hand.begin(PRETRAINED)
    (by_hand.named[PRETRAINED].folder / "summary.json").write_text("{}")
    state, note = by_hand.state(PRETRAINED)
    assert (state, "is damaged" in note) == (FAILED, True)


@pytest.mark.parametrize("place", ["the run", "the claim"])
def test_a_run_that_another_process_works_on_runs(by_hand, place):
    run = by_hand.named[PRETRAINED]
    with holding((RunFolder(run.folder) if place == "the run" else records.claim_of(run)).path):
        assert by_hand.state(PRETRAINED)[0] == "running"
    assert by_hand.state(PRETRAINED)[0] != "running"


def test_a_changed_setting_is_named_with_both_values(by_hand, written):
    by_hand.end(PRETRAINED)
    by_hand.end(TUNED)
    anew = ByHand(written(("[variant=bert]", "[variant=bert, optimizer.lr=3e-3, batch_size=32]")))
    state, note = anew.state(PRETRAINED)
    assert state == CHANGED
    assert "optimizer.lr is 0.0005 there and 0.003 now" in note
    assert anew.state(TUNED) == (CHANGED, f"{PRETRAINED}, which it comes from, is changed")
    assert anew.state("distilbert/seed-1/pretrain")[0] == WAITING
    assert "A changed run is left alone" in status_text(anew.study, anew.states())


def test_a_changed_budget_or_common_setting_is_seen(by_hand, written):
    by_hand.end(PRETRAINED)
    assert "trainer.max_steps is 4 there and 5 now" in ByHand(written(("steps: 4", "steps: 5"))).state(PRETRAINED)[1]
    small = ByHand(written(("model=tiny", "model=mini"))).state(PRETRAINED)[1]
    assert "model.hidden_size is 128 there and 256 now" in small


def test_how_a_run_is_executed_may_change(by_hand, written):
    by_hand.end(PRETRAINED)
    assert ByHand(written(("[variant=bert]", "[variant=bert, num_workers=1]"))).state(PRETRAINED) == (DONE, "")


def test_a_run_whose_pretraining_was_made_anew_is_changed(by_hand):
    by_hand.end(PRETRAINED)
    by_hand.end(TUNED)
    by_hand.end(PRETRAINED, seconds=61.0)
    assert by_hand.state(TUNED) == (CHANGED, f"{PRETRAINED}, which it comes from, was made anew or deleted")
    (by_hand.named[PRETRAINED].folder / "summary.json").unlink()
    assert by_hand.state(TUNED)[0] == CHANGED


def test_a_study_may_be_moved(by_hand, written, tmp_path):
    by_hand.end(PRETRAINED)
    by_hand.end(TUNED)
    written().rename(tmp_path / "moved")
    moved = ByHand(tmp_path / "moved")
    assert moved.state(PRETRAINED) == moved.state(TUNED) == (DONE, "")


def test_the_time_left_comes_from_runs_of_the_same_kind(by_hand):
    assert "unknown time" in left_text(by_hand.states())
    for seed in (1, 2):
        by_hand.end(f"bert/seed-{seed}/pretrain", seconds=3600.0 * seed)
    hours, unknown = hours_left(by_hand.states())
    assert (hours, unknown) == (2 * 1.5, len(by_hand.runs) - 4)
    assert f"about 3.0 hours for one job at a time, and {unknown} runs of unknown time" in left_text(by_hand.states())
    by_hand.end("distilbert/seed-1/pretrain", seconds=60.0)
    assert hours_left(by_hand.states())[0] == pytest.approx(1 / 60)


def test_the_table_and_the_data_say_the_same(by_hand):
    by_hand.end(PRETRAINED)
    text, data = status_text(by_hand.study, by_hand.states()), status_data(by_hand.study, by_hand.states())
    lines = {tuple(line.split()[:2]): line for line in text.splitlines() if line}
    assert "done" in lines["bert", "1"]
    assert "done" not in lines["bert", "2"]
    assert data["counts"] == {"done": 1, "waiting": len(by_hand.runs) - 1}
    assert [run["folder"] for run in data["runs"] if run["state"] == "done"] == [str(by_hand.named[PRETRAINED].folder)]
    json.dumps(data)


def checked(folder):
    study = read_study(folder)
    RunConfigs(study).check(planned_runs(study))


def test_keys_that_must_be_equal_are_checked(written, hydra_configs):
    text = "title: Which?\nbudget: {steps: 4}\narms: {a: [], b: [data.validation_fraction=0.2]}\n"
    with pytest.raises(
        UserError, match=r"data.validation_fraction must be equal in all arms, but is 0.05 in a and 0.2"
    ):
        checked(written(text=text))
    checked(written(text=f"equal: [budget]\n{text}"))
    with pytest.raises(UserError, match="equal has 'bugdet', which is no key of pretrain"):
        checked(written(text=f"equal: [bugdet]\n{text}"))


def test_a_mistake_in_an_override_names_the_arm(written, hydra_configs):
    with pytest.raises(NotComposable, match=r"study.yaml: arms.bert$"):
        checked(written(("[variant=bert]", "[variant=brt]")))
    with pytest.raises(UserError, match=r"study.yaml: arms.bert: batch_size=-1 must be"):
        checked(written(("[variant=bert]", "[variant=bert, batch_size=-1]")))
    with pytest.raises(UserError, match=r"study.yaml: finetuning.tasks.sentiment in arm frozen: batch_size=0 must be"):
        checked(written(("batch_size=4", "batch_size=0")))


def test_two_arms_that_are_the_same_give_a_note(written, hydra_configs, capsys):
    text = "title: Which?\narms: {a: [variant=roberta], b: [variant=bert]}\n"
    checked(written(text=text))
    assert capsys.readouterr().err == ""
    checked(written(("b: [variant=bert]", "b: [variant=roberta]"), text=text))
    assert "arms a and b are the same, so all that differs is chance" in capsys.readouterr().err


@pytest.mark.parametrize("file", sorted(EXPERIMENTS.glob("*/study.yaml")), ids=lambda file: file.parent.name)
def test_the_committed_studies_are_without_mistake(file, hydra_configs):
    checked(file.parent)


def test_a_key_that_gets_its_value_from_another_arm_can_be_deleted(written, hydra_configs):
    text = (
        "title: Which?\nbudget: {steps: 4}\narms:\n  bert: []\n  student:\n    teacher: bert\n"
        "    overrides: [variant=distilbert, model.num_hidden_layers=1, tokenizer=wordpiece, ~tokenizer.path]\n"
    )
    checked(written(text=text))

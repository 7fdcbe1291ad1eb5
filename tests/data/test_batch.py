"""`data/batch.py` declares exactly the keys that batches have, from the data loader to the loss."""

from types import SimpleNamespace

import hydra
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from bert_lightning.cli import conf_folder
from bert_lightning.config.building import resolved
from bert_lightning.config.composition import composed
from bert_lightning.config.hydra_registry import register
from bert_lightning.data.batch import LabelledBatch, PretrainingBatch
from bert_lightning.verbs import finetune, pretrain
from tests.test_tasks import TASKS, files  # noqa: F401, `files` is a fixture

CONF = conf_folder()
OBJECTIVES = sorted(path.stem for path in (CONF / "objective").glob("*.yaml"))
EXAMPLES = {"mlm_sop": "sentence_order", "mlm": "packed"}  # of an objective that does not read the default's labels

EXTRA = {"text_ids"}  # what the type of a task adds (`extra_inputs`) is between it and its objective


def keys_before_and_after(parts, monkeypatch):
    """The keys of the first batch of two that share an update: as the loader makes it, and as the encoder reads it."""
    batches, module, seen = parts.data, parts.module, []
    batches.trainer = SimpleNamespace(
        accumulate_grad_batches=2, global_rank=0, world_size=1, lightning_module=module, training=True
    )
    batches._mean_over_ranks = lambda means: means

    def recorded(encode):
        def record(encoder, batch):
            seen.append(set(batch))
            return encode(encoder, batch)

        return record

    batch = next(iter(batches.train_dataloader()))
    with monkeypatch.context() as patch:
        for objective in module.objective.objectives().values():
            patch.setattr(objective, "encode", recorded(objective.encode))
        module(batch)
    return set(batch) - EXTRA, seen[0] - EXTRA


def check(contract, found):
    """`found`: name -> keys before and after."""
    declared = contract.__required_keys__ | contract.__optional_keys__
    for name, (made, read) in found.items():
        assert contract.__required_keys__ <= made <= read <= declared, name
    assert set.union(*(read for _, read in found.values())) == declared


def pretraining_keys(tiny_run, monkeypatch):
    for objective in OBJECTIVES:
        examples = f"examples={EXAMPLES.get(objective, 'segment_pairs')}"
        teacher = ["teacher=runs/first"] * (objective == "distillation")
        config = composed("pretrain", [*tiny_run, f"objective={objective}", examples, *teacher, "name=x"])
        config.model.vocab_size = OmegaConf.load("runs/first/config.yaml").model.vocab_size
        config.trainer.devices = 1
        yield objective, keys_before_and_after(pretrain.build_parts(resolved(config)), monkeypatch)


def labelled_keys(monkeypatch):
    types = set()
    for task, (file, *overrides) in TASKS.items():
        given = [f"task={task}", f"task.path={file}", *overrides, "encoder=runs/first", "debug=smoke", "batch_size=4"]
        config = composed("finetune", [*given, "name=x"])
        config.trainer.devices = 1
        parts = finetune.build_parts(resolved(config))
        types.add(type(parts.data.train.task_type))
        yield task, keys_before_and_after(parts, monkeypatch)
    options = [OmegaConf.load(path) for path in CONF.glob("task/*.yaml")]
    trained = [option for option in options if option.get("objective", "inherited") is not None]
    targets = {option.get("type", {}).get("_target_") for option in trained} - {None}
    assert types >= {hydra.utils.get_class(target) for target in targets}


def test_every_key_is_declared_and_every_declared_key_occurs(command, tiny_run, files, monkeypatch):  # noqa: F811
    code, _, errors = command("pretrain", *tiny_run, "name=first")
    assert code == 0, errors
    register()
    GlobalHydra.instance().clear()
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        check(PretrainingBatch, dict(pretraining_keys(tiny_run, monkeypatch)))
        check(LabelledBatch, dict(labelled_keys(monkeypatch)))

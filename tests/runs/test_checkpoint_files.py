"""Checkpoints that are damaged, belong to another model, or cannot be written."""

import errno
import json
import shutil

import pytest
import torch

from bert_lightning.model.config import BertConfig
from bert_lightning.model.encoder import BERT
from bert_lightning.runs.checkpoint_files import AtomicCheckpointIO, latest_intact_checkpoint
from bert_lightning.runs.checkpoint_reading import find_damage
from tests.runs.compare import differences

KEEP = ("callbacks.checkpoints.every_steps=1", "callbacks.checkpoints.keep_last=9", "model.dropout_rate=0.1")


@pytest.fixture
def run(command, tiny_run, tmp_path):
    """A finished run with its four checkpoints."""
    code, _, errors = command("pretrain", *tiny_run, "name=whole", *KEEP)
    assert code == 0, errors
    return tmp_path / "runs" / "whole"


def hurt(path, how):
    data = bytearray(path.read_bytes())
    if how == "truncated":
        del data[len(data) // 2 :]
    elif how == "empty":
        data.clear()
    else:
        for place in (len(data) // 3, len(data) // 2):  # one of them may be between two tensors, where nothing is read
            data[place] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("how", ["truncated", "empty", "bit-flipped"])
def test_a_damaged_newest_is_named_and_the_one_before_used(how, run, command):
    copy = run.with_name("copy")
    shutil.copytree(run, copy, symlinks=True)
    (copy / "summary.json").unlink()
    hurt(copy / "checkpoints" / "step-4.ckpt", how)
    code, _, errors = command("resume", str(copy))
    assert code == 0, errors
    assert errors.count("step-4.ckpt is damaged") == 1
    assert differences(run, copy) == []


def test_any_flipped_bit_of_the_tensors_is_found(tmp_path):
    path = tmp_path / "step-1.ckpt"
    weights = torch.arange(1000.0)
    config = BertConfig(vocab_size=9, hidden_size=4, num_hidden_layers=1, num_attention_heads=1, intermediate_size=4)
    state = {f"encoder.{name}": tensor for name, tensor in BERT(config).state_dict().items()} | {"w": weights}
    metadata = {"config": config.to_dict(), "tokenizer_fingerprint": "0"}
    rest = {"loops": {}, "callbacks": {}, "optimizer_states": [], "global_step": 1}
    AtomicCheckpointIO().save_checkpoint({"state_dict": state, "bert_lightning": metadata, **rest}, path)
    assert find_damage(path) is None
    data = path.read_bytes()
    first = data.index(weights.numpy().tobytes())
    for place in range(first, first + 4000, 397):
        path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        assert not torch.equal(torch.load(path, weights_only=True)["state_dict"]["w"], weights)  # torch does not notice
        assert find_damage(path) is not None


def test_all_damaged_is_an_error_and_leaves_all_as_it_is(run, command):
    (run / "summary.json").unlink()
    for path in run.glob("checkpoints/step-*.ckpt"):
        hurt(path, "truncated")
    code, _, errors = command("resume", str(run))
    assert code == 2
    assert "every checkpoint in " in errors.splitlines()[-1]
    assert not (run / "summary.json").exists()


def test_no_checkpoint_yet_means_from_the_start(run, command):
    copy = run.with_name("copy")
    shutil.copytree(run, copy, symlinks=True)
    for path in [copy / "summary.json", *copy.glob("checkpoints/*")]:
        path.unlink()
    assert latest_intact_checkpoint(copy / "checkpoints") is None
    assert command("resume", str(copy))[0] == 0
    assert differences(run, copy) == []


def test_one_of_another_model_is_refused_with_the_difference(run, command, tiny_run):
    assert command("pretrain", *tiny_run, "name=other", *KEEP, "model.num_hidden_layers=1")[0] == 0
    (run / "summary.json").unlink()
    shutil.copy(run.with_name("other") / "checkpoints" / "step-4.ckpt", run / "checkpoints" / "step-4.ckpt")
    code, _, errors = command("resume", str(run))
    assert code == 2
    assert "step-4.ckpt holds another model: num_hidden_layers is 1 in it and 2 in this run" in errors


def test_one_of_another_tokenizer_is_refused(run, command, tiny_run):
    assert command("pretrain", *tiny_run, "name=other", *KEEP, "tokenizer.vocab_size=100")[0] == 0
    (run / "summary.json").unlink()
    shutil.copy(run.with_name("other") / "checkpoints" / "step-4.ckpt", run / "checkpoints" / "step-4.ckpt")
    code, _, errors = command("resume", str(run))
    assert code == 2
    assert "made with another tokenizer" in errors


def test_one_that_wants_to_run_code_is_refused(run, command, tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "owned"), "w"))

    (run / "summary.json").unlink()
    torch.save({"loops": {}, "bert_lightning": Evil()}, run / "checkpoints" / "step-4.ckpt")
    code, _, errors = command("resume", str(run))
    assert code == 0, errors
    assert "step-4.ckpt is damaged" in errors
    assert not (tmp_path / "owned").exists()


def test_kept_are_the_last_and_every_so_many(command, tiny_run, tmp_path):
    more = ("callbacks.checkpoints.every_steps=1", "callbacks.checkpoints.keep_last=2", "trainer.max_steps=6")
    assert command("pretrain", *tiny_run, "name=a", *more, "callbacks.checkpoints.keep_every=3")[0] == 0
    folder = tmp_path / "runs" / "a" / "checkpoints"
    assert {p.name for p in folder.iterdir()} == {"best.ckpt", "last.ckpt", *(f"step-{n}.ckpt" for n in (3, 5, 6))}
    assert (folder / "last.ckpt").resolve().name == "step-6.ckpt"


def test_saved_by_minutes(command, tiny_run, tmp_path):
    more = ("callbacks.checkpoints.every_minutes=0.00001", "callbacks.checkpoints.keep_last=9")
    assert command("pretrain", *tiny_run, "name=a", *more)[0] == 0
    assert len(list(tmp_path.glob("runs/a/checkpoints/step-*.ckpt"))) == 4


def test_a_full_disk_costs_a_checkpoint_and_no_training(command, tiny_run, tmp_path, monkeypatch):
    save = torch.save

    def full_at_three(checkpoint, file, *rest, **more):
        if "step-3" in str(getattr(file, "name", "")):
            file.write(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")
        return save(checkpoint, file, *rest, **more)

    monkeypatch.setattr(torch, "save", full_at_three)
    code, _, errors = command("pretrain", *tiny_run, "name=a", *KEEP)
    assert code == 0, errors
    assert errors.count("step-3.ckpt could not be written (No space left on device)") == 1
    names = {path.name for path in tmp_path.glob("runs/a/checkpoints/step-*")}
    assert names == {"step-1.ckpt", "step-2.ckpt", "step-4.ckpt"}


def test_a_crash_saves_what_was_finished(command, tiny_run, tmp_path, monkeypatch):
    """The third batch cannot be made; the two updates before it are kept, and the resumed run is as the whole."""
    from bert_lightning.data.pretraining.examples import PretrainingExamples

    code, _, errors = command("pretrain", *tiny_run, "name=whole", "model.dropout_rate=0.1")
    assert code == 0, errors
    make = PretrainingExamples.__getitem__

    def fails(self, positions):
        if positions.start == 16 and self.seed == 0:
            raise RuntimeError("DataLoader worker was killed")
        return make(self, positions)

    with monkeypatch.context() as broken:
        broken.setattr(PretrainingExamples, "__getitem__", fails)
        code, _, errors = command("pretrain", *tiny_run, "name=crashed", "model.dropout_rate=0.1")
        assert code == 1
        assert "worker was killed" in errors
    crashed = tmp_path / "runs" / "crashed"
    assert [path.name for path in crashed.glob("checkpoints/step-*.ckpt")] == ["step-2.ckpt"]
    assert command("resume", str(crashed))[0] == 0
    assert differences(tmp_path / "runs" / "whole", crashed) == []
    assert json.loads((crashed / "summary.json").read_text())["steps"] == 4


@pytest.mark.parametrize(
    ("metadata", "problem"),
    [
        ({}, None),
        ({"format_version": -1}, "its format_version is -1"),
        ({"format_version": "1"}, "its format_version is '1'"),
        ({"terms": [{"mlm": 1}]}, "its terms are [{'mlm': 1}], not a list of names"),
        ({"heads": {"mlm": ["masked_lm"]}}, "its heads are {'mlm': ['masked_lm']}, not a mapping of names to types"),
    ],
)
def test_metadata_of_a_wrong_type_are_damage(metadata, problem, tmp_path):
    config = BertConfig(vocab_size=9, hidden_size=4, num_hidden_layers=1, num_attention_heads=1, intermediate_size=4)
    state = {f"encoder.{name}": tensor for name, tensor in BERT(config).state_dict().items()}
    described = {"config": config.to_dict(), "tokenizer_fingerprint": "0"} | metadata
    torch.save({"state_dict": state, "bert_lightning": described}, tmp_path / "best.ckpt")
    assert find_damage(tmp_path / "best.ckpt", to_resume=False) == problem

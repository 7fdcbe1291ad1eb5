"""A search that trains: bad trials end early, and a pruned run that resumes has lost nothing."""

import pytest
import torch

from bert_lightning.runs.run_records import PRUNED, read_run

pytest.importorskip("optuna")


def weights(run):
    return torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]


@pytest.mark.slow
def test_a_pruned_run_resumes_to_the_weights_of_a_run_without_a_search(command, tiny_run, tmp_path):
    longer = [*tiny_run, "trainer.max_steps=8", "trainer.val_check_interval=2"]
    code, _, errors = command(
        "pretrain", "-m", *longer, "hydra/sweeper=search", "optimizer.lr=tag(log,interval(1e-5,1e-1))",
        "hydra.sweeper.trials=6", "hydra.sweeper.pruner=asha", "hydra.sweeper.reduction_factor=2", "name=search",
    )  # fmt: skip
    assert code == 0, errors
    records = [read_run(run) for run in sorted((tmp_path / "runs" / "search").glob("[0-9]*"))]
    assert len(records) == 6
    pruned = next(record for record in records if record.state == PRUNED)
    code, _, errors = command("pretrain", *longer, f"optimizer.lr={pruned.settings()['optimizer.lr']}", "name=plain")
    assert code == 0, errors
    code, _, errors = command("resume", str(pruned.path))
    assert code == 0, errors
    expected, found = weights(tmp_path / "runs" / "plain"), weights(pruned.path)
    assert all(torch.equal(found[name], expected[name]) for name in expected)

"""`bert-lightning doctor`: its output, its exit codes, and that it works where other verbs do not."""

import json
import subprocess
import sys

import pytest

from bert_lightning.diagnostics import folder_checks, package_checks
from bert_lightning.runtime import hardware
from bert_lightning.verbs import doctor


@pytest.fixture
def quick(monkeypatch):
    """No package is imported for the check, and no product is timed."""
    monkeypatch.setattr(package_checks, "import_error", lambda module: "")
    monkeypatch.setattr(hardware, "bf16_speedup", lambda: 1.0)
    hardware.training_precision.cache_clear()
    yield
    hardware.training_precision.cache_clear()


def test_each_check_is_a_line(command, quick, tmp_path):
    code, output, errors = command("doctor")
    assert (code, errors) == (0, "")
    *lines, empty, total = output.splitlines()
    checks = {line[6:].split("  ")[0] for line in lines}
    assert {"python", "torch", "extra demo", "cpu", "threads", "precision", "folder runs", "slurm", "memory"} <= checks
    assert {line.split()[0] for line in lines} <= {"ok", "note"}
    assert not empty
    assert total.startswith(f"{sum(line.startswith('ok') for line in lines)} ok")
    assert list(tmp_path.iterdir()) == []


def test_a_planned_run_that_does_not_fit_is_a_problem(command, quick):
    code, output, errors = command("doctor", "model=base", "batch_size=65536", "runs=elsewhere", "--json")
    assert code == 1
    assert errors == "bert-lightning: error: a run would fail: see memory\n"
    results = {result["check"]: result for result in json.loads(output)}
    assert results["memory"]["state"] == "problem"
    assert "trainer.accumulate_grad_batches" in results["memory"]["advice"]
    assert results["folder runs"]["fact"].startswith("elsewhere")


def test_a_wrong_override_is_refused(command, quick):
    code, _, errors = command("doctor", "batch_sise=3")
    assert code == 2
    assert "batch_size" in errors


def test_a_folder_that_cannot_be_written_and_a_check_that_fails(command, quick, monkeypatch):
    refused = folder_checks.FolderFacts(folder_checks.Path("runs"), folder_checks.Path("/"), 1, "Permission denied")
    monkeypatch.setattr(folder_checks, "read_folder", lambda path: refused)

    def fails(environment):
        raise ZeroDivisionError("of a processor")

    monkeypatch.setattr(doctor.device_checks, "read_cpu", fails)
    code, output, errors = command("doctor", "format=json")
    results = {result["check"]: result for result in json.loads(output)}
    assert code == 1
    assert "see folder runs, folder data, folder tmp" in errors
    assert results["folder runs"]["fact"].endswith("no file can be written: Permission denied")
    assert results["cpu"]["fact"] == "cannot be checked: ZeroDivisionError: of a processor"


def test_a_broken_hydra_is_reported_before_it_is_used(command, quick, monkeypatch):
    monkeypatch.setattr(package_checks, "import_error", lambda module: "no plugins" if module == "hydra" else "")
    code, output, errors = command("doctor")
    first, *_, total = output.splitlines()
    assert first == (
        "problem  hydra-core      cannot be imported: no plugins -> pip install --force-reinstall hydra-core"
    )
    assert total.endswith("1 problem")
    assert (code, errors) == (1, "bert-lightning: error: a run would fail: see hydra-core\n")


def test_a_broken_torch_is_reported(tmp_path):
    """In another process, where torch was never imported. The broken one comes before that of the installation."""
    (tmp_path / "torch.py").write_text("raise OSError('libc10.so: undefined symbol')")
    quick = "from bert_lightning.diagnostics import package_checks as p; p.package_results = p.optional_results = list"
    program = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); {quick}; from bert_lightning import cli; cli.main()"
    done = subprocess.run([sys.executable, "-c", program, "doctor"], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, "bert-lightning: error: a run would fail: see torch\n")
    states = {line[9:].split("  ")[0]: line.split()[0] for line in done.stdout.splitlines() if line}
    assert states["torch"] == "problem"
    assert states["gpu"] == states["precision"] == "note"
    assert states["folder runs"] == "ok"

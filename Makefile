# Two commands set everything up on a fresh machine: `make demo` and `make test`. `make help` lists the rest.
VENV := .venv
BIN := $(VENV)/bin
.DEFAULT_GOAL := help
.PHONY: help install demo test test-slow test-slurm test-oldest test-all lint types check bench bench-data golden clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

# The constraints pin everything that the tests ran with. pip takes a local CPU wheel of torch where it knows one; from
# PyPI, torch for Linux is the CUDA build, some gigabytes.
$(VENV)/installed: pyproject.toml constraints.txt
	python3 -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt torch
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev,wandb,slurm]'
	touch $@

install: $(VENV)/installed  ## make .venv with the package and all its extras

demo: install  ## what do five minutes of pretraining buy? A study on 25,000 film reviews: about 7 minutes on 2 cores
	$(BIN)/bert-lightning demo

test: install  ## the default tests, on at most four cores: 4 minutes on 2
	OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --maxprocesses 4 --dist loadfile

# The demo is given minutes, so it runs alone. Elsewhere ranks and tests share the cores: one thread each is faster.
DEMO := tests/test_package.py::test_the_demo_learns_the_language_and_the_task
test-slow: install  ## the tests that take minutes: kills, ranks, fine-tuning beside transformers, the wheel, the demo
	OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --maxprocesses 2 --dist loadfile -m 'slow and not gpu and not slurm' \
		--deselect $(DEMO)
	$(BIN)/pytest -m slow $(DEMO)

test-slurm: install  ## ranks, requeue and sweeps on a SLURM of its own; installs Debian's packages, as root
	@command -v slurmctld >/dev/null || (apt-get update -qq && \
		apt-get install -y -qq --no-install-recommends slurm-wlm slurmctld slurmd munge >/dev/null) || \
		echo "test-slurm: SLURM cannot be installed here (it takes root and Debian's packages); its tests are skipped"
	$(BIN)/pytest -m slurm tests/slurm

# The oldest Python and the lower bounds that pyproject.toml states. PyPI's torch for Linux brings CUDA: some gigabytes.
OLDEST := .venv-oldest
OLDEST_PYTHON ?= $(or $(firstword $(wildcard $(HOME)/.pyenv/versions/3.10.*/bin/python)),python3.10)
$(OLDEST)/installed: pyproject.toml constraints-oldest.txt
	$(OLDEST_PYTHON) -m venv $(OLDEST)
	$(OLDEST)/bin/pip install --quiet --constraint constraints-oldest.txt torch
	$(OLDEST)/bin/pip install --quiet --constraint constraints-oldest.txt --editable '.[test,wandb,slurm]'
	touch $@

test-oldest: $(OLDEST)/installed  ## the default tests with the oldest Python and packages that pyproject.toml allows
	OMP_NUM_THREADS=1 $(OLDEST)/bin/pytest -n auto --maxprocesses 4 --dist loadfile \
		-W default  # old packages warn of newer ones

test-all: test test-slow  ## both

lint: install  ## ruff, and the formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install  ## mypy --strict on the package
	$(BIN)/mypy

check: lint types test  ## lint, types and tests

bench: install  ## our training step beside transformers': about 30 minutes (QUICK=1: 4)
	$(BIN)/python experiments/benchmark/bench.py $(if $(QUICK),--quick)

bench-data: install  ## writing a token store and making batches, beside what others do: about 8 minutes
	$(BIN)/python -m experiments.benchmark_data.writing
	$(BIN)/python -m experiments.benchmark_data.batches

golden: install  ## write the golden losses anew; say in the commit why they changed
	BERT_LIGHTNING_GOLDEN=write $(BIN)/pytest -m "" tests/test_golden.py

clean:  ## remove the environment, caches and built packages; runs/ and data/ stay
	rm -rf $(VENV) $(OLDEST) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

"""What runs in the block changes nothing for what comes after it."""

import logging
import os
import random
import signal
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import numpy as np
import pytest
import torch

from bert_lightning.runtime.isolation import isolated
from bert_lightning.runtime.signals import SignalFlag


def drawn():
    return random.random(), np.random.rand(), torch.rand(1).item()  # noqa: NPY002


def test_random_numbers_go_on_as_before():
    with isolated():
        wanted = drawn()
    with isolated():
        torch.manual_seed(3)
        random.seed(3)
        np.random.seed(3)  # noqa: NPY002
    assert drawn() == wanted


def test_settings_are_restored(monkeypatch):
    monkeypatch.setenv("KEPT", "1")
    logger, threads = logging.getLogger("lightning.pytorch"), torch.get_num_threads()
    filters, level, precision = list(warnings.filters), logger.level, torch.get_float32_matmul_precision()
    with suppress(ValueError), isolated():
        os.environ["LEAK"] = os.environ["KEPT"] = "2"
        warnings.filterwarnings("ignore", message="leak")
        logger.setLevel(logging.CRITICAL)
        torch.set_num_threads(threads + 1)
        torch.set_float32_matmul_precision("medium" if precision != "medium" else "highest")
        raise ValueError("an error")
    assert ("LEAK" in os.environ, os.environ["KEPT"]) == (False, "1")
    assert (list(warnings.filters), logger.level) == (filters, level)
    assert (torch.get_num_threads(), torch.get_float32_matmul_precision()) == (threads, precision)


@pytest.fixture
def received():
    """The signals that reach this process's own handler of SIGTERM."""
    numbers, before = [], signal.getsignal(signal.SIGTERM)
    signal.signal(signal.SIGTERM, lambda number, _: numbers.append(number))
    yield numbers
    signal.signal(signal.SIGTERM, before)


def test_a_signal_after_a_run_reaches_the_handler_before_it(received):
    with isolated():
        SignalFlag(["SIGTERM"]).install()
    os.kill(os.getpid(), signal.SIGTERM)
    assert received == [signal.SIGTERM]


def test_a_signal_that_came_too_late_for_the_run_is_not_lost(received):
    with isolated():
        flag = SignalFlag(["SIGTERM"])
        flag.install()
        os.kill(os.getpid(), signal.SIGTERM)
        assert (flag.received, received) == (signal.SIGTERM, [])
    assert received == [signal.SIGTERM]


def test_a_signal_that_stopped_the_run_is_not_sent_again(received):
    with suppress(RuntimeError), isolated():
        SignalFlag(["SIGTERM"]).install()
        os.kill(os.getpid(), signal.SIGTERM)
        raise RuntimeError("as Interrupted does")
    assert received == []


def test_a_run_in_another_thread_leaves_signals_to_the_program():
    before = signal.getsignal(signal.SIGTERM)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(SignalFlag(["SIGTERM"]).install).result()
    assert signal.getsignal(signal.SIGTERM) == before

"""Run several trainings in one process, without any of them changing how the next one computes."""

from __future__ import annotations

import gc
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from bert_lightning.runtime.hardware import reset_peak_memory
from bert_lightning.runtime.random_state import capture_random_state, restore_random_state
from bert_lightning.runtime.signals import restored_handlers

_LOGGERS = ("", "lightning.pytorch", "lightning.fabric", "torch")


@contextmanager
def isolated() -> Iterator[None]:
    """Restore the state of this process at the end of the `with` block, as if its code had not run here.

    Restored are random generators, signal handlers, filters of warnings, levels of loggers, environment variables,
    torch's number of threads and precision, and its compiled functions. The memory of the block is freed.
    """
    random, environment = capture_random_state(), dict(os.environ)
    threads, precision = torch.get_num_threads(), torch.get_float32_matmul_precision()
    levels = {name: logging.getLogger(name).level for name in _LOGGERS}
    reset_peak_memory()
    try:
        with restored_handlers(), warnings.catch_warnings():
            yield
    finally:
        restore_random_state(random)
        os.environ.clear()
        os.environ.update(environment)
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)
        torch.set_float32_matmul_precision(precision)
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
        if "torch._dynamo" in sys.modules:  # it gives up on a function that it has compiled for many networks
            torch._dynamo.reset()
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

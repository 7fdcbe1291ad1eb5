"""The sweeper behind `-m hydra/sweeper=search`. Hydra finds sweepers in this namespace only, and imports them at start.

So this file imports little, and `bert_lightning.console.search_jobs` does the work.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class SearchSweeper(Sweeper):
    """Hydra's sweeper that chooses the values of each job by the results of the jobs before it.

    The keys are those of `conf/hydra/sweeper/search.yaml`.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__()
        self.settings = settings

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.loader, self.config, self.jobs = hydra_context.config_loader, config, task_function
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: Sequence[str]) -> None:
        from bert_lightning.console.search_jobs import run_search

        assert self.launcher is not None, "Hydra has called `setup`"
        assert self.config is not None, "Hydra has called `setup`"
        run_search(self.settings, self.loader, self.launcher, self.config, self.jobs, arguments)

"""Samplers: how the values of the next trial are chosen."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial
from scipy.stats import qmc

from bert_lightning.search.settings import SearchSettings
from bert_lightning.search.space import Space, Value


class PointSampler(BaseSampler):
    """A sampler that gives one trial the values of a fixed point."""

    def __init__(self, point: Mapping[str, Value]) -> None:
        self.point = point

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return {}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return {}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self.point[param_name]


def sampler_of_trial(settings: SearchSettings, space: Space, number: int) -> BaseSampler:
    """Return the sampler of the trial with this number.

    Its random numbers depend on the seed and on the number alone. So a search that is killed and continued chooses as
    if it had not been. `random`, `qmc` and `grid` choose the same values for any number of processes, too.
    """
    if settings.sampler == "grid":
        return PointSampler(space.grid()[number])
    if settings.sampler == "qmc":  # point `number` of a scrambled Sobol' sequence
        sequence = qmc.Sobol(len(space.entries), scramble=True, seed=settings.seed)
        if number:  # SciPy cannot go forward by 0
            sequence.fast_forward(number)
        return PointSampler(space.point(sequence.random(1)[0].tolist()))
    seed = int(np.random.SeedSequence([settings.seed, number]).generate_state(1)[0])
    if settings.sampler == "random":
        return RandomSampler(seed=seed)
    conditional = any(entry.conditions for entry in space.entries)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)  # `group`: keys that occur together are modelled together
        return TPESampler(
            seed=seed,
            multivariate=True,
            group=conditional,
            constant_liar=True,
            n_startup_trials=settings.startup_trials,
        )

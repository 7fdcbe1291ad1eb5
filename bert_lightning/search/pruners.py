"""Pruners: whether a trial ends early, because its values are worse than those of other trials so far."""

from __future__ import annotations

from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner, SuccessiveHalvingPruner

from bert_lightning.search.settings import SearchSettings


def make_pruner(settings: SearchSettings) -> BasePruner:
    """Return the pruner of a search. Its unit of time is one validation."""
    first, factor = settings.first_validation, settings.reduction_factor
    if settings.pruner == "asha":
        return SuccessiveHalvingPruner(min_resource=first, reduction_factor=factor)
    if settings.pruner == "hyperband":
        return HyperbandPruner(min_resource=first, reduction_factor=factor)
    if settings.pruner == "median":
        return MedianPruner(n_startup_trials=settings.startup_trials, n_warmup_steps=first)
    return NopPruner()

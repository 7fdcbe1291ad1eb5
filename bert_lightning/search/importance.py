"""How much each key of a search matters for the result."""

from __future__ import annotations

from pathlib import Path

from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.trial import TrialState

from bert_lightning.search.trial_store import open_study

LEAST_TRIALS = 8  # with fewer, importance says more of chance than of the keys


def key_importance(folder: Path) -> dict[str, float]:
    """Return the fraction of the variance of the results that each key explains, the largest first.

    It is fANOVA (Hutter et al. 2014) of the trials that ended. Keys that not all of them have are left out. The result
    is empty with fewer than 8 such trials, if all results are equal, or without scikit-learn.
    """
    study = open_study(folder)
    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if len(trials) < LEAST_TRIALS or len({trial.value for trial in trials}) < 2:
        return {}
    try:
        return dict(get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=0)))
    except ImportError:
        return {}

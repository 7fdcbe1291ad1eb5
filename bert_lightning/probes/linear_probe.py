"""Fit a linear probe: multinomial logistic regression on standardised states, by scikit-learn."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bert_lightning.errors import UserError
from bert_lightning.probes.layer_states import States

# Values of C, the inverse strength of the L2 penalty beside the sum of the losses. From the strongest, so that each fit
# starts from the one before it.
STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0)
_MOST_ITERATIONS = 300
Classes = npt.NDArray[np.int64]


def check_scikit_learn() -> None:
    """Check that scikit-learn is installed.

    Raises:
        UserError: if it is not installed.
    """
    if importlib.util.find_spec("sklearn") is None:
        raise UserError("probes need scikit-learn: pip install 'bert-lightning[probes]'")


@contextmanager
def blas_threads(number: int) -> Iterator[None]:
    """Give the linear algebra of NumPy and SciPy this number of threads. By default it would take all cores.

    So the ranks of one machine share its cores.
    """
    import scipy.linalg  # noqa: F401, only the libraries that are loaded get the limit
    from threadpoolctl import threadpool_limits  # scikit-learn depends on it

    with threadpool_limits(number, user_api="blas"):
        yield


@dataclass(frozen=True)
class LinearProbe:
    """A fitted probe. `mean` and `scale` [H] standardise the states; `classifier` is scikit-learn's.

    `converged` says whether the fit reached its tolerance.
    """

    mean: States
    scale: States
    classifier: Any
    strength: float
    converged: bool

    def scores(self, states: States, classes: int) -> npt.NDArray[np.float64]:
        """Return the logits of the states [N, H], [N, C]. A class without training examples has -inf."""
        logits = np.asarray(self.classifier.decision_function((states - self.mean) / self.scale), dtype=np.float64)
        if logits.ndim == 1:  # of two classes, scikit-learn gives the logit of the second
            logits = np.stack([np.zeros_like(logits), logits], axis=1)
        found = np.full((len(states), classes), -np.inf)
        found[:, self.classifier.classes_] = logits
        return found

    def predict(self, states: States) -> Classes:
        """Return the likeliest class of each state, [N]."""
        return np.asarray(self.classifier.predict((states - self.mean) / self.scale), dtype=np.int64)


def choose_strength(states: States, targets: Classes, held_out: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """Return the C that predicts the held-out examples best, and the accuracy there. Ties go to the smaller C.

    Args:
        states: [N, H] states of the training examples.
        targets: [N] their classes.
        held_out: [N] whether an example is held out to choose C.
    """
    kept = ~held_out
    standardise = _standardiser(states[kept])
    seen, unseen = (((states[part] - standardise[0]) / standardise[1]) for part in (kept, held_out))
    classifier = _classifier()
    best = (STRENGTHS[0], -1.0)
    for strength in STRENGTHS:
        _fit(classifier.set_params(C=strength), seen, targets[kept])
        accuracy = float((classifier.predict(unseen) == targets[held_out]).mean())
        best = (strength, accuracy) if accuracy > best[1] else best
    return best


def fit_probe(states: States, targets: Classes, strength: float) -> LinearProbe:
    """Return the probe that is fitted to the states [N, H] and their classes [N]. `strength` is C."""
    mean, scale = _standardiser(states)
    classifier = _classifier().set_params(C=strength)
    converged = _fit(classifier, (states - mean) / scale, targets)
    return LinearProbe(mean, scale, classifier, strength, converged)


def _standardiser(states: States) -> tuple[States, States]:
    """Return the mean and the standard deviation of each feature, [H]. A constant feature has the deviation 1."""
    scale = states.std(axis=0, dtype=np.float64)
    varies = scale > 1e-6 * np.abs(states).max(initial=1e-6)  # else rounding errors would be features
    return states.mean(axis=0, dtype=np.float64).astype(np.float32), np.where(varies, scale, 1.0).astype(np.float32)


def _classifier() -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(max_iter=_MOST_ITERATIONS, warm_start=True)


def _fit(classifier: Any, states: States, targets: Classes) -> bool:
    """Fit the classifier, and return whether it reached its tolerance."""
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        classifier.fit(states, targets)
    return bool(np.max(classifier.n_iter_) < _MOST_ITERATIONS)

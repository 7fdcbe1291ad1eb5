"""Principal components of embeddings: the directions in which they vary most."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.floating[Any]]


def principal_components(vectors: Vectors, count: int = 2) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the coordinates of vectors [N, H] on their first components, [N, count], and the components' variances.

    A variance is a share of the variance of all components, [count]. The sign of a component is chosen so that its
    largest coefficient is positive, since both signs are right, and a page should be the same each time. Components
    that do not exist are 0.
    """
    centred = vectors.astype(np.float64) - vectors.mean(0, dtype=np.float64)
    left, values, right = np.linalg.svd(centred, full_matrices=False)
    signs = np.sign(right[np.arange(len(right)), np.abs(right).argmax(1)])
    existing = min(count, len(values))
    coordinates = np.zeros((len(vectors), count))
    coordinates[:, :existing] = (left * values * signs)[:, :existing]
    shares, total = np.zeros(count), float((values**2).sum())
    if total > 0:
        shares[:existing] = values[:existing] ** 2 / total
    return coordinates, shares


def neighbour_agreement(vectors: Vectors, labels: npt.NDArray[np.int64]) -> tuple[float, float]:
    """Return how often the nearest neighbour has the same label, and how often any other vector has, both in [0, 1].

    The nearest neighbour has the highest cosine, in all dimensions.

    Args:
        vectors: [N, H] the embeddings, with N at least 2.
        labels: [N] the number of each label.
    """
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    directions = vectors / np.maximum(lengths, 1e-12)
    cosines = directions @ directions.T
    np.fill_diagonal(cosines, -np.inf)
    same = float((labels[cosines.argmax(1)] == labels).mean())
    sizes = np.bincount(labels).astype(np.float64)
    chance = float((sizes * (sizes - 1)).sum() / (len(labels) * (len(labels) - 1)))
    return same, chance

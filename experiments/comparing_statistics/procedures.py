"""The rest of the procedure in simulated studies: pairing, one seed, clusters, averages, the best arm, and power.

    python -m experiments.comparing_statistics.procedures [--studies 2000]

prints the second table of the README. All values are Gaussian.
"""

import argparse
from collections.abc import Callable

import numpy as np

from bert_lightning.compare.alignment import cluster_values
from bert_lightning.compare.intervals import Interval, Sample, difference_interval, mean_interval
from bert_lightning.compare.multiple_tests import may_be_best
from bert_lightning.compare.power import detectable_difference, seeds_to_detect

N = 400


def sample(rng, count: int, seed: float, own: np.ndarray, mean: float = 0.0, effects=None) -> Sample:
    """Return one arm: seeds of this standard deviation (or given effects), examples [N] with their own difficulty."""
    effects = rng.normal(0, seed, count) if effects is None else effects
    x = mean + effects[:, None] + own + rng.normal(0, 0.5, (count, len(own)))
    return Sample(x.mean(axis=1), (x,))


def two_arms(rng, counts=(5, 5), seeds=(0.1, 0.1), mean: float = 0.0) -> tuple[Sample, Sample]:
    shared = rng.normal(size=N)
    a, b = (sample(rng, c, s, shared + rng.normal(size=N)) for c, s in zip(counts, seeds, strict=True))
    return Sample(a.values + mean, (a.parts[0] + mean,)), b


def contains(interval: Interval, value: float = 0.0) -> bool:
    return interval.low <= value <= interval.high


def unequal(counts, seeds) -> Callable:
    return lambda rng: contains(difference_interval(*two_arms(rng, counts, seeds)))


def pairing(correlation: float, count: int, rule: str, examples: float = 0.1) -> Callable:
    """Seeds whose effects have this correlation in the two arms, paired always, by the correlation, or never."""

    def study(rng) -> bool:
        cov = [[1, correlation], [correlation, 1]]
        effects = 0.1 * rng.multivariate_normal([0, 0], cov, size=count).T
        a, b = (sample(rng, count, 0, examples * rng.normal(size=N), effects=e) for e in effects)
        estimated = np.corrcoef(a.values, b.values)[0, 1] > 0
        return contains(
            difference_interval(a, b, {"never": False, "always": True, "if it is positive": estimated}[rule])
        )

    return study


def collapsing(count: int) -> Callable:
    """One run in ten of either arm collapses and loses ten standard deviations."""

    def study(rng) -> bool:
        effects = rng.normal(0, 0.1, (2, count)) - 1.0 * (rng.random((2, count)) < 0.1)
        return contains(difference_interval(*(sample(rng, count, 0, rng.normal(size=N), effects=e) for e in effects)))

    return study


def clusters(rng) -> bool:
    """40 clusters of 1 to 19 examples with effects of their own, which differ between the arms."""
    numbers = np.repeat(np.arange(40), rng.integers(1, 20, 40))
    arms = []
    for _ in range(2):
        arm = sample(rng, 5, 0.05, rng.normal(0, 1, 40)[numbers] + rng.normal(0, 1, len(numbers)))
        rows = np.array([cluster_values(row, numbers) for row in arm.parts[0]])
        arms.append(Sample(arm.values, (rows,)))
    return contains(difference_interval(*arms))


def ignored_clusters(rng) -> bool:
    numbers = np.repeat(np.arange(40), rng.integers(1, 20, 40))
    arms = [sample(rng, 5, 0.05, rng.normal(0, 1, 40)[numbers] + rng.normal(0, 1, len(numbers))) for _ in range(2)]
    return contains(difference_interval(*arms))


def averaged(difference: bool) -> Callable:
    """Four tasks of 100 to 800 examples; half of the variance between seeds is common to the tasks."""

    def study(rng) -> bool:
        arms = []
        for _ in range(2):
            common = rng.normal(0, 0.05, 5)
            tasks = [
                sample(rng, 5, 0, rng.normal(size=n), effects=common + rng.normal(0, 0.05, 5))
                for n in (100, 200, 400, 800)
            ]
            arms.append(Sample(np.mean([t.values for t in tasks], axis=0), tuple(t.parts[0] for t in tasks)))
        return contains(difference_interval(*arms) if difference else mean_interval(arms[0]))

    return study


def best_in_set(means, sizes: list[int]) -> Callable:
    """Whether the best arm is in the set of arms that may be the best, at five seeds."""

    def study(rng) -> bool:
        shared = rng.normal(size=N)
        arms = {str(i): sample(rng, 5, 0.1, shared + rng.normal(size=N), mean) for i, mean in enumerate(means)}
        better = {}
        for x in arms:
            for y in arms:
                interval = difference_interval(arms[x], arms[y])
                if x != y and interval.estimate > 0:
                    better[x, y] = interval.p
        kept = may_be_best(list(arms), better)
        sizes.append(sum(kept))
        return kept[int(np.argmax(means))]

    return study


def power_at_detectable(count: int) -> Callable:
    """Whether the difference that has a power of 80 % by the true variances is found: 80 of 100 is right."""
    error = np.sqrt(2 * (0.1**2 + 0.5**2 / N) / count + 2 / N)
    true = detectable_difference(error, 4 * (count - 1))
    return lambda rng: not contains(difference_interval(*two_arms(rng, (count, count), mean=true)))


def power_at_needed(rng) -> bool:
    """Whether a study with the number of seeds that a pilot of five asked for finds the true difference."""
    true = 0.25
    pilot = difference_interval(*two_arms(rng, mean=true))
    needed = seeds_to_detect(true, pilot.terms, (5, 5))
    return needed is not None and not contains(difference_interval(*two_arms(rng, (needed, needed), mean=true)))


def rows(sizes_equal: list[int], sizes_one: list[int]) -> dict[str, Callable]:
    return {
        "2 seeds each": unequal((2, 2), (0.1, 0.1)),
        "10 and 3 seeds": unequal((10, 3), (0.1, 0.1)),
        "10 and 3 seeds, the 3 vary five times as much": unequal((10, 3), (0.1, 0.5)),
        "3 and 10 seeds, the 10 vary five times as much": unequal((3, 10), (0.1, 0.5)),
        "5 seeds and 1 seed": unequal((5, 1), (0.1, 0.1)),
        "5 seeds and 1 seed that varies twice as much": unequal((5, 1), (0.1, 0.2)),
        **{
            f"{count} seeds, correlation {rho}, paired: {rule}": pairing(rho, count, rule)
            for count in (3, 5)
            for rho in (0.0, 0.8)
            for rule in ("never", "always", "if it is positive")
        },
        "5 seeds, one run in ten collapses": collapsing(5),
        "10 seeds, one run in ten collapses": collapsing(10),
        "clusters of examples": clusters,
        "clusters of examples, ignored": ignored_clusters,
        "average over 4 tasks, difference": averaged(True),
        "average over 4 tasks, one arm": averaged(False),
        "best of 5 equal arms is in the set": best_in_set([0, 0, 0, 0, 0], sizes_equal),
        "best of 5 arms is in the set": best_in_set([0.3, 0, 0.1, 0.2, -0.2], sizes_one),
        "power at the detectable difference, 3 seeds": power_at_detectable(3),
        "power at the detectable difference, 5 seeds": power_at_detectable(5),
        "power at the detectable difference, 10 seeds": power_at_detectable(10),
        "power at the seeds that a pilot asks for": power_at_needed,
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--studies", type=int, default=2000)
    args = parser.parse_args()
    sizes_equal: list[int] = []
    sizes_one: list[int] = []
    print("| case | % |\n| --- | --- |")
    for i, (name, study) in enumerate(rows(sizes_equal, sizes_one).items()):
        rng = np.random.default_rng([i, 2026])
        print(f"| {name} | {100 * np.mean([study(rng) for _ in range(args.studies)]):.1f} |", flush=True)
    print(f"\nArms in the set: {np.mean(sizes_equal):.1f} of 5 equal ones, {np.mean(sizes_one):.1f} of the 5 others.")


if __name__ == "__main__":
    main()

"""Coverage of the intervals and false positives of the tests of a comparison, in simulated studies with known truth.

    python -m experiments.comparing_statistics.coverage [--studies 2000] [--slow-studies 500]

writes coverage.json and prints the tables of the README.
"""

import argparse
import json
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

from bert_lightning.compare.intervals import LEVEL, Sample, difference_interval, examples_interval, mean_interval
from bert_lightning.compare.resampling import example_draws, multi_bootstrap, permutation_test, seed_draws
from experiments.comparing_statistics.simulated import CASES, Case, draw

HERE = Path(__file__).parent


def bootstrap(a: Sample, b: Sample, rng: np.random.Generator):
    values_a, values_b = example_draws([a, b], rng)
    return multi_bootstrap(values_a, values_b, seed_draws(len(a.values), rng), seed_draws(len(b.values), rng))


def simulate(case: Case, studies: int, slow_studies: int) -> dict:
    """Return how often each interval has the truth, and how often each test calls identical arms different, in %.

    The bootstrap and the permutations are slow: they are of the first `slow_studies`.
    """
    rng = np.random.default_rng([CASES.index(case), 2026])
    covered, different = defaultdict(list), defaultdict(list)
    for study in range(studies):
        a, b, mean, difference = draw(case, rng)
        covered["default"].append(contains(difference_interval(a, b), difference))
        covered["default, one arm"].append(contains(mean_interval(a), mean))
        covered["t over seeds"].append(contains(seeds_interval(a, b), difference))
        covered["t over examples"].append(contains(examples_interval(a, b), difference))
        same_a, same_b, *_ = draw(case, rng, identical=True)
        different["default"].append(not contains(difference_interval(same_a, same_b), 0))
        different["t over seeds"].append(not contains(seeds_interval(same_a, same_b), 0))
        different["t over examples"].append(not contains(examples_interval(same_a, same_b), 0))
        if study < slow_studies:
            covered["Multi-Bootstrap"].append(contains(bootstrap(a, b, rng), difference))
            different["Multi-Bootstrap"].append(bootstrap(same_a, same_b, rng).p <= LEVEL)
            different["permutation"].append(permutation_test(same_a.values, same_b.values, rng).p <= LEVEL)
    return {
        "case": case.name,
        "seeds": case.seeds,
        "coverage": {name: 100 * float(np.mean(found)) for name, found in covered.items()},
        "identical_called_different": {name: 100 * float(np.mean(found)) for name, found in different.items()},
    }


def seeds_interval(a: Sample, b: Sample):
    return difference_interval(Sample(a.values), Sample(b.values))


def contains(interval, value: float) -> bool:
    return interval.low <= value <= interval.high


def tables(results: list[dict]) -> str:
    """Return Markdown: for each case and method the numbers at 3, 5 and 10 seeds."""
    lines = []
    for kind, title in (
        ("coverage", "coverage of a 95 % interval"),
        ("identical_called_different", "identical arms called different, %"),
    ):
        methods = list(results[0][kind])
        lines += ["", "| " + " | ".join([title, *methods]) + " |", "| --- " * (len(methods) + 1) + "|"]
        for name in dict.fromkeys(r["case"] for r in results):
            rows = [r for r in results if r["case"] == name]
            cells = [" ".join(f"{r[kind][method]:.1f}" for r in rows) for method in methods]
            lines.append("| " + " | ".join([name, *cells]) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--studies", type=int, default=2000)
    parser.add_argument("--slow-studies", type=int, default=500)
    parser.add_argument("--processes", type=int, default=2)
    args = parser.parse_args()
    with ProcessPoolExecutor(args.processes) as pool:
        results = list(pool.map(partial(simulate, studies=args.studies, slow_studies=args.slow_studies), CASES))
    (HERE / "coverage.json").write_text(json.dumps(results, indent=1) + "\n")
    print(tables(results))


if __name__ == "__main__":
    main()

"""Coverage of the intervals and false positives of the tests of a comparison, in simulated studies with known truth.

    python -m experiments.comparing_statistics.coverage [--studies 2000] [--processes 2]

writes coverage.json and prints the tables of the README.
"""

import argparse
import json
import math
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

from bert_lightning.compare.intervals import Sample, difference_interval, examples_interval, mean_interval
from bert_lightning.compare.resampling import example_draws, multi_bootstrap, permutation_test, seed_draws
from experiments.comparing_statistics.simulated import CASES, Case, draw

HERE = Path(__file__).parent


def bootstrap(a: Sample, b: Sample, rng: np.random.Generator):
    values_a, values_b = example_draws([a, b], rng)
    return multi_bootstrap(values_a, values_b, seed_draws(len(a.values), rng), seed_draws(len(b.values), rng))


def simulate(case: Case, studies: int) -> dict:
    """Return how often each interval has the truth, and how often each test calls identical arms different."""
    rng = np.random.default_rng([CASES.index(case), 2026])
    inside = {name: 0 for name in ("default", "one arm", "bootstrap", "seeds only", "examples only")}
    false = {name: 0 for name in ("default", "bootstrap", "permutation", "seeds only", "examples only")}
    for _ in range(studies):
        a, b, mean, difference = draw(case, rng)
        inside["default"] += contains(difference_interval(a, b), difference)
        inside["one arm"] += contains(mean_interval(a), mean)
        inside["bootstrap"] += contains(bootstrap(a, b, rng), difference)
        inside["seeds only"] += contains(difference_interval(Sample(a.values), Sample(b.values)), difference)
        inside["examples only"] += contains(examples_interval(a, b), difference)
        a, b, *_ = draw(case, rng, identical=True)
        false["default"] += not contains(difference_interval(a, b), 0)
        false["bootstrap"] += bootstrap(a, b, rng).p <= 0.05
        false["permutation"] += permutation_test(a.values, b.values, rng).p <= 0.05
        false["seeds only"] += not contains(difference_interval(Sample(a.values), Sample(b.values)), 0)
        false["examples only"] += not contains(examples_interval(a, b), 0)
    return {
        "case": case.name,
        "seeds": case.seeds,
        "studies": studies,
        "coverage": {name: count / studies for name, count in inside.items()},
        "false_positives": {name: count / studies for name, count in false.items()},
    }


def contains(interval, value: float) -> bool:
    return interval.low <= value <= interval.high


def tables(results: list[dict]) -> str:
    """Return Markdown: for each case and method the numbers at 3, 5 and 10 seeds."""
    lines = []
    for kind, title in (("coverage", "coverage of 95 %"), ("false_positives", "identical arms called different, %")):
        methods = list(results[0][kind])
        lines += ["", "| " + " | ".join([title, *methods]) + " |", "| --- " * (len(methods) + 1) + "|"]
        for name in dict.fromkeys(r["case"] for r in results):
            rows = [r for r in results if r["case"] == name]
            cells = [" ".join(f"{100 * r[kind][method]:.1f}" for r in rows) for method in methods]
            lines.append("| " + " | ".join([name, *cells]) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--studies", type=int, default=2000)
    parser.add_argument("--processes", type=int, default=2)
    args = parser.parse_args()
    with ProcessPoolExecutor(args.processes) as pool:
        results = list(pool.map(partial(simulate, studies=args.studies), CASES))
    (HERE / "coverage.json").write_text(json.dumps(results, indent=1) + "\n")
    print(tables(results))
    print(f"\nMonte Carlo error of a coverage of 95 %: {100 * math.sqrt(0.95 * 0.05 / args.studies):.1f} points")


if __name__ == "__main__":
    main()

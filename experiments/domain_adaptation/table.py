"""Print the table of `run.sh`: bits per byte of masked words, before and after adaptation, and on the old domain.

python experiments/domain_adaptation/table.py WORK/runs
"""

import json
import sys
from pathlib import Path

BITS = "val/words/bits_per_byte"
runs = Path(sys.argv[1])


def summary(name):
    return json.loads((runs / name / "summary.json").read_text())


print("| encoder | domain | new words | steps | seconds | before | after | old domain before | after |")
print("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
for source in ("bert", "minilm"):
    for domain in ("novels", "chinese"):
        for words in (0, 500):
            name = f"{source}-{domain}-{words}"
            needed = (name, f"{name}-old", f"{source}-old")
            if not all((runs / each / "summary.json").exists() for each in needed):
                continue
            run = summary(name)
            values = (run["initial_metrics"][BITS], run["metrics"][BITS],
                      summary(f"{source}-old")["initial_metrics"][BITS],
                      summary(f"{name}-old")["initial_metrics"][BITS])  # fmt: skip
            shown = " | ".join(f"{value:.2f}" for value in values)
            print(f"| {source} | {domain} | {words} | {run['steps']} | {run['wall_seconds']:.0f} | {shown} |")

"""Record the predictions of old runs with the old code, and keep only the files that the tests need.

Usage, in the folder where make.sh made the runs: python answers.py <this folder>. PYTHONPATH is the old checkout.
"""

import contextlib
import io
import json
import shutil
import sys
from pathlib import Path

from bert_lightning import cli

ASKED = {
    "bert": ["the [MASK] sleeps in story 1.", "[MASK] [MASK] shines"],
    "distilled": ["the [MASK] sleeps in story 1."],
    "roberta": ["the [MASK] sleeps in story 1."],
    "tuning": ["the cat sleeps in story 1 part 0.", "no river grows."],
    "classification": ["the cat sleeps in story 1 part 0.", "no river grows."],
    "regression": ["the cat sleeps ||| a dog shines", "every clock stops ||| her garden grows in story 2."],
    "similarity": ["the cat sleeps ||| a dog shines", "every clock stops ||| her garden grows in story 2."],
    "contrast": ["the cat sleeps ||| a dog shines", "every clock stops ||| her garden grows in story 2."],
    "tagging": ["the cat sleeps in story 1 .", "no river grows"],
    "questions": ["who sleeps? ||| the cat sleeps in story 1. a dog shines in story 1 part 2, and no river grows."],
    "choices": ["the cat sleeps ||| a dog shines ||| her garden grows", "no ||| river ||| sings ||| stops"],
}
INTERRUPTED = ("bert", "distilled", "electra", "roberta", "tuning")


def output_of(*arguments):
    sys.argv = ["bert-lightning", *arguments]
    with contextlib.redirect_stdout(io.StringIO()) as output:
        cli.main()
    return output.getvalue()


def main(target):
    found = {}
    for run in sorted(Path("runs").iterdir()):
        kept = target / "runs" / run.name
        (kept / "checkpoints").mkdir(parents=True)
        for name in ("config.yaml", "tokenizer.json"):
            shutil.copy(run / name, kept)
        if run.name in INTERRUPTED:  # after two of the four steps
            shutil.copy(run / "checkpoints/step-2.ckpt", kept / "checkpoints")
            (kept / "checkpoints/last.ckpt").symlink_to("step-2.ckpt")
            found[run.name] = {"resume": json.loads((run / "summary.json").read_text())["metrics"]}
        else:
            shutil.copy(run / "summary.json", kept)
            shutil.copy(run / "checkpoints/best.ckpt", kept / "checkpoints")
            found[run.name] = {"evaluate": json.loads(output_of("evaluate", f"run={kept}"))["metrics"]}
        if run.name in ASKED:
            output_of("predict", f"run={kept}", "output=out.jsonl", "--", *ASKED[run.name])
            lines = Path("out.jsonl").read_text(encoding="utf-8").splitlines()
            found[run.name] |= {"texts": ASKED[run.name], "predict": [json.loads(line) for line in lines]}
            Path("out.jsonl").unlink()
    (target / "answers.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


main(Path(sys.argv[1]).resolve())

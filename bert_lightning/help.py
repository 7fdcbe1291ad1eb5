"""Write the text of `bert-lightning <verb> --help` from the verb's yaml file and the options of its config groups.

The file is read as text, because Hydra's own help composes the config, which takes a second.
"""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import fill

_RESUME = """\
bert-lightning resume: continue an interrupted run. The result is bit for bit that of a run without interruption.
  bert-lightning resume runs/my-run

The run's folder is all that it needs. It starts from the newest intact checkpoint.
Keys that may change (key=value): num_workers, compile, restarts, launch, measure_words, evaluations.*, callbacks.*,
logger.*, trainer.devices, trainer.num_nodes, trainer.accelerator, trainer.strategy. Also batch_size and
trainer.accumulate_grad_batches, as long as an update has as many examples as before: with twice
the devices, give half the batch_size.
"""
_FLAGS = """\
Flags:
  --cfg job            print the whole config, and run nothing
  -m                   a sweep: one job for each value, as in: -m seed=1,2,3
  --config-dir FOLDER  look for options in your own yaml files too, such as FOLDER/variant/mine.yaml\
"""


def conf_folder() -> Path:
    """Return the folder of the configs: inside the installed package, or beside the package in a checkout."""
    here = Path(__file__).resolve().parent
    return next(folder for folder in (here / "conf", here.parent / "conf") if folder.is_dir())


def verb_help(verb: str, conf: Path) -> str:
    """Return the help text for one verb. `conf` is the folder of the configs."""
    if verb == "resume":  # the only verb without a config
        return _RESUME.rstrip()
    lines = (conf / f"{verb}.yaml").read_text(encoding="utf-8").splitlines()
    start = lines.index("defaults:")
    end = lines.index("", start)
    chosen = [found for line in lines[start:end] if (found := re.match(r" +- (?:optional )?(\w+): (\S+)", line))]
    groups = [_describe_group(conf / match[1], match[2]) for match in chosen]
    flags = _FLAGS.splitlines()
    if verb in ("models", "diff", "doctor"):  # they take no sweep
        flags = [line for line in flags if not line.startswith("  -m")]
    return "\n".join(
        [
            *(line.removeprefix("# ") for line in lines[:start]),
            *(["\nGroups (group=option), the default first:", *groups] if groups else []),
            f"\nKeys (key=value), with their defaults{', without those of the groups' if groups else ''}:",
            *(f"  {line}" for line in lines[end + 1 :]),
            "",
            *flags,
        ]
    )


def _describe_group(group: Path, default: str) -> str:
    """Return the line of the help text that lists the options of a config group, the default option first."""
    # Only other options include a file base_*.
    options = {path.stem for path in group.glob("*.yaml") if not path.stem.startswith("base_")}
    names = sorted({default, *options}, key=lambda name: (name != default, name))
    return fill(", ".join(names), 118, initial_indent=f"  {group.name:11}", subsequent_indent=" " * 13)

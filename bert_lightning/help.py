"""The text of `bert-lightning <verb> --help`: the verb's yaml file with its comments, and the options of its groups.

The file is read as text, because Hydra's own help composes the config, which takes a second.
"""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import fill

_RESUME = """bert-lightning resume runs/my-run [trainer.devices=2 ...]
Goes on with a run that was interrupted, from its folder alone. Overrides may change how it is executed, nothing else.
"""


def conf_folder() -> Path:
    """Return the folder of the configs: inside the installed package, or beside the package in a checkout."""
    here = Path(__file__).resolve().parent
    return next(folder for folder in (here / "conf", here.parent / "conf") if folder.is_dir())


def verb_help(verb: str, conf: Path) -> str:
    """Return the help text for one verb. `conf` is the folder of the configs."""
    if verb == "resume":  # the only verb without a config
        return _RESUME
    lines = (conf / f"{verb}.yaml").read_text(encoding="utf-8").splitlines()
    start = lines.index("defaults:")
    end = lines.index("", start)
    chosen = [found for line in lines[start:end] if (found := re.match(r" +- (?:optional )?(\w+): (\S+)", line))]
    groups = [_options(conf / match[1], match[2]) for match in chosen]
    return "\n".join(
        [
            *(line.removeprefix("# ") for line in lines[:start]),
            *(["\nGroups (group=option), the default first:"] if groups else []),
            *groups,
            "\nKeys (key=value; --cfg job shows those of the groups as well):",
            *(f"  {line}" for line in lines[end + 1 :]),
        ]
    )


def _options(group: Path, default: str) -> str:
    """Return the line of the help text that lists the options of a config group, the default option first."""
    names = sorted((path.stem for path in group.glob("*.yaml")), key=lambda name: (name != default, name))
    return fill(", ".join(names), 118, initial_indent=f"  {group.name:11}", subsequent_indent=" " * 13)

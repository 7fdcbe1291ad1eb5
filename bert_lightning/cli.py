"""The command line `bert-lightning <verb> [key=value ...]`, with one subcommand for each verb."""

from __future__ import annotations

import difflib
import os
import sys
from importlib import import_module

from bert_lightning.console import door
from bert_lightning.console.arguments import Arguments
from bert_lightning.errors import UserError
from bert_lightning.help import conf_folder, usage
from bert_lightning.quoting import shortened

VERBS = {
    "prepare": "read a corpus, train the tokenizer, write the token stores",
    "inspect": "show what training would read: counts, lengths, padding, masks, examples",
    "pretrain": "train an encoder from scratch (prepares what is missing)",
    "finetune": "train an encoder for a task: classes, tags, answers, similarities",
    "resume": "go on with a run that was interrupted, to the same bits",
    "evaluate": "measure a checkpoint on a split of a task, by the official metrics",
    "predict": "fill in masks, or answer as the checkpoint was trained to",
    "export": "write a checkpoint as a folder that transformers reads",
    "glue": "fine-tune on every task of GLUE with several seeds, one table",
    "models": "every size and recipe: parameters, operations, memory, source",
    "diff": "what one recipe changes against another, key by key",
    "bench": "what a training step reaches on this machine, plain and as it is",
    "demo": "pretrain, fine-tune and compare on film reviews, in minutes",
}


def main() -> None:
    """Run one verb and exit. A mistake of the user gives one line on standard error and exit code 2."""
    os.environ.setdefault("PYTHONSAFEPATH", "1")  # child processes then import nothing from the working directory
    try:
        door.open_streams()
        code = _main(sys.argv[1:])
    except BaseException as error:
        code = door.end(error)
    if code := door.flush(code):
        sys.exit(code)


def _main(arguments: list[str]) -> int:
    """Run the verb, or print the help or the version that the arguments ask for, and return the exit code."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_usage())
        return 0
    if arguments[0] == "--version":
        from bert_lightning import __version__

        print(__version__)
        return 0
    verb, *rest = arguments
    if verb not in VERBS:
        near = difflib.get_close_matches(verb, VERBS, n=1)
        hint = f": did you mean {near[0]}? There" if near else "; there"
        raise UserError(f"no verb {shortened(verb)!r}{hint} are {', '.join(VERBS)}")
    if {"-h", "--help"} & set(rest):
        print(usage(verb, conf_folder()))
        return 0
    return _resume(rest) if verb == "resume" else _run(verb, rest)


def _run(verb: str, arguments: list[str]) -> int:
    """Compose the config, run the verb or a sweep of it, and return the exit code."""
    found = Arguments.of(verb, arguments)
    from bert_lightning.console import grammar, jobs  # imported here, since they import Hydra, which is slow

    found.overrides = grammar.readable(found.overrides, found.sweep)
    if {"--cfg", "--info", "--hydra-help"} & found.flags.keys():
        return jobs.show(verb, found)
    return jobs.run(verb, found)


def _resume(arguments: list[str]) -> int:
    """Resume a run and return the exit code. A rank passes its error to its launcher, which reports it once."""
    if flags := [argument for argument in arguments if argument.startswith("-")]:
        raise UserError(f"resume has no flag {shortened(flags[0])}: it takes a run's folder and overrides")
    try:
        import_module("bert_lightning.verbs.resume").run(arguments)
    except Exception as error:
        if import_module("bert_lightning.runs.ranks").leave(door.expected(error) or error):
            return 1
        raise
    return 0


def _usage() -> str:
    """Return the help text of the whole command line."""
    verbs = "\n".join(f"  {verb:10}{what}" for verb, what in VERBS.items())
    return (
        f"bert-lightning <verb> [key=value ...]\n\n{verbs}\n\n"
        "Every verb takes overrides of its config (bert-lightning <verb> --cfg job shows it), -m for a sweep,\n"
        "and --help for its groups. Start with: bert-lightning demo"
    )


if __name__ == "__main__":
    main()

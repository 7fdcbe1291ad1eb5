"""The command line `bert-lightning <verb> [key=value ...]`, with one subcommand for each verb."""

from __future__ import annotations

import difflib
import os
import sys
from importlib import import_module

from bert_lightning.console import error_report, streams
from bert_lightning.console.arguments import Arguments
from bert_lightning.errors import UserError
from bert_lightning.help import conf_folder, verb_help
from bert_lightning.quoting import shortened

VERBS = {
    "prepare": "read a corpus, train a tokenizer and write the token stores for pretrain",
    "inspect": "show what pretrain would read: counts, lengths, padding, masked tokens, examples",
    "pretrain": "train an encoder from scratch (first runs prepare, if needed)",
    "finetune": "train an encoder for a task, such as classification or question answering",
    "resume": "continue an interrupted run: the result is bit for bit the same",
    "evaluate": "measure a model: on its task, or a pretrained one by minimal pairs",
    "probe": "what a linear probe reads from each layer of frozen encoders",
    "predict": "fill in masks, or answer the task that the model was fine-tuned for",
    "visualize": "look inside a model on one page: predictions, attention, errors, embeddings",
    "export": "write a model as a folder that transformers or sentence-transformers loads",
    "study": "make all runs of a study (arms, seeds, tasks), or show how far it is",
    "sweep": "show a search: the best settings, every trial, and which keys matter",
    "compare": "set runs side by side: intervals, tests, fairness, and a page to pass around",
    "glue": "fine-tune on every GLUE task with several seeds, and print one table",
    "models": "list every size and variant: parameters, FLOPs, memory, source",
    "diff": "list the config keys in which two pretraining configs differ",
    "runs": "list the runs below a folder: state, what they vary, metric, age, size",
    "doctor": "check this machine and installation: one line each, with what to do",
    "bench": "measure the speed of a training step on this machine",
    "demo": "a small study on film reviews: what some minutes of pretraining buy",
}


def main() -> None:
    """Run one verb and exit. A mistake of the user gives one line on standard error and exit code 2."""
    os.environ.setdefault("PYTHONSAFEPATH", "1")  # child processes then import nothing from the working directory
    # On a CPU, torch keeps the compiled matrix products of 1,024 shapes: 0.2 GB, and no faster than with 16 shapes.
    os.environ.setdefault("LRU_CACHE_CAPACITY", "16")
    try:
        error_report.remember_command(sys.argv)
        streams.repair_standard_streams()
        code = _dispatch(sys.argv[1:])
    except BaseException as error:
        code = error_report.report_error(error)
    if code := streams.flush_standard_output(code):
        sys.exit(code)


def _dispatch(arguments: list[str]) -> int:
    """Run the verb, or print the help or the version that the arguments ask for, and return the exit code."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_overview())
        return 0
    if arguments[0] == "--version":
        from bert_lightning import __version__

        print(__version__)
        return 0
    verb, *rest = arguments
    if verb not in VERBS:
        near = difflib.get_close_matches(verb, VERBS, n=1)
        hint = f": did you mean {near[0]}?" if near else "."
        raise UserError(f"there is no verb {shortened(verb)!r}{hint} The verbs are {', '.join(VERBS)}")
    if {"-h", "--help"} & set(rest):
        print(verb_help(verb, conf_folder()))
        return 0
    return _resume(rest) if verb == "resume" else _run(verb, rest)


def _run(verb: str, arguments: list[str]) -> int:
    """Compose the config, run the verb or a sweep of it, and return the exit code."""
    found = Arguments.of(verb, arguments)
    if verb == "doctor":  # before Hydra is imported, since a broken one is reported too
        import_module("bert_lightning.verbs.doctor").report_broken_essentials("format=json" in found.overrides)
    from bert_lightning.console import jobs, override_syntax  # imported here, since they import Hydra, which is slow

    found.overrides = override_syntax.normalize_overrides(found.overrides, found.sweep)
    if {"--cfg", "--info", "--hydra-help"} & found.flags.keys():
        return jobs.show_config(verb, found)
    return jobs.run_verb(verb, found)


def _resume(arguments: list[str]) -> int:
    """Resume a run and return the exit code. A rank passes its error to its launcher, which reports it once."""
    if flags := [argument for argument in arguments if argument.startswith("-")]:
        raise UserError(
            f"resume has no flag {shortened(flags[0])}: write bert-lightning resume <folder> [key=value ...]"
        )
    try:
        import_module("bert_lightning.verbs.resume").run(arguments)
    except Exception as error:
        ranks = import_module("bert_lightning.runs.ranks")
        if ranks.report_error_to_launcher(error_report.as_expected_error(error) or error):
            return 1
        raise
    return 0


def _overview() -> str:
    """Return the help text of the whole command line."""
    verbs = "\n".join(f"  {verb:10}{what}" for verb, what in VERBS.items())
    return (
        f"bert-lightning <verb> [key=value ...]\n\nStart with: bert-lightning demo\n\nVerbs:\n{verbs}\n\n"
        "Every key=value changes one key of the verb's config.\n"
        "  bert-lightning <verb> --help           the options and keys of a verb\n"
        "  bert-lightning <verb> --cfg job        print the whole config, and run nothing\n"
        "  bert-lightning <verb> -m seed=1,2,3    a sweep: one job for each value\n"
        "  bert-lightning --version"
    )


if __name__ == "__main__":
    main()

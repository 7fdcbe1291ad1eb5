"""`bert-lightning <verb> [key=value ...]`: one command, one subcommand a verb."""

from __future__ import annotations

import difflib
import os
import re
import select
import signal
import sys
from importlib import import_module
from pathlib import Path

from bert_lightning.errors import UserError
from bert_lightning.help import usage

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

# Verbs that take plain arguments, and the key of their config that gets them. To `models` and `diff` every override is
# one: it belongs to the recipe that they are about, and may be given twice.
_PLAIN = {"predict": "texts", "models": "overrides", "diff": "overrides"}
_OVERRIDE = re.compile(r"^([~+]+[\w./@:-]+$|[~+]*[\w./@:-]+=)")
_SWEEP = {"-m", "--multirun"}
_FLAGS_WITH_VALUE = ("--cfg", "-c", "--config-dir", "-cd", "--config-name", "-cn", "--package", "-p")


class JobFailed(Exception):
    """A job of a sweep failed in a process that a launcher started."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code

    def __str__(self) -> str:
        return "a job of the sweep failed: what it said is in the launcher's logs, .submitit in the sweep's folder"


def main() -> None:
    """Run one verb. A user's mistake ends in one line on standard error and exit code 2."""
    os.environ.setdefault("PYTHONSAFEPATH", "1")  # processes that are started import nothing of the working directory
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_usage())
        return
    if arguments[0] == "--version":
        from bert_lightning import __version__

        print(__version__)
        return
    verb, *overrides = arguments
    try:
        if verb not in VERBS:
            raise UserError(f"no verb {verb!r}; there are {', '.join(VERBS)}")
        if {"-h", "--help"} & set(overrides):
            print(usage(verb, conf_folder()))
            return
        sys.exit(_resume(overrides) if verb == "resume" else _run(verb, overrides))
    except UserError as error:
        _complain(error)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)


def _run(verb: str, overrides: list[str]) -> int:
    """Compose and run; the exit code. A job of a sweep that fails does not stop the others, a signal does."""
    import hydra
    from hydra.errors import HydraException
    from omegaconf import DictConfig
    from omegaconf.errors import OmegaConfBaseException

    from bert_lightning.config import register

    register()
    plain, overrides = _split_plain(verb, overrides)
    overrides.sort(key=lambda override: override not in _SWEEP)  # argparse takes no flag between overrides
    sweeping = bool(_SWEEP & set(overrides))
    code, here = 0, os.getpid()

    def task(config: DictConfig) -> None:
        nonlocal code
        register()  # a launcher may have brought this function to another process
        try:
            if plain:
                config[_PLAIN[verb]] = [text.replace("${", r"\${") for text in plain]  # no interpolation
            if sweeping:
                config.job = _job_name(overrides)
            import_module("bert_lightning.verbs.common").check_keys(config)
            import_module(f"bert_lightning.verbs.{verb}").run(config)
        except (HydraException, OmegaConfBaseException) as error:  # of a config that the verb composed itself
            _complain(UserError(_one_line(error)))
            code = 2
        except (UserError, OSError) as error:  # here, or Hydra would print the overrides first
            if isinstance(error, BrokenPipeError) and _nobody_reads():
                code = 128 + signal.SIGPIPE
            else:
                _complain(error)
                code = 2
        except Exception as error:
            code = max(code, _exit_code(error))
        if code and os.getpid() != here:
            raise JobFailed(code)

    os.environ["HYDRA_FULL_ERROR"] = "1"  # errors of composition come here instead of being printed over several lines
    sys.argv = [sys.argv[0], *overrides]
    try:
        hydra.main(config_path=str(conf_folder()), config_name=verb, version_base="1.3")(task)()
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(_one_line(error)) from None
    except JobFailed as failed:  # the jobs beside it have ended too
        _complain(failed)
        return failed.code
    return code


def _nobody_reads() -> bool:
    """Whether the reader of standard output has left, as `head` does; what is still to be written is dropped then."""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    if not poll.poll(0):  # of no event that was asked for, so of an error only
        return False
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return True


def _resume(arguments: list[str]) -> int:
    """Go on with a run; the exit code. A rank leaves its error to the process that started it, which says it once."""
    from omegaconf.errors import OmegaConfBaseException

    try:
        import_module("bert_lightning.verbs.resume").run(arguments)
    except Exception as error:
        if import_module("bert_lightning.runs.ranks").leave(error):
            return 1
        if isinstance(error, (UserError, OmegaConfBaseException, OSError)):
            _complain(error)
            return 2
        return _exit_code(error)
    return 0


def _exit_code(error: Exception) -> int:
    """Of a run that a signal stopped, which ends a sweep too, or one of whose ranks failed. Raises any other error."""
    from bert_lightning.callbacks.signals import Interrupted
    from bert_lightning.runs.launch import RankFailed

    if isinstance(error, Interrupted):
        _complain(error)
        sys.exit(error.exit_code)
    if not isinstance(error, RankFailed):
        raise error
    _complain(error)
    return 1


def conf_folder() -> Path:
    """Where the configs are: inside the installed package, or beside it in a checkout."""
    here = Path(__file__).resolve().parent
    return next(folder for folder in (here / "conf", here.parent / "conf") if folder.is_dir())


def _split_plain(verb: str, arguments: list[str]) -> tuple[list[str], list[str]]:
    """`predict` takes texts as plain arguments, and whatever follows `--`; everything else is Hydra's."""
    if verb not in _PLAIN:
        return [], arguments
    takes_overrides = _PLAIN[verb] == "overrides"
    end = arguments.index("--") if "--" in arguments else len(arguments)
    overrides: list[str] = []
    texts, previous = arguments[end + 1 :], ""
    for argument in arguments[:end]:
        is_override = not takes_overrides and _OVERRIDE.match(argument)
        of_hydra = argument.startswith("-") or previous in _FLAGS_WITH_VALUE or is_override
        (overrides if of_hydra else texts).append(argument)
        previous = argument
    return texts, overrides


def _job_name(overrides: list[str]) -> str:
    """The values of this job for what the sweep varies: `0-variant-bert-seed-1`. Safe in a path and in an override."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.core.override_parser.overrides_parser import OverridesParser

    parser = OverridesParser.create()
    swept = {
        o.get_key_element()
        for o in parser.parse_overrides([o for o in overrides if not o.startswith("-")])
        if o.is_sweep_override()
    }
    job = HydraConfig.get()
    mine = [o for o in job.overrides.task if o.partition("=")[0] in swept]
    return "-".join([str(job.job.num), *(re.sub(r"[^\w.]+", "-", o).strip("-") for o in mine)])[:120]


def _one_line(error: BaseException) -> str:
    """What Hydra and OmegaConf say over several lines, without their advice to turn on tracebacks."""
    if missing := re.search(r"Missing mandatory value: (\S+)", str(error)):
        return f"{missing[1]} has no value: give {missing[1]}=..."
    lines = [line.strip() for line in f"{error}\n{error.__cause__ or ''}".splitlines() if line.strip()]
    noise = ("full_key:", "object_type=", "reference_type=", "To append to your config", "Config search path:",
             "provider=", "See https://", "Set the environment")  # fmt: skip
    return " ".join(dict.fromkeys(line for line in lines if not line.startswith(noise))) + _hint(lines[0])


def _hint(line: str) -> str:
    """What was meant by a group or key that Hydra does not know."""
    from bert_lightning import config

    unknown = re.search(r"Could not override '([^'@]+)'", line)
    if not unknown:
        return ""
    groups = [folder.name for folder in conf_folder().iterdir() if folder.is_dir()]
    near = difflib.get_close_matches(unknown[1], [*groups, *config.keys()], n=1)
    return f": did you mean {near[0]}=...?" if near else ": --cfg job shows the keys there are"


def _usage() -> str:
    verbs = "\n".join(f"  {verb:10}{what}" for verb, what in VERBS.items())
    return (
        f"bert-lightning <verb> [key=value ...]\n\n{verbs}\n\n"
        "Every verb takes overrides of its config (bert-lightning <verb> --cfg job shows it), -m for a sweep,\n"
        "and --help for its groups. Start with: bert-lightning demo"
    )


def _complain(error: BaseException) -> None:
    message = _one_line(error) if type(error).__module__.startswith("omegaconf") else str(error)
    if isinstance(error, OSError) and error.filename is not None:
        message = f"{error.filename}: {error.strerror}"
    print(f"bert-lightning: error: {message}", file=sys.stderr)


if __name__ == "__main__":
    main()

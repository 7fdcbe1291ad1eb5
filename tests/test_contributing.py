"""CONTRIBUTING.md: each worked example is saved and run, and the reading path has the stated length."""

import re
import shlex
import shutil
import sys
from pathlib import Path

import pytest

import bert_lightning

REPOSITORY = Path(__file__).resolve().parent.parent
GUIDE = (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8")
PACKAGE = Path(bert_lightning.__file__).parent
ADDITIONS = re.findall(r"^### An? ([^\n]+)\n(.*?)(?=^##)", GUIDE, re.MULTILINE | re.DOTALL)
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
KINDS = ["size", "variant", "objective", "task type", "metric", "masking", "example builder", "corpus", "optimizer"]
SMALL = ["model=tiny", "model.hidden_size=32", "model.intermediate_size=64", "debug=smoke", "callbacks.progress=null",
         "logger=none", "trainer=cpu"]  # fmt: skip


def test_each_kind_of_addition_has_an_example_of_25_lines_at_most():  # without blank lines
    assert [kind for kind, _ in ADDITIONS] == KINDS
    files = {kind: [code for language, code in BLOCK.findall(text) if language != "bash"] for kind, text in ADDITIONS}
    assert all(files.values())
    lines = {
        kind: sum(bool(line.strip()) for code in codes for line in code.splitlines()) for kind, codes in files.items()
    }
    assert {kind: count for kind, count in lines.items() if count > 25} == {}


def test_the_core_path_is_as_long_as_said_and_at_most_1500_lines():
    start, end = GUIDE.index("The core path"), GUIDE.index("Then read the room")
    files = re.findall(r"`([\w/]+\.py)`", GUIDE[start:end])
    assert len(files) == len(set(files)) >= 10
    lines = sum(len((PACKAGE / file).read_text(encoding="utf-8").splitlines()) for file in files)
    stated = int(re.search(r"about ([\d,]+) lines", GUIDE[start:end])[1].replace(",", ""))
    assert lines <= 1500
    assert abs(lines - stated) <= 50, f"the core path has {lines} lines: say so in CONTRIBUTING.md"


def test_every_room_and_file_that_the_guide_names_is_there():
    rooms = GUIDE[GUIDE.index("| room |") : GUIDE.index("Letters of shapes")]
    for row in rooms.splitlines()[2:]:
        if not row.startswith("|") or "`conf/`" in row:
            continue
        places, start = (re.findall(r"`([\w/.]+)`", cell) for cell in row.split("|")[1:3])
        assert places, row
        assert all((PACKAGE / place).exists() for place in places), row
        below = [PACKAGE, *(PACKAGE / place for place in places)]
        assert [file for file in start if not any((folder / file).exists() for folder in below)] == [], row
    named = {Path(place).parts[0] for place in re.findall(r"`([\w/.]+)`", rooms)}
    there = {path.name for path in PACKAGE.iterdir() if path.is_dir() and (path / "__init__.py").exists()}
    assert there <= named


@pytest.fixture(scope="session")
def pretrained(small_corpus, tmp_path_factory):
    """The run that the examples fine-tune, and overrides that make pretraining take a second."""
    from bert_lightning import cli

    place = tmp_path_factory.mktemp("pretrained")
    data = ["data=sentences", f"data.corpus.path={small_corpus}", f"data.folder={place}/data",
            "data.validation_fraction=0.2", "tokenizer.vocab_size=400"]  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setenv("PYTHONSAFEPATH", "1")
        patch.setattr(sys, "argv", ["bert-lightning", "pretrain", *data, *SMALL, "name=my-run"])
        cli.main()
    return place / "runs", [*data, *SMALL, "callbacks.checkpoints.every_steps=2"]


def with_small_data(arguments, pretraining):
    """The arguments of a command, and those that make it small and that it does not give itself."""
    more = {"pretrain": pretraining, "finetune": [*SMALL[3:], "batch_size=4", "task.validation_fraction=0.5"]}
    given = {argument.partition("=")[0] for argument in arguments}
    more["inspect"] = [o for o in pretraining if o.startswith(("data", "tokenizer"))]
    if "data.corpus._target_" in given:  # a corpus of its own: its store is another
        more["pretrain"] = [o for o in pretraining if not o.startswith("data.folder")]
    sizes = "model=tiny" in pretraining and any(a.startswith("model=") for a in arguments)
    small = [o for o in more.get(arguments[0], []) if o.partition("=")[0] not in given]
    return [*arguments, *(o for o in small if not (sizes and o.startswith("model")))]


@pytest.mark.parametrize(("kind", "text"), ADDITIONS, ids=KINDS)
def test_an_addition_works_as_it_is_pasted(kind, text, command, pretrained, tmp_path, monkeypatch):
    runs, pretraining = pretrained
    shutil.copytree(runs, tmp_path / "runs", symlinks=True)
    label = "drama;war" if kind == "task type" else "war"
    rows = [f"the cat sleeps {i},{label if i % 2 else 'drama'}" for i in range(16)]
    (tmp_path / "films.csv").write_text("\n".join(["text,label", *rows]) + "\n", encoding="utf-8")
    (tmp_path / "scripts").mkdir()
    for i in range(30):
        lines = [f"ann: the cat sleeps in story {i} part {j}." for j in range(8)]
        (tmp_path / "scripts" / f"{i}.script").write_text("\n".join(lines) + "\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in [name for name in sys.modules if name.partition(".")[0] == "my_parts"]:
        monkeypatch.delitem(sys.modules, name)

    blocks = BLOCK.findall(text)
    files = [re.match(r"(?:# @.+\n)?# (\S+)\n", code)[1] for language, code in blocks if language != "bash"]
    for file, code in zip(files, (code for language, code in blocks if language != "bash"), strict=True):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(code, encoding="utf-8")
    for line in (
        line for language, code in blocks if language == "bash" for line in code.replace("\\\n", " ").splitlines()
    ):
        words = shlex.split(line)
        trusted = words.pop(0).partition("=") if "=" in words[0] else None
        with monkeypatch.context() as patch:
            if trusted:
                patch.setenv(trusted[0], trusted[2])
            arguments = words[words.index("bert-lightning") + 1 :]
            code, output, errors = command(*with_small_data(arguments, pretraining))
        assert code == 0, f"{line}\n{errors}"
        assert output, line
    package = [file for file in files if file.endswith(".py")]
    assert (sys.modules.get(package[0].removesuffix(".py").replace("/", ".")) is not None) if package else True

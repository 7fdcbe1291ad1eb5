"""Corpus -> tokenizer and token stores on disk, once: what `prepare` does, and `pretrain` where it is missing."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from bert_lightning.data.store import TokenStore, write_store
from bert_lightning.errors import UserError
from bert_lightning.text.corpora import Corpus, Document
from bert_lightning.text.sentences import split_position
from bert_lightning.text.tokenizers import TokenizerRecipe, fingerprint, load_tokenizer

_MANIFEST = "manifest.json"


@dataclass(frozen=True)
class PreparedData:
    """A finished folder: tokenizer.json, the stores train/ and validation/, and manifest.json."""

    folder: Path
    tokenizer: Tokenizer
    train: TokenStore
    validation: TokenStore


@dataclass(frozen=True)
class _Split(Iterable[Document]):
    """The documents of one side; reads the corpus anew each time."""

    corpus: Corpus
    fraction: float
    validation: bool

    def __iter__(self) -> Iterator[Document]:
        return (d for d in self.corpus if (split_position(d) < self.fraction) == self.validation)


def prepare(
    corpus: Corpus,
    make_tokenizer: TokenizerRecipe,
    validation_fraction: float,
    folder: Path,
    say: Callable[[str], None],
) -> PreparedData:
    """The stores of a corpus in `folder`/<name made of the settings>, written there unless they exist.

    Everything is written beside its place and renamed at the end, so that a folder with that name is whole. Settings
    and sources (paths, sizes, times) are part of the name: what changed is prepared anew, and never mixed up.

    Raises:
        UserError: an empty corpus, or a split with fewer than two documents.
    """
    if not 0 < validation_fraction < 1:
        raise UserError(f"data.validation_fraction={validation_fraction} must be above 0 and below 1")
    settings = {
        "corpus": repr(corpus),
        "tokenizer": repr(make_tokenizer),
        "validation_fraction": validation_fraction,
        "sources": [
            [str(file), file.stat().st_size, file.stat().st_mtime_ns]
            for file in (*corpus.files(), *make_tokenizer.files())
        ],
    }
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]
    target = folder.with_name(f"{folder.name}-{digest}")
    if not (target / _MANIFEST).exists():
        partial = Path(tempfile.mkdtemp(prefix=f"{target.name}.partial-", dir=target.parent))
        try:
            _write(partial, corpus, make_tokenizer, validation_fraction, settings, say)
            partial.replace(target)
        except OSError:
            if not (target / _MANIFEST).exists():  # or another process has just finished the same
                raise
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return open_prepared(target)


def open_prepared(folder: Path) -> PreparedData:
    """What `prepare` wrote into `folder`.

    Raises:
        UserError: the folder is not one, or its tokenizer is not the one its ids were made with.
    """
    try:
        manifest = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{folder} is not a prepared corpus ({error}): delete it and run prepare again") from None
    tokenizer = load_tokenizer(folder)
    if fingerprint(tokenizer) != manifest["tokenizer_fingerprint"]:
        raise UserError(
            f"{folder}/tokenizer.json is not the one that made these ids: delete the folder and run prepare"
        )
    return PreparedData(folder, tokenizer, TokenStore(folder / "train"), TokenStore(folder / "validation"))


def _write(
    folder: Path,
    corpus: Corpus,
    make_tokenizer: TokenizerRecipe,
    fraction: float,
    settings: dict[str, object],
    say: Callable[[str], None],
) -> None:
    train, validation = _Split(corpus, fraction, False), _Split(corpus, fraction, True)
    _check_split(corpus, fraction)
    say("making the tokenizer")
    tokenizer = make_tokenizer(train)
    say("tokenizing")
    counts = {
        name: write_store(folder / name, split, tokenizer)
        for name, split in (("train", train), ("validation", validation))
    }
    tokenizer.save(str(folder / "tokenizer.json"))
    manifest = {
        "settings": settings,
        "tokenizer_fingerprint": fingerprint(load_tokenizer(folder)),
        "vocab_size": tokenizer.get_vocab_size(),
        "splits": counts,
    }
    (folder / _MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")


def _check_split(corpus: Corpus, fraction: float) -> None:
    """Two documents at least on each side, or there is no other document to take a wrong continuation from."""
    positions = np.sort(np.fromiter((split_position(document) for document in corpus), dtype=np.float64))
    source = ", ".join(map(str, corpus.files()[:3]))
    total, in_validation = len(positions), int((positions < fraction).sum())
    if total == 0:
        raise UserError(f"{source}: no text in it; give a corpus with documents")
    if total < 4:
        raise UserError(
            f"{source}: {total} document{'s' * (total > 1)}; training and validation need two each (next-sentence "
            "prediction takes wrong continuations from another document): separate documents by a blank line"
        )
    if not 2 <= in_validation <= total - 2:
        serves = math.ceil(positions[1] * 100 + 1e-9) / 100 if in_validation < 2 else round((positions[-2]) * 0.9, 2)
        raise UserError(
            f"{source}: data.validation_fraction={fraction} puts {in_validation} of {total} documents into validation; "
            f"both sides need two: use data.validation_fraction={serves}"
        )

"""Corpus -> tokenizer and token stores on disk, once: what `prepare` does, and `pretrain` where it is missing.

A finished folder is named after the corpus and a digest of the settings and sources. Beside it, `<name>.partial` holds
what is done so far: a run that was ended in any way goes on from there, and ends with the same bits.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer

from bert_lightning.data import manifest
from bert_lightning.data.parts import Job, join, write_parts
from bert_lightning.data.splitting import TrainingSample, check_counts, check_split
from bert_lightning.data.store import TokenStore
from bert_lightning.errors import UserError
from bert_lightning.text.corpora import Corpus
from bert_lightning.text.encoding import id_type
from bert_lightning.text.tokenizers import SpecialIds, TokenizerRecipe, fingerprint, load_tokenizer, vocabulary_size

Say = Callable[[str], None]
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True)
class PreparedData:
    """A finished folder: tokenizer.json, the stores train/ and validation/, and manifest.json."""

    folder: Path
    tokenizer: Tokenizer
    train: TokenStore
    validation: TokenStore
    fingerprint: str  # 16 hexadecimal digits that change with any token of the stores, or with the tokenizer


@dataclass(frozen=True)
class Plan:
    """What a store is made from. Its parts are the same for every number of processes and machines.

    Attributes:
        corpus: what is read.
        make_tokenizer: what tokenizes; trained on the training documents where it is trained.
        validation_fraction: share of the documents for validation.
        folder: where; its last part is the beginning of the name.
        deduplicate: leave out documents whose characters, white space aside, stood in an earlier one.
    """

    corpus: Corpus
    make_tokenizer: TokenizerRecipe
    validation_fraction: float
    folder: Path
    deduplicate: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.validation_fraction < 1:
            raise UserError(f"data.validation_fraction={self.validation_fraction} must be above 0 and below 1")

    def settings(self) -> dict[str, object]:
        """Everything that decides what the store holds, and the state of the sources."""
        files = (*self.corpus.files(), *self.make_tokenizer.files())
        return {
            "corpus": repr(self.corpus),
            "tokenizer": repr(self.make_tokenizer),
            "validation_fraction": self.validation_fraction,
            "deduplicate": self.deduplicate,
            "sources": [[str(file), file.stat().st_size, file.stat().st_mtime_ns] for file in files],
        }

    def target(self) -> Path:
        """The folder of the finished store. What changed has another name, so nothing is ever mixed up."""
        return self.folder.with_name(f"{self.folder.name}-{manifest.digest(self.settings())[:12]}")


def prepare(plan: Plan, say: Say, workers: int | None = None, thorough: bool = False) -> PreparedData:
    """The stores of a plan, written unless they exist.

    Args:
        plan: what they are made from.
        say: called with what is being done.
        workers: processes that tokenize; None for as many as there are cores.
        thorough: check the hash of every file of a store that exists, however large.

    Raises:
        UserError: an empty corpus, or a split without documents.
    """
    target = plan.target()
    if not target.exists():
        _say_why_not(plan, say)
        with _unfinished(target, "lock") as partial:
            if not target.exists():  # or another process has just finished the same
                job = _job(plan, partial)
                with _removed_if_the_sources_are_wrong(partial):
                    _make_tokenizer(job, plan.make_tokenizer, say)
                    say("tokenizing")
                    write_parts(job, dict(enumerate(job.corpus.parts())), workers or _cores(), say)
                    _finish(plan, job, say)
            shutil.rmtree(partial)
    return open_prepared(target, thorough)


def prepare_shard(plan: Plan, shard: int, shards: int, workers: int | None, say: Say) -> None:
    """Tokenize every part whose number is `shard` modulo `shards`; `merge_shards` makes the store.

    Shards may be written at the same time, on machines that share the folder. The first to make the tokenizer decides.
    """
    if not 0 <= shard < shards:
        raise UserError(f"shard={shard} must be 0 to {shards - 1}, for shards={shards}")
    if (target := plan.target()).exists():
        say(f"{target} is finished")
        return
    with _unfinished(target, f"lock-{shard}") as partial:
        job = _job(plan, partial)
        _make_tokenizer(job, plan.make_tokenizer, say)
        say(f"tokenizing shard {shard} of {shards}")
        mine = {number: part for number, part in enumerate(job.corpus.parts()) if number % shards == shard}
        write_parts(job, mine, workers or _cores(), say)
    say(f"shard {shard} of {shards} is there; when all are: the same command with merge=true in place of shard")


def merge_shards(plan: Plan, shards: int, say: Say) -> PreparedData:
    """The stores of a plan whose shards have all been written.

    Raises:
        UserError: a shard is missing; the message names it.
    """
    target = plan.target()
    if not target.exists():
        with _unfinished(target, "lock") as partial:
            if not target.exists():
                job, parts = _job(plan, partial), plan.corpus.parts()
                missing = [number for number in range(len(parts)) if not job.has(number)]
                if missing:
                    names = ", ".join(map(str, sorted({number % shards for number in missing})))
                    raise UserError(
                        f"{len(missing)} of {len(parts)} parts are missing, of shard {names} of shards={shards}: run "
                        f"prepare with shards={shards} and shard={names.partition(',')[0]}"
                    )
                _finish(plan, job, say)
            shutil.rmtree(partial)
    return open_prepared(target)


def open_prepared(folder: Path, thorough: bool = False) -> PreparedData:
    """What `prepare` wrote into `folder`; `thorough` hashes even its largest files.

    Raises:
        UserError: the folder is not one, it is damaged, or its tokenizer is not the one its ids were made with.
    """
    known = manifest.read(folder, thorough)
    tokenizer = load_tokenizer(folder)
    if fingerprint(tokenizer) != known["tokenizer_fingerprint"]:
        raise UserError(
            f"{folder}/tokenizer.json is not the one that made these ids: delete the folder and run prepare"
        )
    content = manifest.digest({name: file["sha256"] for name, file in known["files"].items()})[:16]
    return PreparedData(folder, tokenizer, TokenStore(folder / "train"), TokenStore(folder / "validation"), content)


def _job(plan: Plan, partial: Path) -> Job:
    return Job(plan.corpus, plan.validation_fraction, plan.deduplicate, partial)


def _finish(plan: Plan, job: Job, say: Say) -> None:
    """Join the parts, all of which are there."""
    say("joining")
    tokenizer, joined = load_tokenizer(job.folder), job.folder / "joined"
    shutil.rmtree(joined, ignore_errors=True)
    counts = join(job, len(job.corpus.parts()), joined, id_type(tokenizer))
    check_counts(job.corpus, job.validation_fraction, counts)
    shutil.copyfile(job.folder / "tokenizer.json", joined / "tokenizer.json")
    description = {
        "settings": plan.settings(),
        "tokenizer_fingerprint": fingerprint(tokenizer),
        "vocab_size": vocabulary_size(tokenizer),
        "splits": counts,
    }
    manifest.write(joined, description)
    joined.rename(plan.target())


def _make_tokenizer(job: Job, make_tokenizer: TokenizerRecipe, say: Say) -> None:
    """Make tokenizer.json where it is not; of several processes the first to make it decides."""
    path = job.folder / "tokenizer.json"
    if path.exists():
        return
    check_split(job.corpus, job.validation_fraction)
    say("making the tokenizer")
    documents = TrainingSample(job.corpus, job.validation_fraction, make_tokenizer.sample_megabytes * 10**6)
    beside = job.folder / f"tokenizer.json.{os.getpid()}"
    tokenizer = make_tokenizer(documents)
    SpecialIds.of(tokenizer).require_mask()  # before hours of work: what is prepared here is for masking
    beside.write_text(tokenizer.to_str(), encoding="utf-8")
    with contextlib.suppress(FileExistsError):
        os.link(beside, path)
    beside.unlink()


@contextlib.contextmanager
def _unfinished(target: Path, lock_name: str) -> Iterator[Path]:
    """The folder for what is half done, while no other process holds the same lock in it."""
    partial = target.with_name(f"{target.name}.partial")
    lock = partial / lock_name
    while True:
        try:
            partial.mkdir(exist_ok=True)
            file = lock.open("a")
        except FileNotFoundError:  # another process has just finished, and removed it
            continue
        with file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if not lock.exists() or not os.path.samestat(os.fstat(file.fileno()), lock.stat()):
                continue
            with _full_disk_named(target):
                yield partial
            return


@contextlib.contextmanager
def _full_disk_named(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        raise UserError(
            f"no room for {target} ({error.strerror}): free some and run the same command again; what is done is kept"
        ) from None


@contextlib.contextmanager
def _removed_if_the_sources_are_wrong(partial: Path) -> Iterator[None]:
    """What mends the sources makes another store; so what was made from them is of no use."""
    try:
        yield
    except UserError:
        shutil.rmtree(partial)
        raise


def _say_why_not(plan: Plan, say: Say) -> None:
    """Stores of the same name that do not fit, and why."""
    folder, settings = plan.folder, plan.settings()
    for path in sorted(folder.parent.glob(f"{folder.name}-*/{manifest.NAME}")):
        with contextlib.suppress(OSError, ValueError, KeyError):
            old = json.loads(path.read_text(encoding="utf-8"))["settings"]
            say(f"{path.parent} does not fit: {'; '.join(manifest.differences(old, settings))}")


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

"""Data preparation: make a tokenizer and token stores from a corpus. `prepare` or the first `pretrain` does it once.

A finished folder is named after the corpus and a hash of its settings and sources. `<name>.partial` beside it has
unfinished work. An interrupted run continues there, and its result has the same bits.
"""

from __future__ import annotations

import contextlib
import glob
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer

from bert_lightning.data.store.manifest import (
    MANIFEST,
    json_sha256,
    read_manifest,
    settings_differences,
    write_manifest,
)
from bert_lightning.data.store.parts import SPLITS, TokenizationJob, join_parts, join_words, write_parts
from bert_lightning.data.store.splitting import (
    SplitRule,
    SplitWithinDocuments,
    TrainingSample,
    check_counts,
    choose_split,
)
from bert_lightning.data.store.token_store import TokenStore
from bert_lightning.data.store.unfinished import FirstDecisions, remove_on_user_error, unfinished_folder
from bert_lightning.data.store.word_frequency import WordCounts
from bert_lightning.errors import UserError
from bert_lightning.text import findings
from bert_lightning.text.corpora import Corpus
from bert_lightning.text.files.paths import endings
from bert_lightning.text.tokenizers.batch_tokenizer import id_type
from bert_lightning.text.tokenizers.recipes import (
    SpecialIds,
    TokenizerRecipe,
    fingerprint,
    load_tokenizer,
    vocabulary_size,
)

Say = Callable[[str], None]


@dataclass(frozen=True)
class PreparedData:
    """A finished folder: tokenizer.json, the stores train/ and validation/, and manifest.json."""

    folder: Path
    tokenizer: Tokenizer
    train: TokenStore
    validation: TokenStore
    fingerprint: str  # 16 hexadecimal digits that change if any token of the stores or the tokenizer changes
    notes: tuple[str, ...] = ()  # remarks for the user
    passages: tuple[str, ...] = ()  # some validation text, for losses that compare between tokenizers
    word_counts: WordCounts | None = None  # how often the words of the passages occur in the training text


@dataclass(frozen=True)
class StorePlan:
    """The settings of a prepared folder.

    Attributes:
        corpus: source of the documents.
        make_tokenizer: recipe of the tokenizer. If it trains one, it uses the training documents only.
        validation_fraction: fraction of the documents for validation.
        folder: path of the finished folder, without the hash at the end of its name.
        deduplicate: whether to leave out a document that equals an earlier one (white space may differ).

    Raises:
        UserError: if `validation_fraction` is not above 0 and below 1.
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
        """Return everything that determines the content of the stores, including the state of the source files."""
        files = (*self.corpus.files(), *self.make_tokenizer.files())
        return {
            "corpus": repr(self.corpus),
            "tokenizer": repr(self.make_tokenizer),
            "validation_fraction": self.validation_fraction,
            "deduplicate": self.deduplicate,
            "sources": [[str(file), file.stat().st_size, file.stat().st_mtime_ns] for file in files],
        }

    def target(self) -> Path:
        """Return the path of the finished folder. Other settings or sources give another path."""
        return self.folder.with_name(f"{self.folder.name}-{json_sha256(self.settings())[:12]}")


def prepare(
    plan: StorePlan, say: Say, workers: int | None = None, thorough: bool = False, note: Say | None = None
) -> PreparedData:
    """Return the prepared data of a plan, and make it first if it does not exist.

    Args:
        plan: settings of the prepared data.
        say: function that is called with progress messages.
        workers: number of processes that tokenize; None for the number of cores.
        thorough: whether to check the hash of every existing file, even of large ones.
        note: function that is called with remarks about the corpus and the tokenizer; None for `say`.

    Raises:
        UserError: if the corpus is empty, or a split has no documents.
    """
    target, note = plan.target(), note or say
    made = False
    if not target.exists():
        _say_what_differs(plan, say)
        with unfinished_folder(target, "lock") as partial:
            if not target.exists():  # unless another process has just finished it
                made = True
                with remove_on_user_error(partial):
                    job = _started_job(plan, partial, say, note)
                    say("tokenizing")
                    write_parts(job, dict(enumerate(job.corpus.parts())), workers or _cores(), say)
                    _finish(plan, job, say)
            shutil.rmtree(partial)
    data = open_prepared(target, thorough)
    for text in () if made else data.notes:
        note(text)
    return data


def prepare_shard(
    plan: StorePlan, shard: int, shards: int, workers: int | None, say: Say, note: Say | None = None
) -> None:
    """Tokenize every part whose number is `shard` modulo `shards`. Afterwards `merge_shards` makes the stores.

    Shards may be written at the same time, on machines that share the folder. All use the same tokenizer.

    Raises:
        UserError: if `shard` is not from 0 to `shards` - 1.
    """
    if not 0 <= shard < shards:
        raise UserError(f"shard={shard} must be 0 to {shards - 1}, for shards={shards}")
    if (target := plan.target()).exists():
        say(f"{target} is finished")
        return
    with unfinished_folder(target, f"lock-{shard}") as partial:
        job = _started_job(plan, partial, say, note or say)
        say(f"tokenizing shard {shard} of {shards}")
        mine = {number: part for number, part in enumerate(job.corpus.parts()) if number % shards == shard}
        write_parts(job, mine, workers or _cores(), say)
    say(f"shard {shard} of {shards} is finished; once all are, run the same command with merge=true in place of shard")


def merge_shards(plan: StorePlan, shards: int, say: Say) -> PreparedData:
    """Make the stores of a plan from its shards, and return the prepared data.

    Raises:
        UserError: if a shard is missing; the message names it.
    """
    target = plan.target()
    if not target.exists():
        with unfinished_folder(target, "lock") as partial:
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
    """Open a folder that `prepare` wrote. If `thorough` is true, check the hashes of large files too.

    Raises:
        UserError: if `prepare` did not write the folder, it is damaged, or its ids are from another tokenizer.
    """
    known = read_manifest(folder, thorough)
    tokenizer = load_tokenizer(folder)
    if fingerprint(tokenizer) != known["tokenizer_fingerprint"]:
        raise UserError(
            f"{folder}/tokenizer.json is not the tokenizer that made these ids: delete the folder and run prepare again"
        )
    content = json_sha256({name: file["sha256"] for name, file in known["files"].items()})[:16]
    train, validation = (TokenStore(folder / split) for split in SPLITS)
    notes, passages = (tuple(known.get(key, ())) for key in ("notes", "passages"))  # older folders have no passages
    words = WordCounts(**known["word_counts"]) if known.get("word_counts") else None
    return PreparedData(folder, tokenizer, train, validation, content, notes, passages, words)


def _finish(plan: StorePlan, job: TokenizationJob, say: Say) -> None:
    """Join all parts into the finished folder. All parts must exist."""
    say("joining")
    tokenizer, joined = load_tokenizer(job.folder), job.folder / "joined"
    shutil.rmtree(joined, ignore_errors=True)
    counts = join_parts(job, joined, id_type(tokenizer))
    check_counts(job.corpus, plan.validation_fraction, counts)
    shutil.copyfile(job.folder / "tokenizer.json", joined / "tokenizer.json")
    description = {
        "settings": plan.settings(),
        "tokenizer_fingerprint": fingerprint(tokenizer),
        "vocab_size": vocabulary_size(tokenizer),
        "splits": counts,
        **join_words(job),
    }
    if notes := FirstDecisions.read(job.folder).notes:
        description["notes"] = notes
    write_manifest(joined, description)
    joined.rename(plan.target())


def _started_job(plan: StorePlan, partial: Path, say: Say, note: Say) -> TokenizationJob:
    """Return the job of a plan, and report its notes. For a new job, first choose the split and make the tokenizer."""
    if not (partial / "tokenizer.json").exists():
        notes: list[str] = []
        if skipped := plan.corpus.skipped():
            notes.append(
                f"{len(skipped)} files of the corpus are not read because of their ending ({endings(skipped)})"
            )
        split = choose_split(plan.corpus, plan.validation_fraction, notes.append)
        say("making the tokenizer")
        _make_tokenizer(plan, partial, split, notes)
    for text in FirstDecisions.read(partial).notes:
        note(text)
    return _job(plan, partial)


def _job(plan: StorePlan, partial: Path) -> TokenizationJob:
    """Return the job of a plan. Its split and tokenizer must be in the unfinished folder."""
    split = FirstDecisions.read(partial).split(plan.validation_fraction)
    return TokenizationJob(plan.corpus, split, plan.deduplicate, partial, len(plan.corpus.parts()))


def _make_tokenizer(plan: StorePlan, partial: Path, split: SplitRule, notes: list[str]) -> None:
    """Write begin.json and tokenizer.json. If several processes do this, all use the first tokenizer."""
    recipe = plan.make_tokenizer
    tokenizer = recipe(TrainingSample(plan.corpus, split, int(recipe.sample_megabytes * 10**6)), notes.append)
    SpecialIds.of(tokenizer).require_mask()  # checked before hours of work, because the data is for masking
    findings.report(tokenizer, TrainingSample(plan.corpus, split, findings.SAMPLE), notes.append)
    FirstDecisions(isinstance(split, SplitWithinDocuments), tuple(notes)).write(partial)
    beside = partial / f"tokenizer.json.{os.getpid()}"
    beside.write_text(tokenizer.to_str(), encoding="utf-8")
    with contextlib.suppress(FileExistsError):
        os.link(beside, partial / "tokenizer.json")
    beside.unlink()


def _say_what_differs(plan: StorePlan, say: Say) -> None:
    """Tell the user why an existing store cannot be used, by its differences from the most similar store."""
    folder, settings = plan.folder, plan.settings()
    found = []
    for path in sorted(folder.parent.glob(f"{glob.escape(folder.name)}-*/{MANIFEST}")):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            old = json.loads(path.read_text(encoding="utf-8"))["settings"]
            found.append((settings_differences(old, settings), path.parent))
    if found:
        differences, nearest = min(found, key=lambda entry: len(entry[0]))
        say(f"making a new store; {nearest} stays, and differs in this: {'; '.join(differences[:5])}")


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

"""Parts of a corpus: several processes tokenize them, each part is written once, and all are joined into one store.

parts/<number>/<split>/  unfinished files of a `StoreWriter`, and digests.bin if duplicates are dropped
parts/<number>/part.json counts and hashes; a folder gets its final name last, so it is complete if it exists
"""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bert_lightning.data.store.duplicates import DIGEST_BYTES, first_occurrences
from bert_lightning.data.store.passages import PassageSample
from bert_lightning.data.store.splitting import SplitRule
from bert_lightning.data.store.token_store import StoreWriter, file_sha256, read_part, tokenize_documents
from bert_lightning.data.store.word_frequency import COUNTED_PARTS, WordCounter, WordCounts
from bert_lightning.errors import UserError
from bert_lightning.text.corpora import Corpus, Document
from bert_lightning.text.files.lines import Part
from bert_lightning.text.sentences import document_hash, hash_fraction
from bert_lightning.text.tokenizers.batch_tokenizer import BatchTokenizer, IdType
from bert_lightning.text.tokenizers.cached_tokenizer import fastest_tokenizer
from bert_lightning.text.tokenizers.recipes import load_tokenizer

SPLITS = ("train", "validation")
_CHARACTERS_AT_ONCE = 2**20  # characters that are tokenized in one call


@dataclass(frozen=True)
class TokenizationJob:
    """The settings for tokenizing a corpus. They are the same for all its parts."""

    corpus: Corpus
    split: SplitRule
    deduplicate: bool
    folder: Path  # has tokenizer.json and parts/
    num_parts: int  # of the whole corpus

    def part_folder(self, number: int) -> Path:
        return self.folder / "parts" / f"{number:06d}"

    def has(self, number: int) -> bool:
        """Return whether part `number` is complete."""
        return (self.part_folder(number) / "part.json").exists()

    def counts_words(self, number: int) -> bool:
        """Return whether the words of part `number` are counted: of every part, or of some spread evenly."""
        return number % -(-self.num_parts // COUNTED_PARTS) == 0


@dataclass(frozen=True)
class PartRecord:
    """The content of part.json: the counts of each split, the hash of each file, and passages of validation text.

    `words` has the occurrences of each word of the training text; None in a part whose words are not counted.
    """

    counts: dict[str, dict[str, int]]
    hashes: dict[str, str] = field(default_factory=dict)
    passages: list[str] = field(default_factory=list)
    words: dict[str, int] | None = None


def write_parts(job: TokenizationJob, parts: Mapping[int, Part], workers: int, say: Callable[[str], None]) -> None:
    """Tokenize parts of a corpus. `parts` maps part numbers to parts. Parts that exist already are not changed."""
    todo = [(number, part) for number, part in parts.items() if not job.has(number)]
    if len(todo) < len(parts):
        say(f"continuing: {len(parts) - len(todo)} of {len(parts)} parts are finished already")
    if min(workers, len(todo)) <= 1:
        tokenize = fastest_tokenizer(load_tokenizer(job.folder))
        for number, part in todo:
            _write_part(job, number, part, tokenize)
        return
    # Spawn, not fork: tokenizers and torch have threads, and a fork of a process with threads may hang.
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(todo)), spawn, initializer=_initialize_worker, initargs=(job,)) as pool:
        futures = [pool.submit(_write_part_in_worker, number, part) for number, part in todo]
        try:
            for done, future in enumerate(as_completed(futures), 1):
                future.result()
                say(f"{len(parts) - len(todo) + done} of {len(parts)} parts are tokenized")
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


_worker: tuple[TokenizationJob, BatchTokenizer]


def _initialize_worker(job: TokenizationJob) -> None:
    global _worker
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # the processes run in parallel already
    _worker = job, fastest_tokenizer(load_tokenizer(job.folder))
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this worker when its parent process ends, so that no worker continues alone."""
    parent = multiprocessing.parent_process()
    assert parent is not None, "runs in a worker"
    parent.join()
    os._exit(1)


def _write_part_in_worker(number: int, part: Part) -> None:
    job, tokenize = _worker
    _write_part(job, number, part, tokenize)


def _write_part(job: TokenizationJob, number: int, part: Part, tokenize: BatchTokenizer) -> None:
    """Tokenize one part into a temporary folder, then give the folder its final name."""
    target = job.part_folder(number)
    beside, passages = target.with_name(f"{target.name}.{os.getpid()}"), PassageSample()
    words = WordCounter() if job.counts_words(number) else None
    shutil.rmtree(beside, ignore_errors=True)
    try:
        with (
            _SplitWriter(beside / "train", tokenize, job.deduplicate) as train,
            _SplitWriter(beside / "validation", tokenize, job.deduplicate) as validation,
        ):
            for document in job.corpus.read(part):
                if part.share < 1 and hash_fraction(document, salt=1) >= part.share:
                    continue
                for_training, for_validation = job.split(document)
                for piece in for_training:
                    train.take(piece, part.copy)
                    if words is not None:
                        words.take(piece)
                for piece in for_validation if part.copy == 0 else ():  # validation sees each document once
                    validation.take(piece, part.copy)
                    passages.take(piece)
        record = PartRecord(
            {name: writer.store.counts for name, writer in zip(SPLITS, (train, validation), strict=True)},
            {str(file.relative_to(beside)): file_sha256(file) for file in sorted(beside.rglob("*.bin"))},
            passages.passages(),
            None if words is None else words.counts(),
        )
        (beside / "part.json").write_text(json.dumps(asdict(record)), encoding="utf-8")
        try:
            beside.rename(target)
        except OSError:
            if not target.exists():  # unless another process wrote the same part
                raise
    finally:
        shutil.rmtree(beside, ignore_errors=True)


class _SplitWriter:
    """A writer of one split of a part. It collects documents until there are enough to tokenize together."""

    def __init__(self, folder: Path, tokenize: BatchTokenizer, digests: bool) -> None:
        self.store, self.tokenize = StoreWriter(folder, tokenize.dtype), tokenize
        self.documents: list[Document] = []
        self.digests: list[bytes] | None = [] if digests else None
        self.characters = 0

    def take(self, document: Document, copy: int) -> None:
        self.documents.append(document)
        if self.digests is not None:
            self.digests.append(document_hash(document, DIGEST_BYTES, salt=copy))
        self.characters += sum(map(len, document))
        if self.characters >= _CHARACTERS_AT_ONCE:
            self._flush()

    def _flush(self) -> None:
        documents, full = tokenize_documents(self.documents, self.tokenize)
        self.store.add(documents)
        if self.digests is not None:
            with (self.store.folder / "digests.bin").open("ab") as file:
                file.write(b"".join(digest for digest, there in zip(self.digests, full, strict=True) if there))
            self.digests.clear()
        self.documents.clear()
        self.characters = 0

    def __enter__(self) -> _SplitWriter:
        self.store.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        try:
            if error[0] is None and self.documents:
                self._flush()
        finally:
            self.store.__exit__(*error)


def join_parts(job: TokenizationJob, target: Path, dtype: IdType) -> dict[str, dict[str, int]]:
    """Join all parts into finished stores in `target`, and return the counts of each split.

    If duplicates are dropped, the counts include their number.

    Raises:
        UserError: if a part is damaged.
    """
    for number in range(job.num_parts):
        _check_part(job.part_folder(number))
    counts = {}
    for split in SPLITS:
        folders = [job.part_folder(number) / split for number in range(job.num_parts)]
        kept = first_occurrences([folder / "digests.bin" for folder in folders]) if job.deduplicate else None
        with StoreWriter(target / split, dtype) as writer:
            at = 0
            for folder in folders:
                for documents in read_part(folder, dtype):
                    size = len(documents.document_lengths)
                    writer.add(documents if kept is None else documents.select(kept[at : at + size]))
                    at += size
            writer.finish()
        counts[split] = writer.counts
        if kept is not None:
            counts[split]["duplicates_dropped"] = int((~kept).sum())
    return counts


def join_words(job: TokenizationJob) -> dict[str, Any]:
    """Return the passages of all parts, and how often their words occur, as the manifest of a store keeps them.

    Call `join_parts` first, which checks the parts. There are no counts if an older version wrote one of the parts.
    """
    files = [job.part_folder(number) / "part.json" for number in range(job.num_parts)]
    passages = PassageSample(text for file in files for text in _record(file).passages).passages()
    counted = [file for number, file in enumerate(files) if job.counts_words(number)]
    if any(_record(file).words is None for file in counted):
        return {"passages": passages}
    counts = WordCounts.of_parts((_record(file).words or {} for file in counted), passages)
    return {"passages": passages, "word_counts": asdict(counts)}


def _record(file: Path) -> PartRecord:
    return PartRecord(**json.loads(file.read_text(encoding="utf-8")))


def _check_part(folder: Path) -> None:
    fix = f"delete {folder} and run the same command again"
    try:
        record = _record(folder / "part.json")
        hashes = [(str(name), str(expected)) for name, expected in record.hashes.items()]
        found = [file_sha256(folder / name) for name, _ in hashes]
    except PermissionError as error:
        raise UserError(f"{error.filename}: {error.strerror}: allow this user to read it") from None
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(f"{folder} is damaged ({error}): {fix}") from None
    for (name, expected), actual in zip(hashes, found, strict=True):
        if actual != expected:
            raise UserError(f"{folder / name} is damaged: its sha256 is {actual}, expected {expected}; {fix}")

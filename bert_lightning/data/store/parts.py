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
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bert_lightning.data.store.passages import PassageSample
from bert_lightning.data.store.splitting import SplitRule
from bert_lightning.data.store.token_store import StoreWriter, file_sha256, read_part, tokenize_documents
from bert_lightning.errors import UserError
from bert_lightning.text.corpora import Corpus, Document
from bert_lightning.text.files.lines import Part
from bert_lightning.text.sentences import document_hash, hash_fraction
from bert_lightning.text.tokenizers.batch_tokenizer import BatchTokenizer, IdType
from bert_lightning.text.tokenizers.cached_tokenizer import fastest_tokenizer
from bert_lightning.text.tokenizers.recipes import load_tokenizer

SPLITS = ("train", "validation")
_DIGEST_BYTES = 16
_CHARACTERS_AT_ONCE = 2**20  # characters that are tokenized in one call
_DIGESTS_AT_ONCE = 2**24  # digests in memory: 16 bytes each, and 16 more to sort them


@dataclass(frozen=True)
class TokenizationJob:
    """The settings for tokenizing a corpus. They are the same for all its parts."""

    corpus: Corpus
    split: SplitRule
    deduplicate: bool
    folder: Path  # has tokenizer.json and parts/

    def part_folder(self, number: int) -> Path:
        return self.folder / "parts" / f"{number:06d}"

    def has(self, number: int) -> bool:
        """Return whether part `number` is complete."""
        return (self.part_folder(number) / "part.json").exists()


@dataclass(frozen=True)
class PartRecord:
    """The content of part.json: the counts of each split, the hash of each file, and passages of validation text."""

    counts: dict[str, dict[str, int]]
    hashes: dict[str, str] = field(default_factory=dict)
    passages: list[str] = field(default_factory=list)


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
                for piece in for_validation if part.copy == 0 else ():  # validation sees each document once
                    validation.take(piece, part.copy)
                    passages.take(piece)
        record = PartRecord(
            {name: writer.store.counts for name, writer in zip(SPLITS, (train, validation), strict=True)},
            {str(file.relative_to(beside)): file_sha256(file) for file in sorted(beside.rglob("*.bin"))},
            passages.passages(),
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
            self.digests.append(document_hash(document, _DIGEST_BYTES, salt=copy))
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


def join_parts(job: TokenizationJob, count: int, target: Path, dtype: IdType) -> dict[str, dict[str, int]]:
    """Join all parts into finished stores in `target`, and return the counts of each split.

    If duplicates are dropped, the counts include their number.

    Raises:
        UserError: if a part is damaged.
    """
    for number in range(count):
        _check_part(job.part_folder(number))
    counts = {}
    for split in SPLITS:
        folders = [job.part_folder(number) / split for number in range(count)]
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


def join_passages(job: TokenizationJob, count: int) -> list[str]:
    """Return the passages of all parts. Call `join_parts` first, which checks the parts."""
    records = (json.loads((job.part_folder(number) / "part.json").read_text()) for number in range(count))
    return PassageSample(passage for record in records for passage in record.get("passages", ())).passages()


def _check_part(folder: Path) -> None:
    fix = f"delete {folder} and run the same command again"
    try:
        record = PartRecord(**json.loads((folder / "part.json").read_text(encoding="utf-8")))
        hashes = [(str(name), str(expected)) for name, expected in record.hashes.items()]
        found = [file_sha256(folder / name) for name, _ in hashes]
    except PermissionError as error:
        raise UserError(f"{error.filename}: {error.strerror}: allow this user to read it") from None
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(f"{folder} is damaged ({error}): {fix}") from None
    for (name, expected), actual in zip(hashes, found, strict=True):
        if actual != expected:
            raise UserError(f"{folder / name} is damaged: its sha256 is {actual}, expected {expected}; {fix}")


def first_occurrences(files: Sequence[Path]) -> npt.NDArray[np.bool_]:
    """Return an array that is true at the first occurrence of each digest, over all files in order.

    A missing file counts as empty. The function needs memory for one byte per digest, and for 16 M digests at a time.
    """
    kept = np.ones(sum(path.stat().st_size for path in files if path.exists()) // _DIGEST_BYTES, np.bool_)
    buckets = 1 + len(kept) // _DIGESTS_AT_ONCE
    for bucket in range(buckets):
        positions, digests = [np.zeros(0, np.int64)], [np.zeros((0, 2), "<u8")]
        for begin, block in _digests(files):
            mine = np.flatnonzero(block[:, 0] % buckets == bucket)
            positions.append(begin + mine)
            digests.append(block[mine])
        position, digest = np.concatenate(positions), np.concatenate(digests)
        order = np.lexsort((position, digest[:, 1], digest[:, 0]))
        same = (digest[order[1:]] == digest[order[:-1]]).all(axis=1)
        kept[position[order[1:][same]]] = False
    return kept


def _digests(files: Sequence[Path]) -> Iterator[tuple[int, npt.NDArray[np.uint64]]]:
    begin = 0
    for path in files:
        if path.exists():
            block = np.fromfile(path, "<u8").reshape(-1, 2)
            yield begin, block
            begin += len(block)

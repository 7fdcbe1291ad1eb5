"""The folder of an unfinished store: locks for its writers, decisions that were made, and cleanup after errors."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path

from bert_lightning.data.store.splitting import ByDocument, Split, WithinDocuments
from bert_lightning.data.store.token_store import write_whole
from bert_lightning.errors import UserError

_BEGIN = "begin.json"
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True)
class Begin:
    """The content of begin.json in an unfinished folder: decisions made before the first document was tokenized."""

    within_documents: bool = False
    notes: tuple[str, ...] = ()

    def split(self, fraction: float) -> Split:
        return (WithinDocuments if self.within_documents else ByDocument)(fraction)

    def write(self, folder: Path) -> None:
        write_whole(folder / _BEGIN, json.dumps(asdict(self)))

    @classmethod
    def read(cls, folder: Path) -> Begin:
        """Return the decisions in a folder. An earlier version wrote no begin.json: then they are the defaults.

        Raises:
            UserError: if the file is damaged.
        """
        path = folder / _BEGIN
        if not path.exists():
            return cls()
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            return cls(bool(values["within_documents"]), tuple(map(str, values["notes"])))
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise UserError(f"{path} is damaged ({error}): delete {folder} and run the same command again") from None


@contextlib.contextmanager
def unfinished(target: Path, lock_name: str) -> Iterator[Path]:
    """Yield the folder for unfinished work, while no other process holds the same lock in it.

    If an error occurs while the folder is still empty, the folder is removed.

    Raises:
        UserError: if the disk is full.
    """
    partial = target.with_name(f"{target.name}.partial")
    lock = partial / lock_name
    made = [folder for folder in partial.parents if not folder.exists()]
    for attempt in count():
        try:
            partial.mkdir(parents=True, exist_ok=True)
            file = lock.open("a")
        except FileNotFoundError:  # another process has just finished, and removed it
            if attempt > 100:  # or no folder can be made there, as in /proc
                raise
            continue
        with file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if not lock.exists() or not os.path.samestat(os.fstat(file.fileno()), lock.stat()):
                continue
            try:
                with _full_disk_named(target):
                    yield partial
            except BaseException:
                _remove_what_is_empty(lock, [partial, *made])
                raise
            return


def _remove_what_is_empty(lock: Path, folders: list[Path]) -> None:
    if set(lock.parent.glob("*")) <= {lock}:
        lock.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # a folder is not empty, or another process removed it
            for folder in folders:
                if folder.exists():
                    folder.rmdir()


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
def removed_if_the_sources_are_wrong(partial: Path) -> Iterator[None]:
    """Remove the unfinished folder after a UserError, if no part of the work in it is finished.

    Once the sources are fixed, another folder is used. Finished parts may be hours of work, and stay.
    """
    try:
        yield
    except UserError:
        if not any(partial.glob("**/part.json")):
            shutil.rmtree(partial)
        raise

"""The folder of an unfinished store: locks for writers, decisions for all processes, and cleanup after errors."""

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

from bert_lightning.data.store.splitting import SplitByDocument, SplitRule, SplitWithinDocuments
from bert_lightning.data.store.token_store import write_atomically
from bert_lightning.errors import UserError

_BEGIN = "begin.json"
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True)
class FirstDecisions:
    """The decisions that are made before tokenization. An unfinished folder stores them in begin.json."""

    within_documents: bool = False
    notes: tuple[str, ...] = ()

    def split(self, fraction: float) -> SplitRule:
        """Return the split rule that was chosen; `fraction` is the validation fraction."""
        return (SplitWithinDocuments if self.within_documents else SplitByDocument)(fraction)

    def write(self, folder: Path) -> None:
        """Write begin.json into an unfinished folder."""
        write_atomically(folder / _BEGIN, json.dumps(asdict(self)))

    @classmethod
    def read(cls, folder: Path) -> FirstDecisions:
        """Return the decisions of an unfinished folder. Without begin.json (older versions), return the defaults.

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
def unfinished_folder(target: Path, lock_name: str) -> Iterator[Path]:
    """Yield the folder for unfinished work, with its lock `lock_name`, for one process at a time.

    If an error occurs and the folder is empty, the folder is removed.

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
                with _full_disk_as_user_error(target):
                    yield partial
            except BaseException:
                _remove_empty_folders(lock, [partial, *made])
                raise
            return


def _remove_empty_folders(lock: Path, folders: list[Path]) -> None:
    if set(lock.parent.glob("*")) <= {lock}:
        lock.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # a folder is not empty, or another process removed it
            for folder in folders:
                if folder.exists():
                    folder.rmdir()


@contextlib.contextmanager
def _full_disk_as_user_error(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        raise UserError(
            f"{target} cannot be written ({error.strerror}): free some disk space and run the same command again; "
            "finished parts are kept"
        ) from None


@contextlib.contextmanager
def remove_on_user_error(partial: Path) -> Iterator[None]:
    """Remove the unfinished folder if the block raises a UserError and no part is finished.

    After the sources are fixed, another folder is used. A folder with finished parts stays, because they may be hours
    of work.
    """
    try:
        yield
    except UserError:
        if not any(partial.glob("**/part.json")):
            shutil.rmtree(partial)
        raise

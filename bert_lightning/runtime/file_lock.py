"""A lock between processes, on this machine or on several that share a file system."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import sys
from pathlib import Path

from bert_lightning.errors import UserError

# The fields of C's `struct flock`, for `struct.pack`, and the index of the lock's type in them.
_LOCK_FIELDS, _LOCK_TYPE = ("qqihh", 3) if sys.platform == "darwin" else ("hhqqi", 0)


def is_locked_by_another(path: Path) -> bool:
    """Return whether another process holds the lock of a file. The lock is only looked at, and not taken."""
    try:
        lock = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fields = [0] * 5
        fields[_LOCK_TYPE] = fcntl.F_RDLCK  # conflicts with an exclusive lock, and needs no permission to write
        answer = fcntl.fcntl(lock, fcntl.F_GETLK, struct.pack(_LOCK_FIELDS, *fields))
        found: int = struct.unpack(_LOCK_FIELDS, answer)[_LOCK_TYPE]
        return found != fcntl.F_UNLCK
    except OSError:  # a file system without locks holds no process that works
        return False
    finally:
        os.close(lock)


class FileLock:
    """A lock that the system releases when its process ends, also after `kill -9`.

    It is a POSIX record lock. It does not exclude other locks of the same process on the same file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    def acquire(self) -> bool:
        """Wait for the lock, take it and return True."""
        return self._take(fcntl.LOCK_EX)

    def try_acquire(self) -> bool:
        """Take the lock if no other process holds it, and return whether this process has it now."""
        return self._take(fcntl.LOCK_EX | fcntl.LOCK_NB)

    def release(self) -> None:
        """Release the lock. The file stays."""
        assert self._descriptor is not None, "only a lock that is held is released"
        os.close(self._descriptor)
        self._descriptor = None

    def __enter__(self) -> FileLock:
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def _take(self, how: int) -> bool:
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise UserError(f"{self.path} cannot be opened ({error.strerror}): delete this file") from None
        try:
            fcntl.lockf(descriptor, how)
        except OSError as error:
            os.close(descriptor)
            if error.errno in (errno.EACCES, errno.EAGAIN):
                return False
            raise UserError(
                f"{self.path} cannot be locked ({error.strerror}): choose another file system with runs=<folder>"
            ) from None
        self._descriptor = descriptor
        return True

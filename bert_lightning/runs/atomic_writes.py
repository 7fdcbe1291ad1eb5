"""Write files and folders so that they are complete or absent. Devices and FIFOs are written to and not replaced."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from bert_lightning.errors import UserError

# Files that are never replaced: a path there may stand for a program's open file. /dev/shm holds ordinary files.
_OF_THE_SYSTEM = ("/dev/stdin", "/dev/stdout", "/dev/stderr", "/dev/fd/", "/proc/")


@contextmanager
def replace_atomically(target: Path, partial: Path | None = None, binary: bool = False) -> Iterator[IO[Any]]:
    """Open a temporary file that replaces `target` when it is complete and on disk. An error leaves no temporary file.

    Args:
        target: the path of the final file.
        partial: the path of the temporary file, in the same folder; None: `target` with the suffix `.partial`.
            A file or symlink there, from a killed process, is deleted.
        binary: whether the file is binary; text is UTF-8.
    """
    partial = partial or target.with_name(f"{target.name}.partial")
    partial.unlink(missing_ok=True)
    try:
        with partial.open("xb") if binary else partial.open("x", buffering=1, encoding="utf-8") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(target)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


@contextmanager
def output_file(path: Path) -> Iterator[IO[str]]:
    """Open a text file that the user names for writing.

    A regular file is replaced when the new text is complete. A symlink stays, and the file that it points to is
    replaced. A FIFO or a device is written to directly.

    Raises:
        UserError: if the path is a folder, or cannot be written.
    """
    with ExitStack() as stack:
        with explain_output_errors(path):
            target = _to_replace(path)
            if target is None:
                file: IO[str] = stack.enter_context(_into(path))
            else:
                file = stack.enter_context(replace_atomically(target, _beside(target)))
                if target.exists():
                    shutil.copymode(target, file.name)
        yield file


def check_output_path(key: str, name: str | None) -> None:
    """Fail before the work, which takes a while, if the file that a config key names could not be written.

    Raises:
        UserError: if the path is a folder, or lies in none.
    """
    path = Path(name or "").expanduser()
    if name is not None and path.is_dir():
        raise UserError(f"{key}={name} is a folder: give the name of a file")
    if not path.parent.is_dir():
        raise UserError(f"{key}={name}: the folder {path.parent} does not exist: create it first")


@contextmanager
def explain_output_errors(path: Path) -> Iterator[None]:
    """Turn an OSError in the `with` block into a UserError that names the path as the user gave it."""
    try:
        yield
    except OSError as error:
        raise UserError(f"output={path} cannot be written ({error.strerror}): choose another path") from None


@contextmanager
def output_folder(path: Path) -> Iterator[Path]:
    """Yield an empty temporary folder, which is renamed to `path` when the `with` block ends.

    An error leaves neither this folder nor any parent folder that was created for it.

    Raises:
        UserError: if the path exists already, or the folder cannot be created or written.
    """
    if os.path.lexists(path):
        raise UserError(f"output={path} exists already: choose another path, or delete it")
    made = [parent for parent in path.parents if not parent.exists()]
    partial = _beside(path)
    try:
        with explain_output_errors(path):
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            try:
                yield partial
            except (OSError, UserError):
                raise
            except Exception as error:  # libraries raise exceptions of their own if the disk is full
                raise OSError(None, " ".join(str(error).split())[:160]) from error
            partial.replace(path)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        with suppress(OSError):
            for parent in made:
                parent.rmdir()
        raise


def _to_replace(path: Path) -> Path | None:
    """Return the path of the regular file that a new file replaces; None if `path` must be written to directly."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        target = path.resolve()  # the path may be a symlink to a file that does not exist yet
        if not target.parent.is_dir():
            raise UserError(f"output={path}: the folder {target.parent} does not exist: create it first") from None
        return target
    if stat.S_ISDIR(mode):
        raise UserError(f"output={path} is a folder: give the name of a file")
    if not stat.S_ISREG(mode) or any(str(place).startswith(_OF_THE_SYSTEM) for place in _links(path.absolute())):
        return None
    target = path.resolve()
    with target.open("r+b"):  # a rename would replace even a file that the user may not write: this raises instead
        return target


def _links(path: Path) -> Iterator[Path]:
    """Yield a path, and each path that a chain of symlinks leads to."""
    yield path
    if path.is_symlink():
        yield from _links(path.parent / path.readlink())


@contextmanager
def _into(path: Path) -> Iterator[IO[str]]:
    """Open a path that is not a regular file. Each line is written at once, so closing the file cannot lose one."""
    file = path.open("a", buffering=1, encoding="utf-8")
    try:
        yield file
    finally:
        with suppress(OSError):
            file.close()


def _beside(path: Path) -> Path:
    """Return the path of a temporary file in the same folder. Its name contains the process id."""
    return path.with_name(f".bert-lightning-{os.getpid()}.partial")

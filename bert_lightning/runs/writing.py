"""Write files that are whole or absent, and leave alone what is no regular file."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from bert_lightning.errors import UserError

_OF_THE_SYSTEM = ("/dev", "/proc")  # a file there is one that a program has open, and a rename would take it away


@contextmanager
def replacing(target: Path, partial: Path | None = None, binary: bool = False) -> Iterator[IO[Any]]:
    """Open a new file that gets the name `target` when all is written and on disk; an error leaves no file.

    Whatever a killed process left at `partial` is dropped. A symlink there is not followed.
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
    """Open a file that the user names for text.

    A regular file is replaced when all is written. A symlink stays, and the file that it points to is replaced.
    A FIFO, a device or a socket is written into directly.

    Raises:
        UserError: if it is a folder, or cannot be written.
    """
    with ExitStack() as stack:
        with named(path):
            target = _to_replace(path)
            if target is None:
                file: IO[str] = stack.enter_context(_into(path))
            else:
                file = stack.enter_context(replacing(target, _beside(target)))
                if target.exists():
                    shutil.copymode(target, file.name)
        yield file


@contextmanager
def named(path: Path) -> Iterator[None]:
    """Raise UserError, with the path that the user gave, where the system refuses to write."""
    try:
        yield
    except OSError as error:
        raise UserError(f"output={path} cannot be written ({error.strerror}): choose another output=...") from None


@contextmanager
def output_folder(path: Path) -> Iterator[Path]:
    """Make a folder that the user names: yield an empty one, which gets the name when all is written.

    An error leaves nothing, and no folder that was made on the way.

    Raises:
        UserError: if something of this name exists, or the folder cannot be made.
    """
    if os.path.lexists(path):
        raise UserError(f"{path} exists: choose another output=..., or delete it")
    made = [parent for parent in path.parents if not parent.exists()]
    partial = _beside(path)
    try:
        with named(path):
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            try:
                yield partial
            except (OSError, UserError):
                raise
            except Exception as error:  # libraries have exceptions of their own for a full disk
                raise OSError(None, " ".join(str(error).split())[:160]) from error
            partial.replace(path)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        with suppress(OSError):
            for parent in made:
                parent.rmdir()
        raise


def _to_replace(path: Path) -> Path | None:
    """Return the regular file that a new one replaces; None for what is to be written into as it is."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        target = path.resolve()  # also of a symlink to a file that is not there yet
        if not target.parent.is_dir():
            raise UserError(f"output={path}: there is no folder {target.parent}: make it first") from None
        return target
    if stat.S_ISDIR(mode):
        raise UserError(f"output={path} is a folder: give the name of a file")
    if not stat.S_ISREG(mode) or str(path.absolute()).startswith(tuple(f"{place}/" for place in _OF_THE_SYSTEM)):
        return None
    target = path.resolve()
    with target.open("r+b"):  # says whether the user may write the file that a rename would replace
        return target


@contextmanager
def _into(path: Path) -> Iterator[IO[str]]:
    """Open what is no regular file. Each line is written at once, so that closing has nothing to report."""
    file = path.open("a", buffering=1, encoding="utf-8")
    try:
        yield file
    finally:
        with suppress(OSError):
            file.close()


def _beside(path: Path) -> Path:
    """Return a name in the same folder that no other process uses."""
    return path.with_name(f".bert-lightning-{os.getpid()}.partial")

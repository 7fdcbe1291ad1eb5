"""Read the lines of UTF-8 files, compressed or not, and cut large files into parts that can be read separately."""

from __future__ import annotations

import bz2
import codecs
import contextlib
import gzip
import lzma
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from bert_lightning.errors import UserError

PART_BYTES = 2**25  # size of a part: one process reads it at a time, and an interrupted run may have to repeat it
_LONGEST_LINE = 2**26  # bytes; a line must fit into memory
_CHUNK = 2**20  # bytes
_OPEN: dict[str, Callable[..., IO[bytes]]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}  # type: ignore[dict-item]
COMPRESSIONS = tuple(_OPEN)
_DAMAGE = (EOFError, gzip.BadGzipFile, zlib.error, lzma.LZMAError)


@dataclass(frozen=True)
class Part:
    """A part of a corpus that can be read separately: complete files, or a range of one file."""

    files: tuple[str, ...]
    start: int = 0  # a byte, a row group, or a shard of a hub data set, depending on the corpus
    end: int | None = None
    source: str = ""  # name of the corpus in a mixture
    copy: int = 0  # a mixture takes a corpus of weight 2 twice: copies 0 and 1
    share: float = 1.0  # fraction of the documents that is read, selected by a hash


def is_compressed(path: Path) -> bool:
    """Return whether a file is compressed. A compressed file can only be read from its beginning."""
    return path.suffix.lower() in (*_OPEN, ".zst")


def inner_suffix(path: Path) -> str:
    """Return the file ending that names the format, such as `.jsonl` for `a.jsonl.gz`."""
    return Path(path.stem).suffix if is_compressed(path) else path.suffix


@contextlib.contextmanager
def open_bytes(path: Path) -> Iterator[IO[bytes]]:
    """Open a file to read its bytes, decompressed.

    Raises:
        UserError: if compressed data is damaged, or the standard library does not support the compression.
    """
    if path.suffix.lower() == ".zst":
        raise UserError(f"{path}: .zst is not read; decompress it (zstd -d) or use .gz, .bz2 or .xz")
    try:
        with _OPEN.get(path.suffix.lower(), open)(path, "rb") as file:
            yield file
    except _DAMAGE as error:
        raise UserError(f"{path} is damaged, or not a {path.suffix} file ({error}): get it again") from None
    except OSError as error:
        if error.errno is None:  # bz2 reports invalid data in this way
            raise UserError(f"{path} is damaged, or not a {path.suffix} file ({error}): get it again") from None
        raise


def read_lines(path: Path, start: int = 0, end: int | None = None) -> Iterator[str]:
    """Yield the lines that begin at a byte from `start` up to `end`, without line ends. `start` must begin a line.

    Raises:
        UserError: if bytes are not UTF-8, or a line is too long for memory.
    """
    at = start
    try:
        with open_bytes(path) as file:
            if start:
                file.seek(start)
            while (end is None or at < end) and (line := file.readline(_LONGEST_LINE)):
                if len(line) == _LONGEST_LINE and not line.endswith(b"\n"):
                    raise UserError(
                        f"{path}: the line at byte {at} is longer than {_LONGEST_LINE >> 20} MiB, too long for memory: "
                        "break it into several"
                    )
                text = line.decode().rstrip("\r\n")
                yield text if at else text.removeprefix("\ufeff")
                at += len(line)
    except UnicodeDecodeError as error:
        raise UserError(_not_utf8(path, at + error.start, error.reason)) from None


def chunks_of(path: Path) -> Iterator[str]:
    """Yield the text of a UTF-8 file, compressed or not, in chunks. A chunk may end in the middle of a line.

    Raises:
        UserError: if bytes are not UTF-8.
    """
    decoder, at = codecs.getincrementaldecoder("utf-8-sig")(), 0
    with open_bytes(path) as file:
        while True:
            data, pending = file.read(_CHUNK), len(decoder.getstate()[0])
            try:
                text = decoder.decode(data, final=not data)
            except UnicodeDecodeError as error:
                raise UserError(_not_utf8(path, at - pending + error.start, error.reason)) from None
            at += len(data)
            if text:
                yield text
            if not data:
                return


def split_at_lines(path: Path, at_blank_lines: bool) -> list[Part]:
    """Return the parts of one file, each of about PART_BYTES. A compressed file is one part.

    A part begins after the end of a line, or after a blank line if `at_blank_lines` is true.
    """
    size = path.stat().st_size
    if is_compressed(path):
        return [Part((str(path),))]
    cuts = [0]
    with path.open("rb") as file:
        while cuts[-1] + 2 * PART_BYTES <= size:
            file.seek(cuts[-1] + PART_BYTES - 1)
            file.readline(_LONGEST_LINE)
            while at_blank_lines and (line := file.readline(_LONGEST_LINE)) and line.strip():
                pass
            cuts.append(file.tell())
    return [Part((str(path),), start, end) for start, end in zip(cuts, [*cuts[1:], size], strict=True) if start < size]


def group_files(paths: list[Path]) -> list[Part]:
    """Group files into parts. The files of one part have about PART_BYTES together."""
    parts: list[Part] = []
    group, size = [], 0
    for path in paths:
        group.append(str(path))
        size += path.stat().st_size
        if size >= PART_BYTES:
            parts.append(Part(tuple(group)))
            group, size = [], 0
    return [*parts, Part(tuple(group))] if group else parts


def _not_utf8(path: Path, byte: int, reason: str) -> str:
    if reason == "unexpected end of data":
        return f"{path} is not UTF-8: it ends inside a character (byte {byte}); convert it with iconv"
    return f"{path} is not UTF-8: byte {byte} ({reason}); convert it with iconv"

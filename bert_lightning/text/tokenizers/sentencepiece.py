"""Read SentencePiece model files (spiece.model): the fields of the protocol buffer that a unigram model needs.

The fields are those of google/sentencepiece, src/sentencepiece_model.proto.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

from tokenizers import models

_VARINT, _EIGHT_BYTES, _LENGTH, _FOUR_BYTES = 0, 1, 2, 5
_UNIGRAM, _UNKNOWN = 1, 2


def read_sentencepiece(path: Path) -> tuple[models.Unigram, bytes]:
    """Return the model of a file, and the table that its normalization uses to replace characters.

    Raises:
        ValueError: if the file is damaged, or its model is not a unigram model.
    """
    try:
        return _read(path.read_bytes())
    except (IndexError, struct.error, UnicodeDecodeError) as error:
        raise ValueError(f"damaged, or not a SentencePiece file ({error})") from None


def _read(data: bytes) -> tuple[models.Unigram, bytes]:
    pieces: list[tuple[str, float]] = []
    unknown, table = None, b""
    for field, value in _fields(data):
        if not isinstance(value, bytes):
            continue
        if field == 1:
            piece = dict(_fields(value))
            text, score = piece[1], piece.get(2, b"\0\0\0\0")
            assert isinstance(text, bytes), "field 1 of a piece is a string"
            assert isinstance(score, bytes), "field 2 of a piece is a float"
            if piece.get(3) == _UNKNOWN:
                unknown = len(pieces)
            pieces.append((text.decode(), struct.unpack("<f", score)[0]))
        elif field == 2 and dict(_fields(value)).get(3, _UNIGRAM) != _UNIGRAM:
            raise ValueError("a SentencePiece model that is not unigram; export it as tokenizer.json")
        elif field == 3:
            found = dict(_fields(value)).get(2, b"")
            table = found if isinstance(found, bytes) else b""
    if not pieces:
        raise ValueError("no pieces in it")
    return models.Unigram(pieces, unknown, False), table


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield the number and value of each field of a message. The value of a fixed-width number is its bytes."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        wire_type = key & 7
        if wire_type == _VARINT:
            value, at = _varint(data, at)
            yield key >> 3, value
            continue
        size, at = _varint(data, at) if wire_type == _LENGTH else ({_EIGHT_BYTES: 8, _FOUR_BYTES: 4}[wire_type], at)
        if at + size > len(data):
            raise IndexError("it ends early")
        yield key >> 3, data[at : at + size]
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Return the integer of variable length at position `at`, and the position after it."""
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at

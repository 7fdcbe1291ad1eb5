"""Read the checkpoints of google-research/bert, without TensorFlow: `bert_model.ckpt.index` and its data files.

The index is a table of LevelDB (`doc/table_format.md` there): blocks of sorted keys, each with a value. A key is the
name of a tensor. Its value is the protocol buffer `BundleEntryProto` (`tensor_bundle.proto` of TensorFlow). It says
where the tensor lies in a data file. Only the weights are read. Every offset and size is checked.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

_MAGIC = 0xDB4775248B80FB57
_FOOTER = 48  # bytes
_DTYPES = {1: torch.float32, 2: torch.float64, 14: torch.bfloat16, 19: torch.float16}  # DataType of types.proto
# Variables of the optimizer, which no model computes with.
_OF_TRAINING = re.compile(r"(^global_step|/(adam|lamb)_[mv](_\d+)?|/(Adam|LAMB)(_\d+)?|(^|/)beta[12]_power)$")
_NAMES = (
    (r"/kernel$", "/weight"),
    (r"_embeddings$", "_embeddings/weight"),
    (r"^cls/predictions/output_bias$", "cls/predictions/bias"),
    (r"^(cls/seq_relationship)/output_", r"\1/"),
    (r"^(cls/seq_relationship)/weights$", r"\1/weight"),
    (r"/layer_(\d+)/", r"/layer/\1/"),
    (r"/", "."),
)


@dataclass(frozen=True)
class _Entry:
    """The place of a tensor: `size` bytes from `offset` on, in the data file of number `shard`."""

    dtype: int = 0
    shape: tuple[int, ...] = ()
    shard: int = 0
    offset: int = 0
    size: int = 0


def read_tensorflow_weights(index: Path) -> dict[str, Tensor]:
    """Return the weights of a TensorFlow checkpoint of BERT, under the names of transformers.

    Raises:
        ValueError: if a file is damaged or missing; the message names it.
    """
    try:
        entries, shards = _read_index(index.read_bytes())
    except (ValueError, IndexError, struct.error) as error:
        raise ValueError(f"{index} is damaged ({str(error)[:100]}): fetch the file again") from None
    files = [index.with_name(f"{index.stem}.data-{shard:05}-of-{shards:05}") for shard in range(shards)]
    data = [_map_bytes(file) for file in files]
    return {_their_name(name): _tensor(name, entry, files, data) for name, entry in entries.items()}


def _their_name(name: str) -> str:
    for pattern, replacement in _NAMES:
        name = re.sub(pattern, replacement, name)
    return name


def _map_bytes(path: Path) -> Tensor:
    if not path.is_file():
        raise ValueError(f"{path} is missing: fetch all files of the checkpoint")
    size = path.stat().st_size
    return torch.from_file(str(path), size=size, dtype=torch.uint8) if size else torch.zeros(0, dtype=torch.uint8)


def _tensor(name: str, entry: _Entry, files: list[Path], data: list[Tensor]) -> Tensor:
    """Return one tensor. Kernels are transposed, because TensorFlow stores [in, out] and torch [out, in]."""
    if entry.dtype not in _DTYPES:
        raise ValueError(f"{files[0]}: {name:.80} has the type {entry.dtype} of TensorFlow, which is not supported")
    dtype = _DTYPES[entry.dtype]
    if entry.shard >= len(data) or entry.size != math.prod(entry.shape) * dtype.itemsize or not entry.size:
        raise ValueError(f"{files[0]}: {name:.80} does not have the size of its shape: fetch the files again")
    end = entry.offset + entry.size
    if end > len(data[entry.shard]):
        raise ValueError(f"{files[entry.shard]} ends before {name:.80}: fetch the file again")
    # A copy, since a view of other types needs an aligned start.
    tensor = data[entry.shard][entry.offset : end].clone().view(dtype).reshape(entry.shape)
    return tensor.T.contiguous() if name.endswith("/kernel") and tensor.dim() == 2 else tensor


def _read_index(content: bytes) -> tuple[dict[str, _Entry], int]:
    """Return the entries of the weights by name, and the number of data files."""
    if len(content) < _FOOTER or struct.unpack("<Q", content[-8:])[0] != _MAGIC:
        raise ValueError("it does not end as an index of TensorFlow does")
    footer = content[-_FOOTER:]
    _, position = _handle(footer, 0)  # of a block that is empty
    (start, size), _ = _handle(footer, position)
    entries: dict[str, _Entry] = {}
    shards = 1
    for _, value in _pairs(_block(content, start, size)):
        (start, size), _ = _handle(value, 0)
        for key, entry in _pairs(_block(content, start, size)):
            name = key.decode("utf-8")
            if not name:
                shards = _shards(entry)
            elif not _OF_TRAINING.search(name):
                entries[name] = _entry(name, entry)
    return entries, shards


def _block(content: bytes, start: int, size: int) -> bytes:
    """Return a block without the restart points that follow its pairs."""
    if start + size + 5 > len(content) or size < 4:
        raise ValueError("a block lies outside of the file")
    if content[start + size]:
        raise ValueError("it is compressed, which TensorFlow does not do by itself")
    block = content[start : start + size]
    restarts = struct.unpack("<I", block[-4:])[0]
    if 4 * restarts + 4 > size:
        raise ValueError("a block is too short")
    return block[: size - 4 * restarts - 4]


def _pairs(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the keys of a block with their values. A key is stored without what it shares with the key before."""
    key, position = b"", 0
    while position < len(block):
        shared, position = _varint(block, position)
        own, position = _varint(block, position)
        length, position = _varint(block, position)
        middle, end = position + own, position + own + length
        if shared > len(key) or end > len(block):
            raise ValueError("a key lies outside of its block")
        key = key[:shared] + block[position:middle]
        yield key, block[middle:end]
        position = end


def _handle(data: bytes, position: int) -> tuple[tuple[int, int], int]:
    start, position = _varint(data, position)
    size, position = _varint(data, position)
    return (start, size), position


def _varint(data: bytes, position: int) -> tuple[int, int]:
    """Return the number at a position, and the position behind it. Each byte has seven bits of it, the lowest first."""
    value = 0
    for shift in range(0, 64, 7):
        byte = data[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, position
    raise ValueError("a number is too long")


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield the fields of a protocol buffer: number and value, bytes for a message in it."""
    position = 0
    while position < len(message):
        tag, position = _varint(message, position)
        kind = tag & 7
        if kind == 0:
            value, position = _varint(message, position)
            yield tag >> 3, value
            continue
        if kind == 2:
            length, position = _varint(message, position)
        elif kind in (1, 5):
            length = 8 if kind == 1 else 4
        else:
            raise ValueError(f"a field has the wire type {kind}")
        if position + length > len(message):
            raise ValueError("a field lies outside of its message")
        yield tag >> 3, message[position : position + length]
        position += length


def _shards(header: bytes) -> int:
    """Return the number of data files that `BundleHeaderProto` states."""
    fields = dict(_fields(header))
    shards, endianness = fields.get(1, 1), fields.get(2, 0)
    if endianness != 0 or not isinstance(shards, int) or not 1 <= shards <= 1000:
        raise ValueError(f"it has {shards!r} data files of endianness {endianness!r}")
    return shards


def _entry(name: str, message: bytes) -> _Entry:
    numbers = {1: 0, 3: 0, 4: 0, 5: 0}
    shape: tuple[int, ...] = ()
    for number, value in _fields(message):
        if number == 7:
            raise ValueError(f"{name:.80} is stored in slices, which is not supported")
        if number in numbers and isinstance(value, int):
            numbers[number] = value
        if number == 2 and isinstance(value, bytes):
            dims = [dict(_fields(dim)) for field, dim in _fields(value) if field == 2 and isinstance(dim, bytes)]
            shape = tuple(size if isinstance(size := dim.get(1, 0), int) else 0 for dim in dims)
    return _Entry(numbers[1], shape, numbers[3], numbers[4], numbers[5])

"""Read the weights of a published folder: safetensors, torch's formats or TensorFlow's, in one file or in shards.

No code in these files is run.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bert_lightning.model.hugging_face.tensorflow_bundle import read_tensorflow_weights

# transformers prefers these files in the same order.
_FORMS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")

_TENSORFLOW = "*.ckpt*.index"  # of google-research/bert; read if there is no other form
_CONFIGS = ("config.json", "bert_config.json")  # the second is that of google-research/bert
_OTHER_FORMS = (".h5", ".msgpack", ".onnx", ".gguf", ".ot", ".bin", ".safetensors", ".pt", ".pth")


def read_weights(folder: Path) -> tuple[Path, dict[str, Tensor]]:
    """Return the path of a folder's weight file, or of the index of its shards, and the tensors.

    Raises:
        ValueError: if the folder has no weights, or a file is damaged or missing; the message names it.
    """
    path = next((folder / name for name in _FORMS if (folder / name).is_file()), None)
    if path is None and (found := sorted(path for path in folder.glob(_TENSORFLOW) if path.is_file())):
        if len(found) > 1:
            raise ValueError(f"{folder} holds several checkpoints of TensorFlow: leave only the files of one")
        return found[0], read_tensorflow_weights(found[0])
    if path is None:
        others = sorted(
            file.name for file in folder.iterdir() if file.suffix in _OTHER_FORMS and file.name not in _FORMS
        )
        hint = f" ({others[0][:80]!r} is not read)" if others else ""
        raise ValueError(f"{folder} holds no weights{hint}: it needs one of {', '.join(_FORMS)}, bert_model.ckpt.index")
    return path, _read_shards(path) if path.suffix == ".json" else _read(path)


def config_file(folder: Path) -> Path | None:
    """Return the path of the file with a published model's config; None if the folder has none."""
    return next((folder / name for name in _CONFIGS if (folder / name).exists()), None)


def read_json_object(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file as a dict.

    Raises:
        ValueError: if the file is not a JSON object, or cannot be read; the message names the file.
    """
    if not path.is_file():
        raise ValueError(f"{path} is no file")
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror})") from None
    except RecursionError:
        raise ValueError(f"{path} is nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"{path} is not JSON ({str(error)[:100]})") from None
    if not isinstance(values, dict):
        raise ValueError(f"{path} must hold an object of settings, not {str(values)[:40]}")
    return values


def _read_shards(index: Path) -> dict[str, Tensor]:
    file_of = read_json_object(index).get("weight_map")
    if not isinstance(file_of, dict) or not all(isinstance(name, str) for name in file_of.values()):
        raise ValueError(f"{index} has no weight_map that names the file of each tensor")
    tensors: dict[str, Tensor] = {}
    for name in sorted(set(file_of.values())):
        if Path(name).name != name or not name.endswith((".safetensors", ".bin")):
            raise ValueError(f"{index} names {name!r:.80}, which is no file of weights in its own folder")
        if not (index.parent / name).is_file():
            raise ValueError(f"{index} names {name!r:.80}, which is missing: fetch all files of the model")
        shard = _read(index.parent / name)
        if twice := tensors.keys() & shard.keys():
            raise ValueError(f"{index}: {min(twice):.80} is in two of its files: fetch all files of the model again")
        tensors |= shard
    if missing := file_of.keys() - tensors.keys():
        name = min(missing)
        raise ValueError(f"{index} says that {name:.80} is in {file_of[name]}, which lacks it: fetch the files again")
    return tensors


def _read(path: Path) -> dict[str, Tensor]:
    return _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors: dict[str, Tensor] = load_file(path)
    except PermissionError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror or error}): get the right to read it") from None
    except (SafetensorError, OSError, ValueError, KeyError, RuntimeError) as error:
        raise ValueError(f"{path} is damaged ({_first_line(error)})") from None
    return tensors


def _read_torch(path: Path) -> dict[str, Tensor]:
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                # torch never compresses, so a file that unpacks to more than its size is not torch's.
                if sum(part.file_size for part in archive.infolist()) > path.stat().st_size:
                    raise ValueError("it unpacks to more than its size")
        tensors = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many types of error for a damaged file, and for a file that names code
        raise ValueError(
            f"{path} cannot be read as tensors alone ({_first_line(error)}): give the weights as model.safetensors"
        ) from None
    if not isinstance(tensors, dict) or not all(isinstance(n, str) and is_dense(t) for n, t in tensors.items()):
        raise ValueError(f"{path} must hold tensors by name: give the weights as model.safetensors")
    return tensors


def is_dense(value: Any) -> bool:
    """Return whether a value is an ordinary tensor: a sparse or quantized one is no weight of these models."""
    return isinstance(value, Tensor) and value.layout is torch.strided and not value.is_quantized


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0][:120]}"

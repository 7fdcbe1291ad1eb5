"""Read checkpoint files. Their checksums are checked first, and then the types of all parts that are used."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bert_lightning.callbacks.checkpoint_names import step_of
from bert_lightning.errors import UserError
from bert_lightning.model.config import BertConfig
from bert_lightning.model.encoder import BERT
from bert_lightning.model.hugging_face.weight_files import is_dense
from bert_lightning.modules.checkpoint_keys import FORMAT_VERSION, METADATA_KEY
from bert_lightning.renames import TERMS, new_metric, new_state, new_tensor, translated
from bert_lightning.runs.run_files import unreadable_message

RUN_KEY = "bert_lightning_run"  # key of a checkpoint that holds the identity of its run


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Return the checkpoint at `path`, on the CPU.

    Raises:
        UserError: if the file is missing, unreadable, damaged or no checkpoint of this program.
    """
    try:
        if problem := find_damage(path, to_resume=False):
            raise UserError(f"{path} is damaged ({problem}): use another checkpoint of this run")
        checkpoint: dict[str, Any] = load_tensors(path, "cpu")
    except FileNotFoundError:
        raise UserError(f"there is no checkpoint {path}: check the path, or wait until the run saves one") from None
    except OSError as error:
        raise UserError(unreadable_message(path, error)) from None
    return checkpoint


def load_tensors(path: Path | str, device: str) -> Any:
    """Return the content of a checkpoint file: tensors and plain data. No code in the file is executed.

    Names from older versions are translated to today's names.

    Args:
        path: the checkpoint's file.
        device: `cpu`, or `meta` to leave the values of tensors on disk.
    """
    checkpoint = torch.load(path, map_location=device, weights_only=True, mmap=device == "meta" or None)
    if not isinstance(checkpoint, dict):
        return checkpoint
    metadata = checkpoint.get(METADATA_KEY)
    if isinstance(metadata, dict) and isinstance(metadata.get("task"), dict):
        metadata["task"] = translated(metadata["task"], "task")
    if isinstance(metadata, dict) and isinstance(metadata.get("terms"), list):
        metadata["terms"] = [TERMS.get(term, term) if isinstance(term, str) else term for term in metadata["terms"]]
    checkpoint = _renamed(checkpoint, new_state)
    for part, today in (("state_dict", new_tensor), ("callbacks", new_state)):
        if part in checkpoint:
            checkpoint[part] = _renamed(checkpoint[part], today)
    states = checkpoint.get("callbacks")
    for state in states.values() if isinstance(states, dict) else ():
        if isinstance(state, dict) and "metrics" in state:
            state["metrics"] = _renamed(state["metrics"], new_metric)
    return checkpoint


def _renamed(mapping: Any, today: Callable[[str], str]) -> Any:
    """Return a mapping whose keys are renamed by the function `today`. Any other value is returned unchanged."""
    if not isinstance(mapping, dict):
        return mapping
    return {today(name) if isinstance(name, str) else name: value for name, value in mapping.items()}


def find_damage(path: Path, to_resume: bool = True) -> str | None:
    """Return what is wrong with a checkpoint file, or None if it is intact. The whole file is read.

    Args:
        path: the checkpoint's file.
        to_resume: whether the checkpoint must also have what a run needs to resume, such as optimizer states.

    Raises:
        OSError: if the system refuses to open or read the file.
        UserError: if a newer version of this program wrote it in a format that this one does not know.
    """
    if path.exists() and not path.is_file():
        return "it is not a file"
    try:
        with zipfile.ZipFile(path) as archive:
            if any(part.compress_type != zipfile.ZIP_STORED for part in archive.infolist()):
                return "it is compressed; this program writes uncompressed checkpoints"
            if broken := archive.testzip():
                return f"its part {broken} has changed since it was written"
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError, RuntimeError) as error:
        return f"{path.stat().st_size} bytes, {error}"
    try:
        checkpoint = load_tensors(path, "meta")
    except OSError:
        raise
    except Exception as error:  # torch raises errors of many types for damaged files
        return " ".join(str(error).split())[:160]
    _check_format_version(checkpoint, path)
    return next(_problems(checkpoint, path, to_resume), None)


def _check_format_version(checkpoint: Any, path: Path) -> None:
    """Raise UserError if a newer version of this program wrote the checkpoint in a format that this one does not know.

    Checkpoints of the first versions store no format version. It counts as 0.
    """
    metadata = checkpoint.get(METADATA_KEY) if isinstance(checkpoint, dict) else None
    version = metadata.get("format_version", 0) if isinstance(metadata, dict) else 0
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise UserError(
            f"{path} has format_version {version}, and this program reads up to {FORMAT_VERSION}: update bert-lightning"
        )


def check_finite_weights(path: Path, tensors: dict[str, Tensor]) -> None:
    """Raise UserError if a weight is NaN or infinite: every output of the model could then be NaN."""
    for name, tensor in tensors.items():
        # The sum is a fast first check. A sum of finite values may overflow, so then each value is checked.
        if tensor.is_floating_point() and not tensor.sum().isfinite() and not tensor.isfinite().all():
            count = int((~tensor.isfinite()).sum())
            raise UserError(f"{path}: {name} holds {count:,} values that are NaN or infinite: use another checkpoint")


def _problems(checkpoint: Any, path: Path, to_resume: bool) -> Iterator[str]:
    """Yield a phrase for each problem of a loaded checkpoint. Later checks assume that the earlier ones passed."""
    metadata = checkpoint.get(METADATA_KEY) if isinstance(checkpoint, dict) else None
    if not isinstance(metadata, dict):
        yield "it is not a checkpoint of this program"
        return
    state = checkpoint.get("state_dict")
    if not isinstance(state, dict) or not all(isinstance(k, str) and is_dense(v) for k, v in state.items()):
        yield "its state_dict is not a mapping from names to tensors"
        return
    yield from _metadata_problems(metadata, state)
    if to_resume:
        wanted = {"loops": dict, "optimizer_states": list, "callbacks": dict, "global_step": int}
        for key, kind in wanted.items():
            if type(checkpoint.get(key)) is not kind:
                yield f"its {key} is not a {kind.__name__}, so no run can resume from it"
        if not isinstance(checkpoint.get(RUN_KEY, {}), dict):
            yield f"its {RUN_KEY} is not a dict"
        if path.name.startswith("step-") and step_of(path) != checkpoint["global_step"]:
            yield f"it holds step {checkpoint['global_step']}, but its name gives another step"


def _metadata_problems(metadata: dict[str, Any], state: dict[str, Tensor]) -> Iterator[str]:
    """Yield a phrase for each problem of a checkpoint's metadata, or of the tensors that the metadata describes."""
    settings = metadata.get("config")
    try:
        config = BertConfig(**settings)  # type: ignore[arg-type]
    except (TypeError, ValueError) as error:
        yield f"its config does not describe an encoder: {' '.join(str(error).split())[:120]}"
        return
    version = metadata.get("format_version", 0)
    if type(version) is not int or version < 0:
        yield f"its format_version is {version!r:.40}"
    if not isinstance(metadata.get("tokenizer_fingerprint"), str):
        yield "it holds no fingerprint of its tokenizer"
    if type(metadata.get("max_length", 1)) is not int:
        yield f"its max_length is {metadata['max_length']!r:.40}, not a whole number"
    heads = metadata.get("heads", {})
    if not isinstance(heads, dict) or not all(isinstance(text, str) for pair in heads.items() for text in pair):
        yield f"its heads are {heads!r:.40}, not a mapping of names to types"
    terms = metadata.get("terms", [])
    if not isinstance(terms, list) or not all(isinstance(term, str) for term in terms):
        yield f"its terms are {terms!r:.40}, not a list of names"
    if "task" in metadata:
        yield from _task_problems(metadata["task"])
    if (config.num_hidden_groups or config.num_hidden_layers) > len(state):
        yield f"it holds {len(state)} tensors: too few for the layers in its config"
        return
    yield from _shape_problems(config, state)


def _shape_problems(config: BertConfig, state: dict[str, Tensor]) -> Iterator[str]:
    """Yield a phrase for each tensor that the encoder of `config` needs and `state` lacks or has in another shape.

    The encoder is built on the meta device, so that large sizes in a foreign file allocate no memory.
    """
    try:
        with torch.device("meta"):
            wanted = {f"encoder.{name}": tensor for name, tensor in BERT(config).state_dict().items()}
    except RuntimeError as error:
        yield f"its sizes are too large ({str(error)[:80]})"
        return
    for name, tensor in wanted.items():
        if name not in state:
            yield f"the tensor {name} is missing"
        elif state[name].shape != tensor.shape:
            yield f"the tensor {name} has shape {list(state[name].shape)}, but its config asks for {list(tensor.shape)}"


def _task_problems(task: Any) -> Iterator[str]:
    """Yield a phrase for each problem of the fine-tuning task that a checkpoint's metadata describes."""
    if not isinstance(task, dict):
        yield f"its task is {task!r:.40}"
        return
    for key in ("type", "objective"):
        node = task.get(key)
        if not isinstance(node, dict) or not isinstance(node.get("_target_"), str):
            yield f"its task.{key} is {node!r:.40}"
    if not isinstance(task.get("term"), str):
        yield f"its task.term is {task.get('term')!r:.40}"
    labels = task.get("labels")
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        yield f"its task.labels is {labels!r:.40}, not a list of texts"
    if type(task.get("max_length")) is not int:
        yield f"its task.max_length is {task.get('max_length')!r:.40}"

"""Write a traced model as ONNX, as it is or with weights in int8, and compute with it in onnxruntime."""

from __future__ import annotations

import importlib.util
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bert_lightning.errors import UserError
from bert_lightning.exports.program_format import Compute, ProgramFormat

_INSTALL = "pip install 'bert-lightning[onnx]'"
_LARGEST = 1_900_000_000  # bytes of weights in one file; a file of ONNX cannot be larger than 2 GiB


class OnnxFormat(ProgramFormat):
    """The format ONNX, in the file `model.onnx`. Weights of large models lie beside it, in `model.onnx.data`.

    Args:
        quantize: `int8` for dynamic quantisation of matrix products and embeddings, else None. Weights are rounded to
            int8 with one scale for each output channel, activations to uint8 with one scale for each tensor and batch.

    Raises:
        UserError: if a package is missing.
    """

    library, file, loader = "onnx", "model.onnx", "onnxruntime"
    # Python code for the model card.
    imports = ("import numpy as np", "import onnxruntime")
    load = "session = onnxruntime.InferenceSession({!r})"
    array = "np.array({}, dtype=np.int64)"
    call = "session.run(None, inputs)"

    def __init__(self, quantize: str | None = None) -> None:
        needed = ("onnx", "onnxscript", *(["onnxruntime"] if quantize else []))
        if missing := [name for name in needed if importlib.util.find_spec(name) is None]:
            raise UserError(f"to=onnx needs {', '.join(missing)}: {_INSTALL}")
        self.quantize = quantize

    def convert(self, program: torch.export.ExportedProgram, outputs: Sequence[str]) -> Callable[[Path], None]:
        inputs = [spec.arg.name for spec in program.graph_signature.input_specs if spec.kind.name == "USER_INPUT"]
        with _quiet():
            converted = torch.onnx.export(
                program, dynamo=True, input_names=inputs, output_names=list(outputs), verbose=False
            )
        assert converted is not None, "the exporter with dynamo=True returns the program"
        size = sum(tensor.numel() * tensor.element_size() for tensor in program.state_dict.values())
        written = converted

        def save(path: Path) -> None:
            written.save(path, external_data=size > _LARGEST)

        return save

    def quantizer(self) -> Callable[[Path], None] | None:
        return _to_int8 if self.quantize else None

    def computing(self, path: Path) -> Compute | None:
        if importlib.util.find_spec("onnxruntime") is None:
            return None
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors alone
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

        def compute(inputs: Mapping[str, Tensor]) -> Sequence[Tensor]:
            found: list[Any] = session.run(None, {name: tensor.numpy() for name, tensor in inputs.items()})
            return [torch.from_numpy(each) for each in found]

        return compute


def _to_int8(path: Path) -> None:
    """Replace a file by its form in int8.

    Raises:
        UserError: if onnxruntime cannot quantise the model.
    """
    import onnx
    import onnxruntime
    from onnxruntime.quantization import QuantType, quantize_dynamic

    model = onnx.load(path)
    # Shapes of values within the graph are only notes. Older versions transpose weights and keep the old shapes.
    del model.graph.value_info[:]
    try:
        with _quiet():
            quantize_dynamic(model, path, per_channel=True, weight_type=QuantType.QInt8)
    except OSError:
        raise  # the disk is full, say
    except Exception as error:
        reason = " ".join(str(error).split())[:120]
        raise UserError(
            f"onnxruntime {onnxruntime.__version__} cannot quantise this model ({reason}): leave quantize out"
        ) from None
    path.with_name(f"{path.name}.data").unlink(missing_ok=True)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence warnings of exporters. They are about packages that they would like, and about their own future."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)

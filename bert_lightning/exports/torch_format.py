"""Write a traced model as a program of torch.export, which PyTorch loads without this package."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from bert_lightning.exports.program_format import Compute, ProgramFormat


class TorchFormat(ProgramFormat):
    """The format of torch.export, in the file `model.pt2`."""

    library, file, loader = "pytorch", "model.pt2", "torch.export.load"
    # Python code for the model card.
    imports = ("import torch",)
    load = "program = torch.export.load({!r}).module()"
    array = "torch.tensor({})"
    call = "program(**inputs)"

    def convert(self, program: torch.export.ExportedProgram, outputs: Sequence[str]) -> Callable[[Path], None]:
        # The order of the outputs is their only name.
        return lambda path: torch.export.save(program, path)

    def computing(self, path: Path) -> Compute | None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # of torch about its own serialisation
            program = torch.export.load(path).module()

        def compute(inputs: Mapping[str, Tensor]) -> Sequence[Tensor]:
            found: Sequence[Tensor] = program(**inputs)
            return found

        return compute

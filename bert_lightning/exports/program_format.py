"""The interface of program formats: how a traced program is written, loaded and described."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

Compute = Callable[[Mapping[str, Tensor]], Sequence[Tensor]]


class ProgramFormat(ABC):
    """A format of programs.

    Attributes:
        library: the hub's name of the format.
        file: the name of the file.
        loader: what loads the file, for people.
        imports: Python code that imports the loader.
        load: Python code that loads a file; `{!r}` is its path.
        array: Python code that makes an input; `{}` is a list of lists of integers.
        call: Python code that computes the outputs of `inputs`.
    """

    library: ClassVar[str]
    file: ClassVar[str]
    loader: ClassVar[str]
    imports: ClassVar[tuple[str, ...]]
    load: ClassVar[str]
    array: ClassVar[str]
    call: ClassVar[str]

    @abstractmethod
    def convert(self, program: torch.export.ExportedProgram, outputs: Sequence[str]) -> Callable[[Path], None]:
        """Convert a traced program, and return what writes it into a file."""

    @abstractmethod
    def computing(self, path: Path) -> Compute | None:
        """Return what computes with a file; None if the program that loads it is not installed."""

    def quantizer(self) -> Callable[[Path], None] | None:
        """Return what replaces a file by its quantised form; None if the file stays in float32."""
        return None

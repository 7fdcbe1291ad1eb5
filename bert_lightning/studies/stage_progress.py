"""Show how far the runs of a study are: one line for each stage, with a bar while it lasts."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TextIO

from bert_lightning.studies.planned_runs import PlannedRun
from bert_lightning.studies.records import claim_of, result_file

_BAR = 24  # characters of a full bar
_WIDTH = 38  # characters of a label


@dataclass(frozen=True)
class Stage:
    """Runs that are made together.

    `seconds` is the time that they take, as far as it is known; None: the bar shows the share of runs that are over.
    """

    label: str
    runs: Sequence[PlannedRun]
    seconds: float | None = None


@dataclass
class StageProgress:
    """The lines of all stages. A terminal gets bars; a file gets a line when a stage is over.

    Args:
        stages: the stages, in their order.
        stream: where the lines go.
    """

    stages: Sequence[Stage]
    stream: TextIO = field(default_factory=lambda: sys.stdout)
    _current: int = 0
    _since: float = field(default_factory=time.monotonic)

    def update(self) -> None:
        """Draw the bar of the current stage, and go on to the next one if all its runs are over."""
        while self._current < len(self.stages):
            stage, now = self.stages[self._current], time.monotonic()
            over = sum(_is_over(run) for run in stage.runs)
            elapsed = now - self._since
            if over < len(stage.runs):
                share = over / len(stage.runs) if stage.seconds is None else min(elapsed / stage.seconds, 0.99)
                self._draw(stage, share, elapsed)
                return
            self._draw(stage, 1.0, elapsed, ended=True)
            self._current, self._since = self._current + 1, now

    def close(self) -> None:
        """Draw the last state, and end the line of a stage that is not over."""
        self.update()
        if self._current < len(self.stages) and self.stream.isatty():
            print(file=self.stream, flush=True)

    def _draw(self, stage: Stage, share: float, elapsed: float, ended: bool = False) -> None:
        if not (ended or self.stream.isatty()):
            return
        full = round(_BAR * share)
        bar = "━" * full + " " * (_BAR - full)
        line = f"  {stage.label:{_WIDTH}}{bar}  {int(elapsed) // 60}:{int(elapsed) % 60:02d}"
        start = "\r\033[K" if self.stream.isatty() else ""
        print(f"{start}{line}", end="\n" if ended else "", file=self.stream, flush=True)


def _is_over(run: PlannedRun) -> bool:
    """Return whether a run has a result, or failed."""
    return result_file(run).exists() or claim_of(run).failure.exists()

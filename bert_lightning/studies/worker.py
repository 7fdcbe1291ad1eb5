"""Work on the runs of a study in this process: take a run that nobody works on, do it, and take the next."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bert_lightning.errors import UserError
from bert_lightning.runs.run_folder import RunFolder
from bert_lightning.runtime.isolation import isolated
from bert_lightning.runtime.signals import Interrupted
from bert_lightning.studies import records
from bert_lightning.studies.line_prefix import prefixed_output
from bert_lightning.studies.planned_runs import PlannedRun
from bert_lightning.studies.run_configs import RunConfigs
from bert_lightning.studies.run_states import CHANGED, DONE, FAILED, RUNNING, WAITING, run_state

_LOOKS_EVERY = 1.0  # seconds between two looks at runs that other processes work on


@dataclass
class Worker:
    """A process that works on runs, one after another. Several may work on the same runs.

    Args:
        runs: the runs; each stands after those that it depends on.
        configs: the configs of the runs.
        execute: function that does one run, and returns what it found in one line.
        since: time, in seconds since 1970; a run that failed after it is not tried again.
    """

    runs: Sequence[PlannedRun]
    configs: RunConfigs
    execute: Callable[[PlannedRun], str]
    since: float = field(default_factory=time.time)
    _ended: dict[Path, str] = field(default_factory=dict)  # folder -> done, failed, changed, or waiting for such a run

    def work(self) -> None:
        """Do runs until each is done, has failed, or waits for one that failed.

        Raises:
            Interrupted: if a signal stopped a run.
        """
        while len(self._ended) < len(self.runs):
            run = next((run for run in self.runs if self._is_ready(run)), None)
            if run is not None:
                self._take(run)
            elif len(self._ended) < len(self.runs):  # other processes work on what is left
                time.sleep(_LOOKS_EVERY)

    def _is_ready(self, run: PlannedRun) -> bool:
        """Return whether this process can do a run now. Note the runs that have ended."""
        if run.folder in self._ended:
            return False
        states = [self._ended.get(folder) for folder in run.dependencies]
        if any(state not in (None, DONE) for state in states):
            self._ended[run.folder] = WAITING
            return False
        if None in states:
            return False
        state = run_state(run, self.configs)
        if state.state in (DONE, CHANGED) or (state.state == FAILED and not self._may_try(run)):
            self._ended[run.folder] = state.state
            return False
        return state.state != RUNNING

    def _may_try(self, run: PlannedRun) -> bool:
        """Return whether a run that failed has not been tried since this study was started."""
        failure = records.claim_of(run).failure
        return not failure.exists() or failure.stat().st_mtime < self.since

    def _take(self, run: PlannedRun) -> None:
        """Do one run, unless another process has just taken it."""
        claim = records.claim_of(run)
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(claim.held())
            except UserError:
                if claim.is_held_by_another():
                    return
                raise
            before = run_state(run, self.configs)
            if before.state in (DONE, CHANGED, RUNNING):  # another process has just ended it, or trains it alone
                return
            self._do(run)

    def _do(self, run: PlannedRun) -> None:
        continues, started = RunFolder(run.folder).config.exists(), time.monotonic()
        with prefixed_output(run.name):
            try:
                records.write_start(run)
                print("continues" if continues else "starts", flush=True)
                with isolated():
                    found = self.execute(run)
            except Interrupted as stop:
                name = signal.Signals(stop.number).name
                raise Interrupted.from_message(
                    f"stopped by {name} in {run.name}: to continue, run the same command"
                ) from None
            except Exception as error:
                records.write_failure(run, error)
                self._ended[run.folder] = FAILED
                print(f"failed: {records.last_error(run)}", flush=True)
                return
            seconds = time.monotonic() - started
            if not continues:
                records.write_end(run, seconds)
            self._ended[run.folder] = DONE
            print(f"done in {seconds:.0f} s: {found}", flush=True)

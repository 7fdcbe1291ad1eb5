"""Phases of training: short sequences for most of training, because they cost less, and long ones at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from bert_lightning.data.arrays import Ints
from bert_lightning.data.batching.batch_plan import UNREACHED, BatchPlan
from bert_lightning.data.batching.sampler import Positions
from bert_lightning.data.pretraining.token_spans import ExampleBuilder
from bert_lightning.data.store.token_store import TokenStore
from bert_lightning.errors import UserError


class Phase(NamedTuple):
    """One phase: its fraction of training, and the builder of its examples."""

    share: float
    builder: ExampleBuilder


class PhaseSlice(NamedTuple):
    """Positions of the training stream in one phase, counted from the beginning of the phase."""

    number: int  # number of the phase, from 0
    builder: ExampleBuilder
    positions: Ints


class Phases(Sequence[Phase]):
    """The phases of training, in order. Devlin et al. 2019, appendix A.2: 90 % of training at 128 tokens, 10 % at 512.

    Args:
        store: token store of the sentences.
        builder: function that makes the example builder of a phase.
        phases: a mapping for each phase: its `share` (fraction of training), and arguments of `builder`.

    Raises:
        UserError: if there is no phase, a phase has no share, the shares do not add up to 1, or an argument is wrong.
    """

    def __init__(
        self, store: TokenStore, builder: Callable[..., ExampleBuilder], phases: Sequence[Mapping[str, Any]]
    ) -> None:
        shares = [phase.get("share", 0) for phase in phases]
        numbers = all(isinstance(share, (int, float)) for share in shares)
        if not phases or not numbers or min(shares) <= 0 or abs(sum(shares) - 1) > 1e-6:
            raise UserError(f"examples.phases: shares={shares} must be given for each phase, above 0, and add up to 1")
        try:
            self._phases = [Phase(p["share"], builder(store, **{k: p[k] for k in p if k != "share"})) for p in phases]
        except TypeError as error:
            raise UserError(
                f"examples.phases: a phase has an argument that its examples do not take: {error}"
            ) from None

    @classmethod
    def of(cls, made: ExampleBuilder | Phases) -> Phases:
        """Return `made` if it is already `Phases`, else a single phase with this builder."""
        return made if isinstance(made, Phases) else cls(made.store, lambda _: made, [{"share": 1.0}])

    def __len__(self) -> int:
        return len(self._phases)

    def __getitem__(self, number: Any) -> Any:
        return self._phases[number]

    @property
    def max_length(self) -> int:
        """Return the maximal number of tokens in an example, over all phases."""
        return max(phase.builder.max_length for phase in self._phases)

    @property
    def row_length(self) -> int:
        """Return the maximal number of tokens in a row, over all phases."""
        return max(phase.builder.row_length for phase in self._phases)

    @property
    def segments(self) -> int:
        """Return the number of token types in use."""
        return max(phase.builder.segments for phase in self._phases)

    @property
    def last(self) -> Phases:
        """Return only the last phase. Validation uses its examples, because the finished model is used with these."""
        return Phases.of(self._phases[-1].builder)

    def starts(self, plan: BatchPlan) -> tuple[int, ...]:
        """Return the position at which each phase starts; `UNREACHED` if the plan does not know it."""
        ends = np.cumsum([phase.share for phase in self._phases])[:-1]
        known = plan.phase_starts
        return known + tuple(plan.position_at(end) for end in [0.0, *ends][len(known) :])

    def slices(self, positions: Positions, plan: BatchPlan) -> Iterator[PhaseSlice]:
        """Split the positions of a batch by phase, and yield the positions of each phase. All must be of one plan."""
        positions = np.asarray(positions)
        for number, (begin, end) in enumerate(pairwise([*self.starts(plan), UNREACHED])):
            within = positions[(begin <= positions) & (positions < end)] - begin
            if len(within):
                yield PhaseSlice(number, self._phases[number].builder, within)

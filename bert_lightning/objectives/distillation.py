"""Distillation from a teacher encoder. Sanh et al. 2019, "DistilBERT", https://arxiv.org/abs/1910.01108, section 2.

DistilBERT adds two objectives to masked language modeling. `SoftTargets` compares the student's distribution over the
vocabulary with the teacher's. `HiddenCosine` compares their hidden states. `SoftTargets` owns the teacher, and writes
the teacher's hidden states into the batch for `HiddenCosine`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor

from bert_lightning.errors import UserError
from bert_lightning.model.config import BertConfig
from bert_lightning.model.encoder import BERT
from bert_lightning.model.heads import MaskedLMHead
from bert_lightning.objectives.base import HEAD_TYPES, Batch, Objective, Term
from bert_lightning.ranges import NotNegative, Positive


class Teacher(Protocol):
    """The weights and the tokenizer of a trained encoder. `load_pretrained` returns one."""

    config: BertConfig
    tokenizer: Tokenizer

    def encoder(self) -> BERT: ...

    def masked_lm_head(self) -> MaskedLMHead | None: ...


class SoftTargets(Objective):
    """A soft-target loss: KL(teacher || student) of their distributions over the vocabulary, at a temperature.

    The teacher is not trained, not saved in checkpoints, and always in evaluation mode.

    Args:
        config: the config of the student.
        teacher: a loaded run or Hugging Face folder.
        temperature: divisor of the logits. The loss is multiplied by its square (Hinton et al. 2015, section 2).
        student_head: name of the term that has the student's masked language model head; None: the only such term.
        masked_only: whether to compare at masked positions only, instead of at every token. This is cheaper
            (`--restrict_ce_to_mask` in the original code).
        weight: factor of this loss.

    Raises:
        UserError: if the teacher has no masked language model head or another vocabulary size, or the temperature is
            not positive.
    """

    reads = ("masked_positions", "masked_labels")
    writes = ("teacher_hidden",)
    teacher: BERT
    teacher_head: MaskedLMHead
    student_head: MaskedLMHead

    def __init__(
        self,
        config: BertConfig,
        teacher: Teacher,
        temperature: Positive = 2.0,
        student_head: str | None = None,
        masked_only: bool = False,
        weight: NotNegative = 5.0,
    ) -> None:
        super().__init__(weight)
        if temperature <= 0:
            raise UserError(f"temperature={temperature} must be above 0")
        head = teacher.masked_lm_head()
        if head is None:
            raise UserError(
                "the teacher has no masked language model head: choose a run or a model that was pretrained with one"
            )
        if teacher.config.vocab_size != config.vocab_size:
            raise UserError(
                f"the teacher's vocabulary size is {teacher.config.vocab_size} and the student's {config.vocab_size}: "
                "give the student the teacher's tokenizer and vocab_size"
            )
        # Bypass nn.Module.__setattr__: a registered module would be trained, saved and put into training mode.
        for name, part in (("teacher", teacher.encoder()), ("teacher_head", head)):
            object.__setattr__(self, name, part.eval().requires_grad_(False))
        self.vocabulary = teacher.tokenizer.get_vocab()
        self.temperature, self.masked_only, self.head_term = temperature, masked_only, student_head

    def attach(self, encoder: BERT, terms: Mapping[str, Objective]) -> None:
        fitting = [name for name, term in terms.items() if term.head_type == HEAD_TYPES[MaskedLMHead]]
        chosen = fitting if self.head_term is None else [name for name in fitting if name == self.head_term]
        if not chosen:
            asked = "soft targets need" if self.head_term is None else f"student_head={self.head_term} must name"
            there = f"there are {', '.join(fitting)}" if fitting else "add one, such as mlm"
            raise UserError(f"{asked} a term with a masked language model head: {there}")
        if len(chosen) > 1:
            raise UserError(f"several terms have a masked language model head ({', '.join(chosen)}): set student_head")
        object.__setattr__(self, "student_head", terms[chosen[0]].head)

    def check(self, tokenizer: Tokenizer, max_length: int) -> None:
        if (ours := tokenizer.get_vocab()) != self.vocabulary:
            word, _ = min(set(ours.items()) ^ set(self.vocabulary.items()), key=lambda item: (item[1], item[0]))
            raise UserError(
                f"the teacher has another vocabulary ({word!r} is the first difference): use the teacher's tokenizer, "
                "by tokenizer=files tokenizer.path=<the teacher's folder>"
            )
        if max_length > (longest := self.teacher.config.max_position_embeddings):
            raise UserError(
                f"examples.max_length={max_length} is longer than the {longest} tokens that the teacher can read: "
                f"use {longest} or less"
            )

    @torch.no_grad()
    def inputs(self, encoder: BERT, batch: Batch) -> Batch:
        hidden = self.teacher(batch["input_ids"], batch["token_type_ids"], batch["attention_mask"])
        return {**batch, "teacher_hidden": hidden}

    def count(self, batch: Batch) -> int:
        return len(batch["masked_labels"]) if self.masked_only else batch["num_tokens"]

    def forward(self, hidden: Tensor, encoder: BERT, batch: Batch) -> Term:
        positions = batch["masked_positions"] if self.masked_only else _token_positions(batch)
        student = self.student_head(hidden.flatten(0, 1)[positions], encoder.embeddings.word.weight)  # [n, V]
        with torch.no_grad():
            teacher_hidden = batch["teacher_hidden"].flatten(0, 1)[positions]
            teacher = self.teacher_head(teacher_hidden, self.teacher.embeddings.word.weight)
        ours, theirs = ((logits.float() / self.temperature).log_softmax(-1) for logits in (student, teacher))
        divergence = F.kl_div(ours, theirs, reduction="sum", log_target=True) * self.temperature**2
        return Term(divergence / max(1, len(positions)), student, teacher.argmax(-1))

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        """Move the teacher to a device or dtype with this module. The teacher is not registered as a submodule."""
        for part in (self.teacher, self.teacher_head):
            part._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return super()._apply(fn, recurse)  # type: ignore[no-untyped-call]


class HiddenCosine(Objective):
    """A cosine loss: 1 - cosine of the student's and the teacher's last hidden states, averaged over real tokens.

    The joint objective must also have a `SoftTargets` term, because that term owns the teacher.
    """

    reads = ("teacher_hidden",)

    def __init__(self, config: BertConfig, weight: NotNegative = 1.0) -> None:
        super().__init__(weight)
        self.width = config.hidden_size

    def attach(self, encoder: BERT, terms: Mapping[str, Objective]) -> None:
        for objective in terms.values():
            if isinstance(objective, SoftTargets) and (wide := objective.teacher.config.hidden_size) != self.width:
                raise UserError(
                    f"hidden_size={self.width} of the student differs from the teacher's {wide}, so their hidden "
                    "states have no cosine: make the sizes equal, or remove the term hidden_cosine"
                )

    def count(self, batch: Batch) -> int:
        return batch["num_tokens"]

    def forward(self, hidden: Tensor, encoder: BERT, batch: Batch) -> Term:
        real = batch["attention_mask"] > 0
        cosine = F.cosine_similarity(hidden[real].float(), batch["teacher_hidden"][real].float(), dim=-1)  # [T]
        return Term((1 - cosine).sum() / max(1, cosine.numel()), cosine, torch.ones_like(cosine))


def _token_positions(batch: Batch) -> Tensor:
    """Return the positions of all tokens that are not padding, [T] indices into the flattened batch [B * S]."""
    return (batch["attention_mask"] > 0).flatten().nonzero()[:, 0]

"""Distillation from a teacher encoder. Sanh et al. 2019, "DistilBERT", https://arxiv.org/abs/1910.01108, section 2.

It adds two objectives to masked language modeling: the teacher's distribution as soft targets, and the direction of
its hidden states. The first owns the teacher and writes the teacher's hidden states into the batch for the second.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor, nn

from bert_lightning.errors import UserError
from bert_lightning.model.config import BertConfig
from bert_lightning.model.encoder import BERT
from bert_lightning.model.heads import MaskedLMHead
from bert_lightning.objectives.base import Batch, Objective, Term
from bert_lightning.ranges import NotNegative, Positive

_TEACHER_HEAD = "objective.terms.mlm.head."  # prefix of the MLM head's keys in a checkpoint


class Teacher(Protocol):
    """The weights and the tokenizer of a trained encoder. `runs.checkpoint.load` returns one."""

    config: BertConfig
    tokenizer: Tokenizer

    def encoder(self) -> BERT: ...

    def has(self, prefix: str) -> bool: ...

    def fill(self, module: nn.Module, prefix: str) -> None: ...


class SoftTargets(Objective):
    """A soft-target loss: KL(teacher || student) of their distributions over the vocabulary, at a temperature.

    The teacher is not trained, is not in the checkpoint, and always stays in evaluation mode.

    Args:
        config: the config of the student.
        teacher: a loaded run or Hugging Face folder.
        temperature: the divisor of the logits. The loss is scaled by its square (Hinton et al. 2015, section 2).
        student_head: name of the term that has the student's MLM head.
        masked_only: whether to compare at masked positions only, not at every token. It is cheaper
            (`--restrict_ce_to_mask` in the original code).
        weight: factor of this loss.

    Raises:
        UserError: if the teacher has no MLM head or another vocabulary size, or the temperature is not positive.
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
        student_head: str = "mlm",
        masked_only: bool = False,
        weight: NotNegative = 5.0,
    ) -> None:
        super().__init__(weight)
        if temperature <= 0:
            raise UserError(f"temperature={temperature} must be above 0")
        if not teacher.has(_TEACHER_HEAD):
            raise UserError("the teacher holds no head for masked words: take a run or a model that was pretrained")
        if teacher.config.vocab_size != config.vocab_size:
            raise UserError(
                f"the teacher has {teacher.config.vocab_size} words, the student {config.vocab_size}: give the student "
                "the teacher's tokenizer and vocab_size"
            )
        head = MaskedLMHead(teacher.config)
        teacher.fill(head, _TEACHER_HEAD)
        # Bypass nn.Module.__setattr__: a registered module would be trained, saved and put into training mode.
        for name, part in (("teacher", teacher.encoder()), ("teacher_head", head)):
            object.__setattr__(self, name, part.eval().requires_grad_(False))
        self.vocabulary = teacher.tokenizer.get_vocab()
        self.temperature, self.masked_only, self.head_term = temperature, masked_only, student_head

    def attach(self, encoder: BERT, terms: Mapping[str, Objective]) -> None:
        head = getattr(terms.get(self.head_term), "head", None)
        if not isinstance(head, MaskedLMHead):
            raise UserError(f"student_head={self.head_term} must name a term that predicts masked words: add mlm")
        object.__setattr__(self, "student_head", head)

    def check(self, tokenizer: Tokenizer, max_length: int) -> None:
        if (ours := tokenizer.get_vocab()) != self.vocabulary:
            word, _ = min(set(ours.items()) ^ set(self.vocabulary.items()), key=lambda item: (item[1], item[0]))
            raise UserError(
                f"the teacher has another vocabulary ({word!r} is the first difference): "
                "use the teacher's own, tokenizer=files tokenizer.path=<the teacher's folder>"
            )
        if max_length > (longest := self.teacher.config.max_position_embeddings):
            raise UserError(f"examples.max_length={max_length} is longer than the {longest} tokens the teacher reads")

    @torch.no_grad()
    def inputs(self, encoder: BERT, batch: Batch) -> Batch:
        hidden = self.teacher(batch["input_ids"], batch["token_type_ids"], batch["attention_mask"])
        return {**batch, "teacher_hidden": hidden}

    def count(self, batch: Batch) -> int:
        return len(batch["masked_labels"]) if self.masked_only else batch["num_tokens"]

    def forward(self, hidden: Tensor, encoder: BERT, batch: Batch) -> Term:
        places = batch["masked_positions"] if self.masked_only else _real(batch)
        student = self.student_head(hidden.flatten(0, 1)[places], encoder.embeddings.word.weight)  # [n, V]
        with torch.no_grad():
            at_places = batch["teacher_hidden"].flatten(0, 1)[places]
            teacher = self.teacher_head(at_places, self.teacher.embeddings.word.weight)
        ours, theirs = ((logits.float() / self.temperature).log_softmax(-1) for logits in (student, teacher))
        divergence = F.kl_div(ours, theirs, reduction="sum", log_target=True) * self.temperature**2
        return Term(divergence / max(1, len(places)), student, teacher.argmax(-1))

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        """Move the teacher to a device or type together with this module, in which it is not registered."""
        for part in (self.teacher, self.teacher_head):
            part._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return super()._apply(fn, recurse)  # type: ignore[no-untyped-call]


class HiddenCosine(Objective):
    """A cosine loss: 1 - cosine of the student's and the teacher's last hidden state, as a mean over all tokens.

    It needs another term that owns the teacher.
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
                    "states have no angle: make them equal, or leave out this term"
                )

    def count(self, batch: Batch) -> int:
        return batch["num_tokens"]

    def forward(self, hidden: Tensor, encoder: BERT, batch: Batch) -> Term:
        real = batch["attention_mask"] > 0
        cosine = F.cosine_similarity(hidden[real].float(), batch["teacher_hidden"][real].float(), dim=-1)  # [T]
        return Term((1 - cosine).sum() / max(1, cosine.numel()), cosine, torch.ones_like(cosine))


def _real(batch: Batch) -> Tensor:
    """Return the indices of the real tokens in the flattened batch, [T]."""
    return (batch["attention_mask"] > 0).flatten().nonzero()[:, 0]

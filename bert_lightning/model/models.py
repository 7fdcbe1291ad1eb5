"""Encoder and head in one module, for use without Lightning: the tensors in, the scores out."""

from __future__ import annotations

from torch import Tensor, nn

from bert_lightning.model.encoder import BERT
from bert_lightning.model.heads import (
    MaskedLMHead,
    NextSentenceHead,
    SequenceClassificationHead,
    SpanHead,
    TokenClassificationHead,
)


class BertForMaskedLM(nn.Module):
    """Scores of every word at each position (cloze). Devlin et al. 2019, section 3.1, task 1."""

    def __init__(self, bert: BERT, vocab_size: int | None = None, hidden_size: int | None = None) -> None:
        super().__init__()
        _check_fits(bert, vocab_size=vocab_size, hidden_size=hidden_size)
        self.bert = bert
        self.head = MaskedLMHead(bert.config)

    def forward(
        self,
        input_ids: Tensor,
        token_type_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        positions: Tensor | None = None,
    ) -> Tensor:
        """[B, S] -> [B, S, V], or [M, V] at `positions`: [M] int64 into the flattened batch [B * S]."""
        hidden = self.bert(input_ids, token_type_ids, attention_mask, positions)
        return self.head(hidden, self.bert.embeddings.word.weight)


class BertForPreTraining(nn.Module):
    """Both scores of BERT's pretraining: masked words, and whether B follows A. Devlin et al. 2019, section 3.1."""

    def __init__(self, bert: BERT) -> None:
        super().__init__()
        self.bert = bert
        self.masked_lm = MaskedLMHead(bert.config)
        self.next_sentence = NextSentenceHead(bert.config)

    def forward(
        self, input_ids: Tensor, token_type_ids: Tensor | None = None, attention_mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """[B, S] -> ([B, S, V], [B, 2])."""
        hidden = self.bert(input_ids, token_type_ids, attention_mask)
        return self.masked_lm(hidden, self.bert.embeddings.word.weight), self.next_sentence(hidden)


class BertForSequenceClassification(nn.Module):
    """One score a class for each input. Devlin et al. 2019, section 4.1."""

    def __init__(self, bert: BERT, num_labels: int, hidden_size: int | None = None) -> None:
        super().__init__()
        _check_fits(bert, hidden_size=hidden_size)
        self.bert = bert
        self.head = SequenceClassificationHead(bert.config, num_labels)

    def forward(
        self, input_ids: Tensor, token_type_ids: Tensor | None = None, attention_mask: Tensor | None = None
    ) -> Tensor:
        """[B, S] -> [B, C]."""
        return self.head(self.bert(input_ids, token_type_ids, attention_mask), attention_mask)


class BertForTokenClassification(nn.Module):
    """One score a class for each token (named entities). Devlin et al. 2019, section 5.3."""

    def __init__(self, bert: BERT, num_labels: int, hidden_size: int | None = None) -> None:
        super().__init__()
        _check_fits(bert, hidden_size=hidden_size)
        self.bert = bert
        self.head = TokenClassificationHead(bert.config, num_labels)

    def forward(
        self, input_ids: Tensor, token_type_ids: Tensor | None = None, attention_mask: Tensor | None = None
    ) -> Tensor:
        """[B, S] -> [B, S, C]."""
        return self.head(self.bert(input_ids, token_type_ids, attention_mask))


class BertForQuestionAnswering(nn.Module):
    """Scores of each token as first and as last of the answer. Devlin et al. 2019, section 4.2."""

    def __init__(self, bert: BERT, hidden_size: int | None = None) -> None:
        super().__init__()
        _check_fits(bert, hidden_size=hidden_size)
        self.bert = bert
        self.head = SpanHead(bert.config)

    def forward(
        self, input_ids: Tensor, token_type_ids: Tensor | None = None, attention_mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """[B, S] -> (start [B, S], end [B, S])."""
        return self.head(self.bert(input_ids, token_type_ids, attention_mask))


def _check_fits(bert: BERT, **sizes: int | None) -> None:
    """A size repeated at the call must be the encoder's own."""
    for name, size in sizes.items():
        actual = getattr(bert.config, name)
        if size is not None and size != actual:
            raise ValueError(f"{name}={size!r} does not fit the encoder, which has {name}={actual}")

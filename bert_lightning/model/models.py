"""Models that join an encoder and a head, for use without Lightning: they turn token ids into logits."""

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
    """A masked language model: logits over the vocabulary at each position. Devlin et al. 2019, section 3.1, task 1."""

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
        """Return logits over the vocabulary, [B, S] -> [B, S, V]; with `positions`, only those, [M, V].

        `positions` [M] int64 are indices into the flattened batch [B * S].
        """
        hidden = self.bert(input_ids, token_type_ids, attention_mask, positions)
        return self.head(hidden, self.bert.embeddings.word.weight)


class BertForPreTraining(nn.Module):
    """BERT with both pretraining heads: masked tokens and next sentence. Devlin et al. 2019, section 3.1."""

    def __init__(self, bert: BERT) -> None:
        super().__init__()
        self.bert = bert
        self.masked_lm = MaskedLMHead(bert.config)
        self.next_sentence = NextSentenceHead(bert.config)

    def forward(
        self, input_ids: Tensor, token_type_ids: Tensor | None = None, attention_mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return the masked-token and the next-sentence logits, [B, S] -> ([B, S, V], [B, 2])."""
        hidden = self.bert(input_ids, token_type_ids, attention_mask)
        return self.masked_lm(hidden, self.bert.embeddings.word.weight), self.next_sentence(hidden)


class BertForSequenceClassification(nn.Module):
    """A sequence classifier: one logit per class for each sequence. Devlin et al. 2019, section 4.1."""

    def __init__(self, bert: BERT, num_labels: int, hidden_size: int | None = None) -> None:
        super().__init__()
        _check_fits(bert, hidden_size=hidden_size)
        self.bert = bert
        self.head = SequenceClassificationHead(bert.config, num_labels)

    def forward(
        self, input_ids: Tensor, token_type_ids: Tensor | None = None, attention_mask: Tensor | None = None
    ) -> Tensor:
        """Return the logits of each sequence, [B, S] -> [B, C]."""
        return self.head(self.bert(input_ids, token_type_ids, attention_mask), attention_mask)


class BertForTokenClassification(nn.Module):
    """A token classifier (named entities): one logit per class for each token. Devlin et al. 2019, section 5.3."""

    def __init__(self, bert: BERT, num_labels: int, hidden_size: int | None = None) -> None:
        super().__init__()
        _check_fits(bert, hidden_size=hidden_size)
        self.bert = bert
        self.head = TokenClassificationHead(bert.config, num_labels)

    def forward(
        self, input_ids: Tensor, token_type_ids: Tensor | None = None, attention_mask: Tensor | None = None
    ) -> Tensor:
        """Return the logits of each token, [B, S] -> [B, S, C]."""
        return self.head(self.bert(input_ids, token_type_ids, attention_mask))


class BertForQuestionAnswering(nn.Module):
    """A model for extractive question answering: it scores answer spans. Devlin et al. 2019, section 4.2."""

    def __init__(self, bert: BERT, hidden_size: int | None = None) -> None:
        super().__init__()
        _check_fits(bert, hidden_size=hidden_size)
        self.bert = bert
        self.head = SpanHead(bert.config)

    def forward(
        self, input_ids: Tensor, token_type_ids: Tensor | None = None, attention_mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return the logits of each token as the answer's first and as its last token, [B, S] -> 2 x [B, S]."""
        return self.head(self.bert(input_ids, token_type_ids, attention_mask))


def _check_fits(bert: BERT, **sizes: int | None) -> None:
    """Check that the sizes given to a model equal the encoder's. A size of None is not checked.

    Raises:
        ValueError: if a size differs.
    """
    for name, size in sizes.items():
        actual = getattr(bert.config, name)
        if size is not None and size != actual:
            raise ValueError(f"{name}={size!r} does not fit the encoder, which has {name}={actual}")

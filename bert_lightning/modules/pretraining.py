"""Pretraining: an encoder, and the objectives it learns from."""

from bert_lightning.modules.base import EncoderModule


class PretrainingModule(EncoderModule):
    """Trains an encoder from scratch. Its checkpoint serves `finetune` (encoder) and `predict` (filling in masks)."""

    kind = "pretraining"

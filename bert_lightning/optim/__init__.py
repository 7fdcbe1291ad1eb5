"""Parameter groups, optimizers and learning rate schedules."""

from bert_lightning.optim.groups import build_optimizer, parameter_groups
from bert_lightning.optim.optimizers import Lamb, Muon, bert_adamw
from bert_lightning.optim.schedules import Cosine, Linear, OneMinusSqrt, Polynomial, WarmupStableDecay

__all__ = [
    "Cosine",
    "Lamb",
    "Linear",
    "Muon",
    "OneMinusSqrt",
    "Polynomial",
    "WarmupStableDecay",
    "bert_adamw",
    "build_optimizer",
    "parameter_groups",
]

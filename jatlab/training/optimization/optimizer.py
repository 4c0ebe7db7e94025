"""The learning rate and the optimizer that a recipe asks for."""

from __future__ import annotations

import math
from typing import Any

import torch

from jatlab.training.optimization.muon import Muon
from jatlab.training.recipe import TrainConfig

BETAS = (0.9, 0.95)  # AdamW's decays


def learning_rate(config: TrainConfig, progress: float) -> float:
    """The learning rate when ``progress`` (0 to 1) of the training is done.

    It rises to ``lr`` in a straight line, then falls as ``decay`` says.
    """
    if progress < config.warmup:
        return config.lr * progress / config.warmup
    done = min((progress - config.warmup) / (1 - config.warmup), 1)
    shares = {"cosine": (1 + math.cos(math.pi * done)) / 2, "linear": 1 - done, "constant": 1.0}
    return config.lr * shares[config.decay]


def make_optimizer(model: torch.nn.Module, config: TrainConfig) -> torch.optim.AdamW:
    """The recipe's optimizer, with weight decay on matrices only, not on biases, norms, embeddings.

    Muon moves the matrices of encoders and trunk, if it was chosen, and AdamW everything else.
    """
    embeddings = {id(m.weight) for m in model.modules() if isinstance(m, torch.nn.Embedding)}
    inner, matrices, others = [], [], []
    for name, parameter in model.named_parameters():
        if parameter.ndim < 2 or id(parameter) in embeddings:
            others.append(parameter)
        elif config.optimizer == "muon" and parameter.ndim == 2 and _is_inner(name):
            inner.append(parameter)
        else:
            matrices.append(parameter)
    groups: list[dict[str, Any]] = [
        {"params": matrices, "weight_decay": config.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    if config.optimizer == "muon":
        return Muon(inner, groups, config.lr, config.weight_decay, BETAS)
    return torch.optim.AdamW(groups, lr=config.lr, betas=BETAS, fused=True)


def _is_inner(name: str) -> bool:
    """Whether a parameter belongs to an encoder or the trunk, not to a table or a decoder."""
    return name.startswith("trunk.") or "_encoder." in name

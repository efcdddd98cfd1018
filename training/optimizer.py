"""What moves the weights: AdamW, its learning rate, and the moving average that is exported."""

import copy

import torch
from torch import nn


def optimizer_of(model: nn.Module, options: dict) -> torch.optim.Optimizer:
    """AdamW; biases, norms and embeddings without weight decay."""
    decayed, others = [], []
    for name, parameter in model.named_parameters():
        matrix = parameter.ndim > 1 and not any(word in name for word in ("position", "word", "codebook"))
        (decayed if matrix else others).append(parameter)
    groups = [{"params": decayed, "weight_decay": options["weight_decay"]}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, betas=tuple(options["betas"]))


def learning_rate(progress: float, options: dict) -> float:
    """Up in the first `warmup` of the training, level, down to zero in its last `cooldown`, both linear.

    Level, so that a training can be made longer while it runs (Hägele et al., 2024, arXiv 2405.18392).
    """
    return options["learning_rate"] * min(1, progress / options["warmup"], (1 - progress) / options["cooldown"])


class Ema:
    """Exponential moving average of a model's weights, quick at first."""

    def __init__(self, model: nn.Module, decay: float):
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        decay = min(self.decay, (1 + step) / (10 + step))
        for average, value in zip(self.model.state_dict().values(), model.state_dict().values()):
            average.lerp_(value, 1 - decay)

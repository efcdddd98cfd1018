"""AdamW, its learning rate, and the moving average of the weights that is exported."""

import copy

import torch
from torch import nn


def optimizer_of(model: nn.Module, options: dict) -> torch.optim.Optimizer:
    """Returns AdamW with weight decay for matrices only: biases, norms and embeddings have none."""
    decayed, others = [], []
    for name, parameter in model.named_parameters():
        matrix = parameter.ndim > 1 and not any(word in name for word in ("position", "word", "codebook"))
        (decayed if matrix else others).append(parameter)
    groups = [{"params": decayed, "weight_decay": options["weight_decay"]}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, betas=tuple(options["betas"]))


def learning_rate(progress: float, options: dict) -> float:
    """Returns the learning rate at a progress from 0 to 1. It rises linearly in the first share `warmup` of the
    training, is constant, and falls linearly to 0 in the last share `cooldown`.

    As it is constant in between, a training can be made longer while it runs (Hägele et al., 2024, arXiv 2405.18392).
    """
    return options["learning_rate"] * min(1, progress / options["warmup"], (1 - progress) / options["cooldown"])


class Ema:
    """The exponential moving average of a model's weights. It follows them faster in the first steps."""

    def __init__(self, model: nn.Module, decay: float):
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        decay = min(self.decay, (1 + step) / (10 + step))
        for average, value in zip(self.model.state_dict().values(), model.state_dict().values()):
            average.lerp_(value, 1 - decay)

"""The training loop that tokenizer and generator share: progress, EMA, resumable checkpoints."""

import copy
import json
import math
import os
import time
from pathlib import Path

import torch
from torch import nn


class Ema:
    """Exponential moving average of a model's weights, quick at first (Adam's bias correction in spirit)."""

    def __init__(self, model: nn.Module, decay: float):
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        decay = min(self.decay, (1 + step) / (10 + step))
        for average, value in zip(self.model.state_dict().values(), model.state_dict().values()):
            average.lerp_(value, 1 - decay)


def learning_rate(progress: float, peak: float, warmup: float) -> float:
    """Linear warm-up over the first `warmup` of the training, then half a cosine to zero."""
    if progress < warmup:
        return peak * progress / warmup
    return peak * 0.5 * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup)))


def save(path: Path, state: dict) -> None:
    """Writes beside and renames, so that an interrupted save loses nothing."""
    temporary = path.with_suffix(".tmp")
    torch.save(state, temporary)
    os.replace(temporary, path)


def optimizer_of(model: nn.Module, options: dict) -> torch.optim.Optimizer:
    """AdamW; biases, norms and embeddings without weight decay."""
    decayed, others = [], []
    for name, parameter in model.named_parameters():
        matrix = parameter.ndim > 1 and not any(word in name for word in ("position", "word", "codebook"))
        (decayed if matrix else others).append(parameter)
    groups = [{"params": decayed, "weight_decay": options["weight_decay"]}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, betas=tuple(options["betas"]))


def train(task, options: dict, folder: Path) -> nn.Module:
    """Runs `task` for options["steps"] steps and returns the averaged model.

    A task has `model`, `loss(progress) -> (loss, metrics)` and `evaluate(model) -> metrics`. State goes to
    folder/checkpoint.pt every `save_seconds`; started again, the training goes on from there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = folder / "checkpoint.pt"
    torch.manual_seed(options["seed"])
    model = task.model
    optimizer = optimizer_of(model, options)
    ema = Ema(model, options["ema_decay"])
    step, seconds_before = 0, 0.0
    if checkpoint.exists():
        state = torch.load(checkpoint, map_location="cpu")
        model.load_state_dict(state["model"])
        ema.model.load_state_dict(state["ema"])
        optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["random"])
        step, seconds_before = state["step"], state["seconds"]
        print(f"resumed at step {step}", flush=True)

    steps = options["steps"]
    started = last_save = time.monotonic()
    first_step = step
    averages: dict[str, float] = {}
    while step < steps:
        progress = step / steps
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(progress, options["learning_rate"], options["warmup"])
        loss, metrics = task.loss(progress)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), options["clip"])
        optimizer.step()
        step += 1
        ema.update(model, step)

        for name, value in metrics.items():
            averages[name] = value if name not in averages else 0.98 * averages[name] + 0.02 * value
        elapsed = time.monotonic() - started
        if step % options["log_every"] == 0 or step == steps:
            left = elapsed / (step - first_step) * (steps - step)
            shown = "  ".join(f"{name} {value:.4f}" for name, value in averages.items())
            print(f"step {step}/{steps}  {shown}  {seconds_before + elapsed:.0f} s, {left:.0f} s left", flush=True)
        if step % options["evaluate_every"] == 0 or step == steps:
            print("  evaluated " + json.dumps(task.evaluate(ema.model)), flush=True)
        if time.monotonic() - last_save > options["save_seconds"] or step == steps:
            last_save = time.monotonic()
            state = {"model": model.state_dict(), "ema": ema.model.state_dict(), "optimizer": optimizer.state_dict()}
            save(checkpoint, state | {"random": torch.get_rng_state(), "step": step, "seconds": seconds_before + elapsed})
    return ema.model

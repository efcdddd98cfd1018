"""The training loop that tokenizer and generator share: progress, checkpoints, metrics."""

import json
import os
import time
from pathlib import Path
from typing import Protocol

import torch
from torch import nn

from .batches import Batch, Random, ahead
from .optimizer import Ema, learning_rate, optimizer_of
from .processes import Processes


class Task(Protocol):
    """An nn.Module whose forward(batch, progress) returns the loss and the metrics to show. Progress goes from 0 to
    1."""

    model: nn.Module  # what is trained, averaged and exported

    def batch(self, random: Random, size: int) -> Batch: ...

    def evaluate(self, model: nn.Module) -> dict[str, float]: ...


class Progress:
    """Prints the progress and writes folder/metrics.jsonl, which `curves.py` reads. A resumed training drops the
    lines that were written after its checkpoint."""

    def __init__(self, folder: Path, step: int, steps: int, seconds: float, averages: dict[str, float]):
        self.file, self.first_step, self.steps = folder / "metrics.jsonl", step, steps
        self.seconds_before, self.averages = seconds, averages
        lines = self.file.read_text().splitlines() if self.file.exists() else []
        kept = [line for line in lines if json.loads(line)["step"] <= step]
        self.file.write_text("".join(line + "\n" for line in kept))
        self.started = time.monotonic()

    def seconds(self) -> float:
        """Returns the seconds of training, with those before it was resumed."""
        return self.seconds_before + time.monotonic() - self.started

    def add(self, metrics: dict[str, torch.Tensor]) -> None:
        for name, value in metrics.items():
            self.averages[name] = 0.98 * self.averages.get(name, value.item()) + 0.02 * value.item()

    def show(self, step: int) -> None:
        left = (time.monotonic() - self.started) / (step - self.first_step) * (self.steps - step)
        shown = "  ".join(f"{name} {value:.4f}" for name, value in self.averages.items())
        print(f"step {step}/{self.steps}  {shown}  {self.seconds():.0f} s, {left:.0f} s left", flush=True)
        self.write(step, self.averages)

    def write(self, step: int, metrics: dict[str, float]) -> None:
        with self.file.open("a") as file:
            file.write(json.dumps({"step": step, "seconds": round(self.seconds()), **metrics}) + "\n")


def save(path: Path, state: dict) -> None:
    """Writes to a temporary file and renames it, so that an interrupted save loses nothing."""
    temporary = path.with_suffix(".tmp")
    torch.save(state, temporary)
    os.replace(temporary, path)


def train(task: Task, options: dict, reader_threads: int, folder: Path, processes: Processes) -> nn.Module:
    """Runs `task` for options["steps"] steps of options["batch"] samples over all processes and returns the averaged
    model.

    It saves its state to folder/checkpoint.pt every `save_seconds`. When it is started again it resumes from there.
    """
    size, rest = divmod(options["batch"], processes.count)
    if rest:
        expected = f"expected a multiple of the {processes.count} processes"
        raise SystemExit(f"{expected} for batch but received {options['batch']}")
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = folder / "checkpoint.pt"
    model = task.to(processes.device).model
    optimizer = optimizer_of(model, options)
    ema = Ema(model, options["ema_decay"])
    steps, step, seconds, averages = options["steps"], 0, 0.0, {}
    if checkpoint.exists():
        state = torch.load(checkpoint, map_location=processes.device)
        for part, name in ((model, "model"), (ema.model, "ema"), (optimizer, "optimizer")):
            part.load_state_dict(state[name])
        step, seconds, averages = state["step"], state["seconds"], state["averages"]
    processes.wait()  # nobody writes before everybody has read
    progress = Progress(folder, step, steps, seconds, averages) if processes.first else None
    parallel = processes.parallel(task)

    def make(step: int) -> Batch:
        return task.batch(Random.for_step(options["seed"], step, processes.rank), size)

    last_save = time.monotonic()
    for batch in ahead(make, range(step, steps), reader_threads):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step / steps, options)
        with processes.autocast():
            loss, metrics = parallel({name: part.to(processes.device) for name, part in batch.items()}, step / steps)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), options["clip"])
        optimizer.step()
        step += 1
        ema.update(model, step)

        if not processes.first:
            continue
        progress.add(metrics)
        if step % options["log_every"] == 0 or step == steps:
            progress.show(step)
        if step % options["evaluate_every"] == 0 or step == steps:
            evaluated = task.evaluate(ema.model)
            print("  evaluated " + json.dumps(evaluated), flush=True)
            progress.write(step, {f"test {name}": value for name, value in evaluated.items()})
        if time.monotonic() - last_save > options["save_seconds"] or step == steps:
            last_save = time.monotonic()
            state = {"model": model.state_dict(), "ema": ema.model.state_dict(), "optimizer": optimizer.state_dict()}
            save(checkpoint, state | {"step": step, "seconds": progress.seconds(), "averages": progress.averages})
    return ema.model

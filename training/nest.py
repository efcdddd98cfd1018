"""python3 -m training.nest --from FOLDER --config training/configs/nest/TASK.json --out FOLDER
    [--widths 1/8,1/4,1/2,1] [--data FOLDER]

Makes a nested generator of one that was trained at full width only, such as a converted public checkpoint: it sorts
heads and hidden units by importance, then trains every width to answer like the original. It is resumable.

On several GPUs: torchrun --nproc_per_node 8 -m training.nest ...
"""

import argparse
import json
import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import torch
from torch.nn import functional as F

from . import export, importance, masking
from .batches import Batch, Random
from .config import prediction_frames, read_config
from .generator import GeneratorTask
from .loop import train
from .model import Generator
from .package import tokenizer_of
from .processes import Processes
from .tokens import Tokens, prepare

DEFAULT_WIDTHS = "1/8,1/4,1/2,1"
HIDDEN_MULTIPLE = 8  # of a width whose share of the hidden units is no whole number, so that kernels have full vectors


def nested_widths(names: str, config: dict) -> list[dict]:
    """Returns `widths` of a config for names such as "1/8,1/4,1/2,1": shares of all heads and hidden units."""
    heads, hidden = config["num_attention_heads"], config["intermediate_size"]
    if not re.fullmatch(r"(\d+/[1-9]\d*,)+1", names):
        raise SystemExit(f"--widths: expected shares that end with 1, such as {DEFAULT_WIDTHS}, but received {names}")
    shares = [Fraction(name) for name in names.split(",")]
    if shares != sorted(set(shares)) or shares[0] == 0:
        raise SystemExit(f"--widths: expected ascending shares but received {names}")
    for share in shares:
        if heads % share.denominator:
            possible = ", ".join(f"1/{heads // n}" for n in range(1, heads) if heads % n == 0)
            raise SystemExit(f"--widths: expected shares of {heads} heads, such as {possible}, but received {share}")

    def units(share: Fraction) -> int:
        exact = hidden * share
        return int(exact) if exact.denominator == 1 else max(1, int(exact) // HIDDEN_MULTIPLE) * HIDDEN_MULTIPLE

    return [{"name": str(share), "heads": int(heads * share), "hidden": units(share)} for share in shares]


def nested(original: Generator, names: str | None) -> Generator:
    """Returns a generator with the weights of `original` and the widths that are named."""
    config = original.config
    if names or len(original.widths) == 1:
        config = config | {"widths": nested_widths(names or DEFAULT_WIDTHS, config)}
    model = Generator(config)
    model.load_state_dict(original.state_dict())
    return model


class NestTask(GeneratorTask):
    """Trains one width each step, drawn at random, to answer like `teacher`, the original model, which stays as it was:
    L = CE(teacher -> width).

    In a share of the steps, options["schedule_share"], as many tokens are masked as when the schedule `paper` runs that
    width; in the others as in every training.
    """

    def __init__(self, model: Generator, teacher: Generator, options: dict, train: Tokens, test: Tokens):
        super().__init__(model, options, train, test)
        self.teacher = teacher.eval().requires_grad_(False)

    def draw(self, random: Random, size: int) -> tuple[masking.Masking, int]:
        widths, shared = len(self.model.widths), random.shared
        width = shared.integers(widths)
        scheduled = shared.random() < self.options["schedule_share"]
        span = (width / widths, (width + 1) / widths) if scheduled else (0.0, 1.0)
        return masking.draw(random.own, size, self.model.token_count, span), width

    def forward(self, batch: Batch, progress: float) -> tuple[torch.Tensor, dict]:
        width = int(batch["width"])
        with torch.no_grad():
            answer = self.logits(self.teacher, batch, self.teacher.widths[-1]).softmax(-1)
        logits = self.logits(self.model, batch, self.model.widths[width])
        loss = F.cross_entropy(logits, answer)
        entropy = torch.special.entr(answer).sum(-1).mean()  # of a width that answers exactly like the teacher
        return loss, {self.model.config["widths"][width]["name"]: (loss - entropy).detach()}

    def losses(self) -> Iterator[torch.Tensor]:
        """Yields the full model's losses, each summed over a batch, on options["sorting_samples"] samples."""
        size = self.options["batch"]
        for step in range(-(-self.options["sorting_samples"] // size)):
            batch = self.batch(Random.for_step(self.options["seed"], step, rank=0), size)  # the same in every process
            batch = {name: part.to(self.model.head.bias.device) for name, part in batch.items()}
            target = batch["tokens"][batch["masked"]]
            yield F.cross_entropy(self.logits(self.model, batch, self.model.widths[-1]), target, reduction="sum")


def nest(task: NestTask, sort: str, reader_threads: int, folder: Path, processes: Processes) -> Generator:
    """Sorts and trains, or goes on with the training in `folder`, and returns the averaged model."""
    task.to(processes.device)
    if not (folder / "checkpoint.pt").exists():
        if sort != "none":
            importance.sort(task.model, importance.measure(task.model, task.losses(), sort))
        if processes.first:
            print("before training " + json.dumps(task.evaluate(task.model)), flush=True)
    return train(task, task.options, reader_threads, folder, processes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--from", dest="start", type=Path, required=True, help="a checkpoint with its tokenizer")
    parser.add_argument("--config", type=Path, required=True, help="data and training: a file of configs/nest")
    parser.add_argument("--out", type=Path, required=True, help="checkpoints while training, and the exported model")
    parser.add_argument("--widths", help=f"default those of a checkpoint that has several, else {DEFAULT_WIDTHS}")
    parser.add_argument("--tokens", type=Path, help="where the training set's tokens are kept; default OUT/tokens")
    parser.add_argument("--data", help="the data set's folder, instead of the config's")
    parser.add_argument("--seed", type=int, help="instead of the config's")
    parser.add_argument("--sort", choices=("gradient", "activation", "none"), default="gradient", help="by importance")
    arguments = parser.parse_args()
    config = read_config(arguments.config)
    options, data = config["train"], config["data"]
    if arguments.data:
        data["folder"] = arguments.data
    if arguments.seed is not None:
        options["seed"] = arguments.seed
    processes = Processes()
    torch.manual_seed(options["seed"])
    teacher = export.read(arguments.start)
    if not isinstance(teacher, Generator):
        raise SystemExit(f"--from {arguments.start}: expected a generator but received a tokenizer")
    model = nested(teacher, arguments.widths)
    if teacher.null_class is None:
        options["label_dropout"] = 0.0  # there is nothing that a sample without its class could have instead
    tokenizer = tokenizer_of(arguments.start, processes)
    folder = arguments.tokens or arguments.out / "tokens"
    frames = prediction_frames(model.config)
    splits = [prepare(tokenizer, data, frames, split, folder, processes) for split in ("train", "test")]
    del tokenizer  # and the memory of its device
    task = NestTask(model, teacher, options, *splits)
    trained = nest(task, arguments.sort, data["reader_threads"], arguments.out, processes)
    if processes.first:
        export.write(trained, arguments.out)
        print(f"exported {arguments.out}")


if __name__ == "__main__":
    main()

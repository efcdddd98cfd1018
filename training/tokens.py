"""The tokens that a generator is trained on: each split of a data set, tokenized once and kept in files."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from .batches import ahead
from .data import Source, open_source, to_float
from .processes import Processes

CHUNK = 256  # samples that are tokenized at once


class Tokenizer(Protocol):
    """A tokenizer of this folder, or of the package (package.py)."""

    config: dict
    token_count: int

    def fingerprint(self) -> str:
        """Returns what differs where the tokens of a sample may."""

    def tokenize(self, pixels: torch.Tensor) -> torch.Tensor: ...


@dataclass(frozen=True)
class Tokens:
    """The tokens of a split.

    `tokens` is uint16 [count, N]. `condition` is uint16 [count, n]: the tokens of the given frames alone; n is 0
    where the model predicts no frames. `labels` is int64 [count].
    """

    tokens: np.ndarray
    condition: np.ndarray
    labels: np.ndarray


def given(pixels: torch.Tensor, frames: int) -> torch.Tensor:
    """Returns videos of the same shape [batch, frames, height, width, channels] whose first `frames` frames are those
    of `pixels` and whose others repeat the last of these (COMMIT, MAGVIT 3.2)."""
    first = torch.arange(pixels.shape[1], device=pixels.device).clamp(max=frames - 1)
    return pixels[:, first]


def condition_tokens(tokenizer: Tokenizer, frames: int) -> int:
    """Returns how many token positions, the first ones of the sequence, are of latent frames that the first `frames`
    frames reach into."""
    if frames == 0:
        return 0
    time, height, width = tokenizer.grid
    return min(time, math.ceil(frames / tokenizer.config["patch_shape"][0])) * height * width


@torch.no_grad()
def tokenize(
    tokenizer: Tokenizer,
    device: torch.device,
    source: Source,
    views: int,
    rows: range,
    frames: int,
    threads: int,
    tokens: np.ndarray,
    condition: np.ndarray,
) -> None:
    """Tokenizes samples on `device` into the given `rows` of the arrays `tokens` and `condition`. Row r is view
    r % views of sample r // views."""
    def read(first: int) -> np.ndarray:
        chunk = rows[first : first + CHUNK]
        return np.stack([source.read(row // views, np.random.default_rng(row)) for row in chunk])

    starts = range(0, len(rows), CHUNK)
    for first, samples in zip(starts, ahead(read, starts, threads)):
        pixels, places = to_float(samples).to(device), np.array(rows[first : first + CHUNK])
        tokens[places] = tokenizer.tokenize(pixels).cpu().numpy()
        if frames:
            condition[places] = tokenizer.tokenize(given(pixels, frames))[:, : condition.shape[1]].cpu().numpy()


def prepare(
    tokenizer: Tokenizer, data: dict, frames: int, split: str, folder: Path, processes: Processes
) -> Tokens:
    """Returns the tokens in folder/split. If there are none, all processes tokenize the data set first, a share each.

    There are data["views"] views of a training sample and one of a test sample. `frames` is the number of given
    frames, 0 for a model that predicts none.
    """
    origin = {"data": data, "frames": frames, "codebook": tokenizer.fingerprint()}
    folder = folder / split
    done = folder / "made-from.json"
    if not done.exists():
        source = open_source(data, tokenizer.config["sample_shape"], split)
        views = data["views"] if split == "train" else 1
        count = len(source.labels) * views
        shapes = {"tokens": (count, tokenizer.token_count), "condition": (count, condition_tokens(tokenizer, frames))}
        folder.mkdir(parents=True, exist_ok=True)
        if processes.first:
            for name, shape in shapes.items():
                np.lib.format.open_memmap(folder / f"{name}.npy", "w+", np.uint16, shape)
            np.save(folder / "labels.npy", source.labels.repeat(views))
        processes.wait()
        arrays = [np.load(folder / f"{name}.npy", mmap_mode="r+") for name in shapes]
        rows = range(processes.rank, count, processes.count)
        tokenize(tokenizer, processes.device, source, views, rows, frames, data["reader_threads"], *arrays)
        for array in arrays:
            array.flush()
        processes.wait()
        if processes.first:
            done.write_text(json.dumps(origin, indent=2) + "\n")
        processes.wait()
    if json.loads(done.read_text()) != origin:
        received = f"received those of {done.read_text()}"
        raise SystemExit(f"{folder}: expected tokens of this data set and tokenizer but {received}")
    return Tokens(*(np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("tokens", "condition", "labels")))

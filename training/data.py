"""Fashion-MNIST (Xiao et al., 2017; MIT licence) as Debian's package installs it."""

import gzip
from pathlib import Path

import numpy as np
import torch

FOLDER = Path("/usr/share/datasets/fashion-mnist")
LABELS = ["t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot"]


def read_idx(path: Path) -> np.ndarray:
    """An array in the IDX format of MNIST."""
    if not path.exists():
        raise SystemExit(f"{path}: expected Fashion-MNIST; install Debian's package dataset-fashion-mnist")
    raw = gzip.decompress(path.read_bytes())
    axes = raw[3]
    shape = np.frombuffer(raw, ">i4", axes, 4)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * axes).reshape(shape)


def load(split: str) -> tuple[torch.Tensor, torch.Tensor]:
    """`train` or `test`: pixels uint8 [count, 28, 28] and labels int64 [count]."""
    prefix = {"train": "train", "test": "t10k"}[split]
    pixels = read_idx(FOLDER / f"{prefix}-images-idx3-ubyte.gz")
    labels = read_idx(FOLDER / f"{prefix}-labels-idx1-ubyte.gz")
    return torch.from_numpy(pixels.copy()), torch.from_numpy(labels.astype(np.int64))


def to_float(pixels: torch.Tensor) -> torch.Tensor:
    """uint8 [count, 28, 28] to [0, 1], [count, 1, 28, 28, 1]: frames, height, width, channels."""
    return pixels.float().div(255)[:, None, :, :, None]

"""Fashion-MNIST (Xiao et al., 2017; MIT licence) as Debian's package installs it."""

from pathlib import Path

import numpy as np
import torch

from . import idx

FOLDER = Path("/usr/share/datasets/fashion-mnist")


def load(split: str) -> tuple[torch.Tensor, torch.Tensor]:
    """`train` or `test`: pixels uint8 [count, 28, 28] and labels int64 [count]."""
    pixels, labels = idx.read_split(FOLDER, split, "install Debian's package dataset-fashion-mnist")
    return torch.from_numpy(pixels.copy()), torch.from_numpy(labels)


class Fashion:
    """Pictures of 28 x 28; those of the training set are mirrored half of the time."""

    def __init__(self, folder: Path, split: str, sample_shape: list[int]):
        if sample_shape != [1, 28, 28]:
            raise SystemExit(f"expected a sample_shape [1, 28, 28] but received {sample_shape}")
        self.pixels, self.labels = idx.read_split(folder, split, "install Debian's package dataset-fashion-mnist")
        self.mirrored = split == "train"

    def read(self, item: int, random: np.random.Generator) -> np.ndarray:
        picture = self.pixels[item]
        if self.mirrored and random.random() < 0.5:
            picture = picture[:, ::-1]
        return picture[None, :, :, None]

"""Fashion-MNIST (Xiao et al., 2017; MIT licence) as Debian's package installs it."""

from pathlib import Path

import numpy as np

from . import idx


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

"""Fashion-MNIST (Xiao et al., 2017; MIT licence) as Debian's package installs it."""

from pathlib import Path

import numpy as np

from . import idx


class Fashion:
    """Pictures of 28 x 28, never mirrored: most shoes of this data set point to the left, and a model that is trained
    on mirrored pictures draws half of them the other way."""

    def __init__(self, folder: Path, split: str, sample_shape: list[int]):
        if sample_shape != [1, 28, 28]:
            raise SystemExit(f"expected [1, 28, 28] for sample_shape but received {sample_shape}")
        self.pixels, self.labels = idx.read_split(folder, split, "install Debian's package dataset-fashion-mnist")

    def read(self, item: int, random: np.random.Generator) -> np.ndarray:
        return self.pixels[item][None, :, :, None]

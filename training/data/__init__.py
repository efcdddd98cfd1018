"""Data sets. The `data` section of a config names one, and `open_source` opens a split of it, `train` or `test`."""

from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from .fashion import Fashion
from .folders import Clips, Pictures
from .moving_digits import MovingDigits

SOURCES = {"fashion": Fashion, "moving-digits": MovingDigits, "pictures": Pictures, "clips": Clips}


class Source(Protocol):
    """Samples with labels, int64 [count]. Pictures are videos of one frame."""

    labels: np.ndarray

    def read(self, item: int, random: np.random.Generator) -> np.ndarray:
        """Returns one view of a sample, uint8 [frames, height, width, channels], cropped or mirrored as `random`
        decides."""


def open_source(data: dict, sample_shape: list[int], split: str) -> Source:
    """Opens a split. `data` is the section of a config: `source`, `folder` and the options of that source.
    `sample_shape` is [frames, height, width]."""
    options = {key: value for key, value in data.items() if key not in ("source", "folder", "views", "reader_threads")}
    return SOURCES[data["source"]](Path(data["folder"]), split, sample_shape, **options)


def to_float(pixels: np.ndarray | torch.Tensor) -> torch.Tensor:
    """Returns pixels uint8 [...] as f32 [...] in [0, 1]."""
    return torch.as_tensor(pixels).float().div(255)

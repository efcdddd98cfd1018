"""Data sets. A config's `data` names one; `open_source` opens a split of it, `train` or `test`."""

from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from .fashion import Fashion
from .folders import Clips, Pictures
from .moving_digits import MovingDigits

SOURCES = {"fashion": Fashion, "moving-digits": MovingDigits, "pictures": Pictures, "clips": Clips}


class Source(Protocol):
    """Samples with labels int64 [count]. Pictures are videos of one frame."""

    labels: np.ndarray

    def read(self, item: int, random: np.random.Generator) -> np.ndarray:
        """uint8 [frames, height, width, channels]: one view of a sample, cropped, mirrored, moved as `random` says."""


def open_source(data: dict, sample_shape: list[int], split: str) -> Source:
    """`data`: a config's, `source`, `folder` and what else that source takes; sample_shape [frames, height, width]."""
    options = {key: value for key, value in data.items() if key not in ("source", "folder", "views", "reader_threads")}
    return SOURCES[data["source"]](Path(data["folder"]), split, sample_shape, **options)


def to_float(pixels: np.ndarray | torch.Tensor) -> torch.Tensor:
    """uint8 [...] to f32 [...] in [0, 1]"""
    return torch.as_tensor(pixels).float().div(255)

"""Small folders of pictures like ImageNet's."""

import unittest
from pathlib import Path

import numpy as np

try:
    from PIL import Image
except ImportError:
    Image = None

needs_pillow = unittest.skipUnless(Image, "Pillow is not installed: apt-get install python3-pil")


def write_pictures(folder: Path, shape: tuple[int, int], counts: dict[str, int]) -> None:
    """Writes as many PNGs of random pixels for each class of folder/split, of `shape` (rows, columns)."""
    random = np.random.default_rng(len(folder.name))
    for name, count in counts.items():
        (folder / name).mkdir(parents=True)
        for i in range(count):
            pixels = random.integers(256, size=(*shape, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{i}.png")

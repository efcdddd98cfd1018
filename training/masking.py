"""What a step hides. "Masked" is a state and not an id: a masked position may show a condition token (COMMIT)."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Masking:
    """Of a batch, bool [batch, N]. `before`: what was masked when the keys and values in the cache were computed, more
    than `masked` and as many in every sample; the same as `masked` where nothing is stale."""

    masked: np.ndarray
    before: np.ndarray


def share(r: np.ndarray) -> np.ndarray:
    """The share that is masked at progress r in [0, 1] (MaskGIT's cosine)."""
    return np.cos(r * np.pi / 2)


def hidden(order: np.ndarray, r: np.ndarray) -> np.ndarray:
    """The first ones of an order of all positions [batch, N], as many as progress r [batch, 1] says; at least one."""
    return order < np.maximum(1, np.ceil(share(r) * order.shape[1]))


def draw(random: np.random.Generator, size: int, tokens: int) -> Masking:
    """Each sample at a progress of its own, uniform in [0, 1] (MaskGIT 3.1)."""
    order = random.permuted(np.tile(np.arange(tokens), (size, 1)), axis=1)
    masked = hidden(order, random.random((size, 1)))
    return Masking(masked, masked)


def draw_stale(random: np.random.Generator, size: int, tokens: int, reach: float) -> Masking:
    """A later step of a cached decoding: up to `reach` in progress after the last refresh."""
    order = random.permuted(np.tile(np.arange(tokens), (size, 1)), axis=1)
    refresh = random.random()
    now = min(1.0, refresh + reach * random.random())
    return Masking(hidden(order, np.array([[now]])), hidden(order, np.array([[refresh]])))

"""Which positions a training step masks. "Masked" is a state and not an id: a masked position may show a condition
token (COMMIT)."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Masking:
    """The masked positions of a batch, bool [batch, N].

    `before` holds the positions that were masked when the keys and values in the cache were computed. They include all
    of `masked` and are as many in every sample. Without a stale cache `before` is `masked` itself.
    """

    masked: np.ndarray
    before: np.ndarray


def mask_ratio(r: np.ndarray) -> np.ndarray:
    """Returns the share of positions that is masked at progress r in [0, 1] (MaskGIT's cosine)."""
    return np.cos(r * np.pi / 2)


def first_in_order(order: np.ndarray, r: np.ndarray) -> np.ndarray:
    """Returns the mask, bool [batch, N], at progress r [batch, 1]: `order` [batch, N] ranks the positions from 0, and
    the first of them are masked, at least one."""
    return order < np.maximum(1, np.ceil(mask_ratio(r) * order.shape[1]))


def draw(
    random: np.random.Generator, size: int, tokens: int, span: tuple[float, float] = (0.0, 1.0)
) -> Masking:
    """Masks each of `size` samples of `tokens` positions at a progress of its own, uniform in `span` (MaskGIT 3.1)."""
    order = random.permuted(np.tile(np.arange(tokens), (size, 1)), axis=1)
    masked = first_in_order(order, random.uniform(*span, (size, 1)))
    return Masking(masked, masked)


def draw_stale(random: np.random.Generator, size: int, tokens: int, reach: float) -> Masking:
    """Masks `size` samples as in a later step of a generation with the cache, up to `reach` in progress after the
    refresh."""
    order = random.permuted(np.tile(np.arange(tokens), (size, 1)), axis=1)
    refresh = random.random()
    now = min(1.0, refresh + reach * random.random())
    return Masking(first_in_order(order, np.array([[now]])), first_in_order(order, np.array([[refresh]])))

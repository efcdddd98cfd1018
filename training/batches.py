"""What a step trains on: chosen by (seed, step, process) alone, so that a resumed training goes on as it would have."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch

Batch = dict[str, torch.Tensor]
Made = TypeVar("Made")


@dataclass(frozen=True)
class Random:
    """Of one step: `own` differs from process to process, `shared` does not."""

    own: np.random.Generator
    shared: np.random.Generator

    @classmethod
    def of(cls, seed: int, step: int, rank: int) -> "Random":
        return cls(np.random.default_rng([seed, step, 1 + rank]), np.random.default_rng([seed, step, 0]))


def ahead(make: Callable[[int], Made], steps: range, threads: int) -> Iterator[Made]:
    """make(step) for each step, in order, by `threads` threads a few steps ahead; without any, when it is asked for."""
    if threads == 0:
        yield from map(make, steps)
        return
    with ThreadPoolExecutor(threads) as pool:
        waiting = deque(pool.submit(make, step) for step in steps[: 2 * threads])
        for later in range(2 * threads, len(steps) + 2 * threads):
            made = waiting.popleft().result()
            if later < len(steps):
                waiting.append(pool.submit(make, steps[later]))
            yield made

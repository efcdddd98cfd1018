"""The batches of a training. They depend on (seed, step, process) alone, so that a resumed training goes on with the
same batches."""

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
    """The random generators of one step: `own` differs from process to process, `shared` does not."""

    own: np.random.Generator
    shared: np.random.Generator

    @classmethod
    def for_step(cls, seed: int, step: int, rank: int) -> "Random":
        return cls(np.random.default_rng([seed, step, 1 + rank]), np.random.default_rng([seed, step, 0]))


def ahead(make: Callable[[int], Made], steps: range, threads: int) -> Iterator[Made]:
    """Yields make(step) for each step, in order. `threads` threads work a few steps ahead; with 0 threads each batch
    is made when it is needed."""
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

"""Sizes, plans and FLOPs of lib/presets.ts, lib/plan.ts and lib/flops.ts, for benchmarks that run without Node.

A multiply-add counts 2. Every number is one sample's, without guidance: guidance doubles it.
"""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Width:
    """A nested sub-model: the first `heads` heads and the first `hidden` MLP units of every layer."""

    name: str
    heads: int
    hidden: int


@dataclass(frozen=True)
class Shape:
    """A model's sizes. Vocabulary: codes, classes, no class, [MASK]; a sequence is the class token, then the tokens."""

    name: str
    layers: int
    size: int  # d, of the residual stream
    heads: int
    hidden: int
    codes: int
    vocabulary: int
    tokens: int

    @property
    def head_dim(self) -> int:
        return self.size // self.heads

    @property
    def positions(self) -> int:
        return 1 + self.tokens

    @property
    def widths(self) -> list[Width]:
        """Narrow to full."""
        return [
            Width("1" if p == 1 else f"1/{p}", max(1, self.heads // p), self.hidden // p) for p in (8, 4, 2, 1)
        ]


PRESETS = {
    shape.name: shape
    for shape in (
        Shape("tiny", layers=3, size=128, heads=8, hidden=256, codes=64, vocabulary=76, tokens=64),
        Shape("B", layers=12, size=768, heads=12, hidden=3072, codes=1024, vocabulary=2025, tokens=256),
        Shape("L", layers=24, size=1024, heads=16, hidden=4096, codes=1024, vocabulary=2025, tokens=256),
        Shape("XL", layers=28, size=1152, heads=16, hidden=4608, codes=1024, vocabulary=2025, tokens=256),
        Shape("video-B", layers=12, size=768, heads=12, hidden=3072, codes=1024, vocabulary=1127, tokens=1024),
        Shape("video-L", layers=24, size=1024, heads=16, hidden=4096, codes=1024, vocabulary=1127, tokens=1024),
    )
}


@dataclass(frozen=True)
class Step:
    width: Width
    refresh: bool  # every row is computed, and the cache rewritten
    rows: int  # through the layers
    head_rows: int  # through the head
    masked: int  # positions masked when the step begins
    reveal: int  # positions that become known after it
    choice_temperature: float


@dataclass(frozen=True)
class Plan:
    schedule: str
    cache: bool  # keep keys and values of known tokens between refreshes
    steps: list[Step]


def mask_counts(tokens: int, steps: int) -> list[int]:
    """Positions still masked after each step on the cosine schedule, the last 0."""
    left, counts = tokens, []
    for step in range(1, steps):
        ratio = max(1e-6, math.cos(math.pi / 2 * (step / steps)))
        left = min(left, max(1, min(left - 1, math.floor(tokens * ratio))))
        counts.append(left)
    return counts + [0]


def plan(shape: Shape, schedule: str, steps: int, cache: bool, choice_temperature: float = 4.5) -> Plan:
    """`full`: the full width at every step. `paper`: equal shares from narrow to full, what is left over to the wider."""
    share, wider = divmod(steps, len(shape.widths))
    shares = [share + (i >= len(shape.widths) - wider) for i in range(len(shape.widths))]
    if schedule == "full":
        shares = [0] * (len(shape.widths) - 1) + [steps]
    widths = [width for width, count in zip(shape.widths, shares) for _ in range(count)]
    after = mask_counts(shape.tokens, steps)
    before = [shape.tokens] + after[:-1]
    rows = []
    for step, width in enumerate(widths):
        refresh = not cache or step == 0 or width != widths[step - 1]
        rows.append(
            Step(
                width=width,
                refresh=refresh,
                rows=shape.positions if refresh else before[step - 1],
                head_rows=before[step] if cache else shape.positions,
                masked=before[step],
                reveal=before[step] - after[step],
                choice_temperature=choice_temperature * (1 - (step + 1) / steps),
            )
        )
    used = [(width.name, count) for width, count in zip(shape.widths, shares) if count]
    return Plan(",".join(f"{name}x{count}" for name, count in used), cache, rows)


def step_flops(shape: Shape, step: Step) -> int:
    d, inner = shape.size, step.width.heads * shape.head_dim
    projections = 4 * step.rows * d * inner
    attention = 2 * step.rows * shape.positions * inner
    mlp = 2 * step.rows * d * step.width.hidden
    head = step.head_rows * (d * d + shape.vocabulary * d)
    return 2 * (shape.layers * (projections + attention + mlp) + head)


def flops(shape: Shape, of: Plan) -> int:
    return sum(step_flops(shape, step) for step in of.steps)

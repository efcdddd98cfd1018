"""The decode loop of MaGNeTS, plainly written: MaskGIT's parallel decoding (Chang et al., 2022,
maskgit/libml/parallel_decode.py) with nested widths and a key/value cache. fixtures.py records its answers, which the
tests of the addon expect."""

import math
from dataclasses import dataclass

import torch

from .model import Cache, Generator, Width


@dataclass(frozen=True)
class Sampling:
    """How tokens are drawn.

    `guidance` is w in (1 + w) · conditional - w · unconditional. The temperature 0 takes the likeliest token. The
    choice temperature scales the noise on the confidence and falls linearly to 0 at the last step. `top_k` 0 keeps
    all codes.
    """

    guidance: float = 0.0
    temperature: float = 1.0
    choice_temperature: float = 4.5
    top_k: int = 0


def mask_counts(tokens: int, steps: int) -> list[int]:
    """Returns how many positions are masked after each step of the cosine schedule. Every step reveals at least one
    position and the last step reveals all that are left."""
    left, counts = tokens, []
    for step in range(1, steps):
        left = max(1, min(left - 1, math.floor(tokens * math.cos(math.pi / 2 * (step / steps)))))
        counts.append(left)
    return counts + [0]


def gumbel(shape: torch.Size, random: torch.Generator | None) -> torch.Tensor:
    """Returns Gumbel noise, f32."""
    return -torch.log(-torch.log(torch.rand(shape, generator=random).clamp(1e-9, 1 - 1e-7)))


def sample(
    logits: torch.Tensor, sampling: Sampling, progress: float, random: torch.Generator | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Draws tokens from logits [batch, N, C] and returns them with the confidence in each, [batch, N]. `progress` is
    1 in the last step."""
    scores = logits
    if sampling.top_k:
        least = logits.topk(sampling.top_k).values[..., -1:]
        scores = logits.masked_fill(logits < least, -math.inf)
    if sampling.temperature:
        scores = scores / sampling.temperature + gumbel(scores.shape, random)
    tokens = scores.argmax(-1)
    confidence = logits.log_softmax(-1).gather(-1, tokens[..., None])[..., 0]
    choice_temperature = sampling.choice_temperature * (1 - progress)
    if choice_temperature:
        confidence = confidence + choice_temperature * gumbel(confidence.shape, random)
    return tokens, confidence


@torch.no_grad()
def generate(
    model: Generator,
    labels: torch.Tensor,
    schedule: list[tuple[Width, int]],
    sampling: Sampling,
    cached: bool = True,
    random: torch.Generator | None = None,
    condition: torch.Tensor | None = None,
) -> torch.Tensor:
    """Returns tokens [batch, N] for labels [batch]; the schedule says how many steps each width gets, in order.

    For frame prediction (COMMIT, MAGVIT 3.2) the first n positions show `condition` [batch, n] while they are masked.
    They are predicted like all others.
    """
    widths = [width for width, steps in schedule for _ in range(steps)]
    batch, codes = len(labels), model.config["codebook_size"]
    branch_labels = torch.cat([labels, torch.full_like(labels, -1)]) if sampling.guidance else labels
    branches = len(branch_labels) // batch
    ids = torch.full((batch, model.token_count), model.mask_id)
    if condition is not None:
        ids[:, : condition.shape[1]] = condition
    masked = torch.ones_like(ids, dtype=torch.bool)
    masked_before = masked
    cache = Cache()

    for step, (width, left) in enumerate(zip(widths, mask_counts(model.token_count, len(widths)))):
        if not cached or step == 0 or width != widths[step - 1]:
            cache.rows = None  # a refresh computes every row, that of the class token included
            features = model.features(ids.repeat(branches, 1), branch_labels, width, cache)[:, 1:]
            active = torch.ones_like(masked)
        else:
            active = masked_before  # masked now or revealed in the step before; every sample has as many
            cache.rows = (active.nonzero()[:, 1].view(batch, -1) + 1).repeat(branches, 1)
            features = model.features(ids.repeat(branches, 1), branch_labels, width, cache)
        logits_of_rows = model.logits(features)[..., :codes].unflatten(0, (branches, batch))
        if branches == 2:
            logits_of_rows = (1 + sampling.guidance) * logits_of_rows[:1] - sampling.guidance * logits_of_rows[1:]
        logits = torch.zeros(batch, model.token_count, codes)
        logits[active] = logits_of_rows.flatten(0, -2)

        tokens, confidence = sample(logits, sampling, (step + 1) / len(widths), random)
        order = confidence.masked_fill(~masked, math.inf).argsort(dim=1, descending=True, stable=True)
        still_masked = order.argsort(1) >= model.token_count - left
        ids = torch.where(masked & ~still_masked, tokens, ids)
        masked_before, masked = masked, still_masked
    return ids

"""Masked decoding with every size fixed by the plan: no step asks the host anything, so all of it fits one CUDA graph."""

from dataclasses import dataclass

import torch

from .kernels import Kernels, store
from .model import Model, narrowed
from .plan import Plan, Step


@dataclass
class State:
    """Of a generation between two steps. Positions count tokens, without the class token."""

    ids: torch.Tensor  # [batch, tokens], [MASK] where masked
    masked: torch.Tensor  # [batch, step.masked] positions masked now
    active: torch.Tensor  # [batch, n] positions masked a step ago: those just revealed, then `masked` in its order
    cache: list[torch.Tensor]  # of each layer [sequences, positions, heads, 3, head_dim]; its queries are not used


class Decoder:
    """One schedule over one batch.

    Sequences are the samples with their class and, with guidance, once more without it. The cache of a layer is the
    projection of its last refresh, of which later steps overwrite the keys and values of their rows. Without a cache
    every step is a refresh and the head sees every row: the full-size baseline.
    """

    def __init__(self, model: Model, plan: Plan, labels: torch.Tensor, guidance: float, kernels: Kernels):
        """labels [batch]; guidance 0 runs no second branch."""
        shape = model.shape
        self.model, self.plan, self.guidance, self.kernels = model, plan, guidance, kernels
        self.batch, self.branches = len(labels), 2 if guidance else 1
        self.sequences = self.branches * self.batch
        self.layers = {
            width: [narrowed(layer, shape, width) for layer in model.layers]
            for width in {step.width for step in plan.steps}
        }
        device = labels.device
        no_class = torch.full_like(labels, shape.vocabulary - 2)
        self.class_ids = torch.cat([shape.codes + labels, no_class])[: self.sequences, None]
        self.samples = torch.arange(self.batch, device=device)[:, None]
        self.every_token = torch.arange(shape.tokens, device=device).expand(self.batch, -1)
        self.every_position = torch.arange(shape.positions, device=device).repeat(self.sequences)
        self.first_rows = shape.positions * torch.arange(self.sequences, device=device)[:, None]
        self.choice_temperatures = [torch.tensor(step.choice_temperature, device=device) for step in plan.steps]

    def run(self) -> torch.Tensor:
        """A whole generation: ids [batch, tokens]."""
        state = self.start()
        for index, step in enumerate(self.plan.steps):
            self.reveal(state, index, self.logits(state, step))
        return state.ids

    def start(self) -> State:
        ids = torch.full_like(self.every_token, self.model.shape.vocabulary - 1)
        return State(ids, self.every_token, self.every_token, [])

    def logits(self, state: State, step: Step) -> torch.Tensor:
        """Of the masked positions: [branches, batch, step.masked, codes]."""
        if step.refresh:
            ids = torch.cat([self.class_ids, state.ids.repeat(self.branches, 1)], 1).flatten()
            rows, positions = None, self.every_position
        else:
            ids = state.ids.gather(1, state.active).repeat(self.branches, 1).flatten()
            places = 1 + state.active.repeat(self.branches, 1)
            rows, positions = (self.first_rows + places).flatten(), places.flatten()
        model = self.model
        x = self.kernels.embed(model.word.weight, model.position, model.embedding_norm, ids, positions)
        x = self._transformer(x, state, step, rows).unflatten(0, (self.branches, self.batch, step.rows))

        if not self.plan.cache:
            return self._head(x)[:, self.samples, 1 + state.masked]
        if step.refresh:
            return self._head(x[:, self.samples, 1 + state.masked])
        return self._head(x[:, :, step.rows - step.masked :])

    def reveal(self, state: State, index: int, logits: torch.Tensor) -> None:
        """Samples every masked position and keeps the tokens with the most confidence, `reveal` of them."""
        reveal = self.plan.steps[index].reveal
        tokens, confidence = self.kernels.sample(logits, self.guidance, self.choice_temperatures[index])
        order = confidence.argsort(1, descending=True)
        positions = state.masked.gather(1, order)
        state.ids.scatter_(1, positions[:, :reveal], tokens.gather(1, order[:, :reveal]))
        state.active, state.masked = positions, positions[:, reveal:]

    def _transformer(self, x: torch.Tensor, state: State, step: Step, rows: torch.Tensor | None) -> torch.Tensor:
        """x [sequences · step.rows, d]; rows of the cache to overwrite, all of them (None) at a refresh."""
        heads, head_dim = step.width.heads, self.model.shape.head_dim
        if rows is None and self.plan.cache:
            state.cache = [None] * len(self.model.layers)
        for index, layer in enumerate(self.layers[step.width]):
            known = qkv = self.kernels.project(x, layer.qkv).view(self.sequences, step.rows, heads, 3, head_dim)
            if rows is not None:
                known = state.cache[index]
                store(known, rows, qkv)
            elif self.plan.cache:
                state.cache[index] = qkv
            query, key, value = (tensor.transpose(1, 2) for tensor in (qkv[..., 0, :], known[..., 1, :], known[..., 2, :]))
            x = self.kernels.finish(x, self.kernels.attend(query, key, value), layer)
        return x

    def _head(self, x: torch.Tensor) -> torch.Tensor:
        """[branches, batch, n, d] -> [branches, batch, n, codes]"""
        model = self.model
        logits = self.kernels.head(x.flatten(0, 2), model.dense, model.head_norm, model.word)
        return logits.view(*x.shape[:3], -1)[..., : model.shape.codes]

"""The decode loop with every size fixed by the plan. No step reads anything back, so the whole loop fits one CUDA
graph."""

from dataclasses import dataclass

import torch

from .kernels import Kernels, store
from .model import Model, narrowed
from .plan import Plan, Step


@dataclass
class State:
    """The state of a generation between two steps.

    `ids` [batch, tokens] is [MASK] where masked. `masked` [batch, step.masked] are the masked positions and `active`
    [batch, n] those that were masked one step before: first the revealed ones, then `masked` in its order. Positions
    count tokens, without the class token. `cache` has [sequences, positions, heads, 3, head_dim] for each layer, of
    which the queries are not used.
    """

    ids: torch.Tensor
    masked: torch.Tensor
    active: torch.Tensor
    cache: list[torch.Tensor]


class Decoder:
    """Generates one batch by one plan.

    The sequences are the conditional branch of every sample and, with guidance, the unconditional branch of every
    sample. The cache of a layer is the projection of the last refresh; later steps overwrite the keys and values of
    their rows. Without a cache every step is a refresh, and every row goes through the LM head.
    """

    def __init__(self, model: Model, plan: Plan, labels: torch.Tensor, guidance: float, kernels: Kernels):
        """Labels are [batch]. Guidance 0 runs no unconditional branch."""
        shape = model.shape
        self.model, self.plan, self.guidance, self.kernels = model, plan, guidance, kernels
        self.batch, self.branches = len(labels), 2 if guidance else 1
        self.sequences = self.branches * self.batch
        self.layers = {
            width: [narrowed(layer, shape, width) for layer in model.layers]
            for width in {step.width for step in plan.steps}
        }
        device = labels.device
        null_class = torch.full_like(labels, shape.null_class_id)
        self.class_ids = torch.cat([shape.codebook_size + labels, null_class])[: self.sequences, None]
        self.samples = torch.arange(self.batch, device=device)[:, None]
        self.every_token = torch.arange(shape.token_count, device=device).expand(self.batch, -1)
        self.every_position = torch.arange(shape.positions, device=device).repeat(self.sequences)
        self.first_rows = shape.positions * torch.arange(self.sequences, device=device)[:, None]
        self.choice_temperatures = [torch.tensor(step.choice_temperature, device=device) for step in plan.steps]

    def run(self) -> torch.Tensor:
        """Runs a whole generation and returns its ids [batch, tokens]."""
        state = self.start()
        for index, step in enumerate(self.plan.steps):
            self.reveal(state, index, self.logits(state, step))
        return state.ids

    def start(self) -> State:
        """Returns the state with every position masked."""
        ids = torch.full_like(self.every_token, self.model.shape.mask_id)
        return State(ids, self.every_token, self.every_token, [])

    def logits(self, state: State, step: Step) -> torch.Tensor:
        """Returns the logits of the masked positions, [branches, batch, step.masked, codes]."""
        if step.refresh:
            ids = torch.cat([self.class_ids, state.ids.repeat(self.branches, 1)], 1).flatten()
            rows, positions = None, self.every_position
        else:
            ids = state.ids.gather(1, state.active).repeat(self.branches, 1).flatten()
            active = 1 + state.active.repeat(self.branches, 1)
            rows, positions = (self.first_rows + active).flatten(), active.flatten()
        model = self.model
        x = self.kernels.embed(model.words.weight, model.position, model.embedding_norm, ids, positions)
        x = self._transformer(x, state, step, rows).unflatten(0, (self.branches, self.batch, step.active_rows))

        if not self.plan.cache:
            return self._lm_head(x)[:, self.samples, 1 + state.masked]
        if step.refresh:
            return self._lm_head(x[:, self.samples, 1 + state.masked])
        return self._lm_head(x[:, :, step.active_rows - step.masked :])

    def reveal(self, state: State, index: int, logits: torch.Tensor) -> None:
        """Draws a token for every masked position and reveals those with the most confidence, as many as the plan
        says."""
        step = self.plan.steps[index]
        revealed = step.masked - step.masked_after
        tokens, confidence = self.kernels.sample(logits, self.guidance, self.choice_temperatures[index])
        order = confidence.argsort(1, descending=True)
        positions = state.masked.gather(1, order)
        state.ids.scatter_(1, positions[:, :revealed], tokens.gather(1, order[:, :revealed]))
        state.active, state.masked = positions, positions[:, revealed:]

    def _transformer(self, x: torch.Tensor, state: State, step: Step, rows: torch.Tensor | None) -> torch.Tensor:
        """Returns x [sequences · step.active_rows, d] after all layers. `rows` are the rows of the cache to
        overwrite; None is a refresh."""
        heads, head_dim = step.width.heads, self.model.shape.head_dim
        size = (self.sequences, step.active_rows, heads, 3, head_dim)
        if rows is None and self.plan.cache:
            state.cache = [None] * len(self.model.layers)
        for index, layer in enumerate(self.layers[step.width]):
            qkv = self.kernels.project(x, layer.qkv).view(size)
            attended = qkv
            if rows is not None:
                attended = state.cache[index]
                store(attended, rows, qkv)
            elif self.plan.cache:
                state.cache[index] = qkv
            query, key, value = qkv[..., 0, :], attended[..., 1, :], attended[..., 2, :]
            query, key, value = (tensor.transpose(1, 2) for tensor in (query, key, value))
            x = self.kernels.finish(x, self.kernels.attend(query, key, value), layer)
        return x

    def _lm_head(self, x: torch.Tensor) -> torch.Tensor:
        """Returns logits [branches, batch, n, codes] for x [branches, batch, n, d]."""
        model = self.model
        logits = self.kernels.lm_head(x.flatten(0, 2), model.dense, model.lm_head_norm, model.words)
        return logits.view(*x.shape[:3], -1)[..., : model.shape.codebook_size]

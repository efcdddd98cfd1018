"""Sorts the heads and hidden units of a generator by importance, so that its narrow widths, which are prefixes, hold
the most important ones. The full model stays what it was, up to the order of sums."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch

from .model import ColumnsLinear, Generator, RowsLinear
from .processes import from_first


@dataclass(frozen=True)
class Importance:
    """How important the heads [H] and the hidden units [F] of a layer are."""

    heads: torch.Tensor
    hidden: torch.Tensor


class Meter:
    """Sums the importance of what `reader` reads, in groups of `size` inputs: heads or units.

    By "activation" it is |x| times the norm of the column that reads x (Minitron, Muralidharan et al., 2024, arXiv
    2407.14679). By "gradient" it is |x · ∂L/∂x|, how much the loss would change without the group, to first order
    (Molchanov et al., 2019, arXiv 1906.10771), and counts when the loss is differentiated.
    """

    def __init__(self, reader: ColumnsLinear, size: int, by: str):
        self.size, self.by = size, by
        self.total = reader.weight.new_zeros(reader.in_features // size)
        self.hook = reader.register_forward_pre_hook(self.watch)

    def watch(self, reader: ColumnsLinear, inputs: tuple[torch.Tensor]) -> None:
        (x,) = inputs
        rows = x.detach().float().flatten(0, -2)
        if self.by == "gradient":
            x.register_hook(lambda grad: self.add(rows * grad.float().flatten(0, -2)))
        else:
            self.add(rows * reader.weight.detach().norm(dim=0))

    def add(self, products: torch.Tensor) -> None:
        """Adds products [rows, inputs]. The inputs of a head belong together: their gradients may cancel out."""
        groups = products.unflatten(1, (-1, self.size))
        sums = groups.sum(2).abs() if self.by == "gradient" else groups.abs().sum(2)
        self.total += sums.sum(0)


def measure(model: Generator, losses: Iterable[torch.Tensor], by: str) -> list[Importance]:
    """Returns the importance of every layer's heads and hidden units over `losses`, each of which runs the model when
    it is asked for. `by` is "gradient" or "activation"."""
    meters = [
        (Meter(layer.attention.output, layer.attention.head_dim, by), Meter(layer.mlp.down, 1, by))
        for layer in model.layers
    ]
    for loss in losses:
        if by == "gradient":
            loss.backward()
    model.zero_grad(set_to_none=True)
    for pair in meters:
        for meter in pair:
            meter.hook.remove()
    return [Importance(heads.total, hidden.total) for heads, hidden in meters]


@torch.no_grad()
def permute(writers: list[RowsLinear], reader: ColumnsLinear, order: torch.Tensor) -> None:
    """Puts the outputs of `writers`, which are the inputs of `reader`, in another order."""
    for writer in writers:
        for parameter in writer.parameters():  # weight, and the bias where there is one
            parameter.copy_(parameter[order])
    reader.weight.copy_(reader.weight[:, order])


def sort(model: Generator, importances: list[Importance]) -> None:
    """Puts the most important heads and hidden units of every layer first."""
    for layer, importance in zip(model.layers, importances):
        attention, mlp = layer.attention, layer.mlp
        # All processes take the first one's order: sums in another order could change it.
        heads, hidden = (from_first(each.argsort(descending=True)) for each in (importance.heads, importance.hidden))
        rows = (heads[:, None] * attention.head_dim + torch.arange(attention.head_dim, device=heads.device)).flatten()
        permute([attention.query, attention.key, attention.value], attention.output, rows)
        permute([mlp.gate, mlp.up] if mlp.gated else [mlp.up], mlp.down, hidden)

"""The generator of docs/checkpoints.md (post-LN, tanh GELU) with random weights, laid out for speed.

Query, key and value are one matrix whose rows go head by head, so that the first heads are a prefix of it. The word
matrix is padded with rows to a multiple of 64, which cuBLAS needs for its fast kernels; no code's logit is there.
"""

from typing import NamedTuple

import torch

from .plan import Shape, Width


class Linear(NamedTuple):
    weight: torch.Tensor  # [out, in]
    bias: torch.Tensor  # [out]


class Norm(NamedTuple):
    weight: torch.Tensor  # [d]
    bias: torch.Tensor  # [d]


class Layer(NamedTuple):
    qkv: Linear  # [heads · 3 · head_dim, d]: of each head its query, key and value
    output: Linear  # [d, heads · head_dim]
    attention_norm: Norm
    up: Linear  # [hidden, d]
    down: Linear  # [d, hidden]
    mlp_norm: Norm


class Model(NamedTuple):
    shape: Shape
    word: Linear  # [padded vocabulary, d]: embeddings and, with the bias, the head's output matrix
    position: torch.Tensor  # [positions, d]
    embedding_norm: Norm
    layers: list[Layer]
    dense: Linear  # [d, d], of the head
    head_norm: Norm


def padded_vocabulary(shape: Shape) -> int:
    return -(-shape.vocabulary // 64) * 64


def random_model(shape: Shape, device: torch.device, dtype: torch.dtype, deviation: float = 0.02) -> Model:
    """Weights and biases are normal with that standard deviation; norms' weights are around 1."""

    def normal(*size: int) -> torch.Tensor:
        return torch.randn(size, device=device, dtype=dtype) * deviation

    def linear(outputs: int, inputs: int) -> Linear:
        return Linear(normal(outputs, inputs), normal(outputs))

    def norm() -> Norm:
        return Norm(1 + normal(d), normal(d))

    d, inner = shape.size, shape.heads * shape.head_dim

    def layer() -> Layer:
        attention = linear(3 * inner, d), linear(d, inner), norm()
        mlp = linear(shape.hidden, d), linear(d, shape.hidden), norm()
        return Layer(*attention, *mlp)

    return Model(
        shape=shape,
        word=linear(padded_vocabulary(shape), d),
        position=normal(shape.positions, d),
        embedding_norm=norm(),
        layers=[layer() for _ in range(shape.layers)],
        dense=linear(d, d),
        head_norm=norm(),
    )


def narrowed(layer: Layer, shape: Shape, width: Width) -> Layer:
    """Views of the prefix that a width uses; nothing is copied."""
    inner, hidden = width.heads * shape.head_dim, width.hidden
    return layer._replace(
        qkv=Linear(layer.qkv.weight[: 3 * inner], layer.qkv.bias[: 3 * inner]),
        output=Linear(layer.output.weight[:, :inner], layer.output.bias),
        up=Linear(layer.up.weight[:hidden], layer.up.bias[:hidden]),
        down=Linear(layer.down.weight[:, :hidden], layer.down.bias),
    )

"""The generator of docs/checkpoints.md (post-LN, tanh GELU) with random weights, laid out for speed.

Query, key and value are one matrix whose rows go head by head, so that the first heads are a prefix of it. The
embedding table, which is also the output matrix of the LM head, is padded to a multiple of 64 rows, which cuBLAS
needs for its fast kernels. The padding comes after all codes.
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
    qkv: Linear  # [heads · 3 · head_dim, d], with query, key and value of each head
    output: Linear  # [d, heads · head_dim]
    attention_norm: Norm
    up: Linear  # [hidden, d]
    down: Linear  # [d, hidden]
    mlp_norm: Norm


class Model(NamedTuple):
    shape: Shape
    words: Linear  # [padded vocabulary, d]: the embedding table and, with the bias, the output of the LM head
    position: torch.Tensor  # [positions, d]
    embedding_norm: Norm
    layers: list[Layer]
    dense: Linear  # [d, d], the first layer of the LM head
    lm_head_norm: Norm


def padded_vocab_size(shape: Shape) -> int:
    return -(-shape.vocab_size // 64) * 64


def random_model(shape: Shape, device: torch.device, dtype: torch.dtype, deviation: float = 0.02) -> Model:
    """Returns a model whose weights and biases are normal with the given standard deviation. The weights of norms
    have the mean 1."""

    def normal(*size: int) -> torch.Tensor:
        return torch.randn(size, device=device, dtype=dtype) * deviation

    def linear(outputs: int, inputs: int) -> Linear:
        return Linear(normal(outputs, inputs), normal(outputs))

    def norm() -> Norm:
        return Norm(1 + normal(d), normal(d))

    d, inner = shape.hidden_size, shape.heads * shape.head_dim

    def layer() -> Layer:
        attention = linear(3 * inner, d), linear(d, inner), norm()
        mlp = linear(shape.intermediate_size, d), linear(d, shape.intermediate_size), norm()
        return Layer(*attention, *mlp)

    return Model(
        shape=shape,
        words=linear(padded_vocab_size(shape), d),
        position=normal(shape.positions, d),
        embedding_norm=norm(),
        layers=[layer() for _ in range(shape.layers)],
        dense=linear(d, d),
        lm_head_norm=norm(),
    )


def narrowed(layer: Layer, shape: Shape, width: Width) -> Layer:
    """Returns the prefix of a layer that a width uses, as views."""
    inner, hidden = width.heads * shape.head_dim, width.hidden
    return layer._replace(
        qkv=Linear(layer.qkv.weight[: 3 * inner], layer.qkv.bias[: 3 * inner]),
        output=Linear(layer.output.weight[:, :inner], layer.output.bias),
        up=Linear(layer.up.weight[:hidden], layer.up.bias[:hidden]),
        down=Linear(layer.down.weight[:, :hidden], layer.down.bias),
    )

"""The parts of a pass, compiled as far as PyTorch can. They take and return rows [rows, d] of all sequences."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.nn import functional as F

from .attention import Attention
from .model import Layer, Linear, Norm

EPS = 1e-6


def layer_norm(x: torch.Tensor, norm: Norm) -> torch.Tensor:
    return F.layer_norm(x, x.shape[-1:], norm.weight, norm.bias, EPS)


def linear(x: torch.Tensor, layer: Linear) -> torch.Tensor:
    return F.linear(x, layer.weight, layer.bias)


def linear_gelu(x: torch.Tensor, layer: Linear) -> torch.Tensor:
    """Returns GELU, by its tanh approximation, of a linear layer. On a GPU it is in the epilogue of cuBLASLt's
    product."""
    if x.is_cuda:
        return torch._addmm_activation(layer.bias, x, layer.weight.t(), use_gelu=True)
    return F.gelu(linear(x, layer), approximate="tanh")


def add_norm(x: torch.Tensor, y: torch.Tensor, norm: Norm) -> torch.Tensor:
    return layer_norm(x + y, norm)


def embed(
    words: torch.Tensor, position: torch.Tensor, norm: Norm, ids: torch.Tensor, positions: torch.Tensor
) -> torch.Tensor:
    """Returns the embeddings [rows, d] of ids [rows] at positions [rows]."""
    return layer_norm(words[ids] + position[positions], norm)


def store(cache: torch.Tensor, rows: torch.Tensor, qkv: torch.Tensor) -> None:
    """Copies keys and values of qkv [sequences, n, heads, 3, head_dim] to rows [sequences · n] of the cache [sequences,
    positions, heads, 3, head_dim], whose first two axes count as one. It copies eight bytes at a time."""
    target, source = (x.view(torch.int64).flatten(0, 1)[:, :, 1:] for x in (cache, qkv))
    target.index_copy_(0, rows, source)


def gumbel(like: torch.Tensor) -> torch.Tensor:
    return -torch.log(-torch.log(torch.rand_like(like).clamp(1e-9, 1 - 1e-7)))


def sample(
    logits: torch.Tensor, guidance: float, choice_temperature: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Draws tokens from logits [branches, batch, n, codes] and returns them with the confidence in each, [batch, n].
    The choice temperature is a tensor []."""
    scores = logits[0].float()
    if len(logits) == 2:
        scores = (1 + guidance) * scores - guidance * logits[1].float()
    tokens = (scores + gumbel(scores)).argmax(-1)
    confidence = scores.log_softmax(-1).gather(-1, tokens[..., None])[..., 0]
    return tokens, confidence + choice_temperature * gumbel(confidence)


@dataclass(frozen=True)
class Kernels:
    """The parts of a pass.

    `finish` takes x, the mixed values of attention [rows, heads · head_dim] and the layer, and returns the layer's
    output. `lm_head` takes x, its dense layer, its norm and the embedding table, and returns logits [rows, padded
    vocabulary].
    """

    embed: Callable[..., torch.Tensor]
    project: Callable[[torch.Tensor, Linear], torch.Tensor]
    attend: Attention
    finish: Callable[[torch.Tensor, torch.Tensor, Layer], torch.Tensor]
    lm_head: Callable[[torch.Tensor, Linear, Norm, Linear], torch.Tensor]
    sample: Callable[..., tuple[torch.Tensor, torch.Tensor]]


COMPILE = {
    "none": "nothing compiled",
    "pointwise": "norms, embeddings and sampling compiled",
    "all": "products too, each shape by itself in mode max-autotune-no-cudagraphs",
}


def default_compile() -> str:
    return "pointwise" if hasattr(torch, "compile") else "none"


def make_kernels(compiled: str, device: torch.device, dtype: torch.dtype) -> Kernels:
    """Returns the kernels, compiled as a key of COMPILE says."""
    if compiled != "none":  # 'all' compiles each row count of each batch, which is more than the default limits allow
        torch._dynamo.config.cache_size_limit = 256
        torch._dynamo.config.accumulated_cache_size_limit = 4096

    def pointwise(function: Callable) -> Callable:
        return function if compiled == "none" else torch.compile(function, fullgraph=True)

    def products(function: Callable) -> Callable:
        if compiled != "all":
            return function
        return torch.compile(function, fullgraph=True, dynamic=False, mode="max-autotune-no-cudagraphs")

    add_normed = pointwise(add_norm)

    def finish(x: torch.Tensor, mixed: torch.Tensor, layer: Layer) -> torch.Tensor:
        x = add_normed(x, linear(mixed, layer.output), layer.attention_norm)
        return add_normed(x, linear(linear_gelu(x, layer.up), layer.down), layer.mlp_norm)

    def lm_head(x: torch.Tensor, dense: Linear, norm: Norm, words: Linear) -> torch.Tensor:
        return linear(layer_norm(linear_gelu(x, dense), norm), words)

    return Kernels(
        embed=pointwise(embed),
        project=products(linear),
        attend=Attention(device, dtype),
        finish=products(finish),
        lm_head=products(lm_head),
        sample=pointwise(sample),
    )

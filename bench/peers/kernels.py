"""What a pass is made of, compiled as far as PyTorch can: each takes and returns rows [rows, d] of all sequences."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.nn import functional as F

from .attention import Attention
from .model import Layer, Linear, Norm

EPS = 1e-6


def layer_norm(x: torch.Tensor, norm: Norm) -> torch.Tensor:
    return F.layer_norm(x, x.shape[-1:], norm.weight, norm.bias, EPS)


def linear(x: torch.Tensor, to: Linear) -> torch.Tensor:
    return F.linear(x, to.weight, to.bias)


def linear_gelu(x: torch.Tensor, to: Linear) -> torch.Tensor:
    """GELU by its tanh approximation; on a GPU in cuBLASLt's epilogue."""
    if x.is_cuda:
        return torch._addmm_activation(to.bias, x, to.weight.t(), use_gelu=True)
    return F.gelu(linear(x, to), approximate="tanh")


def add_norm(x: torch.Tensor, y: torch.Tensor, norm: Norm) -> torch.Tensor:
    return layer_norm(x + y, norm)


def embed(
    word: torch.Tensor, position: torch.Tensor, norm: Norm, ids: torch.Tensor, positions: torch.Tensor
) -> torch.Tensor:
    """ids, positions [rows] -> [rows, d]"""
    return layer_norm(word[ids] + position[positions], norm)


def store(cache: torch.Tensor, rows: torch.Tensor, qkv: torch.Tensor) -> None:
    """Keys and values of qkv [sequences, n, heads, 3, head_dim] into rows [sequences · n] of the flattened
    cache [sequences, positions, heads, 3, head_dim], eight bytes at a time."""
    target, source = (x.view(torch.int64).flatten(0, 1)[:, :, 1:] for x in (cache, qkv))
    target.index_copy_(0, rows, source)


def gumbel(like: torch.Tensor) -> torch.Tensor:
    return -torch.log(-torch.log(torch.rand_like(like).clamp(1e-9, 1 - 1e-7)))


def sample(
    logits: torch.Tensor, guidance: float, choice_temperature: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """logits [branches, batch, n, codes], choice_temperature [] -> tokens and the confidence in each, [batch, n]."""
    scores = logits[0].float()
    if len(logits) == 2:
        scores = (1 + guidance) * scores - guidance * logits[1].float()
    tokens = (scores + gumbel(scores)).argmax(-1)
    confidence = scores.log_softmax(-1).gather(-1, tokens[..., None])[..., 0]
    return tokens, confidence + choice_temperature * gumbel(confidence)


@dataclass(frozen=True)
class Kernels:
    embed: Callable[..., torch.Tensor]
    project: Callable[[torch.Tensor, Linear], torch.Tensor]
    attend: Attention
    # x, what attention mixed [rows, heads · head_dim], the layer -> the layer's result
    finish: Callable[[torch.Tensor, torch.Tensor, Layer], torch.Tensor]
    # x, dense, norm, word -> logits [rows, padded vocabulary]
    head: Callable[[torch.Tensor, Linear, Norm, Linear], torch.Tensor]
    sample: Callable[..., tuple[torch.Tensor, torch.Tensor]]


COMPILE = {
    "none": "nothing compiled",
    "pointwise": "norms, embeddings and sampling compiled",
    "all": "products too, each shape by itself in mode max-autotune-no-cudagraphs",
}


def default_compile() -> str:
    return "pointwise" if hasattr(torch, "compile") else "none"


def kernels(compiled: str, device: torch.device, dtype: torch.dtype) -> Kernels:
    """compiled: a key of COMPILE."""
    if compiled != "none":  # past a limit a fullgraph function fails; `all` compiles each row count of each batch
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

    def head(x: torch.Tensor, dense: Linear, norm: Norm, word: Linear) -> torch.Tensor:
        return linear(layer_norm(linear_gelu(x, dense), norm), word)

    return Kernels(
        embed=pointwise(embed),
        project=products(linear),
        attend=Attention(device, dtype),
        finish=products(finish),
        head=products(head),
        sample=pointwise(sample),
    )

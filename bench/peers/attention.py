"""Attention by PyTorch's own backends, the fastest of them for each shape.

The query is [sequences, heads, rows, head_dim], key and value are [sequences, heads, positions, head_dim], and the last
axis of all three is dense.
"""

from collections.abc import Callable

import torch
from torch.nn import functional as F

from . import timing

Backend = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


def plain(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    return (query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5).softmax(-1) @ value


def backends(device: torch.device, dtype: torch.dtype) -> dict[str, Backend]:
    """Returns cuDNN's kernel and FlashAttention-2 on a GPU, unless for float32, which neither of them takes.
    Elsewhere it returns the backend that PyTorch picks."""
    if not hasattr(F, "scaled_dot_product_attention") or device.type == "meta":
        return {"plain": plain}
    if device.type != "cuda" or dtype == torch.float32:
        return {"default": F.scaled_dot_product_attention}
    from torch.nn.attention import SDPBackend, sdpa_kernel

    def only(backend: SDPBackend) -> Backend:
        def attend(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
            with sdpa_kernel(backend):
                return F.scaled_dot_product_attention(query, key, value)

        return attend

    return {"cudnn": only(SDPBackend.CUDNN_ATTENTION), "flash": only(SDPBackend.FLASH_ATTENTION)}


class Attention:
    """Attention by the backend that is fastest for the shape. It is chosen when a shape comes for the first time,
    which is before that shape is captured in a graph."""

    def __init__(self, device: torch.device, dtype: torch.dtype):
        self.backends = backends(device, dtype)
        self.chosen: dict[tuple[int, ...], str] = {}  # by (sequences, heads, rows, positions)

    def __call__(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        """Returns [sequences · rows, heads · head_dim]."""
        shape = (*query.shape[:3], key.shape[2])
        if shape not in self.chosen:
            self.chosen[shape] = self._fastest(query, key, value)
        return self.backends[self.chosen[shape]](query, key, value).transpose(1, 2).flatten(2).flatten(0, 1)

    def _fastest(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> str:
        if len(self.backends) == 1:
            return next(iter(self.backends))
        medians = {}
        for name, backend in self.backends.items():
            try:
                calls = [lambda: backend(query, key, value)] * 10
                medians[name] = timing.per_call(calls, repeats=5, device=query.device)["median"]
            except RuntimeError as error:
                print(f"  attention {tuple(query.shape)} x {key.shape[2]}: {name} does not run it ({error})")
        return min(medians, key=medians.get)

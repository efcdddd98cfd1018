"""Training in one process or in several, which `torchrun` starts."""

import os
from datetime import timedelta
from functools import cache
from pathlib import Path

import torch
from torch import distributed

TIMEOUT = timedelta(hours=12)  # the others wait while the first evaluates or while one tokenizes its share


class Processes:
    """The rank of this process, from 0 to count - 1, and its device."""

    def __init__(self) -> None:
        self.rank, self.count = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
        self.device = torch.device("cpu")
        if torch.cuda.is_available():
            self.device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
            torch.cuda.set_device(self.device)
        if self.count > 1:
            distributed.init_process_group("nccl" if self.device.type == "cuda" else "gloo", timeout=TIMEOUT)

    @property
    def first(self) -> bool:
        return self.rank == 0

    def wait(self) -> None:
        """Waits until every process has called it."""
        if self.count > 1:
            distributed.barrier()

    def parallel(self, task: torch.nn.Module) -> torch.nn.Module:
        """Returns `task` with gradients that are averaged over the processes."""
        return torch.nn.parallel.DistributedDataParallel(task) if self.count > 1 else task

    def autocast(self) -> torch.autocast:
        """Returns a context with bf16 products where the device has them. Weights, norms and losses stay f32."""
        mixed = torch.cuda.is_bf16_supported() if self.device.type == "cuda" else cpu_has_bf16()
        return torch.autocast(self.device.type, torch.bfloat16, enabled=mixed)


@cache
def cpu_has_bf16() -> bool:
    """Returns whether Linux lists AVX512-BF16 or AMX. Without them PyTorch's bf16 products are slower than f32 ones."""
    info = Path("/proc/cpuinfo")
    return info.exists() and not {"avx512_bf16", "amx_bf16"}.isdisjoint(info.read_text().split())


def summed(tensor: torch.Tensor) -> torch.Tensor:
    """Sums a tensor over all processes, in place, and returns it."""
    if distributed.is_available() and distributed.is_initialized():
        distributed.all_reduce(tensor)
    return tensor


def from_first(tensor: torch.Tensor) -> torch.Tensor:
    """Overwrites a tensor with that of the first process, in place, and returns it."""
    if distributed.is_available() and distributed.is_initialized():
        distributed.broadcast(tensor, 0)
    return tensor

"""One process or several: `torchrun` starts one for each GPU, or as many as it is told on a machine without."""

import os
from datetime import timedelta
from functools import cache
from pathlib import Path

import torch
from torch import distributed

PATIENCE = timedelta(hours=12)  # that the others wait while the first evaluates, or one is slow to tokenize its share


class Processes:
    """rank 0 ... count - 1 of this process, and its device."""

    def __init__(self) -> None:
        self.rank, self.count = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
        self.device = torch.device("cpu")
        if torch.cuda.is_available():
            self.device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
            torch.cuda.set_device(self.device)
        if self.count > 1:
            distributed.init_process_group("nccl" if self.device.type == "cuda" else "gloo", timeout=PATIENCE)

    @property
    def first(self) -> bool:
        return self.rank == 0

    def wait(self) -> None:
        """Until every process is here."""
        if self.count > 1:
            distributed.barrier()

    def parallel(self, task: torch.nn.Module) -> torch.nn.Module:
        """`task` with gradients averaged over the processes."""
        return torch.nn.parallel.DistributedDataParallel(task) if self.count > 1 else task

    def autocast(self) -> torch.autocast:
        """bf16 products where the device has them; weights, norms and losses stay f32."""
        mixed = torch.cuda.is_bf16_supported() if self.device.type == "cuda" else cpu_has_bf16()
        return torch.autocast(self.device.type, torch.bfloat16, enabled=mixed)


@cache
def cpu_has_bf16() -> bool:
    """As Linux tells: AVX512-BF16 or AMX. Without them PyTorch's bf16 products are slower than those of f32."""
    told = Path("/proc/cpuinfo")
    return told.exists() and not {"avx512_bf16", "amx_bf16"}.isdisjoint(told.read_text().split())


def summed(tensor: torch.Tensor) -> torch.Tensor:
    """The sum over all processes, in place."""
    if distributed.is_available() and distributed.is_initialized():
        distributed.all_reduce(tensor)
    return tensor


def from_first(tensor: torch.Tensor) -> torch.Tensor:
    """What the first process has, in place."""
    if distributed.is_available() and distributed.is_initialized():
        distributed.broadcast(tensor, 0)
    return tensor

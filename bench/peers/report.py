"""Prints results as a table and writes them in the schema of bench/README.md.

The device's `clocks` are what nvidia-smi reports when the command begins: current and highest SM clock, memory clock,
power limit.
"""

import datetime
import math
import platform
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import torch

from . import results
from .plan import ROOT
from .timing import Timing


COMPUTE = {torch.float32: "f32", torch.bfloat16: "bf16"}  # as result files have it


def output(*command: str) -> str | None:
    """Returns what a command prints, or None where it is missing or fails."""
    try:
        return subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def nvidia_smi(fields: str) -> str | None:
    return output("nvidia-smi", "--id=0", f"--query-gpu={fields}", "--format=csv,noheader")


def cpu_name() -> str:
    """Returns the model of the CPU as Linux names it, elsewhere the architecture."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return next((line.split(": ")[1] for line in lines if line.startswith("model name")), platform.machine())


def environment(device: torch.device) -> dict:
    """Returns the head of a result file."""
    if device.type == "cuda":
        hardware = {
            "name": torch.cuda.get_device_name(),
            "driver": nvidia_smi("driver_version"),
            "clocks": nvidia_smi("clocks.sm,clocks.max.sm,clocks.mem,power.limit"),
            "cuda": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version(),
        }
    else:
        hardware = {"name": cpu_name(), "threads": torch.get_num_threads()}
    return {
        "device": hardware | {"torch": torch.__version__},
        "commit": results.checked_out_commit(),
        "command": shlex.join(["python3", "-m", f"bench.peers.{Path(sys.argv[0]).stem}", *sys.argv[1:]]),
        "date": datetime.date.today().isoformat(),
    }


def clock_while(run: Callable[[], object], seconds: float, device: torch.device) -> str | None:
    """Returns the SM clock while the device repeats a run that takes `seconds`."""
    if device.type != "cuda":
        return None
    for _ in range(math.ceil(1 / seconds)):
        run()
    clock = nvidia_smi("clocks.sm")
    torch.cuda.synchronize()
    return clock


class Report:
    """Prints each row when it is added. With a file, it also writes all rows that it has by then, so that a run that
    is cut short keeps what it measured."""

    def __init__(self, device: torch.device, settings: dict, file: Path | None):
        self.head = environment(device) | settings
        self.rows: list[dict] = []
        self.file = file
        for name, value in self.head.items():
            print(f"{name}: {value}")

    def add(self, name: str, settings: dict, timing: Timing, flops: int | None, line: str) -> None:
        """Adds a row; `line` is its line of the printed table. `flops` is None where nothing is multiplied."""
        counted = {} if flops is None else {"flops": flops}
        self.rows.append({"name": name, **settings, **counted, **timing})
        print(line, flush=True)
        if self.file is not None:
            results.write(self.file, self.head, self.rows)

"""Results as a table on the terminal and as JSON.

    {
      "command": str, "date": "YYYY-MM-DD", "commit": str | null,
      "device": str, "driver": str | null, "clocks": str | null, "torch": str, "cuda": str | null, "cudnn": int | null,
      ...                      what else the command says of its settings
      "rows": [{
        "name": str,
        ...                    what was run: batch, shapes
        "seconds": {"median": float, "min": float, "max": float},
        "flops": int,          of one run, by formula; a multiply-add counts 2 (null where bytes are counted)
        "tflops": float | null TFLOP/s at the median
      }]
    }

`clocks` is what nvidia-smi said when the command began: current and highest SM clock, memory clock, power limit.
"""

import datetime
import json
import math
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import torch

from .timing import Seconds

ROOT = Path(__file__).parents[2]


def output(*command: str) -> str | None:
    """None where the command is missing or fails."""
    try:
        return subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def nvidia_smi(fields: str) -> str | None:
    return output("nvidia-smi", "--id=0", f"--query-gpu={fields}", "--format=csv,noheader")


def environment(device: torch.device) -> dict:
    cuda = device.type == "cuda"
    return {
        "command": shlex.join(["python3", "-m", f"bench.peers.{Path(sys.argv[0]).stem}", *sys.argv[1:]]),
        "date": datetime.date.today().isoformat(),
        "commit": output("git", "describe", "--always", "--dirty"),
        "device": torch.cuda.get_device_name() if cuda else "cpu",
        "driver": nvidia_smi("driver_version"),
        "clocks": nvidia_smi("clocks.sm,clocks.max.sm,clocks.mem,power.limit"),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version() if cuda else None,
    }


def clock_while(run: Callable[[], object], seconds: float, device: torch.device) -> str | None:
    """The SM clock while the device repeats a run that takes `seconds`."""
    if device.type != "cuda":
        return None
    for _ in range(math.ceil(1 / seconds)):
        run()
    clock = nvidia_smi("clocks.sm")
    torch.cuda.synchronize()
    return clock


class Report:
    """Prints each row as it comes and, with a file, writes all so far: a run cut short keeps what it measured."""

    def __init__(self, device: torch.device, settings: dict, file: Path | None):
        self.header = environment(device) | settings
        self.rows: list[dict] = []
        self.file = file
        for name, value in self.header.items():
            print(f"{name}: {value}")

    def add(self, name: str, facts: dict, seconds: Seconds, flops: int | None, line: str) -> None:
        """line: the row of the table."""
        tflops = None if flops is None else flops / seconds["median"] / 1e12
        self.rows.append({"name": name, **facts, "seconds": seconds, "flops": flops, "tflops": tflops})
        print(line, flush=True)
        if self.file is not None:
            self.file.write_text(json.dumps({**self.header, "rows": self.rows}, indent=2) + "\n")

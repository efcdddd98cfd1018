"""/usr/bin/python3 -m bench.peers.pytorch CHECKPOINT --threads N: full-size passes in PyTorch on the CPU, for run.js.

Each line of the input is a JSON object: `batch` samples with every token masked, label i of sample i, `passes` of them;
with a `file` the logits of the last one are written there, f32 [batch, N, V]. Each is answered by a line with the
`seconds` that the passes took. The first line, before any, has the version of `torch`.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import torch

from training import export, model

from .onnx import attend


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="a checkpoint (docs/checkpoints.md)")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    model.attend = attend
    generator = export.read(arguments.folder)
    print(json.dumps({"torch": torch.__version__}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        ids = torch.full((request["batch"], generator.token_count), generator.mask_id)
        labels = torch.arange(request["batch"])
        started = time.perf_counter()
        for _ in range(request["passes"]):
            logits = generator(ids, labels)
        seconds = time.perf_counter() - started
        if "file" in request:
            Path(request["file"]).write_bytes(logits.numpy().tobytes())
        print(json.dumps({"seconds": seconds}), flush=True)


if __name__ == "__main__":
    main()

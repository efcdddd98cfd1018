"""The tokenizers that only the package runs: those of converted public checkpoints, which are convolutional."""

import contextlib
import hashlib
import json
import subprocess
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from . import export
from .model import Tokenizer
from .processes import Processes

ROOT = Path(__file__).parent.parent


class PackageTokenizer:
    """The tokenizer of a checkpoint folder, in a Node process that runs from the first use until this object goes. It
    needs `npm run build`."""

    def __init__(self, folder: Path):
        self.folder = folder
        generator, self.config = (
            json.loads((part / "config.json").read_text()) for part in (folder, folder / "tokenizer")
        )
        self.token_count = torch.Size(generator["latent_shape"]).numel()

    @cached_property
    def node(self) -> subprocess.Popen:
        command = ["node", "training/node/tokenize.js", "--model", str(self.folder.resolve())]
        return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __del__(self) -> None:
        if "node" in self.__dict__:
            self.node.communicate()  # closes its stdin, at which it ends

    def fingerprint(self) -> str:
        return hashlib.sha256((self.folder / "tokenizer" / "model.safetensors").read_bytes()).hexdigest()

    def tokenize(self, pixels: torch.Tensor) -> torch.Tensor:
        """Returns tokens [batch, N] for pixels [batch, frames, height, width, channels] in [0, 1], multiples of
        1/255."""
        request = pixels.mul(255).round().byte().cpu().numpy()
        with contextlib.suppress(BrokenPipeError):  # it has ended, said why, and will not answer
            self.node.stdin.write(np.uint32(len(request)).tobytes() + request.tobytes())
            self.node.stdin.flush()
        length = 4 * len(request) * self.token_count
        answer = self.node.stdout.read(length)
        if len(answer) < length:
            raise SystemExit(f"training/node/tokenize.js: expected {length} bytes but received {len(answer)}")
        return torch.from_numpy(np.frombuffer(answer, np.int32).reshape(len(request), -1).copy())


def tokenizer_of(folder: Path, processes: Processes) -> Tokenizer | PackageTokenizer:
    """Returns the tokenizer of a generator's folder: PyTorch's where training/model.py has its kind, else the
    package's."""
    config = folder / "tokenizer" / "config.json"
    if config.exists() and json.loads(config.read_text()).get("kind", "vit") == "conv":
        return PackageTokenizer(folder)
    return export.read(folder / "tokenizer").to(processes.device)

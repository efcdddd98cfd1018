"""Writes trained models as checkpoint folders (docs/checkpoints.md) and reads them back."""

import json
from pathlib import Path

import numpy as np
import torch
from torch import nn

from . import safetensors
from .model import Generator, Tokenizer

MODELS = {"magnets": Generator, "magnets_tokenizer": Tokenizer}  # by model_type
TRAINING_ONLY = ("code_count", "code_sum")  # tensors of a tokenizer that no checkpoint has


def write(model: nn.Module, folder: Path, dtype: type = np.float16) -> None:
    """Writes config.json and model.safetensors of a Generator or a Tokenizer, with weights of `dtype`."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        name: tensor.cpu().numpy().astype(dtype)
        for name, tensor in model.state_dict().items()
        if name not in TRAINING_ONLY
    }
    safetensors.write(folder / "model.safetensors", tensors)
    config = model.config | {"dtype": np.dtype(dtype).name}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")


def read(folder: Path) -> nn.Module:
    """Returns the Generator or Tokenizer of a checkpoint folder, in f32 and ready for inference."""
    for name in ("config.json", "model.safetensors"):
        if not (folder / name).exists():
            raise SystemExit(f"{folder}: expected an exported model, with {name}")
    config = json.loads((folder / "config.json").read_text())
    if config.get("model_type") not in MODELS:
        received = config.get("model_type")
        raise SystemExit(f"{folder}: expected a model_type among {', '.join(MODELS)} but received {received}")
    if config.get("kind", "vit") != "vit":
        raise SystemExit(f"{folder}: expected a tokenizer of kind vit, which PyTorch has here, not {config['kind']}")
    model = MODELS[config["model_type"]](config)
    tensors = safetensors.read(folder / "model.safetensors")
    model.load_state_dict({name: torch.from_numpy(tensor.astype(np.float32)) for name, tensor in tensors.items()})
    return model.eval().requires_grad_(False)

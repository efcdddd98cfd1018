"""What the addon generates and how long it takes, by the programs of bench/. Run `npm run build` first."""

import json
import subprocess
import tempfile
from dataclasses import asdict
from pathlib import Path

import numpy as np

from .ways import Way

ROOT = Path(__file__).parent.parent


def node(program: str, *arguments: str) -> str:
    """What a program of bench/ prints."""
    command = ["node", f"bench/{program}", *arguments]
    ended = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    if ended.returncode:
        raise SystemExit(f"bench/{program} failed with {ended.returncode}")  # it has said why
    return ended.stdout


def sample_shape(model: Path) -> list[int]:
    """[frames, height, width, channels]"""
    tokenizer = json.loads((model / "tokenizer" / "config.json").read_text())
    return [*tokenizer["sample_shape"], tokenizer["channels"]]


def generate(way: Way, count: int, seed: int, given: np.ndarray | None = None) -> tuple[np.ndarray, dict]:
    """uint8 [count, frames, height, width, channels] of label i % classes, or predicted from `given`, their first frames;
    and the FLOPs of one, with the backend."""
    arguments = ["--model", str(way.model), "--schedule", way.schedule, "--count", str(count), "--seed", str(seed)]
    arguments += [] if way.cache else ["--no-cache"]
    with tempfile.TemporaryDirectory() as folder:
        if given is not None:
            given.tofile(f"{folder}/given")
            arguments += ["--given", f"{folder}/given"]
        printed = node("samples.js", *arguments, "--out", f"{folder}/samples")
        samples = np.fromfile(f"{folder}/samples", np.uint8).reshape(count, *sample_shape(way.model))
    told = json.loads(printed)
    return samples, {"backend": told["backend"], "flops": told["flops"]}


def times(ways: list[Way], predict: bool = False) -> tuple[str, dict[str, float]]:
    """The backend, and by name the seconds of one batch by each way: medians of turns in one run."""
    asked = json.dumps([asdict(way) for way in ways], default=str)
    told = json.loads(node("times.js", asked, *["--predict"] * predict))
    return told["backend"], told["seconds"]

"""Samples and times of the addon, by the Node scripts in evaluation/node. They need `npm run build` first."""

import json
import subprocess
import tempfile
from dataclasses import asdict
from pathlib import Path

import numpy as np

from .methods import Method

ROOT = Path(__file__).parent.parent


def run_node(script: str, *arguments: str) -> str:
    """Runs a script of evaluation/node and returns what it prints. Exits where it fails, after it has said why."""
    command = ["node", f"evaluation/node/{script}", *arguments]
    finished = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    if finished.returncode:
        raise SystemExit(f"evaluation/node/{script}: expected exit status 0 but received {finished.returncode}")
    return finished.stdout


def sample_shape(model: Path) -> list[int]:
    """Returns [frames, height, width, channels] of the samples of a checkpoint folder."""
    tokenizer = json.loads((model / "tokenizer" / "config.json").read_text())
    return [*tokenizer["sample_shape"], tokenizer["channels"]]


def generate(method: Method, count: int, seed: int, given: np.ndarray | None = None) -> tuple[np.ndarray, dict]:
    """Generates `count` samples, uint8 [count, frames, height, width, channels]; sample i has the label i % classes.

    With `given`, the first frames of `count` videos (uint8 [count, given frames, height, width, channels]), it predicts
    the rest of each video instead. Returns also the `flops` of one sample and the `backend` that ran.
    """
    arguments = ["--model", str(method.model), "--schedule", method.schedule, "--count", str(count)]
    arguments += ["--seed", str(seed), *["--no-cache"] * (not method.cache)]
    arguments += ["--refresh", str(method.refresh)] if method.refresh else []
    arguments += ["--weights", method.weights]
    with tempfile.TemporaryDirectory() as folder:
        if given is not None:
            given.tofile(f"{folder}/given")
            arguments += ["--given", f"{folder}/given"]
        printed = run_node("generate.js", *arguments, "--out", f"{folder}/samples")
        samples = np.fromfile(f"{folder}/samples", np.uint8).reshape(count, *sample_shape(method.model))
    return samples, json.loads(printed)


def time_methods(methods: list[Method], predict: bool = False) -> tuple[dict, dict[str, float]]:
    """Returns a description of the device and, by the name of the method, the median seconds of one batch. All methods
    take turns in one run, so that a drift of the clocks falls on all of them."""
    requested = json.dumps([asdict(method) for method in methods], default=str)
    answer = json.loads(run_node("timing.js", requested, *["--predict"] * predict))
    return answer["device"], answer["seconds"]

"""What the addon generates and how long it takes, by the programs of bench/. Run `npm run build` first."""

import json
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Way:
    """A way to generate: a checkpoint folder, a schedule, with the cache or without ('full' never has it)."""

    name: str
    model: Path
    schedule: str
    cache: bool = True


def run(program: str, *arguments: str):
    """What a program of bench/ prints, JSON."""
    command = ["node", f"bench/{program}", *arguments]
    return json.loads(subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True, text=True).stdout)


def sample_shape(model: Path) -> list[int]:
    """[frames, height, width, channels]"""
    tokenizer = json.loads((model / "tokenizer" / "config.json").read_text())
    return [*tokenizer["sample_shape"], tokenizer["channels"]]


def generate(way: Way, count: int, seed: int, given: Path | None = None) -> tuple[np.ndarray, float]:
    """uint8 [count, frames, height, width, channels] of label i % classes, or predicted from the frames in file `given`;
    and the FLOPs of one."""
    with tempfile.NamedTemporaryFile() as file:
        arguments = ["--model", str(way.model), "--schedule", way.schedule, "--count", str(count), "--seed", str(seed)]
        arguments += ["--no-cache"] * (not way.cache) + (["--given", str(given)] if given else [])
        cost = run("samples.js", *arguments, "--out", file.name)
        return np.fromfile(file.name, np.uint8).reshape(count, *sample_shape(way.model)), cost["flops"]


def times(ways: list[Way], guided: bool) -> dict[str, float]:
    """Seconds of one batch by each way, by name: medians of turns in one run. Prediction is not guided."""
    told = [{"name": w.name, "model": str(w.model), "schedule": w.schedule, "cache": w.cache} for w in ways]
    return run("times.js", json.dumps(told), *["--no-guidance"] * (not guided))

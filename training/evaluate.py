"""python3 -m training.evaluate: quality of what the addon generates, beside what it costs.

Class accuracy under a classifier of the real training set, and the Fréchet distance between its features of the
generated pictures and of the 10,000 test pictures.
"""

import argparse
import hashlib
import json
import subprocess
from pathlib import Path

import numpy as np
import torch

from . import export
from .classifier import frechet_distance, judge, load_or_train, to_pictures
from .data.fashion import load

ROOT = Path(__file__).parent.parent
NAMES = ["full", "paper", "paper-nocache", "width-1/8", "width-1/4", "width-1/2", "width-1"]


def generate(name: str, arguments: argparse.Namespace) -> tuple[torch.Tensor, dict]:
    """uint8 pictures [count, 28, 28] of label i % 10, and what they cost."""
    file = arguments.cache / f"{name.replace('/', '-')}.u8"
    command = ["node", "bench/samples.js", "--model", str(arguments.model), "--count", str(arguments.samples)]
    command += ["--name", name, "--seed", str(arguments.seed), "--out", str(file)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True, text=True)
    pixels = np.fromfile(file, np.uint8).reshape(arguments.samples, 28, 28)
    return torch.from_numpy(pixels), json.loads(done.stdout)


def reconstruct(model: Path, pixels: torch.Tensor) -> torch.Tensor:
    tokenizer = export.read(model / "tokenizer")
    with torch.no_grad():
        parts = [tokenizer.decode(tokenizer.encode(to_pictures(part)[..., None])) for part in pixels.split(1000)]
    return torch.cat(parts)[:, 0, :, :, 0].mul(255).round().to(torch.uint8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=ROOT / "models" / "fashion")
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--names", nargs="+", default=NAMES)
    parser.add_argument("--cache", type=Path, default=Path("/tmp/magnets-evaluate"), help="classifier and pictures")
    parser.add_argument("--out", type=Path, default=ROOT / "bench" / "results" / "quality-fashion.json")
    arguments = parser.parse_args()
    arguments.model = arguments.model.resolve()

    arguments.cache.mkdir(parents=True, exist_ok=True)
    classifier = load_or_train(arguments.cache / "classifier.pt")
    pixels, test_labels = load("test")
    real, accuracy = judge(classifier, pixels, test_labels)
    rows = [{"name": "test-pictures", "frechet": 0.0, "accuracy": accuracy}]
    features, accuracy = judge(classifier, reconstruct(arguments.model, pixels), test_labels)
    rows.append({"name": "test-pictures-reconstructed", "frechet": frechet_distance(features, real), "accuracy": accuracy})
    labels = torch.arange(arguments.samples) % 10
    for row in rows:
        print(json.dumps(row), flush=True)
    for name in arguments.names:
        pictures, cost = generate(name, arguments)
        features, accuracy = judge(classifier, pictures, labels)
        row = {"name": name, "flops": cost["flops"], "flopsRatio": cost["flopsRatio"]}
        row |= {"frechet": frechet_distance(features, real), "accuracy": accuracy}
        rows.append(row)
        print(json.dumps(row), flush=True)
    report = {
        "command": f"python3 -m training.evaluate --samples {arguments.samples} --seed {arguments.seed}",
        "model": arguments.model.name,
        "sha256": hashlib.sha256((arguments.model / "model.safetensors").read_bytes()).hexdigest(),
        "samples": arguments.samples,
        "seed": arguments.seed,
        "rows": rows,
    }
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()

"""python3 -m training.evaluate [--model models/NAME]: quality of what the addon generates, beside what it costs.

Class accuracy under a classifier of the real training set, and the Fréchet distance between its features of the
generated and of the test samples; the mean over the seeds, and from the least to the greatest.
"""

import argparse
import hashlib
import json
import subprocess
from pathlib import Path

import numpy as np
import torch

from . import export
from .classifier import PART, frechet_distance, judge, load_or_train
from .data import open_source, to_float

ROOT = Path(__file__).parent.parent
NAMES = ["full", "paper", "paper-nocache", "width-1/8", "width-1/4", "width-1/2", "width-1"]


def generate(name: str, seed: int, arguments: argparse.Namespace, shape: tuple[int, ...]) -> tuple[np.ndarray, dict]:
    """uint8 [count, frames, height, width, channels] of label i % classes, and what they cost."""
    file = arguments.cache / f"{name.replace('/', '-')}-{seed}.u8"
    command = ["node", "bench/samples.js", "--model", str(arguments.model), "--count", str(arguments.samples)]
    command += ["--name", name, "--seed", str(seed), "--out", str(file)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True, text=True)
    return np.fromfile(file, np.uint8).reshape(arguments.samples, *shape), json.loads(done.stdout)


@torch.no_grad()
def reconstruct(model: Path, samples: np.ndarray) -> np.ndarray:
    tokenizer = export.read(model / "tokenizer")
    parts = (to_float(samples[i : i + PART]) for i in range(0, len(samples), PART))
    return np.concatenate([tokenizer.decode(tokenizer.encode(part)).mul(255).round().numpy() for part in parts]).astype(np.uint8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=ROOT / "models" / "fashion")
    parser.add_argument("--config", type=Path, help="whose `data` it is judged by; default training/configs/NAME.json")
    parser.add_argument("--data", help="the data set's folder, instead of the config's")
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--names", nargs="+", default=NAMES)
    parser.add_argument("--cache", type=Path, help="classifier and samples; default /tmp/magnets-evaluate/NAME")
    parser.add_argument("--out", type=Path, help="default bench/results/quality-NAME.json")
    arguments = parser.parse_args()
    arguments.model = arguments.model.resolve()
    model = arguments.model.name
    arguments.config = arguments.config or ROOT / "training" / "configs" / f"{model}.json"
    arguments.cache = arguments.cache or Path("/tmp/magnets-evaluate") / model
    arguments.out = arguments.out or ROOT / "bench" / "results" / f"quality-{model}.json"
    arguments.cache.mkdir(parents=True, exist_ok=True)

    tokenizer = json.loads((arguments.model / "tokenizer" / "config.json").read_text())
    data, shape = json.loads(arguments.config.read_text())["data"], tokenizer["sample_shape"]
    if arguments.data:
        data["folder"] = arguments.data
    train, test = (open_source(data, shape, split) for split in ("train", "test"))
    classifier = load_or_train(arguments.cache / "classifier.pt", train, shape)
    samples = np.stack([test.read(item, np.random.default_rng(item)) for item in range(len(test.labels))])
    real, accuracy = judge(classifier, samples, test.labels)
    rows = [{"name": "test", "frechet": 0.0, "accuracy": accuracy}]
    features, accuracy = judge(classifier, reconstruct(arguments.model, samples), test.labels)
    rows.append({"name": "test-reconstructed", "frechet": frechet_distance(features, real), "accuracy": accuracy})
    for row in rows:
        print(json.dumps(row), flush=True)

    labels = np.arange(arguments.samples) % (int(test.labels.max()) + 1)
    full_seconds = None
    for name in arguments.names:
        measured = []
        for seed in arguments.seeds:
            generated, cost = generate(name, seed, arguments, (*shape, tokenizer["channels"]))
            features, accuracy = judge(classifier, generated, labels)
            measured.append((frechet_distance(features, real), accuracy, cost["seconds"]))
        frechet, accuracy, seconds = zip(*measured)
        full_seconds = np.mean(seconds) if name == "full" else full_seconds
        row = {"name": name, "flops": cost["flops"], "flopsRatio": cost["flopsRatio"]}
        row["timeRatio"] = full_seconds / np.mean(seconds) if full_seconds else None
        row |= {"frechet": np.mean(frechet), "accuracy": np.mean(accuracy)}
        row |= {"frechetRange": [min(frechet), max(frechet)], "accuracyRange": [min(accuracy), max(accuracy)]}
        rows.append(row)
        print(json.dumps(row), flush=True)
    report = {
        "command": f"python3 -m training.evaluate --model models/{model} --samples {arguments.samples}"
        f" --seeds {' '.join(map(str, arguments.seeds))}",
        "model": model,
        "sha256": hashlib.sha256((arguments.model / "model.safetensors").read_bytes()).hexdigest(),
        "samples": arguments.samples,
        "seeds": arguments.seeds,
        "rows": rows,
    }
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()

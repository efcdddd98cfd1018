"""python3 -m training.evaluate --model models/NAME: the comparison of ways to generate, by cost, time and quality.

The full width at every step (`full`, the baseline); the paper's schedule with and without the cache; wide to narrow; each
width alone, with the cache (the full one: the cache only); the schedules that the model names; and where their folders are
given, a model nested in its MLPs alone (as MatFormer) and a small model of the FLOPs of `paper`. For a model that predicts
frames also the error of those after the given ones. Writes quality-NAME.json, .md and .png.
"""

import argparse
import hashlib
import json
from pathlib import Path

import numpy as np
import torch
from matplotlib.image import imsave

from . import export
from .classifier import PART
from .data import to_float
from .judge import Judge
from .report import markdown, picture
from .samples import ROOT, Way, generate, sample_shape, times


def ways_of(arguments: argparse.Namespace) -> list[Way]:
    """What is compared, the baseline first."""
    model = arguments.model
    config = json.loads((model / "config.json").read_text())
    names, steps = [width["name"] for width in config["widths"]], config["sampling"]["steps"]
    narrow = len(names) - steps % len(names)  # as 'paper': steps that do not divide go to the wider ones
    shares = [(name, steps // len(names) + (i >= narrow)) for i, name in enumerate(names)]
    reverse = ",".join(f"{name}x{share}" for name, share in reversed(shares) if share)
    ways = [Way("full", model, "full"), Way("paper", model, "paper"), Way("paper-nocache", model, "paper", False)]
    ways += [Way("reversed", model, reverse)] + [Way(f"width-{name}", model, f"{name}x{steps}") for name in names]
    schedules = model / "schedules.json"
    if schedules.exists():
        ways += [Way(name, model, name) for name in json.loads(schedules.read_text())]
    if arguments.ffn_only:
        ways.append(Way("ffn-only", arguments.ffn_only, "paper"))
    if arguments.small:
        ways.append(Way("small", arguments.small, "full"))
    return ways


@torch.no_grad()
def reconstruct(model: Path, samples: np.ndarray) -> np.ndarray:
    tokenizer = export.read(model / "tokenizer")
    parts = (to_float(samples[i : i + PART]) for i in range(0, len(samples), PART))
    pixels = [tokenizer.decode(tokenizer.encode(part)).mul(255).round().numpy() for part in parts]
    return np.concatenate(pixels).astype(np.uint8)


class Measured:
    """Measurements of ways, kept in a folder: a run that is stopped goes on where it was."""

    def __init__(self, folder: Path, judge: Judge, count: int):
        self.folder, self.judge, self.count = folder, judge, count
        folder.mkdir(parents=True, exist_ok=True)

    def of(self, way: Way, seed: int, given: int = 0) -> tuple[dict[str, float], np.ndarray]:
        """Measurements, and the first samples, one of each class. With `given` frames the rest of the test samples is
        predicted, and `psnr` is of the frames after them, in dB."""
        weights = (way.model / "model.safetensors").read_bytes() + (way.model / "tokenizer" / "model.safetensors").read_bytes()
        key = json.dumps([hashlib.sha256(weights).hexdigest(), way.schedule, way.cache, seed, given, self.count])
        stem = self.folder / hashlib.sha256(key.encode()).hexdigest()[:16]
        numbers, first = stem.with_suffix(".json"), stem.with_suffix(".npy")
        if not numbers.exists():
            measured, samples = self._measure(way, seed, given)
            np.save(first, samples[: self.judge.classes])
            numbers.write_text(json.dumps(measured))
        return json.loads(numbers.read_text()), np.load(first)

    def _measure(self, way: Way, seed: int, given: int) -> tuple[dict[str, float], np.ndarray]:
        judge = self.judge
        if not given:
            samples, flops = generate(way, self.count, seed)
            return {"flops": flops} | judge.measure(samples), samples
        true, labels = judge.samples[: self.count], judge.labels[: self.count]
        file = self.folder / "given.u8"
        true[:, :given].tofile(file)
        samples, flops = generate(way, len(true), seed, file)
        error = np.mean([np.square(to_float(a) - to_float(b)).mean() for a, b in zip(samples[:, given:], true[:, given:])])
        return {"flops": flops, "psnr": -10 * np.log10(float(error))} | judge.measure(samples, labels), samples


def compare(ways: list[Way], seconds: dict[str, float], measured: Measured, seeds: list[int], given: int = 0):
    """Rows, a dict each, and the first samples of each way. Of several seeds the mean, and from the least to the greatest."""
    rows, firsts = [], []
    for way in ways:
        results = [measured.of(way, seed, given) for seed in seeds]
        numbers = {key: [result[key] for result, _ in results] for key in results[0][0]}
        baseline = rows[0]["flops"] if rows else numbers["flops"][0]
        row = {"name": way.name, "flops": numbers["flops"][0], "flopsRatio": baseline / numbers["flops"][0]}
        row["timeRatio"] = seconds["full"] / seconds[way.name]
        for key in [key for key in numbers if key != "flops"]:
            row |= {key: float(np.mean(numbers[key])), f"{key}Range": [min(numbers[key]), max(numbers[key])]}
        rows.append(row)
        firsts.append(results[0][1])
        print(json.dumps(row), flush=True)
    return rows, firsts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=ROOT / "models" / "fashion")
    parser.add_argument("--ffn-only", type=Path, help="trained by training/configs/NAME-ffn-only.json")
    parser.add_argument("--small", type=Path, help="trained by training/configs/NAME-small.json")
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--out", type=Path, default=ROOT / "bench" / "results", help="folder")
    Judge.add_arguments(parser)
    arguments = parser.parse_args()
    for name in ("model", "ffn_only", "small"):
        folder = getattr(arguments, name)
        if folder and not (folder / "tokenizer" / "model.safetensors").exists():
            parser.error(f"expected a checkpoint with its tokenizer but received {folder}")
        setattr(arguments, name, folder and folder.resolve())
    model = arguments.model
    judge = Judge.of(arguments, reference="test")
    rows = [{"name": "test"} | judge.measure(judge.samples, judge.labels)]
    rows.append({"name": "test-reconstructed"} | judge.measure(reconstruct(model, judge.samples), judge.labels))
    for row in rows:
        print(json.dumps(row), flush=True)

    ways = ways_of(arguments)
    seconds = times(ways, guided=True)
    measured = Measured(arguments.cache, judge, arguments.samples)
    generated, firsts = compare(ways, seconds, measured, arguments.seeds)
    given = json.loads((model / "config.json").read_text()).get("prediction", {"frames": 0})["frames"]
    predicted = []
    if given:
        predicting = [way for way in ways if way.model == model]
        predicted, _ = compare(predicting, times(predicting, guided=False), measured, arguments.seeds, given)

    variants = "".join(f" --{name} ..." for name in ("ffn-only", "small") if getattr(arguments, name.replace("-", "_")))
    seeds = " ".join(map(str, arguments.seeds))
    report = {
        "command": f"python3 -m training.evaluate --model models/{model.name}{variants}"
        f" --samples {arguments.samples} --seeds {seeds}",
        "model": model.name,
        "sha256": hashlib.sha256((model / "model.safetensors").read_bytes()).hexdigest(),
        "samples": arguments.samples,
        "seeds": arguments.seeds,
        "rows": rows + generated,
    }
    if given:
        report |= {"givenFrames": given, "prediction": predicted}
    stem = arguments.out / f"quality-{model.name}"
    stem.with_suffix(".json").write_text(json.dumps(report, indent=2) + "\n")
    stem.with_suffix(".md").write_text(markdown(report))
    imsave(stem.with_suffix(".png"), picture([judge.samples[first_of_each(judge.labels)], *firsts]))
    print(markdown(report))


def first_of_each(labels: np.ndarray) -> np.ndarray:
    """Where each class is met first."""
    return np.unique(labels, return_index=True)[1]


if __name__ == "__main__":
    main()

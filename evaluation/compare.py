"""python3 -m training.evaluate --model models/NAME: the comparison of ways to generate, by cost, time and quality.

Writes quality-NAME.json, .md and .png. What the rows and columns are: training/README.md, Comparison.
"""

import argparse
import hashlib
import json
import shlex
import sys
from pathlib import Path

import numpy as np
import torch

from . import export
from .classifier import PART
from .data import to_float
from .judge import Judge
from .measured import Job, Measured
from .report import CLASSES, draw, markdown
from .samples import ROOT, generate, times
from .ways import Way, ways_of

VARIANTS = ROOT / "bench" / "variants"


@torch.no_grad()
def reconstruct(model: Path, samples: np.ndarray) -> np.ndarray:
    """Samples through the tokenizer and back, uint8."""
    tokenizer = export.read(model / "tokenizer")
    parts = (to_float(samples[i : i + PART]) for i in range(0, len(samples), PART))
    pixels = [tokenizer.decode(tokenizer.encode(part)).mul(255).round().numpy() for part in parts]
    return np.concatenate(pixels).astype(np.uint8)


def compare(measured: Measured, ways: list[Way], count: int, seeds: list[int], given: int = 0) -> list[dict]:
    """A row for each way, the baseline first. Of several seeds the mean, and from the least to the greatest."""
    backend, seconds = times(ways, predict=given > 0)
    jobs = {way: [Job(way, count, seed, given) for seed in seeds] for way in ways}
    measured.make({job: seconds[way.name] for way in ways for job in jobs[way]})
    rows = []
    for way in ways:
        numbers = [measured.numbers(job) for job in jobs[way]]
        flops = [found.pop("flops") for found in numbers][0]
        sampled_on = sorted({found.pop("backend") for found in numbers})
        baseline = rows[0]["flops"] if rows else flops
        row = {"name": way.name, "flops": flops, "flopsRatio": baseline / flops}
        row |= {"timeRatio": seconds["full"] / seconds[way.name], "timedOn": backend, "sampledOn": sampled_on}
        for key in numbers[0]:
            values = [found[key] for found in numbers]
            row |= {key: float(np.mean(values)), f"{key}Range": [min(values), max(values)]}
        rows.append(row)
    return rows


def checkpoint(folder: Path) -> Path:
    """The whole path of a checkpoint that has its tokenizer in it."""
    if not (folder / "tokenizer" / "model.safetensors").exists():
        raise SystemExit(f"{folder}: expected a checkpoint with its tokenizer")
    return folder.resolve()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=ROOT / "models" / "fashion")
    parser.add_argument("--ffn-only", type=Path, help="trained by NAME-ffn-only.json; default bench/variants/NAME-ffn-only")
    parser.add_argument("--small", type=Path, help="trained by NAME-small.json; default bench/variants/NAME-small")
    parser.add_argument("--ways", nargs="+", metavar="NAME", help="these rows alone, and the baseline; default all")
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--predicted", type=int, default=2000, help="test videos to predict from their first frames")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--out", type=Path, default=ROOT / "bench" / "results", help="folder")
    Judge.add_arguments(parser)
    arguments = parser.parse_args()
    model = arguments.model = checkpoint(arguments.model)
    ways, left_out = ways_of(model), []
    for name, schedule, given in (("ffn-only", "paper", arguments.ffn_only), ("small", "full", arguments.small)):
        folder = given or VARIANTS / f"{model.name}-{name}"
        if given or folder.exists():
            ways.append(Way(name, checkpoint(folder), schedule))
        else:
            left_out.append(name)
            print(f"{name} is left out: there is no {folder}")
    if arguments.ways:
        names = [way.name for way in ways]
        if not set(arguments.ways) <= set(names):
            parser.error(f"expected --ways of {', '.join(names)} but received {' '.join(arguments.ways)}")
        chosen = {"full", *arguments.ways}
        left_out += [name for name in names if name not in chosen]
        ways = [way for way in ways if way.name in chosen]
    arguments.out.mkdir(parents=True, exist_ok=True)
    judge = Judge.of(arguments, "test")
    for option in ("samples", "predicted"):
        if not judge.classes <= getattr(arguments, option) <= len(judge.samples):
            received = f"but received {getattr(arguments, option)}"
            parser.error(f"expected --{option} of {judge.classes} to {len(judge.samples)} {received}")

    count, seeds, measured = arguments.samples, arguments.seeds, Measured(arguments.cache, judge)
    through = reconstruct(model, judge.samples)
    report = {
        "command": shlex.join(["python3", "-m", "training.evaluate", *sys.argv[1:]]),
        "model": model.name,
        "sha256": hashlib.sha256((model / "model.safetensors").read_bytes()).hexdigest(),
        "samples": count,
        "seeds": seeds,
        "leftOut": left_out,
        "rows": [
            {"name": "test"} | judge.measure_features(judge.features, judge.labels),
            {"name": "test-reconstructed"} | judge.measure_features(judge.look(through), judge.labels),
            *compare(measured, ways, count, seeds),
        ],
    }
    frames = json.loads((model / "config.json").read_text()).get("prediction", {"frames": 0})["frames"]
    if frames:
        predicted = arguments.predicted
        last_again = judge.samples[:predicted, np.minimum(np.arange(judge.samples.shape[1]), frames - 1)]
        report |= {"givenFrames": frames, "predicted": predicted}
        report["prediction"] = [
            {"name": "test-reconstructed"} | judge.measure_prediction(through[:predicted], frames),
            {"name": "last-frame"} | judge.measure_prediction(last_again, frames),
            *compare(measured, [way for way in ways if way.model == model], predicted, seeds, frames),
        ]

    real = judge.samples[np.unique(judge.labels, return_index=True)[1]]  # where each class is met first
    stem = arguments.out / f"quality-{model.name}"
    drawn = [generate(way, min(CLASSES, judge.classes), seeds[0])[0] for way in ways]
    draw([real, *drawn], stem.with_suffix(".png"))
    stem.with_suffix(".json").write_text(json.dumps(report, indent=2) + "\n")
    stem.with_suffix(".md").write_text(markdown(report, f"{stem.name}.png"))
    print(markdown(report, f"{stem.name}.png"))


if __name__ == "__main__":
    main()

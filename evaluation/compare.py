"""python3 -m evaluation.compare --model models/NAME: compares methods to generate by cost, time and quality.

It writes quality-NAME.json, in the schema of bench/README.md, and quality-NAME.png, a picture with a row of samples of
each method. evaluation/README.md says what the methods and the measures are.
"""

import argparse
import datetime
import hashlib
import json
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch

from bench.peers import results
from training import export
from training.data import to_float

from .classifier import INFERENCE_BATCH
from .generate import ROOT, generate, time_methods
from .measurements import Measurement, MeasurementCache
from .methods import BASELINE, Method, methods_for
from .quality import Evaluator
from .report import MAX_CLASSES, draw, tables

VARIANTS = ROOT / "evaluation" / "variants"
MEASURES = ("mse", "psnr", "frechet", "accuracy")


@torch.no_grad()
def reconstruct(model: Path, samples: np.ndarray) -> np.ndarray:
    """Returns samples, uint8 [count, frames, height, width, channels], as the model's tokenizer rebuilds them."""
    tokenizer = export.read(model / "tokenizer")
    starts = range(0, len(samples), INFERENCE_BATCH)
    batches = (to_float(samples[i : i + INFERENCE_BATCH]) for i in starts)
    pixels = [tokenizer.detokenize(tokenizer.tokenize(batch)).mul(255).round().numpy() for batch in batches]
    return np.concatenate(pixels).astype(np.uint8)


def spread(values: list[float]) -> dict:
    """Returns the values, one of each seed, in ascending order, with their mean, min and max."""
    return {"samples": sorted(values), "mean": float(np.mean(values)), "min": min(values), "max": max(values)}


def row_of(task: str, name: str, results: list[dict], **facts) -> dict:
    """Returns a row of the result file. `results` are the measurements of each seed."""
    measures = {key: spread([result[key] for result in results]) for key in MEASURES if key in results[0]}
    return {"task": task, "name": name, **facts, **measures}


def compare(
    cache: MeasurementCache,
    methods: list[Method],
    samples: int,
    seeds: list[int],
    given_frames: int = 0,
    timed: bool = True,
) -> tuple[dict, list[dict]]:
    """Returns the device that the methods were timed on, and a row for each method, the baseline first."""
    device, seconds = time_methods(methods if timed else [], predict=given_frames > 0)
    runs = {method: [Measurement(method, samples, seed, given_frames) for seed in seeds] for method in methods}
    cache.add_missing({run: seconds.get(method.name, 1.0) for method in methods for run in runs[method]})
    rows = []
    for method in methods:
        results = [cache.read(run) for run in runs[method]]
        flops = results[0]["flops"]
        facts = {
            "flops": flops,
            "flopsRatio": (rows[0]["flops"] if rows else flops) / flops,
            **({"timeRatio": seconds[BASELINE] / seconds[method.name]} if timed else {}),
            "sampledOn": sorted({result["backend"] for result in results}),
        }
        rows.append(row_of("prediction" if given_frames else "generation", method.name, results, **facts))
    return device, rows


def checkpoint(folder: Path) -> Path:
    """Returns the absolute path of a checkpoint folder, which must have a tokenizer."""
    if not (folder / "tokenizer" / "model.safetensors").exists():
        raise SystemExit(f"{folder}: expected a checkpoint with its tokenizer")
    return folder.resolve()


def choose_methods(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> tuple[list[Method], list[str]]:
    """Returns the methods to compare, the baseline first, and the names of those that are left out."""
    model, left_out = arguments.model, []
    methods = methods_for(model)
    for name, schedule, given in (("ffn-only", "paper", arguments.ffn_only), ("small", BASELINE, arguments.small)):
        folder = given or VARIANTS / f"{model.name}-{name}"
        if given or folder.exists():
            methods.append(Method(name, checkpoint(folder), schedule))
        else:
            left_out.append(name)
            print(f"{name} is left out: there is no {folder}")
    if not arguments.methods:
        return methods, left_out
    names = [method.name for method in methods]
    if not set(arguments.methods) <= set(names):
        received = " ".join(arguments.methods)
        parser.error(f"expected names among {', '.join(names)} for --methods but received {received}")
    chosen = {BASELINE, *arguments.methods}
    left_out += [name for name in names if name not in chosen]
    return [method for method in methods if method.name in chosen], left_out


def commit() -> str | None:
    """Returns the commit of the working tree, or None outside of a repository."""
    command = ["git", "describe", "--always", "--dirty"]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    return finished.stdout.strip() if finished.returncode == 0 else None


def description(model: Path, device: dict, module: str) -> dict:
    """Returns what a result file says of how it was made, by `module` of this folder."""
    return {
        "device": device,
        "commit": commit(),
        "command": shlex.join(["python3", "-m", f"evaluation.{module}", *sys.argv[1:]]),
        "date": datetime.date.today().isoformat(),
        "model": model.name,
        "sha256": hashlib.sha256((model / "model.safetensors").read_bytes()).hexdigest(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=ROOT / "models" / "fashion")
    parser.add_argument("--ffn-only", type=Path, help="default evaluation/variants/NAME-ffn-only")
    parser.add_argument("--small", type=Path, help="default evaluation/variants/NAME-small")
    parser.add_argument("--methods", nargs="+", metavar="NAME", help="only these and the baseline; default all")
    parser.add_argument("--samples", type=int, default=10_000, help="generated by each method and seed")
    parser.add_argument("--predicted", type=int, default=2000, help="test videos continued by each method and seed")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--out", type=Path, default=ROOT / "bench" / "results", help="folder of the results")
    Evaluator.add_arguments(parser)
    arguments = parser.parse_args()
    model = arguments.model = checkpoint(arguments.model)
    methods, left_out = choose_methods(parser, arguments)
    arguments.out.mkdir(parents=True, exist_ok=True)
    evaluator = Evaluator.from_arguments(arguments, "test")
    for option in ("samples", "predicted"):
        received = getattr(arguments, option)
        if not evaluator.classes <= received <= len(evaluator.samples):
            expected = f"{evaluator.classes} to {len(evaluator.samples)}"
            parser.error(f"expected {expected} for --{option} but received {received}")

    seeds, cache = arguments.seeds, MeasurementCache(arguments.cache, evaluator)
    rebuilt = reconstruct(model, evaluator.samples)
    real_quality = evaluator.measure_features(evaluator.real_features, evaluator.labels)
    rebuilt_quality = evaluator.measure_features(evaluator.features(rebuilt), evaluator.labels)
    device, rows = compare(cache, methods, arguments.samples, seeds)
    report = {
        **description(model, device, "compare"),
        "samples": arguments.samples,
        "seeds": seeds,
        "leftOut": left_out,
    }
    rows = [
        row_of("generation", "test", [real_quality]),
        row_of("generation", "test-reconstructed", [rebuilt_quality]),
        *rows,
    ]
    frames = json.loads((model / "config.json").read_text()).get("prediction", {"frames": 0})["frames"]
    if frames:
        predicted = arguments.predicted
        repeat_last = np.minimum(np.arange(evaluator.samples.shape[1]), frames - 1)
        last_frame_again = evaluator.samples[:predicted, repeat_last]
        report |= {"givenFrames": frames, "predicted": predicted}
        rows += [
            row_of("prediction", "test-reconstructed", [evaluator.measure_prediction(rebuilt[:predicted], frames)]),
            row_of("prediction", "last-frame", [evaluator.measure_prediction(last_frame_again, frames)]),
            *compare(cache, [method for method in methods if method.model == model], predicted, seeds, frames)[1],
        ]

    first_of_class = np.unique(evaluator.labels, return_index=True)[1]
    stem = arguments.out / f"quality-{model.name}"
    drawn = [generate(method, min(MAX_CLASSES, evaluator.classes), seeds[0])[0] for method in methods]
    draw([evaluator.samples[first_of_class], *drawn], stem.with_suffix(".png"))
    results.write(stem.with_suffix(".json"), report, rows)
    print(tables(rows))


if __name__ == "__main__":
    main()

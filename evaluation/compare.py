"""python3 -m evaluation.compare --model models/NAME: compares methods to generate by cost, time and quality.

It writes quality-NAME.json, in the schema of bench/README.md, and quality-NAME.png, a picture with a row of samples of
each method. evaluation/README.md says what the methods and the measures are.
"""

import argparse
import datetime
import hashlib
import json
import shlex
import sys
from pathlib import Path

import numpy as np
import torch

from bench.peers import results
from training import export
from training.config import prediction_frames
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


def row_of(task: str, name: str, measured: list[dict], **facts) -> dict:
    """Returns a row of the result file. `measured` has the measurement of each seed."""
    measures = {key: spread([each[key] for each in measured]) for key in MEASURES if key in measured[0]}
    return {"task": task, "name": name, **facts, **measures}


def compare(
    cache: MeasurementCache,
    methods: list[Method],
    samples: int,
    seeds: list[int],
    given_frames: int = 0,
    kept: dict[str, dict] | None = None,
) -> tuple[dict, list[dict]]:
    """Returns the device that the methods were timed on, and a row for each method, the baseline first. With given
    frames the methods continue videos. `kept` are rows by the name of their method: those methods are timed, and the
    rest of the row stays as it is."""
    kept = kept or {}
    device, seconds = time_methods(methods, predict=given_frames > 0)
    measured = [method for method in methods if method.name not in kept]
    runs = {method: [Measurement(method, samples, seed, given_frames) for seed in seeds] for method in measured}
    cache.add_missing({run: seconds[method.name] for method in measured for run in runs[method]})
    rows = []
    for method in methods:
        time_ratio = seconds[BASELINE] / seconds[method.name]
        if method.name in kept:
            rows.append(kept[method.name] | {"timeRatio": time_ratio})
            continue
        of_seeds = [cache.read(run) for run in runs[method]]
        flops = of_seeds[0]["flops"]
        facts = {
            "flops": flops,
            "flopsRatio": (rows[0]["flops"] if rows else flops) / flops,
            "timeRatio": time_ratio,
            "sampledOn": sorted({each["backend"] for each in of_seeds}),
        }
        rows.append(row_of("prediction" if given_frames else "generation", method.name, of_seeds, **facts))
    return device, rows


def checkpoint(folder: Path) -> Path:
    """Returns the absolute path of a checkpoint folder, which must have a tokenizer."""
    if not (folder / "tokenizer" / "model.safetensors").exists():
        raise SystemExit(f"{folder}: expected a checkpoint with its tokenizer")
    return folder.resolve()


def read_rows(file: Path, expected: dict) -> dict[str, dict[str, dict]]:
    """Returns the rows of a result file by task and name, each with the commit at which it was measured. `expected` is
    what the file must say, so that the rows are those of this run as well."""
    if not file.exists():
        raise SystemExit(f"{file}: expected the results whose rows to --keep")
    before = json.loads(file.read_text())
    for key, value in expected.items():
        if before.get(key) != value:
            raise SystemExit(f"{file}: expected {key} {value} for --keep but received {before.get(key)}")
    rows: dict[str, dict[str, dict]] = {"generation": {}, "prediction": {}}
    for row in before["rows"]:
        rows[row["task"]][row["name"]] = row | {"commit": row.get("commit", before["commit"])}
    return rows


def measure_references(evaluator: Evaluator, model: Path, predicted: int, given_frames: int) -> list[dict]:
    """Returns the rows that are no methods; those of a prediction too where the model has given frames."""
    rebuilt = reconstruct(model, evaluator.samples)
    real_quality = evaluator.measure_features(evaluator.real_features, evaluator.labels)
    rebuilt_quality = evaluator.measure_features(evaluator.features(rebuilt), evaluator.labels)
    rows = [
        row_of("generation", "test", [real_quality]),
        row_of("generation", "test-reconstructed", [rebuilt_quality]),
    ]
    if given_frames:
        repeat_last = np.minimum(np.arange(evaluator.samples.shape[1]), given_frames - 1)
        last_frame_again = evaluator.samples[:predicted, repeat_last]
        for name, samples in (("test-reconstructed", rebuilt[:predicted]), ("last-frame", last_frame_again)):
            rows.append(row_of("prediction", name, [evaluator.measure_prediction(samples, given_frames)]))
    return rows


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


def sha256(model: Path) -> str:
    """Returns the hash of the generator's weights."""
    return hashlib.sha256((model / "model.safetensors").read_bytes()).hexdigest()


def description(model: Path, device: dict, module: str) -> dict:
    """Returns what a result file says of how it was made, by `module` of this folder."""
    return {
        "device": device,
        "commit": results.checked_out_commit(),
        "command": shlex.join(["python3", "-m", f"evaluation.{module}", *sys.argv[1:]]),
        "date": datetime.date.today().isoformat(),
        "model": model.name,
        "sha256": sha256(model),
    }


def parser_of(description: str, samples: int) -> argparse.ArgumentParser:
    """Returns a parser of the arguments that say what is measured. `samples` is the default of --samples."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=ROOT / "models" / "fashion")
    parser.add_argument("--samples", type=int, default=samples, help="generated by each method and seed")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--out", type=Path, default=ROOT / "bench" / "results", help="folder of the results")
    Evaluator.add_arguments(parser)
    return parser


def check_counts(parser: argparse.ArgumentParser, arguments: argparse.Namespace, evaluator: Evaluator) -> None:
    """Exits where there are not as many real samples to compare with."""
    for option in ("samples", "predicted"):
        received = getattr(arguments, option)
        if not evaluator.classes <= received <= len(evaluator.samples):
            expected = f"{evaluator.classes} to {len(evaluator.samples)}"
            parser.error(f"expected {expected} for --{option} but received {received}")


def main() -> None:
    parser = parser_of(__doc__, samples=10_000)
    parser.add_argument("--ffn-only", type=Path, help="default evaluation/variants/NAME-ffn-only")
    parser.add_argument("--small", type=Path, help="default evaluation/variants/NAME-small")
    parser.add_argument("--methods", nargs="+", metavar="NAME", help="only these and the baseline; default all")
    parser.add_argument(
        "--keep", action="store_true", help="keep what the result in --out has of the same weights, and add the rest"
    )
    parser.add_argument("--predicted", type=int, default=2000, help="test videos continued by each method and seed")
    arguments = parser.parse_args()
    model = arguments.model = checkpoint(arguments.model)
    methods, left_out = choose_methods(parser, arguments)
    arguments.out.mkdir(parents=True, exist_ok=True)
    evaluator = Evaluator.from_arguments(arguments, "test")
    check_counts(parser, arguments, evaluator)

    cache, stem = MeasurementCache(arguments.cache, evaluator), arguments.out / f"quality-{model.name}"
    frames = prediction_frames(json.loads((model / "config.json").read_text()))
    settings = {"samples": arguments.samples, "seeds": arguments.seeds}
    if frames:
        settings |= {"givenFrames": frames, "predicted": arguments.predicted}
    kept = {"generation": {}, "prediction": {}}
    if arguments.keep:
        kept = read_rows(stem.with_suffix(".json"), {"sha256": sha256(model), **settings})
        settings["note"] = "Rows with a commit of their own were measured there, but for their times."
    references = [row for rows in kept.values() for row in rows.values() if "flops" not in row]
    if not references:
        references = measure_references(evaluator, model, arguments.predicted, frames)
    tasks = {"generation": (methods, arguments.samples, 0)}
    if frames:
        own = [method for method in methods if method.model == model]
        tasks["prediction"] = (own, arguments.predicted, frames)
    rows, device = [], {}
    for task, (compared, count, given) in tasks.items():
        device, measured = compare(cache, compared, count, arguments.seeds, given, kept[task])
        rows += [row for row in references if row["task"] == task] + measured

    report = {**description(model, device, "compare"), **settings, "leftOut": left_out}
    first_of_class = np.unique(evaluator.labels, return_index=True)[1]
    drawn = [generate(method, min(MAX_CLASSES, evaluator.classes), arguments.seeds[0])[0] for method in methods]
    draw([evaluator.samples[first_of_class], *drawn], stem.with_suffix(".png"))
    results.write(stem.with_suffix(".json"), report, rows)
    print(tables(rows))


if __name__ == "__main__":
    main()

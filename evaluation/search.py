"""python3 -m evaluation.search --model models/NAME [--budget 0.33]: finds the schedule of a budget with the best
samples.

It tries all ascending schedules that use between 90 % and 100 % of the budget, by successive halving (Jamieson and
Talwalkar, 2016, arXiv 1502.07943): every schedule generates a few samples, the better third three times as many, and so
on. The better schedule is the one with the smaller Fréchet distance to training samples; the test set is left to
compare.py. The result goes to schedules.json in the model's folder, where `load` finds it as 'auto:0.33'.
"""

import argparse
import json
import shlex
import sys
from pathlib import Path

from .generate import run_node
from .measurements import Measurement, MeasurementCache
from .methods import Method
from .quality import Evaluator

LEAST_OF_BUDGET = 0.9  # a schedule that uses less of the budget has one close to it that uses more and is no worse


def search(cache: MeasurementCache, model: Path, schedules: list[str], samples: int, most: int, seed: int) -> str:
    """Returns the best of `schedules`. The first round generates `samples` samples of each, the last round `most`."""
    while len(schedules) > 1:
        print(f"{len(schedules)} schedules, {samples} samples of each", flush=True)
        runs = {schedule: Measurement(Method(schedule, model, schedule), samples, seed) for schedule in schedules}
        cache.add_missing(dict.fromkeys(runs.values(), 1.0))  # schedules of one budget cost about the same
        kept = 1 if samples >= most else max(1, len(schedules) // 3)
        schedules = sorted(schedules, key=lambda schedule: cache.read(runs[schedule])["frechet"])[:kept]
        samples = min(3 * samples, most)
    return schedules[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--budget", type=float, default=0.33, help="share of the baseline's FLOPs")
    parser.add_argument("--samples", type=int, default=300, help="samples of each schedule in the first round")
    parser.add_argument("--most", type=int, default=8100, help="samples of each schedule in the last round")
    parser.add_argument("--seed", type=int, default=11)
    Evaluator.add_arguments(parser)
    arguments = parser.parse_args()
    model = arguments.model = arguments.model.resolve()
    affordable = json.loads(run_node("schedules.js", "--model", str(model), "--budget", str(arguments.budget)))
    least = LEAST_OF_BUDGET * arguments.budget
    shares = {entry["schedule"]: entry["share"] for entry in affordable if entry["share"] >= least}
    if not shares:
        parser.error(f"expected a share that some schedule comes close to for --budget but received {arguments.budget}")

    evaluator = Evaluator.from_arguments(arguments, "train")
    cache = MeasurementCache(arguments.cache, evaluator)
    best = search(cache, model, list(shares), arguments.samples, arguments.most, arguments.seed)
    command = f"python3 -m evaluation.search {shlex.join(sys.argv[1:])}"
    entry = {"schedule": best, "share": round(shares[best], 4), "command": command}
    file = model / "schedules.json"
    schedules = json.loads(file.read_text()) if file.exists() else {}
    schedules[f"auto:{arguments.budget:g}"] = entry
    file.write_text(json.dumps(schedules, indent=2) + "\n")
    print(f"{file}: {json.dumps(entry)}")


if __name__ == "__main__":
    main()

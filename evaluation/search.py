"""python3 -m training.search --model models/NAME [--budget 0.33]: the schedule of a budget that makes the best samples.

Of all ascending schedules within that share of the baseline's FLOPs the dearest are tried, by successive halving (Jamieson
and Talwalkar, 2016, arXiv 1502.07943): all with few samples, the better third with three times as many, and so on. Better
is a lower Fréchet distance to training samples: the test set is for evaluate.py. Writes schedules.json in the model's
folder, where `load` finds 'auto:0.33'.
"""

import argparse
import json
import shlex
import sys
from pathlib import Path

from .judge import Judge
from .measured import Job, Measured
from .samples import node
from .ways import Way

NEAR = 0.9  # share of the budget that a schedule must use: a cheaper one has a dearer one beside it that is no worse


def best(measured: Measured, model: Path, schedules: list[str], first: int, most: int, seed: int) -> str:
    """Of `schedules`; `first` samples of each, thrice as many of the better third, at most `most`."""
    count = first
    while len(schedules) > 1:
        print(f"{len(schedules)} schedules, {count} samples of each", flush=True)
        jobs = {schedule: Job(Way(schedule, model, schedule), count, seed) for schedule in schedules}
        measured.make(dict.fromkeys(jobs.values(), 1.0))  # near the budget all cost the same
        kept = 1 if count >= most else max(1, len(schedules) // 3)
        schedules = sorted(schedules, key=lambda schedule: measured.numbers(jobs[schedule])["frechet"])[:kept]
        count = min(3 * count, most)
    return schedules[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--budget", type=float, default=0.33, help="share of the full-size baseline's FLOPs")
    parser.add_argument("--samples", type=int, default=300, help="of every candidate in the first round")
    parser.add_argument("--most", type=int, default=8100, help="samples of one in the last round")
    parser.add_argument("--seed", type=int, default=11)
    Judge.add_arguments(parser)
    arguments = parser.parse_args()
    model = arguments.model = arguments.model.resolve()
    found = json.loads(node("shares.js", "--model", str(model), "--budget", str(arguments.budget)))
    shares = {one["schedule"]: one["share"] for one in found if one["share"] >= NEAR * arguments.budget}
    if not shares:
        parser.error(f"expected a --budget that a schedule comes near to but received {arguments.budget}")

    judge = Judge.of(arguments, "train")
    measured = Measured(arguments.cache, judge)
    chosen = best(measured, model, list(shares), arguments.samples, arguments.most, arguments.seed)
    command = f"python3 -m training.search {shlex.join(sys.argv[1:])}"
    entry = {"schedule": chosen, "share": round(shares[chosen], 4), "command": command}
    file = model / "schedules.json"
    schedules = json.loads(file.read_text()) if file.exists() else {}
    schedules[f"auto:{arguments.budget:g}"] = entry
    file.write_text(json.dumps(schedules, indent=2) + "\n")
    print(f"{file}: {json.dumps(entry)}")


if __name__ == "__main__":
    main()

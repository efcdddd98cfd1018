"""python3 -m training.search --model models/NAME [--budget 0.33]: the schedule of a budget that makes the best samples.

Of all ascending schedules within that share of the baseline's FLOPs the dearest are tried, by successive halving (Jamieson
and Talwalkar, 2016, arXiv 1502.07943): all with few samples, the better third with three times as many, and so on. Better
is a lower Fréchet distance to training samples. Writes schedules.json in the model's folder, where `load` finds
'auto:0.33'.
"""

import argparse
import json
from pathlib import Path

from .judge import Judge
from .samples import Way, generate, run

NEAR = 0.9  # share of the budget that a schedule must use: a cheaper one has a dearer one beside it that is no worse


def best(judge: Judge, model: Path, candidates: list[dict], first: int, most: int, seed: int) -> dict:
    """Of `candidates` {schedule, share}; `first` samples of each, thrice as many of the better third, at most `most`."""
    count = first
    while len(candidates) > 1:
        for i, candidate in enumerate(candidates):
            generated, _ = generate(Way(candidate["schedule"], model, candidate["schedule"]), count, seed)
            candidate["frechet"] = judge.measure(generated)["frechet"]
            print(f"{count} samples, {i + 1} of {len(candidates)}: {json.dumps(candidate)}", flush=True)
        kept = 1 if count >= most else max(1, len(candidates) // 3)
        candidates = sorted(candidates, key=lambda candidate: candidate["frechet"])[:kept]
        count = min(3 * count, most)
    return candidates[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--budget", type=float, default=0.33, help="share of the full-size baseline's FLOPs")
    parser.add_argument("--samples", type=int, default=300, help="of every candidate in the first round")
    parser.add_argument("--most", type=int, default=8100, help="samples of one in the last round")
    parser.add_argument("--seed", type=int, default=11)
    Judge.add_arguments(parser)
    arguments = parser.parse_args()
    model = arguments.model.resolve()
    judge = Judge.of(arguments, reference="train")

    found = run("shares.js", "--model", str(model), "--budget", str(arguments.budget))
    candidates = [one for one in found if one["share"] >= NEAR * arguments.budget]
    if not candidates:
        raise SystemExit(f"expected a --budget that a schedule can meet but received {arguments.budget}")
    chosen = best(judge, model, candidates, arguments.samples, arguments.most, arguments.seed)
    file = model / "schedules.json"
    schedules = json.loads(file.read_text()) if file.exists() else {}
    command = f"python3 -m training.search --model models/{model.name} --budget {arguments.budget:g}"
    entry = {"schedule": chosen["schedule"], "share": round(chosen["share"], 4), "command": command}
    schedules[f"auto:{arguments.budget:g}"] = entry
    file.write_text(json.dumps(schedules, indent=2) + "\n")
    print(f"{file}: {json.dumps(entry)}")


if __name__ == "__main__":
    main()

"""python3 -m training.curves FOLDER [FOLDER ...] --out curves.png: draws metrics.jsonl of trainings.

There is one plot for each unit. Measurements on test samples are dashed. It needs matplotlib (Debian:
python3-matplotlib).
"""

import argparse
import json
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402 (the backend must be chosen first)

HEADINGS = {"psnr": "PSNR, dB", "commitment": "commitment", "codes used": "codes used"}
DEFAULT_HEADING = "cross entropy of masked tokens, nats"


def series(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Returns the points (step, value), in order, of each metric of a training's folder."""
    found: dict[str, list[tuple[int, float]]] = {}
    for line in (folder / "metrics.jsonl").read_text().splitlines():
        entry = json.loads(line)
        for name in entry.keys() - {"step", "seconds"}:
            found.setdefault(name, []).append((entry["step"], entry[name]))
    return dict(sorted(found.items()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, default=Path("curves.png"))
    arguments = parser.parse_args()
    plots: dict[str, list[tuple[str, list[tuple[int, float]]]]] = {}
    for folder in arguments.folders:
        for name, points in series(folder).items():
            label = name if len(arguments.folders) == 1 else f"{folder.name}: {name}"
            plots.setdefault(HEADINGS.get(name.removeprefix("test "), DEFAULT_HEADING), []).append((label, points))

    figure, axes = pyplot.subplots(1, len(plots), figsize=(6 * len(plots), 4), squeeze=False, layout="constrained")
    for axis, (unit, lines) in zip(axes[0], plots.items()):
        for label, points in lines:
            axis.plot(*zip(*points), ".--" if "test " in label else "-", label=label, linewidth=1)
        axis.set(xlabel="step", ylabel=unit)
        axis.grid(alpha=0.3)
        axis.legend(fontsize="small")
    figure.savefig(arguments.out, dpi=120)


if __name__ == "__main__":
    main()

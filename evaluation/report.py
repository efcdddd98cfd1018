"""What evaluate.py found, for people: tables and a picture."""

import tempfile
from pathlib import Path

import numpy as np

from .samples import node

CLASSES = 10  # at most in the picture, the first ones
FRAMES = 4  # of a video there


def spread(row: dict, key: str, scale: float) -> str:
    """The mean of the seeds and, where they differ, the least and the greatest."""
    text = f"{scale * row[key]:.1f}"
    low, high = row.get(f"{key}Range", (0, 0))
    return text if low == high else f"{text} ({scale * low:.1f} .. {scale * high:.1f})"


def table(rows: list[dict], measures: dict[str, tuple[str, float]]) -> str:
    """`measures`: key of a row -> heading, scale."""
    head = ["", "FLOPs a sample", "ratio", "time ratio", *(heading for heading, _ in measures.values())]
    lines = [f"| {' | '.join(head)} |", f"|{'---|' + '---:|' * (len(head) - 1)}"]
    for row in rows:
        start = [row["name"], "", "", ""]
        if "flops" in row:
            ratios = (f"{row[key]:.2f}x" for key in ("flopsRatio", "timeRatio"))
            start = [f"`{row['name']}`", f"{row['flops'] / 1e9:.2f} GFLOP", *ratios]
        found = [spread(row, key, scale) for key, (_, scale) in measures.items()]
        lines.append(f"| {' | '.join(start + found)} |")
    return "\n".join(lines)


def backends(rows: list[dict]) -> str:
    """Where the ways ran."""
    ways = [row for row in rows if "timedOn" in row]
    sampled = sorted({backend for row in ways for backend in row["sampledOn"]})
    return f"Sampled on {', '.join(sampled)}; timed on {ways[0]['timedOn']}."


def markdown(report: dict, png: str) -> str:
    """The report's tables, and the picture in the file `png`."""
    quality = {"frechet": ("Fréchet distance", 1), "accuracy": ("class accuracy, %", 100)}
    errors = {"mse": ("squared error, 1e-3", 1000), "psnr": ("PSNR, dB", 1)}
    seeds = ", ".join(map(str, report["seeds"]))
    parts = [
        f"# `{report['model']}`",
        f"`{report['command']}`",
        f"{report['samples']:,} samples by each way and seed ({seeds}); in brackets the least and the greatest of the"
        " seeds. What the rows and columns are: [training/README.md](../../training/README.md#comparison).",
        table(report["rows"], quality),
        backends(report["rows"]),
    ]
    if report["leftOut"]:
        parts.append(f"Left out: {', '.join(f'`{name}`' for name in report['leftOut'])}.")
    if "prediction" in report:
        parts.append(
            f"Frame prediction: {report['predicted']:,} test videos by each way and seed, {report['givenFrames']} frames"
            " given; errors are those of the others."
        )
        parts += [table(report["prediction"], errors | quality), backends(report["prediction"])]
    drawn = ["test", *(row["name"] for row in report["rows"] if "flops" in row)]
    parts.append(f"![samples]({png})\n\nOne sample of each class, of ten at most, from the top: {', '.join(drawn)}.")
    return "\n\n".join(parts) + "\n"


def draw(rows: list[np.ndarray], file: Path) -> None:
    """uint8 [classes, frames, height, width, channels] of each row -> PNG: a row by each way, of videos some of the frames."""
    rows = [samples[:CLASSES] for samples in rows]
    total = rows[0].shape[1]
    frames = np.linspace(0, total - 1, min(FRAMES, total)).round().astype(int)
    cells = np.concatenate([samples[:, frames] for samples in rows])
    with tempfile.NamedTemporaryFile() as pixels:
        cells.tofile(pixels.name)
        cell, columns = ",".join(map(str, cells.shape[2:])), len(rows[0]) * len(frames)
        node("sheet.js", "--pixels", pixels.name, "--cell", cell, "--columns", str(columns), "--out", str(file.resolve()))

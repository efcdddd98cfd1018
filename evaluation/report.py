"""The results of compare.py as printed tables and as a picture."""

import tempfile
from pathlib import Path

import numpy as np

from .generate import run_node

MAX_CLASSES = 10  # samples of one method in the picture, one of each of the first classes
FRAMES = 4  # frames of a video in the picture


def format_spread(spread: dict, scale: float) -> str:
    """Returns the mean of the seeds and, where they differ, min and max in brackets, all times `scale`."""
    text = f"{scale * spread['mean']:.1f}"
    low, high = spread["min"], spread["max"]
    return text if low == high else f"{text} ({scale * low:.1f} .. {scale * high:.1f})"


def table(rows: list[dict], measures: dict[str, tuple[str, float]]) -> str:
    """Returns a Markdown table. `measures` maps the keys of a row to a heading and a scale."""
    head = ["", "FLOPs a sample", "ratio", "time ratio", *(heading for heading, _ in measures.values())]
    lines = [f"| {' | '.join(head)} |", f"|{'---|' + '---:|' * (len(head) - 1)}"]
    for row in rows:
        start = [row["name"], "", "", ""]
        if "flops" in row:
            ratios = (f"{row[key]:.2f}x" if key in row else "" for key in ("flopsRatio", "timeRatio"))
            start = [f"`{row['name']}`", f"{row['flops'] / 1e9:.2f} GFLOP", *ratios]
        cells = [format_spread(row[key], scale) for key, (_, scale) in measures.items()]
        lines.append(f"| {' | '.join(start + cells)} |")
    return "\n".join(lines)


def tables(rows: list[dict]) -> str:
    """Returns the tables of a result file in Markdown."""
    quality = {"frechet": ("Fréchet distance", 1), "accuracy": ("class accuracy, %", 100)}
    errors = {"mse": ("squared error, 1e-3", 1000), "psnr": ("PSNR, dB", 1)}
    generated = [row for row in rows if row["task"] == "generation"]
    predicted = [row for row in rows if row["task"] == "prediction"]
    text = table(generated, quality)
    return f"{text}\n\n{table(predicted, errors | quality)}" if predicted else text


def draw(rows: list[np.ndarray], file: Path) -> None:
    """Writes a PNG with one row of samples for each entry, uint8 [classes, frames, height, width, channels]. A video
    shows FRAMES of its frames."""
    rows = [samples[:MAX_CLASSES] for samples in rows]
    total = rows[0].shape[1]
    frames = np.linspace(0, total - 1, min(FRAMES, total)).round().astype(int)
    cells = np.concatenate([samples[:, frames] for samples in rows])
    with tempfile.NamedTemporaryFile() as pixels:
        cells.tofile(pixels.name)
        cell, columns = ",".join(map(str, cells.shape[2:])), len(rows[0]) * len(frames)
        arguments = ["--pixels", pixels.name, "--cell", cell, "--columns", str(columns), "--out", str(file.resolve())]
        run_node("sheet.js", *arguments)

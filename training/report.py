"""What evaluate.py found, for people: a table and a picture."""

import numpy as np

FRAMES = 4  # of a video in the picture
GAP = 255  # gray


def spread(row: dict, key: str, scale: float = 1) -> str:
    """The mean of the seeds, and how far they are apart."""
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


def markdown(report: dict) -> str:
    """The report's tables."""
    quality = {"frechet": ("Fréchet distance", 1), "accuracy": ("class accuracy, %", 100)}
    parts = [f"# `{report['model']}`", f"`{report['command']}`", table(report["rows"], quality)]
    if "prediction" in report:
        parts.append(f"Frame prediction, {report['givenFrames']} frames given:")
        parts.append(table(report["prediction"], {"psnr": ("PSNR of the others, dB", 1), **quality}))
    return "\n\n".join(parts) + "\n"


def picture(rows: list[np.ndarray]) -> np.ndarray:
    """uint8 [samples, frames, height, width, channels] of each row -> [height, width, 3]: a sample of each class by each
    way, of videos some of the frames."""
    lines = []
    for samples in rows:
        frames = np.linspace(0, samples.shape[1] - 1, min(FRAMES, samples.shape[1])).round().astype(int)
        cells = np.pad(samples[:, frames], [(0, 0), (0, 0), (1, 0), (1, 0), (0, 0)], constant_values=GAP)
        lines.append(np.concatenate(np.concatenate(list(cells)), axis=1))  # all cells side by side
    sheet = np.concatenate(lines)
    return np.broadcast_to(sheet, (*sheet.shape[:2], 3)) if sheet.shape[2] == 1 else sheet

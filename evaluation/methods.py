"""What is compared: ways to generate samples."""

import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Way:
    """A checkpoint folder, a schedule, with the cache or without ('full' never has it)."""

    name: str
    model: Path
    schedule: str
    cache: bool = True


def reversed_paper(widths: list[str], steps: int) -> str:
    """The schedule 'paper' from wide to narrow; steps that do not divide go to the wider widths, as there."""
    share, rest = divmod(steps, len(widths))
    counts = [share + (i >= len(widths) - rest) for i in range(len(widths))]
    return ",".join(f"{width}x{count}" for width, count in list(zip(widths, counts))[::-1] if count)


def ways_of(model: Path) -> list[Way]:
    """Those of a nested model, the baseline first."""
    config = json.loads((model / "config.json").read_text())
    steps, widths = config["sampling"]["steps"], [width["name"] for width in config["widths"]]
    *narrow, full = widths
    schedules = model / "schedules.json"
    searched = json.loads(schedules.read_text()) if schedules.exists() else {}
    return [
        Way("full", model, "full"),
        Way("full-cached", model, f"{full}x{steps}"),
        Way("paper", model, "paper"),
        Way("paper-nocache", model, "paper", cache=False),
        Way("reversed", model, reversed_paper(widths, steps)),
        *(Way(f"width-{width}", model, f"{width}x{steps}") for width in narrow),
        *(Way(name, model, entry["schedule"]) for name, entry in searched.items()),
    ]

"""The methods that are compared: ways to generate samples from a nested model, and its competitors."""

import json
from dataclasses import dataclass
from pathlib import Path

BASELINE = "baseline"  # the name of the method, and of its schedule, that all others are compared with


@dataclass(frozen=True)
class Method:
    """A checkpoint folder and a schedule for it. `cache=False` keeps nothing from step to step; the schedule 'baseline'
    never has a cache. With `refresh` every step of that many refreshes the cache, besides those of a new width.
    `weights` is the format that the weights are kept in."""

    name: str
    model: Path
    schedule: str
    cache: bool = True
    refresh: int | None = None
    weights: str = "auto"


def reversed_paper(widths: list[str], steps: int) -> str:
    """Returns the schedule 'paper' from wide to narrow. Steps that do not divide go to the wider widths, as in
    'paper'."""
    each, left_over = divmod(steps, len(widths))
    counts = [each + (i >= len(widths) - left_over) for i in range(len(widths))]
    return ",".join(f"{width}x{count}" for width, count in list(zip(widths, counts))[::-1] if count)


def methods_for(model: Path) -> list[Method]:
    """Returns the methods of a nested model's checkpoint folder, the baseline first."""
    config = json.loads((model / "config.json").read_text())
    steps, widths = config["sampling"]["steps"], [width["name"] for width in config["widths"]]
    *narrow, full = widths
    schedules = model / "schedules.json"
    searched = json.loads(schedules.read_text()) if schedules.exists() else {}
    return [
        Method(BASELINE, model, BASELINE),
        Method("baseline-cached", model, f"{full}x{steps}"),
        Method("paper", model, "paper"),
        Method("paper-nocache", model, "paper", cache=False),
        Method("paper-int8", model, "paper", weights="int8"),
        Method("reversed", model, reversed_paper(widths, steps)),
        *(Method(f"width-{width}", model, f"{width}x{steps}") for width in narrow),
        *(Method(name, model, entry["schedule"]) for name, entry in searched.items()),
    ]


def refresh_methods(model: Path) -> list[Method]:
    """Returns the methods that differ in their refreshes, the baseline first: those of the full width, then of 'paper',
    which has a new width at every third step, so that a refresh at every third or sixth one adds none."""
    config = json.loads((model / "config.json").read_text())
    full = f"{config['widths'][-1]['name']}x{config['sampling']['steps']}"
    every = [Method(f"full-{n}", model, full, refresh=n) for n in (2, 3, 4, 6)]
    nested = [Method(f"paper-{n}", model, "paper", refresh=n) for n in (1, 2, 4)]
    return [
        Method(BASELINE, model, BASELINE),
        *every,
        Method("full-never", model, full),
        *nested,
        Method("paper-switch", model, "paper"),
    ]

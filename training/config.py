"""The config files of `configs/`, which say what is trained, on which data and how."""

import json
from pathlib import Path

CONFIGS = Path(__file__).parent / "configs"


def read_config(path: Path) -> dict:
    """Returns the sections `data`, `model` and `train` of a config. A config that `extends` another one in the same
    folder has only the values that differ."""
    config = json.loads(path.read_text())
    if "extends" not in config:
        return config
    base = read_config(path.parent / config.pop("extends"))
    unknown = config.keys() - base.keys()
    if unknown:
        raise SystemExit(f"{path}: expected sections among {', '.join(base)} but received {', '.join(sorted(unknown))}")
    return {section: {**values, **config.get(section, {})} for section, values in base.items()}


def prediction_frames(config: dict) -> int:
    """Returns how many first frames of a video are given to the generator of a config that predicts the others; 0 where
    it predicts none."""
    return config.get("prediction", {"frames": 0})["frames"]

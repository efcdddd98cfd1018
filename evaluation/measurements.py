"""The measurement cache: what was measured of samples, kept in files, so that a stopped run goes on where it was."""

import hashlib
import json
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from .generate import generate
from .methods import Method
from .quality import Evaluator


@dataclass(frozen=True)
class Measurement:
    """What is to be measured: `samples` samples that a method generates from a seed. With `given_frames` above 0 the
    method instead continues that many of the evaluator's real videos from their first frames."""

    method: Method
    samples: int
    seed: int
    given_frames: int = 0


@cache
def fingerprint(model: Path) -> str:
    """Returns the SHA-256 of everything in a checkpoint folder that its samples depend on."""
    files = [folder / name for folder in (model, model / "tokenizer") for name in ("config.json", "model.safetensors")]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


class MeasurementCache:
    """Measurements by one evaluator, one JSON file for each in `folder`."""

    def __init__(self, folder: Path, evaluator: Evaluator):
        self.folder, self.evaluator = folder, evaluator

    def _file(self, measurement: Measurement) -> Path:
        method = measurement.method
        key = [self.evaluator.name, fingerprint(method.model), method.schedule, method.cache]
        key += [measurement.samples, measurement.seed, measurement.given_frames]
        key += [method.refresh] * (method.refresh is not None)
        key += [method.weights] * (method.weights != "auto")
        return self.folder / f"{hashlib.sha256(json.dumps(key).encode()).hexdigest()[:16]}.json"

    def read(self, measurement: Measurement) -> dict:
        """Returns backend, flops (of one sample), frechet and accuracy; of a prediction also mse and psnr."""
        return json.loads(self._file(measurement).read_text())

    def add_missing(self, costs: dict[Measurement, float]) -> None:
        """Measures what the cache does not have. The costs, in any one unit, only serve the printed estimate of the
        time left."""
        missing = {measurement: cost for measurement, cost in costs.items() if not self._file(measurement).exists()}
        total, done, started = sum(missing.values()), 0.0, time.monotonic()
        for measurement, cost in missing.items():
            result = self._measure(measurement)
            done += cost
            minutes_left = (time.monotonic() - started) * (total / done - 1) / 60
            task = "prediction" if measurement.given_frames else "generation"
            print(
                f"{measurement.method.name}, {task}, seed {measurement.seed}, {measurement.samples} samples:"
                f" Fréchet distance {result['frechet']:.1f}; {minutes_left:.0f} min left",
                flush=True,
            )

    def _measure(self, measurement: Measurement) -> dict:
        evaluator, given_frames = self.evaluator, measurement.given_frames
        given = evaluator.samples[: measurement.samples, :given_frames] if given_frames else None
        samples, result = generate(measurement.method, measurement.samples, measurement.seed, given)
        if given_frames:
            result |= evaluator.measure_prediction(samples, given_frames)
        else:
            result |= evaluator.measure(samples)
        self._file(measurement).write_text(json.dumps(result))
        return result

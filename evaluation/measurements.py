"""Measurements of samples, kept in files: a run that is stopped goes on where it was."""

import hashlib
import json
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from .judge import Judge
from .samples import generate
from .ways import Way


@dataclass(frozen=True)
class Job:
    """`count` samples of a way; with `given` frames, so many of the judge's samples predicted from their first ones."""

    way: Way
    count: int
    seed: int
    given: int = 0


@cache
def fingerprint(model: Path) -> str:
    """Of all that decides a checkpoint's samples."""
    files = [folder / name for folder in (model, model / "tokenizer") for name in ("config.json", "model.safetensors")]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


class Measured:
    """What a judge measured, in a folder, by what it was measured of."""

    def __init__(self, folder: Path, judge: Judge):
        self.folder, self.judge = folder, judge

    def _file(self, job: Job) -> Path:
        way = job.way
        of = [self.judge.name, fingerprint(way.model), way.schedule, way.cache, job.count, job.seed, job.given]
        return self.folder / f"{hashlib.sha256(json.dumps(of).encode()).hexdigest()[:16]}.json"

    def numbers(self, job: Job) -> dict:
        """backend, flops of a sample, frechet, accuracy; of a prediction also mse, psnr."""
        return json.loads(self._file(job).read_text())

    def make(self, costs: dict[Job, float]) -> None:
        """Measures the jobs that are not known yet. Their costs, in any unit, are for the time left that it prints."""
        missing = {job: cost for job, cost in costs.items() if not self._file(job).exists()}
        total, done, started = sum(missing.values()), 0.0, time.monotonic()
        for job, cost in missing.items():
            found = self._measure(job)
            done += cost
            left = (time.monotonic() - started) * (total / done - 1) / 60
            what = f"{'predicting, ' if job.given else ''}{job.way.name}, seed {job.seed}, {job.count} samples"
            print(f"{what}: Fréchet {found['frechet']:.1f}; {left:.0f} min left", flush=True)

    def _measure(self, job: Job) -> dict:
        judge, given = self.judge, job.given
        frames = judge.samples[: job.count, :given] if given else None
        samples, found = generate(job.way, job.count, job.seed, frames)
        found |= judge.measure_prediction(samples, given) if given else judge.measure(samples)
        self._file(job).write_text(json.dumps(found))
        return found

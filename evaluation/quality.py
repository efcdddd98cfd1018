"""Judges samples: class accuracy under a classifier of the real training set, and the Fréchet distance between its features
of these samples and of real ones."""

import argparse
import hashlib
import math
from pathlib import Path

import numpy as np
import torch

from .classifier import FEATURES, PART, Classifier, load_or_train
from .config import CONFIGS, read_config
from .data import Source, open_source, to_float
from .samples import ROOT, sample_shape

MOST = 10_000  # real samples


def read_all(source: Source) -> tuple[np.ndarray, np.ndarray]:
    """The first samples of a source, uint8 [count, frames, height, width, channels], and their labels."""
    count = min(MOST, len(source.labels))
    return np.stack([source.read(item, np.random.default_rng(item)) for item in range(count)]), source.labels[:count]


def frechet_distance(a: torch.Tensor, b: torch.Tensor) -> float:
    """|μa - μb|² + tr(Σa + Σb - 2 (Σa Σb)^½) of Gaussians fitted to features (Heusel et al., 2017)."""
    cov_a, cov_b = a.T.cov(), b.T.cov()
    # (Σa Σb)^½ has the trace of (Σa^½ Σb Σa^½)^½, which is symmetric.
    values, vectors = torch.linalg.eigh(cov_a)
    root = (vectors * values.clamp(min=0).sqrt()) @ vectors.T
    cross = torch.linalg.eigvalsh(root @ cov_b @ root).clamp(min=0).sqrt().sum()
    distance = (a.mean(0) - b.mean(0)).square().sum() + cov_a.trace() + cov_b.trace() - 2 * cross
    return max(0.0, distance.item())  # of the same features it is zero but for rounding


class Judge:
    """`samples` uint8 [count, frames, height, width, channels], `labels` [count]: the real ones that others are compared
    with; `name` differs where they or the classifier do. The file `known` keeps their features."""

    def __init__(self, classifier: Classifier, samples: np.ndarray, labels: np.ndarray, known: Path):
        self.classifier, self.name = classifier, known.stem
        self.samples, self.labels = samples, labels
        self.classes = classifier.last.out_features
        if not known.exists():
            np.save(known, self.look(samples).numpy())
        self.features = torch.from_numpy(np.load(known))

    @staticmethod
    def add_arguments(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--config", type=Path, help="whose `data` is the real one; default training/configs/NAME.json")
        parser.add_argument("--data", help="the data set's folder, instead of the config's")
        parser.add_argument("--judge", type=Path, help="the classifier; default bench/judges/NAME.safetensors")
        parser.add_argument("--cache", type=Path, help="where what is measured is kept; default work/judge/NAME")

    @classmethod
    def of(cls, arguments: argparse.Namespace, split: str) -> "Judge":
        """For arguments.model; the real samples are of `split`, 'train' or 'test'. Sets arguments.cache where it is not."""
        model = arguments.model
        arguments.cache = arguments.cache or ROOT / "work" / "judge" / model.name
        config = arguments.config or CONFIGS / f"{model.name}.json"
        if not config.exists():
            raise SystemExit(f"{config}: expected the config that the model was trained by; --config names another")
        data = read_config(config)["data"]
        if arguments.data:
            data["folder"] = arguments.data
        *shape, channels = sample_shape(model)
        if channels != 1:
            raise SystemExit(f"{model}: expected gray samples, for the classifier, but received {channels} channels")
        train = open_source(data, shape, "train")
        file = arguments.judge or ROOT / "bench" / "judges" / f"{model.name}.safetensors"
        classifier = load_or_train(file, train, shape)
        arguments.cache.mkdir(parents=True, exist_ok=True)
        name = f"{split}-{hashlib.sha256(file.read_bytes()).hexdigest()[:8]}"
        real = read_all(train if split == "train" else open_source(data, shape, split))
        return cls(classifier, *real, arguments.cache / f"{name}.npy")

    @torch.no_grad()
    def look(self, samples: np.ndarray) -> torch.Tensor:
        """uint8 [count, frames, height, width, channels] -> features [count, FEATURES]"""
        parts = [self.classifier.features(to_float(samples[i : i + PART])) for i in range(0, len(samples), PART)]
        return torch.cat([torch.empty(0, FEATURES), *parts])

    def measure_features(self, features: torch.Tensor, labels: np.ndarray) -> dict[str, float]:
        """[count, FEATURES] -> frechet, accuracy"""
        classes = self.classifier.last(features).argmax(1).numpy()
        distance = frechet_distance(features.double(), self.features.double())
        return {"frechet": distance, "accuracy": float((classes == labels).mean())}

    def measure(self, samples: np.ndarray) -> dict[str, float]:
        """Of samples whose label i is i % classes."""
        return self.measure_features(self.look(samples), np.arange(len(samples)) % self.classes)

    def measure_prediction(self, samples: np.ndarray, given: int) -> dict[str, float]:
        """Of the first real samples, predicted from `given` frames. Of the frames after those also mse, the mean squared
        error of pixels in [0, 1], and psnr, the same in dB."""
        pairs = zip(samples[:, given:], self.samples[: len(samples), given:])
        mse = float(np.mean([(to_float(a) - to_float(b)).square().mean() for a, b in pairs]))
        quality = self.measure_features(self.look(samples), self.labels[: len(samples)])
        return {"mse": mse, "psnr": -10 * math.log10(mse)} | quality

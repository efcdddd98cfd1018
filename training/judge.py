"""Judges samples: class accuracy under a classifier of the real training set, and the Fréchet distance between its features
of these samples and of real ones."""

import argparse
from pathlib import Path

import numpy as np
import torch

from .classifier import FEATURES, PART, Classifier, load_or_train
from .config import CONFIGS, read_config
from .data import Source, open_source, to_float
from .samples import sample_shape

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
    """`samples`, `labels`: the real ones that others are compared with."""

    def __init__(self, classifier: Classifier, samples: np.ndarray, labels: np.ndarray):
        self.classifier = classifier
        self.samples, self.labels = samples, labels
        self.classes = classifier.last.out_features
        self.features = self._look(samples)[0]

    @staticmethod
    def add_arguments(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--config", type=Path, help="whose `data` is the real one; default training/configs/NAME.json")
        parser.add_argument("--data", help="the data set's folder, instead of the config's")
        parser.add_argument("--cache", type=Path, help="the classifier and what is known; default /tmp/magnets-judge/NAME")

    @classmethod
    def of(cls, arguments: argparse.Namespace, reference: str) -> "Judge":
        """For arguments.model; the real samples are of the split `reference`, 'train' or 'test'."""
        model = arguments.model.resolve()
        arguments.cache = arguments.cache or Path("/tmp/magnets-judge") / model.name
        data = read_config(arguments.config or CONFIGS / f"{model.name}.json")["data"]
        if arguments.data:
            data["folder"] = arguments.data
        shape = sample_shape(model)[:3]
        train = open_source(data, shape, "train")
        classifier = load_or_train(arguments.cache / "classifier.pt", train, shape)
        return cls(classifier, *read_all(train if reference == "train" else open_source(data, shape, reference)))

    @torch.no_grad()
    def _look(self, samples: np.ndarray) -> tuple[torch.Tensor, np.ndarray]:
        """Features f64 [count, FEATURES], and the classes that they speak for [count]."""
        parts = [self.classifier.features(to_float(samples[i : i + PART])) for i in range(0, len(samples), PART)]
        features = torch.cat([torch.empty(0, FEATURES), *parts])
        return features.double(), self.classifier.last(features).argmax(1).numpy()

    def measure(self, samples: np.ndarray, labels: np.ndarray | None = None) -> dict[str, float]:
        """uint8 [count, frames, height, width, channels] -> frechet, accuracy; without labels, label i is i % classes."""
        features, classes = self._look(samples)
        labels = np.arange(len(samples)) % self.classes if labels is None else labels
        return {"frechet": frechet_distance(features, self.features), "accuracy": float((classes == labels).mean())}

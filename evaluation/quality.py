"""The quality of generated samples: class accuracy under a classifier of the real training set, and the Fréchet
distance between that classifier's features of generated and of real samples."""

import argparse
import hashlib
import math
from pathlib import Path

import numpy as np
import torch

from training.config import CONFIGS, read_config
from training.data import Source, open_source, to_float

from .classifier import FEATURES, INFERENCE_BATCH, Classifier, load_or_train
from .generate import ROOT, sample_shape

MAX_REAL_SAMPLES = 10_000


def read_samples(source: Source) -> tuple[np.ndarray, np.ndarray]:
    """Returns the first samples of a source, uint8 [count, frames, height, width, channels], and their labels."""
    count = min(MAX_REAL_SAMPLES, len(source.labels))
    return np.stack([source.read(item, np.random.default_rng(item)) for item in range(count)]), source.labels[:count]


def frechet_distance(a: torch.Tensor, b: torch.Tensor) -> float:
    """Returns |μa - μb|² + tr(Σa + Σb - 2 (Σa Σb)^½) of the Gaussians fitted to two sets of features, float64
    [count, features] each (Heusel et al., 2017, arXiv 1706.08500)."""
    cov_a, cov_b = a.T.cov(), b.T.cov()
    # (Σa Σb)^½ has the trace of (Σa^½ Σb Σa^½)^½, which is symmetric.
    values, vectors = torch.linalg.eigh(cov_a)
    root = (vectors * values.clamp(min=0).sqrt()) @ vectors.T
    cross = torch.linalg.eigvalsh(root @ cov_b @ root).clamp(min=0).sqrt().sum()
    distance = (a.mean(0) - b.mean(0)).square().sum() + cov_a.trace() + cov_b.trace() - 2 * cross
    return max(0.0, distance.item())  # rounding may take the distance of equal features below 0


class Evaluator:
    """Measures samples against real ones.

    `samples` is uint8 [count, frames, height, width, channels] and `labels` [count]: the real samples. Their features
    are kept in `features_file`, whose name must differ where the samples or the classifier do.
    """

    def __init__(self, classifier: Classifier, samples: np.ndarray, labels: np.ndarray, features_file: Path):
        self.classifier, self.name = classifier, features_file.stem
        self.samples, self.labels = samples, labels
        self.classes = classifier.class_head.out_features
        if not features_file.exists():
            np.save(features_file, self.features(samples).numpy())
        self.real_features = torch.from_numpy(np.load(features_file))

    @staticmethod
    def add_arguments(parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "--config", type=Path, help="the config that names the real data set; default training/configs/NAME.json"
        )
        parser.add_argument("--data", help="the folder of the data set, instead of the one that the config names")
        parser.add_argument("--classifier", type=Path, help="default evaluation/classifiers/NAME.safetensors")
        parser.add_argument("--cache", type=Path, help="folder of the measurement cache; default work/evaluation/NAME")

    @classmethod
    def from_arguments(cls, arguments: argparse.Namespace, split: str) -> "Evaluator":
        """Returns the evaluator for arguments.model with the real samples of `split`, 'train' or 'test'. It trains the
        classifier if there is none, and sets arguments.cache to its default where it is None."""
        model = arguments.model
        arguments.cache = arguments.cache or ROOT / "work" / "evaluation" / model.name
        config = arguments.config or CONFIGS / f"{model.name}.json"
        if not config.exists():
            raise SystemExit(f"{config}: expected the config that the model was trained with; --config names another")
        data = read_config(config)["data"]
        if arguments.data:
            data["folder"] = arguments.data
        *shape, channels = sample_shape(model)
        if channels != 1:
            raise SystemExit(f"{model}: expected gray samples for the classifier but received {channels} channels")
        train = open_source(data, shape, "train")
        file = arguments.classifier or ROOT / "evaluation" / "classifiers" / f"{model.name}.safetensors"
        classifier = load_or_train(file, train, shape)
        arguments.cache.mkdir(parents=True, exist_ok=True)
        name = f"{split}-{hashlib.sha256(file.read_bytes()).hexdigest()[:8]}"
        real = read_samples(train if split == "train" else open_source(data, shape, split))
        return cls(classifier, *real, arguments.cache / f"{name}.npy")

    @torch.no_grad()
    def features(self, samples: np.ndarray) -> torch.Tensor:
        """Returns the features, f32 [count, FEATURES], of samples uint8 [count, frames, height, width, channels]."""
        starts = range(0, len(samples), INFERENCE_BATCH)
        batches = [self.classifier.features(to_float(samples[i : i + INFERENCE_BATCH])) for i in starts]
        return torch.cat([torch.empty(0, FEATURES), *batches])

    def measure_features(self, features: torch.Tensor, labels: np.ndarray) -> dict[str, float]:
        """Returns frechet and accuracy of samples with features [count, FEATURES] and labels [count]."""
        classes = self.classifier.class_head(features).argmax(1).numpy()
        distance = frechet_distance(features.double(), self.real_features.double())
        return {"frechet": distance, "accuracy": float((classes == labels).mean())}

    def measure(self, samples: np.ndarray) -> dict[str, float]:
        """Returns frechet and accuracy of samples of which number i has the label i % classes."""
        return self.measure_features(self.features(samples), np.arange(len(samples)) % self.classes)

    def measure_prediction(self, samples: np.ndarray, given_frames: int) -> dict[str, float]:
        """Returns frechet and accuracy of the first real videos as continued from their first frames, and the error of
        the frames that were not given: mse, the mean squared error of pixels in [0, 1], and psnr, the same in dB."""
        pairs = zip(samples[:, given_frames:], self.samples[: len(samples), given_frames:])
        mse = float(np.mean([(to_float(a) - to_float(b)).square().mean() for a, b in pairs]))
        quality = self.measure_features(self.features(samples), self.labels[: len(samples)])
        return {"mse": mse, "psnr": -10 * math.log10(mse)} | quality

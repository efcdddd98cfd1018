"""The judge of generated samples: a small CNN trained on the real training set."""

from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from .data import Source, to_float

FEATURES = 64
EPOCHS = {"picture": 6, "video": 3}
BATCH = 128
PEAK_LEARNING_RATE = 4e-3
PART = 500  # samples at a time where nothing is learned


class Classifier(nn.Module):
    """Samples [count, frames, height, width, 1] in [0, 1]; `features` are the 64 numbers before the last layers.

    For a video they tell more than its class: where the middle of what is bright is in each frame, so that a Fréchet
    distance in them sees how it moves.
    """

    def __init__(self, sample_shape: list[int], classes: int):
        super().__init__()
        self.video = sample_shape[0] > 1
        sizes = (1, 16, 32, 64) if self.video else (1, 24, 48)
        layers = []
        for inputs, outputs in zip(sizes, sizes[1:]):
            if self.video:  # strides, not pooling: an eighth of the products
                layers += [nn.Conv3d(inputs, outputs, 3, stride=2, padding=1, bias=False), nn.BatchNorm3d(outputs)]
            else:
                layers += [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.MaxPool2d(2), nn.BatchNorm2d(outputs)]
            layers.append(nn.ReLU())
        extents = sample_shape if self.video else sample_shape[1:]
        halved = 2 ** (len(sizes) - 1)
        up = halved - 1 if self.video else 0  # a stride rounds up, pooling down
        flat = sizes[-1] * int(np.prod([(extent + up) // halved for extent in extents]))
        self.stem = nn.Sequential(*layers, nn.Flatten(), nn.Dropout(0.25), nn.Linear(flat, FEATURES), nn.ReLU())
        self.last = nn.Linear(FEATURES, classes)
        self.way = nn.Linear(FEATURES, 2 * sample_shape[0])

    def features(self, samples: torch.Tensor) -> torch.Tensor:
        return self.stem(samples.movedim(-1, 1) if self.video else samples[:, 0].movedim(-1, 1))

    def loss(self, samples: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        features = self.features(samples)
        loss = F.cross_entropy(self.last(features), labels)
        if self.video:
            loss = loss + F.mse_loss(self.way(features), middles(samples).flatten(1))
        return loss


def middles(videos: torch.Tensor) -> torch.Tensor:
    """[count, frames, height, width, 1] -> [count, frames, 2]: row and column of the centre of mass, -1 ... 1"""
    mass = videos[..., 0] + 1e-6
    mass = mass / mass.sum((2, 3), keepdim=True)
    rows, columns = (torch.linspace(-1, 1, extent) for extent in mass.shape[2:])
    return torch.stack([mass.sum(3) @ rows, mass.sum(2) @ columns], -1)


def train(source: Source, sample_shape: list[int], seed: int = 0) -> Classifier:
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    model = Classifier(sample_shape, int(source.labels.max()) + 1)
    labels, epochs = torch.from_numpy(source.labels), EPOCHS["video" if model.video else "picture"]
    batches = len(labels) // BATCH
    optimizer = torch.optim.Adam(model.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK_LEARNING_RATE, total_steps=epochs * batches)
    for epoch in range(epochs):
        for items in random.permutation(len(labels))[: batches * BATCH].reshape(batches, BATCH):
            samples = to_float(np.stack([source.read(item, random) for item in items]))
            loss = model.loss(samples, labels[items])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
        print(f"classifier: epoch {epoch + 1} of {epochs}, loss {loss.item():.3f}", flush=True)
    return model


def load_or_train(file: Path, source: Source, sample_shape: list[int]) -> Classifier:
    """The classifier in `file`, trained first if there is none."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        torch.save(train(source, sample_shape).state_dict(), file)
    model = Classifier(sample_shape, int(source.labels.max()) + 1)
    model.load_state_dict(torch.load(file, map_location="cpu"))
    return model.eval().requires_grad_(False)

"""The judge of generated pictures: a small CNN trained on the real training set."""

from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

from . import data

EPOCHS = 5
BATCH = 128


class Classifier(nn.Module):
    """Pictures [count, 1, 28, 28] in [0, 1]; `features` are the 64 numbers before the last layer."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Dropout(0.25),
            nn.Linear(32 * 7 * 7, 64),
            nn.ReLU(),
        )
        self.last = nn.Linear(64, 10)

    def features(self, pictures: torch.Tensor) -> torch.Tensor:
        return self.stem(pictures)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return self.last(self.features(pictures))


def to_pictures(pixels: torch.Tensor) -> torch.Tensor:
    """uint8 [count, 28, 28] -> [count, 1, 28, 28]"""
    return pixels.float().div(255)[:, None]


def train(seed: int = 0) -> Classifier:
    torch.manual_seed(seed)
    model = Classifier()
    pixels, labels = data.load("train")
    steps = EPOCHS * len(pixels) // BATCH
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps)
    for step in range(steps):
        if step % (len(pixels) // BATCH) == 0:
            order = torch.randperm(len(pixels))
            print(f"classifier: step {step} of {steps}", flush=True)
        pick = order[step * BATCH % (len(pixels) - BATCH) :][:BATCH]
        loss = F.cross_entropy(model(to_pictures(pixels[pick])), labels[pick])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
    return model


def load_or_train(file: Path) -> Classifier:
    """The classifier in `file`, trained first if there is none."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        torch.save(train().state_dict(), file)
    model = Classifier()
    model.load_state_dict(torch.load(file, map_location="cpu"))
    return model.eval().requires_grad_(False)


@torch.no_grad()
def judge(model: Classifier, pixels: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, float]:
    """Features [count, 64] in f64 and class accuracy of uint8 pictures."""
    features = torch.cat([model.features(to_pictures(part)) for part in pixels.split(1000)])
    accuracy = (model.last(features).argmax(1) == labels).double().mean().item()
    return features.double(), accuracy


def frechet_distance(a: torch.Tensor, b: torch.Tensor) -> float:
    """|μa - μb|² + tr(Σa + Σb - 2 (Σa Σb)^½) of Gaussians fitted to features (Heusel et al., 2017)."""
    cov_a, cov_b = a.T.cov(), b.T.cov()
    # (Σa Σb)^½ has the trace of (Σa^½ Σb Σa^½)^½, which is symmetric.
    values, vectors = torch.linalg.eigh(cov_a)
    root = (vectors * values.clamp(min=0).sqrt()) @ vectors.T
    cross = torch.linalg.eigvalsh(root @ cov_b @ root).clamp(min=0).sqrt().sum()
    return ((a.mean(0) - b.mean(0)).square().sum() + cov_a.trace() + cov_b.trace() - 2 * cross).item()

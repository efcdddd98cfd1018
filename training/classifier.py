"""The judge of generated pictures: a small CNN trained on the real training set."""

from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

from .data.fashion import load

EPOCHS = 6
BATCH = 128
PEAK_LEARNING_RATE = 4e-3


class Classifier(nn.Module):
    """Pictures [count, 1, 28, 28] in [0, 1]; `features` are the 64 numbers before the last layer."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(1, 24, 3, padding=1, bias=False),
            nn.MaxPool2d(2),
            nn.BatchNorm2d(24),
            nn.ReLU(),
            nn.Conv2d(24, 48, 3, padding=1, bias=False),
            nn.MaxPool2d(2),
            nn.BatchNorm2d(48),
            nn.ReLU(),
            nn.Flatten(),
            nn.Dropout(0.25),
            nn.Linear(48 * 7 * 7, 64),
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
    pixels, labels = load("train")
    batches = len(pixels) // BATCH
    optimizer = torch.optim.Adam(model.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK_LEARNING_RATE, total_steps=EPOCHS * batches)
    for epoch in range(EPOCHS):
        for pick in torch.randperm(len(pixels))[: batches * BATCH].split(BATCH):
            pictures = to_pictures(pixels[pick])
            pictures = torch.where(torch.rand(BATCH, 1, 1, 1) < 0.5, pictures.flip(-1), pictures)
            loss = F.cross_entropy(model(pictures), labels[pick])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
        print(f"classifier: epoch {epoch + 1} of {EPOCHS}, loss {loss.item():.3f}", flush=True)
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

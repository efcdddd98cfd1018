"""The classifier that quality is measured with: a small CNN trained on the real training set."""

from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from training import safetensors
from training.data import Source, to_float

FEATURES = 64
STAGES = {"picture": [(32, 1), (64, 2), (64, 2)], "video": [(16, 2), (32, 2), (64, 2)]}  # (channels, stride)
EPOCHS = {"picture": 10, "video": 3}
TRAINING_BATCH = 128
INFERENCE_BATCH = 500
PEAK_LEARNING_RATE = 4e-3


class Classifier(nn.Module):
    """A CNN of 3 convolutions on samples [count, frames, height, width, 1] in [0, 1].

    From FEATURES features of a sample one linear layer predicts the class. For a video a second one predicts where the
    centre of mass of each frame is, so that the features describe motion and a Fréchet distance between them sees it.
    """

    def __init__(self, sample_shape: list[int], classes: int):
        super().__init__()
        self.video = sample_shape[0] > 1
        convolution, norm = (nn.Conv3d, nn.BatchNorm3d) if self.video else (nn.Conv2d, nn.BatchNorm2d)
        extents = np.array(sample_shape if self.video else sample_shape[1:])
        layers, inputs = [], 1
        for outputs, stride in STAGES["video" if self.video else "picture"]:
            layers += [convolution(inputs, outputs, 3, stride, padding=1, bias=False), norm(outputs), nn.ReLU()]
            inputs, extents = outputs, -(-extents // stride)
        flattened = inputs * int(extents.prod())
        self.stem = nn.Sequential(*layers, nn.Flatten(), nn.Dropout(0.25), nn.Linear(flattened, FEATURES), nn.ReLU())
        self.class_head = nn.Linear(FEATURES, classes)
        self.position_head = nn.Linear(FEATURES, 2 * sample_shape[0])

    def features(self, samples: torch.Tensor) -> torch.Tensor:
        """Returns f32 [count, FEATURES]."""
        return self.stem(samples.movedim(-1, 1) if self.video else samples[:, 0].movedim(-1, 1))

    def loss(self, samples: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Returns the cross entropy of the class and, for videos, plus the squared error of the centres of mass."""
        features = self.features(samples)
        loss = F.cross_entropy(self.class_head(features), labels)
        if self.video:
            loss = loss + F.mse_loss(self.position_head(features), centres_of_mass(samples).flatten(1))
        return loss


def centres_of_mass(videos: torch.Tensor) -> torch.Tensor:
    """Returns row and column, each from -1 to 1, of every frame's centre of mass: [count, frames, height, width, 1] to
    [count, frames, 2]."""
    mass = videos[..., 0] + 1e-6
    mass = mass / mass.sum((2, 3), keepdim=True)
    rows, columns = (torch.linspace(-1, 1, extent) for extent in mass.shape[2:])
    return torch.stack([mass.sum(3) @ rows, mass.sum(2) @ columns], -1)


def train(source: Source, sample_shape: list[int], seed: int = 0) -> Classifier:
    """Trains a classifier with Adam and a one-cycle learning rate. `sample_shape` is [frames, height, width]."""
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    model = Classifier(sample_shape, int(source.labels.max()) + 1)
    labels, epochs = torch.from_numpy(source.labels), EPOCHS["video" if model.video else "picture"]
    batches = len(labels) // TRAINING_BATCH
    optimizer = torch.optim.Adam(model.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK_LEARNING_RATE, total_steps=epochs * batches)
    for epoch in range(epochs):
        for items in random.permutation(len(labels))[: batches * TRAINING_BATCH].reshape(batches, TRAINING_BATCH):
            samples = to_float(np.stack([source.read(item, random) for item in items]))
            loss = model.loss(samples, labels[items])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
        print(f"classifier: epoch {epoch + 1} of {epochs}, loss {loss.item():.3f}", flush=True)
    return model


def load_or_train(file: Path, source: Source, sample_shape: list[int]) -> Classifier:
    """Returns the classifier in `file`. If there is no such file, it is trained on `source` and written there first."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        trained = train(source, sample_shape).state_dict()
        safetensors.write(file, {name: tensor.numpy() for name, tensor in trained.items()})
    model, tensors = Classifier(sample_shape, int(source.labels.max()) + 1), safetensors.read(file)
    try:
        model.load_state_dict({name: torch.tensor(array) for name, array in tensors.items()})
    except RuntimeError as error:
        raise SystemExit(f"{file}: expected a classifier of this data set's samples and classes: {error}") from None
    return model.eval().requires_grad_(False)

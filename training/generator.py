"""Training of the nested generator: masked tokens, a sampled sub-model each step, distilled from the full model."""

import math
from pathlib import Path

import torch
from torch.nn import functional as F

from . import data, export
from .model import Generator


@torch.no_grad()
def tokenize(tokenizer, pixels: torch.Tensor) -> torch.Tensor:
    """uint8 pictures -> tokens [count, N]"""
    return torch.cat([tokenizer.encode(data.to_float(part)) for part in pixels.split(1000)])


class GeneratorTask:
    """MaskGIT's loss on masked positions (cosine mask ratio, class dropped for guidance), and MaGNeTS' nested training:

    L = GT(full) + λ GT(sub) + (1 - λ) CE(full, detached -> sub), λ from 1 to 0 (method as in ELT, arXiv 2604.09168).
    """

    def __init__(self, config: dict, options: dict, tokenizer_folder: Path):
        self.model = Generator(config)
        self.options = options
        tokenizer = export.read(tokenizer_folder)
        pixels, labels = data.load("train")
        self.tokens = torch.cat([tokenize(tokenizer, pixels), tokenize(tokenizer, pixels.flip(-1))])
        self.labels = labels.repeat(2)
        pixels, self.test_labels = data.load("test")
        self.test_tokens = tokenize(tokenizer, pixels)

    def mask(self, tokens: torch.Tensor) -> torch.Tensor:
        """Which positions to hide: a share cos(πr/2), r uniform, of random ones; at least one."""
        share = torch.cos(torch.rand(len(tokens), 1) * math.pi / 2)
        count = (share * tokens.shape[1]).ceil().clamp(min=1)
        return torch.rand(tokens.shape).argsort(1).argsort(1) < count

    def loss(self, progress: float) -> tuple[torch.Tensor, dict]:
        model, options = self.model, self.options
        pick = torch.randint(len(self.tokens), (options["batch"],))
        tokens, labels = self.tokens[pick], self.labels[pick]
        labels = torch.where(torch.rand(len(labels)) < options["label_dropout"], -1, labels)
        masked = self.mask(tokens)
        ids = torch.where(masked, model.mask_id, tokens)
        target = tokens[masked]

        def logits(width):
            features = model.features(ids, labels, width)[:, 1:]
            return model.logits(features[masked])[:, : model.config["codebook_size"]]

        full = logits(model.widths[-1])
        smoothing = options["label_smoothing"]
        total = truth = F.cross_entropy(full, target, label_smoothing=smoothing)
        student = logits(model.widths[int(torch.randint(len(model.widths) - 1, ()))])
        teacher_weight = progress
        total = total + (1 - teacher_weight) * F.cross_entropy(student, target, label_smoothing=smoothing)
        total = total + teacher_weight * F.cross_entropy(student, full.detach().softmax(-1))
        return total, {"full": truth.item(), "sub": F.cross_entropy(student.detach(), target).item()}

    @torch.no_grad()
    def evaluate(self, model: Generator) -> dict:
        """Cross entropy in nats of masked test tokens, for each width, at the mask ratios of training."""
        state = torch.get_rng_state()
        torch.manual_seed(0)
        tokens, labels = self.test_tokens[:2000], self.test_labels[:2000]
        masked = self.mask(tokens)
        torch.set_rng_state(state)
        ids = torch.where(masked, model.mask_id, tokens)
        result = {}
        for width in model.widths:
            logits = model(ids, labels, width)[masked][:, : model.config["codebook_size"]]
            result[f"heads {width.heads}"] = round(F.cross_entropy(logits, tokens[masked]).item(), 4)
        return result

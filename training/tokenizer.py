"""Training of the tokenizer: reconstruction, commitment, and a codebook that follows its encoder."""

import math

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from .batches import Batch, Random
from .data import open_source, to_float
from .model import Tokenizer
from .processes import from_first, summed

MAX_TEST_SAMPLES = 2000  # in an evaluation while training


class TokenizerTask(nn.Module):
    """Trains a VQ-VAE (van den Oord et al., 2017, arXiv 1711.00937). The gradient passes straight through the
    quantizer. The codebook is a moving average of the codes that are closest to each entry; entries that hardly any
    code is close to are restarted."""

    def __init__(self, config: dict, options: dict, data: dict):
        super().__init__()
        self.model = Tokenizer(config)
        self.options = options
        self.train_source = open_source(data, config["sample_shape"], "train")
        self.test_source = open_source(data, config["sample_shape"], "test")
        table = self.model.codebook.weight.requires_grad_(False)
        self.model.register_buffer("code_count", torch.ones(len(table)))
        self.model.register_buffer("code_sum", table.detach().clone())

    def batch(self, random: Random, size: int) -> Batch:
        """Returns `pixels`, uint8 [size, frames, height, width, channels]."""
        items = random.own.integers(len(self.train_source.labels), size=size)
        return {"pixels": torch.from_numpy(np.stack([self.train_source.read(item, random.own) for item in items]))}

    @torch.no_grad()
    def update_codebook(self, codes: torch.Tensor, tokens: torch.Tensor) -> None:
        """Moves the codebook towards the codes [count, codebook_dim] of this batch; `tokens` [count] are their nearest
        entries."""
        model, decay = self.model, self.options["code_decay"]
        one_hot = F.one_hot(tokens, len(model.codebook.weight)).to(codes.dtype)
        model.code_count.lerp_(summed(one_hot.sum(0)), 1 - decay)
        model.code_sum.lerp_(summed(one_hot.T @ codes), 1 - decay)
        dead = (model.code_count < self.options["dead_below"]).nonzero()[:, 0]
        # Dead entries restart at codes of this batch that are far from one another in it.
        model.code_sum[dead] = codes[torch.arange(len(dead), device=codes.device) * len(codes) // max(1, len(dead))]
        model.code_count[dead] = 1.0
        from_first(model.code_sum)
        model.codebook.weight.copy_(model.code_sum / model.code_count[:, None])

    def forward(self, batch: Batch, progress: float) -> tuple[torch.Tensor, dict]:
        model = self.model
        pixels = to_float(batch["pixels"])
        codes = model.codes(pixels).float()
        flat = codes.detach().flatten(0, 1)
        with torch.autocast(pixels.device.type, enabled=False):
            tokens = model.nearest(flat)
            quantized = model.codebook(tokens).view_as(codes).detach()
            if progress < self.options["codebook_until"]:  # later the decoder adapts to a fixed codebook
                self.update_codebook(flat, tokens)
        commitment = F.mse_loss(codes, quantized)
        rebuilt = model.decode_codes(codes + (quantized - codes).detach()).float()
        squared = F.mse_loss(rebuilt, pixels)
        absolute = F.l1_loss(rebuilt, pixels)
        total = squared + self.options["absolute"] * absolute + self.options["commitment"] * commitment
        return total, {"psnr": -10 * squared.detach().log10(), "commitment": commitment.detach()}

    @torch.no_grad()
    def evaluate(self, model: Tokenizer) -> dict[str, float]:
        """Returns the PSNR in dB of rebuilt test samples, and how many codes they use."""
        squared, used, source = [], set(), self.test_source
        for items in torch.arange(min(MAX_TEST_SAMPLES, len(source.labels))).split(self.options["batch"]):
            pixels = np.stack([source.read(item, np.random.default_rng(item)) for item in items.tolist()])
            pixels = to_float(pixels).to(model.codebook.weight.device)
            tokens = model.tokenize(pixels)
            used.update(tokens.unique().tolist())
            squared += (model.detokenize(tokens) - pixels).square().flatten(1).mean(1).tolist()
        return {"psnr": -10 * math.log10(np.mean(squared)), "codes used": len(used)}

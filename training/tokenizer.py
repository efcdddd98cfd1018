"""Training of the tokenizer: reconstruction, commitment, and a codebook that follows its encoder."""

import math

import torch
from torch.nn import functional as F

from . import data
from .model import Tokenizer


class TokenizerTask:
    """VQ-VAE (van den Oord et al., 2017): straight-through gradient, codebook by moving averages, dead codes restarted."""

    def __init__(self, config: dict, options: dict):
        self.model = Tokenizer(config)
        self.options = options
        self.pixels = data.load("train")[0]
        self.test = data.load("test")[0]
        table = self.model.codebook.weight
        table.requires_grad_(False)
        self.model.register_buffer("code_count", torch.ones(len(table)), persistent=True)
        self.model.register_buffer("code_sum", table.detach().clone(), persistent=True)

    def batch(self) -> torch.Tensor:
        pixels = self.pixels[torch.randint(len(self.pixels), (self.options["batch"],))]
        flipped = torch.where(torch.rand(len(pixels), 1, 1) < 0.5, pixels.flip(-1), pixels)
        return data.to_float(flipped)

    @torch.no_grad()
    def update_codebook(self, codes: torch.Tensor, tokens: torch.Tensor) -> None:
        model, decay = self.model, self.options["code_decay"]
        one_hot = F.one_hot(tokens, len(model.codebook.weight)).to(codes.dtype)
        model.code_count.lerp_(one_hot.sum(0), 1 - decay)
        model.code_sum.lerp_(one_hot.T @ codes, 1 - decay)
        dead = model.code_count < self.options["dead_below"]
        if dead.any():  # restart on codes of this batch
            model.code_sum[dead] = codes[torch.randint(len(codes), (int(dead.sum()),))]
            model.code_count[dead] = 1.0
        model.codebook.weight.copy_(model.code_sum / model.code_count[:, None])

    def loss(self, progress: float) -> tuple[torch.Tensor, dict]:
        model = self.model
        pixels = self.batch()
        codes = model.codes(pixels)
        flat = codes.detach().flatten(0, 1)
        tokens = model.nearest(flat)
        quantized = model.codebook(tokens).view_as(codes).detach()
        commitment = F.mse_loss(codes, quantized)
        rebuilt = model.decode_codes(codes + (quantized - codes).detach())
        squared = F.mse_loss(rebuilt, pixels)
        absolute = F.l1_loss(rebuilt, pixels)
        if progress < self.options["codebook_until"]:  # later the codebook stands still and the decoder settles on it
            self.update_codebook(flat, tokens)
        total = squared + self.options["absolute"] * absolute + self.options["commitment"] * commitment
        return total, {"psnr": -10 * math.log10(squared.item()), "commitment": commitment.item()}

    @torch.no_grad()
    def evaluate(self, model: Tokenizer) -> dict:
        """PSNR in dB over all test pixels, and how many codes the test set uses."""
        squared, used = 0.0, set()
        for pixels in self.test.split(1000):
            pixels = data.to_float(pixels)
            tokens = model.encode(pixels)
            used.update(tokens.unique().tolist())
            squared += F.mse_loss(model.decode(tokens), pixels, reduction="sum").item()
        return {"psnr": -10 * math.log10(squared / self.test.numel()), "codes_used": len(used)}

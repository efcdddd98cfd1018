"""The decoder of a convolutional tokenizer (docs/checkpoints.md) in PyTorch, to be exported: tokens in, pixels out."""

import torch
from torch import nn
from torch.nn import functional as F

Tensors = dict[str, torch.Tensor]  # by name, as in the checkpoint


class ConvDecoder(nn.Module):
    """Runs the tensors of a tokenizer of kind "conv"."""

    def __init__(self, config: dict, tensors: Tensors):
        super().__init__()
        self.config = config
        self.names = {name.replace(".", "/"): name for name in tensors}
        for name, tensor in tensors.items():
            if tensor.dim() == 4:  # [out, 3, 3, in], as PyTorch has it
                tensor = tensor.permute(0, 3, 1, 2).contiguous()
            self.register_buffer(name.replace(".", "/"), tensor)

    def weight(self, name: str) -> torch.Tensor:
        return getattr(self, f"{name}.weight".replace(".", "/"))

    def bias(self, name: str) -> torch.Tensor:
        return getattr(self, f"{name}.bias".replace(".", "/"))

    def has(self, name: str) -> bool:
        return f"{name}.weight".replace(".", "/") in self.names

    def conv(self, name: str, x: torch.Tensor) -> torch.Tensor:
        """A convolution of 3x3, or of 1x1 where the weight is a matrix."""
        weight = self.weight(name)
        if weight.dim() == 2:
            return F.conv2d(x, weight[:, :, None, None], self.bias(name))
        return F.conv2d(x, weight, self.bias(name), padding=1)

    def norm(self, name: str, x: torch.Tensor) -> torch.Tensor:
        groups, eps = self.config.get("norm_groups", 32), self.config.get("norm_eps", 1e-6)
        return F.group_norm(x, groups, self.weight(name), self.bias(name), eps)

    def block(self, name: str, x: torch.Tensor) -> torch.Tensor:
        h = self.conv(f"{name}.conv1", F.silu(self.norm(f"{name}.norm1", x)))
        h = self.conv(f"{name}.conv2", F.silu(self.norm(f"{name}.norm2", h)))
        if self.has(f"{name}.shortcut"):
            return self.conv(f"{name}.shortcut", x) + h
        return x + h if x.shape[1] == h.shape[1] else h

    def attention(self, name: str, x: torch.Tensor) -> torch.Tensor:
        h = self.norm(f"{name}.norm", x)
        query, key, value = (self.conv(f"{name}.{part}", h).flatten(2) for part in ("query", "key", "value"))
        scores = (query.transpose(1, 2) @ key) * query.shape[1] ** -0.5
        mixed = value @ scores.softmax(-1).transpose(1, 2)
        return x + self.conv(f"{name}.output", mixed.reshape_as(x))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Returns pixels [batch, height, width, channels] in [0, 1] for tokens [batch, N]."""
        config = self.config
        side = 2 ** (len(config["multipliers"]) - 1)
        _, height, width = config["sample_shape"]
        codes = self.weight("codebook")
        if config.get("normalized_codes", False):
            codes = F.normalize(codes)
        x = F.embedding(tokens, codes).transpose(1, 2).unflatten(2, (height // side, width // side))
        if self.has("decoder.code"):
            x = self.conv("decoder.code", x)
        x = self.conv("decoder.input", x)
        for i in range(3):
            name = f"decoder.middle.{i}"
            if self.has(f"{name}.query"):
                x = self.attention(name, x)
            elif self.has(f"{name}.conv1"):
                x = self.block(name, x)
        for level in reversed(range(len(config["multipliers"]))):
            for i in range(config["decoder_blocks"]):
                x = self.block(f"decoder.levels.{level}.blocks.{i}", x)
                if self.has(f"decoder.levels.{level}.attentions.{i}.query"):
                    x = self.attention(f"decoder.levels.{level}.attentions.{i}", x)
            if level > 0:
                x = self.conv(f"decoder.levels.{level}.upsample", F.interpolate(x, scale_factor=2.0))
        x = self.conv("decoder.output", F.silu(self.norm("decoder.norm", x)))
        return x.clamp(0, 1).permute(0, 2, 3, 1)

"""The models of docs/checkpoints.md in PyTorch. The state dict of a module has exactly the checkpoint's tensor
names."""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F


@dataclass(frozen=True)
class Width:
    """A nested sub-model: the first `heads` heads and the first `hidden` MLP units of every layer."""

    heads: int
    hidden: int


MAX_SCORES = 2**20  # attention scores computed at once, few enough to stay in the cache of a core


def attend(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """Returns softmax(q kᵀ / √head_dim) v. All tensors are [batch, heads, rows, head_dim].

    PyTorch 2 does this without a matrix of the scores. In PyTorch 1 a few samples at a time are three times faster than
    all at once.
    """
    if hasattr(F, "scaled_dot_product_attention"):
        return F.scaled_dot_product_attention(query, key, value)
    query = query * query.shape[-1] ** -0.5
    samples = max(1, MAX_SCORES // (query.shape[1] * query.shape[2] * key.shape[2]))
    chunks = zip(query.split(samples), key.split(samples), value.split(samples))
    return torch.cat([(q @ k.transpose(-1, -2)).softmax(-1) @ v for q, k, v in chunks])


class LayerNorm(nn.LayerNorm):
    """A layer norm in f32, also where the products before it are bf16."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x.float())


def gelu(x: torch.Tensor, approximate: str) -> torch.Tensor:
    """Returns GELU of x. On a CPU it is computed in f32, because PyTorch's bf16 GELU is slower there than f32 with both
    conversions."""
    return F.gelu(x if x.is_cuda else x.float(), approximate=approximate)


class Attention(nn.Module):
    def __init__(self, size: int, heads: int, head_dim: int, eps: float):
        super().__init__()
        self.head_dim = head_dim
        self.query = nn.Linear(size, heads * head_dim)
        self.key = nn.Linear(size, heads * head_dim)
        self.value = nn.Linear(size, heads * head_dim)
        self.output = nn.Linear(heads * head_dim, size)
        self.norm = LayerNorm(size, eps)

    def forward(self, x: torch.Tensor, heads: int, cache: "Cache | None") -> torch.Tensor:
        """Returns attention's output [batch, rows, d] for x [batch, rows, d]. With a cache, the keys and values of
        these rows are written to the cache and every row attends to all of the cache."""
        inner = heads * self.head_dim

        def project(layer: nn.Linear) -> torch.Tensor:  # [batch, heads, rows, head_dim]
            return F.linear(x, layer.weight[:inner], layer.bias[:inner]).unflatten(-1, (heads, -1)).transpose(1, 2)

        query, key, value = project(self.query), project(self.key), project(self.value)
        if cache is not None:
            key, value = cache.update(self, key, value)
        mixed = attend(query, key, value).transpose(1, 2).flatten(2)
        return F.linear(mixed, self.output.weight[:, :inner], self.output.bias)


class Mlp(nn.Module):
    def __init__(self, size: int, hidden: int, eps: float, approximate: str):
        super().__init__()
        self.approximate = approximate
        self.up = nn.Linear(size, hidden)
        self.down = nn.Linear(hidden, size)
        self.norm = LayerNorm(size, eps)

    def forward(self, x: torch.Tensor, hidden: int) -> torch.Tensor:
        x = gelu(F.linear(x, self.up.weight[:hidden], self.up.bias[:hidden]), self.approximate)
        return F.linear(x, self.down.weight[:, :hidden], self.down.bias)


class Layer(nn.Module):
    def __init__(self, config: dict, pre_norm: bool):
        super().__init__()
        size, heads, hidden = config["hidden_size"], config["num_attention_heads"], config["intermediate_size"]
        eps = config["layer_norm_eps"]
        self.pre_norm = pre_norm
        self.attention = Attention(size, heads, config.get("head_dim", size // heads), eps)
        self.mlp = Mlp(size, hidden, eps, "tanh" if config["hidden_act"] == "gelu_tanh" else "none")

    def forward(self, x: torch.Tensor, width: Width, cache: "Cache | None" = None) -> torch.Tensor:
        attention, mlp = self.attention, self.mlp
        if self.pre_norm:
            x = x + attention(attention.norm(x), width.heads, cache)
            return x + mlp(mlp.norm(x), width.hidden)
        x = attention.norm(x + attention(x, width.heads, cache))
        return mlp.norm(x + mlp(x, width.hidden))


class Cache:
    """The keys and values of every layer and position. `rows`, int64 [batch, n], are the positions that the next pass
    computes; None refreshes the cache: the pass computes every row."""

    def __init__(self) -> None:
        self.stored: dict[Attention, tuple[torch.Tensor, torch.Tensor]] = {}
        self.rows: torch.Tensor | None = None

    def update(self, layer: Attention, key: torch.Tensor, value: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        if self.rows is not None:
            index = self.rows[:, None, :, None].expand_as(key)
            old_key, old_value = self.stored[layer]
            key, value = old_key.scatter(2, index, key), old_value.scatter(2, index, value)
        self.stored[layer] = key, value
        return key, value


def init_weights(module: nn.Module) -> None:
    """Initializes weights from a normal distribution of standard deviation 0.02, truncated at 0.04, and biases with 0
    (as BERT and MaskGIT do)."""
    if isinstance(module, (nn.Linear, nn.Embedding)):
        nn.init.trunc_normal_(module.weight, std=0.02, a=-0.04, b=0.04)
    if isinstance(module, nn.Linear):
        nn.init.zeros_(module.bias)


class Generator(nn.Module):
    """The masked transformer of MaskGIT with nested widths. The vocabulary has the codes, the classes, the null class
    and [MASK], in this order."""

    def __init__(self, config: dict):
        super().__init__()
        self.config = config
        size, eps = config["hidden_size"], config["layer_norm_eps"]
        self.token_count = torch.Size(config["latent_shape"]).numel()
        self.null_class_id = config["codebook_size"] + config["num_classes"]
        self.mask_id = self.null_class_id + 1
        self.widths = [Width(width["heads"], width["hidden"]) for width in config["widths"]]
        self.embeddings = nn.Module()
        self.embeddings.word = nn.Embedding(self.mask_id + 1, size)
        self.embeddings.position = nn.Embedding(1 + self.token_count, size)
        self.embeddings.norm = LayerNorm(size, eps)
        pre_norm = config["norm_position"] == "pre"
        self.layers = nn.ModuleList(Layer(config, pre_norm) for _ in range(config["num_hidden_layers"]))
        if pre_norm:
            self.norm = LayerNorm(size, eps)
        self.head = nn.Module()
        self.head.dense = nn.Linear(size, size)
        self.head.norm = LayerNorm(size, eps)
        self.head.bias = nn.Parameter(torch.zeros(self.mask_id + 1))
        self.apply(init_weights)

    def class_id(self, labels: torch.Tensor) -> torch.Tensor:
        """Returns the vocabulary ids of labels [batch]; the label -1 has the id of the null class."""
        return torch.where(labels < 0, self.null_class_id, labels + self.config["codebook_size"])

    def features(
        self, ids: torch.Tensor, labels: torch.Tensor, width: Width, cache: Cache | None = None
    ) -> torch.Tensor:
        """Returns the last layer's output [batch, S, d] for ids [batch, N]. With a cache whose `rows` are set it is
        [batch, n, d], for those rows."""
        sequence = torch.cat([self.class_id(labels)[:, None], ids], 1)
        positions = torch.arange(sequence.shape[1], device=ids.device).expand_as(sequence)
        if cache is not None and cache.rows is not None:
            sequence, positions = sequence.gather(1, cache.rows), cache.rows
        x = self.embeddings.norm(self.embeddings.word(sequence) + self.embeddings.position(positions))
        for layer in self.layers:
            x = layer(x, width, cache)
        return x

    def logits(self, features: torch.Tensor) -> torch.Tensor:
        """Returns the LM head's f32 logits [..., V] for features [..., d]."""
        if hasattr(self, "norm"):
            features = self.norm(features)
        approximate = "tanh" if self.config["hidden_act"] == "gelu_tanh" else "none"
        x = self.head.norm(gelu(self.head.dense(features), approximate))
        return F.linear(x, self.embeddings.word.weight, self.head.bias).float()

    def forward(self, ids: torch.Tensor, labels: torch.Tensor, width: Width | None = None) -> torch.Tensor:
        """Returns logits [batch, N, V] for ids [batch, N], mask_id where masked, and labels [batch], -1 for the null
        class. The default is the full width."""
        return self.logits(self.features(ids, labels, width or self.widths[-1])[:, 1:])


class Tokenizer(nn.Module):
    """A vision transformer on non-overlapping patches with a vector quantizer between encoder and decoder."""

    def __init__(self, config: dict):
        super().__init__()
        self.config = config
        size, eps = config["hidden_size"], config["layer_norm_eps"]
        self.grid = [extent // patch for extent, patch in zip(config["sample_shape"], config["patch_shape"])]
        self.token_count = torch.Size(self.grid).numel()
        patch = torch.Size(config["patch_shape"]).numel() * config["channels"]
        self.width = Width(config["num_attention_heads"], config["intermediate_size"])

        def transformer(layers: int, inputs: int, outputs: int) -> nn.Module:
            stack = nn.Module()
            stack.input = nn.Linear(inputs, size)
            stack.position = nn.Embedding(self.token_count, size)
            stack.layers = nn.ModuleList(Layer(config, pre_norm=True) for _ in range(layers))
            stack.norm = LayerNorm(size, eps)
            stack.output = nn.Linear(size, outputs)
            return stack

        self.encoder = transformer(config["encoder_layers"], patch, config["codebook_dim"])
        self.codebook = nn.Embedding(config["codebook_size"], config["codebook_dim"])
        self.decoder = transformer(config["decoder_layers"], config["codebook_dim"], patch)
        self.apply(init_weights)
        if config["encoder_layers"] == 0:  # a patch by itself has the same token wherever it is
            nn.init.zeros_(self.encoder.position.weight.requires_grad_(False))

    def _run(self, stack: nn.Module, x: torch.Tensor) -> torch.Tensor:
        x = stack.input(x) + stack.position.weight
        for layer in stack.layers:
            x = layer(x, self.width)
        return stack.output(stack.norm(x))

    def patches(self, pixels: torch.Tensor) -> torch.Tensor:
        """Cuts pixels [batch, frames, height, width, channels] into patches [batch, N, P]."""
        t, h, w = self.config["patch_shape"]
        x = pixels.unfold(1, t, t).unfold(2, h, h).unfold(3, w, w)  # [batch, *grid, channels, t, h, w]
        return x.movedim(4, -1).flatten(1, 3).flatten(2)

    def pixels(self, patches: torch.Tensor) -> torch.Tensor:
        """Puts patches [batch, N, P] together to pixels [batch, frames, height, width, channels]."""
        x = patches.unflatten(2, (*self.config["patch_shape"], -1)).unflatten(1, self.grid)
        x = x.permute(0, 1, 4, 2, 5, 3, 6, 7)  # [batch, T, t, H, h, W, w, channels]
        return x.flatten(5, 6).flatten(3, 4).flatten(1, 2)

    def codes(self, pixels: torch.Tensor) -> torch.Tensor:
        """Returns the encoder's output [batch, N, codebook_dim], not quantized, for pixels [batch, frames, height,
        width, channels]."""
        return self._run(self.encoder, self.patches(pixels))

    def nearest(self, codes: torch.Tensor) -> torch.Tensor:
        """Returns argmin_k |z - codebook[k]|², [...], for codes z [..., codebook_dim]."""
        table = self.codebook.weight
        return (codes @ table.T - table.square().sum(1) / 2).argmax(-1)

    def tokenize(self, pixels: torch.Tensor) -> torch.Tensor:
        """Returns tokens [batch, N] for pixels [batch, frames, height, width, channels] in [0, 1]."""
        return self.nearest(self.codes(pixels))

    def decode_codes(self, codes: torch.Tensor) -> torch.Tensor:
        """Returns the decoder's pixels, not clamped, for codes [batch, N, codebook_dim]."""
        return self.pixels(self._run(self.decoder, codes))

    def detokenize(self, tokens: torch.Tensor) -> torch.Tensor:
        """Returns pixels [batch, frames, height, width, channels] in [0, 1] for tokens [batch, N]."""
        return self.decode_codes(self.codebook(tokens)).clamp(0, 1)

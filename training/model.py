"""The models of docs/checkpoints.md in PyTorch. The state dict of a module has exactly the checkpoint's tensor
names."""

import hashlib
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


def rms_normalize(x: torch.Tensor, eps: float) -> torch.Tensor:
    """Returns x, f32, divided by the root of its mean square over the last axis."""
    x = x.float()
    return x * (x.square().mean(-1, keepdim=True) + eps).rsqrt()


class RmsNorm(nn.Module):
    def __init__(self, size: int, eps: float):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(size))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return rms_normalize(x, self.eps) * self.weight


class BiasedRmsNorm(RmsNorm):
    """The norm after the last block of Halton-MaskGIT."""

    def __init__(self, size: int, eps: float):
        super().__init__(size, eps)
        self.bias = nn.Parameter(torch.zeros(size))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x) + self.bias


NORMS = {"layer_norm": LayerNorm, "rms_norm": RmsNorm}
FINAL_NORMS = {"layer_norm": LayerNorm, "rms_norm": BiasedRmsNorm}
ACTIVATIONS = {
    "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "silu": F.silu,
}


def activate(x: torch.Tensor, config: dict) -> torch.Tensor:
    """Returns the config's activation of x. On a CPU it is computed in f32, because PyTorch's bf16 GELU is slower there
    than f32 with both conversions."""
    return ACTIVATIONS[config["hidden_act"]](x if x.is_cuda else x.float())


class RowsLinear(nn.Linear):
    """A linear layer of which a narrow width has the first outputs."""

    def forward(self, x: torch.Tensor, outputs: int) -> torch.Tensor:
        return F.linear(x, self.weight[:outputs], None if self.bias is None else self.bias[:outputs])


class ColumnsLinear(nn.Linear):
    """A linear layer of which a narrow width has the first inputs."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.linear(x, self.weight[:, : x.shape[-1]], self.bias)


class Modulation(nn.Linear):
    """`parts` vectors of d numbers for each sample, from its class. A new one makes them all 0 (adaLN-Zero, Peebles and
    Xie, 2022, arXiv 2212.09748)."""

    def __init__(self, size: int, parts: int):
        super().__init__(size, parts * size)
        self.parts = parts

    def forward(self, classes: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Returns vectors [batch, 1, d] for classes [batch, d]."""
        return super().forward(classes)[:, None].chunk(self.parts, -1)


class Attention(nn.Module):
    def __init__(self, config: dict):
        super().__init__()
        size, heads, bias = config["hidden_size"], config["num_attention_heads"], config.get("bias", True)
        self.head_dim = config.get("head_dim", size // heads)
        self.eps = config["layer_norm_eps"]
        self.qk_norm = config.get("qk_norm", "none") == "rms"
        self.query = RowsLinear(size, heads * self.head_dim, bias)
        self.key = RowsLinear(size, heads * self.head_dim, bias)
        self.value = RowsLinear(size, heads * self.head_dim, bias)
        self.output = ColumnsLinear(heads * self.head_dim, size, bias)
        self.norm = NORMS[config.get("norm_type", "layer_norm")](size, self.eps)

    def forward(self, x: torch.Tensor, heads: int, cache: "Cache | None") -> torch.Tensor:
        """Returns attention's output [batch, rows, d] for x [batch, rows, d]. With a cache, the keys and values of
        these rows are written to the cache and every row attends to all of the cache.

        QK norm is over all heads that are in use, so that a sub-model is a model of its own.
        """
        query, key, value = (layer(x, heads * self.head_dim) for layer in (self.query, self.key, self.value))
        if self.qk_norm:
            query, key = (rms_normalize(part, self.eps).to(value.dtype) for part in (query, key))
        query, key, value = (part.unflatten(-1, (heads, -1)).transpose(1, 2) for part in (query, key, value))
        if cache is not None:
            key, value = cache.update(self, key, value)
        return self.output(attend(query, key, value).transpose(1, 2).flatten(2))


class Mlp(nn.Module):
    def __init__(self, config: dict):
        super().__init__()
        self.config = config
        size, hidden, bias = config["hidden_size"], config["intermediate_size"], config.get("bias", True)
        self.gated = config.get("mlp_gate", "none") == "multiply"
        if self.gated:
            self.gate = RowsLinear(size, hidden, bias)
        self.up = RowsLinear(size, hidden, bias)
        self.down = ColumnsLinear(hidden, size, bias)
        self.norm = NORMS[config.get("norm_type", "layer_norm")](size, config["layer_norm_eps"])

    def forward(self, x: torch.Tensor, hidden: int) -> torch.Tensor:
        if self.gated:
            return self.down(activate(self.gate(x, hidden), self.config) * self.up(x, hidden))
        return self.down(activate(self.up(x, hidden), self.config))


class Layer(nn.Module):
    def __init__(self, config: dict, pre_norm: bool):
        super().__init__()
        self.pre_norm = pre_norm
        self.attention = Attention(config)
        self.mlp = Mlp(config)
        if config.get("modulation", "none") == "class":
            self.modulation = Modulation(config["hidden_size"], 6)

    def forward(
        self, x: torch.Tensor, width: Width, cache: "Cache | None" = None, classes: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Returns the block's output for x [batch, rows, d]; with modulation `classes` [batch, d] are the classes'
        vectors."""
        attention, mlp = self.attention, self.mlp
        if classes is not None:
            shift, scale, gate, mlp_shift, mlp_scale, mlp_gate = self.modulation(classes)
            x = x + gate * attention(attention.norm(x) * (1 + scale) + shift, width.heads, cache)
            return x + mlp_gate * mlp(mlp.norm(x) * (1 + mlp_scale) + mlp_shift, width.hidden)
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
    if isinstance(module, Modulation):
        nn.init.zeros_(module.weight)
    elif isinstance(module, (nn.Linear, nn.Embedding)):
        nn.init.trunc_normal_(module.weight, std=0.02, a=-0.04, b=0.04)
    if isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)


class Generator(nn.Module):
    """The masked transformer of MaskGIT with nested widths.

    The vocabulary has the codes, the classes, the null class where there is one, and [MASK], in this order; position 0
    holds the class. With modulation the class has a table of its own, position 0 holds a register, and the vocabulary
    has the codes, the register and [MASK].
    """

    def __init__(self, config: dict):
        super().__init__()
        if config.get("sub_tokens", 1) != 1:
            raise SystemExit("expected a model whose tokens have no sub-tokens: these run in the package alone")
        self.config = config
        size, eps = config["hidden_size"], config["layer_norm_eps"]
        codes, classes = config["codebook_size"], config["num_classes"]
        pre_norm = config["norm_position"] == "pre"
        self.modulated = config.get("modulation", "none") == "class"
        self.token_count = torch.Size(config["latent_shape"]).numel()
        self.null_class = classes if config.get("null_class", True) else None
        self.mask_id = codes + 1 if self.modulated else codes + classes + (self.null_class is not None)
        self.widths = [Width(width["heads"], width["hidden"]) for width in config["widths"]]
        self.embeddings = nn.Module()
        self.embeddings.word = nn.Embedding(self.mask_id + 1, size)
        self.embeddings.position = nn.Embedding(1 + self.token_count, size)
        if config.get("embedding_norm", True):
            self.embeddings.norm = LayerNorm(size, eps)
        self.layers = nn.ModuleList(Layer(config, pre_norm) for _ in range(config["num_hidden_layers"]))
        if pre_norm:
            self.norm = FINAL_NORMS[config.get("norm_type", "layer_norm")](size, eps)
        if self.modulated:
            self.embeddings.add_module("class", nn.Embedding(classes + (self.null_class is not None), size))
            self.modulation = Modulation(size, 2)
        self.head = nn.Module()
        if config.get("head", "dense") == "dense":
            self.head.dense = nn.Linear(size, size)
            self.head.norm = LayerNorm(size, eps)
        columns = self.mask_id + 1
        if not config.get("tied", True):  # the codes alone
            columns = config["codebook_size"]
            self.head.output = nn.Linear(size, columns, bias=False)
        self.head.bias = nn.Parameter(torch.zeros(columns))
        self.apply(init_weights)

    def class_of(self, labels: torch.Tensor) -> torch.Tensor:
        """Returns the classes of labels [batch]; the label -1 has the null class."""
        return labels if self.null_class is None else torch.where(labels < 0, self.null_class, labels)

    def features(
        self, ids: torch.Tensor, labels: torch.Tensor, width: Width, cache: Cache | None = None
    ) -> torch.Tensor:
        """Returns the last layer's output [batch, S, d], under the norm after it where there is one, for ids
        [batch, N]. With a cache whose `rows` are set it is [batch, n, d], for those rows."""
        embeddings, codes, classes = self.embeddings, self.config["codebook_size"], self.class_of(labels)
        first = torch.full_like(classes, codes) if self.modulated else codes + classes
        sequence = torch.cat([first[:, None], ids], 1)
        positions = torch.arange(sequence.shape[1], device=ids.device).expand_as(sequence)
        if cache is not None and cache.rows is not None:
            sequence, positions = sequence.gather(1, cache.rows), cache.rows
        x = embeddings.word(sequence) + embeddings.position(positions)
        if hasattr(embeddings, "norm"):
            x = embeddings.norm(x)
        vectors = F.silu(embeddings.get_submodule("class")(classes)) if self.modulated else None
        for layer in self.layers:
            x = layer(x, width, cache, vectors)
        if hasattr(self, "norm"):
            x = self.norm(x)
        if self.modulated:
            shift, scale = self.modulation(vectors)
            x = x * (1 + scale) + shift
        return x

    def logits(self, features: torch.Tensor) -> torch.Tensor:
        """Returns the LM head's f32 logits [..., V] for features [..., d]."""
        head = self.head
        if hasattr(head, "dense"):
            features = head.norm(activate(head.dense(features), self.config))
        output = head.output if hasattr(head, "output") else self.embeddings.word
        return F.linear(features, output.weight, head.bias).float()

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

    def fingerprint(self) -> str:
        """Returns what differs where the tokens of a sample may."""
        return hashlib.sha256(self.codebook.weight.detach().cpu().numpy().tobytes()).hexdigest()

    def tokenize(self, pixels: torch.Tensor) -> torch.Tensor:
        """Returns tokens [batch, N] for pixels [batch, frames, height, width, channels] in [0, 1]."""
        return self.nearest(self.codes(pixels))

    def decode_codes(self, codes: torch.Tensor) -> torch.Tensor:
        """Returns the decoder's pixels, not clamped, for codes [batch, N, codebook_dim]."""
        return self.pixels(self._run(self.decoder, codes))

    def detokenize(self, tokens: torch.Tensor) -> torch.Tensor:
        """Returns pixels [batch, frames, height, width, channels] in [0, 1] for tokens [batch, N]."""
        return self.decode_codes(self.codebook(tokens)).clamp(0, 1)

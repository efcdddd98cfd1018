"""What must hold before anything is timed: FLOPs by formula, and the same logits as the models of training/.

The reference is training/model.py in float32 on the CPU. It is given the tokens that the decoder here has revealed, so
one wrong step does not hide another.
"""

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from training import model as reference

from .decode import Decoder, State
from .kernels import Kernels, kernels
from .model import Linear, Model, padded_vocabulary, random_model
from .plan import PRESETS, Plan, Shape, flops, plan

aten = torch.ops.aten


class CountFlops(TorchDispatchMode):
    """Counts matrix products, 2 for a multiply-add."""

    flops = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function in (aten.addmm.default, aten.mm.default, aten.bmm.default):
            left, right = args[-2:]
            self.flops += 2 * left.numel() * right.shape[-1]
        return function(*args, **(kwargs or {}))


def counted_flops(shape: Shape, of: Plan, batch: int, guidance: float) -> int:
    """Of one generation, counted while the decoder runs on the meta device: shapes without numbers."""
    device = torch.device("meta")
    model = random_model(shape, device, torch.float32)
    labels = torch.zeros(batch, dtype=torch.int64, device=device)
    decoder = Decoder(model, of, labels, guidance, kernels("none", device, torch.float32))
    with CountFlops() as count:
        decoder.run()
    return count.flops


def check_flops(shape: Shape, of: Plan, batch: int, guidance: float) -> int:
    """The formula's FLOPs of one generation, which are those counted but for the padding of the word matrix."""
    padded = replace(shape, vocabulary=padded_vocabulary(shape))
    sequences = batch * (2 if guidance else 1)
    counted, expected = counted_flops(shape, of, batch, guidance), sequences * flops(padded, of)
    assert counted == expected, f"counted {counted} FLOPs but the formula gives {expected}"
    return sequences * flops(shape, of)


def as_reference(model: Model) -> reference.Generator:
    shape = model.shape
    config = {
        "hidden_size": shape.size,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "intermediate_size": shape.hidden,
        "norm_position": "post",
        "hidden_act": "gelu_tanh",
        "layer_norm_eps": 1e-6,
        "codebook_size": shape.codes,
        "num_classes": shape.vocabulary - shape.codes - 2,
        "latent_shape": [1, 1, shape.tokens],
        "widths": [{"heads": width.heads, "hidden": width.hidden} for width in shape.widths],
    }
    state = {
        "embeddings.word.weight": model.word.weight[: shape.vocabulary],
        "embeddings.position.weight": model.position,
        "head.bias": model.word.bias[: shape.vocabulary],
    }

    def put(name: str, parameters: tuple[torch.Tensor, torch.Tensor]) -> None:
        state[f"{name}.weight"], state[f"{name}.bias"] = parameters

    put("embeddings.norm", model.embedding_norm)
    put("head.dense", model.dense)
    put("head.norm", model.head_norm)
    for i, layer in enumerate(model.layers):
        weights = layer.qkv.weight.view(shape.heads, 3, shape.head_dim, -1)
        biases = layer.qkv.bias.view(shape.heads, 3, shape.head_dim)
        for j, name in enumerate(("query", "key", "value")):
            put(f"layers.{i}.attention.{name}", Linear(weights[:, j].flatten(0, 1), biases[:, j].flatten()))
        put(f"layers.{i}.attention.output", layer.output)
        put(f"layers.{i}.attention.norm", layer.attention_norm)
        put(f"layers.{i}.mlp.up", layer.up)
        put(f"layers.{i}.mlp.down", layer.down)
        put(f"layers.{i}.mlp.norm", layer.mlp_norm)
    generator = reference.Generator(config)
    generator.load_state_dict({name: tensor.float().cpu() for name, tensor in state.items()})
    return generator


def error(actual: torch.Tensor, expected: torch.Tensor) -> float:
    """|actual - expected| / |expected|"""
    actual = actual.float().cpu()
    return float((actual - expected).norm() / expected.norm())


@torch.no_grad()
def step_errors(decoder: Decoder, generator: reference.Generator, labels: torch.Tensor) -> Iterator[tuple[float, float]]:
    """After each step the error of its logits against a pass with the reference's cache, and against one without."""
    branch_labels = torch.cat([labels, torch.full_like(labels, -1)])[: decoder.sequences]
    cache = reference.Cache()
    state = decoder.start()
    for index, step in enumerate(decoder.plan.steps):
        before = State(state.ids.cpu().clone(), state.masked.cpu(), state.active.cpu(), [])
        logits = decoder.logits(state, step)
        decoder.reveal(state, index, logits)

        width = reference.Width(step.width.heads, step.width.hidden)
        ids = before.ids.repeat(decoder.branches, 1)
        masked = before.masked.repeat(decoder.branches, 1)
        assert masked.shape[1] == step.masked and bool((before.ids == generator.mask_id).sum(1).eq(step.masked).all())
        # Every row at a refresh; otherwise those masked a step ago, in the order of their positions.
        cache.rows = None if step.refresh else 1 + before.active.repeat(decoder.branches, 1).sort(1).values
        features = generator.features(ids, branch_labels, width, cache)
        rows = torch.arange(decoder.model.shape.positions).expand(len(ids), -1) if step.refresh else cache.rows
        places = torch.searchsorted(rows.contiguous(), 1 + masked)
        features = features.gather(1, places[..., None].expand(-1, -1, features.shape[-1]))
        cached = generator.logits(features)[..., : logits.shape[-1]].view(logits.shape)
        plain = generator(ids, branch_labels, width).gather(1, masked[..., None].expand(-1, -1, generator.mask_id + 1))
        plain = plain[..., : logits.shape[-1]].view(logits.shape)
        yield error(logits, cached), error(logits, plain)
    assert int(state.ids.max()) < decoder.model.shape.codes, "a position was never revealed"


def check_logits(device: torch.device, dtype: torch.dtype, kernels: Kernels, guidance: float) -> None:
    """A small random model through every kind of step: cached, refreshed at every step, and the baseline."""
    shape, steps, batch = PRESETS["tiny"], 12, 3
    limit = 1e-5 if dtype == torch.float32 else 3e-2
    torch.manual_seed(0)
    model = random_model(shape, device, dtype, deviation=0.1)
    generator = as_reference(model)
    labels = torch.arange(batch)
    paper = plan(shape, "paper", steps, cache=True)
    refreshed = [replace(step, refresh=True, rows=shape.positions) for step in paper.steps]
    cases = {
        "paper, cached": paper,
        "paper, cached, refreshed at every step": replace(paper, steps=refreshed),
        "paper, not cached": plan(shape, "paper", steps, cache=False),
        "full, not cached": plan(shape, "full", steps, cache=False),
    }
    for name, case in cases.items():
        decoder = Decoder(model, case, labels.to(device), guidance, kernels)
        errors = list(step_errors(decoder, generator, labels))
        worst = max(cached for cached, _ in errors)
        fresh = max(plain for step, (_, plain) in zip(case.steps, errors) if step.refresh)
        stale = [plain for step, (_, plain) in zip(case.steps, errors) if not step.refresh]
        print(f"  {name}: error {worst:.1e} with the reference's cache, {fresh:.1e} without at a refresh", end="")
        print(f", {min(stale):.1e} .. {max(stale):.1e} between them" if stale else "")
        assert worst < limit and fresh < limit, f"{name}: an error is not below {limit}"
        assert not stale or max(stale) > limit, f"{name}: the cache changed nothing"


def check_sampling(kernels: Kernels, device: torch.device) -> None:
    """Guidance, the confidence's definition, and tokens drawn as often as their probability."""
    torch.manual_seed(0)
    batch, rows, codes, guidance = 4, 20_000, 8, 1.5
    logits = torch.randn(2, batch, 1, codes, device=device).expand(-1, -1, rows, -1).contiguous()
    scores = ((1 + guidance) * logits[0] - guidance * logits[1]).log_softmax(-1)
    tokens, confidence = kernels.sample(logits, guidance, torch.tensor(0.0, device=device))
    assert torch.allclose(confidence, scores.gather(-1, tokens[..., None])[..., 0], atol=1e-4)
    drawn = torch.nn.functional.one_hot(tokens, codes).float().mean(1)
    off = float((drawn - scores[:, 0].exp()).abs().max())
    print(f"  sampling: shares of {rows} draws within {off:.4f} of the probabilities")
    assert off < 0.02


def check_totals() -> None:
    """The totals of lib/flops.ts, here and as counted."""
    shape = PRESETS["L"]
    for schedule, cache, expected in (("paper", True, 636_386_672_640), ("full", False, 1_959_845_781_504)):
        of = plan(shape, schedule, 12, cache)
        assert check_flops(shape, of, batch=1, guidance=0) == expected
        assert check_flops(shape, of, batch=8, guidance=2) == 16 * expected
        print(f"  L, {of.schedule}: {expected} FLOPs, by formula and as counted; guidance doubles them")


def check(device: torch.device, dtype: torch.dtype, kernels: Kernels) -> None:
    """@throws AssertionError"""
    check_totals()
    check_sampling(kernels, device)
    for guidance in (0.0, 2.0):
        print(f"  guidance {guidance}, {dtype}, {device}:")
        check_logits(device, dtype, kernels, guidance)

"""What must hold before anything is timed: the FLOPs are the plan's, and the logits those of training/model.py.

The reference is training/model.py in float32 on the CPU. It gets the tokens that the decoder here has revealed, so that
one wrong step does not hide another.
"""

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from training import model as reference

from .decode import Decoder, State
from .kernels import Kernels, make_kernels
from .model import Linear, Model, padded_vocab_size, random_model
from .plan import Plan

aten = torch.ops.aten


class CountFlops(TorchDispatchMode):
    """Counts the FLOPs of matrix products; a multiply-add counts 2."""

    flops = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function in (aten.addmm.default, aten.mm.default, aten.bmm.default):
            left, right = args[-2:]
            self.flops += 2 * left.numel() * right.shape[-1]
        return function(*args, **(kwargs or {}))


def counted_flops(plan: Plan, batch: int, guidance: float) -> int:
    """Returns the FLOPs of one generation, counted while the decoder runs on the meta device, which has shapes without
    numbers."""
    device = torch.device("meta")
    model = random_model(plan.shape, device, torch.float32)
    labels = torch.zeros(batch, dtype=torch.int64, device=device)
    decoder = Decoder(model, plan, labels, guidance, make_kernels("none", device, torch.float32))
    with CountFlops() as count:
        decoder.run()
    return count.flops


def check_flops(plan: Plan, batch: int, guidance: float) -> int:
    """Checks that the counted FLOPs of one generation are the plan's, plus those of the padding of the embedding table,
    and returns the plan's."""
    shape = plan.shape
    padding_rows = padded_vocab_size(shape) - shape.vocab_size
    padding = sum(2 * step.logits_rows * padding_rows * shape.hidden_size for step in plan.steps)
    branches = batch * (2 if guidance else 1)
    counted, expected = counted_flops(plan, batch, guidance), branches * (plan.flops + padding)
    assert counted == expected, f"{plan.schedule}: counted {counted} FLOPs but the plan has {expected}"
    return branches * plan.flops


def as_reference(model: Model) -> reference.Generator:
    """Returns the model of training/model.py with the same weights, in float32 on the CPU."""
    shape = model.shape
    config = {
        "hidden_size": shape.hidden_size,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "head_dim": shape.head_dim,
        "intermediate_size": shape.intermediate_size,
        "norm_position": "post",
        "hidden_act": "gelu_tanh",
        "layer_norm_eps": 1e-6,
        "codebook_size": shape.codebook_size,
        "num_classes": shape.classes,
        "latent_shape": [1, 1, shape.token_count],
        "widths": [{"heads": width.heads, "hidden": width.hidden} for width in shape.widths],
    }
    state = {
        "embeddings.word.weight": model.words.weight[: shape.vocab_size],
        "embeddings.position.weight": model.position,
        "head.bias": model.words.bias[: shape.vocab_size],
    }

    def put(name: str, parameters: tuple[torch.Tensor, torch.Tensor]) -> None:
        state[f"{name}.weight"], state[f"{name}.bias"] = parameters

    put("embeddings.norm", model.embedding_norm)
    put("head.dense", model.dense)
    put("head.norm", model.lm_head_norm)
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


def relative_error(actual: torch.Tensor, expected: torch.Tensor) -> float:
    actual = actual.float().cpu()
    return float((actual - expected).norm() / expected.norm())


@torch.no_grad()
def step_errors(
    decoder: Decoder, generator: reference.Generator, labels: torch.Tensor
) -> Iterator[tuple[float, float]]:
    """Yields, after each step, the error of its logits against the reference with a cache and against it without
    one."""
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
        assert masked.shape[1] == step.masked
        assert bool((before.ids == generator.mask_id).sum(1).eq(step.masked).all())
        # The cache's rows are in the order of their positions, where the decoder's are in the order of confidence.
        cache.rows = None if step.refresh else 1 + before.active.repeat(decoder.branches, 1).sort(1).values
        features = generator.features(ids, branch_labels, width, cache)
        rows = torch.arange(decoder.model.shape.positions).expand(len(ids), -1) if step.refresh else cache.rows
        index_of_masked = torch.searchsorted(rows.contiguous(), 1 + masked)
        features = features.gather(1, index_of_masked[..., None].expand(-1, -1, features.shape[-1]))
        cached = generator.logits(features)[..., : logits.shape[-1]].view(logits.shape)
        every_logit = generator(ids, branch_labels, width)
        uncached = every_logit.gather(1, masked[..., None].expand(-1, -1, generator.mask_id + 1))
        uncached = uncached[..., : logits.shape[-1]].view(logits.shape)
        yield relative_error(logits, cached), relative_error(logits, uncached)
    assert int(state.ids.max()) < decoder.model.shape.codebook_size, "a position was never revealed"


def check_logits(plans: dict[str, Plan], device: torch.device, dtype: torch.dtype, kernels: Kernels, guidance: float):
    """Runs a small random model through every kind of step: cached, refreshed at every step, and without a cache."""
    batch = 3
    limit = 1e-5 if dtype == torch.float32 else 3e-2
    torch.manual_seed(0)
    paper = plans["paper"]
    model = random_model(paper.shape, device, dtype, deviation=0.1)
    generator = as_reference(model)
    labels = torch.arange(batch)
    refreshed = tuple(replace(step, refresh=True, active_rows=paper.shape.positions) for step in paper.steps)
    for name, plan in {**plans, "paper, refreshed at every step": replace(paper, steps=refreshed)}.items():
        decoder = Decoder(model, plan, labels.to(device), guidance, kernels)
        errors = list(step_errors(decoder, generator, labels))
        worst = max(cached for cached, _ in errors)
        fresh = max(uncached for step, (_, uncached) in zip(plan.steps, errors) if step.refresh)
        stale = [uncached for step, (_, uncached) in zip(plan.steps, errors) if not step.refresh]
        print(f"  {name}: error {worst:.1e} against the cached reference; against the uncached one {fresh:.1e}", end="")
        print(f" at a refresh, {min(stale):.1e} .. {max(stale):.1e} elsewhere" if stale else " at every step")
        assert worst < limit and fresh < limit, f"{name}: an error is not below {limit}"
        assert not stale or max(stale) > limit, f"{name}: the cache changed nothing"


def check_sampling(kernels: Kernels, device: torch.device) -> None:
    """Checks guidance, the confidence, and that tokens are drawn as often as their probability says."""
    torch.manual_seed(0)
    batch, rows, codes, guidance = 4, 20_000, 8, 1.5
    logits = torch.randn(2, batch, 1, codes, device=device).expand(-1, -1, rows, -1).contiguous()
    scores = ((1 + guidance) * logits[0] - guidance * logits[1]).log_softmax(-1)
    tokens, confidence = kernels.sample(logits, guidance, torch.tensor(0.0, device=device))
    assert torch.allclose(confidence, scores.gather(-1, tokens[..., None])[..., 0], atol=1e-4)
    drawn = torch.nn.functional.one_hot(tokens, codes).float().mean(1)
    difference = float((drawn - scores[:, 0].exp()).abs().max())
    print(f"  sampling: {rows} draws, frequencies within {difference:.4f} of the probabilities")
    assert difference < 0.02


def check(
    plans: dict[str, Plan], tiny: dict[str, Plan], device: torch.device, dtype: torch.dtype, kernels: Kernels
) -> None:
    """Checks the FLOPs of `plans` and `tiny`, and the logits of a model of the size of `tiny`. @throws
    AssertionError"""
    for plan in (*plans.values(), *tiny.values()):
        check_flops(plan, batch=8, guidance=2)
        flops = check_flops(plan, batch=1, guidance=0)
        print(f"  {plan.shape.name}, {plan.schedule}: {flops} FLOPs, planned and counted; guidance doubles them")
    check_sampling(kernels, device)
    for guidance in (0.0, 2.0):
        print(f"  guidance {guidance}, {dtype}, {device}:")
        check_logits(tiny, device, dtype, kernels, guidance)

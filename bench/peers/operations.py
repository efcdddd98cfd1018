"""python3 -m bench.peers.operations: times the parts of a generation, and the most that the device can do.

    mm, copy           the limits: a large bf16 product by torch.mm, and a copy on the device (bytes read and written)
    qkv, output, up, down, dense, lm_head
                       the products of `generate` by cuBLAS through torch.nn.functional.linear, at every row count and
                       width of both methods; `lm_head` with its padding; `up_gelu` is `up` with GELU in the epilogue
    attention          scaled_dot_product_attention by each backend; keys and values lie inside of their projection

Weights, keys and values are taken in turn from as many layers as the model has, or from enough copies not to fit a
cache. Calls follow one another in one CUDA graph, and the seconds are those of one call. The JSON is that of
report.py; a row also has

    mm, products       batch (products), width, m, n, k
    copy               bytes, bytes_per_second; it has no flops
    attention          batch, width, backend, sequences, heads, queries, keys, head_dim
"""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from .attention import backends
from .kernels import linear, linear_gelu
from .model import Linear, Model, narrowed, random_model
from .plan import Plan, Step, Width, load_plans
from .report import COMPUTE, Report
from .timing import Timing, per_call

CACHE_BYTES = 256 << 20  # operands of this size do not stay in a cache until their next turn


@dataclass(frozen=True)
class Bench:
    report: Report
    device: torch.device
    dtype: torch.dtype
    repeats: int

    def normal(self, *size: int) -> torch.Tensor:
        return torch.randn(size, device=self.device, dtype=self.dtype)

    def time(self, calls: list[Callable[[], torch.Tensor]]) -> Timing:
        return per_call(calls, self.repeats, self.device)


def microseconds(timing: Timing) -> str:
    return "".join(f"{1e6 * timing[name]:12.2f}" for name in ("median", "min", "max"))


def time_limits(bench: Bench) -> None:
    cuda = bench.device.type == "cuda"
    n = 8192 if cuda else 1024
    left, right = bench.normal(n, n), bench.normal(n, n)
    timing = bench.time([lambda: torch.mm(left, right)] * 4)
    flops = 2 * n**3
    line = f"{'mm':10}{n:8} x {n} x {n}{microseconds(timing)}{flops / timing['median'] / 1e12:9.2f} TFLOP/s"
    bench.report.add("mm", {"m": n, "n": n, "k": n}, timing, flops, line)

    source = torch.randint(256, (2 << 30 if cuda else 64 << 20,), dtype=torch.uint8, device=bench.device)
    target = torch.empty_like(source)
    timing = bench.time([lambda: target.copy_(source)] * 4)
    rate = 2 * source.numel() / timing["median"]
    line = f"{'copy':10}{source.numel():8} bytes{microseconds(timing)}{rate / 1e9:9.1f} GB/s"
    bench.report.add("copy", {"bytes": source.numel(), "bytes_per_second": rate}, timing, None, line)


def products(model: Model, steps: list[Step], sequences: int) -> Iterator[tuple[str, Width, int, list[Linear]]]:
    """Yields every (name, width, rows, weights to take in turn) once. The products of the LM head do not depend on the
    width."""
    shape = model.shape
    for width, rows in dict.fromkeys((step.width, step.active_rows) for step in steps):
        layers = [narrowed(layer, shape, width) for layer in model.layers]
        for name in ("qkv", "output", "up", "up_gelu", "down"):
            yield name, width, sequences * rows, [getattr(layer, name.removesuffix("_gelu")) for layer in layers]
    lm_head = {
        name: [Linear(layer.weight.clone(), layer.bias) for _ in model.layers]
        for name, layer in (("dense", model.dense), ("lm_head", model.words))
    }
    for rows in dict.fromkeys(step.logits_rows for step in steps):
        for name, copies in lm_head.items():
            yield name, shape.widths[-1], sequences * rows, copies


def time_products(bench: Bench, model: Model, steps: list[Step], batch: int, branches: int) -> None:
    for name, width, m, weights in products(model, steps, branches * batch):
        n, k = weights[0].weight.shape
        x = bench.normal(m, k)
        function = linear_gelu if name == "up_gelu" else linear
        timing = bench.time([lambda layer=layer: function(x, layer) for layer in weights])
        flops = 2 * m * n * k
        line = f"{name:10}{batch:6}{width.name:>5}{m:9} x {n:4} x {k:4}{microseconds(timing)}"
        line += f"{flops / timing['median'] / 1e12:9.2f} TFLOP/s"
        settings = {"batch": batch, "width": width.name, "m": m, "n": n, "k": k}
        bench.report.add(name, settings, timing, flops, line)


def time_attention(bench: Bench, plans: list[Plan], batch: int, branches: int) -> None:
    shape, steps = plans[0].shape, [step for plan in plans for step in plan.steps]
    sequences, keys, head_dim = branches * batch, shape.positions, shape.head_dim
    for width, rows in dict.fromkeys((step.width, step.active_rows) for step in steps):
        size = (sequences, keys, width.heads, 3, head_dim)
        bytes_each = torch.Size(size).numel() * torch.finfo(bench.dtype).bits // 8
        projections = [bench.normal(*size) for _ in range(min(shape.layers, 1 + CACHE_BYTES // bytes_each))]
        query = bench.normal(sequences, rows, width.heads, 3, head_dim)[..., 0, :].transpose(1, 2)
        flops = 4 * sequences * width.heads * rows * keys * head_dim
        for name, backend in backends(bench.device, bench.dtype).items():
            pairs = [(qkv[..., 1, :].transpose(1, 2), qkv[..., 2, :].transpose(1, 2)) for qkv in projections]
            calls = [lambda pair=pair: backend(query, *pair) for pair in pairs]
            settings = {"batch": batch, "width": width.name, "backend": name, "sequences": sequences}
            settings |= {"heads": width.heads, "queries": rows, "keys": keys, "head_dim": head_dim}
            start = f"{'attention':10}{batch:6}{width.name:>5}{width.heads:5} x {rows:4} x {keys:4}"
            try:
                timing = bench.time(calls)
            except RuntimeError as error:
                print(f"{start}  {name} does not run it ({error})")
                continue
            line = f"{start}{microseconds(timing)}{flops / timing['median'] / 1e12:9.2f} TFLOP/s  {name}"
            bench.report.add("attention", settings, timing, flops, line)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="L", help="a preset, a bundled model or a folder, as for `magnets plan`")
    parser.add_argument("--plan", type=Path, metavar="FILE", help="plans by bench.peers.plan; default: Node makes them")
    parser.add_argument("--batch", default="1,8,64,256", help="numbers of samples, a list")
    parser.add_argument("--branches", type=int, choices=(1, 2), default=2, help="2: with guidance")
    parser.add_argument("--operations", default="limits,products,attention", help="a list of these")
    parser.add_argument("--repeats", type=int, default=20, help="timed runs of each graph")
    parser.add_argument("--device", type=torch.device, default="cuda")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()

    every_plan = load_plans(arguments.model, arguments.plan)
    plans = [every_plan["paper"], every_plan["baseline"]]
    steps = [step for plan in plans for step in plan.steps]
    device, shape = arguments.device, plans[0].shape
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    settings = {"compute": COMPUTE[dtype], "model": shape.name, "repeats": arguments.repeats}
    bench = Bench(Report(device, settings, arguments.json), device, dtype, arguments.repeats)
    operations = arguments.operations.split(",")
    torch.manual_seed(0)
    print(f"{'':41}{'median us':>12}{'min':>12}{'max':>12}")
    if "limits" in operations:
        time_limits(bench)
    for batch in map(int, arguments.batch.split(",")):
        if "products" in operations:
            time_products(bench, random_model(shape, device, dtype), steps, batch, arguments.branches)
        if "attention" in operations:
            time_attention(bench, plans, batch, arguments.branches)


if __name__ == "__main__":
    main()

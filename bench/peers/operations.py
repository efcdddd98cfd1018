"""python3 -m bench.peers.operations: the parts of a generation one by one, beside what the device can do at most.

    mm, copy           the floors: a large bf16 product by torch.mm, and a copy on the device (bytes read and written)
    qkv, output, up, down, dense, words
                       the products of `generate` by cuBLAS through torch.nn.functional.linear, at every row count and
                       width of both its variants; `words` with its padding, `up_gelu` is `up` with GELU in the epilogue
    attention          scaled_dot_product_attention by each backend, keys and values inside the projection they came in

Weights, keys and values are taken in turn from as many layers as the model has, or from enough copies not to fit a
cache. Calls follow one another in one CUDA graph; seconds are those of one call. JSON is that of report.py; a row adds

    mm, products       batch (products), width, m, n, k
    copy               bytes, bytes_per_second; flops and tflops are null
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
from .plan import PRESETS, Shape, Step, Width, plan
from .report import Report
from .timing import Seconds, per_call

CACHE_BYTES = 256 << 20  # operands of this size do not stay in a cache between two turns


@dataclass(frozen=True)
class Bench:
    report: Report
    device: torch.device
    dtype: torch.dtype
    repeats: int

    def normal(self, *size: int) -> torch.Tensor:
        return torch.randn(size, device=self.device, dtype=self.dtype)

    def time(self, calls: list[Callable[[], torch.Tensor]]) -> Seconds:
        return per_call(calls, self.repeats, self.device)


def microseconds(seconds: Seconds) -> str:
    return "".join(f"{1e6 * seconds[name]:12.2f}" for name in ("median", "min", "max"))


def floors(bench: Bench) -> None:
    cuda = bench.device.type == "cuda"
    n = 8192 if cuda else 1024
    left, right = bench.normal(n, n), bench.normal(n, n)
    seconds = bench.time([lambda: torch.mm(left, right)] * 4)
    flops = 2 * n**3
    line = f"{'mm':10}{n:8} x {n} x {n}{microseconds(seconds)}{flops / seconds['median'] / 1e12:9.2f} TFLOP/s"
    bench.report.add("mm", {"m": n, "n": n, "k": n}, seconds, flops, line)

    source = torch.randint(256, (2 << 30 if cuda else 64 << 20,), dtype=torch.uint8, device=bench.device)
    target = torch.empty_like(source)
    seconds = bench.time([lambda: target.copy_(source)] * 4)
    rate = 2 * source.numel() / seconds["median"]
    line = f"{'copy':10}{source.numel():8} bytes{microseconds(seconds)}{rate / 1e9:9.1f} GB/s"
    bench.report.add("copy", {"bytes": source.numel(), "bytes_per_second": rate}, seconds, None, line)


def steps(shape: Shape) -> list[Step]:
    """Of both variants at 12 steps."""
    return plan(shape, "paper", 12, cache=True).steps + plan(shape, "full", 12, cache=False).steps


def products(model: Model, sequences: int) -> Iterator[tuple[str, Width, int, list[Linear]]]:
    """Each (name, width, rows, weights to take in turn) once. The head's products do not depend on the width."""
    shape, of = model.shape, steps(model.shape)
    for width, rows in dict.fromkeys((step.width, step.rows) for step in of):
        layers = [narrowed(layer, shape, width) for layer in model.layers]
        for name in ("qkv", "output", "up", "up_gelu", "down"):
            yield name, width, sequences * rows, [getattr(layer, name.removesuffix("_gelu")) for layer in layers]
    heads = {
        name: [Linear(to.weight.clone(), to.bias) for _ in model.layers]
        for name, to in (("dense", model.dense), ("words", model.word))
    }
    for rows in dict.fromkeys(step.head_rows for step in of):
        for name, copies in heads.items():
            yield name, shape.widths[-1], sequences * rows, copies


def time_products(bench: Bench, model: Model, batch: int, branches: int) -> None:
    for name, width, m, weights in products(model, branches * batch):
        n, k = weights[0].weight.shape
        x = bench.normal(m, k)
        function = linear_gelu if name == "up_gelu" else linear
        seconds = bench.time([lambda to=to: function(x, to) for to in weights])
        flops = 2 * m * n * k
        line = f"{name:10}{batch:6}{width.name:>5}{m:9} x {n:4} x {k:4}{microseconds(seconds)}"
        line += f"{flops / seconds['median'] / 1e12:9.2f} TFLOP/s"
        facts = {"batch": batch, "width": width.name, "m": m, "n": n, "k": k}
        bench.report.add(name, facts, seconds, flops, line)


def time_attention(bench: Bench, shape: Shape, batch: int, branches: int) -> None:
    sequences, keys, head_dim = branches * batch, shape.positions, shape.head_dim
    for width, rows in dict.fromkeys((step.width, step.rows) for step in steps(shape)):
        size = (sequences, keys, width.heads, 3, head_dim)
        bytes_each = torch.Size(size).numel() * torch.finfo(bench.dtype).bits // 8
        known = [bench.normal(*size) for _ in range(min(shape.layers, 1 + CACHE_BYTES // bytes_each))]
        query = bench.normal(sequences, rows, width.heads, 3, head_dim)[..., 0, :].transpose(1, 2)
        flops = 4 * sequences * width.heads * rows * keys * head_dim
        for name, backend in backends(bench.device, bench.dtype).items():
            calls = [
                lambda key=qkv[..., 1, :].transpose(1, 2), value=qkv[..., 2, :].transpose(1, 2): backend(query, key, value)
                for qkv in known
            ]
            facts = {"batch": batch, "width": width.name, "backend": name, "sequences": sequences, "heads": width.heads}
            facts |= {"queries": rows, "keys": keys, "head_dim": head_dim}
            what = f"{'attention':10}{batch:6}{width.name:>5}{width.heads:5} x {rows:4} x {keys:4}"
            try:
                seconds = bench.time(calls)
            except RuntimeError as error:
                print(f"{what}  {name} does not run it ({error})")
                continue
            line = f"{what}{microseconds(seconds)}{flops / seconds['median'] / 1e12:9.2f} TFLOP/s  {name}"
            bench.report.add("attention", facts, seconds, flops, line)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=PRESETS, default="L")
    parser.add_argument("--batch", default="1,8,64,256", help="samples, a list")
    parser.add_argument("--branches", type=int, choices=(1, 2), default=2, help="2: with guidance")
    parser.add_argument("--parts", default="floors,products,attention", help="a list of these")
    parser.add_argument("--repeats", type=int, default=20, help="timed runs of each graph")
    parser.add_argument("--device", type=torch.device, default="cuda")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()

    device, shape = arguments.device, PRESETS[arguments.model]
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    settings = {"dtype": str(dtype), "model": shape.name, "repeats": arguments.repeats}
    bench = Bench(Report(device, settings, arguments.json), device, dtype, arguments.repeats)
    parts = arguments.parts.split(",")
    torch.manual_seed(0)
    print(f"{'':41}{'median us':>12}{'min':>12}{'max':>12}")
    if "floors" in parts:
        floors(bench)
    for batch in map(int, arguments.batch.split(",")):
        if "products" in parts:
            time_products(bench, random_model(shape, device, dtype), batch, arguments.branches)
        if "attention" in parts:
            time_attention(bench, shape, batch, arguments.branches)


if __name__ == "__main__":
    main()

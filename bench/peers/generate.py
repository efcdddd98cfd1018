"""python3 -m bench.peers.generate: whole generations in PyTorch, the full-size baseline beside nested widths.

    full     the full width at every step, every row through every layer and the head, no cache
    nested   the schedule `paper`: 1/8x3,1/4x3,1/2x3,1x3 at 12 steps, active rows only, keys and values of known tokens
             cached, refreshed at each change of width

Random weights. A generation starts from masks on the device and ends with tokens on the device: embedding, layers, head,
guidance, Gumbel-max sampling, confidence, choosing what to reveal. It is one CUDA graph, timed from its launch to its
end; both variants are timed in turn. JSON is that of report.py; a row adds model, batch, steps, schedule, guidance,
`attention`, each step's fastest backend, and `clock`, the SM clock while it repeats.
`--check` tests the code and times nothing.
"""

import argparse
import gc
from dataclasses import dataclass
from pathlib import Path

import torch

from .check import check, check_flops
from .decode import Decoder
from .kernels import COMPILE, Kernels, default_compile, kernels
from .model import Model, random_model
from .plan import PRESETS, Plan, plan
from .report import Report, clock_while
from .timing import Seconds, captured, interleaved

COMPILE_HELP = "; ".join(f"{name}: {meaning}" for name, meaning in COMPILE.items())


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=PRESETS, default="L")
    parser.add_argument("--batch", default="1,8,64,256", help="samples, a list")
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--guidance", type=float, default=2.0, help="0: one branch")
    parser.add_argument("--compile", choices=COMPILE, default=default_compile(), help=COMPILE_HELP)
    parser.add_argument("--repeats", type=int, default=30, help="timed runs of each variant")
    parser.add_argument("--device", type=torch.device, default="cuda")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--check", action="store_true")
    return parser.parse_args()


@dataclass(frozen=True)
class Measured:
    seconds: Seconds
    attention: list[str]  # each step's backend
    clock: str | None


def measure(
    model: Model, plans: dict[str, Plan], batch: int, guidance: float, repeats: int, functions: Kernels
) -> dict[str, Measured]:
    """Every plan's generation of one batch."""
    shape, device = model.shape, model.position.device
    labels = torch.arange(batch, device=device) % (shape.vocabulary - shape.codes - 2)
    runs, attention = {}, {}
    for name, one in plans.items():
        decoder = Decoder(model, one, labels, guidance, functions)
        runs[name], ids = captured(decoder.run, device)
        assert int(ids.max()) < shape.codes, f"{name}: a position was never revealed"
        shapes = [(decoder.sequences, step.width.heads, step.rows, shape.positions) for step in one.steps]
        attention[name] = [functions.attend.chosen[key] for key in shapes]
    seconds = interleaved(runs, repeats, device)
    clocks = {name: clock_while(run, seconds[name]["median"], device) for name, run in runs.items()}
    return {name: Measured(seconds[name], attention[name], clocks[name]) for name in plans}


def main() -> None:
    arguments = parse()
    device, shape = arguments.device, PRESETS[arguments.model]
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    settings = {
        "dtype": str(dtype),
        "compile": COMPILE[arguments.compile],
        "gelu": "in cuBLASLt's epilogue unless compiled" if device.type == "cuda" else "by itself",
        "graphs": "a generation is one CUDA graph" if device.type == "cuda" else "no CUDA graphs",
        "model": shape.name,
        "repeats": arguments.repeats,
    }
    functions = kernels(arguments.compile, device, dtype)
    settings["attention"] = "for each shape the fastest of: " + ", ".join(functions.attend.backends)
    report = Report(device, settings, arguments.json)
    if arguments.check:
        check(device, dtype, functions)
        print("all checks passed")
        return

    torch.manual_seed(0)
    model = random_model(shape, device, dtype)
    plans = {
        "full": plan(shape, "full", arguments.steps, cache=False),
        "nested": plan(shape, "paper", arguments.steps, cache=True),
    }
    sample_flops = {name: check_flops(shape, one, 1, arguments.guidance) for name, one in plans.items()}
    print(f"{'':8}{'batch':>6}{'median ms':>11}{'min':>11}{'max':>11}{'a sample':>11}{'TFLOP/s':>9}{'FLOPs':>8}{'time':>8}")
    for batch in map(int, arguments.batch.split(",")):
        results = measure(model, plans, batch, arguments.guidance, arguments.repeats, functions)
        for name, result in results.items():
            median, flops = result.seconds["median"], batch * sample_flops[name]
            line = f"{name:8}{batch:6}"
            line += "".join(f"{1e3 * result.seconds[key]:11.2f}" for key in ("median", "min", "max"))
            line += f"{1e3 * median / batch:11.3f}{flops / median / 1e12:9.1f}"
            line += f"{sample_flops['full'] / sample_flops[name]:7.2f}x{results['full'].seconds['median'] / median:7.2f}x"
            line += f"  {'+'.join(sorted(set(result.attention)))}  {result.clock or ''}"
            facts = {"model": shape.name, "batch": batch, "steps": arguments.steps, "schedule": plans[name].schedule}
            facts |= {"guidance": arguments.guidance, "attention": result.attention, "clock": result.clock}
            report.add(name, facts, result.seconds, flops, line)
        gc.collect()
        if device.type == "cuda":
            torch.cuda.empty_cache()


if __name__ == "__main__":
    main()

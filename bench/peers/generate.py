"""python3 -m bench.peers.generate: times whole generations in PyTorch, the baseline and nested widths.

    baseline   the full width at every step, every row through every layer and the LM head, no cache
    paper      the schedule 'paper', 1/8x3,1/4x3,1/2x3,1x3 at 12 steps: active rows only, with a cache of keys and
               values that is refreshed at each change of width

The weights are random. A generation starts from masks on the device and ends with tokens on the device: embedding,
layers, LM head, guidance, Gumbel-max sampling, confidence, and the choice of what to reveal. On a GPU it is one CUDA
graph, timed from its launch to its end. Both methods take turns.

Sizes and plans come from `magnets plan`, through Node or from a file (bench/peers/plan.py). The JSON is that of
report.py; a row also has model, batch, steps, schedule, guidance, `attention`, the fastest backend for each step, and
`clock`, the SM clock while the row's generation repeats. `--check` tests the code and times nothing.
"""

import argparse
import gc
from dataclasses import dataclass
from pathlib import Path

import torch

from .check import check, check_flops
from .decode import Decoder
from .kernels import COMPILE, Kernels, default_compile, make_kernels
from .model import Model, random_model
from .plan import TINY, Plan, load_plans
from .report import COMPUTE, Report, clock_while
from .timing import Timing, captured, interleaved

COMPILE_HELP = "; ".join(f"{name}: {meaning}" for name, meaning in COMPILE.items())


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="L", help="a preset, a bundled model or a folder, as for `magnets plan`")
    parser.add_argument("--plan", type=Path, metavar="FILE", help="plans by bench.peers.plan; default: Node makes them")
    parser.add_argument("--batch", default="1,8,64,256", help="numbers of samples, a list")
    parser.add_argument("--guidance", type=float, default=2.0, help="0 runs one branch")
    parser.add_argument("--compile", choices=COMPILE, default=default_compile(), help=COMPILE_HELP)
    parser.add_argument("--repeats", type=int, default=30, help="timed runs of each method")
    parser.add_argument("--device", type=torch.device, default="cuda")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--check", action="store_true")
    return parser.parse_args()


@dataclass(frozen=True)
class Result:
    timing: Timing
    attention: list[str]  # the backend of each step
    clock: str | None


def measure(
    model: Model, plans: dict[str, Plan], batch: int, guidance: float, repeats: int, kernels: Kernels
) -> dict[str, Result]:
    """Times the generation of one batch by every plan."""
    shape, device = model.shape, model.position.device
    labels = torch.arange(batch, device=device) % shape.classes
    runs, attention = {}, {}
    for name, plan in plans.items():
        decoder = Decoder(model, plan, labels, guidance, kernels)
        runs[name], ids = captured(decoder.run, device)
        assert int(ids.max()) < shape.codebook_size, f"{name}: a position was never revealed"
        shapes = [(decoder.sequences, step.width.heads, step.active_rows, shape.positions) for step in plan.steps]
        attention[name] = [kernels.attend.chosen[key] for key in shapes]
    timings = interleaved(runs, repeats, device)
    clocks = {name: clock_while(run, timings[name]["median"], device) for name, run in runs.items()}
    return {name: Result(timings[name], attention[name], clocks[name]) for name in plans}


def main() -> None:
    arguments = parse()
    device, every_plan = arguments.device, load_plans(arguments.model, arguments.plan)
    plans = {name: every_plan[name] for name in ("baseline", "paper")}
    shape, guidance = plans["baseline"].shape, arguments.guidance
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    kernels = make_kernels(arguments.compile, device, dtype)
    settings = {
        "compute": COMPUTE[dtype],
        "compile": COMPILE[arguments.compile],
        "gelu": "in cuBLASLt's epilogue unless compiled" if device.type == "cuda" else "an operation of its own",
        "graphs": "a generation is one CUDA graph" if device.type == "cuda" else "no CUDA graphs",
        "repeats": arguments.repeats,
        "attention": "for each shape the fastest of: " + ", ".join(kernels.attend.backends),
    }
    if arguments.check:
        check(every_plan, load_plans(TINY, arguments.plan), device, dtype, kernels)
        print("all checks passed")
        return

    report = Report(device, settings, arguments.json)
    torch.manual_seed(0)
    model = random_model(shape, device, dtype)
    sample_flops = {name: check_flops(plan, 1, guidance) for name, plan in plans.items()}
    headings = f"{'median ms':>11}{'min':>11}{'max':>11}{'a sample':>11}{'TFLOP/s':>9}{'FLOPs':>8}{'time':>8}"
    print(f"{'':8}{'batch':>6}{headings}")
    for batch in map(int, arguments.batch.split(",")):
        results = measure(model, plans, batch, guidance, arguments.repeats, kernels)
        for name, result in results.items():
            median, flops = result.timing["median"], batch * sample_flops[name]
            flops_ratio = sample_flops["baseline"] / sample_flops[name]
            time_ratio = results["baseline"].timing["median"] / median
            line = f"{name:8}{batch:6}"
            line += "".join(f"{1e3 * result.timing[key]:11.2f}" for key in ("median", "min", "max"))
            line += f"{1e3 * median / batch:11.3f}{flops / median / 1e12:9.1f}{flops_ratio:7.2f}x{time_ratio:7.2f}x"
            line += f"  {'+'.join(sorted(set(result.attention)))}  {result.clock or ''}"
            row = {"model": shape.name, "batch": batch, "steps": len(plans[name].steps)}
            row |= {"schedule": plans[name].schedule, "guidance": guidance}
            row |= {"attention": result.attention, "clock": result.clock}
            report.add(name, row, result.timing, flops, line)
        gc.collect()
        if device.type == "cuda":
            torch.cuda.empty_cache()


if __name__ == "__main__":
    main()

"""Timing on a device: of CUDA graphs by CUDA events, elsewhere by a clock."""

import statistics
import time
from collections.abc import Callable

import torch

Timing = dict[str, float | list[float]]  # samples, median, min, max, in seconds

WARM_UP_RUNS = 3  # compilation, choices of algorithms and allocations are done by then


def captured(function: Callable[[], torch.Tensor], device: torch.device) -> tuple[Callable[[], object], torch.Tensor]:
    """Captures a function, after warming it up, as one CUDA graph. Returns a function that replays the graph, and the
    tensor that holds the result after every replay. Without CUDA it returns the function itself and its first
    result."""
    if device.type != "cuda":
        return function, function()
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARM_UP_RUNS):
            function()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = function()
    graph.replay()
    torch.cuda.synchronize()
    return graph.replay, result


def once(run: Callable[[], object], device: torch.device) -> float:
    """Returns the seconds from the start of one run on an idle device to its end."""
    if device.type != "cuda":
        started = time.perf_counter()
        run()
        return time.perf_counter() - started
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    start.record()
    run()
    end.record()
    end.synchronize()
    return start.elapsed_time(end) / 1000


def summary(samples: list[float]) -> Timing:
    return {"samples": samples, "median": statistics.median(samples), "min": min(samples), "max": max(samples)}


def interleaved(runs: dict[str, Callable[[], object]], repeats: int, device: torch.device) -> dict[str, Timing]:
    """Times all runs in turn, `repeats` times over, so that a drift of the clocks falls on all of them."""
    samples: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            samples[name].append(once(run, device))
    return {name: summary(values) for name, values in samples.items()}


def per_call(calls: list[Callable[[], torch.Tensor]], repeats: int, device: torch.device) -> Timing:
    """Returns the time of one of `calls`. They follow one another in one graph, which amortises the cost of a
    launch."""

    def every() -> torch.Tensor:
        for call in calls[:-1]:
            call()
        return calls[-1]()

    run, _ = captured(every, device)
    samples = interleaved({"graph": run}, repeats, device)["graph"]["samples"]
    return summary([seconds / len(calls) for seconds in samples])

"""Timing on a device: whole CUDA graphs between CUDA events, or a clock where there are none."""

import statistics
import time
from collections.abc import Callable

import torch

Seconds = dict[str, float]  # median, min, max

WARM_UP = 3  # runs before a capture: compilation, algorithm choices, allocations


def captured(function: Callable[[], torch.Tensor], device: torch.device) -> tuple[Callable[[], object], torch.Tensor]:
    """The warmed-up function as one CUDA graph: (what runs it again, the tensor that every run's result lands in).

    Without CUDA: (the function itself, its first result).
    """
    if device.type != "cuda":
        return function, function()
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARM_UP):
            function()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = function()
    graph.replay()
    torch.cuda.synchronize()
    return graph.replay, result


def once(run: Callable[[], object], device: torch.device) -> float:
    """Seconds from the start of one run on an idle device to its end."""
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


def summary(samples: list[float]) -> Seconds:
    return {"median": statistics.median(samples), "min": min(samples), "max": max(samples)}


def interleaved(runs: dict[str, Callable[[], object]], repeats: int, device: torch.device) -> dict[str, Seconds]:
    """Every run in turn, `repeats` times over, so that a drift of the clocks falls on all of them."""
    samples: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            samples[name].append(once(run, device))
    return {name: summary(values) for name, values in samples.items()}


def per_call(calls: list[Callable[[], torch.Tensor]], repeats: int, device: torch.device) -> Seconds:
    """Seconds of one of `calls`, captured one after the other in one graph: the cost of a launch is amortised."""

    def every() -> torch.Tensor:
        for call in calls[:-1]:
            call()
        return calls[-1]()

    run, _ = captured(every, device)
    return {name: value / len(calls) for name, value in interleaved({"calls": run}, repeats, device)["calls"].items()}

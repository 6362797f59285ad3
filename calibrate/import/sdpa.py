#!/usr/bin/env python3
"""Times PyTorch's scaled_dot_product_attention on a GPU and writes CSV for `windtunnel calibrate import`.

    python3 sdpa.py --out sdpa.csv
    windtunnel calibrate import sdpa.csv --source "torch 2.x on my GPU, July" --out attention.jsonl

Every shape is timed with each backend that takes it (flash, cuDNN, memory-efficient), forced by `sdpa_kernel`; the
fastest of a shape has `extra.best` 1. What is timed is device time of one call in a stream that never runs dry: forward
calls (without what a backward pass would keep) are captured in a CUDA graph, backward calls are queued behind a sleeping
kernel. Inputs are random normal BF16 and rotate through sets of more than twice the L2, so nothing is left there from the
call before. Each time is a median over repetitions at sustained load, after a warm-up, with the 5th and 95th percentile.
Results are compared with FP32 arithmetic before anything is timed. About 40 shapes, under a minute.

A causal call has as many queries as keys. Flash attention in PyTorch wants values as wide as keys: where they are narrower
they are padded before the clock starts, and the implementation says so.
"""

import argparse
import csv
import math
import os
import sys
from dataclasses import dataclass

WARM_SECONDS = 0.08
TIMED_SECONDS = 0.12
N_REPETITIONS = 20
N_CALLS_MAX = 64
# Queued calls that the device works on while the host is still queuing.
SLEEP_CYCLES = 20_000_000
ERROR_MAX = 0.03

COLUMNS = (
    "kernel,heads,kv-heads,queries,keys,qk,value,causal,direction,seconds,low,high,runs,implementation,extra.best"
).split(",")


@dataclass(frozen=True)
class Shape:
    """Heads are those of one sequence; `batch` sequences."""

    batch: int
    heads: int
    kv_heads: int
    queries: int
    keys: int
    qk: int
    value: int
    causal: bool
    direction: str

    def flops(self) -> float:
        pairs = self.batch * self.heads * self.queries * self.keys * (0.5 if self.causal else 1.0)
        width = self.qk + self.value if self.direction == "forward" else 3 * self.qk + 2 * self.value
        return 2.0 * pairs * width


def shapes(quick: bool) -> list[Shape]:
    """Training, prefill and decoding: 128 heads of 192 and 128 as in multi-head latent attention, then 128 and 128."""
    found = []
    both = ("forward", "backward")
    # Training, latent attention: whole layers and the heads of tensor-parallel ranks.
    for heads, tokens in ((128, 1024), (128, 2048), (128, 4096), (16, 4096), (32, 8192)):
        found += [Shape(1, heads, heads, tokens, tokens, 192, 128, True, way) for way in both]
    found += [Shape(1, 128, 128, 4096, 4096, 192, 128, False, way) for way in both]
    # Training, grouped queries: 8 of tensor-parallel ranks and whole layers.
    for heads, kv_heads, tokens in ((16, 1, 8192), (64, 8, 4096), (32, 8, 4096), (128, 128, 1024)):
        found += [Shape(1, heads, kv_heads, tokens, tokens, 128, 128, True, way) for way in both]
    found += [Shape(16, 32, 32, 512, 512, 128, 128, False, way) for way in both]
    # Prefill: one sequence, long; and a piece of one that sees all before it.
    found += [Shape(1, 16, 16, tokens, tokens, 192, 128, True, "forward") for tokens in (512, 16384)]
    found += [Shape(1, 64, 8, tokens, tokens, 128, 128, True, "forward") for tokens in (512, 8192, 16384)]
    found += [Shape(1, 64, 8, 2048, keys, 128, 128, False, "forward") for keys in (8192, 16384)]
    # Decoding: one query a sequence.
    for batch, keys in ((1, 8192), (16, 2048), (64, 1024), (64, 4096), (128, 2048), (8, 32768)):
        found.append(Shape(batch, 64, 8, 1, keys, 128, 128, False, "forward"))
    return found[::4] if quick else found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--out", default="sdpa.csv", help="the file to write (default: %(default)s)")
    parser.add_argument("--device", type=int, default=0, help="which GPU (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="every fourth shape")
    parser.add_argument("--list", action="store_true", help="print the shapes and measure nothing")
    arguments = parser.parse_args()
    if arguments.list:
        for shape in shapes(arguments.quick):
            print(shape)
        return 0
    try:
        import torch
    except ImportError:
        print("error: there is no `torch` in this Python", file=sys.stderr)
        return 4
    if not torch.cuda.is_available() or arguments.device >= torch.cuda.device_count():
        print(f"error: there is no GPU {arguments.device} that torch can use", file=sys.stderr)
        return 4
    torch.cuda.set_device(arguments.device)
    rows, refused = Measurement(torch).all(shapes(arguments.quick))
    if not rows:
        print("error: no backend took any shape", file=sys.stderr)
        return 4
    partial = arguments.out + ".partial"
    with open(partial, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    os.replace(partial, arguments.out)
    for reason, count in sorted(refused.items()):
        print(f"left out: {count:4}  {reason}", file=sys.stderr)
    print(f"{len(rows)} samples in {arguments.out}", file=sys.stderr)
    return 0


class Measurement:
    """One GPU, and what is known of its backends."""

    def __init__(self, torch):
        from torch.nn.attention import SDPBackend, sdpa_kernel

        self.torch = torch
        self.force = sdpa_kernel
        self.backends = {
            "flash": SDPBackend.FLASH_ATTENTION,
            "cudnn": SDPBackend.CUDNN_ATTENTION,
            "efficient": SDPBackend.EFFICIENT_ATTENTION,
        }
        self.math = SDPBackend.MATH
        properties = torch.cuda.get_device_properties(torch.cuda.current_device())
        self.l2 = getattr(properties, "L2_cache_size", 64 << 20)
        self.verified: dict[tuple, str] = {}
        torch.manual_seed(1)

    def version(self, backend: str) -> str:
        torch = self.torch
        text = f"torch {torch.__version__} {backend}"
        return f"{text} {torch.backends.cudnn.version()}" if backend == "cudnn" else text

    def all(self, every: list[Shape]) -> tuple[list[dict], dict[str, int]]:
        rows, refused = [], {}
        for number, shape in enumerate(every, 1):
            here = []
            for backend in self.backends:
                try:
                    here.append(self.row(shape, backend))
                except (RuntimeError, AssertionError) as error:
                    first = (str(error).strip() or type(error).__name__).splitlines()[0]
                    reason = f"{backend}, {shape.direction}: {first[:100]}"
                    refused[reason] = refused.get(reason, 0) + 1
                    self.torch.cuda.synchronize()
            best = min(here, key=lambda row: row["seconds"], default=None)
            for row in here:
                row["extra.best"] = int(row is best)
            if best:
                rate = shape.flops() / best["seconds"] / 1e12
                print(f"[{number}/{len(every)}] {shape}: {best['implementation']}, {rate:.0f} TFLOP/s", file=sys.stderr)
            rows += here
        return rows, refused

    def row(self, shape: Shape, backend: str) -> dict:
        padded = backend == "flash" and shape.value != shape.qk
        self.verify(shape, backend, padded)
        times = self.time(shape, backend, padded)
        implementation = self.version(backend) + (", values padded" if padded else "")
        return {
            "kernel": "attention",
            "heads": shape.batch * shape.heads,
            "kv-heads": shape.batch * shape.kv_heads,
            "queries": shape.queries,
            "keys": shape.keys,
            "qk": shape.qk,
            "value": shape.value,
            "causal": "true" if shape.causal else "false",
            "direction": shape.direction,
            "seconds": percentile(times, 0.5),
            "low": percentile(times, 0.05),
            "high": percentile(times, 0.95),
            "runs": len(times),
            "implementation": implementation,
        }

    def inputs(self, shape: Shape, padded: bool, grad: bool):
        """Queries, keys and values of `batch, heads, tokens, width`."""
        torch = self.torch

        def normal(heads, tokens, width):
            return torch.randn(shape.batch, heads, tokens, width, device="cuda", dtype=torch.bfloat16)

        q = normal(shape.heads, shape.queries, shape.qk)
        k = normal(shape.kv_heads, shape.keys, shape.qk)
        v = normal(shape.kv_heads, shape.keys, shape.value)
        if padded:
            v = torch.nn.functional.pad(v, (0, shape.qk - shape.value)).contiguous()
        return tuple(tensor.requires_grad_(grad) for tensor in (q, k, v))

    def forward(self, shape: Shape, q, k, v):
        attention = self.torch.nn.functional.scaled_dot_product_attention
        more = {"enable_gqa": True} if shape.heads != shape.kv_heads else {}
        return attention(q, k, v, is_causal=shape.causal, **more)

    def verify(self, shape: Shape, backend: str, padded: bool) -> None:
        """Compares with FP32 on few heads and tokens, once a kind of call; a wrong result is never timed."""
        ratio = shape.heads // shape.kv_heads
        queries = min(shape.queries, 256)
        keys = queries if shape.causal else min(shape.keys, 256)
        kind = (backend, shape.direction, shape.qk, shape.value, shape.causal, ratio, queries)
        if kind not in self.verified:
            few = Shape(1, 2 * ratio, 2, queries, keys, shape.qk, shape.value, shape.causal, shape.direction)
            self.verified[kind] = self.fault(few, backend, padded)
        if self.verified[kind]:
            raise AssertionError(self.verified[kind])

    def fault(self, shape: Shape, backend: str, padded: bool) -> str:
        torch = self.torch
        backward = shape.direction == "backward"
        inputs = self.inputs(shape, padded, backward)
        exact = tuple(tensor.detach().float().requires_grad_(backward) for tensor in inputs)
        with self.force(self.backends[backend]):
            actual = self.forward(shape, *inputs)
            weight = torch.randn_like(actual)
            # The padding of values has no gradient of use.
            if padded:
                weight[..., shape.value :] = 0
            pairs = [actual]
            if backward:
                pairs = list(torch.autograd.grad(actual, inputs, weight))
        with self.force(self.math):
            expected = self.forward(shape, *exact)
            pairs_expected = [expected]
            if backward:
                pairs_expected = list(torch.autograd.grad(expected, exact, weight.float()))
        for name, got, want in zip("qkv" if backward else "o", pairs, pairs_expected):
            error = ((got.float() - want).norm() / want.norm()).item()
            if not error < ERROR_MAX:
                return f"wrong result: relative error {error:.3g} of `{name}`"
        return ""

    def time(self, shape: Shape, backend: str, padded: bool) -> list[float]:
        """Seconds of one call, one number a repetition."""
        backward = shape.direction == "backward"
        one = sum(tensor.numel() * tensor.element_size() for tensor in self.inputs(shape, padded, False))
        n_sets = min(16, max(2, math.ceil(2 * self.l2 / one)))
        sets = [self.inputs(shape, padded, backward) for _ in range(n_sets)]
        with self.force(self.backends[backend]):
            run = self.backward_calls(shape, sets) if backward else self.forward_calls(shape, sets)
            first = self.repeat(run, 1, n_sets)[0]
            # Enough calls that a repetition is long beside an event, and all repetitions fill the time.
            n_calls = min(N_CALLS_MAX, max(n_sets, math.ceil(TIMED_SECONDS / N_REPETITIONS / first)))
            graph = None if backward else self.capture(run, n_calls)
            play = graph.replay if graph else lambda: run(n_calls)
            n_warm = math.ceil(WARM_SECONDS / (first * n_calls))
            return self.timed(play, n_warm, n_calls)

    def forward_calls(self, shape: Shape, sets):
        def run(n_calls):
            for index in range(n_calls):
                self.forward(shape, *sets[index % len(sets)])

        return run

    def backward_calls(self, shape: Shape, sets):
        grad = self.torch.autograd.grad
        outputs = [self.forward(shape, *inputs) for inputs in sets]
        weights = [self.torch.randn_like(output) for output in outputs]

        def run(n_calls):
            for index in range(n_calls):
                at = index % len(sets)
                grad(outputs[at], sets[at], weights[at], retain_graph=True)

        return run

    def capture(self, run, n_calls: int):
        torch = self.torch
        graph = torch.cuda.CUDAGraph()
        with torch.no_grad(), torch.cuda.graph(graph):
            run(n_calls)
        return graph

    def repeat(self, run, n_repetitions: int, n_calls: int) -> list[float]:
        # Once without the clock: libraries choose their plans at the first call.
        run(n_calls)
        return self.timed(lambda: run(n_calls), 0, n_calls, n_repetitions)

    def timed(self, play, n_warm: int, n_calls: int, n_repetitions: int = N_REPETITIONS) -> list[float]:
        cuda = self.torch.cuda
        marks = [cuda.Event(enable_timing=True) for _ in range(n_repetitions + 1)]
        cuda.synchronize()
        cuda._sleep(SLEEP_CYCLES)
        for _ in range(n_warm):
            play()
        marks[0].record()
        for mark in marks[1:]:
            play()
            mark.record()
        cuda.synchronize()
        return [a.elapsed_time(b) / 1e3 / n_calls for a, b in zip(marks, marks[1:])]


def percentile(times: list[float], share: float) -> float:
    return sorted(times)[round(share * (len(times) - 1))]


if __name__ == "__main__":
    sys.exit(main())

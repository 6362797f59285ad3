#!/usr/bin/env python3
"""Times what lies between kernels: gaps on a stream, hand-overs between streams, and what a launch costs the host.

    python3 launches.py --out launches.csv

A *gap* is what a kernel takes longer in a stream whose host is far ahead than as a node of a CUDA graph, whose time holds the
launch of one node after another. A *hand-over* is what an event that another stream waits for adds to that. *Host* rows are
seconds of the host per launch while the device has nothing else to do: PyTorch's operators forward, with autograd
recording; their gradients; modules, whose Python counts; a bare launch through the driver. Host times are those of the
machine that runs this: its processor and its virtualization.
"""

import argparse
import csv
import sys
import time

import torch

from shared import VERSION, percentile

N_LAUNCHES = 400
N_REPETITIONS = 15
BLOCKED_CYCLES = 60_000_000
N_HOST = 300


def device_times(play, n: int) -> list[float]:
    """Seconds per launch of `n` launches that were all queued before the first began."""
    times = []
    for _ in range(N_REPETITIONS):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in "ab")
        torch.cuda.synchronize()
        torch.cuda._sleep(BLOCKED_CYCLES)
        start.record()
        play()
        end.record()
        torch.cuda.synchronize()
        times.append(start.elapsed_time(end) / 1e3 / n)
    return times


def kernels():
    """Name, and a call that launches one kernel: of one block, over all multiprocessors, a product."""
    small = torch.zeros(64, device="cuda")
    wide = torch.randn(4096, 1024, device="cuda", dtype=torch.bfloat16)
    more = torch.randn(4096, 7168, device="cuda", dtype=torch.bfloat16)
    a, b = (torch.randn(1024, 1024, device="cuda", dtype=torch.bfloat16) for _ in "ab")
    big = torch.randn(4096, 4096, device="cuda", dtype=torch.bfloat16)
    out, out_big = torch.empty_like(a), torch.empty_like(big)
    return {
        "one-block": lambda: small.add_(1),
        "elementwise-4096x1024": lambda: wide.mul_(1),
        "elementwise-4096x7168": lambda: more.mul_(1),
        "norm-4096x1024": lambda: torch.nn.functional.rms_norm(wide, (1024,)),
        "product-1024": lambda: torch.mm(a, b, out=out),
        "product-4096": lambda: torch.mm(big, big, out=out_big),
    }


def gaps():
    for name, call in kernels().items():
        n = 40 if name == "product-4096" else N_LAUNCHES

        def run(call=call, n=n):
            for _ in range(n):
                call()

        run()
        torch.cuda.synchronize()
        yield "stream", name, device_times(run, n)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=torch.cuda.current_stream()):
            run()
        yield "graph", name, device_times(graph.replay, n)
        yield "hand-over", name, device_times(lambda call=call, n=n: hand_over(call, n), n)


OTHER = []


def hand_over(call, n: int) -> None:
    """Each launch on the other of two streams, after an event of the one before."""
    home = torch.cuda.current_stream()
    if not OTHER:
        OTHER.append(torch.cuda.Stream())
    streams = [home, OTHER[0]]
    for index in range(n):
        with torch.cuda.stream(streams[index % 2]):
            call()
        streams[(index + 1) % 2].wait_event(streams[index % 2].record_event())
    home.wait_stream(OTHER[0])


def host_times(call, n_launches: int = 1) -> list[float]:
    """Seconds of the host per launch; the device's queue never fills."""
    times = []
    for _ in range(N_REPETITIONS):
        torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(N_HOST // n_launches):
            call()
        times.append((time.perf_counter() - start) / (N_HOST // n_launches * n_launches))
        torch.cuda.synchronize()
    return times


def host():
    make = dict(device="cuda", dtype=torch.bfloat16)
    x, y = (torch.randn(64, 256, **make) for _ in "xy")
    recorded = torch.randn(64, 256, requires_grad=True, **make)
    linear, norm = torch.nn.Linear(256, 256, bias=False, **make), torch.nn.RMSNorm(256, **make)
    q = torch.randn(1, 4, 64, 64, requires_grad=True, **make)
    attention = torch.nn.functional.scaled_dot_product_attention
    with torch.no_grad():
        yield "host", "add", host_times(lambda: x + y)
        yield "host", "add-in-place", host_times(lambda: x.add_(y))
        yield "host", "product", host_times(lambda: torch.mm(x, y.t()))
    yield "host", "add-recorded", host_times(lambda: recorded + y)
    yield "host", "linear-module", host_times(lambda: linear(recorded))
    yield "host", "norm-module", host_times(lambda: norm(recorded))
    yield "host", "attention", host_times(lambda: attention(q, q, q, is_causal=True))
    for name, one in {"mul": lambda t: t * y, "silu": torch.nn.functional.silu, "linear": linear}.items():
        chain = recorded
        for _ in range(100):
            chain = one(chain)
        gradient = torch.ones_like(chain)
        inputs = [recorded, *linear.parameters()] if name == "linear" else [recorded]
        per = 200 if name == "linear" else 100

        def back(chain=chain, gradient=gradient, inputs=inputs):
            torch.autograd.grad(chain, inputs, gradient, retain_graph=True)

        back()
        yield "host", f"{name}-gradient", host_times(back, per)
    yield "host", "item", host_times(lambda: y[0, 0].item())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--out", default="launches.csv", help="the file to write (default: %(default)s)")
    arguments = parser.parse_args()
    with open(arguments.out, "w", newline="", encoding="utf-8") as file, torch.cuda.stream(torch.cuda.Stream()):
        writer = csv.writer(file)
        writer.writerow("what,kernel,seconds,low,high,runs,implementation".split(","))
        for part in (gaps, host):
            for what, name, times in part():
                reading = [f"{percentile(times, share):.6g}" for share in (0.5, 0.05, 0.95)]
                writer.writerow([what, name, *reading, len(times), VERSION])
                file.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())

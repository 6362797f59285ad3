#!/usr/bin/env python3
"""Times matrix products and attention of PyTorch at two clocks: in a burst after idling, and at sustained load.

    python3 clocks.py --out .                    # clocks_products.csv and clocks_attention.csv

A burst is one or two milliseconds after at least 150 ms of nothing and three warm calls: the power limit has not yet
lowered the clock. Sustained load is timed after 0.6 s of the same calls. How a call is timed and how operands rotate:
`shared.py`. Each time is a median, with the 5th and 95th percentile, over bursts or over pieces of the sustained load.

`clock` is cycles over seconds of a multiprocessor from before to after the timed calls, `extra.clock-nvml` what NVML gave.
The layout of a product is part of the implementation: NT as in a forward pass (weights of `[n, k]`), NN as for the gradient
of the input, TN as for that of the weights. FP8 is E4M3 with one scale for each operand and BF16 results.
"""

import argparse
import csv
import math
import os
import sys
import time

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from sdpa import Shape
from shared import DEVICE, VERSION, Calls, Case, Nvml, Reading, Spec, Stamps, backward_of, clock_between, percentile

PIECE_SECONDS = 1.5e-3
N_CALLS_MAX = 512
N_BURSTS = 8
IDLE_SECONDS = 0.15
WARM_SECONDS = 0.6
TIMED_SECONDS = 0.2
FP8 = torch.float8_e4m3fn

READING = "seconds,low,high,runs,implementation,clock,power,extra.clock-nvml"
COLUMNS_PRODUCTS = f"kernel,m,n,k,dtype,clock-kind,{READING}".split(",")
COLUMNS_ATTENTION = f"kernel,heads,kv-heads,queries,keys,qk,value,causal,direction,clock-kind,{READING}".split(",")

# m, n, k: cubes, layers of models, few rows, and sizes that fit no tile.
PRODUCTS = {
    "NT": [
        (8192, 8192, 8192), (4096, 4096, 4096), (2048, 2048, 2048), (1024, 1024, 1024), (512, 512, 512),
        (256, 256, 256), (128, 128, 128), (4096, 14336, 4096), (4096, 4096, 14336), (4096, 6144, 4096),
        (8192, 28672, 4096), (2048, 32768, 4096), (32768, 4096, 1024), (32768, 2048, 7168), (128, 32768, 4096),
        (1, 4096, 4096), (1, 14336, 4096), (8, 4096, 14336), (16, 7168, 7168), (16, 28672, 4096), (32, 4096, 4096),
        (64, 14336, 4096), (64, 32768, 8192), (4096, 4000, 4096), (4096, 4100, 4096), (4096, 4097, 4096),
        (4096, 4096, 100), (4096, 4096, 4001), (3000, 3000, 3000), (1000, 1000, 1000), (4095, 4096, 4096), (8192, 4096, 520),
    ],
    "NN": [
        (4096, 4096, 14336), (4096, 14336, 4096), (8192, 8192, 8192), (4096, 7168, 2048), (2048, 2048, 2048), (3000, 3000, 3000),
    ],
    "TN": [
        (14336, 4096, 4096), (4096, 14336, 8192), (8192, 8192, 8192), (7168, 2048, 4096), (1024, 1024, 32768),
        (128, 128, 32768), (512, 4096, 16384), (3000, 3000, 3000),
    ],
}  # fmt: skip
PRODUCTS_FP8 = [
    (8192, 8192, 8192), (4096, 4096, 4096), (2048, 2048, 2048), (1024, 1024, 1024), (512, 512, 512), (4096, 14336, 4096),
    (4096, 4096, 14336), (16, 7168, 7168), (64, 14336, 4096), (32768, 2048, 7168), (4096, 7168, 2048), (16384, 8192, 1024),
    (4096, 4112, 4096), (128, 32768, 4096), (256, 4096, 7168),
]  # fmt: skip
# heads, kv-heads, tokens, qk, value, causal.
ATTENTION = [
    (32, 8, 4096, 128, 128, True), (32, 32, 2048, 64, 64, True), (128, 128, 4096, 192, 128, True),
    (32, 8, 8192, 128, 128, True), (32, 8, 1024, 128, 128, True), (32, 8, 4096, 128, 128, False),
    (16, 16, 8192, 192, 128, False), (128, 128, 1024, 128, 128, True), (32, 8, 16384, 128, 128, True),
    (32, 32, 8192, 64, 64, False), (64, 8, 4096, 128, 128, True), (128, 128, 2048, 192, 128, True),
    (16, 2, 1024, 128, 128, False), (16, 16, 8192, 128, 128, False),
]  # fmt: skip
BACKENDS = {"flash": SDPBackend.FLASH_ATTENTION, "cudnn": SDPBackend.CUDNN_ATTENTION}


def product(layout: str, m: int, n: int, k: int) -> Case:
    if layout == "NT":
        return Case([Spec((m, k)), Spec((n, k))], lambda a, b: torch.mm(a, b.t()))
    if layout == "NN":
        return Case([Spec((m, k)), Spec((k, n))], torch.mm)
    return Case([Spec((k, m)), Spec((k, n))], lambda a, b: torch.mm(a.t(), b))


def product_fp8(m: int, n: int, k: int, fast: bool) -> Case:
    one = torch.ones((), device=DEVICE)

    def call(a, b):
        return torch._scaled_mm(a, b.t(), scale_a=one, scale_b=one, out_dtype=torch.bfloat16, use_fast_accum=fast)

    return Case([Spec((m, k), FP8), Spec((n, k), FP8)], call)


def attention(shape: Shape, backend: str) -> Case:
    more = {"enable_gqa": True} if shape.heads != shape.kv_heads else {}

    def forward(q, k, v):
        with sdpa_kernel(BACKENDS[backend]):
            return torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=shape.causal, **more)

    specs = [
        Spec((1, shape.heads, shape.queries, shape.qk)),
        Spec((1, shape.kv_heads, shape.keys, shape.qk)),
        Spec((1, shape.kv_heads, shape.keys, shape.value)),
    ]
    if shape.direction == "forward":
        return Case(specs, forward)
    prepare, call = backward_of(forward)
    return Case(specs, call, prepare)


def questions_products():
    for layout, every in PRODUCTS.items():
        for m, n, k in every:
            columns = {"kernel": "gemm", "m": m, "n": n, "k": k, "dtype": "bf16"}
            yield columns, f"{VERSION} {layout}", lambda size=(layout, m, n, k): product(*size)
    for m, n, k in PRODUCTS_FP8:
        for fast in (True, False):
            columns = {"kernel": "gemm", "m": m, "n": n, "k": k, "dtype": "fp8"}
            how = "fast accumulation" if fast else "exact accumulation"
            yield columns, f"{VERSION} NT, {how}", lambda size=(m, n, k, fast): product_fp8(*size)


def questions_attention():
    for heads, kv_heads, tokens, qk, value, causal in ATTENTION:
        for direction in ("forward", "backward"):
            shape = Shape(1, heads, kv_heads, tokens, tokens, qk, value, causal, direction)
            columns = {
                "kernel": "attention", "heads": heads, "kv-heads": kv_heads, "queries": tokens, "keys": tokens,
                "qk": qk, "value": value, "causal": str(causal).lower(), "direction": direction,
            }  # fmt: skip
            for backend in BACKENDS if qk == value else ["cudnn"]:
                yield columns, f"{VERSION} {backend}", lambda of=(shape, backend): attention(*of)


def burst(calls: Calls, nvml: Nvml, stamps: Stamps) -> tuple[Reading, float]:
    times, clocks, told = [], [], []
    marks = [torch.cuda.Event(enable_timing=True) for _ in range(2)]
    for _ in range(N_BURSTS):
        torch.cuda.synchronize()
        time.sleep(IDLE_SECONDS)
        # Long enough to queue what follows.
        torch.cuda._sleep(1_000_000 if calls.captured else 4_000_000)
        for _ in range(3):
            calls.once()
        stamps.n = 0
        stamps.stamp()
        marks[0].record()
        calls.play()
        marks[1].record()
        stamps.stamp()
        told.append(nvml.clock())
        clocks.append(clock_between(*stamps.read()))
        times.append(marks[0].elapsed_time(marks[1]) / 1e3 / calls.n_calls)
    return Reading(times, percentile(clocks, 0.5), math.nan), percentile(told, 0.5)


def sustained(calls: Calls, nvml: Nvml, stamps: Stamps, seconds: float) -> tuple[Reading, float]:
    """`seconds`: of one play, about. The host stays two chunks ahead of the device."""
    n_chunk = max(1, round(0.03 / seconds))
    chunks, readings = [], []
    torch.cuda.synchronize()
    start = time.monotonic()
    while time.monotonic() - start < WARM_SECONDS:
        for _ in range(n_chunk):
            calls.play()
        chunks.append(torch.cuda.Event())
        chunks[-1].record()
        if len(chunks) > 2:
            chunks[-3].synchronize()
            readings.append((nvml.clock(), nvml.power()))
    marks = [torch.cuda.Event(enable_timing=True) for _ in range(max(5, math.ceil(TIMED_SECONDS / seconds)) + 1)]
    # The stamps so far have all been read.
    stamps.n = 0
    stamps.stamp()
    marks[0].record()
    for mark in marks[1:]:
        calls.play()
        mark.record()
    stamps.stamp()
    readings.append((nvml.clock(), nvml.power()))
    clock = clock_between(*stamps.read())
    times = [a.elapsed_time(b) / 1e3 / calls.n_calls for a, b in zip(marks, marks[1:])]
    told, power = (percentile(part, 0.5) for part in zip(*readings[len(readings) // 2 :]))
    return Reading(times, clock, power), told


def measure(questions, columns: list[str], path: str, end: float) -> None:
    nvml, stamps, refused, n_rows = Nvml(), Stamps(), {}, 0
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        for row, implementation, make in questions:
            if time.monotonic() > end:
                refused["out of time"] = refused.get("out of time", 0) + 1
                continue
            try:
                calls = Calls(make(), PIECE_SECONDS, N_CALLS_MAX)
                if not calls.captured:
                    implementation += ", no graph"
                reading, told = burst(calls, nvml, stamps)
                seconds = percentile(reading.times, 0.5) * calls.n_calls
                for kind, (reading, told) in (("burst", (reading, told)), ("sustained", sustained(calls, nvml, stamps, seconds))):
                    more = {"clock-kind": kind, "implementation": implementation, "extra.clock-nvml": told}
                    writer.writerow(row | reading.columns() | more)
                    n_rows += 1
                file.flush()
            except Exception as error:  # noqa: BLE001
                first = (str(error).strip() or type(error).__name__).splitlines()[0]
                reason = f"{implementation}, {row.get('direction', row.get('dtype'))}: {first[:120]}"
                refused[reason] = refused.get(reason, 0) + 1
            finally:
                calls = None
                torch.cuda.empty_cache()
    for reason, count in sorted(refused.items()):
        print(f"left out: {count:4}  {reason}", file=sys.stderr)
    print(f"{n_rows} samples in {path}", file=sys.stderr)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--out", default=".", help="the folder to write to (default: %(default)s)")
    parser.add_argument("--limit", type=float, default=600, help="stop each part after so many seconds (default: %(default)s)")
    parser.add_argument("--every", type=int, default=1, help="only every so many-th shape (default: %(default)s)")
    arguments = parser.parse_args()
    if DEVICE == "cpu":
        print("error: there is no GPU that torch can use", file=sys.stderr)
        return 4
    torch.manual_seed(1)
    with torch.cuda.stream(torch.cuda.Stream()):
        path = os.path.join(arguments.out, "clocks_products.csv")
        measure(list(questions_products())[:: arguments.every], COLUMNS_PRODUCTS, path, time.monotonic() + arguments.limit)
        path = os.path.join(arguments.out, "clocks_attention.csv")
        measure(list(questions_attention())[:: arguments.every], COLUMNS_ATTENTION, path, time.monotonic() + arguments.limit)
    return 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Times products and attention of libraries that do not know that other kernels hold some of the SMs.

    python3 held.py --out held.csv

A kernel keeps all registers of `extra.held` SMs while PyTorch's products run, as kernels of a collective do; the library
sizes its grid for the whole device. Times as in `clocks.py`, after a warm-up and not at sustained load. Needs cupy.
"""

import argparse
import csv
import sys
import warnings

import torch

from clocks import attention, product
from sdpa import Shape
from shared import VERSION, Calls, percentile
from stand_ins import Held

N_HELD = (0, 4, 8, 12, 16, 20, 24, 32, 44, 66)
SECONDS, N_CALLS_MAX, N_REPETITIONS = 1.5e-3, 64, 9
# Tiles of 128 x 256: less than a wave of 132, one exactly (4,224 x 4,096 has 528), a little more, and many.
PRODUCTS = [
    ("NT", 4096, 4096, 4096), ("NT", 8192, 8192, 8192), ("NT", 2048, 2048, 4096), ("NT", 4224, 4096, 4096),
    ("NT", 4096, 6144, 4096), ("NT", 4096, 28672, 4096), ("NT", 4096, 4096, 14336), ("NT", 2048, 8192, 8192),
    ("NT", 1408, 3072, 4096), ("NT", 2816, 3072, 8192), ("NT", 8192, 2560, 5120), ("NT", 16384, 1024, 4096),
    ("NN", 4096, 4096, 14336), ("NN", 4096, 14336, 4096), ("TN", 4096, 4096, 4096), ("TN", 14336, 4096, 4096),
    ("TN", 8192, 2560, 4096), ("NT", 1024, 1024, 8192), ("NT", 512, 8192, 8192), ("NT", 4096, 3072, 12288),
]  # fmt: skip
ATTENTION = [(32, 8, 4096, 128), (32, 32, 2048, 64), (16, 16, 8192, 128), (8, 8, 4096, 128)]
COLUMNS = "kernel,m,n,k,dtype,heads,kv-heads,queries,keys,qk,value,causal,direction,seconds,low,high,runs,implementation,extra.held"


def questions():
    for layout, m, n, k in PRODUCTS:
        yield {"kernel": "gemm", "m": m, "n": n, "k": k, "dtype": "bf16"}, layout, product(layout, m, n, k)
    for heads, kv_heads, tokens, width in ATTENTION:
        for direction in ("forward", "backward"):
            shape = Shape(1, heads, kv_heads, tokens, tokens, width, width, True, direction)
            columns = {"heads": heads, "kv-heads": kv_heads, "queries": tokens, "keys": tokens, "qk": width, "value": width}
            columns |= {"kernel": "attention", "causal": "true", "direction": direction}
            for backend in ("flash", "cudnn"):
                yield columns, backend, attention(shape, backend)


def timed(calls: Calls, stream) -> list[float]:
    """Waits for its own stream alone: SMs may be held."""
    marks = [torch.cuda.Event(enable_timing=True) for _ in range(N_REPETITIONS + 1)]
    calls.play()
    marks[0].record()
    for mark in marks[1:]:
        calls.play()
        mark.record()
    stream.synchronize()
    return [a.elapsed_time(b) / 1e3 / calls.n_calls for a, b in zip(marks, marks[1:])]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--out", default="held.csv", help="the file to write (default: %(default)s)")
    arguments = parser.parse_args()
    torch.manual_seed(1)
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    stream, helds = torch.cuda.Stream(), [Held(n) for n in N_HELD]
    with open(arguments.out, "w", newline="", encoding="utf-8") as file, torch.cuda.stream(stream):
        writer = csv.DictWriter(file, COLUMNS.split(","))
        writer.writeheader()
        for columns, how, case in questions():
            try:
                calls = Calls(case, SECONDS, N_CALLS_MAX)
            except RuntimeError as error:
                print(f"left out: {columns} {how}: {str(error)[:120]}", file=sys.stderr)
                continue
            for held in helds:
                timed(calls, stream)
                with held:
                    times = timed(calls, stream)
                reading = {"seconds": percentile(times, 0.5), "low": percentile(times, 0.05), "high": percentile(times, 0.95)}
                reading = {name: f"{value:.6g}" for name, value in reading.items()}
                more = {"runs": len(times), "implementation": f"{VERSION} {how}", "extra.held": held.n}
                writer.writerow(columns | reading | more)
            file.flush()
            calls = None
            torch.cuda.empty_cache()
    return 0


if __name__ == "__main__":
    sys.exit(main())

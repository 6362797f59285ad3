#!/usr/bin/env python3
"""Times products whose sides, and attention whose heads, are no multiple of what libraries cut them in.

    python3 ragged.py --out ragged.csv

Rows of a BF16 tensor that begin on no multiple of 16 bytes cannot be loaded by the copy engine of an SM, so a library takes
another kernel. Products are those of a layer: NT forward (`m` tokens), NN for the gradient of the input, TN for that of the
weights. Times as in `shared.py`, in bursts too short for the power limit.
"""

import argparse
import csv
import sys

import torch

from clocks import attention, product
from sdpa import Shape
from shared import VERSION, Calls, Nvml, percentile

SECONDS, N_CALLS_MAX, N_REPETITIONS = 1e-3, 32, 5
# n, k of the aligned product, and how much each is more.
SIDES = [(4096, 4096, 4096), (4096, 2048, 7168), (1024, 4096, 4096), (4096, 512, 2048), (16, 4096, 4096), (8192, 16384, 1024)]
MORE = [(0, 0), (1, 0), (2, 0), (4, 0), (8, 0), (0, 1), (0, 2), (0, 4), (0, 8), (1, 1), (4, 4), (2, 4), (64, 0), (0, 64), (-1, 0), (0, -4)]
# 16-bit vocabularies and widths as models have them.
NAMED = [(4096, 50257, 1600), (4096, 50257, 768), (4096, 50304, 1600), (2048, 32001, 4096), (4096, 151669, 2048), (4096, 50257, 5120)]
WIDTHS = (64, 72, 80, 88, 96, 104, 112, 120, 128, 136, 144, 160, 176, 192, 224, 256)
COLUMNS = "kernel,m,n,k,dtype,heads,kv-heads,queries,keys,qk,value,causal,direction,seconds,low,high,runs,implementation"


def questions():
    sides = [(m, n + dn, k + dk) for m, n, k in SIDES for dn, dk in MORE] + NAMED
    sides += [(m, 4096, 4096) for m in (4095, 4094, 4092, 4088, 1000, 1001)]
    for m, n, k in sides:
        for layout in ("NT", "NN", "TN"):
            # By the sides of the layer: tokens, outputs, inputs.
            size = {"NT": (m, n, k), "NN": (m, k, n), "TN": (n, k, m)}[layout]
            yield dict(zip("mnk", size), kernel="gemm", dtype="bf16"), layout, lambda a=(layout, *size): product(*a)
    for width in WIDTHS:
        for direction in ("forward", "backward"):
            shape = Shape(1, 32, 32, 4096, 4096, width, width, True, direction)
            columns = {"heads": 32, "kv-heads": 32, "queries": 4096, "keys": 4096, "qk": width, "value": width}
            columns |= {"kernel": "attention", "causal": "true", "direction": direction}
            for backend in ("flash", "cudnn"):
                yield columns, backend, lambda a=(shape, backend): attention(*a)
    for tokens in (4096 - 1, 4096 - 64, 4096 + 1, 4096 + 64, 1000, 3000):
        for direction in ("forward", "backward"):
            shape = Shape(1, 32, 32, tokens, tokens, 128, 128, True, direction)
            columns = {"heads": 32, "kv-heads": 32, "queries": tokens, "keys": tokens, "qk": 128, "value": 128}
            columns |= {"kernel": "attention", "causal": "true", "direction": direction}
            for backend in ("flash", "cudnn"):
                yield columns, backend, lambda a=(shape, backend): attention(*a)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--out", default="ragged.csv", help="the file to write (default: %(default)s)")
    arguments = parser.parse_args()
    torch.manual_seed(1)
    nvml = Nvml()
    with open(arguments.out, "w", newline="", encoding="utf-8") as file, torch.cuda.stream(torch.cuda.Stream()):
        writer = csv.DictWriter(file, COLUMNS.split(","))
        writer.writeheader()
        for columns, how, make in questions():
            try:
                reading = Calls(make(), SECONDS, N_CALLS_MAX).timed(N_REPETITIONS, nvml).columns()
            except RuntimeError as error:
                print(f"left out: {columns} {how}: {str(error).splitlines()[0][:120]}", file=sys.stderr)
                continue
            kept = {name: reading[name] for name in ("seconds", "low", "high", "runs")}
            writer.writerow(columns | kept | {"implementation": f"{VERSION} {how}"})
            file.flush()
            torch.cuda.empty_cache()
    return 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Times stand-ins for the memory-bound kernels of a published training trace and writes CSV.

    python3 stand_ins.py --out stand_ins.csv

The trace names its kernels with grid, block, registers and shapes, and their code is not public. `stand_ins.cu` and `stand_ins_rows.cu` have a
kernel for each name with that grid, block and access pattern; where two patterns fit, both. PyTorch's own kernels of the
trace are called by the operator that launches them. Every call is timed on the whole device and with 20, 66 and 112 SMs
held by a kernel that keeps all their registers; 20 is what the trace's communication holds. Operands and results rotate
through sets of more than 180 MB; device time is that of one call in a CUDA graph. Before anything is timed each kernel's
results are compared with PyTorch's.

`tokens` is received tokens where rows are gathered or summed (`extra.rows` has the rows), else rows; `extra.bytes` is
what a call must read and write. Needs torch and cupy.
"""

import argparse
import csv
import math
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

import cupy
import numpy
import torch
from torch.nn.functional import silu

from shared import VERSION, Nvml, percentile

# The trace holds 20 SMs; the others show what an SM does and what the memory does.
N_HELD = 20
N_HELD_ALL = (0, N_HELD, 66, 112)
SET_BYTES = 200e6
REPETITION_SECONDS, N_REPETITIONS = 2e-3, 15
HELD_LIMIT_NANOSECONDS = 2_000_000_000
BF16, F32, U8, I32 = torch.bfloat16, torch.float32, torch.uint8, torch.int32
FP8 = torch.float8_e4m3fn

COLUMNS = (
    "kernel,tokens,dim,top-k,seconds,low,high,runs,implementation,clock,power,"
    "extra.sms,extra.bytes,extra.rows,extra.registers"
).split(",")


class Cuda:
    """The kernels of `stand_ins.cu` and `stand_ins_rows.cu`, compiled here as one text."""

    def __init__(self):
        files = [Path(__file__).parent / name for name in ("stand_ins.cu", "stand_ins_rows.cu")]
        source = "\n".join(file.read_text(encoding="utf-8") for file in files)
        self.module = cupy.RawModule(code=source, options=("--std=c++17",))
        self.functions: dict = {}

    def function(self, name: str):
        if name not in self.functions:
            self.functions[name] = self.module.get_function(name)
        return self.functions[name]

    def launch(self, name: str, grid: tuple, block: int, *arguments, shared: int = 0):
        """Tensors as pointers, whole numbers as 32 bits; numpy's types as they are."""
        function = self.function(name)
        if shared > function.max_dynamic_shared_size_bytes:
            function.max_dynamic_shared_size_bytes = shared
        given = tuple(argument(value) for value in arguments)
        with cupy.cuda.ExternalStream(torch.cuda.current_stream().cuda_stream):
            function(grid, (block,), given, shared_mem=shared)


def argument(value):
    if value is None:
        return numpy.uint64(0)
    if isinstance(value, torch.Tensor):
        return numpy.uint64(value.data_ptr())
    return numpy.uint32(value) if type(value) is int else value


CUDA = Cuda()


@dataclass
class Call:
    """One kernel at one size: how to make a set of tensors, what to launch on it, what must come out."""

    kernel: str
    function: str
    tokens: int
    dim: int
    make: Callable
    launch: Callable
    moved: int
    # From a set: pairs of what came out and what should have.
    check: Callable | None = None
    rows: int = 0


def normal(*shape, dtype=BF16):
    return torch.randn(shape, device="cuda", dtype=dtype)


def new(*shape, dtype=BF16):
    """Full of NaN (0x7f is one of FP8), so that what a kernel leaves out is seen."""
    return torch.full(shape, 0x7F if dtype is U8 else 0 if dtype is I32 else math.nan, device="cuda", dtype=dtype)


def fp8(*shape):
    return normal(*shape).to(FP8).view(U8)


def groups(width: int) -> int:
    return math.ceil(width / 128)


def spread(values, scales):
    """FP8 along rows, with its scales, as FP32."""
    return values.view(FP8).float() * scales.repeat_interleave(128, 1)[:, : values.shape[1]]


def spread_columns(values, scales):
    """FP8 [width, rows] with a scale each 128 rows, as FP32 [rows, width]."""
    return (values.view(FP8).float() * scales.t().repeat_interleave(128, 1)).t()


def picks(tokens: int, rows: int, n_experts: int = 4):
    """Rows in the order of experts, and of tokens within one: `from` of each row, and 8 picks a token, -1 for none."""
    each = min(n_experts, 8)
    base, more = divmod(rows, tokens)
    count = torch.full((tokens,), base)
    count[torch.randperm(tokens)[:more]] += 1
    chosen = torch.rand(tokens, each).argsort(1)
    mine = torch.arange(each)[None] < count[:, None]
    token, slot = torch.nonzero(mine, as_tuple=True)
    order = (chosen[token, slot] * tokens + token).argsort()
    table = torch.full((tokens, 8), -1, dtype=I32)
    table[token[order], slot[order]] = torch.arange(rows, dtype=I32)
    return token[order].to(I32).cuda(), table.cuda()


def cast_rows(tokens: int, dim: int, function: str = "cast_rows") -> Call:
    def make():
        return normal(tokens, dim), new(tokens, dim, dtype=U8), new(tokens, groups(dim), dtype=F32)

    return Call(
        "cast-rows" if function == "cast_rows" else "cast-rows-narrow", function, tokens, dim, make,
        lambda sms, x, y, s: CUDA.launch(function, (tokens,), 128, x, y, s, dim),
        tokens * (3 * dim + 4 * groups(dim)),
        lambda x, y, s: [(spread(y, s), x)],
    )  # fmt: skip


def cast_e5m6(tokens: int, dim: int) -> Call:
    def make():
        return normal(tokens, dim), new(tokens, dim * 3 // 2, dtype=U8), new(tokens, groups(dim), dtype=F32)

    def check(x, y, s):
        back = new(tokens, dim)
        CUDA.launch("cast_back_e5m6", (896,), 128, y, s, back, numpy.uint64(tokens * dim))
        return [(back, x)]

    return Call(
        "cast-e5m6", "cast_e5m6", tokens, dim, make,
        lambda sms, x, y, s: CUDA.launch("cast_e5m6", (tokens,), 128, x, y, s, dim),
        tokens * (7 * dim // 2 + 4 * groups(dim)), check,
    )  # fmt: skip


def cast_back_e5m6(tokens: int, dim: int) -> Call:
    def make():
        y, s = torch.randint(256, (tokens, dim * 3 // 2), device="cuda", dtype=U8), normal(tokens, groups(dim), dtype=F32)
        return y, s, new(tokens, dim)

    return Call(
        "cast-back-e5m6", "cast_back_e5m6", tokens, dim, make,
        lambda sms, y, s, x: CUDA.launch("cast_back_e5m6", (8 * sms,), 128, y, s, x, numpy.uint64(tokens * dim)),
        tokens * (7 * dim // 2 + 4 * groups(dim)),
    )  # fmt: skip


def cast_back(tokens: int, dim: int) -> Call:
    return Call(
        "cast-back", "cast_back", tokens, dim,
        lambda: (fp8(tokens, dim), normal(tokens, groups(dim), dtype=F32), new(tokens, dim)),
        lambda sms, y, s, x: CUDA.launch("cast_back", (sms,), 1024, y, s, x, numpy.uint64(tokens * dim)),
        tokens * (3 * dim + 4 * groups(dim)),
        lambda y, s, x: [(x, spread(y, s))],
    )  # fmt: skip


def transpose_scales(tokens: int, dim: int) -> Call:
    grid = (tokens // 128, math.ceil(dim / 128))
    return Call(
        "scale-transpose", "transpose_scales", tokens, dim,
        lambda: (normal(tokens, dim, dtype=F32), new(dim, tokens, dtype=F32)),
        lambda sms, x, y: CUDA.launch("transpose_scales", grid, 512, x, y, tokens, dim, shared=128 * 132 * 4),
        8 * tokens * dim,
        lambda x, y: [(y, x.t())],
    )  # fmt: skip


def transpose_fp8(tokens: int, dim: int) -> Call:
    return Call(
        "weight-transpose", "transpose_fp8", tokens, dim,
        lambda: (fp8(tokens, dim), new(dim, tokens, dtype=U8)),
        lambda sms, x, y: CUDA.launch("transpose_fp8", (tokens * dim // 128**2,), 512, x, y, tokens, dim),
        2 * tokens * dim,
        lambda x, y: [(y, x.t())],
    )  # fmt: skip


def cast_columns(tokens: int, dim: int, staged: str = "") -> Call:
    grid = (dim // 128, tokens // 128)

    def make():
        return normal(tokens, dim), new(dim, tokens, dtype=U8), new(tokens // 128, dim, dtype=F32)

    return Call(
        "cast-columns" + staged.replace("_", "-"), "cast_columns" + staged, tokens, dim, make,
        lambda sms, x, y, s: CUDA.launch("cast_columns" + staged, grid, 256, x, y, s, tokens, dim),
        3 * tokens * dim + tokens * dim // 32,
        lambda x, y, s: [(spread_columns(y, s), x)],
    )  # fmt: skip


def recast_columns(tokens: int, dim: int, rows: int = 0, staged: str = "") -> Call:
    """FP8 along rows to FP8 along columns; with `rows`, gathered."""
    out_rows = rows or tokens

    def make():
        source = picks(tokens, rows)[0] if rows else None
        x, sx = fp8(tokens, dim), normal(tokens, groups(dim), dtype=F32)
        return x, sx, source, new(dim, out_rows, dtype=U8), new(out_rows // 128, dim, dtype=F32)

    def check(x, sx, source, y, s):
        full = spread(x, sx)
        return [(spread_columns(y, s), full[source.long()] if rows else full)]

    return Call(
        ("gather-cast-columns" if rows else "recast-columns") + staged.replace("_", "-"), "recast_columns" + staged,
        tokens, dim, make,
        lambda sms, *t: CUDA.launch("recast_columns" + staged, (dim // 128, out_rows // 128), 256, *t, out_rows, dim),
        (tokens + out_rows) * (dim + dim // 32) + 4 * rows, check, rows,
    )  # fmt: skip


def swiglu(x, weights=None):
    gate, up = x.float().chunk(2, 1)
    return silu(gate) * up * (1 if weights is None else weights[:, None])


def swiglu_cast(tokens: int, dim: int) -> Call:
    def make():
        scales = new(tokens, groups(dim), dtype=F32)
        return normal(tokens, 2 * dim), normal(tokens, dtype=F32), new(tokens, dim, dtype=U8), scales

    return Call(
        "swiglu-cast-rows", "swiglu_cast", tokens, dim, make,
        lambda sms, x, w, y, s: CUDA.launch("swiglu_cast", (tokens,), 128, x, w, y, s, dim),
        tokens * (5 * dim + 4 * groups(dim) + 4),
        lambda x, w, y, s: [(spread(y, s), swiglu(x, w))],
    )  # fmt: skip


def swiglu_cast_columns(tokens: int, dim: int) -> Call:
    def make():
        return normal(tokens, 2 * dim), new(dim, tokens, dtype=U8), new(tokens // 128, dim, dtype=F32)

    return Call(
        "swiglu-cast-columns", "swiglu_cast_columns", tokens, dim, make,
        lambda sms, x, y, s: CUDA.launch("swiglu_cast_columns", (dim // 128, tokens // 128), 256, x, y, s, tokens, dim),
        5 * tokens * dim + tokens * dim // 32,
        lambda x, y, s: [(spread_columns(y, s), swiglu(x))],
    )  # fmt: skip


def swiglu_gradient(x, gradient, weights=None):
    x = x.float().requires_grad_()
    return torch.autograd.grad(swiglu(x, weights), x, gradient.float())[0]


def swiglu_backward(tokens: int, dim: int) -> Call:
    return Call(
        "swiglu-backward", "swiglu_backward", tokens, dim,
        lambda: (normal(tokens, 2 * dim), normal(tokens, dim), new(tokens, 2 * dim)),
        lambda sms, x, d, y: CUDA.launch("swiglu_backward", (sms,), 1024, x, d, y, tokens, dim),
        10 * tokens * dim,
        lambda x, d, y: [(y, swiglu_gradient(x, d))],
    )  # fmt: skip


def swiglu_both(tokens: int, dim: int) -> Call:
    def make():
        outputs = new(tokens, 2 * dim), new(tokens, dim), new(tokens, dim)
        return normal(tokens, 2 * dim), normal(tokens, dim), normal(tokens, dtype=F32), *outputs

    return Call(
        "swiglu-forward-backward", "swiglu_both", tokens, dim, make,
        lambda sms, *t: CUDA.launch("swiglu_both", (tokens // 2,), 128, *t, dim),
        tokens * (14 * dim + 4),
        lambda x, d, w, y, plain, full: [(y, swiglu_gradient(x, d, w)), (plain, swiglu(x)), (full, swiglu(x, w))],
    )  # fmt: skip


def swiglu_weights(tokens: int, dim: int, rows: int) -> Call:
    def make():
        return new(tokens, 8, dtype=F32), normal(rows, dim), normal(rows, dim), picks(tokens, rows)[1]

    def check(out, a, b, table):
        sums = torch.cat([(a.float() * b.float()).sum(1), torch.zeros(1, device="cuda")])
        return [(out, sums[table.long()])]

    return Call(
        "swiglu-weight-backward", "swiglu_weights", tokens, dim, make,
        lambda sms, *t: CUDA.launch("swiglu_weights", (2 * tokens,), 128, *t, dim),
        4 * rows * dim + 64 * tokens, check, rows,
    )  # fmt: skip


def expand(tokens: int, dim: int, rows: int) -> Call:
    def make():
        scales = normal(tokens, groups(dim), dtype=F32)
        source = picks(tokens, rows)[0]
        return fp8(tokens, dim), scales, source, new(rows, dim, dtype=U8), new(rows, groups(dim), dtype=F32)

    return Call(
        "expand", "expand", tokens, dim, make,
        lambda sms, *t: CUDA.launch("expand", (rows // 16,), 512, *t, dim),
        (tokens + rows) * (dim + 4 * groups(dim)) + 4 * rows,
        lambda x, sx, f, y, s: [(y, x[f.long()]), (s, sx[f.long()])], rows,
    )  # fmt: skip


def reduce(tokens: int, dim: int, rows: int) -> Call:
    def check(x, table, y):
        rows_and_none = torch.cat([x.float(), torch.zeros(1, dim, device="cuda")])
        return [(y, rows_and_none[table.long()].sum(1))]

    return Call(
        "reduce", "reduce", tokens, dim,
        lambda: (normal(rows, dim), picks(tokens, rows)[1], new(tokens, dim)),
        lambda sms, *t: CUDA.launch("reduce", (tokens,), 128, *t, dim),
        2 * (tokens + rows) * dim + 32 * tokens, check, rows,
    )  # fmt: skip


# Blocks that the trace's registers let an SM have; shared memory stands in for them.
LN_BLOCKS = {7168: 3, 4096: 3, 1536: 3, 512: 7}
LN_SHARED = {3: 70 << 10, 7: 30 << 10}
LN_BACKWARD_SHARED = 120 << 10


def ln_forward(tokens: int, dim: int, residual: bool = False) -> Call:
    blocks = LN_BLOCKS[dim]
    n_sms = torch.cuda.get_device_properties(0).multi_processor_count

    def make():
        added = (normal(tokens, dim), new(tokens, dim)) if residual else (None, None)
        return normal(tokens, dim), added[0], normal(dim), new(tokens, dim), added[1], new(tokens, dtype=F32)

    def check(x, r, w, y, stream, kept):
        total = x.float() + r.float() if residual else x.float()
        want = torch.nn.functional.rms_norm(total, (dim,), w.float(), 1e-6)
        return [(y, want)] + ([(stream, total)] if residual else [])

    return Call(
        "ln-forward-residual" if residual else "ln-forward", f"ln_forward_{dim}", tokens, dim, make,
        lambda sms, *t: CUDA.launch(f"ln_forward_{dim}", (blocks * n_sms,), 128, *t, tokens, shared=LN_SHARED[blocks]),
        tokens * dim * (8 if residual else 4) + 4 * tokens, check,
    )  # fmt: skip


def ln_backward(tokens: int, dim: int) -> Call:
    n_sms = torch.cuda.get_device_properties(0).multi_processor_count

    def make():
        x = normal(tokens, dim)
        kept = torch.rsqrt(x.float().square().mean(1) + 1e-6)
        inputs = x, normal(tokens, dim), normal(tokens, dim), normal(dim), kept
        return *inputs, new(tokens, dim), new(n_sms, dim, dtype=F32)

    def check(x, d, around, w, kept, y, partial):
        x, w = x.float().requires_grad_(), w.float().requires_grad_()
        dx, dw = torch.autograd.grad(torch.nn.functional.rms_norm(x, (dim,), w, 1e-6), (x, w), d.float())
        return [(y, dx + around.float()), (partial.sum(0), dw)]

    return Call(
        "ln-backward", f"ln_backward_{dim}", tokens, dim, make,
        lambda sms, *t: CUDA.launch(f"ln_backward_{dim}", (n_sms,), 256, *t, tokens, shared=LN_BACKWARD_SHARED),
        8 * tokens * dim + 4 * tokens + 4 * n_sms * dim, check,
    )  # fmt: skip


def copy_heads(tokens: int, heads: int, pitches: tuple) -> Call:
    before, after = pitches
    return Call(
        f"copy-heads-{before}-{after}", "copy_heads", tokens, heads * 128,
        lambda: (normal(tokens, heads, before), new(tokens, heads, after)),
        lambda sms, x, y: CUDA.launch("copy_heads", (tokens,), 128, x, y, heads, before, after),
        4 * tokens * heads * 128,
        lambda x, y: [(y[..., :128], x[..., :128])],
    )  # fmt: skip


def rotate(tokens: int, heads: int) -> Call:
    """In place: each launch turns on."""
    pitch, offset = (192, 128) if heads > 1 else (64, 0)

    def make():
        angle, x = normal(tokens, 32, dtype=F32), normal(tokens, heads, pitch)
        return x, angle.cos(), angle.sin(), x.clone()

    def check(x, cosine, sine, before):
        a, b = before[..., offset:].float().unflatten(2, (32, 2)).unbind(3)
        c, s = cosine[:, None], sine[:, None]
        want = torch.stack([a * c - b * s, a * s + b * c], 3).flatten(2)
        return [(x[..., offset:], want), (x[..., :offset].sum()[None] + 1, before[..., :offset].sum()[None] + 1)]

    return Call(
        "rotate", "rotate", tokens, heads * 64, make,
        lambda sms, x, c, s, _: CUDA.launch("rotate", (tokens // 4, 1, heads), 128, x, c, s, heads, pitch, offset),
        4 * tokens * heads * 64 + 256 * tokens, check,
    )  # fmt: skip


def row_sums(tokens: int, heads: int) -> Call:
    def make():
        tensors = normal(tokens, heads, 128), normal(tokens, heads, 128)
        return *tensors, new(heads, tokens, dtype=F32), new(heads, tokens, 192, dtype=F32)

    return Call(
        "attention-row-sums", "attention_row_sums", tokens, heads * 128, make,
        lambda sms, *t: CUDA.launch("attention_row_sums", (tokens // 64, heads), 256, *t, tokens, heads),
        tokens * heads * (4 * 128 + 4 + 4 * 192),
        lambda x, d, s, clear: [(s, (x.float() * d.float()).sum(2).t()), (clear + 1, torch.ones_like(clear))],
    )  # fmt: skip


def query_gradient(tokens: int, heads: int) -> Call:
    return Call(
        "attention-query-gradient", "attention_query_gradient", tokens, heads * 192,
        lambda: (normal(heads, tokens, 192, dtype=F32), new(tokens, heads, 192)),
        lambda sms, x, y: CUDA.launch("attention_query_gradient", (tokens // 64, heads), 256, x, y, tokens, heads),
        6 * tokens * heads * 192,
        lambda x, y: [(y, x.transpose(0, 1))],
    )  # fmt: skip


def empty(blocks: int, threads: int) -> Call:
    """`tokens` blocks of `dim` threads that do nothing."""

    def launch(sms):
        CUDA.launch("empty", (blocks,), threads)

    return Call("empty", "empty", blocks, threads, tuple, launch, 0)


def by_torch(kernel: str, tokens: int, dim: int, inputs: Callable, call: Callable, moved: int) -> Call:
    """What PyTorch launches for `call`; results are kept by the caller, so that they rotate too."""
    return Call(kernel, "", tokens, dim, inputs, lambda sms, *t: call(*t), moved)


def torch_calls() -> list[Call]:
    calls = []
    for tokens in (4096, 2048, 16384):
        n = tokens * 256

        def scores(tokens=tokens):
            return (normal(tokens, 256, dtype=F32),)

        def two(tokens=tokens):
            return normal(tokens, 256, dtype=F32), normal(tokens, 256, dtype=F32)

        def row(tokens=tokens):
            return normal(tokens, 256, dtype=F32), normal(tokens, 1, dtype=F32)

        calls += [
            by_torch("top-k", tokens, 256, scores, lambda x: torch.topk(x, 8, 1, sorted=False), 4 * n + 96 * tokens),
            by_torch("top-k", tokens, 8, lambda t=tokens: (normal(t, 8, dtype=F32),),
                     lambda x: torch.topk(x, 4, 1, sorted=False),
                     80 * tokens),
            by_torch("sigmoid-f32", tokens, 256, scores, torch.sigmoid, 8 * n),
            by_torch("mul-f32", tokens, 256, two, torch.mul, 12 * n),
            by_torch("div-by-row-f32", tokens, 256, row, torch.div, 8 * n),
            by_torch("sum-rows-f32", tokens, 256, scores, lambda x: x.sum(1), 4 * n),
            by_torch("sum-columns-f32", tokens, 256, scores, lambda x: x.sum(0), 4 * n),
            by_torch("fill-f32", tokens, 256, scores, torch.zeros_like, 4 * n),
        ]  # fmt: skip
        calls += [
            by_torch("scalar-mul", tokens, 7168, lambda t=tokens: (normal(t, 7168),),
                     lambda x: x * 0.5, 4 * tokens * 7168),
            by_torch("slice-clone", tokens, 512, lambda t=tokens: (normal(t, 576),),
                     lambda x: x[:, :512].clone(), 2048 * tokens),
        ]  # fmt: skip
        if tokens <= 4096:
            keys = tokens * 128 * 64
            calls += [
                by_torch("rope-broadcast", tokens, 8192, lambda t=tokens: (new(t, 128, 192), normal(t, 1, 64)),
                         lambda k, r: k[..., 128:].copy_(r.expand(-1, 128, -1)), 2 * keys + 128 * tokens),
                by_torch("sum-heads", tokens, 8192, lambda t=tokens: (normal(t, 128, 192),),
                         lambda k: k[..., 128:].sum(1), 2 * keys + 128 * tokens),
            ]  # fmt: skip
    for rows, dim in ((32512, 56), (32512, 32), (30976, 16), (8192, 56)):
        calls.append(
            by_torch("scale-clone", rows, dim, lambda r=rows, d=dim: (normal(r, d, dtype=F32),),
                     lambda x: x.t().contiguous(), 8 * rows * dim)
        )  # fmt: skip
    return calls


def stand_ins() -> list[Call]:
    wide = [(4096, d) for d in (512, 576, 1536, 4096, 7168, 16384, 24576, 32768)]
    experts = [(30048, 7168, 32512), (4096, 7168, 16384), (16384, 4096, 32768)]
    calls = [cast_rows(*s) for s in [*wide, (32512, 4096), (8192, 5120), (2048, 12288)]]
    calls += [cast_rows(*s, "cast_rows_narrow") for s in [(4096, 1536), (4096, 7168), (4096, 16384), (32512, 4096)]]
    calls += [cast(*s) for cast in (cast_e5m6, cast_back_e5m6) for s in [(4096, 16384), (8192, 16384), (4096, 4096)]]
    calls += [cast_back(*s) for s in [(4096, 4096), (4096, 7168), (32512, 4096), (16384, 2048)]]
    calls += [transpose_scales(4096, d) for d in (4, 12, 16, 32, 56, 128, 192, 256)]
    weights = [(7168, 2048), (4096, 7168), (7168, 16384), (24576, 1536), (32768, 512), (1536, 7168), (16384, 7168)]
    calls += [transpose_fp8(*s) for s in weights]
    calls += [cast_columns(*s) for s in [*(s for s in wide if s[1] != 576), (32512, 4096), (32512, 2048), (8192, 5120)]]
    calls += [cast_columns(4096, d, "_staged") for d in (1536, 7168, 16384, 32768)] + [cast_columns(32512, 4096, "_staged")]
    for staged in ("", "_staged"):
        calls += [recast_columns(*s, staged=staged) for s in [(4096, 7168), (16384, 4096), *experts]]
    calls += [swiglu_cast(*s) for s in [(4096, 2048), (30976, 2048), (16384, 1536)]]
    calls += [swiglu_cast_columns(*s) for s in [(4096, 2048), (32512, 2048), (8192, 1536)]]
    calls += [swiglu_backward(*s) for s in [(4096, 2048), (32512, 2048), (16384, 1536)]]
    calls += [swiglu_both(*s) for s in [(4096, 2048), (32512, 2048), (16384, 1536)]]
    calls += [swiglu_weights(t, 2048, r) for t, _, r in experts]
    calls += [kernel(*s) for kernel in (expand, reduce) for s in experts]
    norms = [(4096, 7168), (2048, 7168), (16384, 7168), (8192, 4096)]
    calls += [ln_forward(*s) for s in [*norms, (4096, 1536), (4096, 512)]]
    calls += [ln_forward(*s, residual=True) for s in norms]
    calls += [ln_backward(*s) for s in norms]
    calls += [copy_heads(t, 128, p) for t in (4096, 2048, 8192) for p in ((256, 192), (192, 256))]
    calls += [rotate(*s) for s in [(4096, 128), (2048, 128), (8192, 128), (4096, 1)]]
    calls += [kernel(t, 128) for kernel in (row_sums, query_gradient) for t in (4096, 2048, 8192)]
    return [*calls, *(empty(*s) for s in [(1, 128), (4096, 128), (32512, 128), (131072, 128), (32512, 256), (8128, 512)])]


def tested() -> list[Call]:
    """Every kernel once, small."""
    small = (384, 7168, 640)
    calls = [cast_rows(64, 576), cast_rows(64, 7168), cast_rows(64, 576, "cast_rows_narrow"), cast_e5m6(64, 4096)]
    calls += [cast_back(64, 4096), transpose_scales(256, 192), transpose_scales(256, 12), transpose_fp8(256, 384)]
    calls += [cast_columns(256, 384, "_staged"), recast_columns(*small, "_staged"), cast_columns(256, 384)]
    calls += [recast_columns(256, 384), recast_columns(*small), swiglu_cast(64, 2048)]
    calls += [swiglu_cast_columns(256, 384), swiglu_backward(64, 2048), swiglu_both(64, 2048)]
    calls += [swiglu_weights(384, 2048, 640), expand(*small), reduce(*small)]
    calls += [ln_forward(900, 7168), ln_forward(900, 4096), ln_forward(900, 1536)]
    calls += [ln_forward(9000, 512), ln_forward(900, 7168, residual=True), ln_backward(300, 7168), ln_backward(300, 4096)]
    calls += [copy_heads(64, 128, (256, 192)), copy_heads(64, 128, (192, 256)), rotate(64, 128), rotate(64, 1)]
    return [*calls, row_sums(128, 16), query_gradient(128, 16)]


def fault(call: Call) -> str:
    """What is wrong with a kernel's results; nothing if they agree with PyTorch to the rounding of FP8."""
    tensors = call.make()
    call.launch(112, *tensors)
    torch.cuda.synchronize()
    for got, want in call.check(*tensors):
        got, want = got.float(), want.float()
        error = ((got - want).norm() / want.norm()).item()
        if not error < 0.04:
            return f"relative error {error:.3g}"
    return ""


class Held:
    """While open, `n` SMs run nothing but a kernel that waits."""

    def __init__(self, n: int):
        self.n = n
        self.flags = torch.zeros(2, device="cuda", dtype=I32)
        self.numbers = torch.zeros(100, device="cuda", dtype=I32)
        self.stream = torch.cuda.Stream()

    def __enter__(self):
        if self.n == 0:
            return
        self.flags.zero_()
        torch.cuda.synchronize()
        with torch.cuda.stream(self.stream):
            running, done = self.flags[:1], self.flags[1:]
            CUDA.launch("hold", (self.n,), 1024, running, done, self.numbers, numpy.uint64(HELD_LIMIT_NANOSECONDS))
        while self.flags[0].item() < self.n:
            pass

    def __exit__(self, *_):
        if self.n:
            self.flags[1].fill_(1)
            self.stream.synchronize()


class Measurement:
    def __init__(self):
        self.nvml = Nvml()
        self.n_sms = torch.cuda.get_device_properties(0).multi_processor_count
        self.held = {self.n_sms - n: Held(n) for n in N_HELD_ALL}
        self.stream = torch.cuda.Stream()

    def free(self) -> int:
        """SMs that blocks land on while others are held."""
        sms = new(self.n_sms * 4, dtype=I32)

        def look():
            CUDA.launch("where", (self.n_sms * 4,), 128, sms, numpy.uint64(50_000))
            return len(set(sms.tolist()))

        with torch.cuda.stream(self.stream):
            # A kernel is loaded at its first launch, which may wait for all that runs.
            look()
            with self.held[self.n_sms - N_HELD]:
                return look()

    def rows(self, call: Call):
        with torch.cuda.stream(self.stream):
            n_sets = max(2, min(64, math.ceil(SET_BYTES / call.moved))) if call.moved else 1
            sets = [call.make() for _ in range(n_sets)]
            for sms, held in self.held.items():
                yield self.row(call, sets, sms, held)

    def row(self, call: Call, sets: list, sms: int, held: Held) -> dict:
        kept = [None] * len(sets)

        def run(n):
            for index in range(n):
                kept[index % len(sets)] = call.launch(sms, *sets[index % len(sets)])

        run(len(sets))
        first = self.timed(lambda: run(len(sets)), 1)[0] / len(sets)
        n_calls = max(len(sets), min(256, math.ceil(REPETITION_SECONDS / first)))
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=self.stream):
            run(n_calls)
        self.timed(graph.replay, 3)
        with held:
            self.timed(graph.replay, 4)
            times = [time / n_calls for time in self.timed(graph.replay, N_REPETITIONS)]
        return {
            "kernel": call.kernel,
            "tokens": call.tokens,
            "dim": call.dim,
            "top-k": "",
            "seconds": f"{percentile(times, 0.5):.6g}",
            "low": f"{percentile(times, 0.05):.6g}",
            "high": f"{percentile(times, 0.95):.6g}",
            "runs": len(times),
            "implementation": "stand-in" if call.function else VERSION,
            "clock": f"{self.clock:.6g}",
            "power": f"{self.power:.5g}",
            "extra.sms": sms,
            "extra.bytes": call.moved,
            "extra.rows": call.rows or "",
            "extra.registers": CUDA.function(call.function).num_regs if call.function else "",
        }

    def timed(self, play, n: int) -> list[float]:
        """Waits for its own stream alone: SMs may be held."""
        marks = [torch.cuda.Event(enable_timing=True) for _ in range(n + 1)]
        marks[0].record()
        for mark in marks[1:]:
            play()
            mark.record()
        self.clock, self.power = self.nvml.clock(), self.nvml.power()
        self.stream.synchronize()
        return [a.elapsed_time(b) / 1e3 for a, b in zip(marks, marks[1:])]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--out", default="stand_ins.csv", help="the file to write (default: %(default)s)")
    arguments = parser.parse_args()
    torch.manual_seed(1)
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    wrong = set()
    for call in tested():
        reason = fault(call)
        if reason:
            wrong.add(call.function)
            print(f"left out: {call.function}: {call.tokens} x {call.dim}: {reason}", file=sys.stderr)
    measurement = Measurement()
    print(f"{measurement.free()} SMs are free of {measurement.n_sms} while {N_HELD} are held", file=sys.stderr)
    with open(arguments.out, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        for call in stand_ins() + torch_calls():
            if call.function in wrong:
                continue
            try:
                for row in measurement.rows(call):
                    writer.writerow(row)
                    name = f"{call.kernel} {call.tokens} x {call.dim}, {row['extra.sms']} SMs"
                    print(f"{name}: {row['seconds']} s, {call.moved / float(row['seconds']) / 1e12:.2f} TB/s")
            except RuntimeError as error:
                print(f"left out: {call.kernel} {call.tokens} x {call.dim}: {str(error)[:200]}", file=sys.stderr)
            file.flush()
            torch.cuda.empty_cache()
    return 0


if __name__ == "__main__":
    sys.exit(main())

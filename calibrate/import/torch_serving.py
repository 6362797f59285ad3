#!/usr/bin/env python3
"""Times serving of language models by PyTorch on one GPU: its kernels, whole decode iterations in a CUDA graph, and prefill.

    python3 torch_serving.py --out .                      # kernels.jsonl, others.jsonl, iterations.jsonl, prefill.jsonl
    python3 torch_serving.py --out . --only kernels --quick
    TRITON_INTERPRET=1 python3 torch_serving.py --check   # few and tiny, without a GPU; times nothing

The stack is called `pytorch-graphs`. Products are those of cuBLAS, in BF16. Residual and norm, rotation and the write of
keys and values, SwiGLU, and decode attention over split keys are plain Triton kernels. Decode runs in a CUDA graph.

`kernels.jsonl` has samples for `windtunnel calibrate import`. How they are timed: `shared.py`; operands are windows of one
pool of random numbers, so weights and caches come from device memory. The other files have one free JSON object a line.
What failed is in `failures.jsonl`. Every line is flushed, so a run that is cut off keeps what it had.
"""

import argparse
import bisect
import contextlib
import ctypes
import gc
import json
import math
import os
import random
import sys
import tempfile
import time
from dataclasses import dataclass

import torch
import torch.nn.functional as F
import triton
import triton.language as tl

from shared import DEVICE, L2_FACTOR, SLEEP_CYCLES, VERSION, Nvml, Reading, percentile, rough

BF16 = torch.bfloat16
SECTIONS = ("kernels", "iterations", "prefill")
PLAIN = "triton-plain"
# Blocks that the keys of decode attention are split into, at least.
N_BLOCKS = 264
HEAD = 128
LATENT, ROTARY, NOPE = 512, 64, 128
LOG2_E = 1.4426950408889634
CACHE_BYTES_MAX = 40e9
POOL_BYTES = 44e9
N_CALLS_MAX = 2048
N_REPETITIONS = 20
REPETITION_SECONDS = 1.5e-3
POSITIONS = 32768


# Kernels


@triton.jit
def add_norm_kernel(x, residual, weight, to, dim, stride, eps, ADD: tl.constexpr, BLOCK: tl.constexpr):
    """The norm of a row, of its sum with the residual where `ADD`; the sum replaces the residual."""
    row = tl.program_id(0).to(tl.int64)
    at = tl.arange(0, BLOCK)
    ok = at < dim
    value = tl.load(x + row * stride + at, mask=ok, other=0.0).to(tl.float32)
    if ADD:
        value += tl.load(residual + row * dim + at, mask=ok, other=0.0).to(tl.float32)
        tl.store(residual + row * dim + at, value.to(tl.bfloat16), mask=ok)
    scale = tl.rsqrt(tl.sum(value * value, 0) / dim + eps)
    gain = tl.load(weight + at, mask=ok, other=0.0).to(tl.float32)
    tl.store(to + row * dim + at, (value * scale * gain).to(tl.bfloat16), mask=ok)


@triton.jit
def head_norm_kernel(qkv, weight_q, weight_k, heads, kv_heads, stride, eps, ROWS: tl.constexpr, D: tl.constexpr):
    """Norms of the query and key heads of a token, in place."""
    token = tl.program_id(0).to(tl.int64)
    rows = tl.arange(0, ROWS)
    at = tl.arange(0, D)
    ok = (rows < heads + kv_heads)[:, None]
    where = qkv + token * stride + rows[:, None] * D + at[None, :]
    value = tl.load(where, mask=ok, other=0.0).to(tl.float32)
    scale = tl.rsqrt(tl.sum(value * value, 1) / D + eps)
    gain_q = tl.load(weight_q + at).to(tl.float32)
    gain_k = tl.load(weight_k + at).to(tl.float32)
    gain = tl.where((rows < heads)[:, None], gain_q[None, :], gain_k[None, :])
    tl.store(where, (value * scale[:, None] * gain).to(tl.bfloat16), mask=ok)


@triton.jit
def rope_kernel(
    qkv, cos, sin, positions, slots, k_cache, v_cache, heads, kv_heads, stride,
    WRITE: tl.constexpr, ROWS: tl.constexpr, KV_ROWS: tl.constexpr, D: tl.constexpr,
):  # fmt: skip
    """Rotates the query heads of a token in place; where `WRITE`, puts its rotated keys and its values into the cache."""
    token = tl.program_id(0).to(tl.int64)
    position = tl.load(positions + token)
    half = tl.arange(0, D // 2)
    c = tl.load(cos + position * (D // 2) + half).to(tl.float32)[None, :]
    s = tl.load(sin + position * (D // 2) + half).to(tl.float32)[None, :]
    rows = tl.arange(0, ROWS)
    ok = (rows < heads)[:, None]
    low = qkv + token * stride + rows[:, None] * D + half[None, :]
    a = tl.load(low, mask=ok, other=0.0).to(tl.float32)
    b = tl.load(low + D // 2, mask=ok, other=0.0).to(tl.float32)
    tl.store(low, (a * c - b * s).to(tl.bfloat16), mask=ok)
    tl.store(low + D // 2, (b * c + a * s).to(tl.bfloat16), mask=ok)
    if WRITE:
        slot = tl.load(slots + token)
        rows_kv = tl.arange(0, KV_ROWS)
        ok_kv = (rows_kv < kv_heads)[:, None]
        low_k = qkv + token * stride + (heads + rows_kv[:, None]) * D + half[None, :]
        to_k = k_cache + (slot * kv_heads + rows_kv[:, None]) * D + half[None, :]
        ka = tl.load(low_k, mask=ok_kv, other=0.0).to(tl.float32)
        kb = tl.load(low_k + D // 2, mask=ok_kv, other=0.0).to(tl.float32)
        tl.store(to_k, (ka * c - kb * s).to(tl.bfloat16), mask=ok_kv)
        tl.store(to_k + D // 2, (kb * c + ka * s).to(tl.bfloat16), mask=ok_kv)
        full = tl.arange(0, D)
        from_v = qkv + token * stride + (heads + kv_heads + rows_kv[:, None]) * D + full[None, :]
        to_v = v_cache + (slot * kv_heads + rows_kv[:, None]) * D + full[None, :]
        tl.store(to_v, tl.load(from_v, mask=ok_kv, other=0.0), mask=ok_kv)


@triton.jit
def rope_latent_kernel(
    q, key, latent, cos, sin, positions, slots, cache, heads, q_token, q_head, key_stride,
    ROWS: tl.constexpr, D: tl.constexpr, WIDE: tl.constexpr,
):  # fmt: skip
    """Rotates the last `D` of each query head and the shared key; the normed latent and that key go into the cache."""
    token = tl.program_id(0).to(tl.int64)
    position = tl.load(positions + token)
    half = tl.arange(0, D // 2)
    c = tl.load(cos + position * (D // 2) + half).to(tl.float32)
    s = tl.load(sin + position * (D // 2) + half).to(tl.float32)
    rows = tl.arange(0, ROWS)
    ok = (rows < heads)[:, None]
    low = q + token * q_token + rows[:, None] * q_head + half[None, :]
    a = tl.load(low, mask=ok, other=0.0).to(tl.float32)
    b = tl.load(low + D // 2, mask=ok, other=0.0).to(tl.float32)
    tl.store(low, (a * c[None, :] - b * s[None, :]).to(tl.bfloat16), mask=ok)
    tl.store(low + D // 2, (b * c[None, :] + a * s[None, :]).to(tl.bfloat16), mask=ok)
    slot = tl.load(slots + token)
    to = cache + slot * (WIDE + D)
    ka = tl.load(key + token * key_stride + half).to(tl.float32)
    kb = tl.load(key + token * key_stride + D // 2 + half).to(tl.float32)
    tl.store(to + WIDE + half, (ka * c - kb * s).to(tl.bfloat16))
    tl.store(to + WIDE + D // 2 + half, (kb * c + ka * s).to(tl.bfloat16))
    wide = tl.arange(0, WIDE)
    tl.store(to + wide, tl.load(latent + token * WIDE + wide))


@triton.jit
def swiglu_kernel(x, to, dim, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    at = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    ok = at < dim
    gate = tl.load(x + row * 2 * dim + at, mask=ok, other=0.0).to(tl.float32)
    up = tl.load(x + row * 2 * dim + dim + at, mask=ok, other=0.0).to(tl.float32)
    tl.store(to + row * dim + at, (gate / (1.0 + tl.exp(-gate)) * up).to(tl.bfloat16), mask=ok)


@triton.jit(do_not_specialize=["heads", "kv_heads", "group", "queries", "tiles", "splits"])
def decode_split_kernel(
    q, q_rotary, k, v, lengths, parts, logs, scale, heads, kv_heads, group, queries, tiles, splits,
    q_token, q_head, r_token, r_head, k_batch, k_key, k_head,
    D: tl.constexpr, R: tl.constexpr, DV: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr, SHARED: tl.constexpr,
):  # fmt: skip
    """One piece of the keys for one tile of rows that share a key-value head.

    Where `SHARED`, values are the first `D` of the keys, which have `R` more, and are read once.
    """
    index = tl.program_id(0)
    split = tl.program_id(1)
    tile = index % tiles
    kv_head = (index // tiles) % kv_heads
    batch = index // tiles // kv_heads
    length = tl.load(lengths + batch)
    per = tl.cdiv(tl.cdiv(length, KEYS), splits) * KEYS
    start = split * per
    end = tl.minimum(start + per, length)
    rows = tile * ROWS + tl.arange(0, ROWS)
    query = rows // group
    head = kv_head * group + rows % group
    row_ok = rows < group * queries
    token = (batch * queries + query).to(tl.int64)
    seen = length - (queries - 1 - query)
    at = tl.arange(0, D)
    queried = tl.load(q + token[:, None] * q_token + head[:, None] * q_head + at[None, :], mask=row_ok[:, None], other=0.0)
    if SHARED:
        at_r = tl.arange(0, R)
        where_r = q_rotary + token[:, None] * r_token + head[:, None] * r_head + at_r[None, :]
        queried_r = tl.load(where_r, mask=row_ok[:, None], other=0.0)
    base = batch.to(tl.int64) * k_batch + kv_head * k_head
    largest = tl.full([ROWS], -1e30, tl.float32)
    total = tl.zeros([ROWS], tl.float32)
    sums = tl.zeros([ROWS, DV], tl.float32)
    at_v = tl.arange(0, DV)
    for first in range(start, end, KEYS):
        keys = first + tl.arange(0, KEYS)
        ok = keys < end
        key = tl.load(k + base + keys[None, :] * k_key + at[:, None], mask=ok[None, :], other=0.0)
        score = tl.dot(queried, key)
        if SHARED:
            key_r = tl.load(k + base + keys[None, :] * k_key + D + at_r[:, None], mask=ok[None, :], other=0.0)
            score += tl.dot(queried_r, key_r)
        score = tl.where(ok[None, :] & (keys[None, :] < seen[:, None]), score * scale, -1e30)
        larger = tl.maximum(largest, tl.max(score, 1))
        shrink = tl.exp2(largest - larger)
        weight = tl.exp2(score - larger[:, None])
        total = total * shrink + tl.sum(weight, 1)
        if SHARED:
            value = tl.trans(key)
        else:
            value = tl.load(v + base + keys[:, None] * k_key + at_v[None, :], mask=ok[:, None], other=0.0)
        sums = sums * shrink[:, None] + tl.dot(weight.to(tl.bfloat16), value)
        largest = larger
    divisor = tl.where(total > 0.0, total, 1.0)
    to = (token * heads + head) * splits + split
    tl.store(parts + to[:, None] * DV + at_v[None, :], sums / divisor[:, None], mask=row_ok[:, None])
    tl.store(logs + to, largest + tl.log2(divisor), mask=row_ok)


@triton.jit(do_not_specialize=["heads", "splits"])
def decode_merge_kernel(
    parts, logs, to, heads, splits, to_token, to_head, DV: tl.constexpr, COLUMNS: tl.constexpr, CHUNK: tl.constexpr
):
    """The pieces of one row, weighted by their sums."""
    row = tl.program_id(0).to(tl.int64)
    at = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    largest = tl.full([], -1e30, tl.float32)
    total = tl.full([], 0.0, tl.float32)
    sums = tl.zeros([COLUMNS], tl.float32)
    for first in range(0, splits, CHUNK):
        pieces = first + tl.arange(0, CHUNK)
        ok = pieces < splits
        log = tl.load(logs + row * splits + pieces, mask=ok, other=-1e30)
        part = tl.load(parts + (row * splits + pieces)[:, None] * DV + at[None, :], mask=ok[:, None], other=0.0)
        larger = tl.maximum(largest, tl.max(log, 0))
        shrink = tl.exp2(largest - larger)
        weight = tl.where(ok, tl.exp2(log - larger), 0.0)
        total = total * shrink + tl.sum(weight, 0)
        sums = sums * shrink + tl.sum(weight[:, None] * part, 0)
        largest = larger
    token = row // heads
    head = row % heads
    tl.store(to + token * to_token + head * to_head + at, (sums / total).to(tl.bfloat16))


@triton.jit
def empty_kernel(x):
    pass


@triton.jit
def tiny_kernel(x):
    """One number, read and written: a node that waits for the node before."""
    tl.store(x, tl.load(x) + 1.0)


# Their calls


def warps(block: int) -> int:
    return 8 if block >= 4096 else 4


def add_norm(x, residual, weight, eps: float = 1e-6):
    """The norm of `x + residual`, which replaces `residual`."""
    to = torch.empty_like(residual)
    rows, dim = residual.shape
    block = triton.next_power_of_2(dim)
    add_norm_kernel[(rows,)](x, residual, weight, to, dim, x.stride(0), eps, ADD=True, BLOCK=block, num_warps=warps(block))
    return to


def norm(x, weight, eps: float = 1e-6):
    rows, dim = x.shape
    to = torch.empty((rows, dim), device=x.device, dtype=x.dtype)
    block = triton.next_power_of_2(dim)
    add_norm_kernel[(rows,)](x, x, weight, to, dim, x.stride(0), eps, ADD=False, BLOCK=block, num_warps=warps(block))
    return to


def head_norm(qkv, weight_q, weight_k, heads: int, kv_heads: int, eps: float = 1e-6):
    rows = triton.next_power_of_2(heads + kv_heads)
    head_norm_kernel[(qkv.shape[0],)](
        qkv, weight_q, weight_k, heads, kv_heads, qkv.stride(0), eps, ROWS=rows, D=HEAD, num_warps=4
    )


def rope_write(qkv, table, positions, slots, k_cache, v_cache, heads: int, kv_heads: int):
    rope_kernel[(qkv.shape[0],)](
        qkv, *table, positions, slots, k_cache, v_cache, heads, kv_heads, qkv.stride(0),
        WRITE=True, ROWS=triton.next_power_of_2(heads), KV_ROWS=triton.next_power_of_2(kv_heads), D=HEAD, num_warps=4,
    )  # fmt: skip


def rope_only(x, table, positions):
    heads = x.shape[1] // HEAD
    rows = triton.next_power_of_2(heads)
    rope_kernel[(x.shape[0],)](
        x, *table, positions, positions, x, x, heads, 1, x.stride(0), WRITE=False, ROWS=rows, KV_ROWS=1, D=HEAD, num_warps=4
    )


def rope_write_latent(q, key, latent, table, positions, slots, cache):
    """`q` is `[tokens, heads, ROTARY]`, a view."""
    rope_latent_kernel[(q.shape[0],)](
        q, key, latent, *table, positions, slots, cache, q.shape[1], q.stride(0), q.stride(1), key.stride(0),
        ROWS=triton.next_power_of_2(q.shape[1]), D=ROTARY, WIDE=LATENT, num_warps=4,
    )  # fmt: skip


def swiglu(x):
    rows, dim = x.shape[0], x.shape[1] // 2
    to = torch.empty((rows, dim), device=x.device, dtype=x.dtype)
    swiglu_kernel[(rows, triton.cdiv(dim, 1024))](x, to, dim, BLOCK=1024, num_warps=4)
    return to


class Splits:
    """How decode attention is cut: rows of a tile, tiles of a key-value head, pieces of the keys."""

    # Rows of a tile at most. Those of latent attention are chosen by `choose_rows`.
    rows_max = {False: 64, True: 16}

    def __init__(self, heads: int, kv_heads: int, batch: int, context: int, queries: int, latent: bool):
        n_rows = heads // kv_heads * queries
        self.latent, self.keys, self.stages = latent, 32 if latent else 64, 2 if latent else 3
        self.rows = min(max(16, triton.next_power_of_2(n_rows)), self.rows_max[latent])
        self.tiles = triton.cdiv(n_rows, self.rows)
        n_pieces = triton.cdiv(context, self.keys)
        splits = min(n_pieces, triton.cdiv(N_BLOCKS, batch * kv_heads * self.tiles))
        # No piece is empty.
        self.splits = triton.cdiv(n_pieces, triton.cdiv(n_pieces, splits))

    def extras(self) -> dict:
        return {"splits": float(self.splits), "tile-rows": float(self.rows), "tiles": float(self.tiles)}


def decode_attention(q, q_rotary, k, v, lengths, queries: int, plan: Splits, to, scale: float):
    """`q` is `[tokens, heads, width]` and `to` likewise, views; caches are `[batch, keys, kv_heads, width]`."""
    tokens, heads, width = q.shape
    batch, _, kv_heads, _ = k.shape
    dv = LATENT if plan.latent else width
    parts = torch.empty((tokens, heads, plan.splits, dv), device=q.device, dtype=torch.float32)
    logs = torch.empty((tokens, heads, plan.splits), device=q.device, dtype=torch.float32)
    decode_split_kernel[(batch * kv_heads * plan.tiles, plan.splits)](
        q, q_rotary, k, v, lengths, parts, logs, scale * LOG2_E, heads, kv_heads, heads // kv_heads, queries,
        plan.tiles, plan.splits, q.stride(0), q.stride(1), q_rotary.stride(0), q_rotary.stride(1),
        k.stride(0), k.stride(1), k.stride(2), D=width, R=ROTARY, DV=dv, ROWS=plan.rows, KEYS=plan.keys,
        SHARED=plan.latent, num_warps=4, num_stages=plan.stages,
    )  # fmt: skip
    chunk = min(64, triton.next_power_of_2(plan.splits))
    columns = dv if chunk * dv <= 8192 else 128
    decode_merge_kernel[(tokens * heads, dv // columns)](
        parts, logs, to, heads, plan.splits, to.stride(0), to.stride(1), DV=dv, COLUMNS=columns, CHUNK=chunk, num_warps=4
    )
    return to


def grouped_product(x, weights, offsets):
    """`weights` is `[experts, n, k]`; rows end at `offsets`."""
    return torch._grouped_mm(x, weights.transpose(-2, -1), offs=offsets)


def rotary_table(positions: int, width: int):
    angles = torch.arange(positions, device=DEVICE)[:, None] / 10000 ** (
        torch.arange(0, width, 2, device=DEVICE)[None, :] / width
    )
    return angles.cos().to(BF16), angles.sin().to(BF16)


# Files and clocks


class Files:
    """Files of JSON lines, flushed at each."""

    def __init__(self, folder: str):
        self.folder, self.open = folder, {}
        os.makedirs(folder, exist_ok=True)

    def write(self, name: str, value: dict) -> None:
        if name not in self.open:
            self.open[name] = open(os.path.join(self.folder, name), "w", encoding="utf-8")
        self.open[name].write(json.dumps(value) + "\n")
        self.open[name].flush()

    def rewrite(self, name: str, values: list) -> None:
        path = os.path.join(self.folder, name)
        with open(path + ".partial", "w", encoding="utf-8") as file:
            file.writelines(json.dumps(value) + "\n" for value in values)
        os.replace(path + ".partial", path)
        self.open.pop(name, None)

    def failed(self, what, error: Exception) -> None:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        print(f"failed: {what}: {type(error).__name__}: {first}"[:300], flush=True)
        self.write("failures.jsonl", {"failed": what, "error": f"{type(error).__name__}: {str(error)[:600]}"})
        with contextlib.suppress(Exception):
            torch.cuda.synchronize()
        free()


def free() -> None:
    gc.collect()
    if DEVICE == "cuda":
        torch.cuda.empty_cache()


class Clock:
    """Times calls in graphs. On a machine without a GPU it only makes the calls."""

    def __init__(self):
        self.nvml = Nvml() if DEVICE == "cuda" else None

    def capture(self, run):
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=torch.cuda.current_stream()):
            run()
        return graph

    def calls(self, sets: list, repetitions: int = N_REPETITIONS) -> Reading:
        """Seconds of one of the `sets`, each a function; the graph goes round through all of them."""
        for call in sets[:2]:
            call()
        if DEVICE == "cpu":
            return Reading([1e-6] * 2, math.nan, math.nan)
        first = rough(sets[0])
        n_calls = min(N_CALLS_MAX, max(len(sets), math.ceil(REPETITION_SECONDS / first)))

        def run():
            for index in range(n_calls):
                sets[index % len(sets)]()

        return self.plays(self.capture(run).replay, n_calls, REPETITION_SECONDS, repetitions)

    def plays(self, play, n_calls: int, seconds: float, repetitions: int) -> Reading:
        n_plays = max(1, math.ceil(seconds / rough(play)))
        marks = [torch.cuda.Event(enable_timing=True) for _ in range(repetitions + 1)]
        torch.cuda.synchronize()
        torch.cuda._sleep(SLEEP_CYCLES)
        for _ in range(2 if n_plays > 1 else 1):
            play()
        marks[0].record()
        for mark in marks[1:]:
            for _ in range(n_plays):
                play()
            mark.record()
        clock, power = self.nvml.clock(), self.nvml.power()
        torch.cuda.synchronize()
        n = n_calls * n_plays
        return Reading([a.elapsed_time(b) / 1e3 / n for a, b in zip(marks, marks[1:])], clock, power)


def spread(times: list) -> dict:
    return {"seconds": percentile(times, 0.5), "low": percentile(times, 0.05), "high": percentile(times, 0.95)}


def fingerprint() -> dict:
    """As `calibrate::sample::Fingerprint`."""
    if DEVICE == "cpu":
        return {"device": "none"}
    nvml, of = Nvml(), torch.cuda.get_device_properties(0)
    driver = ""
    with contextlib.suppress(Exception):
        text = ctypes.create_string_buffer(96)
        nvml.library.nvmlSystemGetDriverVersion(text, 96)
        driver = text.value.decode()
    number = lambda value: 0.0 if math.isnan(value) else value  # noqa: E731
    # Hertz and bits of the memory.
    clock = getattr(of, "memory_clock_rate", 0) * 1e3 or number(nvml.read("nvmlDeviceGetMaxClockInfo", ctypes.c_uint, 2)) * 1e6
    width = getattr(of, "memory_bus_width", 0) or number(nvml.read("nvmlDeviceGetMemoryBusWidth", ctypes.c_uint))
    versions = {
        "compute-capability": f"{of.major}.{of.minor}", "cuda": str(torch.version.cuda), "driver": driver,
        "torch": torch.__version__, "triton": triton.__version__,
    }  # fmt: skip
    return {
        "device": of.name,
        "n-devices": 1,
        "sms": of.multi_processor_count,
        "clock-max": number(nvml.read("nvmlDeviceGetMaxClockInfo", ctypes.c_uint, 1)) * 1e6,
        "l2": of.L2_cache_size,
        "memory": of.total_memory,
        "memory-peak": 2.0 * clock * width / 8,
        "power-limit": number(nvml.power_limit()),
        "versions": versions,
        "settings": {},
    }


def machine_of(found: dict) -> str:
    """As `Fingerprint::id`: FNV-1a over the same JSON."""
    text, value = json.dumps(found, separators=(",", ":")), 0xCBF29CE484222325
    for byte in text.encode():
        value = ((value ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    device = "".join(c if c.isascii() and c.isalnum() else "-" for c in found["device"].lower())
    return f"{device}-x{found.get('n-devices', 1)}-{value >> 32:08x}"


# Single kernels


class Pool:
    """Random numbers, and windows of them. Windows follow on each other and begin again at the start."""

    def __init__(self, n_bytes: float):
        self.n = int(n_bytes) // 2 // 1024 * 1024
        self.values = torch.empty(self.n, device=DEVICE, dtype=BF16)
        self.values.normal_()
        self.at = 0

    def take(self, *shape: int):
        n = math.prod(shape)
        if n > self.n:
            raise MemoryError(f"{n} numbers of {self.n}")
        if self.at + n > self.n:
            self.at = 0
        window = self.values[self.at : self.at + n].view(shape)
        # Windows begin on 256 bytes.
        self.at += (n + 127) // 128 * 128
        return window


def n_sets(moved: float) -> int:
    """Sets of operands that together are several times the L2."""
    if DEVICE == "cpu":
        return 2
    l2 = torch.cuda.get_device_properties(0).L2_cache_size
    return 1 if moved > 2e9 else max(2, min(N_CALLS_MAX, math.ceil(L2_FACTOR * l2 / max(1, moved))))


def attention_cases(quick: bool):
    """Heads, key-value heads, batch, context, queries, latent."""
    batches, contexts = (1, 2, 4, 8, 16, 32, 64, 128, 256), (128, 512, 2048, 8192, 32768)
    found = []
    for heads, kv_heads, every in ((32, 8, 2), (64, 8, 3), (8, 1, 2), (4, 1, 5), (32, 32, 4), (64, 4, 4)):
        for i, batch in enumerate(batches):
            for j, context in enumerate(contexts):
                if (i + j) % every == 0 and 4 * batch * context * kv_heads * HEAD <= CACHE_BYTES_MAX:
                    found.append((heads, kv_heads, batch, context, 1, False))
    for heads, kv_heads in ((32, 8), (8, 1), (64, 8)):
        for queries in (2, 4):
            found += [(heads, kv_heads, b, c, queries, False) for b, c in ((1, 2048), (8, 8192), (64, 1024))]
    found += [(32, 8, b, c, 1, False) for b, c in ((16, 1000), (64, 1000), (64, 5000), (3, 5000))]
    for heads, every in ((128, 2), (16, 2), (32, 4)):
        for i, batch in enumerate(batches[:-1]):
            for j, context in enumerate((512, 2048, 8192, 32768)):
                if (i + j) % every == 0:
                    found.append((heads, 1, batch, context, 1, True))
    found += [(128, 1, b, c, 2, True) for b, c in ((1, 8192), (16, 2048), (128, 4096))]
    found += [(16, 1, b, c, q, True) for b, c, q in ((1, 8192, 2), (16, 2048, 2), (128, 4096, 2), (32, 4096, 4))]
    return found[::5] if quick else found


def attention_calls(pool: Pool, heads, kv_heads, batch, context, queries, latent, plan=None):
    plan = plan or Splits(heads, kv_heads, batch, context, queries, latent)
    width = LATENT + ROTARY if latent else HEAD
    moved = 2 * batch * context * kv_heads * width * (1 if latent else 2)
    lengths = torch.full((batch,), context, device=DEVICE, dtype=torch.int32)
    tokens = batch * queries
    to = torch.empty((tokens, heads, LATENT if latent else HEAD), device=DEVICE, dtype=BF16)
    scale = (NOPE + ROTARY if latent else HEAD) ** -0.5

    def make():
        q = pool.take(tokens, heads, width)
        k = pool.take(batch, context, kv_heads, width)
        v = k if latent else pool.take(batch, context, kv_heads, width)
        main, rotary = (q[..., :LATENT], q[..., LATENT:]) if latent else (q, q)
        call = lambda: decode_attention(main, rotary, k, v, lengths, queries, plan, to, scale)  # noqa: E731
        call.operands = (q, k, v)
        return call

    return [make() for _ in range(n_sets(moved))], plan, float(moved)


def choose_rows(clock: Clock, files: Files, pool: Pool) -> None:
    """Rows of a tile of latent attention: what is fastest with four warps."""
    times = {}
    for rows in (16, 32, 64):
        Splits.rows_max[True] = rows
        try:
            sets, _, _ = attention_calls(pool, 128, 1, 64, 4096, 1, True)
            times[rows] = percentile(clock.calls(sets, 5).times, 0.5)
        except Exception as error:  # noqa: BLE001
            files.failed(f"rows of a latent tile: {rows}", error)
    Splits.rows_max[True] = min(times, key=times.get) if times else 16
    what = "rows of a tile, latent attention of 128 heads, batch 64, context 4096"
    files.write("rows.jsonl", {"what": what, "seconds-by-rows": times, "chosen": Splits.rows_max[True]})
    print(f"latent tile: {times}, chosen {Splits.rows_max[True]}", flush=True)


def difference(got, want) -> float:
    return ((got.float() - want.float()).norm() / want.float().norm()).item()


def verify(files: Files, pool: Pool) -> None:
    """Compares kernels with FP32 arithmetic on few tokens."""
    found = {}
    pool.at = 0
    try:
        compare(pool, found)
    except Exception as error:  # noqa: BLE001
        files.failed("verify", error)
    for name, error in found.items():
        if not error < 0.02:
            files.failed(f"verify {name}", AssertionError(f"relative error {error:.3g}"))
    print("verified: " + ", ".join(f"{name} {error:.1e}" for name, error in found.items()), flush=True)


def compare(pool: Pool, found: dict) -> None:
    """Relative errors by name."""
    small = [(8, 2, 2, 300, 1, False), (8, 2, 3, 130, 2, False), (32, 2, 1, 200, 4, False), (16, 1, 2, 150, 1, True)]
    small += [(128, 1, 2, 150, 2, True)] if DEVICE == "cuda" else []
    for heads, kv_heads, batch, context, queries, latent in small:
        (call, *_), plan, _ = attention_calls(pool, heads, kv_heads, batch, context, queries, latent)
        got = call().clone()
        q, k, v = (x.float() for x in call.operands)
        v = v[..., :LATENT] if latent else v
        group = heads // kv_heads
        q = q.view(batch, queries, kv_heads, group, -1)
        score = torch.einsum("bqhgd,bkhd->bhgqk", q, k) * (NOPE + ROTARY if latent else HEAD) ** -0.5
        at = torch.arange(context, device=DEVICE)
        seen = at[None, :] < context - (queries - 1 - torch.arange(queries, device=DEVICE))[:, None]
        score = score.masked_fill(~seen, -math.inf).softmax(-1)
        want = torch.einsum("bhgqk,bkhd->bqhgd", score, v).reshape(batch * queries, heads, -1)
        name = f"attention {heads}/{kv_heads} batch {batch} context {context} queries {queries} splits {plan.splits}"
        found[name] = difference(got, want)
    x, residual, gain = pool.take(5, 7168), pool.take(5, 7168).clone(), pool.take(7168)
    total = x.float() + residual.float()
    want = total * torch.rsqrt(total.pow(2).mean(-1, keepdim=True) + 1e-6) * gain.float()
    found["norm"] = difference(add_norm(x, residual, gain), want)
    found["residual"] = difference(residual, total)
    x = pool.take(5, 3000)
    found["swiglu"] = difference(swiglu(x), F.silu(x[:, :1500].float()) * x[:, 1500:].float())
    table, heads, kv_heads = rotary_table(64, HEAD), 6, 3
    qkv = pool.take(5, (heads + 2 * kv_heads) * HEAD).clone()
    before = qkv.float().view(5, -1, HEAD)
    positions = torch.tensor([3, 60, 0, 7, 9], device=DEVICE)
    slots = torch.tensor([4, 0, 7, 2, 6], device=DEVICE)
    k_cache, v_cache = (torch.zeros((8, kv_heads, HEAD), device=DEVICE, dtype=BF16) for _ in "kv")
    rope_write(qkv, table, positions, slots, k_cache, v_cache, heads, kv_heads)
    c, s = (part[positions].float()[:, None, :] for part in table)
    turn = lambda x: torch.cat((x[..., :64] * c - x[..., 64:] * s, x[..., 64:] * c + x[..., :64] * s), -1)  # noqa: E731
    found["rope"] = difference(qkv.view(5, -1, HEAD)[:, :heads], turn(before)[:, :heads])
    found["rope, keys"] = difference(k_cache[slots], turn(before)[:, heads : heads + kv_heads])
    found["rope, values"] = difference(v_cache[slots], before[:, heads + kv_heads :])


PRODUCTS = [
    (6144, 4096), (4096, 4096), (28672, 4096), (4096, 14336), (128256, 4096), (1280, 8192), (8192, 1024), (7168, 8192),
    (8192, 3584), (2112, 7168), (24576, 1536), (7168, 16384), (36864, 7168), (7168, 18432), (4096, 7168), (7168, 2048),
    (129280, 7168), (256, 7168), (5120, 2048), (2048, 4096),
]  # fmt: skip
ROWS = (1, 2, 4, 8, 16, 32, 64, 96, 128, 192, 256, 384, 512)


def product_cases(quick: bool):
    found = [(m, n, k) for i, (n, k) in enumerate(PRODUCTS) for j, m in enumerate(ROWS) if (i + j) % 2 == 0]
    return found[::6] if quick else found


def product_calls(pool: Pool, m: int, n: int, k: int):
    def make():
        x, weight = pool.take(m, k), pool.take(n, k)
        return lambda: F.linear(x, weight)

    return [make() for _ in range(n_sets(2 * (m * k + n * k)))]


def grouped_cases(quick: bool):
    """Rows of each expert, n, k."""
    found = []

    def add(experts, n, k, hit, rows, skewed=False):
        hit = min(hit, experts)
        counts = [rows] * hit
        if skewed and hit > 1:
            # As 1 / rank, with the same sum.
            weights = [1 / (rank + 1) for rank in range(hit)]
            counts = [max(1, round(rows * hit * weight / sum(weights))) for weight in weights]
            random.Random(hit).shuffle(counts)
        tokens = [0] * experts
        for index, count in enumerate(counts):
            tokens[index * experts // hit] = count
        found.append((tokens, n, k))

    for experts, shapes in ((128, ((1536, 2048), (2048, 768))), (256, ((4096, 7168), (7168, 2048)))):
        for n, k in shapes:
            first = (n, k) == shapes[0]
            pairs = [(1, 1), (8, 1), (32, 1), (64, 2), (experts, 1), (experts, 4), (experts, 16), (experts, 64)]
            pairs += [(8, 16), (64, 8), (experts, 2), (experts, 8), (experts, 32), (experts, 128)] if first else []
            for hit, rows in pairs:
                add(experts, n, k, hit, rows)
            for hit, rows in ((64, 4), (experts, 8)):
                add(experts, n, k, hit, rows, True)
    for hit, rows in ((1, 1), (8, 2), (32, 1), (32, 4), (32, 16), (32, 128)):
        add(32, 4096, 7168, hit, rows)
    add(32, 4096, 7168, 32, 16, True)
    for rows in (1, 8, 64):
        add(8, 4096, 7168, 8, rows)
    for experts in range(1, 10):
        add(experts, 4096, 7168, experts, 16)
    for n, k in ((28672, 4096), (4096, 14336)):
        for hit, rows in ((1, 1), (2, 1), (8, 1), (8, 4), (8, 16), (8, 64), (8, 128)):
            add(8, n, k, hit, rows)
    return found[::6] if quick else found


def grouped_calls(pool: Pool, tokens: list, n: int, k: int):
    experts, hit, total = len(tokens), sum(1 for count in tokens if count), sum(tokens)
    counts = torch.tensor(tokens, device=DEVICE)
    offsets = counts.cumsum(0).to(torch.int32)
    # Windows of weights lie an expert apart: an expert hit in one set is another matrix in the next.
    sets = min(n_sets(2 * hit * n * k), max(1, windows(pool, experts, n, k)))

    def make(index):
        x = pool.take(total, k)
        weights = pool.values[index * n * k : (index + experts) * n * k].view(experts, n, k)
        return lambda: grouped_product(x, weights, offsets)

    return [make(index) for index in range(sets)]


def windows(pool: Pool, experts: int, n: int, k: int) -> int:
    """Windows of so many experts that the pool has room for."""
    return pool.n // (n * k) - experts + 1


def absorb_calls(pool: Pool, heads: int, rows: int, n: int, k: int):
    def make():
        x, weights = pool.take(heads, rows, k), pool.take(heads, k, n)
        return lambda: torch.bmm(x, weights)

    return [make() for _ in range(n_sets(2 * heads * (rows * k + n * k)))]


def kernels(files: Files, clock: Clock, end: float, quick: bool) -> None:
    found = fingerprint()
    machine, sms = machine_of(found), found.get("sms", 132)
    files.write("kernels.jsonl", {"fingerprint": found})
    pool = Pool(POOL_BYTES if DEVICE == "cuda" else 2e8)
    counts = {"rows": 0, "failed": 0}

    def sample(question: dict, implementation: str, make) -> None:
        """`make` gives the calls and the extras."""
        if time.monotonic() > end:
            counts["late"] = counts.get("late", 0) + 1
            return
        try:
            pool.at = 0
            calls, extras = make()
            took = clock.calls(calls)
            reading = {"implementation": implementation, **spread(took.times), "runs": len(took.times)}
            reading |= {name: value for name, value in (("clock", took.clock), ("power", took.power)) if value == value}
            reading |= {"extras": extras} if extras else {}
            files.write("kernels.jsonl", {"sample": {"question": question, "reading": reading, "machine": machine}})
            counts["rows"] += 1
        except Exception as error:  # noqa: BLE001
            counts["failed"] += 1
            files.failed(question, error)
        finally:
            # Memory of the graph that is gone.
            calls = None
            if DEVICE == "cuda":
                torch.cuda.empty_cache()

    def progress(what: str) -> None:
        print(f"kernels, {what}: {counts}, {end - time.monotonic():.0f} s left", flush=True)
        free()

    choose_rows(clock, files, pool)
    verify(files, pool)
    small_kernels(sample, pool, quick)
    progress("rows")
    try:
        others(files, clock, pool, end, quick)
    except Exception as error:  # noqa: BLE001
        files.failed("others", error)
    progress("others")
    for m, n, k in product_cases(quick):
        question = {"kernel": "gemm", "m": m, "n": n, "k": k, "dtype": "bf16", "sms": sms}
        sample(question, VERSION, lambda: (product_calls(pool, m, n, k), {"flops": 2.0 * m * n * k}))
    progress("products")
    for case in attention_cases(quick):
        heads, kv_heads, batch, context, queries, latent = case
        qk, value = (LATENT + ROTARY, LATENT) if latent else (HEAD, HEAD)
        question = {"kernel": "decode-attention", "heads": heads, "kv-heads": kv_heads, "qk": qk, "value": value}
        question |= {"batch": batch, "context": context, "queries": queries}

        def make(case=case):
            calls, plan, moved = attention_calls(pool, *case)
            return calls, plan.extras() | {"cache-bytes": moved}

        sample(question, PLAIN, make)
    progress("attention")
    for tokens, n, k in grouped_cases(quick):
        question = {"kernel": "grouped-gemm", "tokens": tokens, "n": n, "k": k, "dtype": "bf16", "sms": sms}
        hit = float(sum(1 for count in tokens if count))
        sample(question, VERSION, lambda: (grouped_calls(pool, tokens, n, k), {"hit": hit}))
    progress("grouped products")
    for heads in (16, 128):
        for rows in (1, 4, 16, 64, 128, 256)[:: 3 if quick else 1]:
            for n, k in ((LATENT, NOPE), (NOPE, LATENT)):
                question = {"kernel": "grouped-gemm", "tokens": [rows] * heads, "n": n, "k": k, "dtype": "bf16", "sms": sms}
                sample(question, f"{VERSION} bmm", lambda: (absorb_calls(pool, heads, rows, n, k), {}))
    progress("absorbing products")


def small_kernels(sample, pool: Pool, quick: bool) -> None:
    """Norm, SwiGLU and rotation, with the bytes they read and write."""
    table = rotary_table(POSITIONS, HEAD)
    for tokens in (1, 8, 64, 256, 512) if quick else (1, 2, 4, 8, 16, 32, 64, 128, 256, 512):
        for dim in (2048, 4096, 7168, 14336):
            size = 2.0 * tokens * dim

            def make_norm():
                gain = pool.take(dim)
                sets = [pool.take(tokens, dim) for _ in range(n_sets(2 * size))]
                return [lambda x=x: norm(x, gain) for x in sets], {"reads": size + 2 * dim, "writes": size}

            def make_swiglu():
                sets = [pool.take(tokens, 2 * dim) for _ in range(n_sets(3 * size))]
                return [lambda x=x: swiglu(x) for x in sets], {"reads": 2 * size, "writes": size}

            def make_rope():
                # A copy: the pool is not to be rotated again and again.
                sets = [pool.take(tokens, dim) for _ in range(min(n_sets(size), 512))]
                sets = list(torch.stack(sets).unbind(0))
                positions = torch.randint(POSITIONS, (tokens,), device=DEVICE)
                extras = {"reads": size + tokens * (2.0 * HEAD + 8), "writes": size}
                return [lambda x=x: rope_only(x, table, positions) for x in sets], extras

            if dim <= 7168:
                sample({"kernel": "rmsnorm", "tokens": tokens, "dim": dim}, PLAIN, make_norm)
                sample({"kernel": "rope", "tokens": tokens, "dim": dim}, PLAIN, make_rope)
            sample({"kernel": "swiglu", "tokens": tokens, "dim": dim}, PLAIN, make_swiglu)


def others(files: Files, clock: Clock, pool: Pool, end: float, quick: bool) -> None:
    """What the project has no question for. Operands of one token are small and stay in L2, as between kernels of a model."""

    def timed(what: str, sizes: dict, make) -> None:
        if time.monotonic() > end:
            return
        try:
            pool.at = 0
            calls = make()
            calls = calls if isinstance(calls, list) else [calls]
            took = clock.calls(calls, 12)
            files.write("others.jsonl", {"what": what, **sizes, **spread(took.times), "runs": len(took.times)})
        except Exception as error:  # noqa: BLE001
            files.failed([what, sizes], error)

    tokens_all = (1, 16, 256) if quick else (1, 4, 16, 64, 256, 1024)
    table = rotary_table(POSITIONS, HEAD)
    for tokens in tokens_all:
        for dim in (2048, 4096, 7168):

            def make_add():
                gain = pool.take(dim)
                pairs = [(pool.take(tokens, dim), torch.randn(tokens, dim, device=DEVICE, dtype=BF16)) for _ in range(4)]
                return [lambda x=x, r=r: add_norm(x, r, gain) for x, r in pairs]

            timed("residual and norm", {"tokens": tokens, "dim": dim, "resident": True}, make_add)
        for heads, kv_heads in ((32, 8), (8, 1), (32, 4)):

            def make_rope():
                qkv = pool.take(tokens, (heads + 2 * kv_heads) * HEAD).clone()
                k, v = (torch.empty((8192, kv_heads, HEAD), device=DEVICE, dtype=BF16) for _ in "kv")
                positions = torch.randint(POSITIONS, (tokens,), device=DEVICE)
                slots = torch.randperm(8192, device=DEVICE)[:tokens]
                return lambda: rope_write(qkv, table, positions, slots, k, v, heads, kv_heads)

            timed("rope and write", {"tokens": tokens, "heads": heads, "kv-heads": kv_heads, "resident": True}, make_rope)

        def make_head_norm():
            qkv, gain = pool.take(tokens, 48 * HEAD).clone(), pool.take(HEAD)
            return lambda: head_norm(qkv, gain, gain, 32, 8)

        timed("norm of heads", {"tokens": tokens, "heads": 32, "kv-heads": 8, "resident": True}, make_head_norm)

        def make_latent():
            q, down, latent = pool.take(tokens, 128, 192).clone(), pool.take(tokens, 2112), pool.take(tokens, LATENT)
            cache = torch.empty((8192, LATENT + ROTARY), device=DEVICE, dtype=BF16)
            positions = torch.randint(POSITIONS, (tokens,), device=DEVICE)
            slots = torch.randperm(8192, device=DEVICE)[:tokens]
            thin = rotary_table(POSITIONS, ROTARY)
            key = down[:, 2048:]
            return lambda: rope_write_latent(q[..., NOPE:], key, latent, thin, positions, slots, cache)

        timed("rope and write, latent", {"tokens": tokens, "heads": 128, "resident": True}, make_latent)
        for experts, dim in ((128, 2048), (256, 7168)):
            x, gate = pool.take(tokens, dim).clone(), pool.take(experts, dim).clone()
            logits = F.linear(x, gate) * dim**-0.5
            probabilities = torch.softmax(logits, -1, dtype=torch.float32)
            weights, picks = torch.topk(probabilities, 8)
            flat = picks.view(-1)
            in_order, order = torch.sort(flat)
            rows = order // 8
            every = torch.arange(experts, device=DEVICE)
            y, to = torch.randn(tokens * 8, dim, device=DEVICE, dtype=BF16), torch.zeros(tokens, dim, device=DEVICE, dtype=BF16)
            picked = weights.view(-1)[order].to(BF16)
            sizes = {"tokens": tokens, "experts": experts, "top-k": 8, "dim": dim, "resident": True}
            for what, call in (
                ("router: product", lambda: F.linear(x, gate)),
                ("router: softmax", lambda: torch.softmax(logits, -1, dtype=torch.float32)),
                ("router: top-k", lambda: torch.topk(probabilities, 8)),
                ("router: normalize", lambda: weights / weights.sum(-1, keepdim=True)),
                ("router: sort", lambda: torch.sort(flat)),
                ("router: rows", lambda: order // 8),
                ("router: offsets", lambda: torch.searchsorted(in_order, every, right=True, out_int32=True)),
                ("router: all", lambda: route(x, gate, every, 8)),
                ("gather", lambda: x.index_select(0, rows)),
                ("gather of weights", lambda: weights.view(-1)[order].to(BF16)),
                ("weigh", lambda: y * picked[:, None]),
                ("zeros", lambda: torch.zeros_like(to)),
                ("index-add", lambda: to.index_add_(0, rows, y)),
            ):
                timed(what, sizes, lambda call=call: call)
    for rows in (1, 16, 256) if quick else (1, 2, 4, 8, 16, 32, 64, 128, 256):
        for vocabulary in (128256, 129280):
            make = lambda: [lambda x=pool.take(rows, vocabulary): torch.argmax(x, -1) for _ in range(3)]  # noqa: E731
            timed("argmax", {"tokens": rows, "vocabulary": vocabulary, "resident": 6 * rows * vocabulary < 4e7}, make)
    value, bf = torch.zeros(1, device=DEVICE), torch.zeros(1, device=DEVICE, dtype=BF16)
    timed("empty kernel in a graph", {}, lambda: lambda: empty_kernel[(1,)](value))
    timed("empty kernel in a graph, 132 blocks", {}, lambda: lambda: empty_kernel[(132,)](value))
    timed("dependent tiny kernel in a graph", {}, lambda: lambda: tiny_kernel[(1,)](value))
    timed("torch addition in a graph", {}, lambda: lambda: bf.add_(1))
    if DEVICE == "cuda":
        launches(files, value, bf, pool)
        try:
            copy_beside(files, clock, pool)
        except Exception as error:  # noqa: BLE001
            files.failed("copy beside attention", error)


def launches(files: Files, value, bf, pool: Pool) -> None:
    """The host's seconds for one launch without a graph; and the wall's where the device is never behind."""
    x, weight, gain = pool.take(1, 4096), pool.take(1280, 4096), pool.take(4096)
    residual = pool.take(1, 4096).clone()
    for what, call in (
        ("torch addition", lambda: bf.add_(1)),
        ("torch product", lambda: F.linear(x, weight)),
        ("triton kernel", lambda: tiny_kernel[(1,)](value)),
        ("triton norm", lambda: add_norm(x, residual, gain)),
    ):
        try:
            times, queued = [], []
            for _ in range(8):
                torch.cuda.synchronize()
                start = time.perf_counter()
                for _ in range(500):
                    call()
                queued.append((time.perf_counter() - start) / 500)
                torch.cuda.synchronize()
                times.append((time.perf_counter() - start) / 500)
            files.write("others.jsonl", {"what": f"eager launch: {what}", **spread(times), "queued": percentile(queued, 0.5)})
        except Exception as error:  # noqa: BLE001
            files.failed(f"launch of {what}", error)
    empty = clock_graph(lambda: tiny_kernel[(1,)](value))
    times = []
    for _ in range(100):
        torch.cuda.synchronize()
        start = time.perf_counter()
        empty.replay()
        torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    files.write("others.jsonl", {"what": "graph of one kernel, from launch to synchronized", **spread(times)})


def clock_graph(run):
    run()
    torch.cuda.synchronize()
    return Clock().capture(run)


def copy_beside(files: Files, clock: Clock, pool: Pool) -> None:
    """64 MiB of a cache to the host and back while decode attention runs, and each alone."""
    pool.at = 0
    sets, _, _ = attention_calls(pool, 32, 8, 64, 2048, 1, False)
    for call in sets:
        call()
    graph = clock.capture(lambda: [call() for call in sets for _ in range(20)])
    n = 20 * len(sets)
    device = torch.empty(1 << 25, device=DEVICE, dtype=BF16).normal_()
    host = torch.empty(1 << 25, dtype=BF16, pin_memory=True)
    side = torch.cuda.Stream()

    def both(copy, play: bool) -> tuple[float, float]:
        a, b, c, d = (torch.cuda.Event(enable_timing=True) for _ in "abcd")
        torch.cuda.synchronize()
        torch.cuda._sleep(SLEEP_CYCLES)
        a.record()
        side.wait_event(a)
        with torch.cuda.stream(side):
            c.record()
            for _ in range(4 if copy else 0):
                copy()
            d.record()
        for _ in range(1 if play else 0):
            graph.replay()
        b.record()
        torch.cuda.synchronize()
        return a.elapsed_time(b) / 1e3 / n, c.elapsed_time(d) / 4e3

    ways = {
        "to the host": lambda: host.copy_(device, non_blocking=True),
        "from the host": lambda: device.copy_(host, non_blocking=True),
    }
    for name, copy in ways.items():
        both(copy, True)
        alone = [both(copy, False)[1] for _ in range(5)]
        attention = [both(None, True)[0] for _ in range(5)]
        together = [both(copy, True) for _ in range(5)]
        files.write("others.jsonl", {
            "what": f"copy of 64 MiB {name} beside decode attention", "bytes": 1 << 26,
            **spread([pair[1] for pair in together]), "alone": percentile(alone, 0.5),
            "attention": percentile([pair[0] for pair in together], 0.5), "attention-alone": percentile(attention, 0.5),
            # Attention is slowed only as long as copies last.
            "attention-span": n * percentile(attention, 0.5), "n-copies": 4,
        })  # fmt: skip


# Models


@dataclass(frozen=True)
class Shape:
    name: str
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    inner: int
    vocabulary: int
    dense: int = 0
    experts: int = 0
    width: int = 0
    shared: int = 0
    top_k: int = 8
    query_latent: int = 0
    head_norms: bool = False

    @property
    def latent(self) -> bool:
        return self.query_latent > 0

    def cache_numbers(self) -> int:
        """Numbers of one token in the caches of all layers."""
        return self.layers * (LATENT + ROTARY if self.latent else 2 * self.kv_heads * HEAD)


MODELS = [
    Shape("llama-3.1-8b", 32, 4096, 32, 8, 14336, 128256, dense=32),
    Shape("qwen3-8b", 36, 4096, 32, 8, 12288, 151936, dense=36, head_norms=True),
    Shape("qwen3-30b-a3b", 48, 2048, 32, 4, 6144, 151936, experts=128, width=768, head_norms=True),
    Shape("deepseek-v3", 3, 7168, 128, 1, 18432, 129280, dense=1, experts=256, width=2048, shared=1, query_latent=1536),
]
TINY = [
    Shape("tiny", 2, 256, 4, 2, 512, 1000, dense=2, head_norms=True),
    Shape("tiny-experts", 2, 256, 4, 2, 512, 1000, experts=16, width=128, head_norms=True),
    Shape("tiny-latent", 2, 256, 4, 1, 512, 1000, dense=1, experts=16, width=128, shared=1, query_latent=256),
]

LABELS = {"on": False}
NO_LABEL = contextlib.nullcontext()


def label(name: str):
    return torch.profiler.record_function(f"op {name}") if LABELS["on"] else NO_LABEL


def route(x, gate, every, top_k: int):
    """Weights of the picks in the order of their experts, rows to gather, and where the rows of each expert end."""
    with label("router product"):
        logits = F.linear(x, gate)
    with label("router softmax"):
        probabilities = torch.softmax(logits, -1, dtype=torch.float32)
    with label("router top-k"):
        weights, picks = torch.topk(probabilities, top_k)
    with label("router normalize"):
        weights = weights / weights.sum(-1, keepdim=True)
    with label("router sort"):
        in_order, order = torch.sort(picks.view(-1))
        rows = order // top_k
        offsets = torch.searchsorted(in_order, every, right=True, out_int32=True)
        weights = weights.view(-1)[order].to(BF16)
    return weights, rows, offsets


class Model:
    """Random weights; caches are windows of one pool."""

    def __init__(self, shape: Shape, cache_bytes: float):
        self.shape = shape
        made = lambda *size: torch.empty(size, device=DEVICE, dtype=BF16).normal_(0, size[-1] ** -0.5)  # noqa: E731
        ones = lambda n: torch.ones(n, device=DEVICE, dtype=BF16)  # noqa: E731
        s = shape
        self.embedding = torch.empty((s.vocabulary, s.hidden), device=DEVICE, dtype=BF16).normal_()
        self.head, self.norm = made(s.vocabulary, s.hidden), ones(s.hidden)
        self.every = torch.arange(max(1, s.experts), device=DEVICE)
        self.table = rotary_table(POSITIONS, ROTARY if s.latent else HEAD)
        self.layers = []
        for index in range(s.layers):
            layer = {"norm": ones(s.hidden), "norm_inner": ones(s.hidden)}
            if s.latent:
                layer["down"] = made(s.query_latent + LATENT + ROTARY, s.hidden)
                layer["norm_q"], layer["norm_kv"] = ones(s.query_latent), ones(LATENT)
                layer["q_up"] = made(s.heads * (NOPE + ROTARY), s.query_latent)
                layer["kv_up"] = made(s.heads * 2 * NOPE, LATENT)
                both = layer["kv_up"].view(s.heads, 2 * NOPE, LATENT)
                # [heads, NOPE, LATENT] and [heads, LATENT, NOPE], views.
                layer["absorb_k"], layer["absorb_v"] = both[:, :NOPE], both[:, NOPE:].transpose(1, 2)
                layer["out"] = made(s.hidden, s.heads * NOPE)
            else:
                layer["qkv"] = made((s.heads + 2 * s.kv_heads) * HEAD, s.hidden)
                layer["norm_q"], layer["norm_k"] = ones(HEAD), ones(HEAD)
                layer["out"] = made(s.hidden, s.heads * HEAD)
            if index < s.dense:
                layer["gate_up"], layer["inner_down"] = made(2 * s.inner, s.hidden), made(s.hidden, s.inner)
            else:
                layer["router"] = made(s.experts, s.hidden)
                layer["experts"] = made(s.experts, 2 * s.width, s.hidden)
                layer["experts_down"] = made(s.experts, s.hidden, s.width)
                if s.shared:
                    layer["gate_up"] = made(2 * s.width * s.shared, s.hidden)
                    layer["inner_down"] = made(s.hidden, s.width * s.shared)
            self.layers.append(layer)
        self.cache = torch.empty(int(cache_bytes) // 2, device=DEVICE, dtype=BF16).normal_()
        self.offsets, self.recording = [], False

    def caches(self, batch: int, context: int) -> list:
        """Keys and values of each layer, `[batch, context, kv_heads, width]`."""
        s, found, at = self.shape, [], 0
        width = LATENT + ROTARY if s.latent else HEAD
        n = batch * context * s.kv_heads * width
        for _ in range(s.layers):
            k = self.cache[at : at + n].view(batch, context, s.kv_heads, width)
            at += n
            v = k
            if not s.latent:
                v = self.cache[at : at + n].view(batch, context, s.kv_heads, width)
                at += n
            if at > self.cache.numel():
                raise MemoryError(f"caches of batch {batch}, context {context}")
            found.append((k, v))
        return found

    def feed_forward(self, x, layer):
        s = self.shape
        if "router" in layer:
            weights, rows, offsets = route(x, layer["router"], self.every, s.top_k)
            if self.recording:
                self.offsets.append(offsets)
            with label("gather"):
                gathered = x.index_select(0, rows)
            with label("experts gate and up"):
                inner = grouped_product(gathered, layer["experts"], offsets)
            with label("experts swiglu"):
                inner = swiglu(inner)
            with label("experts down"):
                inner = grouped_product(inner, layer["experts_down"], offsets)
            if "gate_up" in layer:
                with label("shared gate and up"):
                    shared = F.linear(x, layer["gate_up"])
                with label("shared swiglu"):
                    shared = swiglu(shared)
                with label("shared down"):
                    to = F.linear(shared, layer["inner_down"])
            else:
                with label("zeros"):
                    to = torch.zeros_like(x)
            with label("index-add"):
                return to.index_add_(0, rows, inner.mul_(weights[:, None]))
        with label("gate and up"):
            inner = F.linear(x, layer["gate_up"])
        with label("swiglu"):
            inner = swiglu(inner)
        with label("down"):
            return F.linear(inner, layer["inner_down"])

    def attend(self, x, layer, k, v, positions, slots, plan, lengths, queries):
        """Heads of `plan` decode attention, or of a causal prompt where there is no plan."""
        s, tokens = self.shape, x.shape[0]
        if s.latent:
            return self.attend_latent(x, layer, k, positions, slots, plan, lengths, queries)
        with label("qkv"):
            qkv = F.linear(x, layer["qkv"])
        if s.head_norms:
            with label("norm of heads"):
                head_norm(qkv, layer["norm_q"], layer["norm_k"], s.heads, s.kv_heads)
        with label("rope and write"):
            rope_write(qkv, self.table, positions, slots, k, v, s.heads, s.kv_heads)
        q = qkv[:, : s.heads * HEAD].view(tokens, s.heads, HEAD)
        with label("attention"):
            if plan:
                seen = torch.empty((tokens, s.heads, HEAD), device=x.device, dtype=BF16)
                decode_attention(q, q, k, v, lengths, queries, plan, seen, HEAD**-0.5)
            else:
                q, k, v = (part.transpose(0, 1)[None] for part in (q, k[0], v[0]))
                seen = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
                seen = seen[0].transpose(0, 1)
        with label("out"):
            return F.linear(seen.reshape(tokens, -1), layer["out"])

    def attend_latent(self, x, layer, cache, positions, slots, plan, lengths, queries):
        s, tokens = self.shape, x.shape[0]
        with label("latent down"):
            down = F.linear(x, layer["down"])
        with label("norm of latents"):
            q_latent = norm(down[:, : s.query_latent], layer["norm_q"])
            latent = norm(down[:, s.query_latent : s.query_latent + LATENT], layer["norm_kv"])
        with label("query up"):
            q = F.linear(q_latent, layer["q_up"]).view(tokens, s.heads, NOPE + ROTARY)
        key = down[:, s.query_latent + LATENT :]
        with label("rope and write"):
            rope_write_latent(q[..., NOPE:], key, latent, self.table, positions, slots, cache)
        scale = (NOPE + ROTARY) ** -0.5
        if plan:
            with label("absorb queries"):
                absorbed = torch.bmm(q[..., :NOPE].transpose(0, 1), layer["absorb_k"]).transpose(0, 1)
            with label("attention"):
                seen = torch.empty((s.heads, tokens, LATENT), device=x.device, dtype=BF16)
                decode_attention(
                    absorbed, q[..., NOPE:], cache, cache, lengths, queries, plan, seen.transpose(0, 1), scale
                )
            with label("absorb values"):
                values = torch.empty((tokens, s.heads, NOPE), device=x.device, dtype=BF16)
                torch.bmm(seen, layer["absorb_v"], out=values.transpose(0, 1))
        else:
            with label("key and value up"):
                both = F.linear(latent, layer["kv_up"]).view(tokens, s.heads, 2 * NOPE)
            with label("keys joined"):
                rotated = cache.view(-1, LATENT + ROTARY)[:tokens, None, LATENT:].expand(-1, s.heads, -1)
                k = torch.cat((both[..., :NOPE], rotated), -1)
            with label("attention"):
                q, k, v = (part.transpose(0, 1)[None] for part in (q, k, both[..., NOPE:]))
                values = wide_attention(q, k, v, scale)[0].transpose(0, 1)
        with label("out"):
            return F.linear(values.reshape(tokens, -1), layer["out"])

    def run(self, inputs, caches, positions, slots, plan=None, lengths=None, queries: int = 1, last: bool = False):
        with label("embedding"):
            residual = F.embedding(inputs, self.embedding)
        x = None
        for layer, (k, v) in zip(self.layers, caches):
            with label("norm"):
                x = norm(residual, layer["norm"]) if x is None else add_norm(x, residual, layer["norm"])
            x = self.attend(x, layer, k, v, positions, slots, plan, lengths, queries)
            with label("norm"):
                x = add_norm(x, residual, layer["norm_inner"])
            x = self.feed_forward(x, layer)
        if last:
            x, residual = x[-1:], residual[-1:]
        with label("norm"):
            x = add_norm(x, residual, self.norm)
        with label("head"):
            logits = F.linear(x, self.head)
        with label("argmax"):
            return torch.argmax(logits, -1)

    def decode(self, batch: int, context: int, queries: int):
        """One iteration, as a function."""
        s, tokens = self.shape, batch * queries
        plan = Splits(s.heads, s.kv_heads, batch, context, queries, s.latent)
        inputs = torch.randint(s.vocabulary, (tokens,), device=DEVICE)
        at = context - queries + torch.arange(queries, device=DEVICE)
        positions = at.repeat(batch)
        slots = (torch.arange(batch, device=DEVICE)[:, None] * context + at).view(-1)
        lengths = torch.full((batch,), context, device=DEVICE, dtype=torch.int32)
        caches = self.caches(batch, context)
        return lambda: self.run(inputs, caches, positions, slots, plan, lengths, queries)

    def prefill(self, tokens: int):
        inputs = torch.randint(self.shape.vocabulary, (tokens,), device=DEVICE)
        positions = torch.arange(tokens, device=DEVICE)
        caches = self.caches(1, tokens)
        return lambda: self.run(inputs, caches, positions, positions, last=True)

    def hit(self, run) -> float | None:
        """Experts that any token picks, mean over the layers with experts."""
        self.offsets, self.recording = [], True
        run()
        self.recording = False
        ends = [torch.cat((offsets.new_zeros(1), offsets)) for offsets in self.offsets]
        self.offsets = []
        return sum((e[1:] > e[:-1]).sum().item() for e in ends) / len(ends) if ends else None


WIDE = {}


def wide_attention(q, k, v, scale: float):
    """Attention whose values are narrower than its keys: cuDNN where it takes them, else padded for the default."""
    from torch.nn.attention import SDPBackend, sdpa_kernel

    if WIDE.get("how") != "padded" and DEVICE == "cuda":
        try:
            with sdpa_kernel(SDPBackend.CUDNN_ATTENTION):
                seen = F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=scale)
            WIDE["how"] = "cudnn"
            return seen
        except RuntimeError as error:
            print(f"cuDNN does not take latent prefill: {str(error)[:200]}", flush=True)
    WIDE["how"] = "padded"
    width = v.shape[-1]
    v = F.pad(v, (0, q.shape[-1] - width))
    return F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=scale)[..., :width]


def iteration_cases(shape: Shape, quick: bool):
    """Batch, context, queries."""
    if DEVICE == "cpu":
        return [(2, 70, 1), (2, 70, 2)]
    found = [(b, c, 1) for c in (2048, 512, 8192) for b in (1, 4, 16, 64, 128, 256)]
    found += [(b, 2048, 2) for b in (1, 16, 64, 256)]
    return found[::4] if quick else found


def profiled(case) -> bool:
    batch, context, queries = case
    return (queries == 1 and (context == 2048 or batch in (1, 64))) or batch == 64 or DEVICE == "cpu"


def prompts(quick: bool):
    return (70,) if DEVICE == "cpu" else (128, 2048) if quick else (128, 512, 2048, 8192)


def build(shape: Shape, cases: list, files: Files):
    """The model with caches for what fits, and the cases that fit."""
    weights = 0
    free()
    if DEVICE == "cuda":
        s = shape
        dense, sparse = s.dense * 3 * s.inner * s.hidden, (s.layers - s.dense) * 3 * s.hidden * s.width * (s.experts + s.shared)
        attention = (s.hidden * (s.query_latent + 576) + s.heads * 192 * s.query_latent + s.heads * 256 * LATENT
                     if s.latent else (s.heads + 2 * s.kv_heads) * HEAD * s.hidden) + s.heads * HEAD * s.hidden  # fmt: skip
        weights = 2 * (dense + sparse + s.layers * attention + 2 * s.vocabulary * s.hidden)
        room = torch.cuda.mem_get_info()[0] - weights - 8e9
    else:
        room = 1e9
    size = lambda case: 2 * case[0] * case[1] * shape.cache_numbers()  # noqa: E731
    fits = [case for case in cases if size(case) <= room]
    for case in cases:
        if case not in fits:
            print(f"{shape.name}: no room for {case}", flush=True)
    cache = max([size(case) for case in fits] + [2 * 8192 * shape.cache_numbers() if DEVICE == "cuda" else 1e6]) + 4096
    start = time.monotonic()
    model = Model(shape, cache)
    if DEVICE == "cuda":
        torch.cuda.synchronize()
    took = time.monotonic() - start
    print(f"{shape.name}: {weights / 1e9:.1f} GB of weights, {cache / 1e9:.1f} GB of caches, in {took:.1f} s", flush=True)
    return model, fits


def about(shape: Shape, phase: str) -> dict:
    return {
        "what": "iteration", "phase": phase, "stack": "pytorch-graphs", "model": shape.name, "layers": shape.layers,
        "dense-layers": shape.dense, "torch": torch.__version__,
    }  # fmt: skip


def time_decode(clock: Clock, model: Model, case) -> dict:
    batch, context, queries = case
    run = model.decode(*case)
    hit = model.hit(run)
    if DEVICE == "cuda":
        graph = clock.capture(run)
        took = clock.plays(graph.replay, 1, 4e-3, 10)
    else:
        run()
        took = Reading([1e-3] * 3, math.nan, math.nan)
    plan = Splits(model.shape.heads, model.shape.kv_heads, batch, context, queries, model.shape.latent)
    line = about(model.shape, "decode") | {"batch": batch, "context": context, "queries": queries}
    line |= spread(took.times) | {"runs": len(took.times), **plan.extras()}
    line |= {name: value for name, value in (("clock", took.clock), ("power", took.power)) if value == value}
    return line | ({} if hit is None else {"hit": hit}) | {"parts": {}}


def time_prefill(model: Model, tokens: int) -> dict:
    run = model.prefill(tokens)
    hit = model.hit(run)
    times, queued = [], []
    wait = torch.cuda.synchronize if DEVICE == "cuda" else lambda: None
    run()
    wait()
    while len(times) < 3 or (len(times) < 9 and sum(times) < 0.6):
        start = time.perf_counter()
        run()
        queued.append(time.perf_counter() - start)
        wait()
        times.append(time.perf_counter() - start)
    line = about(model.shape, "prefill") | {"batch": 1, "tokens": tokens} | spread(times) | {"runs": len(times)}
    line |= {"queued": percentile(queued, 0.5)} | ({"attention": WIDE.get("how")} if model.shape.latent else {})
    return line | ({} if hit is None else {"hit": hit}) | {"parts": {}}


def trace(eager, replay=None) -> list[dict]:
    """Events of one eager call with labels and of one replay, each in a span of its name."""
    from torch.profiler import ProfilerActivity, profile

    activities = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if DEVICE == "cuda" else [])
    wait = torch.cuda.synchronize if DEVICE == "cuda" else lambda: None
    LABELS["on"] = True
    try:
        with profile(activities=activities) as recording:
            wait()
            with torch.profiler.record_function("span eager"):
                eager()
                wait()
            LABELS["on"] = False
            with torch.profiler.record_function("span replay"):
                (replay or (lambda: None))()
                wait()
    finally:
        LABELS["on"] = False
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "trace.json")
        recording.export_chrome_trace(path)
        with open(path, encoding="utf-8") as file:
            return json.load(file)["traceEvents"]


def parts(events: list[dict], replayed: bool) -> dict:
    """Seconds by op and by kernel. The kernels of a replay come in the order of the eager call, where each has its label."""
    spans, ops, launched, kernels_all = {}, [], {}, []
    for event in events:
        kind, name = event.get("cat"), event.get("name", "")
        if kind == "user_annotation" and name.startswith("span "):
            spans[name[5:]] = (event["ts"], event["ts"] + event["dur"])
        elif kind == "user_annotation" and name.startswith("op "):
            ops.append((event["ts"], event["ts"] + event["dur"], name[3:]))
        elif kind in ("cuda_runtime", "cuda_driver") and "correlation" in event.get("args", {}):
            launched[event["args"]["correlation"]] = event["ts"]
        elif kind in ("kernel", "gpu_memcpy", "gpu_memset"):
            kernels_all.append(event)
    if "eager" not in spans:
        return {}
    ops.sort()
    kernels_all.sort(key=lambda event: event["ts"])
    inside = lambda span: [e for e in kernels_all if span[0] <= e["ts"] <= span[1]]  # noqa: E731
    eager = inside(spans["eager"])
    starts = [op[0] for op in ops]
    names = []
    for event in eager:
        at = launched.get(event.get("args", {}).get("correlation"))
        name = "unnamed"
        if at is not None:
            index = bisect.bisect_right(starts, at) - 1
            if index >= 0 and at <= ops[index][1]:
                name = ops[index][2]
        names.append(name)
    chosen = inside(spans["replay"]) if replayed else eager
    found, by_kernel = {}, {}
    same = len(chosen) == len(names)
    for index, event in enumerate(chosen):
        seconds = event["dur"] / 1e6
        if same:
            found[names[index]] = found.get(names[index], 0.0) + seconds
        short = event["name"][:90]
        by_kernel[short] = by_kernel.get(short, 0.0) + seconds
    result = {"parts": found or by_kernel, "kernels": by_kernel, "n-kernels": len(chosen), "parts-by-op": same}
    if chosen:
        last = max(event["ts"] + event["dur"] for event in chosen)
        result |= {"busy": sum(event["dur"] for event in chosen) / 1e6, "span": (last - chosen[0]["ts"]) / 1e6}
    return result


def models(files: Files, clock: Clock, end: float, arguments, decode: bool, prefill: bool) -> None:
    """All times first, then, with the models built again, what the profiler sees."""
    lines = {"iterations.jsonl": [], "prefill.jsonl": []}
    shapes = MODELS if DEVICE == "cuda" else TINY

    def keep(name: str, make) -> None:
        try:
            line = make()
            lines[name].append(line)
            files.write(name, line)
        except Exception as error:  # noqa: BLE001
            files.failed([name, what], error)

    for shape in shapes:
        model = run = None
        what = shape.name
        if time.monotonic() > end:
            print(f"{shape.name}: out of time", flush=True)
            continue
        try:
            model, fits = build(shape, iteration_cases(shape, arguments.quick) if decode else [], files)
        except Exception as error:  # noqa: BLE001
            files.failed(shape.name, error)
            continue
        for tokens in prompts(arguments.quick) if prefill else ():
            what = f"{shape.name}, {tokens} tokens"
            if time.monotonic() < end:
                keep("prefill.jsonl", lambda: time_prefill(model, tokens))
        free()
        for case in fits:
            what = f"{shape.name}, {case}"
            if time.monotonic() < end:
                keep("iterations.jsonl", lambda: time_decode(clock, model, case))
        print(f"{shape.name}: timed, {end - time.monotonic():.0f} s left", flush=True)
        model = None
        free()
    if arguments.no_parts:
        return
    for shape in shapes:
        model = None
        mine = {name: [line for line in found if line["model"] == shape.name] for name, found in lines.items()}
        of_case = lambda line: (line["batch"], line["context"], line["queries"])  # noqa: E731
        mine["iterations.jsonl"] = [line for line in mine["iterations.jsonl"] if profiled(of_case(line))]
        # A model takes seconds to build again.
        if not any(mine.values()) or time.monotonic() > end - 4:
            continue
        try:
            model, _ = build(shape, [of_case(line) for line in mine["iterations.jsonl"]], files)
        except Exception as error:  # noqa: BLE001
            files.failed(f"{shape.name}, again", error)
            continue
        for name, found in mine.items():
            for line in found:
                if time.monotonic() > end:
                    break
                graph = None
                try:
                    if name == "prefill.jsonl":
                        run = model.prefill(line["tokens"])
                        run()
                        line |= parts(trace(run), False)
                    else:
                        run = model.decode(*of_case(line))
                        run()
                        graph = clock.capture(run) if DEVICE == "cuda" else None
                        line |= parts(trace(run, graph.replay if graph else None), graph is not None)
                except Exception as error:  # noqa: BLE001
                    files.failed([name, shape.name, "parts"], error)
        for name, found in lines.items():
            if found:
                files.rewrite(name, found)
        print(f"{shape.name}: parts, {end - time.monotonic():.0f} s left", flush=True)
        model = run = graph = None
        free()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--out", default=".", help="the folder to write to (default: %(default)s)")
    parser.add_argument("--only", default=",".join(SECTIONS), help="sections, with commas (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="few sizes")
    parser.add_argument("--no-parts", action="store_true", help="no profiler")
    parser.add_argument("--limit-seconds", type=float, default=460, help="stop after so long (default: %(default)s)")
    parser.add_argument("--check", action="store_true", help="run without a GPU, small; nothing is timed")
    arguments = parser.parse_args()
    wanted = arguments.only.split(",")
    if not set(wanted) <= set(SECTIONS):
        print(f"error: sections are {', '.join(SECTIONS)}", file=sys.stderr)
        return 2
    if DEVICE == "cpu" and not arguments.check:
        print("error: there is no GPU that torch can use", file=sys.stderr)
        return 4
    torch.manual_seed(1)
    began = time.monotonic()
    end = began + arguments.limit_seconds
    files, clock = Files(arguments.out), Clock()
    whole = contextlib.nullcontext() if DEVICE == "cpu" else torch.cuda.stream(torch.cuda.Stream())
    with torch.inference_mode(), whole:
        if "kernels" in wanted and DEVICE == "cuda":
            # Where other sections follow, they keep half of the time.
            until = end if wanted == ["kernels"] else began + 0.5 * arguments.limit_seconds
            kernels(files, clock, until, arguments.quick)
        elif "kernels" in wanted:
            verify(files, Pool(4e6))
        free()
        if "iterations" in wanted or "prefill" in wanted:
            if DEVICE == "cuda" and "kernels" not in wanted:
                small = Pool(2e9)
                choose_rows(clock, files, small)
                verify(files, small)
                small = None
            models(files, clock, end, arguments, "iterations" in wanted, "prefill" in wanted)
    print(f"done after {time.monotonic() - began:.0f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Writes down which kernels PyTorch launches, with their grids, blocks and times: for each kind of `torch_kernels.py`, for
a Llama-like decoder block and for the head of a language model, each forward and backward, eager and compiled.

    python3 torch_blocks.py --out .              # torch_kernel_names.txt and blocks.json
    python3 torch_blocks.py --check              # once, small, also without a GPU; times nothing

Blocks and heads are also timed end to end as a training loop runs them, without a graph: the seconds of a step once it is
steady, how long the host takes to queue it, and how many kernels that is. A stack of small blocks shows the host's time
for one launch. Weights are BF16, gradients are dropped after each step, there is no optimizer.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn
from torch.profiler import ProfilerActivity, profile

import torch_kernels
from shared import DEVICE, VERSION, Nvml, percentile

WARM_SECONDS = 1.5
N_TIMED = 20


@dataclass(frozen=True)
class Model:
    hidden: int
    heads: int
    kv_heads: int
    inner: int
    vocabulary: int = 128256

    @property
    def head(self) -> int:
        return self.hidden // self.heads


LLAMA = Model(4096, 32, 8, 14336)
SMALL = Model(1024, 8, 2, 3584)
TINY = Model(256, 2, 1, 512, 1000)


class Block(nn.Module):
    """A decoder block: norm, attention of grouped queries with rotated positions, norm, gated feed-forward."""

    def __init__(self, model: Model):
        super().__init__()
        self.model = model
        width = model.kv_heads * model.head
        self.norm_attention, self.norm_inner = nn.RMSNorm(model.hidden), nn.RMSNorm(model.hidden)
        self.q, self.o = (nn.Linear(model.hidden, model.hidden, bias=False) for _ in range(2))
        self.k, self.v = (nn.Linear(model.hidden, width, bias=False) for _ in range(2))
        self.gate, self.up = (nn.Linear(model.hidden, model.inner, bias=False) for _ in range(2))
        self.down = nn.Linear(model.inner, model.hidden, bias=False)

    def forward(self, x, cos, sin):
        batch, tokens, _ = x.shape
        normed = self.norm_attention(x)
        split = lambda y: y.view(batch, tokens, -1, self.model.head).transpose(1, 2)  # noqa: E731
        q, k, v = split(self.q(normed)), split(self.k(normed)), split(self.v(normed))
        q, k = torch_kernels.rope(q, cos, sin), torch_kernels.rope(k, cos, sin)
        seen = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
        x = x + self.o(seen.transpose(1, 2).reshape(batch, tokens, -1))
        normed = self.norm_inner(x)
        return x + self.down(F.silu(self.gate(normed)) * self.up(normed))


class Head(nn.Module):
    def __init__(self, model: Model):
        super().__init__()
        self.norm = nn.RMSNorm(model.hidden)
        self.logits = nn.Linear(model.hidden, model.vocabulary, bias=False)

    def forward(self, x, target):
        logits = self.logits(self.norm(x)).float()
        return F.cross_entropy(logits.view(-1, logits.shape[-1]), target)


def block_step(model: Model, tokens: int, n_blocks: int, compiled: bool):
    """A training step through a stack of blocks, as a function."""
    with torch.device(DEVICE):
        blocks = [Block(model).bfloat16() for _ in range(n_blocks)]
    runs = [torch.compile(block, dynamic=False) for block in blocks] if compiled else blocks
    x = torch.randn(1, tokens, model.hidden, device=DEVICE, dtype=torch.bfloat16, requires_grad=True)
    cos, sin = (torch.randn(1, 1, tokens, model.head, device=DEVICE, dtype=torch.bfloat16) for _ in range(2))
    gradient = torch.randn_like(x)

    def step():
        y = x
        for run in runs:
            y = run(y, cos, sin)
        y.backward(gradient)
        forget(x, *blocks)

    return step


def head_step(model: Model, tokens: int, compiled: bool):
    with torch.device(DEVICE):
        head = Head(model).bfloat16()
    run = torch.compile(head, dynamic=False) if compiled else head
    x = torch.randn(1, tokens, model.hidden, device=DEVICE, dtype=torch.bfloat16, requires_grad=True)
    target = torch.randint(model.vocabulary, (tokens,), device=DEVICE)

    def step():
        run(x, target).backward()
        forget(x, head)

    return step


def forget(x, *modules) -> None:
    x.grad = None
    for module in modules:
        module.zero_grad(set_to_none=True)


def steps():
    """Name and the function that makes the step, in order of use."""
    for compiled in (False, True):
        how = "compiled" if compiled else "eager"
        for tokens in (4096, 8192):
            yield f"block {tokens} {how}", lambda t=tokens, c=compiled: block_step(LLAMA, t, 1, c)
        yield f"8 small blocks 512 {how}", lambda c=compiled: block_step(SMALL, 512, 8, c)
        yield f"8 blocks 512 {how}", lambda c=compiled: block_step(LLAMA, 512, 8, c)
        for tokens in (4096, 8192):
            yield f"head {tokens} {how}", lambda t=tokens, c=compiled: head_step(LLAMA, t, c)


def kernels(calls) -> dict[str, list[dict]]:
    """What each of the named calls launches, in order, from one recording."""
    spans = {}
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA], acc_events=True) as recording:
        for name, call in calls:
            torch.cuda.synchronize()
            with torch.profiler.record_function(f"call {name}"):
                call()
                torch.cuda.synchronize()
    with tempfile.TemporaryDirectory() as folder:
        recording.export_chrome_trace(os.path.join(folder, "trace.json"))
        with open(os.path.join(folder, "trace.json"), encoding="utf-8") as file:
            events = json.load(file)["traceEvents"]
    for event in events:
        if event.get("cat") == "user_annotation" and event["name"].startswith("call "):
            spans[event["name"][5:]] = (event["ts"], event["ts"] + event["dur"])
    found = {name: [] for name in spans}
    launched = [event for event in events if event.get("cat") in ("kernel", "gpu_memcpy", "gpu_memset")]
    for event in sorted(launched, key=lambda event: event["ts"]):
        for name, (start, end) in spans.items():
            if start <= event["ts"] <= end:
                of = event["args"]
                kernel = {"name": event["name"], "grid": of.get("grid"), "block": of.get("block")}
                found[name].append(kernel | {"microseconds": event["dur"], "start": round(event["ts"] - start, 3)})
    return found


def end_to_end(step) -> dict:
    """Seconds of a step in a steady loop: `seconds` on the device's clock, `queued` the host's for queuing all of it."""
    nvml = Nvml()
    step()
    end = time.monotonic() + WARM_SECONDS
    while time.monotonic() < end:
        step()
        torch.cuda.synchronize()
    marks = [torch.cuda.Event(enable_timing=True) for _ in range(N_TIMED + 1)]
    start = time.perf_counter()
    marks[0].record()
    for mark in marks[1:]:
        step()
        mark.record()
    queued = time.perf_counter() - start
    clock, power = nvml.clock(), nvml.power()
    torch.cuda.synchronize()
    wall = time.perf_counter() - start
    times = [a.elapsed_time(b) / 1e3 for a, b in zip(marks, marks[1:])]
    # One step alone on an empty queue: what the host takes where the device never holds it up.
    alone = []
    for _ in range(5):
        torch.cuda.synchronize()
        start = time.perf_counter()
        step()
        alone.append(time.perf_counter() - start)
    return {
        "seconds": percentile(times, 0.5), "low": percentile(times, 0.05), "high": percentile(times, 0.95),
        "wall": wall / N_TIMED, "queued": queued / N_TIMED, "queued-alone": percentile(alone, 0.5),
        "clock": clock, "power": power,
    }  # fmt: skip


def launches(name: str, step, result: dict) -> dict:
    found = kernels([("warm", step), (name, step)])[name]
    result |= {"n_launches": len(found), "busy": sum(kernel["microseconds"] for kernel in found) / 1e6}
    return result | {"host_seconds_per_launch": result["queued-alone"] / max(1, len(found)), "kernels": found}


def kind_names(path: str) -> None:
    """Every kind of `torch_kernels.py` once at a medium size."""
    calls = []
    for name, case in torch_kernels.one_size(4096, 4096):
        try:
            fixed, (one,) = case.fixed(), case.sets(1)
            call = lambda case=case, fixed=fixed, one=one: case.call(*fixed, *one)  # noqa: E731
            call()
            calls.append((name, call))
        except Exception as error:  # noqa: BLE001
            print(f"{name}: {error}"[:200], file=sys.stderr)
    with open(path, "w", encoding="utf-8") as file:
        for name, launched in kernels(calls).items():
            file.write(f"{name} [4096, 4096]\n")
            for kernel in launched:
                shape = f"grid {kernel['grid']} block {kernel['block']}"
                file.write(f"    {kernel['microseconds']:9.2f} us  {shape}  {kernel['name']}\n")


def check() -> int:
    for compiled in (False, True):
        block_step(TINY, 64, 2, compiled)()
        head_step(TINY, 64, compiled)()
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--out", default=".", help="the folder to write to (default: %(default)s)")
    parser.add_argument("--limit", type=float, default=600, help="stop after so many seconds (default: %(default)s)")
    parser.add_argument("--times-only", action="store_true", help="time the blocks and heads, record no kernels")
    parser.add_argument("--check", action="store_true", help="run everything once, small, and time nothing")
    arguments = parser.parse_args()
    torch._functorch.config.donated_buffer = False
    if arguments.check:
        return check()
    if DEVICE == "cpu":
        print("error: there is no GPU that torch can use", file=sys.stderr)
        return 4
    end = time.monotonic() + arguments.limit
    every, made = {"torch": VERSION, "steps": {}}, {}

    def keep(name: str, question) -> None:
        if time.monotonic() > end:
            return print(f"{name}: out of time", file=sys.stderr)
        try:
            every["steps"][name] = question()
        except Exception as error:  # noqa: BLE001
            print(f"{name}: {type(error).__name__}: {error}"[:300], file=sys.stderr)
        with open(os.path.join(arguments.out, "blocks.json"), "w", encoding="utf-8") as file:
            json.dump(every, file)
        return None

    # All times first, before a profiler is attached.
    for name, make in steps():
        made[name] = make()
        keep(name, lambda: end_to_end(made[name]))
        print(f"{name}: {every['steps'].get(name)}", flush=True)
    if arguments.times_only:
        return 0
    for name, result in list(every["steps"].items()):
        keep(name, lambda: launches(name, made[name], result))
    kind_names(os.path.join(arguments.out, "torch_kernel_names.txt"))
    return 0


if __name__ == "__main__":
    sys.exit(main())

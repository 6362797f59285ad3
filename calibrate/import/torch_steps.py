#!/usr/bin/env python3
"""Times whole training steps of small Llama-like decoders under PyTorch: one GPU, replicas (DDP), sharded (FSDP2), tensor
parallel; eager and compiled block by block. Nothing of it enters a profile: predictions are held against it.

    python3 torch_steps.py --gpus 1 --out .     # steps-1.jsonl
    python3 torch_steps.py --gpus 2 --out .     # steps-2.jsonl; each case is a process per GPU
    python3 torch_steps.py --check              # once, small, also without a GPU; times nothing

A step is forward, FP32 cross-entropy over all logits, backward, a fused AdamW over BF16 weights and moments. Embedding and
head are not tied. Each case runs in processes of its own, so that one that fails takes no other with it; a line says why.
Where several GPUs run, the line is of rank 0, and its step ends when the stream does.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import time
from dataclasses import asdict, dataclass

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import nn

from shared import DEVICE, VERSION, Nvml, percentile
from torch_blocks import TINY, Block, Model

N_WARM, N_TIMED = 12, 15
LIMIT_SECONDS = 150


@dataclass(frozen=True)
class Job:
    layers: int
    model: Model
    sequence: int
    sequences: int


JOBS = {
    "124M": Job(12, Model(768, 12, 12, 2048, 50304), 1024, 8),
    "350M": Job(24, Model(1024, 16, 16, 2816, 32000), 2048, 4),
    "1B": Job(24, Model(2048, 16, 16, 5632, 32000), 2048, 4),
    "3B": Job(28, Model(3072, 24, 8, 8192, 128256), 4096, 2),
}
# So small that the device waits for the host alone: what a layer costs that, by how its weights lie.
HOSTS = {"host-8": Job(8, Model(256, 2, 2, 512, 1024), 128, 1), "host-16": Job(16, Model(256, 2, 2, 512, 1024), 128, 1)}
JOBS |= HOSTS
CASES = {
    1: [(job, "one", compiled) for job in JOBS for compiled in (False, True)],
    2: [
        ("124M", "ddp", False),
        ("1B", "ddp", False),
        ("1B", "ddp", True),
        ("350M", "fsdp", False),
        ("1B", "fsdp", False),
        ("3B", "fsdp", False),
        ("3B", "fsdp", True),
        ("1B", "tp", False),
        ("3B", "tp", False),
        ("3B", "tp", True),
        *((job, how, compiled) for job in HOSTS for how in ("ddp", "fsdp", "tp") for compiled in (False, True)),
    ],
}


class Decoder(nn.Module):
    def __init__(self, job: Job):
        super().__init__()
        model = job.model
        self.embedding = nn.Embedding(model.vocabulary, model.hidden)
        self.blocks = nn.ModuleList(Block(model) for _ in range(job.layers))
        self.norm = nn.RMSNorm(model.hidden)
        self.head = nn.Linear(model.hidden, model.vocabulary, bias=False)

    def forward(self, tokens, cos, sin):
        x = self.embedding(tokens)
        for block in self.blocks:
            x = block(x, cos, sin)
        return self.head(self.norm(x))


def tensor_parallel(model, mesh) -> None:
    """Columns of the first products of attention and feed-forward, rows of the second; embedding and head whole."""
    from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module

    plan = {name: ColwiseParallel() for name in ("q", "k", "v", "gate", "up")}
    plan |= {name: RowwiseParallel() for name in ("o", "down")}
    for block in model.blocks:
        parallelize_module(block, mesh, plan)


def spread(model, how: str, compiled: bool):
    """The model as its GPUs run it."""
    if how == "tp":
        from torch.distributed.device_mesh import init_device_mesh

        tensor_parallel(model, init_device_mesh(DEVICE, (dist.get_world_size(),)))
    if compiled:
        for block in model.blocks:
            block.compile(dynamic=False)
    if how == "fsdp":
        from torch.distributed.fsdp import fully_shard

        for block in model.blocks:
            fully_shard(block)
        fully_shard(model)
    if how == "ddp":
        return nn.parallel.DistributedDataParallel(model, gradient_as_bucket_view=True)
    return model


def step_of(job: Job, how: str, compiled: bool):
    torch.manual_seed(0)
    with torch.device(DEVICE):
        model = Decoder(job).bfloat16()
    n_weights = sum(weight.numel() for weight in model.parameters())
    model = spread(model, how, compiled)
    # One fused kernel takes tensors of one kind: those that tensor parallelism spreads, and the others.
    groups = {}
    for weight in model.parameters():
        groups.setdefault(type(weight.data), []).append(weight)
    optimizer = torch.optim.AdamW([{"params": group} for group in groups.values()], lr=1e-5, fused=DEVICE == "cuda")
    tokens = torch.randint(job.model.vocabulary, (job.sequences, job.sequence), device=DEVICE)
    angles = torch.randn(1, 1, job.sequence, job.model.head, device=DEVICE)
    cos, sin = angles.cos().bfloat16(), angles.sin().bfloat16()

    def step():
        optimizer.zero_grad(set_to_none=True)
        logits = model(tokens, cos, sin).float()
        F.cross_entropy(logits.view(-1, logits.shape[-1]), tokens.view(-1)).backward()
        optimizer.step()

    return step, n_weights


def timed(step) -> dict:
    nvml = Nvml()
    for _ in range(N_WARM):
        step()
    torch.cuda.synchronize()
    marks = [torch.cuda.Event(enable_timing=True) for _ in range(N_TIMED + 1)]
    start = time.perf_counter()
    marks[0].record()
    for mark in marks[1:]:
        step()
        mark.record()
    queued = (time.perf_counter() - start) / N_TIMED
    clock = nvml.clock()
    torch.cuda.synchronize()
    seconds = sorted(a.elapsed_time(b) / 1e3 for a, b in zip(marks, marks[1:]))
    return {
        "seconds": percentile(seconds, 0.5),
        "low": seconds[0],
        "high": seconds[-1],
        "queued": queued,
        "clock": clock,
        "allocated": torch.cuda.max_memory_allocated(),
        "reserved": torch.cuda.max_memory_reserved(),
    }


def one_case(name: str, how: str, compiled: bool) -> None:
    """In a process of its own; rank 0 prints a line."""
    job, rank = JOBS[name], int(os.environ.get("RANK", 0))
    torch.cuda.set_device(rank)
    if how != "one":
        dist.init_process_group("nccl", device_id=torch.device(DEVICE, rank))
    step, n_weights = step_of(job, how, compiled)
    found = timed(step)
    if rank == 0:
        of = {"job": name, "how": how, "compiled": compiled, "gpus": int(os.environ.get("WORLD_SIZE", 1))}
        shape = asdict(job.model) | {"layers": job.layers, "sequence": job.sequence, "sequences": job.sequences}
        print("RESULT " + json.dumps(of | {"version": VERSION, "weights": n_weights} | shape | found), flush=True)
    if dist.is_initialized():
        dist.destroy_process_group()


def launch(case, gpus: int) -> str:
    """Runs one case on some GPUs and returns its line."""
    name, how, compiled = case
    command = [sys.executable, os.path.abspath(__file__), "--case", name, how, str(int(compiled))]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ranks = []
    for rank in range(gpus):
        of = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": gpus, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        environment = os.environ | {key: str(value) for key, value in of.items()}
        ranks.append(subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True))
    try:
        texts = [rank.communicate(timeout=LIMIT_SECONDS)[0] for rank in ranks]
    except subprocess.TimeoutExpired:
        for rank in ranks:
            rank.kill()
        return json.dumps({"job": name, "how": how, "compiled": compiled, "gpus": gpus, "failed": "took too long"})
    lines = [line[7:] for text in texts for line in text.splitlines() if line.startswith("RESULT ")]
    if lines:
        return lines[0]
    why = (texts[0].strip().splitlines() or ["no output"])[-1]
    return json.dumps({"job": name, "how": how, "compiled": compiled, "gpus": gpus, "failed": why[-300:]})


def check() -> None:
    step, n_weights = step_of(Job(2, TINY, 64, 2), "one", False)
    step()
    print(f"a step of {n_weights} weights runs")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gpus", type=int, default=1, choices=sorted(CASES))
    parser.add_argument("--out", default=".")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--only", default="", help="cases whose job or kind begins so: host, one, ddp, fsdp, tp")
    parser.add_argument("--case", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.check:
        return check()
    if arguments.case:
        name, how, compiled = arguments.case
        return one_case(name, how, compiled == "1")
    with open(os.path.join(arguments.out, f"steps-{arguments.gpus}.jsonl"), "w", encoding="utf-8") as file:
        for case in CASES[arguments.gpus]:
            if not any(name.startswith(arguments.only) for name in case[:2]):
                continue
            file.write(launch(case, arguments.gpus) + "\n")
            file.flush()


if __name__ == "__main__":
    main()

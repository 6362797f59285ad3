#!/usr/bin/env python3
"""Times PyTorch's memory-bound kernels on a GPU and writes CSV for `windtunnel calibrate import`.

    python3 torch_kernels.py --part eager --out eager.csv
    python3 torch_kernels.py --part compiled --out compiled.csv
    python3 torch_kernels.py --check            # runs every kind once, small, also without a GPU; times nothing

Primitives are single calls of PyTorch; kinds named `...-eager` are composed of them as people write models and are there
to check sums of primitives. `compiled` is `torch.compile` in its default mode. How a call is timed: `shared.py`. Each
time is a median over repetitions after a warm-up, with the 5th and 95th percentile; `clock` is the multiprocessors' clock
in hertz and `power` in watts as NVML gave them meanwhile.

All kinds of `[tokens, dim]` share one list of sizes, chosen at random with a fixed seed. BF16 unless the name says more.
"""

import argparse
import csv
import random
import sys
import time

import torch
import torch._functorch.config
import torch.nn.functional as F

from shared import DEVICE, VERSION, Calls, Case, Nvml, Spec, backward_of

COLUMNS = "kernel,tokens,dim,top-k,seconds,low,high,runs,implementation,clock,power".split(",")
REPETITION_SECONDS = 2.2e-3
N_REPETITIONS = 20
N_CALLS_MAX = 1024
BYTES_MAX = 3e9
# Logits and optimizer states are large in life.
BYTES_MAX_LARGE = 10e9
HEAD = 128
VOCABULARY = 128256
F32 = torch.float32
aten = torch.ops.aten


def sizes() -> list[tuple[int, int]]:
    dims = (512, 1024, 2048, 4096, 8192, 16384, 1536, 5120, 7168, 11008, 14336)
    every = [(1 << power, dim) for power in range(6, 17) for dim in dims if dim << power <= 1 << 28]
    fixed = [(64, 512), (4096, 4096), (65536, 4096)]
    return fixed + random.Random(7).sample([size for size in every if size not in fixed], 21)


# What is compiled takes seconds a size.
SIZES_COMPILED = [
    (4096, 4096), (64, 512), (16384, 8192), (1024, 7168), (65536, 2048), (8192, 14336), (256, 4096), (2048, 1536)
]  # fmt: skip
SIZES_LOGITS = [
    (512, 32000), (2048, 32000), (8192, 32000), (1024, 50304), (4096, 50304), (512, 128256), (2048, 128256), (8192, 128256)
]  # fmt: skip


def rotate_half(x):
    half = x.shape[-1] // 2
    return torch.cat((-x[..., half:], x[..., :half]), -1)


def rope(q, cos, sin):
    return q * cos + rotate_half(q) * sin


def swiglu(gate, up):
    return F.silu(gate) * up


def rmsnorm(x, weight):
    return F.rms_norm(x, weight.shape, weight, 1e-6)


def rmsnorm_residual(x, residual, weight):
    total = x + residual
    return rmsnorm(total, weight), total


def rmsnorm_module(x, weight):
    """As `LlamaRMSNorm` of transformers."""
    wide = x.float()
    wide = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + 1e-6)
    return weight * wide.to(x.dtype)


def layer_norm(x, weight, bias):
    return F.layer_norm(x, weight.shape, weight, bias)


def softmax(x):
    return F.softmax(x, -1)


def plain(call, n: int = 1, dtype=torch.bfloat16):
    """`call` of n tensors of `[tokens, dim]`."""
    return lambda t, d, k: Case([Spec((t, d), dtype)] * n, call)


def heads(call, *trig: Spec):
    """`call` of queries `[1, heads, tokens, HEAD]` and of tables that all heads share."""
    return lambda t, d, k: Case([Spec((1, d // HEAD, t, HEAD))] + [Spec((1, 1, t, HEAD)) for _ in trig], call)


def gradient(make, n_differentiated: int | None = None):
    """The gradients of a kind; operands after the first `n_differentiated` are constants."""

    def backward(t, d, k):
        case = make(t, d, k)
        n = n_differentiated or len(case.specs)

        def prepare(*operands):
            inner, call = backward_of(lambda *few: case.call(*few, *operands[n:]))
            return (call, *inner(*operands[:n]))

        return Case(case.specs, lambda call, *rest: call(*rest), prepare)

    return backward


def rmsnorm_backward(t, d, k):
    def call(gradient, x, rstd, weight):
        return aten._fused_rms_norm_backward(gradient, x, [d], rstd, weight, [True, True])

    return Case([Spec((t, d)), Spec((t, d)), Spec((t, 1), F32), Spec((d,))], call)


def layer_norm_backward(t, d, k):
    def call(gradient, x, mean, rstd, weight, bias):
        return aten.native_layer_norm_backward(gradient, x, [d], mean, rstd, weight, bias, [True, True, True])

    return Case([Spec((t, d))] * 2 + [Spec((t, 1), F32)] * 2 + [Spec((d,))] * 2, call)


def dropout_backward(t, d, k):
    return Case([Spec((t, d)), Spec((t, d), torch.bool)], lambda g, mask: aten.native_dropout_backward(g, mask, 1 / 0.9))


def permute(t, d, k):
    return Case([Spec((t, d)), Spec((t * k,), high=t)], lambda x, index: x.index_select(0, index))


def index_add(t, d, k):
    specs = [Spec((t, d)), Spec((t * k,), high=t), Spec((t * k, d))]
    return Case(specs, lambda out, index, rows: out.index_add_(0, index, rows))


def embedding(t, d, k):
    return Case([Spec((t,), high=VOCABULARY)], lambda table, index: F.embedding(index, table), shared=[Spec((VOCABULARY, d))])


def embedding_backward(t, d, k):
    specs = [Spec((t, d)), Spec((t,), high=VOCABULARY)]
    return Case(specs, lambda g, index: aten.embedding_dense_backward(g, index, VOCABULARY, -1, False))


def log_softmax_backward(t, d, k):
    specs = [Spec((t, d), F32)] * 2
    return Case(specs, lambda g, out: aten._log_softmax_backward_data(g, out, -1, F32))


def nll_backward(t, d, k):
    def call(gradient, x, target, total):
        return aten.nll_loss_backward(gradient, x, target, None, 1, -100, total)

    return Case([Spec((), F32), Spec((t, d), F32), Spec((t,), high=d), Spec((), F32)], call)


def cross_entropy(t, d, k):
    return Case([Spec((t, d)), Spec((t,), high=d)], lambda logits, target: F.cross_entropy(logits.float(), target))


def adam(hidden: int, n_blocks: int, dtype):
    """One step over the weights of decoder blocks: hidden, a quarter of it for keys and values, 3.5 of it inside."""
    few, wide = hidden // 4, hidden * 7 // 2
    parts = [hidden * hidden, hidden * few, hidden * few, hidden * hidden]
    parts = (parts + [hidden * wide] * 3 + [hidden] * 2) * n_blocks

    def prepare(weights, gradients, first, second):
        split = [list(tensor.split(parts)) for tensor in (weights, gradients, first, second.abs_())]
        return (*split, [torch.ones((), device=DEVICE) for _ in parts])

    def call(weights, gradients, first, second, steps):
        more = {"lr": 1e-4, "beta1": 0.9, "beta2": 0.95, "weight_decay": 0.1, "eps": 1e-8}
        torch._fused_adamw_(weights, gradients, first, second, [], steps, amsgrad=False, maximize=False, **more)
        return ()

    return sum(parts), Case([Spec((sum(parts),), dtype)] * 4, call, prepare)


PRIMITIVES = {
    "elementwise": plain(torch.add, 2),
    "silu": plain(F.silu),
    "mul": plain(torch.mul, 2),
    "cast-up": plain(lambda x: x.float()),
    "cast-down": plain(lambda x: x.bfloat16(), dtype=F32),
    "neg-half": heads(rotate_half),
    "broadcast-mul": heads(torch.mul, "cos"),
    "mean-square": plain(lambda x: x.pow(2).mean(-1), dtype=F32),
    "rmsnorm": lambda t, d, k: Case([Spec((t, d)), Spec((d,))], rmsnorm),
    "rmsnorm-backward": rmsnorm_backward,
    "layer-norm": lambda t, d, k: Case([Spec((t, d)), Spec((d,)), Spec((d,))], layer_norm),
    "layer-norm-backward": layer_norm_backward,
    "softmax": plain(softmax),
    "softmax-backward": plain(lambda g, out: aten._softmax_backward_data(g, out, -1, torch.bfloat16), 2),
    "gelu": plain(F.gelu),
    "gelu-backward": plain(aten.gelu_backward, 2),
    "dropout": plain(lambda x: F.dropout(x, 0.1, True)),
    "dropout-backward": dropout_backward,
    "transpose": plain(lambda x: x.t().contiguous()),
    "permute": permute,
    "index-add": index_add,
    "embedding": embedding,
    "embedding-backward": embedding_backward,
}
ROUTED = {"permute": (2, 8), "index-add": (2, 8)}
COMPOSED = {
    "swiglu-eager": plain(swiglu, 2),
    "rope-eager": heads(rope, "cos", "sin"),
    "rmsnorm-module-eager": lambda t, d, k: Case([Spec((t, d)), Spec((d,))], rmsnorm_module),
}
COMPOSED["swiglu-eager-backward"] = gradient(COMPOSED["swiglu-eager"])
COMPOSED["rope-eager-backward"] = gradient(COMPOSED["rope-eager"], 1)
LOGITS = {
    "log-softmax": plain(lambda x: aten._log_softmax(x, -1, False), dtype=F32),
    "log-softmax-backward": log_softmax_backward,
    "nll-backward": nll_backward,
    "cross-entropy-eager": cross_entropy,
    "cross-entropy-eager-backward": gradient(cross_entropy, 1),
}
ADAM = {
    name: [(hidden, n, dtype) for hidden, n in ((512, 1), (512, 8), (1024, 1), (1024, 8), (2048, 4), (4096, 1), (4096, 2))]
    for name, dtype in (("adam", torch.bfloat16), ("adam-fp32", F32))
}


def compiled(function, prepare_case, n_differentiated: int = 0):
    """A kind whose function is compiled anew for each size, as a model of fixed shapes is."""

    def make(t, d, k):
        torch._dynamo.reset()
        fast = torch.compile(function, dynamic=False)
        case = prepare_case(t, d, k)
        plain_case = lambda t, d, k: Case(case.specs, fast)  # noqa: E731
        return gradient(plain_case, n_differentiated)(t, d, k) if n_differentiated else plain_case(t, d, k)

    return make


COMPILED = {
    "rmsnorm": compiled(rmsnorm, PRIMITIVES["rmsnorm"]),
    "rmsnorm-backward": compiled(rmsnorm, PRIMITIVES["rmsnorm"], 2),
    "rmsnorm-residual": compiled(rmsnorm_residual, lambda t, d, k: Case([Spec((t, d))] * 2 + [Spec((d,))], None)),
    "swiglu": compiled(swiglu, plain(None, 2)),
    "swiglu-backward": compiled(swiglu, plain(None, 2), 2),
    "rope": compiled(rope, heads(None, "cos", "sin")),
    "rope-backward": compiled(rope, heads(None, "cos", "sin"), 1),
    "gelu": compiled(F.gelu, plain(None)),
    "softmax": compiled(softmax, plain(None)),
    "layer-norm": compiled(layer_norm, PRIMITIVES["layer-norm"]),
}


def eager_questions():
    """Kind, tokens, dim, top-k, how the case is made, and the most bytes."""
    for t, d in sizes():
        for name, make in PRIMITIVES.items():
            for k in ROUTED.get(name, ("",)):
                yield name, t, d, k, make, BYTES_MAX
        for name, make in COMPOSED.items() if t >= 256 else ():
            yield name, t, d, "", make, BYTES_MAX
    for t, d in SIZES_LOGITS:
        for name, make in LOGITS.items():
            yield name, t, d, "", make, BYTES_MAX_LARGE
    for name, every in ADAM.items():
        for arguments in every:
            total, case = adam(*arguments)
            yield name, total, 1, "", lambda t, d, k, case=case: case, BYTES_MAX_LARGE


def compiled_questions():
    for t, d in SIZES_COMPILED:
        for name, make in COMPILED.items():
            yield name, t, d, "", make, BYTES_MAX


def one_size(tokens: int, dim: int):
    """Each kind once: its name and its case."""
    for name, make in (PRIMITIVES | COMPOSED | LOGITS).items():
        yield name, make(tokens, dim, 2)
    for name in ADAM:
        yield name, adam(dim, 1, ADAM[name][0][2])[1]
    for name, make in COMPILED.items():
        yield f"{name}, compiled", make(tokens, dim, 2)


def check() -> int:
    torch._functorch.config.donated_buffer = False
    bad = 0
    for name, case in one_size(64, 256):
        try:
            case.call(*case.fixed(), *case.sets(2)[1])
        except Exception as error:  # noqa: BLE001
            bad += 1
            print(f"{name}: {type(error).__name__}: {error}"[:300], file=sys.stderr)
    return 1 if bad else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--out", default="torch_kernels.csv", help="the file to write (default: %(default)s)")
    parser.add_argument("--part", choices=("eager", "compiled"), default="eager")
    parser.add_argument("--limit", type=float, default=600, help="stop after so many seconds (default: %(default)s)")
    parser.add_argument("--check", action="store_true", help="run each kind once, small, and time nothing")
    arguments = parser.parse_args()
    if arguments.check:
        return check()
    if DEVICE == "cpu":
        print("error: there is no GPU that torch can use", file=sys.stderr)
        return 4
    torch.manual_seed(1)
    # Gradients are taken again and again from one forward pass.
    torch._functorch.config.donated_buffer = False
    questions = eager_questions() if arguments.part == "eager" else compiled_questions()
    implementation = VERSION if arguments.part == "eager" else f"inductor {torch.__version__.split('+')[0]}"
    with open(arguments.out, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        with torch.cuda.stream(torch.cuda.Stream()):
            measure(questions, implementation, writer, file, time.monotonic() + arguments.limit)
    return 0


def measure(questions, implementation: str, writer, file, end: float) -> None:
    nvml, refused, n_rows = Nvml(), {}, 0
    for name, t, d, k, make, bytes_max in questions:
        if time.monotonic() > end:
            refused["out of time"] = refused.get("out of time", 0) + 1
            continue
        try:
            case = make(t, d, k)
            if case.size() > bytes_max:
                continue
            calls = Calls(case, REPETITION_SECONDS, N_CALLS_MAX)
            if calls.moved > bytes_max:
                continue
            row = {"kernel": name, "tokens": t, "dim": d, "top-k": k}
            row |= calls.timed(N_REPETITIONS, nvml).columns()
            row["implementation"] = implementation + ("" if calls.captured else ", no graph")
            writer.writerow(row)
            file.flush()
            n_rows += 1
        except Exception as error:  # noqa: BLE001
            first = (str(error).strip() or type(error).__name__).splitlines()[0]
            refused[f"{name}: {first[:120]}"] = refused.get(f"{name}: {first[:120]}", 0) + 1
            torch.cuda.empty_cache()
        finally:
            case = calls = None
    for reason, count in sorted(refused.items()):
        print(f"left out: {count:4}  {reason}", file=sys.stderr)
    print(f"{n_rows} samples of {implementation} in {file.name}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())

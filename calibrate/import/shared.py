"""What the PyTorch scripts of this folder share: operands, CUDA graphs, times and what NVML reads. Needs torch.

Device time is that of one call in a stream that never runs dry: calls are captured in a CUDA graph, and the graphs are
queued behind a sleeping kernel. Operands and results rotate through sets that together are several times the L2, so a
call finds nothing there from the call before.
"""

import ctypes
import math
import os
from dataclasses import dataclass
from typing import Callable

import torch

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
VERSION = f"torch {torch.__version__}"
# Rotating sets together, in sizes of the L2.
L2_FACTOR = 3
SLEEP_CYCLES = 2_000_000


@dataclass(frozen=True)
class Spec:
    """One operand: random normal numbers, or indices below `high`, or (`torch.bool`) a mask that keeps nine of ten."""

    shape: tuple
    dtype: torch.dtype = torch.bfloat16
    high: int = 0

    def make(self, n: int):
        shape = (n, *self.shape)
        if self.high:
            return torch.randint(self.high, shape, device=DEVICE)
        if self.dtype is torch.bool:
            return torch.rand(shape, device=DEVICE) > 0.1
        if self.dtype.itemsize == 1:
            return torch.randn(shape, device=DEVICE, dtype=torch.bfloat16).to(self.dtype)
        return torch.randn(shape, device=DEVICE, dtype=self.dtype)


@dataclass(frozen=True)
class Case:
    """`call(*shared, *operands)`; `prepare` turns fresh operands into those of the call, outside the clock."""

    specs: list
    call: Callable
    prepare: Callable | None = None
    shared: list = ()

    def sets(self, n: int) -> list[tuple]:
        made = list(zip(*(spec.make(n).unbind(0) for spec in self.specs)))
        return [self.prepare(*one) for one in made] if self.prepare else made

    def fixed(self) -> tuple:
        return tuple(spec.make(1)[0] for spec in self.shared)

    def size(self) -> int:
        return sum(math.prod(spec.shape) * (8 if spec.high else spec.dtype.itemsize) for spec in self.specs)


def size(value) -> int:
    """Bytes of all tensors of a result or of a set of operands."""
    if isinstance(value, torch.Tensor):
        return value.numel() * value.element_size()
    return sum(size(part) for part in value) if isinstance(value, (tuple, list)) else 0


def backward_of(function):
    """`prepare` and `call` of the gradients of `function` with respect to all its operands."""

    def prepare(*operands):
        operands = tuple(operand.detach().requires_grad_() for operand in operands)
        result = function(*operands)
        results = result if isinstance(result, tuple) else (result,)
        return results, operands, tuple(torch.randn_like(result) for result in results)

    def call(results, operands, weights):
        return torch.autograd.grad(results, operands, weights, retain_graph=True)

    return prepare, call


@dataclass
class Reading:
    times: list
    clock: float
    power: float

    def columns(self) -> dict:
        return {
            "seconds": f"{percentile(self.times, 0.5):.6g}",
            "low": f"{percentile(self.times, 0.05):.6g}",
            "high": f"{percentile(self.times, 0.95):.6g}",
            "runs": len(self.times),
            "clock": "" if math.isnan(self.clock) else f"{self.clock:.6g}",
            "power": "" if math.isnan(self.power) else f"{self.power:.5g}",
        }


class Calls:
    """Calls of a case on rotating operands, captured in a graph where that works."""

    def __init__(self, case: Case, seconds: float, n_calls_max: int):
        fixed = case.fixed()
        (one,) = case.sets(1)
        self.moved = size(one) + size(case.call(*fixed, *one))
        first = rough(lambda: case.call(*fixed, *one))
        l2 = torch.cuda.get_device_properties(0).L2_cache_size
        n_sets = min(n_calls_max, max(2, math.ceil(L2_FACTOR * l2 / self.moved)))
        self.n_calls = max(1, min(n_calls_max, max(n_sets if seconds > 10 * first else 1, math.ceil(seconds / first))))
        n_sets = max(1, min(n_sets, self.n_calls))
        del one
        sets = case.sets(n_sets)
        kept = [None] * n_sets

        def run():
            for index in range(self.n_calls):
                kept[index % n_sets] = case.call(*fixed, *sets[index % n_sets])

        run()
        self.once = lambda: case.call(*fixed, *sets[-1])
        self.graph = torch.cuda.CUDAGraph()
        self.captured = True
        try:
            with torch.cuda.graph(self.graph, stream=torch.cuda.current_stream()):
                run()
            self.play = self.graph.replay
        except RuntimeError:
            torch.cuda.synchronize()
            self.captured, self.play = False, run
        # One repetition is long beside an event.
        self.n_plays = max(1, math.ceil(seconds / rough(self.play)))

    def timed(self, n_repetitions: int, nvml, n_warm: int = 2) -> Reading:
        marks = [torch.cuda.Event(enable_timing=True) for _ in range(n_repetitions + 1)]
        torch.cuda.synchronize()
        torch.cuda._sleep(SLEEP_CYCLES if self.captured else 20 * SLEEP_CYCLES)
        for _ in range(n_warm):
            self.play()
        marks[0].record()
        for mark in marks[1:]:
            for _ in range(self.n_plays):
                self.play()
            mark.record()
        clock, power = nvml.clock(), nvml.power()
        torch.cuda.synchronize()
        n = self.n_calls * self.n_plays
        return Reading([a.elapsed_time(b) / 1e3 / n for a, b in zip(marks, marks[1:])], clock, power)


def rough(call, n: int = 2) -> float:
    """Seconds of one call, about."""
    a, b = (torch.cuda.Event(enable_timing=True) for _ in "ab")
    call()
    torch.cuda.synchronize()
    a.record()
    for _ in range(n):
        call()
    b.record()
    torch.cuda.synchronize()
    return max(a.elapsed_time(b) / 1e3 / n, 1e-6)


STAMP = """
extern "C" __global__ void stamp(unsigned long long* to, int index) {
    unsigned long long now; unsigned int sm;
    asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(now));
    asm volatile("mov.u32 %0, %%smid;" : "=r"(sm));
    to[3 * index] = now; to[3 * index + 1] = clock64(); to[3 * index + 2] = sm;
}
"""


class Stamps:
    """One-thread kernels that write down the device's nanoseconds and the cycles of a multiprocessor.

    Between two of them lies the mean clock at which that multiprocessor really ran. NVML's clock can be higher: hardware
    that withholds cycles under heavy load does not show there. Needs the headers of CUDA (`CUDA_HOME`).
    """

    def __init__(self, n_max: int = 1 << 16):
        os.environ.setdefault("CUDA_HOME", "/usr/local/cuda")
        self.kernel = torch.cuda._compile_kernel(STAMP, "stamp")
        self.values = torch.zeros(3 * n_max, dtype=torch.int64, device=DEVICE)
        self.n, self.n_max = 0, n_max

    def clear(self) -> None:
        torch.cuda.synchronize()
        self.n = 0

    def stamp(self) -> None:
        if self.n < self.n_max:
            self.kernel(args=[self.values, self.n])
            self.n += 1

    def read(self) -> list[list[int]]:
        """Nanoseconds, cycles and the multiprocessor of each."""
        torch.cuda.synchronize()
        return self.values[: 3 * self.n].view(-1, 3).tolist()


def clock_between(before: list[int], after: list[int]) -> float:
    """Hertz; NaN where the stamps are of two multiprocessors."""
    if before[2] != after[2]:
        return math.nan
    return (after[1] - before[1]) / max(1, after[0] - before[0]) * 1e9


def percentile(times: list, share: float) -> float:
    return sorted(times)[round(share * (len(times) - 1))]


class Field(ctypes.Structure):
    """`nvmlFieldValue_t`."""

    _fields_ = [
        ("field", ctypes.c_uint),
        ("scope", ctypes.c_uint),
        ("timestamp", ctypes.c_longlong),
        ("latency", ctypes.c_longlong),
        ("type", ctypes.c_int),
        ("status", ctypes.c_int),
        ("value", ctypes.c_ulonglong),
    ]


class Nvml:
    """Readings of one GPU; NaN where NVML is missing or refuses. `index` is NVML's, not that of `CUDA_VISIBLE_DEVICES`."""

    POWER_INSTANT = 186

    def __init__(self, index: int = 0):
        self.handle = ctypes.c_void_p()
        try:
            self.library = ctypes.CDLL("libnvidia-ml.so.1")
            self.library.nvmlInit_v2()
            self.library.nvmlDeviceGetHandleByIndex_v2(index, ctypes.byref(self.handle))
        except OSError:
            self.library = None

    def read(self, name: str, kind, *arguments) -> float:
        value = kind()
        try:
            bad = getattr(self.library, name)(self.handle, *arguments, ctypes.byref(value))
        except AttributeError:
            return math.nan
        return math.nan if bad else float(value.value)

    def clock(self) -> float:
        """Hertz of the multiprocessors."""
        return self.read("nvmlDeviceGetClockInfo", ctypes.c_uint, 1) * 1e6

    def power(self) -> float:
        """Watts now, not averaged over a second."""
        field = Field(field=self.POWER_INSTANT)
        try:
            bad = self.library.nvmlDeviceGetFieldValues(self.handle, 1, ctypes.byref(field))
        except AttributeError:
            return math.nan
        return math.nan if bad or field.status else (field.value & 0xFFFFFFFF) / 1e3

    def energy(self) -> float:
        """Joules since the driver was loaded."""
        return self.read("nvmlDeviceGetTotalEnergyConsumption", ctypes.c_ulonglong) / 1e3

    def power_limit(self) -> float:
        return self.read("nvmlDeviceGetEnforcedPowerLimit", ctypes.c_uint) / 1e3

    def temperature(self) -> float:
        return self.read("nvmlDeviceGetTemperature", ctypes.c_uint, 0)

    def reasons(self) -> float:
        """Why the clock is not higher: a bit mask; 4 is the power limit, 0x20 and 0x40 are heat."""
        return self.read("nvmlDeviceGetCurrentClocksThrottleReasons", ctypes.c_ulonglong)

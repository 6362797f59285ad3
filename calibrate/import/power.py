#!/usr/bin/env python3
"""Measures how power sets a GPU's clock over time, and writes every series as JSON.

    python3 power.py --out power.json

Four parts. `from-idle`: products and copies back to back after a second of nothing, every call's time and clock.
`gaps`: the same calls after sustained load and a pause of known length. `duty`: products for a share of each period, then
nothing, with the power of the steady state. `mixes`: products and copies in turn in one stream. `energy`: the power and the
clock of steady loads, for the joules of a FLOP, of a byte and of idling.

Times and clocks on the device come from stamps: one-thread kernels between the calls that write down the nanoseconds and the
cycles of one multiprocessor. NVML is read in a thread meanwhile; mean powers are differences of its energy counter. Pauses
are the host sleeping, or (`wait`) a one-thread kernel that sleeps, or (`spin`) one that counts cycles.
"""

import argparse
import json
import math
import sys
import threading
import time

import torch

from clocks import product, product_fp8
from shared import DEVICE, VERSION, Case, Nvml, Spec, Stamps, clock_between, percentile, rough

SOURCE = """
extern "C" __global__ void wait(int nanoseconds) {
    unsigned long long start, now;
    asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(start));
    do { __nanosleep(500); asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(now)); } while (now - start < nanoseconds);
}
extern "C" __global__ void spin(int cycles) {
    long long start = clock64();
    while (clock64() - start < cycles) {}
}
"""
# Calls that the host is ahead of the device.
N_AHEAD = 32
SETTLE_SECONDS = 0.9
STEADY_SECONDS = 1.6
N_POINTS_MAX = 1200


class Device:
    def __init__(self):
        self.nvml = Nvml()
        self.stamps = Stamps()
        self.kernels = {name: torch.cuda._compile_kernel(SOURCE, name) for name in ("wait", "spin")}
        self.stamp, self.read = self.stamps.stamp, self.stamps.read
        self.ahead = []

    def clear(self) -> None:
        self.stamps.clear()
        self.ahead = []

    def wait(self, seconds: float) -> None:
        self.kernels["wait"](args=[round(seconds * 1e9)])

    def spin(self, cycles: int, n_blocks: int = 1, n_threads: int = 1) -> None:
        self.kernels["spin"](grid=(n_blocks, 1, 1), block=(n_threads, 1, 1), args=[cycles])

    def hold(self, n: int = N_AHEAD) -> None:
        """Lets the host be only n such points ahead of the device."""
        event = torch.cuda.Event()
        event.record()
        self.ahead.append(event)
        if len(self.ahead) > n:
            self.ahead.pop(0).synchronize()


class Watch(threading.Thread):
    """NVML every 5 ms: seconds, clock, power, reasons."""

    def __init__(self, nvml: Nvml):
        super().__init__(daemon=True)
        self.nvml, self.samples, self.on = nvml, [], True
        self.start()

    def run(self):
        while self.on:
            nvml = self.nvml
            self.samples.append((time.perf_counter(), nvml.clock(), nvml.power(), nvml.reasons()))
            time.sleep(0.005)

    def stop(self, zero: float) -> list:
        self.on = False
        self.join()
        return [[round(t - zero, 4), clock, power, reasons] for t, clock, power, reasons in self.samples]


def segments(stamps: list, n_calls: int = 1) -> list:
    """Between each two stamps: when it began, seconds of one call, and the clock where both were of one multiprocessor."""
    found = []
    for before, after in zip(stamps, stamps[1:]):
        clock = clock_between(before, after)
        clock = None if math.isnan(clock) else round(clock, -5)
        found.append([round((before[0] - stamps[0][0]) / 1e9, 6), round((after[0] - before[0]) / 1e9 / n_calls, 9), clock])
    return found


def thin(series: list, n: int = N_POINTS_MAX) -> list:
    """The first hundred as they are, then means of neighbors."""
    head, rest = series[:100], series[100:]
    step = max(1, -(-len(rest) // n))
    groups = [rest[at : at + step] for at in range(0, len(rest), step)]
    return head + [[group[0][0], mean([s for _, s, _ in group]), mean([c for *_, c in group])] for group in groups]


def mean(values: list):
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def rotating(case: Case, n: int):
    sets, at = case.sets(n), [0]

    def call():
        at[0] += 1
        return case.call(*sets[at[0] % n])

    return call


def zeros(case: Case):
    made = [torch.zeros(spec.shape, device=DEVICE).to(spec.dtype) for spec in case.specs]
    return lambda: case.call(*made)


def copy(n_bytes: int):
    """Copies that read and write `n_bytes` in all."""
    a, b = (torch.randn(n_bytes // 4, device=DEVICE, dtype=torch.bfloat16) for _ in range(2))
    return lambda: b.copy_(a)


def loaded(device: Device, call, seconds: float, every: int = 1) -> float:
    """Calls back to back with a stamp after each `every`; gives the seconds it took."""
    start = time.perf_counter()
    device.stamp()
    while time.perf_counter() - start < seconds:
        for _ in range(every):
            call()
        device.stamp()
        device.hold()
    torch.cuda.synchronize()
    return time.perf_counter() - start


def from_idle(device: Device, loads: dict) -> dict:
    found = {}
    for name in ("bf16 8192", "fp8 8192", "bf16 4096", "copy"):
        rough(loads[name])
        device.clear()
        time.sleep(1.0)
        watch = Watch(device.nvml)
        time.sleep(0.1)
        zero, joules = time.perf_counter(), device.nvml.energy()
        wall = loaded(device, loads[name], 3.0)
        joules = device.nvml.energy() - joules
        found[name] = {"calls": thin(segments(device.read())), "watts": joules / wall, "nvml": watch.stop(zero)}
    return found


def gaps(device: Device, loads: dict) -> dict:
    found = {}
    for gap in (0.0005, 0.002, 0.005, 0.02, 0.05, 0.1, 0.3, 1.0):
        device.clear()
        loaded(device, loads["bf16 4096"], 1.0, 8)
        device.clear()
        time.sleep(gap)
        loaded(device, loads["bf16 4096"], 0.3)
        found[str(gap)] = thin(segments(device.read()), 800)
    return found


def steady(device: Device, once, settle: float = SETTLE_SECONDS, seconds: float = STEADY_SECONDS) -> dict:
    """Runs `once` over and over; power, clock and the stamps of the steady part."""
    start = time.perf_counter()
    while time.perf_counter() - start < settle:
        once()
    torch.cuda.synchronize()
    device.clear()
    watch, joules, start, n = Watch(device.nvml), device.nvml.energy(), time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        once()
        n += 1
    torch.cuda.synchronize()
    wall = time.perf_counter() - start
    joules = device.nvml.energy() - joules
    samples = watch.stop(start)
    result = {"watts": joules / wall, "wall": wall, "n": n}
    for index, name in ((1, "nvml-clock"), (2, "nvml-power"), (3, "reasons")):
        values = [sample[index] for sample in samples]
        result[name] = [percentile(values, share) for share in (0.05, 0.5, 0.95)]
    return result | {"temperature": device.nvml.temperature()}


def duty(device: Device, call, period: float, share: float, pause: str) -> dict:
    """Products for `share` of a period, then a pause; seconds and clocks of the pieces of the busy part, over all periods."""
    each = rough(call, 20)
    n = max(1, round(period * share / each))
    n_pieces = min(n, 12)
    sizes = [n * (piece + 1) // n_pieces - n * piece // n_pieces for piece in range(n_pieces)]
    idle = period * (1 - share)

    def once():
        device.stamp()
        for size in sizes:
            for _ in range(size):
                call()
            device.stamp()
        if pause == "host":
            torch.cuda.synchronize()
            time.sleep(idle)
        elif pause == "wait":
            device.wait(idle)
        else:
            torch.cuda._sleep(round(idle * 1.98e9))
        if pause != "host":
            device.hold(3)

    result = steady(device, once)
    stamps, pieces = device.read(), []
    periods = [stamps[at : at + n_pieces + 1] for at in range(0, len(stamps) - n_pieces, n_pieces + 1)]
    for index, size in enumerate(sizes):
        two = [segments(one[index : index + 2], size)[0] for one in periods]
        pieces.append([size, percentile([s for _, s, _ in two], 0.5), mean([c for *_, c in two])])
    busy = sum(one[-1][0] - one[0][0] for one in periods) / 1e9
    whole = (periods[-1][0][0] - periods[0][0][0]) / 1e9 if len(periods) > 1 else 0.0
    reached = busy / len(periods) * (len(periods) - 1) / whole if whole else None
    return {"period": period, "share": share, "pause": pause, "duty": reached, "pieces": pieces} | result


def mix(device: Device, products, copies, period: float, share: float) -> dict:
    n_products = max(1, round(period * share / rough(products, 20)))
    n_copies = max(1, round(period * (1 - share) / rough(copies, 20)))

    def once():
        device.stamp()
        for _ in range(n_products):
            products()
        device.stamp()
        for _ in range(n_copies):
            copies()
        device.hold(3)

    result = steady(device, once)
    parts = segments(device.read())
    for name, of, n in (("product", parts[0::2], n_products), ("copy", parts[1::2], n_copies)):
        result[name] = [n, percentile([s for _, s, _ in of], 0.5) / n, mean([c for *_, c in of])]
    return {"period": period, "share": share} | result


def energy(device: Device, loads: dict) -> dict:
    found = {}
    n_sms = torch.cuda.get_device_properties(0).multi_processor_count
    extra = {
        "spin one thread": lambda: torch.cuda._sleep(2_000_000),
        "wait one thread": lambda: device.wait(1e-3),
        "spin a thread per SM": lambda: device.spin(2_000_000, n_sms, 32),
        "spin 1024 threads per SM": lambda: device.spin(2_000_000, n_sms, 1024),
    }
    time.sleep(1.0)
    found["idle"] = steady(device, lambda: time.sleep(0.05))
    for name, call in (extra | loads).items():
        try:
            n = max(1, round(1e-3 / rough(call, 10)))

            def once(call=call, n=n):
                device.stamp()
                for _ in range(n):
                    call()
                device.hold(8)

            found[name] = steady(device, once)
            parts = segments(device.read(), n)
            found[name] |= {"seconds": percentile([s for _, s, _ in parts], 0.5), "clock": mean([c for *_, c in parts])}
        except Exception as error:  # noqa: BLE001
            print(f"{name}: {error}"[:200], file=sys.stderr)
    return found


def make_loads() -> dict:
    """Calls by name; their FLOPs and bytes follow from the name."""
    attend = torch.nn.functional.scaled_dot_product_attention
    q = Case([Spec((1, 32, 8192, 128))] * 3, lambda q, k, v: attend(q, k, v, is_causal=True))
    big = (8192, 8192, 8192)
    return {
        "bf16 8192": rotating(product("NT", *big), 2),
        "fp8 8192": rotating(product_fp8(*big, True), 2),
        "bf16 4096": rotating(product("NT", 4096, 4096, 4096), 4),
        "copy": copy(8 << 30),
        "bf16 8192 zeros": zeros(product("NT", *big)),
        "fp8 8192 zeros": zeros(product_fp8(*big, True)),
        "bf16 2048": rotating(product("NT", 2048, 2048, 2048), 8),
        "bf16 64 rows, 16384": rotating(product("NT", 64, 16384, 16384), 2),
        "attention 32 heads, 8192": rotating(q, 2),
        "add 1 Gi": rotating(Case([Spec((1 << 29,))] * 2, torch.add), 1),
        "amax 1 Gi": rotating(Case([Spec((1 << 30,))], torch.amax), 1),
        "gelu 1 Gi": rotating(Case([Spec((1 << 29,))], torch.nn.functional.gelu), 1),
        "copy 0.8 GB": copy(800 << 20),
        "copy 32 MiB": copy(32 << 20),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--out", default="power.json", help="the file to write (default: %(default)s)")
    parser.add_argument("--limit", type=float, default=600, help="stop after so many seconds (default: %(default)s)")
    arguments = parser.parse_args()
    if DEVICE == "cpu":
        print("error: there is no GPU that torch can use", file=sys.stderr)
        return 4
    end = time.monotonic() + arguments.limit
    torch.manual_seed(1)
    device, loads = Device(), make_loads()
    every = {"torch": VERSION, "power-limit": device.nvml.power_limit(), "duty": [], "mixes": []}

    def keep(name: str, question) -> None:
        """Answers one question and writes all answers, so that a later fault loses nothing."""
        if time.monotonic() > end:
            return print(f"{name}: out of time", file=sys.stderr)
        try:
            answer = question()
            every[name] = every[name] + [answer] if isinstance(every.get(name), list) else answer
        except Exception as error:  # noqa: BLE001
            print(f"{name}: {type(error).__name__}: {error}"[:300], file=sys.stderr)
        with open(arguments.out, "w", encoding="utf-8") as file:
            json.dump(every, file)
        return None

    keep("from-idle", lambda: from_idle(device, loads))
    keep("energy", lambda: energy(device, loads))
    keep("gaps", lambda: gaps(device, loads))
    products, copies = loads["bf16 4096"], loads["copy 0.8 GB"]
    for period in (0.002, 0.01, 0.04, 0.1, 0.4):
        for share in (0.5, 0.25, 0.75):
            pause = "host" if period * (1 - share) >= 0.005 else "wait"
            keep("duty", lambda p=period, s=share, how=pause: duty(device, products, p, s, how))
    for period, share, pause in ((0.1, 0.5, "spin"), (0.1, 0.5, "wait"), (0.002, 0.5, "spin")):
        keep("duty", lambda p=period, s=share, how=pause: duty(device, products, p, s, how))
    for period in (0.001, 0.02):
        for share in (0.5, 0.25, 0.75):
            keep("mixes", lambda p=period, s=share: mix(device, products, copies, p, s))
    return 0


if __name__ == "__main__":
    sys.exit(main())

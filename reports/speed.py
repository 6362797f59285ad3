#!/usr/bin/env python3
"""How fast the simulator is, with its history: appends to `reports/speed/`.

    reports/speed.py benches            # criterion's benches of the engine and of whole steps, minutes
    reports/speed.py scale [RANKS ...]  # whole processes from 64 to 16,384 ranks: seconds, CPU, memory; an hour
    reports/speed.py exponents          # how time and memory grow in the last rows of `scale.csv`

Rows say when, which commit, and on what processor; nothing is overwritten. Needs cargo, and Python's standard library.
"""

import csv
import datetime
import json
import math
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "reports" / "speed"
BENCHES = [("engine", "engine"), ("engine", "collectives"), ("plan", "step"), ("plan", "scale")]
# Whole steps with every rank of 16,384 take twenty minutes of ten samples.
FILTERS = {"scale": "folded|2,048"}
RANKS = [64, 256, 1024, 2048, 8192, 16384]
WHERE = ["date", "commit", "processor"]


def where():
    def git(*args):
        return subprocess.run(["git", *args], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()

    processor = platform.processor() or "unknown"
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
        processor = f"{names[0]}, {len(names)} cores" if names else processor
    changed = "+" if git("status", "--porcelain", "--", "sim", "workloads", "topology", "calibrate") else ""
    return {
        "date": datetime.date.today().isoformat(),
        "commit": git("rev-parse", "--short", "HEAD") + changed,
        "processor": processor,
    }


def append(name, columns, rows):
    OUT.mkdir(exist_ok=True)
    path = OUT / name
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, [*WHERE, *columns], lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerows(rows)
    print(f"{len(rows)} rows more in {path.relative_to(ROOT)}")


def benches():
    began = time.time()
    for crate, bench in BENCHES:
        command = ["cargo", "bench", "-p", crate, "--bench", bench, "--"]
        subprocess.run([*command, FILTERS.get(bench, "")], cwd=ROOT, check=True)
    at = where()
    rows = []
    for found in sorted((ROOT / "target" / "criterion").glob("**/new/estimates.json")):
        if found.stat().st_mtime < began:
            continue
        seconds = json.loads(found.read_text())["median"]["point_estimate"] * 1e-9
        about = json.loads((found.parent / "benchmark.json").read_text())
        elements = (about.get("throughput") or {}).get("Elements")
        rate = f"{elements / seconds:.4g}" if elements else ""
        rows.append({**at, "bench": about["full_id"], "seconds": f"{seconds:.4g}", "elements_per_second": rate})
    append("benches.csv", ["bench", "seconds", "elements_per_second"], rows)


def step(n_ranks, folding):
    """One process on one core: its summary, wall and CPU seconds, and megabytes at most."""
    program = ROOT / "target" / "release" / "windtunnel"
    sets = {
        "cluster.nodes": n_ranks // 8,
        "job.global-batch": 120 * n_ranks // 16,
        "parallel.ep": min(64, n_ranks // 16),
        "gpu.memory.capacity-per-stack": "1 TiB",
        "policy.folding": folding,
    }
    command = [program, "run", "deepseek-v3-2048", "--json"]
    for key, value in sets.items():
        command += ["--set", f"{key}={value}"]
    began = time.monotonic()
    child = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={**os.environ, "RAYON_NUM_THREADS": "1"}
    )
    text = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    if status:
        sys.exit(f"{n_ranks} ranks, folding {folding}: the run failed")
    return json.loads(text), time.monotonic() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def scale(ranks):
    subprocess.run(["cargo", "build", "--release"], cwd=ROOT, check=True)
    at = where()
    for n_ranks in ranks:
        for folding in ["auto", "none"]:
            summary, wall, cpu, memory = step(n_ranks, folding)
            row = {
                **at,
                "ranks": n_ranks,
                "simulated": "every rank" if folding == "none" else "folded",
                "step_seconds": f"{summary['step_seconds']:.6g}",
                "tasks": summary["n_tasks"],
                "wall_seconds": f"{wall:.4g}",
                "cpu_seconds": f"{cpu:.4g}",
                "memory_mb": f"{memory:.4g}",
            }
            append("scale.csv", list(row)[len(WHERE) :], [row])
    exponents()


def exponents():
    with (OUT / "scale.csv").open() as file:
        rows = list(csv.DictReader(file))
    for simulated in ["folded", "every rank"]:
        last = {int(row["ranks"]): row for row in rows if row["simulated"] == simulated}
        sizes = sorted(last)
        for small, large in zip(sizes, sizes[1:]):
            a, b = last[small], last[large]

            def grows(of, over):
                """The power of `over` that `of` grows with."""
                return math.log(float(b[of]) / float(a[of])) / math.log(over)

            ranks, work = large / small, float(b["tasks"]) / float(a["tasks"])
            text = f"{simulated}, {small} to {large} ranks: CPU time with the ranks to the {grows('cpu_seconds', ranks):.2f}"
            if work > 1.5:
                text += f", with the tasks to the {grows('cpu_seconds', work):.2f}"
            print(f"{text}; memory with the ranks to the {grows('memory_mb', ranks):.2f}")


def main():
    match sys.argv[1:]:
        case ["benches"]:
            benches()
        case ["scale", *ranks]:
            scale([int(n) for n in ranks] or RANKS)
        case ["exponents"]:
            exponents()
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()

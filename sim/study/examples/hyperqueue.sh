#!/usr/bin/env bash
# A study on HyperQueue: many shards inside few allocations. Needs a server and workers, for example
#
#   hq server start &
#   hq alloc add slurm --time-limit 1h -- --partition=p1
#
# Then, from the root of the repository:
#
#   sim/study/examples/hyperqueue.sh [STUDY [OUT [SHARDS]]]
set -euo pipefail

study=${1:-scenarios/studies/sweep-1000.toml}
out=${2:-out/sweep}
shards=${3:-20}

# HyperQueue numbers tasks in HQ_TASK_ID, from 0 here, which `auto` reads. A task that fails may be given again: what is finished stays.
hq submit --wait --array "0-$((shards - 1))" --cpus 2 -- \
    windtunnel study "$study" --out "$out" --shard "auto/$shards" --jobs 2 --quiet
exec windtunnel study merge "$out"

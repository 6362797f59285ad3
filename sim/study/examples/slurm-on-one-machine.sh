#!/usr/bin/env bash
# The whole path of a study on a real Slurm, on one machine that plays two nodes: `sweep.sbatch` with 1, 3 and 7 shards, the last
# of which is killed once and requeued each time, the merges after them, and the same bytes as a run in one piece. And an array
# that does not start at 0, which must be refused. For a throwaway container: it wants root, installs packages of Debian and writes
# /etc/slurm.
#
#   sim/study/examples/slurm-on-one-machine.sh PATH/TO/windtunnel [STUDY [SHARDS ...]]
set -euo pipefail

program=$(realpath "${1:?name the program}")
study=$(realpath "${2:-scenarios/studies/sweep-1000.toml}")
shards=("${@:3}")
[ "${#shards[@]}" -gt 0 ] || shards=(1 3 7)
sbatch_file=$(dirname "$(realpath "$0")")/sweep.sbatch
work=$(mktemp -d)
# Seconds until all jobs must have ended.
patience=900

install_slurm() {
    command -v slurmctld >/dev/null ||
        DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends slurm-wlm munge >"$work/apt.log"
}

# Slurm holds a requeued task back until the credential of its first run is void: ten seconds here, else two minutes.
configure() {
    mkdir -p /etc/slurm /run/munge /var/lib/slurm/slurmctld /var/lib/slurm/slurmd-n{1,2} /var/log/slurm
    cat >/etc/slurm/slurm.conf <<'CONF'
ClusterName=local
SlurmctldHost=localhost(127.0.0.1)
SlurmUser=slurm
AuthType=auth/munge
AuthInfo=cred_expire=10
StateSaveLocation=/var/lib/slurm/slurmctld
SlurmdSpoolDir=/var/lib/slurm/slurmd-%n
SlurmctldPidFile=/run/slurmctld.pid
SlurmdPidFile=/run/slurmd-%n.pid
SlurmctldLogFile=/var/log/slurm/slurmctld.log
SlurmdLogFile=/var/log/slurm/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_interval=2,bf_interval=2
NodeName=n[1-2] NodeHostName=localhost NodeAddr=127.0.0.1 Port=[17001-17002] CPUs=1 State=UNKNOWN
PartitionName=local Nodes=ALL Default=YES MaxTime=INFINITE State=UP
CONF
    chown munge:munge /run/munge
    touch /run/slurmctld.pid
    chown -R slurm:slurm /var/lib/slurm /var/log/slurm /run/slurmctld.pid
}

start() {
    pids=()
    # Only what was started here, by its number.
    trap 'kill "${pids[@]}" 2>/dev/null || true' EXIT
    runuser -u munge -- /usr/sbin/munged --foreground >"$work/munged.log" 2>&1 &
    pids+=($!)
    sleep 1
    slurmctld -D >"$work/slurmctld.log" 2>&1 &
    pids+=($!)
    sleep 1
    for node in n1 n2; do
        slurmd -D -N "$node" >"$work/$node.log" 2>&1 &
        pids+=($!)
    done
    sleep 3
    sinfo -N -l
}

# What tasks find as `windtunnel`: the program, but the last shard's first run is killed in the midst of its points.
fail_once() {
    mkdir "$work/bin"
    cat >"$work/bin/windtunnel" <<FAIL
#!/usr/bin/env bash
case "\$*" in *"study merge"*) exec "$program" "\$@" ;; esac
if [ "\$SLURM_ARRAY_TASK_ID" != "\$((SHARDS - 1))" ] || [ "\${SLURM_RESTART_COUNT:-0}" != 0 ]; then
    exec "$program" "\$@"
fi
"$program" "\$@" &
pid=\$!
until ls "\$OUT"/points/*.toml >/dev/null 2>&1 || ! kill -0 \$pid 2>/dev/null; do sleep 0.01; done
kill -9 \$pid 2>/dev/null && echo "killed with \$(ls "\$OUT/points" | wc -l) points finished"
wait \$pid
exit
FAIL
    chmod +x "$work/bin/windtunnel"
}

submit() {
    export PATH="$work/bin:$PATH"
    for n in "${shards[@]}"; do
        local array
        array=$(STUDY=$study OUT=$work/parts-$n SHARDS=$n sbatch --parsable --array="0-$((n - 1))" --cpus-per-task=1 \
            --output="$work/$n-%a.log" "$sbatch_file")
        sbatch --dependency="afterok:$array" --output="$work/$n-merge.log" --wrap "windtunnel study merge '$work/parts-$n'"
    done
    STUDY=$study OUT=$work/from-1 SHARDS=3 sbatch --array=1-2 --cpus-per-task=1 --output="$work/from-1-%a.log" "$sbatch_file"
}

wait_for_jobs() {
    local waited=0
    until [ -z "$(squeue -h)" ]; do
        if [ "$waited" -ge "$patience" ] || squeue -h -o %r | grep -q DependencyNeverSatisfied; then
            squeue
            echo "failed: jobs did not end as they should; logs in $work" >&2
            exit 1
        fi
        sleep 2
        waited=$((waited + 2))
    done
}

compare() {
    "$program" study "$study" --out "$work/whole" --quiet >/dev/null
    for n in "${shards[@]}"; do
        for name in study.json table.csv table.parquet; do cmp "$work/whole/$name" "$work/parts-$n/$name"; done
        grep -H killed "$work/$n-$((n - 1)).log"
        echo "$n shards: requeued, merged, the same bytes"
    done
    grep -h "starts at" "$work"/from-1-*.log
    [ ! -e "$work/from-1" ]
}

install_slurm
configure
start
fail_once
submit
wait_for_jobs
compare
echo "ok: the whole path on two nodes; logs in $work"

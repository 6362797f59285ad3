#!/usr/bin/env bash
# The whole path of a study on a real Slurm, on one machine that plays two nodes: an array of shards, one of which fails once and
# is requeued, the merge after all of them, and the same bytes as a run without Slurm. For a throwaway container: it wants root,
# installs packages of Debian and writes /etc/slurm. A requeued task waits about two minutes for Slurm.
#
#   sim/study/examples/slurm-on-one-machine.sh PATH/TO/windtunnel [STUDY [SHARDS]]
set -euo pipefail

program=$(realpath "${1:?name the program}")
study=$(realpath "${2:-scenarios/studies/sweep-1000.toml}")
shards=${3:-8}
work=$(mktemp -d)
here=$PWD

install_slurm() {
    command -v slurmctld >/dev/null ||
        DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends slurm-wlm munge >"$work/apt.log"
}

configure() {
    mkdir -p /etc/slurm /run/munge /var/lib/slurm/slurmctld /var/lib/slurm/slurmd-n{1,2} /var/log/slurm
    cat >/etc/slurm/slurm.conf <<'CONF'
ClusterName=local
SlurmctldHost=localhost(127.0.0.1)
SlurmUser=slurm
AuthType=auth/munge
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
    # Only what was started here, by its number.
    trap 'kill "${pids[@]}" 2>/dev/null || true' EXIT
    sleep 3
    sinfo -N -l
}

# Task 1 fails when it is run for the first time, before it has finished its points.
submit() {
    cat >"$work/shard.sbatch" <<SBATCH
#!/usr/bin/env bash
#SBATCH --array=0-$((shards - 1))
#SBATCH --cpus-per-task=1
#SBATCH --requeue
#SBATCH --chdir=$here
#SBATCH --output=$work/%a.log
if [ "\$SLURM_ARRAY_TASK_ID" = 1 ] && [ "\${SLURM_RESTART_COUNT:-0}" = 0 ]; then
    scontrol requeue "\${SLURM_ARRAY_JOB_ID}_1"
    sleep 60
fi
exec "$program" study "$study" --out "$work/parts" --shard auto/$shards --jobs 1 --quiet
SBATCH
    local array
    array=$(sbatch --parsable "$work/shard.sbatch")
    sbatch --dependency="afterok:$array" --chdir="$here" --output="$work/merge.log" \
        --wrap "'$program' study merge '$work/parts' --json"
}

install_slurm
configure
start
submit
until [ -z "$(squeue -h)" ]; do sleep 5; done

"$program" study "$study" --out "$work/whole" --quiet >/dev/null
for name in study.json table.csv table.parquet; do cmp "$work/whole/$name" "$work/parts/$name"; done
echo "ok: $shards shards on two nodes, one requeued, and the same bytes; logs in $work"

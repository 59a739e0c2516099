#!/bin/bash
#SBATCH --job-name=seeds
#SBATCH --array=0-3
#SBATCH --time=01:00:00
#SBATCH --cpus-per-task=4
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=B:TERM@120
# The same recipe with several seeds, an array task each: sbatch array.sh
# Two minutes before its time limit, or on preemption, a task receives SIGTERM: the run writes a checkpoint and ends with
# 143, the task is requeued, and the run resumes.
set -u
name="seed-$SLURM_ARRAY_TASK_ID"
export OMP_NUM_THREADS="${SLURM_CPUS_PER_TASK:-1}"

if [ -f "runs/$name/run.json" ]; then
    benchdog train --resume "$name" --json >> "$name.jsonl" &
else
    benchdog train recipe.toml --seed "$SLURM_ARRAY_TASK_ID" --name "$name" --json >> "$name.jsonl" &
fi
trap 'kill -TERM $!' TERM
wait $!
code=$?
while kill -0 $! 2>/dev/null; do # the trap ended the first wait
    wait $!
    code=$?
done

if [ "$code" -eq 143 ]; then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"

#!/bin/bash
#SBATCH --job-name=mri-denoise
#SBATCH --output=%x-%A_%a.log
#SBATCH --cpus-per-task=4
#SBATCH --mem=8G
#SBATCH --time=04:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#
# A BIDS data set on a SLURM cluster, a few participants a task of an array. Run it on the login node:
#
#   bash array.sh BIDS_DIR OUTPUT_DIR [OPTIONS of mri-denoise bids]
#
# It lists the participants, submits itself as an array, and the group level with the same options after it. Run it again
# to do what is missing: what is done already takes a second a participant. Environment variables:
#
#   MRI_DENOISE   the program; "apptainer run --cleanenv -B /data mri-denoise.sif" for a container
#   SBATCH_ARGS   more options of sbatch, as "--partition=long --account=me"
#   PER_TASK      participants a task; by default 1, or more where that would be over MAX_TASKS tasks
#   MAX_TASKS     tasks of an array that the cluster allows (scontrol show config | grep MaxArraySize), 1000 by default
#   LIST          file for the list of participants, by default mri-denoise-participants.txt in the current folder
set -euo pipefail

if [ $# -lt 2 ]; then
  echo "usage: bash array.sh BIDS_DIR OUTPUT_DIR [OPTIONS of mri-denoise bids]" >&2
  exit 2
fi
bids=$1 output=$2
shift 2
read -ra program <<<"${MRI_DENOISE:-mri-denoise}"

if [ -n "${SLURM_ARRAY_TASK_ID:-}" ]; then # in a task
  last=$((SLURM_ARRAY_TASK_ID * PER_TASK))
  mapfile -t labels < <(sed -n "$((last - PER_TASK + 1)),${last}p" "$LIST")
  memory=()
  if [ -n "${SLURM_MEM_PER_NODE:-}" ]; then
    memory=(--mem-mb "$SLURM_MEM_PER_NODE")
  fi
  exec "${program[@]}" bids "$bids" "$output" participant --participant-label "${labels[@]}" \
    --n-cpus "${SLURM_CPUS_PER_TASK:-1}" ${memory[@]+"${memory[@]}"} "$@"
fi

bids=$(cd "$bids" && pwd)
mkdir -p "$output"
output=$(cd "$output" && pwd)
LIST=$(readlink -f "${LIST:-mri-denoise-participants.txt}")
find "$bids" -mindepth 1 -maxdepth 1 -name "sub-*" \( -type d -o -type l \) -printf "%f\n" | sort >"$LIST"
count=$(wc -l <"$LIST")
if [ "$count" -eq 0 ]; then
  echo "$bids: holds no folder sub-LABEL; name the root of a BIDS data set." >&2
  exit 1
fi
MAX_TASKS=${MAX_TASKS:-1000}
PER_TASK=${PER_TASK:-$(((count + MAX_TASKS - 1) / MAX_TASKS))}
tasks=$(((count + PER_TASK - 1) / PER_TASK))
export LIST PER_TASK MRI_DENOISE="${program[*]}"
read -ra more <<<"${SBATCH_ARGS:-}"

job=$(sbatch --parsable --export=ALL --array="1-$tasks" ${more[@]+"${more[@]}"} "$0" "$bids" "$output" "$@")
job=${job%%;*} # of a federation it also says the cluster
group=$(printf "%q " "${program[@]}" bids "$bids" "$output" group "$@")
sbatch --parsable --job-name=mri-denoise-group --output=%x-%A.log --mem=2G --time=00:30:00 \
  --dependency="afterany:$job" ${more[@]+"${more[@]}"} --wrap "$group" >/dev/null
echo "job $job: $count participants in $tasks tasks, then the group level; results in $output"

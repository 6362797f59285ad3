#!/usr/bin/env bash
# Rebuilds the wish lists: page, figures and tables of each study, without its finished points, and the table over all jobs.
#   reports/wish-list.sh                  # wish-list/, wish-list-prefill/, wish-list-decode/, wish-list.md
#   reports/wish-list.sh STUDY FOLDER     # another study, with fewer draws say, into another folder
set -euo pipefail
here=$PWD
cd "$(dirname "$0")/.."
windtunnel=${WINDTUNNEL:-cargo run --locked --release --quiet --}

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

rebuilt() {
  local study=$1 folder=$2 name
  $windtunnel study "$study" --out "$scratch/study" >&2
  local kept=(report.html figures study.json table.csv table.parquet)
  [ ! -f "$scratch/study/sensitivity.json" ] || kept+=(sensitivity.json)
  mkdir -p "$folder"
  for name in "${kept[@]}"; do
    rm -rf "${folder:?}/$name"
    cp -r "$scratch/study/$name" "$folder/$name"
  done
  rm -rf "$scratch/study"
  du -sh "$folder" >&2
}

if [ $# -gt 0 ]; then
  study=$1 folder=${2:?a folder}
  # Paths are those from where the script was called.
  [ ! -f "$here/$study" ] || study=$here/$study
  [[ $folder = /* ]] || folder=$here/$folder
  rebuilt "$study" "$folder"
  exit
fi

studies=(wish-list wish-list-prefill wish-list-decode)
for study in "${studies[@]}"; do
  rebuilt "$study" "reports/$study"
done
{
  printf '# What each hardware wish is worth, in training, prefill and decode\n\n'
  printf 'DeepSeek-V3 on H800s: pre-training on 2,048, a prefill unit of 32, a decode unit of 320. Rebuilt by `reports/wish-list.sh`; the pages are [training](wish-list/report.html), [prefill](wish-list-prefill/report.html) and [decode](wish-list-decode/report.html).\n\n'
  (cd reports && ${WINDTUNNEL:-cargo run --locked --release --quiet --} study compare "${studies[@]}" --markdown)
} > reports/wish-list.md

#!/usr/bin/env bash
# Rebuilds reports/wish-list/: page, figures and tables of the study, without its finished points.
#   reports/wish-list.sh [STUDY [FOLDER]]
# The default study is `wish-list`; another one, with fewer draws say, goes to another folder.
set -euo pipefail
here=$PWD
cd "$(dirname "$0")/.."
study=${1:-wish-list}
# A path is one from where the script was called.
[ ! -f "$here/$study" ] || study=$here/$study
folder=${2:-reports/wish-list}
[[ $folder = /* || -z ${2:-} ]] || folder=$here/$folder

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
${WINDTUNNEL:-cargo run --locked --release --quiet --} study "$study" --out "$scratch/study"

kept=(report.html figures study.json table.csv table.parquet)
[ ! -f "$scratch/study/sensitivity.json" ] || kept+=(sensitivity.json)
mkdir -p "$folder"
for name in "${kept[@]}"; do
  rm -rf "${folder:?}/$name"
  cp -r "$scratch/study/$name" "$folder/$name"
done
du -sh "$folder" >&2

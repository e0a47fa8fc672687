#!/usr/bin/env bash
# Makes the examples beside it: trains two prompts for the shipped base on the shipped rows, and writes their cards and the pack's. About two minutes.
set -euo pipefail
cd "$(dirname "$0")/../.."
npm run --silent build
for task in sentiment topic; do
  out=hub-cards/examples/$task
  node dist/scripts/soft-prompts.js train --model models/t5-tiny-en --data "examples/data/$task/train.jsonl" --dev "examples/data/$task/dev.jsonl" \
    --out "$out" --quick --steps 300 --eval-every 50 --failures 5 --overwrite --task "$(case $task in sentiment) echo 'Is the sentence for or against what it speaks of?' ;; *) echo 'What is the sentence about?' ;; esac)"
  rm -r "$out/checkpoint"
  node dist/scripts/soft-prompts.js card "$out" --repo "me/t5-tiny-en-$task" --license apache-2.0 --language en
done
node dist/scripts/soft-prompts.js card hub-cards/examples --license apache-2.0 --language en

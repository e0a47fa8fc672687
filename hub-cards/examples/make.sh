#!/usr/bin/env bash
# Makes the examples beside it: trains two prompts for the shipped base on the shipped rows, and writes their cards and the pack's. About two minutes.
set -euo pipefail
cd "$(dirname "$0")/../.."
npm run --silent build
onnx=$(mktemp -d)
trap 'rm -r "$onnx"' EXIT
node dist/scripts/soft-prompts.js export models/t5-tiny-en "$onnx/t5-tiny-en"
# Rounded to 8 bits as transformers.js' bases are; by the peers of bench/peers.
.peers/bin/python -c 'import sys; from onnxruntime.quantization import quantize_dynamic as q; q(sys.argv[1] + "encoder_model.onnx", sys.argv[1] + "encoder_model_quantized.onnx")' "$onnx/t5-tiny-en/onnx/"
for task in sentiment topic; do
  out=hub-cards/examples/$task
  node dist/scripts/soft-prompts.js train --model models/t5-tiny-en --data "examples/data/$task/train.jsonl" --dev "examples/data/$task/dev.jsonl" \
    --out "$out" --quick --steps 300 --eval-every 50 --failures 5 --overwrite --task "$(case $task in sentiment) echo 'Is the sentence for or against what it speaks of?' ;; *) echo 'What is the sentence about?' ;; esac)"
  rm -r "$out/checkpoint"
  node dist/scripts/soft-prompts.js card "$out" --repo "me/t5-tiny-en-$task" --license apache-2.0 --language en --check "$onnx/t5-tiny-en"
done
node dist/scripts/soft-prompts.js card hub-cards/examples --license apache-2.0 --language en

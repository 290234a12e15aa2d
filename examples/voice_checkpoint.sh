#!/usr/bin/env bash
# How the voice that ships with the package was made: the whole chain, on CPU.
#
#   bash examples/voice_checkpoint.sh DATA RUNS [STAGE...]
#
# DATA holds a dataset folder for each name in DATASETS (columns `audio`, `emotion`, `speaker`); RUNS gets everything
# that is made. STAGE is one or more of: features pretrain finetune (all of them, in this order, by default).
# SPEECH_ENCODER is a Hub name or a folder. NAME is the name of the result.
set -euo pipefail
data=$1 runs=$2
shift 2
stages=${*:-features pretrain finetune}
datasets=${DATASETS:-ased emotiontts emovo javased nemo ravdess tess}
encoder=${SPEECH_ENCODER:-openai/whisper-base}
name=${NAME:-av-emotion-voice}
sums='"backbone_sums": 3'  # of the last three of four layers, side by side
head='"pooling": "statistics", "pool_features": true, "pool_voiced": true'
rnn='"rnn_type": "gru", "hidden_size": 48, "num_hidden_layers": 1'
shards=$(for each in $datasets; do echo "$runs/features/$each"; done)

# Module 1 and the frozen speech encoder, once.
features() {
  for each in $datasets; do
    av-emotion extract "$data/$each" --out "$runs/features/$each" --modality audio --as features \
      --speech-encoder "$encoder" --speech-layers 4 --config "{$sums}" --rows-per-shard 250
  done
}

# Module 2: masked frames of all voices, without labels.
pretrain() {
  av-emotion pretrain $shards --modality audio --speech-encoder "$encoder" --speech-layers 4 \
    --config "{$sums, $head, $rnn}" --out "$runs/pretrained_$name" --epochs 2 --batch-size 32
}

# Module 3: a linear head on all of it first, then the rest.
finetune() {
  av-emotion finetune $shards --modality audio --init "$runs/pretrained_$name" --out "$runs/$name" \
    --label-map '{"calm": "neutral"}' --group-column speaker --person-baseline 0.6 --head-first --calibrate \
    --epochs 3 --batch-size 32 --learning-rate 3e-4
}

for stage in $stages; do "$stage"; done

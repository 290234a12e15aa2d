#!/usr/bin/env bash
# How the voices that ship with the package were made: the whole chain, on CPU.
#
#   bash examples/voice_checkpoint.sh DATA RUNS [STAGE...]
#
# The calls, the second one for a model whose data allow commercial use, the third one for a small model that learned
# without labels (`unlabeled_speech.py`) and hears without a speech encoder:
#
#   bash examples/voice_checkpoint.sh DATA RUNS
#   DATASETS=javased NAME=av-emotion-voice-mit SPEECH_LAYERS=2 SUMS=2 bash examples/voice_checkpoint.sh DATA RUNS
#   INIT=WORK/small_distill_0 NAME=av-emotion-voice-small EPOCHS=2 bash examples/voice_checkpoint.sh DATA RUNS \
#       finetune halve
#
# DATA holds a dataset folder for each name in DATASETS (columns `audio`, `emotion`, `speaker`); RUNS gets everything
# that is made. STAGE is one or more of: features finetune halve (all of them, in this order, by default).
# SPEECH_ENCODER is a Hub name or a folder; SUMS learned sums over the states of its first SPEECH_LAYERS layers stand
# side by side, each of which begins at one of the last layers. NAME is the name of the result.
set -euo pipefail
data=$1 runs=$2
shift 2
stages=${*:-features finetune halve}
datasets=${DATASETS:-ased emotiontts emovo javased nemo ravdess tess}
encoder=${SPEECH_ENCODER:-openai/whisper-base}
name=${NAME:-av-emotion-voice}
layers=${SPEECH_LAYERS:-4}
epochs=${EPOCHS:-1}
sums='"backbone_sums": '${SUMS:-3}
head='"pooling": "statistics", "pool_features": true, "pool_voiced": true'
rnn='"rnn_type": "gru", "hidden_size": 48, "num_hidden_layers": 1'
calm=''
case " $datasets " in *" ravdess "*) calm='{"calm": "neutral"}' ;; esac
shards=$(for each in $datasets; do echo "$runs/features/$each"; done)

# Module 1 and the frozen speech encoder, once.
features() {
  for each in $datasets; do
    av-emotion extract "$data/$each" --out "$runs/features/$each" --modality audio --as features \
      --speech-encoder "$encoder" --speech-layers "$layers" --config "{$sums}"
  done
}

# Module 3: a linear head on all of it first, then the rest but the speech encoder.
finetune() {
  new=(--speech-encoder "$encoder" --speech-layers "$layers" --config "{$sums, $head, $rnn}")
  if [ -n "${INIT:-}" ]; then new=(--init "$INIT"); fi
  av-emotion finetune $shards --modality audio "${new[@]}" --out "$runs/$name" ${calm:+--label-map "$calm"} \
    --group-column speaker --person-baseline 0.6 --head-first --calibrate --epochs "$epochs" --batch-size 32 --learning-rate 3e-4
}

# What ships: the same weights in half precision.
halve() {
  python "$(dirname "$0")/halve.py" "$runs/$name" "$runs/$name-half"
}

for stage in $stages; do "$stage"; done

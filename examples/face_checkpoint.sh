#!/usr/bin/env bash
# How the face that ships with the package was made and measured: the whole chain after `train-expression`, on CPU.
#
#   NETWORK=runs/expression bash examples/face_checkpoint.sh DATA RUNS [STAGE...]
#
# NETWORK is an expression recognizer that `train-expression` made. DATA holds the dataset folders `ferplus` (pictures:
# `image`, `emotion`; train, validation, test) and `javased_video` (clips: `video`, `emotion`, `speaker`); RUNS gets
# everything that is made. STAGE is one or more of: model protocols conditions (all of them, in this order, by
# default). The results are in RESULTS.
set -euo pipefail
data=$1 runs=$2
shift 2
stages=${*:-model protocols conditions}
network=${NETWORK:-$runs/expression}
results=${RESULTS:-examples/results}
name=${NAME:-av-emotion-face}
here=$(dirname "$0")

# Module 6 without a clip: the classifier of the network reads the mean frame.
model() {
  python "$here/face_model.py" "$network" "$data/ferplus" "$runs/$name" --out "$results/face_checkpoint.json"
}

# The faces of the clips, once, and every way from their frames to a clip.
protocols() {
  av-emotion extract "$data/javased_video" --out "$runs/face_inputs" --modality image --detector blazeface
  python "$here/face_protocols.py" strangers "$runs/face_inputs" --network "$network" --model "$runs/$name" \
    --out "$results/face.json"
  python "$here/face_protocols.py" label-fractions "$runs/face_inputs" --network "$network" --out "$results/face.json"
}

conditions() {
  python "$here/face_conditions.py" "$network" "$data/ferplus" "$runs/$name" "$data/javased_video" \
    --out "$results/face.json"
}

for stage in $stages; do "$stage"; done

#!/usr/bin/env bash
# How the face that ships with the package was made and measured: the whole chain, on CPU.
#
#   START=mobilenet_v2 bash examples/face_checkpoint.sh DATA RUNS [STAGE...]
#
# START is a MobileNetV2 trained on ImageNet (`imagenet_start.py`). DATA holds the dataset folders `ferplus` (pictures:
# `image`, `emotion` and a column for each vote; train, validation, test) and `javased_video` (clips: `video`,
# `emotion`, `speaker`), and for the stage `own_labels` `fer2013` (pictures) and `fer2013_ferplus.csv` (their votes);
# RUNS gets everything that is made. STAGE is one or more of: network model protocols conditions halve changes
# own_labels (the first five, in this order, by default). The results are in RESULTS.
set -euo pipefail
data=$1 runs=$2
shift 2
stages=${*:-network model protocols conditions halve}
network=${NETWORK:-$runs/expression}
small=${network}_64
results=${RESULTS:-examples/results}
name=${NAME:-av-emotion-face}
here=$(dirname "$0")
columns=neutral,happy=happiness,surprised=surprise,sad=sadness,angry=anger,disgust,fearful=fear
crops='{"resolution": 0.2, "blur": 0.15, "low_light": 0.1, "compression": 0.15, "box": 0.2, "occlusion": 0.15}'

# Module 4a: the votes of FER+, first on small pictures, which takes less time.
network() {
  train "$small" --init "${START:?name the folder that imagenet_start.py wrote}" --image-size 64 --epochs 10 --learning-rate 1e-3
  train "$network" --init "$small" --image-size 96 --epochs 4 --learning-rate 5e-4
}

train() {  # recognizer, further options
  learn "$1" --slow-rate 1 --mixup 0.2 --augment "$crops" "${@:2}"
}

learn() {  # recognizer, further options
  av-emotion train-expression "$data/ferplus" --out "$1" --vote-columns "$columns" --min-votes 2 \
    --ignored-votes contempt,unknown,NF --batch-size 64 --label-smoothing 0 "${@:2}"
}

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

# What ships: the same weights in half precision.
halve() {
  python "$here/halve.py" "$runs/$name" "$runs/$name-half"
}

# What each change to a small network buys, and what the network that ships scores.
changes() {
  local table=$runs/changes
  change() { learn "$table/$1" --image-size 48 --epochs 3 --learning-rate 1e-3 "${@:2}"; }
  change start --targets mode
  change distribution
  change crops --targets mode --augment "$crops"
  change mixup --targets mode --mixup 0.2
  change size64 --targets mode --image-size 64
  change mobilenet --targets mode --architecture mobilenet_v2
  change imagenet --targets mode --init "${START:?name the folder that imagenet_start.py wrote}" --slow-rate 1
  python "$here/expression_choices.py" "$data/ferplus" "$results/expression_votes.json" \
    "$table"/{start,distribution,crops,mixup,size64,mobilenet,imagenet} "$small" "$network" --min-votes 2 \
    --vote-columns ${columns//,/ } --ignored-votes contempt unknown NF
}

# The labels that FER2013 came with, which one person gave: the network goes on from the votes. Learning from both
# (`--vote-columns`) was stopped after an epoch, in which it did worse.
own_labels() {
  python "$here/fer2013_votes.py" "$data/fer2013" "$data/fer2013_ferplus.csv" "$runs/fer2013_votes"
  av-emotion train-expression "$runs/fer2013_votes" --out "$runs/fer2013_own" --init "$network" --image-size 96 \
    --epochs 5 --batch-size 64 --learning-rate 5e-4 --slow-rate 1 --label-smoothing 0.1 --mixup 0.2
  python "$here/expression_choices.py" "$runs/fer2013_votes" "$results/expression.json" "$runs/fer2013_own"
}

for stage in $stages; do "$stage"; done

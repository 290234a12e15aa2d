#!/usr/bin/env bash
# How the face that ships with the package was made and measured: the whole chain, on CPU.
#
#   START=mobilenet_v2 bash examples/face_checkpoint.sh DATA RUNS [STAGE...]
#
# START is a MobileNetV2 trained on ImageNet (`imagenet_start.py`). DATA holds the dataset folders `ferplus` (pictures:
# `image`, `emotion` and a column for each vote; train, validation, test) and `javased_video` (clips: `video`,
# `emotion`, `speaker`); RUNS gets everything that is made. STAGE is one or more of: network model protocols conditions
# halve (all of them, in this order, by default). The results are in RESULTS.
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
  av-emotion train-expression "$data/ferplus" --out "$1" --vote-columns "$columns" --min-votes 2 \
    --ignored-votes contempt,unknown,NF --batch-size 64 --slow-rate 1 --label-smoothing 0 --mixup 0.2 \
    --augment "$crops" "${@:2}"
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

for stage in $stages; do "$stage"; done

#!/usr/bin/env bash
# How the checkpoints of voice and face that ship with the package were made and measured, on CPU.
#
#   bash examples/base_checkpoint.sh DATA RUNS [STAGE...]
#
# DATA holds the dataset folders of `voice_checkpoint.sh`, and `javased_video` (clips: `video`, `emotion`, `speaker`) and
# `ferplus` (pictures: `image`, `emotion`). FACE is the face of `face_checkpoint.sh`, IMAGENET the folder that
# `imagenet_start.py` wrote; the voices are those of `voice_checkpoint.sh`. RUNS gets everything that is made; the
# results are in RESULTS. STAGE is one or more of: inputs vectors protocols faces combine halve curve (all of them, in
# this order, by default).
set -euo pipefail
data=$1 runs=$2
shift 2
stages=${*:-inputs vectors protocols faces combine halve curve}
results=${RESULTS:-examples/results}
voice=${VOICE:-av-emotion-voice} mit_voice=${MIT_VOICE:-av-emotion-voice-mit}
face=${FACE:-src/av_emotion_hf/checkpoints/av-emotion-face}
imagenet=${IMAGENET:-imagenet/mobilenet_v2}
encoder=${SPEECH_ENCODER:-openai/whisper-base}
folds=${FOLDS:-folds.json}
here=$(dirname "$0")

# Sound and face crops of the clips, once.
inputs() {
  av-emotion extract "$data/javased_video" --out "$runs/inputs" --detector blazeface
}

# What the frozen networks make of them, under every condition; and of more voices of the same people.
vectors() {
  python "$here/fusion_vectors.py" "$runs/inputs" --face "$face" --babble "$data/ravdess" --speech-encoder "$encoder" \
    --out "$runs/clips.npz"
  for each in javased ravdess; do
    av-emotion extract "$data/$each" --out "$runs/features/$each" --modality audio --as features \
      --speech-encoder "$encoder" --speech-layers 4 --config '{"backbone_sums": 3}'
    python "$here/voice_vectors.py" $each="$runs/features/$each" --out "$runs/vectors"
  done
  python "$here/voice_vectors.py" javased="$data/javased" --out "$runs/vectors" --augment babble \
    --speech-encoder "$encoder"
  python "$here/voice_vectors.py" javasedvideo="$runs/inputs" ravdess="$data/ravdess" --out "$runs/vectors" \
    --functionals
}

protocols() {
  python "$here/fusion_protocols.py" "$runs/clips.npz" "$runs/vectors" javased --face "$face" \
    --pictures "$data/ferplus" --out "$results/fusion.json"
}

# The faces, of all clips: one that has learned from pictures before and beside them, and one that has not.
faces() {
  python "$here/base_face.py" "$face" "$runs/inputs" "$runs/base-face" --layers 6 8 10 -1 --pictures "$data/ferplus" \
    --out "$results/base.json"
  python "$here/base_face.py" "$imagenet" "$runs/inputs" "$runs/base-mit-face" --layers 6 8 --out "$results/base.json"
}

# Late fusion; the temperature of both together is the mean over the speakers of `protocols`.
combine() {
  heat=$(python "$here/fusion_tables.py" temperature "$results/fusion.json")
  av-emotion combine "$voice" "$runs/base-face" --out "$runs/av-emotion-base" --temperatures "{\"both\": $heat}"
  av-emotion combine "$mit_voice" "$runs/base-mit-face" --out "$runs/av-emotion-base-mit" \
    --temperatures "{\"both\": $heat}"
}

# What ships: the same weights in half precision.
halve() {
  for each in av-emotion-base av-emotion-base-mit; do
    python "$here/halve.py" "$runs/$each" "$runs/$each-half"
  done
}

# The label curve, one call for each row of its table. `shards` holds the features of `voice_checkpoint.sh`.
curve() {
  mkdir -p "$runs/shards"
  for each in ased emotiontts emovo nemo tess ravdess; do
    ln -sfn "$(realpath "$runs/features/$each")" "$runs/shards/$each"
  done
  av-emotion extract "$data/javased_video" --out "$runs/shards/javasedvideo" --modality both --as features \
    --speech-encoder "$encoder" --speech-layers 4 --init "$face" \
    --config '{"audio_config": {"backbone_sums": 3}, "image_config": {"backbone_layers": [6, 8, 10]}}'
  for arm in random patent distill backbone backbone-random backbone-patent backbone-future model baseline functionals svm; do
    python "$here/label_curve.py" "$arm" "$runs/shards" "$runs/clips.npz" "$runs/vectors" "$runs/curve" \
      --folds "$folds" --face "$face" --speech-encoder "$encoder" --out "$results/label_curve.json"
  done
  python "$here/label_curve.py" figure --out "$results/label_curve.json"
}

for stage in $stages; do "$stage"; done

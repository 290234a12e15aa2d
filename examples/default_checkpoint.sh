#!/usr/bin/env bash
# How the checkpoint that ships with the package was made: the whole chain, on CPU.
#
#   bash examples/default_checkpoint.sh DATA RUNS [STAGE...]
#
# DATA holds the dataset folders fer2013, javased_speech, javased_video and ravdess_speech; RUNS gets everything that is
# made. STAGE is one or more of: expression inputs pretrain finetune scores (all of them, in this order, by default).
# Actors 09 and 10 of Java-SED are the test: no stage before `scores` sees them. Seed 0 is the one that ships.
set -euo pipefail
data=$1 runs=$2
shift 2
stages=${*:-expression inputs pretrain finetune scores}
seeds=${SEEDS:-0 1 2}
variants=${VARIANTS:-spans patent scratch}
examples=$(dirname "$0")
javased="--group-column speaker"
spans='{"mask_time_prob": 0.5, "mask_time_length": 9}'       # audio: 50 frames a second
face_spans='{"mask_time_prob": 0.5, "mask_time_length": 5}'  # image: 10 frames a second

# Module 4a: the expression recognizer.
expression() {
  av-emotion train-expression "$data/fer2013" --out "$runs/expression" --bf16
}

# Modules 1 and 4b-c, once: descriptors of the unlabeled voices; sound and face crops of the clips.
inputs() {
  av-emotion extract "$data/javased_speech" --out "$runs/javased_features" --modality audio --as features \
    $javased --exclude-groups 09,10
  av-emotion extract "$data/ravdess_speech" --out "$runs/ravdess_features" --modality audio --as features
  av-emotion extract "$data/javased_video" --out "$runs/javased_inputs"
}

# Modules 2 and 5, without labels: as in the patent (single frames, 10 %), and with spans.
pretrain() {
  av-emotion extract "$runs/javased_inputs" --out "$runs/javased_faces" --modality image --as features \
    --init "$runs/expression" $javased --exclude-groups 09,10
  for variant in $variants; do
    [ "$variant" = scratch ] && continue
    [ "$variant" = spans ] && audio=$spans image=$face_spans || audio='{}' image='{}'
    av-emotion pretrain "$runs/javased_features" "$runs/ravdess_features" --modality audio --config "$audio" \
      --group-column speaker --out "$runs/audio_$variant" --epochs 20 --batch-size 64 --learning-rate 2e-3 --bf16
    av-emotion pretrain "$runs/javased_faces" --modality image --config "$image" --init "$runs/expression" $javased \
      --out "$runs/image_$variant" --epochs 100 --batch-size 16
  done
}

# Modules 3, 6, 7 and 8. The fusion starts from the fine-tuned encoders of its own seed.
finetune() {
  for seed in $seeds; do
    for variant in $variants; do
      audio_init="--init $runs/audio_$variant" image_init="--init $runs/image_$variant"
      [ "$variant" = scratch ] && audio_init="" image_init="--init $runs/expression"
      tune audio "audio_${variant}_$seed" "$seed" --epochs 30 $audio_init
      tune image "image_${variant}_$seed" "$seed" --epochs 15 --bf16 $image_init
    done
    tune fusion "fusion_spans_$seed" "$seed" --epochs 10 --bf16 --config '{"modality_dropout": 0.25}' \
      --init "$runs/tuned/audio_spans_$seed" --init "$runs/tuned/image_spans_$seed"
  done
}

tune() {  # modality, name, seed, further options
  av-emotion finetune "$runs/javased_inputs" --modality "$1" --out "$runs/tuned/$2" --seed "$3" \
    $javased --test-groups 09,10 "${@:4}"
}

# The test: actors 09 and 10.
scores() {
  av-emotion evaluate "$runs/expression" "$data/fer2013" --split test --out "$runs/scores/expression.json"
  for model in "$runs"/tuned/*; do
    name=$(basename "$model")
    av-emotion evaluate "$model" "$runs/javased_inputs" $javased --groups 09,10 --out "$runs/scores/$name.json"
    case $name in fusion_*)
      for only in audio image; do
        av-emotion evaluate "$model" "$runs/javased_inputs" $javased --groups 09,10 --modalities $only \
          --out "$runs/scores/${name}_${only}_only.json"
      done
    esac
  done
  # the shipped model with the detector that needs no weights
  av-emotion evaluate "$runs/tuned/fusion_spans_0" "$data/javased_video" $javased --groups 09,10 --detector mtcnn \
    --out "$runs/scores/fusion_spans_0_mtcnn.json"
  python "$examples/collect_results.py" "$runs" "$examples/results/default_checkpoint.json"
}

for stage in $stages; do "$stage"; done

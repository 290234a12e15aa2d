#!/usr/bin/env bash
# Learn from unlabeled clips of any number: features once, as Parquet shards, then pre-training that streams them.
#
#   pretrain_stream.sh CLIPS RUNS [MODALITY]                                        # one process
#   PROCESSES=2 pretrain_stream.sh CLIPS RUNS                                       # two processes on this machine
#   NODES=2 NODE=0 MASTER=node0:29500 PROCESSES=8 pretrain_stream.sh CLIPS RUNS     # two machines: this on the first,
#   NODES=2 NODE=1 MASTER=node0:29500 PROCESSES=8 pretrain_stream.sh CLIPS RUNS     # and this on the second
#
# Machines need a common disk for RUNS. Interrupted at any moment and called again, it resumes; called again when it is
# done, it does nothing. STEPS (1000), SAVE (100), BATCH (32) and SHARD (500 clips) may be set, and more
# options of `av-emotion pretrain` in OPTIONS, such as OPTIONS="--objective hidden --report-to tensorboard".
set -euo pipefail

clips=$1 runs=$2 modality=${3:-audio}
processes=${PROCESSES:-1} nodes=${NODES:-1}
features=$runs/features out=$runs/$modality

if [ "$nodes" -gt 1 ]; then
    launch=(python -m torch.distributed.run --nnodes "$nodes" --node_rank "${NODE:?number of this machine, from 0}"
        --nproc_per_node "$processes" --master_addr "${MASTER%:*}" --master_port "${MASTER#*:}")
else
    launch=(python -m torch.distributed.run --standalone --nproc_per_node "$processes")
fi

# 1. Features: every process writes its own shards; what is already written is not read again.
"${launch[@]}" -m av_emotion_hf extract "$clips" --modality "$modality" --as features --out "$features" \
    --rows-per-shard "${SHARD:-500}" --workers 1 ${INIT:+--init "$INIT"}
while [ ! -e "$features/manifest.json" ]; do sleep 1; done # another machine may still be working

# 2. Pre-training: every process reads its own shards.
if [ ! -e "$out/run.json" ]; then
    resume=()
    if [ -d "$out/checkpoints" ]; then resume=(--resume); fi
    # shellcheck disable=SC2086
    "${launch[@]}" -m av_emotion_hf pretrain "$features" --streaming --modality "$modality" --out "$out" \
        --max-steps "${STEPS:-1000}" --save-steps "${SAVE:-100}" --batch-size "${BATCH:-32}" \
        ${INIT:+--init "$INIT"} ${OPTIONS:-} "${resume[@]}"
fi

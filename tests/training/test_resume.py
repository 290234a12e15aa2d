"""Real runs of two processes, killed while a checkpoint is saved, with a full disk and a damaged shard."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pyarrow.parquet as pq
import pytest
from datasets import Dataset, Features, List, Value
from safetensors.numpy import load_file

resource = pytest.importorskip("resource")  # limits the size of files; not on Windows

STEPS, BATCH, ROWS = 32, 4, 90
LOST = {40, 41, 42, 43}  # the second row group of the shard that is damaged


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Nine shards of unequal size; the first value of row n is n."""
    folder = tmp_path_factory.mktemp("corpus")
    generator = np.random.default_rng(0)
    features = Features({"input_features": List(List(Value("float32")))})
    first = 0
    for shard, size in enumerate((6, 17, 13, 9, 11, 4, 12, 10, 8)):
        frames = [generator.normal(0, 1, (60 + 7 * (n % 11), 60)).astype(np.float32) for n in range(size)]
        for number, each in enumerate(frames):
            each[0, 0] = first + number
        table = Dataset.from_dict({"input_features": [f.tolist() for f in frames]}, features=features)
        path = folder / f"train-{shard:05d}.parquet"
        pq.write_table(table.with_format("arrow")[:], path, row_group_size=4)
        if first == 36:
            place = pq.ParquetFile(path).metadata.row_group(1).column(0).data_page_offset
            content = path.read_bytes()
            path.write_bytes(content[:place] + b"\xff" * 60 + content[place + 60 :])
        first += size
    assert first == ROWS
    return folder


def start(corpus, out, *options, processes=2, file_limit=None, **env):
    words = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes),
        str(Path(__file__).with_name("stream_run.py")), f"{out}.rows", "pretrain", str(corpus), "--streaming",
        "--modality", "audio", "--out", str(out), "--max-steps", str(STEPS), "--save-steps", "4",
        "--batch-size", str(BATCH), "--learning-rate", "0.01", "--config", '{"hidden_size": 16}', *options,
    ]  # fmt: skip

    def limit():
        if file_limit:
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, file_limit))

    environment = os.environ | {"OMP_NUM_THREADS": "1"} | env
    return subprocess.Popen(
        words, env=environment, preexec_fn=limit, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def finish(process):
    errors = process.communicate()[1]
    return process.returncode, errors


def outcome(out):
    record = json.loads((out / "run.json").read_text())
    losses = [(entry["step"], entry["loss"]) for entry in record["history"] if "loss" in entry]
    return losses, load_file(out / "model.safetensors"), record


def rows_by_batch(out, processes=2):
    """Rows of each batch of each process; one that was made twice was made of the same rows."""
    found = {}
    for rank in range(processes):
        for line in Path(f"{out}.rows.{rank}").read_text().splitlines():
            number, rows = json.loads(line)
            assert found.setdefault((rank, number), rows) == rows
    return found


@pytest.mark.slow
def test_killed_out_of_room_and_with_a_damaged_shard_nothing_is_lost(corpus, tmp_path):
    whole, out = tmp_path / "whole", tmp_path / "out"
    code, errors = finish(start(corpus, whole))
    assert code == 0, errors
    assert "skipped: train-00003.parquet, row group 1" in errors

    # killed for good when a checkpoint is written and has no name yet
    process = start(corpus, out, STOP_BEFORE="checkpoint-12")
    while process.poll() is None and not Path(f"{out}.rows.stopped").exists():
        time.sleep(0.01)
    assert process.poll() is None, process.communicate()[1]
    for each in [*psutil.Process(process.pid).children(recursive=True), process]:  # each has a session of its own
        each.kill()
    process.communicate()
    left = [path.name for path in (out / "checkpoints").glob("checkpoint-*")]
    assert "checkpoint-8" in left and "checkpoint-12" not in left and not (out / "run.json").exists()

    # out of room while it writes the next checkpoint: the one before stays whole
    code, errors = finish(start(corpus, out, "--resume", file_limit=30_000))
    assert code != 0 and "could not save the checkpoint" in errors, errors
    assert sorted(path.name for path in (out / "checkpoints").glob("checkpoint-*")) == sorted(left)

    code, errors = finish(start(corpus, out, "--resume"))
    assert code == 0, errors
    losses, weights, record = outcome(out)
    expected_losses, expected_weights, expected_record = outcome(whole)
    assert losses == expected_losses and len(losses) >= 10
    assert all(np.array_equal(weights[name], value) for name, value in expected_weights.items())
    assert record["failures"] == expected_record["failures"] != []
    batches = rows_by_batch(out)
    assert batches == rows_by_batch(whole)
    assert {row for rows in batches.values() for row in rows} == set(range(ROWS)) - LOST

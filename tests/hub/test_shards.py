import json

import numpy as np
import pytest
from datasets import Dataset
from helpers.synthetic import gray_frames, voice, write_clip

from av_emotion_hf.data import ClipReader, open_dataset
from av_emotion_hf.data.extraction import extract
from av_emotion_hf.hub import check_card
from av_emotion_hf.hub.push import push


@pytest.fixture
def shards(tmp_path):
    """What `extract` wrote of three clips, a shard each."""
    clips = []
    for i, hertz in enumerate((120, 200, 310)):
        path = write_clip(tmp_path / f"{i}.mp4", gray_frames([80] * 5), 10, voice(0.5, hertz), 16_000)
        clips.append({"file": str(path), "emotion": ["sad", "happy"][i % 2]})
    reader = ClipReader("audio")
    extract(
        Dataset.from_list(clips), str(tmp_path / "inputs"), reader, rows_per_shard=1, metadata={"dataset": "three"}
    )
    return tmp_path / "inputs"


@pytest.mark.slow
def test_shards_are_pushed_as_a_dataset_and_read_back_as_they_come(shards, hub, client, tmp_path):
    listed = {file["path"] for file in push(shards, "tester/inputs", dry_run=True)["files"]}
    status, out, err = client.verb("push", shards, "inputs", "--private")
    assert status == 0, err
    assert f"are at {hub.url}/datasets/tester/inputs" in out
    files = hub.files("tester/inputs", "dataset")
    assert set(files) == listed and sum(name.endswith(".parquet") for name in files) == 3
    card = files["README.md"].decode()
    assert "Audio and face crops of 3 clips" in card and "| dataset | three |" in card and "regulated" in card
    check_card(card, "dataset")

    hub.requests.clear()
    code = (
        "import json\nfrom av_emotion_hf.data import open_dataset\n"
        "rows = open_dataset('tester/inputs', streaming=True)\n"
        "first = next(iter(rows))\n"
        "print(json.dumps([type(rows).__name__, first['emotion'], len(first['audio']['bytes'])]))\n"
        "print(json.dumps([row['emotion'] for row in rows]))\n"
    )
    first, emotions = map(json.loads, client.run(code).splitlines())
    here = list(open_dataset(str(shards)))
    assert first == ["IterableDataset", "sad", len(here[0]["audio"]["bytes"])]
    assert emotions == [row["emotion"] for row in here]
    assert hub.count("GET", r"/resolve/.*\.parquet")

    usage = card.split("```python\n")[1].split("```")[0]
    assert "'audio'" in client.run(usage) and "'emotion'" in client.run(usage)


def test_pretraining_takes_them_from_the_hub(shards, hub, client, tmp_path):
    assert client.verb("push", shards, "inputs")[0] == 0
    small = json.dumps({"hidden_size": 8, "num_hidden_layers": 1})
    words = ("--modality", "audio", "--streaming", "--max-steps", 2, "--batch-size", 2, "--config", small)
    status, _, err = client.verb("pretrain", "tester/inputs", *words, "--out", tmp_path / "encoder")
    assert status == 0, err
    assert json.loads((tmp_path / "encoder" / "run.json").read_text())["steps"] == 2


def test_shards_of_an_earlier_push_go(shards, hub, client, tmp_path):
    assert client.verb("push", shards, "inputs")[0] == 0
    clips = Dataset.from_list([{"file": str(tmp_path / "0.mp4"), "emotion": "sad"}])
    extract(clips, str(tmp_path / "again"), ClipReader("audio"))
    assert client.verb("push", tmp_path / "again", "inputs")[0] == 0
    names = {name for name in hub.files("tester/inputs", "dataset") if name.endswith(".parquet")}
    assert names == {"data/train-00000-00000.parquet"}


def test_a_dataset_of_somebody_elses_making_is_not_written_over(shards, hub, client):
    client.run("from huggingface_hub import HfApi\nHfApi().create_repo('tester/inputs', repo_type='dataset')")
    hub.repos["dataset", "tester/inputs"].commit("main", {"train.parquet": b"x"})
    status, _, err = client.verb("push", shards, "inputs")
    assert status == 2 and "the name is taken, it contains another dataset" in err


def test_an_unfinished_extraction_is_not_pushed(shards, client):
    (shards / "manifest.json").unlink()
    status, _, err = client.verb("push", shards, "inputs")
    assert status == 2 and "contains neither a checkpoint (config.json) nor finished shards" in err
    assert np.all([path.suffix == ".parquet" for path in (shards / "data").iterdir()])

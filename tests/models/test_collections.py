from types import GeneratorType

import datasets
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from transformers.pipelines.pt_utils import KeyDataset

from av_emotion_hf.models.collections_av_emotion import several_clips, undecoded

NAMES = ["a.wav", "b.wav"]
SOUND = np.zeros(100, np.float32)


@pytest.fixture
def table():
    """Two sounds that cannot be decoded, as rows of a dataset that would decode them."""
    cells = [{"bytes": b"a", "path": None}, {"bytes": b"b", "path": None}]
    return datasets.Dataset.from_dict({"audio": cells, "label": [0, 1]}).cast_column("audio", datasets.Audio())


@pytest.mark.parametrize(
    "clip",
    [
        "a.wav",
        b"a",
        bytearray(b"a"),
        {"path": "a.wav"},
        SOUND,
        torch.zeros(100),
        np.array("a.wav"),
        (16000, SOUND),
        (SOUND, 16000),
        [0.1, 0.2],
        (np.float32(0.1), 0.2),
        pd.Series([0.1, 0.2]),
        3,
        None,
    ],
    ids=lambda clip: type(clip).__name__,
)
def test_what_is_one_clip(clip):
    assert several_clips(clip) is None


def test_what_is_in_memory_is_a_list():
    forms = [NAMES, tuple(NAMES), np.array(NAMES), np.array(NAMES, object), np.array(NAMES, "S"), pd.Series(NAMES)]
    forms += [pa.array(NAMES), dict.fromkeys(NAMES).keys()]
    for given in forms:
        assert several_clips(given) == NAMES, type(given)
    assert several_clips(pd.DataFrame({"file": NAMES})) == [{"file": name} for name in NAMES]
    assert several_clips([]) == several_clips(()) == []
    assert len(several_clips([SOUND, SOUND])) == len(several_clips((SOUND, SOUND))) == 2
    assert len(several_clips([[0.1], [0.2]])) == 2
    with pytest.raises(ValueError, match=r"an array of shape \(1, 2\), type <U5: give paths of clips as \(clips,\)"):
        several_clips(np.array([NAMES]))


def test_what_is_read_as_it_goes_is_not_decoded(table):
    for given in (table, table.to_iterable_dataset()):
        rows = several_clips(given)
        assert isinstance(rows, GeneratorType)
        assert [row["audio"]["bytes"] for row in rows] == [b"a", b"b"]
    column = several_clips(table["audio"])
    assert isinstance(column, GeneratorType) and [cell["bytes"] for cell in column] == [b"a", b"b"]
    keyed = several_clips(KeyDataset(table, "audio"))
    assert isinstance(keyed, KeyDataset) and [cell["bytes"] for cell in keyed] == [b"a", b"b"]
    assert isinstance(several_clips(iter(NAMES)), GeneratorType) and list(several_clips(iter(NAMES))) == NAMES
    plain = KeyDataset([{"file": name} for name in NAMES], "file")
    assert several_clips(plain) is plain


def test_only_audio_and_video_change_their_type(table):
    features = undecoded(table).features
    assert features["audio"] == datasets.Audio(decode=False) and features["label"] == datasets.Value("int64")
    assert table.features["audio"].decode  # that of the caller stays
    stream = datasets.IterableDataset.from_generator(lambda: iter([{"file": "a.wav"}]))
    assert stream.features is None and [row["file"] for row in undecoded(stream)] == ["a.wav"]

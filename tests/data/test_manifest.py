import json

import numpy as np
import pytest

from av_emotion_hf.data.manifest import (
    configuration_hash,
    read_speech_encoders,
    read_statistics,
    require_same_settings,
    summarize,
)
from av_emotion_hf.data.statistics import RunningStatistics
from av_emotion_hf.errors import InputError

FRAMES = np.random.default_rng(0).normal(3, 2, (60, 4))


def record(frames, **changes):
    statistics = {"input_features": RunningStatistics(4).update(frames).as_dict()}
    counts = {"clips": 2, "rows": 3, "seconds": 1.5, "frames": {"input_features": len(frames)}, "failures": []}
    return counts | {"statistics": statistics} | changes


def test_records_add_up_however_they_are_cut():
    failure = {"row": 4, "clip": "a.mp4", "error": "no sound"}
    manifest = summarize(
        [record(FRAMES[:7]), record(FRAMES[7:40], failures=[failure]), record(FRAMES[40:])], {"fps": 5}
    )
    assert (manifest["clips"], manifest["rows"], manifest["seconds"]) == (6, 9, 4.5)
    assert manifest["frames"] == {"input_features": 60} and manifest["failures"] == [failure]
    statistics = manifest["statistics"]["input_features"]
    np.testing.assert_allclose(statistics["mean"], FRAMES.mean(0))
    np.testing.assert_allclose(statistics["squares"], FRAMES.var(0) * 60)
    assert manifest["settings"] == {"fps": 5} and manifest["configuration"] == configuration_hash({"fps": 5})


def test_the_hash_depends_on_values_alone():
    assert configuration_hash({"a": 1, "b": [2]}) == configuration_hash({"b": [2], "a": 1})
    assert configuration_hash({"a": 1}) != configuration_hash({"a": 2})


def test_a_changed_configuration_is_refused_with_the_difference():
    require_same_settings({"a": 1}, {"a": 1}, "out")
    with pytest.raises(
        InputError, match=r"out: was made with other settings \(a 1 there, 2 now, b None there, 3 now\)"
    ):
        require_same_settings({"a": 1}, {"a": 2, "b": 3}, "out")


def test_statistics_of_folders_merge(tmp_path):
    for name, part in (("a", FRAMES[:20]), ("b", FRAMES[20:])):
        (tmp_path / name).mkdir()
        (tmp_path / name / "manifest.json").write_text(json.dumps(summarize([record(part)], {})))
    folders = [str(tmp_path / "a"), str(tmp_path / "b")]
    np.testing.assert_allclose(read_statistics(folders, "input_features").std, FRAMES.std(0))
    assert read_statistics(folders, "image_features") is None
    assert read_statistics([*folders, str(tmp_path)], "input_features") is None
    narrow = record(FRAMES) | {"statistics": {"input_features": RunningStatistics(2).as_dict()}}
    (tmp_path / "b" / "manifest.json").write_text(json.dumps(summarize([narrow], {})))
    with pytest.raises(InputError, match=r"has 2 values per frame, .* has 4; extract both"):
        read_statistics(folders, "input_features")


def test_manifests_name_their_speech_encoders(tmp_path):
    for name, settings in (
        ("a", {"speech_encoder": "whisper-base", "speech_layers": 3}),
        ("b", {"speech_encoder": "hubert", "speech_layers": None}),
        ("c", {"as": "inputs"}),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "manifest.json").write_text(json.dumps({"settings": settings}))
    folders = [str(tmp_path / name) for name in ("a", "b", "c", "a", "nothing")]
    assert read_speech_encoders(folders) == ["hubert", "whisper-base (3 layers)"]

"""`predict`, the predictor and the pipeline are one way from a clip to its scores."""

import json
from itertools import pairwise

import numpy as np
import pytest
import soundfile
import torch
from helpers.synthetic import gray_frames, voice, write_clip
from transformers import pipeline

import av_emotion_hf as av
from av_emotion_hf import cli
from av_emotion_hf.data import ClipReader
from av_emotion_hf.models.windows_av_emotion import concatenate

TASK = "audio-visual-emotion-recognition"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """The checkpoint of the package; its scores of two halves of a clip differ."""
    return av.DEFAULT_CHECKPOINT


@pytest.fixture(scope="module")
def pipe(checkpoint):
    return pipeline(TASK, model=checkpoint, device="cpu")


@pytest.fixture
def long_voice(tmp_path):
    """35 seconds: two voices, a pause, noise."""
    rng = np.random.default_rng(0)
    pieces = [voice(12, 120)[0], np.zeros(16000 * 6), 0.1 * rng.standard_normal(16000 * 5), voice(12, 310)[0]]
    sound = np.concatenate(pieces).astype(np.float32)
    soundfile.write(tmp_path / "long.wav", sound, 16_000, subtype="FLOAT")
    return tmp_path / "long.wav", sound


@pytest.fixture
def clips(tmp_path, paste_faces, long_voice):
    """Clips by what they have."""
    faces = [paste_faces((100 + i % 7, 40, 140)) for i in range(24)]
    return {
        "35 seconds": long_voice[0],
        "silent": write_clip(tmp_path / "silent.mp4", faces, 2),
        "no face": write_clip(tmp_path / "no_face.mp4", gray_frames([80] * 24), 2, voice(12, 150), 16_000),
        "nothing": write_clip(tmp_path / "nothing.mp4", gray_frames([80] * 6), 10),
        "both": write_clip(tmp_path / "both.mp4", faces, 2, voice(12, 150), 16_000),
    }


def by_label(scores):
    return {one["label"]: one["score"] for one in scores}


@pytest.fixture
def command(capsys, monkeypatch):
    """Function from words to the JSON lines that `av-emotion predict` prints."""

    def call(*words):
        monkeypatch.setattr("sys.argv", ["av-emotion", "predict", *map(str, words), "--json"])
        with pytest.raises(SystemExit) as end:
            cli.main()
            raise SystemExit(0)
        assert end.value.code in (0, None)
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    return call


@pytest.mark.slow
def test_the_command_the_predictor_and_the_pipeline_agree(clips, pipe, command):
    predictor = av.EmotionPredictor(detector="mtcnn", device="cpu")
    printed = command(*clips.values(), "--detector", "mtcnn", "--device", "cpu")
    for (kind, path), line in zip(clips.items(), printed, strict=True):
        assert line["checkpoint"] == "av-emotion-base"
        scores = by_label(pipe(str(path), detector="mtcnn"))
        prediction = predictor(path)
        assert prediction.as_dict() == line, kind
        assert predictor(path.read_bytes()).scores == prediction.scores == line["scores"], kind
        assert line["scores"] == pytest.approx(scores, abs=5.1e-5), kind
        assert by_label(pipe(path.read_bytes(), detector="mtcnn")) == scores, kind
        assert list(line["scores"]) == list(scores)
    found = dict(zip(clips, printed, strict=True))
    assert found["nothing"]["emotion"] is None and found["silent"]["modalities"] == ["image"]
    assert found["no face"]["modalities"] == ["audio"] and found["both"]["modalities"] == ["audio", "image"]


@pytest.mark.slow
def test_arrays_give_what_the_file_gives(clips, pipe):
    predictor = av.EmotionPredictor(av.DEFAULT_CHECKPOINT, detector="mtcnn", device="cpu")
    for kind, path in clips.items():
        inputs = concatenate(list(ClipReader("both", detector="mtcnn", window=10.0).windows(str(path))))
        given = {"waveform": inputs.waveform, "faces": inputs.crops, "face_times": inputs.face_times}
        expected = by_label(pipe(str(path), detector="mtcnn"))
        assert by_label(pipe(given)) == pytest.approx(expected, abs=1e-6), kind
        assert predictor(given).scores == pytest.approx(expected, abs=5.1e-5), kind
        for window in (3.0, "whole"):
            file, arrays = (pipe(each, window=window, detector="mtcnn") for each in (str(path), given))
            if window == "whole":
                assert by_label(arrays) == pytest.approx(by_label(file), abs=1e-6), kind


@pytest.mark.slow
def test_the_scores_of_a_clip_are_the_mean_over_ten_seconds(long_voice, pipe):
    path, sound = long_voice
    cuts = (0, 10, 20, 30, 35)  # the last 5 seconds are half a window, which is a window of its own
    parts = [by_label(pipe(sound[16000 * a : 16000 * b], window="whole")) for a, b in pairwise(cuts)]
    assert len(pipe(str(path), window=10)) == len(parts) == 4
    mean = {name: np.mean([part[name] for part in parts]) for name in parts[0]}
    assert by_label(pipe(str(path))) == pytest.approx(mean, abs=1e-5)
    whole = by_label(pipe(str(path), window="whole"))
    assert whole == pytest.approx(by_label(pipe(sound, window="whole")), abs=1e-6)
    assert max(abs(whole[name] - mean[name]) for name in mean) > 0.01
    assert av.EmotionPredictor(av.DEFAULT_CHECKPOINT, window="whole", device="cpu")(path).scores == pytest.approx(
        whole, abs=5.1e-5
    )
    # what is shorter than half a window is part of the window before
    assert [(one["start"], one["end"]) for one in pipe(sound[: 16000 * 24], window=10)] == [(0, 10), (10, 24)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"person": "nonsense"}, "person='nonsense': there is no such choice; use one of largest, speaking, all"),
        ({"detector": "mirror"}, "there is no such face detector"),
        ({"fps": 0}, "fps=0"),
        ({"window": -1}, "window=-1: has to be positive"),
        ({"window": "all"}, "window='all': has to be positive seconds or 'whole'"),
    ],
)
def test_wrong_options_are_refused_on_every_road(pipe, long_voice, options, message):
    frames = np.full((4, 60, 80, 3), 90, np.uint8)
    path, sound = long_voice
    for given in (sound, {"faces": frames}, {"frames": frames}, str(path), path.read_bytes()):
        with pytest.raises(ValueError, match=message):
            pipe(given, **options)
    with pytest.raises(av.InputError, match=message):
        av.EmotionPredictor(device="cpu", **options)
    with pytest.raises(TypeError, match="unknown argument 'windows'"):
        pipe(sound, windows=3)


@pytest.mark.slow
def test_type_batches_and_device_are_honored(checkpoint, clips, pipe):
    half = pipeline(TASK, model=checkpoint, device="cpu", dtype=torch.bfloat16)
    assert half.model.classifier.audio.weight.dtype == torch.bfloat16 and half.device.type == "cpu"
    path = str(clips["35 seconds"])
    assert by_label(half(path)) == pytest.approx(by_label(pipe(path)), abs=0.03)
    assert by_label(pipe(path, batch_size=3)) == pytest.approx(by_label(pipe(path)), abs=1e-5)
    sizes = []
    forward = pipe.model.forward

    def counted(**given):
        sizes.append(len(given["input_values"]))
        return forward(**given)

    pipe.model.forward = counted
    try:
        pipe(path, batch_size=3)
    finally:
        del pipe.model.forward
    assert sizes == [3, 1]


def test_windows_are_read_one_by_one(long_voice, pipe):
    read = []

    class Reader(ClipReader):
        def windows(self, source):
            for window in super().windows(source):
                read.append(window.start)
                yield window

    items = pipe.preprocess(str(long_voice[0]))
    pipe.windows.reader_factory, factory = Reader, pipe.windows.reader_factory
    pipe.windows._readers.clear()
    try:
        items = pipe.preprocess(str(long_voice[0]))
        next(items)
        assert read == [0.0, 10.0]  # one ahead, to know which is the last
        assert [item["is_last"] for item in items] == [False, False, True] and read == [0.0, 10.0, 20.0, 30.0]
    finally:
        pipe.windows.reader_factory = factory
        pipe.windows._readers.clear()

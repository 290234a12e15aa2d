import numpy as np
import pytest
import torch
from datasets import Dataset, load_from_disk
from helpers.synthetic import gray_frames, tone, write_clip

import av_emotion_hf as av
from av_emotion_hf.data import ClipReader, FeatureReader, with_inputs
from av_emotion_hf.data.schema import decode_faces, decode_waveform, modality_kind
from av_emotion_hf.errors import InputError


@pytest.mark.slow
def test_clips_become_inputs(clips, caplog):
    corpus = with_inputs(clips, ClipReader(detector="mtcnn"))
    assert "neither audio nor video" in caplog.text and corpus.num_rows == 3  # the broken one is left out, and said so
    both, silent, faceless = corpus
    assert len(decode_waveform(both["audio"])) == pytest.approx(8000, abs=400)
    assert len(both["faces"]) == len(both["face_times"]) == 5 and both["face_coverage"] == 1
    assert decode_faces(both["faces"])[0].shape == (112, 112, 3)
    assert silent["audio"] is None or silent["audio"]["bytes"] is None
    assert len(silent["faces"]) == 5 and silent["detector"] == "mtcnn"
    assert faceless["faces"] == [] and faceless["face_coverage"] == 0 and faceless["audio"]["bytes"]
    assert both["emotion"] == "sad" and both["speaker"] == "a"


@pytest.mark.slow
def test_a_stream_gives_the_same_rows(clips):
    reader = ClipReader(detector="mtcnn")
    for row, streamed in zip(
        with_inputs(clips, reader), with_inputs(clips.to_iterable_dataset(), reader), strict=True
    ):
        assert row["faces"] == streamed["faces"] and row["audio"] == streamed["audio"]


def test_only_what_is_asked_for_is_read(clips):
    corpus = with_inputs(clips, ClipReader("audio"))
    assert "faces" not in corpus.features and corpus[0]["detector"] is None


def test_silence_is_no_sound(tmp_path):
    import soundfile

    soundfile.write(tmp_path / "silence.wav", np.zeros(4000), 16_000)
    assert ClipReader("audio").read(str(tmp_path / "silence.wav")).modalities == []


def test_of_the_sound_alone_nothing_is_lost_because_of_the_picture(tmp_path):
    """A video that starts after the sound, and black."""
    times_ms = [1000 + 40 * index for index in range(25)]
    for name, levels in (("late", [90] * 25), ("black", [0] * 10 + [90] * 15)):
        write_clip(tmp_path / f"{name}.mp4", gray_frames(levels), sound=tone(2.0), times_ms=times_ms)
        audio = ClipReader("audio").read(str(tmp_path / f"{name}.mp4"))
        assert len(audio.waveform) == pytest.approx(32_000, abs=1024) and audio.lead_black == 0
        assert np.abs(audio.waveform[:400]).max() > 0.4 and audio.duration == pytest.approx(2.0, abs=0.05)
    both = ClipReader(detector="mtcnn", window=0.5).read(str(tmp_path / "late.mp4"))
    np.testing.assert_array_equal(both.waveform, audio.waveform)
    assert both.num_frames == 10 and both.duration == audio.duration
    cut = ClipReader(detector="mtcnn").read(str(tmp_path / "black.mp4"))
    assert cut.lead_black == pytest.approx(0.4, abs=1e-3)
    np.testing.assert_array_equal(cut.waveform, audio.waveform[round(1.4 * 16_000) :])


def test_the_form_of_a_corpus_is_recognised():
    assert modality_kind(Dataset.from_dict({"input_features": [[[0.0]]]}), "audio") == "features"
    assert modality_kind(Dataset.from_dict({"faces": [[]], "face_coverage": [0.0]}), "image") == "inputs"
    assert modality_kind(Dataset.from_dict({"file": ["a.mp4"]}), "image") == "clips"
    assert modality_kind(Dataset.from_dict({"text": ["a"]}), "image") is None
    with pytest.raises(InputError, match=r"the dataset has no image: expected a column video.*it has text"):
        with_inputs(Dataset.from_dict({"text": ["a"]}), ClipReader("image"))
    with pytest.raises(InputError, match="modality 'face' is not one of"):
        ClipReader("face")
    with pytest.raises(InputError, match=r"reader options 10.0 are not ReaderOptions; .* by name"):
        ClipReader("audio", 10.0)
    with pytest.raises(InputError, match="reader option 'frames' is unknown; the options are fps, "):
        ClipReader("audio", frames=10)


def test_features_are_what_the_model_would_have_computed(clips, config):
    """Bit for bit: training on features and on raw input start from the same numbers."""
    torch.manual_seed(0)
    model = av.AVEmotionForSequenceClassification(config).eval()
    processor = av.AVEmotionImageProcessor(size={"height": 32, "width": 32})
    read = FeatureReader(model.audio_encoder, model.image_encoder, processor)
    for row in with_inputs(clips, ClipReader(detector="mtcnn")):
        waveform, crops = decode_waveform(row["audio"]), decode_faces(row["faces"])
        features = read(waveform, crops)
        raw, ready = {}, {}
        if len(waveform):
            raw |= av.AVEmotionFeatureExtractor()(waveform, return_tensors="pt")
            ready["input_features"] = torch.tensor(np.array(features["input_features"]))[None]
        if crops:
            raw |= processor([crops], return_tensors="pt")
            ready["image_features"] = torch.tensor(np.array(features["image_features"]))[None]
        assert len(features["input_features"]) == (len(waveform) + 319) // 320
        assert len(features["image_features"]) == len(crops)
        with torch.no_grad():
            assert torch.equal(model(**raw).logits, model(**ready).logits)


def test_windows_are_the_clip_in_pieces(clip_files):
    reader = ClipReader(detector="mtcnn", window=0.2)
    whole = ClipReader(detector="mtcnn").read(str(clip_files[0]))
    windows = list(reader.windows(str(clip_files[0])))
    assert [window.start for window in windows] == pytest.approx([0, 0.2, 0.4])
    assert all(0.1 <= window.duration < 0.3 for window in windows)
    np.testing.assert_array_equal(np.concatenate([window.waveform for window in windows]), whole.waveform)
    np.testing.assert_array_equal(np.concatenate([window.crops for window in windows]), whole.crops)
    np.testing.assert_allclose(
        np.concatenate([window.face_times + window.start for window in windows]), whole.face_times, atol=1e-9
    )
    assert sum(window.num_frames for window in windows) == whole.num_frames == 5


def test_a_short_rest_belongs_to_the_window_before(tmp_path):
    import soundfile

    sound = 0.1 * np.sin(np.arange(16_000 * 10) / 5).astype(np.float32)
    for seconds, expected in ((3.9, [3.9]), (5.0, [5.0]), (6.5, [4.0, 2.5]), (9.5, [4.0, 5.5])):
        path = tmp_path / f"{seconds}.wav"
        soundfile.write(path, sound[: int(seconds * 16_000)], 16_000)
        windows = list(ClipReader("audio", window=4.0).windows(str(path)))
        assert [window.duration for window in windows] == pytest.approx(expected, abs=0.01)


def test_clips_that_cannot_be_read_are_said_every_time(clip_files, tmp_path, caplog):
    (tmp_path / "bad.mp4").write_bytes(b"no clip")
    files = [str(clip_files[0]), str(tmp_path / "bad.mp4"), str(tmp_path / "gone.mp4")]
    Dataset.from_dict({"file": files, "clip": ["a", "b", "c"]}).save_to_disk(tmp_path / "table")
    for _ in range(2):  # the second time it comes from the cache
        caplog.clear()
        rows = with_inputs(load_from_disk(str(tmp_path / "table")), ClipReader("audio"))
        assert rows["clip"][:] == ["a"]
        assert "skipped 2 of 3 clips, which cannot be read: 2 files: b, c" in caplog.text


def test_a_part_without_a_readable_clip_is_one_line(tmp_path):
    rows = Dataset.from_dict({"file": [str(tmp_path / f"{i}.mp4") for i in range(3)], "emotion": ["a", "b", "a"]})
    with pytest.raises(InputError, match="not one of the 3 clips of the validation part could be read; the first rea"):
        with_inputs(rows, ClipReader("audio"), part="validation")

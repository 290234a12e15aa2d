import numpy as np
import pytest
import soundfile
import torch
from helpers.synthetic import gray_frames, voice, write_clip

import av_emotion_hf as av
from av_emotion_hf.checkpoints import MIT_CHECKPOINT, MIT_VOICE_CHECKPOINT, VOICE_CHECKPOINT
from av_emotion_hf.data import ClipReader
from av_emotion_hf.errors import InputError
from av_emotion_hf.inference.predictor import EmotionPredictor


@pytest.fixture
def checkpoint(config, tmp_path):
    """Function that saves a fusion or audio classifier with its processor."""

    def save(kind="fusion"):
        torch.manual_seed(0)
        model = (
            av.AVEmotionForSequenceClassification(config)
            if kind == "fusion"
            else av.AVEmotionAudioForSequenceClassification(config.audio_config)
        )
        model.save_pretrained(tmp_path / kind)
        extractor = av.AVEmotionFeatureExtractor()
        processor = av.AVEmotionProcessor(extractor, av.AVEmotionImageProcessor(size={"height": 32, "width": 32}))
        (processor if kind == "fusion" else extractor).save_pretrained(tmp_path / kind)
        return str(tmp_path / kind)

    return save


@pytest.fixture
def clip(tmp_path, paste_faces):
    frames = [paste_faces((100 + i, 40, 140)) for i in range(10)]
    return write_clip(tmp_path / "clip.mp4", frames, 10, voice(1, 150), 16_000)


def test_a_clip_with_face_and_voice(checkpoint, clip):
    predictor = EmotionPredictor(checkpoint(), detector="mtcnn")
    result = predictor(clip)
    assert result.path == str(clip) and result.modalities == ["audio", "image"]
    assert result.emotion == next(iter(result.scores)) and set(result.scores) == {"angry", "happy", "sad"}
    assert sum(result.scores.values()) == pytest.approx(1, abs=1e-3)
    assert list(result.scores.values()) == sorted(result.scores.values(), reverse=True)
    assert result.duration == pytest.approx(1, abs=0.1) and result.face_coverage == 1
    assert result.detector == "mtcnn"

    # the same as by hand, from the parts
    inputs = ClipReader(detector="mtcnn").read(str(clip))
    batch = av.AVEmotionProcessor.from_pretrained(checkpoint())(
        audio=[inputs.waveform], images=[inputs.crops], return_tensors="pt"
    )
    with torch.no_grad():
        logits = av.AVEmotionForSequenceClassification.from_pretrained(checkpoint()).eval()(**batch).logits
    names = ["angry", "happy", "sad"]
    for name, score in zip(names, logits.softmax(-1)[0].tolist(), strict=True):
        assert result.scores[name] == pytest.approx(score, abs=1e-4)


def test_a_prediction_says_how_much_each_modality_decides(checkpoint, clip, config, tmp_path):
    both = EmotionPredictor(checkpoint(), detector="mtcnn")(clip)
    assert sum(both.modality_shares.values()) == pytest.approx(1, abs=1e-3)
    assert set(both.modality_shares) == {"audio", "image"} and min(both.modality_shares.values()) > 0
    soundfile.write(tmp_path / "voice.wav", voice(1, 150)[0], 16_000)
    assert EmotionPredictor(checkpoint())(tmp_path / "voice.wav").modality_shares == {"audio": 1.0, "image": 0.0}
    assert EmotionPredictor(checkpoint("audio"))(tmp_path / "voice.wav").modality_shares is None


def test_an_unsure_answer_is_uncertain(checkpoint, clip):
    sure = EmotionPredictor(checkpoint(), detector="mtcnn")(clip)
    highest = max(sure.scores.values())
    for abstain, emotion in ((highest - 0.01, sure.emotion), (highest + 0.01, "uncertain"), (0, sure.emotion)):
        found = EmotionPredictor(checkpoint(), detector="mtcnn", abstain=abstain)(clip)
        assert found.emotion == emotion and found.scores == sure.scores
    for wrong in (1.5, -0.1, "high", True):
        with pytest.raises(InputError, match=f"abstain={wrong!r}: has to be a probability, from 0 to 1"):
            EmotionPredictor(checkpoint(), abstain=wrong)


def test_bytes_equal_the_file(checkpoint, clip):
    predictor = EmotionPredictor(checkpoint(), detector="mtcnn")
    assert predictor(clip.read_bytes()).scores == predictor(clip).scores


def test_what_a_clip_lacks_is_a_defined_result(checkpoint, tmp_path):
    predictor = EmotionPredictor(checkpoint(), detector="mtcnn")
    sound = voice(1, 150)
    no_face = predictor(write_clip(tmp_path / "a.mp4", gray_frames([80] * 10), 10, sound, 16_000))
    assert no_face.modalities == ["audio"] and no_face.face_coverage == 0 and no_face.emotion
    soundfile.write(tmp_path / "b.wav", sound[0], 16_000)
    no_picture = predictor(tmp_path / "b.wav")
    assert no_picture.modalities == ["audio"] and no_picture.detector is None and no_picture.emotion
    nothing = predictor(write_clip(tmp_path / "c.mp4", gray_frames([0] * 10), 10))
    assert nothing.modalities == [] and nothing.emotion is None and nothing.scores == {}


def test_long_clips_are_averaged_over_windows(checkpoint, tmp_path):
    sound = np.concatenate([voice(2, 120)[0], voice(2, 300)[0]])
    soundfile.write(tmp_path / "long.wav", sound, 16_000)
    path = checkpoint("audio")
    model = av.AVEmotionAudioForSequenceClassification.from_pretrained(path)
    with torch.no_grad():  # so that it hears a difference between the two halves
        frames = model.audio_encoder.extract_features(torch.from_numpy(sound)[None])[0][0]
        model.audio_encoder.frontend.feature_mean.copy_(frames.mean(0))
        model.audio_encoder.frontend.feature_std.copy_(frames.std(0).clamp(min=1e-3))
        model.classifier.weight.mul_(30)
    model.save_pretrained(path)
    whole = EmotionPredictor(path, window=2)(tmp_path / "long.wav").scores
    parts = []
    for name, part in (("1", sound[:32000]), ("2", sound[32000:])):
        soundfile.write(tmp_path / f"{name}.wav", part, 16_000)
        parts.append(EmotionPredictor(path)(tmp_path / f"{name}.wav").scores)
    assert max(abs(parts[0][name] - parts[1][name]) for name in whole) > 0.01
    for name, score in whole.items():
        assert score == pytest.approx((parts[0][name] + parts[1][name]) / 2, abs=2e-4)
    assert EmotionPredictor(path)(tmp_path / "long.wav").scores != whole


def test_a_checkpoint_without_classifier_is_named(config, tmp_path):
    av.AVEmotionModel(config).save_pretrained(tmp_path)
    with pytest.raises(InputError, match="is a fusion model without a trained classifier"):
        EmotionPredictor(str(tmp_path))


@pytest.mark.corpora
def test_every_real_clip_gives_a_prediction(shared):
    predictor = EmotionPredictor()
    clips = [path for path in sorted((shared / "clips").iterdir()) if path.suffix != ".md"]
    assert len(clips) == 24
    for clip in clips:
        result = predictor(clip)
        assert sum(result.scores.values()) == pytest.approx(1, abs=1e-3), clip.name
        assert "image" in result.modalities and result.face_coverage > 0.3, clip.name


@pytest.fixture
def spoken(tmp_path):
    """A voice of two seconds as a file, and two takes of the same person."""
    paths = [tmp_path / f"{name}.wav" for name in ("clip", "first", "second")]
    for number, path in enumerate(paths):
        soundfile.write(path, voice(2, 140 + 5 * number)[0], 16_000)
    return paths


@pytest.mark.slow
def test_a_clip_without_a_face_is_answered_as_by_the_voice_alone(spoken, tmp_path):
    clip, *takes = spoken
    by_default, voices = EmotionPredictor(device="cpu"), EmotionPredictor(VOICE_CHECKPOINT, device="cpu")
    found = by_default(clip)
    assert found.checkpoint == "av-emotion-base" and found.scores == pytest.approx(voices(clip).scores, abs=2e-3)
    with open(clip, "rb") as file:
        assert by_default(file).scores == found.scores
    person = by_default.person_baseline(takes)
    marked, expected = by_default(clip, baseline=person), voices(clip, baseline=voices.person_baseline(takes))
    assert person.clips == 2 and marked.baseline == person.mark
    assert marked.scores == pytest.approx(expected.scores, abs=2e-3) and marked.scores != found.scores
    silent = write_clip(tmp_path / "silent.mp4", gray_frames([80] * 20), 10, np.zeros((1, 32_000), np.float32), 16_000)
    with pytest.raises(InputError, match="none of 1 clip"):
        by_default.person_baseline([silent])


@pytest.mark.slow
def test_the_default_answers_by_what_a_clip_has(paste_faces, tmp_path):
    frames = [paste_faces((100 + i, 40, 140)) for i in range(8)]
    seen = write_clip(tmp_path / "seen.mp4", frames, 10)
    both = write_clip(tmp_path / "both.mp4", frames, 10, voice(1, 150), 16_000)
    predictor = EmotionPredictor(detector="mtcnn", device="cpu")
    face, together = predictor(seen), predictor(both)
    assert face.modalities == ["image"] and face.modality_shares == {"audio": 0.0, "image": 1.0}
    assert together.modalities == ["audio", "image"] and face.scores != together.scores
    assert len(face.scores) == 7 and max(face.scores.values()) > 1.2 / 7


@pytest.mark.slow
def test_the_default_for_commercial_use_is_chosen_by_its_name(spoken):
    by_name, by_folder = (EmotionPredictor(each, device="cpu") for each in ("av-emotion-base-mit", MIT_CHECKPOINT))
    found = by_name(spoken[0])
    assert found == by_folder(spoken[0]) and found.checkpoint == "av-emotion-base-mit"
    voices = EmotionPredictor(MIT_VOICE_CHECKPOINT, device="cpu")
    assert found.scores == pytest.approx(voices(spoken[0]).scores, abs=2e-3)


def test_the_small_voice_is_chosen_by_its_name(spoken):
    clip, *takes = spoken
    small = EmotionPredictor("av-emotion-voice-small", device="cpu")
    found = small(clip)
    assert found.checkpoint == "av-emotion-voice-small" and found.modalities == ["audio"] and len(found.scores) == 7
    assert sum(found.scores.values()) == pytest.approx(1, abs=1e-3) and max(found.scores.values()) > 1.2 / 7
    assert small(clip, baseline=small.person_baseline(takes)).scores != found.scores


@pytest.mark.slow
def test_the_voice_for_commercial_use_is_chosen_by_its_name(spoken):
    clip, *takes = spoken
    by_name, by_folder = (
        EmotionPredictor(each, device="cpu") for each in ("av-emotion-voice-mit", MIT_VOICE_CHECKPOINT)
    )
    found = by_name(clip)
    assert found == by_folder(clip) and found.checkpoint == "av-emotion-voice-mit" and found.modalities == ["audio"]
    assert sorted(found.scores) == ["angry", "fearful", "happy", "neutral", "sad", "surprised"]
    assert sum(found.scores.values()) == pytest.approx(1, abs=1e-3) and max(found.scores.values()) > 1.2 / 6
    assert by_name(clip, baseline=by_name.person_baseline(takes)).scores != found.scores

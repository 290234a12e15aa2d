"""The person's baseline in predictions: by the command, the predictor and the pipeline; and balanced scores."""

import json
import logging

import cv2
import numpy as np
import pytest
import soundfile
import torch
from helpers.synthetic import gray_frames, voice, write_clip
from transformers import pipeline

import av_emotion_hf as av
from av_emotion_hf import cli
from av_emotion_hf.data.workers import Outcome
from av_emotion_hf.errors import InputError
from av_emotion_hf.inference.groups import GroupedClip, balanced_outcomes

TASK = "audio-visual-emotion-recognition"
PITCHES = {"low": (90, 100, 110), "high": (260, 300, 340)}


def sound(hertz, seconds=1.0, seed=0):
    noise = np.random.default_rng(seed).normal(0, 0.01, round(16000 * seconds))
    return (voice(seconds, hertz)[0] + noise).astype(np.float32)


@pytest.fixture
def takes(tmp_path):
    """Three clips of each of two voices, one silent clip, and a table of them; the path of each by name."""
    paths = {}
    for person, pitches in PITCHES.items():
        for number, hertz in enumerate(pitches):
            paths[f"{person}{number}"] = tmp_path / f"{person}{number}.wav"
            soundfile.write(paths[f"{person}{number}"], sound(hertz, 0.5 + 0.25 * number), 16000, subtype="FLOAT")
    paths["silent"] = tmp_path / "silent.wav"
    soundfile.write(paths["silent"], np.zeros(16000, np.float32), 16000)
    lines = [f"{path.name},{name[:-1]}" for name, path in paths.items() if name != "silent"]
    (tmp_path / "takes.csv").write_text("\n".join(["path,speaker", *lines, "silent.wav,low", "low0.wav,"]) + "\n")
    paths["table"] = tmp_path / "takes.csv"
    return paths


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A voice model that hears the pitch; a second of a person is as much as the dataset."""
    torch.manual_seed(0)
    config = av.AVEmotionAudioConfig(
        hidden_size=8, num_hidden_layers=1, num_mel_bins=8, pool_features=True, baseline_prior=1.0,
        id2label={0: "angry", 1: "happy", 2: "sad"}, label2id={"angry": 0, "happy": 1, "sad": 2},
    )  # fmt: skip
    model = av.AVEmotionAudioForSequenceClassification(config)
    frames = [model.audio_encoder.extract_features(torch.from_numpy(sound(hertz))[None])[0][0] for hertz in (100, 300)]
    model.audio_encoder.set_feature_statistics(torch.cat(frames).mean(0), torch.cat(frames).std(0) + 0.1)
    folder = tmp_path_factory.mktemp("voice")
    model.save_pretrained(folder)
    av.AVEmotionFeatureExtractor().save_pretrained(folder)
    return str(folder)


@pytest.fixture
def command(capfd, monkeypatch, checkpoint):
    """Function from words to exit status, the JSON lines of `av-emotion predict`, and what it says beside them."""

    def call(*words, workers=0):
        words = [*words, "--checkpoint", checkpoint, "--device", "cpu", "--workers", workers, "--json"]
        monkeypatch.setattr("sys.argv", ["av-emotion", "predict", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            cli.main()
            raise SystemExit(0)
        printed = capfd.readouterr()
        return end.value.code or 0, [json.loads(line) for line in printed.out.splitlines()], printed.err

    return call


def test_all_roads_use_the_baseline_alike_and_are_marked(takes, checkpoint, command):
    clip, person = takes["high0"], [takes["high1"], takes["high2"]]
    code, (line,), _ = command(clip, "--baseline", person[0], "--baseline", person[1])
    assert code == 0 and line["baseline"] == {"clips": 2, "seconds": 1.8}
    prediction = av.EmotionPredictor(checkpoint, device="cpu", baseline=person)(clip)
    assert prediction.as_dict() == line
    pipe = pipeline(TASK, model=checkpoint, device="cpu")
    at_construction = pipeline(TASK, model=checkpoint, device="cpu", baseline=person)
    for scores in (pipe(str(clip), baseline=person), at_construction(str(clip))):
        assert {one["label"]: one["score"] for one in scores} == pytest.approx(line["scores"], abs=5.1e-5)
    plain = av.EmotionPredictor(checkpoint, device="cpu")(clip)
    assert plain.baseline is None and plain.as_dict()["baseline"] is None
    assert {one["label"]: one["score"] for one in pipe(str(clip))} == pytest.approx(plain.scores, abs=5.1e-5)
    assert max(abs(plain.scores[name] - score) for name, score in line["scores"].items()) > 0.01


def test_the_scores_are_those_of_the_model_with_these_statistics(takes, checkpoint):
    model = av.AVEmotionAudioForSequenceClassification.from_pretrained(checkpoint).eval()
    heard = [torch.from_numpy(soundfile.read(takes[name], dtype="float32")[0])[None] for name in ("low0", "low1")]
    encoder = model.audio_encoder
    with torch.no_grad():
        frames = torch.cat([encoder.extract_features(each)[0][0] for each in heard]).double()
        cells, mean, std = encoder.defined_cells(frames), *encoder.feature_statistics.double()
        count = cells.sum(0)
        own = (frames * cells).sum(0) / count.clamp(min=1)
        variance = ((frames - own).square() * cells).sum(0) / count.clamp(min=1)
        share = count / (count + 50)  # a second of frames
        encoder.set_feature_statistics(
            (mean + share * (own - mean)).float(), (std**2 + share * (variance - std**2)).sqrt().float()
        )
        expected = model(input_values=torch.from_numpy(soundfile.read(takes["low2"], dtype="float32")[0])[None]).logits
    scores = av.EmotionPredictor(checkpoint, device="cpu", baseline=[takes["low0"], takes["low1"]])(
        takes["low2"]
    ).scores
    for number, name in enumerate(("angry", "happy", "sad")):
        assert scores[name] == pytest.approx(expected.softmax(-1)[0, number].item(), abs=1e-4)


def test_any_form_of_clip_and_windows_give_the_same_baseline(takes, checkpoint):
    pipe = pipeline(TASK, model=checkpoint, device="cpu")
    waveform = soundfile.read(takes["low2"], dtype="float32")[0]
    forms = [str(takes["low2"]), takes["low2"].read_bytes(), waveform, {"waveform": waveform}, [takes["low2"]]]
    expected = pipe.person_baseline(forms[0]).statistics(pipe.model)["audio_statistics"]
    for form in forms[1:]:
        baseline = pipe.person_baseline(form)
        assert baseline.mark == {"clips": 1, "seconds": 1.0}
        torch.testing.assert_close(baseline.statistics(pipe.model)["audio_statistics"], expected)
    cut = pipe.person_baseline(waveform, window=0.5)
    assert cut.mark == {"clips": 1, "seconds": 1.0} and cut.moments["audio"][0, 0] == 50
    assert pipe.person_baseline(cut) is cut
    batch = pipe([str(takes["high0"]), str(takes["high1"])], baseline=forms[0], batch_size=2)
    for name, scores in zip(("high0", "high1"), batch, strict=True):
        alone = pipe(str(takes[name]), baseline=forms[0])
        assert {one["label"]: one["score"] for one in scores} == pytest.approx(
            {one["label"]: one["score"] for one in alone}, abs=1e-5
        )


def test_folders_and_globs_are_baselines_and_silence_among_them_is_named(takes, command, caplog):
    folder = takes["low0"].parent
    code, (line,), _ = command(takes["high0"], "--baseline", folder / "low*.wav", "--baseline", takes["silent"])
    assert code == 0 and line["baseline"] == {"clips": 3, "seconds": 2.2}
    skipped = [record.message for record in caplog.records if "baseline: skipped" in record.message]
    assert len(skipped) == 1 and skipped[0].endswith("silent.wav: there is no audio, or silence alone, in it")
    code, (line,), _ = command(takes["high0"], "--baseline", folder, workers=1)
    assert code == 0 and line["baseline"] == {"clips": 6, "seconds": 4.5}


def test_each_person_of_a_table_has_a_baseline(takes, checkpoint, command, caplog):
    code, lines, _ = command(takes["table"], "--group-column", "speaker")
    assert code == 0 and len(lines) == 8
    assert [line["baseline"] for line in lines[:6]] == [{"clips": 3, "seconds": 2.2}] * 6
    predictor = av.EmotionPredictor(checkpoint, device="cpu", baseline=[takes[f"low{i}"] for i in range(3)])
    for number in range(3):
        assert lines[number] == predictor(takes[f"low{number}"]).as_dict()
    assert lines[6]["emotion"] is None  # silence
    assert lines[7]["baseline"] is None and "low0.wav: column 'speaker' is empty; predicted without" in caplog.text
    assert lines[7]["scores"] != lines[0]["scores"]


def test_predictions_of_each_person_are_balanced_and_marked(takes, command, caplog):
    _, plain, _ = command(takes["table"], "--group-column", "speaker")
    code, lines, _ = command(takes["table"], "--group-column", "speaker", "--balanced")
    assert code == 0 and [line["path"] for line in lines] == [line["path"] for line in plain]
    assert [line["balanced"] for line in lines] == [True] * 6 + [False] * 2  # silence, and a clip of nobody
    assert lines[6:] == plain[6:] and not any(line["balanced"] for line in plain)
    names = ("angry", "happy", "sad")
    for own in (slice(0, 3), slice(3, 6)):
        before, after = ([[line["scores"][name] for name in names] for line in each[own]] for each in (plain, lines))
        np.testing.assert_allclose(after, av.balance_scores(before, "aaa"), atol=2e-4)  # of rounded scores
        assert np.ptp(np.mean(after, 0)) < np.ptp(np.mean(before, 0)) - 1e-3
    for line, other in zip(lines[:6], plain[:6], strict=True):
        assert list(line["scores"].values()) == sorted(line["scores"].values(), reverse=True)
        assert line["emotion"] == next(iter(line["scores"])) and line["scores"] != other["scores"]
        changed = ("emotion", "scores", "balanced")
        assert {key: line[key] for key in line if key not in changed} == {
            key: other[key] for key in other if key not in changed
        }


def test_groups_are_balanced_apart_and_without_unreadable_clips():
    def outcome(group, scores, error=None):
        result = None if error else av.Prediction("x", "a", scores, ["audio"], 1.0, 0.0, None)
        return Outcome(GroupedClip("x", "x", group), result, error)

    found = balanced_outcomes(
        [
            outcome("p", {"a": 0.9, "b": 0.1}),
            outcome("p", {}, error="is empty"),
            outcome("q", {"a": 0.4, "b": 0.6}),
            outcome("p", {"a": 0.52, "b": 0.48}),
        ]
    )
    odds = np.array([9, 0.52 / 0.48]) / (9 * 0.52 / 0.48) ** (1 / 12)  # two clips count 2 / 12
    expected = odds / (1 + odds)
    assert found[0].result.scores["a"] == round(expected[0], 4) and found[0].result.emotion == "a"
    assert found[3].result.scores["a"] == round(expected[1], 4) and list(found[3].result.scores) == ["b", "a"]
    assert found[3].result.emotion == "b" and found[3].result.balanced
    assert found[1].error == "is empty" and found[1].result is None
    unsure = balanced_outcomes([outcome("p", {"a": 0.9, "b": 0.1}), outcome("p", {"a": 0.52, "b": 0.48})], 0.6)
    assert [each.result.emotion for each in unsure] == ["a", "uncertain"]
    alone = np.array([0.6, 0.4]) ** (10 / 11)
    assert found[2].result.scores == {"b": round(alone[0] / alone.sum(), 4), "a": round(alone[1] / alone.sum(), 4)}


def test_balanced_predictions_say_so(takes, checkpoint, capfd, monkeypatch):
    words = ["predict", takes["table"], "--group-column", "speaker", "--balanced", "--checkpoint", checkpoint]
    words += ["--device", "cpu", "--workers", 0]
    monkeypatch.setattr("sys.argv", ["av-emotion", *map(str, words)])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert not end.value.code
    lines = capfd.readouterr().out.splitlines()
    assert len(lines) == 8 and all(line.endswith("2.2 s, balanced over its group)") for line in lines[:6])
    assert not any("balanced over" in line for line in lines[6:])


def test_what_cannot_be_used_is_one_line(takes, command, tmp_path):
    (tmp_path / "broken.wav").write_bytes(b"nothing")
    clip = takes["low0"]
    cases = [
        ([clip, "--baseline", takes["silent"]], "none of 1 clip(s) can be used, the first"),
        ([clip, "--baseline", tmp_path / "broken.wav"], "none of 1 clip(s) can be used, the first"),
        ([clip, "--baseline", tmp_path / "missing.wav"], "none of 1 clip(s) can be used, the first"),
        ([clip, "--baseline", tmp_path / "*.mp4"], "matches no file"),
        ([clip, "--baseline", clip, "--group-column", "speaker"], "give one of them"),
        ([takes["table"], "--balanced"], "--balanced balances the clips of each person: add --group-column"),
        ([takes["table"], "--group-column", "person"], "column 'person' is not in the dataset"),
        ([clip, takes["low1"], "--group-column", "speaker"], "needs one dataset"),
    ]
    for words, message in cases:
        code, lines, said = command(*words)
        assert code == 2 and not lines and "Traceback" not in said
        assert message in said.strip().splitlines()[-1], said


def test_a_voice_is_no_baseline_of_a_face(config, takes, tmp_path):
    model = av.AVEmotionImageForSequenceClassification(config.image_config)
    model.save_pretrained(tmp_path / "face")
    av.AVEmotionImageProcessor(size={"height": 32, "width": 32}).save_pretrained(tmp_path / "face")
    with pytest.raises(InputError, match=r"low0.wav: there is no face in it; give clips in which"):
        av.EmotionPredictor(str(tmp_path / "face"), "mtcnn", device="cpu", baseline=takes["low0"])
    voice_baseline = av.PersonBaseline({"audio": torch.ones(3, 28)}, 1, 1.0)
    with pytest.raises(InputError, match="a baseline of audio for a model of image; measure it with this one"):
        av.EmotionPredictor(str(tmp_path / "face"), "mtcnn", device="cpu", baseline=voice_baseline)


@pytest.fixture
def looks(tmp_path, paste_faces):
    """Two clips of each of two faces that look differently, and a table of them; the path of each by name."""
    paths = {}
    for person in ("sharp", "soft"):
        for number in range(2):
            frames = [paste_faces((100 + i, 40, 140 - 20 * number)) for i in range(5)]
            frames = [cv2.GaussianBlur(frame, (0, 0), 4) if person == "soft" else frame for frame in frames]
            paths[f"{person}{number}"] = write_clip(tmp_path / f"{person}{number}.mp4", frames, 10)
    lines = [f"{path.name},{name[:-1]}" for name, path in paths.items()]
    (tmp_path / "looks.csv").write_text("\n".join(["path,speaker", *lines]) + "\n")
    return paths | {"table": tmp_path / "looks.csv"}


@pytest.fixture
def face_checkpoint(image_config, looks, tmp_path):
    """A face model with the statistics of these clips; half a second of a person is as much as the dataset."""
    torch.manual_seed(0)
    image_config.pool_features, image_config.baseline_prior = True, 0.5
    model = av.AVEmotionImageForSequenceClassification(image_config).eval()
    processor = av.AVEmotionImageProcessor(size={"height": 32, "width": 32})
    encoder, folder = model.image_encoder, tmp_path / "face"
    with torch.no_grad():
        frames = torch.cat([frames_of(encoder, processor, looks[name]) for name in ("sharp0", "soft0")])
        encoder.set_feature_statistics(frames.mean(0), frames.std(0) + 1e-3)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return str(folder)


@torch.no_grad()
def frames_of(encoder, processor, path):
    """The raw features (Tv, F) of the face in a clip."""
    crops = av.track_faces(av.open_clip(path, fps=10), "mtcnn").crops
    return encoder.extract_features(processor([crops], return_tensors="pt").pixel_values)[0][0]


def test_a_face_is_standardized_by_its_own_frames_on_every_road(looks, face_checkpoint, capfd, monkeypatch):
    """Mean and deviation of the person's ten frames, blended with the dataset's by hand."""
    model = av.AVEmotionImageForSequenceClassification.from_pretrained(face_checkpoint).eval()
    processor, encoder = av.AVEmotionImageProcessor.from_pretrained(face_checkpoint), model.image_encoder
    expected = {}
    for person in ("sharp", "soft"):
        own = [frames_of(encoder, processor, looks[f"{person}{number}"]) for number in range(2)]
        frames, (mean, std) = torch.cat(own).double(), encoder.feature_statistics.double()
        assert len(frames) == 10
        share = 10 / (10 + 5)
        blended = torch.lerp(mean, frames.mean(0), share), (1 - share) * std**2 + share * frames.var(0, correction=0)
        statistics = torch.stack([blended[0], blended[1].sqrt()]).float()[None]
        for number in range(2):
            with torch.no_grad():
                logits = model(image_features=own[number][None], image_statistics=statistics).logits
            expected[f"{person}{number}"] = dict(
                zip(("angry", "happy", "sad"), logits.softmax(-1)[0].tolist(), strict=True)
            )
    words = ["predict", looks["table"], "--group-column", "speaker", "--checkpoint", face_checkpoint, "--detector"]
    words += ["mtcnn", "--device", "cpu", "--workers", "0", "--json"]
    monkeypatch.setattr("sys.argv", ["av-emotion", *map(str, words)])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert not end.value.code
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert len(lines) == 4 and all(line["baseline"] == {"clips": 2, "seconds": 1.0} for line in lines)
    for line, (name, scores) in zip(lines, expected.items(), strict=True):
        assert line["scores"] == pytest.approx(scores, abs=1e-4), name
    clips = [looks["soft0"], looks["soft1"]]
    predictor = av.EmotionPredictor(face_checkpoint, "mtcnn", device="cpu", baseline=clips)
    assert predictor(looks["soft1"]).as_dict() == lines[3]
    pipe = pipeline(TASK, model=face_checkpoint, device="cpu")
    found = pipe(str(looks["soft1"]), baseline=list(map(str, clips)), detector="mtcnn")
    assert {one["label"]: one["score"] for one in found} == pytest.approx(expected["soft1"], abs=1e-5)
    plain = av.EmotionPredictor(face_checkpoint, "mtcnn", device="cpu")(looks["soft1"])
    assert max(abs(plain.scores[name] - score) for name, score in expected["soft1"].items()) > 0.01


@pytest.mark.slow
def test_a_fusion_model_has_a_baseline_of_voice_and_face(takes, tmp_path, paste_faces, caplog):
    faces = [paste_faces((100 + i, 40, 140)) for i in range(10)]
    both = write_clip(tmp_path / "both.mp4", faces, 10, voice(1, 150), 16_000)
    nothing = write_clip(tmp_path / "nothing.mp4", gray_frames([80] * 6), 10)
    predictor = av.EmotionPredictor(av.DEFAULT_CHECKPOINT, detector="mtcnn", device="cpu")
    with caplog.at_level(logging.WARNING):
        baseline = predictor.person_baseline([both, nothing, takes["low0"]])
    assert "nothing.mp4: there is neither audio nor a face in it" in caplog.text
    assert baseline.clips == 2 and set(baseline.moments) == {"audio", "image"}
    assert baseline.moments["image"][0].max() == 10 and 75 <= baseline.moments["audio"][0].max() <= 80
    prediction = predictor(both, baseline=baseline)
    assert prediction.baseline == baseline.mark and prediction.scores != predictor(both).scores

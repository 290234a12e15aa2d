"""Inputs that users had, through every road that they can take; the folder beside the checkout has a table of them."""

import csv
import io
import json

import numpy as np
import pytest
import soundfile
from datasets import Audio, Dataset
from PIL import Image
from transformers import pipeline

import av_emotion_hf as av
from av_emotion_hf import cli
from av_emotion_hf.data.expressions import read_image
from av_emotion_hf.media import open_clip

pytestmark = pytest.mark.corpora


@pytest.fixture
def cases(shared):
    if not (shared / "cases").is_dir():
        pytest.skip("needs the cases beside the checkout (../shared/cases)")
    return shared / "cases"


@pytest.fixture(scope="module")
def roads():
    """By name functions from a file to scores by label, empty where there is no emotion."""
    predictor = av.EmotionPredictor(av.DEFAULT_CHECKPOINT, device="cpu", detector="mtcnn")
    pipe = pipeline("audio-visual-emotion-recognition", model=av.DEFAULT_CHECKPOINT, device="cpu")

    def piped(clip):
        return {each["label"]: round(each["score"], 4) for each in pipe(clip, detector="mtcnn")}

    def row(path):
        rows = Dataset.from_dict({"audio": [str(path)]}).cast_column("audio", Audio())
        (scores,) = pipe(rows, detector="mtcnn")
        return {each["label"]: round(each["score"], 4) for each in scores}

    def array(path):
        samples, rate = soundfile.read(path)
        return piped({"waveform": samples, "sampling_rate": rate})

    def extracted(path):
        inputs = av.ClipReader("audio").read(str(path))
        return piped(inputs.waveform)

    return {
        "predictor": lambda path: predictor(str(path)).scores,
        "bytes": lambda path: predictor(path.read_bytes()).scores,
        "file object": lambda path: predictor(io.BytesIO(path.read_bytes())).scores,
        "pipeline": lambda path: piped(str(path)),
        "cell": lambda path: piped({"bytes": path.read_bytes(), "path": path.name}),
        "row": row,
        "array": array,
        "reader": extracted,
    }


@pytest.fixture
def run(capsys, monkeypatch):
    """Function from words to status, standard output and standard error of the command line."""

    def call(*words):
        monkeypatch.setattr("sys.argv", ["av-emotion", *map(str, words)])
        status = 0
        try:
            cli.main()
        except SystemExit as end:
            status = end.code or 0
        return status, *capsys.readouterr()

    return call


@pytest.mark.parametrize(
    ("name", "tolerance"), [("mono.wav", 1e-4), ("stereo_same.wav", 1e-4), ("opposite_phase.wav", 0.02)]
)
def test_the_voice_is_heard_alike_on_every_road(cases, roads, name, tolerance):
    expected = roads["predictor"](cases / "mono.wav")
    for road, scores in roads.items():
        assert scores(cases / name) == pytest.approx(expected, abs=tolerance), road


def test_silence_has_no_emotion_on_any_road(cases, roads, run):
    for road, scores in roads.items():
        assert scores(cases / "silence.wav") == {}, road
    status, out, _ = run("predict", cases / "silence.wav", "--workers", "0", "--json")
    assert status == 0 and json.loads(out)["emotion"] is None


def test_sound_before_the_picture_is_kept(cases, tmp_path, run):
    path = cases / "late_video.mp4"
    assert len(open_clip(path).waveform) / 16000 == pytest.approx(4.0, abs=0.03)  # AAC fills its last block
    for modality in ("audio", "both"):
        inputs = av.ClipReader(modality, detector="mtcnn").read(str(path))
        assert len(inputs.waveform) / 16000 == pytest.approx(4.0, abs=0.03)
    status, _, _ = run("extract", path, "--modality", "audio", "--as", "descriptors", "--out", tmp_path / "t.csv")
    with open(tmp_path / "t.csv", newline="") as file:
        assert status == 0 and len(list(csv.DictReader(file))) == pytest.approx(400, abs=3)


def test_a_mirrored_video_is_seen_as_it_is_shown(cases):
    (_, upright), (_, mirrored) = (
        next(open_clip(cases / f"{name}.mp4").frames()) for name in ("upright", "mirror_hflip")
    )
    np.testing.assert_array_equal(mirrored, upright[:, :, ::-1])


def test_a_photograph_is_turned(cases):
    path = cases / "exif6.jpg"
    with Image.open(path) as stored:
        turned = (stored.width, stored.height)  # rows and columns are exchanged
    assert turned == (60, 40)
    for cell in ({"bytes": None, "path": str(path)}, {"bytes": path.read_bytes(), "path": None}):
        assert read_image(cell).shape[:2] == turned
    (_, frames) = next(open_clip(path).frames())
    assert frames.shape[1:3] == turned


def test_functionals_of_one_sample_are_not_a_number(cases, tmp_path, run):
    samples, rate = soundfile.read(cases / "one_sample.wav")
    values = av.acoustic_functionals(samples, rate)
    assert len(values) == 88 and all(np.isnan(value) for value in values.values())
    out = tmp_path / "t.csv"
    assert run("extract", cases / "one_sample.wav", "--modality", "audio", "--as", "functionals", "--out", out)[0] == 0
    with open(out, newline="") as file:
        (row,) = csv.DictReader(file)
    assert {value for name, value in row.items() if name != "clip"} == {"nan"} and row["clip"] == "one_sample.wav"


@pytest.mark.parametrize(
    ("name", "clips"),
    [
        ("wavs", ["happy/happy_1.wav", "sad/sad_1.wav"]),
        ("split_by_name", ["clip_happy_1.mp4", "clip_sad_1.mp4", "mic_test_1.mp4"]),
        ("sidecar_txt", ["a.mp4", "b.mp4"]),
        ("folder [1]", ["a.mp4", "b.mp4"]),
        ("meta_missing", ["a.mp4", "b.mp4"]),
        ("skipped_suffixes", ["a.mp4", "b.mts", "c.amr"]),
    ],
)
def test_a_folder_is_its_clips_for_every_command(cases, tmp_path, run, name, clips):
    folder = cases / name
    for number, streaming in enumerate(([], ["--streaming"])):
        out = tmp_path / str(number)
        status, _, _ = run("extract", folder, "--modality", "audio", "--workers", "0", "--out", out, *streaming)
        assert status == 0 and av.open_dataset(str(out))["clip"][:] == clips
    status, out, _ = run("predict", folder, "--workers", "0", "--json")
    assert status == 0 and [json.loads(line)["path"] for line in out.splitlines()] == [str(folder / c) for c in clips]
    status, _, _ = run(
        "extract", folder, "--modality", "audio", "--as", "functionals", "--out", tmp_path / "table.csv"
    )
    with open(tmp_path / "table.csv", newline="") as file:
        assert status == 0 and [row["clip"] for row in csv.DictReader(file)] == clips


def test_class_folders_train_and_score(cases, tmp_path, run):
    wavs, model = cases / "wavs", tmp_path / "model"
    assert run("finetune", wavs, "--modality", "audio", "--epochs", 1, "--out", model)[0] == 0
    for streaming in ([], ["--streaming"]):
        status, out, _ = run("evaluate", model, wavs, "--json", *streaming)
        result = json.loads(out)
        assert status == 0 and result["clips"] == 2 and result["labels"] == ["happy", "sad"]


def test_split_folders_stay_apart(cases):
    clips = {split: av.open_dataset(str(cases / "splits_merged"), split)["clip"][:] for split in ("train", "test")}
    assert clips == {
        "train": ["train/happy/a.mp4", "train/sad/c.mp4"],
        "test": ["test/happy/d.mp4", "test/sad/b.m4v"],
    }


def test_what_is_skipped_is_named(cases, caplog):
    av.open_dataset(str(cases / "meta_missing"))
    av.open_dataset(str(cases / "sidecar_txt"))
    assert "has no row for 1 file: b.mp4" in caplog.text and "skipped 2 files: a.txt, b.txt" in caplog.text


def test_clips_that_are_all_unreadable_are_one_line(cases, tmp_path, run):
    status, _, err = run(
        *("finetune", cases / "validation_unreadable.csv", "--modality", "audio", "--group-column", "speaker"),
        *("--validation-groups", "s2", "--epochs", 1, "--out", tmp_path / "model"),
    )
    (line,) = [line for line in err.splitlines() if line.startswith("av-emotion: ")]
    assert status == 2 and "Traceback" not in err
    assert "not one of the 2 clips of the" in line and "there is no such file" in line

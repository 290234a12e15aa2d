"""A row for each person in the picture, by the predictor, the pipeline, the reader and the commands."""

import json

import pytest
from helpers.synthetic import gray_frames, voice, write_clip
from transformers import pipeline

from av_emotion_hf import InputError, cli
from av_emotion_hf.data import ClipReader, reader
from av_emotion_hf.inference.predictor import EmotionPredictor

TASK = "audio-visual-emotion-recognition"


def by_label(scores):
    return {one["label"]: one["score"] for one in scores}


def test_each_person_has_a_prediction(clip, checkpoint):
    path = checkpoint()
    found = EmotionPredictor(path, person="all", device="cpu")(clip)
    assert [(one.person, one.modalities) for one in found] == [("person-1", ["image"]), ("person-2", ["image"])]
    assert [one.face_coverage for one in found] == [0.7, 0.6] and found[0].scores != found[1].scores
    for one in found:
        assert EmotionPredictor(path, person=one.person, device="cpu")(clip) == one
    largest = EmotionPredictor(path, device="cpu")(clip)
    assert largest.person == "person-1, person-2" and largest.modalities == ["audio", "image"]
    assert largest.face_coverage == 1.0


def test_the_voice_is_used_where_a_person_is_alone(clip, checkpoint):
    path = checkpoint()
    ann, bob = EmotionPredictor(path, person="all", window=1.0, device="cpu")(clip)
    assert ann.modalities == bob.modalities == ["audio", "image"]  # alone in the first, in the last second
    pipe = pipeline(TASK, model=path, device="cpu")
    rows = pipe(str(clip), person="all", window=1.0)
    assert [(row["start"], round(row["end"]), row["person"]) for row in rows] == [
        (0, 1, "person-1"), (1, 2, "person-1"), (1, 2, "person-2"), (2, 3, "person-1"), (2, 3, "person-2"),
        (3, 4, "person-2"),
    ]  # fmt: skip
    alone = pipe(str(clip), window=1.0)
    assert "person" not in alone[0]
    for row in (0, -1):
        assert by_label(rows[row]["scores"]) == pytest.approx(by_label(alone[row]["scores"]), abs=1e-6)
    assert by_label(rows[1]["scores"]) != pytest.approx(by_label(alone[1]["scores"]), abs=1e-3)


def test_the_pipeline_scores_each_person(clip, checkpoint):
    path = checkpoint()
    pipe = pipeline(TASK, model=path, device="cpu", person="all")
    rows = pipe(str(clip), top_k=2)
    predicted = EmotionPredictor(path, person="all", device="cpu")(clip)
    assert [row["person"] for row in rows] == [one.person for one in predicted]
    for row, one in zip(rows, predicted, strict=True):
        assert [each["label"] for each in row["scores"]] == list(one.scores)[:2]
        assert row["scores"][0]["score"] == pytest.approx(one.scores[one.emotion], abs=5.1e-5)
        assert pipe(str(clip), person=row["person"], top_k=2) == row["scores"]
    whole = pipe(str(clip), person="all", window="whole")
    assert [by_label(row["scores"]) for row in whole] == [by_label(row["scores"]) for row in pipe(str(clip))]
    assert pipe([str(clip)] * 2, batch_size=2, top_k=2) == [rows, rows]
    with pytest.warns(DeprecationWarning, match="speaker='size' is now person='largest'"):
        assert pipe(str(clip), speaker="size") == pipe(str(clip), person="largest")


def test_a_clip_without_a_person_is_one_row_of_the_voice(tmp_path, clip, checkpoint):
    empty = write_clip(tmp_path / "empty.mp4", gray_frames([20] * 10), 10, voice(1, 150), 16_000)
    sound = write_clip(tmp_path / "sound.wav", sound=voice(1, 150), rate=16_000, codecs=("", "pcm_s16le"))
    predictor = EmotionPredictor(checkpoint(), person="all", device="cpu")
    predictor.pipeline.windows._readers.clear()
    for path, detector in ((sound, None), (empty, "scripted")):
        if detector:
            reader.load_detector("auto").faces = [[]] * 44
        (row,) = predictor(path)
        assert (row.person, row.modalities, row.detector) == (None, ["audio"], detector)
    rows = predictor.pipeline(str(sound), person="all")
    assert [row["person"] for row in rows] == [None] and len(rows[0]["scores"]) == 3


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (
            "fusion",
            {"person": "person-9"},
            "person='person-9': nobody in the clip has this name; there are person-1, ",
        ),
        ("fusion", {"person": "Ann"}, "person='Ann': there is no such choice; use one of largest, speaking, all"),
        ("audio", {"person": "all"}, "person='all': .* hears voices and sees nobody; leave it out"),
        ("audio", {"person": "person-1"}, "person='person-1': .* hears voices and sees nobody"),
        ("fusion", {"person": "all", "baseline": "SAME"}, "a baseline is one person's"),
    ],
)
def test_what_cannot_be_is_one_line(clip, checkpoint, kind, options, message):
    options = {name: str(clip) if value == "SAME" else value for name, value in options.items()}
    with pytest.raises(InputError, match=message) as caught:
        EmotionPredictor(checkpoint(kind), device="cpu", **options)(clip)
    assert "\n" not in str(caught.value)
    pipe = pipeline(TASK, model=checkpoint(kind), device="cpu")
    with pytest.raises(ValueError, match=message.replace(".*", "the model")):
        pipe(str(clip), **options)


def test_a_baseline_of_one_of_several_persons(clip, checkpoint):
    predictor = EmotionPredictor(checkpoint(), person="person-2", baseline=str(clip), device="cpu")
    assert predictor(clip).baseline["clips"] == 1 and predictor(clip).person == "person-2"


def test_rows_of_a_dataset(clip):
    rows = list(ClipReader(person="all", window=1.0).rows({"video": str(clip), "emotion": "sad"}))
    assert [row["person"] for row in rows] == [f"person-{number}" for number in (1, 1, 2, 1, 2, 2)]
    assert [row["audio"] is None for row in rows] == [False, True, True, True, True, False]
    assert all(len(row["faces"]) == len(row["face_times"]) for row in rows) and rows[0]["emotion"] == "sad"
    assert "person" in ClipReader(person="person-1").features and "person" not in ClipReader().features
    with pytest.raises(InputError, match="there are person-1, person-2"):
        list(ClipReader(person="person-3").rows({"video": str(clip)}))
    with pytest.warns(DeprecationWarning):
        assert ClipReader(speaker="speech").options.person == "speaking"


@pytest.fixture
def command(capsys, monkeypatch):
    """Function from words to what `av-emotion` prints: status, standard output and error."""

    def call(*words):
        monkeypatch.setattr("sys.argv", ["av-emotion", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            cli.main()
            raise SystemExit(0)
        return (end.value.code or 0, *capsys.readouterr())

    return call


def test_the_commands_have_a_line_for_each_person(tmp_path, clip, checkpoint, command):
    words = ["predict", clip, "--checkpoint", checkpoint(), "--device", "cpu", "--workers", 0]
    code, out, _ = command(*words, "--person", "all")
    assert code == 0 and [line.split("\t")[:2] for line in out.splitlines()] == [
        [str(clip), "person-1"], [str(clip), "person-2"],
    ]  # fmt: skip
    _, out, _ = command(*words, "--person", "all", "--json")
    printed = [json.loads(line) for line in out.splitlines()]
    assert [row["person"] for row in printed] == ["person-1", "person-2"]
    assert "embedding" not in out and all(len(str(row)) < 600 for row in printed)
    code, out, _ = command(*words, "--person", "person-2")
    assert out.split("\t")[1] == "person-2" and len(out.splitlines()) == 1
    code, _, err = command(*words, "--person", "person-3")
    assert code == 2 and err.splitlines()[-1].endswith("there are person-1, person-2")
    _, new, _ = command(*words, "--person", "speaking")
    _, old, err = command(*words, "--speaker", "speech")
    assert old == new and "--speaker speech is now --person speaking; the old option works until 0.3" in err
    assert command(*words, "--speaker", "loud")[0] == 2
    (tmp_path / "takes.csv").write_text(f"path,who\n{clip},ann\n")
    code, _, err = command("predict", tmp_path / "takes.csv", "--group-column", "who", "--person", "all")
    assert code == 2 and "--person all finds several" in err

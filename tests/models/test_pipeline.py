import functools
import http.server
import io
import threading

import numpy as np
import pytest
import torch
from helpers.clean_room import run_clean
from helpers.synthetic import voice, write_clip
from PIL import Image
from transformers import pipeline
from transformers.pipelines.pt_utils import KeyDataset

import av_emotion_hf as av
from av_emotion_hf.hub import stage_remote_code
from av_emotion_hf.media import MemoryClip, open_clip, track_faces

TASK = "audio-visual-emotion-recognition"


@pytest.fixture
def parts(audio_config, image_config, config):
    """Models of each kind with drawn weights, and what prepares their input."""
    torch.manual_seed(0)
    given = {
        "feature_extractor": av.AVEmotionFeatureExtractor(),
        "image_processor": av.AVEmotionImageProcessor(size={"height": 32, "width": 32}),
    }
    return {
        "audio": (av.AVEmotionAudioForSequenceClassification(audio_config), {"feature_extractor"}),
        "image": (av.AVEmotionImageForSequenceClassification(image_config), {"image_processor"}),
        "fusion": (av.AVEmotionForSequenceClassification(config), set(given)),
    }, given


@pytest.fixture
def pipe(parts):
    """Function from a kind of model to a pipeline on the CPU."""
    models, given = parts
    for model, _ in models.values():
        model.eval()
        drawn = torch.Generator().manual_seed(1)
        torch.nn.init.normal_(model.classifier.weight, generator=drawn)
        for name, parameter in model.named_parameters():
            if "bias" in name:  # without them, a black frame that should not be there is nothing to the model
                torch.nn.init.normal_(parameter, std=0.5, generator=drawn)

    def make(kind, **options):
        model, needs = models[kind]
        return pipeline(TASK, model=model, device="cpu", **{name: given[name] for name in needs}, **options)

    return make


@pytest.fixture
def clip(waveforms):
    rng = np.random.default_rng(0)
    return {"waveform": waveforms[0][0].numpy(), "faces": rng.integers(0, 256, (5, 40, 40, 3), dtype=np.uint8)}


def expected(pipe, waveform, faces):
    """Scores by label, straight from the model."""
    inputs = {}
    if pipe.feature_extractor is not None:
        inputs |= pipe.feature_extractor(waveform, sampling_rate=16000, return_tensors="pt")
    if pipe.image_processor is not None:
        inputs |= pipe.image_processor([faces], return_tensors="pt")
    with torch.no_grad():
        scores = pipe.model(**inputs).logits.softmax(-1)[0]
    return {pipe.model.config.id2label[i]: score for i, score in enumerate(scores.tolist())}


def by_label(scores):
    return {one["label"]: one["score"] for one in scores}


@pytest.mark.parametrize("kind", ["audio", "image", "fusion"])
def test_scores_are_those_of_the_model_in_falling_order(pipe, clip, kind):
    emotions = pipe(kind)
    scores = emotions(clip)
    assert by_label(scores) == pytest.approx(expected(emotions, **clip), abs=1e-6)
    values = [one["score"] for one in scores]
    assert values == sorted(values, reverse=True) and sum(values) == pytest.approx(1)
    assert emotions(clip, top_k=2) == scores[:2] and emotions(clip, top_k=9) == scores
    assert pipe(kind, top_k=1)(clip) == scores[:1]


def test_a_waveform_alone_and_faces_alone(pipe, clip):
    emotions, nothing = pipe("fusion"), np.zeros((0, 40, 40, 3), np.uint8)
    alone = expected(emotions, clip["waveform"], nothing)
    for given in (clip["waveform"], torch.from_numpy(clip["waveform"]), {"array": clip["waveform"]}):
        assert by_label(emotions(given)) == pytest.approx(alone, abs=1e-6)
    seen = expected(emotions, np.zeros(0, np.float32), clip["faces"])
    pictures = [Image.fromarray(face) for face in clip["faces"]]
    encoded = []
    for picture in pictures:
        picture.save(file := io.BytesIO(), format="PNG")
        encoded.append({"bytes": file.getvalue(), "path": None})
    for faces in (clip["faces"], list(clip["faces"]), pictures, encoded):
        assert by_label(emotions({"faces": faces})) == pytest.approx(seen, abs=1e-6)
    assert pipe("audio")({"faces": clip["faces"], "waveform": np.zeros(0, np.float32)}) == []  # nothing that it hears


def test_faces_are_found_in_frames(pipe, clip, paste_faces):
    frames = np.stack([paste_faces((60 + 5 * i, 30, 150)) for i in range(6)])
    emotions = pipe("image", detector="mtcnn")
    scores = emotions({"frames": frames, "fps": 10})
    faces = track_faces(MemoryClip(frames, np.arange(6) / 10), "mtcnn").crops
    assert len(faces) == 6 and by_label(scores) == pytest.approx(expected(emotions, None, faces), abs=1e-6)
    assert emotions({"frames": np.full_like(frames, 90)}) == []


def test_another_sampling_rate_is_resampled(pipe):
    time = np.arange(24000) / 24000
    tone = (0.3 * np.sin(2 * np.pi * 200 * time)).astype(np.float32)
    same = (0.3 * np.sin(2 * np.pi * 200 * np.arange(16000) / 16000)).astype(np.float32)
    emotions = pipe("audio")
    got = emotions({"raw": tone, "sampling_rate": 24000})
    assert by_label(got) == pytest.approx(by_label(emotions(same)), abs=0.02)


def test_a_list_and_batches_give_what_single_clips_give(pipe, clip):
    emotions = pipe("fusion")
    clips = [
        clip,
        {"waveform": clip["waveform"][:3000]},
        {"faces": clip["faces"][:2]},
        {"waveform": clip["waveform"][:700], "faces": clip["faces"][:1]},
    ]
    single = [emotions(one) for one in clips]
    for size in (1, 3, 8):
        together = emotions(clips, batch_size=size)
        for got, alone in zip(together, single, strict=True):
            assert by_label(got) == pytest.approx(by_label(alone), abs=1e-4)
    rows = [{"clip": one} for one in clips]
    assert list(emotions(KeyDataset(rows, "clip"))) == single
    assert list(emotions(one for one in clips)) == single
    assert emotions([]) == []


def test_windows_have_times_and_scores_of_their_own(pipe, clip):
    emotions = pipe("fusion")
    waveform = np.resize(clip["waveform"], 36000)  # 2.25 seconds: two windows, the second with the rest
    faces, times = np.resize(clip["faces"], (9, 40, 40, 3)), [0.0, 0.3, 0.6, 0.9, 1.0, 1.3, 1.6, 2.0, 2.2]
    given = {"waveform": waveform, "faces": faces, "face_times": times}
    for size in (1, 2):
        first, second = emotions(given, window=1.0, batch_size=size)
        assert (first["start"], first["end"], second["start"], second["end"]) == (0.0, 1.0, 1.0, 2.25)
        alone = {"waveform": waveform[:16000], "faces": faces[:4]}, {"waveform": waveform[16000:], "faces": faces[4:]}
        for window, part in zip((first, second), alone, strict=True):
            assert by_label(window["scores"]) == pytest.approx(by_label(emotions(part)), abs=1e-4)
            assert sum(window["modality_shares"].values()) == pytest.approx(1, abs=1e-3)
        assert first["modality_shares"] != second["modality_shares"]
    several = emotions([given, given], window=0.5, top_k=1, batch_size=3)
    assert [len(windows) for windows in several] == [5, 5]
    assert all(len(window["scores"]) == 1 for windows in several for window in windows)
    assert emotions({"waveform": np.zeros(0, np.float32)}, window=1.0) == [{"start": 0.0, "end": 0.0, "scores": []}]


@pytest.fixture
def file(tmp_path):
    """A clip of 2.5 seconds with a voice-like sound and gray pictures, without a face."""
    frames = [np.full((96, 128, 3), 90, np.uint8)] * 25
    return write_clip(tmp_path / "clip.mp4", frames, fps=10, sound=voice(2.5, 150), rate=16_000)


@pytest.mark.slow
def test_paths_bytes_and_addresses_are_read(pipe, file):
    emotions = pipe("fusion", detector="mtcnn")
    waveform = open_clip(file).waveform
    alone = by_label(emotions(waveform))
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=file.parent)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    try:
        content = {"bytes": file.read_bytes(), "path": None}
        for given in (file, str(file), file.read_bytes(), {"path": str(file)}, content, f"{address}/clip.mp4"):
            assert by_label(emotions(given)) == pytest.approx(alone, abs=1e-5)
        with pytest.raises(ValueError, match=r"missing\.mp4: cannot be (read|downloaded) .*404"):
            emotions(f"{address}/missing.mp4")
    finally:
        server.shutdown()
    windows = emotions(str(file), window=1.0)
    times = [(one["start"], one["end"]) for one in windows]
    assert times == [(0.0, 1.0), (1.0, 2.0), (2.0, pytest.approx(2.5, abs=0.1))]  # AAC fills its last frame
    assert pipe("image", detector="mtcnn")(str(file)) == []  # there is no face


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"wave": [0.0]}, "a clip with the keys .*give 'path', or 'waveform' and 'faces'"),
        (np.zeros((2, 30), np.float32), r"a waveform of shape \(2, 30\)"),
        (np.arange(100), "type int64, values 0 to 99: this type has no full scale"),
        (np.zeros((5, 8, 8, 3), np.uint8), r"a clip of shape \(5, 8, 8, 3\), .*images are given as \{'faces': ...\}"),
        ({"waveform": np.zeros(100), "sampling_rate": 0}, "sampling_rate=0: has to be a whole number of Hz"),
        ({"faces": np.zeros((3, 8, 8, 3)) - 1}, "face crops of shape .*: negative pixels look normalized"),
        ({"faces": np.zeros((3, 8, 8, 3), np.uint8), "fps": 0}, "fps=0: has to be a positive number"),
        ({"faces": np.zeros((3, 8, 8, 3), np.uint8), "face_times": [0, 2, 1]}, r"face_times\[2\] = 1: has to be"),
        ([{"path": "a.mp4"}, None], "a.mp4"),
        ({"file": 3}, "a clip of type int: give a path, bytes, a waveform"),
        ({"faces": np.zeros((3, 8, 8, 3), np.uint8), "face_times": [0.0]}, "3 face crops and 1 face_times"),
        ("nowhere.mp4", "nowhere.mp4"),
    ],
)
def test_what_cannot_be_used_is_named(pipe, given, message):
    with pytest.raises(ValueError, match=message):
        pipe("fusion")(given)


def test_settings_out_of_range_are_named(pipe, clip):
    emotions = pipe("audio")
    with pytest.raises(ValueError, match="top_k=0"):
        emotions(clip, top_k=0)
    with pytest.raises(ValueError, match="window=-1"):
        emotions(clip, window=-1)
    with pytest.raises(TypeError, match="unknown argument 'windows'"):
        emotions(clip, windows=3)


def test_a_model_without_what_it_needs_is_named(parts, audio_config):
    models, given = parts
    with pytest.raises(ValueError, match="needs an image processor"):
        av.AVEmotionPipeline(models["fusion"][0], feature_extractor=given["feature_extractor"], device="cpu")
    with pytest.raises(ValueError, match="has no classification head"):
        av.AVEmotionPipeline(av.AVEmotionAudioModel(audio_config), device="cpu", **given)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_gives_nearly_the_same_scores(pipe, clip, tmp_path, dtype):
    whole = pipe("fusion")
    whole.save_pretrained(tmp_path)
    half = pipeline(TASK, model=str(tmp_path), dtype=dtype, device="cpu")
    assert (
        half.model.classifier.weight.dtype == dtype and half.model.audio_encoder.frontend.gain.dtype == torch.float32
    )
    assert by_label(half(clip)) == pytest.approx(by_label(whole(clip)), abs=0.02)


@pytest.mark.parametrize("kind", ["audio", "image", "fusion"])
def test_what_is_saved_loads_again(pipe, clip, tmp_path, kind):
    emotions = pipe(kind)
    emotions.save_pretrained(tmp_path)
    again = pipeline(TASK, model=str(tmp_path), device="cpu")
    assert again(clip) == emotions(clip)
    names = {path.name for path in tmp_path.glob("*.json")}
    assert ("processor_config.json" in names) == (kind == "fusion") != ("preprocessor_config.json" in names)


def test_the_audio_pipeline_of_transformers_takes_our_checkpoint(pipe, clip, tmp_path):
    emotions = pipe("audio")
    emotions.save_pretrained(tmp_path)
    theirs = pipeline("audio-classification", model=str(tmp_path), device="cpu", top_k=None)
    assert theirs(clip["waveform"]) == emotions(clip["waveform"])
    assert theirs({"raw": clip["waveform"], "sampling_rate": 16000}) == emotions(clip["waveform"])
    several = [clip["waveform"], clip["waveform"][:3000]]
    for got, alone in zip(theirs(several, batch_size=2), map(emotions, several), strict=True):
        assert by_label(got) == pytest.approx(by_label(alone), abs=1e-4)


ELSEWHERE = """
import json, sys
from transformers import pipeline

for kind in ("audio", "image"):
    emotions = pipeline("audio-visual-emotion-recognition", model=kind, trust_remote_code=True, device="cpu")
    for clip in ("clip.mp4", "clip.wav"):
        try:
            print(json.dumps(emotions(clip)))
        except ValueError as error:
            print(error)
"""


@pytest.mark.slow
def test_without_the_package_a_path_is_read_by_what_is_there(pipe, file, tmp_path):
    import json

    import soundfile

    waveform = open_clip(file).waveform
    soundfile.write(tmp_path / "clip.wav", waveform, 16000, subtype="FLOAT")
    for kind in ("audio", "image"):
        pipe(kind).save_pretrained(tmp_path / kind)
        stage_remote_code(tmp_path / kind)
    alone = by_label(pipe("audio")(waveform))

    def run(*more):
        folder = tmp_path / "-".join(("room", *more))
        folder.mkdir()
        for name in ("audio", "image", "clip.mp4", "clip.wav"):
            (folder / name).symlink_to(tmp_path / name)
        return run_clean(ELSEWHERE, folder, *more).splitlines()

    nothing = run()
    assert len(nothing) == 4 and all("nothing that is installed here" in line for line in nothing)
    assert all("pip install av-emotion-hf" in line for line in nothing)
    soundfile_only = run("soundfile")
    assert "soundfile cannot read it" in soundfile_only[0] and "pip install av" in soundfile_only[0]
    assert by_label(json.loads(soundfile_only[1])) == pytest.approx(alone, abs=1e-5)
    both = run("av")
    assert by_label(json.loads(both[0])) == pytest.approx(alone, abs=0.01)
    assert by_label(json.loads(both[1])) == pytest.approx(alone, abs=1e-4)
    assert "finds the face" in both[2]

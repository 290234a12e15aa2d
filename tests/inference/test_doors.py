"""The same voice and the same face give the same scores in whatever form they come in."""

import io

import datasets
import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from PIL import Image
from transformers import AutoModelForVideoClassification, AutoProcessor, pipeline
from transformers.pipelines.pt_utils import KeyDataset

import av_emotion_hf as av

TASK = "audio-visual-emotion-recognition"
SAME, RESAMPLED = 1e-5, 0.02  # of a score; files and arrays of another rate are resampled by different libraries


@pytest.fixture(scope="module")
def pipe():
    return pipeline(TASK, model=av.DEFAULT_CHECKPOINT, device="cpu")


@pytest.fixture(scope="module")
def predictor():
    return av.EmotionPredictor(av.DEFAULT_CHECKPOINT, device="cpu", detector="mtcnn")


@pytest.fixture(scope="module")
def by_hand():
    """Function from waveforms and clips of face crops to scores by label, with processor and model."""
    processor = AutoProcessor.from_pretrained(av.DEFAULT_CHECKPOINT)
    model = AutoModelForVideoClassification.from_pretrained(av.DEFAULT_CHECKPOINT).eval()

    def call(audio, images):
        with torch.no_grad():
            scores = model(**processor(audio=audio, images=images, return_tensors="pt")).logits.softmax(-1)
        return [dict(zip(model.config.id2label.values(), row, strict=True)) for row in scores.tolist()]

    return call


def spoken(rate=16000):
    """1.5 seconds of a voice without anything above 3.4 kHz, so that every rate holds it; in steps of 16 bits."""
    time = np.arange(round(1.5 * rate)) / rate
    pitch = 170 * time + 12 * np.sin(2 * np.pi * 1.3 * time)
    sound = sum(np.cos(2 * np.pi * k * pitch + k * k) / k for k in range(1, 17))
    return np.round(0.1 * sound * (1.2 + np.sin(2 * np.pi * 2 * time)) * 32768) / 32768


def by_label(scores):
    return {one["label"]: one["score"] for one in scores}


def wav(sound, rate=16000, subtype="PCM_16"):
    soundfile.write(file := io.BytesIO(), sound, rate, format="WAV", subtype=subtype)
    return file.getvalue()


def sounds(folder):
    """Name, form, and how far its scores may be from those of the others."""
    sound = spoken()
    wide, content = np.stack([sound, sound]), wav(sound)
    (folder / "voice.wav").write_bytes(content)
    soundfile.write(folder / "stereo.flac", wide.T, 16000, subtype="PCM_16")
    path = folder / "voice.wav"
    single, whole = sound.astype(np.float32), (sound * 32768).astype(np.int16)
    decoded = {"array": sound, "sampling_rate": 16000, "path": str(path)}
    yield "path", str(path), SAME
    yield "PathLike", path, SAME
    yield "path in an array", np.array(str(path)), SAME
    yield "bytes", content, SAME
    yield "bytearray", bytearray(content), SAME
    yield "memoryview", memoryview(content), SAME
    yield "BytesIO", io.BytesIO(content), SAME
    yield "open file", path.open("rb"), SAME
    yield "float file", wav(sound, subtype="FLOAT"), SAME
    yield "stereo file", folder / "stereo.flac", SAME
    yield "cell with bytes", {"audio": {"bytes": content, "path": None}}, SAME
    yield "cell with path", {"audio": {"bytes": None, "path": str(path)}}, SAME
    yield "cell alone", {"bytes": content, "path": "elsewhere.wav"}, SAME
    yield "audio as path", {"audio": path}, SAME
    yield "audio as file", {"audio": io.BytesIO(content)}, SAME
    yield "row", {"file": str(path), "emotion": "sad", "audio": None}, SAME
    yield "row with video", {"video": {"bytes": content, "path": None}, "audio": decoded}, SAME
    yield "decoded cell", {"audio": decoded}, SAME
    yield "decoded", decoded, SAME
    for kind in (np.float32, np.float64):
        yield np.dtype(kind).name, sound.astype(kind), SAME
    yield "big endian", sound.astype(">f4"), SAME
    yield "int16", whole, SAME
    yield "int32", whole.astype(np.int32) * 65536, SAME
    yield "float16", sound.astype(np.float16), 0.02
    yield "tensor", torch.from_numpy(single).requires_grad_(), SAME
    yield "int16 tensor", torch.from_numpy(whole), SAME
    yield "list", single.tolist(), SAME
    yield "tuple", tuple(single.tolist()), SAME
    yield "channels first", wide, SAME
    yield "channels last", wide.T, SAME
    yield "tensor of torchaudio", torch.from_numpy(wide), SAME
    yield "one channel first", single[None], SAME
    yield "one channel last", single[:, None], SAME
    yield "batch of one", torch.from_numpy(single)[None, None], SAME
    yield "scipy", (16000, whole), SAME
    yield "scipy stereo", (np.int64(16000), (wide.T * 32768).astype(np.int16)), SAME
    yield "soundfile", (sound, 16000), SAME
    yield "torchaudio", (torch.from_numpy(wide), 16000.0), SAME
    yield "pair in a dict", {"audio": (16000, whole)}, SAME
    yield "pair and rate", {"waveform": (whole, 16000), "sampling_rate": np.array(16000)}, SAME
    for rate in (8000, 22050, 44100, 48000, 96000):
        other = spoken(rate)
        tolerance = 0.1 if rate < 16000 else RESAMPLED  # half of the band is missing
        yield f"file of {rate} Hz", wav(other, rate), tolerance
        yield f"{rate} Hz", {"raw": other, "sampling_rate": rate}, tolerance
        yield f"pair of {rate} Hz", (np.int32(rate), np.stack([other, other])), tolerance


@pytest.mark.slow
def test_a_voice_is_the_same_in_every_form(tmp_path, pipe, predictor):
    expected = by_label(pipe(spoken()))
    half = by_label(pipe(spoken() / 8))
    assert max(abs(half[name] - expected[name]) for name in half) > RESAMPLED  # the scale is seen
    for name, given, tolerance in sounds(tmp_path):
        assert by_label(pipe(given)) == pytest.approx(expected, abs=tolerance), name
    coarse = np.round(spoken() * 128)
    for given in ((coarse + 128).astype(np.uint8), wav(coarse / 128, subtype="PCM_U8")):
        assert by_label(pipe(given)) == pytest.approx(by_label(pipe(coarse / 128)), abs=SAME)
    for name, given, tolerance in sounds(tmp_path):
        found = predictor(given)
        assert found.scores == pytest.approx(expected, abs=tolerance + 5.1e-5), name
        assert found.modalities == ["audio"] and found.duration == 1.5, name


@pytest.mark.slow
def test_a_voice_is_the_same_to_processor_and_model(pipe, by_hand):
    sound, nothing = spoken(), np.zeros((0, 8, 8, 3), np.uint8)
    expected, whole = by_label(pipe(sound)), (sound * 32768).astype(np.int16)
    forms = [sound, sound.astype(np.float32), whole, sound.tolist(), torch.from_numpy(sound), (16000, whole)]
    forms += [np.stack([whole, whole]).T, np.stack([whole, whole]).T[None], [np.stack([whole, whole])]]
    forms += [[sound], [(sound, 16000)], sound[None]]
    for number, given in enumerate(forms):
        (found,) = by_hand(given, nothing)
        assert found == pytest.approx(expected, abs=SAME), number
    several = by_hand(np.stack([whole, whole // 8]), [nothing, nothing])  # of the convention, a batch
    assert several[0] == pytest.approx(expected, abs=SAME)
    assert several[1] == pytest.approx(by_label(pipe(whole // 8)), abs=SAME)


def encoded(picture, kind="PNG"):
    Image.fromarray(picture).save(file := io.BytesIO(), format=kind)
    return file.getvalue()


def images(clip, gray, folder):
    """Name and form of a clip (Tv, H, W, 3) in color, or of a gray one (Tv, H, W)."""
    unit, alpha = clip / 255, np.full((*clip.shape[:3], 1), 7, np.uint8)
    pictures = [Image.fromarray(crop) for crop in clip]
    for number, crop in enumerate(clip):
        (folder / f"{number}.png").write_bytes(encoded(crop))
    yield "uint8", clip
    yield "list", list(clip)
    yield "tuple", tuple(clip)
    yield "nested lists", clip[:, ::8, ::8].tolist()
    for kind in (np.float16, np.float32, np.float64):
        yield f"{np.dtype(kind)} to 1", unit.astype(kind)
        yield f"{np.dtype(kind)} to 255", clip.astype(kind)
    yield "list of floats", list(unit)
    yield "int64", clip.astype(np.int64)
    yield "uint16", clip.astype(np.uint16) * 257
    yield "tensor", torch.from_numpy(clip)
    yield "tensor, channels first", torch.from_numpy(unit).permute(0, 3, 1, 2).requires_grad_()
    yield "tensors, channels first", list(torch.from_numpy(clip).permute(0, 3, 1, 2))
    yield "bfloat16", torch.from_numpy(clip.astype(np.float32)).bfloat16()
    yield "RGBA", np.concatenate([clip, alpha], axis=-1)
    yield "RGBA, channels first", np.concatenate([clip, alpha], axis=-1).transpose(0, 3, 1, 2)
    yield "Pillow", pictures
    yield "Pillow RGBA", [Image.fromarray(np.concatenate([clip, alpha], axis=-1)[i]) for i in range(len(clip))]
    yield "bytes", [encoded(crop) for crop in clip]
    yield "cells", [{"bytes": encoded(crop), "path": None} for crop in clip]
    yield "cells with paths", [{"bytes": None, "path": str(folder / f"{i}.png")} for i in range(len(clip))]
    yield "paths", [folder / f"{i}.png" for i in range(len(clip))]
    yield "open files", [io.BytesIO(encoded(crop)) for crop in clip]
    yield "mixed", [clip[0], pictures[1], torch.from_numpy(unit[2]).permute(2, 0, 1), *list(clip[3:])]
    for name, crops in {
        "(Tv, H, W)": gray,
        "(Tv, H, W, 1)": gray[..., None],
        "(Tv, 1, H, W)": gray[:, None],
        "list of (H, W)": list(gray),
        "list of (1, H, W) to 1": list(gray[:, None] / 255),
        "gray of Pillow": [Image.fromarray(crop) for crop in gray],
        "16 bits of Pillow": [Image.fromarray(crop.astype(np.uint16) * 257) for crop in gray],
    }.items():
        yield f"gray: {name}", crops


@pytest.fixture
def crops(face):
    """A black crop and four of a face that gets darker, in color (5, 80, 80, 3) and gray (5, 80, 80)."""
    small = face[::2, ::2]
    clip = np.stack([small * 0, *(small // (1 + i) for i in range(4))]).astype(np.uint8)
    return clip, clip[..., 1]


@pytest.mark.slow
def test_a_face_is_the_same_in_every_form(tmp_path, crops, pipe, predictor, by_hand):
    clip, gray = crops
    references = {"": clip, "gray": gray[..., None].repeat(3, axis=-1), "nested lists": clip[:, ::8, ::8]}
    expected = {name: by_label(pipe({"faces": given})) for name, given in references.items()}
    scores = expected[""]
    wrong = by_label(pipe({"faces": clip // 255}))
    assert max(abs(wrong[name] - scores[name]) for name in scores) > 0.01  # the scale is seen
    silence = np.zeros(16000, np.float32)
    roads = {
        "pipeline": lambda given: by_label(pipe({"faces": given})),
        "predictor": lambda given: predictor({"images": given}).scores,
        "processor": lambda given: by_hand(silence, given)[0],
    }
    for road, scores_of in roads.items():
        for name, given in images(*crops, tmp_path):
            reference = name if name in expected else name.partition(":")[0] if name.startswith("gray") else ""
            tolerance = (0.05 if name == "bfloat16" else SAME) + (5.1e-5 if road == "predictor" else 0)
            assert scores_of(given) == pytest.approx(expected[reference], abs=tolerance), (road, name)
    for one in (clip[1], clip[1].transpose(2, 0, 1), clip[1] / 255, Image.fromarray(clip[1]), encoded(clip[1])):
        assert by_label(pipe({"faces": one})) == pytest.approx(by_label(pipe({"faces": clip[1:2]})), abs=SAME)


@pytest.mark.slow
def test_a_face_is_found_in_frames_of_every_form(tmp_path, paste_faces, pipe):
    frames = np.stack([paste_faces((60 + 5 * i, 30, 150)) for i in range(4)])[:, ::2, ::2]
    frames = np.concatenate([np.zeros_like(frames[:1]), frames])
    gray = frames[..., 1]
    expected = {
        "": by_label(pipe({"frames": frames}, detector="mtcnn")),
        "gray": by_label(pipe({"frames": gray[..., None].repeat(3, axis=-1)}, detector="mtcnn")),
    }
    assert expected[""] and expected["gray"]
    for name, given in images(frames, gray, tmp_path):
        if name not in ("nested lists", "bfloat16"):
            scores = expected["gray" if name.startswith("gray:") else ""]
            assert by_label(pipe({"frames": given}, detector="mtcnn")) == pytest.approx(scores, abs=SAME), name


@pytest.mark.slow
def test_voice_and_face_together(tmp_path, crops, pipe, predictor, by_hand):
    sound, content = spoken(), wav(spoken())
    expected = by_label(pipe({"waveform": sound, "faces": crops[0]}))
    (tmp_path / "voice.wav").write_bytes(content)
    cells = [{"bytes": encoded(crop), "path": None} for crop in crops[0]]
    for given in (
        {"audio": {"bytes": content, "path": None}, "faces": cells},
        {"audio": tmp_path / "voice.wav", "crops": crops[0] / 255, "fps": 5},
        {"path": str(tmp_path / "voice.wav"), "faces": crops[0], "face_times": [0, 0.1, 0.2, 0.3, 0.5]},
        {"audio": (16000, (sound * 32768).astype(np.int16)), "images": list(crops[0])},
    ):
        assert by_label(pipe(given)) == pytest.approx(expected, abs=SAME)
        assert predictor(given).modalities == ["audio", "image"]
    assert by_hand(sound, crops[0])[0] == pytest.approx(expected, abs=SAME)


@pytest.mark.slow
def test_silence_is_nothing_on_every_road(tmp_path, crops, pipe, predictor, by_hand):
    silence, content = np.zeros(16000, np.float32), wav(np.zeros(16000))
    (tmp_path / "silence.wav").write_bytes(content)
    quiet = np.full(16000, 0.9e-4)
    cell = {"audio": {"bytes": content, "path": None}}
    forms = [silence, quiet, cell, tmp_path / "silence.wav", np.zeros(16000, np.int16), (8000, silence)]
    forms += [{"audio": {"bytes": None, "path": None}}, np.zeros(16000, np.int32), np.full(16000, 128, np.uint8)]
    for given in forms:
        assert pipe(given) == [] and predictor(given).emotion is None
    seen = by_label(pipe({"faces": crops[0]}))
    for given in (silence, quiet, np.zeros(0)):
        assert by_hand([given], [crops[0]])[0] == pytest.approx(seen, abs=SAME)
        assert by_label(pipe({"waveform": given, "faces": crops[0]})) == pytest.approx(seen, abs=SAME)


@pytest.mark.slow
def test_several_clips_in_whatever_holds_them(tmp_path, pipe):
    paths = []
    for number, sound in enumerate((spoken(), spoken()[8000:], np.zeros(8000))):
        paths.append(str(tmp_path / f"{number}.wav"))
        soundfile.write(paths[-1], sound, 16000)
    expected = [pipe(path) for path in paths]
    rows = [{"audio": path, "emotion": "sad"} for path in paths]
    table = datasets.Dataset.from_list(rows).cast_column("audio", datasets.Audio())
    files = datasets.Dataset.from_dict({"file": paths})
    lists = [paths, tuple(paths), np.array(paths), np.array(paths, object), np.array(paths, "S"), pd.Series(paths)]
    lists += [dict.fromkeys(paths), pd.DataFrame({"file": paths})]
    for given in lists:
        given = given.keys() if isinstance(given, dict) else given
        assert pipe(given) == expected, type(given)
    streams = [table, table.to_iterable_dataset(), table["audio"], files["file"], files, KeyDataset(table, "audio")]
    streams += [KeyDataset(files, "file"), (path for path in paths), iter(paths), files.to_iterable_dataset()]
    for given in streams:
        found = pipe(given)
        assert not isinstance(found, list) and list(found) == expected, type(given)
    assert pipe(pd.Series(spoken())) == pipe(spoken())  # numbers are one clip
    assert pipe([spoken().tolist(), (16000, spoken())]) == [pipe(spoken())] * 2


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["a.wav", "b.wav"], "several clips, as list"),
        ([], "several clips, as list"),
        (("a.wav", "b.wav"), "several clips, as tuple"),
        (np.array(["a.wav"]), "several clips, as ndarray"),
        (
            datasets.Dataset.from_dict({"file": ["a.wav"]}),
            "several clips, as Dataset: here one is predicted at a time",
        ),
        (np.zeros((2, 1), object), r"shape \(2, 1\), type object: give paths of clips"),
        (np.full(100, 3.0), "its peak is 3; divide 16-bit samples by 32768"),
        (3, "a clip of type int: give a path"),
        (None, "a clip of type NoneType: give a path"),
        (io.StringIO("text"), "is open as text; open it with mode 'rb'"),
        ({"faces": np.zeros((2, 8, 8, 3), np.uint8), "fps": "10"}, "fps='10': has to be a positive number"),
    ],
)
def test_what_the_predictor_cannot_use_is_an_input_error(predictor, given, message):
    with pytest.raises(av.InputError, match=message) as error:
        predictor(given)
    assert "\n" not in str(error.value)

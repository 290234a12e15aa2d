import numpy as np
import pyarrow as pa
import pytest
import torch
from transformers import WhisperConfig

import av_emotion_hf as av
from av_emotion_hf.data import FeatureReader
from av_emotion_hf.data.extraction import ClipTask
from av_emotion_hf.data.features import decode_frames, encode_frames
from av_emotion_hf.errors import InputError


@pytest.mark.parametrize("shape", [(4, 3), (1, 1), (0, 3)])
def test_frames_in_arrow_are_what_lists_would_be(shape):
    frames = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    expected = pa.array([frames.tolist()], pa.list_(pa.list_(pa.float32())))
    assert encode_frames(frames).equals(expected) and encode_frames(frames).type == expected.type
    (decoded,) = decode_frames(encode_frames(frames))
    assert decoded.tolist() == frames.tolist()


@pytest.mark.parametrize("width", [-1, 2])
def test_frames_of_a_part_of_a_column_are_read(width):
    rows = [[[1, 2], [3, 4]], [], None, [[5, 6]], [[7, 8], [9, 10], [11, 12]]]
    column = pa.array(rows, pa.list_(pa.list_(pa.float32(), width)))
    assert [frames.tolist() for frames in decode_frames(column)] == [row or [] for row in rows]
    assert [frames.tolist() for frames in decode_frames(column.slice(1, 3))] == [[], [], [[5, 6]]]
    assert decode_frames(column.slice(0, 0)) == []


def test_frames_of_different_width_are_refused():
    column = pa.array([[[1.0, 2.0]], [[1.0, 2.0, 3.0]]], pa.list_(pa.list_(pa.float32())))
    with pytest.raises(InputError, match="one column has frames with 2 and with 3 values; extract it again"):
        decode_frames(column)


@pytest.fixture
def reader(config):
    torch.manual_seed(0)
    model = av.AVEmotionModel(config).eval()
    processor = av.AVEmotionImageProcessor(size={"height": 32, "width": 32})
    return FeatureReader(model.audio_encoder, model.image_encoder, processor)


def test_a_clip_without_a_modality_has_no_frames(reader):
    features = reader(np.zeros(0, np.float32), [])
    assert {name: frames.shape for name, frames in features.items()} == {
        "input_features": (0, reader.audio_model.num_features),
        "image_features": (0, reader.image_model.num_features),
    }


def test_crops_may_be_a_list_or_an_array(reader, face):
    crops = np.stack([face, face[::-1]])
    features = [reader(np.zeros(0, np.float32), given)["image_features"] for given in (crops, list(crops))]
    assert features[0].shape == (2, reader.image_model.num_features) and features[0].dtype == np.float32
    np.testing.assert_array_equal(*features)


def test_only_the_audio_has_undefined_cells(reader):
    assert reader.defined_cells("image_features") is None
    frames = torch.zeros(2, reader.audio_model.num_features)
    defined = reader.defined_cells("input_features")(frames)
    assert defined.shape == frames.shape and defined.any() and not defined.all()  # of unvoiced frames


def test_features_are_written_as_arrays(reader, tmp_path, face, monkeypatch):
    """The file has the same rows as one that is made from Python numbers."""
    row = {"speaker": "a", "duration": 1.0, "audio": None, "faces": []}
    from datasets import Features, Value

    columns = Features({"speaker": Value("string"), "duration": Value("float32"), **reader.features})
    task = ClipTask(None, reader, columns, tmp_path)
    frames = np.random.default_rng(0).normal(size=(5, reader.image_model.num_features)).astype(np.float32)
    monkeypatch.setattr(FeatureReader, "__call__", lambda *_: {"input_features": frames[:0], "image_features": frames})
    task(("name", row), lambda: None)
    (batch,) = task.batches("name")
    cells = {"speaker": "a", "duration": 1.0, "input_features": [], "image_features": frames.tolist()}
    assert batch.equals(pa.RecordBatch.from_pylist([cells], schema=columns.arrow_schema))
    assert [path.name for path in tmp_path.iterdir()] == ["name.arrow"]


def test_states_of_a_speech_encoder_follow_the_descriptors():
    whisper = WhisperConfig(d_model=16, encoder_layers=1, encoder_attention_heads=2, encoder_ffn_dim=32)
    model = av.AVEmotionAudioModel(av.AVEmotionAudioConfig(backbone_config=whisper.to_dict(), num_mel_bins=8)).eval()
    reader, waveform = FeatureReader(model), np.random.default_rng(0).normal(0, 0.1, 4000).astype(np.float32)
    assert reader.features["num_descriptors"].dtype == "int32"
    found, silent = reader(waveform, []), reader(np.zeros(0, np.float32), [])
    descriptors, _ = model.frontend.descriptors(torch.from_numpy(waveform)[None])
    assert found["num_descriptors"] == silent["num_descriptors"] == descriptors.shape[-1] == 28
    np.testing.assert_array_equal(found["input_features"][:, :28], descriptors[0].detach())
    assert found["input_features"].shape == (13, 28 + 16) and found["input_features"][:, 28:].std() > 0


@pytest.fixture
def checkpoints(build, tmp_path):
    """Folders of an audio and an image classifier with their processors."""
    parts = {
        "audio": (av.AVEmotionAudioForSequenceClassification, av.AVEmotionFeatureExtractor()),
        "image": (av.AVEmotionImageForSequenceClassification, av.AVEmotionImageProcessor()),
    }
    for name, (model_class, processor) in parts.items():
        build(model_class).save_pretrained(tmp_path / name)
        processor.save_pretrained(tmp_path / name)
    return [str(tmp_path / name) for name in parts]


def test_each_encoder_comes_from_the_checkpoint_that_has_it(checkpoints):
    both = FeatureReader.from_checkpoints("both", checkpoints)
    assert both.features.keys() == {"input_features", "image_features"}
    for modality, column, path in zip(("audio", "image"), both.features, checkpoints, strict=True):
        alone = FeatureReader.from_checkpoints(modality, checkpoints)
        assert alone.features.keys() == {column}
        model = getattr(alone, f"{modality}_model")
        assert not model.training and (alone.image_processor is None) == (modality == "audio")
        assert (
            alone.settings[column]
            == both.settings[column]
            == FeatureReader.from_checkpoints(modality, [path]).settings[column]
        )


def test_audio_needs_no_checkpoint_and_images_do(checkpoints):
    assert FeatureReader.from_checkpoints("audio").features.keys() == {"input_features"}
    for modality in ("image", "both"):
        with pytest.raises(InputError, match="name its checkpoint with --init"):
            FeatureReader.from_checkpoints(modality)


def test_layers_halfway_up_are_read_where_they_are_asked_for(checkpoints):
    layers = {"backbone_layers": [1], "backbone_fields": 2}
    made = FeatureReader.from_checkpoints("both", checkpoints, config_overrides={"image_config": layers})
    plain = FeatureReader.from_checkpoints("both", checkpoints)
    assert made.image_model.config.backbone_layers == [1] and made.settings.items() >= layers.items()
    assert made.image_model.num_features != plain.image_model.num_features and "backbone_layers" not in plain.settings
    assert made.settings["input_features"] == plain.settings["input_features"]
    with pytest.raises(InputError, match="--config 'backbone_layers': with --modality both"):
        FeatureReader.from_checkpoints("both", checkpoints, config_overrides={"backbone_layers": [1]})

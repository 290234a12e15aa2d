import numpy as np
import pytest
import torch

import av_emotion_hf as av
from av_emotion_hf.data import ClipCollator, MaskingCollator
from av_emotion_hf.data.collators import pad_frames
from av_emotion_hf.data.schema import encode_crop, encode_waveform, round_to_16_bits
from av_emotion_hf.errors import InputError


@pytest.fixture
def rows(face):
    sound = {"bytes": encode_waveform(np.full(3200, 0.1, np.float32)), "path": None}
    crop = {"bytes": encode_crop(face), "path": None}
    return [{"audio": sound, "faces": [crop] * 3, "labels": 1}, {"audio": None, "faces": [], "labels": 0}]


def collator(modality):
    return ClipCollator(
        modality, av.AVEmotionFeatureExtractor(), av.AVEmotionImageProcessor(), {"audio": 2, "image": 3}
    )


def test_inputs_become_a_batch(rows):
    batch = collator("fusion")(rows)
    assert batch["attention_mask"].sum(1).tolist() == [3200, 0]
    assert batch["pixel_mask"].tolist() == [[1, 1, 1], [0, 0, 0]]
    assert batch["pixel_values"].shape == (2, 3, 3, 96, 96) and batch["labels"].tolist() == [1, 0]
    assert "pixel_values" not in collator("audio")(rows) and "input_values" not in collator("image")(rows)


def test_arrays_give_the_same_batch_as_their_cells(rows, face):
    generator = np.random.default_rng(0)
    waveforms = [generator.normal(0, 0.3, n).astype(np.float32) for n in (3200, 1234, 0)]
    crops = [np.stack([face, face[::-1], 255 - face]), face[None], np.zeros((0, *face.shape), np.uint8)]
    cells = [
        {
            "audio": {"bytes": encode_waveform(waveform), "path": None} if len(waveform) else None,
            "faces": [{"bytes": encode_crop(crop), "path": None} for crop in clip],
        }
        for waveform, clip in zip(waveforms, crops, strict=True)
    ]
    arrays = [
        {"waveform": round_to_16_bits(waveform), "crops": clip}
        for waveform, clip in zip(waveforms, crops, strict=True)
    ]
    expected, batch = collator("fusion")(cells), collator("fusion")(arrays)
    assert set(batch) == set(expected) == {"input_values", "attention_mask", "pixel_values", "pixel_mask"}
    for name, tensor in expected.items():
        assert torch.equal(batch[name], tensor) and batch[name].dtype == tensor.dtype, name


def test_features_become_a_batch():
    rows = [
        {"input_features": [[1.0, 2.0]] * 4, "image_features": []},
        {"input_features": [[3.0, 4.0]], "image_features": []},
    ]
    batch = collator("fusion")(rows)
    assert batch["input_features"][1].tolist() == [[3, 4], [0, 0], [0, 0], [0, 0]]
    assert batch["attention_mask"].sum(1).tolist() == [4, 1]
    assert batch["image_features"].shape == (2, 1, 3) and not batch["pixel_mask"].any()


def test_features_of_another_model_are_named():
    with pytest.raises(InputError, match="features with 2 values per frame do not fit the model, which expects 5"):
        pad_frames([[[1.0, 2.0]]], 5)


def test_masks_follow_the_real_frames_of_waveforms_and_features(rows, audio_config):
    frontend = av.AcousticFrontEnd(audio_config)
    collate = MaskingCollator(collator("audio"), audio_config, frontend.num_frames)
    batch = collate(rows)
    assert batch["mask_time_indices"].shape == (2, 10)  # 3200 samples, a frame every 320
    assert batch["mask_time_indices"].sum(1).tolist() == [1, 0]
    ready = MaskingCollator(collator("audio"), audio_config)([{"input_features": [[0.0, 0.0]] * 40}])
    assert ready["mask_time_indices"].sum().item() == 4


def test_validation_masks_repeat_and_training_masks_do_not(audio_config):
    rows = [{"input_features": [[0.0, 0.0]] * 200}]
    fixed = MaskingCollator(collator("audio"), audio_config, seed=5)
    assert torch.equal(fixed(rows)["mask_time_indices"], fixed(rows)["mask_time_indices"])
    fresh = MaskingCollator(collator("audio"), audio_config)
    assert not torch.equal(fresh(rows)["mask_time_indices"], fresh(rows)["mask_time_indices"])


def test_states_of_a_speech_encoder_are_cut_off_or_the_target():
    rows = [
        {"input_features": np.arange(10.0).reshape(2, 5), "num_descriptors": 2},
        {"input_features": [], "num_descriptors": 2},
    ]
    batch = collator("audio")(rows)
    assert set(batch) == {"input_features", "attention_mask"}
    assert batch["input_features"].tolist() == [[[0, 1], [5, 6]], [[0, 0], [0, 0]]]
    learner = ClipCollator("audio", None, None, {"audio": 2, "teacher": 3})
    batch = learner(rows)
    assert batch["input_features"].tolist() == [[[0, 1], [5, 6]], [[0, 0], [0, 0]]]
    assert batch["teacher_states"].tolist() == [[[2, 3, 4], [7, 8, 9]], [[0, 0, 0], [0, 0, 0]]]
    assert batch["attention_mask"].tolist() == [[1, 1], [0, 0]]
    whole = ClipCollator("audio", None, None, {"audio": 5})  # a model with that speech encoder
    assert whole(rows)["input_features"].shape == (2, 2, 5)
    for row, size in ((rows[0] | {"num_descriptors": 3}, 2), ({"input_features": [[0.0] * 5]}, 2), (rows[0], 4)):
        with pytest.raises(InputError, match=f"5 values per frame do not fit the model, which expects {size}"):
            ClipCollator("audio", None, None, {"audio": size})([row])
    with pytest.raises(InputError, match="with 3 values per frame do not fit the model, which expects 4"):
        ClipCollator("audio", None, None, {"audio": 2, "teacher": 4})(rows)

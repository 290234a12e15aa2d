import numpy as np
import pytest
from helpers.synthetic import gray_frames, voice, write_clip
from PIL import Image

import av_emotion_hf as av
from av_emotion_hf.errors import InputError
from av_emotion_hf.plots import draw_reconstruction
from av_emotion_hf.plots.heatmap import HIDDEN


@pytest.fixture
def checkpoint(tmp_path, audio_config):
    audio_config.mask_time_prob, audio_config.mask_time_length = 0.3, 5
    av.AVEmotionAudioForPreTraining(audio_config).save_pretrained(tmp_path / "voice")
    av.AVEmotionFeatureExtractor().save_pretrained(tmp_path / "voice")
    return str(tmp_path / "voice")


def test_hidden_frames_are_gray_in_the_middle_and_filled_below(tmp_path, checkpoint):
    clip = write_clip(tmp_path / "voice.m4a", sound=voice(1.0, 150), rate=16_000)
    result = draw_reconstruction(checkpoint, clip, tmp_path / "picture.png", seconds=0.8)
    assert result["frames"] == 40 and result["hidden_frames"] == 12
    assert {"model", "interpolation", "nearest_visible", "corpus_mean"} <= set(result)
    again = draw_reconstruction(checkpoint, clip, tmp_path / "again.png", seconds=0.8)
    assert result == again
    picture = np.asarray(Image.open(tmp_path / "picture.png"))
    gray = (picture == HIDDEN).all(axis=2)
    cells = 28 * 12 * 12 * (1200 // 40)  # descriptors, their pixels, hidden frames, their pixels
    assert cells <= gray.sum() < cells + 400  # and the square of the legend
    tall = np.flatnonzero(gray.sum(axis=1) > 100)
    assert tall.min() > 0.3 * len(picture) and tall.max() < 0.68 * len(picture)  # the map in the middle
    left, height, step = 178, 28 * 12, 28 * 12 + 36  # of a map, and from one to the next
    true, seen, filled = (picture[top : top + height, left : left + 1200] for top in (64, 64 + step, 64 + 2 * step))
    hidden = (seen == HIDDEN).all(axis=(0, 2))
    assert hidden.sum() == 12 * 30
    assert (true[:, ~hidden] == seen[:, ~hidden]).all() and (true[:, ~hidden] == filled[:, ~hidden]).all()
    assert (true[:, hidden] != filled[:, hidden]).any(axis=2).mean() > 0.3
    other = draw_reconstruction(checkpoint, clip, tmp_path / "other.png", span=1, fraction=0.1, seconds=0.8)
    assert other["hidden_frames"] == 4


def test_faces_have_a_picture_too(tmp_path, image_config, paste_faces):
    av.AVEmotionImageForPreTraining(image_config).save_pretrained(tmp_path / "face")
    av.AVEmotionImageProcessor().save_pretrained(tmp_path / "face")
    clip = write_clip(tmp_path / "clip.mp4", [paste_faces((100, 40, 160))] * 8, 10)
    result = draw_reconstruction(str(tmp_path / "face"), clip, tmp_path / "picture.png", detector="mtcnn")
    assert (result["frames"], result["hidden_frames"]) == (8, 1)
    start = draw_reconstruction(str(tmp_path / "face"), clip, tmp_path / "start.png", detector="mtcnn", seconds=0.65)
    assert start["frames"] == 7  # the reader's window has all eight: what is left over is shorter than half a window
    gray = write_clip(tmp_path / "gray.mp4", gray_frames([80] * 5), 10)
    with pytest.raises(InputError, match="shows no face, so there is nothing to reconstruct; name a clip with a face"):
        draw_reconstruction(str(tmp_path / "face"), gray, tmp_path / "gray.png", detector="mtcnn")
    assert not (tmp_path / "gray.png").exists()


def test_bad_calls_are_named(tmp_path, checkpoint, audio_config):
    silent = write_clip(tmp_path / "silent.mp4", gray_frames([80] * 5), 10)
    with pytest.raises(InputError, match="has no audio, so there is nothing to reconstruct"):
        draw_reconstruction(checkpoint, silent, tmp_path / "picture.png")
    with pytest.raises(InputError, match="is not the name of an image file"):
        draw_reconstruction(checkpoint, silent, tmp_path / "picture.txt")
    av.AVEmotionAudioForSequenceClassification(audio_config).save_pretrained(tmp_path / "classifier")
    with pytest.raises(InputError, match="is an audio model that cannot reconstruct frames; give a folder that `pret"):
        draw_reconstruction(str(tmp_path / "classifier"), silent, tmp_path / "picture.png")
    assert not (tmp_path / "picture.png").exists()

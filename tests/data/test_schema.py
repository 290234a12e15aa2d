import io

import numpy as np
import pytest
from PIL import Image

from av_emotion_hf.data.schema import (
    clip_name,
    clip_source,
    decode_faces,
    decode_waveform,
    encode_crop,
    encode_waveform,
    round_to_16_bits,
)
from av_emotion_hf.errors import InputError


def test_audio_and_crops_survive_their_columns(face):
    waveform = np.sin(np.arange(1600) / 7).astype(np.float32) * 0.5
    cell = {"bytes": encode_waveform(waveform), "path": None}
    np.testing.assert_allclose(decode_waveform(cell), waveform, atol=2**-15)
    np.testing.assert_array_equal(decode_faces([{"bytes": encode_crop(face), "path": None}])[0], face)
    assert len(decode_waveform(None)) == 0 and decode_faces(None) == []
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned to the right
    Image.fromarray(face).save(turned := io.BytesIO(), format="PNG", exif=exif)
    np.testing.assert_array_equal(decode_faces([{"bytes": turned.getvalue()}])[0], np.rot90(face, -1))


def test_rounding_is_what_flac_stores():
    steps = np.arange(-32770, 32771)
    middles = ((steps + 0.5) / 32768).astype(np.float32)
    waveforms = [
        np.random.default_rng(0).normal(0, 0.4, 50_000),  # some beyond full scale
        steps / 32768,
        middles,
        np.nextafter(middles, np.float32(2)),
        np.nextafter(middles, np.float32(-2)),
        np.array([1, -1, 2, -2, np.inf, -np.inf, 0, -0.0, 1e-40, -1e-9, 32767 / 32768]),
    ]
    for waveform in waveforms:
        waveform = waveform.astype(np.float32)
        rounded = round_to_16_bits(waveform)
        stored = decode_waveform({"bytes": encode_waveform(waveform)})
        assert rounded.dtype == stored.dtype == np.float32
        np.testing.assert_array_equal(rounded.view(np.int32), stored.view(np.int32))  # the sign of zero included
        np.testing.assert_array_equal(round_to_16_bits(rounded), rounded)
    assert round_to_16_bits(np.zeros(0, np.float32)).shape == (0,)


@pytest.mark.parametrize(
    ("row", "root", "name"),
    [
        ({"file": "/data/a/one.mp4"}, None, "one.mp4"),
        ({"file": "/data/a/one.mp4"}, "/data", "a/one.mp4"),
        ({"file": "/data/a/one.mp4"}, "/other", "/data/a/one.mp4"),
        ({"file": "a/one.mp4"}, ".", "a/one.mp4"),
        ({"file": "a/one.mp4"}, None, "a/one.mp4"),
        ({"file": "/data/a/one.mp4", "clip": "one"}, "/data", "one"),
        ({"file": "/data/a/one.mp4", "clip": None}, "/data", "a/one.mp4"),
        ({"video": {"path": "/data/a/one.mp4", "bytes": b"x"}}, "/data", "a/one.mp4"),
        ({"video": {"path": None, "bytes": b"x"}, "file": "b.wav"}, None, "b.wav"),
        ({"video": {"path": None, "bytes": b"x"}}, "/data", None),
        ({"file": ""}, None, None),
        ({"speaker": "a"}, None, None),
    ],
)
def test_the_name_of_a_clip_is_relative_to_its_dataset(row, root, name):
    assert clip_name(row, root) == name


def test_a_clip_is_found_in_any_column():
    assert clip_source({"video": {"bytes": b"x", "path": "a.mp4"}, "file": "b.wav"}) == b"x"
    assert clip_source({"video": {"bytes": None, "path": "a.mp4"}}) == "a.mp4"
    assert clip_source({"video": None, "path": "c.wav"}) == "c.wav"
    with pytest.raises(
        InputError, match="the row holds no clip: expected one of the columns video, audio, file, path"
    ):
        clip_source({"speaker": "a"})

import io

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from av_emotion_hf import AVEmotionImageProcessor
from av_emotion_hf.data.expressions import FaceCollator, augment_faces, class_weights, mix_faces, read_image
from av_emotion_hf.errors import InputError


@pytest.fixture
def picture():
    """Function from side and color mode to an encoded picture."""
    generator = np.random.default_rng(0)

    def make(side, mode, kind="PNG"):
        values = generator.integers(0, 256, (side, side, 3), dtype=np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(values).convert(mode).save(buffer, format=kind)
        return buffer.getvalue()

    return make


@pytest.fixture
def processor():
    return AVEmotionImageProcessor(size={"height": 32, "width": 32})


def test_grey_and_colored_pictures_of_any_size_make_one_batch(picture, processor):
    cells = [picture(48, "L"), picture(112, "RGB"), picture(48, "RGBA"), picture(112, "RGB", "JPEG"), picture(32, "P")]
    rows = [{"face": {"bytes": cell, "path": None}, "labels": i} for i, cell in enumerate(cells)]
    batch = FaceCollator(processor, "face")(rows)
    assert batch["pixel_values"].shape == (5, 3, 32, 32) and batch["labels"].tolist() == [0, 1, 2, 3, 4]
    for row, pixels in zip(rows, batch["pixel_values"], strict=True):
        crop = np.asarray(Image.open(io.BytesIO(row["face"]["bytes"])).convert("RGB"))
        torch.testing.assert_close(pixels, processor([[crop]], return_tensors="pt").pixel_values[0, 0])


def test_a_picture_serves_as_bytes_and_as_path(picture, processor, tmp_path):
    (tmp_path / "face.png").write_bytes(picture(48, "L"))
    cells = [{"bytes": (tmp_path / "face.png").read_bytes(), "path": None}]
    cells.append({"bytes": None, "path": str(tmp_path / "face.png")})
    pixels = FaceCollator(processor, "face")([{"face": cell, "labels": 0} for cell in cells])["pixel_values"]
    assert torch.equal(pixels[0], pixels[1])
    for cell, name in (({"bytes": b"no", "path": "x.png"}, "x.png"), (None, "an image without a name")):
        with pytest.raises(InputError, match=f"{name}: cannot be read as an image"):
            FaceCollator(processor, "face")([{"face": cell, "labels": 0}])


def test_a_picture_is_turned_as_its_exif_says(shared):
    path = shared / "cases" / "exif6.jpg"
    picture = read_image({"bytes": None, "path": str(path)})
    with Image.open(path) as image:
        assert image.size == (60, 40) and picture.shape == (60, 40, 3)
        np.testing.assert_array_equal(picture, np.asarray(ImageOps.exif_transpose(image).convert("RGB")))


def test_augmentation_keeps_shape_and_changes_every_picture():
    pixels = torch.rand(8, 3, 24, 24)
    changed = augment_faces(pixels.clone())
    assert changed.shape == pixels.shape and torch.isfinite(changed).all()
    assert all(not torch.allclose(a, b, atol=0.05) for a, b in zip(pixels, changed, strict=True))
    assert 0.4 < changed.mean() < 0.6


def test_augmentation_mirrors_and_hides_half_of_the_pictures():
    torch.manual_seed(0)
    ramp = torch.linspace(1, 2, 24).expand(400, 3, 24, 24)  # brighter to the right, nowhere 0
    changed = augment_faces(ramp.clone())
    mirrored = changed[..., :12].sum((1, 2, 3)) > changed[..., 12:].sum((1, 2, 3))
    hidden = (changed == 0).sum((1, 2, 3)) / 3
    assert 0.3 < mirrored.float().mean() < 0.7 and 0.4 < (hidden > 0).float().mean() < 0.6
    assert hidden.max() <= 8 * 8 and hidden[hidden > 0].min() >= 3 * 3


def test_mixup_takes_at_most_half_of_another_picture_and_as_much_of_its_label():
    torch.manual_seed(0)
    count = 64
    own = torch.arange(count)
    pixels = torch.nn.functional.one_hot(own, count).float()[:, None, None].expand(-1, 3, 2, -1)  # which picture it is
    mixed, labels = mix_faces(pixels, torch.nn.functional.one_hot(own, count), alpha=1.0)
    assert mixed.shape == pixels.shape and labels.shape == (count, count)
    torch.testing.assert_close(mixed, labels[:, None, None].expand_as(mixed))  # shares of pictures = shares of labels
    torch.testing.assert_close(labels.sum(1), torch.ones(count))
    kept = labels[own, own]
    assert (kept >= 0.5 - 1e-6).all() and 0.6 < kept.mean() < 0.9  # Beta(1, 1) folded at a half: 0.75
    assert ((labels > 0).sum(1) <= 2).all() and (kept < 1).sum() > count / 2


def test_only_training_batches_are_mixed(picture, processor):
    rows = [{"face": {"bytes": picture(32, "L"), "path": None}, "labels": i % 3} for i in range(6)]
    assert FaceCollator(processor, "face", augment=True)(rows)["labels"].tolist() == [0, 1, 2, 0, 1, 2]
    mixed = FaceCollator(processor, "face", augment=True, num_labels=3, mixup=0.2)(rows)
    assert mixed["labels"].shape == (6, 3) and mixed["labels"].argmax(1).tolist() == [0, 1, 2, 0, 1, 2]


def test_class_weights():
    labels = [0] * 6 + [1] * 3 + [3]
    weights = class_weights(labels, 4)
    torch.testing.assert_close(weights, torch.tensor([10 / 18, 10 / 9, 0, 10 / 3]))
    assert weights[labels].mean() == pytest.approx(1)
    for name in (0, 1, 3):  # every class counts as much as any other
        assert weights[name] * labels.count(name) == pytest.approx(10 / 3)

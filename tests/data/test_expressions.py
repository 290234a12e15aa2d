import io

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from av_emotion_hf import AVEmotionImageProcessor
from av_emotion_hf.data.expressions import FaceCollator, class_weights, distributions, mix_faces, read_image
from av_emotion_hf.data.picture_augmentation import DEFAULT_PROBABILITIES
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


def test_training_pictures_are_changed_before_they_are_standardized(picture, processor):
    rows = [{"face": {"bytes": picture(48, mode), "path": None}, "labels": i} for i, mode in enumerate(("L", "RGB"))]
    plain = FaceCollator(processor, "face")(rows)["pixel_values"]
    changed = FaceCollator(processor, "face", {"mirror": 1.0})(rows)["pixel_values"]
    torch.testing.assert_close(changed, plain.flip(-1), atol=1e-4, rtol=1e-4)
    changed = FaceCollator(processor, "face", {"low_light": 1.0, "occlusion": 1.0, "blur": 1.0})(rows)["pixel_values"]
    assert (changed - plain).abs().mean() > 0.1 and torch.equal(changed[:, 0], changed[:, 2])
    torch.testing.assert_close(changed.mean(dim=(1, 2, 3)), torch.zeros(2), atol=1e-5, rtol=0)
    torch.testing.assert_close(changed.std(dim=(1, 2, 3), correction=0), torch.ones(2))


def test_a_processor_that_normalizes_does_so_once(picture):
    processor = AVEmotionImageProcessor(
        size={"height": 32, "width": 32}, do_grayscale=False, do_standardize=False, do_normalize=True
    )
    rows = [{"face": {"bytes": picture(48, "RGB"), "path": None}, "labels": 0}]
    plain, mirrored = (FaceCollator(processor, "face", p)(rows)["pixel_values"] for p in (None, {"mirror": 1.0}))
    torch.testing.assert_close(mirrored, plain.flip(-1), atol=1e-4, rtol=1e-4)
    assert (plain[:, 0] - plain[:, 2]).abs().mean() > 0.1


def test_mixup_takes_at_most_half_of_another_picture_and_as_much_of_its_label():
    torch.manual_seed(0)
    count = 64
    own = torch.arange(count)
    pixels = torch.nn.functional.one_hot(own, count).float()[:, None, None].expand(-1, 3, 2, -1)  # which picture it is
    mixed, labels = mix_faces(pixels, distributions(own, count), alpha=1.0)
    assert mixed.shape == pixels.shape and labels.shape == (count, count)
    torch.testing.assert_close(mixed, labels[:, None, None].expand_as(mixed))  # shares of pictures = shares of labels
    torch.testing.assert_close(labels.sum(1), torch.ones(count))
    kept = labels[own, own]
    assert (kept >= 0.5 - 1e-6).all() and 0.6 < kept.mean() < 0.9  # Beta(1, 1) folded at a half: 0.75
    assert ((labels > 0).sum(1) <= 2).all() and (kept < 1).sum() > count / 2


def test_only_training_batches_are_mixed(picture, processor):
    rows = [{"face": {"bytes": picture(32, "L"), "path": None}, "labels": i % 3} for i in range(6)]
    assert FaceCollator(processor, "face", DEFAULT_PROBABILITIES)(rows)["labels"].tolist() == [0, 1, 2, 0, 1, 2]
    mixed = FaceCollator(processor, "face", num_labels=3, mixup=0.2)(rows)
    assert mixed["labels"].shape == (6, 3) and mixed["labels"].argmax(1).tolist() == [0, 1, 2, 0, 1, 2]


def test_soft_labels_stay_as_they_are(picture, processor):
    cells = [[0.2, 0.8], [1.0, 0.0]] * 4
    rows = [{"face": {"bytes": picture(32, "L"), "path": None}, "labels": cell} for cell in cells]
    labels = FaceCollator(processor, "face")(rows)["labels"]
    torch.testing.assert_close(labels, torch.tensor(cells))
    mixed = FaceCollator(processor, "face", num_labels=2, mixup=1.0)(rows)["labels"]
    torch.testing.assert_close(mixed.sum(dim=1), torch.ones(8))
    assert (mixed != labels).any()


def test_class_weights():
    labels = [0] * 6 + [1] * 3 + [3]
    weights = class_weights(distributions(torch.tensor(labels), 4))
    torch.testing.assert_close(weights, torch.tensor([10 / 18, 10 / 9, 0, 10 / 3]))
    assert weights[labels].mean() == pytest.approx(1)
    for name in (0, 1, 3):  # every class counts as much as any other
        assert weights[name] * labels.count(name) == pytest.approx(10 / 3)
    soft = torch.tensor([[0.5, 0.5, 0], [1, 0, 0], [0.7, 0.3, 0]])
    weights = class_weights(soft)
    torch.testing.assert_close(weights, torch.tensor([3 / (2 * 2.2), 3 / (2 * 0.8), 0]))
    assert (soft @ weights).mean() == pytest.approx(1)

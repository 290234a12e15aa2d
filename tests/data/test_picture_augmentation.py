import pytest
import torch
from torch.nn import functional as F

from av_emotion_hf import AVEmotionImageProcessor
from av_emotion_hf.data import picture_augmentation as augmentation
from av_emotion_hf.data.picture_augmentation import (
    CHANGES,
    DEFAULT_PROBABILITIES,
    MOVES,
    PICTURE_AUGMENTATIONS,
    augment_pictures,
    blur_matrices,
    picture_probabilities,
    placement,
    rectangles,
)
from av_emotion_hf.errors import InputError


@pytest.fixture
def faces():
    """Smooth color pictures `(200, 3, 32, 32)` from 0.1 to 0.9."""
    torch.manual_seed(0)
    small = torch.rand(200, 3, 6, 6)
    return 0.1 + 0.8 * F.interpolate(small, (32, 32), mode="bilinear")


@pytest.mark.parametrize("name", PICTURE_AUGMENTATIONS)
def test_each_changes_the_pictures_that_are_drawn_and_no_others(name, faces):
    before = faces.clone()
    changed = augment_pictures(faces, {name: 0.3})
    assert torch.equal(faces, before)
    assert changed.shape == faces.shape and changed.dtype == faces.dtype
    assert torch.isfinite(changed).all() and changed.min() >= 0 and changed.max() <= 1
    untouched = (changed == faces).flatten(1).all(dim=1).float().mean()
    assert 0.6 < untouched < 0.8
    torch.manual_seed(7)
    first = augment_pictures(faces, {name: 0.3})
    torch.manual_seed(7)
    assert torch.equal(first, augment_pictures(faces, {name: 0.3}))


@pytest.mark.parametrize("name", sorted({*PICTURE_AUGMENTATIONS} - {"color"}))
def test_gray_pictures_stay_gray(name):
    gray = torch.rand(16, 1, 24, 24).expand(-1, 3, -1, -1)
    changed = augment_pictures(gray, {name: 1})
    assert (changed - changed[:, :1]).abs().max() < 1e-6


def test_the_network_does_not_see_the_color_of_gray_pictures():
    processor = AVEmotionImageProcessor(size={"height": 24, "width": 24})
    gray = 0.7 * torch.rand(16, 1, 24, 24).expand(-1, 3, -1, -1)  # nothing is clipped
    before, after = (
        processor(each[:, None].numpy(), do_resize=False, do_rescale=False, return_tensors="pt").pixel_values
        for each in (gray, augment_pictures(gray, {"color": 1}))
    )
    torch.testing.assert_close(after, before, atol=1e-4, rtol=0)


def test_nothing_is_drawn_with_probability_zero(faces):
    assert torch.equal(augment_pictures(faces, dict.fromkeys(PICTURE_AUGMENTATIONS, 0.0)), faces)


def test_moves_are_put_together_and_read_the_picture_once(faces, monkeypatch):
    calls = []
    sample = F.grid_sample
    monkeypatch.setattr(F, "grid_sample", lambda *args, **kwargs: calls.append(None) or sample(*args, **kwargs))
    augment_pictures(faces, dict.fromkeys(MOVES, 1.0))
    assert len(calls) == 1


def test_mirrored_pictures_are_exactly_mirrored(faces):
    torch.testing.assert_close(augment_pictures(faces, {"mirror": 1}), faces.flip(-1))


def test_moves_stay_in_their_limits():
    places = torch.tensor([[-1.0, -1, 1], [1, -1, 1], [-1, 1, 1], [1, 1, 1]]).T  # the corners
    limits = {"mirror": 0, "shift": 0.12, "scale": 0.15, "rotate": 0.24, "box": 0.3 + 0.4}
    for name, move in MOVES.items():
        moved = move(500) @ places
        expected = places * torch.tensor([[-1.0], [1], [1]]) if name == "mirror" else places
        off = (moved - expected).abs().max()
        assert 0.9 * limits[name] <= off <= limits[name] + 1e-6, name
    matrix = placement(2, xx=torch.tensor([2.0, 3.0]), yt=0.5)
    assert matrix[1].tolist() == [[3, 0, 0], [0, 1, 0.5], [0, 0, 1]]


def test_a_box_is_off_and_of_another_size(faces):
    matrix = MOVES["box"](2000)
    width, height = matrix[:, 0, 0], matrix[:, 1, 1]
    assert 0.7 < width.min() < 0.78 and 1.3 < width.max() < 1.4
    stretch = width / height
    assert 1 / 1.1 - 1e-5 <= stretch.min() < 0.93 and 1.08 < stretch.max() <= 1.1 + 1e-5
    assert width.log().mean().abs() < 0.02  # larger as often as smaller


def test_a_hidden_patch_has_the_mean_of_the_picture():
    ramp = torch.linspace(0, 1, 24).expand(400, 3, 24, 24)
    changed = augment_pictures(ramp, {"hide": 1})
    hidden = (changed != ramp).all(dim=1)
    assert torch.allclose(changed[:, 0][hidden], torch.tensor(0.5))
    rows, columns = hidden.any(dim=2).sum(dim=1), hidden.any(dim=1).sum(dim=1)
    assert 2 <= rows.min() <= 4 and 7 <= rows.max() <= 9 and 2 <= columns.min() <= 4 and 7 <= columns.max() <= 9
    assert torch.equal(hidden.sum(dim=(1, 2)), rows * columns)  # one rectangle each


def test_an_occlusion_comes_from_an_edge_with_one_brightness():
    faces = torch.rand(400, 3, 40, 40)
    changed = augment_pictures(faces, {"occlusion": 1})
    covered = (changed != faces).all(dim=1)
    edges = torch.stack([covered[:, 0].any(1), covered[:, -1].any(1), covered[..., 0].any(1), covered[..., -1].any(1)])
    assert edges.any(dim=0).all() and (edges.float().mean(dim=1) > 0.25).all()
    fraction = covered.float().mean(dim=(1, 2))
    assert 0.04 < fraction.min() < 0.12 and 0.35 < fraction.max() <= 0.47
    for picture, mask in zip(changed, covered, strict=True):
        assert picture[:, mask].unique().numel() == 1


def test_rectangles_are_fractions_of_the_sides():
    mask = rectangles(4, 8, *(torch.tensor([each]) for each in (0.5, 0.25, 0.5, 0.25)))
    assert mask.shape == (1, 1, 4, 8) and mask[0, 0].nonzero().tolist() == [[2, 2], [2, 3], [3, 2], [3, 3]]


def test_color_is_a_gain_for_each_channel(faces):
    changed = augment_pictures(faces, {"color": 1})
    gains = (changed / faces).flatten(2)
    clear = changed.flatten(2) < 1
    for gain, visible in zip(gains.flatten(0, 1), clear.flatten(0, 1), strict=True):
        assert gain[visible].std() < 1e-5 and 0.7 - 1e-5 <= gain[visible].mean() <= 1.4 + 1e-5
    assert gains[:, :, 0].std(dim=1).mean() > 0.1  # the channels have gains of their own


def test_blur_is_gaussian_and_keeps_what_is_even():
    matrix = blur_matrices(33, torch.tensor([0.5, 2.0]))
    torch.testing.assert_close(matrix.sum(dim=2), torch.ones(2, 33))
    offsets = torch.arange(33.0) - 16
    for deviation, row in zip((0.5, 2.0), matrix[:, 16], strict=True):
        expected = torch.exp(-(offsets**2) / (2 * deviation**2))
        torch.testing.assert_close(row, expected / expected.sum(), atol=1e-4, rtol=0)
    even = torch.full((4, 3, 32, 32), 0.25)
    torch.testing.assert_close(augment_pictures(even, {"blur": 1}), even)
    edge = torch.zeros(50, 1, 32, 32)
    edge[..., 16:] = 1
    changed = augment_pictures(edge, {"blur": 1})
    steepest = changed.diff(dim=3).amax(dim=(1, 2, 3))
    assert steepest.min() > 0.3 and steepest.min() < 0.5 and steepest.max() > 0.95  # deviations of 0.1 to 1 pixels
    torch.testing.assert_close(changed, changed[:, :, :1].expand_as(changed))  # nothing moves along the edge


def test_small_faces_lose_what_is_fine_and_keep_what_is_coarse():
    fine = (torch.arange(40) % 2).float().expand(30, 1, 40, 40)
    coarse = torch.linspace(0, 1, 40).expand(30, 1, 40, 40)
    assert (augment_pictures(fine, {"resolution": 1}) - 0.5).abs().mean() < 0.2 < (fine - 0.5).abs().mean()
    assert (augment_pictures(coarse, {"resolution": 1}) - coarse).abs().mean() < 0.02


def test_low_light_is_darker_noisier_and_has_few_values():
    gray = torch.full((300, 3, 24, 24), 0.5)
    changed = augment_pictures(gray, {"low_light": 1})
    light = changed.mean(dim=(1, 2, 3))
    assert light.max() < 0.26 and 0.02 < light.min() < 0.06  # 0.5 of 0.5, and 0.1 of 0.5 squared
    assert (changed * 255 - (changed * 255).round()).abs().max() < 1e-4
    noise = changed[:, 0].flatten(1).std(dim=1)
    assert noise.min() < 0.006 and 0.01 < noise.max() < 0.04
    assert torch.equal(changed[:, 0], changed[:, 2])  # noise of brightness


def test_compression_is_jpeg(faces, monkeypatch):
    qualities = []
    code = augmentation._code_jpeg
    monkeypatch.setattr(augmentation, "_code_jpeg", lambda p, q: qualities.append(q) or code(p, q))
    changed = augment_pictures(faces, {"compression": 1})
    assert min(qualities) >= 10 and max(qualities) <= 60 and len(set(qualities)) > 30
    error = (changed - faces).abs().mean(dim=(1, 2, 3))
    assert 0.002 < error.min() and error.max() < 0.12
    order = torch.tensor(qualities).float()
    assert error[order < 20].mean() > 1.3 * error[order > 50].mean()


def test_probabilities_are_the_default_ones_but_for_what_is_given():
    assert picture_probabilities({}) == DEFAULT_PROBABILITIES
    assert picture_probabilities({"blur": 0.3, "hide": 0}) == DEFAULT_PROBABILITIES | {"blur": 0.3, "hide": 0}
    assert {*MOVES, *CHANGES} == set(PICTURE_AUGMENTATIONS) > set(DEFAULT_PROBABILITIES)
    for name in ("speed", "mixup", "zoom"):  # of voices, of voices in batches, of nothing
        with pytest.raises(InputError, match=f"augmentation '{name}' is unknown; choose from mirror, shift"):
            picture_probabilities({name: 0.5})
    with pytest.raises(InputError, match="augmentation blur=2: has to be a probability"):
        picture_probabilities({"blur": 2})

import importlib
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

import av_emotion_hf as av
from av_emotion_hf.errors import InputError
from av_emotion_hf.media import load_detector
from av_emotion_hf.media.detector import FaceAlignmentDetector


def test_cascade_finds_the_face_where_it_is(paste_faces):
    detector = load_detector("cascade")
    assert detector.name == "cascade"
    found, none = detector.detect(np.stack([paste_faces((180, 40, 160)), paste_faces()]))
    assert none.shape == (0, 5) and found.shape[1] == 5
    centers = np.stack([found[:, [0, 2]].mean(1), found[:, [1, 3]].mean(1)], axis=1)
    eyes_to_mouth = np.array([180 + 80, 40 + 90])
    assert np.linalg.norm(centers - eyes_to_mouth, axis=1).min() < 25


def test_auto_takes_the_cascade_without_weights_and_without_the_network(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("the network was asked"))
    assert load_detector("auto").name == "cascade"


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ("yolo", "detector='yolo': there is no such face detector; choose one of auto, blazeface, sfd, "),
        ("cascade=x", "cascade has no weights of its own; write cascade alone"),
        ("sfd=nowhere.pth", "detector='sfd=nowhere.pth': there is no such file of weights"),
        ("blazeface=nowhere", "there is no such folder of weights"),
    ],
)
def test_unknown_detector(choice, message):
    with pytest.raises(InputError, match=message):
        load_detector(choice)


@pytest.mark.parametrize("name", ["blazeface", "sfd", "retinaface", "yunet"])
def test_without_weights_it_says_what_to_do(tmp_path, monkeypatch, name):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))

    def refuse(*args, **kwargs):
        raise OSError("no network")

    monkeypatch.setattr("torch.hub.download_url_to_file", refuse)
    monkeypatch.setattr("face_alignment.utils.download_url_to_file", refuse)
    with pytest.raises(InputError, match=r"no network.*set TORCH_HOME .* or use --detector cascade"):
        load_detector(name)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "module"), [("sfd", "net_s3fd.s3fd"), ("retinaface", "net_retinaface.RetinaFace")])
def test_weights_may_be_named(tmp_path, name, module):
    """Untrained ones here: they load, run on frames of any shape, and boxes lie where boxes can lie."""
    file, network = module.split(".")
    package = importlib.import_module(f"face_alignment.detection.{name}.{file}")
    torch.manual_seed(0)
    model = getattr(package, network)(*([package.cfg_mnet] if name == "retinaface" else []))
    torch.save(model.state_dict(), tmp_path / "weights.pth")
    detector = load_detector(f"{name}={tmp_path / 'weights.pth'}")
    assert detector.name == name
    for shape in ((2, 200, 360, 3), (1, 48, 32, 3)):
        for found in detector.detect(np.random.default_rng(0).integers(0, 255, shape, np.uint8)):
            assert found.shape[1] == 5 and np.isfinite(found).all()


def test_boxes_of_a_scaled_down_frame_are_in_pixels_of_the_frame():
    detector = FaceAlignmentDetector.__new__(FaceAlignmentDetector)
    detector.name, seen = "sfd", []

    class Network:
        def detect_from_batch(self, batch):
            seen.append(tuple(batch.shape))
            return [[[10, 20, 30, 40, 0.9]], []]

    detector._network = Network()
    one, none = detector.detect(np.zeros((2, 720, 1280, 3), np.uint8))
    assert seen == [(2, 3, 180, 320)] and none.shape == (0, 5)
    np.testing.assert_allclose(one, [[40, 80, 120, 160, 0.9]])


@pytest.mark.corpora
def test_blazeface_coordinates_in_wide_and_tall_frames(shared, monkeypatch, paste_faces):
    home = shared / "weights" / "torch_home"
    if not home.is_dir():
        pytest.skip("needs detector weights beside the checkout (../shared/weights/torch_home)")
    monkeypatch.setenv("TORCH_HOME", os.fspath(home))
    detector = load_detector("blazeface")
    wide = paste_faces((180, 40, 160))
    tall = cv2.copyMakeBorder(wide[:, 150:], 300, 100, 0, 0, cv2.BORDER_REPLICATE)
    (a,), (b,) = detector.detect(wide[None])[0], detector.detect(tall[None])[0]
    np.testing.assert_allclose(b[:4] + np.array([150, -300, 150, -300]), a[:4], atol=10)


@pytest.fixture
def blazeface_weights(tmp_path):
    """A folder of weights that score at random, and find boxes of one size around random anchors."""
    from face_alignment.detection.blazeface.net_blazeface import BlazeFace

    torch.manual_seed(0)
    anchors = np.ones((896, 4), np.float32)
    anchors[:, :2] = np.random.default_rng(0).random((896, 2))
    for suffix, is_long_range in (("", False), ("back", True)):
        weights = BlazeFace(back_model=is_long_range).state_dict()
        for name in weights:
            if name.startswith("regressor"):
                weights[name].zero_()
            if name.startswith("regressor") and name.endswith("bias"):
                weights[name].view(-1, 16)[:, 2:4] = 20.0  # width and height in pixels
        torch.save(weights, tmp_path / f"blazeface{suffix}.pth")
        np.save(tmp_path / f"anchors{suffix}.npy", anchors)
    return tmp_path


def test_blazeface_finds_what_face_alignments_own_class_finds(blazeface_weights):
    from face_alignment.detection.blazeface import FaceDetector

    detector = load_detector(f"blazeface={blazeface_weights}")
    frames = np.random.default_rng(0).integers(0, 255, (5, 128, 128, 3), np.uint8)
    files = [blazeface_weights / "blazeface.pth", blazeface_weights / "anchors.npy"]
    theirs = FaceDetector("cpu", False, *files, min_score_thresh=0.5)
    expected = theirs.detect_from_batch(frames.transpose(0, 3, 1, 2))
    found = detector._run(detector._near, 128, 0.0, frames, batch_size=3)
    assert sum(map(len, found)) > 0
    for ours, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(ours, other)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "unwanted"),
    [
        ("cascade", ("torch", "decord", "numba", "face_alignment", "pandas", "torchvision", "matplotlib")),
        ("blazeface={}", ("decord", "numba", "face_alignment", "skimage", "pandas", "torchvision", "scipy")),
    ],
)
def test_a_detector_imports_only_what_it_runs(blazeface_weights, name, unwanted):
    code = (
        "import sys, numpy as np\nfrom av_emotion_hf.media import load_detector\n"
        f"assert not {{'torch', 'cv2', 'decord', 'skimage'}} & sys.modules.keys()\n"
        f"load_detector({name.format(blazeface_weights)!r}).detect(np.zeros((1, 60, 80, 3), np.uint8))\n"
        f"print(sorted(set({unwanted!r}) & sys.modules.keys()))\n"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(av.__file__).parents[1])}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"

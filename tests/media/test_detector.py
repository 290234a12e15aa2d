import importlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import av_emotion_hf as av
from av_emotion_hf.errors import InputError
from av_emotion_hf.media import load_detector
from av_emotion_hf.media.detector import FaceAlignmentDetector


def test_auto_takes_mtcnn_without_weights_and_without_the_network(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("the network was asked"))
    assert load_detector("auto").name == "mtcnn"


def test_the_old_name_of_the_smallest_detector_works():
    with pytest.warns(DeprecationWarning, match="cascade has become mtcnn"):
        assert load_detector("cascade").name == "mtcnn"


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ("yolo", "detector='yolo': there is no such face detector; choose one of auto, blazeface, mtcnn, "),
        ("mtcnn=x", "mtcnn takes no weights; write mtcnn alone"),
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
    with pytest.raises(InputError, match=r"no network.*set TORCH_HOME .* or use --detector mtcnn"):
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


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "unwanted"),
    [
        ("mtcnn", ("decord", "numba", "face_alignment", "skimage", "pandas", "torchvision", "scipy", "matplotlib")),
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

import json
import shutil
import socket
import subprocess
import sys
import threading
import tomllib
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
from helpers.synthetic import voice, write_clip
from huggingface_hub import constants

from av_emotion_hf import InputError, checkpoints
from av_emotion_hf.inference import doctor
from av_emotion_hf.inference.doctor import EXTRAS, Finding, examine
from av_emotion_hf.media import detector as detector_module
from av_emotion_hf.media.drawn_clip import draw_face

CHEAP = ("python", "packages", "extras", "machine", "caches", "pyav", "decord", "mtcnn", "device", "hub")


def found(*only, clip=None):
    """Findings by name."""
    findings = list(examine(clip, only))
    assert all(one.found.isprintable() and (one.remedy or "x").isprintable() for one in findings)
    assert all(one.remedy for one in findings if one.status != "ok")
    return {one.name: one for one in findings}


@pytest.fixture
def hub(monkeypatch):
    """Function that logs in at a Hub on this machine, which answers as it is told to, or never."""
    sockets = []

    def start(answer):
        server = socket.create_server(("127.0.0.1", 0))
        sockets.append(server)

        def serve():
            try:
                connection, _ = server.accept()
            except OSError:  # it was closed
                return
            sockets.append(connection)
            connection.recv(4096)
            if answer is not None:
                connection.sendall(answer)
                connection.close()

        threading.Thread(target=serve, daemon=True).start()
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.getsockname()[1]}")
        monkeypatch.setenv("HF_TOKEN", "hf_secret")

    yield start
    for each in sockets:
        each.close()


@pytest.mark.slow
def test_a_sound_installation():
    findings = found(*CHEAP)
    assert {one.status for name, one in findings.items() if "extra" not in name} == {"ok"}, findings
    assert findings["python"].found.startswith(".".join(map(str, sys.version_info[:3])))
    for name in ("torch", "transformers", "av", "face-alignment"):
        assert findings[name].found == metadata.version(name)
    assert findings["pyav"].found.startswith("reads 20 frames of MPEG-4 and 2.0 s of AAC, libavcodec ")
    assert findings["decord"].found == "reads 20 frames of MPEG-4"
    assert findings["mtcnn"].found == "a face detector, weights in the package; finds 1 face(s) in a drawing of one"
    assert findings["memory"].details["total"] > findings["memory"].details["available"] > 0
    assert findings["device"].found.startswith("c")  # of cpu or cuda


@pytest.mark.slow
def test_one_prediction_of_a_drawing_and_of_a_clip(tmp_path):
    drawn = found("prediction")["prediction"]
    assert drawn.status == "ok" and drawn.found.startswith("a drawn face and a synthetic voice: ")
    assert drawn.details["modalities"] == ["audio", "image"] and drawn.details["face_coverage"] == 1
    clip = str(write_clip(tmp_path / "voice.wav", sound=voice(1, 150), rate=16_000, codecs=("", "pcm_s16le")))
    heard = found("prediction", clip=clip)["prediction"]
    assert heard.status == "note" and " by voice, face in 0% of the frames by no detector" in heard.found
    (tmp_path / "no.mp4").write_bytes(b"\x00\x01")
    broken = found("prediction", clip=str(tmp_path / "no.mp4"))["prediction"]
    assert broken.status == "fail" and "neither audio nor video can be read" in broken.found


def test_a_clip_or_check_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"gone\.mp4: there is no such file; check the path, or leave out --clip"):
        next(examine(str(tmp_path / "gone.mp4")))
    with pytest.raises(InputError, match="only='all': there is no such check; choose from python, packages"):
        next(examine(only=["all"]))


def test_a_package_that_cannot_be_loaded(monkeypatch):
    monkeypatch.setitem(sys.modules, "decord", None)
    findings = found("packages", "decord")
    assert findings["decord2"] == Finding(
        "decord2",
        "fail",
        "cannot be loaded (import of decord halted; None in sys.modules)",
        "pip install --force-reinstall decord2",
    )
    assert findings["decord"].status == "note" and findings["decord"].remedy == "pip install --force-reinstall decord2"
    assert findings["torch"].status == "ok"


@pytest.mark.slow
@pytest.mark.parametrize("broken", ["av", "torch", "huggingface_hub"])
def test_no_broken_package_ends_the_checks(broken):
    code = f"import sys; sys.modules[{broken!r}] = None; from av_emotion_hf.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "doctor", "--json"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    findings = json.loads(done.stdout)["findings"]
    assert findings[0]["name"] == "python" and findings[-1]["name"] == "prediction"
    by_name = {one["name"]: one for one in findings}
    package = {"huggingface_hub": "huggingface-hub"}.get(broken, broken)
    assert by_name[package]["found"].startswith("cannot be loaded (")
    assert by_name["prediction"]["remedy"] == f"pip install --force-reinstall {package}"
    assert all(one["remedy"] for one in findings if one["status"] == "fail") and not json.loads(done.stdout)["ok"]


def test_versions_are_compared(monkeypatch):
    true = metadata.version
    old = {"transformers": "4.57.0", "pebble": "4.0", "torch": "2.11.0+cu128"}
    monkeypatch.setattr(doctor.metadata, "version", lambda name: old.get(name) or true(name))
    findings = found("packages")
    assert findings["transformers"].status == findings["pebble"].status == "fail"
    assert findings["transformers"].found == "4.57.0, and <6,>=5.21 is needed"
    assert findings["transformers"].remedy == "pip install 'transformers<6,>=5.21'"
    assert findings["torch"] == Finding("torch", "ok", "2.11.0+cu128")


def test_a_missing_package_is_named(monkeypatch):
    true = metadata.version

    def version(name):
        if name in ("pebble", "gradio"):
            raise metadata.PackageNotFoundError(name)
        return true(name)

    monkeypatch.setattr(doctor.metadata, "version", version)
    findings = found("packages", "extras")
    assert findings["pebble"] == Finding("pebble", "fail", "is not installed", "pip install 'pebble>=5.1'")
    assert (
        findings["extra app"].status == "note" and findings["extra app"].remedy == "pip install 'av-emotion-hf[app]'"
    )
    assert "`av-emotion app`" in findings["extra app"].found


def test_extras_are_those_of_the_project():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    assert set(EXTRAS) == set(extras) - {"dev", "docs", "benchmark", "densenet"}
    for extra, (name, _) in EXTRAS.items():
        assert any(line.startswith(name) for line in extras[extra])
    lines = [line.split(">")[0] for line in project["dependencies"]]
    assert set(doctor.LOADED) | set(doctor.LOOKED_FOR) <= set(lines)


@pytest.mark.slow
def test_a_damaged_checkpoint_hides_no_other_one(monkeypatch, tmp_path):
    small = checkpoints.SMALL_VOICE_CHECKPOINT
    cut, changed = (str(shutil.copytree(small, tmp_path / name)) for name in ("cut", "changed"))
    weights = Path(cut, "model.safetensors")
    weights.write_bytes(weights.read_bytes()[:1000])
    folders = {"small": small, "cut": cut, "gone": str(tmp_path / "gone"), "changed": changed}
    monkeypatch.setattr(checkpoints, "SHIPPED_CHECKPOINTS", folders)
    true = checkpoints.weights_sha256(small)
    noted = {Path(folder, "model.safetensors").resolve(): "0" * 64 for folder in (changed,)}
    monkeypatch.setattr(doctor, "_recorded_hashes", lambda: noted)
    findings = found("checkpoints")
    assert {name: one.status for name, one in findings.items()} == {
        "checkpoint small": "ok", "checkpoint cut": "fail", "checkpoint gone": "fail", "checkpoint changed": "fail",
    }  # fmt: skip
    assert findings["checkpoint small"].details["sha256"] == true and f"sha256 {true[:12]}" in (
        findings["checkpoint small"].found
    )
    assert "its weights cannot be read" in findings["checkpoint cut"].found
    assert findings["checkpoint changed"].found == "its weights are not those that were installed"
    assert findings["checkpoint gone"].remedy == "pip install --force-reinstall --no-deps av-emotion-hf"


def test_hashes_are_those_that_pip_has_noted(monkeypatch, tmp_path):
    path = metadata.PackagePath("av_emotion_hf/checkpoints/x/model.safetensors")
    path.hash = metadata.FileHash("sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU")
    path.dist = type("Distribution", (), {"locate_file": lambda self, file: tmp_path / file})()
    monkeypatch.setattr(doctor.metadata, "files", lambda name: [path])
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert doctor._recorded_hashes() == {(tmp_path / str(path)).resolve(): empty}


def test_offline_nothing_is_asked_for(monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    assert found("hub")["hub"].found == "offline mode (HF_HUB_OFFLINE): nothing is asked for"


def test_without_a_token_nothing_is_asked_for(monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    assert found("hub")["hub"] == Finding(
        "hub", "ok", "not logged in, which is needed for private models and `av-emotion push` alone"
    )


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        ("200 OK", b'{"name": "ann"}', ("ok", "logged in as ann")),
        ("401 Unauthorized", b"{}", ("note", "the token is not accepted")),
        ("503 Busy", b"", ("note", "answers with status 503")),
    ],
)
def test_what_the_hub_says(hub, monkeypatch, status, body, expected):
    monkeypatch.setattr(doctor, "HUB_TIMEOUT", 60)  # the machine may be busy
    hub(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body)
    one = found("hub")["hub"]
    assert one.status == expected[0] and one.found.endswith(expected[1]) and "secret" not in str(one)


def test_a_hub_that_hangs_is_left(hub, monkeypatch):
    monkeypatch.setattr(doctor, "HUB_TIMEOUT", 0.2)
    hub(None)
    one = found("hub")["hub"]
    assert one.status == "note" and "timed out" in one.found.lower()
    assert one.remedy == "check the connection, or set HF_HUB_OFFLINE=1 to work without it"


def test_blazeface_without_weights_is_a_note(monkeypatch, tmp_path):
    monkeypatch.setattr("torch.hub.get_dir", lambda: str(tmp_path))
    one = found("blazeface")["blazeface"]
    assert one.status == "note" and "mtcnn works in its place" in one.found
    assert "load_detector('blazeface')" in one.remedy


def test_a_detector_that_finds_nothing_fails(monkeypatch):
    class Blind:
        def detect(self, frames):
            return [np.zeros((0, 5))]

    monkeypatch.setattr(detector_module, "load_detector", lambda name: Blind())
    one = found("mtcnn")["mtcnn"]
    assert one.status == "fail" and one.found.endswith("weights in the package; finds 0 face(s) in a drawing of one")


def test_folders_that_are_full_or_cannot_be_written(monkeypatch, tmp_path):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: usage._replace(free=2**29))
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(constants, "HF_HOME", str(tmp_path / "file" / "hub"))
    findings = found("caches")
    assert findings["temporary files"].status == "note" and findings["temporary files"].found.endswith(
        ", 0.5 GiB free"
    )
    assert findings["temporary files"].remedy == "free some space, or set TMPDIR to another folder"
    assert findings["cache of the Hub"].found == f"{tmp_path / 'file' / 'hub'} cannot be written"


def test_an_old_python_fails(monkeypatch):
    monkeypatch.setattr(doctor.sys, "version_info", (3, 10, 2))
    one = found("python")["python"]
    assert one.status == "fail" and one.remedy == "install Python 3.11 or newer"


def test_the_drawing_moves():
    assert draw_face().shape == (240, 240, 3) and draw_face().dtype == np.uint8
    difference = draw_face(0.1)[:, 24:].astype(int) - draw_face()[:, :-24]
    assert np.abs(difference).max() <= 1 and draw_face().std() > 20  # rounding

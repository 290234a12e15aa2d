"""What is installed here, and whether it works: checks that go on whatever is broken."""

import base64
import importlib
import importlib.util
import os
import platform
import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from ..errors import InputError, printable
from ..utils import reason

DISTRIBUTION = "av-emotion-hf"
OLDEST_PYTHON = (3, 11)
REINSTALL = f"pip install --force-reinstall --no-deps {DISTRIBUTION}"
# modules that are loaded, in this order (decord crashes on damaged files when it comes before torch); of others it is
# looked whether they are there, since loading them takes seconds
LOADED = {
    "torch": "torch",
    "torchaudio": "torchaudio",
    "transformers": "transformers",
    "datasets": "datasets",
    "accelerate": "accelerate",
    "huggingface-hub": "huggingface_hub",
    "av": "av",
    "decord2": "decord",
    "opencv-python": "cv2",
}
LOOKED_FOR = {"face-alignment": "face_alignment"}
# by extra: the distribution that is looked for, and what it is for
EXTRAS = {
    "app": ("gradio", "`av-emotion app`"),
    "plots": ("matplotlib", "figures of timelines"),
    "onnx": ("onnxruntime", "`av-emotion export`"),
    "timm": ("timm", "its networks as expression backbone"),
    "tensorboard": ("tensorboard", "--report-to tensorboard"),
}
LITTLE_MEMORY, LITTLE_DISK = 2 * 2**30, 2 * 2**30  # bytes
HUB_TIMEOUT = 5.0  # seconds

Status = Literal["ok", "note", "fail"]


@dataclass(frozen=True)
class Finding:
    """What a check has found.

    Attributes:
        name: what was looked at.
        status: `ok`; `note` where something optional is missing or slow; `fail` where predictions cannot be made.
        found: in one line.
        remedy: what to do; `None` where nothing has to be done.
        details: further values, as JSON.
    """

    name: str
    status: Status
    found: str
    remedy: str | None = None
    details: dict[str, Any] | None = None

    def as_dict(self) -> dict[str, Any]:
        """The finding as one JSON object, without what it lacks."""
        return {name: value for name, value in asdict(self).items() if value is not None}


Check = Callable[[], Iterator[Finding]]


def examine(clip: str | None = None, only: Collection[str] = ()) -> Iterator[Finding]:
    """Check the installation, one thing after the other.

    What a check raises becomes a finding, whatever it is. Nothing is downloaded. The Hub is asked who is logged in, if
    somebody is and the environment does not say that it is offline.

    Args:
        clip: path of a clip to predict; by default one with a drawn face and a synthetic voice.
        only: names of the checks that are made; all by default.

    Raises:
        InputError: there is no such clip or check.
    """
    if clip is not None and not Path(clip).is_file():
        raise InputError(f"{clip}: there is no such file; check the path, or leave out --clip")
    checks: tuple[tuple[str, Check, Status, str], ...] = (
        ("python", _python, "fail", "install Python 3.11 or newer"),
        ("packages", _packages, "fail", f"pip install --upgrade {DISTRIBUTION}"),
        ("extras", _extras, "note", f"pip install '{DISTRIBUTION}[app]'"),
        ("machine", _machine, "note", "see which of its libraries failed above"),
        ("caches", _caches, "note", "see which of its libraries failed above"),
        ("pyav", _pyav, "fail", "pip install --force-reinstall av"),
        ("decord", _decord, "note", "pip install --force-reinstall decord2"),
        ("mtcnn", _mtcnn, "fail", REINSTALL),
        ("blazeface", _blazeface, "note", "pip install --force-reinstall face-alignment"),
        ("device", _device, "fail", "pip install --force-reinstall torch"),
        ("hub", _hub, "note", "check the connection, or set HF_HUB_OFFLINE=1 to work without it"),
        ("checkpoints", _checkpoints, "fail", REINSTALL),
        ("prediction", lambda: _prediction(clip), "fail", "see what failed above, and --clip if that was given"),
    )
    names = [name for name, *_ in checks]
    for wrong in set(only) - set(names):
        raise InputError(f"only={wrong!r}: there is no such check; choose from {', '.join(names)}")
    for name, check, status, remedy in checks:
        if not only or name in only:
            yield from _guarded(name, check, status, remedy)


def _guarded(name: str, check: Check, status: Status, remedy: str) -> Iterator[Finding]:
    """The findings of a check, the last of which is what it raised, if it did."""
    findings = check()
    while True:
        # what libraries say meanwhile is not a finding
        with warnings.catch_warnings(), redirect_stdout(sys.stderr):
            warnings.simplefilter("ignore")
            try:
                finding = next(findings, None)
            except (Exception, SystemExit) as error:  # each library that is broken raises its own
                yield _broken(name, status, error, remedy)
                return
        if finding is None:
            return
        yield finding


def _broken(name: str, status: Status, error: BaseException, remedy: str) -> Finding:
    """What was raised in place of a finding."""
    module = (getattr(error, "name", None) or "").split(".")[0] if isinstance(error, ImportError) else ""
    distribution = next((one for one, home in (LOADED | LOOKED_FOR).items() if home == module), module)
    return Finding(
        name, status, printable(reason(error)), f"pip install --force-reinstall {distribution}" if module else remedy
    )


def _python() -> Iterator[Finding]:
    version = platform.python_version()
    if sys.version_info < OLDEST_PYTHON:
        yield Finding("python", "fail", f"{version}, and 3.11 is needed", "install Python 3.11 or newer")
    else:
        yield Finding("python", "ok", f"{version}, {sys.executable}")


def _packages() -> Iterator[Finding]:
    """The package and what it requires: a line for what is loaded, or wrong, and one for all others."""
    folder = Path(__file__).parents[1]
    version = importlib.import_module(__name__.split(".")[0]).__version__
    try:
        lines = metadata.requires(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        remedy = f"pip install {DISTRIBUTION}"
        yield Finding(DISTRIBUTION, "note", f"{version} in {folder}, not known to pip, nor what it needs", remedy)
        lines = []
    else:
        yield Finding(DISTRIBUTION, "ok", f"{version} in {folder}")
    required = _requirements(lines)
    others = 0
    for name in dict.fromkeys([*LOADED, *LOOKED_FOR, *required]):
        wrong = _wrong_version(name, required.get(name))
        if wrong is None and (name in LOADED or name in LOOKED_FOR):
            wrong = _not_loaded(name)
        if wrong is not None:
            yield wrong
        elif name in LOADED or name in LOOKED_FOR:
            yield Finding(name, "ok", metadata.version(name))
        else:
            others += 1
    if others:
        yield Finding("other packages", "ok", f"{others} that are needed, with versions that fit")


def _requirements(lines: list[str]) -> dict[str, Any]:
    """By distribution what this package requires of it here, without extras."""
    from packaging.requirements import Requirement

    found = [Requirement(line) for line in lines]
    return {one.name: one for one in found if one.marker is None or one.marker.evaluate({"extra": ""})}


def _wrong_version(name: str, requirement: Any) -> Finding | None:
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        return Finding(name, "fail", "is not installed", f"pip install '{requirement or name}'")
    if requirement is not None and not requirement.specifier.contains(version, prereleases=True):
        return Finding(
            name, "fail", f"{version}, and {requirement.specifier} is needed", f"pip install '{requirement}'"
        )
    return None


def _not_loaded(name: str) -> Finding | None:
    """Load a distribution, or look whether its module is there."""
    remedy = f"pip install --force-reinstall {name}"
    try:
        if name in LOADED:
            importlib.import_module(LOADED[name])
        elif importlib.util.find_spec(LOOKED_FOR[name]) is None:
            return Finding(name, "fail", f"the module {LOOKED_FOR[name]} is missing", remedy)
    except (Exception, SystemExit) as error:
        return Finding(name, "fail", f"cannot be loaded ({printable(reason(error))})", remedy)
    return None


def _extras() -> Iterator[Finding]:
    for extra, (name, purpose) in EXTRAS.items():
        try:
            yield Finding(f"extra {extra}", "ok", f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            remedy = f"pip install '{DISTRIBUTION}[{extra}]'"
            yield Finding(f"extra {extra}", "note", f"{name} is not installed; it is for {purpose}", remedy)


def _machine() -> Iterator[Finding]:
    yield Finding("platform", "ok", platform.platform())
    total, free = _memory()
    if total is None:
        yield Finding("memory", "ok", "cannot be told on this system")
    else:
        found = f"{total / 2**30:.1f} GiB" + ("" if free is None else f", {free / 2**30:.1f} GiB available")
        is_little = (total if free is None else free) < LITTLE_MEMORY
        remedy = "close other programs: a prediction takes about a GiB" if is_little else None
        yield Finding("memory", "note" if is_little else "ok", found, remedy, {"total": total, "available": free})
    from ..devices import available_cores

    yield Finding("cores", "ok", f"{available_cores()} of {os.cpu_count()} for this process")


def _memory() -> tuple[int | None, int | None]:
    """Bytes of memory, and those that are available, as far as the system tells."""
    try:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None, None
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return total, next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        return total, None


def _caches() -> Iterator[Finding]:
    yield _folder("temporary files", Path(tempfile.gettempdir()), "TMPDIR")
    from huggingface_hub.constants import HF_HOME

    yield _folder("cache of the Hub", Path(HF_HOME), "HF_HOME")
    import torch

    yield _folder("cache of torch", Path(torch.hub.get_dir()), "TORCH_HOME")


def _folder(name: str, folder: Path, variable: str) -> Finding:
    """How much room a folder has, which need not exist yet, and whether it can be written."""
    nearest = folder
    while not nearest.exists() and nearest != nearest.parent:
        nearest = nearest.parent
    remedy = f"set {variable} to another folder"
    if not nearest.is_dir() or not os.access(nearest, os.W_OK):
        return Finding(name, "note", f"{folder} cannot be written", remedy)
    free = shutil.disk_usage(nearest).free
    found, details = f"{folder}, {free / 2**30:.1f} GiB free", {"free": free}
    if free < LITTLE_DISK:
        return Finding(name, "note", found, f"free some space, or {remedy}", details)
    return Finding(name, "ok", found, None, details)


def _pyav() -> Iterator[Finding]:
    import av

    from ..media.clip import open_clip

    with _drawn_clip() as path:
        clip = open_clip(str(path))
        frames = sum(len(times) for times, _ in clip.frames())
        seconds = sum(len(block) for block in clip.audio()) / clip.sampling_rate
    found = f"{frames} frames of MPEG-4 and {seconds:.1f} s of AAC"
    codec = ".".join(map(str, av.library_versions["libavcodec"]))
    is_good = (frames, clip.video_reader, clip.audio_reader) == (20, "pyav", "pyav") and 1.9 < seconds < 2.2
    remedy = None if is_good else "pip install --force-reinstall av"
    yield Finding("pyav", "ok" if is_good else "fail", f"reads {found}, libavcodec {codec}", remedy)


def _decord() -> Iterator[Finding]:
    import torch  # noqa: F401, I001  decord crashes on damaged files when it is loaded before torch
    import decord

    decord.logging.set_level(decord.logging.QUIET)
    with _drawn_clip() as path:
        reader = decord.VideoReader(str(path), num_threads=1)
        count, shape = len(reader), reader.next().shape
        del reader  # before the file goes
    is_good = count == 20 and tuple(shape) == (240, 240, 3)
    remedy = None if is_good else "pip install --force-reinstall decord2"
    yield Finding("decord", "ok" if is_good else "note", f"reads {count} frames of MPEG-4", remedy)


def _mtcnn() -> Iterator[Finding]:
    yield _detector("mtcnn", "weights in the package", "fail", REINSTALL)


def _blazeface() -> Iterator[Finding]:
    import torch

    from ..media.detector import blazeface_is_cached

    folder = Path(torch.hub.get_dir()) / "checkpoints"
    if blazeface_is_cached():
        remedy = f"remove blazeface.pth and anchors.npy in {folder}, and download them again"
        yield _detector("blazeface", f"weights in {folder}", "note", remedy)
    else:
        yield Finding(
            "blazeface",
            "note",
            f"a face detector; its weights are not in {folder}; mtcnn works in its place, and takes longer",
            "python -c \"import av_emotion_hf; av_emotion_hf.load_detector('blazeface')\" downloads them",
        )


def _detector(name: str, where: str, status: Status, remedy: str) -> Finding:
    """Whether a detector finds the face in a drawing of one."""
    from ..media.detector import load_detector
    from ..media.drawn_clip import draw_face

    (boxes,) = load_detector(name).detect(draw_face()[None])
    found = f"a face detector, {where}; finds {len(boxes)} face(s) in a drawing of one"
    return Finding(name, "ok", found) if len(boxes) == 1 else Finding(name, status, found, remedy)


def _device() -> Iterator[Finding]:
    import torch

    from ..devices import choose_device

    choice = choose_device()
    names = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    others = [f"cuda:{number} is {name}" for number, name in enumerate(names)]
    others += ["mps is there for --device mps"] if torch.backends.mps.is_available() else []
    yield Finding("device", "ok", "; ".join([str(choice).removeprefix("device "), *others]))


def _hub() -> Iterator[Finding]:
    from huggingface_hub import constants, get_token

    if constants.HF_HUB_OFFLINE:
        yield Finding("hub", "ok", "offline mode (HF_HUB_OFFLINE): nothing is asked for")
        return
    token = get_token()
    if token is None:
        yield Finding("hub", "ok", "not logged in, which is needed for private models and `av-emotion push` alone")
        return
    from huggingface_hub.utils import build_hf_headers, get_session

    url = f"{constants.ENDPOINT}/api/whoami-v2"
    answer = get_session().get(url, headers=build_hf_headers(token=token), timeout=HUB_TIMEOUT)
    if answer.status_code == 200:
        yield Finding("hub", "ok", f"logged in as {printable(str(answer.json().get('name')))}")
    elif answer.status_code in (401, 403):
        yield Finding("hub", "note", "the token is not accepted", "hf auth login")
    else:
        found = f"{constants.ENDPOINT} answers with status {answer.status_code}"
        yield Finding("hub", "note", found, "try it again later, or set HF_HUB_OFFLINE=1 to work without it")


def _checkpoints() -> Iterator[Finding]:
    from transformers.utils import logging as transformers_logging

    from ..checkpoints import SHIPPED_CHECKPOINTS, load_classifier, weights_sha256

    transformers_logging.disable_progress_bar()
    recorded = _recorded_hashes()
    for name, folder in SHIPPED_CHECKPOINTS.items():
        title = f"checkpoint {name.removeprefix('av-emotion-')}"
        try:
            modality, bundle = load_classifier(folder)
            digest = weights_sha256(folder)
        except Exception as error:  # of a damaged file each library raises its own
            yield Finding(title, "fail", printable(reason(error)), REINSTALL)
            continue
        millions = sum(one.numel() for one in bundle.model.parameters()) / 1e6
        details = {"name": name, "sha256": digest}
        expected = recorded.get((Path(folder) / "model.safetensors").resolve())
        if expected is not None and expected != digest:
            yield Finding(title, "fail", "its weights are not those that were installed", REINSTALL, details)
        else:
            found = f"{name}, {modality}, {millions:.1f} M parameters, sha256 {(digest or 'unknown')[:12]}"
            yield Finding(title, "ok", found, None, details)


def _recorded_hashes() -> dict[Path, str]:
    """SHA-256 of files, as pip has noted them when it installed this package; empty for a checkout."""
    try:
        files = metadata.files(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        return {}
    found = {}
    for file in files:
        if file.name == "model.safetensors" and file.hash is not None and file.hash.mode == "sha256":
            digest = base64.urlsafe_b64decode(file.hash.value + "=" * (-len(file.hash.value) % 4)).hex()
            found[Path(str(file.locate())).resolve()] = digest
    return found


def _prediction(clip: str | None) -> Iterator[Finding]:
    from .predictor import EmotionPredictor

    begun = time.perf_counter()
    predictor = EmotionPredictor()
    loaded = time.perf_counter()
    with _drawn_clip() as path:
        result = predictor(str(path) if clip is None else clip)
    done = time.perf_counter()
    assert not isinstance(result, list)  # which is for person="all"
    seconds = f"loaded in {loaded - begun:.1f} s, {done - loaded:.1f} s for {result.duration:.1f} s"
    used = " and ".join({"audio": "voice", "image": "face"}[name] for name in result.modalities) or "nothing"
    face = f"face in {result.face_coverage:.0%} of the frames by {result.detector or 'no detector'}"
    details = result.as_dict()
    what = "a drawn face and a synthetic voice" if clip is None else clip
    answer = "no emotion" if result.emotion is None else f"{result.emotion} {result.scores[result.emotion]:.2f}"
    found = f"{what}: {answer} by {used}, {face}, {seconds}"
    if result.modalities == ["audio", "image"]:
        yield Finding("prediction", "ok", found, None, details)
    elif clip is None:
        yield Finding("prediction", "fail", found, "see what failed above; --clip FILE tests a clip of yours", details)
    else:
        remedy = "`av-emotion faces` draws what is seen of a clip; another one may have voice and face"
        yield Finding("prediction", "note", found, remedy, details)


@contextmanager
def _drawn_clip() -> Iterator[Path]:
    """A temporary clip of a drawn face and a synthetic voice."""
    from ..media.drawn_clip import write_drawn_clip

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "drawn.mkv"
        write_drawn_clip(path)
        yield path


__all__ = ["EXTRAS", "Finding", "examine"]

"""Install a wheel in an empty virtual environment, and predict and report with it where no checkout is.

The environment finds its dependencies in the one that runs this script, so that none is downloaded again.

python tools/try_wheel.py dist/av_emotion_hf-0.2.0-py3-none-any.whl
"""

import json
import os
import subprocess
import sys
import sysconfig
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ALONE = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")} | {"HF_HUB_OFFLINE": "1"}


def run(*words: str | Path, folder: Path) -> str:
    """What a command prints."""
    return subprocess.run(words, cwd=folder, env=ALONE, check=True, stdout=subprocess.PIPE, text=True).stdout


def try_wheel(wheel: Path, folder: Path) -> None:
    """Install, import, `--help`, `predict`, `timeline`, in `folder`."""
    venv.create(folder / "venv", with_pip=False)
    scripts = folder / "venv" / ("Scripts" if os.name == "nt" else "bin")
    python = scripts / "python"
    site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", folder=folder).strip())
    # a plain path: the .pth files in it, among them that of an editable install, are not read
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")
    run(sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", wheel, folder=folder)

    imported = run(python, "-c", "import av_emotion_hf; print(av_emotion_hf.__file__)", folder=folder).strip()
    assert Path(imported).is_relative_to(site), f"{imported} does not come from the wheel"
    command = scripts / "av-emotion"
    assert "predict" in run(command, "--help", folder=folder)
    run(sys.executable, ROOT / "examples" / "make_demo_clip.py", "clip.mp4", folder=folder)
    for checkpoint in ("av-emotion-base", "av-emotion-base-mit", "av-emotion-voice", "av-emotion-voice-small"):
        words = (command, "predict", "clip.mp4", "--checkpoint", checkpoint, "--json")
        prediction = json.loads(run(*words, folder=folder))
        assert abs(sum(prediction["scores"].values()) - 1) < 1e-3, prediction
        print(f"{wheel.name}, {checkpoint}: predicts {prediction['emotion']}")
    run(command, "timeline", "clip.mp4", "--out", "out", folder=folder)
    assert "</html>" in (folder / "out" / "clip.html").read_text(encoding="utf-8")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        try_wheel(Path(sys.argv[1]).resolve(), Path(folder).resolve())

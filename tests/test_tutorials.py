"""The tutorials of the site run as they are pasted, on small clips."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from helpers.synthetic import voice, write_clip
from hub.server import LoopbackHub

import av_emotion_hf as av

TUTORIALS = Path(__file__).parents[1] / "docs" / "tutorials"
RUNNER = Path(__file__).parent / "helpers" / "page_blocks.py"
SHORT = {
    "--epochs 20": "--epochs 1",
    "--epochs 30": "--epochs 1",
    "--epochs 3 ": "--epochs 1 ",
    "--max-steps 1000": "--max-steps 2",
}
PITCH = {"calm": 120, "excited": 260}


class Page:
    """Runs the blocks of a page, one after the other, in a folder.

    Args:
        folder: where they run.
        **environment: variables beside those of this process.
    """

    def __init__(self, folder: Path, **environment: str):
        self.folder = folder
        self.environment = os.environ | {
            "PYTHONPATH": str(Path(av.__file__).parents[1]),
            "OMP_NUM_THREADS": "1",
            "HF_HOME": str(folder / "hf"),
            "TORCH_HOME": str(folder / "torch"),
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        } | environment  # fmt: skip

    def run(self, name: str, changes: dict[str, str], before: str = "") -> str:
        """What the blocks of a page print, with the texts in `changes` replaced, each of which is there.

        `before` are commands that another page has told to run.
        """
        text = (TUTORIALS / f"{name}.md").read_text(encoding="utf-8")
        for old, new in changes.items():
            assert old in text, f"{name}: {old!r} is gone"
            text = text.replace(old, new)
        blocks = re.findall(r"^```(bash|python)\n(.*?)^```", text, flags=re.S | re.M)
        assert blocks
        done = subprocess.run(
            [sys.executable, RUNNER],
            input=json.dumps([("bash", before), *blocks]),
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout


@pytest.fixture
def page(tmp_path):
    return Page(tmp_path)


@pytest.fixture
def clip(tmp_path, paste_faces):
    """Function that writes a clip of a second, with a face and a buzz of that pitch."""
    frames = [paste_faces((100 + number, 40, 140)) for number in range(10)]

    def write(path, hertz=150, has_face=True):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        return write_clip(tmp_path / path, frames if has_face else None, 10, voice(1.0, hertz), 16_000)

    return write


@pytest.fixture
def my_clips(clip):
    """Ten labeled clips of three people, of which the sound alone tells the class."""
    people = {
        "calm": ["anna-1", "anna-2", "ben-1", "ben-2", "cem-1"],
        "excited": ["anna-3", "anna-4", "ben-3", "ben-4", "cem-2"],
    }
    for label, names in people.items():
        for number, name in enumerate(names):
            clip(f"my-clips/{label}/{name}.mp4", PITCH[label] + 3 * number)


def write_metadata(folder):
    """The table that the page of the ten clips writes."""
    clips = sorted(path.relative_to(folder).as_posix() for path in folder.glob("*/*.mp4"))
    rows = [f"{clip},{Path(clip).stem.split('-')[0]}" for clip in clips]
    (folder / "metadata.csv").write_text("\n".join(["file_name,speaker", *rows]))


@pytest.mark.slow
def test_a_folder(page, clip, tmp_path):
    for name in ("anna-1", "anna-2", "ben-1"):
        clip(f"clips/{name}.mp4", 150 if name.startswith("anna") else 110)
    printed = page.run("folder", {})
    assert printed.count("clips/anna-1.mp4") == 5
    table = (tmp_path / "predictions.csv").read_text().splitlines()
    assert len(table) == 4 and table[0].startswith("path,emotion,face_coverage,")
    assert (tmp_path / "sheet.png").stat().st_size > 10_000


@pytest.mark.slow
def test_ten_labeled_clips(page, clip, my_clips, tmp_path):
    clip("new-clips/dora-1.mp4", 275)
    clip("new-clips/dora-2.mp4", 118)
    printed = page.run("ten-clips", {})
    scores = (tmp_path / "runs" / "check" / "scores.json").read_text()
    assert '"uar": 1.0' in scores and '"groups": [' in scores
    assert re.search(r"dora-1.mp4\texcited\t", printed) and re.search(r"dora-2.mp4\tcalm\t", printed)
    assert printed.strip().endswith("excited")


@pytest.mark.slow
def test_unlabeled_clips(page, clip, my_clips, whisper, tmp_path):
    write_metadata(tmp_path / "my-clips")
    for number in range(6):
        clip(f"clips/anna-{number}.mp4", 120 + 30 * number, has_face=False)
    changes = {"openai/whisper-base": whisper, '"hidden_size": 256': '"hidden_size": 8'}
    printed = page.run("unlabeled", changes | SHORT)
    assert "clips got pseudo-labels" in printed
    for name in ("self", "small", "small-voice", "voice-classifier", "streamed"):
        assert (tmp_path / "runs" / name / "model.safetensors").is_file()
    assert (tmp_path / "reconstructed.png").is_file()


@pytest.mark.slow
def test_a_corpus(page, clip, tmp_path):
    for name in ("anna-1", "anna-2"):
        clip(f"clips/{name}.mp4", has_face=False)
    for name in ("anna_cal_01", "anna_exc_01", "ben_cal_01", "ben_exc_01", "notes_of_ben"):
        clip(f"my-corpus/{name}.mp4", has_face=False)
    printed = page.run("corpus", {})
    assert "4 ('anna',)" in printed
    assert len((tmp_path / "voices.csv").read_text().splitlines()) == 3


@pytest.mark.slow
def test_publishing(clip, my_clips, tmp_path):
    clip("clip.mp4", 270)
    with LoopbackHub() as hub:
        page = Page(
            tmp_path, HF_ENDPOINT=hub.url, HF_TOKEN="hf_writer", HF_HUB_OFFLINE="0", HF_HUB_DISABLE_XET="1",
            HF_HUB_DISABLE_TELEMETRY="1",
        )  # fmt: skip
        before = (
            "av-emotion finetune my-clips --modality audio --init av-emotion-voice-mit --head-first --epochs 1 "
            "--out runs/mine\nav-emotion extract my-clips --modality audio --out runs/inputs"
        )
        printed = page.run("publish", {"USER/": "tester/"}, before)
        assert "excited" in printed
        assert {"README.md", "model.safetensors", "modeling_av_emotion.py"} <= set(hub.files("tester/NAME"))
        assert (tmp_path / "runs" / "encoder" / "model.safetensors").is_file()


@pytest.mark.slow
def test_an_interview(page, clip, paste_faces, tmp_path):
    frames = [paste_faces((20, 50, 110), (220, 50, 110)) for _ in range(60)]
    write_clip(tmp_path / "interview.mp4", frames, 10, voice(6.0, 150), 16_000)
    clip("usual.mp4", 140)
    both = np.concatenate([voice(6.0, 120), voice(6.0, 230)[:, ::-1] * np.linspace(0, 1, 96_000, dtype=np.float32)])
    soundfile.write(tmp_path / "call.wav", both.T, 16_000)
    turns = [
        f"SPEAKER interview 1 {start} 2.0 <NA> <NA> {who} <NA> <NA>" for start, who in ((0.5, "anna"), (3.0, "ben"))
    ]
    (tmp_path / "turns.rttm").write_text("\n".join(turns) + "\n")
    printed = page.run("interview", {})
    for suffix in ("html", "csv", "parquet", "eaf", "TextGrid", "vtt", "srt", "rttm", "audacity.txt", "json"):
        assert (tmp_path / "report" / f"interview.{suffix}").is_file(), suffix
    tables = {
        name: pd.read_csv(tmp_path / name / file) for name, file in (("turns", "interview.csv"), ("call", "call.csv"))
    }
    assert list(tables["turns"]["person"]) == ["anna", "ben"]
    assert set(tables["call"]["person"]) == {"channel-1", "channel-2"}
    assert set(pd.read_csv(tmp_path / "person-1" / "interview.csv")["person"]) == {"person-1"}
    assert "person-2" in printed and (tmp_path / "timeline.pdf").is_file()

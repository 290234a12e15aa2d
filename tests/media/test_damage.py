import subprocess
import sys
from pathlib import Path

import pytest

# in a process of its own, for a decoder that crashes must not take the test run with it
SCRIPT = """
import sys, tempfile
from collections import Counter
from pathlib import Path
from helpers.damage import base_clips, damaged_clips
from av_emotion_hf.media import ClipError, open_clip
ends = Counter()
with tempfile.TemporaryDirectory() as folder:
    for index, (kind, base, suffix, data) in enumerate(damaged_clips(base_clips(Path(folder)), 120)):
        path = Path(folder) / f"damaged.{suffix}"
        path.write_bytes(data)
        try:
            clip = open_clip(data if index % 2 else path)
        except ClipError as error:
            assert "\\n" not in str(error)
            ends["error"] += 1
            continue
        frames = sum(len(times) for times, _ in clip.frames())
        samples = sum(len(block) for block in clip.audio())
        assert frames or samples or kind != "wrong_suffix"
        ends["result"] += 1
print(ends["error"], ends["result"])
"""


@pytest.mark.slow
def test_damaged_clips_end_in_a_result_or_in_one_line():
    tests = str(Path(__file__).parents[1])
    run = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {tests!r})\n{SCRIPT}"],
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    errors, results = map(int, run.stdout.split())
    assert errors + results == 120 and errors > 10 and results > 60
    assert run.stderr == ""

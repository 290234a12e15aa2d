"""Peak memory of reading all frames and all audio of a clip of a minute and of one of an hour.

    python benchmarks/media_memory.py [OUT.json]

The clips are one short clip over and over (360x270, 25 frames a second, H.264 and AAC). Each is read in a process of
its own, at 10 frames a second, frames and audio in turn.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import av
import numpy as np
from loops import repeat_clip
from memory import peak_mb

MINUTES = (1, 60)


def write_loop(path: Path, minutes: int) -> None:
    """Encode ten seconds of moving noise and of a tone, and copy them one behind the other."""
    draw = np.random.default_rng(0)
    texture = draw.integers(40, 220, (270, 720, 3), np.uint8)
    samples = (8000 * np.sin(np.arange(480_000) * 0.06)).astype(np.int16)[None]
    short = path.with_stem("short")
    with av.open(str(short), "w") as file:
        video = file.add_stream("libx264", rate=25, options={"preset": "ultrafast", "crf": "40"})
        video.width, video.height, video.pix_fmt = 360, 270, "yuv420p"
        audio = file.add_stream("aac", rate=48_000, layout="mono")
        packets = []
        for index in range(250):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(texture[:, index : index + 360]), "rgb24")
            frame.pts = index
            packets += video.encode(frame)
        packets += video.encode()
        for first in range(0, samples.shape[1], 1024):
            frame = av.AudioFrame.from_ndarray(samples[:, first : first + 1024], "s16", "mono")
            frame.sample_rate, frame.pts = 48_000, first
            packets += audio.encode(frame)
        for packet in sorted(packets, key=lambda packet: packet.dts * packet.time_base):
            file.mux(packet)
    repeat_clip(short, path, 60 * minutes)


def read(path: str) -> None:
    """Read a clip to its end and print its length, how much came of it, and the peak of memory in MB (Linux)."""
    from av_emotion_hf.media import open_clip

    before = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    clip = open_clip(path)
    frames = samples = 0
    audio = clip.audio(3.2)
    for times, _ in clip.frames():  # 32 of them are 3.2 seconds
        frames += len(times)
        samples += len(next(audio, ()))
    samples += sum(len(block) for block in audio)
    print(
        json.dumps(
            {
                "seconds": round(clip.duration, 2),
                "frames": frames,
                "samples": samples,
                "imports_mb": round(before / 2**20, 1),
                "peak_mb": round(peak_mb(), 1),
            }
        )
    )


def main(out: Path) -> None:
    """Write both clips, read them and write the peaks."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for minutes in MINUTES:
            path = Path(folder) / f"{minutes}.mp4"
            write_loop(path, minutes)
            child = subprocess.run([sys.executable, __file__, "--read", path], check=True, capture_output=True)
            rows.append(
                {"minutes": minutes, "file_mb": round(path.stat().st_size / 2**20, 1), **json.loads(child.stdout)}
            )
    record = {"rows": rows, "difference_mb": round(rows[1]["peak_mb"] - rows[0]["peak_mb"], 1)}
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(record, indent=1) + "\n")
    print(json.dumps(record, indent=1))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--read"]:
        read(sys.argv[2])
    else:
        parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
        parser.add_argument(
            "out", nargs="?", type=Path, default=Path(__file__).parent / "results" / "media_memory.json"
        )
        main(parser.parse_args().out)

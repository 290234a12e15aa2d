"""How long rows of a live stream take, and whether memory grows with it.

    python benchmarks/stream_latency.py CLIP [OUT.json] [--seconds 60] [--minutes 1 5]

CLIP is a talking face; it is played over and over, in chunks of a quarter of a second. For latency it is played at
real time for so many seconds: its voice alone, then voice and face. For memory it is pushed as fast as possible, for
each of so many minutes. Every run is a process of its own, on one core for the model.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import av
import numpy as np
from memory import peak_mb

from av_emotion_hf import EmotionPredictor, EmotionStream

CHUNK = 0.25  # seconds
Played = tuple[np.ndarray, list[tuple[float, np.ndarray]]]


class Player:
    """A clip that is played over and over.

    Args:
        path: of the clip, whose audio and video are in memory then.
    """

    def __init__(self, path: str):
        with av.open(path) as file:
            decoded = [(float(one.time), one.to_ndarray(format="rgb24")) for one in file.decode(video=0)]
        with av.open(path) as file:
            resampler = av.AudioResampler("flt", "mono")
            pieces = [piece for one in [*file.decode(audio=0), None] for piece in resampler.resample(one)]
        self.rate = pieces[0].sample_rate
        self.samples = np.concatenate([piece.to_ndarray()[0] for piece in pieces])
        self.frames = [(at - decoded[0][0], image) for at, image in decoded]
        self.length = len(self.samples) / self.rate
        self.frames = [one for one in self.frames if one[0] < self.length]

    def play(self, seconds: float) -> Iterator[Played]:
        """Chunks of samples, and the frames of the same time."""
        for number in range(round(seconds / CHUNK)):
            start, end = number * CHUNK, (number + 1) * CHUNK
            at = np.arange(round(start * self.rate), round(end * self.rate)) % len(self.samples)
            rounds = range(int(start // self.length), int(end // self.length) + 1)
            shown = [(each * self.length + when, image) for each in rounds for when, image in self.frames]
            yield self.samples[at], [one for one in shown if start <= one[0] < end]


def measure(path: str, seconds: float, with_face: bool, is_live: bool) -> None:
    """Play a clip into a stream, and print what the stream says of it."""
    player = Player(path)
    stream = EmotionStream(EmotionPredictor(device="cpu"))
    begun, computing, rows = time.perf_counter(), time.process_time(), 0
    for number, (samples, frames) in enumerate(player.play(seconds), 1):
        if is_live:
            time.sleep(max(0.0, begun + number * CHUNK - time.perf_counter()))
        rows += len(stream.push((samples, player.rate), frames if with_face else ()))
    processor = (time.process_time() - computing) / seconds
    rows += len(stream.finish())
    found = {name: value if value is None else round(value, 3) for name, value in asdict(stream.latency).items()}
    settings = stream.timeline().settings
    record = {"seconds": seconds, "rows": rows, "processor": round(processor, 3), "peak_mb": round(peak_mb())}
    print(json.dumps(record | found | {name: settings[name] for name in ("window", "hop", "detector")}))


def run(*words: object) -> dict:
    """What a process of its own measures."""
    child = subprocess.run(
        [sys.executable, __file__, "--measure", *map(str, words)], check=True, stdout=subprocess.PIPE
    )
    return json.loads(child.stdout.splitlines()[-1])


def main(clip: Path, out: Path, seconds: float, minutes: list[float]) -> None:
    """Measure latency and memory, and write the record."""
    live = {name: run(clip, seconds, int(name != "voice"), 1) for name in ("voice", "voice and face")}
    fast = [{"minutes": count} | run(clip, 60 * count, 1, 0) for count in minutes]
    record = {
        "clip": clip.name,
        "cores": os.cpu_count(),
        "chunk": CHUNK,
        "checkpoint": "av-emotion-base",
        "live": live,
        "memory": [{name: one[name] for name in ("minutes", "windows", "peak_mb", "load")} for one in fast],
        "difference_mb": fast[-1]["peak_mb"] - fast[0]["peak_mb"],
    }
    out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(record, indent=1))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        path, given, with_face, is_live = sys.argv[2:]
        measure(path, float(given), with_face == "1", is_live == "1")
    else:
        parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
        parser.add_argument("clip", type=Path)
        parser.add_argument("out", nargs="?", type=Path, default=Path(__file__).parent / "results" / "stream.json")
        parser.add_argument("--seconds", type=float, default=60)
        parser.add_argument("--minutes", nargs="+", type=float, default=[1, 5])
        chosen = parser.parse_args()
        main(chosen.clip, chosen.out, chosen.seconds, chosen.minutes)

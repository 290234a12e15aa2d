"""How long rows of a live stream take, and whether memory grows with it.

    python benchmarks/stream_latency.py CLIP [OUT.json] [--minutes 1 5] [--on-the-clock]

CLIP is a talking face; it is played over and over, in chunks of a quarter of a second, for each of so many minutes:
its voice alone, then voice and face. Every run is a process of its own, on one thread. Chunks come at the times at
which a microphone and a camera would give them, on a simulated clock that goes on by the processor time of computing,
so that other programs do not count; or in real time, with `--on-the-clock`.
"""

import argparse
import json
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
from av_emotion_hf.inference import stream as stream_module

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


class SimulatedClock:
    """Takes the place of `time` in the stream: between two chunks only processor time passes."""

    def __init__(self) -> None:
        self.start, self.spent = 0.0, time.process_time()

    def perf_counter(self) -> float:
        """Seconds."""
        return self.start + time.process_time() - self.spent

    def wait_until(self, seconds: float) -> None:
        """Go on to a later time."""
        self.start, self.spent = max(seconds, self.perf_counter()), time.process_time()


class RealClock:
    """The clock of the machine."""

    def __init__(self) -> None:
        self.begun = time.perf_counter()

    def perf_counter(self) -> float:
        """Seconds."""
        return time.perf_counter() - self.begun

    def wait_until(self, seconds: float) -> None:
        """Sleep."""
        time.sleep(max(0.0, seconds - self.perf_counter()))


def measure(path: str, seconds: float, with_face: bool, on_the_clock: bool) -> None:
    """Play a clip into a stream, and print what the stream says of it."""
    player = Player(path)
    stream = EmotionStream(EmotionPredictor(device="cpu"))
    stream.push((player.samples, player.rate), player.frames)
    stream.finish()  # what is loaded once is loaded now
    stream = EmotionStream(stream.predictor)
    clock = stream_module.time = RealClock() if on_the_clock else SimulatedClock()
    rows = 0
    for number, (samples, frames) in enumerate(player.play(seconds), 1):
        clock.wait_until(number * CHUNK)
        rows += len(stream.push((samples, player.rate), frames if with_face else ()))
    rows += len(stream.finish())
    found = {name: value if value is None else round(value, 3) for name, value in asdict(stream.latency).items()}
    settings = {name: stream.timeline().settings[name] for name in ("window", "hop", "detector")}
    print(json.dumps({"rows": rows, "peak_mb": round(peak_mb())} | found | settings))


def main(clip: Path, out: Path, minutes: list[float], on_the_clock: bool) -> None:
    """Measure each length, with and without face, and write the record."""
    rows = []
    for given in ("voice", "voice and face"):
        for count in minutes:
            words = [clip, 60 * count, int(given != "voice"), int(on_the_clock)]
            child = subprocess.run(
                [sys.executable, __file__, "--measure", *map(str, words)], check=True, stdout=subprocess.PIPE
            )
            rows.append({"given": given, "minutes": count} | json.loads(child.stdout.splitlines()[-1]))
    record = {
        "clip": clip.name,
        "chunk": CHUNK,
        "checkpoint": "av-emotion-base",
        "clock": "real" if on_the_clock else "simulated, computing in processor time of one thread",
        "rows": rows,
    }
    out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(record, indent=1))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        path, given, with_face, on_the_clock = sys.argv[2:]
        measure(path, float(given), with_face == "1", on_the_clock == "1")
    else:
        parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
        parser.add_argument("clip", type=Path)
        parser.add_argument("out", nargs="?", type=Path, default=Path(__file__).parent / "results" / "stream.json")
        parser.add_argument("--minutes", nargs="+", type=float, default=[1, 5])
        parser.add_argument("--on-the-clock", action="store_true")
        chosen = parser.parse_args()
        main(chosen.clip, chosen.out, chosen.minutes, chosen.on_the_clock)

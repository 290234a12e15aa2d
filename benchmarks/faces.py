"""Faces of clips: how many are found, whose they are, how fast, and in how much memory; as JSON.

    TORCH_HOME=WEIGHTS python benchmarks/faces.py [--shared ../shared] [--parts coverage speaker speed memory]

Needs the corpora and clips beside the checkout and the weights of blazeface.
"""

import argparse
import itertools
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(variable, "1")  # one thread in each of as many processes as there are cores

import av  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
from loops import repeat_clip  # noqa: E402
from memory import peak_mb  # noqa: E402
from transformers import pipeline  # noqa: E402

from av_emotion_hf.checkpoints import FACE_CHECKPOINT, build_model  # noqa: E402
from av_emotion_hf.data import ClipReader, FeatureReader, open_dataset  # noqa: E402
from av_emotion_hf.data.extraction import extract  # noqa: E402
from av_emotion_hf.data.workers import call_in_workers  # noqa: E402
from av_emotion_hf.inference.predictor import DEFAULT_CHECKPOINT, EmotionPredictor  # noqa: E402
from av_emotion_hf.media import face_windows, follower, load_detector, open_clip, track_faces  # noqa: E402
from av_emotion_hf.media.crops import crop_square  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "faces.json"
PROCESSES = 2
# seconds until which a clip shows a face; all others show one throughout (looked at)
FACE_LEAVES = {"pyfeat__face_noface.mov": 2.4}
LARGE = ("mead_eamm__M030_sad_3_001.mp4", "pyfeat__face_noface.mov", "videoretalking__2.mp4")


def coverage(shared: Path) -> dict:
    """Fraction of the frames that show a face in which it is followed, per clip of the corpus and of the folder."""
    detector = load_detector("blazeface")
    shares, black = [], 0
    for row in open_dataset(str(shared / "data" / "javased_video")):
        clip = open_clip(row["video"]["bytes"])
        black += round(clip.lead_black * 29.97) == row["lead_black_frames"]
        shares.append(track_faces(clip, detector).coverage)
    found = {"corpus": {"clips": len(shares), "coverage": float(np.mean(shares)), "lowest": min(shares)}}
    found["corpus"]["clips whose black start was found exactly"] = black
    clips = {}
    for path in sorted((shared / "clips").glob("*_*.m*")):
        track = track_faces(open_clip(path), detector)
        until = FACE_LEAVES.get(path.name, np.inf)
        shown = track.frame_times < until
        got = np.array([word != "none" for word in track.status])
        clips[path.name] = {
            "frames with a face": int(shown.sum()),
            "followed": float(got[shown].mean()),
            "invented": int(got[~shown].sum()),
            "frames without": int((~shown).sum()),
        }
    return found | {"clips": clips}


def speaker(shared: Path) -> dict:
    """Two actors side by side, the audio of one of them: how often each rule follows the one who is heard."""
    rows = list(open_dataset(str(shared / "data" / "javased_video")))
    draw = np.random.default_rng(0)
    detector = load_detector("blazeface")
    right = {"largest": [], "speaking": []}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(60):
            one, two = (rows[i] for i in draw.choice(len(rows), 2, replace=False))
            if one["speaker"] == two["speaker"]:
                continue
            path = Path(folder) / f"{number}.mp4"
            heard_left = side_by_side(one, two, path, bool(draw.integers(2)))
            for rule, answers in right.items():
                track = track_faces(open_clip(path), detector, person=rule)
                if len(track.boxes):
                    answers.append(bool((track.boxes[:, [0, 2]].mean() < 360) == heard_left))
    return {rule: {"pairs": len(answers), "right": float(np.mean(answers))} for rule, answers in right.items()}


def side_by_side(heard: dict, other: dict, path: Path, left: bool) -> bool:
    """Write both clips next to each other, as long as the shorter one; returns whether the heard one is left."""
    clips = [open_clip(row["video"]["bytes"], fps=30) for row in (heard, other)]
    pictures = [np.concatenate([frames for _, frames in clip.frames()]) for clip in clips]
    count = min(map(len, pictures))
    pictures = pictures if left else pictures[::-1]
    sound = clips[0].waveform[: round(count / 29.97 * 16_000)]
    with av.open(str(path), "w") as file:
        video = file.add_stream("libx264", rate=30, options={"crf": "18"})
        video.width, video.height, video.pix_fmt = 720, 270, "yuv420p"
        audio = file.add_stream("aac", rate=16_000, layout="mono")
        for frames in zip(*(picture[:count] for picture in pictures), strict=True):
            file.mux(video.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(np.hstack(frames)), "rgb24")))
        file.mux(video.encode())
        for first in range(0, len(sound), 1024):
            frame = av.AudioFrame.from_ndarray(sound[None, first : first + 1024], "fltp", "mono")
            frame.sample_rate, frame.pts = 16_000, first
            file.mux(audio.encode(frame))
        file.mux(audio.encode())
    return left


class Plain:
    """face-alignment used plainly, with blazeface: each frame at full size; then the same crops and network."""

    def __init__(self, feature_reader: FeatureReader):
        from face_alignment.detection.blazeface import FaceDetector

        self.detector, self.feature_reader = FaceDetector("cpu"), feature_reader

    def __call__(self, row: dict, alive) -> int:
        """Number of frames with features."""
        crops = []
        for _, frames in open_clip(row["file"]).frames():
            for frame in frames:
                found = [box for box in self.detector.detect_from_image(frame) if len(box)]
                if found:
                    largest = max(found, key=lambda box: (box[2] - box[0]) * (box[3] - box[1]))
                    crops.append(crop_square(frame, largest[:4], 112))
        return len(self.feature_reader(np.zeros(0, np.float32), crops)["image_features"])


class PlainDefault:
    """The same with face-alignment's default detector, sfd, of which only the network's own arithmetic is run.

    Its weights are random, which takes as long as the published ones; what it finds is not used, so this is the least
    that sfd costs. Crops come from the middle of the frame.
    """

    def __init__(self, feature_reader: FeatureReader):
        from face_alignment.detection.sfd.net_s3fd import s3fd

        self.network, self.feature_reader = s3fd().eval(), feature_reader

    def __call__(self, row: dict, alive) -> int:
        """Number of frames with features."""
        crops = []
        for _, frames in open_clip(row["file"]).frames():
            for frame in frames:
                with torch.no_grad():
                    self.network(torch.from_numpy(frame.transpose(2, 0, 1)[None].astype(np.float32)))
                height, width = frame.shape[:2]
                crops.append(crop_square(frame, (width / 3, height / 3, 2 * width / 3, 2 * height / 3), 112))
                alive()
        return len(self.feature_reader(np.zeros(0, np.float32), crops)["image_features"])


class Decode:
    """Frames at 10 a second and nothing else."""

    def __call__(self, row: dict, alive) -> int:
        """Number of frames."""
        return sum(len(times) for times, _ in open_clip(row["file"]).frames())


def speed(shared: Path) -> dict:
    """Seconds of clip per second, from file to image features at 10 frames a second, in two processes."""
    image = build_model("pretraining", "image", [FACE_CHECKPOINT])
    features = FeatureReader(image_model=image.model.base_model.eval(), image_processor=image.image_processor)
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, write in (("javased_video 360x270", small_clips), ("1280x720", large_clips)):
            clips = Path(folder) / name.split()[0]
            clips.mkdir()
            seconds = write(shared, clips)
            rows = [{"file": str(path)} for path in sorted(clips.iterdir())]
            ways = {
                "ours": lambda clips=clips: extract(
                    open_dataset(str(clips)), str(clips) + ".out", ClipReader("image", detector="blazeface"), features,
                    workers=PROCESSES,
                ),
                "blazeface, each frame": lambda rows=rows: [*call_in_workers(Plain(features), rows, PROCESSES)],
                "decoding alone": lambda rows=rows: [*call_in_workers(Decode(), rows, PROCESSES)],
            }  # fmt: skip
            runs = {way: [] for way in ways}
            for _, (way, run) in itertools.product(range(3), ways.items()):
                begin = time.perf_counter()
                run()
                runs[way].append(seconds / (time.perf_counter() - begin))
                subprocess.run(["rm", "-rf", f"{clips}.out"], check=True)
            medians = {way: round(statistics.median(values), 2) for way, values in runs.items()}
            few = rows[:: len(rows) // 2]  # sfd takes seconds a frame
            seconds_of_few = sum(open_clip(row["file"]).duration for row in few)
            begin = time.perf_counter()
            _ = [*call_in_workers(PlainDefault(features), few, PROCESSES)]
            medians["sfd, each frame"] = round(seconds_of_few / (time.perf_counter() - begin), 3)
            results[name] = {
                "seconds of clips": round(seconds, 1),
                "times real time, median of 3": medians,
                "runs": {way: [round(value, 2) for value in values] for way, values in runs.items()},
                "ours over face-alignment": {
                    way: round(medians["ours"] / medians[f"{way}, each frame"], 2) for way in ("blazeface", "sfd")
                },
                "share of the time, one process": shares_of_time(rows[:20], features),
            }
    return results


def small_clips(shared: Path, folder: Path) -> float:
    """Every third clip of the corpus as a file."""
    rows = open_dataset(str(shared / "data" / "javased_video"))
    for number in range(0, rows.num_rows, 3):
        (folder / f"{number:03d}.mp4").write_bytes(rows[number]["video"]["bytes"])
    return sum(open_clip(path).duration for path in folder.iterdir())


def large_clips(shared: Path, folder: Path) -> float:
    """The largest clips, twice each, brought to 1280x720 with good quality."""
    for number, name in itertools.product(range(2), LARGE):
        with (
            av.open(str(shared / "clips" / name)) as source,
            av.open(str(folder / f"{number}{name}.mp4"), "w") as file,
        ):
            stream = source.streams.video[0]
            video = file.add_stream("libx264", rate=round(stream.average_rate), options={"crf": "18"})
            video.width, video.height, video.pix_fmt = 1280, 720, "yuv420p"
            for index, frame in enumerate(source.decode(stream)):
                frame = frame.reformat(1280, 720, "yuv420p")
                frame.pts, frame.time_base = index, 1 / video.codec_context.framerate
                file.mux(video.encode(frame))
            file.mux(video.encode())
    return sum(open_clip(path).duration for path in folder.iterdir())


def shares_of_time(rows: list[dict], features: FeatureReader) -> dict[str, float]:
    """Where the time goes, in one process: reading, detection, cropping, the network, the rest."""
    spent = dict.fromkeys(("decode", "detect", "crop", "looks", "network"), 0.0)

    def timed(name, function):
        def call(*args, **kwargs):
            begin = time.perf_counter()
            result = function(*args, **kwargs)
            spent[name] += time.perf_counter() - begin
            return result

        return call

    detector = load_detector("blazeface")
    detector.detect = timed("detect", detector.detect)
    kept = follower.crop_square, follower.appearance
    follower.crop_square, follower.appearance = (
        timed(name, each) for name, each in zip(("crop", "looks"), kept, strict=True)
    )
    network = timed("network", features)
    begin = time.perf_counter()
    for row in rows:
        clip = timed("decode", open_clip)(row["file"])
        frames = clip.frames
        clip.frames = lambda *args, frames=frames: timed_iterator(timed, frames(*args))
        for window in face_windows(clip, detector):
            network(np.zeros(0, np.float32), list(window.crops))
    total = time.perf_counter() - begin
    follower.crop_square, follower.appearance = kept
    return {name: round(value / total, 3) for name, value in spent.items()} | {
        "rest": round(1 - sum(spent.values()) / total, 3)
    }


def timed_iterator(timed, iterator):
    """The items, their making counted as decoding."""
    following = timed("decode", lambda: next(iterator, None))
    while (item := following()) is not None:
        yield item


def memory(shared: Path) -> dict:
    """Peak of both ways to scores, and of extracting, from one clip of a minute and one of an hour."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "source.mp4"
        source.write_bytes(open_dataset(str(shared / "data" / "javased_video"))[0]["video"]["bytes"])
        for minutes in (1, 60):
            path = Path(folder) / f"{minutes}" / "clip.mp4"
            path.parent.mkdir()
            repeat_clip(source, path, 60 * minutes)
            for task in ("predict", "pipeline", "extract"):
                words = [sys.executable, __file__, "--peak", task, str(path)]
                result = subprocess.run(words, check=True, capture_output=True, text=True)
                found.setdefault(task, {})[f"{minutes} min"] = json.loads(result.stdout.splitlines()[-1])
    for peaks in found.values():
        peaks["difference, MB"] = round(peaks["60 min"]["peak, MB"] - peaks["1 min"]["peak, MB"], 1)
    return found


def peak(task: str, path: str) -> None:
    """Print the peak of this process after one task on one clip."""
    begin = time.perf_counter()
    if task == "predict":
        seconds = EmotionPredictor(detector="blazeface")(path).duration
    elif task == "pipeline":
        pipeline("audio-visual-emotion-recognition", model=DEFAULT_CHECKPOINT)(path, detector="blazeface")
        seconds = open_clip(path).duration
    else:
        out = f"{path}.out"
        seconds = extract(open_dataset(str(Path(path).parent)), out, ClipReader(detector="blazeface"))["seconds"]
        subprocess.run(["rm", "-rf", out], check=True)
    took = time.perf_counter() - begin
    print(json.dumps({"seconds of clip": seconds, "took, s": round(took, 1), "peak, MB": round(peak_mb(), 1)}))


PARTS = {"coverage": coverage, "speaker": speaker, "speed": speed, "memory": memory}


def main() -> None:
    """Measure the parts asked for and put them into the JSON file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared", help="folder of corpora and clips")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--peak", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peak:
        peak(*options.peak)
        return
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    results["machine"] = {"cpu": platform.processor() or platform.machine(), "cores": os.cpu_count()}
    for name in options.parts:
        results[name] = PARTS[name](options.shared)
        print(name, json.dumps(results[name], indent=1))
        RESULTS.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()

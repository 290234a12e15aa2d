"""The service: answers to many programs at a time, memory, cancellation, and uploads that are damaged.

    python benchmarks/service.py CLIP [--clients 50] [--damaged 2000] [--out OUT.json]

Starts `av-emotion app` on a free port with its default limits, and asks it as programs do, with gradio_client. The
clip is one with a face and a voice; a long one is made by repeating it. Damaged clips are those of
`tests/helpers/damage.py`.
"""

import argparse
import collections
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from loops import repeat_clip

from av_emotion_hf import open_clip

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from helpers.damage import base_clips, damaged_clips

MB = 2**20
SAMPLED = 0.2  # seconds between two looks at the memory
ROUNDS = 5
LONG = 300.0  # seconds of the clip that is canceled


class Service:
    """The app in a process of its own.

    Args:
        folder: for its files.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        begun = time.monotonic()
        command = [sys.executable, "-m", "av_emotion_hf", "app", "--port", "0"]
        environment = os.environ | {"TMPDIR": str(folder), "PYTHONUNBUFFERED": "1"}
        self.process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        self.url = self.process.stdout.readline().strip()
        self.seconds_to_start = time.monotonic() - begun
        self.peak = 0.0
        self._is_watched = True
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()

    def client(self) -> Client:
        """A program that asks."""
        return Client(self.url, verbose=False, download_files=False)

    def memory(self) -> float:
        """MB of all processes together; what they share is divided among them."""
        total = 0.0
        processes = [self.own, *self.own.children(recursive=True)]
        for process in processes:
            try:
                total += process.memory_full_info().pss / MB
            except psutil.Error:
                continue
        return total

    def processor_seconds(self) -> float:
        """Of all its processes."""
        times = [process.cpu_times() for process in (self.own, *self.own.children(recursive=True))]
        return sum(one.user + one.system for one in times)

    @property
    def own(self) -> psutil.Process:
        """The server."""
        return psutil.Process(self.process.pid)

    def workers(self) -> set[int]:
        """Processes below the server."""
        return {child.pid for child in self.own.children(recursive=True)}

    def files(self) -> list[str]:
        """Names of the files that it has on the disk."""
        return [path.name for path in self.folder.rglob("files/**/*") if path.is_file()]

    def _watch(self) -> None:
        while self._is_watched:
            self.peak = max(self.peak, self.memory())
            time.sleep(SAMPLED)

    def close(self) -> tuple[int, list[str]]:
        """End it; its exit status and what it has left."""
        self._is_watched = False
        self._watcher.join()
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60), [path.name for path in self.folder.iterdir()]


def ask(client: Client, path: Path) -> dict:
    """The answer to one clip."""
    return client.predict(clip=handle_file(str(path)), api_name="/predict")


def first_results(service: Service, clip: Path) -> dict:
    """Seconds until a program has its answer, when nobody else asks."""
    client, seconds, processor = service.client(), [], []
    for _ in range(ROUNDS):
        begun, busy = time.monotonic(), service.processor_seconds()
        found = ask(client, clip)
        seconds.append(time.monotonic() - begun)
        processor.append(service.processor_seconds() - busy)
        assert found["rows"]
    client.close()
    return {
        "clip_seconds": round(open_clip(str(clip)).duration, 1),
        "load": round(os.getloadavg()[0], 1),
        "seconds": [round(value, 2) for value in seconds],
        "median": round(statistics.median(seconds), 2),
        "processor_seconds": round(statistics.median(processor), 2),
    }


def many(service: Service, clip: Path, clients: int) -> dict:
    """So many programs that ask at the same time."""
    service.peak, before, ranks = 0.0, service.memory(), []

    def one(_: int) -> bool:
        client = service.client()
        try:
            job = client.submit(clip=handle_file(str(clip)), api_name="/predict")
            while not job.done():
                if (rank := job.status().rank) is not None:
                    ranks.append(rank)
                time.sleep(0.1)
            return bool(job.result()["rows"])
        finally:
            client.close()

    begun = time.monotonic()
    with ThreadPoolExecutor(clients) as pool:
        answered = sum(pool.map(one, range(clients)))
    return {
        "clients": clients,
        "answered": answered,
        "seconds": round(time.monotonic() - begun, 1),
        "longest_queue_seen": max(ranks, default=0) + 1,
        "memory_before_mb": round(before),
        "memory_peak_mb": round(service.peak),
        "files_left": len(service.files()),
    }


def cancel(service: Service, clip: Path, folder: Path) -> dict:
    """Seconds from the cancellation of a long clip until its worker is gone and its files are deleted."""
    long_clip = folder / "long.mp4"
    repeat_clip(clip, long_clip, LONG)
    seconds = []
    for _ in range(ROUNDS):
        client = service.client()
        before = service.workers()
        job = client.submit(clip=handle_file(str(long_clip)), api_name="/predict")
        while not job.status().progress_data:
            time.sleep(0.05)
        time.sleep(1)
        begun = time.monotonic()
        job.cancel()
        while service.files() or before <= service.workers():
            time.sleep(0.01)
        seconds.append(time.monotonic() - begun)
        client.close()
    return {"clip_seconds": LONG, "seconds": [round(value, 2) for value in seconds], "longest": round(max(seconds), 2)}


def damaged(service: Service, folder: Path, number: int) -> dict:
    """How damaged uploads end."""
    client, ends, odd = service.client(), collections.Counter(), []
    before = service.memory()
    for index, (_, _, suffix, content) in enumerate(damaged_clips(base_clips(folder), number)):
        path = folder / f"damaged.{suffix}"
        path.write_bytes(content)
        try:
            ends["timeline" if "rows" in ask(client, path) else "odd"] += 1
        except AppError as error:
            message = str(error)
            is_sentence = path.name in message and "\n" not in message and "unexpected" not in message
            ends["sentence" if is_sentence else "odd"] += 1
            if not is_sentence:
                odd.append({"index": index, "message": message})
    client.close()
    time.sleep(1)
    return {
        "uploads": number,
        "ends": dict(ends),
        "odd": odd,
        "server_alive": service.process.poll() is None,
        "files_left": len(service.files()),
        "memory_before_mb": round(before),
        "memory_after_mb": round(service.memory()),
    }


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clip", type=Path)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--damaged", type=int, default=2000)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "service.json")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, own = Path(name), Path(name) / "tmp"
        own.mkdir()
        service = Service(own)
        results = {"cores": os.cpu_count(), "load": round(os.getloadavg()[0], 1)}
        results["start"] = {
            "seconds": round(service.seconds_to_start, 1),
            "memory_mb": round(service.memory()),
            "server_mb": round(service.own.memory_full_info().pss / MB),
        }
        print(json.dumps(results), flush=True)
        for name, found in (
            ("one", lambda: first_results(service, args.clip)),
            ("many", lambda: many(service, args.clip, args.clients)),
            ("cancel", lambda: cancel(service, args.clip, folder)),
            ("damaged", lambda: damaged(service, folder, args.damaged)),
        ):
            results[name] = found()
            print(name, json.dumps(results[name]), flush=True)
        status, left = service.close()
        results["end"] = {"exit_status": status, "left": left}
    args.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

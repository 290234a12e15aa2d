"""The processes that make timelines: each keeps its models, may crash, and can be stopped at any time."""

import asyncio
import multiprocessing
import sys
import time
import uuid
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pebble import ProcessExpired, ProcessPool

from ..errors import InputError
from ..models.persons_av_emotion import ALL
from .limits import Limits

if TYPE_CHECKING:
    from ..inference.predictor import EmotionPredictor
    from ..inference.timelines import TimelineMaker
    from ..timeline.table import Timeline

STALL = 60.0  # seconds without a sign of life
CYCLE = 0.1  # seconds between two looks at a worker
TASKS = 500  # of a worker before a fresh one takes its place
LOADED = 6  # models that a worker keeps
STOPPED = "was stopped"
PRELOADED = ["av_emotion_hf.inference.timelines", "av_emotion_hf.app.workshop"]

Progress = Callable[[float, float], None]


@dataclass(frozen=True)
class Settings:
    """What the models of a service have in common.

    Attributes:
        detector: name of the face detector.
        fps: frames per second.
        device: where models run.
    """

    detector: str = "auto"
    fps: float = 10.0
    device: str = "auto"


@dataclass(frozen=True)
class Offer:
    """What visitors may choose from.

    Attributes:
        checkpoints: that answer clips, the default one first.
        abstain: default of the lowest probability of an emotion that is named.
    """

    checkpoints: tuple[str, ...]
    abstain: float


@dataclass(frozen=True)
class Job:
    """A clip of which a timeline is wanted.

    Attributes:
        path: of the clip.
        name: under which it is known to who has sent it.
        checkpoint: name or folder.
        person: whose rows are wanted.
        abstain: lowest probability of an emotion that is named.
        limits: of its duration.
        settings: of the models.
    """

    path: str
    name: str
    checkpoint: str
    person: str
    abstain: float
    limits: Limits
    settings: Settings = field(default_factory=Settings)


class Workshop:
    """Worker processes in which clips are decoded and models run, so that a clip cannot take down the server.

    `call_in_workers` forks the process that calls it for every list of clips. A server has threads, which a fork may
    catch with a lock in hand, and would fork for each request; these workers are forked from a process that has no
    threads, and stay with their models and detectors loaded. A worker that is stopped or dies is replaced.

    Args:
        workers: processes.
        folder: for signs of life; exists.
        tasks: of a worker before a fresh one takes its place; 0 if it has to stay.
    """

    def __init__(self, workers: int, folder: Path, tasks: int = TASKS):
        self._folder, self._is_closed = folder, False
        self._pool = ProcessPool(workers, max_tasks=tasks, initializer=_start, context=worker_context())

    async def call(self, function: Callable, item: Any, name: str, progress: Progress | None = None) -> Any:
        """Call a function in a worker process. If the caller is canceled, the worker is killed.

        Args:
            function: of a module; takes the item, and a function to call with the seconds done and the duration,
                which is the sign of life as well. An [`InputError`] that it raises is raised here.
            item: can be pickled, as the result.
            name: of the clip, for messages.
            progress: called with the seconds done and the duration, whenever they have changed.

        Raises:
            InputError: of the function, or the worker has died or gives no sign of life.
        """
        sign = self._folder / uuid.uuid4().hex
        try:
            future = self._pool.schedule(_call, args=(function, item, str(sign)))
        except RuntimeError as error:
            raise InputError(f"{name}: {STOPPED}") from error
        ended = asyncio.wrap_future(future)
        last = ""
        try:
            while not ended.done():
                await asyncio.wait([ended], timeout=CYCLE)
                if self._is_closed:
                    raise InputError(f"{name}: {STOPPED}")
                text, age = _read(sign)
                if age > STALL:
                    raise InputError(
                        f"{name}: no progress for {STALL:g} seconds, maybe it is damaged; convert it again"
                    )
                if progress is not None and text != last and len(numbers := text.split()) == 2:
                    last = text
                    progress(float(numbers[0]), float(numbers[1]))
            return ended.result()
        except BrokenProcessPool as error:
            raise InputError(f"{name}: {STOPPED}") from error
        except ProcessExpired as death:
            raise InputError(
                f"{name}: the process that read it died (exit status {death.exitcode}); convert it again, to MP4 for "
                "instance"
            ) from death
        finally:
            future.cancel()  # kills the worker if it is still at it
            sign.unlink(missing_ok=True)

    def close(self) -> None:
        """Kill all workers."""
        self._is_closed = True
        self._pool.stop()
        self._pool.join()


@cache
def worker_context() -> Any:
    """How worker processes are started: forked from a process without threads, where that exists."""
    if sys.platform == "win32":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    return context


def make_timeline(job: Job, progress: Progress) -> "Timeline":
    """The timeline of a clip, in a worker.

    Raises:
        InputError: the clip cannot be read, or is too long.
    """

    def checked(seconds: float, duration: float) -> None:
        job.limits.check_duration(job.name, duration)
        progress(seconds, duration)

    maker = _maker(job.checkpoint, job.person, job.settings)
    maker.abstain = job.abstain
    try:
        timeline = maker(job.path, progress=checked)
    except InputError as error:
        raise InputError(str(error).replace(job.path, job.name)) from error
    timeline.clip = job.name
    return timeline


def load_models(wanted: tuple[str | None, Settings], progress: Progress) -> Offer:
    """Load the default model before the first clip comes, and tell what there is; in a worker.

    Args:
        wanted: folder or Hub name of a checkpoint to offer before those of this package, and the settings.
        progress: as for a clip.

    Raises:
        InputError: the checkpoint cannot be used.
    """
    from ..checkpoints import DEFAULT_CHECKPOINT, MODALITY_OF, SHIPPED_CHECKPOINTS, read_config
    from ..inference.timelines import ABSTAIN

    progress(0.0, 0.0)
    own, settings = wanted
    kinds = {name: MODALITY_OF[read_config(path).model_type] for name, path in SHIPPED_CHECKPOINTS.items()}
    first = own or Path(DEFAULT_CHECKPOINT).name
    assert _maker(first, ALL, settings).settings  # the detector is loaded for them
    names = [name for name, kind in kinds.items() if kind != "expression" and name != first]
    return Offer((first, *names), ABSTAIN)


@lru_cache(maxsize=LOADED)
def predictor_of(checkpoint: str, settings: Settings) -> "EmotionPredictor":
    """The predictor of a checkpoint in this process, which stays loaded.

    Args:
        checkpoint: name or folder.
        settings: of the models.
    """
    from ..inference.predictor import EmotionPredictor

    return EmotionPredictor(checkpoint, settings.detector, settings.fps, device=settings.device)


@lru_cache(maxsize=LOADED)
def _maker(checkpoint: str, person: str, settings: Settings) -> "TimelineMaker":
    from ..inference.timelines import TimelineMaker

    return TimelineMaker(predictor_of(checkpoint, settings), person=person)


def _start() -> None:
    import cv2
    import torch
    from transformers.utils import logging

    logging.disable_progress_bar()
    torch.set_num_threads(1)
    cv2.setNumThreads(0)


def _call(function: Callable, item: Any, sign: str) -> Any:
    path = Path(sign)

    def alive(seconds: float, duration: float) -> None:
        path.write_text(f"{seconds:.2f} {duration:.2f}")

    path.touch()
    return function(item, alive)


def _read(sign: Path) -> tuple[str, float]:
    """What a worker has last said, and seconds since then; 0 before it has begun."""
    try:
        return sign.read_text(), time.time() - sign.stat().st_mtime
    except FileNotFoundError:
        return "", 0.0


__all__ = [
    "Job",
    "Offer",
    "Progress",
    "Settings",
    "Workshop",
    "load_models",
    "make_timeline",
    "predictor_of",
    "worker_context",
]

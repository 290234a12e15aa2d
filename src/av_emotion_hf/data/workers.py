"""Worker processes that may die: what crashes or hangs a decoder costs that item only."""

import multiprocessing
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, TimeoutError
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pebble import ProcessExpired, ProcessFuture, ProcessPool

from ..errors import InputError

AHEAD = 3  # items per worker that wait or are done before they are asked for: bounds memory
STALL = 30.0  # seconds without a sign of life


@dataclass(frozen=True)
class Outcome:
    """What became of one item.

    Attributes:
        item: as given.
        result: what the function returned; None where it failed.
        error: why it failed, one line; None where it did not.
    """

    item: Any
    result: Any = None
    error: str | None = None


def call_in_workers(
    function: Callable[[Any, Callable[[], None]], Any],
    items: Iterable,
    workers: int,
    stall: float = STALL,
    spawn: bool = False,
) -> Iterator[Outcome]:
    """Call a function on items in worker processes; outcomes come in the order of the items.

    A worker that dies, or gives no sign of life for `stall` seconds, is replaced, and its item fails.

    Args:
        function: takes an item and a function without arguments, which it calls to show that it is still getting on.
            An [`InputError`] that it raises is the item's error; any other exception ends everything.
        items: must be picklable, as the results.
        workers: processes with one thread each; with 0 everything runs in this process, unprotected.
        stall: seconds.
        spawn: start fresh processes where a fork would do: a forked process cannot use a GPU.
    """
    if workers == 0:
        for item in items:
            try:
                yield Outcome(item, function(item, lambda: None))
            except InputError as error:
                yield Outcome(item, error=str(error))
        return
    # a forked worker needs no second import of torch; elsewhere than on Linux forking is not safe
    context = multiprocessing.get_context("fork" if sys.platform == "linux" and not spawn else "spawn")
    with tempfile.TemporaryDirectory(prefix="av_emotion_hf_") as signs:
        pool = ProcessPool(workers, initializer=_start_worker, initargs=(function,), context=context)
        pending: deque[tuple[Any, ProcessFuture, Path]] = deque()
        try:
            for number, item in enumerate(items):
                sign = Path(signs) / str(number)
                pending.append((item, pool.schedule(_call, args=(item, str(sign))), sign))
                if len(pending) >= AHEAD * workers:
                    yield _outcome(pending, stall)
            while pending:
                yield _outcome(pending, stall)
        finally:
            pool.stop()  # kills what still runs when the caller has enough
            pool.join()


def _outcome(pending: deque[tuple[Any, ProcessFuture, Path]], stall: float) -> Outcome:
    """Wait for the oldest item, and meanwhile kill every worker that has gone silent."""
    item, future, sign = pending[0]
    while True:
        try:
            outcome = Outcome(item, future.result(timeout=min(1.0, stall)))
        except InputError as error:
            outcome = Outcome(item, error=str(error))
        except ProcessExpired as death:
            outcome = Outcome(item, error=f"the process that read it died (exit status {death.exitcode}); skipped")
        except CancelledError:
            outcome = Outcome(item, error=f"no progress for {stall:g} seconds; skipped")
        except TimeoutError:
            if not future.done():
                for _, each, each_sign in pending:
                    if _age(each_sign) > stall:
                        each.cancel()
                continue
            raise
        pending.popleft()
        sign.unlink(missing_ok=True)
        return outcome


def _age(sign: Path) -> float:
    """Seconds since the last sign of life; 0 for an item that was not begun."""
    try:
        return time.time() - sign.stat().st_mtime
    except FileNotFoundError:
        return 0.0


_function: Callable | None = None


def _start_worker(function: Callable) -> None:
    global _function
    import cv2

    _function = function
    torch.set_num_threads(1)
    cv2.setNumThreads(0)


def _call(item: Any, sign: str) -> Any:
    path = Path(sign)
    path.touch()
    assert _function is not None  # `_start_worker` has set it
    return _function(item, path.touch)


__all__ = ["Outcome", "call_in_workers"]

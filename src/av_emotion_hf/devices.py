"""The device that computes: chosen by load (CN110852215A), and how many threads a CPU gets."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from .errors import InputError

NEEDED_BYTES = 2 * 2**30  # free memory that a GPU must have to be chosen by itself


@dataclass(frozen=True)
class DeviceChoice:
    """A device and how it was chosen.

    Attributes:
        device: where models run.
        threads: CPU threads of this process.
        reason: why, in one line.
    """

    device: torch.device
    threads: int
    reason: str

    def __str__(self) -> str:
        threads = "1 thread" if self.threads == 1 else f"{self.threads} threads"
        return f"device {self.device}, {threads} ({self.reason})"

    @contextmanager
    def limited_threads(self) -> Iterator[None]:
        """Compute with the chosen number of CPU threads, and with as many as before afterwards."""
        before = torch.get_num_threads()
        torch.set_num_threads(self.threads)
        try:
            yield
        finally:
            torch.set_num_threads(before)


def choose_device(name: str = "auto", parallel: bool = False, needed: int = NEEDED_BYTES) -> DeviceChoice:
    """Choose where to compute.

    Args:
        name: `auto`, `cpu`, `cuda`, `cuda:1` or `mps`. `auto` is the least loaded GPU with enough free memory, else
            the CPU; `cuda` the least loaded GPU, whatever is free; `mps` is used only when it is named.
        parallel: whether the work gains from more CPU threads than one, see [`cpu_threads`].
        needed: free bytes that a GPU must have for `auto`.

    Raises:
        InputError: an unknown device, or one that is not available here.
    """
    threads, why = cpu_threads(parallel)
    if name == "cpu":
        return DeviceChoice(torch.device("cpu"), threads, f"asked for; {why}")
    kind, _, number = name.partition(":")
    if name not in ("auto", "mps") and not (kind == "cuda" and (number.isdecimal() or name == "cuda")):
        raise InputError(f"device {name!r} is unknown; choose auto, cpu, cuda, cuda:1 or mps")
    if name == "mps":
        if not torch.backends.mps.is_available():
            raise InputError("device 'mps' is not available on this machine; use cpu or auto")
        return DeviceChoice(torch.device("mps"), threads, "asked for")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name != "auto" and int(number or 0) >= count:
        found = ", ".join(f"cuda:{i}" for i in range(count)) or "no GPU that torch can use"
        raise InputError(f"device {name!r} is not available; this machine has {found}; use cpu or auto")
    if number:
        return DeviceChoice(torch.device(name), threads, "asked for")
    loads = {i: gpu_load(i) for i in range(count)}
    enough = {i: load for i, (load, free) in loads.items() if name == "cuda" or free >= needed}
    if not enough:
        short = f"no GPU has {needed / 2**30:.1f} GiB free" if count else "there is no GPU"
        return DeviceChoice(torch.device("cpu"), threads, f"{short}; {why}")
    best = min(enough, key=lambda i: (enough[i], -loads[i][1]))
    free = loads[best][1] / 2**30
    reason = f"the least loaded of {count} GPU(s), {enough[best]:.0%} busy, {free:.1f} GiB free"
    return DeviceChoice(torch.device("cuda", best), threads, reason)


def gpu_load(index: int) -> tuple[float, int]:
    """How busy a GPU is, in [0, 1], and how many bytes of its memory are free.

    Busy is the fraction of time in which it computed, as its driver tells where `nvidia-ml-py` is installed, else the
    fraction of its memory that is in use.
    """
    free, total = torch.cuda.mem_get_info(index)
    try:
        return torch.cuda.utilization(index) / 100, free
    except Exception:  # no nvidia-ml-py, no permission, or another maker's card: each raises its own
        return 1 - free / total, free


def cpu_threads(parallel: bool = False) -> tuple[int, str]:
    """How many threads this process should compute with, and why.

    The RNNs of this package are chains of small products: more threads than one only wait for each other, and where
    another program is busy they wait long (`benchmarks/cold_start.py`). Convolutions over batches of images gain from
    the cores that are idle. `OMP_NUM_THREADS` overrides both.
    """
    given = os.environ.get("OMP_NUM_THREADS", "")
    if given.isdecimal() and int(given) > 0:
        return int(given), "OMP_NUM_THREADS"
    if not parallel:
        return 1, "a small network gains nothing from more threads"
    cores, processes = available_cores(), int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    busy = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    threads = max(1, min(cores, round(cores - busy)) // processes)
    return threads, f"{cores} core(s), load {busy:.1f}, {processes} process(es)"


def available_cores() -> int:
    """Number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


__all__ = ["DeviceChoice", "available_cores", "choose_device", "cpu_threads", "gpu_load"]

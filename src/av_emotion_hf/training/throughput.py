"""How many frames per second a training processes."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from accelerate import Accelerator
from transformers.trainer_callback import ProgressCallback


class Throughput:
    """Counts the real frames of batches, without waiting for the device, and the time of training alone.

    Args:
        model: whose front-end tells how many frames a waveform has.
    """

    def __init__(self, model: Any):
        self.audio_encoder = getattr(model, "audio_encoder", None)
        self._restart()

    def _restart(self) -> None:
        self.frames: list[torch.Tensor] = []
        self.since = time.perf_counter()

    def count(self, batches: list[dict]) -> None:
        """Add the frames of some batches."""
        for batch in batches:
            if "pixel_mask" in batch:
                self.frames.append(batch["pixel_mask"].sum())
            elif "pixel_values" in batch:
                self.frames.append(torch.tensor(len(batch["pixel_values"])))
            if "attention_mask" in batch:
                lengths = batch["attention_mask"].sum(dim=1)
                if "input_values" in batch and self.audio_encoder is not None:
                    lengths = self.audio_encoder.frontend.num_frames(lengths)
                self.frames.append(lengths.sum())

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Time that does not count as training, such as that of saving; unless [`rate`] is called meanwhile."""
        started = time.perf_counter()
        yield
        self.since += time.perf_counter() - max(started, self.since)

    def rate(self, accelerator: Accelerator) -> float:
        """Frames per second of all processes since the last call."""
        seconds = time.perf_counter() - self.since
        frames = torch.stack(self.frames).sum() if self.frames else torch.tensor(0)
        total = accelerator.reduce(frames.to(accelerator.device, torch.float32), reduction="sum")
        self._restart()
        return round(float(total) / max(seconds, 1e-9), 1)


class FramesProgressCallback(ProgressCallback):
    """The progress bar, with frames per second."""

    def on_log(self, args, state, control, logs=None, **kwargs):
        """As in transformers; the bar shows the last rate."""
        super().on_log(args, state, control, logs=logs, **kwargs)
        if self.training_bar is not None and "frames_per_second" in (logs or {}):
            self.training_bar.set_postfix_str(f"{logs['frames_per_second']:,.0f} frames/s")


__all__ = ["FramesProgressCallback", "Throughput"]

"""Forward and backward pass of `MaskedRNN` against torch's packed sequences, with weights of the same shapes.

    python benchmarks/rnn.py [OUT.json]

Both run alternately, in one process and on one thread; the figures are medians.
"""

import argparse
import json
import statistics
import time
from pathlib import Path

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from av_emotion_hf import AVEmotionAudioConfig
from av_emotion_hf.models.rnn_av_emotion import RNN_CLASSES, MaskedRNN

BATCH, FEATURES, REPEATS = 32, 60, 5


class PackedRNN(nn.Module):
    """The standard way: one bidirectional module over packed sequences."""

    def __init__(self, config: AVEmotionAudioConfig, input_size: int):
        super().__init__()
        self.rnn = RNN_CLASSES[config.rnn_type](
            input_size, config.hidden_size // 2, config.num_hidden_layers, batch_first=True, bidirectional=True
        )

    def forward(self, features: torch.Tensor, frame_mask: torch.Tensor) -> torch.Tensor:
        """States (B, T, D) of features (B, T, F)."""
        lengths = frame_mask.sum(dim=1).cpu()
        packed = pack_padded_sequence(features, lengths, batch_first=True, enforce_sorted=False)
        return pad_packed_sequence(self.rnn(packed)[0], batch_first=True, total_length=features.shape[1])[0]


def seconds(rnn: nn.Module, features: torch.Tensor, frame_mask: torch.Tensor) -> float:
    """Time of one forward and backward pass."""
    start = time.perf_counter()
    rnn(features, frame_mask).sum().backward()
    return time.perf_counter() - start


def main(out: Path) -> None:
    """Measure both for sequences of 50 to 400 frames and write the ratios."""
    torch.set_num_threads(1)
    rows = []
    for rnn_type in ("lstm", "gru"):
        config = AVEmotionAudioConfig(rnn_type=rnn_type, hidden_dropout=0.0)
        ours, packed = MaskedRNN(config, FEATURES), PackedRNN(config, FEATURES)
        for frames in (50, 100, 200, 400):
            features = torch.randn(BATCH, frames, FEATURES)
            lengths = torch.randint(frames // 3, frames + 1, (BATCH, 1))
            lengths[0] = frames
            frame_mask = torch.arange(frames) < lengths
            times: dict[str, list[float]] = {"masked": [], "packed": []}
            for _ in range(REPEATS + 1):  # the first round warms up
                times["masked"].append(seconds(ours, features, frame_mask))
                times["packed"].append(seconds(packed, features, frame_mask))
            masked_seconds, packed_seconds = (statistics.median(values[1:]) for values in times.values())
            rows.append(
                {
                    "rnn": rnn_type,
                    "frames": frames,
                    "masked_seconds": round(masked_seconds, 4),
                    "packed_seconds": round(packed_seconds, 4),
                    "packed_over_masked": round(packed_seconds / masked_seconds, 2),
                }
            )
            print(rows[-1])
    out.parent.mkdir(parents=True, exist_ok=True)
    facts = {"batch": BATCH, "repeats": REPEATS, "threads": 1, "torch": torch.__version__, "rows": rows}
    out.write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", nargs="?", type=Path, default=Path(__file__).parent / "results" / "rnn.json")
    main(parser.parse_args().out)

"""Damaged media files, made from small sound ones by a seeded generator."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from helpers.synthetic import gray_frames, tone, write_clip

CODECS = {
    "mp4": ("libx264", "aac"),
    "mov": ("mpeg4", "pcm_s16le"),
    "mkv": ("libx264", "flac"),
    "webm": ("libvpx-vp9", "libopus"),
    "avi": ("mpeg4", "mp2"),
    "mpg": ("mpeg1video", "mp2"),
    "ts": ("mpeg2video", "mp2"),
    "wav": (None, "pcm_s16le"),
    "flac": (None, "flac"),
    "mp3": (None, "mp3"),
    "ogg": (None, "libopus"),
}


def base_clips(folder: Path) -> dict[str, bytes]:
    """One small clip of each container, by suffix: a second of sound, and of picture where it can hold one."""
    clips = {}
    for suffix, codecs in CODECS.items():
        frames = gray_frames(range(40, 240, 8), height=48, width=64) if codecs[0] else None
        sound = tone(1.0, rate=48_000, hertz=300.0)
        path = write_clip(folder / f"base.{suffix}", frames, sound=sound, rate=48_000, codecs=codecs)
        clips[suffix] = path.read_bytes()
    return clips


def truncated(data, other, draw):
    """The beginning only."""
    return data[: draw.integers(1, len(data))]


def beheaded(data, other, draw):
    """The end only."""
    return data[draw.integers(1, len(data)) :]


def flipped(data, other, draw):
    """Bits flipped everywhere, one in 100,000 to one in 100."""
    bits = np.unpackbits(np.frombuffer(data, np.uint8))
    bits[draw.random(len(bits)) < 10 ** draw.uniform(-5, -2)] ^= 1
    return np.packbits(bits).tobytes()


def flipped_header(data, other, draw):
    """One to 16 bits flipped in the first kilobyte."""
    bits = np.unpackbits(np.frombuffer(data, np.uint8))
    bits[draw.integers(0, min(len(bits), 8192), draw.integers(1, 17))] ^= 1
    return np.packbits(bits).tobytes()


def random_bytes(data, other, draw):
    """A stretch overwritten by noise."""
    return _overwritten(data, draw, lambda length: draw.bytes(length))


def zeros(data, other, draw):
    """A stretch overwritten by zeros."""
    return _overwritten(data, draw, bytes)


def swapped_header(data, other, draw):
    """The first bytes are those of another container."""
    length = draw.integers(4, 2048)
    return other[:length] + data[length:]


def joined(data, other, draw):
    """Behind the clip, perhaps incomplete, comes another one."""
    return data[: draw.integers(len(data) // 2, len(data) + 1)] + other


def shuffled(data, other, draw):
    """Blocks of 512 bytes in another order, as after a failed download."""
    blocks = [data[start : start + 512] for start in range(0, len(data), 512)]
    first, second = draw.integers(0, len(blocks), 2)
    blocks[first], blocks[second] = blocks[second], blocks[first]
    return b"".join(blocks)


def wrong_suffix(data, other, draw):
    """Not damaged; the name is what is wrong."""
    return data


def _overwritten(data, draw, fill):
    start = draw.integers(0, len(data))
    length = int(draw.integers(1, max(2, (len(data) - start) // 2)))
    return data[:start] + fill(length) + data[start + length :]


KINDS = (
    truncated, beheaded, flipped, flipped_header, random_bytes, zeros, swapped_header, joined, shuffled, wrong_suffix,
)  # fmt: skip


def damaged_clips(clips: dict[str, bytes], number: int, seed: int = 0) -> Iterator[tuple[str, str, str, bytes]]:
    """Yield `number` of (kind of damage, suffix of the base clip, suffix to give to the file, content)."""
    draw = np.random.default_rng(seed)
    suffixes = list(clips)
    for index in range(number):
        kind = KINDS[index % len(KINDS)]
        suffix, other = draw.choice(suffixes), draw.choice(suffixes)
        named = other if kind is wrong_suffix else suffix
        yield kind.__name__, str(suffix), str(named), kind(clips[suffix], clips[other], draw)

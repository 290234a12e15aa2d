"""Paths of clips: files, folders and globs."""

import glob
from pathlib import Path

from ..errors import InputError

AUDIO_SUFFIXES = frozenset(".wav .flac .mp3 .ogg .m4a .aac .opus .aiff".split())
MEDIA_SUFFIXES = AUDIO_SUFFIXES | set(".mp4 .m4v .mov .mkv .webm .avi .mpg .mpeg .wmv .flv .3gp .ts".split())


def expand_paths(paths: list[str]) -> list[str]:
    """Expand folders to the media files below them, and globs to their matches, in order.

    Raises:
        InputError: a folder contains no media file, or a glob matches nothing.
    """
    clips = []
    for path in paths:
        if Path(path).is_dir():
            found = sorted(str(p) for p in Path(path).rglob("*") if p.suffix.lower() in MEDIA_SUFFIXES)
            if not found:
                raise InputError(f"{path}: contains no clip; expected files such as .mp4, .mov, .mpg or .wav")
        elif glob.has_magic(path) and not Path(path).exists():
            found = sorted(glob.glob(path, recursive=True))
            if not found:
                raise InputError(f"{path}: matches no file; check the pattern")
        else:
            found = [path]
        clips += found
    return clips


__all__ = ["AUDIO_SUFFIXES", "MEDIA_SUFFIXES", "expand_paths"]

"""Paths of clips: files, folders and globs."""

import glob
from pathlib import Path

from ..errors import InputError

AUDIO_SUFFIXES = frozenset(".wav .flac .mp3 .ogg .m4a .aac .opus .aiff".split())
MEDIA_SUFFIXES = AUDIO_SUFFIXES | set(".mp4 .m4v .mov .mkv .webm .avi .mpg .mpeg .wmv .flv .3gp .ts".split())


def expand_paths(paths: list[str]) -> list[str]:
    """Files, the media files below folders, and what globs match, in order.

    Raises:
        InputError: a folder without media files, or a glob that matches nothing.
    """
    clips = []
    for path in paths:
        if Path(path).is_dir():
            found = sorted(str(p) for p in Path(path).rglob("*") if p.suffix.lower() in MEDIA_SUFFIXES)
            if not found:
                raise InputError(f"{path}: holds no clip; expected files such as .mp4, .mov, .mpg or .wav")
        else:
            found = (
                sorted(glob.glob(path, recursive=True)) if glob.has_magic(path) and not Path(path).exists() else [path]
            )
            if not found:
                raise InputError(f"{path}: matches no file; check the pattern")
        clips += found
    return clips

"""Paths of clips: which files of a folder are clips, and what folders and globs stand for. The one lister."""

import glob
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import InputError, printable, shortened

logger = logging.getLogger(__name__)

# what FFmpeg has a demuxer for; .ts and others may be something else, which the reader says
AUDIO_SUFFIXES = frozenset(
    """
    .wav .wave .w64 .rf64 .bwf .flac .mp3 .mp2 .mpga .ogg .oga .opus .spx .m4a .m4b .aac .aif .aiff .aifc .amr .awb
    .wma .au .snd .caf .ac3 .eac3 .dts .mka .wv .ape .tta .tak .voc .weba .3ga .gsm .sph .mpc
    """.split()
)
VIDEO_SUFFIXES = frozenset(
    """
    .mp4 .m4v .mov .qt .mkv .webm .avi .divx .mpg .mpeg .mpe .m1v .m2v .vob .wmv .asf .flv .f4v .3gp .3g2 .ts .mts
    .m2ts .m2t .mxf .ogv .ogm .dv .rm .rmvb .nut .y4m .mjpg .mjpeg .h264 .264 .hevc .h265 .265 .ivf
    """.split()
)
MEDIA_SUFFIXES = AUDIO_SUFFIXES | VIDEO_SUFFIXES
IMAGE_SUFFIXES = frozenset(".png .jpg .jpeg .jpe .jfif .bmp .gif .webp .tif .tiff .pgm .ppm .pnm".split())


@dataclass
class Listing:
    """The files of a folder and of those below it.

    Attributes:
        folder: where they were looked for.
        files: regular files, in the order of their names.
        skipped: by reason the names, relative to the folder, of what is no such file.
    """

    folder: Path
    files: list[Path] = field(default_factory=list)
    skipped: dict[str, list[str]] = field(default_factory=dict)

    def having(self, suffixes: frozenset[str]) -> list[Path]:
        """The files with one of these suffixes, whatever their case."""
        return [path for path in self.files if path.suffix.lower() in suffixes]

    def name(self, path: Path) -> str:
        """Name of a file relative to the folder."""
        return path.relative_to(self.folder).as_posix()

    def skip(self, reason: str, paths: Sequence[Path]) -> None:
        """Note that files are not used."""
        if paths:
            self.skipped.setdefault(reason, []).extend(self.name(path) for path in paths)

    def report(self) -> None:
        """Log what was skipped, one line for each reason."""
        for reason, names in self.skipped.items():
            logger.warning("%s: skipped %s", printable(str(self.folder)), f"{shortened(names)} ({reason})")


def list_files(folder: str | Path) -> Listing:
    """List the files below a folder.

    Links are followed, and no folder is listed twice, so links that lead back do no harm. Hidden files, such as the
    `._NAME` of macOS, broken links, pipes, and names that are not UTF-8 are skipped, and counted in the result.
    """
    listing = Listing(Path(folder))
    above = listing.folder.resolve().parents
    _walk(listing, listing.folder, {(status.st_dev, status.st_ino) for status in map(Path.stat, above)})
    listing.files.sort(key=lambda path: path.parts)
    return listing


def _walk(listing: Listing, folder: Path, seen: set[tuple[int, int]]) -> None:
    try:
        status, entries = folder.stat(), sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        listing.skip("a folder that cannot be read", [folder])
        return
    if (status.st_dev, status.st_ino) in seen:
        listing.skip("a link to a folder that is listed already", [folder])
        return
    seen.add((status.st_dev, status.st_ino))
    # real folders before links to them, so that a clip has the name under which it is stored
    for entry in sorted(entries, key=lambda entry: entry.is_symlink() and entry.is_dir()):
        path = folder / entry.name
        if entry.name.startswith("."):
            listing.skip("hidden", [path])
        elif not _is_utf8(entry.name):
            listing.skip("a name that is not UTF-8; rename it", [path])
        elif entry.is_dir():
            _walk(listing, path, seen)
        elif entry.is_file():
            listing.files.append(path)
        else:
            listing.skip("a broken link" if entry.is_symlink() else "not a regular file", [path])


def _is_utf8(name: str) -> bool:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def clips_in(folder: str | Path) -> Listing:
    """The clips below a folder; its other files are among those skipped.

    Raises:
        InputError: there is no clip.
    """
    listing = list_files(folder)
    clips = listing.having(MEDIA_SUFFIXES)
    if not clips:
        raise InputError(f"{folder}: contains no clip; expected files such as .mp4, .mov, .mpg or .wav")
    keep_files(listing, clips)
    return listing


def keep_files(listing: Listing, kept: list[Path], what: str = "clip") -> None:
    """Keep some files of a listing, and count the others as skipped."""
    known = set(kept)
    listing.skip(f"no {what} by its suffix", [path for path in listing.files if path not in known])
    listing.files = kept


def expand_paths(paths: list[str]) -> list[str]:
    """Expand folders to the clips below them, and globs to their matches, in order; what is skipped is logged.

    A path that exists is never a glob, and neither is a URL.

    Raises:
        InputError: a folder contains no clip, or a glob matches none.
    """
    clips: list[str] = []
    for path in paths:
        if Path(path).is_dir():
            clips += _below(path)
        elif glob.has_magic(path) and not Path(path).exists() and "://" not in path:
            clips += _matches(path)
        else:
            clips.append(path)
    return clips


def _below(folder: str) -> list[str]:
    listing = clips_in(folder)
    listing.report()
    return [str(path) for path in listing.files]


def _matches(pattern: str) -> list[str]:
    """The clips that a glob matches; the part of it that exists is taken as it is, whatever characters it has."""
    existing = Path(pattern)
    while not existing.exists():
        existing = existing.parent
    rest = Path(pattern).relative_to(existing)
    found = sorted(glob.glob(str(Path(glob.escape(str(existing))) / rest), recursive=True))
    clips: dict[str, None] = {}  # in order, and each once
    others = []
    for path in found:
        if Path(path).is_dir():
            clips |= dict.fromkeys(_below(path)) if "**" not in pattern else {}
        elif Path(path).suffix.lower() in MEDIA_SUFFIXES:
            clips[path] = None
        else:
            others.append(path)
    if others:
        logger.warning("%s: skipped %s (no clip by its suffix)", printable(pattern), shortened(others))
    if not clips:
        raise InputError(f"{pattern}: matches no {'clip' if others else 'file'}; check the pattern")
    return list(clips)


__all__ = [
    "AUDIO_SUFFIXES",
    "IMAGE_SUFFIXES",
    "MEDIA_SUFFIXES",
    "VIDEO_SUFFIXES",
    "Listing",
    "clips_in",
    "expand_paths",
    "keep_files",
    "list_files",
]
